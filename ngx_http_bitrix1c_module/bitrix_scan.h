
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _BITRIX_SCAN_H_INCLUDED_
#define _BITRIX_SCAN_H_INCLUDED_


#include <stddef.h>


/*
 * Inside the pure core: looks into JSON without reading it.  What a portal
 * answers may be large, may be cut off and goes on unchanged, so that nothing
 * is built from it: values are found as the bytes that they are, and numbers
 * keep all their digits.
 */


typedef struct {
    const char      *start;      /* NULL: there is none */
    size_t           len;
} bitrix_span_t;


typedef struct {
    const char      *pos;
    const char      *last;
    char             close;      /* of the object or array */
    int              broken;     /* not JSON, or cut off */
} bitrix_scan_t;


/*
 * The value at the beginning of the text, spaces and a BOM before it passed
 * over; none if it is broken or does not end.
 */
bitrix_span_t bitrix_scan_value(const char *text, size_t len);

/* begins with the members of an object or array; 0: the value is neither */
int bitrix_scan_open(bitrix_scan_t *scan, bitrix_span_t value);

/*
 * The next member: 1, or 0 at the end, or with scan->broken set.  The name is
 * without its quotes and with its escapes, and empty in an array.
 */
int bitrix_scan_next(bitrix_scan_t *scan, bitrix_span_t *name,
    bitrix_span_t *value);

/* the member of this name of an object, the last one if there are several */
bitrix_span_t bitrix_scan_find(bitrix_span_t object, const char *name);

/*
 * The text of a string, with its escapes, or of a number.  Cut to size, always
 * ended by NUL, "" for what is neither.
 */
void bitrix_scan_text(bitrix_span_t value, char *buf, size_t size);


#endif /* _BITRIX_SCAN_H_INCLUDED_ */

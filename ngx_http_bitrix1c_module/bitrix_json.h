
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _BITRIX_JSON_H_INCLUDED_
#define _BITRIX_JSON_H_INCLUDED_


#include "bitrix_form.h"


/*
 * Inside the pure core: reads and writes JSON.  Not by cJSON's own parser: it
 * knows no limits, keeps both of two equal keys, ends a string at \u0000, takes
 * any bytes for UTF-8 and rounds long numbers.  Whatever looked for all that
 * before it would have to agree with it about every byte.
 */


typedef struct {
    char            *start;
    size_t           len;
    size_t           size;
    int              failed;     /* lack of memory, tested once at the end */
} bitrix_buf_t;


/*
 * Reads an object (RFC 8259, and a BOM before it).  Limits: "pairs" counts
 * members and elements of all levels, "depth" levels, the outermost being the
 * first, "key" bytes of one decoded name.  A name twice in one object is
 * malformed.  Strings are treated as the values of a form are; control
 * characters may also stand in them unescaped, as cJSON and PHP allow or send.
 * A number that would lose digits in a double or be written back with an
 * exponent becomes a string with its digits intact: one of more than 15
 * significant digits, with an exponent, or below 0.0001.
 *
 * charset as in bitrix_form_parse(); with it err->where counts bytes of the
 * converted text.  On BITRIX_OK the tree is the caller's.
 */
bitrix_rc_t bitrix_json_parse(cJSON **tree, const char *text, size_t len,
    const bitrix_limits_t *limits, const char *charset, bitrix_error_t *err);

/*
 * Appends text as it is, a string with quotes and escapes, an integer, a whole
 * tree.  The buffer begins as zeros; its owner frees "start".
 */
void bitrix_json_put(bitrix_buf_t *buf, const char *text, size_t len);
void bitrix_json_put_string(bitrix_buf_t *buf, const char *text);
void bitrix_json_put_int(bitrix_buf_t *buf, long long value);
void bitrix_json_put_tree(bitrix_buf_t *buf, const cJSON *node);

/* the text of a number node, at most 31 bytes */
const char *bitrix_json_number(const cJSON *node, char buf[32]);


#endif /* _BITRIX_JSON_H_INCLUDED_ */

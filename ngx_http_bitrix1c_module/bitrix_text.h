
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _BITRIX_TEXT_H_INCLUDED_
#define _BITRIX_TEXT_H_INCLUDED_


#include "bitrix_form.h"


/*
 * Inside the pure core: the bytes of keys and values.  Both checks return NULL
 * if the text is good, else a static sentence for bitrix_error_t.  Control
 * characters are Unicode's Cc less TAB, LF and CR, and besides them U+FFFE and
 * U+FFFF, the two others that XML 1.0 cannot hold.
 */


/* bytes of the UTF-8 character at p, 0 if there is none that is valid */
size_t bitrix_text_char(const unsigned char *p, size_t len);

/* 1 if the character at p, of n bytes, is such a control character */
int bitrix_text_control(const unsigned char *p, size_t n);

/* a key: valid UTF-8 without any control character, TAB, LF and CR included */
const char *bitrix_text_key(const char *text, size_t len);

/*
 * A value: valid UTF-8.  Control characters are dropped in place, so *len may
 * shrink; text[*len] is set to NUL and must be writable.
 */
const char *bitrix_text_value(char *text, size_t *len);

/*
 * Converts from an iconv charset to UTF-8 into a new buffer that the caller
 * frees.  err->where is the offset in the text of what is not valid in it.
 */
bitrix_rc_t bitrix_text_convert(const char *charset, const char *text,
    size_t len, char **out, size_t *out_len, bitrix_error_t *err);

/* fills err, which may not be NULL, and returns BITRIX_MALFORMED */
bitrix_rc_t bitrix_malformed(bitrix_error_t *err, const char *what,
    size_t where);


#endif /* _BITRIX_TEXT_H_INCLUDED_ */

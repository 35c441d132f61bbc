
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#include "b1c_core.h"


static b1c_rc_t b1c_text_iconv(iconv_t cd, const char *text, size_t len,
    char **out, size_t *out_len, b1c_error_t *err);
static b1c_rc_t b1c_text_grow(char **text, size_t *size, size_t *room);


const char *
b1c_text_key(const char *text, size_t len)
{
    size_t                n;
    const unsigned char  *p, *end;

    p = (const unsigned char *) text;
    end = p + len;

    while (p < end) {

        if (*p >= 0x20 && *p < 0x7f) {
            p++;
            continue;
        }

        n = b1c_text_char(p, end - p);

        if (n == 0) {
            return "broken UTF-8 in a key";
        }

        if (*p < 0x20 || b1c_text_control(p, n)) {
            return "control character in a key";
        }

        p += n;
    }

    return NULL;
}


const char *
b1c_text_value(char *text, size_t *len)
{
    size_t          n;
    unsigned char  *p, *dst, *end;

    p = (unsigned char *) text;
    dst = p;
    end = p + *len;

    while (p < end) {

        if (*p >= 0x20 && *p < 0x7f) {
            *dst++ = *p++;
            continue;
        }

        n = b1c_text_char(p, end - p);

        if (n == 0) {
            return "broken UTF-8 in a value";
        }

        if (!b1c_text_control(p, n)) {
            memmove(dst, p, n);
            dst += n;
        }

        p += n;
    }

    *dst = '\0';
    *len = dst - (unsigned char *) text;

    return NULL;
}


/*
 * Returns the length of the character at p, 0 if it is not valid: no overlong
 * form, no surrogate, nothing above U+10FFFF (RFC 3629).
 */
size_t
b1c_text_char(const unsigned char *p, size_t len)
{
    size_t         i, n;
    unsigned char  min, max;

    min = 0x80;
    max = 0xbf;

    if (*p < 0x80) {
        return 1;

    } else if (*p < 0xc2) {
        return 0;

    } else if (*p < 0xe0) {
        n = 2;

    } else if (*p < 0xf0) {
        n = 3;
        min = (*p == 0xe0) ? 0xa0 : min;
        max = (*p == 0xed) ? 0x9f : max;

    } else if (*p < 0xf5) {
        n = 4;
        min = (*p == 0xf0) ? 0x90 : min;
        max = (*p == 0xf4) ? 0x8f : max;

    } else {
        return 0;
    }

    if (len < n || p[1] < min || p[1] > max) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}


int
b1c_text_control(const unsigned char *p, size_t n)
{
    switch (n) {

    case 1:
        return (*p < 0x20 && *p != '\t' && *p != '\n' && *p != '\r')
               || *p == 0x7f;

    case 2:
        return p[0] == 0xc2 && p[1] < 0xa0;

    case 3:
        return p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe;

    default:
        return 0;
    }
}


b1c_rc_t
b1c_text_convert(const char *charset, const char *text, size_t len, char **out,
    size_t *out_len, b1c_error_t *err)
{
    iconv_t   cd;
    b1c_rc_t  rc;

    cd = iconv_open("UTF-8", charset);

    if (cd == (iconv_t) -1) {
        if (errno == ENOMEM) {
            return B1C_NOMEM;
        }

        return b1c_text_malformed(err, "unknown charset (bitrix1c_charset)", 0);
    }

    rc = b1c_text_iconv(cd, text, len, out, out_len, err);

    (void) iconv_close(cd);

    return rc;
}


static b1c_rc_t
b1c_text_iconv(iconv_t cd, const char *text, size_t len, char **out,
    size_t *out_len, b1c_error_t *err)
{
    int     flush;
    char   *in, *dst;
    size_t  left, room, size;

    in = (char *) text;
    left = len;
    size = 2 * len + 16;
    room = size;
    flush = 0;

    *out = malloc(size);
    if (*out == NULL) {
        return B1C_NOMEM;
    }

    for ( ;; ) {
        dst = *out + (size - room);

        /* some charsets delay a letter until its accent is known */

        if (iconv(cd, flush ? NULL : &in, &left, &dst, &room) != (size_t) -1) {

            if (flush++) {
                break;
            }

        } else if (errno != E2BIG) {
            free(*out);
            return b1c_text_malformed(err, "not valid in the charset"
                                      " (bitrix1c_charset)", in - text);

        } else if (b1c_text_grow(out, &size, &room) != B1C_OK) {
            free(*out);
            return B1C_NOMEM;
        }
    }

    *out_len = size - room;

    return B1C_OK;
}


static b1c_rc_t
b1c_text_grow(char **text, size_t *size, size_t *room)
{
    char  *grown;

    grown = realloc(*text, 2 * *size);
    if (grown == NULL) {
        return B1C_NOMEM;
    }

    *text = grown;
    *room += *size;
    *size *= 2;

    return B1C_OK;
}


b1c_rc_t
b1c_text_malformed(b1c_error_t *err, const char *what, size_t where)
{
    err->what = what;
    err->where = where;

    return B1C_MALFORMED;
}


int
b1c_text_hex(char ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    ch |= 0x20;

    if (ch >= 'a' && ch <= 'f') {
        return ch - 'a' + 10;
    }

    return -1;
}


int
b1c_text_hex2(const char *p, const char *end)
{
    int  high, low;

    if (end - p < 2) {
        return -1;
    }

    high = b1c_text_hex(p[0]);
    low = b1c_text_hex(p[1]);

    return (high < 0 || low < 0) ? -1 : high << 4 | low;
}


long
b1c_text_hex4(const char *p, const char *end)
{
    int  high, low;

    high = b1c_text_hex2(p, end);
    low = (high < 0) ? -1 : b1c_text_hex2(p + 2, end);

    return (low < 0) ? -1 : (long) high << 8 | low;
}

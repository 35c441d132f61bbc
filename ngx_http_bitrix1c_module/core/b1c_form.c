
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdlib.h>
#include <string.h>

#include "b1c_core.h"


typedef struct {
    const char       *body;
    char             *out;        /* where the next decoded byte goes */
    b1c_error_t      *err;
} b1c_decoder_t;


static b1c_rc_t b1c_form_count(const char *body, size_t len, size_t max,
    size_t *npairs, b1c_error_t *err);
static b1c_rc_t b1c_form_split(b1c_form_t *form, const char *body, size_t len,
    size_t *decoded, b1c_error_t *err);
static b1c_rc_t b1c_form_pair(b1c_decoder_t *d, b1c_pair_t *pair,
    const char *p, const char *end);
static b1c_rc_t b1c_form_decode(b1c_decoder_t *d, const char *p,
    const char *end);
static b1c_rc_t b1c_form_convert(b1c_form_t *form, size_t decoded,
    const char *charset, b1c_error_t *err);
static b1c_rc_t b1c_form_check(b1c_pair_t *pair, const b1c_limits_t *limits,
    b1c_error_t *err);


static const char  b1c_form_empty[] = "empty body";


b1c_rc_t
b1c_form_parse(b1c_form_t *form, const char *body, size_t len,
    const b1c_limits_t *limits, const char *charset, b1c_error_t *err)
{
    size_t    i, decoded;
    b1c_rc_t  rc;

    memset(form, 0, sizeof(b1c_form_t));

    rc = b1c_form_count(body, len, limits->pairs, &form->npairs, err);
    if (rc != B1C_OK) {
        return rc;
    }

    /* a pair has two terminators, and its '&' and '=' may both be missing */

    form->pairs = calloc(form->npairs, sizeof(b1c_pair_t));
    form->text = malloc(len + 2 * form->npairs);

    if (form->pairs == NULL || form->text == NULL) {
        b1c_form_free(form);
        return B1C_NOMEM;
    }

    rc = b1c_form_split(form, body, len, &decoded, err);

    if (rc == B1C_OK && charset != NULL) {
        rc = b1c_form_convert(form, decoded, charset, err);
    }

    for (i = 0; rc == B1C_OK && i < form->npairs; i++) {
        rc = b1c_form_check(&form->pairs[i], limits, err);
    }

    if (rc != B1C_OK) {
        b1c_form_free(form);
    }

    return rc;
}


void
b1c_form_free(b1c_form_t *form)
{
    free(form->pairs);
    free(form->text);

    memset(form, 0, sizeof(b1c_form_t));
}


const b1c_pair_t *
b1c_form_find(const b1c_form_t *form, const char *key)
{
    size_t             i, len;
    const b1c_pair_t  *pair;

    len = strlen(key);

    for (i = 0; i < form->npairs; i++) {
        pair = &form->pairs[i];

        if (pair->key_len == len && memcmp(pair->key, key, len) == 0) {
            return pair;
        }
    }

    return NULL;
}


/* checked before any allocation, so a flood of '&' costs one pass */

static b1c_rc_t
b1c_form_count(const char *body, size_t len, size_t max, size_t *npairs,
    b1c_error_t *err)
{
    size_t       n;
    const char  *p, *end, *amp;

    if (len == 0) {
        return b1c_text_malformed(err, b1c_form_empty, 0);
    }

    n = 0;
    end = body + len;

    for (p = body; p < end; p = amp + 1) {

        amp = memchr(p, '&', end - p);
        if (amp == NULL) {
            amp = end;
        }

        if (amp == p) {
            continue;
        }

        if (n == max) {
            return b1c_text_malformed(err, "too many pairs"
                                      " (bitrix1c_limits pairs=)", p - body);
        }

        n++;
    }

    if (n == 0) {
        return b1c_text_malformed(err, b1c_form_empty, 0);
    }

    *npairs = n;

    return B1C_OK;
}


static b1c_rc_t
b1c_form_split(b1c_form_t *form, const char *body, size_t len, size_t *decoded,
    b1c_error_t *err)
{
    const char    *p, *end, *amp;
    b1c_rc_t       rc;
    b1c_pair_t    *pair;
    b1c_decoder_t  d;

    d.body = body;
    d.out = form->text;
    d.err = err;

    pair = form->pairs;
    end = body + len;

    for (p = body; p < end; p = amp + 1) {

        amp = memchr(p, '&', end - p);
        if (amp == NULL) {
            amp = end;
        }

        if (amp == p) {
            continue;
        }

        rc = b1c_form_pair(&d, pair++, p, amp);
        if (rc != B1C_OK) {
            return rc;
        }
    }

    *decoded = d.out - form->text;

    return B1C_OK;
}


static b1c_rc_t
b1c_form_pair(b1c_decoder_t *d, b1c_pair_t *pair, const char *p,
    const char *end)
{
    const char  *equal;
    b1c_rc_t     rc;

    equal = memchr(p, '=', end - p);
    if (equal == NULL) {
        equal = end;
    }

    pair->where = p - d->body;
    pair->key = d->out;

    rc = b1c_form_decode(d, p, equal);
    if (rc != B1C_OK) {
        return rc;
    }

    pair->key_len = d->out - pair->key;
    *d->out++ = '\0';

    pair->value = d->out;

    if (equal < end) {
        rc = b1c_form_decode(d, equal + 1, end);
        if (rc != B1C_OK) {
            return rc;
        }
    }

    pair->value_len = d->out - pair->value;
    *d->out++ = '\0';

    return B1C_OK;
}


static b1c_rc_t
b1c_form_decode(b1c_decoder_t *d, const char *p, const char *end)
{
    int          code;
    char         ch, *out;
    const char  *at;

    for (out = d->out; p < end; p++) {

        at = p;
        ch = *p;

        if (ch == '+') {
            ch = ' ';

        } else if (ch == '%') {
            code = b1c_text_hex2(p + 1, end);

            if (code < 0) {
                return b1c_text_malformed(d->err, "% without two hex digits",
                                          at - d->body);
            }

            ch = (char) code;
            p += 2;
        }

        if (ch == '\0') {
            return b1c_text_malformed(d->err, "NUL byte", at - d->body);
        }

        *out++ = ch;
    }

    d->out = out;

    return B1C_OK;
}


/*
 * Converts all keys and values in one call.  The NULs between them cannot
 * occur inside, pass unchanged in every charset that extends ASCII, and mark
 * the strings afterwards.
 */

static b1c_rc_t
b1c_form_convert(b1c_form_t *form, size_t decoded, const char *charset,
    b1c_error_t *err)
{
    char        *text, *p, *end;
    size_t       i, len;
    b1c_rc_t     rc;
    b1c_pair_t  *pair;

    rc = b1c_text_convert(charset, form->text, decoded, &text, &len, err);

    if (rc != B1C_OK) {
        if (rc == B1C_MALFORMED) {
            for (i = form->npairs - 1; i > 0; i--) {
                if (form->text + err->where >= form->pairs[i].key) {
                    break;
                }
            }

            err->where = form->pairs[i].where;
        }

        return rc;
    }

    free(form->text);
    form->text = text;
    p = text;
    end = text + len;

    for (i = 0; i < 2 * form->npairs; i++) {
        pair = &form->pairs[i / 2];

        len = strnlen(p, end - p);

        if (p + len >= end) {
            return b1c_text_malformed(err, "charset does not extend ASCII"
                                      " (bitrix1c_charset)", 0);
        }

        if (i % 2 == 0) {
            pair->key = p;
            pair->key_len = len;

        } else {
            pair->value = p;
            pair->value_len = len;
        }

        p += len + 1;
    }

    return B1C_OK;
}


static b1c_rc_t
b1c_form_check(b1c_pair_t *pair, const b1c_limits_t *limits, b1c_error_t *err)
{
    size_t       depth;
    const char  *what;

    depth = limits->depth;

    if (depth > B1C_DEPTH_MAX) {
        depth = B1C_DEPTH_MAX;
    }

    what = b1c_form_brackets(pair->key, pair->key_len, depth);

    if (what == NULL && pair->key_len > limits->key) {
        what = "key too long (bitrix1c_limits key=)";
    }

    if (what == NULL) {
        what = b1c_text_key(pair->key, pair->key_len);
    }

    if (what == NULL) {
        what = b1c_text_value(pair->value, &pair->value_len);
    }

    if (what != NULL) {
        return b1c_text_malformed(err, what, pair->where);
    }

    return B1C_OK;
}


/*
 * PHP repairs a key that is not name[part]...[part] by replacing characters
 * with '_'.  Bitrix does not send such keys.
 */

const char *
b1c_form_brackets(const char *key, size_t len, size_t max)
{
    int     inside;
    size_t  i, depth;

    if (len == 0) {
        return "empty key";
    }

    if (key[0] == '[') {
        return "key begins with a bracket";
    }

    depth = 0;
    inside = 0;

    for (i = 0; i < len; i++) {

        if (key[i] == '[') {
            if (inside) {
                return "bracket inside brackets";
            }

            if (depth++ == max) {
                return "too many brackets (bitrix1c_limits depth=)";
            }

            inside = 1;

        } else if (key[i] == ']') {
            if (!inside) {
                return "closing bracket without an opening one";
            }

            if (i + 1 < len && key[i + 1] != '[') {
                return "key continues after its brackets";
            }

            inside = 0;
        }
    }

    return inside ? "bracket is not closed" : NULL;
}


void
b1c_form_write(b1c_buf_t *buf, const b1c_form_t *form)
{
    size_t             i;
    const b1c_pair_t  *pair;

    for (i = 0; i < form->npairs; i++) {
        pair = &form->pairs[i];

        if (i > 0) {
            b1c_json_write_put(buf, "&", 1);
        }

        b1c_form_encode(buf, pair->key, pair->key_len);
        b1c_json_write_put(buf, "=", 1);
        b1c_form_encode(buf, pair->value, pair->value_len);
    }
}


/* brackets stay: those of a name are its structure, in a value PHP keeps them */

void
b1c_form_encode(b1c_buf_t *buf, const char *text, size_t len)
{
    char    hex[3];
    size_t  i, n;

    static const char  digits[] = "0123456789ABCDEF";
    static const char  plain[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz-._~[],:@/!$'()*";

    for (i = 0; i < len; i += n) {

        for (n = 0; i + n < len && text[i + n] && strchr(plain, text[i + n]);
             n++)
        {
            /* void */
        }

        if (n > 0) {
            b1c_json_write_put(buf, text + i, n);
            continue;
        }

        n = 1;

        if (text[i] == ' ') {
            b1c_json_write_put(buf, "+", 1);
            continue;
        }

        hex[0] = '%';
        hex[1] = digits[(unsigned char) text[i] >> 4];
        hex[2] = digits[(unsigned char) text[i] & 0xf];

        b1c_json_write_put(buf, hex, 3);
    }
}

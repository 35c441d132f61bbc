
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdlib.h>
#include <string.h>

#include "bitrix_form.h"
#include "bitrix_text.h"


typedef struct {
    const char       *body;
    char             *out;        /* where the next decoded byte goes */
    bitrix_error_t   *err;
} bitrix_decoder_t;


static bitrix_rc_t bitrix_form_count(const char *body, size_t len,
    size_t max, size_t *npairs, bitrix_error_t *err);
static bitrix_rc_t bitrix_form_split(bitrix_form_t *form, const char *body,
    size_t len, size_t *decoded, bitrix_error_t *err);
static bitrix_rc_t bitrix_form_pair(bitrix_decoder_t *d, bitrix_pair_t *pair,
    const char *p, const char *end);
static bitrix_rc_t bitrix_form_decode(bitrix_decoder_t *d, const char *p,
    const char *end);
static int bitrix_form_hex(char ch);
static bitrix_rc_t bitrix_form_convert(bitrix_form_t *form, size_t decoded,
    const char *charset, bitrix_error_t *err);
static bitrix_rc_t bitrix_form_check(bitrix_pair_t *pair,
    const bitrix_limits_t *limits, bitrix_error_t *err);
static const char *bitrix_form_brackets(const char *key, size_t len,
    size_t max);


static const char  bitrix_form_empty[] = "empty body";


bitrix_rc_t
bitrix_form_parse(bitrix_form_t *form, const char *body, size_t len,
    const bitrix_limits_t *limits, const char *charset, bitrix_error_t *err)
{
    size_t       i, decoded;
    bitrix_rc_t  rc;

    memset(form, 0, sizeof(bitrix_form_t));

    rc = bitrix_form_count(body, len, limits->pairs, &form->npairs, err);
    if (rc != BITRIX_OK) {
        return rc;
    }

    /* a pair has two terminators, and its '&' and '=' may both be missing */

    form->pairs = calloc(form->npairs, sizeof(bitrix_pair_t));
    form->text = malloc(len + 2 * form->npairs);

    if (form->pairs == NULL || form->text == NULL) {
        bitrix_form_free(form);
        return BITRIX_NOMEM;
    }

    rc = bitrix_form_split(form, body, len, &decoded, err);

    if (rc == BITRIX_OK && charset != NULL) {
        rc = bitrix_form_convert(form, decoded, charset, err);
    }

    for (i = 0; rc == BITRIX_OK && i < form->npairs; i++) {
        rc = bitrix_form_check(&form->pairs[i], limits, err);
    }

    if (rc != BITRIX_OK) {
        bitrix_form_free(form);
    }

    return rc;
}


void
bitrix_form_free(bitrix_form_t *form)
{
    free(form->pairs);
    free(form->text);

    memset(form, 0, sizeof(bitrix_form_t));
}


const bitrix_pair_t *
bitrix_form_find(const bitrix_form_t *form, const char *key)
{
    size_t                i, len;
    const bitrix_pair_t  *pair;

    len = strlen(key);

    for (i = 0; i < form->npairs; i++) {
        pair = &form->pairs[i];

        if (pair->key_len == len && memcmp(pair->key, key, len) == 0) {
            return pair;
        }
    }

    return NULL;
}


/* before anything is allocated, so that a flood of '&' costs one pass */

static bitrix_rc_t
bitrix_form_count(const char *body, size_t len, size_t max, size_t *npairs,
    bitrix_error_t *err)
{
    size_t       n;
    const char  *p, *end, *amp;

    if (len == 0) {
        return bitrix_malformed(err, bitrix_form_empty, 0);
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
            return bitrix_malformed(err, "too many pairs"
                                    " (bitrix1c_limits pairs=)", p - body);
        }

        n++;
    }

    if (n == 0) {
        return bitrix_malformed(err, bitrix_form_empty, 0);
    }

    *npairs = n;

    return BITRIX_OK;
}


static bitrix_rc_t
bitrix_form_split(bitrix_form_t *form, const char *body, size_t len,
    size_t *decoded, bitrix_error_t *err)
{
    const char        *p, *end, *amp;
    bitrix_rc_t        rc;
    bitrix_pair_t     *pair;
    bitrix_decoder_t   d;

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

        rc = bitrix_form_pair(&d, pair++, p, amp);
        if (rc != BITRIX_OK) {
            return rc;
        }
    }

    *decoded = d.out - form->text;

    return BITRIX_OK;
}


static bitrix_rc_t
bitrix_form_pair(bitrix_decoder_t *d, bitrix_pair_t *pair, const char *p,
    const char *end)
{
    const char   *equal;
    bitrix_rc_t   rc;

    equal = memchr(p, '=', end - p);
    if (equal == NULL) {
        equal = end;
    }

    pair->where = p - d->body;
    pair->key = d->out;

    rc = bitrix_form_decode(d, p, equal);
    if (rc != BITRIX_OK) {
        return rc;
    }

    pair->key_len = d->out - pair->key;
    *d->out++ = '\0';

    pair->value = d->out;

    if (equal < end) {
        rc = bitrix_form_decode(d, equal + 1, end);
        if (rc != BITRIX_OK) {
            return rc;
        }
    }

    pair->value_len = d->out - pair->value;
    *d->out++ = '\0';

    return BITRIX_OK;
}


static bitrix_rc_t
bitrix_form_decode(bitrix_decoder_t *d, const char *p, const char *end)
{
    int          high, low;
    char         ch, *out;
    const char  *at;

    for (out = d->out; p < end; p++) {

        at = p;
        ch = *p;

        if (ch == '+') {
            ch = ' ';

        } else if (ch == '%') {
            high = (end - p > 2) ? bitrix_form_hex(p[1]) : -1;
            low = (end - p > 2) ? bitrix_form_hex(p[2]) : -1;

            if (high < 0 || low < 0) {
                return bitrix_malformed(d->err, "% without two hex digits",
                                        at - d->body);
            }

            ch = (char) (high << 4 | low);
            p += 2;
        }

        if (ch == '\0') {
            return bitrix_malformed(d->err, "NUL byte", at - d->body);
        }

        *out++ = ch;
    }

    d->out = out;

    return BITRIX_OK;
}


static int
bitrix_form_hex(char ch)
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


/*
 * All keys and values are converted in one call.  The NULs between them, which
 * cannot occur inside, come through unchanged in every charset that extends
 * ASCII, and tell where the strings are afterwards.
 */

static bitrix_rc_t
bitrix_form_convert(bitrix_form_t *form, size_t decoded, const char *charset,
    bitrix_error_t *err)
{
    char           *text, *p, *end;
    size_t          i, len;
    bitrix_rc_t     rc;
    bitrix_pair_t  *pair;

    rc = bitrix_text_convert(charset, form->text, decoded, &text, &len, err);

    if (rc != BITRIX_OK) {
        if (rc == BITRIX_MALFORMED) {
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
            return bitrix_malformed(err, "charset does not extend ASCII"
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

    return BITRIX_OK;
}


static bitrix_rc_t
bitrix_form_check(bitrix_pair_t *pair, const bitrix_limits_t *limits,
    bitrix_error_t *err)
{
    size_t       depth;
    const char  *what;

    depth = limits->depth;

    if (depth > BITRIX_DEPTH_MAX) {
        depth = BITRIX_DEPTH_MAX;
    }

    what = bitrix_form_brackets(pair->key, pair->key_len, depth);

    if (what == NULL && pair->key_len > limits->key) {
        what = "key too long (bitrix1c_limits key=)";
    }

    if (what == NULL) {
        what = bitrix_text_key(pair->key, pair->key_len);
    }

    if (what == NULL) {
        what = bitrix_text_value(pair->value, &pair->value_len);
    }

    if (what != NULL) {
        return bitrix_malformed(err, what, pair->where);
    }

    return BITRIX_OK;
}


/*
 * PHP mends a key that is not name[part]...[part] by putting '_' for what it
 * does not like; whatever it was meant to be, Bitrix does not send it.
 */

static const char *
bitrix_form_brackets(const char *key, size_t len, size_t max)
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
                return "key goes on after its brackets";
            }

            inside = 0;
        }
    }

    return inside ? "bracket is not closed" : NULL;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bitrix_json.h"
#include "bitrix_rest.h"
#include "bitrix_scan.h"


static int bitrix_rest_alnum(char ch);
static size_t bitrix_rest_segment(const char *p, const char *last);
static int bitrix_rest_number(const char *p, size_t len);
static int bitrix_rest_secret(const char *p, size_t len);
static int bitrix_rest_bracket(const char *p, const char *last, int open,
    size_t *len);
static size_t bitrix_rest_token(const char *p, const char *last);
static const char *bitrix_rest_comma(const char *p, const char *last);
static int bitrix_rest_inside(const char *p, const char *last);
static const char *bitrix_answer_last(const char *text, size_t len,
    const char *name, size_t *left);


static const struct {
    const char       *code;
    bitrix_answer_e   kind;
} bitrix_answer_codes[] = {
    { "QUERY_LIMIT_EXCEEDED", BITRIX_ANSWER_QUERY_LIMIT },
    { "OPERATION_TIME_LIMIT", BITRIX_ANSWER_OPERATION },
    { "OVERLOAD_LIMIT", BITRIX_ANSWER_OVERLOAD },
    { "ERROR_METHOD_NOT_FOUND", BITRIX_ANSWER_NO_METHOD }
};


static int
bitrix_rest_alnum(char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z')
           || (ch >= 'A' && ch <= 'Z');
}


static size_t
bitrix_rest_segment(const char *p, const char *last)
{
    size_t  len;

    for (len = 0; p + len < last && bitrix_rest_alnum(p[len]); len++) {
        /* void */
    }

    return len;
}


static int
bitrix_rest_number(const char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return 0;
        }
    }

    return len > 0 && len <= 10;
}


static int
bitrix_rest_secret(const char *p, size_t len)
{
    return len >= 8 && bitrix_rest_segment(p, p + len) == len;
}


const char *
bitrix_rest_method(const char *path, size_t len, const char **name,
    size_t *name_len)
{
    size_t  i;

    if (len == 0) {
        return "the address names no method";
    }

    if (memchr(path, '/', len) != NULL) {
        return "the address has more than a method in it: the user and the "
               "key belong into proxy_pass";
    }

    if (len > 5 && strncasecmp(path + len - 5, ".json", 5) == 0) {
        len -= 5;

    } else if (len > 4 && strncasecmp(path + len - 4, ".xml", 4) == 0) {
        len -= 4;
    }

    if (len > BITRIX_METHOD_MAX) {
        return "the name of the method is too long";
    }

    for (i = 0; i < len; i++) {

        if (path[i] == '.' && i > 0 && i < len - 1 && path[i - 1] != '.') {
            continue;
        }

        if (!bitrix_rest_alnum(path[i]) && path[i] != '_') {
            return "the name of a method is words of letters, digits and _ "
                   "with dots between them";
        }
    }

    *name = path;
    *name_len = len;

    return NULL;
}


const char *
bitrix_rest_path(const char *path, size_t len)
{
    size_t  i, segment;

    static const char  unclear[] = "the address is not spelled out: dots, "
                                   "slashes and % must stand for themselves "
                                   "in it";

    segment = 0;

    for (i = 0; i <= len; i++) {

        if (i == len || path[i] == '/' || path[i] == '?') {

            if ((i - segment == 1 && path[segment] == '.')
                || (i - segment == 2 && path[segment] == '.'
                    && path[segment + 1] == '.')
                || (i == segment && i > 0 && i < len && path[i] == '/'))
            {
                return unclear;
            }

            if (i == len || path[i] == '?') {
                return NULL;
            }

            segment = i + 1;
            continue;
        }

        if (path[i] == '\\') {
            return unclear;
        }

        if (path[i] == '%' && len - i >= 3
            && (strncasecmp(&path[i + 1], "2f", 2) == 0
                || strncasecmp(&path[i + 1], "2e", 2) == 0
                || strncasecmp(&path[i + 1], "5c", 2) == 0
                || strncasecmp(&path[i + 1], "25", 2) == 0))
        {
            return unclear;
        }
    }

    return NULL;
}


size_t
bitrix_rest_args(char *out, const char *args, size_t len)
{
    int          name, inside;
    size_t       n;
    char        *start;
    const char  *p, *last;

    start = out;
    last = args + len;
    name = 1;
    inside = 0;

    for (p = args; p < last; p += n) {
        n = 1;

        if (*p == '&') {
            name = 1;
            inside = 0;

        } else if (name && bitrix_rest_bracket(p, last, 1, &n)) {
            inside = 1;

        } else if (name && bitrix_rest_bracket(p, last, 0, &n)) {
            inside = 0;

        } else if (name && *p == '=') {

            if (inside && bitrix_rest_inside(p + 1, last)) {
                memcpy(out, "%3D", 3);
                out += 3;
                continue;
            }

            name = 0;
        }

        memcpy(out, p, n);
        out += n;
    }

    return out - start;
}


static int
bitrix_rest_bracket(const char *p, const char *last, int open, size_t *len)
{
    if (*p == (open ? '[' : ']')) {
        *len = 1;
        return 1;
    }

    if (*p == '%' && last - p >= 3 && p[1] == '5'
        && (p[2] | 0x20) == (open ? 'b' : 'd'))
    {
        *len = 3;
        return 1;
    }

    return 0;
}


/* whether the name goes on: its bracket closes, and more of the pair follows */
static int
bitrix_rest_inside(const char *p, const char *last)
{
    size_t  n;

    for ( /* void */ ; p < last && *p != '&'; p++) {

        if (bitrix_rest_bracket(p, last, 0, &n)) {
            p += n;
            return p < last && (*p == '=' || bitrix_rest_bracket(p, last, 1,
                                                                 &n));
        }
    }

    return 0;
}


int
bitrix_rest_prefers(const char *value, size_t len, const char *name)
{
    size_t       n, size;
    const char  *p, *last;

    size = strlen(name);
    last = value + len;

    for (p = value; p < last; /* void */ ) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        n = bitrix_rest_token(p, last);

        if (n == size && strncasecmp(p, name, size) == 0) {
            return 1;
        }

        p = bitrix_rest_comma(p + n, last);
    }

    return 0;
}


static size_t
bitrix_rest_token(const char *p, const char *last)
{
    size_t  len;

    for (len = 0;
         p + len < last
         && (bitrix_rest_alnum(p[len]) || p[len] == '-' || p[len] == '_');
         len++)
    {
        /* void */
    }

    return len;
}


/* the next one outside of quotes, or last */
static const char *
bitrix_rest_comma(const char *p, const char *last)
{
    int  quoted;

    quoted = 0;

    for ( /* void */ ; p < last && (quoted || *p != ','); p++) {

        if (*p == '"') {
            quoted = !quoted;

        } else if (quoted && *p == '\\' && p + 1 < last) {
            p++;
        }
    }

    return p;
}


const char *
bitrix_rest_key(const char *path, size_t len, size_t *key_len)
{
    size_t       n;
    const char  *p, *last, *query;

    query = memchr(path, '?', len);
    last = query != NULL ? query : path + len;

    /* the last segment is the method, whatever it looks like */

    for (p = path; p < last; p++) {

        if (*p != '/' || !bitrix_rest_number(p + 1,
                                             bitrix_rest_segment(p + 1, last)))
        {
            continue;
        }

        p += 1 + bitrix_rest_segment(p + 1, last);

        if (p == last || *p != '/') {
            continue;
        }

        n = bitrix_rest_segment(p + 1, last);

        if (bitrix_rest_secret(p + 1, n) && p + 1 + n < last
            && p[1 + n] == '/')
        {
            *key_len = n;
            return p + 1;
        }

        p--;
    }

    return NULL;
}


void
bitrix_rest_mask(char *text, size_t len)
{
    char    *p, *last;
    size_t   n;

    last = text + len;
    p = text;

    while (p < last) {

        if (*p++ != '/') {
            continue;
        }

        n = bitrix_rest_segment(p, last);

        if (!bitrix_rest_number(p, n) || p + n == last || p[n] != '/') {
            continue;
        }

        /* that slash may begin another number */

        p += n;
        n = bitrix_rest_segment(p + 1, last);

        if (bitrix_rest_secret(p + 1, n)) {
            memset(p + 1, '*', n);
        }
    }
}


char *
bitrix_rest_error(const char *code, const char *description, size_t *len)
{
    bitrix_buf_t  buf;

    memset(&buf, 0, sizeof(bitrix_buf_t));

    bitrix_json_put(&buf, "{\"error\":", sizeof("{\"error\":") - 1);
    bitrix_json_put_string(&buf, code);
    bitrix_json_put(&buf, ",\"error_description\":",
                    sizeof(",\"error_description\":") - 1);
    bitrix_json_put_string(&buf, description);
    bitrix_json_put(&buf, "}", sizeof("}"));

    if (buf.failed) {
        free(buf.start);
        return NULL;
    }

    *len = buf.len - 1;

    return buf.start;
}


bitrix_answer_e
bitrix_answer_code(const char *code)
{
    size_t  i;

    for (i = 0;
         i < sizeof(bitrix_answer_codes) / sizeof(bitrix_answer_codes[0]);
         i++)
    {
        if (strcasecmp(code, bitrix_answer_codes[i].code) == 0) {
            return bitrix_answer_codes[i].kind;
        }
    }

    return BITRIX_ANSWER_ERROR;
}


void
bitrix_answer_judge(bitrix_answer_t *answer, unsigned status,
    const char *text, size_t len, int truncated)
{
    bitrix_span_t  object, error;

    memset(answer, 0, sizeof(bitrix_answer_t));

    object = bitrix_scan_value(text, len);

    if (object.start == NULL || *object.start != '{') {
        answer->kind = truncated
                       || (object.start == NULL && len > 0 && *text == '{')
                       ? BITRIX_ANSWER_TRUNCATED : BITRIX_ANSWER_FOREIGN;
        return;
    }

    bitrix_answer_time(answer, object.start, object.len);

    error = bitrix_scan_find(object, "error");

    if (error.start != NULL) {
        bitrix_scan_text(error, answer->code, BITRIX_CODE_MAX);
        answer->kind = bitrix_answer_code(answer->code);
        return;
    }

    answer->kind = status >= 200 && status < 300 ? BITRIX_ANSWER_OK
                                                 : BITRIX_ANSWER_ERROR;
}


void
bitrix_answer_time(bitrix_answer_t *answer, const char *tail, size_t len)
{
    char         number[32];
    size_t       left;
    long long    operating, reset_at;
    const char  *p;

    p = bitrix_answer_last(tail, len, "\"operating\":", &left);

    if (p != NULL) {
        bitrix_scan_text(bitrix_scan_value(p, left), number, sizeof(number));
        operating = strtoll(number, NULL, 10);

        if (operating >= 0 && operating < 1000000) {
            answer->operating = (unsigned) operating;
        }
    }

    p = bitrix_answer_last(tail, len, "\"operating_reset_at\":", &left);

    if (p != NULL) {
        bitrix_scan_text(bitrix_scan_value(p, left), number, sizeof(number));
        reset_at = strtoll(number, NULL, 10);

        if (reset_at > 0 && reset_at < (int64_t) 1 << 40) {
            answer->reset_at = reset_at;
        }
    }
}


/* what follows the last one of these names; inside a string it is escaped */
static const char *
bitrix_answer_last(const char *text, size_t len, const char *name,
    size_t *left)
{
    size_t       n, i;

    n = strlen(name);

    if (len < n) {
        return NULL;
    }

    for (i = len - n + 1; i-- > 0; /* void */ ) {
        if (text[i] == '"' && memcmp(&text[i], name, n) == 0) {
            *left = len - i - n;
            return &text[i + n];
        }
    }

    return NULL;
}

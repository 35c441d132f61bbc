
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


static int b1c_method_alnum(char ch);
static size_t b1c_method_segment(const char *p, const char *last);
static int b1c_method_number(const char *p, size_t len);
static int b1c_method_secret(const char *p, size_t len);
static int b1c_method_bracket(const char *p, const char *last, int open,
    size_t *len);
static size_t b1c_method_token(const char *p, const char *last);
static const char *b1c_method_comma(const char *p, const char *last);
static int b1c_method_inside(const char *p, const char *last);


static int
b1c_method_alnum(char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z')
           || (ch >= 'A' && ch <= 'Z');
}


static size_t
b1c_method_segment(const char *p, const char *last)
{
    size_t  len;

    for (len = 0; p + len < last && b1c_method_alnum(p[len]); len++) {
        /* void */
    }

    return len;
}


static int
b1c_method_number(const char *p, size_t len)
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
b1c_method_secret(const char *p, size_t len)
{
    return len >= 8 && b1c_method_segment(p, p + len) == len;
}


const char *
b1c_method_method(const char *path, size_t len, const char **name,
    size_t *name_len)
{
    size_t  i;

    if (len == 0) {
        return "the address names no method";
    }

    if (memchr(path, '/', len) != NULL) {
        return "the address contains more than a method: the user and the key "
               "belong in proxy_pass";
    }

    if (len > 5 && strncasecmp(path + len - 5, ".json", 5) == 0) {
        len -= 5;

    } else if (len > 4 && strncasecmp(path + len - 4, ".xml", 4) == 0) {
        len -= 4;
    }

    if (len > B1C_METHOD_MAX) {
        return "the name of the method is too long";
    }

    for (i = 0; i < len; i++) {

        if (path[i] == '.' && i > 0 && i < len - 1 && path[i - 1] != '.') {
            continue;
        }

        if (!b1c_method_alnum(path[i]) && path[i] != '_') {
            return "the name of a method must consist of letters, digits and "
                   "_, with dots between words";
        }
    }

    *name = path;
    *name_len = len;

    return NULL;
}


const char *
b1c_method_path(const char *path, size_t len)
{
    size_t  i, segment;

    static const char  unclear[] = "the address is not in its plain form: it "
                                   "must have no encoded characters, empty "
                                   "segments or dot segments";

    segment = 0;

    for (i = 0; i <= len; i++) {

        if (i == len || path[i] == '/' || path[i] == '?') {

            if ((i - segment == 1 && path[segment] == '.')
                || (i - segment == 2 && path[segment] == '.'
                    && path[segment + 1] == '.'))
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
b1c_method_args(char *out, const char *args, size_t len)
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

        } else if (name && b1c_method_bracket(p, last, 1, &n)) {
            inside = 1;

        } else if (name && b1c_method_bracket(p, last, 0, &n)) {
            inside = 0;

        } else if (name && inside && *p == '%'
                   && b1c_text_hex2(p + 1, last) < 0)
        {
            memcpy(out, "%25", 3);
            out += 3;
            continue;

        } else if (name && *p == '=') {

            if (inside && b1c_method_inside(p + 1, last)) {
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
b1c_method_bracket(const char *p, const char *last, int open, size_t *len)
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


/* 1 if the name continues: its bracket closes and more of the pair follows */
static int
b1c_method_inside(const char *p, const char *last)
{
    size_t  n;

    for ( /* void */ ; p < last && *p != '&'; p++) {

        if (b1c_method_bracket(p, last, 0, &n)) {
            p += n;
            return p < last && (*p == '=' || b1c_method_bracket(p, last, 1,
                                                                &n));
        }
    }

    return 0;
}


int
b1c_method_prefers(const char *value, size_t len, const char *name)
{
    size_t       n, size;
    const char  *p, *last;

    size = strlen(name);
    last = value + len;

    for (p = value; p < last; /* void */ ) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        n = b1c_method_token(p, last);

        if (n == size && strncasecmp(p, name, size) == 0) {
            return 1;
        }

        p = b1c_method_comma(p + n, last);
    }

    return 0;
}


static size_t
b1c_method_token(const char *p, const char *last)
{
    size_t  len;

    for (len = 0;
         p + len < last
         && (b1c_method_alnum(p[len]) || p[len] == '-' || p[len] == '_');
         len++)
    {
        /* void */
    }

    return len;
}


/* the next such character outside of quotes, or last */
static const char *
b1c_method_comma(const char *p, const char *last)
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
b1c_method_key(const char *path, size_t len, size_t *key_len)
{
    size_t       n;
    const char  *p, *last, *query;

    query = memchr(path, '?', len);
    last = query != NULL ? query : path + len;

    /* the last segment is the method, even if it looks like a key */

    for (p = path; p < last; p++) {

        if (*p != '/' || !b1c_method_number(p + 1,
                                            b1c_method_segment(p + 1, last)))
        {
            continue;
        }

        p += 1 + b1c_method_segment(p + 1, last);

        if (p == last || *p != '/') {
            continue;
        }

        n = b1c_method_segment(p + 1, last);

        if (b1c_method_secret(p + 1, n) && p + 1 + n < last
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
b1c_method_redact(char *text, size_t len)
{
    char   *p, *last;
    size_t  n;

    last = text + len;
    p = text;

    while (p < last) {

        if (*p++ != '/') {
            continue;
        }

        n = b1c_method_segment(p, last);

        if (!b1c_method_number(p, n) || p + n == last || p[n] != '/') {
            continue;
        }

        /* the slash may precede another number */

        p += n;
        n = b1c_method_segment(p + 1, last);

        if (b1c_method_secret(p + 1, n)) {
            memset(p + 1, '*', n);
        }
    }
}


char *
b1c_method_error(const char *code, const char *description, size_t *len)
{
    b1c_buf_t  buf;

    memset(&buf, 0, sizeof(b1c_buf_t));

    b1c_json_write_put(&buf, "{\"error\":", sizeof("{\"error\":") - 1);
    b1c_json_write_put_string(&buf, code);
    b1c_json_write_put(&buf, ",\"error_description\":",
                       sizeof(",\"error_description\":") - 1);
    b1c_json_write_put_string(&buf, description);
    b1c_json_write_put(&buf, "}", sizeof("}"));

    if (buf.failed) {
        free(buf.start);
        return NULL;
    }

    *len = buf.len - 1;

    return buf.start;
}

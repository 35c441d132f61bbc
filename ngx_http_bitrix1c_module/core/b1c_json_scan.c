
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <string.h>

#include "b1c_core.h"


static const char *b1c_json_scan_spaces(const char *p, const char *last);
static const char *b1c_json_scan_string(const char *p, const char *last);
static const char *b1c_json_scan_skip(const char *p, const char *last);
static int b1c_json_scan_scalar(char ch);


b1c_span_t
b1c_json_scan_value(const char *text, size_t len)
{
    const char  *last, *end;
    b1c_span_t   span;

    last = text + len;

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
    }

    text = b1c_json_scan_spaces(text, last);
    end = b1c_json_scan_skip(text, last);

    span.start = end != NULL ? text : NULL;
    span.len = end != NULL ? (size_t) (end - text) : 0;

    return span;
}


int
b1c_json_scan_open(b1c_scan_t *scan, b1c_span_t value)
{
    memset(scan, 0, sizeof(b1c_scan_t));

    if (value.start == NULL || value.len < 2
        || (value.start[0] != '{' && value.start[0] != '['))
    {
        return 0;
    }

    scan->pos = value.start + 1;
    scan->last = value.start + value.len;
    scan->close = value.start[0] == '{' ? '}' : ']';

    return 1;
}


int
b1c_json_scan_next(b1c_scan_t *scan, b1c_span_t *name, b1c_span_t *value)
{
    const char  *p, *end;

    name->start = NULL;
    name->len = 0;

    p = b1c_json_scan_spaces(scan->pos, scan->last);

    if (p < scan->last && *p == ',') {
        p = b1c_json_scan_spaces(p + 1, scan->last);
    }

    if (p < scan->last && *p == scan->close) {
        return 0;
    }

    if (scan->close == '}') {

        end = b1c_json_scan_string(p, scan->last);
        if (end == NULL) {
            scan->broken = 1;
            return 0;
        }

        name->start = p + 1;
        name->len = end - p - 2;

        p = b1c_json_scan_spaces(end, scan->last);

        if (p == scan->last || *p != ':') {
            scan->broken = 1;
            return 0;
        }

        p = b1c_json_scan_spaces(p + 1, scan->last);
    }

    end = b1c_json_scan_skip(p, scan->last);
    if (end == NULL) {
        scan->broken = 1;
        return 0;
    }

    value->start = p;
    value->len = end - p;

    scan->pos = end;

    return 1;
}


b1c_span_t
b1c_json_scan_find(b1c_span_t object, const char *name)
{
    size_t      len;
    b1c_scan_t  scan;
    b1c_span_t  key, value, found;

    found.start = NULL;
    found.len = 0;

    if (!b1c_json_scan_open(&scan, object) || scan.close != '}') {
        return found;
    }

    len = strlen(name);

    while (b1c_json_scan_next(&scan, &key, &value)) {
        if (key.len == len && memcmp(key.start, name, len) == 0) {
            found = value;
        }
    }

    return found;
}


void
b1c_json_scan_text(b1c_span_t value, char *buf, size_t size)
{
    const char  *p;
    size_t       len;

    p = value.start;
    len = value.len;

    if (p == NULL) {
        len = 0;

    } else if (*p == '"') {
        p++;
        len -= 2;

    } else if (*p != '-' && (*p < '0' || *p > '9')) {
        len = 0;
    }

    if (len >= size) {
        len = size - 1;
    }

    if (len > 0) {
        memcpy(buf, p, len);
    }

    buf[len] = '\0';
}


static const char *
b1c_json_scan_spaces(const char *p, const char *last)
{
    while (p < last
           && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
    {
        p++;
    }

    return p;
}


/* returns the end of the string that should begin at p, or NULL */
static const char *
b1c_json_scan_string(const char *p, const char *last)
{
    if (p == last || *p != '"') {
        return NULL;
    }

    for (p++; p < last; p++) {

        if (*p == '"') {
            return p + 1;
        }

        if (*p == '\\') {
            p++;
        }
    }

    return NULL;
}


/*
 * Returns the end of the value at p, or NULL.  Brackets are counted but not
 * matched: a mismatch is found when the value is scanned, and no depth needs
 * stack.
 */
static const char *
b1c_json_scan_skip(const char *p, const char *last)
{
    size_t       depth;
    const char  *start;

    depth = 0;

    while (p < last) {

        switch (*p) {

        case '"':
            p = b1c_json_scan_string(p, last);
            if (p == NULL) {
                return NULL;
            }

            break;

        case '{':
        case '[':
            depth++;
            p++;
            break;

        case '}':
        case ']':
            if (depth == 0) {
                return NULL;
            }

            depth--;
            p++;
            break;

        default:

            if (depth > 0 && !b1c_json_scan_scalar(*p)) {
                p++;
                continue;
            }

            start = p;

            while (p < last && b1c_json_scan_scalar(*p)) {
                p++;
            }

            if (p == start) {
                return NULL;
            }
        }

        if (depth == 0) {
            return p;
        }
    }

    return NULL;
}


static int
b1c_json_scan_scalar(char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || ch == '-'
           || ch == '+' || ch == '.' || ch == 'E';
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_delivery.h"
#include "b1c_core.h"


static void ngx_b1c_reason_find(ngx_str_t *answer, ngx_str_t *text);
static u_char *ngx_b1c_reason_last(ngx_str_t *answer, const char *mark);
static u_char *ngx_b1c_reason_copy(u_char *p, u_char *last, ngx_str_t *text);
static u_char *ngx_b1c_reason_whole(u_char *start, u_char *p);


size_t
ngx_b1c_reason_find_text(u_char *buf, size_t size, const char *what,
    ngx_uint_t status, ngx_str_t *answer)
{
    u_char    *p, *last, *start, *words;
    ngx_str_t  text;

    last = buf + size;
    p = ngx_slprintf(buf, last, "%s", what);

    if (status) {
        p = ngx_slprintf(p, last, ", status %ui", status);
    }

    if (answer == NULL || answer->len == 0) {
        return p - buf;
    }

    ngx_b1c_reason_find(answer, &text);

    start = p;
    words = ngx_slprintf(p, last, ": ");
    p = ngx_b1c_reason_copy(words, last, &text);

    return (p > words ? p : start) - buf;
}


/* the three shapes of 1C's errors: JSON, XML, and a page of HTML */
static void
ngx_b1c_reason_find(ngx_str_t *answer, ngx_str_t *text)
{
    u_char  *p, *end, *last;

    last = answer->data + answer->len;

    p = ngx_b1c_reason_last(answer, "\"descr\":\"");

    if (p) {
        for (end = p; end < last && *end != '"'; end++) {
            if (*end == '\\') {
                end++;
            }
        }

        goto found;
    }

    p = ngx_b1c_reason_last(answer, "<descr");

    if (p) {
        p = ngx_strlchr(p, last, '>');
        p = p ? p + 1 : answer->data;
        end = ngx_strlchr(p, last, '<');
        goto found;
    }

    p = ngx_b1c_reason_last(answer, "by reason:");

    if (p == NULL) {
        p = answer->data;
    }

    end = last;

found:

    text->data = p;
    text->len = ((end && end <= last) ? end : last) - p;
}


/* after the last one: exceptions are nested, the innermost says most */
static u_char *
ngx_b1c_reason_last(ngx_str_t *answer, const char *mark)
{
    size_t   len;
    u_char  *p, *found, *last;

    len = ngx_strlen(mark);
    last = answer->data + answer->len;
    found = NULL;

    for (p = answer->data; p + len <= last; p++) {
        if (ngx_memcmp(p, mark, len) == 0) {
            found = p + len;
        }
    }

    return found;
}


/* tags and escapes become spaces, and repeated spaces one */
static u_char *
ngx_b1c_reason_copy(u_char *p, u_char *last, ngx_str_t *text)
{
    u_char      c, *start, *src, *end;
    ngx_uint_t  tag;

    start = p;
    src = text->data;
    end = src + text->len;
    tag = 0;

    while (src < end && p < last) {
        c = *src++;

        if (c == '<') {
            tag = 1;
        }

        if (tag) {
            tag = (c != '>');
            c = ' ';

        } else if (c == '\\' && src < end) {
            c = *src++;
            c = (c == '"' || c == '\\' || c == '/') ? c : ' ';

        } else if (c < 0x20 || c == 0x7f) {
            c = ' ';
        }

        if (c == ' ' && (p == start || p[-1] == ' ')) {
            continue;
        }

        *p++ = c;
    }

    p = ngx_b1c_reason_whole(start, p);

    while (p > start && p[-1] == ' ') {
        p--;
    }

    return p;
}


/* without an incomplete or invalid character at the end */
static u_char *
ngx_b1c_reason_whole(u_char *start, u_char *p)
{
    size_t   n;
    u_char  *s;

    for (s = start; s < p; s += n) {
        n = b1c_text_char(s, p - s);

        if (n) {
            continue;
        }

        if (*s >= 0xc2 && p - s < 4) {
            break;
        }

        *s = '?';
        n = 1;
    }

    return s;
}

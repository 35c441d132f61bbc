
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_http.h"
#include "b1c_bitrix.h"


/* minimum length of a key, see b1c_method_key() */
#define NGX_B1C_REDACT_MIN  8


static u_char *ngx_b1c_redact_log_handler(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len);
static size_t ngx_b1c_redact_begun(ngx_b1c_redact_t *redact, u_char *p,
    size_t len);
static ngx_uint_t ngx_b1c_redact_has(ngx_b1c_redact_t *redact,
    ngx_str_t *text);


static void ngx_b1c_redact_query(ngx_str_t *text, ngx_str_t *name,
    ngx_uint_t uri, ngx_str_t *value);


/* core's own handler, which is static there */
static ngx_http_log_handler_pt  ngx_b1c_mask_next;


void
ngx_b1c_redact_log(ngx_http_request_t *r)
{
    if (r->log_handler == ngx_b1c_redact_log_handler) {
        return;
    }

    ngx_b1c_mask_next = r->log_handler;
    r->log_handler = ngx_b1c_redact_log_handler;
}


static u_char *
ngx_b1c_redact_log_handler(ngx_http_request_t *r, ngx_http_request_t *sr,
    u_char *buf, size_t len)
{
    u_char  *p;

    p = ngx_b1c_mask_next(r, sr, buf, len);

    ngx_b1c_redact_line(sr, buf, len, p);

    return p;
}


void
ngx_b1c_redact_line(ngx_http_request_t *r, u_char *buf, size_t len,
    u_char *last)
{
    u_char            *p, *found;
    ngx_b1c_redact_t   redact;

    /* ngx_log_error_core() has a line of this size, which ends behind buf */

    p = buf + len - NGX_MAX_ERROR_STR;

    b1c_method_redact((char *) p, last - p);

    if (r == NULL || r->upstream == NULL) {
        return;
    }

    ngx_b1c_redact_init(&redact, &r->upstream->uri);

    while (redact.key.len) {
        found = memmem(p, last - p, redact.key.data, redact.key.len);

        if (found == NULL) {
            break;
        }

        ngx_memset(found, '*', redact.key.len);
        p = found + redact.key.len;
    }
}


void
ngx_b1c_redact_init(ngx_b1c_redact_t *redact, ngx_str_t *uri)
{
    size_t       len;
    const char  *key;

    ngx_memzero(redact, sizeof(ngx_b1c_redact_t));

    key = b1c_method_key((char *) uri->data, uri->len, &len);

    if (key) {
        redact->key.data = (u_char *) key;
        redact->key.len = len;
    }
}


void
ngx_b1c_redact_text(ngx_b1c_redact_t *redact, u_char *p, size_t len)
{
    size_t   n;
    u_char  *found, *last;

    if (redact->key.len == 0 || len == 0) {
        return;
    }

    last = p + len;

    if (redact->matched) {
        n = ngx_min(redact->key.len - redact->matched, len);

        if (ngx_memcmp(p, redact->key.data + redact->matched, n) == 0) {
            ngx_memset(p, '*', n);

            if (n == len && redact->matched + n < redact->key.len) {
                redact->matched += n;
                return;
            }
        }
    }

    for ( ;; ) {
        found = memmem(p, last - p, redact->key.data, redact->key.len);

        if (found == NULL) {
            break;
        }

        ngx_memset(found, '*', redact->key.len);
        p = found + redact->key.len;
    }

    redact->matched = ngx_b1c_redact_begun(redact, p, last - p);

    if (redact->matched >= NGX_B1C_REDACT_MIN) {
        ngx_memset(last - redact->matched, '*', redact->matched);
    }
}


/* number of last bytes that may be the beginning of the key */
static size_t
ngx_b1c_redact_begun(ngx_b1c_redact_t *redact, u_char *p, size_t len)
{
    size_t  n;

    for (n = ngx_min(len, redact->key.len - 1); n; n--) {
        if (ngx_memcmp(p + len - n, redact->key.data, n) == 0) {
            break;
        }
    }

    return n;
}


void
ngx_b1c_redact_headers(ngx_b1c_redact_t *redact,
    ngx_http_headers_out_t *headers)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (ngx_b1c_redact_has(redact, &headers->status_line)) {
        headers->status_line.len = 0;
    }

    if (ngx_b1c_redact_has(redact, &headers->content_type)) {
        ngx_str_set(&headers->content_type, "application/octet-stream");
        headers->content_type_len = headers->content_type.len;
        headers->content_type_lowcase = NULL;
        headers->charset.len = 0;
    }

    part = &headers->headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (!(h[i].key.len > sizeof("Access-Control-") - 1
              && ngx_strncasecmp(h[i].key.data, (u_char *) "Access-Control-",
                                 sizeof("Access-Control-") - 1)
                 == 0)
            && !ngx_b1c_redact_has(redact, &h[i].key)
            && !ngx_b1c_redact_has(redact, &h[i].value))
        {
            continue;
        }

        h[i].hash = 0;

        if (headers->location == &h[i]) {
            headers->location = NULL;
        }
    }
}


/* in any case, since headers may have been lowered */
static ngx_uint_t
ngx_b1c_redact_has(ngx_b1c_redact_t *redact, ngx_str_t *text)
{
    size_t  i;

    if (redact->key.len == 0) {
        return 0;
    }

    for (i = 0; i + redact->key.len <= text->len; i++) {
        if (ngx_strncasecmp(text->data + i, redact->key.data, redact->key.len)
            == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_b1c_redact_arg(ngx_http_request_t *r, ngx_str_t *name, ngx_str_t *value)
{
    int         code;
    u_char     *p, *last, *dst;
    ngx_str_t   found;

    ngx_str_null(&found);
    ngx_str_null(value);

    ngx_b1c_redact_query(&r->args, name, 0, &found);

    if (found.len) {
        value->data = ngx_pnalloc(r->pool, found.len);
        if (value->data == NULL) {
            return NGX_ERROR;
        }

        dst = value->data;
        last = found.data + found.len;

        for (p = found.data; p < last; p++) {
            code = (*p == '%') ? b1c_text_hex2((char *) p + 1, (char *) last)
                               : -1;

            *dst++ = (code < 0) ? *p : (u_char) code;
            p += (code < 0) ? 0 : 2;
        }

        value->len = dst - value->data;
    }

    ngx_b1c_redact_query(&r->args, name, 0, NULL);
    ngx_b1c_redact_query(&r->unparsed_uri, name, 1, NULL);
    ngx_b1c_redact_query(&r->request_line, name, 1, NULL);

    return NGX_OK;
}


/* finds the first value of the argument, or overwrites all of them */
static void
ngx_b1c_redact_query(ngx_str_t *text, ngx_str_t *name, ngx_uint_t uri,
    ngx_str_t *value)
{
    u_char  *p, *last, *end;

    p = text->data;
    last = p + text->len;

    if (uri) {
        p = ngx_strlchr(p, last, '?');
        if (p == NULL) {
            return;
        }

        p++;
    }

    for ( /* void */ ; p < last; p = end + 1) {

        for (end = p; end < last && *end != '&' && *end != ' '
                      && *end != '#'; end++)
        {
            /* void */
        }

        if ((size_t) (end - p) > name->len && p[name->len] == '='
            && ngx_memcmp(p, name->data, name->len) == 0)
        {
            p += name->len + 1;

            if (value) {
                value->data = p;
                value->len = end - p;
                return;
            }

            ngx_memset(p, '*', end - p);
        }

        if (end < last && *end != '&') {
            return;
        }
    }
}


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

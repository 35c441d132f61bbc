
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_mask.h"
#include "bitrix_rest.h"


/* the least that is a key, see bitrix_rest_key() */
#define NGX_HTTP_BITRIX1C_MASK_MIN  8


static u_char *ngx_http_bitrix1c_mask_log_handler(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len);
static size_t ngx_http_bitrix1c_mask_begun(ngx_http_bitrix1c_mask_t *mask,
    u_char *p, size_t len);


/* core's own is static there; all requests begin with it */
static ngx_http_log_handler_pt  ngx_http_bitrix1c_mask_next;


void
ngx_http_bitrix1c_mask_log(ngx_http_request_t *r)
{
    if (r->log_handler == ngx_http_bitrix1c_mask_log_handler) {
        return;
    }

    ngx_http_bitrix1c_mask_next = r->log_handler;
    r->log_handler = ngx_http_bitrix1c_mask_log_handler;
}


static u_char *
ngx_http_bitrix1c_mask_log_handler(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len)
{
    u_char  *p;

    p = ngx_http_bitrix1c_mask_next(r, sr, buf, len);

    bitrix_rest_mask((char *) buf, p - buf);

    return p;
}


void
ngx_http_bitrix1c_mask_init(ngx_http_bitrix1c_mask_t *mask, ngx_str_t *uri)
{
    size_t       len;
    const char  *key;

    ngx_memzero(mask, sizeof(ngx_http_bitrix1c_mask_t));

    key = bitrix_rest_key((char *) uri->data, uri->len, &len);

    if (key) {
        mask->key.data = (u_char *) key;
        mask->key.len = len;
    }
}


void
ngx_http_bitrix1c_mask_text(ngx_http_bitrix1c_mask_t *mask, u_char *p,
    size_t len)
{
    size_t   n;
    u_char  *found, *last;

    if (mask->key.len == 0 || len == 0) {
        return;
    }

    last = p + len;

    if (mask->matched) {
        n = ngx_min(mask->key.len - mask->matched, len);

        if (ngx_memcmp(p, mask->key.data + mask->matched, n) == 0) {
            ngx_memset(p, '*', n);

            if (n == len && mask->matched + n < mask->key.len) {
                mask->matched += n;
                return;
            }
        }
    }

    for ( ;; ) {
        found = memmem(p, last - p, mask->key.data, mask->key.len);

        if (found == NULL) {
            break;
        }

        ngx_memset(found, '*', mask->key.len);
        p = found + mask->key.len;
    }

    mask->matched = ngx_http_bitrix1c_mask_begun(mask, p, last - p);

    if (mask->matched >= NGX_HTTP_BITRIX1C_MASK_MIN) {
        ngx_memset(last - mask->matched, '*', mask->matched);
    }
}


/* how many of its last bytes could be the beginning of the key */
static size_t
ngx_http_bitrix1c_mask_begun(ngx_http_bitrix1c_mask_t *mask, u_char *p,
    size_t len)
{
    size_t  n;

    for (n = ngx_min(len, mask->key.len - 1); n; n--) {
        if (ngx_memcmp(p + len - n, mask->key.data, n) == 0) {
            break;
        }
    }

    return n;
}


void
ngx_http_bitrix1c_mask_headers(ngx_http_bitrix1c_mask_t *mask,
    ngx_http_headers_out_t *headers)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

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
            && (mask->key.len == 0
                || memmem(h[i].value.data, h[i].value.len, mask->key.data,
                          mask->key.len)
                   == NULL))
        {
            continue;
        }

        h[i].hash = 0;

        if (headers->location == &h[i]) {
            headers->location = NULL;
        }
    }
}

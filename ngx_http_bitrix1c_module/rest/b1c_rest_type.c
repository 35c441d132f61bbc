
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_bitrix.h"
#include "b1c_http.h"


static ngx_uint_t ngx_b1c_rest_type_headers(ngx_http_request_t *r);
static ngx_int_t ngx_b1c_rest_type_add_type(ngx_http_request_t *r);


ngx_int_t
ngx_b1c_rest_type_check(ngx_http_request_t *r, ngx_str_t *body,
    ngx_b1c_type_e *type)
{
    ngx_uint_t  found;
    b1c_type_t  known;

    found = ngx_b1c_rest_type_headers(r);

    *type = NGX_B1C_TYPE_NONE;

    if (found > 1) {
        return NGX_DECLINED;
    }

    if (body->len == 0) {
        return NGX_OK;
    }

    if (found) {

        *type = NGX_B1C_TYPE_OTHER;

        if (ngx_b1c_body_type(r, &known) == NGX_OK) {
            *type = known == B1C_JSON ? NGX_B1C_TYPE_JSON : NGX_B1C_TYPE_FORM;
        }

        return NGX_OK;
    }

    *type = NGX_B1C_TYPE_JSON;

    return ngx_b1c_rest_type_add_type(r);
}


/* counts Content-Type headers, and sets Accept-Encoding to identity */
static ngx_uint_t
ngx_b1c_rest_type_headers(ngx_http_request_t *r)
{
    ngx_uint_t        i, found;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    found = 0;
    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == sizeof("Content-Type") - 1
            && ngx_strncmp(h[i].lowcase_key, "content-type",
                           sizeof("content-type") - 1)
               == 0)
        {
            found++;

        } else if (h[i].key.len == sizeof("Accept-Encoding") - 1
                   && ngx_strncmp(h[i].lowcase_key, "accept-encoding",
                                  sizeof("accept-encoding") - 1)
                      == 0)
        {
            ngx_str_set(&h[i].value, "identity");
        }
    }

    return found;
}


static ngx_int_t
ngx_b1c_rest_type_add_type(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    static ngx_str_t  type = ngx_string("application/json");
    static u_char     name[] = "content-type";

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = ngx_hash_key(name, sizeof(name) - 1);
    ngx_str_set(&h->key, "Content-Type");
    h->lowcase_key = name;
    h->value = type;

    r->headers_in.content_type = h;

    return NGX_OK;
}

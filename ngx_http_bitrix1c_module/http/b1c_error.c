
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_http.h"
#include "b1c_bitrix.h"


ngx_int_t
ngx_b1c_error_text(ngx_pool_t *pool, ngx_b1c_error_t *error, ngx_str_t *text)
{
    char   *p;
    size_t  len;

    p = b1c_method_error(error->code, error->text, &len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->len = len + 1;
    text->data = ngx_pnalloc(pool, text->len);

    if (text->data) {
        ngx_memcpy(text->data, p, len);
        text->data[len] = LF;
    }

    free(p);

    return text->data ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_b1c_error_send(ngx_http_request_t *r, ngx_b1c_error_t *error)
{
    ngx_str_t  text, allow;

    ngx_str_null(&allow);

    if (error->status == NGX_HTTP_NOT_ALLOWED) {
        ngx_str_set(&allow, "GET, POST");
        allow.len -= error->only_get ? sizeof(", POST") - 1 : 0;
    }

    if (ngx_b1c_error_text(r->pool, error, &text) != NGX_OK
        || ngx_b1c_answer_header(r, "Allow", &allow) != NGX_OK
        || ngx_b1c_error_retry_after(r, error->retry_after)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_b1c_answer_send(r, error->status, &text);
}


ngx_int_t
ngx_b1c_error_retry_after(ngx_http_request_t *r, ngx_uint_t seconds)
{
    ngx_str_t         value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (seconds == 0) {
        return NGX_OK;
    }

    /* the portal's own value does not include the rate limit */

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == sizeof("Retry-After") - 1
                && ngx_strncasecmp(h[i].key.data, (u_char *) "Retry-After",
                                   sizeof("Retry-After") - 1)
                   == 0)
            {
                h[i].hash = 0;
            }
        }
    }

    value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%ui", seconds) - value.data;

    return ngx_b1c_answer_header(r, "Retry-After", &value);
}

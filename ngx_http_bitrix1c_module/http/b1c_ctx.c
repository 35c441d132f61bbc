
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_http.h"
#include "b1c_base.h"


ngx_b1c_ctx_t *
ngx_b1c_ctx_get(ngx_http_request_t *r)
{
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_b1c_ctx_t));
        if (ctx == NULL) {
            return NULL;
        }

        ngx_http_set_ctx(r, ctx, ngx_http_bitrix1c_module);
    }

    return ctx;
}

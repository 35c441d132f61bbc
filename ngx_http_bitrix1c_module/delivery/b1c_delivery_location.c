
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_delivery.h"


/*
 * With an "error_page" of its status, proxy_intercept_errors would throw the
 * text of 1C's answer away, so this request sees the location without them.
 * NGX_OK ends the phase: a "try_files" would look for a file instead.
 */
ngx_int_t
ngx_b1c_delivery_location(ngx_http_request_t *r)
{
    void                      **conf;
    ngx_http_core_loc_conf_t   *clcf, *own;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->error_pages == NULL) {
        return NGX_OK;
    }

    conf = ngx_palloc(r->pool, ngx_http_max_module * sizeof(void *));
    own = ngx_palloc(r->pool, sizeof(ngx_http_core_loc_conf_t));

    if (conf == NULL || own == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(conf, r->loc_conf, ngx_http_max_module * sizeof(void *));

    *own = *clcf;
    own->error_pages = NULL;

    conf[ngx_http_core_module.ctx_index] = own;
    r->loc_conf = conf;

    return NGX_OK;
}

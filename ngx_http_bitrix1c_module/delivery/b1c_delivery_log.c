
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_delivery.h"
#include "b1c_http.h"


/* more than fits into a line of error.log */
#define NGX_B1C_DELIVERY_LOGGED   (3 * NGX_MAX_ERROR_STR)


static u_char *ngx_b1c_delivery_log_request(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len);


/* core logs a subrequest when it ends, and this one will not end */
void
ngx_b1c_delivery_log_phase(ngx_http_request_t *r)
{
    ngx_uint_t                  i;
    ngx_http_handler_pt        *h;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_core_main_conf_t  *cmcf;

    if (r == NULL || r->logged) {
        return;
    }

    r->logged = 1;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!clcf->log_subrequest) {
        return;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    h = cmcf->phases[NGX_HTTP_LOG_PHASE].handlers.elts;

    for (i = 0; i < cmcf->phases[NGX_HTTP_LOG_PHASE].handlers.nelts; i++) {
        (void) h[i](r);
    }
}


u_char *
ngx_b1c_delivery_log(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char              *p;
    ngx_http_request_t  *r;
    ngx_http_log_ctx_t  *log_ctx;
    ngx_b1c_ctx_t       *ctx;

    p = buf;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
        buf = p;
    }

    log_ctx = log->data;
    r = log_ctx->request;

    if (r == NULL) {
        return p;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);

    if (ctx) {
        p = ngx_snprintf(buf, len, ", event: %V, id: %V",
                         &ctx->job->event.name, &ctx->job->id);
        len -= p - buf;
        buf = p;
    }

    return ngx_b1c_delivery_log_request(r, log_ctx->current_request, buf, len);
}


/* core logs the address of a subrequest decoded, with its line breaks */
static u_char *
ngx_b1c_delivery_log_request(ngx_http_request_t *r, ngx_http_request_t *sr,
    u_char *buf, size_t len)
{
    u_char     *p, text[NGX_B1C_DELIVERY_LOGGED];
    size_t      n;
    ngx_str_t   uri;

    if (sr == NULL) {
        return r->log_handler(r, sr, buf, len);
    }

    uri = sr->uri;
    n = ngx_min(uri.len, NGX_B1C_DELIVERY_LOGGED / 3);

    if (ngx_escape_uri(NULL, uri.data, n, NGX_ESCAPE_URI) == 0) {
        return r->log_handler(r, sr, buf, len);
    }

    p = (u_char *) ngx_escape_uri(text, uri.data, n, NGX_ESCAPE_URI);

    sr->uri.data = text;
    sr->uri.len = p - text;

    p = r->log_handler(r, sr, buf, len);

    sr->uri = uri;

    return p;
}

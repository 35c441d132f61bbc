
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_http.h"
#include "b1c_bitrix.h"
#include "b1c_base.h"


static ngx_int_t ngx_b1c_body_file(ngx_http_request_t *r, u_char *p,
    ngx_buf_t *b);
#if (NGX_HTTP_V2)
static void ngx_b1c_body_v2_handler(ngx_http_request_t *r);
#endif


ngx_int_t
ngx_b1c_body_read(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler)
{
    ngx_int_t  rc;
#if (NGX_HTTP_V2)
    ngx_b1c_ctx_t  *ctx;
#endif

    rc = ngx_http_read_client_request_body(r, handler);

#if (NGX_HTTP_V2)

    if (rc == NGX_AGAIN && r->stream) {
        ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);

        ctx->read = r->read_event_handler;
        r->read_event_handler = ngx_b1c_body_v2_handler;
    }

#endif

    return rc;
}


#if (NGX_HTTP_V2)

/*
 * Core reads the last bytes of a body in a posted event, and drops the request
 * if it sees the end of the stream or connection before that.  Bitrix would
 * not send it again, so a complete body is read anyway.
 */
static void
ngx_b1c_body_v2_handler(ngx_http_request_t *r)
{
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);

    if (r->connection->error
        && r->request_body
        && r->request_body->rest == 0)
    {
        r->connection->error = 0;
        ctx->hung_up = 1;
    }

    ctx->read(r);
}

#endif


/* a request without type and body gets the error for a missing body */
ngx_int_t
ngx_b1c_body_type(ngx_http_request_t *r, b1c_type_t *type)
{
    size_t      len;
    ngx_str_t  *value;

    *type = B1C_FORM;

    if (r->headers_in.content_type == NULL) {
        return NGX_OK;
    }

    value = &r->headers_in.content_type->value;

    for (len = 0; len < value->len; len++) {
        if (value->data[len] == ';' || value->data[len] == ' '
            || value->data[len] == '\t')
        {
            break;
        }
    }

    if (len == sizeof("application/x-www-form-urlencoded") - 1
        && ngx_strncasecmp(value->data,
                           (u_char *) "application/x-www-form-urlencoded", len)
           == 0)
    {
        return NGX_OK;
    }

    if (len == sizeof("application/json") - 1
        && ngx_strncasecmp(value->data, (u_char *) "application/json", len)
           == 0)
    {
        *type = B1C_JSON;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_b1c_body_text(ngx_http_request_t *r, ngx_str_t *text)
{
    u_char         *p;
    ngx_chain_t    *cl;
    ngx_b1c_ctx_t  *ctx;

    ngx_str_null(text);

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);

    if (ctx->hung_up) {

        /* otherwise an answer would be queued on a finalized connection */

        r->connection->error = 1;
    }

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        return NGX_OK;
    }

    cl = r->request_body->bufs;

    if (cl->next == NULL && !cl->buf->in_file) {
        text->data = cl->buf->pos;
        text->len = cl->buf->last - cl->buf->pos;
        return NGX_OK;
    }

    for ( /* void */ ; cl; cl = cl->next) {
        text->len += (size_t) ngx_buf_size(cl->buf);
    }

    p = ngx_pnalloc(r->pool, text->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {

        if (cl->buf->in_file) {
            if (ngx_b1c_body_file(r, p, cl->buf) != NGX_OK) {
                return NGX_ERROR;
            }

            p += cl->buf->file_last - cl->buf->file_pos;

        } else if (cl->buf->last > cl->buf->pos) {
            p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_body_file(ngx_http_request_t *r, u_char *p, ngx_buf_t *b)
{
    size_t   size;
    ssize_t  n;

    size = (size_t) (b->file_last - b->file_pos);

    n = ngx_read_file(b->file, p, size, b->file_pos);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    if ((size_t) n != size) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      ngx_read_file_n " read only %z of %uz bytes of \"%V\"",
                      n, size, &b->file->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_bitrix.h"
#include "b1c_base.h"
#include "b1c_portal.h"
#include "b1c_http.h"


/*
 * Filters the answer of a try.  Its header waits for the first bytes of the
 * body, because a 200 may contain an error.  An answer that is not a success
 * is held back; any other is passed on in the buffers of the upstream, as by
 * plain proxy_pass.
 */


static ngx_int_t ngx_b1c_rest_filter_header(ngx_http_request_t *r);
static ngx_int_t ngx_b1c_rest_filter_body(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_b1c_rest_filter_begin(ngx_b1c_rest_t *rest,
    ngx_chain_t *in);
static ngx_uint_t ngx_b1c_rest_filter_html(ngx_http_request_t *sr);
static ngx_int_t ngx_b1c_rest_filter_hold(ngx_b1c_rest_t *rest,
    ngx_chain_t **in);
static ngx_int_t ngx_b1c_rest_filter_room(ngx_b1c_rest_t *rest, size_t len);
static ngx_int_t ngx_b1c_rest_filter_pass(ngx_b1c_rest_t *rest,
    ngx_http_request_t *sr, ngx_chain_t *in);
static void ngx_b1c_rest_filter_look(ngx_b1c_rest_t *rest, ngx_buf_t *b);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


static ngx_int_t
ngx_b1c_rest_filter_header(ngx_http_request_t *r)
{
    ngx_b1c_ctx_t   *ctx;
    ngx_b1c_rest_t  *rest;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_bitrix1c_module);

    if (ctx == NULL || ctx->rest == NULL || ctx->rest->sr != r) {
        return ngx_http_next_header_filter(r);
    }

    rest = ctx->rest;

    rest->headed = 1;
    r->header_sent = 1;

    /* to redact the key in the part that the upstream has put into a file */

    r->filter_need_in_memory = 1;

    if (r->upstream) {
        ngx_b1c_redact_init(&rest->redact, &r->upstream->uri);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_rest_filter_body(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t        rc;
    ngx_chain_t     *cl;
    ngx_b1c_ctx_t   *ctx;
    ngx_b1c_rest_t  *rest;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_bitrix1c_module);

    if (ctx == NULL || ctx->rest == NULL || ctx->rest->sr != r) {
        return ngx_http_next_body_filter(r, in);
    }

    rest = ctx->rest;

    if (rest->state == NGX_B1C_REST_BEGIN
        && ngx_b1c_rest_filter_begin(rest, in) != NGX_OK)
    {
        return NGX_ERROR;
    }

    switch (rest->state) {

    case NGX_B1C_REST_PASSED:
        return ngx_b1c_rest_filter_pass(rest, r, in);

    case NGX_B1C_REST_HELD:
        rc = ngx_b1c_rest_filter_hold(rest, &in);

        if (rc != NGX_DECLINED) {
            return rc;
        }

        return ngx_b1c_rest_filter_pass(rest, r, in);

    default:

        /*
         * the buffers are consumed, otherwise the upstream would wait forever
         */

        for (cl = in; cl; cl = cl->next) {
            cl->buf->pos = cl->buf->last;
            cl->buf->file_pos = cl->buf->file_last;
        }

        return NGX_OK;
    }
}


static ngx_int_t
ngx_b1c_rest_filter_begin(ngx_b1c_rest_t *rest, ngx_chain_t *in)
{
    u_char     *p;
    size_t      len;
    ngx_uint_t  status;

    static u_char  error[] = "{\"error\"";

    while (in && ngx_buf_size(in->buf) == 0) {
        in = in->next;
    }

    if (in == NULL) {
        return NGX_OK;
    }

    status = rest->sr->headers_out.status;

    if (ngx_b1c_rest_filter_html(rest->sr)
        || status < NGX_HTTP_OK
        || (status >= NGX_HTTP_SPECIAL_RESPONSE
            && status < NGX_HTTP_BAD_REQUEST))
    {
        rest->state = NGX_B1C_REST_DROPPED;
        return NGX_OK;
    }

    p = in->buf->pos;
    len = ngx_buf_in_memory(in->buf)
          ? ngx_min((size_t) (in->buf->last - p), sizeof(error) - 1) : 0;

    if (status >= NGX_HTTP_BAD_REQUEST
        || (len > 1 && ngx_memcmp(p, error, len) == 0))
    {
        rest->state = NGX_B1C_REST_HELD;
        return NGX_OK;
    }

    rest->state = NGX_B1C_REST_PASSED;

    return ngx_b1c_rest_proxy_send_header(rest, 0);
}


/* an HTML page: the portal is closed, has moved, or requires a login */
static ngx_uint_t
ngx_b1c_rest_filter_html(ngx_http_request_t *sr)
{
    ngx_str_t  *type;

    type = &sr->headers_out.content_type;

    return type->len >= sizeof("text/html") - 1
           && ngx_strncasecmp(type->data, (u_char *) "text/html",
                              sizeof("text/html") - 1)
              == 0;
}


/* NGX_DECLINED: it is too large, and *in is the received part */
static ngx_int_t
ngx_b1c_rest_filter_hold(ngx_b1c_rest_t *rest, ngx_chain_t **in)
{
    size_t        len;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    len = rest->len;

    for (cl = *in; cl; cl = cl->next) {
        len += ngx_buf_in_memory(cl->buf) ? cl->buf->last - cl->buf->pos : 0;
    }

    if (len <= NGX_B1C_HELD) {

        if (ngx_b1c_rest_filter_room(rest, len) != NGX_OK) {
            return NGX_ERROR;
        }

        for (cl = *in; cl; cl = cl->next) {
            b = cl->buf;

            if (ngx_buf_in_memory(b)) {
                ngx_memcpy(rest->text + rest->len, b->pos, b->last - b->pos);
                rest->len += b->last - b->pos;
            }

            b->pos = b->last;
            b->file_pos = b->file_last;
        }

        return NGX_OK;
    }

    rest->state = NGX_B1C_REST_PASSED;
    rest->cut = 1;

    if (ngx_b1c_rest_proxy_send_header(rest, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    if (rest->len == 0) {
        return NGX_DECLINED;
    }

    b = ngx_create_temp_buf(rest->request->pool, rest->len);
    cl = ngx_alloc_chain_link(rest->request->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->pos, rest->text, rest->len);

    cl->buf = b;
    cl->next = *in;
    *in = cl;

    rest->len = 0;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_b1c_rest_filter_room(ngx_b1c_rest_t *rest, size_t len)
{
    u_char  *p;
    size_t   size;

    if (len <= rest->size) {
        return NGX_OK;
    }

    size = ngx_max(len, 2 * rest->size);
    size = ngx_max(size, NGX_B1C_TAIL);

    p = ngx_pnalloc(rest->request->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (rest->len) {
        ngx_memcpy(p, rest->text, rest->len);
    }

    rest->text = p;
    rest->size = size;

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_rest_filter_pass(ngx_b1c_rest_t *rest, ngx_http_request_t *sr,
    ngx_chain_t *in)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;
        rest->passed += ngx_buf_size(b);

        if (!ngx_buf_in_memory(b) || b->last == b->pos) {
            continue;
        }

        if (b->temporary) {
            ngx_b1c_redact_text(&rest->redact, b->pos, b->last - b->pos);
        }

        ngx_b1c_rest_filter_look(rest, b);
    }

    /* a caller with the whole answer may call again, through another worker */

    if (rest->passed == rest->request->headers_out.content_length_n) {
        ngx_b1c_rest_filter_learn(rest);
    }

    return ngx_http_next_body_filter(sr, in);
}


void
ngx_b1c_rest_filter_learn(ngx_b1c_rest_t *rest)
{
    size_t          i;
    ngx_log_t      *log;
    ngx_str_t       method;
    b1c_reply_t     reply;
    b1c_answer_t    answer;
    b1c_command_t  *command;

    if (rest->learned) {
        return;
    }

    rest->learned = 1;
    log = rest->request->connection->log;

    if (rest->batch == NULL) {
        ngx_memzero(&answer, sizeof(b1c_answer_t));
        b1c_portal_answer_time(&answer, (char *) rest->text, rest->len);
        (void) ngx_b1c_portal_feedback_learn(rest->portal, &rest->method,
                                             &answer, log);
        return;
    }

    for (i = 0; !rest->cut && i < rest->batch->n; i++) {
        command = &rest->batch->commands[i];

        method.data = (u_char *) command->method;
        method.len = ngx_strlen(method.data);

        b1c_batch_reply(&reply, (char *) rest->text, rest->len, command->name);
        (void) ngx_b1c_portal_feedback_learn(rest->portal, &method,
                                             &reply.answer, log);
    }
}


/*
 * Stores what the verdict needs: of a batch as much as there is room for,
 * otherwise the end.  Without memory nothing is learned from the answer, which
 * is not an error.
 */
static void
ngx_b1c_rest_filter_look(ngx_b1c_rest_t *rest, ngx_buf_t *b)
{
    size_t  len, keep;

    len = b->last - b->pos;

    if (rest->batch) {

        if (rest->cut || rest->len + len > NGX_B1C_HELD
            || ngx_b1c_rest_filter_room(rest, rest->len + len) != NGX_OK)
        {
            rest->cut = 1;
            return;
        }

        ngx_memcpy(rest->text + rest->len, b->pos, len);
        rest->len += len;
        return;
    }

    if (ngx_b1c_rest_filter_room(rest, NGX_B1C_TAIL) != NGX_OK) {
        return;
    }

    rest->cut = 1;

    if (len >= NGX_B1C_TAIL) {
        ngx_memcpy(rest->text, b->last - NGX_B1C_TAIL, NGX_B1C_TAIL);
        rest->len = NGX_B1C_TAIL;
        return;
    }

    keep = ngx_min(rest->len, NGX_B1C_TAIL - len);

    ngx_memmove(rest->text, rest->text + rest->len - keep, keep);
    ngx_memcpy(rest->text + keep, b->pos, len);

    rest->len = keep + len;
}


ngx_int_t
ngx_b1c_rest_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_b1c_rest_filter_header;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_b1c_rest_filter_body;

    return NGX_OK;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_http.h"
#include "b1c_job.h"


static ngx_int_t ngx_b1c_filter_first_header(ngx_http_request_t *r);
static ngx_int_t ngx_b1c_filter_first_body(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_b1c_filter_header(ngx_http_request_t *r);
static ngx_int_t ngx_b1c_filter_too_large(ngx_http_request_t *r);
static ngx_int_t ngx_b1c_filter_too_large_text(ngx_http_request_t *r,
    ngx_b1c_ctx_t *ctx, ngx_str_t *text);
static ngx_int_t ngx_b1c_filter_body(ngx_http_request_t *r, ngx_chain_t *in);
static void ngx_b1c_filter_keep(ngx_http_request_t *r, ngx_b1c_job_t *job,
    ngx_chain_t *in);
static void ngx_b1c_filter_tail(ngx_b1c_job_t *job, u_char *p, size_t len);
static void ngx_b1c_filter_room(ngx_http_request_t *r, ngx_b1c_job_t *job,
    size_t need);
static void ngx_b1c_filter_copy(ngx_http_request_t *r, ngx_b1c_job_t *job,
    ngx_buf_t *b, size_t size);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;
static ngx_http_output_header_filter_pt  ngx_b1c_filter_other_header;
static ngx_http_output_body_filter_pt    ngx_b1c_filter_other_body;
static ngx_b1c_filter_count_pt           ngx_b1c_filter_count;


/*
 * A module that is loaded later has its filters before those of this module.
 * They may fail, or change the answer, so no filter at all sees the answer of
 * 1C to a delivery: it has no client.
 */
static ngx_int_t
ngx_b1c_filter_first_header(ngx_http_request_t *r)
{
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_bitrix1c_module);

    return (ctx && ctx->delivery) ? NGX_OK : ngx_b1c_filter_other_header(r);
}


static ngx_int_t
ngx_b1c_filter_first_body(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_bitrix1c_module);

    return (ctx && ctx->delivery) ? ngx_b1c_filter_body(r, in)
                                  : ngx_b1c_filter_other_body(r, in);
}


static ngx_int_t
ngx_b1c_filter_header(ngx_http_request_t *r)
{
    ngx_b1c_ctx_t       *ctx;
    ngx_b1c_loc_conf_t  *lcf;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_bitrix1c_module);

    if (ctx && ctx->delivery) {
        return NGX_OK;
    }

    if (r == r->main
        && r->headers_out.status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE)
    {
        lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

        if ((lcf->webhook.route || lcf->rest.route)
            && (ctx == NULL || !ctx->answered))
        {
            return ngx_b1c_filter_too_large(r);
        }
    }

    return ngx_http_next_header_filter(r);
}


/*
 * core checks client_max_body_size before any phase or while it reads a
 * chunked body, and answers with an HTML page
 */
static ngx_int_t
ngx_b1c_filter_too_large(ngx_http_request_t *r)
{
    ngx_str_t       text;
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_b1c_ctx_get(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->result = NGX_B1C_TOO_LARGE;
    ctx->replaced = 1;
    ngx_b1c_filter_count(r, ctx->result);

    if (ngx_b1c_filter_too_large_text(r, ctx, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_b1c_answer_type(r);

    r->headers_out.content_length_n = text.len;

    if (r->headers_out.content_length) {
        r->headers_out.content_length->hash = 0;
        r->headers_out.content_length = NULL;
    }

    return ngx_http_next_header_filter(r);
}


/* in the form of the location's other answers */
static ngx_int_t
ngx_b1c_filter_too_large_text(ngx_http_request_t *r, ngx_b1c_ctx_t *ctx,
    ngx_str_t *text)
{
    ngx_b1c_error_t      error;
    ngx_b1c_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    if (lcf->webhook.route) {
        return ngx_b1c_answer_text(r->pool, ctx->result, NULL, text);
    }

    ngx_memzero(&error, sizeof(ngx_b1c_error_t));

    error.code = "BITRIX1C_TOO_LARGE";
    error.text = "the body is larger than client_max_body_size";

    return ngx_b1c_error_text(r->pool, &error, text);
}


static ngx_int_t
ngx_b1c_filter_body(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t      *b;
    ngx_str_t       text;
    ngx_chain_t    *cl, out;
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_bitrix1c_module);

    if (ctx == NULL || (!ctx->delivery && !ctx->replaced)) {
        return ngx_http_next_body_filter(r, in);
    }

    if (ctx->delivery) {
        ngx_b1c_filter_keep(r, ctx->job, in);
        return NGX_OK;
    }

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;

        if (!cl->buf->last_buf) {
            continue;
        }

        b = ngx_calloc_buf(r->pool);

        if (b == NULL
            || ngx_b1c_filter_too_large_text(r, ctx, &text) != NGX_OK)
        {
            return NGX_ERROR;
        }

        b->pos = text.data;
        b->last = text.data + text.len;
        b->memory = 1;
        b->last_buf = 1;

        out.buf = b;
        out.next = NULL;

        return ngx_http_next_body_filter(r, &out);
    }

    return NGX_OK;
}


static void
ngx_b1c_filter_keep(ngx_http_request_t *r, ngx_b1c_job_t *job, ngx_chain_t *in)
{
    size_t              size;
    ngx_buf_t          *b;
    ngx_chain_t        *cl;
    ngx_b1c_outcome_t  *o;

    o = &job->attempt.outcome;

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;
        o->received += ngx_buf_size(b);

        if (!ngx_buf_special(b) && ngx_buf_size(b) > 0) {

            size = (size_t) ngx_buf_size(b);

            if (o->size - o->len < size) {
                ngx_b1c_filter_room(r, job, o->len + size);
                size = ngx_min(size, o->size - o->len);
            }

            if (size) {
                ngx_b1c_filter_copy(r, job, b, size);
            }

            if (o->max && size < (size_t) (b->last - b->pos)) {
                ngx_b1c_filter_tail(job, b->pos + size,
                                    b->last - b->pos - size);
            }
        }

        /*
         * the buffers are consumed, otherwise the upstream would wait forever
         */

        b->pos = b->last;
        b->file_pos = b->file_last;
    }

    if (o->received > (off_t) job->queue->answer_max && !o->large
        && job->attempt.stop)
    {
        /* not here, where the upstream is at work on the answer */

        o->large = 1;
        ngx_post_event(job->attempt.stop, &ngx_posted_events);
    }
}


/* without memory for it the answer counts as cut off */
static void
ngx_b1c_filter_tail(ngx_b1c_job_t *job, u_char *p, size_t len)
{
    size_t              keep;
    ngx_b1c_outcome_t  *o;

    o = &job->attempt.outcome;

    if (o->tail == NULL) {
        o->tail = ngx_pnalloc(job->pool, NGX_B1C_RESULTS_TAIL);
        if (o->tail == NULL) {
            return;
        }

        o->tail_len = ngx_min(o->len, NGX_B1C_RESULTS_TAIL);
        ngx_memcpy(o->tail, o->answer + o->len - o->tail_len, o->tail_len);
    }

    if (len >= NGX_B1C_RESULTS_TAIL) {
        ngx_memcpy(o->tail, p + len - NGX_B1C_RESULTS_TAIL,
                   NGX_B1C_RESULTS_TAIL);
        o->tail_len = NGX_B1C_RESULTS_TAIL;
        return;
    }

    keep = ngx_min(o->tail_len, NGX_B1C_RESULTS_TAIL - len);

    ngx_memmove(o->tail, o->tail + o->tail_len - keep, keep);
    ngx_memcpy(o->tail + keep, p, len);

    o->tail_len = keep + len;
}


/* most answers have a few bytes, and then no more is allocated */
static void
ngx_b1c_filter_room(ngx_http_request_t *r, ngx_b1c_job_t *job, size_t need)
{
    off_t               length;
    size_t              size;
    u_char             *p;
    ngx_b1c_outcome_t  *o;

    o = &job->attempt.outcome;

    size = o->max ? o->max : NGX_B1C_ANSWER;

    if (o->size == size) {
        return;
    }

    length = r->upstream ? r->upstream->headers_in.content_length_n : -1;

    if (length >= (off_t) need && length < (off_t) size) {
        size = (size_t) length;

    } else if (o->max) {
        size = ngx_min(ngx_max(2 * o->size, 2 * need), size);
    }

    p = ngx_pnalloc(job->pool, size);

    if (p == NULL) {
        return;
    }

    if (o->len) {
        ngx_memcpy(p, o->answer, o->len);
        (void) ngx_pfree(job->pool, o->answer);
    }

    o->answer = p;
    o->size = size;
}


/* a long answer comes from the temporary file of the upstream */
static void
ngx_b1c_filter_copy(ngx_http_request_t *r, ngx_b1c_job_t *job, ngx_buf_t *b,
    size_t size)
{
    ssize_t             n;
    ngx_b1c_outcome_t  *o;

    o = &job->attempt.outcome;

    if (ngx_buf_in_memory(b)) {
        ngx_memcpy(o->answer + o->len, b->pos, size);
        o->len += size;
        return;
    }

    n = ngx_read_file(b->file, o->answer + o->len, size, b->file_pos);

    if (n == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "bitrix1c could not read the answer from \"%V\"",
                      &b->file->name);
        return;
    }

    o->len += n;
}


void
ngx_b1c_filter_first(void)
{
    if (ngx_http_top_header_filter == ngx_b1c_filter_first_header) {
        return;
    }

    ngx_b1c_filter_other_header = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_b1c_filter_first_header;

    ngx_b1c_filter_other_body = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_b1c_filter_first_body;
}


ngx_int_t
ngx_b1c_filter_init(ngx_conf_t *cf, ngx_b1c_filter_count_pt count)
{
    ngx_b1c_filter_count = count;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_b1c_filter_header;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_b1c_filter_body;

    return NGX_OK;
}

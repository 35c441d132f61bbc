
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_delivery.h"
#include "b1c_job.h"
#include "b1c_http.h"


static ngx_uint_t ngx_b1c_outcome_sent(ngx_http_request_t *r);
static ngx_uint_t ngx_b1c_outcome_too_big(ngx_http_request_t *r);
static ngx_uint_t ngx_b1c_outcome_truncated(ngx_http_request_t *r);
static ngx_uint_t ngx_b1c_outcome_retry_after(ngx_http_request_t *r);


void
ngx_b1c_outcome_read(ngx_b1c_outcome_t *o, ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_b1c_redact_t  redact;

    o->done = 1;

    if (r->upstream == NULL || r->upstream_states == NULL) {

        /*
         * 404, 413, 301 or a cached answer of this nginx are not 1C's answers
         */

        o->ours = 1;
        o->status = rc >= NGX_HTTP_SPECIAL_RESPONSE
                    ? (ngx_uint_t) rc : r->headers_out.status;
        return;
    }

    /* Bitrix repeats the key in addresses of files, and this text is stored */

    ngx_b1c_redact_init(&redact, &r->upstream->uri);
    ngx_b1c_redact_text(&redact, o->answer, o->len);

    if (o->tail) {
        ngx_b1c_redact_text(&redact, o->tail, o->tail_len);
    }

    o->sent = ngx_b1c_outcome_sent(r);

    if (!r->upstream->header_sent
        && rc != NGX_HTTP_NO_CONTENT && rc < NGX_HTTP_SPECIAL_RESPONSE)
    {
        o->status = 0;
        return;
    }

    if (!r->upstream->header_sent) {

        /*
         * 502 and 504 made by nginx itself; an answer of 1C comes here only
         * when proxy_intercept_errors is on
         */

        o->status = r->upstream->headers_in.status_n == (ngx_uint_t) rc
                    ? (ngx_uint_t) rc : 0;
        o->too_big = (o->status == 0 && ngx_b1c_outcome_too_big(r));

    } else {
        o->status = r->upstream->headers_in.status_n;
        o->truncated = ngx_b1c_outcome_truncated(r);
    }

    o->seconds = ngx_b1c_outcome_retry_after(r);

    if (r->upstream->headers_in.location) {
        o->location = &r->upstream->headers_in.location->value;
    }
}


/* nginx gives up a header that fills its buffer, and tells the log alone */
static ngx_uint_t
ngx_b1c_outcome_too_big(ngx_http_request_t *r)
{
    ngx_buf_t  *b;

    b = &r->upstream->buffer;

    return b->start && b->last == b->end;
}


/* a request of which no byte was sent had no effect */
static ngx_uint_t
ngx_b1c_outcome_sent(ngx_http_request_t *r)
{
    ngx_uint_t                  i;
    ngx_http_upstream_state_t  *state;

    state = r->upstream_states->elts;

    for (i = 0; i < r->upstream_states->nelts; i++) {
        if (state[i].bytes_sent > 0) {
            return 1;
        }
    }

    return 0;
}


/* nginx reports a cut answer as success: rc and status do not show it */
static ngx_uint_t
ngx_b1c_outcome_truncated(ngx_http_request_t *r)
{
    ngx_event_pipe_t     *p;
    ngx_http_upstream_t  *u;

    u = r->upstream;
    p = u->pipe;

    if (r->header_only || u->headers_in.status_n == NGX_HTTP_NO_CONTENT) {
        return 0;
    }

    if (u->buffering && p) {
        return !p->upstream_done && !(p->upstream_eof && p->length == -1);
    }

    return u->length != 0 && u->length != -1;
}


static ngx_uint_t
ngx_b1c_outcome_retry_after(ngx_http_request_t *r)
{
    ngx_int_t         n;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->upstream->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return 0;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == sizeof("Retry-After") - 1
            && ngx_strncasecmp(h[i].key.data, (u_char *) "Retry-After",
                               sizeof("Retry-After") - 1)
               == 0)
        {
            break;
        }
    }

    n = ngx_atoi(h[i].value.data, h[i].value.len);

    if (n == NGX_ERROR) {
        n = ngx_parse_http_time(h[i].value.data, h[i].value.len);
        n = (n == NGX_ERROR) ? 0 : n - ngx_time();
    }

    return n > 0 ? (ngx_uint_t) n : 0;
}

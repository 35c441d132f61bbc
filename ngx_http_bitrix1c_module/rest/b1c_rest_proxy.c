
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_bitrix.h"
#include "b1c_job.h"
#include "b1c_portal.h"
#include "b1c_http.h"
#include "b1c_delivery.h"


/*
 * Every try is a subrequest, because core cannot send a request twice, and
 * because the answer of a subrequest can be held back while the caller's
 * request stays unchanged.  It runs the location's content handler and no
 * phases: these have been applied to the caller's request.
 */


static ngx_int_t ngx_b1c_rest_proxy_try(ngx_b1c_rest_t *rest);
static ngx_int_t ngx_b1c_rest_proxy_closed(ngx_b1c_rest_t *rest);
static ngx_int_t ngx_b1c_rest_proxy_busy(ngx_b1c_rest_t *rest,
    ngx_msec_t wait);
static ngx_int_t ngx_b1c_rest_proxy_stop(ngx_b1c_rest_t *rest,
    ngx_uint_t status, const char *code, const char *text, ngx_msec_t wait);
static void ngx_b1c_rest_proxy_permit(ngx_b1c_permit_t *permit, ngx_int_t rc);
static ngx_int_t ngx_b1c_rest_proxy(ngx_b1c_rest_t *rest);
static void ngx_b1c_rest_proxy_content(ngx_http_request_t *sr);
static ngx_int_t ngx_b1c_rest_proxy_post(ngx_http_request_t *sr, void *data,
    ngx_int_t rc);
static void ngx_b1c_rest_proxy_woken(ngx_http_request_t *r);
static ngx_int_t ngx_b1c_rest_proxy_ended(ngx_b1c_rest_t *rest);
static ngx_int_t ngx_b1c_rest_proxy_end_passed(ngx_b1c_rest_t *rest);
static ngx_int_t ngx_b1c_rest_proxy_end_held(ngx_b1c_rest_t *rest);
static ngx_int_t ngx_b1c_rest_proxy_end_none(ngx_b1c_rest_t *rest);
static ngx_uint_t ngx_b1c_rest_proxy_again(ngx_b1c_rest_t *rest,
    ngx_msec_t delay);
static void ngx_b1c_rest_proxy_again_handler(ngx_event_t *ev);
static void ngx_b1c_rest_proxy_cleanup(void *data);


ngx_int_t
ngx_b1c_rest_proxy_start(ngx_b1c_rest_t *rest)
{
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;

    r = rest->request;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_b1c_rest_proxy_cleanup;
    cln->data = rest;

    rest->permit.portal = rest->portal;
    rest->permit.handler = ngx_b1c_rest_proxy_permit;
    rest->permit.data = rest;

    rest->again.handler = ngx_b1c_rest_proxy_again_handler;
    rest->again.data = rest;
    rest->again.log = r->connection->log;

    rest->post.handler = ngx_b1c_rest_proxy_post;
    rest->post.data = rest;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_b1c_rest_proxy_woken;

    return ngx_b1c_rest_proxy_try(rest);
}


/* the result of ngx_b1c_rest_proxy_start() */
static ngx_int_t
ngx_b1c_rest_proxy_try(ngx_b1c_rest_t *rest)
{
    ngx_int_t   rc;
    ngx_msec_t  gone;

    rc = ngx_b1c_rest_proxy_closed(rest);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    gone = ngx_current_msec - rest->arrived;

    rest->permit.max = rest->max_wait > gone ? rest->max_wait - gone : 0;

    if (ngx_b1c_portal_rate_take(&rest->permit) == NGX_OK) {
        return ngx_b1c_rest_proxy(rest);
    }

    /* otherwise a client that hangs up would not be noticed */

    if (ngx_handle_read_event(rest->request->connection->read, 0) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DONE;
}


/* refuses calls that the portal has stopped; NGX_DECLINED: it has not */
static ngx_int_t
ngx_b1c_rest_proxy_closed(ngx_b1c_rest_t *rest)
{
    ngx_msec_t  wait;

    wait = ngx_b1c_portal_stopped(rest->portal);

    if (wait) {
        return ngx_b1c_rest_proxy_stop(rest, NGX_HTTP_SERVICE_UNAVAILABLE,
                    "OVERLOAD_LIMIT",
                    "Bitrix24 has blocked the portal, calls are stopped for a "
                    "while", wait);
    }

    wait = ngx_b1c_portal_blocked(rest->portal, &rest->method);

    if (wait) {
        return ngx_b1c_rest_proxy_stop(rest, NGX_HTTP_TOO_MANY_REQUESTS,
                    "OPERATION_TIME_LIMIT",
                    "the method has used up its execution time at the portal",
                    wait);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_b1c_rest_proxy_busy(ngx_b1c_rest_t *rest, ngx_msec_t wait)
{
    return ngx_b1c_rest_proxy_stop(rest, NGX_HTTP_SERVICE_UNAVAILABLE,
                    "QUERY_LIMIT_EXCEEDED",
                    "too many calls of this portal: none is allowed within "
                    "bitrix1c_pace max_wait", wait);
}


static ngx_int_t
ngx_b1c_rest_proxy_stop(ngx_b1c_rest_t *rest, ngx_uint_t status,
    const char *code, const char *text, ngx_msec_t wait)
{
    ngx_b1c_error_t  error;

    ngx_memzero(&error, sizeof(ngx_b1c_error_t));

    error.status = status;
    error.code = code;
    error.text = text;
    error.retry_after = (wait + 999) / 1000;

    return ngx_b1c_error_send(rest->request, &error);
}


static void
ngx_b1c_rest_proxy_permit(ngx_b1c_permit_t *permit, ngx_int_t rc)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;
    ngx_b1c_rest_t      *rest;

    rest = permit->data;
    r = rest->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (rc == NGX_OK) {

        /* the portal may have been blocked while the call waited */

        rc = ngx_b1c_rest_proxy_closed(rest);

        if (rc == NGX_DECLINED) {
            rc = ngx_b1c_rest_proxy(rest);
        }

    } else {
        rc = ngx_b1c_rest_proxy_busy(rest, permit->wait);
    }

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_b1c_rest_proxy(ngx_b1c_rest_t *rest)
{
    ngx_http_request_t  *r, *sr;

    r = rest->request;

    ngx_memzero(&rest->outcome, sizeof(ngx_b1c_outcome_t));

    rest->state = NGX_B1C_REST_BEGIN;
    rest->rc = NGX_OK;
    rest->len = 0;
    rest->headed = 0;
    rest->cut = 0;
    rest->tries++;

    if (ngx_http_subrequest(r, &rest->uri, &rest->args, &sr, &rest->post,
                            NGX_HTTP_SUBREQUEST_WAITED)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rest->sr = sr;

    sr->method = r->method;
    sr->method_name = r->method_name;
    sr->header_in = r->header_in;

    /* the location of the caller's request, with "if" blocks and captures */

    sr->loc_conf = r->loc_conf;
    sr->valid_location = r->valid_location;

#if (NGX_PCRE)
    sr->ncaptures = r->ncaptures;
    sr->captures = r->captures;
    sr->captures_data = r->captures_data;
#endif

    ngx_http_update_location_config(sr);

    /* a block of "if" has no handler of its own, and leaves the location's */

    if (sr->content_handler == NULL) {
        sr->content_handler = r->content_handler;
    }

    /* proxy_next_upstream must not repeat a write by GET either */

    if (!ngx_b1c_rest_echo_reads((char *) rest->method.data,
                                 rest->method.len))
    {
        sr->method = NGX_HTTP_POST;
    }

    ngx_b1c_rest_door_pass(rest, sr);

    sr->write_event_handler = ngx_b1c_rest_proxy_content;

    /* $upstream_status and the like of the caller's request show every try */

    sr->upstream_states = r->upstream_states;

    return NGX_DONE;
}


static void
ngx_b1c_rest_proxy_content(ngx_http_request_t *sr)
{
    sr->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_finalize_request(sr, sr->content_handler(sr));
}


/* may be called twice, and only stores; "woken" does the rest */
static ngx_int_t
ngx_b1c_rest_proxy_post(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_b1c_rest_t *rest = data;

    if (!rest->outcome.done) {
        ngx_b1c_outcome_read(&rest->outcome, sr, rc);
        rest->rc = rc;
    }

    rest->request->upstream_states = sr->upstream_states;

    /* the caller has gone */

    if (rc == NGX_HTTP_CLIENT_CLOSED_REQUEST || sr->connection->error) {
        return rc;
    }

    /* an answer that broke while it was passed on cannot be replaced */

    if (rc == NGX_ERROR
        && rest->state == NGX_B1C_REST_PASSED)
    {
        return rc;
    }

    return NGX_OK;
}


static void
ngx_b1c_rest_proxy_woken(ngx_http_request_t *r)
{
    ngx_int_t        rc;
    ngx_b1c_ctx_t   *ctx;
    ngx_b1c_rest_t  *rest;

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);
    rest = ctx->rest;

    if (rest->sr == NULL || !rest->sr->done) {
        return;
    }

    rc = ngx_b1c_rest_proxy_ended(rest);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


/* NGX_DONE: there is another try; otherwise the code to finalize with */
static ngx_int_t
ngx_b1c_rest_proxy_ended(ngx_b1c_rest_t *rest)
{
    switch (rest->state) {

    case NGX_B1C_REST_PASSED:
        return ngx_b1c_rest_proxy_end_passed(rest);

    case NGX_B1C_REST_HELD:
        return ngx_b1c_rest_proxy_end_held(rest);

    default:
        return ngx_b1c_rest_proxy_end_none(rest);
    }
}


static ngx_int_t
ngx_b1c_rest_proxy_end_passed(ngx_b1c_rest_t *rest)
{
    ngx_http_request_t  *r;

    r = rest->request;

    ngx_b1c_rest_filter_learn(rest);
    ngx_b1c_rest_echo_end(rest, 1);
    ngx_b1c_rest_echo_failed(rest);

    /* as with plain proxy_pass, a cut answer must not look complete */

    if (rest->outcome.truncated) {
        r->keepalive = 0;
        return ngx_http_send_special(r, NGX_HTTP_FLUSH);
    }

    return ngx_http_send_special(r, NGX_HTTP_LAST);
}


static ngx_int_t
ngx_b1c_rest_proxy_end_held(ngx_b1c_rest_t *rest)
{
    char                 text[B1C_WARNING_MAX];
    ngx_buf_t           *b;
    ngx_msec_t           delay;
    ngx_chain_t          out;
    b1c_answer_t         answer;
    ngx_http_request_t  *r;

    r = rest->request;

    b1c_portal_answer_judge(&answer, rest->sr->headers_out.status,
                            (char *) rest->text, rest->len,
                            rest->outcome.truncated || rest->rc != NGX_OK);

    if (answer.kind == B1C_ANSWER_TRUNCATED) {
        return ngx_b1c_rest_proxy_end_none(rest);
    }

    delay = ngx_b1c_portal_feedback_learn(rest->portal, &rest->method, &answer,
                                          r->connection->log);

    if (answer.kind == B1C_ANSWER_QUERY_LIMIT
        && ngx_b1c_rest_proxy_again(rest, delay))
    {
        return NGX_DONE;
    }

    ngx_b1c_rest_echo_end(rest, answer.kind == B1C_ANSWER_OK);

    if (b1c_warning_answer((char *) rest->method.data, rest->method.len,
                           &answer, text)
        && ngx_b1c_rest_proxy_warn(rest, text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_b1c_redact_text(&rest->redact, rest->text, rest->len);

    b = ngx_calloc_buf(r->pool);

    if (b == NULL
        || ngx_b1c_rest_proxy_send_header(rest, (delay + 999) / 1000)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    b->pos = rest->text;
    b->last = rest->text + rest->len;
    b->memory = rest->len > 0;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/* no answer came, or none that can be passed to the caller */
static ngx_int_t
ngx_b1c_rest_proxy_end_none(ngx_b1c_rest_t *rest)
{
    ngx_uint_t           status;
    ngx_http_request_t  *r;
    ngx_b1c_error_t      error;

    r = rest->request;
    status = rest->sr->headers_out.status;

    ngx_memzero(&error, sizeof(ngx_b1c_error_t));

    error.status = NGX_HTTP_BAD_GATEWAY;

    if (rest->headed && status < NGX_HTTP_OK) {

        /* an answer that nginx takes for HTTP/0.9, or a 103 */

        error.code = "BITRIX1C_NO_ANSWER";
        error.text = "the portal's answer is not HTTP; it is unknown whether "
                     "the call was executed";

    } else if (rest->headed && status >= NGX_HTTP_SPECIAL_RESPONSE
               && status < NGX_HTTP_BAD_REQUEST
               && status != NGX_HTTP_NOT_MODIFIED)
    {
        error.code = "BITRIX1C_REDIRECT";
        error.text = "the portal redirected the call: proxy_pass must have "
                     "the address of the portal's REST, with https";

    } else if (rest->state == NGX_B1C_REST_DROPPED) {
        error.status = status >= NGX_HTTP_BAD_REQUEST ? status : error.status;
        error.code = "BITRIX1C_HTML";
        error.text = "the portal answered with an HTML page instead of JSON";

    } else if (rest->state == NGX_B1C_REST_HELD || rest->outcome.truncated) {
        error.code = "BITRIX1C_TRUNCATED";
        error.text = "the portal's answer was cut off; it is unknown whether "
                     "the call was executed";

    } else if (rest->headed && rest->rc == NGX_OK
               && status >= NGX_HTTP_BAD_REQUEST)
    {
        error.status = status;
        error.code = "BITRIX1C_NO_ANSWER";
        error.text = "the portal answered with an error and no text";

    } else if (rest->headed && rest->rc == NGX_OK) {

        /* a success without a body */

        if (ngx_b1c_rest_proxy_send_header(rest, 0) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_send_special(r, NGX_HTTP_LAST);

    } else if (rest->rc == NGX_HTTP_GATEWAY_TIME_OUT) {
        error.status = NGX_HTTP_GATEWAY_TIME_OUT;
        error.code = "BITRIX1C_TIMEOUT";
        error.text = "the portal did not answer in time; it is unknown "
                     "whether the call was executed";

    } else if (rest->sr->upstream && rest->sr->upstream->request_sent) {
        error.code = "BITRIX1C_NO_ANSWER";
        error.text = "the portal did not answer; it is unknown whether the "
                     "call was executed";

    } else {
        error.code = "BITRIX1C_NOT_REACHED";
        error.text = "the portal could not be reached, the call was not "
                     "executed";
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "bitrix1c answered instead of the portal: %s", error.text);

    ngx_b1c_rest_unknown_mark(rest, &error);

    return ngx_b1c_error_send(r, &error);
}


ngx_int_t
ngx_b1c_rest_proxy_send_header(ngx_b1c_rest_t *rest, ngx_uint_t retry_after)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r, *sr;
    ngx_b1c_ctx_t       *ctx;

    r = rest->request;
    sr = rest->sr;

    ngx_b1c_redact_headers(&rest->redact, &sr->headers_out);

    r->headers_out = sr->headers_out;

    /* an empty list would point to itself */

    if (r->headers_out.headers.last == &sr->headers_out.headers.part) {
        r->headers_out.headers.last = &r->headers_out.headers.part;
    }

    if (r->headers_out.trailers.last == &sr->headers_out.trailers.part) {
        r->headers_out.trailers.last = &r->headers_out.trailers.part;
    }

    if (ngx_b1c_answer_header(r, "Warning", &rest->warning)
        != NGX_OK
        || ngx_b1c_error_retry_after(r, retry_after) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the body of the subrequest would be sent even after a 304 */

    r->disable_not_modified = 1;

#if (NGX_HTTP_GZIP)

    /* "gunzip" would wait for a body of this request */

    if (r->headers_out.content_encoding) {
        r->gzip_tested = 1;
        r->gzip_ok = 1;
    }

#endif

    /* marks a possible 413 as the portal's */

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);
    ctx->answered = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    /* body filters are set up by now */

    sr->main_filter_need_in_memory = r->main_filter_need_in_memory;

    return NGX_OK;
}


ngx_int_t
ngx_b1c_rest_proxy_warn(ngx_b1c_rest_t *rest, const char *text)
{
    ngx_str_t  *warning;

    /* RFC 7234, 5.5: a miscellaneous persistent warning */

    warning = &rest->warning;

    warning->data = ngx_pnalloc(rest->request->pool,
                                sizeof("299 bitrix1c \"\"") + ngx_strlen(text));
    if (warning->data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    warning->len = ngx_sprintf(warning->data, "299 bitrix1c \"%s\"", text)
                   - warning->data;

    if (ngx_b1c_portal_news(rest->portal, warning)) {
        ngx_log_error(NGX_LOG_WARN, rest->request->connection->log, 0,
                      "bitrix1c found a mistake in a call, this is logged "
                      "once: %s",
                      text);
    }

    return NGX_OK;
}


/*
 * A call that was refused for the portal's limit was not executed, so it is
 * repeated as long as the caller may wait. 0: it is not repeated.
 */
static ngx_uint_t
ngx_b1c_rest_proxy_again(ngx_b1c_rest_t *rest, ngx_msec_t delay)
{
    ngx_connection_t  *c;

    c = rest->request->connection;

    delay = ngx_b1c_verdict_jitter(delay << ngx_min(rest->tries - 1, 4));

    if (ngx_current_msec - rest->arrived + delay > rest->max_wait
        || ngx_handle_read_event(c->read, 0) != NGX_OK)
    {
        return 0;
    }

    rest->sr = NULL;

    ngx_add_timer(&rest->again, delay);

    return 1;
}


static void
ngx_b1c_rest_proxy_again_handler(ngx_event_t *ev)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;
    ngx_b1c_rest_t      *rest;

    rest = ev->data;
    r = rest->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_b1c_rest_proxy_try(rest);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_b1c_rest_proxy_cleanup(void *data)
{
    ngx_b1c_rest_t *rest = data;

    ngx_b1c_portal_rate_leave(&rest->permit);

    if (rest->again.timer_set) {
        ngx_del_timer(&rest->again);
    }
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_webhook.h"
#include "b1c_delivery.h"
#include "b1c_core.h"
#include "b1c_bitrix.h"
#include "b1c_job.h"
#include "b1c_http.h"
#include "b1c_queue.h"


/* state while a body becomes an event */
typedef struct {
    ngx_http_request_t             *request;
    ngx_b1c_ctx_t                  *ctx;
    ngx_b1c_loc_conf_t             *lcf;
    ngx_b1c_job_t                  *job;
    b1c_type_t                      type;
    b1c_message_t                   message;
    b1c_event_t                     event;
    b1c_error_t                     error;
} ngx_b1c_intake_t;


static ngx_int_t ngx_b1c_webhook_subrequest(ngx_http_request_t *r,
    ngx_b1c_loc_conf_t *lcf);
static ngx_uint_t ngx_b1c_webhook_speaks(ngx_http_request_t *r,
    ngx_b1c_loc_conf_t *lcf);
static ngx_int_t ngx_b1c_webhook_simple(ngx_http_request_t *r,
    ngx_b1c_result_e result);
static void ngx_b1c_webhook_body(ngx_http_request_t *r);
static ngx_int_t ngx_b1c_webhook_intake(ngx_b1c_intake_t *in, ngx_str_t *body);
static ngx_int_t ngx_b1c_webhook_sender(ngx_b1c_intake_t *in,
    ngx_str_t *token);
static ngx_int_t ngx_b1c_webhook_trusted(ngx_b1c_intake_t *in);
static ngx_int_t ngx_b1c_webhook_event(ngx_b1c_intake_t *in);
static ngx_int_t ngx_b1c_webhook_job(ngx_b1c_intake_t *in);
static ngx_int_t ngx_b1c_webhook_identity(ngx_b1c_intake_t *in);
static ngx_int_t ngx_b1c_webhook_malformed(ngx_b1c_intake_t *in, b1c_rc_t rc);
static ngx_int_t ngx_b1c_webhook_forbidden(ngx_b1c_intake_t *in,
    const char *why);
static ngx_int_t ngx_b1c_webhook_reply(ngx_http_request_t *r,
    ngx_b1c_ctx_t *ctx, ngx_b1c_detail_t *detail);
static void ngx_b1c_webhook_answer(ngx_b1c_job_t *job);
static void ngx_b1c_webhook_finish(ngx_http_request_t *r, ngx_b1c_ctx_t *ctx);
static void ngx_b1c_webhook_wait_handler(ngx_event_t *ev);


ngx_int_t
ngx_b1c_webhook_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    b1c_type_t           type;
    ngx_b1c_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    if (r != r->main) {
        return ngx_b1c_webhook_subrequest(r, lcf);
    }

    if (lcf->webhook.route == NULL) {
        return NGX_DECLINED;
    }

    /* portals test whether the address answers before they subscribe */

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {

        if (!ngx_b1c_webhook_speaks(r, lcf)) {
            return ngx_b1c_webhook_simple(r, NGX_B1C_READY);
        }

        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "bitrix1c refused a request: GET with arguments; if it "
                      "is a robot, a redirect has replaced its POST: enter "
                      "the address that needs no redirect");

        return ngx_b1c_webhook_simple(r, NGX_B1C_NOT_ALLOWED);
    }

    if (r->method != NGX_HTTP_POST) {
        return ngx_b1c_webhook_simple(r, NGX_B1C_NOT_ALLOWED);
    }

    if (ngx_b1c_body_type(r, &type) != NGX_OK) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "bitrix1c refused a request: its content type is "
                      "neither a form nor JSON");
        return ngx_b1c_webhook_simple(r, NGX_B1C_UNSUPPORTED);
    }

    if (ngx_b1c_ctx_get(r) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_b1c_body_read(r, ngx_b1c_webhook_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


ngx_int_t
ngx_b1c_webhook_entry(ngx_http_request_t *r)
{
    ngx_b1c_ctx_t       *ctx;
    ngx_b1c_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    if (lcf->webhook.route == NULL) {
        return NGX_DECLINED;
    }

    if (r != r->main) {
        ctx = ngx_http_get_module_ctx(r->main, ngx_http_bitrix1c_module);

        if (ctx) {
            ctx->entered = 1;
        }

        return NGX_DECLINED;
    }

    ctx = ngx_b1c_ctx_get(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->uri = r->uri;

    /* before any other part of the location can log the token */

    if (lcf->webhook.token_arg.len
        && ngx_b1c_redact_arg(r, &lcf->webhook.token_arg, &ctx->token)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_b1c_webhook_subrequest(ngx_http_request_t *r, ngx_b1c_loc_conf_t *lcf)
{
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_bitrix1c_module);

    if (ctx && ctx->delivery) {

        /*
         * The configuration may now have another location for this address,
         * whose 200 would be taken for 1C's.
         */

        return (ctx->entered || ctx->job->route->portal)
               ? ngx_b1c_delivery_location(r) : NGX_HTTP_NOT_FOUND;
    }

    if (lcf->webhook.route == NULL) {
        return NGX_DECLINED;
    }

    /* a "mirror" or similar of another location would bypass the token */

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "bitrix1c refused a subrequest: it is not a delivery");

    return NGX_HTTP_FORBIDDEN;
}


/* whether the address has arguments other than the token */
static ngx_uint_t
ngx_b1c_webhook_speaks(ngx_http_request_t *r, ngx_b1c_loc_conf_t *lcf)
{
    u_char     *p, *last, *end;
    ngx_str_t  *secret;

    if (r->method != NGX_HTTP_GET) {
        return 0;
    }

    secret = &lcf->webhook.token_arg;
    last = r->args.data + r->args.len;

    for (p = r->args.data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');
        if (end == NULL) {
            end = last;
        }

        if (end > p
            && (secret->len == 0 || (size_t) (end - p) <= secret->len
                || p[secret->len] != '='
                || ngx_memcmp(p, secret->data, secret->len) != 0))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_b1c_webhook_simple(ngx_http_request_t *r, ngx_b1c_result_e result)
{
    ngx_int_t       rc;
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_b1c_ctx_get(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->result = result;

    rc = ngx_b1c_webhook_reply(r, ctx, NULL);

    /* a phase handler that has answered finalizes the request itself */

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


static void
ngx_b1c_webhook_body(ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_str_t         body;
    ngx_b1c_intake_t  in;

    ngx_memzero(&in, sizeof(ngx_b1c_intake_t));

    in.request = r;
    in.ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);
    in.lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    (void) ngx_b1c_body_type(r, &in.type);

    if (ngx_b1c_body_text(r, &body) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    rc = ngx_b1c_webhook_intake(&in, &body);

    b1c_event_free(&in.event);
    b1c_message_free(&in.message);

    /* NGX_DONE: the request is parked until Redis has answered */

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static ngx_int_t
ngx_b1c_webhook_intake(ngx_b1c_intake_t *in, ngx_str_t *body)
{
    ngx_str_t            token;
    b1c_rc_t             rc;
    b1c_input_t          input;
    b1c_limits_t         limits;
    ngx_http_request_t  *r;

    r = in->request;

    ngx_memzero(&input, sizeof(b1c_input_t));

    input.type = in->type;
    input.body = body->len ? (char *) body->data : "";
    input.len = body->len;
    input.args = (char *) r->args.data;
    input.args_len = r->args.len;
    input.charset = in->lcf->charset.len ? (char *) in->lcf->charset.data
                                         : NULL;
    input.secret = in->lcf->webhook.token_arg.len
                   ? (char *) in->lcf->webhook.token_arg.data : NULL;
    input.event_token = in->lcf->webhook.event_token;

    limits.pairs = in->lcf->webhook.pairs;
    limits.depth = in->lcf->webhook.depth;
    limits.key = in->lcf->webhook.key_len;

    rc = b1c_message_parse(&in->message, &input, &limits, &in->error);

    if (rc != B1C_OK) {
        return ngx_b1c_webhook_malformed(in, rc);
    }

    if (in->message.token) {
        token.data = (u_char *) in->message.token;
        token.len = ngx_strlen(token.data);

    } else {
        token = in->ctx->token;
    }

    if (token.data == NULL) {
        return ngx_b1c_webhook_forbidden(in,
                                        "it has no auth[application_token]");
    }

    if (ngx_b1c_webhook_sender(in, &token) != NGX_OK) {
        return ngx_b1c_webhook_forbidden(in,
                        "its token does not match those of this location and "
                        "portal");
    }

    return ngx_b1c_webhook_trusted(in);
}


/* what the token does not prove is not believed */
static ngx_int_t
ngx_b1c_webhook_sender(ngx_b1c_intake_t *in, ngx_str_t *token)
{
    ngx_str_t   member_id, domain;
    ngx_uint_t  proven;

    member_id.data = (u_char *) in->message.member_id;
    member_id.len = ngx_strlen(member_id.data);
    domain.data = (u_char *) in->message.domain;
    domain.len = ngx_strlen(domain.data);

    proven = ngx_b1c_token_check(in->lcf->webhook.tokens, token, &member_id,
                                 &domain);

    if (proven == NGX_B1C_TOKEN_CONTRADICTS) {
        ngx_log_error(NGX_LOG_WARN, in->request->connection->log, 0,
                      "bitrix1c found that the domain and the member_id of a "
                      "request have different tokens in "
                      "\"bitrix1c_token_file\": write one line "
                      "\"domain/member_id token\" if they are one portal");
        return NGX_DECLINED;
    }

    if (!(proven & NGX_B1C_TOKEN_MEMBER_ID)) {
        in->message.member_id = "";
    }

    if (!(proven & NGX_B1C_TOKEN_DOMAIN)) {
        in->message.domain = "";
    }

    return proven ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_b1c_webhook_trusted(ngx_b1c_intake_t *in)
{
    time_t               off;
    b1c_rc_t             brc;
    ngx_http_request_t  *r;
    ngx_b1c_job_t       *job;

    r = in->request;

    brc = b1c_event_build(&in->event, &in->message, &in->error);

    if (brc != B1C_OK) {
        return ngx_b1c_webhook_malformed(in, brc);
    }

    job = ngx_b1c_job_create(in->lcf->webhook.route->queue, ngx_cycle->log);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    in->job = job;

    if (ngx_b1c_park_add(r, in->ctx, job) != NGX_OK
        || ngx_b1c_job_event(job, &in->event) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (in->lcf->webhook.skew) {
        off = ngx_time() - (time_t) job->event.ts;

        if (job->event.ts == 0 || off > in->lcf->webhook.skew
            || -off > in->lcf->webhook.skew)
        {
            return ngx_b1c_webhook_forbidden(in,
                            "its ts differs from the time of this server by "
                            "more than bitrix1c_skew");
        }
    }

    if ((in->lcf->webhook.events
         && !ngx_b1c_conf_matches(in->lcf->webhook.events, &job->event.name))
        || (in->lcf->webhook.echo && in->event.kind != B1C_COMMAND
            && ngx_b1c_echo_known(&job->event, in->lcf->webhook.echo)))
    {
        in->ctx->result = NGX_B1C_IGNORED;
        return ngx_b1c_webhook_reply(r, in->ctx, NULL);
    }

    return ngx_b1c_webhook_event(in);
}


static ngx_int_t
ngx_b1c_webhook_event(ngx_b1c_intake_t *in)
{
    char                      *tail;
    size_t                     len;
    ngx_int_t                  rc;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = in->request;

    tail = b1c_event_json(&in->event, ngx_time(), &len);
    if (tail == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* the delivery would be refused by this location */

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->client_max_body_size
        && clcf->client_max_body_size
           < (off_t) (len + sizeof("{\"id\":\"\"") - 1
                      + NGX_B1C_HASH_LEN))
    {
        free(tail);

        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "bitrix1c refused a request: its JSON is larger than "
                      "client_max_body_size");

        in->ctx->result = NGX_B1C_TOO_LARGE;
        return ngx_b1c_webhook_reply(r, in->ctx, NULL);
    }

    rc = ngx_b1c_job_record(in->job, &in->lcf->webhook.route->cscf->server_name,
                            &in->ctx->uri, (u_char *) tail, len);
    free(tail);

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_b1c_webhook_job(in);
}


static ngx_int_t
ngx_b1c_webhook_job(ngx_b1c_intake_t *in)
{
    int64_t         since;
    ngx_b1c_job_t  *job;

    job = in->job;

    job->route = in->lcf->webhook.route;

    if (in->event.kind != B1C_STATE) {
        job->identity.once = 1;

    } else if (in->lcf->webhook.once) {
        job->identity.once = ngx_b1c_conf_matches(in->lcf->webhook.once,
                                                  &job->event.name) != 0;
    } else {
        job->identity.once =
                      b1c_entity_once(in->event.event, in->event.id) != 0;
    }

    /*
     * ts has whole seconds of the portal's clock.  Only a delivery that began
     * after that second, and after the allowed difference of the clocks, has
     * surely seen the change.  Without a ts no delivery has surely seen it.
     */

    since = job->event.ts
            ? (job->event.ts + 1) * 1000 + (int64_t) job->queue->margin
            : (int64_t) 1 << 52;

    if (ngx_b1c_job_number(job, since, &job->lease.since) != NGX_OK
        || ngx_b1c_webhook_identity(in) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_b1c_park_accept(in->request, job, ngx_b1c_webhook_answer);

    return NGX_DONE;
}


static ngx_int_t
ngx_b1c_webhook_identity(ngx_b1c_intake_t *in)
{
    ngx_str_t  key, lane;

    ngx_str_null(&key);
    ngx_str_null(&lane);

    /* with one key for two commands the second one would be lost */

    if (in->lcf->webhook.key && in->event.kind != B1C_COMMAND
        && ngx_http_complex_value(in->request, in->lcf->webhook.key, &key)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (in->lcf->lane
        && ngx_http_complex_value(in->request, in->lcf->lane, &lane)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_b1c_job_identity(in->job, &key, &lane);
}


static ngx_int_t
ngx_b1c_webhook_malformed(ngx_b1c_intake_t *in, b1c_rc_t rc)
{
    ngx_b1c_detail_t  detail;

    if (rc == B1C_NOMEM) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_log_error(NGX_LOG_INFO, in->request->connection->log, 0,
                  "bitrix1c refused a request: %s at byte %uz",
                  in->error.what, in->error.where);

    ngx_memzero(&detail, sizeof(ngx_b1c_detail_t));

    detail.error.data = (u_char *) in->error.what;
    detail.error.len = ngx_strlen(in->error.what);
    detail.where = in->error.where;

    in->ctx->result = NGX_B1C_MALFORMED;

    return ngx_b1c_webhook_reply(in->request, in->ctx, &detail);
}


/* the sender does not learn the reason, so that tokens cannot be guessed */
static ngx_int_t
ngx_b1c_webhook_forbidden(ngx_b1c_intake_t *in, const char *why)
{
    ngx_log_error(NGX_LOG_INFO, in->request->connection->log, 0,
                  "bitrix1c refused a request: %s", why);

    in->ctx->result = NGX_B1C_FORBIDDEN;

    return ngx_b1c_webhook_reply(in->request, in->ctx, NULL);
}


/* every answer is counted, whatever its result */
static ngx_int_t
ngx_b1c_webhook_reply(ngx_http_request_t *r, ngx_b1c_ctx_t *ctx,
    ngx_b1c_detail_t *detail)
{
    ngx_b1c_report_answer(r, ctx->result);

    return ngx_b1c_answer_result(r, ctx, detail);
}


static void
ngx_b1c_webhook_answer(ngx_b1c_job_t *job)
{
    ngx_http_request_t  *r;
    ngx_b1c_ctx_t       *ctx;
    ngx_b1c_loc_conf_t  *lcf;

    /* the client may have gone */

    ngx_b1c_report_taken(job->queue, job->result);

    r = job->request;

    if (r == NULL) {
        return;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);

    if (ctx->result == NGX_B1C_NONE) {
        ctx->result = job->result;

        lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

        if (lcf->webhook.wait && job->result == NGX_B1C_ACCEPTED) {

            /* the job answers again after 1C's answer */

            if (!job->lease.slot) {
                ngx_b1c_queue_wait(job);
            }

            ctx->wait.handler = ngx_b1c_webhook_wait_handler;
            ctx->wait.data = r;
            ctx->wait.log = r->connection->log;

            ngx_add_timer(&ctx->wait, lcf->webhook.wait);
            return;
        }
    }

    ngx_b1c_webhook_finish(r, ctx);
}


static void
ngx_b1c_webhook_wait_handler(ngx_event_t *ev)
{
    ngx_http_request_t  *r;
    ngx_b1c_ctx_t       *ctx;

    r = ev->data;
    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);

    ngx_b1c_webhook_finish(r, ctx);
}


static void
ngx_b1c_webhook_finish(ngx_http_request_t *r, ngx_b1c_ctx_t *ctx)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;
    ngx_b1c_job_t     *job;
    ngx_b1c_detail_t   detail;

    c = r->connection;
    job = ctx->job;

    ngx_b1c_park_remove(ctx);

    ngx_memzero(&detail, sizeof(ngx_b1c_detail_t));

    if (ctx->result != NGX_B1C_UNAVAILABLE) {
        detail.id = job->id;
    }

    if (job->attempt.outcome.done) {
        detail.status = job->attempt.outcome.status;
    }

    ngx_http_set_log_request(c->log, r);

    if (ctx->result == NGX_B1C_UNAVAILABLE) {
        ngx_b1c_report_unavailable(job, c->log);
    }

    rc = ngx_b1c_webhook_reply(r, ctx, &detail);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_core.h"
#include "b1c_bitrix.h"
#include "b1c_job.h"
#include "b1c_portal.h"
#include "b1c_delivery.h"


/* ms until the next call to a portal that refuses calls */
#define NGX_B1C_LIMITED     1000

/* ms until a method that the webhook may not call is tried again */
#define NGX_B1C_DENIED      10000

#define NGX_B1C_BAD_CREDENTIALS                                           \
    "Bitrix does not know the webhook, check proxy_pass"


static void ngx_b1c_call_verdict_whole(ngx_b1c_job_t *carrier,
    b1c_reply_t *whole);
static void ngx_b1c_call_verdict_one(ngx_b1c_job_t *carrier, ngx_uint_t i,
    b1c_reply_t *whole, b1c_reply_t *reply);
static void ngx_b1c_call_verdict_single(b1c_reply_t *reply,
    ngx_b1c_outcome_t *o);
static ngx_uint_t ngx_b1c_call_verdict_bad_credentials(b1c_answer_t *answer,
    ngx_uint_t status);
static ngx_b1c_health_e ngx_b1c_call_verdict_health(ngx_b1c_job_t *carrier,
    b1c_answer_t *answer);
static void ngx_b1c_call_verdict_call(ngx_b1c_job_t *job,
    ngx_b1c_job_t *carrier, b1c_reply_t *reply);
static void ngx_b1c_call_verdict_denied(ngx_b1c_job_t *job,
    ngx_b1c_job_t *carrier, b1c_reply_t *reply);
static void ngx_b1c_call_verdict_missing(ngx_b1c_job_t *job,
    b1c_reply_t *reply, ngx_msec_t wait);
static size_t ngx_b1c_call_verdict_right(ngx_str_t *method);
static void ngx_b1c_call_verdict_retry(ngx_b1c_job_t *job, const char *what,
    b1c_reply_t *reply, ngx_msec_t free_retry);
static void ngx_b1c_call_verdict_unknown(ngx_b1c_job_t *job,
    ngx_b1c_job_t *carrier, const char *what, b1c_reply_t *reply);
static ngx_uint_t ngx_b1c_call_verdict_idempotent(ngx_b1c_job_t *job);
static void ngx_b1c_call_verdict_reason(ngx_b1c_job_t *job, const char *what,
    b1c_reply_t *reply);


void
ngx_b1c_call_verdict_name(ngx_uint_t i, char name[4])
{
    *ngx_sprintf((u_char *) name, "c%ui", i) = '\0';
}


void
ngx_b1c_call_verdict_set(ngx_b1c_job_t *carrier)
{
    ngx_uint_t             i;
    b1c_reply_t            whole, reply;
    ngx_b1c_job_t         *job;
    ngx_b1c_call_batch_t  *batch;
    ngx_b1c_outcome_t     *o;
    ngx_b1c_breaker_e      breaker;

    o = &carrier->attempt.outcome;
    batch = ngx_b1c_call(carrier)->batch;

    ngx_b1c_call_verdict_whole(carrier, &whole);

    breaker = ngx_b1c_verdict_breaker(carrier);

    for (i = 0; i < batch->n; i++) {
        job = batch->jobs[i];

        if (job == NULL) {
            continue;
        }

        job->attempt.outcome.status = o->status;
        job->attempt.outcome.seconds = o->seconds;
        job->attempt.outcome.sent = o->sent;
        job->attempt.outcome.ours = o->ours;
        job->attempt.outcome.done = 1;

        ngx_b1c_call_verdict_one(carrier, i, &whole, &reply);
        ngx_b1c_verdict_spend(job, breaker);

        if (job->result != NGX_B1C_RETRY && job->result != NGX_B1C_NONE) {
            ngx_b1c_call_result_text(job, &reply);
        }
    }
}


/* the answer to the request as a whole */
static void
ngx_b1c_call_verdict_whole(ngx_b1c_job_t *carrier, b1c_reply_t *whole)
{
    ngx_b1c_outcome_t  *o;

    o = &carrier->attempt.outcome;

    ngx_memzero(whole, sizeof(b1c_reply_t));

    whole->answer.kind = B1C_ANSWER_NONE;

    if (!o->ours && o->status) {
        b1c_portal_answer_judge(&whole->answer, o->status, (char *) o->answer,
                                o->len, o->truncated || o->len == o->max);
    }

    if (whole->answer.kind == B1C_ANSWER_TRUNCATED
        && o->tail_len && !o->truncated)
    {
        b1c_portal_answer_tail(&whole->answer, (char *) o->answer, o->len,
                               (char *) o->tail, o->tail_len);
        whole->too_large = 1;

    } else if (whole->answer.kind <= B1C_ANSWER_OVERLOAD) {
        ngx_b1c_call_verdict_single(whole, o);
    }

    (void) ngx_b1c_portal_feedback_learn(carrier->route->portal,
                                         &carrier->event.name, &whole->answer,
                                         carrier->log);

    carrier->attempt.health = ngx_b1c_call_verdict_health(carrier,
                                                          &whole->answer);
    carrier->attempt.delay = carrier->route->portal->overload;

    ngx_b1c_call_verdict_reason(carrier,
                                carrier->attempt.health
                                == NGX_B1C_HEALTH_MISCONFIGURED
                                ? NGX_B1C_BAD_CREDENTIALS
                                : "Bitrix failed", whole);
}


static void
ngx_b1c_call_verdict_one(ngx_b1c_job_t *carrier, ngx_uint_t i,
    b1c_reply_t *whole, b1c_reply_t *reply)
{
    char                name[4];
    ngx_b1c_job_t      *job;
    ngx_b1c_outcome_t  *o;

    o = &carrier->attempt.outcome;
    job = ngx_b1c_call(carrier)->batch->jobs[i];

    *reply = *whole;

    if (carrier->attempt.health == NGX_B1C_HEALTH_MISCONFIGURED) {
        ngx_b1c_call_verdict_retry(job, NGX_B1C_BAD_CREDENTIALS, reply, 0);
        return;
    }

    if (ngx_b1c_call(carrier)->batch->n > 1) {

        if (whole->answer.kind == B1C_ANSWER_OK) {
            ngx_b1c_call_verdict_name(i, name);

            if (whole->too_large) {
                b1c_batch_tail(reply, (char *) o->tail, o->tail_len, name);

            } else {
                b1c_batch_reply(reply, (char *) o->answer, o->len, name);
            }

            (void) ngx_b1c_portal_feedback_learn(carrier->route->portal,
                                                 &job->event.name,
                                                 &reply->answer, carrier->log);

            if (reply->answer.kind == B1C_ANSWER_NO_BATCH) {
                ngx_b1c_call(job)->alone = 1;
                return;
            }

        } else if (o->status < 500
                   && whole->answer.kind >= B1C_ANSWER_ERROR
                   && whole->answer.kind <= B1C_ANSWER_NO_BATCH)
        {
            /* this says nothing about this call, and no call was executed */

            ngx_b1c_call(job)->alone = 1;
            return;
        }
    }

    if (reply->answer.duration && reply->answer.kind == B1C_ANSWER_OK) {
        ngx_b1c_portal_took(carrier->route->portal, &job->event.name,
                            reply->answer.duration);
    }

    ngx_b1c_call_verdict_call(job, carrier, reply);
}


static void
ngx_b1c_call_verdict_single(b1c_reply_t *reply, ngx_b1c_outcome_t *o)
{
    b1c_span_t  answer;

    answer = b1c_json_scan_value((char *) o->answer, o->len);

    reply->result = b1c_json_scan_find(answer, "result");
    reply->description = b1c_json_scan_find(answer, "error_description");

    if (reply->description.start == NULL) {

        /* REST 3.0 */

        reply->description = b1c_json_scan_find(
                                 b1c_json_scan_find(answer, "error"),
                                 "message");
    }
}


/* the webhook is wrong or was deleted: every call of it would fail */
static ngx_uint_t
ngx_b1c_call_verdict_bad_credentials(b1c_answer_t *answer, ngx_uint_t status)
{
    ngx_uint_t  i;

    static const char *const  codes[] = {
        "NO_AUTH_FOUND", "INVALID_CREDENTIALS", "expired_token",
        "invalid_token", "ACCESS_DENIED", "PORTAL_DELETED"
    };

    if (answer->kind != B1C_ANSWER_ERROR) {
        return 0;
    }

    if (status == NGX_HTTP_UNAUTHORIZED) {
        return 1;
    }

    for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (ngx_strcmp(answer->code, codes[i]) == 0) {
            return 1;
        }
    }

    return 0;
}


static ngx_b1c_health_e
ngx_b1c_call_verdict_health(ngx_b1c_job_t *carrier, b1c_answer_t *answer)
{
    if (carrier->attempt.outcome.ours) {
        return NGX_B1C_HEALTH_UNKNOWN;
    }

    if (ngx_b1c_call_verdict_bad_credentials(answer,
                                             carrier->attempt.outcome.status))
    {
        return NGX_B1C_HEALTH_MISCONFIGURED;
    }

    switch (answer->kind) {

    case B1C_ANSWER_OVERLOAD:
        return NGX_B1C_HEALTH_MAINTENANCE;

    case B1C_ANSWER_QUERY_LIMIT:
        return NGX_B1C_HEALTH_UNKNOWN;

    case B1C_ANSWER_OK:
    case B1C_ANSWER_NO_METHOD:
    case B1C_ANSWER_NO_RIGHT:
    case B1C_ANSWER_NO_BATCH:
    case B1C_ANSWER_OPERATION:
        return NGX_B1C_HEALTH_OK;

    case B1C_ANSWER_ERROR:
        return carrier->attempt.outcome.status < 500 ? NGX_B1C_HEALTH_OK
                                                     : NGX_B1C_HEALTH_FAILING;

    default:
        return NGX_B1C_HEALTH_FAILING;
    }
}


static void
ngx_b1c_call_verdict_call(ngx_b1c_job_t *job, ngx_b1c_job_t *carrier,
    b1c_reply_t *reply)
{
    ngx_msec_t  wait;

    if (carrier->attempt.outcome.ours) {
        ngx_b1c_call_verdict_retry(job, carrier->attempt.outcome.status
                         ? "nginx itself answered, proxy_pass was not reached"
                         : "nginx could not send the call", NULL, 0);
        return;
    }

    switch (reply->answer.kind) {

    case B1C_ANSWER_OK:
        job->result = NGX_B1C_DELIVERED;

        (void) ngx_b1c_portal_deny(carrier->route->portal, &job->event.name,
                                   0);

        /* its event comes now */

        ngx_b1c_echo_mark(&job->event);
        return;

    case B1C_ANSWER_QUERY_LIMIT:
        ngx_b1c_echo_forget(&job->event);
        ngx_b1c_call_verdict_retry(job, "Bitrix limits the rate of requests",
                                   reply, NGX_B1C_LIMITED);
        return;

    case B1C_ANSWER_OPERATION:
        ngx_b1c_echo_forget(&job->event);

        /* the rate limiter has the time of the stop */

        wait = ngx_b1c_portal_blocked(carrier->route->portal,
                                      &job->event.name);

        ngx_b1c_call_verdict_retry(job, "the method has used up its execution "
                                        "time",
                                   reply,
                                   wait ? wait : NGX_B1C_LIMITED);
        return;

    case B1C_ANSWER_OVERLOAD:
        ngx_b1c_echo_forget(&job->event);
        ngx_b1c_call_verdict_retry(job, "Bitrix has blocked this address, ask "
                                        "its support", reply,
                                   carrier->attempt.delay);
        return;

    case B1C_ANSWER_ERROR:
        if (carrier->attempt.outcome.status >= 500) {
            ngx_b1c_call_verdict_unknown(job, carrier, "Bitrix failed", reply);
            return;
        }

        /* fall through */

    case B1C_ANSWER_NO_BATCH:
        ngx_b1c_echo_forget(&job->event);

        job->result = NGX_B1C_DEAD;
        ngx_b1c_call_verdict_reason(job, "Bitrix refused the call", reply);
        return;

    case B1C_ANSWER_NO_METHOD:
    case B1C_ANSWER_NO_RIGHT:
        ngx_b1c_echo_forget(&job->event);
        ngx_b1c_call_verdict_denied(job, carrier, reply);
        return;

    case B1C_ANSWER_TRUNCATED:
        ngx_b1c_call_verdict_unknown(job, carrier, "Bitrix's answer was cut "
                                                   "off", NULL);
        return;

    case B1C_ANSWER_FOREIGN:
        ngx_b1c_call_verdict_unknown(job, carrier, "the answer is not one of "
                                                   "Bitrix's REST", NULL);
        return;

    default: /* B1C_ANSWER_NONE */
        ngx_b1c_call_verdict_unknown(job, carrier, "Bitrix did not answer",
                                     NULL);
        return;
    }
}


/*
 * Bitrix answers both if the webhook lacks a right.  Nothing was executed, and
 * the calls are good as soon as the right is given.
 */
static void
ngx_b1c_call_verdict_denied(ngx_b1c_job_t *job, ngx_b1c_job_t *carrier,
    b1c_reply_t *reply)
{
    ngx_str_t         *method;
    ngx_b1c_portal_t  *portal;

    portal = carrier->route->portal;
    method = &job->event.name;

    if (ngx_b1c_portal_deny(portal, method, NGX_B1C_DENIED)) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "bitrix1c_rest: the portal \"%V\" answered %s to %V: "
                      "its kept calls wait until the webhook has the right "
                      "\"%*s\", give it to the webhook in Bitrix",
                      &portal->name, reply->answer.code, method,
                      ngx_b1c_call_verdict_right(method), method->data);
    }

    ngx_b1c_call_verdict_missing(job, reply, NGX_B1C_DENIED);
}


static void
ngx_b1c_call_verdict_missing(ngx_b1c_job_t *job, b1c_reply_t *reply,
    ngx_msec_t wait)
{
    u_char  *text, *last;

    text = ngx_pnalloc(job->pool, B1C_METHOD_MAX + 128);

    if (text) {
        last = ngx_snprintf(text, B1C_METHOD_MAX + 127, "the webhook lacks "
                            "the right \"%*s\", give it to the webhook in "
                            "Bitrix",
                            ngx_b1c_call_verdict_right(&job->event.name),
                            job->event.name.data);
        *last = '\0';
    }

    ngx_b1c_call_verdict_retry(job, text ? (char *) text
                                         : "the webhook lacks a right",
                               reply, wait);
}


/* length of the right's name, with which the method's begins */
static size_t
ngx_b1c_call_verdict_right(ngx_str_t *method)
{
    size_t  n;

    for (n = 0; n < method->len && method->data[n] != '.'; n++) { /* void */ }

    return n;
}


/* ms: it costs no attempt; 0: by the schedule of the queue */
static void
ngx_b1c_call_verdict_retry(ngx_b1c_job_t *job, const char *what,
    b1c_reply_t *reply, ngx_msec_t free_retry)
{
    job->result = NGX_B1C_RETRY;

    ngx_b1c_call_verdict_reason(job, what, reply);

    if (free_retry) {
        job->attempt.free_retry = 1;
        job->attempt.delay = ngx_b1c_verdict_jitter(free_retry);
        return;
    }

    job->attempt.delay = ngx_b1c_verdict_delay(job);
}


/*
 * Bitrix's old methods accept no idempotency key: a repeated "add" that may
 * have been executed would sell, book or ship twice.
 */
static void
ngx_b1c_call_verdict_unknown(ngx_b1c_job_t *job, ngx_b1c_job_t *carrier,
    const char *what, b1c_reply_t *reply)
{
    if (!carrier->attempt.outcome.sent
        || ngx_b1c_call_verdict_idempotent(job))
    {
        ngx_b1c_call_verdict_retry(job, what, reply, 0);
        return;
    }

    job->result = NGX_B1C_DEAD;

    ngx_b1c_call_verdict_reason(job, "outcome unknown, check in Bitrix before "
                                     "you send it again", reply);
}


void
ngx_b1c_call_verdict_before(ngx_b1c_job_t *job)
{
    ngx_msec_t         wait;
    ngx_b1c_portal_t  *portal;

    job->route = ngx_b1c_route_call(job);

    if (job->lease.lost_leases && !ngx_b1c_call_verdict_idempotent(job)) {
        ngx_b1c_verdict_poison(job, "outcome unknown, its worker died during "
                                    "the call: check in Bitrix before you "
                                    "send it again");
        return;
    }

    if (job->route == NULL) {
        ngx_b1c_call_verdict_retry(job, "the call's server has no location "
                                        "with bitrix1c_rest any more",
                                        NULL, 0);
        ngx_b1c_verdict_no_location(job);
        return;
    }

    portal = job->route->portal;
    wait = ngx_b1c_portal_stopped(portal);

    if (wait) {
        ngx_b1c_call_verdict_retry(job, "Bitrix has blocked this address, ask "
                                        "its support", NULL, wait);
        return;
    }

    wait = ngx_b1c_portal_blocked(portal, &job->event.name);

    if (wait) {
        ngx_b1c_call_verdict_retry(job, "the method has used up its execution "
                                        "time",
                                   NULL, wait);
        return;
    }

    wait = ngx_b1c_portal_denied(portal, &job->event.name);

    if (wait) {
        ngx_b1c_call_verdict_missing(job, NULL, wait);
    }
}


void
ngx_b1c_call_verdict_busy(ngx_b1c_call_batch_t *batch)
{
    ngx_uint_t  i;

    for (i = 0; i < batch->n; i++) {
        if (batch->jobs[i]) {
            ngx_b1c_call_verdict_retry(batch->jobs[i], "Bitrix accepts no "
                                                       "more requests for now",
                                                       NULL,
                                   ngx_max(batch->carrier->attempt.delay,
                                           NGX_B1C_LIMITED));
        }
    }
}


void
ngx_b1c_call_verdict_leave(ngx_b1c_call_batch_t *batch)
{
    ngx_uint_t      i;
    ngx_b1c_job_t  *job;

    for (i = 0; i < batch->n; i++) {
        job = batch->jobs[i];

        if (job == NULL) {
            continue;
        }

        if (batch->carrier->attempt.connection == NULL
            || ngx_b1c_call_verdict_idempotent(job))
        {
            ngx_b1c_call_verdict_retry(job, "the worker had to exit", NULL,
                                       1);
            continue;
        }

        job->result = NGX_B1C_DEAD;

        ngx_b1c_call_verdict_reason(job, "outcome unknown, the worker had to "
                                         "exit during the call: check in "
                                         "Bitrix before you send it again",
                                         NULL);
    }
}


void
ngx_b1c_call_verdict_short(ngx_b1c_job_t *job)
{
    ngx_b1c_call_verdict_retry(job, "Redis lacks the replicas that \"wait\" "
                                    "requires", NULL,
                               NGX_B1C_LIMITED);
}


void
ngx_b1c_call_verdict_unsent(ngx_b1c_job_t *job)
{
    ngx_b1c_call_verdict_retry(job, "nginx could not send the call", NULL,
                               NGX_B1C_LIMITED);
}


static ngx_uint_t
ngx_b1c_call_verdict_idempotent(ngx_b1c_job_t *job)
{
    ngx_b1c_loc_conf_t  *lcf;

    if (job->route == NULL) {
        return 0;
    }

    lcf = job->route->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];

    return ngx_b1c_conf_matches(lcf->rest.idempotent, &job->event.name);
}


static void
ngx_b1c_call_verdict_reason(ngx_b1c_job_t *job, const char *what,
    b1c_reply_t *reply)
{
    char       text[B1C_CODE_MAX + 256];
    size_t     n;
    ngx_str_t  answer;

    ngx_str_null(&answer);

    if (reply && reply->answer.code[0]) {
        n = ngx_strlen(reply->answer.code);

        ngx_memcpy(text, reply->answer.code, n);
        text[n++] = ' ';

        b1c_json_scan_text(reply->description, text + n, sizeof(text) - n);

        answer.data = (u_char *) text;
        answer.len = ngx_strlen(text);
    }

    ngx_b1c_verdict_reason(job, what, &answer);
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_judge.h"
#include "ngx_http_bitrix1c_conf.h"
#include "ngx_http_bitrix1c_echo.h"
#include "ngx_http_bitrix1c_learn.h"
#include "ngx_http_bitrix1c_reason.h"
#include "ngx_http_bitrix1c_result.h"
#include "ngx_http_bitrix1c_route.h"
#include "ngx_http_bitrix1c_verdict.h"


/* ms until a portal that wants to be left alone is asked again */
#define NGX_HTTP_BITRIX1C_LIMITED     1000

#define NGX_HTTP_BITRIX1C_STRANGER                                           \
    "Bitrix does not know the webhook, see proxy_pass"


static void ngx_http_bitrix1c_judge_whole(ngx_http_bitrix1c_job_t *carrier,
    bitrix_reply_t *whole);
static void ngx_http_bitrix1c_judge_one(ngx_http_bitrix1c_job_t *carrier,
    ngx_uint_t i, bitrix_reply_t *whole, bitrix_reply_t *reply);
static void ngx_http_bitrix1c_judge_single(bitrix_reply_t *reply,
    ngx_http_bitrix1c_outcome_t *o);
static ngx_uint_t ngx_http_bitrix1c_judge_stranger(bitrix_answer_t *answer,
    ngx_uint_t status);
static ngx_http_bitrix1c_health_e ngx_http_bitrix1c_judge_health(
    ngx_http_bitrix1c_job_t *carrier, bitrix_answer_t *answer);
static void ngx_http_bitrix1c_judge_call(ngx_http_bitrix1c_job_t *job,
    ngx_http_bitrix1c_job_t *carrier, bitrix_reply_t *reply);
static void ngx_http_bitrix1c_judge_again(ngx_http_bitrix1c_job_t *job,
    const char *what, bitrix_reply_t *reply, ngx_msec_t spared);
static void ngx_http_bitrix1c_judge_unknown(ngx_http_bitrix1c_job_t *job,
    ngx_http_bitrix1c_job_t *carrier, const char *what,
    bitrix_reply_t *reply);
static ngx_uint_t ngx_http_bitrix1c_judge_repeatable(
    ngx_http_bitrix1c_job_t *job);
static void ngx_http_bitrix1c_judge_reason(ngx_http_bitrix1c_job_t *job,
    const char *what, bitrix_reply_t *reply);


void
ngx_http_bitrix1c_judge_name(ngx_uint_t i, char name[4])
{
    *ngx_sprintf((u_char *) name, "c%ui", i) = '\0';
}


void
ngx_http_bitrix1c_judge(ngx_http_bitrix1c_job_t *carrier)
{
    ngx_uint_t                    i;
    bitrix_reply_t                whole, reply;
    ngx_http_bitrix1c_job_t      *job;
    ngx_http_bitrix1c_pack_t     *pack;
    ngx_http_bitrix1c_outcome_t  *o;
    ngx_http_bitrix1c_breaker_e   breaker;

    o = &carrier->outcome;
    pack = carrier->pack;

    ngx_http_bitrix1c_judge_whole(carrier, &whole);

    breaker = ngx_http_bitrix1c_verdict_breaker(carrier);

    for (i = 0; i < pack->n; i++) {
        job = pack->jobs[i];

        if (job == NULL) {
            continue;
        }

        job->outcome.status = o->status;
        job->outcome.seconds = o->seconds;
        job->outcome.sent = o->sent;
        job->outcome.ours = o->ours;
        job->outcome.done = 1;

        ngx_http_bitrix1c_judge_one(carrier, i, &whole, &reply);
        ngx_http_bitrix1c_verdict_spend(job, breaker);

        if (job->result != NGX_HTTP_BITRIX1C_RETRY) {
            ngx_http_bitrix1c_result_text(job, &reply);
        }
    }
}


/* the answer to the request, whatever became of the calls in it */
static void
ngx_http_bitrix1c_judge_whole(ngx_http_bitrix1c_job_t *carrier,
    bitrix_reply_t *whole)
{
    ngx_http_bitrix1c_outcome_t  *o;

    o = &carrier->outcome;

    ngx_memzero(whole, sizeof(bitrix_reply_t));

    whole->answer.kind = BITRIX_ANSWER_NONE;

    if (!o->ours && o->status) {
        bitrix_answer_judge(&whole->answer, o->status, (char *) o->answer,
                            o->len, o->truncated || o->len == o->max);
    }

    if (whole->answer.kind <= BITRIX_ANSWER_OVERLOAD) {
        ngx_http_bitrix1c_judge_single(whole, o);
    }

    (void) ngx_http_bitrix1c_learn(carrier->route->portal,
                                   &carrier->event.name, &whole->answer,
                                   carrier->log);

    carrier->health = ngx_http_bitrix1c_judge_health(carrier, &whole->answer);
    carrier->delay = carrier->route->portal->overload;

    ngx_http_bitrix1c_judge_reason(carrier,
                                   carrier->health == NGX_HTTP_BITRIX1C_WRONG
                                   ? NGX_HTTP_BITRIX1C_STRANGER
                                   : "Bitrix failed", whole);
}


static void
ngx_http_bitrix1c_judge_one(ngx_http_bitrix1c_job_t *carrier, ngx_uint_t i,
    bitrix_reply_t *whole, bitrix_reply_t *reply)
{
    char                          name[4];
    ngx_http_bitrix1c_job_t      *job;
    ngx_http_bitrix1c_outcome_t  *o;

    o = &carrier->outcome;
    job = carrier->pack->jobs[i];

    *reply = *whole;

    if (carrier->health == NGX_HTTP_BITRIX1C_WRONG) {
        ngx_http_bitrix1c_judge_again(job, NGX_HTTP_BITRIX1C_STRANGER, reply,
                                      0);
        return;
    }

    if (carrier->pack->n > 1) {

        if (whole->answer.kind == BITRIX_ANSWER_OK) {
            ngx_http_bitrix1c_judge_name(i, name);
            bitrix_batch_reply(reply, (char *) o->answer, o->len, name);
            (void) ngx_http_bitrix1c_learn(carrier->route->portal,
                                           &job->event.name, &reply->answer,
                                           carrier->log);

        } else if (o->status < 500
                   && (whole->answer.kind == BITRIX_ANSWER_ERROR
                       || whole->answer.kind == BITRIX_ANSWER_NO_METHOD))
        {
            /* that says nothing of this call, and none was carried out */

            ngx_http_bitrix1c_judge_again(job, "Bitrix refused the batch",
                                          reply, 0);
            return;
        }
    }

    ngx_http_bitrix1c_judge_call(job, carrier, reply);
}


static void
ngx_http_bitrix1c_judge_single(bitrix_reply_t *reply,
    ngx_http_bitrix1c_outcome_t *o)
{
    bitrix_span_t  answer;

    answer = bitrix_scan_value((char *) o->answer, o->len);

    reply->result = bitrix_scan_find(answer, "result");
    reply->description = bitrix_scan_find(answer, "error_description");
}


/* the webhook is wrong or was withdrawn: no call of it can do better */
static ngx_uint_t
ngx_http_bitrix1c_judge_stranger(bitrix_answer_t *answer, ngx_uint_t status)
{
    ngx_uint_t  i;

    static const char *const  codes[] = {
        "NO_AUTH_FOUND", "INVALID_CREDENTIALS", "expired_token",
        "invalid_token", "ACCESS_DENIED", "PORTAL_DELETED"
    };

    if (answer->kind != BITRIX_ANSWER_ERROR) {
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


static ngx_http_bitrix1c_health_e
ngx_http_bitrix1c_judge_health(ngx_http_bitrix1c_job_t *carrier,
    bitrix_answer_t *answer)
{
    if (carrier->outcome.ours) {
        return NGX_HTTP_BITRIX1C_UNKNOWN;
    }

    if (ngx_http_bitrix1c_judge_stranger(answer, carrier->outcome.status)) {
        return NGX_HTTP_BITRIX1C_WRONG;
    }

    switch (answer->kind) {

    case BITRIX_ANSWER_OVERLOAD:
        return NGX_HTTP_BITRIX1C_CLOSED;

    case BITRIX_ANSWER_QUERY_LIMIT:
        return NGX_HTTP_BITRIX1C_UNKNOWN;

    case BITRIX_ANSWER_OK:
    case BITRIX_ANSWER_NO_METHOD:
    case BITRIX_ANSWER_OPERATION:
        return NGX_HTTP_BITRIX1C_WELL;

    case BITRIX_ANSWER_ERROR:
        return carrier->outcome.status < 500 ? NGX_HTTP_BITRIX1C_WELL
                                             : NGX_HTTP_BITRIX1C_ILL;

    default:
        return NGX_HTTP_BITRIX1C_ILL;
    }
}


static void
ngx_http_bitrix1c_judge_call(ngx_http_bitrix1c_job_t *job,
    ngx_http_bitrix1c_job_t *carrier, bitrix_reply_t *reply)
{
    ngx_msec_t  wait;

    if (carrier->outcome.ours) {
        ngx_http_bitrix1c_judge_again(job, carrier->outcome.status
                         ? "nginx itself answered, proxy_pass was not reached"
                         : "nginx could not send the call", NULL, 0);
        return;
    }

    switch (reply->answer.kind) {

    case BITRIX_ANSWER_OK:
        job->result = NGX_HTTP_BITRIX1C_DELIVERED;

        /* its event comes about now */

        ngx_http_bitrix1c_echo_mark(&job->event);
        return;

    case BITRIX_ANSWER_QUERY_LIMIT:
        ngx_http_bitrix1c_judge_again(job, "Bitrix wants fewer requests",
                                      reply, NGX_HTTP_BITRIX1C_LIMITED);
        return;

    case BITRIX_ANSWER_OPERATION:

        /* the pace has found out for how long */

        wait = ngx_http_bitrix1c_portal_blocked(carrier->route->portal,
                                                &job->event.name);

        ngx_http_bitrix1c_judge_again(job, "the method has used up its time",
                                      reply,
                                      wait ? wait : NGX_HTTP_BITRIX1C_LIMITED);
        return;

    case BITRIX_ANSWER_OVERLOAD:
        ngx_http_bitrix1c_judge_again(job, "Bitrix has blocked this address, "
                                      "ask its support", reply,
                                      carrier->delay);
        return;

    case BITRIX_ANSWER_ERROR:
        if (carrier->outcome.status >= 500) {
            ngx_http_bitrix1c_judge_unknown(job, carrier, "Bitrix failed",
                                            reply);
            return;
        }

        /* fall through */

    case BITRIX_ANSWER_NO_METHOD:
        ngx_http_bitrix1c_echo_forget(&job->event);

        job->result = NGX_HTTP_BITRIX1C_DEAD;
        ngx_http_bitrix1c_judge_reason(job, "Bitrix refused the call", reply);
        return;

    case BITRIX_ANSWER_TRUNCATED:
        ngx_http_bitrix1c_judge_unknown(job, carrier, "Bitrix' answer was cut "
                                        "off", NULL);
        return;

    case BITRIX_ANSWER_FOREIGN:
        ngx_http_bitrix1c_judge_unknown(job, carrier, "what answered is no "
                                        "REST of Bitrix", NULL);
        return;

    default: /* BITRIX_ANSWER_NONE */
        ngx_http_bitrix1c_judge_unknown(job, carrier, "Bitrix gave no answer",
                                        NULL);
        return;
    }
}


/* ms if it costs no attempt, 0 by the schedule of the queue */
static void
ngx_http_bitrix1c_judge_again(ngx_http_bitrix1c_job_t *job, const char *what,
    bitrix_reply_t *reply, ngx_msec_t spared)
{
    job->result = NGX_HTTP_BITRIX1C_RETRY;

    ngx_http_bitrix1c_judge_reason(job, what, reply);

    if (spared) {
        job->spared = 1;
        job->delay = ngx_http_bitrix1c_jitter(spared);
        return;
    }

    job->delay = ngx_http_bitrix1c_verdict_delay(job);
}


/*
 * Bitrix' old methods take no idempotency key: adding once more what may have
 * been added would sell, book or ship it twice.
 */
static void
ngx_http_bitrix1c_judge_unknown(ngx_http_bitrix1c_job_t *job,
    ngx_http_bitrix1c_job_t *carrier, const char *what,
    bitrix_reply_t *reply)
{
    if (!carrier->outcome.sent || ngx_http_bitrix1c_judge_repeatable(job)) {
        ngx_http_bitrix1c_judge_again(job, what, reply, 0);
        return;
    }

    job->result = NGX_HTTP_BITRIX1C_DEAD;

    ngx_http_bitrix1c_judge_reason(job, "outcome unknown, look into Bitrix "
                                   "before it is sent again", reply);
}


void
ngx_http_bitrix1c_judge_before(ngx_http_bitrix1c_job_t *job)
{
    ngx_msec_t                   wait;
    ngx_http_bitrix1c_portal_t  *portal;

    job->route = ngx_http_bitrix1c_route_call(job);

    if (job->lost && !ngx_http_bitrix1c_judge_repeatable(job)) {
        ngx_http_bitrix1c_verdict_poison(job, "outcome unknown, its worker "
                         "died during the call: look into Bitrix before it "
                         "is sent again");
        return;
    }

    if (job->route == NULL) {
        ngx_http_bitrix1c_judge_again(job, "the configuration has no location "
                                      "with bitrix1c_rest in the call's "
                                      "server any more", NULL, 0);
        ngx_http_bitrix1c_verdict_spend(job, NGX_HTTP_BITRIX1C_SAME);
        return;
    }

    portal = job->route->portal;
    wait = ngx_http_bitrix1c_portal_stopped(portal);

    if (wait) {
        ngx_http_bitrix1c_judge_again(job, "Bitrix has blocked this address, "
                                      "ask its support", NULL, wait);
        return;
    }

    wait = ngx_http_bitrix1c_portal_blocked(portal, &job->event.name);

    if (wait) {
        ngx_http_bitrix1c_judge_again(job, "the method has used up its time",
                                      NULL, wait);
    }
}


void
ngx_http_bitrix1c_judge_busy(ngx_http_bitrix1c_pack_t *pack)
{
    ngx_uint_t  i;

    for (i = 0; i < pack->n; i++) {
        if (pack->jobs[i]) {
            ngx_http_bitrix1c_judge_again(pack->jobs[i], "Bitrix bears no "
                                   "more requests for now", NULL,
                                   ngx_max(pack->carrier->delay,
                                           NGX_HTTP_BITRIX1C_LIMITED));
        }
    }
}


void
ngx_http_bitrix1c_judge_leave(ngx_http_bitrix1c_pack_t *pack)
{
    ngx_uint_t                i;
    ngx_http_bitrix1c_job_t  *job;

    for (i = 0; i < pack->n; i++) {
        job = pack->jobs[i];

        if (job == NULL) {
            continue;
        }

        if (pack->carrier->connection == NULL
            || ngx_http_bitrix1c_judge_repeatable(job))
        {
            ngx_http_bitrix1c_judge_again(job, "the worker had to leave", NULL,
                                          1);
            continue;
        }

        job->result = NGX_HTTP_BITRIX1C_DEAD;

        ngx_http_bitrix1c_judge_reason(job, "outcome unknown, the worker had "
                         "to leave during the call: look into Bitrix before "
                         "it is sent again", NULL);
    }
}


void
ngx_http_bitrix1c_judge_short(ngx_http_bitrix1c_job_t *job)
{
    ngx_http_bitrix1c_judge_again(job, "Redis lacks the replicas that \"wait\" "
                                  "asks for", NULL,
                                  NGX_HTTP_BITRIX1C_LIMITED);
}


void
ngx_http_bitrix1c_judge_unsent(ngx_http_bitrix1c_job_t *job)
{
    ngx_http_bitrix1c_judge_again(job, "nginx could not send the call", NULL,
                                  NGX_HTTP_BITRIX1C_LIMITED);
}


static ngx_uint_t
ngx_http_bitrix1c_judge_repeatable(ngx_http_bitrix1c_job_t *job)
{
    ngx_http_bitrix1c_loc_conf_t  *lcf;

    if (job->route == NULL) {
        return 0;
    }

    lcf = job->route->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];

    return ngx_http_bitrix1c_masked(lcf->repeatable, &job->event.name);
}


static void
ngx_http_bitrix1c_judge_reason(ngx_http_bitrix1c_job_t *job,
    const char *what, bitrix_reply_t *reply)
{
    char       text[BITRIX_CODE_MAX + 256];
    u_char    *p;
    size_t     n;
    ngx_str_t  answer;

    ngx_str_null(&answer);

    if (reply && reply->answer.code[0]) {
        n = ngx_strlen(reply->answer.code);

        ngx_memcpy(text, reply->answer.code, n);
        text[n++] = ' ';

        bitrix_scan_text(reply->description, text + n, sizeof(text) - n);

        answer.data = (u_char *) text;
        answer.len = ngx_strlen(text);
    }

    p = ngx_pnalloc(job->pool, NGX_HTTP_BITRIX1C_REASON);

    if (p == NULL) {
        job->reason.data = (u_char *) what;
        job->reason.len = ngx_strlen(what);
        return;
    }

    job->reason.data = p;
    job->reason.len = ngx_http_bitrix1c_reason(p, NGX_HTTP_BITRIX1C_REASON,
                                               what, job->outcome.status,
                                               &answer);
}

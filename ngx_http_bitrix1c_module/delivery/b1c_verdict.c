
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_delivery.h"
#include "b1c_job.h"
#include "b1c_core.h"


/* ms until the next attempt when 1C reports maintenance */
#define NGX_B1C_MAINTENANCE  60000

/* ms until another node may take an event for which this one has no location */
#define NGX_B1C_NO_LOCATION  2000

/*
 * Начало сеанса с информационной базой запрещено: the administrator's own
 * message follows it in the answer
 */
#define NGX_B1C_LOCKED                                             \
    "\xd0\x9d\xd0\xb0\xd1\x87\xd0\xb0\xd0\xbb\xd0\xbe "                      \
    "\xd1\x81\xd0\xb5\xd0\xb0\xd0\xbd\xd1\x81\xd0\xb0 "                      \
    "\xd1\x81 "                                                              \
    "\xd0\xb8\xd0\xbd\xd1\x84\xd0\xbe\xd1\x80\xd0\xbc\xd0\xb0"               \
    "\xd1\x86\xd0\xb8\xd0\xbe\xd0\xbd\xd0\xbd\xd0\xbe\xd0\xb9 "              \
    "\xd0\xb1\xd0\xb0\xd0\xb7\xd0\xbe\xd0\xb9 "                              \
    "\xd0\xb7\xd0\xb0\xd0\xbf\xd1\x80\xd0\xb5\xd1\x89\xd0\xb5"               \
    "\xd0\xbd\xd0\xbe"


static ngx_uint_t ngx_b1c_verdict_again(ngx_b1c_job_t *job);
static void ngx_b1c_verdict_taken(ngx_b1c_job_t *job, ngx_str_t *answer);
static void ngx_b1c_verdict_refused(ngx_b1c_job_t *job, ngx_str_t *answer);
static ngx_uint_t ngx_b1c_verdict_permanent(ngx_b1c_job_t *job);
static void ngx_b1c_verdict_dead(ngx_b1c_job_t *job, const char *what,
    ngx_str_t *answer);
static void ngx_b1c_verdict_retry(ngx_b1c_job_t *job, ngx_b1c_health_e health,
    const char *what, ngx_str_t *answer);


void
ngx_b1c_verdict(ngx_b1c_job_t *job)
{
    ngx_str_t           answer;
    ngx_b1c_outcome_t  *o;

    o = &job->attempt.outcome;

    answer.data = o->answer;
    answer.len = o->len;

    /* 1C puts a BOM before any text unless its author forbids it */

    if (answer.len >= 3 && ngx_memcmp(answer.data, "\xef\xbb\xbf", 3) == 0) {
        answer.data += 3;
        answer.len -= 3;
    }

    if (job->route == NULL) {
        ngx_b1c_verdict_retry(job, NGX_B1C_HEALTH_UNKNOWN,
            "the configuration has no location with bitrix1c_webhook for the "
            "event's address any more", NULL);
        ngx_b1c_verdict_no_location(job);

    } else if (o->ours) {
        ngx_b1c_verdict_retry(job, NGX_B1C_HEALTH_UNKNOWN,
            o->status ? "nginx itself answered, proxy_pass was not reached"
                      : "nginx could not start the delivery", NULL);

    } else if (o->too_big) {
        ngx_b1c_verdict_retry(job, NGX_B1C_HEALTH_MISCONFIGURED,
            "the header of 1C's answer is larger than proxy_buffer_size, set a "
            "larger one in the location", NULL);

    } else if (o->late && o->status < 300) {
        ngx_b1c_verdict_retry(job, NGX_B1C_HEALTH_FAILING,
            "1C did not end its answer within delivery_timeout", NULL);

    } else if (o->status == 0) {
        ngx_b1c_verdict_retry(job, NGX_B1C_HEALTH_FAILING,
                              "1C did not answer", NULL);

    } else if (o->status >= 200 && o->status < 300) {
        ngx_b1c_verdict_taken(job, &answer);

    } else {
        ngx_b1c_verdict_refused(job, &answer);
    }

    ngx_b1c_verdict_spend(job, ngx_b1c_verdict_breaker(job));
}


static void
ngx_b1c_verdict_taken(ngx_b1c_job_t *job, ngx_str_t *answer)
{
    if (job->attempt.outcome.truncated) {
        ngx_b1c_verdict_retry(job, NGX_B1C_HEALTH_FAILING,
                              "1C's answer was cut off", NULL);
        return;
    }

    if (b1c_onec_failed((char *) answer->data, answer->len)) {
        ngx_b1c_verdict_dead(job, "1C returned an exception's text", answer);
        return;
    }

    job->result = NGX_B1C_DELIVERED;
    job->attempt.health = NGX_B1C_HEALTH_OK;
}


static void
ngx_b1c_verdict_refused(ngx_b1c_job_t *job, ngx_str_t *answer)
{
    ngx_uint_t  status;

    status = job->attempt.outcome.status;

    if (status == NGX_HTTP_FORBIDDEN
        && answer->len >= sizeof(NGX_B1C_LOCKED) - 1
        && ngx_strlcasestrn(answer->data, answer->data + answer->len,
                            (u_char *) NGX_B1C_LOCKED,
                            sizeof(NGX_B1C_LOCKED) - 2))
    {
        ngx_b1c_verdict_retry(job, NGX_B1C_HEALTH_MAINTENANCE,
                              "1C is closed for maintenance",
                              answer);
        return;
    }

    if (ngx_b1c_verdict_permanent(job)) {
        ngx_b1c_verdict_dead(job, "1C refused the event", answer);
        return;
    }

    switch (status) {

    case NGX_HTTP_UNAUTHORIZED:
        ngx_b1c_verdict_retry(job, NGX_B1C_HEALTH_MISCONFIGURED,
            "1C does not know the user, check proxy_set_header Authorization",
            answer);
        return;

    case NGX_HTTP_FORBIDDEN:
        ngx_b1c_verdict_retry(job, NGX_B1C_HEALTH_MISCONFIGURED,
            "the user has no right to use the HTTP service of 1C", answer);
        return;

    case NGX_HTTP_NOT_FOUND:
        ngx_b1c_verdict_retry(job, NGX_B1C_HEALTH_MISCONFIGURED,
            "1C has no such HTTP service, check proxy_pass and the "
            "publication",
            answer);
        return;

    default:

        if (status < 400) {
            ngx_b1c_verdict_retry(job, NGX_B1C_HEALTH_FAILING,
                "1C redirects to another address, see proxy_pass",
                job->attempt.outcome.location);
            return;
        }

        ngx_b1c_verdict_retry(job, NGX_B1C_HEALTH_FAILING,
                              "1C failed", answer);
    }
}


static ngx_uint_t
ngx_b1c_verdict_permanent(ngx_b1c_job_t *job)
{
    ngx_uint_t           i, *code;
    ngx_b1c_loc_conf_t  *lcf;

    lcf = job->route->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];
    code = lcf->webhook.permanent->elts;

    for (i = 0; i < lcf->webhook.permanent->nelts; i++) {
        if (code[i] == job->attempt.outcome.status) {
            return 1;
        }
    }

    return 0;
}


/* the state of the other side, from all deliveries */
ngx_b1c_breaker_e
ngx_b1c_verdict_breaker(ngx_b1c_job_t *job)
{
    ngx_b1c_queue_t    *queue;
    ngx_b1c_breaker_e   breaker;
    ngx_b1c_symptom_t   symptom;
    ngx_b1c_outcome_t  *o;

    queue = job->queue;
    o = &job->attempt.outcome;

    ngx_memzero(&symptom, sizeof(ngx_b1c_symptom_t));

    symptom.health = job->attempt.health;
    symptom.pause = job->attempt.delay;
    symptom.status = o->status;
    symptom.probe = job->lease.probe;
    symptom.nobody = (o->status == 0 && !o->sent);

    if (job->attempt.verdict == NULL) {

        /* one event, and no request that carries many */

        symptom.type = job->event.name;
        symptom.lane = ngx_crc32_short(job->identity.lane.data,
                                       job->identity.lane.len);
        symptom.again = ngx_b1c_verdict_again(job);
    }

    breaker = ngx_b1c_limits_health(queue->limits, &queue->limits_conf,
                                    &symptom);

    /* this probe has ended; the next one may already be in progress */

    job->lease.probe = 0;
    job->attempt.own = symptom.own;

    if (breaker == NGX_B1C_OPENED && symptom.alone) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "bitrix1c_queue \"%V\": deliveries of %V are paused for "
                      "%M ms, other events pass: %V", &queue->name,
                      &job->event.name, symptom.pause, &job->reason);

    } else if (breaker == NGX_B1C_OPENED) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "bitrix1c_queue \"%V\": deliveries are paused for %M "
                      "ms: %V", &queue->name, symptom.pause, &job->reason);

    } else if (breaker == NGX_B1C_RECOVERED) {

        /* the recovery is logged here, so report must not log it again */

        (void) ngx_b1c_stats_worked(queue->stats);

        ngx_log_error(NGX_LOG_NOTICE, job->log, 0,
                      "bitrix1c_queue \"%V\": %V is available again, "
                      "deliveries continue",
                      &queue->name, &queue->ops->receiver);
    }

    return breaker;
}


/* 1: an earlier attempt has failed, whether it was spent or not */
static ngx_uint_t
ngx_b1c_verdict_again(ngx_b1c_job_t *job)
{
    ngx_int_t  epoch;

    if (job->lease.attempts) {
        return 1;
    }

    epoch = ngx_atoi(job->lease.epoch.data, job->lease.epoch.len);

    /* a claim and a nack raise it; long ones begin there, see accept.lua */

    return job->lease.epoch.len < 13 && epoch >= 3;
}


/*
 * An attempt that failed while the breaker was open only tested whether the
 * other side works again, so it does not count: unless nothing but this event
 * fails, or others pass.  Such an event would never become a dead letter, and
 * its followers would wait for ever.
 */
void
ngx_b1c_verdict_spend(ngx_b1c_job_t *job, ngx_b1c_breaker_e breaker)
{
    if (job->result != NGX_B1C_RETRY || job->attempt.free_retry) {
        return;
    }

    if (breaker == NGX_B1C_STILL && !job->attempt.own) {
        job->attempt.free_retry = 1;
        job->attempt.delay =
                      ngx_b1c_verdict_jitter(job->queue->limits_conf.pause);
        return;
    }

    if (job->lease.attempts >= job->queue->retry->nelts) {
        job->result = NGX_B1C_DEAD;
    }
}


void
ngx_b1c_verdict_poison(ngx_b1c_job_t *job, const char *what)
{
    ngx_b1c_verdict_dead(job, what, NULL);

    job->attempt.health = NGX_B1C_HEALTH_UNKNOWN;
}


/* 1C works: it answered that it does not want this event */
static void
ngx_b1c_verdict_dead(ngx_b1c_job_t *job, const char *what, ngx_str_t *answer)
{
    job->result = NGX_B1C_DEAD;
    job->attempt.health = NGX_B1C_HEALTH_OK;

    ngx_b1c_verdict_reason(job, what, answer);
}


static void
ngx_b1c_verdict_retry(ngx_b1c_job_t *job, ngx_b1c_health_e health,
    const char *what, ngx_str_t *answer)
{
    job->result = NGX_B1C_RETRY;
    job->attempt.health = health;

    ngx_b1c_verdict_reason(job, what, answer);

    /* maintenance is not a failure of the event, so it costs no attempt */

    if (health == NGX_B1C_HEALTH_MAINTENANCE) {
        job->attempt.free_retry = 1;
        job->attempt.delay = ngx_b1c_verdict_jitter(NGX_B1C_MAINTENANCE);

    } else {
        job->attempt.delay = ngx_b1c_verdict_delay(job);
    }
}


/* another node of this queue may have it; nack.lua bounds this */
void
ngx_b1c_verdict_no_location(ngx_b1c_job_t *job)
{
    job->attempt.no_location = 1;
    job->attempt.free_retry = 1;
    job->attempt.delay = ngx_b1c_verdict_jitter(NGX_B1C_NO_LOCATION);
}


ngx_msec_t
ngx_b1c_verdict_jitter(ngx_msec_t base)
{
    if (base < 5) {
        return base;
    }

    return base - base / 5 + (ngx_msec_t) ngx_random() % (base / 5 * 2 + 1);
}


ngx_msec_t
ngx_b1c_verdict_delay(ngx_b1c_job_t *job)
{
    ngx_msec_t  base, asked, *retry;

    if (job->lease.attempts >= job->queue->retry->nelts) {
        return 0;
    }

    retry = job->queue->retry->elts;
    base = retry[job->lease.attempts];

    if (job->attempt.outcome.seconds == 0) {
        return ngx_b1c_verdict_jitter(base);
    }

    asked = ngx_min((ngx_msec_t) job->attempt.outcome.seconds, 86400 * 60)
            * 1000;
    asked = ngx_max(asked, base);

    return ngx_min(asked, 2 * base);
}


void
ngx_b1c_verdict_reason(ngx_b1c_job_t *job, const char *what, ngx_str_t *answer)
{
    u_char  *p;

    p = ngx_pnalloc(job->pool, NGX_B1C_REASON);

    if (p == NULL) {
        job->reason.data = (u_char *) what;
        job->reason.len = ngx_strlen(what);
        return;
    }

    job->reason.data = p;
    job->reason.len = ngx_b1c_reason_find_text(p, NGX_B1C_REASON, what,
                                               job->attempt.outcome.status,
                                               answer);
}

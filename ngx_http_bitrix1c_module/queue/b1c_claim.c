
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_queue_internal.h"
#include "b1c_bitrix.h"
#include "b1c_job.h"
#include "b1c_redis.h"
#include "b1c_delivery.h"


#define NGX_B1C_MAX_CLAIM  32

/* lost leases after which the event is treated as the cause */
#define NGX_B1C_MAX_LOST_LEASES   5

/* elements of an event in the reply */
#define NGX_B1C_CLAIMED    9

/* words of the script for each type of events that is paused */
#define NGX_B1C_CLAIM_WORDS  3


static void ngx_b1c_claim_skips(ngx_b1c_script_t *b);
static void ngx_b1c_claim_reply(void *data, ngx_b1c_reply_t *reply);
static void ngx_b1c_claim_all(ngx_b1c_script_t *b, ngx_b1c_reply_t *reply,
    ngx_uint_t n);
static void ngx_b1c_claim_probe(ngx_b1c_script_t *b, ngx_b1c_job_t *job);
static void ngx_b1c_claim_deliver(ngx_b1c_worker_t *w, ngx_b1c_job_t **jobs,
    ngx_uint_t n, ngx_uint_t probe);
static ngx_b1c_job_t *ngx_b1c_claim_job(ngx_b1c_script_t *b,
    ngx_b1c_reply_t *reply, ngx_uint_t i);


ngx_b1c_queue_ops_t  ngx_b1c_claim_events = {
    .noun = ngx_string("events"),
    .receiver = ngx_string("1C"),
    .requests = NGX_B1C_MAX_CLAIM,
    .deliver = ngx_b1c_claim_deliver
};


ngx_int_t
ngx_b1c_claim_send(ngx_b1c_worker_t *w)
{
    u_char               *p;
    ngx_str_t             max;
    ngx_uint_t            script;
    ngx_b1c_script_t     *b;
    ngx_b1c_grant_t      *grant;
    ngx_b1c_queue_ops_t  *ops;

    ops = w->queue->ops;

    b = ngx_b1c_script_create(w, ngx_max(B1C_BATCH_MAX,
                                         NGX_B1C_CLAIM_WORDS
                                         * NGX_B1C_CIRCUITS), 1);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    grant = &b->grant;

    ngx_b1c_limits_take(w->queue->limits, &w->queue->limits_conf,
                        ops->requests, grant);

    if (grant->n == 0) {

        /* a worker that frees a slot also claims */

        ngx_b1c_limits_mark(w->queue->limits);

        if (grant->wait) {
            ngx_b1c_queue_due(w, grant->wait);
        }

        ngx_free(b);
        return NGX_OK;
    }

    b->asked = (ops->together && !grant->probe) ? ops->together : grant->n;
    b->snap = ngx_b1c_limits_snap(w->queue->limits);

    p = ngx_sprintf(b->number, "%ui", b->asked);
    max.data = b->number;
    max.len = p - b->number;

    ngx_b1c_script_word(b, &w->queue->keys[0]);
    ngx_b1c_script_word(b, &w->queue->keys[1]);
    ngx_b1c_script_word(b, &w->queue->keys[3]);
    ngx_b1c_script_word(b, &max);
    ngx_b1c_script_word(b, &w->lease);
    ngx_b1c_claim_skips(b);

    /*
     * After a failover a sent call must not be found waiting, or it would be
     * sent twice.
     */

    script = ops->durable ? NGX_B1C_SCRIPT_CLAIM_CALLS : NGX_B1C_SCRIPT_CLAIM;

    if (ngx_b1c_script_send(b, script, 3, ngx_b1c_claim_reply) != NGX_OK) {
        ngx_b1c_limits_unused(w->queue->limits, &w->queue->limits_conf,
                              grant->n, grant);
        ngx_free(b);
        return NGX_DECLINED;
    }

    w->claiming = 1;

    return NGX_OK;
}


/* types of events that are paused, but for one that is tried */
static void
ngx_b1c_claim_skips(ngx_b1c_script_t *b)
{
    ngx_str_t        word;
    ngx_uint_t       i;
    ngx_b1c_skip_t  *skip;

    static ngx_str_t  any = ngx_string("2");

    for (i = 0; i < b->grant.nskips; i++) {
        skip = &b->grant.skips[i];

        word.data = skip->name;
        word.len = skip->len;
        ngx_b1c_script_word(b, &word);

        ngx_b1c_script_word(b, !skip->allowed ? &ngx_b1c_zero
                               : skip->any ? &any : &ngx_b1c_one);

        word.data = b->waits[i];
        word.len = ngx_sprintf(b->waits[i], "%M", skip->wait) - b->waits[i];
        ngx_b1c_script_word(b, &word);
    }
}


static void
ngx_b1c_claim_reply(void *data, ngx_b1c_reply_t *reply)
{
    ngx_b1c_script_t *b = data;

    int64_t            due, dropped;
    ngx_uint_t         n;
    ngx_b1c_worker_t  *w;

    w = b->worker;
    w->claiming = 0;

    if (ngx_b1c_script_failed(b, reply, "claim")
        || ngx_b1c_redis_reply_int(reply, 0, &due) != NGX_OK
        || ngx_b1c_redis_reply_int(reply, 1, &dropped) != NGX_OK)
    {
        ngx_b1c_limits_unused(w->queue->limits, &w->queue->limits_conf,
                              b->grant.n, &b->grant);
        ngx_free(b);
        return;
    }

    /* an empty reply does not tell whether the queue is held */

    if (due >= 0
        && ngx_b1c_report_held(w->queue, dropped < 0, w->log)
        && dropped >= 0)
    {
        ngx_b1c_limits_mark(w->queue->limits);
        w->claim = 1;
    }

    if (dropped < 0) {
        dropped = 0;
        due = NGX_B1C_POLL;
    }

    if (dropped) {
        ngx_b1c_stats_count(w->queue->stats, NGX_B1C_N_DEAD, dropped);

        ngx_log_error(NGX_LOG_ERR, w->log, 0,
                      "bitrix1c_queue \"%V\": %L events could not be read "
                      "from Redis: they are now dead letters, or were dropped "
                      "if nothing was left of them", &w->queue->name, dropped);
    }

    n = (ngx_b1c_redis_reply_count(reply) - 2) / NGX_B1C_CLAIMED;
    n = ngx_min(n, b->asked);

    if (n + dropped < b->asked) {
        ngx_b1c_limits_clear(w->queue->limits, b->snap);

    } else {
        w->claim = 1;
    }

    /* another claim was requested while this one was in progress */

    if (w->claim) {
        ngx_post_event(&w->flush, &ngx_posted_events);
    }

    ngx_b1c_claim_all(b, reply, n);

    w->empty = (due < 0);

    if (due >= 0) {
        ngx_b1c_queue_due(w, ngx_max((ngx_msec_t) due, 1));
    }

    ngx_free(b);
}


static void
ngx_b1c_claim_all(ngx_b1c_script_t *b, ngx_b1c_reply_t *reply, ngx_uint_t n)
{
    ngx_uint_t         i, got, taken, probe;
    ngx_b1c_job_t     *job;
    ngx_b1c_worker_t  *w;

    w = b->worker;
    got = 0;
    taken = b->grant.n;
    probe = b->grant.probe;

    for (i = 0; i < n; i++) {
        job = ngx_b1c_claim_job(b, reply, 2 + i * NGX_B1C_CLAIMED);

        /* otherwise no memory: the lease ends, and another claim takes it */

        if (job) {
            ngx_b1c_claim_probe(b, job);
            b->jobs[got++] = job;
        }
    }

    ngx_b1c_limits_unused(w->queue->limits, &w->queue->limits_conf,
                          taken - ngx_min(got, taken), &b->grant);

    if (got) {
        w->queue->ops->deliver(w, b->jobs, got, probe);
    }
}


/* what is left in the grant found no event */
static void
ngx_b1c_claim_probe(ngx_b1c_script_t *b, ngx_b1c_job_t *job)
{
    ngx_uint_t       i;
    ngx_b1c_skip_t  *skip;

    if (b->grant.probe || b->grant.one) {
        b->grant.probe = 0;
        b->grant.one = 0;
        job->lease.probe = 1;
    }

    for (i = 0; i < b->grant.nskips; i++) {
        skip = &b->grant.skips[i];

        if (skip->len == job->event.name.len
            && ngx_memcmp(skip->name, job->event.name.data, skip->len) == 0)
        {
            skip->allowed = 0;
            job->lease.probe = 1;
            return;
        }
    }
}


static void
ngx_b1c_claim_deliver(ngx_b1c_worker_t *w, ngx_b1c_job_t **jobs, ngx_uint_t n,
    ngx_uint_t probe)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        jobs[i]->lease.slot = 1;
        ngx_b1c_queue_deliver(w, jobs[i]);
    }
}


static ngx_b1c_job_t *
ngx_b1c_claim_job(ngx_b1c_script_t *b, ngx_b1c_reply_t *reply, ngx_uint_t i)
{
    ngx_int_t          n;
    ngx_str_t          word[NGX_B1C_CLAIMED];
    ngx_uint_t         k;
    ngx_b1c_job_t     *job;
    ngx_b1c_worker_t  *w;

    w = b->worker;

    for (k = 0; k < NGX_B1C_CLAIMED; k++) {
        if (ngx_b1c_redis_reply_str(reply, i + k, &word[k]) != NGX_OK) {
            return NULL;
        }
    }

    job = ngx_b1c_queue_waited(w, &word[0]);

    if (job == NULL) {
        job = ngx_b1c_job_create(w->queue, w->log);
        if (job == NULL) {
            return NULL;
        }

        if (word[0].len == NGX_B1C_HASH_LEN) {
            ngx_memcpy(job->id.data, word[0].data, NGX_B1C_HASH_LEN);
        }
    }

    n = ngx_atoi(word[2].data, word[2].len);

    job->lease.attempts = (n == NGX_ERROR) ? 0 : (ngx_uint_t) n;
    job->identity.once = (word[5].len == 1 && word[5].data[0] == '1');
    job->lease.leased = ngx_current_msec;
    n = ngx_atoi(word[6].data, word[6].len);

    job->lease.lost_leases = (n == NGX_ERROR) ? 0 : (ngx_uint_t) n;

    n = ngx_atoi(word[7].data, word[7].len);

    job->arrived = ngx_current_msec - (n == NGX_ERROR ? 0 : (ngx_msec_t) n);

    if (ngx_b1c_job_claimed(job, &word[1], &word[3], &word[4]) != NGX_OK) {
        ngx_b1c_job_unref(job);
        return NULL;
    }

    switch (ngx_b1c_job_load(job, &word[8])) {

    case NGX_ERROR:
        ngx_b1c_job_unref(job);
        return NULL;

    case NGX_DECLINED:
        ngx_b1c_verdict_poison(job, "its record in Redis does not have the "
                                    "format of this version");
        break;

    default: /* NGX_OK */
        job->result = NGX_B1C_NONE;

        if (job->lease.lost_leases > NGX_B1C_MAX_LOST_LEASES) {
            ngx_b1c_verdict_poison(job, "its worker died repeatedly during "
                                        "its delivery");
        }

        break;
    }

    return job;
}

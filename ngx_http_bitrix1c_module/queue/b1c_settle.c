
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_queue_internal.h"
#include "b1c_job.h"
#include "b1c_redis.h"


static ngx_uint_t ngx_b1c_settle_collect(ngx_b1c_script_t *b,
    ngx_queue_t *from, ngx_b1c_result_e result, ngx_uint_t max);
static ngx_int_t ngx_b1c_settle_script(ngx_b1c_script_t *b, ngx_uint_t script,
    ngx_uint_t nkeys);
static ngx_int_t ngx_b1c_settle_ack(ngx_b1c_worker_t *w);
static ngx_int_t ngx_b1c_settle_nack(ngx_b1c_worker_t *w);
static ngx_int_t ngx_b1c_settle_dead(ngx_b1c_worker_t *w);
static void ngx_b1c_settle_stranded(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);
static void ngx_b1c_settle_reply(void *data, ngx_b1c_reply_t *reply);
static void ngx_b1c_settle_extended(void *data, ngx_b1c_reply_t *reply);


ngx_int_t
ngx_b1c_settle_send(ngx_b1c_worker_t *w)
{
    ngx_int_t       rc;
    ngx_b1c_job_t  *job;

    while (!ngx_queue_empty(&w->settles)) {

        job = ngx_queue_data(ngx_queue_head(&w->settles), ngx_b1c_job_t, link);

        switch (job->result) {

        case NGX_B1C_DELIVERED:
            rc = ngx_b1c_settle_ack(w);
            break;

        case NGX_B1C_DEAD:
            rc = ngx_b1c_settle_dead(w);
            break;

        default: /* NGX_B1C_RETRY */
            rc = ngx_b1c_settle_nack(w);
            break;
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* jobs of one kind in their order; they stay linked until the call is sent */
static ngx_uint_t
ngx_b1c_settle_collect(ngx_b1c_script_t *b, ngx_queue_t *from,
    ngx_b1c_result_e result, ngx_uint_t max)
{
    ngx_queue_t    *q;
    ngx_b1c_job_t  *job;

    for (q = ngx_queue_head(from);
         q != ngx_queue_sentinel(from) && b->n < max;
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_b1c_job_t, link);

        if (job->result == result) {
            b->jobs[b->n++] = job;
        }
    }

    return b->n;
}


static ngx_int_t
ngx_b1c_settle_script(ngx_b1c_script_t *b, ngx_uint_t script, ngx_uint_t nkeys)
{
    ngx_uint_t            i;
    ngx_b1c_queue_ops_t  *ops;

    ops = b->worker->queue->ops;

    if ((ops->before_settle && script != NGX_B1C_SCRIPT_NACK
         && ops->before_settle(b->worker, b->jobs, b->n) != NGX_OK)
        || ngx_b1c_script_send(b, script, nkeys, ngx_b1c_settle_reply)
           != NGX_OK)
    {
        ngx_free(b);
        return NGX_DECLINED;
    }

    for (i = 0; i < b->n; i++) {
        ngx_queue_remove(&b->jobs[i]->link);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_settle_ack(ngx_b1c_worker_t *w)
{
    ngx_uint_t         i, n;
    ngx_b1c_job_t     *job;
    ngx_b1c_script_t  *b;

    b = ngx_b1c_script_create(w, NGX_B1C_SCRIPT_JOBS, 6);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    n = ngx_b1c_settle_collect(b, &w->settles, NGX_B1C_DELIVERED,
                               NGX_B1C_SCRIPT_JOBS);

    for (i = 0; i < 3; i++) {
        ngx_b1c_script_word(b, &w->queue->keys[i]);
    }

    for (i = 0; i < n; i++) {
        ngx_b1c_script_word(b, &b->jobs[i]->identity.marker);
    }

    ngx_b1c_script_word(b, &w->window);

    for (i = 0; i < n; i++) {
        job = b->jobs[i];

        ngx_b1c_script_word(b, &job->identity.id_field);
        ngx_b1c_script_word(b, &job->identity.key_field);
        ngx_b1c_script_word(b, &job->identity.lane_field);
    }

    for (i = 0; i < n; i++) {
        ngx_b1c_script_word(b, &b->jobs[i]->id);
        ngx_b1c_script_word(b, &b->jobs[i]->lease.epoch);
    }

    return ngx_b1c_settle_script(b, NGX_B1C_SCRIPT_ACK, 3 + n);
}


static ngx_int_t
ngx_b1c_settle_nack(ngx_b1c_worker_t *w)
{
    ngx_uint_t         i, n;
    ngx_b1c_job_t     *job;
    ngx_b1c_script_t  *b;

    /* ms, see nack.lua */

    static ngx_str_t  no_location = ngx_string("-3600000");

    b = ngx_b1c_script_create(w, NGX_B1C_SCRIPT_JOBS, 5);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    n = ngx_b1c_settle_collect(b, &w->settles, NGX_B1C_RETRY,
                               NGX_B1C_SCRIPT_JOBS);

    ngx_b1c_script_word(b, &w->queue->keys[0]);
    ngx_b1c_script_word(b, &w->queue->keys[1]);

    for (i = 0; i < n; i++) {
        job = b->jobs[i];

        ngx_b1c_script_word(b, &job->id);
        ngx_b1c_script_word(b, &job->lease.epoch);
        ngx_b1c_script_word(b, &job->attempt.delay_text);
        ngx_b1c_script_word(b, job->attempt.no_location ? &no_location
                               : job->attempt.free_retry ? &ngx_b1c_zero
                               : &ngx_b1c_one);
        ngx_b1c_script_word(b, &job->reason);
    }

    return ngx_b1c_settle_script(b, NGX_B1C_SCRIPT_NACK, 2);
}


/* dead letters are rare, and one call for each keeps the script simple */
static ngx_int_t
ngx_b1c_settle_dead(ngx_b1c_worker_t *w)
{
    ngx_uint_t         i;
    ngx_b1c_job_t     *job;
    ngx_b1c_script_t  *b;

    b = ngx_b1c_script_create(w, 1, 10);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    (void) ngx_b1c_settle_collect(b, &w->settles, NGX_B1C_DEAD, 1);

    job = b->jobs[0];

    for (i = 0; i < 4; i++) {
        ngx_b1c_script_word(b, &w->queue->keys[i]);
    }

    ngx_b1c_script_word(b, &job->identity.marker);
    ngx_b1c_script_word(b, &job->id);
    ngx_b1c_script_word(b, &job->lease.epoch);
    ngx_b1c_script_word(b, &job->identity.key);
    ngx_b1c_script_word(b, &job->identity.lane);
    ngx_b1c_script_word(b, &ngx_b1c_one);
    ngx_b1c_script_word(b, &job->reason);
    ngx_b1c_script_word(b, &w->window);
    ngx_b1c_script_word(b, &w->dead_max);
    ngx_b1c_script_word(b, &w->dead_age);

    return ngx_b1c_settle_script(b, NGX_B1C_SCRIPT_DEAD, 5);
}


static void
ngx_b1c_settle_reply(void *data, ngx_b1c_reply_t *reply)
{
    ngx_b1c_script_t *b = data;

    int64_t            result;
    ngx_uint_t         i;
    ngx_b1c_job_t     *job;
    ngx_b1c_worker_t  *w;

    w = b->worker;

    if (reply == NULL) {

        /* the epoch makes a repetition safe */

        for (i = b->n; i--; /* void */ ) {
            b->jobs[i]->lease.repeated = 1;
            ngx_queue_insert_head(&w->settles, &b->jobs[i]->link);
        }

        if (!w->stopped) {
            ngx_post_event(&w->flush, &ngx_posted_events);
        }

        ngx_free(b);
        return;
    }

    /* after a refusal the lease ends and the event is delivered again */

    if (!ngx_b1c_script_failed(b, reply, "ack, nack or dead")
        && b->jobs[0]->result == NGX_B1C_DEAD
        && ngx_b1c_redis_reply_int(reply, 1, &result) == NGX_OK
        && result)
    {
        ngx_b1c_stats_count(w->queue->stats, NGX_B1C_N_DROPPED_DEAD, result);

        ngx_log_error(NGX_LOG_ERR, w->log, 0,
                      "bitrix1c_queue \"%V\": the %L oldest dead letters were "
                      "dropped, see \"dead_letters\"", &w->queue->name,
                      result);
    }

    for (i = 0; i < b->n; i++) {
        job = b->jobs[i];

        if (ngx_b1c_redis_reply_int(reply, i, &result) == NGX_OK) {

            if (result == 0) {

                /* or the first attempt was carried out */

                if (!job->lease.repeated
                    || ngx_current_msec - job->lease.leased
                       >= NGX_B1C_LEASE)
                {
                    ngx_b1c_report_late(job);
                }

            } else if (result == 3) {
                ngx_b1c_settle_stranded(w, job);
                continue;

            } else if (result == 2) {

                /* the next event of its lane is due */

                ngx_b1c_limits_mark(w->queue->limits);
                w->claim = 1;
                ngx_post_event(&w->flush, &ngx_posted_events);
            }
        }

        if (job->result == NGX_B1C_RETRY) {
            ngx_b1c_queue_due(w, job->attempt.delay);
        }

        ngx_b1c_job_unref(job);
    }

    ngx_free(b);
}


/* no node has a location for the event, and somebody would have noticed */
static void
ngx_b1c_settle_stranded(ngx_b1c_worker_t *w, ngx_b1c_job_t *job)
{
    job->result = NGX_B1C_DEAD;

    ngx_b1c_report_delivery(job);

    ngx_queue_insert_tail(&w->settles, &job->link);
    ngx_post_event(&w->flush, &ngx_posted_events);
}


ngx_int_t
ngx_b1c_settle_extend(ngx_b1c_worker_t *w)
{
    ngx_uint_t         i;
    ngx_queue_t       *q;
    ngx_b1c_job_t     *job;
    ngx_b1c_script_t  *b;

    b = ngx_b1c_script_create(w, NGX_B1C_SCRIPT_JOBS, 2);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    ngx_b1c_script_word(b, &w->queue->keys[0]);
    ngx_b1c_script_word(b, &w->queue->keys[1]);
    ngx_b1c_script_word(b, &w->lease);

    for (q = ngx_queue_head(&w->flying);
         q != ngx_queue_sentinel(&w->flying)
         && b->n < NGX_B1C_SCRIPT_JOBS;
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_b1c_job_t, link);

        if (ngx_current_msec - job->lease.leased < NGX_B1C_EXTEND) {
            continue;
        }

        b->jobs[b->n++] = job;
        ngx_b1c_script_word(b, &job->id);
        ngx_b1c_script_word(b, &job->lease.epoch);
    }

    if (b->n == 0
        || ngx_b1c_script_send(b, NGX_B1C_SCRIPT_EXTEND, 2,
                               ngx_b1c_settle_extended)
           != NGX_OK)
    {
        ngx_free(b);
        return NGX_DECLINED;
    }

    for (i = 0; i < b->n; i++) {
        b->jobs[i]->lease.leased = ngx_current_msec;
        ngx_b1c_job_ref(b->jobs[i]);
    }

    return NGX_OK;
}


static void
ngx_b1c_settle_extended(void *data, ngx_b1c_reply_t *reply)
{
    ngx_b1c_script_t *b = data;

    int64_t         renewed;
    ngx_uint_t      i, failed;
    ngx_b1c_job_t  *job;

    failed = ngx_b1c_script_failed(b, reply, "extend");

    for (i = 0; i < b->n; i++) {
        job = b->jobs[i];

        if (failed) {
            /* not extended, it is tried again at the next interval */
            job->lease.leased = ngx_current_msec - NGX_B1C_EXTEND;

        } else if (job->flying
                   && ngx_b1c_redis_reply_int(reply, i, &renewed) == NGX_OK
                   && renewed == 0)
        {
            ngx_b1c_queue_lost(b->worker, job);
        }

        ngx_b1c_job_unref(job);
    }

    ngx_free(b);
}

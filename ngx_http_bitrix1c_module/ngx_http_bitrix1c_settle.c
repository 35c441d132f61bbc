
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_call.h"
#include "ngx_http_bitrix1c_job.h"
#include "ngx_http_bitrix1c_report.h"
#include "ngx_http_bitrix1c_result.h"


static ngx_uint_t ngx_http_bitrix1c_batch_collect(
    ngx_http_bitrix1c_batch_t *b, ngx_queue_t *from,
    ngx_http_bitrix1c_result_e result, ngx_uint_t max);
static ngx_int_t ngx_http_bitrix1c_batch_settle_send(
    ngx_http_bitrix1c_batch_t *b, ngx_uint_t script, ngx_uint_t nkeys);
static ngx_int_t ngx_http_bitrix1c_batch_ack(ngx_http_bitrix1c_worker_t *w);
static ngx_int_t ngx_http_bitrix1c_batch_nack(ngx_http_bitrix1c_worker_t *w);
static ngx_int_t ngx_http_bitrix1c_batch_dead(ngx_http_bitrix1c_worker_t *w);
static void ngx_http_bitrix1c_batch_settled(void *data,
    ngx_http_bitrix1c_reply_t *reply);
static void ngx_http_bitrix1c_batch_extended(void *data,
    ngx_http_bitrix1c_reply_t *reply);


ngx_int_t
ngx_http_bitrix1c_batch_settle(ngx_http_bitrix1c_worker_t *w)
{
    ngx_int_t                 rc;
    ngx_http_bitrix1c_job_t  *job;

    while (!ngx_queue_empty(&w->settles)) {

        job = ngx_queue_data(ngx_queue_head(&w->settles),
                             ngx_http_bitrix1c_job_t, link);

        switch (job->result) {

        case NGX_HTTP_BITRIX1C_DELIVERED:
            rc = ngx_http_bitrix1c_batch_ack(w);
            break;

        case NGX_HTTP_BITRIX1C_DEAD:
            rc = ngx_http_bitrix1c_batch_dead(w);
            break;

        default: /* NGX_HTTP_BITRIX1C_RETRY */
            rc = ngx_http_bitrix1c_batch_nack(w);
            break;
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* jobs of one kind, in their order; they stay linked until the call is sent */
static ngx_uint_t
ngx_http_bitrix1c_batch_collect(ngx_http_bitrix1c_batch_t *b,
    ngx_queue_t *from, ngx_http_bitrix1c_result_e result, ngx_uint_t max)
{
    ngx_queue_t              *q;
    ngx_http_bitrix1c_job_t  *job;

    for (q = ngx_queue_head(from);
         q != ngx_queue_sentinel(from) && b->n < max;
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_http_bitrix1c_job_t, link);

        if (job->result == result) {
            b->jobs[b->n++] = job;
        }
    }

    return b->n;
}


static ngx_int_t
ngx_http_bitrix1c_batch_settle_send(ngx_http_bitrix1c_batch_t *b,
    ngx_uint_t script, ngx_uint_t nkeys)
{
    ngx_uint_t  i;

    if ((b->worker->queue->calls && script != NGX_HTTP_BITRIX1C_SCRIPT_NACK
         && ngx_http_bitrix1c_result_keep(b->worker, b->jobs, b->n) != NGX_OK)
        || ngx_http_bitrix1c_batch_send(b, script, nkeys,
                                        ngx_http_bitrix1c_batch_settled)
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
ngx_http_bitrix1c_batch_ack(ngx_http_bitrix1c_worker_t *w)
{
    ngx_uint_t                  i, n;
    ngx_http_bitrix1c_job_t    *job;
    ngx_http_bitrix1c_batch_t  *b;

    b = ngx_http_bitrix1c_batch_create(w, NGX_HTTP_BITRIX1C_BATCH, 6);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    n = ngx_http_bitrix1c_batch_collect(b, &w->settles,
                                        NGX_HTTP_BITRIX1C_DELIVERED,
                                        NGX_HTTP_BITRIX1C_BATCH);

    for (i = 0; i < 3; i++) {
        ngx_http_bitrix1c_batch_word(b, &w->queue->keys[i]);
    }

    for (i = 0; i < n; i++) {
        ngx_http_bitrix1c_batch_word(b, &b->jobs[i]->marker);
    }

    ngx_http_bitrix1c_batch_word(b, &w->window);

    for (i = 0; i < n; i++) {
        job = b->jobs[i];

        ngx_http_bitrix1c_batch_word(b, &job->id_field);
        ngx_http_bitrix1c_batch_word(b, &job->key_field);
        ngx_http_bitrix1c_batch_word(b, &job->lane_field);
    }

    for (i = 0; i < n; i++) {
        ngx_http_bitrix1c_batch_word(b, &b->jobs[i]->id);
        ngx_http_bitrix1c_batch_word(b, &b->jobs[i]->epoch);
    }

    return ngx_http_bitrix1c_batch_settle_send(b,
                                         NGX_HTTP_BITRIX1C_SCRIPT_ACK, 3 + n);
}


static ngx_int_t
ngx_http_bitrix1c_batch_nack(ngx_http_bitrix1c_worker_t *w)
{
    ngx_uint_t                  i, n;
    ngx_http_bitrix1c_job_t    *job;
    ngx_http_bitrix1c_batch_t  *b;

    b = ngx_http_bitrix1c_batch_create(w, NGX_HTTP_BITRIX1C_BATCH, 5);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    n = ngx_http_bitrix1c_batch_collect(b, &w->settles,
                                        NGX_HTTP_BITRIX1C_RETRY,
                                        NGX_HTTP_BITRIX1C_BATCH);

    ngx_http_bitrix1c_batch_word(b, &w->queue->keys[0]);
    ngx_http_bitrix1c_batch_word(b, &w->queue->keys[1]);

    for (i = 0; i < n; i++) {
        job = b->jobs[i];

        ngx_http_bitrix1c_batch_word(b, &job->id);
        ngx_http_bitrix1c_batch_word(b, &job->epoch);
        ngx_http_bitrix1c_batch_word(b, &job->delay_text);
        ngx_http_bitrix1c_batch_word(b, job->spared ? &ngx_http_bitrix1c_zero
                                                    : &ngx_http_bitrix1c_one);
        ngx_http_bitrix1c_batch_word(b, &job->reason);
    }

    return ngx_http_bitrix1c_batch_settle_send(b,
                                            NGX_HTTP_BITRIX1C_SCRIPT_NACK, 2);
}


/* dead letters are rare, and one call for each keeps the script plain */
static ngx_int_t
ngx_http_bitrix1c_batch_dead(ngx_http_bitrix1c_worker_t *w)
{
    ngx_uint_t                  i;
    ngx_http_bitrix1c_job_t    *job;
    ngx_http_bitrix1c_batch_t  *b;

    b = ngx_http_bitrix1c_batch_create(w, 1, 10);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    (void) ngx_http_bitrix1c_batch_collect(b, &w->settles,
                                           NGX_HTTP_BITRIX1C_DEAD, 1);

    job = b->jobs[0];

    for (i = 0; i < 4; i++) {
        ngx_http_bitrix1c_batch_word(b, &w->queue->keys[i]);
    }

    ngx_http_bitrix1c_batch_word(b, &job->marker);
    ngx_http_bitrix1c_batch_word(b, &job->id);
    ngx_http_bitrix1c_batch_word(b, &job->epoch);
    ngx_http_bitrix1c_batch_word(b, &job->key);
    ngx_http_bitrix1c_batch_word(b, &job->lane);
    ngx_http_bitrix1c_batch_word(b, &ngx_http_bitrix1c_one);
    ngx_http_bitrix1c_batch_word(b, &job->reason);
    ngx_http_bitrix1c_batch_word(b, &w->window);
    ngx_http_bitrix1c_batch_word(b, &w->dead_max);
    ngx_http_bitrix1c_batch_word(b, &w->dead_age);

    return ngx_http_bitrix1c_batch_settle_send(b,
                                            NGX_HTTP_BITRIX1C_SCRIPT_DEAD, 5);
}


static void
ngx_http_bitrix1c_batch_settled(void *data, ngx_http_bitrix1c_reply_t *reply)
{
    ngx_http_bitrix1c_batch_t *b = data;

    int64_t                      result;
    ngx_uint_t                   i;
    ngx_http_bitrix1c_job_t     *job;
    ngx_http_bitrix1c_worker_t  *w;

    w = b->worker;

    if (reply == NULL) {

        /* the epoch makes it safe to say it again */

        for (i = b->n; i--; /* void */ ) {
            b->jobs[i]->repeated = 1;
            ngx_queue_insert_head(&w->settles, &b->jobs[i]->link);
        }

        if (!w->stopped) {
            ngx_post_event(&w->flush, &ngx_posted_events);
        }

        ngx_free(b);
        return;
    }

    /* a refusal leaves the lease to end, and the event is delivered again */

    if (!ngx_http_bitrix1c_batch_failed(b, reply, "ack, nack or dead")
        && b->jobs[0]->result == NGX_HTTP_BITRIX1C_DEAD
        && ngx_http_bitrix1c_reply_int(reply, 1, &result) == NGX_OK
        && result)
    {
        ngx_http_bitrix1c_stats_count(w->queue->stats,
                                      NGX_HTTP_BITRIX1C_N_DROPPED_DEAD,
                                      result);

        ngx_log_error(NGX_LOG_ERR, w->log, 0,
                      "bitrix1c_queue \"%V\": the %L oldest dead letters are "
                      "dropped, see \"dead_letters\"", &w->queue->name,
                      result);
    }

    for (i = 0; i < b->n; i++) {
        job = b->jobs[i];

        if (ngx_http_bitrix1c_reply_int(reply, i, &result) == NGX_OK) {

            if (result == 0) {

                /* or it was carried out when it was said the first time */

                if (!job->repeated
                    || ngx_current_msec - job->leased
                       >= NGX_HTTP_BITRIX1C_LEASE)
                {
                    ngx_http_bitrix1c_report_late(job);
                }

            } else if (result == 2) {

                /* the next one of its lane is due */

                ngx_http_bitrix1c_slots_mark(w->queue->slots);
                w->claim = 1;
                ngx_post_event(&w->flush, &ngx_posted_events);
            }
        }

        if (job->result == NGX_HTTP_BITRIX1C_RETRY) {
            ngx_http_bitrix1c_queue_due(w, job->delay);
        }

        ngx_http_bitrix1c_job_release(job);
    }

    ngx_free(b);
}


ngx_int_t
ngx_http_bitrix1c_batch_extend(ngx_http_bitrix1c_worker_t *w)
{
    ngx_uint_t                  i;
    ngx_queue_t                *q;
    ngx_http_bitrix1c_job_t    *job;
    ngx_http_bitrix1c_batch_t  *b;

    b = ngx_http_bitrix1c_batch_create(w, NGX_HTTP_BITRIX1C_BATCH, 2);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    ngx_http_bitrix1c_batch_word(b, &w->queue->keys[0]);
    ngx_http_bitrix1c_batch_word(b, &w->queue->keys[1]);
    ngx_http_bitrix1c_batch_word(b, &w->lease);

    for (q = ngx_queue_head(&w->flying);
         q != ngx_queue_sentinel(&w->flying)
         && b->n < NGX_HTTP_BITRIX1C_BATCH;
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_http_bitrix1c_job_t, link);

        if (ngx_current_msec - job->leased < NGX_HTTP_BITRIX1C_EXTEND) {
            continue;
        }

        b->jobs[b->n++] = job;
        ngx_http_bitrix1c_batch_word(b, &job->id);
        ngx_http_bitrix1c_batch_word(b, &job->epoch);
    }

    if (b->n == 0
        || ngx_http_bitrix1c_batch_send(b, NGX_HTTP_BITRIX1C_SCRIPT_EXTEND, 2,
                                        ngx_http_bitrix1c_batch_extended)
           != NGX_OK)
    {
        ngx_free(b);
        return NGX_DECLINED;
    }

    for (i = 0; i < b->n; i++) {
        b->jobs[i]->leased = ngx_current_msec;
        ngx_http_bitrix1c_job_hold(b->jobs[i]);
    }

    return NGX_OK;
}


static void
ngx_http_bitrix1c_batch_extended(void *data, ngx_http_bitrix1c_reply_t *reply)
{
    ngx_http_bitrix1c_batch_t *b = data;

    int64_t                   renewed;
    ngx_uint_t                i, failed;
    ngx_http_bitrix1c_job_t  *job;

    failed = ngx_http_bitrix1c_batch_failed(b, reply, "extend");

    for (i = 0; i < b->n; i++) {
        job = b->jobs[i];

        if (failed) {
            /* asked again at the next look, the lease has not grown */
            job->leased = ngx_current_msec - NGX_HTTP_BITRIX1C_EXTEND;

        } else if (job->flying
                   && ngx_http_bitrix1c_reply_int(reply, i, &renewed) == NGX_OK
                   && renewed == 0)
        {
            ngx_http_bitrix1c_queue_lost(b->worker, job);
        }

        ngx_http_bitrix1c_job_release(job);
    }

    ngx_free(b);
}

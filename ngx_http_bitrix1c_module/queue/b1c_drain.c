
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_queue_internal.h"
#include "b1c_core.h"
#include "b1c_job.h"
#include "b1c_redis.h"
#include "b1c_spool.h"
#include "b1c_delivery.h"


/* ms, +/- 20 %, after which a failed drain is tried again */
#define NGX_B1C_DRAIN_PAUSE  1000


static void ngx_b1c_drain_handler(void *data, ngx_int_t rc);
static void ngx_b1c_drain_send(ngx_b1c_worker_t *w);
static ngx_int_t ngx_b1c_drain_fill(ngx_b1c_worker_t *w);
static void ngx_b1c_drain_finish(ngx_b1c_worker_t *w);


void
ngx_b1c_drain_start(ngx_b1c_worker_t *w, ngx_uint_t look)
{
    ngx_b1c_spill_t  *spill;

    spill = w->spill;

    if (spill->active || ngx_exiting || w->stopped
        || !ngx_b1c_redis_ready(w->redis)
        || (ngx_msec_int_t) (ngx_current_msec - spill->next) < 0)
    {
        return;
    }

    if (ngx_b1c_spool_drain(spill->spool,
                            ngx_b1c_drain_handler, w)
        == NGX_OK)
    {
        spill->active = 1;
        spill->looking = look;
        spill->replayed = 0;
        spill->doubtful = 1;
    }
}


static void
ngx_b1c_drain_handler(void *data, ngx_int_t rc)
{
    ngx_b1c_worker_t *w = data;

    if (rc == NGX_OK) {
        ngx_b1c_drain_send(w);
        return;
    }

    if (rc == NGX_DONE && (w->spill->replayed || !w->spill->looking)) {
        ngx_log_error(NGX_LOG_NOTICE, w->log, 0,
                      "bitrix1c_queue \"%V\": the spool is empty, events go "
                      "to Redis again", &w->queue->name);
    }

    ngx_b1c_drain_finish(w);
}


static void
ngx_b1c_drain_send(ngx_b1c_worker_t *w)
{
    ngx_int_t         rc;
    ngx_b1c_spill_t  *spill;

    spill = w->spill;

    if (ngx_exiting
        || !ngx_b1c_redis_ready(w->redis)
        || ngx_b1c_drain_fill(w) != NGX_OK)
    {
        ngx_b1c_drain_finish(w);
        return;
    }

    if (spill->n) {
        rc = ngx_b1c_accept_drain(w, &spill->replaying);

    } else {

        /* an earlier run, in this nginx or another, stopped here */

        spill->doubtful = 0;
        rc = ngx_b1c_spool_drain_next(spill->spool);
    }

    if (rc != NGX_OK) {
        ngx_b1c_drain_finish(w);
    }
}


static ngx_int_t
ngx_b1c_drain_fill(ngx_b1c_worker_t *w)
{
    uint64_t            end;
    b1c_record_event_t  ev;
    ngx_b1c_job_t      *job;
    ngx_b1c_spill_t    *spill;

    spill = w->spill;

    while (spill->n < NGX_B1C_SCRIPT_JOBS
           && ngx_b1c_spool_drain_take(spill->spool, &ev, &end)
              == NGX_OK)
    {
        job = ngx_b1c_job_create(w->queue, w->log);
        if (job == NULL) {
            return NGX_ERROR;
        }

        if (ngx_b1c_job_spooled(job, &ev) != NGX_OK) {
            ngx_b1c_job_unref(job);
            return NGX_ERROR;
        }

        if (spill->doubtful) {
            job->lease.maybe_accepted = 1;
        }

        ngx_queue_insert_tail(&spill->replaying, &job->link);
        spill->ends[spill->n++] = end;
    }

    return NGX_OK;
}


void
ngx_b1c_drain_stored(ngx_b1c_worker_t *w, ngx_uint_t n, ngx_int_t rc)
{
    ngx_b1c_spill_t  *spill;

    spill = w->spill;

    if (rc != NGX_OK) {
        ngx_b1c_drain_finish(w);
        return;
    }

    ngx_b1c_spool_drain_stored(spill->spool, n, spill->ends[n - 1]);

    spill->n -= n;
    spill->replayed = 1;

    ngx_memmove(spill->ends, spill->ends + n, spill->n * sizeof(uint64_t));

    ngx_b1c_drain_send(w);
}


/* ends this run: the rest of the spool is drained later by any worker */
static void
ngx_b1c_drain_finish(ngx_b1c_worker_t *w)
{
    ngx_b1c_spill_t  *spill;

    spill = w->spill;

    ngx_b1c_drain_drop(spill);
    ngx_b1c_spool_drain_end(spill->spool);

    spill->active = 0;
    spill->next = ngx_current_msec
                  + ngx_b1c_verdict_jitter(NGX_B1C_DRAIN_PAUSE);

    /* in DIRECT mode for waiting jobs, otherwise for the next try */

    ngx_post_event(&w->flush, &ngx_posted_events);
}


void
ngx_b1c_drain_drop(ngx_b1c_spill_t *spill)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&spill->replaying)) {
        q = ngx_queue_head(&spill->replaying);
        ngx_queue_remove(q);
        ngx_b1c_job_unref(ngx_queue_data(q, ngx_b1c_job_t, link));
    }

    spill->n = 0;
}

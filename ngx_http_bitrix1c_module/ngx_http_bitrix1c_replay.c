
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_replay.h"
#include "ngx_http_bitrix1c_batch.h"
#include "ngx_http_bitrix1c_job.h"
#include "ngx_http_bitrix1c_verdict.h"


/* ms, less or more a fifth, after which a replay that failed is tried again */
#define NGX_HTTP_BITRIX1C_REPLAY_PAUSE  1000


static void ngx_http_bitrix1c_replay_handler(void *data, ngx_int_t rc);
static void ngx_http_bitrix1c_replay_send(ngx_http_bitrix1c_worker_t *w);
static ngx_int_t ngx_http_bitrix1c_replay_fill(ngx_http_bitrix1c_worker_t *w);
static void ngx_http_bitrix1c_replay_finish(ngx_http_bitrix1c_worker_t *w);


void
ngx_http_bitrix1c_replay_start(ngx_http_bitrix1c_worker_t *w, ngx_uint_t look)
{
    ngx_http_bitrix1c_keep_t  *keep;

    keep = w->keep;

    if (keep->active || ngx_exiting || w->stopped
        || !ngx_http_bitrix1c_redis_ready(w->redis)
        || (ngx_msec_int_t) (ngx_current_msec - keep->next) < 0)
    {
        return;
    }

    if (ngx_http_bitrix1c_spool_replay(keep->spool,
                                       ngx_http_bitrix1c_replay_handler, w)
        == NGX_OK)
    {
        keep->active = 1;
        keep->looking = look;
        keep->replayed = 0;
        keep->doubtful = 1;
    }
}


static void
ngx_http_bitrix1c_replay_handler(void *data, ngx_int_t rc)
{
    ngx_http_bitrix1c_worker_t *w = data;

    if (rc == NGX_OK) {
        ngx_http_bitrix1c_replay_send(w);
        return;
    }

    if (rc == NGX_DONE && (w->keep->replayed || !w->keep->looking)) {
        ngx_log_error(NGX_LOG_NOTICE, w->log, 0,
                      "bitrix1c_queue \"%V\": the spool is empty, events go "
                      "to Redis again", &w->queue->name);
    }

    ngx_http_bitrix1c_replay_finish(w);
}


static void
ngx_http_bitrix1c_replay_send(ngx_http_bitrix1c_worker_t *w)
{
    ngx_int_t                  rc;
    ngx_http_bitrix1c_keep_t  *keep;

    keep = w->keep;

    if (ngx_exiting
        || !ngx_http_bitrix1c_redis_ready(w->redis)
        || ngx_http_bitrix1c_replay_fill(w) != NGX_OK)
    {
        ngx_http_bitrix1c_replay_finish(w);
        return;
    }

    if (keep->n) {
        rc = ngx_http_bitrix1c_batch_replay(w, &keep->replaying);

    } else {

        /* a run before, in this nginx or not, got no further than this */

        keep->doubtful = 0;
        rc = ngx_http_bitrix1c_spool_replay_next(keep->spool);
    }

    if (rc != NGX_OK) {
        ngx_http_bitrix1c_replay_finish(w);
    }
}


static ngx_int_t
ngx_http_bitrix1c_replay_fill(ngx_http_bitrix1c_worker_t *w)
{
    uint64_t                   end;
    bitrix_spool_event_t       ev;
    ngx_http_bitrix1c_job_t   *job;
    ngx_http_bitrix1c_keep_t  *keep;

    keep = w->keep;

    while (keep->n < NGX_HTTP_BITRIX1C_BATCH
           && ngx_http_bitrix1c_spool_replay_take(keep->spool, &ev, &end)
              == NGX_OK)
    {
        job = ngx_http_bitrix1c_job_create(w->queue, w->log);
        if (job == NULL) {
            return NGX_ERROR;
        }

        if (ngx_http_bitrix1c_job_spooled(job, &ev) != NGX_OK) {
            ngx_http_bitrix1c_job_release(job);
            return NGX_ERROR;
        }

        if (keep->doubtful) {
            job->again = 1;
        }

        ngx_queue_insert_tail(&keep->replaying, &job->link);
        keep->ends[keep->n++] = end;
    }

    return NGX_OK;
}


void
ngx_http_bitrix1c_replay_stored(ngx_http_bitrix1c_worker_t *w, ngx_uint_t n,
    ngx_int_t rc)
{
    ngx_http_bitrix1c_keep_t  *keep;

    keep = w->keep;

    if (rc != NGX_OK) {
        ngx_http_bitrix1c_replay_finish(w);
        return;
    }

    ngx_http_bitrix1c_spool_replay_stored(keep->spool, n, keep->ends[n - 1]);

    keep->n -= n;
    keep->replayed = 1;

    ngx_memmove(keep->ends, keep->ends + n, keep->n * sizeof(uint64_t));

    ngx_http_bitrix1c_replay_send(w);
}


/* for now: what is still in the spool is tried again later, by whoever can */
static void
ngx_http_bitrix1c_replay_finish(ngx_http_bitrix1c_worker_t *w)
{
    ngx_http_bitrix1c_keep_t  *keep;

    keep = w->keep;

    ngx_http_bitrix1c_replay_drop(keep);
    ngx_http_bitrix1c_spool_replay_end(keep->spool);

    keep->active = 0;
    keep->next = ngx_current_msec
                 + ngx_http_bitrix1c_jitter(NGX_HTTP_BITRIX1C_REPLAY_PAUSE);

    /* in DIRECT mode for those who were waiting, else for the next try */

    ngx_post_event(&w->flush, &ngx_posted_events);
}


void
ngx_http_bitrix1c_replay_drop(ngx_http_bitrix1c_keep_t *keep)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&keep->replaying)) {
        q = ngx_queue_head(&keep->replaying);
        ngx_queue_remove(q);
        ngx_http_bitrix1c_job_release(
                        ngx_queue_data(q, ngx_http_bitrix1c_job_t, link));
    }

    keep->n = 0;
}

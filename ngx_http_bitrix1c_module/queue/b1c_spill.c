
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_queue_internal.h"
#include "b1c_core.h"
#include "b1c_job.h"
#include "b1c_redis.h"
#include "b1c_spool.h"


/* maximum of bytes and records that are written and synced together */
#define NGX_B1C_SPILL_BYTES  (1024 * 1024)
#define NGX_B1C_SPILL_JOBS   1024

/* ms between checks: while events wait for another mode, and otherwise */
#define NGX_B1C_SPILL_SOON   10
#define NGX_B1C_SPILL_TICK   250

/* ms for which an exiting worker waits for a hanging disk */
#define NGX_B1C_SPILL_GUARD  60000

/* ms between checks for files that others have put there */
#define NGX_B1C_SPILL_LOOK   5000


static void ngx_b1c_spill_enter(ngx_b1c_worker_t *w);
static void ngx_b1c_spill_write(ngx_b1c_worker_t *w);
static size_t ngx_b1c_spill_gather(ngx_b1c_worker_t *w, ngx_uint_t *n);
static size_t ngx_b1c_spill_size(ngx_b1c_job_t *job);
static void ngx_b1c_spill_written(void *data, ngx_int_t rc);
static void ngx_b1c_spill_arm(ngx_b1c_worker_t *w);
static void ngx_b1c_spill_tick_handler(ngx_event_t *ev);
static void ngx_b1c_spill_guard_handler(ngx_event_t *ev);


ngx_int_t
ngx_b1c_spill_start(ngx_b1c_worker_t *w)
{
    ngx_b1c_spill_t  *spill;

    if (w->queue->spool_conf == NULL) {
        return NGX_OK;
    }

    spill = ngx_calloc(sizeof(ngx_b1c_spill_t), w->log);
    if (spill == NULL) {
        return NGX_ERROR;
    }

    spill->spool = ngx_b1c_spool_create(w->queue->spool_conf, w->log);
    if (spill->spool == NULL) {
        ngx_free(spill);
        return NGX_ERROR;
    }

    ngx_queue_init(&spill->writing);
    ngx_queue_init(&spill->replaying);

    ngx_b1c_queue_timer(w, &spill->tick, ngx_b1c_spill_tick_handler, 1);

    /* not cancelable: senders wait for the write */

    ngx_b1c_queue_timer(w, &spill->guard, ngx_b1c_spill_guard_handler, 0);

    w->spill = spill;

    ngx_b1c_spool_start(spill->spool);
    ngx_b1c_spill_arm(w);

    return NGX_OK;
}


void
ngx_b1c_spill_stop(ngx_b1c_worker_t *w)
{
    ngx_queue_t      *q;
    ngx_b1c_spill_t  *spill;

    spill = w->spill;

    if (spill == NULL) {
        return;
    }

    w->spill = NULL;

    ngx_b1c_timer_stop(&spill->tick);
    ngx_b1c_timer_stop(&spill->guard);

    ngx_b1c_drain_drop(spill);
    ngx_b1c_spool_destroy(spill->spool);

    while (!ngx_queue_empty(&spill->writing)) {
        q = ngx_queue_head(&spill->writing);
        ngx_queue_remove(q);
        ngx_b1c_job_unref(ngx_queue_data(q, ngx_b1c_job_t, link));
    }

    if (spill->group) {
        ngx_free(spill->group);
    }

    ngx_free(spill);
}


ngx_uint_t
ngx_b1c_spill_direct(ngx_b1c_worker_t *w)
{
    return w->spill == NULL
           || ngx_b1c_spool_shm_mode(w->queue->spool_conf->state)
              == NGX_B1C_SPOOL_DIRECT;
}


void
ngx_b1c_spill_flush(ngx_b1c_worker_t *w)
{
    ngx_b1c_spill_t      *spill;
    ngx_b1c_spool_shm_t  *state;

    spill = w->spill;

    if (spill == NULL) {
        return;
    }

    state = w->queue->spool_conf->state;

    switch (ngx_b1c_spool_shm_mode(state)) {

    case NGX_B1C_SPOOL_UNKNOWN:
        ngx_b1c_spool_start(spill->spool);
        break;

    case NGX_B1C_SPOOL_CLOSING:

        /* the worker that closes may have died */

        (void) ngx_b1c_spool_shm_reopen(state, 0);
        break;

    case NGX_B1C_SPOOL_DIRECT:
        if (w->naccepts && ngx_b1c_redis_away(w->redis)) {
            ngx_b1c_spill_enter(w);
        }

        break;

    default: /* NGX_B1C_SPOOL_SPOOLING */
        break;
    }

    if (ngx_b1c_spool_shm_mode(state) == NGX_B1C_SPOOL_SPOOLING) {
        ngx_b1c_spill_write(w);
        ngx_b1c_drain_start(w, 0);
    }

    ngx_b1c_spill_arm(w);
}


static void
ngx_b1c_spill_enter(ngx_b1c_worker_t *w)
{
    if (ngx_b1c_spool_shm_enter(w->queue->spool_conf->state)) {
        ngx_log_error(NGX_LOG_WARN, w->log, 0,
                      "bitrix1c_queue \"%V\": Redis does not store events, "
                      "they are written to the spool \"%V\"", &w->queue->name,
                      &w->queue->spool_conf->path->name);
    }
}


/*
 * One group at a time: jobs that arrive while a group is being written form
 * the next one and share one sync.
 */
static void
ngx_b1c_spill_write(ngx_b1c_worker_t *w)
{
    u_char             *p;
    size_t              len;
    ngx_uint_t          n;
    ngx_queue_t        *q;
    b1c_record_event_t  ev;
    ngx_b1c_job_t      *job;
    ngx_b1c_spill_t    *spill;

    spill = w->spill;

    if (w->naccepts == 0 || spill->busy
        || ngx_b1c_spool_writing(spill->spool))
    {
        return;
    }

    len = ngx_b1c_spill_gather(w, &n);

    if (n == 0) {
        return;
    }

    spill->group = ngx_alloc(len, w->log);
    if (spill->group == NULL) {
        ngx_b1c_spill_written(w, NGX_AGAIN);
        return;
    }

    p = spill->group;

    for (q = ngx_queue_head(&spill->writing);
         q != ngx_queue_sentinel(&spill->writing);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_b1c_job_t, link);

        ngx_b1c_job_spool(job, &ev);
        p = b1c_record_put(p, &ev);
    }

    ngx_add_timer(&spill->guard, NGX_B1C_SPILL_GUARD);

    if (ngx_b1c_spool_append(spill->spool, spill->group, len, n,
                             ngx_b1c_spill_written, w)
        != NGX_OK)
    {
        ngx_b1c_spill_written(w, NGX_AGAIN);
    }
}


/* takes n jobs from the head of the list; returns their bytes */
static size_t
ngx_b1c_spill_gather(ngx_b1c_worker_t *w, ngx_uint_t *n)
{
    size_t            size, len;
    ngx_queue_t      *q;
    ngx_b1c_job_t    *job;
    ngx_b1c_spill_t  *spill;

    spill = w->spill;
    len = 0;
    *n = 0;

    while (!ngx_queue_empty(&w->accepts)
           && *n < NGX_B1C_SPILL_JOBS)
    {
        q = ngx_queue_head(&w->accepts);
        job = ngx_queue_data(q, ngx_b1c_job_t, link);

        size = ngx_b1c_spill_size(job);

        if (*n && len + size > NGX_B1C_SPILL_BYTES) {
            break;
        }

        ngx_queue_remove(q);
        w->naccepts--;

        if (size == 0) {
            ngx_b1c_queue_answer(job, NGX_B1C_UNAVAILABLE);
            continue;
        }

        ngx_queue_insert_tail(&spill->writing, q);
        len += size;
        (*n)++;
    }

    return len;
}


static size_t
ngx_b1c_spill_size(ngx_b1c_job_t *job)
{
    size_t              size;
    b1c_record_event_t  ev;

    ngx_b1c_job_spool(job, &ev);

    size = b1c_record_size(&ev);

    if (size == 0) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "bitrix1c_queue \"%V\": event %V is too large for the "
                      "spool: %uz bytes, it is refused",
                      &job->queue->name, &job->id,
                      job->record.len);
    }

    return size;
}


static void
ngx_b1c_spill_written(void *data, ngx_int_t rc)
{
    ngx_b1c_worker_t *w = data;

    ngx_queue_t      *q;
    ngx_b1c_job_t    *job;
    ngx_b1c_spill_t  *spill;

    spill = w->spill;

    if (spill->guard.timer_set) {
        ngx_del_timer(&spill->guard);
    }

    if (spill->group) {
        ngx_free(spill->group);
        spill->group = NULL;
    }

    /* not at once, otherwise it would loop */

    spill->busy = (rc == NGX_AGAIN);

    while (!ngx_queue_empty(&spill->writing)) {

        if (rc == NGX_AGAIN) {
            q = ngx_queue_last(&spill->writing);
            ngx_queue_remove(q);
            job = ngx_queue_data(q, ngx_b1c_job_t, link);

            ngx_b1c_queue_again(w, job);
            continue;
        }

        q = ngx_queue_head(&spill->writing);
        ngx_queue_remove(q);
        job = ngx_queue_data(q, ngx_b1c_job_t, link);

        ngx_b1c_queue_answer(job,
                            rc == NGX_OK ? NGX_B1C_SPOOLED
                                         : NGX_B1C_UNAVAILABLE);
    }

    ngx_post_event(&w->flush, &ngx_posted_events);
}


static void
ngx_b1c_spill_arm(ngx_b1c_worker_t *w)
{
    ngx_msec_t            interval;
    ngx_event_t          *ev;
    ngx_b1c_spill_t      *spill;
    ngx_b1c_spool_mode_e  mode;

    spill = w->spill;
    ev = &spill->tick;
    mode = ngx_b1c_spool_shm_mode(w->queue->spool_conf->state);

    interval = NGX_B1C_SPILL_TICK;

    if (mode == NGX_B1C_SPOOL_UNKNOWN
        || (w->naccepts && (spill->busy
                            || mode == NGX_B1C_SPOOL_CLOSING)))
    {
        interval = NGX_B1C_SPILL_SOON;

    } else if (mode == NGX_B1C_SPOOL_DIRECT
               && ngx_b1c_spool_idle(spill->spool))
    {
        return;
    }

    if (ev->timer_set) {

        if ((ngx_msec_int_t) (ev->timer.key - ngx_current_msec)
            <= (ngx_msec_int_t) interval)
        {
            return;
        }

        /* ngx_add_timer() would leave the timer unchanged */

        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, interval);
}


static void
ngx_b1c_spill_tick_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    ngx_b1c_worker_t  *w;

    c = ev->data;
    w = c->data;

    w->spill->busy = 0;

    (void) ngx_b1c_spool_idle(w->spill->spool);

    ngx_b1c_queue_flush(w);
}


static void
ngx_b1c_spill_guard_handler(ngx_event_t *ev)
{
    /* the worker does not wait any longer for a disk that hangs */
}


void
ngx_b1c_spill_up(ngx_b1c_worker_t *w)
{
    if (w->spill) {
        w->spill->next = ngx_current_msec;
    }
}


void
ngx_b1c_spill_poll(ngx_b1c_worker_t *w)
{
    if (w->spill == NULL) {
        return;
    }

    if (!ngx_b1c_spill_direct(w)) {
        ngx_post_event(&w->flush, &ngx_posted_events);
        return;
    }

    if (ngx_b1c_redis_ready(w->redis)
        && ngx_b1c_spool_shm_look(w->queue->spool_conf->state,
                                  NGX_B1C_SPILL_LOOK))
    {
        ngx_b1c_drain_start(w, 1);
    }
}


ngx_uint_t
ngx_b1c_spill_late(ngx_b1c_worker_t *w)
{
    ngx_msec_t      waited;
    ngx_b1c_job_t  *job;

    if (w->spill == NULL) {
        return 0;
    }

    if (!ngx_b1c_spill_direct(w)) {
        return 1;
    }

    if (w->naccepts == 0) {
        return 0;
    }

    job = ngx_queue_data(ngx_queue_head(&w->accepts), ngx_b1c_job_t, link);
    waited = ngx_current_msec - job->arrived;

    if (waited < w->queue->redis_conf->timeout) {
        return 0;
    }

    ngx_b1c_spill_enter(w);
    ngx_post_event(&w->flush, &ngx_posted_events);

    return 1;
}


void
ngx_b1c_spill_refused(ngx_b1c_worker_t *w)
{
    if (w->spill == NULL) {
        return;
    }

    ngx_b1c_spool_shm_refuse(w->queue->spool_conf->state);

    ngx_b1c_spill_enter(w);
    ngx_post_event(&w->flush, &ngx_posted_events);
}


ngx_uint_t
ngx_b1c_spill_told(ngx_b1c_worker_t *w)
{
    return w->spill
           && ngx_b1c_spool_shm_refused(w->queue->spool_conf->state);
}

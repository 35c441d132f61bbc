
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_keep.h"
#include "ngx_http_bitrix1c_job.h"
#include "ngx_http_bitrix1c_replay.h"
#include "ngx_http_bitrix1c_timer.h"


/* bytes and records that are written and synced together, at most */
#define NGX_HTTP_BITRIX1C_KEEP_BYTES  (1024 * 1024)
#define NGX_HTTP_BITRIX1C_KEEP_JOBS   1024

/* ms: while events wait for the mode to change, and while they do not */
#define NGX_HTTP_BITRIX1C_KEEP_SOON   10
#define NGX_HTTP_BITRIX1C_KEEP_TICK   250

/* ms for which a leaving worker waits for a disk that hangs */
#define NGX_HTTP_BITRIX1C_KEEP_GUARD  60000

/* ms after which files are looked for that others have put there */
#define NGX_HTTP_BITRIX1C_KEEP_LOOK   5000


static void ngx_http_bitrix1c_keep_enter(ngx_http_bitrix1c_worker_t *w);
static void ngx_http_bitrix1c_keep_write(ngx_http_bitrix1c_worker_t *w);
static size_t ngx_http_bitrix1c_keep_gather(ngx_http_bitrix1c_worker_t *w,
    ngx_uint_t *n);
static size_t ngx_http_bitrix1c_keep_size(ngx_http_bitrix1c_job_t *job);
static void ngx_http_bitrix1c_keep_written(void *data, ngx_int_t rc);
static void ngx_http_bitrix1c_keep_arm(ngx_http_bitrix1c_worker_t *w);
static void ngx_http_bitrix1c_keep_tick_handler(ngx_event_t *ev);
static void ngx_http_bitrix1c_keep_guard_handler(ngx_event_t *ev);


ngx_int_t
ngx_http_bitrix1c_keep_start(ngx_http_bitrix1c_worker_t *w)
{
    ngx_http_bitrix1c_keep_t  *keep;

    if (w->queue->spool.path == NULL) {
        return NGX_OK;
    }

    keep = ngx_calloc(sizeof(ngx_http_bitrix1c_keep_t), w->log);
    if (keep == NULL) {
        return NGX_ERROR;
    }

    keep->spool = ngx_http_bitrix1c_spool_create(&w->queue->spool, w->log);
    if (keep->spool == NULL) {
        ngx_free(keep);
        return NGX_ERROR;
    }

    ngx_queue_init(&keep->writing);
    ngx_queue_init(&keep->replaying);

    ngx_http_bitrix1c_queue_timer(w, &keep->tick,
                                  ngx_http_bitrix1c_keep_tick_handler, 1);

    /* senders wait for what is being written */

    ngx_http_bitrix1c_queue_timer(w, &keep->guard,
                                  ngx_http_bitrix1c_keep_guard_handler, 0);

    w->keep = keep;

    ngx_http_bitrix1c_spool_start(keep->spool);
    ngx_http_bitrix1c_keep_arm(w);

    return NGX_OK;
}


void
ngx_http_bitrix1c_keep_stop(ngx_http_bitrix1c_worker_t *w)
{
    ngx_queue_t               *q;
    ngx_http_bitrix1c_keep_t  *keep;

    keep = w->keep;

    if (keep == NULL) {
        return;
    }

    w->keep = NULL;

    ngx_http_bitrix1c_timer_stop(&keep->tick);
    ngx_http_bitrix1c_timer_stop(&keep->guard);

    ngx_http_bitrix1c_replay_drop(keep);
    ngx_http_bitrix1c_spool_destroy(keep->spool);

    while (!ngx_queue_empty(&keep->writing)) {
        q = ngx_queue_head(&keep->writing);
        ngx_queue_remove(q);
        ngx_http_bitrix1c_job_release(
                        ngx_queue_data(q, ngx_http_bitrix1c_job_t, link));
    }

    if (keep->group) {
        ngx_free(keep->group);
    }

    ngx_free(keep);
}


ngx_uint_t
ngx_http_bitrix1c_keep_direct(ngx_http_bitrix1c_worker_t *w)
{
    return w->keep == NULL
           || ngx_http_bitrix1c_spool_mode(w->queue->spool.state)
              == NGX_HTTP_BITRIX1C_SPOOL_DIRECT;
}


void
ngx_http_bitrix1c_keep_flush(ngx_http_bitrix1c_worker_t *w)
{
    ngx_http_bitrix1c_keep_t         *keep;
    ngx_http_bitrix1c_spool_state_t  *state;

    keep = w->keep;

    if (keep == NULL) {
        return;
    }

    state = w->queue->spool.state;

    switch (ngx_http_bitrix1c_spool_mode(state)) {

    case NGX_HTTP_BITRIX1C_SPOOL_UNKNOWN:
        ngx_http_bitrix1c_spool_start(keep->spool);
        break;

    case NGX_HTTP_BITRIX1C_SPOOL_CLOSING:

        /* whoever it was that closed may have died */

        (void) ngx_http_bitrix1c_spool_reopen(state, 0);
        break;

    case NGX_HTTP_BITRIX1C_SPOOL_DIRECT:
        if (w->naccepts && ngx_http_bitrix1c_redis_away(w->redis)) {
            ngx_http_bitrix1c_keep_enter(w);
        }

        break;

    default: /* NGX_HTTP_BITRIX1C_SPOOL_SPOOLING */
        break;
    }

    if (ngx_http_bitrix1c_spool_mode(state)
        == NGX_HTTP_BITRIX1C_SPOOL_SPOOLING)
    {
        ngx_http_bitrix1c_keep_write(w);
        ngx_http_bitrix1c_replay_start(w, 0);
    }

    ngx_http_bitrix1c_keep_arm(w);
}


static void
ngx_http_bitrix1c_keep_enter(ngx_http_bitrix1c_worker_t *w)
{
    if (ngx_http_bitrix1c_spool_enter(w->queue->spool.state)) {
        ngx_log_error(NGX_LOG_WARN, w->log, 0,
                      "bitrix1c_queue \"%V\": Redis does not store, events go "
                      "to the spool \"%V\"", &w->queue->name,
                      &w->queue->spool.path->name);
    }
}


/*
 * One group at a time: what arrives while a group is on its way to the disk is
 * the next one, and shares one sync.
 */
static void
ngx_http_bitrix1c_keep_write(ngx_http_bitrix1c_worker_t *w)
{
    u_char                    *p;
    size_t                     len;
    ngx_uint_t                 n;
    ngx_queue_t               *q;
    bitrix_spool_event_t       ev;
    ngx_http_bitrix1c_job_t   *job;
    ngx_http_bitrix1c_keep_t  *keep;

    keep = w->keep;

    if (w->naccepts == 0 || keep->busy
        || ngx_http_bitrix1c_spool_writing(keep->spool))
    {
        return;
    }

    len = ngx_http_bitrix1c_keep_gather(w, &n);

    if (n == 0) {
        return;
    }

    keep->group = ngx_alloc(len, w->log);
    if (keep->group == NULL) {
        ngx_http_bitrix1c_keep_written(w, NGX_AGAIN);
        return;
    }

    p = keep->group;

    for (q = ngx_queue_head(&keep->writing);
         q != ngx_queue_sentinel(&keep->writing);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_http_bitrix1c_job_t, link);

        ngx_http_bitrix1c_job_spool(job, &ev);
        p = bitrix_spool_put(p, &ev);
    }

    ngx_add_timer(&keep->guard, NGX_HTTP_BITRIX1C_KEEP_GUARD);

    if (ngx_http_bitrix1c_spool_append(keep->spool, keep->group, len, n,
                                       ngx_http_bitrix1c_keep_written, w)
        != NGX_OK)
    {
        ngx_http_bitrix1c_keep_written(w, NGX_AGAIN);
    }
}


/* n jobs from the head of those to be stored; returns the bytes they take */
static size_t
ngx_http_bitrix1c_keep_gather(ngx_http_bitrix1c_worker_t *w, ngx_uint_t *n)
{
    size_t                     size, len;
    ngx_queue_t               *q;
    ngx_http_bitrix1c_job_t   *job;
    ngx_http_bitrix1c_keep_t  *keep;

    keep = w->keep;
    len = 0;
    *n = 0;

    while (!ngx_queue_empty(&w->accepts)
           && *n < NGX_HTTP_BITRIX1C_KEEP_JOBS)
    {
        q = ngx_queue_head(&w->accepts);
        job = ngx_queue_data(q, ngx_http_bitrix1c_job_t, link);

        size = ngx_http_bitrix1c_keep_size(job);

        if (*n && len + size > NGX_HTTP_BITRIX1C_KEEP_BYTES) {
            break;
        }

        ngx_queue_remove(q);
        w->naccepts--;

        if (size == 0) {
            ngx_http_bitrix1c_queue_answer(job,
                                           NGX_HTTP_BITRIX1C_UNAVAILABLE);
            continue;
        }

        ngx_queue_insert_tail(&keep->writing, q);
        len += size;
        (*n)++;
    }

    return len;
}


static size_t
ngx_http_bitrix1c_keep_size(ngx_http_bitrix1c_job_t *job)
{
    size_t                size;
    bitrix_spool_event_t  ev;

    ngx_http_bitrix1c_job_spool(job, &ev);

    size = bitrix_spool_size(&ev);

    if (size == 0) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "bitrix1c_queue \"%V\": event %V is too large for the "
                      "spool: %uz bytes", &job->queue->name, &job->id,
                      job->record.len);
    }

    return size;
}


static void
ngx_http_bitrix1c_keep_written(void *data, ngx_int_t rc)
{
    ngx_http_bitrix1c_worker_t *w = data;

    ngx_queue_t               *q;
    ngx_http_bitrix1c_job_t   *job;
    ngx_http_bitrix1c_keep_t  *keep;

    keep = w->keep;

    if (keep->guard.timer_set) {
        ngx_del_timer(&keep->guard);
    }

    if (keep->group) {
        ngx_free(keep->group);
        keep->group = NULL;
    }

    /* not at once again, or it would be tried in a circle */

    keep->busy = (rc == NGX_AGAIN);

    while (!ngx_queue_empty(&keep->writing)) {

        if (rc == NGX_AGAIN) {
            q = ngx_queue_last(&keep->writing);
            ngx_queue_remove(q);
            job = ngx_queue_data(q, ngx_http_bitrix1c_job_t, link);

            ngx_http_bitrix1c_queue_again(w, job);
            continue;
        }

        q = ngx_queue_head(&keep->writing);
        ngx_queue_remove(q);
        job = ngx_queue_data(q, ngx_http_bitrix1c_job_t, link);

        ngx_http_bitrix1c_queue_answer(job,
                            rc == NGX_OK ? NGX_HTTP_BITRIX1C_SPOOLED
                                         : NGX_HTTP_BITRIX1C_UNAVAILABLE);
    }

    ngx_post_event(&w->flush, &ngx_posted_events);
}


static void
ngx_http_bitrix1c_keep_arm(ngx_http_bitrix1c_worker_t *w)
{
    ngx_msec_t                       interval;
    ngx_event_t                     *ev;
    ngx_http_bitrix1c_keep_t        *keep;
    ngx_http_bitrix1c_spool_mode_e   mode;

    keep = w->keep;
    ev = &keep->tick;
    mode = ngx_http_bitrix1c_spool_mode(w->queue->spool.state);

    interval = NGX_HTTP_BITRIX1C_KEEP_TICK;

    if (mode == NGX_HTTP_BITRIX1C_SPOOL_UNKNOWN
        || (w->naccepts && (keep->busy
                            || mode == NGX_HTTP_BITRIX1C_SPOOL_CLOSING)))
    {
        interval = NGX_HTTP_BITRIX1C_KEEP_SOON;

    } else if (mode == NGX_HTTP_BITRIX1C_SPOOL_DIRECT
               && ngx_http_bitrix1c_spool_idle(keep->spool))
    {
        return;
    }

    if (ev->timer_set) {

        if ((ngx_msec_int_t) (ev->timer.key - ngx_current_msec)
            <= (ngx_msec_int_t) interval)
        {
            return;
        }

        /* ngx_add_timer() would leave it as it is */

        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, interval);
}


static void
ngx_http_bitrix1c_keep_tick_handler(ngx_event_t *ev)
{
    ngx_connection_t            *c;
    ngx_http_bitrix1c_worker_t  *w;

    c = ev->data;
    w = c->data;

    w->keep->busy = 0;

    (void) ngx_http_bitrix1c_spool_idle(w->keep->spool);

    ngx_http_bitrix1c_queue_flush(w);
}


static void
ngx_http_bitrix1c_keep_guard_handler(ngx_event_t *ev)
{
    /* void: a disk that has not answered by now keeps the worker no longer */
}


void
ngx_http_bitrix1c_keep_up(ngx_http_bitrix1c_worker_t *w)
{
    if (w->keep) {
        w->keep->next = ngx_current_msec;
    }
}


void
ngx_http_bitrix1c_keep_poll(ngx_http_bitrix1c_worker_t *w)
{
    if (w->keep == NULL) {
        return;
    }

    if (!ngx_http_bitrix1c_keep_direct(w)) {
        ngx_post_event(&w->flush, &ngx_posted_events);
        return;
    }

    if (ngx_http_bitrix1c_redis_ready(w->redis)
        && ngx_http_bitrix1c_spool_look(w->queue->spool.state,
                                        NGX_HTTP_BITRIX1C_KEEP_LOOK))
    {
        ngx_http_bitrix1c_replay_start(w, 1);
    }
}


ngx_uint_t
ngx_http_bitrix1c_keep_late(ngx_http_bitrix1c_worker_t *w)
{
    ngx_msec_t                waited;
    ngx_http_bitrix1c_job_t  *job;

    if (w->keep == NULL) {
        return 0;
    }

    if (!ngx_http_bitrix1c_keep_direct(w)) {
        return 1;
    }

    if (w->naccepts == 0) {
        return 0;
    }

    job = ngx_queue_data(ngx_queue_head(&w->accepts), ngx_http_bitrix1c_job_t,
                         link);
    waited = ngx_current_msec - job->arrived;

    if (waited < w->queue->redis.timeout) {
        return 0;
    }

    ngx_http_bitrix1c_keep_enter(w);
    ngx_post_event(&w->flush, &ngx_posted_events);

    return 1;
}


void
ngx_http_bitrix1c_keep_refused(ngx_http_bitrix1c_worker_t *w)
{
    if (w->keep == NULL) {
        return;
    }

    ngx_http_bitrix1c_spool_refuse(w->queue->spool.state);

    ngx_http_bitrix1c_keep_enter(w);
    ngx_post_event(&w->flush, &ngx_posted_events);
}


ngx_uint_t
ngx_http_bitrix1c_keep_told(ngx_http_bitrix1c_worker_t *w)
{
    return w->keep
           && ngx_http_bitrix1c_spool_refused(w->queue->spool.state);
}

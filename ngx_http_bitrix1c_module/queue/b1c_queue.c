
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_queue_internal.h"
#include "b1c_job.h"
#include "b1c_redis.h"
#include "b1c_delivery.h"


static void ngx_b1c_queue_state(void *data, ngx_uint_t up);
static void ngx_b1c_queue_flush_handler(ngx_event_t *ev);
static void ngx_b1c_queue_poll_handler(ngx_event_t *ev);
static void ngx_b1c_queue_extend_handler(ngx_event_t *ev);
static void ngx_b1c_queue_give_up_handler(ngx_event_t *ev);
static void ngx_b1c_queue_done_handler(ngx_event_t *ev);
static void ngx_b1c_queue_land(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);
static void ngx_b1c_queue_settle(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);


ngx_int_t
ngx_b1c_queue_start(ngx_b1c_queue_t *queue, ngx_log_t *log)
{
    u_char            *p;
    ngx_b1c_worker_t  *w;

    p = ngx_calloc(sizeof(ngx_b1c_worker_t) + 4 * NGX_INT64_LEN, log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    w = (ngx_b1c_worker_t *) p;
    p += sizeof(ngx_b1c_worker_t);

    w->queue = queue;
    w->log = log;

    ngx_queue_init(&w->accepts);
    ngx_queue_init(&w->settles);
    ngx_queue_init(&w->flying);
    ngx_queue_init(&w->waited);

    w->lease.data = p;
    p = ngx_sprintf(p, "%i", (ngx_int_t) NGX_B1C_LEASE);
    w->lease.len = p - w->lease.data;

    w->window.data = p;
    p = ngx_sprintf(p, "%M", queue->window);
    w->window.len = p - w->window.data;

    w->dead_max.data = p;
    p = ngx_sprintf(p, "%ui", queue->dead_max);
    w->dead_max.len = p - w->dead_max.data;

    w->dead_age.data = p;
    p = ngx_sprintf(p, "%T000", queue->dead_age);
    w->dead_age.len = p - w->dead_age.data;

    ngx_b1c_queue_timer(w, &w->flush, ngx_b1c_queue_flush_handler, 1);
    ngx_b1c_queue_timer(w, &w->poll, ngx_b1c_queue_poll_handler, 1);
    ngx_b1c_queue_timer(w, &w->extend, ngx_b1c_queue_extend_handler, 1);

    /*
     * not cancelable: senders wait for it, so the worker must not exit before
     */

    ngx_b1c_queue_timer(w, &w->give_up, ngx_b1c_queue_give_up_handler, 0);

    if (ngx_b1c_spill_start(w) != NGX_OK) {
        ngx_free(w);
        return NGX_ERROR;
    }

    w->redis = ngx_b1c_redis_create(queue->redis_conf, log,
                                    ngx_b1c_layout_greeting(w),
                                    ngx_b1c_queue_state, w);
    if (w->redis == NULL) {
        ngx_b1c_spill_stop(w);
        ngx_free(w);
        return NGX_ERROR;
    }

    queue->worker = w;
    queue->redis = w->redis;

    return NGX_OK;
}


void
ngx_b1c_queue_timer(ngx_b1c_worker_t *w, ngx_event_t *ev,
    ngx_event_handler_pt handler, ngx_uint_t cancelable)
{
    ngx_b1c_timer_init(ev, handler, &w->dummy, w, w->log, cancelable);
}


void
ngx_b1c_queue_stop(ngx_b1c_queue_t *queue)
{
    ngx_b1c_worker_t  *w;

    w = queue->worker;

    if (w == NULL) {
        return;
    }

    queue->worker = NULL;
    queue->redis = NULL;

    /*
     * the event loop has ended: Redis gives unfinished events to other workers
     */

    w->stopped = 1;

    ngx_b1c_redis_destroy(w->redis);
    ngx_b1c_spill_stop(w);

    /* later deletions from the tree by other modules must not reach these */

    ngx_b1c_timer_stop(&w->flush);
    ngx_b1c_timer_stop(&w->poll);
    ngx_b1c_timer_stop(&w->extend);
    ngx_b1c_timer_stop(&w->give_up);

    ngx_free(w);
}


void
ngx_b1c_queue_accept(ngx_b1c_job_t *job)
{
    ngx_b1c_worker_t  *w;

    w = job->queue->worker;

    job->arrived = ngx_current_msec;

    ngx_queue_insert_tail(&w->accepts, &job->link);
    w->naccepts++;

    ngx_post_event(&w->flush, &ngx_posted_events);
}


void
ngx_b1c_queue_wait(ngx_b1c_job_t *job)
{
    ngx_b1c_job_ref(job);

    job->waited = 1;
    ngx_queue_insert_tail(&job->queue->worker->waited, &job->link);
}


void
ngx_b1c_queue_forget(ngx_b1c_job_t *job)
{
    if (job->waited) {
        job->waited = 0;
        ngx_queue_remove(&job->link);
        ngx_b1c_job_unref(job);
    }
}


ngx_b1c_job_t *
ngx_b1c_queue_waited(ngx_b1c_worker_t *w, ngx_str_t *id)
{
    ngx_queue_t    *q;
    ngx_b1c_job_t  *job;

    for (q = ngx_queue_head(&w->waited);
         q != ngx_queue_sentinel(&w->waited);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_b1c_job_t, link);

        if (id->len == job->id.len
            && ngx_memcmp(id->data, job->id.data, id->len) == 0)
        {
            /* with the reference of the list */

            job->waited = 0;
            ngx_queue_remove(q);
            return job;
        }
    }

    return NULL;
}


void
ngx_b1c_queue_wake(ngx_b1c_queue_t *queue)
{
    ngx_b1c_worker_t  *w;

    w = queue->worker;

    ngx_b1c_limits_mark(queue->limits);
    w->claim = 1;
    ngx_post_event(&w->flush, &ngx_posted_events);
}


static void
ngx_b1c_queue_state(void *data, ngx_uint_t up)
{
    ngx_b1c_worker_t *w = data;

    if (w->stopped) {
        return;
    }

    if (up) {
        ngx_b1c_spill_up(w);

        /*
         * meanwhile deliveries may have ended and events may have become due
         */

        ngx_b1c_limits_mark(w->queue->limits);
        w->claim = 1;
    }

    if (!w->poll.timer_set && !ngx_exiting) {
        ngx_add_timer(&w->poll, NGX_B1C_POLL);
    }

    ngx_post_event(&w->flush, &ngx_posted_events);
}


static void
ngx_b1c_queue_flush_handler(ngx_event_t *ev)
{
    ngx_connection_t *c = ev->data;

    ngx_b1c_queue_flush(c->data);
}


/*
 * Runs once per iteration of the event loop, after all ready events, so that
 * everything of one iteration goes to Redis together.  Verdicts go first,
 * because they free lanes for the claim after them.
 */
void
ngx_b1c_queue_flush(ngx_b1c_worker_t *w)
{
    if (w->stopped || w->redis == NULL) {
        return;
    }

    if (ngx_b1c_redis_ready(w->redis) && ngx_b1c_settle_send(w) == NGX_OK) {
        while (w->naccepts && ngx_b1c_spill_direct(w)) {
            if (ngx_b1c_accept_send(w) != NGX_OK) {
                break;
            }
        }

        if (w->claim && !w->claiming && !ngx_exiting) {
            w->claim = 0;
            (void) ngx_b1c_claim_send(w);
        }
    }

    ngx_b1c_spill_flush(w);

    if (w->naccepts == 0) {

        /* nobody waits for it, so it must not delay the exit of a worker */

        if (w->give_up.timer_set) {
            ngx_del_timer(&w->give_up);
        }

        return;
    }

    /* sets its timer by the waiting time of the first jobs */

    if (!w->give_up.timer_set || w->naccepts > NGX_B1C_PARKED) {
        ngx_b1c_queue_give_up_handler(&w->give_up);
    }
}


/*
 * Redis has been unavailable for longer than a sender should wait: the jobs
 * whose time is over are answered, and those beyond the limit.
 */
static void
ngx_b1c_queue_give_up_handler(ngx_event_t *ev)
{
    ngx_msec_t         waited, timeout;
    ngx_queue_t       *q;
    ngx_connection_t  *c;
    ngx_b1c_job_t     *job;
    ngx_b1c_worker_t  *w;

    c = ev->data;
    w = c->data;

    timeout = w->queue->redis_conf->timeout;

    if (ngx_b1c_spill_late(w)) {
        timeout *= 2;
    }

    while (!ngx_queue_empty(&w->accepts)) {
        q = ngx_queue_head(&w->accepts);
        job = ngx_queue_data(q, ngx_b1c_job_t, link);

        waited = ngx_current_msec - job->arrived;

        if (waited < timeout && w->naccepts <= NGX_B1C_PARKED) {

            if (!ev->timer_set) {
                ngx_add_timer(ev, timeout - waited);
            }

            return;
        }

        ngx_queue_remove(q);
        w->naccepts--;

        ngx_b1c_queue_answer(job, NGX_B1C_UNAVAILABLE);
    }
}


void
ngx_b1c_queue_again(ngx_b1c_worker_t *w, ngx_b1c_job_t *job)
{
    ngx_queue_insert_head(&w->accepts, &job->link);
    w->naccepts++;
}


void
ngx_b1c_queue_answer(ngx_b1c_job_t *job, ngx_b1c_result_e result)
{
    job->result = result;
    job->answer(job);
    ngx_b1c_job_unref(job);
}


void
ngx_b1c_queue_due(ngx_b1c_worker_t *w, ngx_msec_t delay)
{
    ngx_msec_t  left;

    if (ngx_exiting) {
        return;
    }

    delay = ngx_min(delay, NGX_B1C_POLL);

    if (w->poll.timer_set) {
        left = w->poll.timer.key - ngx_current_msec;

        if ((ngx_msec_int_t) left <= (ngx_msec_int_t) delay) {
            return;
        }
    }

    w->due = ngx_current_msec + delay;

    /* ngx_add_timer() may keep a timer up to 300 ms late, too much for 1 s */

    if (w->poll.timer_set) {
        ngx_del_timer(&w->poll);
    }

    ngx_add_timer(&w->poll, delay);
}


static void
ngx_b1c_queue_poll_handler(ngx_event_t *ev)
{
    ngx_msec_t         wait, interval;
    ngx_connection_t  *c;
    ngx_b1c_worker_t  *w;

    c = ev->data;
    w = c->data;

    if (ngx_exiting || w->stopped) {
        return;
    }

    ngx_b1c_spill_poll(w);
    ngx_b1c_report_stuck(w);

    wait = NGX_B1C_POLL;
    interval = w->empty ? NGX_B1C_IDLE : NGX_B1C_POLL;

    if (w->due && (ngx_msec_int_t) (ngx_current_msec - w->due) >= 0) {

        /* known to be due, whichever worker looked last */

        w->due = 0;
        w->claim = 1;

    } else if (ngx_b1c_limits_poll(w->queue->limits, interval,
                                   &wait))
    {
        ngx_b1c_limits_reap(w->queue->limits);
        w->claim = 1;
    }

    ngx_add_timer(ev, wait);

    ngx_b1c_depth_sample(w);
    ngx_b1c_layout_poll(w);
    ngx_b1c_expire_poll(w);

    if (w->claim) {
        ngx_post_event(&w->flush, &ngx_posted_events);
    }
}


void
ngx_b1c_queue_fly(ngx_b1c_worker_t *w, ngx_b1c_job_t *job)
{
    ngx_queue_insert_tail(&w->flying, &job->link);
    job->flying = 1;

    if (!w->extend.timer_set) {
        ngx_add_timer(&w->extend, NGX_B1C_EXTEND);
    }

    job->attempt.done.handler = ngx_b1c_queue_done_handler;
    job->attempt.done.data = job;
    job->attempt.done.log = w->log;
}


void
ngx_b1c_queue_deliver(ngx_b1c_worker_t *w, ngx_b1c_job_t *job)
{
    ngx_b1c_queue_fly(w, job);

    if (job->result == NGX_B1C_DEAD) {

        /* there is nothing to deliver, or it must not be delivered */

        ngx_post_event(&job->attempt.done, &ngx_posted_events);
        return;
    }

    if (job->route == NULL) {
        job->route = ngx_b1c_route_find(job);
    }

    ngx_b1c_delivery_begin(job);
}


static void
ngx_b1c_queue_done_handler(ngx_event_t *ev)
{
    ngx_b1c_job_t *job = ev->data;

    ngx_b1c_worker_t  *w;

    w = job->queue->worker;

    ngx_b1c_delivery_free(job);

    if (w) {
        ngx_b1c_queue_done(w, job);
    }
}


void
ngx_b1c_queue_done(ngx_b1c_worker_t *w, ngx_b1c_job_t *job)
{
    ngx_b1c_queue_land(w, job);

    ngx_b1c_report_delivery(job);

    if (job->request) {
        job->answer(job);
    }

    ngx_b1c_queue_settle(w, job);
}


/* the delivery has ended, its slot is free for the next one */
static void
ngx_b1c_queue_land(ngx_b1c_worker_t *w, ngx_b1c_job_t *job)
{
    ngx_queue_remove(&job->link);
    job->flying = 0;

    if (job->lease.slot) {
        job->lease.slot = 0;
        ngx_b1c_limits_give(w->queue->limits, 1);
    }

    if (job->lease.probe) {

        /* it may have been aborted without an answer of 1C */

        job->attempt.health = NGX_B1C_HEALTH_UNKNOWN;
        (void) ngx_b1c_verdict_breaker(job);
    }

    if (ngx_b1c_limits_marked(w->queue->limits)) {
        w->claim = 1;
    }

    ngx_post_event(&w->flush, &ngx_posted_events);
}


static void
ngx_b1c_queue_settle(ngx_b1c_worker_t *w, ngx_b1c_job_t *job)
{
    if (job->result == NGX_B1C_RETRY
        && ngx_b1c_job_number(job, job->attempt.delay, &job->attempt.delay_text)
           != NGX_OK)
    {
        /* the lease will end by itself */

        ngx_b1c_job_unref(job);
        return;
    }

    ngx_queue_insert_tail(&w->settles, &job->link);
}


/* another worker may be delivering it, and two at once break the order */
void
ngx_b1c_queue_lost(ngx_b1c_worker_t *w, ngx_b1c_job_t *job)
{
    if (job->queue->ops->lost) {
        job->queue->ops->lost(job);
    }

    job->result = NGX_B1C_LOST;
    ngx_str_set(&job->reason, "its lease was lost, another worker delivers "
                              "it");

    ngx_b1c_delivery_abort(job);

    ngx_b1c_report_delivery(job);

    ngx_b1c_queue_land(w, job);

    if (job->request) {
        job->answer(job);
    }

    ngx_b1c_job_unref(job);
}


void
ngx_b1c_queue_give_back(ngx_b1c_queue_t *queue)
{
    ngx_queue_t       *q;
    ngx_b1c_job_t     *job;
    ngx_b1c_worker_t  *w;

    w = queue->worker;

    while (w && !ngx_queue_empty(&w->flying)) {
        q = ngx_queue_head(&w->flying);
        job = ngx_queue_data(q, ngx_b1c_job_t, link);

        if (queue->ops->abort) {
            queue->ops->abort(job);
        }

        if (!job->attempt.outcome.done) {
            job->result = NGX_B1C_RETRY;
            job->attempt.free_retry = 1;
            job->attempt.delay = 0;
            ngx_str_set(&job->reason, "the worker had to exit");
        }

        ngx_b1c_delivery_abort(job);
        ngx_b1c_queue_land(w, job);

        if (job->request) {
            job->answer(job);
        }

        ngx_b1c_queue_settle(w, job);
    }
}


static void
ngx_b1c_queue_extend_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    ngx_b1c_worker_t  *w;

    c = ev->data;
    w = c->data;

    if (w->stopped || ngx_queue_empty(&w->flying)) {
        return;
    }

    while (ngx_b1c_settle_extend(w) == NGX_OK) { /* void */ }

    /* again soon, for jobs that begin later or find no Redis */
    ngx_add_timer(ev, NGX_B1C_EXTEND / 5);
}

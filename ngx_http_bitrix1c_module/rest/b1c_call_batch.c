
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_bitrix.h"
#include "b1c_job.h"
#include "b1c_redis.h"
#include "b1c_portal.h"
#include "b1c_delivery.h"
#include "b1c_queue.h"


/* ms that a request may wait for a permit before its calls go back */
#define NGX_B1C_PERMIT  10000


static void ngx_b1c_call_batch_deliver(ngx_b1c_worker_t *w,
    ngx_b1c_job_t **jobs, ngx_uint_t n, ngx_uint_t probe);
static void ngx_b1c_call_batch_lost(ngx_b1c_job_t *job);
static void ngx_b1c_call_batch_abort(ngx_b1c_job_t *job);
static ngx_uint_t ngx_b1c_call_batch_fit(ngx_b1c_job_t *job,
    ngx_b1c_route_t **route);
static void ngx_b1c_call_batch_over(ngx_b1c_job_t *job);
static void ngx_b1c_call_batch_over_handler(ngx_event_t *ev);
static void ngx_b1c_call_batch_add(ngx_b1c_worker_t *w, ngx_b1c_job_t **jobs,
    ngx_uint_t n, ngx_b1c_call_batch_t ***last);
static void ngx_b1c_call_batch_start(ngx_b1c_call_batch_t *batch,
    ngx_uint_t probe);
static void ngx_b1c_call_batch_permit(ngx_b1c_permit_t *permit, ngx_int_t rc);
static void ngx_b1c_call_batch_send(ngx_b1c_call_batch_t *batch);
static ngx_int_t ngx_b1c_call_batch_left(ngx_b1c_call_batch_t *batch);
static ngx_b1c_call_batch_t *ngx_b1c_call_batch_create(ngx_b1c_worker_t *w,
    ngx_b1c_job_t **jobs, ngx_uint_t n);
static ngx_int_t ngx_b1c_call_batch_body(ngx_b1c_call_batch_t *batch);
static ngx_uint_t ngx_b1c_call_batch_large(ngx_b1c_call_batch_t *batch);
static ngx_int_t ngx_b1c_call_batch_uri(ngx_b1c_call_batch_t *batch);
static void ngx_b1c_call_batch_done_handler(ngx_event_t *ev);
static void ngx_b1c_call_batch_free_text(void *data);
static void ngx_b1c_call_batch_alone(ngx_b1c_call_batch_t *batch);
static void ngx_b1c_call_batch_landed(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);
static void ngx_b1c_call_batch_pass(ngx_b1c_call_batch_t *batch);
static void ngx_b1c_call_batch_slot(ngx_b1c_call_batch_t *batch);


/*
 * Calls share a request, so one request is in progress at a time.  Calls that
 * arrive a moment later can share it, so accept leaves the lease to the
 * claim.  After a failover a sent call must not be found waiting.
 */
ngx_b1c_queue_ops_t  ngx_b1c_call_batch_ops = {
    .noun = ngx_string("calls"),
    .receiver = ngx_string("Bitrix"),
    .requests = 1,
    .together = B1C_BATCH_MAX,
    .unleased = 1,
    .durable = 1,
    .kind = sizeof(ngx_b1c_call_t),
    .deliver = ngx_b1c_call_batch_deliver,
    .lost = ngx_b1c_call_batch_lost,
    .abort = ngx_b1c_call_batch_abort,
    .before_settle = ngx_b1c_call_result_keep
};


/*
 * Takes over n calls that were claimed together, each of another lane, and
 * their concurrency slot (and probe).  Calls that do not fit into one request
 * go in several, one after another in that slot.
 */
static void
ngx_b1c_call_batch_deliver(ngx_b1c_worker_t *w, ngx_b1c_job_t **jobs,
    ngx_uint_t n, ngx_uint_t probe)
{
    ngx_msec_t             time;
    ngx_uint_t             i, packed;
    ngx_b1c_job_t         *job, *jobs_packed[B1C_BATCH_MAX];
    ngx_b1c_call_batch_t  *first, **last;
    ngx_b1c_route_t       *route;
    ngx_b1c_grant_t        grant;

    ngx_memzero(&grant, sizeof(ngx_b1c_grant_t));

    route = NULL;
    first = NULL;
    last = &first;
    packed = 0;
    time = 0;

    for (i = 0; i < n; i++) {
        job = jobs[i];

        ngx_b1c_queue_fly(w, job);

        if (job->result != NGX_B1C_DEAD) {
            ngx_b1c_call_verdict_before(job);
        }

        if (job->result == NGX_B1C_NONE
            && ngx_b1c_redis_wait_short(w->redis))
        {
            ngx_b1c_call_verdict_short(job);
        }

        if (job->result != NGX_B1C_NONE) {

            /* there is nothing to send, or nothing may be sent now */

            ngx_b1c_call_batch_over(job);

        } else if (ngx_b1c_call_batch_fit(job, &route)) {

            if (ngx_b1c_call_size_full(job, packed, &time)) {
                ngx_b1c_call_batch_add(w, jobs_packed, packed, &last);
                packed = 0;
            }

            jobs_packed[packed++] = job;

        } else {
            ngx_b1c_call_batch_add(w, &job, 1, &last);
        }
    }

    if (packed) {
        ngx_b1c_call_batch_add(w, jobs_packed, packed, &last);
    }

    if (first == NULL) {
        grant.probe = probe;
        ngx_b1c_limits_unused(w->queue->limits, &w->queue->limits_conf, 1,
                              &grant);
        return;
    }

    first->carrier->lease.slot = 1;

    ngx_b1c_call_batch_start(first, probe);
}


/* it has its verdict and was not sent */
static void
ngx_b1c_call_batch_over(ngx_b1c_job_t *job)
{
    job->attempt.done.handler = ngx_b1c_call_batch_over_handler;

    ngx_post_event(&job->attempt.done, &ngx_posted_events);
}


static void
ngx_b1c_call_batch_over_handler(ngx_event_t *ev)
{
    ngx_b1c_job_t *job = ev->data;

    ngx_b1c_worker_t  *w;

    w = job->queue->worker;

    if (w) {
        ngx_b1c_call_batch_landed(w, job);
    }
}


/* calls of one location whose parameters a query string can hold */
static ngx_uint_t
ngx_b1c_call_batch_fit(ngx_b1c_job_t *job, ngx_b1c_route_t **route)
{
    b1c_event_t  *ev;

    ev = ngx_b1c_job_parsed(job);

    if (ev == NULL
        || b1c_batch_unfit(ev->event, ev->data) != NULL
        || (*route && *route != job->route))
    {
        return 0;
    }

    *route = job->route;

    return 1;
}


/* halves the batch if it is larger than the location allows */
static void
ngx_b1c_call_batch_add(ngx_b1c_worker_t *w, ngx_b1c_job_t **jobs, ngx_uint_t n,
    ngx_b1c_call_batch_t ***last)
{
    ngx_uint_t             i;
    ngx_b1c_call_batch_t  *batch;

    batch = ngx_b1c_call_batch_create(w, jobs, n);

    if (batch == NULL) {

        /* nothing was sent, so they may be sent again */

        for (i = 0; i < n; i++) {
            ngx_b1c_call_verdict_unsent(jobs[i]);
            ngx_b1c_call_batch_over(jobs[i]);
        }

        return;
    }

    if (n > 1 && ngx_b1c_call_batch_large(batch)) {
        ngx_b1c_job_unref(batch->carrier);

        ngx_b1c_call_batch_add(w, jobs, n / 2, last);
        ngx_b1c_call_batch_add(w, jobs + n / 2, n - n / 2, last);
        return;
    }

    for (i = 0; i < n; i++) {
        ngx_b1c_call(jobs[i])->batch = batch;
    }

    **last = batch;
    *last = &batch->next;
}


static ngx_uint_t
ngx_b1c_call_batch_large(ngx_b1c_call_batch_t *batch)
{
    off_t  max;

    max = batch->carrier->route->clcf->client_max_body_size;

    return max && (off_t) batch->carrier->attempt.body.len > max;
}


/* the leases of its calls are extended while it waits */
static void
ngx_b1c_call_batch_start(ngx_b1c_call_batch_t *batch, ngx_uint_t probe)
{
    batch->carrier->lease.probe = probe;

    if (ngx_b1c_portal_rate_take(&batch->permit) == NGX_OK) {
        ngx_b1c_call_batch_send(batch);
    }
}


static void
ngx_b1c_call_batch_permit(ngx_b1c_permit_t *permit, ngx_int_t rc)
{
    ngx_b1c_call_batch_t *batch = permit->data;

    if (rc == NGX_OK) {
        ngx_b1c_call_batch_send(batch);
        return;
    }

    batch->carrier->attempt.delay = permit->wait;
    ngx_b1c_call_verdict_busy(batch);

    ngx_post_event(&batch->carrier->attempt.done, &ngx_posted_events);
}


static void
ngx_b1c_call_batch_send(ngx_b1c_call_batch_t *batch)
{
    ngx_uint_t      i;
    ngx_msec_t      wait;
    ngx_b1c_job_t  *job;

    wait = ngx_b1c_portal_stopped(batch->permit.portal);

    if (wait) {

        /* since the calls were claimed */

        batch->carrier->attempt.delay = wait;
        ngx_b1c_call_verdict_busy(batch);

        ngx_post_event(&batch->carrier->attempt.done, &ngx_posted_events);
        return;
    }

    if (ngx_b1c_call_batch_left(batch) != NGX_OK) {
        ngx_post_event(&batch->carrier->attempt.done, &ngx_posted_events);
        return;
    }

    for (i = 0; i < batch->n; i++) {
        job = batch->jobs[i];

        /* the event of a write may overtake its answer */

        job->attempt.started = ngx_current_msec;
        ngx_b1c_echo_mark(&job->event);
    }

    ngx_b1c_delivery_begin(batch->carrier);
}


/*
 * Removes calls whose lease was lost while the request waited: another worker
 * has them now, and may have sent them and newer ones of their lanes.  If the
 * result is not NGX_OK, there is nothing to send.
 */
static ngx_int_t
ngx_b1c_call_batch_left(ngx_b1c_call_batch_t *batch)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < batch->n; i++) {
        if (batch->jobs[i]) {
            batch->jobs[n++] = batch->jobs[i];
        }
    }

    if (n == batch->n) {
        return NGX_OK;
    }

    batch->n = n;

    if (n == 0) {
        return NGX_DECLINED;
    }

    if (ngx_b1c_call_batch_uri(batch) == NGX_OK
        && ngx_b1c_call_batch_body(batch) == NGX_OK)
    {
        return NGX_OK;
    }

    for (i = 0; i < n; i++) {
        ngx_b1c_call_verdict_unsent(batch->jobs[i]);
    }

    return NGX_ERROR;
}


static ngx_b1c_call_batch_t *
ngx_b1c_call_batch_create(ngx_b1c_worker_t *w, ngx_b1c_job_t **jobs,
    ngx_uint_t n)
{
    ngx_b1c_job_t         *carrier;
    ngx_b1c_call_batch_t  *batch;

    carrier = ngx_b1c_job_create(w->queue, w->log);
    if (carrier == NULL) {
        return NULL;
    }

    batch = ngx_palloc(carrier->pool, sizeof(ngx_b1c_call_batch_t));
    if (batch == NULL) {
        ngx_b1c_job_unref(carrier);
        return NULL;
    }

    batch->worker = w;
    batch->carrier = carrier;
    batch->next = NULL;
    batch->n = n;

    ngx_memzero(&batch->permit, sizeof(ngx_b1c_permit_t));

    batch->permit.portal = jobs[0]->route->portal;
    batch->permit.max = NGX_B1C_PERMIT;
    batch->permit.handler = ngx_b1c_call_batch_permit;
    batch->permit.data = batch;

    ngx_memcpy(batch->jobs, jobs, n * sizeof(ngx_b1c_job_t *));

    ngx_b1c_call(carrier)->batch = batch;
    carrier->route = jobs[0]->route;
    carrier->attempt.verdict = ngx_b1c_call_verdict_set;
    carrier->attempt.outcome.max = NGX_B1C_RESULTS;

    carrier->attempt.done.handler = ngx_b1c_call_batch_done_handler;
    carrier->attempt.done.data = batch;
    carrier->attempt.done.log = w->log;

    if (ngx_b1c_call_batch_uri(batch) != NGX_OK
        || ngx_b1c_call_batch_body(batch) != NGX_OK)
    {
        ngx_b1c_job_unref(carrier);
        return NULL;
    }

    return batch;
}


static ngx_int_t
ngx_b1c_call_batch_uri(ngx_b1c_call_batch_t *batch)
{
    u_char         *p;
    ngx_str_t      *name, *prefix;
    ngx_b1c_job_t  *carrier;

    static ngx_str_t  method = ngx_string("batch");

    carrier = batch->carrier;
    name = batch->n == 1 ? &batch->jobs[0]->event.name : &method;
    prefix = &carrier->route->clcf->name;

    p = ngx_pnalloc(carrier->pool, prefix->len + name->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    carrier->uri.data = p;
    carrier->uri.len = prefix->len + name->len;

    p = ngx_cpymem(p, prefix->data, prefix->len);
    carrier->event.name.data = p;
    carrier->event.name.len = name->len;
    ngx_memcpy(p, name->data, name->len);

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_call_batch_body(ngx_b1c_call_batch_t *batch)
{
    char                *text, (*names)[4];
    size_t               len;
    ngx_uint_t           i;
    b1c_event_t         *ev;
    b1c_packed_t         calls[B1C_BATCH_MAX];
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(batch->carrier->pool, 0);
    names = ngx_palloc(batch->carrier->pool, batch->n * sizeof(*names));

    if (cln == NULL || names == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < batch->n; i++) {
        ev = ngx_b1c_job_parsed(batch->jobs[i]);
        if (ev == NULL) {
            return NGX_ERROR;
        }

        ngx_b1c_call_verdict_name(i, names[i]);

        calls[i].name = names[i];
        calls[i].method = ev->event;
        calls[i].params = ev->data;
    }

    text = batch->n == 1 ? b1c_call_params(calls[0].params, &len)
                         : b1c_batch_build(calls, batch->n, &len);
    if (text == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_b1c_call_batch_free_text;
    cln->data = text;

    batch->carrier->attempt.body.data = (u_char *) text;
    batch->carrier->attempt.body.len = len;

    return NGX_OK;
}


static void
ngx_b1c_call_batch_free_text(void *data)
{
    free(data);
}


static void
ngx_b1c_call_batch_done_handler(ngx_event_t *ev)
{
    ngx_b1c_call_batch_t *batch = ev->data;

    ngx_uint_t         i;
    ngx_b1c_job_t     *job;
    ngx_b1c_worker_t  *w;

    w = batch->carrier->queue->worker;

    ngx_b1c_delivery_free(batch->carrier);

    if (w == NULL) {
        return;
    }

    ngx_b1c_call_batch_alone(batch);
    ngx_b1c_call_batch_pass(batch);
    ngx_b1c_call_batch_slot(batch);

    for (i = 0; i < batch->n; i++) {
        job = batch->jobs[i];

        if (job) {
            ngx_b1c_call(job)->batch = NULL;
            ngx_b1c_call_batch_landed(w, job);
        }
    }

    ngx_b1c_job_unref(batch->carrier);
}


/*
 * Calls that Bitrix does not take in a batch, none of them carried out, go
 * again alone, right after this request and under the same leases.
 */
static void
ngx_b1c_call_batch_alone(ngx_b1c_call_batch_t *batch)
{
    ngx_uint_t             i;
    ngx_b1c_job_t         *job;
    ngx_b1c_call_batch_t  *rest, **last;

    rest = batch->next;
    last = &batch->next;

    for (i = 0; i < batch->n; i++) {
        job = batch->jobs[i];

        if (job == NULL || job->result != NGX_B1C_NONE
            || !ngx_b1c_call(job)->alone)
        {
            continue;
        }

        batch->jobs[i] = NULL;

        ngx_b1c_call(job)->batch = NULL;
        ngx_b1c_call(job)->alone = 0;

        ngx_memzero(&job->attempt.outcome, sizeof(ngx_b1c_outcome_t));

        ngx_b1c_call_batch_add(batch->worker, &job, 1, &last);
    }

    *last = rest;
}


static void
ngx_b1c_call_batch_landed(ngx_b1c_worker_t *w, ngx_b1c_job_t *job)
{
    if (ngx_b1c_callback_send(w, job) != NGX_OK) {
        ngx_b1c_queue_done(w, job);
    }
}


/* a request that waits for the slot gets it now */
static void
ngx_b1c_call_batch_pass(ngx_b1c_call_batch_t *batch)
{
    ngx_b1c_call_batch_t  *next;

    next = batch->next;

    if (next == NULL) {
        return;
    }

    next->carrier->lease.slot = batch->carrier->lease.slot;
    batch->carrier->lease.slot = 0;

    if (batch->carrier->attempt.health <= NGX_B1C_HEALTH_OK) {
        ngx_b1c_call_batch_start(next, 0);
        return;
    }

    /* the next one would fail for the same reason */

    ngx_b1c_call_verdict_busy(next);
    ngx_post_event(&next->carrier->attempt.done, &ngx_posted_events);
}


static void
ngx_b1c_call_batch_slot(ngx_b1c_call_batch_t *batch)
{
    ngx_b1c_job_t    *carrier;
    ngx_b1c_queue_t  *queue;

    carrier = batch->carrier;
    queue = carrier->queue;

    if (carrier->lease.slot) {
        carrier->lease.slot = 0;
        ngx_b1c_limits_give(queue->limits, 1);
    }

    if (carrier->lease.probe) {

        /* aborted without an answer of Bitrix */

        carrier->attempt.health = NGX_B1C_HEALTH_UNKNOWN;
        (void) ngx_b1c_verdict_breaker(carrier);
    }
}


/* the lease of one call was lost; its request cannot be recalled */
static void
ngx_b1c_call_batch_lost(ngx_b1c_job_t *job)
{
    ngx_uint_t             i;
    ngx_b1c_call_batch_t  *batch;

    batch = ngx_b1c_call(job)->batch;

    if (batch == NULL) {
        return;
    }

    ngx_b1c_call(job)->batch = NULL;

    for (i = 0; i < batch->n; i++) {
        if (batch->jobs[i] == job) {
            batch->jobs[i] = NULL;
        }
    }
}


/*
 * The worker must exit: the request is aborted, and its calls, all still
 * linked as flying, get their verdict.
 */
static void
ngx_b1c_call_batch_abort(ngx_b1c_job_t *job)
{
    ngx_uint_t             i;
    ngx_b1c_call_batch_t  *batch;

    batch = ngx_b1c_call(job)->batch;

    if (batch == NULL) {
        return;
    }

    ngx_b1c_portal_rate_leave(&batch->permit);

    if (!batch->carrier->attempt.outcome.done) {
        ngx_b1c_call_verdict_leave(batch);
    }

    ngx_b1c_delivery_abort(batch->carrier);
    ngx_b1c_call_batch_slot(batch);

    for (i = 0; i < batch->n; i++) {
        job = batch->jobs[i];

        if (job == NULL) {
            continue;
        }

        ngx_b1c_call(job)->batch = NULL;
        job->attempt.outcome.done = 1;

        /* callbacks for 1C can still be stored if Redis is available */

        (void) ngx_b1c_callback_send(batch->worker, job);
    }

    ngx_b1c_job_unref(batch->carrier);
}

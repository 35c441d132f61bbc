
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_pack.h"
#include "ngx_http_bitrix1c_callback.h"
#include "ngx_http_bitrix1c_delivery.h"
#include "ngx_http_bitrix1c_echo.h"
#include "ngx_http_bitrix1c_job.h"
#include "ngx_http_bitrix1c_judge.h"
#include "ngx_http_bitrix1c_verdict.h"
#include "bitrix_call.h"


/* ms that a request may wait for its turn before its calls go back */
#define NGX_HTTP_BITRIX1C_TURN  10000


static ngx_uint_t ngx_http_bitrix1c_pack_fit(ngx_http_bitrix1c_job_t *job,
    ngx_http_bitrix1c_route_t **route);
static void ngx_http_bitrix1c_pack_over(ngx_http_bitrix1c_job_t *job);
static void ngx_http_bitrix1c_pack_over_handler(ngx_event_t *ev);
static void ngx_http_bitrix1c_pack_add(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t **jobs, ngx_uint_t n,
    ngx_http_bitrix1c_pack_t ***last);
static void ngx_http_bitrix1c_pack_start(ngx_http_bitrix1c_pack_t *pack,
    ngx_uint_t probe);
static void ngx_http_bitrix1c_pack_turn(ngx_http_bitrix1c_turn_t *turn,
    ngx_int_t rc);
static void ngx_http_bitrix1c_pack_send(ngx_http_bitrix1c_pack_t *pack);
static ngx_int_t ngx_http_bitrix1c_pack_left(ngx_http_bitrix1c_pack_t *pack);
static ngx_http_bitrix1c_pack_t *ngx_http_bitrix1c_pack_create(
    ngx_http_bitrix1c_worker_t *w, ngx_http_bitrix1c_job_t **jobs,
    ngx_uint_t n);
static ngx_int_t ngx_http_bitrix1c_pack_body(ngx_http_bitrix1c_pack_t *pack);
static ngx_uint_t ngx_http_bitrix1c_pack_large(
    ngx_http_bitrix1c_pack_t *pack);
static ngx_int_t ngx_http_bitrix1c_pack_uri(ngx_http_bitrix1c_pack_t *pack);
static void ngx_http_bitrix1c_pack_done_handler(ngx_event_t *ev);
static void ngx_http_bitrix1c_pack_free_text(void *data);
static void ngx_http_bitrix1c_pack_landed(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t *job);
static void ngx_http_bitrix1c_pack_pass(ngx_http_bitrix1c_pack_t *pack);
static void ngx_http_bitrix1c_pack_slot(ngx_http_bitrix1c_pack_t *pack);


void
ngx_http_bitrix1c_pack_deliver(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t **jobs, ngx_uint_t n, ngx_uint_t probe)
{
    ngx_uint_t                   i, packed;
    ngx_http_bitrix1c_job_t     *job, *jobs_packed[BITRIX_BATCH_MAX];
    ngx_http_bitrix1c_pack_t    *first, **last;
    ngx_http_bitrix1c_route_t   *route;

    route = NULL;
    first = NULL;
    last = &first;
    packed = 0;

    for (i = 0; i < n; i++) {
        job = jobs[i];

        ngx_http_bitrix1c_queue_fly(w, job);

        if (job->result != NGX_HTTP_BITRIX1C_DEAD) {
            ngx_http_bitrix1c_judge_before(job);
        }

        if (job->result == NGX_HTTP_BITRIX1C_NONE
            && ngx_http_bitrix1c_redis_short(w->redis))
        {
            ngx_http_bitrix1c_judge_short(job);
        }

        if (job->result != NGX_HTTP_BITRIX1C_NONE) {

            /* nothing to send, or nothing that may be sent now */

            ngx_http_bitrix1c_pack_over(job);

        } else if (ngx_http_bitrix1c_pack_fit(job, &route)) {
            jobs_packed[packed++] = job;

        } else {
            ngx_http_bitrix1c_pack_add(w, &job, 1, &last);
        }
    }

    if (packed) {
        ngx_http_bitrix1c_pack_add(w, jobs_packed, packed, &last);
    }

    if (first == NULL) {
        ngx_http_bitrix1c_slots_unused(w->queue->slots, &w->queue->pace, 1,
                                       probe);
        return;
    }

    first->carrier->slot = 1;

    ngx_http_bitrix1c_pack_start(first, probe);
}


/* it has its verdict without having been sent */
static void
ngx_http_bitrix1c_pack_over(ngx_http_bitrix1c_job_t *job)
{
    job->done.handler = ngx_http_bitrix1c_pack_over_handler;

    ngx_post_event(&job->done, &ngx_posted_events);
}


static void
ngx_http_bitrix1c_pack_over_handler(ngx_event_t *ev)
{
    ngx_http_bitrix1c_job_t *job = ev->data;

    ngx_http_bitrix1c_worker_t  *w;

    w = job->queue->worker;

    if (w) {
        ngx_http_bitrix1c_pack_landed(w, job);
    }
}


/* those of one location, whose parameters a query string can hold */
static ngx_uint_t
ngx_http_bitrix1c_pack_fit(ngx_http_bitrix1c_job_t *job,
    ngx_http_bitrix1c_route_t **route)
{
    bitrix_event_t  *ev;

    ev = ngx_http_bitrix1c_job_parsed(job);

    if (ev == NULL
        || ngx_strcmp(ev->event, "batch") == 0
        || bitrix_batch_unfit(ev->data) != NULL
        || (*route && *route != job->route))
    {
        return 0;
    }

    *route = job->route;

    return 1;
}


/* halves of calls that together are more than the location lets through */
static void
ngx_http_bitrix1c_pack_add(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t **jobs, ngx_uint_t n,
    ngx_http_bitrix1c_pack_t ***last)
{
    ngx_uint_t                 i;
    ngx_http_bitrix1c_pack_t  *pack;

    pack = ngx_http_bitrix1c_pack_create(w, jobs, n);

    if (pack == NULL) {

        /* nothing was sent, so they may go again */

        for (i = 0; i < n; i++) {
            ngx_http_bitrix1c_judge_unsent(jobs[i]);
            ngx_http_bitrix1c_pack_over(jobs[i]);
        }

        return;
    }

    if (n > 1 && ngx_http_bitrix1c_pack_large(pack)) {
        ngx_http_bitrix1c_job_release(pack->carrier);

        ngx_http_bitrix1c_pack_add(w, jobs, n / 2, last);
        ngx_http_bitrix1c_pack_add(w, jobs + n / 2, n - n / 2, last);
        return;
    }

    for (i = 0; i < n; i++) {
        jobs[i]->pack = pack;
    }

    **last = pack;
    *last = &pack->next;
}


static ngx_uint_t
ngx_http_bitrix1c_pack_large(ngx_http_bitrix1c_pack_t *pack)
{
    off_t  max;

    max = pack->carrier->route->clcf->client_max_body_size;

    return max && (off_t) pack->carrier->body.len > max;
}


/* its calls' leases are extended while it waits, as they are in flight */
static void
ngx_http_bitrix1c_pack_start(ngx_http_bitrix1c_pack_t *pack, ngx_uint_t probe)
{
    pack->carrier->probe = probe;

    if (ngx_http_bitrix1c_pace_take(&pack->turn) == NGX_OK) {
        ngx_http_bitrix1c_pack_send(pack);
    }
}


static void
ngx_http_bitrix1c_pack_turn(ngx_http_bitrix1c_turn_t *turn, ngx_int_t rc)
{
    ngx_http_bitrix1c_pack_t *pack = turn->data;

    if (rc == NGX_OK) {
        ngx_http_bitrix1c_pack_send(pack);
        return;
    }

    pack->carrier->delay = turn->wait;
    ngx_http_bitrix1c_judge_busy(pack);

    ngx_post_event(&pack->carrier->done, &ngx_posted_events);
}


static void
ngx_http_bitrix1c_pack_send(ngx_http_bitrix1c_pack_t *pack)
{
    ngx_uint_t                i;
    ngx_msec_t                wait;
    ngx_http_bitrix1c_job_t  *job;

    wait = ngx_http_bitrix1c_portal_stopped(pack->turn.portal);

    if (wait) {

        /* since these were claimed */

        pack->carrier->delay = wait;
        ngx_http_bitrix1c_judge_busy(pack);

        ngx_post_event(&pack->carrier->done, &ngx_posted_events);
        return;
    }

    if (ngx_http_bitrix1c_pack_left(pack) != NGX_OK) {
        ngx_post_event(&pack->carrier->done, &ngx_posted_events);
        return;
    }

    for (i = 0; i < pack->n; i++) {
        job = pack->jobs[i];

        /* the event of a write may overtake its answer */

        job->started = ngx_current_msec;
        ngx_http_bitrix1c_echo_mark(&job->event);
    }

    ngx_http_bitrix1c_deliver(pack->carrier);
}


/*
 * Calls whose lease was lost while the request waited do not go with it: they
 * are another's by now, who may have sent them and newer ones of their lanes.
 * Not NGX_OK: there is nothing to send.
 */
static ngx_int_t
ngx_http_bitrix1c_pack_left(ngx_http_bitrix1c_pack_t *pack)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < pack->n; i++) {
        if (pack->jobs[i]) {
            pack->jobs[n++] = pack->jobs[i];
        }
    }

    if (n == pack->n) {
        return NGX_OK;
    }

    pack->n = n;

    if (n == 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_bitrix1c_pack_uri(pack) == NGX_OK
        && ngx_http_bitrix1c_pack_body(pack) == NGX_OK)
    {
        return NGX_OK;
    }

    for (i = 0; i < n; i++) {
        ngx_http_bitrix1c_judge_unsent(pack->jobs[i]);
    }

    return NGX_ERROR;
}


static ngx_http_bitrix1c_pack_t *
ngx_http_bitrix1c_pack_create(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t **jobs, ngx_uint_t n)
{
    ngx_http_bitrix1c_job_t   *carrier;
    ngx_http_bitrix1c_pack_t  *pack;

    carrier = ngx_http_bitrix1c_job_create(w->queue, w->log);
    if (carrier == NULL) {
        return NULL;
    }

    pack = ngx_palloc(carrier->pool, sizeof(ngx_http_bitrix1c_pack_t));
    if (pack == NULL) {
        ngx_http_bitrix1c_job_release(carrier);
        return NULL;
    }

    pack->worker = w;
    pack->carrier = carrier;
    pack->next = NULL;
    pack->n = n;

    ngx_memzero(&pack->turn, sizeof(ngx_http_bitrix1c_turn_t));

    pack->turn.portal = jobs[0]->route->portal;
    pack->turn.max = NGX_HTTP_BITRIX1C_TURN;
    pack->turn.handler = ngx_http_bitrix1c_pack_turn;
    pack->turn.data = pack;

    ngx_memcpy(pack->jobs, jobs, n * sizeof(ngx_http_bitrix1c_job_t *));

    carrier->pack = pack;
    carrier->route = jobs[0]->route;
    carrier->judge = ngx_http_bitrix1c_judge;
    carrier->outcome.max = NGX_HTTP_BITRIX1C_RESULTS;

    carrier->done.handler = ngx_http_bitrix1c_pack_done_handler;
    carrier->done.data = pack;
    carrier->done.log = w->log;

    if (ngx_http_bitrix1c_pack_uri(pack) != NGX_OK
        || ngx_http_bitrix1c_pack_body(pack) != NGX_OK)
    {
        ngx_http_bitrix1c_job_release(carrier);
        return NULL;
    }

    return pack;
}


static ngx_int_t
ngx_http_bitrix1c_pack_uri(ngx_http_bitrix1c_pack_t *pack)
{
    u_char                   *p;
    ngx_str_t                *name, *prefix;
    ngx_http_bitrix1c_job_t  *carrier;

    static ngx_str_t  batch = ngx_string("batch");

    carrier = pack->carrier;
    name = pack->n == 1 ? &pack->jobs[0]->event.name : &batch;
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
ngx_http_bitrix1c_pack_body(ngx_http_bitrix1c_pack_t *pack)
{
    char                *text, (*names)[4];
    size_t               len;
    ngx_uint_t           i;
    bitrix_event_t      *ev;
    bitrix_packed_t      calls[BITRIX_BATCH_MAX];
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pack->carrier->pool, 0);
    names = ngx_palloc(pack->carrier->pool, pack->n * sizeof(*names));

    if (cln == NULL || names == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < pack->n; i++) {
        ev = ngx_http_bitrix1c_job_parsed(pack->jobs[i]);
        if (ev == NULL) {
            return NGX_ERROR;
        }

        ngx_http_bitrix1c_judge_name(i, names[i]);

        calls[i].name = names[i];
        calls[i].method = ev->event;
        calls[i].params = ev->data;
    }

    text = pack->n == 1 ? bitrix_call_params(calls[0].params, &len)
                        : bitrix_batch_build(calls, pack->n, &len);
    if (text == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_bitrix1c_pack_free_text;
    cln->data = text;

    pack->carrier->body.data = (u_char *) text;
    pack->carrier->body.len = len;

    return NGX_OK;
}


static void
ngx_http_bitrix1c_pack_free_text(void *data)
{
    free(data);
}


static void
ngx_http_bitrix1c_pack_done_handler(ngx_event_t *ev)
{
    ngx_http_bitrix1c_pack_t *pack = ev->data;

    ngx_uint_t                   i;
    ngx_http_bitrix1c_job_t     *job;
    ngx_http_bitrix1c_worker_t  *w;

    w = pack->carrier->queue->worker;

    ngx_http_bitrix1c_delivery_free(pack->carrier);

    if (w == NULL) {
        return;
    }

    ngx_http_bitrix1c_pack_pass(pack);
    ngx_http_bitrix1c_pack_slot(pack);

    for (i = 0; i < pack->n; i++) {
        job = pack->jobs[i];

        if (job) {
            job->pack = NULL;
            ngx_http_bitrix1c_pack_landed(w, job);
        }
    }

    ngx_http_bitrix1c_job_release(pack->carrier);
}


static void
ngx_http_bitrix1c_pack_landed(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t *job)
{
    if (ngx_http_bitrix1c_callback(w, job) != NGX_OK) {
        ngx_http_bitrix1c_queue_done(w, job);
    }
}


/* a request that waited for this one's slot has it now */
static void
ngx_http_bitrix1c_pack_pass(ngx_http_bitrix1c_pack_t *pack)
{
    ngx_http_bitrix1c_pack_t  *next;

    next = pack->next;

    if (next == NULL) {
        return;
    }

    next->carrier->slot = pack->carrier->slot;
    pack->carrier->slot = 0;

    if (pack->carrier->health <= NGX_HTTP_BITRIX1C_WELL) {
        ngx_http_bitrix1c_pack_start(next, 0);
        return;
    }

    /* what failed this one would fail that one */

    ngx_http_bitrix1c_judge_busy(next);
    ngx_post_event(&next->carrier->done, &ngx_posted_events);
}


static void
ngx_http_bitrix1c_pack_slot(ngx_http_bitrix1c_pack_t *pack)
{
    ngx_http_bitrix1c_job_t    *carrier;
    ngx_http_bitrix1c_queue_t  *queue;

    carrier = pack->carrier;
    queue = carrier->queue;

    if (carrier->slot) {
        carrier->slot = 0;
        ngx_http_bitrix1c_slots_give(queue->slots, 1);
    }

    if (carrier->probe) {

        /* broken off without a word of Bitrix */

        carrier->probe = 0;
        (void) ngx_http_bitrix1c_slots_health(queue->slots, &queue->pace,
                                              NGX_HTTP_BITRIX1C_UNKNOWN, 0);
    }
}


void
ngx_http_bitrix1c_pack_lost(ngx_http_bitrix1c_job_t *job)
{
    ngx_uint_t                 i;
    ngx_http_bitrix1c_pack_t  *pack;

    pack = job->pack;
    job->pack = NULL;

    for (i = 0; i < pack->n; i++) {
        if (pack->jobs[i] == job) {
            pack->jobs[i] = NULL;
        }
    }
}


void
ngx_http_bitrix1c_pack_abort(ngx_http_bitrix1c_pack_t *pack)
{
    ngx_uint_t                i;
    ngx_http_bitrix1c_job_t  *job;

    ngx_http_bitrix1c_pace_leave(&pack->turn);

    if (!pack->carrier->outcome.done) {
        ngx_http_bitrix1c_judge_leave(pack);
    }

    ngx_http_bitrix1c_delivery_abort(pack->carrier);
    ngx_http_bitrix1c_pack_slot(pack);

    for (i = 0; i < pack->n; i++) {
        job = pack->jobs[i];

        if (job == NULL) {
            continue;
        }

        job->pack = NULL;
        job->outcome.done = 1;

        /* what 1C is to be told can still be stored, if Redis is there */

        (void) ngx_http_bitrix1c_callback(pack->worker, job);
    }

    ngx_http_bitrix1c_job_release(pack->carrier);
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_queue_internal.h"
#include "b1c_job.h"
#include "b1c_redis.h"


static ngx_uint_t ngx_b1c_accept_distinct(ngx_b1c_script_t *b,
    ngx_queue_t *list);
static void ngx_b1c_accept_unused(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);
static void ngx_b1c_accept_words(ngx_b1c_script_t *b);
static void ngx_b1c_accept_reply(void *data, ngx_b1c_reply_t *reply);
static void ngx_b1c_accept_drained(void *data, ngx_b1c_reply_t *reply);
static ngx_int_t ngx_b1c_accept_stored(ngx_b1c_worker_t *w,
    ngx_b1c_reply_t *reply, ngx_uint_t i);
static ngx_uint_t ngx_b1c_accept_refused(ngx_b1c_script_t *b,
    ngx_b1c_reply_t *reply);
static void ngx_b1c_accept_job(ngx_b1c_worker_t *w, ngx_b1c_job_t *job,
    ngx_b1c_reply_t *reply, ngx_uint_t i);
static void ngx_b1c_accept_again(ngx_b1c_script_t *b);


static ngx_str_t  ngx_b1c_accept_two = ngx_string("2");


/*
 * accept leases an event at once only if there is a free slot and no older
 * event waits for it.
 */
ngx_int_t
ngx_b1c_accept_send(ngx_b1c_worker_t *w)
{
    ngx_uint_t         i, n;
    ngx_b1c_script_t  *b;
    ngx_b1c_grant_t    grant;

    b = ngx_b1c_script_create(w, ngx_min(w->naccepts, NGX_B1C_SCRIPT_JOBS),
                              10);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    n = ngx_b1c_accept_distinct(b, &w->accepts);
    grant.n = 0;

    /*
     * Calls wait a moment for others to share a request.  While the breaker is
     * open only a claim knows which events may be delivered.
     */

    if (!ngx_exiting && !w->queue->ops->unleased
        && ngx_b1c_limits_closed(w->queue->limits)
        && !ngx_b1c_limits_marked(w->queue->limits)
        && !ngx_b1c_limits_on_hold(w->queue->limits))
    {
        ngx_b1c_limits_take(w->queue->limits, &w->queue->limits_conf, n,
                            &grant);

        if (grant.n && (grant.probe || grant.one || grant.nskips)) {

            /* it has opened just now */

            ngx_b1c_limits_unused(w->queue->limits, &w->queue->limits_conf,
                                  grant.n, &grant);
            grant.n = 0;
        }
    }

    for (i = 0; i < n; i++) {
        b->jobs[i]->lease.slot = i < grant.n;
    }

    ngx_b1c_accept_words(b);

    if (ngx_b1c_script_send(b, NGX_B1C_SCRIPT_ACCEPT,
                            3 + n, ngx_b1c_accept_reply)
        != NGX_OK)
    {
        for (i = 0; i < n; i++) {
            ngx_b1c_accept_unused(w, b->jobs[i]);
        }

        ngx_free(b);

        return NGX_DECLINED;
    }

    for (i = 0; i < n; i++) {
        ngx_queue_remove(&b->jobs[i]->link);
        b->jobs[i]->lease.leased = ngx_current_msec;
    }

    w->naccepts -= n;

    return NGX_OK;
}


ngx_int_t
ngx_b1c_accept_drain(ngx_b1c_worker_t *w, ngx_queue_t *list)
{
    ngx_uint_t         i, n;
    ngx_b1c_script_t  *b;

    b = ngx_b1c_script_create(w, NGX_B1C_SCRIPT_JOBS, 10);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    n = ngx_b1c_accept_distinct(b, list);

    ngx_b1c_accept_words(b);

    if (ngx_b1c_script_send(b, NGX_B1C_SCRIPT_ACCEPT,
                            3 + n, ngx_b1c_accept_drained)
        != NGX_OK)
    {
        ngx_free(b);
        return NGX_DECLINED;
    }

    for (i = 0; i < n; i++) {
        ngx_queue_remove(&b->jobs[i]->link);
    }

    return NGX_OK;
}


/*
 * The script reads before it writes, for all events at once, so it cannot see
 * that two of them have the same lane or are about the same entity: the second
 * one goes with the next call.
 */
static ngx_uint_t
ngx_b1c_accept_distinct(ngx_b1c_script_t *b, ngx_queue_t *list)
{
    ngx_uint_t      i;
    ngx_queue_t    *q;
    ngx_b1c_job_t  *job, *other;

    for (q = ngx_queue_head(list);
         q != ngx_queue_sentinel(list) && b->n < NGX_B1C_SCRIPT_JOBS;
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_b1c_job_t, link);

        for (i = 0; i < b->n; i++) {
            other = b->jobs[i];

            if (ngx_memcmp(job->identity.key.data, other->identity.key.data,
                           NGX_B1C_HASH_ENTITY)
                == 0
                || ngx_memcmp(job->identity.lane.data,
                              other->identity.lane.data, NGX_B1C_HASH_LEN)
                   == 0)
            {
                return b->n;
            }
        }

        b->jobs[b->n++] = job;
    }

    return b->n;
}


static void
ngx_b1c_accept_unused(ngx_b1c_worker_t *w, ngx_b1c_job_t *job)
{
    if (job->lease.slot) {
        ngx_b1c_limits_unused(w->queue->limits, &w->queue->limits_conf, 1,
                              NULL);
        job->lease.slot = 0;
    }
}


static void
ngx_b1c_accept_words(ngx_b1c_script_t *b)
{
    ngx_uint_t      i;
    ngx_b1c_job_t  *job;

    for (i = 0; i < 3; i++) {
        ngx_b1c_script_word(b, &b->worker->queue->keys[i]);
    }

    for (i = 0; i < b->n; i++) {
        ngx_b1c_script_word(b, &b->jobs[i]->identity.marker);
    }

    ngx_b1c_script_word(b, &b->worker->lease);

    for (i = 0; i < b->n; i++) {
        ngx_b1c_script_word(b, &b->jobs[i]->identity.key_field);
        ngx_b1c_script_word(b, &b->jobs[i]->identity.lane_field);
        ngx_b1c_script_word(b, &b->jobs[i]->identity.id_field);
    }

    for (i = 0; i < b->n; i++) {
        job = b->jobs[i];

        ngx_b1c_script_word(b, &job->id);
        ngx_b1c_script_word(b, job->identity.once ? &ngx_b1c_one
                                                  : &ngx_b1c_zero);
        ngx_b1c_script_word(b,
                            job->lease.maybe_accepted ? &ngx_b1c_accept_two
                            : job->lease.slot ? &ngx_b1c_one
                            : &ngx_b1c_zero);
        ngx_b1c_script_word(b, &job->lease.since);
        ngx_b1c_script_word(b, &job->identity.meta);
        ngx_b1c_script_word(b, &job->record);
    }
}


static void
ngx_b1c_accept_reply(void *data, ngx_b1c_reply_t *reply)
{
    ngx_b1c_script_t *b = data;

    ngx_uint_t         i;
    ngx_b1c_job_t     *job;
    ngx_b1c_worker_t  *w;

    w = b->worker;

    if (reply == NULL) {
        ngx_b1c_accept_again(b);
        ngx_free(b);
        return;
    }

    if (ngx_b1c_accept_refused(b, reply)) {

        if (w->spill) {
            ngx_b1c_accept_again(b);
            ngx_free(b);
            return;
        }

        for (i = 0; i < b->n; i++) {
            job = b->jobs[i];

            ngx_b1c_accept_unused(w, job);
            ngx_b1c_queue_answer(job, NGX_B1C_UNAVAILABLE);
        }

        ngx_free(b);
        return;
    }

    for (i = 0; i < b->n; i++) {
        ngx_b1c_accept_job(w, b->jobs[i], reply, i);
    }

    ngx_free(b);
}


static void
ngx_b1c_accept_job(ngx_b1c_worker_t *w, ngx_b1c_job_t *job,
    ngx_b1c_reply_t *reply, ngx_uint_t i)
{
    int64_t    leased;
    ngx_str_t  text;

    leased = 0;

    if (ngx_b1c_redis_reply_int(reply, i, &leased) == NGX_OK) {
        job->result = NGX_B1C_ACCEPTED;

    } else if (ngx_b1c_redis_reply_str(reply, i, &text) == NGX_OK
               && text.len == 1 + NGX_B1C_HASH_LEN)
    {
        job->result = (text.data[0] == 'c') ? NGX_B1C_COALESCED
                                            : NGX_B1C_DUPLICATE;

        ngx_memcpy(job->id.data, text.data + 1, NGX_B1C_HASH_LEN);

    } else if (w->spill) {
        ngx_b1c_accept_unused(w, job);
        ngx_b1c_queue_again(w, job);
        ngx_b1c_spill_refused(w);
        return;

    } else {
        job->result = NGX_B1C_UNAVAILABLE;
    }

    if (leased != 1) {
        ngx_b1c_accept_unused(w, job);
    }

    if (leased == 0 && job->result == NGX_B1C_ACCEPTED
        && !ngx_b1c_limits_on_hold(w->queue->limits))
    {

        /* it waits in Redis for a slot, which may be free by now */

        ngx_b1c_limits_mark(w->queue->limits);

        if (w->queue->ops->unleased) {
            ngx_b1c_queue_due(w, NGX_B1C_GATHER);

        } else {
            w->claim = 1;
            ngx_post_event(&w->flush, &ngx_posted_events);
        }
    }

    /* the sender comes first, because its waiting time is measured */

    job->answer(job);

    if (leased == 1) {
        job->lease.epoch = ngx_b1c_one;
        ngx_b1c_queue_deliver(w, job);
        return;
    }

    ngx_b1c_job_unref(job);
}


/* for events from the spool, whose senders have already been answered */
static void
ngx_b1c_accept_drained(void *data, ngx_b1c_reply_t *reply)
{
    ngx_b1c_script_t *b = data;

    ngx_int_t          rc;
    ngx_uint_t         i, n;
    ngx_b1c_worker_t  *w;

    w = b->worker;
    n = b->n;
    rc = NGX_OK;

    if (reply == NULL || ngx_b1c_accept_refused(b, reply)) {
        rc = NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        if (rc == NGX_OK) {
            rc = ngx_b1c_accept_stored(w, reply, i);
        }

        ngx_b1c_job_unref(b->jobs[i]);
    }

    ngx_free(b);

    if (!w->stopped) {
        ngx_b1c_drain_stored(w, n, rc);
    }
}


static ngx_int_t
ngx_b1c_accept_stored(ngx_b1c_worker_t *w, ngx_b1c_reply_t *reply,
    ngx_uint_t i)
{
    int64_t    leased;
    ngx_str_t  text;

    if (ngx_b1c_redis_reply_int(reply, i, &leased) == NGX_OK) {

        ngx_b1c_limits_mark(w->queue->limits);
        w->claim = 1;
        ngx_post_event(&w->flush, &ngx_posted_events);

        return NGX_OK;
    }

    return ngx_b1c_redis_reply_str(reply, i, &text);
}


/* with a spool one line per outage, because it retries */
static ngx_uint_t
ngx_b1c_accept_refused(ngx_b1c_script_t *b, ngx_b1c_reply_t *reply)
{
    ngx_uint_t  told;

    told = ngx_b1c_spill_told(b->worker);

    if (!ngx_b1c_script_failed(b, reply, told ? NULL : "accept")) {
        return 0;
    }

    ngx_b1c_spill_refused(b->worker);

    return 1;
}


/*
 * The connection broke and the outcome is unknown. accept can be repeated with
 * the same id, so it is repeated until the sender has waited too long; the job
 * may also go to the spool, even if it was stored.
 */
static void
ngx_b1c_accept_again(ngx_b1c_script_t *b)
{
    ngx_uint_t         i;
    ngx_b1c_job_t     *job;
    ngx_b1c_worker_t  *w;

    w = b->worker;

    for (i = b->n; i--; /* void */ ) {
        job = b->jobs[i];
        job->lease.maybe_accepted = 1;

        ngx_b1c_accept_unused(w, job);

        ngx_b1c_queue_again(w, job);
    }

    if (!w->stopped) {
        ngx_post_event(&w->flush, &ngx_posted_events);
    }
}

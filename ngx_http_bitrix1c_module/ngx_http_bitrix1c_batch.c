
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_call.h"
#include "ngx_http_bitrix1c_job.h"
#include "ngx_http_bitrix1c_keep.h"
#include "ngx_http_bitrix1c_replay.h"
#include "ngx_http_bitrix1c_lua.h"


static ngx_uint_t ngx_http_bitrix1c_batch_distinct(
    ngx_http_bitrix1c_batch_t *b, ngx_queue_t *list);
static void ngx_http_bitrix1c_batch_unused(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t *job);
static void ngx_http_bitrix1c_batch_accept_words(
    ngx_http_bitrix1c_batch_t *b);
static void ngx_http_bitrix1c_batch_accepted(void *data,
    ngx_http_bitrix1c_reply_t *reply);
static void ngx_http_bitrix1c_batch_replayed(void *data,
    ngx_http_bitrix1c_reply_t *reply);
static ngx_int_t ngx_http_bitrix1c_batch_stored(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_reply_t *reply, ngx_uint_t i);
static ngx_uint_t ngx_http_bitrix1c_batch_refused(
    ngx_http_bitrix1c_batch_t *b, ngx_http_bitrix1c_reply_t *reply);
static void ngx_http_bitrix1c_batch_accepted_job(
    ngx_http_bitrix1c_worker_t *w, ngx_http_bitrix1c_job_t *job,
    ngx_http_bitrix1c_reply_t *reply, ngx_uint_t i);
static void ngx_http_bitrix1c_batch_again(ngx_http_bitrix1c_batch_t *b);


static ngx_http_bitrix1c_script_t  ngx_http_bitrix1c_scripts[] = {
    { ngx_string("accept"), ngx_string(NGX_HTTP_BITRIX1C_LUA_ACCEPT), { 0 },
      NGX_HTTP_BITRIX1C_DURABLE_OR_ERROR },
    { ngx_string("ack"), ngx_string(NGX_HTTP_BITRIX1C_LUA_ACK), { 0 }, 0 },
    { ngx_string("claim"), ngx_string(NGX_HTTP_BITRIX1C_LUA_CLAIM), { 0 }, 0 },
    { ngx_string("dead"), ngx_string(NGX_HTTP_BITRIX1C_LUA_DEAD), { 0 }, 0 },
    { ngx_string("extend"), ngx_string(NGX_HTTP_BITRIX1C_LUA_EXTEND), { 0 },
      0 },
    { ngx_string("nack"), ngx_string(NGX_HTTP_BITRIX1C_LUA_NACK), { 0 }, 0 },
    { ngx_string("result"), ngx_string(NGX_HTTP_BITRIX1C_LUA_RESULT), { 0 },
      0 },
    { ngx_string("claim"), ngx_string(NGX_HTTP_BITRIX1C_LUA_CLAIM), { 0 },
      NGX_HTTP_BITRIX1C_DURABLE_OR_SHORT }
};


ngx_str_t  ngx_http_bitrix1c_zero = ngx_string("0");
ngx_str_t  ngx_http_bitrix1c_one = ngx_string("1");

static ngx_str_t  ngx_http_bitrix1c_two = ngx_string("2");


void
ngx_http_bitrix1c_batch_init(void)
{
    ngx_uint_t  i;

    for (i = 0;
         i < sizeof(ngx_http_bitrix1c_scripts)
             / sizeof(ngx_http_bitrix1c_scripts[0]);
         i++)
    {
        ngx_http_bitrix1c_script_init(&ngx_http_bitrix1c_scripts[i]);
    }
}


ngx_http_bitrix1c_batch_t *
ngx_http_bitrix1c_batch_create(ngx_http_bitrix1c_worker_t *w, ngx_uint_t max,
    ngx_uint_t words)
{
    u_char                     *p;
    ngx_http_bitrix1c_batch_t  *b;

    p = ngx_alloc(sizeof(ngx_http_bitrix1c_batch_t)
                  + (NGX_HTTP_BITRIX1C_FIXED + max * words)
                    * sizeof(ngx_str_t)
                  + max * sizeof(ngx_http_bitrix1c_job_t *), w->log);
    if (p == NULL) {
        return NULL;
    }

    b = (ngx_http_bitrix1c_batch_t *) p;

    b->worker = w;
    b->n = 0;
    b->argc = 0;
    b->argv = (ngx_str_t *) (p + sizeof(ngx_http_bitrix1c_batch_t));
    b->jobs = (ngx_http_bitrix1c_job_t **)
                  (b->argv + NGX_HTTP_BITRIX1C_FIXED + max * words);

    return b;
}


void
ngx_http_bitrix1c_batch_word(ngx_http_bitrix1c_batch_t *b, ngx_str_t *word)
{
    b->argv[b->argc++] = *word;
}


ngx_int_t
ngx_http_bitrix1c_batch_send(ngx_http_bitrix1c_batch_t *b, ngx_uint_t script,
    ngx_uint_t nkeys, ngx_http_bitrix1c_reply_pt handler)
{
    return ngx_http_bitrix1c_redis_eval(b->worker->redis,
                                        &ngx_http_bitrix1c_scripts[script],
                                        nkeys, b->argc, b->argv, handler, b);
}


ngx_uint_t
ngx_http_bitrix1c_batch_failed(ngx_http_bitrix1c_batch_t *b,
    ngx_http_bitrix1c_reply_t *reply, const char *script)
{
    ngx_str_t   text;
    ngx_uint_t  level;

    if (reply == NULL) {
        return 1;
    }

    if (ngx_http_bitrix1c_reply_error(reply, &text) == NGX_OK) {
        if (script) {
            level = ngx_http_bitrix1c_stats_level(b->worker->queue->stats,
                                                NGX_HTTP_BITRIX1C_SAY_REFUSED,
                                                NGX_LOG_ERR);

            ngx_log_error(level, b->worker->log, 0,
                          "bitrix1c_queue \"%V\": Redis refused \"%s\": %V",
                          &b->worker->queue->name, script, &text);
        }

        return 1;
    }

    if (b->n && ngx_http_bitrix1c_reply_count(reply) < b->n) {
        if (script) {
            ngx_log_error(NGX_LOG_ERR, b->worker->log, 0,
                          "bitrix1c_queue \"%V\": Redis answered \"%s\" with "
                          "%ui elements instead of %ui",
                          &b->worker->queue->name, script,
                          ngx_http_bitrix1c_reply_count(reply), b->n);
        }

        return 1;
    }

    return 0;
}


/*
 * An event gets its lease with its acceptance only if there is a slot, and if
 * no older one waits for that slot.
 */
ngx_int_t
ngx_http_bitrix1c_batch_accept(ngx_http_bitrix1c_worker_t *w)
{
    ngx_uint_t                  i, n;
    ngx_http_bitrix1c_batch_t  *b;
    ngx_http_bitrix1c_grant_t   grant;

    b = ngx_http_bitrix1c_batch_create(w, ngx_min(w->naccepts,
                                                  NGX_HTTP_BITRIX1C_BATCH), 10);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    n = ngx_http_bitrix1c_batch_distinct(b, &w->accepts);
    grant.n = 0;
    grant.probe = 0;

    /* calls wait a moment for others to travel with */

    if (!ngx_exiting && !w->queue->calls
        && !ngx_http_bitrix1c_slots_marked(w->queue->slots)
        && !ngx_http_bitrix1c_slots_on_hold(w->queue->slots))
    {
        ngx_http_bitrix1c_slots_take(w->queue->slots, &w->queue->pace, n,
                                     &grant);
    }

    for (i = 0; i < n; i++) {
        b->jobs[i]->slot = i < grant.n;
        b->jobs[i]->probe = i < grant.n && grant.probe;
    }

    ngx_http_bitrix1c_batch_accept_words(b);

    if (ngx_http_bitrix1c_batch_send(b, NGX_HTTP_BITRIX1C_SCRIPT_ACCEPT,
                                     3 + n, ngx_http_bitrix1c_batch_accepted)
        != NGX_OK)
    {
        for (i = 0; i < n; i++) {
            ngx_http_bitrix1c_batch_unused(w, b->jobs[i]);
        }

        ngx_free(b);

        return NGX_DECLINED;
    }

    for (i = 0; i < n; i++) {
        ngx_queue_remove(&b->jobs[i]->link);
        b->jobs[i]->leased = ngx_current_msec;
    }

    w->naccepts -= n;

    return NGX_OK;
}


ngx_int_t
ngx_http_bitrix1c_batch_replay(ngx_http_bitrix1c_worker_t *w,
    ngx_queue_t *list)
{
    ngx_uint_t                  i, n;
    ngx_http_bitrix1c_batch_t  *b;

    b = ngx_http_bitrix1c_batch_create(w, NGX_HTTP_BITRIX1C_BATCH, 10);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    n = ngx_http_bitrix1c_batch_distinct(b, list);

    ngx_http_bitrix1c_batch_accept_words(b);

    if (ngx_http_bitrix1c_batch_send(b, NGX_HTTP_BITRIX1C_SCRIPT_ACCEPT,
                                     3 + n, ngx_http_bitrix1c_batch_replayed)
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
 * that two of them are about the same: the second one goes with the next call.
 */
static ngx_uint_t
ngx_http_bitrix1c_batch_distinct(ngx_http_bitrix1c_batch_t *b,
    ngx_queue_t *list)
{
    ngx_uint_t                i;
    ngx_queue_t              *q;
    ngx_http_bitrix1c_job_t  *job, *other;

    for (q = ngx_queue_head(list);
         q != ngx_queue_sentinel(list) && b->n < NGX_HTTP_BITRIX1C_BATCH;
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_http_bitrix1c_job_t, link);

        for (i = 0; i < b->n; i++) {
            other = b->jobs[i];

            if (ngx_memcmp(job->key.data, other->key.data,
                           NGX_HTTP_BITRIX1C_HASH_LEN)
                == 0
                || ngx_memcmp(job->lane.data, other->lane.data,
                              NGX_HTTP_BITRIX1C_HASH_LEN)
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
ngx_http_bitrix1c_batch_unused(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t *job)
{
    if (job->slot) {
        ngx_http_bitrix1c_slots_unused(w->queue->slots, &w->queue->pace, 1,
                                       job->probe);
        job->slot = 0;
        job->probe = 0;
    }
}


static void
ngx_http_bitrix1c_batch_accept_words(ngx_http_bitrix1c_batch_t *b)
{
    ngx_uint_t                i;
    ngx_http_bitrix1c_job_t  *job;

    for (i = 0; i < 3; i++) {
        ngx_http_bitrix1c_batch_word(b, &b->worker->queue->keys[i]);
    }

    for (i = 0; i < b->n; i++) {
        ngx_http_bitrix1c_batch_word(b, &b->jobs[i]->marker);
    }

    ngx_http_bitrix1c_batch_word(b, &b->worker->lease);

    for (i = 0; i < b->n; i++) {
        ngx_http_bitrix1c_batch_word(b, &b->jobs[i]->key_field);
        ngx_http_bitrix1c_batch_word(b, &b->jobs[i]->lane_field);
        ngx_http_bitrix1c_batch_word(b, &b->jobs[i]->id_field);
    }

    for (i = 0; i < b->n; i++) {
        job = b->jobs[i];

        ngx_http_bitrix1c_batch_word(b, &job->id);
        ngx_http_bitrix1c_batch_word(b, job->once ? &ngx_http_bitrix1c_one
                                                  : &ngx_http_bitrix1c_zero);
        ngx_http_bitrix1c_batch_word(b,
                                     job->again ? &ngx_http_bitrix1c_two
                                     : job->slot ? &ngx_http_bitrix1c_one
                                     : &ngx_http_bitrix1c_zero);
        ngx_http_bitrix1c_batch_word(b, &job->since);
        ngx_http_bitrix1c_batch_word(b, &job->meta);
        ngx_http_bitrix1c_batch_word(b, &job->record);
    }
}


static void
ngx_http_bitrix1c_batch_accepted(void *data, ngx_http_bitrix1c_reply_t *reply)
{
    ngx_http_bitrix1c_batch_t *b = data;

    ngx_uint_t                   i;
    ngx_http_bitrix1c_job_t     *job;
    ngx_http_bitrix1c_worker_t  *w;

    w = b->worker;

    if (reply == NULL) {
        ngx_http_bitrix1c_batch_again(b);
        ngx_free(b);
        return;
    }

    if (ngx_http_bitrix1c_batch_refused(b, reply)) {

        if (w->keep) {
            ngx_http_bitrix1c_batch_again(b);
            ngx_free(b);
            return;
        }

        for (i = 0; i < b->n; i++) {
            job = b->jobs[i];

            ngx_http_bitrix1c_batch_unused(w, job);
            ngx_http_bitrix1c_queue_answer(job, NGX_HTTP_BITRIX1C_UNAVAILABLE);
        }

        ngx_free(b);
        return;
    }

    for (i = 0; i < b->n; i++) {
        ngx_http_bitrix1c_batch_accepted_job(w, b->jobs[i], reply, i);
    }

    ngx_free(b);
}


static void
ngx_http_bitrix1c_batch_accepted_job(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t *job, ngx_http_bitrix1c_reply_t *reply,
    ngx_uint_t i)
{
    int64_t    leased;
    ngx_str_t  text;

    leased = 0;

    if (ngx_http_bitrix1c_reply_int(reply, i, &leased) == NGX_OK) {
        job->result = NGX_HTTP_BITRIX1C_ACCEPTED;

    } else if (ngx_http_bitrix1c_reply_str(reply, i, &text) == NGX_OK
               && text.len == 1 + NGX_HTTP_BITRIX1C_HASH_LEN)
    {
        job->result = (text.data[0] == 'c') ? NGX_HTTP_BITRIX1C_COALESCED
                                            : NGX_HTTP_BITRIX1C_DUPLICATE;

        ngx_memcpy(job->id.data, text.data + 1, NGX_HTTP_BITRIX1C_HASH_LEN);

    } else if (w->keep) {
        ngx_http_bitrix1c_batch_unused(w, job);
        ngx_http_bitrix1c_queue_again(w, job);
        ngx_http_bitrix1c_keep_refused(w);
        return;

    } else {
        job->result = NGX_HTTP_BITRIX1C_UNAVAILABLE;
    }

    if (leased != 1) {
        ngx_http_bitrix1c_batch_unused(w, job);
    }

    if (leased == 0 && job->result == NGX_HTTP_BITRIX1C_ACCEPTED
        && !ngx_http_bitrix1c_slots_on_hold(w->queue->slots))
    {

        /* it waits in Redis, for a slot that may be free by now */

        ngx_http_bitrix1c_slots_mark(w->queue->slots);

        if (w->queue->calls) {
            ngx_http_bitrix1c_queue_due(w, NGX_HTTP_BITRIX1C_GATHER);

        } else {
            w->claim = 1;
            ngx_post_event(&w->flush, &ngx_posted_events);
        }
    }

    /* the sender first: it counts how long its answer takes */

    job->answer(job);

    if (leased == 1) {
        job->epoch = ngx_http_bitrix1c_one;
        ngx_http_bitrix1c_queue_deliver(w, job);
        return;
    }

    ngx_http_bitrix1c_job_release(job);
}


/* for events out of the spool, whose senders have gone long ago */
static void
ngx_http_bitrix1c_batch_replayed(void *data, ngx_http_bitrix1c_reply_t *reply)
{
    ngx_http_bitrix1c_batch_t *b = data;

    ngx_int_t                    rc;
    ngx_uint_t                   i, n;
    ngx_http_bitrix1c_worker_t  *w;

    w = b->worker;
    n = b->n;
    rc = NGX_OK;

    if (reply == NULL || ngx_http_bitrix1c_batch_refused(b, reply)) {
        rc = NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        if (rc == NGX_OK) {
            rc = ngx_http_bitrix1c_batch_stored(w, reply, i);
        }

        ngx_http_bitrix1c_job_release(b->jobs[i]);
    }

    ngx_free(b);

    if (!w->stopped) {
        ngx_http_bitrix1c_replay_stored(w, n, rc);
    }
}


static ngx_int_t
ngx_http_bitrix1c_batch_stored(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_reply_t *reply, ngx_uint_t i)
{
    int64_t    leased;
    ngx_str_t  text;

    if (ngx_http_bitrix1c_reply_int(reply, i, &leased) == NGX_OK) {

        ngx_http_bitrix1c_slots_mark(w->queue->slots);
        w->claim = 1;
        ngx_post_event(&w->flush, &ngx_posted_events);

        return NGX_OK;
    }

    return ngx_http_bitrix1c_reply_str(reply, i, &text);
}


/* one line an outage, if there is a spool: it goes on trying */
static ngx_uint_t
ngx_http_bitrix1c_batch_refused(ngx_http_bitrix1c_batch_t *b,
    ngx_http_bitrix1c_reply_t *reply)
{
    ngx_uint_t  told;

    told = ngx_http_bitrix1c_keep_told(b->worker);

    if (!ngx_http_bitrix1c_batch_failed(b, reply, told ? NULL : "accept")) {
        return 0;
    }

    ngx_http_bitrix1c_keep_refused(b->worker);

    return 1;
}


/*
 * The connection broke and nobody knows what Redis did.  Since accept may be
 * repeated with the same id, there is still time to find out, until the sender
 * has waited too long; and it may go to the spool, even if it was stored.
 */
static void
ngx_http_bitrix1c_batch_again(ngx_http_bitrix1c_batch_t *b)
{
    ngx_uint_t                   i;
    ngx_http_bitrix1c_job_t     *job;
    ngx_http_bitrix1c_worker_t  *w;

    w = b->worker;

    for (i = b->n; i--; /* void */ ) {
        job = b->jobs[i];
        job->again = 1;

        ngx_http_bitrix1c_batch_unused(w, job);

        ngx_http_bitrix1c_queue_again(w, job);
    }

    if (!w->stopped) {
        ngx_post_event(&w->flush, &ngx_posted_events);
    }
}

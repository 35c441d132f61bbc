
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_call.h"
#include "ngx_http_bitrix1c_job.h"
#include "ngx_http_bitrix1c_pack.h"
#include "ngx_http_bitrix1c_report.h"
#include "ngx_http_bitrix1c_verdict.h"


#define NGX_HTTP_BITRIX1C_MAX_CLAIM  32

/* leases of an event that may end with their worker, before it is to blame */
#define NGX_HTTP_BITRIX1C_MAX_LOST   5

/* words of an event in the reply */
#define NGX_HTTP_BITRIX1C_CLAIMED    9


static void ngx_http_bitrix1c_batch_claimed(void *data,
    ngx_http_bitrix1c_reply_t *reply);
static void ngx_http_bitrix1c_batch_claimed_all(ngx_http_bitrix1c_batch_t *b,
    ngx_http_bitrix1c_reply_t *reply, ngx_uint_t n);
static ngx_http_bitrix1c_job_t *ngx_http_bitrix1c_batch_claimed_job(
    ngx_http_bitrix1c_batch_t *b, ngx_http_bitrix1c_reply_t *reply,
    ngx_uint_t i);


ngx_int_t
ngx_http_bitrix1c_batch_claim(ngx_http_bitrix1c_worker_t *w)
{
    u_char                     *p;
    ngx_str_t                   max;
    ngx_uint_t                  script;
    ngx_http_bitrix1c_batch_t  *b;
    ngx_http_bitrix1c_grant_t   grant;

    /* calls to Bitrix travel together, in one slot */

    ngx_http_bitrix1c_slots_take(w->queue->slots, &w->queue->pace,
                                 w->queue->calls
                                 ? 1 : NGX_HTTP_BITRIX1C_MAX_CLAIM, &grant);

    if (grant.n == 0) {

        /* whoever gives a slot back will look for what is due */

        ngx_http_bitrix1c_slots_mark(w->queue->slots);

        if (grant.wait) {
            ngx_http_bitrix1c_queue_due(w, grant.wait);
        }

        return NGX_OK;
    }

    b = ngx_http_bitrix1c_batch_create(w, BITRIX_BATCH_MAX, 1);
    if (b == NULL) {
        ngx_http_bitrix1c_slots_unused(w->queue->slots, &w->queue->pace,
                                       grant.n, grant.probe);
        return NGX_DECLINED;
    }

    b->slots = grant.n;
    b->asked = (w->queue->calls && !grant.probe) ? BITRIX_BATCH_MAX : grant.n;
    b->probe = grant.probe;
    b->snap = ngx_http_bitrix1c_slots_snap(w->queue->slots);

    p = ngx_sprintf(b->number, "%ui", b->asked);
    max.data = b->number;
    max.len = p - b->number;

    ngx_http_bitrix1c_batch_word(b, &w->queue->keys[0]);
    ngx_http_bitrix1c_batch_word(b, &w->queue->keys[1]);
    ngx_http_bitrix1c_batch_word(b, &w->queue->keys[3]);
    ngx_http_bitrix1c_batch_word(b, &max);
    ngx_http_bitrix1c_batch_word(b, &w->lease);

    /*
     * After a failover nobody may find a call waiting that was sent: then it
     * would go twice.
     */

    script = w->queue->calls ? NGX_HTTP_BITRIX1C_SCRIPT_CLAIM_CALLS
                             : NGX_HTTP_BITRIX1C_SCRIPT_CLAIM;

    if (ngx_http_bitrix1c_batch_send(b, script, 3,
                                     ngx_http_bitrix1c_batch_claimed)
        != NGX_OK)
    {
        ngx_http_bitrix1c_slots_unused(w->queue->slots, &w->queue->pace,
                                       grant.n, grant.probe);
        ngx_free(b);
        return NGX_DECLINED;
    }

    w->claiming = 1;

    return NGX_OK;
}


static void
ngx_http_bitrix1c_batch_claimed(void *data, ngx_http_bitrix1c_reply_t *reply)
{
    ngx_http_bitrix1c_batch_t *b = data;

    int64_t                      due, dropped;
    ngx_uint_t                   n;
    ngx_http_bitrix1c_worker_t  *w;

    w = b->worker;
    w->claiming = 0;

    if (ngx_http_bitrix1c_batch_failed(b, reply, "claim")
        || ngx_http_bitrix1c_reply_int(reply, 0, &due) != NGX_OK
        || ngx_http_bitrix1c_reply_int(reply, 1, &dropped) != NGX_OK)
    {
        ngx_http_bitrix1c_slots_unused(w->queue->slots, &w->queue->pace,
                                       b->slots, b->probe);
        ngx_free(b);
        return;
    }

    /* an empty queue does not say whether it is held */

    if (due >= 0
        && ngx_http_bitrix1c_report_held(w->queue, dropped < 0, w->log)
        && dropped >= 0)
    {
        ngx_http_bitrix1c_slots_mark(w->queue->slots);
        w->claim = 1;
    }

    if (dropped < 0) {
        dropped = 0;
        due = NGX_HTTP_BITRIX1C_POLL;
    }

    if (dropped) {
        ngx_http_bitrix1c_stats_count(w->queue->stats,
                                      NGX_HTTP_BITRIX1C_N_DEAD, dropped);

        ngx_log_error(NGX_LOG_ERR, w->log, 0,
                      "bitrix1c_queue \"%V\": %L events could not be read "
                      "from Redis: dead letters now, or dropped where nothing "
                      "was left of them", &w->queue->name, dropped);
    }

    n = (ngx_http_bitrix1c_reply_count(reply) - 2) / NGX_HTTP_BITRIX1C_CLAIMED;
    n = ngx_min(n, b->asked);

    if (n + dropped < b->asked) {
        ngx_http_bitrix1c_slots_clear(w->queue->slots, b->snap);

    } else {
        w->claim = 1;
    }

    /* also asked for while this claim was under way */

    if (w->claim) {
        ngx_post_event(&w->flush, &ngx_posted_events);
    }

    ngx_http_bitrix1c_batch_claimed_all(b, reply, n);

    w->empty = (due < 0);

    if (due >= 0) {
        ngx_http_bitrix1c_queue_due(w, ngx_max((ngx_msec_t) due, 1));
    }

    ngx_free(b);
}


static void
ngx_http_bitrix1c_batch_claimed_all(ngx_http_bitrix1c_batch_t *b,
    ngx_http_bitrix1c_reply_t *reply, ngx_uint_t n)
{
    ngx_uint_t                   i, got;
    ngx_http_bitrix1c_job_t     *job;
    ngx_http_bitrix1c_worker_t  *w;

    w = b->worker;
    got = 0;

    for (i = 0; i < n; i++) {
        job = ngx_http_bitrix1c_batch_claimed_job(b, reply,
                                         2 + i * NGX_HTTP_BITRIX1C_CLAIMED);

        /* else no memory: the lease ends and somebody takes it then */

        if (job) {
            b->jobs[got++] = job;
        }
    }

    if (w->queue->calls && got) {
        ngx_http_bitrix1c_pack_deliver(w, b->jobs, got, b->probe);
        return;
    }

    if (got < b->slots) {
        ngx_http_bitrix1c_slots_unused(w->queue->slots, &w->queue->pace,
                                       b->slots - got, b->probe);
    }

    for (i = 0; i < got; i++) {
        b->jobs[i]->slot = 1;
        b->jobs[i]->probe = b->probe;
        ngx_http_bitrix1c_queue_deliver(w, b->jobs[i]);
    }
}


static ngx_http_bitrix1c_job_t *
ngx_http_bitrix1c_batch_claimed_job(ngx_http_bitrix1c_batch_t *b,
    ngx_http_bitrix1c_reply_t *reply, ngx_uint_t i)
{
    ngx_int_t                    n;
    ngx_str_t                    word[NGX_HTTP_BITRIX1C_CLAIMED];
    ngx_uint_t                   k;
    ngx_http_bitrix1c_job_t     *job;
    ngx_http_bitrix1c_worker_t  *w;

    w = b->worker;

    for (k = 0; k < NGX_HTTP_BITRIX1C_CLAIMED; k++) {
        if (ngx_http_bitrix1c_reply_str(reply, i + k, &word[k]) != NGX_OK) {
            return NULL;
        }
    }

    job = ngx_http_bitrix1c_queue_waited(w, &word[0]);

    if (job == NULL) {
        job = ngx_http_bitrix1c_job_create(w->queue, w->log);
        if (job == NULL) {
            return NULL;
        }

        if (word[0].len == NGX_HTTP_BITRIX1C_HASH_LEN) {
            ngx_memcpy(job->id.data, word[0].data,
                       NGX_HTTP_BITRIX1C_HASH_LEN);
        }
    }

    n = ngx_atoi(word[2].data, word[2].len);

    job->attempts = (n == NGX_ERROR) ? 0 : (ngx_uint_t) n;
    job->once = (word[5].len == 1 && word[5].data[0] == '1');
    job->leased = ngx_current_msec;
    n = ngx_atoi(word[6].data, word[6].len);

    job->lost = (n == NGX_ERROR) ? 0 : (ngx_uint_t) n;

    n = ngx_atoi(word[7].data, word[7].len);

    job->arrived = ngx_current_msec - (n == NGX_ERROR ? 0 : (ngx_msec_t) n);

    if (ngx_http_bitrix1c_job_claimed(job, &word[1], &word[3], &word[4])
        != NGX_OK)
    {
        ngx_http_bitrix1c_job_release(job);
        return NULL;
    }

    switch (ngx_http_bitrix1c_job_load(job, &word[8])) {

    case NGX_ERROR:
        ngx_http_bitrix1c_job_release(job);
        return NULL;

    case NGX_DECLINED:
        ngx_http_bitrix1c_verdict_poison(job, "its record in Redis has not "
                                         "the form of this version");
        break;

    default: /* NGX_OK */
        job->result = NGX_HTTP_BITRIX1C_NONE;

        if (job->lost > NGX_HTTP_BITRIX1C_MAX_LOST) {
            ngx_http_bitrix1c_verdict_poison(job, "its worker has died again "
                                             "and again during its delivery");
        }

        break;
    }

    return job;
}

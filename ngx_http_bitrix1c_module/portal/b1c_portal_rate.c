
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_portal.h"
#include "b1c_bitrix.h"
#include "b1c_base.h"
#include "b1c_redis.h"
#include "b1c_lua.h"


/* permits, and methods reported to the other nodes, in one script call */
#define NGX_B1C_PERMITS    64
#define NGX_B1C_BLOCKS   8
#define NGX_B1C_WORDS    (7 + 3 * NGX_B1C_BLOCKS)

/* ms after which calls without a request to Redis are reported to it */
#define NGX_B1C_REPORT   50


typedef struct {
    u_char                         name[B1C_METHOD_MAX];
    size_t                         len;
    ngx_msec_t                     ms;
    ngx_uint_t                     guess;
} ngx_b1c_block_t;


/* state of a portal in one worker */
struct ngx_b1c_portal_rate_s {
    ngx_b1c_portal_t              *portal;
    ngx_log_t                     *log;

    ngx_queue_t                    waiting;    /* to be requested */
    ngx_queue_t                    asked;      /* requested */
    ngx_queue_t                    given;      /* by time */
    ngx_uint_t                     nwaiting;

    ngx_uint_t                     spent;      /* calls without asking */
    ngx_msec_t                     stop;       /* to be reported */
    ngx_uint_t                     exhausted;
    ngx_uint_t                     nblocks;
    ngx_b1c_block_t                blocks[NGX_B1C_BLOCKS];

    ngx_event_t                    flush;
    ngx_event_t                    report;
    ngx_event_t                    timer;      /* of the first permit */
    ngx_connection_t               dummy;      /* ident of the timers */

    unsigned                       asking:1;
    unsigned                       stopped:1;
};


/* one script call; owns its arguments */
typedef struct {
    ngx_b1c_portal_rate_t         *pacer;
    ngx_uint_t                     turns;
    ngx_uint_t                     argc;
    ngx_str_t                      argv[NGX_B1C_WORDS + NGX_B1C_PERMITS];
    ngx_b1c_block_t                blocks[NGX_B1C_BLOCKS];
    u_char                        *last;
    u_char                         text[(NGX_B1C_WORDS
                                         + NGX_B1C_PERMITS)
                                        * NGX_INT64_LEN];
} ngx_b1c_asking_t;


static void ngx_b1c_portal_rate_flush_handler(ngx_event_t *ev);
static ngx_int_t ngx_b1c_portal_rate_ask(ngx_b1c_portal_rate_t *p);
static void ngx_b1c_portal_rate_words(ngx_b1c_asking_t *a);
static void ngx_b1c_portal_rate_number(ngx_b1c_asking_t *a, uint64_t n);
static void ngx_b1c_portal_rate_reply(void *data, ngx_b1c_reply_t *reply);
static ngx_uint_t ngx_b1c_portal_rate_failed(ngx_b1c_asking_t *a,
    ngx_b1c_reply_t *reply);
static void ngx_b1c_portal_rate_learn(ngx_b1c_asking_t *a,
    ngx_b1c_reply_t *reply);
static void ngx_b1c_portal_rate_permits(ngx_b1c_asking_t *a,
    ngx_b1c_reply_t *reply);
static void ngx_b1c_portal_rate_alone(ngx_b1c_portal_rate_t *p,
    ngx_queue_t *list);
static void ngx_b1c_portal_rate_give(ngx_b1c_portal_rate_t *p,
    ngx_b1c_permit_t *permit, ngx_int_t rc, ngx_msec_t wait);
static void ngx_b1c_portal_rate_timer_handler(ngx_event_t *ev);


static ngx_b1c_redis_script_t  ngx_b1c_pace_script = {
    ngx_string("pace"), ngx_string(NGX_B1C_LUA_PACE), { 0 }, 0
};


ngx_int_t
ngx_b1c_portal_rate_start(ngx_b1c_portal_t *portal, ngx_log_t *log)
{
    ngx_b1c_portal_rate_t  *p;

    ngx_b1c_redis_script_init(&ngx_b1c_pace_script);

    p = ngx_calloc(sizeof(ngx_b1c_portal_rate_t), log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p->portal = portal;
    p->log = log;

    ngx_queue_init(&p->waiting);
    ngx_queue_init(&p->asked);
    ngx_queue_init(&p->given);

    ngx_b1c_timer_init(&p->flush, ngx_b1c_portal_rate_flush_handler, &p->dummy,
                       p, log, 1);
    ngx_b1c_timer_init(&p->report, ngx_b1c_portal_rate_flush_handler,
                       &p->dummy, p, log, 1);

    /*
     * not cancelable: callers wait for it, so the worker must not exit before
     */

    ngx_b1c_timer_init(&p->timer, ngx_b1c_portal_rate_timer_handler, &p->dummy,
                       p, log, 0);

    portal->pacer = p;

    return NGX_OK;
}


void
ngx_b1c_portal_rate_stop(ngx_b1c_portal_t *portal)
{
    ngx_b1c_portal_rate_t  *p;

    p = portal->pacer;

    if (p == NULL) {
        return;
    }

    portal->pacer = NULL;
    p->stopped = 1;

    ngx_b1c_timer_stop(&p->flush);
    ngx_b1c_timer_stop(&p->report);
    ngx_b1c_timer_stop(&p->timer);

    /* a running script call refers to this; its reply frees it */

    if (!p->asking) {
        ngx_free(p);
    }
}


ngx_int_t
ngx_b1c_portal_rate_take(ngx_b1c_permit_t *permit)
{
    ngx_b1c_portal_rate_t  *p;

    p = permit->portal->pacer;

    permit->asked = ngx_current_msec;
    permit->queued = 0;
    permit->sent = 0;
    permit->at = 0;

    /* waiting calls must not be overtaken */

    if (ngx_queue_empty(&p->waiting) && ngx_queue_empty(&p->asked)
        && ngx_queue_empty(&p->given)
        && ngx_b1c_portal_spend(permit->portal))
    {
        p->spent++;

        if (!p->report.timer_set) {
            ngx_add_timer(&p->report, NGX_B1C_REPORT);
        }

        return NGX_OK;
    }

    ngx_queue_insert_tail(&p->waiting, &permit->link);
    p->nwaiting++;
    permit->queued = 1;

    ngx_post_event(&p->flush, &ngx_posted_events);

    return NGX_AGAIN;
}


void
ngx_b1c_portal_rate_leave(ngx_b1c_permit_t *permit)
{
    ngx_msec_t              at, next;
    ngx_queue_t            *q;
    ngx_b1c_permit_t       *behind;
    ngx_b1c_portal_rate_t  *p;

    p = permit->portal->pacer;

    if (!permit->queued || p == NULL) {
        return;
    }

    permit->queued = 0;

    if (permit->at == 0) {

        /* not given yet; if it is requested, the reply skips it */

        p->nwaiting -= !permit->sent;

        ngx_queue_remove(&permit->link);
        return;
    }

    at = permit->at;

    for (q = ngx_queue_next(&permit->link);
         q != ngx_queue_sentinel(&p->given);
         q = ngx_queue_next(q))
    {
        behind = ngx_queue_data(q, ngx_b1c_permit_t, link);
        next = behind->at;
        behind->at = at;
        at = next;
    }

    ngx_queue_remove(&permit->link);
    permit->at = 0;
}


static void
ngx_b1c_portal_rate_flush_handler(ngx_event_t *ev)
{
    ngx_connection_t       *c;
    ngx_b1c_portal_rate_t  *p;

    c = ev->data;
    p = c->data;

    if (p->asking) {

        /* the reply will send what has been collected meanwhile */

        return;
    }

    while (p->nwaiting || p->spent || p->stop || p->exhausted || p->nblocks) {

        if (ngx_b1c_portal_rate_ask(p) == NGX_OK) {
            return;
        }

        ngx_b1c_portal_rate_alone(p, &p->waiting);

        /* the other nodes could not be informed; this one knows it already */

        p->spent = 0;
        p->stop = 0;
        p->exhausted = 0;
        p->nblocks = 0;
    }
}


static ngx_int_t
ngx_b1c_portal_rate_ask(ngx_b1c_portal_rate_t *p)
{
    ngx_uint_t         i;
    ngx_queue_t       *q;
    ngx_b1c_permit_t  *permit;
    ngx_b1c_redis_t   *redis;
    ngx_b1c_asking_t  *a;

    redis = p->portal->queue->redis;

    if (redis == NULL || !ngx_b1c_redis_ready(redis)) {
        return NGX_DECLINED;
    }

    a = ngx_alloc(sizeof(ngx_b1c_asking_t), p->log);
    if (a == NULL) {
        return NGX_DECLINED;
    }

    a->pacer = p;
    a->turns = ngx_min(p->nwaiting, NGX_B1C_PERMITS);

    ngx_b1c_portal_rate_words(a);

    if (ngx_b1c_redis_eval(redis, &ngx_b1c_pace_script, 1, a->argc, a->argv,
                           ngx_b1c_portal_rate_reply, a)
        != NGX_OK)
    {
        ngx_free(a);
        return NGX_DECLINED;
    }

    p->asking = 1;
    p->spent = 0;
    p->stop = 0;
    p->exhausted = 0;
    p->nblocks = 0;

    for (i = 0; i < a->turns; i++) {
        q = ngx_queue_head(&p->waiting);
        permit = ngx_queue_data(q, ngx_b1c_permit_t, link);
        permit->sent = 1;

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&p->asked, q);
    }

    p->nwaiting -= a->turns;

    return NGX_OK;
}


static void
ngx_b1c_portal_rate_words(ngx_b1c_asking_t *a)
{
    ngx_uint_t              i;
    ngx_msec_t              gone;
    ngx_queue_t            *q;
    ngx_b1c_permit_t       *permit;
    ngx_b1c_portal_rate_t  *p;
    ngx_b1c_portal_t       *portal;

    p = a->pacer;
    portal = p->portal;

    a->last = a->text;
    a->argc = 1;
    a->argv[0] = portal->key;

    ngx_b1c_portal_rate_number(a, ngx_b1c_portal_period(portal));
    ngx_b1c_portal_rate_number(a, portal->burst);
    ngx_b1c_portal_rate_number(a, p->spent);
    ngx_b1c_portal_rate_number(a, p->exhausted);
    ngx_b1c_portal_rate_number(a, p->stop);
    ngx_b1c_portal_rate_number(a, p->nblocks);

    ngx_memcpy(a->blocks, p->blocks, sizeof(a->blocks));

    for (i = 0; i < p->nblocks; i++) {
        a->argv[a->argc].data = a->blocks[i].name;
        a->argv[a->argc].len = a->blocks[i].len;
        a->argc++;

        ngx_b1c_portal_rate_number(a, a->blocks[i].ms);
        ngx_b1c_portal_rate_number(a, a->blocks[i].guess);
    }

    q = ngx_queue_head(&p->waiting);

    for (i = 0; i < a->turns; i++) {
        permit = ngx_queue_data(q, ngx_b1c_permit_t, link);
        gone = ngx_current_msec - permit->asked;

        ngx_b1c_portal_rate_number(a, permit->max > gone ? permit->max - gone
                                                         : 0);
        q = ngx_queue_next(q);
    }
}


static void
ngx_b1c_portal_rate_number(ngx_b1c_asking_t *a, uint64_t n)
{
    ngx_str_t  *word;

    word = &a->argv[a->argc++];

    word->data = a->last;
    a->last = ngx_sprintf(a->last, "%uL", n);
    word->len = a->last - word->data;
}


static void
ngx_b1c_portal_rate_reply(void *data, ngx_b1c_reply_t *reply)
{
    ngx_b1c_asking_t *a = data;

    ngx_b1c_portal_rate_t  *p;

    p = a->pacer;
    p->asking = 0;

    if (p->stopped) {
        ngx_free(p);
        ngx_free(a);
        return;
    }

    if (ngx_b1c_portal_rate_failed(a, reply)) {
        ngx_b1c_portal_rate_alone(p, &p->asked);

    } else {
        ngx_b1c_portal_rate_learn(a, reply);
        ngx_b1c_portal_rate_permits(a, reply);
    }

    ngx_free(a);

    if (p->nwaiting || p->stop || p->exhausted || p->nblocks) {
        ngx_post_event(&p->flush, &ngx_posted_events);

    } else if (p->spent && !p->report.timer_set) {
        ngx_add_timer(&p->report, NGX_B1C_REPORT);
    }
}


static ngx_uint_t
ngx_b1c_portal_rate_failed(ngx_b1c_asking_t *a, ngx_b1c_reply_t *reply)
{
    ngx_str_t               text;
    ngx_b1c_portal_rate_t  *p;

    p = a->pacer;

    if (reply == NULL) {
        return 1;
    }

    if (ngx_b1c_redis_reply_error(reply, &text) == NGX_OK) {

        if (ngx_b1c_portal_alone(p->portal, 1)) {
            ngx_log_error(NGX_LOG_ERR, p->log, 0,
                          "bitrix1c_pace of \"%V\": Redis refused script "
                          "\"pace\", this nginx limits the rate by itself: %V",
                          &p->portal->name, &text);
        }

        return 1;
    }

    return ngx_b1c_redis_reply_count(reply) < 2 + a->turns;
}


/* the common state of all nodes */
static void
ngx_b1c_portal_rate_learn(ngx_b1c_asking_t *a, ngx_b1c_reply_t *reply)
{
    int64_t            left;
    ngx_str_t          method;
    ngx_uint_t         i;
    ngx_b1c_portal_t  *portal;

    portal = a->pacer->portal;

    if (ngx_b1c_portal_alone(portal, 0)) {
        ngx_log_error(NGX_LOG_NOTICE, a->pacer->log, 0,
                      "bitrix1c_pace of \"%V\": the rate is limited through "
                      "Redis again",
                      &portal->name);
    }

    if (ngx_b1c_redis_reply_int(reply, 0, &left) == NGX_OK && left > 0) {
        ngx_b1c_portal_fill(portal, left);
    }

    if (ngx_b1c_redis_reply_int(reply, 1, &left) == NGX_OK && left > 0) {
        (void) ngx_b1c_portal_stop(portal, (ngx_msec_t) left);
    }

    for (i = 2 + a->turns;
         ngx_b1c_redis_reply_str(reply, i, &method) == NGX_OK
         && ngx_b1c_redis_reply_int(reply, i + 1, &left) == NGX_OK;
         i += 2)
    {
        (void) ngx_b1c_portal_block(portal, &method, (ngx_msec_t) left, 1);
    }
}


/* if callers have gone meanwhile, the last permits remain unused */
static void
ngx_b1c_portal_rate_permits(ngx_b1c_asking_t *a, ngx_b1c_reply_t *reply)
{
    int64_t                 wait;
    ngx_uint_t              i;
    ngx_queue_t            *q;
    ngx_b1c_permit_t       *permit;
    ngx_b1c_portal_rate_t  *p;

    p = a->pacer;

    for (i = 0; i < a->turns && !ngx_queue_empty(&p->asked); i++) {
        q = ngx_queue_head(&p->asked);
        permit = ngx_queue_data(q, ngx_b1c_permit_t, link);

        ngx_queue_remove(q);

        wait = 0;
        (void) ngx_b1c_redis_reply_int(reply, 2 + i, &wait);

        ngx_b1c_portal_rate_give(p, permit, wait >= 0 ? NGX_OK : NGX_BUSY,
                             (ngx_msec_t) (wait >= 0 ? wait : -1 - wait));
    }
}


/* Redis is not available: the bucket of this nginx is used */
static void
ngx_b1c_portal_rate_alone(ngx_b1c_portal_rate_t *p, ngx_queue_t *list)
{
    ngx_int_t          rc;
    ngx_msec_t         gone, wait;
    ngx_queue_t       *q;
    ngx_b1c_permit_t  *permit;

    if (ngx_b1c_portal_alone(p->portal, 1)) {
        ngx_log_error(NGX_LOG_WARN, p->log, 0,
                      "bitrix1c_pace of \"%V\": Redis is not available, this "
                      "nginx limits the rate by itself", &p->portal->name);
    }

    while (!ngx_queue_empty(list)) {
        q = ngx_queue_head(list);
        permit = ngx_queue_data(q, ngx_b1c_permit_t, link);

        ngx_queue_remove(q);

        p->nwaiting -= !permit->sent;

        gone = ngx_current_msec - permit->asked;

        rc = ngx_b1c_portal_reserve(p->portal,
                                  permit->max > gone ? permit->max - gone : 0,
                                  &wait);
        ngx_b1c_portal_rate_give(p, permit, rc, wait);
    }
}


/* permits are kept in the order in which they were given */
static void
ngx_b1c_portal_rate_give(ngx_b1c_portal_rate_t *p, ngx_b1c_permit_t *permit,
    ngx_int_t rc, ngx_msec_t wait)
{
    ngx_queue_t       *q;
    ngx_b1c_permit_t  *before;

    if (rc != NGX_OK) {
        permit->queued = 0;
        permit->wait = wait;
        permit->handler(permit, NGX_BUSY);
        return;
    }

    if (wait == 0 && ngx_queue_empty(&p->given)) {
        permit->queued = 0;
        permit->handler(permit, NGX_OK);
        return;
    }

    /* 0 means that no permit is given */

    permit->at = ngx_current_msec + wait;
    permit->at += permit->at == 0;

    if (!ngx_queue_empty(&p->given)) {
        q = ngx_queue_last(&p->given);
        before = ngx_queue_data(q, ngx_b1c_permit_t, link);

        if ((ngx_msec_int_t) (permit->at - before->at) < 0) {
            permit->at = before->at;
        }
    }

    ngx_queue_insert_tail(&p->given, &permit->link);

    if (!p->timer.timer_set) {
        ngx_add_timer(&p->timer, wait);
    }
}


static void
ngx_b1c_portal_rate_timer_handler(ngx_event_t *ev)
{
    ngx_queue_t            *q;
    ngx_connection_t       *c;
    ngx_msec_int_t          left;
    ngx_b1c_permit_t       *permit;
    ngx_b1c_portal_rate_t  *p;

    c = ev->data;
    p = c->data;

    while (!ngx_queue_empty(&p->given)) {
        q = ngx_queue_head(&p->given);
        permit = ngx_queue_data(q, ngx_b1c_permit_t, link);

        left = (ngx_msec_int_t) (permit->at - ngx_current_msec);

        if (left > 0) {

            /* a handler may have set the timer for a permit of its own */

            if (!ev->timer_set) {
                ngx_add_timer(ev, left);
            }

            return;
        }

        ngx_queue_remove(q);
        permit->queued = 0;
        permit->at = 0;

        permit->handler(permit, NGX_OK);
    }
}


void
ngx_b1c_portal_rate_exhausted(ngx_b1c_portal_t *portal)
{
    ngx_b1c_portal_fill(portal, ngx_b1c_portal_period(portal) * portal->burst);

    portal->pacer->exhausted = 1;

    ngx_post_event(&portal->pacer->flush, &ngx_posted_events);
}


ngx_uint_t
ngx_b1c_portal_rate_close(ngx_b1c_portal_t *portal, ngx_msec_t ms)
{
    portal->pacer->stop = ms;

    ngx_post_event(&portal->pacer->flush, &ngx_posted_events);

    return ngx_b1c_portal_stop(portal, ms);
}


ngx_uint_t
ngx_b1c_portal_rate_block(ngx_b1c_portal_t *portal, ngx_str_t *method,
    ngx_msec_t ms, ngx_uint_t guess)
{
    ngx_b1c_block_t        *block;
    ngx_b1c_portal_rate_t  *p;

    p = portal->pacer;

    /* other nodes would learn this from the portal themselves */

    if (p->nblocks < NGX_B1C_BLOCKS && method->len <= B1C_METHOD_MAX) {
        block = &p->blocks[p->nblocks++];

        ngx_strlow(block->name, method->data, method->len);
        block->len = method->len;
        block->ms = ms;
        block->guess = guess;

        ngx_post_event(&p->flush, &ngx_posted_events);
    }

    return ngx_b1c_portal_block(portal, method, ms, 0);
}

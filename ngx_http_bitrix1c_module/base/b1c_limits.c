
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_base_internal.h"


/* old and new workers of a reload count side by side */
#define NGX_B1C_WORKERS  512


typedef struct {
    ngx_pid_t                    pid;
    ngx_uint_t                   taken;
} ngx_b1c_entry_t;


/*
 * One counter per process instead of a common one: the slots of a killed
 * worker are known and can be returned.
 */
typedef struct {
    ngx_uint_t                   n;          /* entries ever used */
    ngx_atomic_t                 marked;
    ngx_atomic_t                 cleared;
    ngx_msec_t                   polled;

    ngx_uint_t                   tokens;     /* thousandths of a delivery */
    ngx_msec_t                   filled;     /* time, 0: never */

    ngx_msec_t                   given;      /* last slot that was */
    ngx_msec_t                   stuck;      /* when that was told */
    ngx_atomic_t                 held;       /* by an operator */
    ngx_b1c_breaker_sh_t         breaker;

    ngx_b1c_entry_t              workers[NGX_B1C_WORKERS];
} ngx_b1c_limits_sh_t;


struct ngx_b1c_limits_s {
    ngx_b1c_limits_sh_t           *sh;
    ngx_slab_pool_t               *shpool;
    ngx_pid_t                      pid;
    ngx_b1c_entry_t               *entry;
};


static ngx_int_t ngx_b1c_limits_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_b1c_entry_t *ngx_b1c_limits_entry(ngx_b1c_limits_t *limits);
static ngx_uint_t ngx_b1c_limits_sum(ngx_b1c_limits_sh_t *sh);
static ngx_msec_t ngx_b1c_limits_held(ngx_b1c_limits_conf_t *conf);
static ngx_uint_t ngx_b1c_limits_tokens(ngx_b1c_limits_sh_t *sh,
    ngx_b1c_limits_conf_t *conf, ngx_uint_t n, ngx_msec_t *wait);
static ngx_uint_t ngx_b1c_limits_burst(ngx_b1c_limits_conf_t *conf);


ngx_int_t
ngx_b1c_limits_zone(ngx_conf_t *cf, ngx_str_t *queue,
    ngx_b1c_limits_t **limits)
{
    *limits = ngx_pcalloc(cf->pool, sizeof(ngx_b1c_limits_t));

    if (*limits == NULL
        || ngx_b1c_zone_add(cf, "queue", queue, NULL,
                            16 * ngx_pagesize,
                            ngx_b1c_limits_init_zone,
                            *limits)
           == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_limits_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_uint_t         fresh;
    ngx_b1c_limits_t  *ctx;

    ctx = shm_zone->data;

    ctx->sh = ngx_b1c_zone_attach(shm_zone, data, sizeof(ngx_b1c_limits_sh_t),
                                  &ctx->shpool, &fresh);

    if (ctx->sh && fresh) {

        /* an earlier nginx may have left events in Redis */

        ctx->sh->marked = 1;
    }

    return ctx->sh ? NGX_OK : NGX_ERROR;
}


void
ngx_b1c_limits_take(ngx_b1c_limits_t *limits,
    ngx_b1c_limits_conf_t *conf, ngx_uint_t n, ngx_b1c_grant_t *grant)
{
    ngx_uint_t            sum;
    ngx_b1c_entry_t      *entry;
    ngx_b1c_limits_sh_t  *sh;

    grant->n = 0;
    grant->probe = 0;
    grant->one = 0;
    grant->nskips = 0;
    grant->wait = ngx_b1c_limits_held(conf);

    if (grant->wait) {
        return;
    }

    sh = limits->sh;

    ngx_shmtx_lock(&limits->shpool->mutex);

    entry = ngx_b1c_limits_entry(limits);
    sum = ngx_b1c_limits_sum(sh);

    if (entry == NULL || sum >= conf->concurrency
        || !ngx_b1c_breaker_look(&sh->breaker, conf, grant))
    {
        goto done;
    }

    n = (grant->probe || grant->one) ? 1
                                     : ngx_min(n, conf->concurrency - sum);
    n = ngx_b1c_limits_tokens(sh, conf, n, &grant->wait);

    if (n == 0) {
        grant->probe = 0;
        grant->one = 0;
        grant->nskips = 0;
        goto done;
    }

    ngx_b1c_breaker_reserve(&sh->breaker, grant);

    if (sum == 0) {
        sh->given = ngx_current_msec;
    }

    entry->taken += n;
    grant->n = n;

done:

    ngx_shmtx_unlock(&limits->shpool->mutex);
}


ngx_uint_t
ngx_b1c_limits_closed(ngx_b1c_limits_t *limits)
{
    ngx_b1c_breaker_sh_t  *sh;

    sh = &limits->sh->breaker;

    return sh->opened == 0 && sh->whole.until == 0;
}


/* ms for which hold stops deliveries; then it must be checked again */
static ngx_msec_t
ngx_b1c_limits_held(ngx_b1c_limits_conf_t *conf)
{
    ngx_tm_t    tm;
    ngx_uint_t  now, inside;

    switch (conf->hold) {

    case NGX_B1C_HOLD_OFF:
        return 0;

    case NGX_B1C_HOLD_ON:
        return 60000;

    default: /* NGX_B1C_HOLD_DAILY */
        break;
    }

    ngx_localtime(ngx_time(), &tm);

    now = tm.ngx_tm_hour * 60 + tm.ngx_tm_min;

    /* "23:00-02:00" goes over midnight */

    if (conf->from <= conf->to) {
        inside = now >= conf->from && now < conf->to;

    } else {
        inside = now >= conf->from || now < conf->to;
    }

    /* checked again at the latest when the next minute begins */

    return inside ? (60 - tm.ngx_tm_sec) * 1000 : 0;
}


/* a token bucket in thousandths, so that 3r/m is as precise as 300r/s */
static ngx_uint_t
ngx_b1c_limits_tokens(ngx_b1c_limits_sh_t *sh,
    ngx_b1c_limits_conf_t *conf, ngx_uint_t n, ngx_msec_t *wait)
{
    ngx_msec_t      passed;
    ngx_uint_t      burst;
    ngx_msec_int_t  ahead;

    if (conf->rate == 0) {
        return n;
    }

    burst = ngx_b1c_limits_burst(conf);
    ahead = (ngx_msec_int_t) (ngx_current_msec - sh->filled);
    passed = ahead > 0 ? (ngx_msec_t) ahead : 0;

    if (sh->filled == 0 || passed > 86400000) {
        sh->tokens = burst;
        sh->filled = ngx_current_msec;

    } else {

        /* a remainder below one thousandth is left for the next time */

        sh->tokens += passed * conf->rate / 1000;
        sh->filled += passed * conf->rate / 1000 * 1000 / conf->rate;

        if (sh->tokens >= burst) {
            sh->tokens = burst;
            sh->filled = ngx_current_msec;
        }
    }

    if (sh->tokens < 1000) {
        *wait = (1000 - sh->tokens) * 1000 / conf->rate + 1;
        return 0;
    }

    n = ngx_min(n, sh->tokens / 1000);
    sh->tokens -= n * 1000;

    return n;
}


/* at most the tokens of 0.1 s: the event loop may be late */
static ngx_uint_t
ngx_b1c_limits_burst(ngx_b1c_limits_conf_t *conf)
{
    return ngx_max(1000, conf->rate / 10);
}


void
ngx_b1c_limits_unused(ngx_b1c_limits_t *limits,
    ngx_b1c_limits_conf_t *conf, ngx_uint_t n, ngx_b1c_grant_t *grant)
{
    ngx_b1c_limits_sh_t  *sh;

    ngx_b1c_limits_give(limits, n);

    if (conf->rate == 0
        && (grant == NULL
            || (!grant->probe && !grant->one && grant->nskips == 0)))
    {
        return;
    }

    sh = limits->sh;

    ngx_shmtx_lock(&limits->shpool->mutex);

    if (conf->rate) {
        sh->tokens = ngx_min(sh->tokens + n * 1000,
                             ngx_b1c_limits_burst(conf));
    }

    if (grant) {
        ngx_b1c_breaker_release(&sh->breaker, grant);
    }

    ngx_shmtx_unlock(&limits->shpool->mutex);
}


ngx_b1c_breaker_e
ngx_b1c_limits_health(ngx_b1c_limits_t *limits, ngx_b1c_limits_conf_t *conf,
    ngx_b1c_symptom_t *symptom)
{
    ngx_b1c_breaker_e      breaker;
    ngx_b1c_breaker_sh_t  *sh;

    sh = &limits->sh->breaker;

    /* the usual case, without a lock */

    if (symptom->health == NGX_B1C_HEALTH_OK && sh->failed == 0
        && sh->opened == 0 && sh->whole.until == 0 && sh->worked)
    {
        ngx_b1c_breaker_pass(sh, &symptom->type);
        return NGX_B1C_SAME;
    }

    ngx_shmtx_lock(&limits->shpool->mutex);

    breaker = ngx_b1c_breaker_learn(sh, conf, symptom);

    ngx_shmtx_unlock(&limits->shpool->mutex);

    /* what had to wait may be due since before */

    ngx_b1c_limits_mark(limits);

    return breaker;
}


void
ngx_b1c_limits_give(ngx_b1c_limits_t *limits, ngx_uint_t n)
{
    ngx_b1c_entry_t  *entry;

    ngx_shmtx_lock(&limits->shpool->mutex);

    entry = ngx_b1c_limits_entry(limits);

    if (entry) {
        entry->taken -= ngx_min(n, entry->taken);
    }

    limits->sh->given = ngx_current_msec;

    ngx_shmtx_unlock(&limits->shpool->mutex);
}


ngx_msec_t
ngx_b1c_limits_stuck(ngx_b1c_limits_t *limits, ngx_b1c_limits_conf_t *conf,
    ngx_msec_t max)
{
    ngx_msec_t            stuck;
    ngx_b1c_limits_sh_t  *sh;

    sh = limits->sh;
    stuck = 0;

    ngx_shmtx_lock(&limits->shpool->mutex);

    if (ngx_b1c_limits_sum(sh) >= conf->concurrency
        && (ngx_msec_int_t) (ngx_current_msec - sh->given)
           > (ngx_msec_int_t) max
        && (sh->stuck == 0
            || (ngx_msec_int_t) (ngx_current_msec - sh->stuck)
               > (ngx_msec_int_t) max))
    {
        stuck = ngx_current_msec - sh->given;
        sh->stuck = ngx_max(ngx_current_msec, 1);
    }

    ngx_shmtx_unlock(&limits->shpool->mutex);

    return stuck;
}


void
ngx_b1c_limits_reap(ngx_b1c_limits_t *limits)
{
    ngx_uint_t        i;
    ngx_b1c_entry_t  *entry;

    ngx_shmtx_lock(&limits->shpool->mutex);

    for (i = 0; i < limits->sh->n; i++) {
        entry = &limits->sh->workers[i];

        if (entry->pid && kill(entry->pid, 0) == -1 && ngx_errno == NGX_ESRCH)
        {
            ngx_b1c_breaker_reap(&limits->sh->breaker, entry->pid);

            entry->pid = 0;
            entry->taken = 0;
        }
    }

    ngx_shmtx_unlock(&limits->shpool->mutex);
}


void
ngx_b1c_limits_mark(ngx_b1c_limits_t *limits)
{
    (void) ngx_atomic_fetch_add(&limits->sh->marked, 1);
}


ngx_uint_t
ngx_b1c_limits_marked(ngx_b1c_limits_t *limits)
{
    return limits->sh->marked != limits->sh->cleared;
}


ngx_atomic_uint_t
ngx_b1c_limits_snap(ngx_b1c_limits_t *limits)
{
    return limits->sh->marked;
}


void
ngx_b1c_limits_clear(ngx_b1c_limits_t *limits, ngx_atomic_uint_t snap)
{
    limits->sh->cleared = snap;
}


ngx_uint_t
ngx_b1c_limits_hold(ngx_b1c_limits_t *limits, ngx_uint_t held)
{
    return ngx_atomic_cmp_set(&limits->sh->held, !held, !!held);
}


ngx_uint_t
ngx_b1c_limits_on_hold(ngx_b1c_limits_t *limits)
{
    return limits->sh->held;
}


void
ngx_b1c_limits_info(ngx_b1c_limits_t *limits,
    ngx_b1c_limits_conf_t *conf, ngx_b1c_limits_info_t *info)
{
    ngx_b1c_limits_sh_t  *sh;

    sh = limits->sh;

    ngx_shmtx_lock(&limits->shpool->mutex);

    info->taken = ngx_b1c_limits_sum(sh);
    ngx_b1c_breaker_info(&sh->breaker, info);

    ngx_shmtx_unlock(&limits->shpool->mutex);

    info->operator = sh->held;
    info->held = sh->held || ngx_b1c_limits_held(conf);
}


ngx_uint_t
ngx_b1c_limits_poll(ngx_b1c_limits_t *limits, ngx_msec_t interval,
    ngx_msec_t *wait)
{
    ngx_uint_t  mine;
    ngx_msec_t  passed;

    ngx_shmtx_lock(&limits->shpool->mutex);

    passed = ngx_current_msec - limits->sh->polled;

    /* the cached clock of another worker may be slightly ahead */

    if ((ngx_msec_int_t) passed < 0) {
        passed = 0;
    }

    mine = (limits->sh->polled == 0 || passed >= interval);

    if (mine) {
        limits->sh->polled = ngx_current_msec;

    } else {
        *wait = interval - passed;
    }

    ngx_shmtx_unlock(&limits->shpool->mutex);

    return mine;
}


static ngx_b1c_entry_t *
ngx_b1c_limits_entry(ngx_b1c_limits_t *limits)
{
    ngx_uint_t            i;
    ngx_b1c_entry_t      *entry;
    ngx_b1c_limits_sh_t  *sh;

    if (limits->pid == ngx_pid) {
        return limits->entry;
    }

    sh = limits->sh;
    entry = NULL;

    for (i = 0; i < sh->n; i++) {

        if (sh->workers[i].pid == ngx_pid) {

            /*
             * a worker with this number was killed and its slots were not
             * returned
             */

            entry = &sh->workers[i];
            break;
        }

        if (sh->workers[i].pid == 0 && entry == NULL) {
            entry = &sh->workers[i];
        }
    }

    if (entry == NULL) {

        if (sh->n == NGX_B1C_WORKERS) {
            return NULL;
        }

        entry = &sh->workers[sh->n++];
    }

    entry->pid = ngx_pid;
    entry->taken = 0;

    limits->pid = ngx_pid;
    limits->entry = entry;

    return entry;
}


static ngx_uint_t
ngx_b1c_limits_sum(ngx_b1c_limits_sh_t *sh)
{
    ngx_uint_t  i, sum;

    sum = 0;

    for (i = 0; i < sh->n; i++) {
        sum += sh->workers[i].taken;
    }

    return sum;
}

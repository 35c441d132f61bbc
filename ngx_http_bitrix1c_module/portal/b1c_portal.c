
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_portal.h"
#include "b1c_bitrix.h"
#include "b1c_base.h"


/* known methods, and logged warnings */
#define NGX_B1C_METHODS  64
#define NGX_B1C_NEWS     64

/* methods whose time is remembered, by a hash of the name */
#define NGX_B1C_TIMES    256


typedef struct {
    u_char                       name[B1C_METHOD_MAX];     /* in lower case */
    size_t                       len;        /* 0: the entry is free */
    ngx_msec_t                   until;      /* end of a stop, if set */
    ngx_msec_t                   denied;     /* the same, if lacks is set */
    time_t                       reset_at;
    ngx_msec_t                   used;       /* last written */
    unsigned                     set:1;
    unsigned                     lacks:1;
} ngx_b1c_method_t;


struct ngx_b1c_portal_sh_s {
    uint64_t                     full;       /* us, when the bucket is empty */
    ngx_msec_t                   stopped;    /* until, if stop is set */
    ngx_uint_t                   stop;
    ngx_msec_t                   limited;    /* last logged, if told is set */
    ngx_uint_t                   told;
    ngx_uint_t                   alone;
    ngx_uint_t                   nnews;
    uint32_t                     news[NGX_B1C_NEWS];
    uint64_t                     times[NGX_B1C_TIMES];   /* hash, ms */
    ngx_uint_t                   nmethods;
    ngx_b1c_method_t             methods[NGX_B1C_METHODS];
};


static ngx_int_t ngx_b1c_portal_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static uint64_t ngx_b1c_portal_now(void);
static uint32_t ngx_b1c_portal_hash(ngx_str_t *method);
static ngx_b1c_method_t *ngx_b1c_portal_method(ngx_b1c_portal_t *portal,
    ngx_str_t *name, ngx_uint_t create);


ngx_b1c_portal_t *
ngx_b1c_portal_add(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf,
    ngx_b1c_queue_t *queue, ngx_str_t *name)
{
    ngx_uint_t          i;
    ngx_b1c_portal_t  **p, *portal;

    p = mcf->portals.elts;

    for (i = 0; i < mcf->portals.nelts; i++) {
        if (p[i]->queue == queue
            && p[i]->name.len == name->len
            && ngx_strncasecmp(p[i]->name.data, name->data, name->len) == 0)
        {
            return p[i];
        }
    }

    portal = ngx_pcalloc(cf->pool, sizeof(ngx_b1c_portal_t));
    p = ngx_array_push(&mcf->portals);

    if (portal == NULL || p == NULL) {
        return NULL;
    }

    portal->queue = queue;

    portal->name.len = name->len;
    portal->name.data = ngx_pnalloc(cf->pool, name->len);

    portal->key.len = sizeof("{b1c:}:p:") - 1 + queue->name.len + name->len;
    portal->key.data = ngx_pnalloc(cf->pool, portal->key.len);

    if (portal->name.data == NULL || portal->key.data == NULL) {
        return NULL;
    }

    ngx_strlow(portal->name.data, name->data, name->len);
    (void) ngx_sprintf(portal->key.data, "{b1c:%V}:p:%V", &queue->name,
                       &portal->name);

    if (ngx_b1c_zone_add(cf, "portal", &queue->name, &portal->name,
                         16 * ngx_pagesize,
                         ngx_b1c_portal_init_zone, portal)
        == NULL)
    {
        return NULL;
    }

    *p = portal;

    return portal;
}


static ngx_int_t
ngx_b1c_portal_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_uint_t         fresh;
    ngx_b1c_portal_t  *portal;

    portal = shm_zone->data;

    portal->sh = ngx_b1c_zone_attach(shm_zone, data,
                                     sizeof(ngx_b1c_portal_sh_t),
                                     &portal->shpool, &fresh);

    return portal->sh ? NGX_OK : NGX_ERROR;
}


uint64_t
ngx_b1c_portal_period(ngx_b1c_portal_t *portal)
{
    return (uint64_t) 1000000000 / portal->rate;
}


static uint64_t
ngx_b1c_portal_now(void)
{
    return (uint64_t) ngx_current_msec * 1000;
}


/*
 * While less than a quarter of the bucket is used, as far as this nginx knows,
 * a call is sent without asking Redis, which learns of it later.  Four nodes
 * that begin within that time still stay within the bucket; with more, the
 * portal refuses a call, and it is repeated.
 */
ngx_uint_t
ngx_b1c_portal_spend(ngx_b1c_portal_t *portal)
{
    uint64_t    now, full, period;
    ngx_uint_t  spent;

    now = ngx_b1c_portal_now();
    period = ngx_b1c_portal_period(portal);

    ngx_shmtx_lock(&portal->shpool->mutex);

    full = ngx_max(portal->sh->full, now) + period;
    spent = full - now <= period * portal->burst / 4;

    if (spent) {
        portal->sh->full = full;
    }

    ngx_shmtx_unlock(&portal->shpool->mutex);

    return spent;
}


ngx_int_t
ngx_b1c_portal_reserve(ngx_b1c_portal_t *portal, ngx_msec_t max,
    ngx_msec_t *wait)
{
    uint64_t   now, full, size;
    ngx_int_t  rc;

    now = ngx_b1c_portal_now();
    size = ngx_b1c_portal_period(portal) * portal->burst;
    rc = NGX_DECLINED;

    ngx_shmtx_lock(&portal->shpool->mutex);

    full = ngx_max(portal->sh->full, now) + ngx_b1c_portal_period(portal);

    *wait = full > now + size ? (full - now - size + 999) / 1000 : 0;

    if (*wait <= max) {
        portal->sh->full = full;
        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&portal->shpool->mutex);

    return rc;
}


void
ngx_b1c_portal_fill(ngx_b1c_portal_t *portal, uint64_t left)
{
    uint64_t  full;

    full = ngx_b1c_portal_now() + left;

    ngx_shmtx_lock(&portal->shpool->mutex);

    portal->sh->full = ngx_max(portal->sh->full, full);

    ngx_shmtx_unlock(&portal->shpool->mutex);
}


ngx_uint_t
ngx_b1c_portal_stop(ngx_b1c_portal_t *portal, ngx_msec_t ms)
{
    ngx_uint_t            news;
    ngx_msec_t            until;
    ngx_b1c_portal_sh_t  *sh;

    until = ngx_current_msec + ms;
    sh = portal->sh;

    ngx_shmtx_lock(&portal->shpool->mutex);

    news = !sh->stop || (ngx_msec_int_t) (sh->stopped - ngx_current_msec) <= 0;

    if (news || (ngx_msec_int_t) (until - sh->stopped) > 0) {
        sh->stop = 1;
        sh->stopped = until;
    }

    ngx_shmtx_unlock(&portal->shpool->mutex);

    return news;
}


ngx_msec_t
ngx_b1c_portal_stopped(ngx_b1c_portal_t *portal)
{
    ngx_msec_int_t  left;

    /* a single word, which is read without the lock */

    if (!portal->sh->stop) {
        return 0;
    }

    ngx_shmtx_lock(&portal->shpool->mutex);

    left = (ngx_msec_int_t) (portal->sh->stopped - ngx_current_msec);

    if (left <= 0) {
        portal->sh->stop = 0;
        left = 0;
    }

    ngx_shmtx_unlock(&portal->shpool->mutex);

    return left;
}


/* called under the lock; a new entry replaces the oldest one */
static ngx_b1c_method_t *
ngx_b1c_portal_method(ngx_b1c_portal_t *portal, ngx_str_t *name,
    ngx_uint_t create)
{
    ngx_uint_t            i;
    ngx_b1c_method_t     *m, *oldest;
    ngx_b1c_portal_sh_t  *sh;

    sh = portal->sh;
    oldest = &sh->methods[0];

    for (i = 0; i < sh->nmethods; i++) {
        m = &sh->methods[i];

        if (m->len == name->len
            && ngx_strncasecmp(m->name, name->data, name->len) == 0)
        {
            m->used = create ? ngx_current_msec : m->used;
            return m;
        }

        if ((ngx_msec_int_t) (m->used - oldest->used) < 0) {
            oldest = m;
        }
    }

    if (!create || name->len > B1C_METHOD_MAX) {
        return NULL;
    }

    m = sh->nmethods < NGX_B1C_METHODS ? &sh->methods[sh->nmethods++] : oldest;

    ngx_memzero(m, sizeof(ngx_b1c_method_t));

    ngx_strlow(m->name, name->data, name->len);
    m->len = name->len;
    m->used = ngx_current_msec;

    return m;
}


ngx_uint_t
ngx_b1c_portal_block(ngx_b1c_portal_t *portal, ngx_str_t *method,
    ngx_msec_t ms, ngx_uint_t agreed)
{
    ngx_uint_t         news;
    ngx_msec_t         until;
    ngx_b1c_method_t  *m;

    news = 0;
    until = ngx_current_msec + ms;

    ngx_shmtx_lock(&portal->shpool->mutex);

    m = ngx_b1c_portal_method(portal, method, 1);

    if (m) {
        news = !m->set || (ngx_msec_int_t) (m->until - ngx_current_msec) <= 0;

        if (news || agreed || (ngx_msec_int_t) (until - m->until) > 0) {
            m->set = 1;
            m->until = until;
        }
    }

    ngx_shmtx_unlock(&portal->shpool->mutex);

    return news;
}


ngx_msec_t
ngx_b1c_portal_blocked(ngx_b1c_portal_t *portal, ngx_str_t *method)
{
    ngx_msec_int_t     left;
    ngx_b1c_method_t  *m;

    /* usually no method is known, and then no lock is needed */

    if (portal->sh->nmethods == 0) {
        return 0;
    }

    left = 0;

    ngx_shmtx_lock(&portal->shpool->mutex);

    m = ngx_b1c_portal_method(portal, method, 0);

    if (m && m->set) {
        left = (ngx_msec_int_t) (m->until - ngx_current_msec);

        if (left <= 0) {
            m->set = 0;
            left = 0;
        }
    }

    ngx_shmtx_unlock(&portal->shpool->mutex);

    return left;
}


void
ngx_b1c_portal_reset(ngx_b1c_portal_t *portal, ngx_str_t *method,
    time_t reset_at)
{
    ngx_b1c_method_t  *m;

    ngx_shmtx_lock(&portal->shpool->mutex);

    m = ngx_b1c_portal_method(portal, method, 1);

    if (m) {
        m->reset_at = reset_at;
    }

    ngx_shmtx_unlock(&portal->shpool->mutex);
}


time_t
ngx_b1c_portal_resets(ngx_b1c_portal_t *portal, ngx_str_t *method)
{
    time_t             reset_at;
    ngx_b1c_method_t  *m;

    ngx_shmtx_lock(&portal->shpool->mutex);

    m = ngx_b1c_portal_method(portal, method, 0);
    reset_at = m ? m->reset_at : 0;

    ngx_shmtx_unlock(&portal->shpool->mutex);

    return reset_at;
}


ngx_uint_t
ngx_b1c_portal_deny(ngx_b1c_portal_t *portal, ngx_str_t *method,
    ngx_msec_t ms)
{
    ngx_uint_t         news;
    ngx_b1c_method_t  *m;

    if (ms == 0 && portal->sh->nmethods == 0) {
        return 0;
    }

    news = 0;

    ngx_shmtx_lock(&portal->shpool->mutex);

    m = ngx_b1c_portal_method(portal, method, ms > 0);

    if (m) {
        news = (m->lacks != (ms > 0));
        m->lacks = (ms > 0);
        m->denied = ngx_current_msec + ms;
    }

    ngx_shmtx_unlock(&portal->shpool->mutex);

    return news;
}


/* it stays known after its time, so that a try that fails is no news */
ngx_msec_t
ngx_b1c_portal_denied(ngx_b1c_portal_t *portal, ngx_str_t *method)
{
    ngx_msec_int_t     left;
    ngx_b1c_method_t  *m;

    if (portal->sh->nmethods == 0) {
        return 0;
    }

    ngx_shmtx_lock(&portal->shpool->mutex);

    m = ngx_b1c_portal_method(portal, method, 0);
    left = m && m->lacks ? (ngx_msec_int_t) (m->denied - ngx_current_msec) : 0;

    ngx_shmtx_unlock(&portal->shpool->mutex);

    return ngx_max(left, 0);
}


static uint32_t
ngx_b1c_portal_hash(ngx_str_t *method)
{
    u_char  name[B1C_METHOD_MAX];
    size_t  len;

    len = ngx_min(method->len, B1C_METHOD_MAX);

    ngx_strlow(name, method->data, len);

    return ngx_crc32_short(name, len);
}


/* one word each, so no lock is needed; a longer time counts at once */
void
ngx_b1c_portal_took(ngx_b1c_portal_t *portal, ngx_str_t *method,
    ngx_msec_t ms)
{
    uint32_t    hash, old;
    uint64_t   *word;

    hash = ngx_b1c_portal_hash(method);
    word = &portal->sh->times[hash % NGX_B1C_TIMES];

    if (*word >> 32 == hash) {
        old = (uint32_t) *word;

        if (old > ms) {
            ms = old - (old - ms) / 8;
        }
    }

    *word = (uint64_t) hash << 32 | (uint32_t) ms;
}


ngx_msec_t
ngx_b1c_portal_takes(ngx_b1c_portal_t *portal, ngx_str_t *method,
    ngx_msec_t unknown)
{
    uint32_t  hash;
    uint64_t  word;

    hash = ngx_b1c_portal_hash(method);
    word = portal->sh->times[hash % NGX_B1C_TIMES];

    return word >> 32 == hash ? (ngx_msec_t) (uint32_t) word : unknown;
}


ngx_uint_t
ngx_b1c_portal_news(ngx_b1c_portal_t *portal, ngx_str_t *text)
{
    uint32_t              hash;
    ngx_uint_t            i, n;
    ngx_b1c_portal_sh_t  *sh;

    hash = ngx_crc32_short(text->data, text->len);
    sh = portal->sh;

    ngx_shmtx_lock(&portal->shpool->mutex);

    n = ngx_min(sh->nnews, NGX_B1C_NEWS);

    for (i = 0; i < n; i++) {
        if (sh->news[i] == hash) {
            ngx_shmtx_unlock(&portal->shpool->mutex);
            return 0;
        }
    }

    sh->news[sh->nnews++ % NGX_B1C_NEWS] = hash;

    ngx_shmtx_unlock(&portal->shpool->mutex);

    return 1;
}


ngx_uint_t
ngx_b1c_portal_limited(ngx_b1c_portal_t *portal)
{
    ngx_uint_t            news;
    ngx_b1c_portal_sh_t  *sh;

    sh = portal->sh;

    ngx_shmtx_lock(&portal->shpool->mutex);

    news = !sh->told || ngx_current_msec - sh->limited >= 60000;

    /* a refusal that continues is not logged again */

    sh->told = 1;
    sh->limited = ngx_current_msec;

    ngx_shmtx_unlock(&portal->shpool->mutex);

    return news;
}


ngx_uint_t
ngx_b1c_portal_alone(ngx_b1c_portal_t *portal, ngx_uint_t alone)
{
    ngx_uint_t  news;

    if (portal->sh->alone == alone) {
        return 0;
    }

    ngx_shmtx_lock(&portal->shpool->mutex);

    news = portal->sh->alone != alone;
    portal->sh->alone = alone;

    ngx_shmtx_unlock(&portal->shpool->mutex);

    return news;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_slots.h"


/* old and new workers of a reload count side by side */
#define NGX_HTTP_BITRIX1C_WORKERS  512


typedef struct {
    ngx_pid_t                    pid;
    ngx_uint_t                   taken;
} ngx_http_bitrix1c_entry_t;


/*
 * A count for each process instead of one in all: what a killed worker held
 * is then known and can be taken back, and the sum is right again.
 */
typedef struct {
    ngx_uint_t                   n;          /* entries ever used */
    ngx_atomic_t                 marked;
    ngx_atomic_t                 cleared;
    ngx_msec_t                   polled;
    ngx_http_bitrix1c_entry_t    workers[NGX_HTTP_BITRIX1C_WORKERS];
} ngx_http_bitrix1c_slots_sh_t;


struct ngx_http_bitrix1c_slots_s {
    ngx_http_bitrix1c_slots_sh_t  *sh;
    ngx_slab_pool_t               *shpool;
    ngx_http_bitrix1c_slots_t    **owner;
    ngx_pid_t                      pid;
    ngx_http_bitrix1c_entry_t     *entry;
};


static ngx_int_t ngx_http_bitrix1c_slots_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_http_bitrix1c_entry_t *ngx_http_bitrix1c_slots_entry(
    ngx_http_bitrix1c_slots_t *slots);
static ngx_uint_t ngx_http_bitrix1c_slots_sum(
    ngx_http_bitrix1c_slots_sh_t *sh);


ngx_shm_zone_t *
ngx_http_bitrix1c_slots_zone(ngx_conf_t *cf, ngx_str_t *name,
    ngx_http_bitrix1c_slots_t **slots, void *tag)
{
    ngx_shm_zone_t             *zone;
    ngx_http_bitrix1c_slots_t  *ctx;

    ctx = ngx_pcalloc(cf->pool, sizeof(ngx_http_bitrix1c_slots_t));
    if (ctx == NULL) {
        return NULL;
    }

    zone = ngx_shared_memory_add(cf, name, 16 * ngx_pagesize, tag);
    if (zone == NULL) {
        return NULL;
    }

    zone->init = ngx_http_bitrix1c_slots_init_zone;
    zone->data = ctx;

    *slots = ctx;

    return zone;
}


static ngx_int_t
ngx_http_bitrix1c_slots_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_bitrix1c_slots_t  *octx = data;

    ngx_http_bitrix1c_slots_t  *ctx;

    ctx = shm_zone->data;

    if (octx) {
        ctx->sh = octx->sh;
        ctx->shpool = octx->shpool;
        return NGX_OK;
    }

    ctx->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (shm_zone->shm.exists) {
        ctx->sh = ctx->shpool->data;
        return NGX_OK;
    }

    ctx->sh = ngx_slab_calloc(ctx->shpool,
                              sizeof(ngx_http_bitrix1c_slots_sh_t));
    if (ctx->sh == NULL) {
        return NGX_ERROR;
    }

    ctx->shpool->data = ctx->sh;

    /* what an earlier nginx left in Redis may be due */

    ctx->sh->marked = 1;

    return NGX_OK;
}


ngx_uint_t
ngx_http_bitrix1c_slots_take(ngx_http_bitrix1c_slots_t *slots, ngx_uint_t n,
    ngx_uint_t limit)
{
    ngx_uint_t                  sum;
    ngx_http_bitrix1c_entry_t  *entry;

    ngx_shmtx_lock(&slots->shpool->mutex);

    entry = ngx_http_bitrix1c_slots_entry(slots);
    sum = ngx_http_bitrix1c_slots_sum(slots->sh);

    if (entry == NULL || sum >= limit) {
        n = 0;

    } else {
        n = ngx_min(n, limit - sum);
        entry->taken += n;
    }

    ngx_shmtx_unlock(&slots->shpool->mutex);

    return n;
}


void
ngx_http_bitrix1c_slots_give(ngx_http_bitrix1c_slots_t *slots, ngx_uint_t n)
{
    ngx_http_bitrix1c_entry_t  *entry;

    ngx_shmtx_lock(&slots->shpool->mutex);

    entry = ngx_http_bitrix1c_slots_entry(slots);

    if (entry) {
        entry->taken -= ngx_min(n, entry->taken);
    }

    ngx_shmtx_unlock(&slots->shpool->mutex);
}


void
ngx_http_bitrix1c_slots_reap(ngx_http_bitrix1c_slots_t *slots)
{
    ngx_uint_t                  i;
    ngx_http_bitrix1c_entry_t  *entry;

    ngx_shmtx_lock(&slots->shpool->mutex);

    for (i = 0; i < slots->sh->n; i++) {
        entry = &slots->sh->workers[i];

        if (entry->pid && kill(entry->pid, 0) == -1 && ngx_errno == NGX_ESRCH)
        {
            entry->pid = 0;
            entry->taken = 0;
        }
    }

    ngx_shmtx_unlock(&slots->shpool->mutex);
}


void
ngx_http_bitrix1c_slots_mark(ngx_http_bitrix1c_slots_t *slots)
{
    (void) ngx_atomic_fetch_add(&slots->sh->marked, 1);
}


ngx_uint_t
ngx_http_bitrix1c_slots_marked(ngx_http_bitrix1c_slots_t *slots)
{
    return slots->sh->marked != slots->sh->cleared;
}


ngx_atomic_uint_t
ngx_http_bitrix1c_slots_snap(ngx_http_bitrix1c_slots_t *slots)
{
    return slots->sh->marked;
}


void
ngx_http_bitrix1c_slots_clear(ngx_http_bitrix1c_slots_t *slots,
    ngx_atomic_uint_t snap)
{
    slots->sh->cleared = snap;
}


ngx_uint_t
ngx_http_bitrix1c_slots_poll(ngx_http_bitrix1c_slots_t *slots,
    ngx_msec_t interval, ngx_msec_t *wait)
{
    ngx_uint_t  mine;
    ngx_msec_t  passed;

    ngx_shmtx_lock(&slots->shpool->mutex);

    passed = ngx_current_msec - slots->sh->polled;

    /* another worker's clock of this loop iteration may be a little ahead */

    if ((ngx_msec_int_t) passed < 0) {
        passed = 0;
    }

    mine = (slots->sh->polled == 0 || passed >= interval);

    if (mine) {
        slots->sh->polled = ngx_current_msec;

    } else {
        *wait = interval - passed;
    }

    ngx_shmtx_unlock(&slots->shpool->mutex);

    return mine;
}


static ngx_http_bitrix1c_entry_t *
ngx_http_bitrix1c_slots_entry(ngx_http_bitrix1c_slots_t *slots)
{
    ngx_uint_t                     i;
    ngx_http_bitrix1c_entry_t     *entry;
    ngx_http_bitrix1c_slots_sh_t  *sh;

    if (slots->pid == ngx_pid) {
        return slots->entry;
    }

    sh = slots->sh;
    entry = NULL;

    for (i = 0; i < sh->n; i++) {

        if (sh->workers[i].pid == ngx_pid) {

            /* a worker of this number was killed and never reaped */

            entry = &sh->workers[i];
            break;
        }

        if (sh->workers[i].pid == 0 && entry == NULL) {
            entry = &sh->workers[i];
        }
    }

    if (entry == NULL) {

        if (sh->n == NGX_HTTP_BITRIX1C_WORKERS) {
            return NULL;
        }

        entry = &sh->workers[sh->n++];
    }

    entry->pid = ngx_pid;
    entry->taken = 0;

    slots->pid = ngx_pid;
    slots->entry = entry;

    return entry;
}


static ngx_uint_t
ngx_http_bitrix1c_slots_sum(ngx_http_bitrix1c_slots_sh_t *sh)
{
    ngx_uint_t  i, sum;

    sum = 0;

    for (i = 0; i < sh->n; i++) {
        sum += sh->workers[i].taken;
    }

    return sum;
}

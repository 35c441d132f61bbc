
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_spool.h"
#include "b1c_base.h"


/* ms after which a scanning or closing worker counts as dead or hanging */
#define NGX_B1C_SPOOL_STALE  500

/* files that were reported */
#define NGX_B1C_SPOOL_TOLD   32


typedef struct {
    ngx_atomic_t                     mode;
    ngx_msec_t                       beat;       /* 0: never */
    ngx_uint_t                       serial;     /* of CLOSING */
    ngx_msec_t                       looked;
    ngx_msec_t                       drained;    /* last progress */

    uint64_t                         number;     /* current file, 0: none */
    uint64_t                         last;       /* ever used */
    uint64_t                         replaying;  /* file, 0: none */
    ino_t                            ino;        /* its own */
    uint64_t                         acked;      /* offset in it */
    off_t                            bytes;

    ngx_b1c_spool_fault_e            fault;
    ngx_uint_t                       refused;
    uint64_t                         told[NGX_B1C_SPOOL_TOLD];
    ngx_uint_t                       ntold;

    uint64_t                         spooled;
    uint64_t                         replayed;
    uint64_t                         torn;
    uint64_t                         damaged;
} ngx_b1c_spool_sh_t;


struct ngx_b1c_spool_shm_s {
    ngx_b1c_spool_sh_t              *sh;
    ngx_slab_pool_t                 *shpool;
};


static ngx_int_t ngx_b1c_spool_shm_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static uint64_t ngx_b1c_spool_shm_next_number(ngx_b1c_spool_sh_t *sh);
static ngx_uint_t ngx_b1c_spool_shm_stale(ngx_b1c_spool_sh_t *sh);


ngx_int_t
ngx_b1c_spool_shm_zone(ngx_conf_t *cf, ngx_str_t *queue, ngx_str_t *folder,
    ngx_b1c_spool_shm_t **state)
{
    *state = ngx_pcalloc(cf->pool, sizeof(ngx_b1c_spool_shm_t));

    if (*state == NULL
        || ngx_b1c_zone_add(cf, "spool", queue, folder,
                            8 * ngx_pagesize,
                            ngx_b1c_spool_shm_init_zone,
                            *state)
           == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_spool_shm_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_uint_t            fresh;
    ngx_b1c_spool_shm_t  *ctx;

    ctx = shm_zone->data;

    /* all zeros: the mode is UNKNOWN */

    ctx->sh = ngx_b1c_zone_attach(shm_zone, data, sizeof(ngx_b1c_spool_sh_t),
                                  &ctx->shpool, &fresh);

    return ctx->sh ? NGX_OK : NGX_ERROR;
}


void
ngx_b1c_spool_shm_stats(ngx_b1c_spool_shm_t *state,
    ngx_b1c_spool_stats_t *stats)
{
    ngx_b1c_spool_sh_t  *sh;

    sh = state->sh;

    ngx_shmtx_lock(&state->shpool->mutex);

    stats->mode = (ngx_b1c_spool_mode_e) sh->mode;
    stats->fault = sh->fault;
    stats->draining = sh->mode == NGX_B1C_SPOOL_CLOSING
                      || (sh->mode == NGX_B1C_SPOOL_SPOOLING
                          && sh->drained
                          && ngx_current_msec - sh->drained < 2000);
    stats->bytes = sh->bytes;
    stats->spooled = sh->spooled;
    stats->replayed = sh->replayed;
    stats->torn = sh->torn;
    stats->damaged = sh->damaged;

    ngx_shmtx_unlock(&state->shpool->mutex);
}


ngx_b1c_spool_mode_e
ngx_b1c_spool_shm_mode(ngx_b1c_spool_shm_t *state)
{
    return (ngx_b1c_spool_mode_e) state->sh->mode;
}


ngx_uint_t
ngx_b1c_spool_shm_scan(ngx_b1c_spool_shm_t *state)
{
    ngx_uint_t  mine;

    ngx_shmtx_lock(&state->shpool->mutex);

    mine = (state->sh->mode == NGX_B1C_SPOOL_UNKNOWN
            && ngx_b1c_spool_shm_stale(state->sh));

    if (mine) {
        state->sh->beat = ngx_max(ngx_current_msec, 1);
    }

    ngx_shmtx_unlock(&state->shpool->mutex);

    return mine;
}


ngx_uint_t
ngx_b1c_spool_shm_scanned(ngx_b1c_spool_shm_t *state, ngx_uint_t files,
    uint64_t last)
{
    ngx_uint_t           mine;
    ngx_b1c_spool_sh_t  *sh;

    sh = state->sh;

    ngx_shmtx_lock(&state->shpool->mutex);

    mine = (sh->mode == NGX_B1C_SPOOL_UNKNOWN);

    if (mine) {
        sh->mode = files ? NGX_B1C_SPOOL_SPOOLING : NGX_B1C_SPOOL_DIRECT;
        sh->last = ngx_max(sh->last, last);
    }

    ngx_shmtx_unlock(&state->shpool->mutex);

    return mine;
}


ngx_uint_t
ngx_b1c_spool_shm_enter(ngx_b1c_spool_shm_t *state)
{
    ngx_uint_t  mine;

    ngx_shmtx_lock(&state->shpool->mutex);

    mine = (state->sh->mode == NGX_B1C_SPOOL_DIRECT);

    if (mine) {
        state->sh->mode = NGX_B1C_SPOOL_SPOOLING;
    }

    ngx_shmtx_unlock(&state->shpool->mutex);

    return mine;
}


ngx_uint_t
ngx_b1c_spool_shm_close(ngx_b1c_spool_shm_t *state)
{
    ngx_uint_t           serial;
    ngx_b1c_spool_sh_t  *sh;

    sh = state->sh;
    serial = 0;

    ngx_shmtx_lock(&state->shpool->mutex);

    if (sh->mode == NGX_B1C_SPOOL_SPOOLING) {
        sh->mode = NGX_B1C_SPOOL_CLOSING;
        sh->beat = ngx_max(ngx_current_msec, 1);
        serial = ++sh->serial;
    }

    ngx_shmtx_unlock(&state->shpool->mutex);

    return serial;
}


ngx_uint_t
ngx_b1c_spool_shm_leave(ngx_b1c_spool_shm_t *state, ngx_uint_t serial)
{
    ngx_uint_t           mine;
    ngx_b1c_spool_sh_t  *sh;

    sh = state->sh;

    ngx_shmtx_lock(&state->shpool->mutex);

    mine = (sh->mode == NGX_B1C_SPOOL_CLOSING && sh->serial == serial);

    if (mine) {
        sh->mode = NGX_B1C_SPOOL_DIRECT;
        sh->number = 0;
        sh->bytes = 0;
        sh->refused = 0;
        sh->fault = NGX_B1C_SPOOL_OK;
    }

    ngx_shmtx_unlock(&state->shpool->mutex);

    return mine;
}


ngx_uint_t
ngx_b1c_spool_shm_reopen(ngx_b1c_spool_shm_t *state, ngx_uint_t serial)
{
    ngx_uint_t           mine;
    ngx_b1c_spool_sh_t  *sh;

    sh = state->sh;

    ngx_shmtx_lock(&state->shpool->mutex);

    mine = (sh->mode == NGX_B1C_SPOOL_CLOSING
            && (serial ? sh->serial == serial
                       : ngx_b1c_spool_shm_stale(sh)));

    if (mine) {
        sh->mode = NGX_B1C_SPOOL_SPOOLING;

        /* the closing worker may have locked the file */

        sh->number = ngx_b1c_spool_shm_next_number(sh);
    }

    ngx_shmtx_unlock(&state->shpool->mutex);

    return mine;
}


ngx_uint_t
ngx_b1c_spool_shm_look(ngx_b1c_spool_shm_t *state, ngx_msec_t interval)
{
    ngx_uint_t  mine;

    ngx_shmtx_lock(&state->shpool->mutex);

    mine = ((ngx_msec_int_t) (ngx_current_msec - state->sh->looked)
            >= (ngx_msec_int_t) interval);

    if (mine) {
        state->sh->looked = ngx_current_msec;
    }

    ngx_shmtx_unlock(&state->shpool->mutex);

    return mine;
}


static ngx_uint_t
ngx_b1c_spool_shm_stale(ngx_b1c_spool_sh_t *sh)
{
    return sh->beat == 0
           || (ngx_msec_int_t) (ngx_current_msec - sh->beat)
              >= NGX_B1C_SPOOL_STALE;
}


uint64_t
ngx_b1c_spool_shm_number(ngx_b1c_spool_shm_t *state)
{
    uint64_t             number;
    ngx_b1c_spool_sh_t  *sh;

    sh = state->sh;
    number = 0;

    ngx_shmtx_lock(&state->shpool->mutex);

    if (sh->mode == NGX_B1C_SPOOL_SPOOLING) {

        if (sh->number == 0) {
            sh->number = ngx_b1c_spool_shm_next_number(sh);
        }

        number = sh->number;
    }

    ngx_shmtx_unlock(&state->shpool->mutex);

    return number;
}


void
ngx_b1c_spool_shm_rotate(ngx_b1c_spool_shm_t *state, uint64_t number)
{
    ngx_shmtx_lock(&state->shpool->mutex);

    if (state->sh->number == number) {
        state->sh->number = ngx_b1c_spool_shm_next_number(state->sh);
    }

    ngx_shmtx_unlock(&state->shpool->mutex);
}


/* by the clock, so that no earlier nginx has used it; always increasing */
static uint64_t
ngx_b1c_spool_shm_next_number(ngx_b1c_spool_sh_t *sh)
{
    uint64_t        now;
    struct timeval  tv;

    ngx_gettimeofday(&tv);

    now = (uint64_t) tv.tv_sec * 1000 + tv.tv_usec / 1000;
    sh->last = ngx_max(now, sh->last + 1);

    return sh->last;
}


ngx_int_t
ngx_b1c_spool_shm_reserve(ngx_b1c_spool_shm_t *state, off_t size, off_t max)
{
    ngx_int_t  rc;

    rc = NGX_DECLINED;

    ngx_shmtx_lock(&state->shpool->mutex);

    if (state->sh->bytes + size <= max) {
        state->sh->bytes += size;
        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&state->shpool->mutex);

    return rc;
}


void
ngx_b1c_spool_shm_release(ngx_b1c_spool_shm_t *state, off_t size)
{
    ngx_shmtx_lock(&state->shpool->mutex);

    state->sh->bytes -= ngx_min(size, state->sh->bytes);

    ngx_shmtx_unlock(&state->shpool->mutex);
}


void
ngx_b1c_spool_shm_used(ngx_b1c_spool_shm_t *state, off_t size)
{
    ngx_shmtx_lock(&state->shpool->mutex);

    state->sh->bytes = size;

    ngx_shmtx_unlock(&state->shpool->mutex);
}


void
ngx_b1c_spool_shm_acked(ngx_b1c_spool_shm_t *state, uint64_t number, ino_t ino,
    uint64_t offset, ngx_uint_t events)
{
    ngx_b1c_spool_sh_t  *sh;

    sh = state->sh;

    ngx_shmtx_lock(&state->shpool->mutex);

    sh->replaying = number;
    sh->ino = ino;
    sh->acked = offset;
    sh->replayed += events;
    sh->refused = 0;
    sh->drained = ngx_max(ngx_current_msec, 1);
    sh->beat = sh->drained;

    ngx_shmtx_unlock(&state->shpool->mutex);
}


uint64_t
ngx_b1c_spool_shm_progress(ngx_b1c_spool_shm_t *state, uint64_t number,
    ino_t ino)
{
    uint64_t             offset;
    ngx_b1c_spool_sh_t  *sh;

    sh = state->sh;

    ngx_shmtx_lock(&state->shpool->mutex);

    offset = (sh->replaying == number && sh->ino == ino) ? sh->acked : 0;

    ngx_shmtx_unlock(&state->shpool->mutex);

    return offset;
}


ngx_b1c_spool_fault_e
ngx_b1c_spool_shm_fault(ngx_b1c_spool_shm_t *state,
    ngx_b1c_spool_fault_e fault, ngx_uint_t events)
{
    ngx_b1c_spool_fault_e  before;

    ngx_shmtx_lock(&state->shpool->mutex);

    before = state->sh->fault;
    state->sh->fault = fault;
    state->sh->spooled += events;

    ngx_shmtx_unlock(&state->shpool->mutex);

    return before;
}


void
ngx_b1c_spool_shm_refuse(ngx_b1c_spool_shm_t *state)
{
    state->sh->refused = 1;
}


ngx_uint_t
ngx_b1c_spool_shm_refused(ngx_b1c_spool_shm_t *state)
{
    return state->sh->refused;
}


ngx_uint_t
ngx_b1c_spool_shm_told(ngx_b1c_spool_shm_t *state, uint64_t number)
{
    ngx_uint_t           i, told;
    ngx_b1c_spool_sh_t  *sh;

    sh = state->sh;
    told = 0;

    ngx_shmtx_lock(&state->shpool->mutex);

    for (i = 0; i < sh->ntold; i++) {
        if (sh->told[i] == number) {
            told = 1;
            goto done;
        }
    }

    if (sh->ntold < NGX_B1C_SPOOL_TOLD) {
        sh->told[sh->ntold++] = number;

    } else {

        /* more of them would fill the log at every check */

        told = 1;
    }

done:

    ngx_shmtx_unlock(&state->shpool->mutex);

    return told;
}


void
ngx_b1c_spool_shm_count(ngx_b1c_spool_shm_t *state, ngx_uint_t torn,
    ngx_uint_t damaged)
{
    ngx_shmtx_lock(&state->shpool->mutex);

    state->sh->torn += torn;
    state->sh->damaged += damaged;

    ngx_shmtx_unlock(&state->shpool->mutex);
}

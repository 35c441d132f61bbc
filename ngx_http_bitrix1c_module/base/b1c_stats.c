
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_base.h"


/* the hour, the current minute, and room for differing clocks */
#define NGX_B1C_RING  64


/*
 * Atomics instead of a counter per process: an event takes a dozen of them,
 * about 100 ns, and the death of a process loses nothing.
 */
typedef struct {
    ngx_atomic_t                   n[NGX_B1C_COUNTERS];
    ngx_b1c_histogram_t            times[NGX_B1C_TIMES];
    ngx_b1c_minute_t               ring[NGX_B1C_RING];
    ngx_atomic_t                   asked;    /* minute of the last depth */
    ngx_atomic_t                   said[NGX_B1C_SAYINGS];
    ngx_atomic_t                   failures; /* of the current series */
    ngx_atomic_t                   told;     /* last log line, s */
    ngx_b1c_last_t                 last[2];  /* delivery, failure */
    ngx_b1c_depth_t                depth;
    ngx_msec_t                     sampled;  /* time of the depth */
} ngx_b1c_stats_sh_t;


struct ngx_b1c_stats_s {
    ngx_b1c_stats_sh_t            *sh;
    ngx_slab_pool_t               *shpool;
};


static ngx_int_t ngx_b1c_stats_init_zone(ngx_shm_zone_t *shm_zone, void *data);
static ngx_b1c_minute_t *ngx_b1c_stats_now(ngx_b1c_stats_t *stats);


static ngx_str_t  ngx_b1c_stats_names[] = {
    ngx_string("accepted"),
    ngx_string("coalesced"),
    ngx_string("duplicate"),
    ngx_string("spooled"),
    ngx_string("ignored"),
    ngx_string("malformed"),
    ngx_string("forbidden"),
    ngx_string("refused"),
    ngx_string("unavailable"),
    ngx_string("delivered"),
    ngx_string("retried"),
    ngx_string("dead"),
    ngx_string("lost"),
    ngx_string("replayed"),
    ngx_string("deleted"),
    ngx_string("dropped_dead"),
    ngx_string("spool_replayed"),
    ngx_string("spool_torn")
};


/* answers take milliseconds, 1C seconds, and its maintenance hours */
static ngx_msec_t  ngx_b1c_stats_bounds[] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000,
    300000, 1800000, 3600000, 14400000, 86400000
};


/* which of them are charted */
static ngx_int_t  ngx_b1c_stats_charted[] = {
    NGX_B1C_M_ACCEPTED, -1, -1, NGX_B1C_M_ACCEPTED,
    -1, -1, -1, -1, -1,
    NGX_B1C_M_DELIVERED, NGX_B1C_M_FAILED,
    NGX_B1C_M_DEAD, -1, -1, -1, -1, -1, -1
};


ngx_int_t
ngx_b1c_stats_zone(ngx_conf_t *cf, ngx_str_t *queue, ngx_b1c_stats_t **stats)
{
    *stats = ngx_pcalloc(cf->pool, sizeof(ngx_b1c_stats_t));

    if (*stats == NULL
        || ngx_b1c_zone_add(cf, "stats", queue, NULL,
                            16 * ngx_pagesize,
                            ngx_b1c_stats_init_zone,
                            *stats)
           == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_stats_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_uint_t        fresh;
    ngx_b1c_stats_t  *ctx;

    ctx = shm_zone->data;

    ctx->sh = ngx_b1c_zone_attach(shm_zone, data, sizeof(ngx_b1c_stats_sh_t),
                                  &ctx->shpool, &fresh);

    return ctx->sh ? NGX_OK : NGX_ERROR;
}


void
ngx_b1c_stats_count(ngx_b1c_stats_t *stats, ngx_b1c_counter_e counter,
    ngx_uint_t n)
{
    ngx_int_t          chart;
    ngx_b1c_minute_t  *m;

    (void) ngx_atomic_fetch_add(&stats->sh->n[counter], n);

    chart = ngx_b1c_stats_charted[counter];

    if (chart >= 0) {
        m = ngx_b1c_stats_now(stats);
        (void) ngx_atomic_fetch_add(&m->n[chart], n);
    }
}


void
ngx_b1c_stats_time(ngx_b1c_stats_t *stats, ngx_b1c_time_e time, ngx_msec_t ms)
{
    ngx_uint_t            i;
    ngx_b1c_histogram_t  *h;

    /* the clock was set back */

    if ((ngx_msec_int_t) ms < 0) {
        ms = 0;
    }

    h = &stats->sh->times[time];

    for (i = 0; i < NGX_B1C_BUCKETS; i++) {
        if (ms <= ngx_b1c_stats_bounds[i]) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&h->n[i], 1);

    if (ms) {
        (void) ngx_atomic_fetch_add(&h->sum, ms);
    }
}


/* the current minute; the first caller replaces an old one in its place */
static ngx_b1c_minute_t *
ngx_b1c_stats_now(ngx_b1c_stats_t *stats)
{
    ngx_uint_t         now, i;
    ngx_b1c_minute_t  *m;

    now = ngx_time() / 60;
    m = &stats->sh->ring[now % NGX_B1C_RING];

    if (m->minute == now) {
        return m;
    }

    ngx_shmtx_lock(&stats->shpool->mutex);

    if (m->minute < now) {

        for (i = 0; i < NGX_B1C_MINUTE_COUNTERS; i++) {
            m->n[i] = 0;
        }

        m->waiting = 0;

        ngx_memory_barrier();

        m->minute = now;
    }

    ngx_shmtx_unlock(&stats->shpool->mutex);

    return m;
}


void
ngx_b1c_stats_last(ngx_b1c_stats_t *stats, ngx_b1c_last_t *last,
    ngx_uint_t failed)
{
    size_t  size;

    size = offsetof(ngx_b1c_last_t, reason) + last->reason_len;

    ngx_shmtx_lock(&stats->shpool->mutex);

    ngx_memcpy(&stats->sh->last[0], last, size);

    if (failed) {
        ngx_memcpy(&stats->sh->last[1], last, size);
    }

    ngx_shmtx_unlock(&stats->shpool->mutex);
}


ngx_int_t
ngx_b1c_stats_get_last(ngx_b1c_stats_t *stats, ngx_uint_t failed,
    ngx_b1c_last_t *last)
{
    ngx_shmtx_lock(&stats->shpool->mutex);
    *last = stats->sh->last[failed ? 1 : 0];
    ngx_shmtx_unlock(&stats->shpool->mutex);

    return last->time ? NGX_OK : NGX_DECLINED;
}


ngx_uint_t
ngx_b1c_stats_tick(ngx_b1c_stats_t *stats)
{
    ngx_atomic_uint_t  now, asked;
    ngx_b1c_minute_t  *m;

    m = ngx_b1c_stats_now(stats);

    now = m->minute;
    asked = stats->sh->asked;

    return m->waiting == 0 && asked != now
           && ngx_atomic_cmp_set(&stats->sh->asked, asked, now);
}


void
ngx_b1c_stats_waiting(ngx_b1c_stats_t *stats, ngx_uint_t waiting)
{
    ngx_b1c_stats_now(stats)->waiting = waiting + 1;
}


void
ngx_b1c_stats_depth(ngx_b1c_stats_t *stats, ngx_b1c_depth_t *depth)
{
    ngx_shmtx_lock(&stats->shpool->mutex);

    stats->sh->depth = *depth;
    stats->sh->sampled = ngx_current_msec;

    ngx_shmtx_unlock(&stats->shpool->mutex);
}


ngx_int_t
ngx_b1c_stats_get_depth(ngx_b1c_stats_t *stats, ngx_b1c_depth_t *depth,
    ngx_msec_t *age)
{
    ngx_msec_int_t  passed;

    ngx_shmtx_lock(&stats->shpool->mutex);

    *depth = stats->sh->depth;
    passed = (ngx_msec_int_t) (ngx_current_msec - stats->sh->sampled);

    ngx_shmtx_unlock(&stats->shpool->mutex);

    /* another worker's clock of this loop iteration may be a little ahead */

    *age = ngx_max(passed, 0);

    return depth->known ? NGX_OK : NGX_DECLINED;
}


ngx_uint_t
ngx_b1c_stats_failed(ngx_b1c_stats_t *stats)
{
    ngx_atomic_uint_t  now, told;

    now = ngx_time();
    told = stats->sh->told;

    if (stats->sh->failures) {
        (void) ngx_atomic_fetch_add(&stats->sh->failures, 1);
        return 0;
    }

    /* a single failure among successes is logged from time to time */

    if (told && now - told < NGX_B1C_QUIET) {
        return 0;
    }

    if (!ngx_atomic_cmp_set(&stats->sh->failures, 0, 1)) {
        (void) ngx_atomic_fetch_add(&stats->sh->failures, 1);
        return 0;
    }

    stats->sh->told = now;

    return 1;
}


ngx_uint_t
ngx_b1c_stats_worked(ngx_b1c_stats_t *stats)
{
    ngx_atomic_uint_t  n;

    n = stats->sh->failures;

    if (n == 0 || !ngx_atomic_cmp_set(&stats->sh->failures, n, 0)) {
        return 0;
    }

    return n;
}


ngx_uint_t
ngx_b1c_stats_level(ngx_b1c_stats_t *stats, ngx_b1c_saying_e saying,
    ngx_uint_t level)
{
    ngx_atomic_uint_t  now, said;

    now = ngx_time();
    said = stats->sh->said[saying];

    if (said && now - said < NGX_B1C_QUIET) {
        return NGX_LOG_INFO;
    }

    return ngx_atomic_cmp_set(&stats->sh->said[saying], said, now)
           ? level : NGX_LOG_INFO;
}


ngx_str_t *
ngx_b1c_stats_name(ngx_b1c_counter_e counter)
{
    return &ngx_b1c_stats_names[counter];
}


ngx_uint_t
ngx_b1c_stats_get(ngx_b1c_stats_t *stats, ngx_b1c_counter_e counter)
{
    return stats->sh->n[counter];
}


ngx_b1c_histogram_t *
ngx_b1c_stats_get_time(ngx_b1c_stats_t *stats, ngx_b1c_time_e time)
{
    return &stats->sh->times[time];
}


ngx_msec_t
ngx_b1c_stats_bound(ngx_uint_t bucket)
{
    return ngx_b1c_stats_bounds[bucket];
}


ngx_b1c_minute_t *
ngx_b1c_stats_minute(ngx_b1c_stats_t *stats, ngx_uint_t minute)
{
    ngx_b1c_minute_t  *m;

    m = &stats->sh->ring[minute % NGX_B1C_RING];

    return m->minute == minute ? m : NULL;
}

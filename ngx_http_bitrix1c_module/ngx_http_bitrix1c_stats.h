
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_STATS_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_STATS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * What the workers of this nginx have counted for one queue since it was
 * started: counters, times, the last hour by the minute, the last delivery.
 * They survive a reload and the death of a worker.
 */


/* in the order of their names in _stats.c */
typedef enum {
    NGX_HTTP_BITRIX1C_N_ACCEPTED = 0,
    NGX_HTTP_BITRIX1C_N_COALESCED,
    NGX_HTTP_BITRIX1C_N_DUPLICATE,
    NGX_HTTP_BITRIX1C_N_SPOOLED,
    NGX_HTTP_BITRIX1C_N_IGNORED,
    NGX_HTTP_BITRIX1C_N_MALFORMED,
    NGX_HTTP_BITRIX1C_N_FORBIDDEN,
    NGX_HTTP_BITRIX1C_N_REFUSED,             /* 405, 413, 415 */
    NGX_HTTP_BITRIX1C_N_UNAVAILABLE,
    /* of deliveries */
    NGX_HTTP_BITRIX1C_N_DELIVERED,
    NGX_HTTP_BITRIX1C_N_RETRIED,
    NGX_HTTP_BITRIX1C_N_DEAD,
    NGX_HTTP_BITRIX1C_N_LOST,                /* their lease was */
    /* of dead letters and the spool */
    NGX_HTTP_BITRIX1C_N_REPLAYED,
    NGX_HTTP_BITRIX1C_N_DELETED,
    NGX_HTTP_BITRIX1C_N_DROPPED_DEAD,
    NGX_HTTP_BITRIX1C_N_SPOOL_REPLAYED,
    NGX_HTTP_BITRIX1C_N_SPOOL_TORN,

    NGX_HTTP_BITRIX1C_COUNTERS
} ngx_http_bitrix1c_counter_e;


typedef enum {
    NGX_HTTP_BITRIX1C_T_ANSWER = 0,          /* request to answer */
    NGX_HTTP_BITRIX1C_T_DELIVERY,            /* 1C's own */
    NGX_HTTP_BITRIX1C_T_EVENT,               /* receipt to 1C's success */

    NGX_HTTP_BITRIX1C_TIMES
} ngx_http_bitrix1c_time_e;


/* one more for what is beyond the last bound */
#define NGX_HTTP_BITRIX1C_BUCKETS  20

typedef struct {
    ngx_atomic_t                 n[NGX_HTTP_BITRIX1C_BUCKETS + 1];
    ngx_atomic_t                 sum;        /* ms */
} ngx_http_bitrix1c_histogram_t;


/* of the last hour */
#define NGX_HTTP_BITRIX1C_MINUTES  60

typedef enum {
    NGX_HTTP_BITRIX1C_M_ACCEPTED = 0,
    NGX_HTTP_BITRIX1C_M_DELIVERED,
    NGX_HTTP_BITRIX1C_M_FAILED,
    NGX_HTTP_BITRIX1C_M_DEAD,

    NGX_HTTP_BITRIX1C_MINUTE_COUNTERS
} ngx_http_bitrix1c_minute_e;


typedef struct {
    ngx_atomic_t                 minute;     /* of the epoch */
    ngx_atomic_t                 n[NGX_HTTP_BITRIX1C_MINUTE_COUNTERS];
    ngx_atomic_t                 waiting;    /* one more; 0 is unknown */
} ngx_http_bitrix1c_minute_t;


#define NGX_HTTP_BITRIX1C_LAST_EVENT   128
#define NGX_HTTP_BITRIX1C_LAST_REASON  512

/* a delivery that has ended; kept in one piece */
typedef struct {
    int64_t                      time;       /* ms, 0: there was none */
    ngx_uint_t                   status;     /* 0: no answer came */
    ngx_uint_t                   result;     /* ngx_http_bitrix1c_result_e */
    ngx_msec_t                   took;
    size_t                       event_len;
    size_t                       reason_len;
    u_char                       id[32];
    u_char                       event[NGX_HTTP_BITRIX1C_LAST_EVENT];
    u_char                       reason[NGX_HTTP_BITRIX1C_LAST_REASON];
} ngx_http_bitrix1c_last_t;


/* what Redis holds of a queue, see status.lua */
typedef struct {
    ngx_uint_t                   known;
    int64_t                      living;     /* followers not counted */
    int64_t                      due;
    int64_t                      followers;
    int64_t                      dead;
    int64_t                      age;        /* ms */
    int64_t                      held;
} ngx_http_bitrix1c_depth_t;


/* lines of the error log that an outage would write for each event */
typedef enum {
    NGX_HTTP_BITRIX1C_SAY_DEAD = 0,
    NGX_HTTP_BITRIX1C_SAY_LOST,
    NGX_HTTP_BITRIX1C_SAY_LATE,
    NGX_HTTP_BITRIX1C_SAY_REFUSED,
    NGX_HTTP_BITRIX1C_SAY_UNAVAILABLE,

    NGX_HTTP_BITRIX1C_SAYINGS
} ngx_http_bitrix1c_saying_e;

/* between two lines of a kind, s */
#define NGX_HTTP_BITRIX1C_QUIET    60


typedef struct ngx_http_bitrix1c_stats_s  ngx_http_bitrix1c_stats_t;


/* adds the zone; its data must be a ngx_http_bitrix1c_stats_t ** to set */
ngx_int_t ngx_http_bitrix1c_stats_zone(ngx_conf_t *cf, ngx_str_t *queue,
    ngx_http_bitrix1c_stats_t **stats);

void ngx_http_bitrix1c_stats_count(ngx_http_bitrix1c_stats_t *stats,
    ngx_http_bitrix1c_counter_e counter, ngx_uint_t n);
void ngx_http_bitrix1c_stats_time(ngx_http_bitrix1c_stats_t *stats,
    ngx_http_bitrix1c_time_e time, ngx_msec_t ms);

/*
 * The last delivery, and the last failure if "failed".  Whoever reads gets one
 * whole; NGX_DECLINED: there was none.
 */
void ngx_http_bitrix1c_stats_last(ngx_http_bitrix1c_stats_t *stats,
    ngx_http_bitrix1c_last_t *last, ngx_uint_t failed);
ngx_int_t ngx_http_bitrix1c_stats_get_last(ngx_http_bitrix1c_stats_t *stats,
    ngx_uint_t failed, ngx_http_bitrix1c_last_t *last);

/*
 * This minute was one in which nginx ran.  1: nobody knows yet how many events
 * wait, and the caller is the one to find out.
 */
ngx_uint_t ngx_http_bitrix1c_stats_tick(ngx_http_bitrix1c_stats_t *stats);
void ngx_http_bitrix1c_stats_waiting(ngx_http_bitrix1c_stats_t *stats,
    ngx_uint_t waiting);

/*
 * What Redis held when one of the workers asked last, which is *age ms ago;
 * NGX_DECLINED: that is not known.
 */
void ngx_http_bitrix1c_stats_depth(ngx_http_bitrix1c_stats_t *stats,
    ngx_http_bitrix1c_depth_t *depth);
ngx_int_t ngx_http_bitrix1c_stats_get_depth(ngx_http_bitrix1c_stats_t *stats,
    ngx_http_bitrix1c_depth_t *depth, ngx_msec_t *age);

/*
 * A series of failures: 1 when it begins, and is to be told; then how many
 * they were when it ends, 0 if there was none to speak of.
 */
ngx_uint_t ngx_http_bitrix1c_stats_failed(ngx_http_bitrix1c_stats_t *stats);
ngx_uint_t ngx_http_bitrix1c_stats_worked(ngx_http_bitrix1c_stats_t *stats);

/*
 * The level at which a line is to be logged: as it is once in QUIET seconds,
 * INFO for the others.
 */
ngx_uint_t ngx_http_bitrix1c_stats_level(ngx_http_bitrix1c_stats_t *stats,
    ngx_http_bitrix1c_saying_e saying, ngx_uint_t level);

/* for those who show it */

ngx_str_t *ngx_http_bitrix1c_stats_name(ngx_http_bitrix1c_counter_e counter);
ngx_uint_t ngx_http_bitrix1c_stats_get(ngx_http_bitrix1c_stats_t *stats,
    ngx_http_bitrix1c_counter_e counter);
ngx_http_bitrix1c_histogram_t *ngx_http_bitrix1c_stats_get_time(
    ngx_http_bitrix1c_stats_t *stats, ngx_http_bitrix1c_time_e time);

/* ms, of the buckets but the last */
ngx_msec_t ngx_http_bitrix1c_stats_bound(ngx_uint_t bucket);

/* NULL: nginx did not run in that minute, or it is not of the last hour */
ngx_http_bitrix1c_minute_t *ngx_http_bitrix1c_stats_minute(
    ngx_http_bitrix1c_stats_t *stats, ngx_uint_t minute);


#endif /* _NGX_HTTP_BITRIX1C_STATS_H_INCLUDED_ */

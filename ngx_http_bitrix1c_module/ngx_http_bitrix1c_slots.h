
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_SLOTS_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_SLOTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * What the workers of this nginx share about one queue: how many deliveries
 * each has under way, how fast they may go, whether 1C is given a rest, and
 * whether Redis holds events that could go now.
 */


/* as configured; times in ms */
typedef struct {
    ngx_uint_t                   concurrency;
    ngx_uint_t                   rate;       /* in 1000 s, 0: no limit */
    ngx_uint_t                   failures;   /* that open, 0: no breaker */
    ngx_msec_t                   pause;      /* while it is open */
    ngx_uint_t                   hold;       /* NGX_HTTP_BITRIX1C_HOLD_... */
    ngx_uint_t                   from;       /* minutes of the local day */
    ngx_uint_t                   to;
} ngx_http_bitrix1c_pace_t;


#define NGX_HTTP_BITRIX1C_HOLD_OFF    0
#define NGX_HTTP_BITRIX1C_HOLD_ON     1
#define NGX_HTTP_BITRIX1C_HOLD_DAILY  2


/* what may go */
typedef struct {
    ngx_uint_t                   n;          /* slots taken */
    ngx_msec_t                   wait;       /* 0: until a slot is given */
    ngx_uint_t                   probe;      /* the one of an open breaker */
} ngx_http_bitrix1c_grant_t;


/* what a delivery says of 1C */
typedef enum {
    NGX_HTTP_BITRIX1C_UNKNOWN = 0,           /* 1C was not asked */
    NGX_HTTP_BITRIX1C_WELL,
    NGX_HTTP_BITRIX1C_ILL,                   /* opens after some of them */
    NGX_HTTP_BITRIX1C_WRONG,                 /* opens at once */
    NGX_HTTP_BITRIX1C_CLOSED                 /* 1C's maintenance, likewise */
} ngx_http_bitrix1c_health_e;


/* what became of the breaker by it */
typedef enum {
    NGX_HTTP_BITRIX1C_SAME = 0,
    NGX_HTTP_BITRIX1C_OPENED,
    NGX_HTTP_BITRIX1C_STILL,                 /* it was open before */
    NGX_HTTP_BITRIX1C_RECOVERED
} ngx_http_bitrix1c_breaker_e;


typedef struct {
    ngx_uint_t                   taken;      /* slots, of all workers */
    ngx_uint_t                   open;       /* the breaker is */
    ngx_uint_t                   probing;    /* and one delivery tries */
    ngx_msec_t                   left;       /* until the next probe */
    ngx_uint_t                   failed;     /* in a row */
    ngx_uint_t                   operator;   /* holds it */
    ngx_uint_t                   held;       /* by whomever */
} ngx_http_bitrix1c_slots_info_t;


typedef struct ngx_http_bitrix1c_slots_s  ngx_http_bitrix1c_slots_t;


/* adds their zone */
ngx_int_t ngx_http_bitrix1c_slots_zone(ngx_conf_t *cf, ngx_str_t *queue,
    ngx_http_bitrix1c_slots_t **slots);

/* takes up to n slots */
void ngx_http_bitrix1c_slots_take(ngx_http_bitrix1c_slots_t *slots,
    ngx_http_bitrix1c_pace_t *pace, ngx_uint_t n,
    ngx_http_bitrix1c_grant_t *grant);

/* n deliveries have ended */
void ngx_http_bitrix1c_slots_give(ngx_http_bitrix1c_slots_t *slots,
    ngx_uint_t n);

/* n of the slots that were taken found nothing to deliver */
void ngx_http_bitrix1c_slots_unused(ngx_http_bitrix1c_slots_t *slots,
    ngx_http_bitrix1c_pace_t *pace, ngx_uint_t n, ngx_uint_t probe);

/*
 * Told of every delivery's end.  For CLOSED the rest lasts for pause ms, else
 * as long as configured.
 */
ngx_http_bitrix1c_breaker_e ngx_http_bitrix1c_slots_health(
    ngx_http_bitrix1c_slots_t *slots, ngx_http_bitrix1c_pace_t *pace,
    ngx_http_bitrix1c_health_e health, ngx_msec_t pause);

/* slots of workers that died are free again; to be called now and then */
void ngx_http_bitrix1c_slots_reap(ngx_http_bitrix1c_slots_t *slots);

/*
 * The backlog: whether events wait in Redis for a slot.  Marked by whoever
 * leaves one there; a claim that found fewer than it asked for clears what was
 * marked before it was sent, and nothing that was marked since.
 */
void ngx_http_bitrix1c_slots_mark(ngx_http_bitrix1c_slots_t *slots);
ngx_uint_t ngx_http_bitrix1c_slots_marked(ngx_http_bitrix1c_slots_t *slots);
ngx_atomic_uint_t ngx_http_bitrix1c_slots_snap(
    ngx_http_bitrix1c_slots_t *slots);
void ngx_http_bitrix1c_slots_clear(ngx_http_bitrix1c_slots_t *slots,
    ngx_atomic_uint_t snap);

/*
 * Whether the operator holds the queue, as Redis says; 1: that is new here.
 * It stops no claim: those find out when it is resumed.
 */
ngx_uint_t ngx_http_bitrix1c_slots_hold(ngx_http_bitrix1c_slots_t *slots,
    ngx_uint_t held);
ngx_uint_t ngx_http_bitrix1c_slots_on_hold(ngx_http_bitrix1c_slots_t *slots);

/* how it is at this moment, for those who show it */
void ngx_http_bitrix1c_slots_info(ngx_http_bitrix1c_slots_t *slots,
    ngx_http_bitrix1c_pace_t *pace, ngx_http_bitrix1c_slots_info_t *info);

/*
 * One worker at a time looks into an idle queue: 1 if nobody has done so for
 * the interval (ms), and the caller is the one; else 0 and in *wait the ms
 * that are left.
 */
ngx_uint_t ngx_http_bitrix1c_slots_poll(ngx_http_bitrix1c_slots_t *slots,
    ngx_msec_t interval, ngx_msec_t *wait);


#endif /* _NGX_HTTP_BITRIX1C_SLOTS_H_INCLUDED_ */

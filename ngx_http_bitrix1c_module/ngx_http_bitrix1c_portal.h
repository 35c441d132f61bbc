
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_PORTAL_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_PORTAL_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * What the workers of this nginx share about one portal: how full its bucket
 * is, as far as is known here, and what it has refused.  Bitrix counts requests
 * by portal and source address: apidocs.bitrix24.com,
 * settings/performance/limits.
 */


typedef struct ngx_http_bitrix1c_portal_sh_s  ngx_http_bitrix1c_portal_sh_t;
typedef struct ngx_http_bitrix1c_pacer_s      ngx_http_bitrix1c_pacer_t;


struct ngx_http_bitrix1c_portal_s {
    ngx_http_bitrix1c_queue_t        *queue;
    ngx_str_t                         name;
    ngx_str_t                         key;       /* {b1c:queue}:p:name */
    ngx_uint_t                        rate;      /* calls in 1000 s */
    ngx_uint_t                        burst;
    ngx_msec_t                        overload;

    ngx_http_bitrix1c_portal_sh_t    *sh;
    ngx_slab_pool_t                  *shpool;
    ngx_http_bitrix1c_pacer_t        *pacer;     /* of this worker */
};


/* finds the portal of a queue, or adds it with its zone; NULL: no memory */
ngx_http_bitrix1c_portal_t *ngx_http_bitrix1c_portal_add(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf, ngx_http_bitrix1c_queue_t *queue,
    ngx_str_t *name);

/* us in which one call leaks out of the bucket */
uint64_t ngx_http_bitrix1c_portal_period(ngx_http_bitrix1c_portal_t *portal);

/* takes a turn if so few calls are in the bucket that nobody need be asked */
ngx_uint_t ngx_http_bitrix1c_portal_spend(ngx_http_bitrix1c_portal_t *portal);

/*
 * Reserves a turn by what is known here.  NGX_OK, or NGX_DECLINED if it would
 * not come within max ms; ms until it comes in *wait either way.
 */
ngx_int_t ngx_http_bitrix1c_portal_reserve(ngx_http_bitrix1c_portal_t *portal,
    ngx_msec_t max, ngx_msec_t *wait);

/* the bucket needs at least so many us to be empty */
void ngx_http_bitrix1c_portal_fill(ngx_http_bitrix1c_portal_t *portal,
    uint64_t left);

/* no call for so many ms; 1 if that is news.  And how many are left, 0: none */
ngx_uint_t ngx_http_bitrix1c_portal_stop(ngx_http_bitrix1c_portal_t *portal,
    ngx_msec_t ms);
ngx_msec_t ngx_http_bitrix1c_portal_stopped(
    ngx_http_bitrix1c_portal_t *portal);

/*
 * The same for one method, its name in any case.  The longer time counts,
 * unless the new one is what all nodes agree on.
 */
ngx_uint_t ngx_http_bitrix1c_portal_block(ngx_http_bitrix1c_portal_t *portal,
    ngx_str_t *method, ngx_msec_t ms, ngx_uint_t agreed);
ngx_msec_t ngx_http_bitrix1c_portal_blocked(
    ngx_http_bitrix1c_portal_t *portal, ngx_str_t *method);

/*
 * When the time that a method has used up falls again, Unix time: told by its
 * successful answers only, and asked for when it is refused.  0: unknown.
 */
void ngx_http_bitrix1c_portal_reset(ngx_http_bitrix1c_portal_t *portal,
    ngx_str_t *method, time_t reset_at);
time_t ngx_http_bitrix1c_portal_resets(ngx_http_bitrix1c_portal_t *portal,
    ngx_str_t *method);

/* 1 for the first one who has this to tell, since this nginx was started */
ngx_uint_t ngx_http_bitrix1c_portal_news(ngx_http_bitrix1c_portal_t *portal,
    ngx_str_t *text);

/* the same, as long as there was none for a minute */
ngx_uint_t ngx_http_bitrix1c_portal_limited(
    ngx_http_bitrix1c_portal_t *portal);

/* whether the pace is kept without Redis; 1 if it was not so before */
ngx_uint_t ngx_http_bitrix1c_portal_alone(ngx_http_bitrix1c_portal_t *portal,
    ngx_uint_t alone);


#endif /* _NGX_HTTP_BITRIX1C_PORTAL_H_INCLUDED_ */

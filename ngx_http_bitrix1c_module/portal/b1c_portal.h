
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_PORTAL_H_INCLUDED_
#define _B1C_PORTAL_H_INCLUDED_


#include "b1c_base.h"
#include "b1c_bitrix.h"
#include "b1c_redis.h"


/*
 * What the workers of this nginx share about one portal: the level of its
 * bucket, as far as it is known here, and what it has refused.  Bitrix counts
 * requests by portal and source address: apidocs.bitrix24.com,
 * settings/performance/limits.
 */


typedef struct ngx_b1c_portal_sh_s  ngx_b1c_portal_sh_t;
typedef struct ngx_b1c_portal_rate_s      ngx_b1c_portal_rate_t;


struct ngx_b1c_portal_s {
    ngx_b1c_queue_t                  *queue;
    ngx_str_t                         name;
    ngx_str_t                         key;       /* {b1c:queue}:p:name */
    ngx_uint_t                        rate;      /* calls in 1000 s */
    ngx_uint_t                        burst;
    ngx_msec_t                        overload;

    ngx_b1c_portal_sh_t              *sh;
    ngx_slab_pool_t                  *shpool;
    ngx_b1c_portal_rate_t            *pacer;     /* of this worker */
};


/* finds the portal of a queue or adds it with its zone; NULL: no memory */
ngx_b1c_portal_t *ngx_b1c_portal_add(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf,
    ngx_b1c_queue_t *queue, ngx_str_t *name);

/* us in which one call leaks out of the bucket */
uint64_t ngx_b1c_portal_period(ngx_b1c_portal_t *portal);

/* takes a permit without Redis if the bucket is nearly empty */
ngx_uint_t ngx_b1c_portal_spend(ngx_b1c_portal_t *portal);

/*
 * Reserves a permit by the knowledge of this nginx.  NGX_OK, or NGX_DECLINED
 * if it would take more than max ms; the ms until the permit are in *wait in
 * both cases.
 */
ngx_int_t ngx_b1c_portal_reserve(ngx_b1c_portal_t *portal, ngx_msec_t max,
    ngx_msec_t *wait);

/* the bucket needs at least this many us to become empty */
void ngx_b1c_portal_fill(ngx_b1c_portal_t *portal, uint64_t left);

/*
 * stops calls for ms; 1 if this is new here.  And the ms left, 0: none
 */
ngx_uint_t ngx_b1c_portal_stop(ngx_b1c_portal_t *portal, ngx_msec_t ms);
ngx_msec_t ngx_b1c_portal_stopped(ngx_b1c_portal_t *portal);

/*
 * The same for one method, its name in any case.  The longer time wins, unless
 * the new one comes from all nodes through Redis.
 */
ngx_uint_t ngx_b1c_portal_block(ngx_b1c_portal_t *portal, ngx_str_t *method,
    ngx_msec_t ms, ngx_uint_t agreed);
ngx_msec_t ngx_b1c_portal_blocked(ngx_b1c_portal_t *portal, ngx_str_t *method);

/*
 * When the execution time of a method is reset, Unix time: only successful
 * answers report it, and it is needed when the method is refused. 0: unknown.
 */
void ngx_b1c_portal_reset(ngx_b1c_portal_t *portal, ngx_str_t *method,
    time_t reset_at);
time_t ngx_b1c_portal_resets(ngx_b1c_portal_t *portal, ngx_str_t *method);

/*
 * Stops kept calls of a method for ms, because the webhook may not call it; 1
 * if this is new here; 0 ms: it may again.  And the ms left, 0: none.
 */
ngx_uint_t ngx_b1c_portal_deny(ngx_b1c_portal_t *portal, ngx_str_t *method,
    ngx_msec_t ms);
ngx_msec_t ngx_b1c_portal_denied(ngx_b1c_portal_t *portal, ngx_str_t *method);

/* how long a call of a method takes, ms; remembered, and read with a default */
void ngx_b1c_portal_took(ngx_b1c_portal_t *portal, ngx_str_t *method,
    ngx_msec_t ms);
ngx_msec_t ngx_b1c_portal_takes(ngx_b1c_portal_t *portal, ngx_str_t *method,
    ngx_msec_t unknown);

/* 1 for the first caller with this warning since the start of nginx */
ngx_uint_t ngx_b1c_portal_news(ngx_b1c_portal_t *portal, ngx_str_t *text);

/* 1 if there was none in the last minute */
ngx_uint_t ngx_b1c_portal_limited(ngx_b1c_portal_t *portal);

/* sets whether the rate is limited without Redis; 1 if this is a change */
ngx_uint_t ngx_b1c_portal_alone(ngx_b1c_portal_t *portal, ngx_uint_t alone);


typedef struct ngx_b1c_permit_s  ngx_b1c_permit_t;

/*
 * A call that waits for a permit of a portal.  The owner sets the first four
 * fields; the memory must stay until the permit was given, refused or
 * cancelled.
 */
struct ngx_b1c_permit_s {
    ngx_b1c_portal_t             *portal;
    ngx_msec_t                    max;        /* maximum wait, ms */
    void                        (*handler)(ngx_b1c_permit_t *permit,
                                           ngx_int_t rc);
    void                         *data;

    ngx_queue_t                   link;
    ngx_msec_t                    asked;
    ngx_msec_t                    at;         /* when it is given */
    ngx_msec_t                    wait;       /* ms, if refused */
    unsigned                      queued:1;
    unsigned                      sent:1;     /* requested from Redis */
};


/* in init_process after, and in exit_process before the queues */
ngx_int_t ngx_b1c_portal_rate_start(ngx_b1c_portal_t *portal, ngx_log_t *log);
void ngx_b1c_portal_rate_stop(ngx_b1c_portal_t *portal);

/*
 * NGX_OK: send the call.  NGX_AGAIN: the handler will be called, with NGX_OK,
 * or with NGX_BUSY if there is no permit in time; never from within this
 * function.
 */
ngx_int_t ngx_b1c_portal_rate_take(ngx_b1c_permit_t *permit);

/* the caller has gone: the permits behind it move up */
void ngx_b1c_portal_rate_leave(ngx_b1c_permit_t *permit);

/*
 * What the portal refuses, for this and the other nodes: the bucket is full;
 * all calls are stopped for ms; one method is stopped, by a guess or by the
 * portal's own time. 1 if this is new here.
 */
void ngx_b1c_portal_rate_exhausted(ngx_b1c_portal_t *portal);
ngx_uint_t ngx_b1c_portal_rate_close(ngx_b1c_portal_t *portal, ngx_msec_t ms);
ngx_uint_t ngx_b1c_portal_rate_block(ngx_b1c_portal_t *portal,
    ngx_str_t *method, ngx_msec_t ms, ngx_uint_t guess);


/*
 * Applies the portal's answer to a call of this method: stops the bucket, the
 * method or the portal here and on the other nodes, and logs it once.  Returns
 * the ms after which such a call may be tried again, 0: at once.
 */
ngx_msec_t ngx_b1c_portal_feedback_learn(ngx_b1c_portal_t *portal,
    ngx_str_t *method, b1c_answer_t *answer, ngx_log_t *log);


#endif /* _B1C_PORTAL_H_INCLUDED_ */

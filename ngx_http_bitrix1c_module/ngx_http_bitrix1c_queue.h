
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_QUEUE_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_QUEUE_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * A lease is short, so that what a killed worker held is soon delivered by
 * another, and renewed while a delivery runs, so that it need not fit 1C.
 */
#define NGX_HTTP_BITRIX1C_LEASE    15000
#define NGX_HTTP_BITRIX1C_EXTEND   5000

/*
 * A queue is looked into this often, ms, by one worker; an empty one less, for
 * what other nodes may leave there: its own events a nginx knows of.
 */
#define NGX_HTTP_BITRIX1C_POLL     1000
#define NGX_HTTP_BITRIX1C_IDLE     2000

/* ms that calls to Bitrix wait for others to share a request with */
#define NGX_HTTP_BITRIX1C_GATHER   50

/* jobs a script call; Lua's unpack() and one reply's time set the bound */
#define NGX_HTTP_BITRIX1C_BATCH    64

/* requests that may wait for Redis to come back, each holds its body */
#define NGX_HTTP_BITRIX1C_PARKED   4096


typedef struct ngx_http_bitrix1c_keep_s  ngx_http_bitrix1c_keep_t;


/* what a worker knows of a queue */
struct ngx_http_bitrix1c_worker_s {
    ngx_http_bitrix1c_queue_t       *queue;
    ngx_http_bitrix1c_redis_t       *redis;
    ngx_http_bitrix1c_keep_t        *keep;       /* NULL: no spool */
    ngx_log_t                       *log;

    ngx_queue_t                      accepts;    /* jobs to be stored */
    ngx_queue_t                      settles;    /* jobs with a verdict */
    ngx_queue_t                      flying;     /* jobs being delivered */
    ngx_queue_t                      waited;     /* jobs waiting in Redis */
    ngx_uint_t                       naccepts;

    ngx_event_t                      flush;
    ngx_event_t                      poll;
    ngx_event_t                      extend;
    ngx_event_t                      give_up;
    ngx_connection_t                 dummy;      /* ident of the timers */

    ngx_msec_t                       due;        /* next claim, 0 unknown */
    ngx_str_t                        lease;      /* ms as text */
    ngx_str_t                        window;
    ngx_str_t                        dead_max;
    ngx_str_t                        dead_age;   /* ms */

    unsigned                         empty:1;    /* as of the last claim */
    unsigned                         claiming:1;
    unsigned                         claim:1;    /* at the next flush */
    unsigned                         stopped:1;
};


/* in init_process and exit_process of a worker */
ngx_int_t ngx_http_bitrix1c_queue_start(ngx_http_bitrix1c_queue_t *queue,
    ngx_log_t *log);
void ngx_http_bitrix1c_queue_stop(ngx_http_bitrix1c_queue_t *queue);

/*
 * The worker has to leave before its deliveries have ended: they are broken
 * off and go back to Redis at once, for another worker.
 */
void ngx_http_bitrix1c_queue_give_back(ngx_http_bitrix1c_queue_t *queue);

/*
 * Takes the job over with the caller's hold on it.  job->answer is called when
 * job->result is known: ACCEPTED (job->slot tells that its delivery starts at
 * once), COALESCED, DUPLICATE, SPOOLED or UNAVAILABLE; and once more when a
 * delivery of this job has ended.  Never from within this function.
 */
void ngx_http_bitrix1c_queue_accept(ngx_http_bitrix1c_job_t *job);


/*
 * A job whose event waits in Redis for a slot and whose sender waits for 1C:
 * if this worker claims the event, it is this job that is delivered.
 */
void ngx_http_bitrix1c_queue_wait(ngx_http_bitrix1c_job_t *job);
void ngx_http_bitrix1c_queue_forget(ngx_http_bitrix1c_job_t *job);


/* between queue, batch and keep */

ngx_http_bitrix1c_job_t *ngx_http_bitrix1c_queue_waited(
    ngx_http_bitrix1c_worker_t *w, ngx_str_t *id);

void ngx_http_bitrix1c_queue_flush(ngx_http_bitrix1c_worker_t *w);

/* an event that waits in the worker's data */
void ngx_http_bitrix1c_queue_timer(ngx_http_bitrix1c_worker_t *w,
    ngx_event_t *ev, ngx_event_handler_pt handler, ngx_uint_t cancelable);

/* back to the head of those that are to be stored */
void ngx_http_bitrix1c_queue_again(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t *job);

/* the sender is told, the list's hold on the job ends */
void ngx_http_bitrix1c_queue_answer(ngx_http_bitrix1c_job_t *job,
    ngx_http_bitrix1c_result_e result);

void ngx_http_bitrix1c_queue_fly(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t *job);
void ngx_http_bitrix1c_queue_done(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t *job);
void ngx_http_bitrix1c_queue_deliver(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t *job);
void ngx_http_bitrix1c_queue_lost(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t *job);
void ngx_http_bitrix1c_queue_due(ngx_http_bitrix1c_worker_t *w,
    ngx_msec_t delay);


#endif /* _NGX_HTTP_BITRIX1C_QUEUE_H_INCLUDED_ */

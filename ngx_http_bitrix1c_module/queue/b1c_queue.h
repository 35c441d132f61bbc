
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_QUEUE_H_INCLUDED_
#define _B1C_QUEUE_H_INCLUDED_


#include "b1c_base.h"
#include "b1c_http.h"
#include "b1c_job.h"
#include "b1c_redis.h"
#include "b1c_spool.h"


/*
 * A lease is short, so that what a killed worker held is soon delivered by
 * another, and renewed while a delivery runs, so that it need not fit 1C.
 */
#define NGX_B1C_LEASE    15000
#define NGX_B1C_EXTEND   5000

/*
 * A queue is looked into this often, ms, by one worker; an empty one less, for
 * what other nodes may leave there: its own events a nginx knows of.
 */
#define NGX_B1C_POLL     1000
#define NGX_B1C_IDLE     2000

/* ms that calls to Bitrix wait for others to share a request with */
#define NGX_B1C_GATHER   50

/* jobs a script call; Lua's unpack() and one reply's time set the bound */
#define NGX_B1C_SCRIPT_JOBS    64

/* requests that may wait for Redis to come back, each holds its body */
#define NGX_B1C_PARKED   4096


typedef struct ngx_b1c_spill_s  ngx_b1c_spill_t;


/* what a worker knows of a queue */
struct ngx_b1c_worker_s {
    ngx_b1c_queue_t                 *queue;
    ngx_b1c_redis_t                 *redis;
    ngx_b1c_spill_t                 *spill;      /* NULL: no spool */
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

    struct {
        ngx_b1c_redis_greeting_t     greeting;
        ngx_str_t                    words[3];
        ngx_msec_t                   checked;    /* when */
    } layout;

    unsigned                         empty:1;    /* as of the last claim */
    unsigned                         claiming:1;
    unsigned                         claim:1;    /* at the next flush */
    unsigned                         stopped:1;
};


/* bitrix1c_queue name { ... } */
char *ngx_b1c_queue_conf_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* in init_process and exit_process of a worker */
ngx_int_t ngx_b1c_queue_start(ngx_b1c_queue_t *queue, ngx_log_t *log);
void ngx_b1c_queue_stop(ngx_b1c_queue_t *queue);

/*
 * The worker has to leave before its deliveries have ended: they are broken
 * off and go back to Redis at once, for another worker.
 */
void ngx_b1c_queue_give_back(ngx_b1c_queue_t *queue);

/*
 * Takes the job over with the caller's hold on it.  job->answer is called when
 * job->result is known: ACCEPTED (job->slot tells that its delivery starts at
 * once), COALESCED, DUPLICATE, SPOOLED or UNAVAILABLE; and once more when a
 * delivery of this job has ended.  Never from within this function.
 */
void ngx_b1c_queue_accept(ngx_b1c_job_t *job);


/*
 * A job whose event waits in Redis for a slot and whose sender waits for 1C:
 * if this worker claims the event, it is this job that is delivered.
 */
void ngx_b1c_queue_wait(ngx_b1c_job_t *job);
void ngx_b1c_queue_forget(ngx_b1c_job_t *job);


/* events may be due now that were not before */
void ngx_b1c_queue_wake(ngx_b1c_queue_t *queue);


/* for those who carry out the queue's operations, and inside this layer */

ngx_b1c_job_t *ngx_b1c_queue_waited(ngx_b1c_worker_t *w, ngx_str_t *id);

void ngx_b1c_queue_flush(ngx_b1c_worker_t *w);

/* an event that waits in the worker's data */
void ngx_b1c_queue_timer(ngx_b1c_worker_t *w, ngx_event_t *ev,
    ngx_event_handler_pt handler, ngx_uint_t cancelable);

/* back to the head of those that are to be stored */
void ngx_b1c_queue_again(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);

/* the sender is told, the list's hold on the job ends */
void ngx_b1c_queue_answer(ngx_b1c_job_t *job, ngx_b1c_result_e result);

void ngx_b1c_queue_fly(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);
void ngx_b1c_queue_done(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);
void ngx_b1c_queue_deliver(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);
void ngx_b1c_queue_lost(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);
void ngx_b1c_queue_due(ngx_b1c_worker_t *w, ngx_msec_t delay);


/* in init_process */
void ngx_b1c_depth_init(void);

/* NGX_DECLINED: Redis is away, the handler will not be called */
ngx_int_t ngx_b1c_depth_ask(ngx_b1c_queue_t *queue, ngx_b1c_reply_pt handler,
    void *data);

/*
 * A depth that somebody asked for within the last second; 0: there is none.
 * One that gets old is renewed by the way, so that who asks often never waits.
 */
ngx_uint_t ngx_b1c_depth_recent(ngx_b1c_queue_t *queue,
    ngx_b1c_depth_t *depth);

/* its reply; what it says of the queue is remembered, too */
void ngx_b1c_depth_read(ngx_b1c_queue_t *queue, ngx_b1c_reply_t *reply,
    ngx_b1c_depth_t *depth);

/*
 * Events that nobody delivers yet, followers included.  What other nginx of
 * the queue are delivering is among them: Redis does not count leases.
 */
ngx_uint_t ngx_b1c_depth_waiting(ngx_b1c_depth_t *depth, ngx_uint_t taken);

/* once a minute, by one of the workers: for the history */
void ngx_b1c_depth_sample(ngx_b1c_worker_t *w);


/*
 * A request that waits for what becomes of its job may end before the job does,
 * and the job before the request: ctx->job holds the job, until after the log
 * phase, and the job is told when the request goes.  The caller's hold on the
 * job passes to the request; after NGX_ERROR both are gone from each other and
 * the job is released.
 */
ngx_int_t ngx_b1c_park_add(ngx_http_request_t *r, ngx_b1c_ctx_t *ctx,
    ngx_b1c_job_t *job);

/* hands the job over to its queue; answer is called as queue.h says */
void ngx_b1c_park_accept(ngx_http_request_t *r, ngx_b1c_job_t *job,
    void (*answer)(ngx_b1c_job_t *job));

/* the request goes on by itself, before it is answered */
void ngx_b1c_park_remove(ngx_b1c_ctx_t *ctx);


/*
 * What is told to the counters and to the error log.  Of each kind of failure
 * the log has a line when it begins and one when it ends; single events are
 * there at level info.
 */


/*
 * What became of an event that was to be stored, or why a request was refused:
 * any result before DELIVERED; others are none of this.
 */
void ngx_b1c_report_taken(ngx_b1c_queue_t *queue, ngx_b1c_result_e result);

/*
 * A sender is answered.  Refusals are counted here, what was to be stored is
 * counted when Redis has answered, whether its sender is still there or not.
 */
void ngx_b1c_report_answer(ngx_http_request_t *r, ngx_b1c_result_e result);

/* an event that could not be stored is lost; log is the request's */
void ngx_b1c_report_unavailable(ngx_b1c_job_t *job, ngx_log_t *log);

/* a delivery has ended, or was broken off: job->result tells how */
void ngx_b1c_report_delivery(ngx_b1c_job_t *job);

/* the lease of a delivery had ended before it was settled */
void ngx_b1c_report_late(ngx_b1c_job_t *job);

/* whether the operator holds the queue, as told by Redis; 1 if that is new */
ngx_uint_t ngx_b1c_report_held(ngx_b1c_queue_t *queue, ngx_uint_t held,
    ngx_log_t *log);


#endif /* _B1C_QUEUE_H_INCLUDED_ */

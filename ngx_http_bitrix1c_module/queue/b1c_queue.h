
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
 * A lease is short, so that the events of a killed worker are soon delivered
 * by another.  It is extended during a delivery, so 1C may be slower than
 * that.
 */
#define NGX_B1C_LEASE    15000
#define NGX_B1C_EXTEND   5000

/*
 * ms between polls of a queue by one worker.  An empty queue is polled less
 * often, because only other nodes' events could be missed there: a nginx knows
 * its own.
 */
#define NGX_B1C_POLL     1000
#define NGX_B1C_IDLE     2000

/* ms that calls to Bitrix wait for others to share a request with */
#define NGX_B1C_GATHER   50

/* jobs per script call; limited by Lua's unpack() and the reply's time */
#define NGX_B1C_SCRIPT_JOBS    64

/* requests that may wait for Redis, each with its body */
#define NGX_B1C_PARKED   4096


typedef struct ngx_b1c_spill_s  ngx_b1c_spill_t;


/* state of a queue in one worker */
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

    struct {
        ngx_str_t                    words[3];   /* until Redis answers */
        ngx_msec_t                   checked;
    } expire;

    unsigned                         empty:1;    /* by the last claim */
    unsigned                         claiming:1;
    unsigned                         claim:1;    /* claim at the next flush */
    unsigned                         stopped:1;
};


/* bitrix1c_queue name { ... } */
char *ngx_b1c_queue_conf_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* in init_process and exit_process of a worker */
ngx_int_t ngx_b1c_queue_start(ngx_b1c_queue_t *queue, ngx_log_t *log);
void ngx_b1c_queue_stop(ngx_b1c_queue_t *queue);

/*
 * The worker must exit before its deliveries have ended: they are aborted and
 * returned to Redis at once for another worker.
 */
void ngx_b1c_queue_give_back(ngx_b1c_queue_t *queue);

/*
 * Takes over the job with the caller's reference. job->answer is called when
 * job->result is known: ACCEPTED (job->slot tells that its delivery starts at
 * once), COALESCED, DUPLICATE, SPOOLED or UNAVAILABLE; and again when a
 * delivery of this job has ended.  It is never called from within this
 * function.
 */
void ngx_b1c_queue_accept(ngx_b1c_job_t *job);


/*
 * For a job whose event waits in Redis for a slot and whose sender waits for
 * 1C: if this worker claims the event, this job is delivered.
 */
void ngx_b1c_queue_wait(ngx_b1c_job_t *job);
void ngx_b1c_queue_forget(ngx_b1c_job_t *job);


/* new events may be due now */
void ngx_b1c_queue_wake(ngx_b1c_queue_t *queue);


/* for implementations of the queue's operations, and inside this layer */

ngx_b1c_job_t *ngx_b1c_queue_waited(ngx_b1c_worker_t *w, ngx_str_t *id);

void ngx_b1c_queue_flush(ngx_b1c_worker_t *w);

/* the waiting job of an event, from the worker's data */
void ngx_b1c_queue_timer(ngx_b1c_worker_t *w, ngx_event_t *ev,
    ngx_event_handler_pt handler, ngx_uint_t cancelable);

/* puts it back to the head of the jobs to store */
void ngx_b1c_queue_again(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);

/* answers the sender and drops the list's reference to the job */
void ngx_b1c_queue_answer(ngx_b1c_job_t *job, ngx_b1c_result_e result);

void ngx_b1c_queue_fly(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);
void ngx_b1c_queue_done(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);
void ngx_b1c_queue_deliver(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);
void ngx_b1c_queue_lost(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);
void ngx_b1c_queue_due(ngx_b1c_worker_t *w, ngx_msec_t delay);


/* in init_process */
void ngx_b1c_depth_init(void);

/* NGX_DECLINED: Redis is not available, the handler will not be called */
ngx_int_t ngx_b1c_depth_ask(ngx_b1c_queue_t *queue, ngx_b1c_reply_pt handler,
    void *data);

/*
 * The depth that was read within the last second; 0: there is none.  An older
 * one is refreshed in passing, so that frequent callers never wait.
 */
ngx_uint_t ngx_b1c_depth_recent(ngx_b1c_queue_t *queue,
    ngx_b1c_depth_t *depth);

/* handles its reply; the hold of the queue in it is stored, too */
void ngx_b1c_depth_read(ngx_b1c_queue_t *queue, ngx_b1c_reply_t *reply,
    ngx_b1c_depth_t *depth);

/*
 * Events that this nginx is not delivering, including followers.  Events that
 * other nodes are delivering are counted, because Redis does not count leases.
 */
ngx_uint_t ngx_b1c_depth_waiting(ngx_b1c_depth_t *depth, ngx_uint_t taken);

/* called once a minute by one of the workers, for the history */
void ngx_b1c_depth_sample(ngx_b1c_worker_t *w);


/*
 * A request that waits for the result of its job may end before the job, and
 * the job before the request.  So ctx->job references the job until after the
 * log phase, and the job is notified when the request ends.  The caller's
 * reference to the job passes to the request; after NGX_ERROR they are
 * separated and the job is released.
 */
ngx_int_t ngx_b1c_park_add(ngx_http_request_t *r, ngx_b1c_ctx_t *ctx,
    ngx_b1c_job_t *job);

/* passes the job to its queue; answer is called as described above */
void ngx_b1c_park_accept(ngx_http_request_t *r, ngx_b1c_job_t *job,
    void (*answer)(ngx_b1c_job_t *job));

/* separates the request from the job before it is answered */
void ngx_b1c_park_remove(ngx_b1c_ctx_t *ctx);


/*
 * Counters and error log.  The log gets a line when failures of one kind begin
 * and one when they end; single events are logged at level info.
 */


/*
 * Counts the result of storing an event, or of a refused request: any result
 * before DELIVERED; others are ignored.
 */
void ngx_b1c_report_taken(ngx_b1c_queue_t *queue, ngx_b1c_result_e result);

/*
 * Counts the answer to a sender.  Refusals are counted here; stored events are
 * counted when Redis has answered, even if the sender has gone.
 */
void ngx_b1c_report_answer(ngx_http_request_t *r, ngx_b1c_result_e result);

/* logs that an event could not be stored; log is the request's */
void ngx_b1c_report_unavailable(ngx_b1c_job_t *job, ngx_log_t *log);

/* logs and counts the end or abort of a delivery, by job->result */
void ngx_b1c_report_delivery(ngx_b1c_job_t *job);

/* warns when all slots have been in use for long and no delivery has ended */
void ngx_b1c_report_stuck(ngx_b1c_worker_t *w);

/* logs that a lease ended before its delivery was settled */
void ngx_b1c_report_late(ngx_b1c_job_t *job);

/* stores and logs the operator's hold, as reported by Redis; 1: a change */
ngx_uint_t ngx_b1c_report_held(ngx_b1c_queue_t *queue, ngx_uint_t held,
    ngx_log_t *log);


#endif /* _B1C_QUEUE_H_INCLUDED_ */

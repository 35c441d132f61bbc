
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_QUEUE_INTERNAL_H_INCLUDED_
#define _B1C_QUEUE_INTERNAL_H_INCLUDED_


#include "b1c_base.h"
#include "b1c_queue.h"


/*
 * The scripts of redis/ as calls.  What one iteration of the event loop has
 * gathered goes in one call, since most of a script's cost is the call.
 * Each returns NGX_OK, or NGX_DECLINED when Redis is away, and then everything
 * is in its list as before.
 */

void ngx_b1c_script_init(void);

ngx_int_t ngx_b1c_accept_send(ngx_b1c_worker_t *w);
/*
 * Those at the head of the list, no lease wanted.  Not linked any more, they
 * are told of to ngx_b1c_drain_stored().
 */
ngx_int_t ngx_b1c_accept_drain(ngx_b1c_worker_t *w, ngx_queue_t *list);

ngx_int_t ngx_b1c_settle_send(ngx_b1c_worker_t *w);
ngx_int_t ngx_b1c_settle_extend(ngx_b1c_worker_t *w);
ngx_int_t ngx_b1c_claim_send(ngx_b1c_worker_t *w);

/* what a queue is unless another layer says so */
extern ngx_b1c_queue_ops_t  ngx_b1c_claim_events;


/* keys and arguments that stand before those of the jobs, at most */
#define NGX_B1C_SCRIPT_FIXED      8

/* one script call under way; owns the list of its words, not the words */
typedef struct {
    ngx_b1c_worker_t            *worker;
    ngx_uint_t                   n;
    ngx_uint_t                   argc;
    ngx_str_t                   *argv;
    ngx_b1c_job_t              **jobs;

    /* of a claim */
    ngx_uint_t                   asked;
    ngx_uint_t                   taken;
    ngx_uint_t                   probe;
    ngx_atomic_uint_t            snap;
    u_char                       number[NGX_INT_T_LEN];
} ngx_b1c_script_t;


enum {
    NGX_B1C_SCRIPT_ACCEPT = 0,
    NGX_B1C_SCRIPT_ACK,
    NGX_B1C_SCRIPT_CLAIM,
    NGX_B1C_SCRIPT_DEAD,
    NGX_B1C_SCRIPT_EXTEND,
    NGX_B1C_SCRIPT_NACK,
    NGX_B1C_SCRIPT_RESULT,
    NGX_B1C_SCRIPT_CLAIM_CALLS
};


extern ngx_str_t  ngx_b1c_zero;
extern ngx_str_t  ngx_b1c_one;


/* room for max jobs with so many words each; NULL is lack of memory */
ngx_b1c_script_t *ngx_b1c_script_create(ngx_b1c_worker_t *w, ngx_uint_t max,
    ngx_uint_t words);

void ngx_b1c_script_word(ngx_b1c_script_t *b, ngx_str_t *word);

/* the handler gets the batch and frees it; unless NGX_DECLINED */
ngx_int_t ngx_b1c_script_send(ngx_b1c_script_t *b, ngx_uint_t script,
    ngx_uint_t nkeys, ngx_b1c_reply_pt handler);

/* a reply that does not fit the call; logged unless it, or script, is NULL */
ngx_uint_t ngx_b1c_script_failed(ngx_b1c_script_t *b, ngx_b1c_reply_t *reply,
    const char *script);


/*
 * The keys of a queue have a mark that says in which form they are stored.  A
 * queue of another form is not touched: its Redis counts as away.
 */

void ngx_b1c_layout_init(void);
ngx_b1c_redis_greeting_t *ngx_b1c_layout_greeting(ngx_b1c_worker_t *w);

/* looks at the mark again, if it is time to */
void ngx_b1c_layout_poll(ngx_b1c_worker_t *w);


/*
 * What becomes of events that Redis does not take: they are kept in the spool,
 * and replayed when it does.  Without a spool all of this does nothing.
 */


/* of a worker and a queue */
struct ngx_b1c_spill_s {
    ngx_b1c_spool_t                 *spool;

    ngx_queue_t                      writing;    /* jobs of the group */
    u_char                          *group;      /* their records */
    ngx_event_t                      tick;
    ngx_event_t                      guard;      /* somebody waits */

    ngx_queue_t                      replaying;  /* jobs out of the spool */
    uint64_t                         ends[NGX_B1C_SCRIPT_JOBS];
    ngx_uint_t                       n;          /* of them */
    ngx_msec_t                       next;       /* when to replay again */

    unsigned                         busy:1;     /* it could not be written */
    unsigned                         active:1;   /* the replay */
    unsigned                         looking:1;  /* it was DIRECT before */
    unsigned                         replayed:1; /* something */
    unsigned                         doubtful:1; /* it may be in Redis */
};


ngx_int_t ngx_b1c_spill_start(ngx_b1c_worker_t *w);
void ngx_b1c_spill_stop(ngx_b1c_worker_t *w);

/* 1: what is to be stored may go to Redis */
ngx_uint_t ngx_b1c_spill_direct(ngx_b1c_worker_t *w);

/* w->accepts holds what could not go there */
void ngx_b1c_spill_flush(ngx_b1c_worker_t *w);

/* Redis is ready; now and then */
void ngx_b1c_spill_up(ngx_b1c_worker_t *w);
void ngx_b1c_spill_poll(ngx_b1c_worker_t *w);

/*
 * Senders have waited for Redis for its timeout; 1: the spool takes over, so
 * that they may wait a little longer.
 */
ngx_uint_t ngx_b1c_spill_late(ngx_b1c_worker_t *w);

/* Redis refuses to store, and whether that was logged */
void ngx_b1c_spill_refused(ngx_b1c_worker_t *w);
ngx_uint_t ngx_b1c_spill_told(ngx_b1c_worker_t *w);


/*
 * The way back: one worker of the node reads the spool and has Redis accept
 * what is in it, one call at a time and in the order of the files, so that a
 * call that failed has none behind it that did not.
 */


/* unless it cannot be now; look: the mode is DIRECT, no file is expected */
void ngx_b1c_drain_start(ngx_b1c_worker_t *w, ngx_uint_t look);

/* the n events of a call are stored, or rc tells that nobody knows */
void ngx_b1c_drain_stored(ngx_b1c_worker_t *w, ngx_uint_t n, ngx_int_t rc);

/* frees the jobs that were not sent */
void ngx_b1c_drain_drop(ngx_b1c_spill_t *spill);


#endif /* _B1C_QUEUE_INTERNAL_H_INCLUDED_ */

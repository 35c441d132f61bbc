
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_QUEUE_INTERNAL_H_INCLUDED_
#define _B1C_QUEUE_INTERNAL_H_INCLUDED_


#include "b1c_base.h"
#include "b1c_queue.h"


/*
 * Calls of the scripts in redis/.  The jobs of one iteration of the event loop
 * go in one call, because most of a script's cost is the call.  Each function
 * returns NGX_OK, or NGX_DECLINED when Redis is not available, and then the
 * lists are unchanged.
 */

void ngx_b1c_script_init(void);

ngx_int_t ngx_b1c_accept_send(ngx_b1c_worker_t *w);
/*
 * Accepts the jobs at the head of the list without a lease.  They are
 * unlinked, and their results go to ngx_b1c_drain_stored().
 */
ngx_int_t ngx_b1c_accept_drain(ngx_b1c_worker_t *w, ngx_queue_t *list);

ngx_int_t ngx_b1c_settle_send(ngx_b1c_worker_t *w);
ngx_int_t ngx_b1c_settle_extend(ngx_b1c_worker_t *w);
ngx_int_t ngx_b1c_claim_send(ngx_b1c_worker_t *w);

/* the default operations of a queue */
extern ngx_b1c_queue_ops_t  ngx_b1c_claim_events;


/* maximum of keys and arguments before those of the jobs */
#define NGX_B1C_SCRIPT_FIXED      8

/* one script call; owns the list of its arguments, not the strings */
typedef struct {
    ngx_b1c_worker_t            *worker;
    ngx_uint_t                   n;
    ngx_uint_t                   argc;
    ngx_str_t                   *argv;
    ngx_b1c_job_t              **jobs;

    /* for a claim */
    ngx_uint_t                   asked;
    ngx_b1c_grant_t              grant;
    ngx_atomic_uint_t            snap;
    u_char                       number[NGX_INT_T_LEN];
    u_char                       waits[NGX_B1C_CIRCUITS][NGX_INT_T_LEN];
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


/* room for max jobs with this many arguments each; NULL: no memory */
ngx_b1c_script_t *ngx_b1c_script_create(ngx_b1c_worker_t *w, ngx_uint_t max,
    ngx_uint_t words);

void ngx_b1c_script_word(ngx_b1c_script_t *b, ngx_str_t *word);

/* the handler gets the batch and frees it, except for NGX_DECLINED */
ngx_int_t ngx_b1c_script_send(ngx_b1c_script_t *b, ngx_uint_t script,
    ngx_uint_t nkeys, ngx_b1c_reply_pt handler);

/* checks the form of a reply; logs if both reply and script are given */
ngx_uint_t ngx_b1c_script_failed(ngx_b1c_script_t *b, ngx_b1c_reply_t *reply,
    const char *script);


/*
 * The keys of a queue have a mark that says in which form they are stored.  A
 * queue of another form is not touched: its Redis counts as away.
 */

void ngx_b1c_layout_init(void);
void ngx_b1c_expire_init(void);
ngx_b1c_redis_greeting_t *ngx_b1c_layout_greeting(ngx_b1c_worker_t *w);

/* looks at the mark again, if it is time to */
void ngx_b1c_layout_poll(ngx_b1c_worker_t *w);

/* drops dead letters that are too old */
void ngx_b1c_expire_poll(ngx_b1c_worker_t *w);


/*
 * Events that Redis does not store are spilled to the spool, and drained from
 * it when Redis stores again.  Without a spool these functions do nothing.
 */


/* state of the spill in one worker and queue */
struct ngx_b1c_spill_s {
    ngx_b1c_spool_t                 *spool;

    ngx_queue_t                      writing;    /* jobs of the group */
    u_char                          *group;      /* their records */
    ngx_event_t                      tick;
    ngx_event_t                      guard;      /* a sender waits */

    ngx_queue_t                      replaying;  /* jobs from the spool */
    uint64_t                         ends[NGX_B1C_SCRIPT_JOBS];
    ngx_uint_t                       n;          /* of them */
    ngx_msec_t                       next;       /* time of the next drain */

    unsigned                         busy:1;     /* the mode forbade writing */
    unsigned                         active:1;   /* the drain runs */
    unsigned                         looking:1;  /* the mode was DIRECT */
    unsigned                         replayed:1; /* events were drained */
    unsigned                         doubtful:1; /* some may be in Redis */
};


ngx_int_t ngx_b1c_spill_start(ngx_b1c_worker_t *w);
void ngx_b1c_spill_stop(ngx_b1c_worker_t *w);

/* 1: jobs may be stored in Redis directly */
ngx_uint_t ngx_b1c_spill_direct(ngx_b1c_worker_t *w);

/* w->accepts has jobs that could not be stored in Redis */
void ngx_b1c_spill_flush(ngx_b1c_worker_t *w);

/* called when Redis is ready, and periodically */
void ngx_b1c_spill_up(ngx_b1c_worker_t *w);
void ngx_b1c_spill_poll(ngx_b1c_worker_t *w);

/*
 * Called when senders have waited for the timeout of Redis.  Returns 1 if the
 * jobs are spilled, so that they may wait a little longer.
 */
ngx_uint_t ngx_b1c_spill_late(ngx_b1c_worker_t *w);

/* records that Redis refuses to store; returns whether it was logged */
void ngx_b1c_spill_refused(ngx_b1c_worker_t *w);
ngx_uint_t ngx_b1c_spill_told(ngx_b1c_worker_t *w);


/*
 * The drain: one worker of the node reads the spool and has Redis accept the
 * events, one call at a time and in the order of the files, so that no call
 * succeeds after a failed one.
 */


/*
 * starts a drain if possible; look: in DIRECT mode, when no file is expected
 */
void ngx_b1c_drain_start(ngx_b1c_worker_t *w, ngx_uint_t look);

/* the n events of a call are stored, or rc tells that it is unknown */
void ngx_b1c_drain_stored(ngx_b1c_worker_t *w, ngx_uint_t n, ngx_int_t rc);

/* frees the jobs that were not sent */
void ngx_b1c_drain_drop(ngx_b1c_spill_t *spill);


#endif /* _B1C_QUEUE_INTERNAL_H_INCLUDED_ */

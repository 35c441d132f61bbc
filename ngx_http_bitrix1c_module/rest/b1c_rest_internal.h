
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_REST_INTERNAL_H_INCLUDED_
#define _B1C_REST_INTERNAL_H_INCLUDED_


#include "b1c_base.h"
#include "b1c_delivery.h"
#include "b1c_http.h"
#include "b1c_portal.h"
#include "b1c_bitrix.h"
#include "b1c_queue.h"
#include "b1c_rest.h"


/*
 * An answer that is not a success is held back up to this size, because it may
 * have to be repeated or replaced.  Of a batch this many bytes are inspected
 * while they pass; of other answers the end, which contains "time".
 */
#define NGX_B1C_HELD  65536
#define NGX_B1C_TAIL  1024


typedef enum {
    NGX_B1C_REST_BEGIN = 0,    /* no part of the body has come */
    NGX_B1C_REST_HELD,
    NGX_B1C_REST_DROPPED,      /* it will be replaced */
    NGX_B1C_REST_PASSED        /* passed to the caller */
} ngx_b1c_rest_state_e;


/*
 * A call of a portal: the caller's request, parked until it has a permit, and
 * a subrequest for each try, which runs only the location's proxy_pass.
 */
struct ngx_b1c_rest_s {
    ngx_http_request_t              *request;
    ngx_http_request_t              *sr;         /* the current try */
    ngx_b1c_route_t                 *conf;
    ngx_b1c_portal_t                *portal;
    ngx_str_t                        method;     /* as it was written */
    ngx_str_t                        uri;        /* the location's and it */
    ngx_str_t                        args;
    b1c_door_t                       door;
    ngx_list_t                      *headers;    /* of each try */
    ngx_table_elt_t                 *type;       /* among them, or NULL */
    b1c_batch_t                     *batch;      /* NULL: it is none */
    ngx_str_t                        warning;
    ngx_array_t                     *writes;     /* of ..._event_t */

    ngx_msec_t                       arrived;
    ngx_msec_t                       max_wait;
    ngx_uint_t                       tries;
    ngx_b1c_permit_t                 permit;
    ngx_event_t                      again;      /* the next try */
    ngx_http_post_subrequest_t       post;

    /* of the current or last try */
    ngx_b1c_outcome_t                outcome;
    ngx_int_t                        rc;
    ngx_b1c_rest_state_e             state;
    ngx_b1c_redact_t                 redact;
    u_char                          *text;       /* held, or inspected */
    size_t                           len;
    size_t                           size;
    off_t                            passed;     /* bytes passed on */
    unsigned                         headed:1;   /* its header has come */
    unsigned                         learned:1;  /* applied to the limits */
    unsigned                         cut:1;      /* text is incomplete */
};


/* shared by the files of this layer */

/*
 * Starts the call when it has a permit.  NGX_DONE: it ends by itself;
 * otherwise the code to finalize the request with.
 */
ngx_int_t ngx_b1c_rest_proxy_start(ngx_b1c_rest_t *rest);

/*
 * Reads the call and prepares what each try sends: what was checked is what is
 * sent.  NGX_DECLINED: the call is refused with the error.
 */
ngx_int_t ngx_b1c_rest_door_read(ngx_b1c_rest_t *rest, ngx_str_t *body,
    ngx_b1c_error_t *error);

/* the headers of a try, and its method */
void ngx_b1c_rest_door_pass(ngx_b1c_rest_t *rest, ngx_http_request_t *sr);

/* 1 if the method has this name, in any case */
ngx_uint_t ngx_b1c_rest_door_called(ngx_b1c_rest_t *rest, const char *name);

/* sends the header of a try with the warning and "Retry-After" */
ngx_int_t ngx_b1c_rest_proxy_send_header(ngx_b1c_rest_t *rest,
    ngx_uint_t retry_after);

/* applies a success, or each command of a batch, to the limits; only once */
void ngx_b1c_rest_filter_learn(ngx_b1c_rest_t *rest);

/*
 * Changes the error that replaces the portal's answer if the call may have been
 * executed and must not be sent again
 */
void ngx_b1c_rest_unknown_mark(ngx_b1c_rest_t *rest, ngx_b1c_error_t *error);

/* adds a warning to the answer, and to the log if it is new */
ngx_int_t ngx_b1c_rest_proxy_warn(ngx_b1c_rest_t *rest, const char *text);

/*
 * For bitrix1c_echo: marks what the call writes, by its parsed parameters; at
 * the end of the call it is marked again or unmarked.
 */
void ngx_b1c_rest_echo_mark(ngx_b1c_rest_t *rest);
void ngx_b1c_rest_echo_end(ngx_b1c_rest_t *rest, ngx_uint_t good);

/* unmarks what commands of a batch have not written */
void ngx_b1c_rest_echo_failed(ngx_b1c_rest_t *rest);

/*
 * 1 if the name of the method tells that it changes nothing; not for a batch
 */
ngx_uint_t ngx_b1c_rest_echo_reads(const char *method, size_t len);


/*
 * Queued calls of 1C: they are stored before they are answered with 202, sent
 * when the portal allows it, and their results are stored for requests.
 */


/*
 * 1 if the call must be queued: its method is one of bitrix1c_async, or the
 * caller sends "Prefer: respond-async" (RFC 7240).
 */
ngx_uint_t ngx_b1c_calls_wanted(ngx_http_request_t *r, ngx_str_t *method);

/*
 * Stores a valid call.  NGX_DONE: the request is answered after that;
 * otherwise the code to finalize it with.
 */
ngx_int_t ngx_b1c_calls_store(ngx_b1c_rest_t *rest);

/*
 * PREFIXbitrix1c/calls/ID: the state of a call.  NGX_DECLINED if the path
 * without the prefix has another form.
 */
ngx_int_t ngx_b1c_calls_show(ngx_http_request_t *r, ngx_str_t *path);

/* an answer in Bitrix's form; returns the code to finalize with */
ngx_int_t ngx_b1c_calls_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *text);


/*
 * Queued calls of 1C on their way to Bitrix: up to 50 in one request, because
 * a portal counts requests and not calls.  The request belongs to a job of its
 * own, which is in no queue; each call has its own lease and verdict.
 */


typedef struct ngx_b1c_call_batch_s  ngx_b1c_call_batch_t;


/* job->kind of a call, and of the job that carries a batch of calls */
typedef struct {
    ngx_b1c_call_batch_t            *batch;      /* NULL: in none */
    ngx_str_t                        answer;     /* JSON, to be stored */
    unsigned                         alone:1;    /* goes again, in no batch */
} ngx_b1c_call_t;

#define ngx_b1c_call(job)  ((ngx_b1c_call_t *) (job)->kind)


struct ngx_b1c_call_batch_s {
    ngx_b1c_worker_t                *worker;
    ngx_b1c_job_t                   *carrier;
    ngx_b1c_permit_t                 permit;     /* with the portal */
    ngx_b1c_call_batch_t            *next;       /* gets the slot after it */
    ngx_uint_t                       n;
    ngx_b1c_job_t                   *jobs[B1C_BATCH_MAX];
};


/*
 * Bitrix stops what takes 60 s, and then nobody knows which commands were
 * executed.  Adds the time of one more command to that of the n so far.  1: it
 * would be too much for bitrix1c_batch, and is the time of that command alone.
 */
ngx_uint_t ngx_b1c_call_size_full(ngx_b1c_job_t *job, ngx_uint_t n,
    ngx_msec_t *time);


/* operations of a queue of calls */
extern ngx_b1c_queue_ops_t  ngx_b1c_call_batch_ops;


/* bytes of one answer that are stored; a longer one is only noted */
#define NGX_B1C_RESULT_MAX  65536


/*
 * Writes the answer to a call as it is stored and shown into job->answer_text:
 * {"status":200,"result":...} or {"status":400,"error":"CODE",
 * "error_description":"..."}.
 */
void ngx_b1c_call_result_text(ngx_b1c_job_t *job, b1c_reply_t *reply);

/*
 * Sends the answers to these calls, at most NGX_B1C_SCRIPT_JOBS, to Redis:
 * right before their verdicts, on the same connection, so that a call which is
 * done has its answer.
 */
ngx_int_t ngx_b1c_call_result_keep(ngx_b1c_worker_t *w, ngx_b1c_job_t **jobs,
    ngx_uint_t n);

/* the key {b1c:NAME}:r:ID of the answer */
ngx_int_t ngx_b1c_call_result_key(ngx_pool_t *pool, ngx_b1c_queue_t *queue,
    ngx_str_t *id, ngx_str_t *key);


/* the name of call i in a batch */
void ngx_b1c_call_verdict_name(ngx_uint_t i, char name[4]);

/* the meaning of Bitrix's answer to a batch for each of its calls */
void ngx_b1c_call_verdict_set(ngx_b1c_job_t *carrier);

/*
 * Called before a call is sent: finds its location, and leaves job->result at
 * NONE if it may be sent.  A call whose worker died during it becomes a dead
 * letter unless it is idempotent, because it is unknown whether Bitrix has
 * executed it.  A call whose method or portal is stopped waits.
 */
void ngx_b1c_call_verdict_before(ngx_b1c_job_t *job);

/*
 * the calls of a batch without a permit; carrier->delay is the time until it
 */
void ngx_b1c_call_verdict_busy(ngx_b1c_call_batch_t *batch);

/*
 * The worker must exit during the request: a call that Bitrix may have read
 * and must not read twice becomes a dead letter, any other is sent again.
 */
void ngx_b1c_call_verdict_leave(ngx_b1c_call_batch_t *batch);

/* a call whose lease is on too few replicas of Redis */
void ngx_b1c_call_verdict_short(ngx_b1c_job_t *job);

/* a call that could not be sent for lack of memory */
void ngx_b1c_call_verdict_unsent(ngx_b1c_job_t *job);


/*
 * bitrix1c_callback: the result of a queued call is sent to 1C as an event
 * BITRIX1CCALL, through a location with bitrix1c_webhook, with all that events
 * have: order, retries, dead letters.
 */


/* finds the location that each bitrix1c_callback names */
ngx_int_t ngx_b1c_callback_check(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf);

/*
 * Takes over a call that is done or dead, still flying, and continues with
 * ngx_b1c_queue_done() when its event is stored.  NGX_DECLINED: there is
 * no callback, or no memory for it.
 */
ngx_int_t ngx_b1c_callback_send(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);


#endif /* _B1C_REST_INTERNAL_H_INCLUDED_ */

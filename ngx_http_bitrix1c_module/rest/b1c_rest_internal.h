
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
 * An answer that is no success is held back up to this size, since it may have
 * to be repeated or replaced; of a batch as much is looked into as it passes;
 * of others the end, where "time" stands.
 */
#define NGX_B1C_HELD  65536
#define NGX_B1C_TAIL  1024


typedef enum {
    NGX_B1C_REST_BEGIN = 0,    /* nothing of the body has come */
    NGX_B1C_REST_HELD,
    NGX_B1C_REST_DROPPED,      /* it will be replaced */
    NGX_B1C_REST_PASSED        /* to the caller, as it comes */
} ngx_b1c_rest_state_e;


typedef enum {
    NGX_B1C_TYPE_NONE = 0,
    NGX_B1C_TYPE_FORM,
    NGX_B1C_TYPE_JSON,
    NGX_B1C_TYPE_OTHER
} ngx_b1c_type_e;


/*
 * A call of a portal: the caller's request, parked until its turn has come, and
 * a subrequest for each try, which runs nothing but the location's proxy_pass.
 */
struct ngx_b1c_rest_s {
    ngx_http_request_t              *request;
    ngx_http_request_t              *sr;         /* the try that runs */
    ngx_b1c_route_t                 *conf;
    ngx_b1c_portal_t                *portal;
    ngx_str_t                        method;
    ngx_str_t                        args;
    b1c_batch_t                     *batch;      /* NULL: it is none */
    ngx_str_t                        warning;
    ngx_array_t                     *writes;     /* of ..._event_t */

    ngx_msec_t                       arrived;
    ngx_msec_t                       max_wait;
    ngx_uint_t                       tries;
    ngx_b1c_permit_t                 permit;
    ngx_event_t                      again;      /* the next try */
    ngx_http_post_subrequest_t       post;

    /* of the try that runs or ended */
    ngx_b1c_outcome_t                outcome;
    ngx_int_t                        rc;
    ngx_b1c_rest_state_e             state;
    ngx_b1c_redact_t                 redact;
    u_char                          *text;       /* held, or looked into */
    size_t                           len;
    size_t                           size;
    off_t                            passed;     /* bytes to the caller */
    unsigned                         headed:1;   /* its header has come */
    unsigned                         learned:1;  /* what it says of limits */
    unsigned                         cut:1;      /* text is not all of it */
};


/* between the files of this layer */

/*
 * Begins with the call when its turn has come.  NGX_DONE: it ends by itself,
 * else what the request is to be finalized with.
 */
ngx_int_t ngx_b1c_rest_proxy_start(ngx_b1c_rest_t *rest);

/*
 * What the body is, and that the portal sees the same in it: NGX_DECLINED if
 * its type is told twice.  1C sends no type unless it is told to, and Bitrix
 * would take that for no parameters at all.  An answer that is compressed could
 * not be looked into.
 */
ngx_int_t ngx_b1c_rest_type_check(ngx_http_request_t *r, ngx_str_t *body,
    ngx_b1c_type_e *type);

/* the header of a try, the warning and "Retry-After" as that of the caller */
ngx_int_t ngx_b1c_rest_proxy_send_header(ngx_b1c_rest_t *rest,
    ngx_uint_t retry_after);

/* what a success says of the portal, a batch of each command; only once */
void ngx_b1c_rest_filter_learn(ngx_b1c_rest_t *rest);

/* for the answer, and for the log if nobody has told it yet */
ngx_int_t ngx_b1c_rest_proxy_warn(ngx_b1c_rest_t *rest, const char *text);

/*
 * For bitrix1c_echo: what the call writes is marked, the parameters as they
 * were read; and when it has ended, once more or no longer.
 */
void ngx_b1c_rest_echo_mark(ngx_b1c_rest_t *rest, b1c_form_t *args,
    b1c_form_t *form, cJSON *json);
void ngx_b1c_rest_echo_end(ngx_b1c_rest_t *rest, ngx_uint_t good);

/* 1 if the method, by its name, changes nothing; a batch may */
ngx_uint_t ngx_b1c_rest_echo_reads(const char *method, size_t len);


/*
 * Calls that 1C leaves with the gateway: stored before they are answered with
 * 202, sent when the portal bears it, and their results kept to be asked for.
 */


/*
 * 1 if the call is to be stored: its method is one of bitrix1c_async, or the
 * caller says "Prefer: respond-async" (RFC 7240).
 */
ngx_uint_t ngx_b1c_calls_wanted(ngx_http_request_t *r, ngx_str_t *method);

/*
 * Stores a call that has been found good.  NGX_DONE: the request is answered
 * when that is done, else what it is to be finalized with.
 */
ngx_int_t ngx_b1c_calls_store(ngx_b1c_rest_t *rest, b1c_form_t *args,
    b1c_form_t *form, cJSON *json);

/*
 * PREFIXbitrix1c/calls/ID: what has become of a call.  NGX_DECLINED if the
 * path, less the prefix, is not of this form.
 */
ngx_int_t ngx_b1c_calls_show(ngx_http_request_t *r, ngx_str_t *path);

/* an answer in Bitrix' form; returns what the request is finalized with */
ngx_int_t ngx_b1c_calls_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *text);


/*
 * Queued calls of 1C on their way to Bitrix: up to 50 in one request, since a
 * portal counts requests and not calls.  The request belongs to a job of its
 * own, the carrier, which is in no queue; each call keeps its own lease and
 * gets its own verdict.
 */


typedef struct ngx_b1c_call_batch_s  ngx_b1c_call_batch_t;


/* job->kind of a call, and of the job that carries calls and is none itself */
typedef struct {
    ngx_b1c_call_batch_t            *batch;      /* NULL: in none */
    ngx_str_t                        answer;     /* JSON, to be kept */
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


/* the operations of a queue that holds calls */
extern ngx_b1c_queue_ops_t  ngx_b1c_call_batch_ops;


/* bytes of one answer that are kept; of a longer one only that it came */
#define NGX_B1C_RESULT_MAX  65536


/*
 * The answer to a call as it is kept and shown, into job->answer_text:
 * {"status":200,"result":...} or {"status":400,"error":"CODE",
 * "error_description":"..."}.
 */
void ngx_b1c_call_result_text(ngx_b1c_job_t *job, b1c_reply_t *reply);

/*
 * What these calls, at most NGX_B1C_SCRIPT_JOBS, were answered goes to
 * Redis: right before their verdict, on the same connection, so that a call
 * which is done has its answer.
 */
ngx_int_t ngx_b1c_call_result_keep(ngx_b1c_worker_t *w, ngx_b1c_job_t **jobs,
    ngx_uint_t n);

/* the key {b1c:NAME}:r:ID under which it is kept */
ngx_int_t ngx_b1c_call_result_key(ngx_pool_t *pool, ngx_b1c_queue_t *queue,
    ngx_str_t *id, ngx_str_t *key);


/* the name of call i in a batch */
void ngx_b1c_call_verdict_name(ngx_uint_t i, char name[4]);

/* what Bitrix' answer to the carrier's request means for each of its calls */
void ngx_b1c_call_verdict_set(ngx_b1c_job_t *carrier);

/*
 * Before a call is sent: finds its location, and leaves job->result as NONE if
 * it may go.  Unless it may be repeated, a call whose worker died with it is a
 * dead letter, since nobody knows whether Bitrix has carried it out; one whose
 * method or portal is closed waits.
 */
void ngx_b1c_call_verdict_before(ngx_b1c_job_t *job);

/* the calls of a pack whose turn did not come; carrier->delay tells when */
void ngx_b1c_call_verdict_busy(ngx_b1c_call_batch_t *batch);

/*
 * The worker has to leave while the request runs: what Bitrix may have read by
 * now and must not read twice is a dead letter, everything else goes again.
 */
void ngx_b1c_call_verdict_leave(ngx_b1c_call_batch_t *batch);

/* a call whose lease too few replicas of Redis know of */
void ngx_b1c_call_verdict_short(ngx_b1c_job_t *job);

/* a call that could not be sent for lack of memory */
void ngx_b1c_call_verdict_unsent(ngx_b1c_job_t *job);


/*
 * bitrix1c_callback: what came of a queued call is told to 1C as an event of
 * its own, BITRIX1CCALL, through a location with bitrix1c_webhook, and so with
 * all that events have: order, retries, dead letters.
 */


/* finds the location that each bitrix1c_callback names */
ngx_int_t ngx_b1c_callback_check(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf);

/*
 * Takes over a call that is done or dead, still flying, and goes on with
 * ngx_b1c_queue_conf_done() when its event is stored.  NGX_DECLINED: there
 * is nothing to tell or no memory to do it.
 */
ngx_int_t ngx_b1c_callback_send(ngx_b1c_worker_t *w, ngx_b1c_job_t *job);


#endif /* _B1C_REST_INTERNAL_H_INCLUDED_ */

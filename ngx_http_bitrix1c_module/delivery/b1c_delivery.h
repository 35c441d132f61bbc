
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_DELIVERY_H_INCLUDED_
#define _B1C_DELIVERY_H_INCLUDED_


#include "b1c_base.h"
#include "b1c_job.h"


/*
 * Sends the job to 1C by the proxy_pass of its route's location. job->done, an
 * event that the caller has set up, is posted when the outcome is known and
 * the verdict set; its handler is never called from within this function.
 */
void ngx_b1c_delivery_begin(ngx_b1c_job_t *job);

/* aborts a delivery; job->done will not be posted for it */
void ngx_b1c_delivery_abort(ngx_b1c_job_t *job);

/* frees the detached request; the handler of job->done must call it */
void ngx_b1c_delivery_free(ngx_b1c_job_t *job);

/* sets the headers of the detached request, for a body of len bytes */
ngx_int_t ngx_b1c_delivery_head_build(ngx_b1c_job_t *job,
    ngx_http_request_t *r, off_t len);


/*
 * Fills in the outcome of a delivery's subrequest r that ended with rc, except
 * for the answer's text, which the body filter stores; a webhook's key is
 * redacted in that.
 */
void ngx_b1c_outcome_read(ngx_b1c_outcome_t *o, ngx_http_request_t *r,
    ngx_int_t rc);


/*
 * The meaning of 1C's answer: sets job->result to DELIVERED, RETRY or DEAD,
 * and job->health; for RETRY and DEAD also job->reason, one line of at most
 * 500 bytes, and job->delay, ms.
 */
void ngx_b1c_verdict(ngx_b1c_job_t *job);

/* the event itself is the cause, not 1C's answer; what is a static text */
void ngx_b1c_verdict_poison(ngx_b1c_job_t *job, const char *what);

/*
 * The two halves of a verdict, which are also used for other answers than
 * 1C's: the first passes job->health to the breaker and logs a change; the
 * second counts a failed attempt, which may be the last one.
 */
ngx_b1c_breaker_e ngx_b1c_verdict_breaker(ngx_b1c_job_t *job);
void ngx_b1c_verdict_spend(ngx_b1c_job_t *job, ngx_b1c_breaker_e breaker);

/*
 * ms until the next attempt, from the schedule.  Retry-After is honoured
 * within [base, 2 * base]. 0: there is no further attempt.
 */
ngx_msec_t ngx_b1c_verdict_delay(ngx_b1c_job_t *job);

/* sets job->reason, as ngx_b1c_reason_find_text() words it */
void ngx_b1c_verdict_reason(ngx_b1c_job_t *job, const char *what,
    ngx_str_t *answer);

/* ms, with a jitter of 20 % */
/* the event goes back for a node whose configuration has its location */
void ngx_b1c_verdict_no_location(ngx_b1c_job_t *job);

ngx_msec_t ngx_b1c_verdict_jitter(ngx_msec_t base);


#define NGX_B1C_REASON  500


/*
 * Writes one line, of at most size bytes of whole UTF-8 characters: what, the
 * status unless 0, and the useful part of 1C's answer: the innermost "descr"
 * of an exception, or the text after "by reason:" of an error page, or else
 * the first words. 1C's answers repeat customers' data and stack dumps, so no
 * more is stored.  Returns the length.
 */
size_t ngx_b1c_reason_find_text(u_char *buf, size_t size, const char *what,
    ngx_uint_t status, ngx_str_t *answer);


/*
 * The destination of a job by the configuration of this process, which may
 * differ from the one that accepted it.  NULL: it has none any more.
 */

/*
 * For an event: the location with bitrix1c_webhook that its address leads to,
 * in a server with the name that accepted it.
 */
ngx_b1c_route_t *ngx_b1c_route_find(ngx_b1c_job_t *job);

/*
 * For a call: the location with bitrix1c_rest that accepted it, or else
 * another one of that server for the same portal.
 */
ngx_b1c_route_t *ngx_b1c_route_call(ngx_b1c_job_t *job);


/*
 * bitrix1c_sign file: reads lines "whsec_<base64>" of the Standard Webhooks
 * specification, several while a secret is being changed, into an ngx_array_t
 * * of ngx_str_t keys at cmd->offset.
 */
char *ngx_b1c_sign_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * The value of Webhook-Signature: for each key "v1," and the base64 of the
 * HMAC-SHA256 of "id.timestamp.body", separated by spaces.  The body is given
 * in two parts; timestamp is in seconds.
 */
ngx_int_t ngx_b1c_sign_header(ngx_pool_t *pool, ngx_array_t *keys,
    ngx_str_t *id, time_t timestamp, ngx_str_t *head, ngx_str_t *tail,
    ngx_str_t *signature);


/*
 * The location of a detached request as a delivery needs it.  NGX_OK: there
 * is nothing more to do in this phase.
 */
ngx_int_t ngx_b1c_delivery_location(ngx_http_request_t *r);

/* runs the handlers of the log phase, once, if the location logs subrequests */
void ngx_b1c_delivery_log_phase(ngx_http_request_t *r);

/* the log handler of a detached connection */
u_char *ngx_b1c_delivery_log(ngx_log_t *log, u_char *buf, size_t len);


#endif /* _B1C_DELIVERY_H_INCLUDED_ */

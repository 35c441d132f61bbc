
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_VERDICT_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_VERDICT_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * What 1C's answer means: sets job->result to DELIVERED, RETRY or DEAD, and
 * job->health; for the latter two job->reason, one line of at most 500 bytes,
 * and job->delay, ms.
 */
void ngx_http_bitrix1c_verdict(ngx_http_bitrix1c_job_t *job);

/* the event itself is to blame, whatever 1C said; what is a static text */
void ngx_http_bitrix1c_verdict_poison(ngx_http_bitrix1c_job_t *job,
    const char *what);

/*
 * The two halves of a verdict that others than 1C's answers need too:
 * job->health is told to the breaker and logged if that changes it; and a
 * failed attempt is counted, after which it may be the last.
 */
ngx_http_bitrix1c_breaker_e ngx_http_bitrix1c_verdict_breaker(
    ngx_http_bitrix1c_job_t *job);
void ngx_http_bitrix1c_verdict_spend(ngx_http_bitrix1c_job_t *job,
    ngx_http_bitrix1c_breaker_e breaker);

/*
 * ms until the next attempt, from the schedule; Retry-After is honoured within
 * [base, 2 * base].  0 if there is none left.
 */
ngx_msec_t ngx_http_bitrix1c_verdict_delay(ngx_http_bitrix1c_job_t *job);

/* ms, with a jitter of 20 % */
ngx_msec_t ngx_http_bitrix1c_jitter(ngx_msec_t base);


#endif /* _NGX_HTTP_BITRIX1C_VERDICT_H_INCLUDED_ */


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

/* ms, with a jitter of 20 % */
ngx_msec_t ngx_http_bitrix1c_jitter(ngx_msec_t base);


#endif /* _NGX_HTTP_BITRIX1C_VERDICT_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_DELIVERY_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_DELIVERY_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * Sends the job to 1C by the proxy_pass of its route's location.  job->done,
 * an event that the caller has set up, is posted when the outcome is known and
 * judged; its handler is never run from within this function.
 */
void ngx_http_bitrix1c_deliver(ngx_http_bitrix1c_job_t *job);

/* breaks a delivery off; job->done will not be run for it any more */
void ngx_http_bitrix1c_delivery_abort(ngx_http_bitrix1c_job_t *job);

/* frees the detached request; to be called by the handler of job->done */
void ngx_http_bitrix1c_delivery_free(ngx_http_bitrix1c_job_t *job);

/* of the detached request, for a body of len bytes */
ngx_int_t ngx_http_bitrix1c_delivery_headers(ngx_http_bitrix1c_job_t *job,
    ngx_http_request_t *r, off_t len);


#endif /* _NGX_HTTP_BITRIX1C_DELIVERY_H_INCLUDED_ */

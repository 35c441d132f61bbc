
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_REPORT_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_REPORT_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * What is told to the counters and to the error log.  Of each kind of failure
 * the log has a line when it begins and one when it ends; single events are
 * there at level info.
 */


/*
 * What became of an event that was to be stored, or why a request was refused:
 * any result before DELIVERED; others are none of this.
 */
void ngx_http_bitrix1c_report_taken(ngx_http_bitrix1c_queue_t *queue,
    ngx_http_bitrix1c_result_e result);

/*
 * A sender is answered.  Refusals are counted here, what was to be stored is
 * counted when Redis has answered, whether its sender is still there or not.
 */
void ngx_http_bitrix1c_report_answer(ngx_http_request_t *r,
    ngx_http_bitrix1c_result_e result);

/* an event that could not be stored is lost; log is the request's */
void ngx_http_bitrix1c_report_unavailable(ngx_http_bitrix1c_job_t *job,
    ngx_log_t *log);

/* a delivery has ended, or was broken off: job->result tells how */
void ngx_http_bitrix1c_report_delivery(ngx_http_bitrix1c_job_t *job);

/* the lease of a delivery had ended before it was settled */
void ngx_http_bitrix1c_report_late(ngx_http_bitrix1c_job_t *job);

/* whether the operator holds the queue, as told by Redis; 1 if that is new */
ngx_uint_t ngx_http_bitrix1c_report_held(ngx_http_bitrix1c_queue_t *queue,
    ngx_uint_t held, ngx_log_t *log);


#endif /* _NGX_HTTP_BITRIX1C_REPORT_H_INCLUDED_ */

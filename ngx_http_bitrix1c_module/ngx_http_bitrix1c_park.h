
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_PARK_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_PARK_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * A request that waits for what becomes of its job may end before the job does,
 * and the job before the request: ctx->job holds the job, until after the log
 * phase, and the job is told when the request goes.  The caller's hold on the
 * job passes to the request; after NGX_ERROR both are gone from each other and
 * the job is released.
 */
ngx_int_t ngx_http_bitrix1c_park(ngx_http_request_t *r,
    ngx_http_bitrix1c_ctx_t *ctx, ngx_http_bitrix1c_job_t *job);

/* hands the job over to its queue; answer is called as queue.h says */
void ngx_http_bitrix1c_park_accept(ngx_http_request_t *r,
    ngx_http_bitrix1c_job_t *job,
    void (*answer)(ngx_http_bitrix1c_job_t *job));

/* the request goes on by itself, before it is answered */
void ngx_http_bitrix1c_unpark(ngx_http_bitrix1c_ctx_t *ctx);


#endif /* _NGX_HTTP_BITRIX1C_PARK_H_INCLUDED_ */

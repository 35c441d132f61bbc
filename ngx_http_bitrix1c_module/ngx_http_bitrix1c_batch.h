
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_BATCH_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_BATCH_H_INCLUDED_


#include "ngx_http_bitrix1c_queue.h"


/*
 * The scripts of redis/ as calls.  What one iteration of the event loop has
 * gathered goes in one call, since most of a script's cost is the call.
 * Each returns NGX_OK, or NGX_DECLINED when Redis is away, and then everything
 * is in its list as before.
 */

void ngx_http_bitrix1c_batch_init(void);

ngx_int_t ngx_http_bitrix1c_batch_accept(ngx_http_bitrix1c_worker_t *w);
/*
 * Those at the head of the list, no lease wanted.  Not linked any more, they
 * are told of to ngx_http_bitrix1c_replay_stored().
 */
ngx_int_t ngx_http_bitrix1c_batch_replay(ngx_http_bitrix1c_worker_t *w,
    ngx_queue_t *list);

ngx_int_t ngx_http_bitrix1c_batch_settle(ngx_http_bitrix1c_worker_t *w);
ngx_int_t ngx_http_bitrix1c_batch_extend(ngx_http_bitrix1c_worker_t *w);
ngx_int_t ngx_http_bitrix1c_batch_claim(ngx_http_bitrix1c_worker_t *w);


#endif /* _NGX_HTTP_BITRIX1C_BATCH_H_INCLUDED_ */

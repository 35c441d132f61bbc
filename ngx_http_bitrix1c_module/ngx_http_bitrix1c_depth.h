
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_DEPTH_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_DEPTH_H_INCLUDED_


#include "ngx_http_bitrix1c_queue.h"


/* in init_process */
void ngx_http_bitrix1c_depth_init(void);

/* NGX_DECLINED: Redis is away, the handler will not be called */
ngx_int_t ngx_http_bitrix1c_depth_ask(ngx_http_bitrix1c_queue_t *queue,
    ngx_http_bitrix1c_reply_pt handler, void *data);

/*
 * A depth that somebody asked for within the last second; 0: there is none.
 * One that gets old is renewed by the way, so that who asks often never waits.
 */
ngx_uint_t ngx_http_bitrix1c_depth_recent(ngx_http_bitrix1c_queue_t *queue,
    ngx_http_bitrix1c_depth_t *depth);

/* its reply; what it says of the queue is remembered, too */
void ngx_http_bitrix1c_depth_read(ngx_http_bitrix1c_queue_t *queue,
    ngx_http_bitrix1c_reply_t *reply, ngx_http_bitrix1c_depth_t *depth);

/*
 * Events that nobody delivers yet, followers included.  What other nginx of
 * the queue are delivering is among them: Redis does not count leases.
 */
ngx_uint_t ngx_http_bitrix1c_depth_waiting(ngx_http_bitrix1c_depth_t *depth,
    ngx_uint_t taken);

/* once a minute, by one of the workers: for the history */
void ngx_http_bitrix1c_depth_sample(ngx_http_bitrix1c_worker_t *w);


#endif /* _NGX_HTTP_BITRIX1C_DEPTH_H_INCLUDED_ */

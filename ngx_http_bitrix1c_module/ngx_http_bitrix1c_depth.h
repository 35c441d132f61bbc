
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_DEPTH_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_DEPTH_H_INCLUDED_


#include "ngx_http_bitrix1c_queue.h"


/* what Redis holds of a queue, see status.lua */
typedef struct {
    ngx_uint_t                   known;
    int64_t                      living;     /* followers not counted */
    int64_t                      due;
    int64_t                      followers;
    int64_t                      dead;
    int64_t                      age;        /* ms */
    int64_t                      held;
} ngx_http_bitrix1c_depth_t;


/* in init_process */
void ngx_http_bitrix1c_depth_init(void);

/* NGX_DECLINED: Redis is away, the handler will not be called */
ngx_int_t ngx_http_bitrix1c_depth_ask(ngx_http_bitrix1c_queue_t *queue,
    ngx_http_bitrix1c_reply_pt handler, void *data);

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

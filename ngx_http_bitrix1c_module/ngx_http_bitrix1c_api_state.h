
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_API_STATE_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_API_STATE_H_INCLUDED_


#include "ngx_http_bitrix1c_api_call.h"
#include "ngx_http_bitrix1c_depth.h"


/* of a spool, "off" where the queue has none */
typedef struct {
    const char                      *state;
    uint64_t                         bytes;
    uint64_t                         max;
} ngx_http_bitrix1c_api_spool_t;


/* a queue at this moment: from shared memory, and one reply of Redis */
typedef struct {
    ngx_http_bitrix1c_queue_t       *queue;
    ngx_http_bitrix1c_depth_t        depth;
    ngx_http_bitrix1c_slots_info_t   slots;
    ngx_http_bitrix1c_redis_info_t   redis;
    ngx_http_bitrix1c_api_spool_t    spool;
    ngx_str_t                        error;      /* of Redis, in a reply */
} ngx_http_bitrix1c_api_state_t;


/* writes the answer when all queues have been asked */
typedef ngx_int_t (*ngx_http_bitrix1c_api_states_pt)(
    ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_state_t *states, ngx_uint_t n);


/*
 * Asks for all queues, one script call each, and then calls the handler; what
 * was asked for within the last second is asked again only if "now".
 */
ngx_int_t ngx_http_bitrix1c_api_states(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_states_pt handler, ngx_uint_t now);

/* since nginx was started, whoever counts it */
ngx_uint_t ngx_http_bitrix1c_api_counter(ngx_http_bitrix1c_queue_t *queue,
    ngx_http_bitrix1c_counter_e counter);


#endif /* _NGX_HTTP_BITRIX1C_API_STATE_H_INCLUDED_ */

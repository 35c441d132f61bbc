
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_PACE_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_PACE_H_INCLUDED_


#include "ngx_http_bitrix1c_portal.h"
#include "bitrix_rest.h"


typedef struct ngx_http_bitrix1c_turn_s  ngx_http_bitrix1c_turn_t;

/*
 * A call that wants its turn with a portal.  The owner sets the first four;
 * the memory must stay until the turn has come, was refused or was left.
 */
struct ngx_http_bitrix1c_turn_s {
    ngx_http_bitrix1c_portal_t   *portal;
    ngx_msec_t                    max;        /* ms that it may wait */
    void                        (*handler)(ngx_http_bitrix1c_turn_t *turn,
                                           ngx_int_t rc);
    void                         *data;

    ngx_queue_t                   link;
    ngx_msec_t                    asked;
    ngx_msec_t                    at;         /* when it comes */
    ngx_msec_t                    wait;       /* it would take, if refused */
    unsigned                      queued:1;
    unsigned                      sent:1;     /* Redis is being asked */
};


/* in init_process and exit_process of a worker, after and before the queues */
ngx_int_t ngx_http_bitrix1c_pace_start(ngx_http_bitrix1c_portal_t *portal,
    ngx_log_t *log);
void ngx_http_bitrix1c_pace_stop(ngx_http_bitrix1c_portal_t *portal);

/*
 * NGX_OK: go.  NGX_AGAIN: the handler will be called, with NGX_OK, or with
 * NGX_BUSY if the turn would not come in time; never from within this function.
 */
ngx_int_t ngx_http_bitrix1c_pace_take(ngx_http_bitrix1c_turn_t *turn);

/* the caller is gone: those behind it move up */
void ngx_http_bitrix1c_pace_leave(ngx_http_bitrix1c_turn_t *turn);

/*
 * What the portal refuses, for this and the other nodes: the bucket is full;
 * no calls for so many ms; none of this method, by guess or because the portal
 * has said so.  1 if that is news here.
 */
void ngx_http_bitrix1c_pace_exhausted(ngx_http_bitrix1c_portal_t *portal);
ngx_uint_t ngx_http_bitrix1c_pace_close(ngx_http_bitrix1c_portal_t *portal,
    ngx_msec_t ms);
ngx_uint_t ngx_http_bitrix1c_pace_block(ngx_http_bitrix1c_portal_t *portal,
    ngx_str_t *method, ngx_msec_t ms, ngx_uint_t guess);


#endif /* _NGX_HTTP_BITRIX1C_PACE_H_INCLUDED_ */

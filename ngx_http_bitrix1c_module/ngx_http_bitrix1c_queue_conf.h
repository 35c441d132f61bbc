
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_QUEUE_CONF_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_QUEUE_CONF_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/* lines of the block of bitrix1c_queue */

char *ngx_http_bitrix1c_queue_redis(ngx_conf_t *cf,
    ngx_http_bitrix1c_queue_t *queue);
char *ngx_http_bitrix1c_queue_sentinel(ngx_conf_t *cf,
    ngx_http_bitrix1c_queue_t *queue);
char *ngx_http_bitrix1c_queue_spool(ngx_conf_t *cf,
    ngx_http_bitrix1c_queue_t *queue);
char *ngx_http_bitrix1c_queue_rate(ngx_conf_t *cf,
    ngx_http_bitrix1c_queue_t *queue);
char *ngx_http_bitrix1c_queue_breaker(ngx_conf_t *cf,
    ngx_http_bitrix1c_queue_t *queue);
char *ngx_http_bitrix1c_queue_hold(ngx_conf_t *cf,
    ngx_http_bitrix1c_queue_t *queue);
char *ngx_http_bitrix1c_queue_dead(ngx_conf_t *cf,
    ngx_http_bitrix1c_queue_t *queue);


#endif /* _NGX_HTTP_BITRIX1C_QUEUE_CONF_H_INCLUDED_ */

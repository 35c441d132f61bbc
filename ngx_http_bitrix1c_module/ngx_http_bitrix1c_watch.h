
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_WATCH_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_WATCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


typedef void (*ngx_http_bitrix1c_watch_pt)(ngx_cycle_t *cycle);


/*
 * Tells when worker_shutdown_timeout has passed: core then visits all
 * connections that have a socket, and those of deliveries have none.  In
 * init_process; NGX_ERROR is lack of connections.
 */
ngx_int_t ngx_http_bitrix1c_watch(ngx_cycle_t *cycle,
    ngx_http_bitrix1c_watch_pt handler);

/* in exit_process, or core would report a socket that was left open */
void ngx_http_bitrix1c_unwatch(void);


#endif /* _NGX_HTTP_BITRIX1C_WATCH_H_INCLUDED_ */

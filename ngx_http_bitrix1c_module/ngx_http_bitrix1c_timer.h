
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_TIMER_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_TIMER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/*
 * Timers, which may also be posted, of an owner that has no connection: since
 * core looks for its number, ev->data is a dummy, and dummy->data the owner.  A
 * worker that leaves waits for those that are not cancelable.
 */
void ngx_http_bitrix1c_timer_init(ngx_event_t *ev,
    ngx_event_handler_pt handler, ngx_connection_t *dummy, void *owner,
    ngx_log_t *log, ngx_uint_t cancelable);

/* neither set nor posted any more */
void ngx_http_bitrix1c_timer_stop(ngx_event_t *ev);


#endif /* _NGX_HTTP_BITRIX1C_TIMER_H_INCLUDED_ */

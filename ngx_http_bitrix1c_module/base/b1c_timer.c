
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_base.h"


void
ngx_b1c_timer_init(ngx_event_t *ev, ngx_event_handler_pt handler,
    ngx_connection_t *dummy, void *owner, ngx_log_t *log,
    ngx_uint_t cancelable)
{
    dummy->fd = (ngx_socket_t) -1;
    dummy->data = owner;

    ev->handler = handler;
    ev->data = dummy;
    ev->log = log;
    ev->cancelable = cancelable;
}


void
ngx_b1c_timer_stop(ngx_event_t *ev)
{
    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (ev->posted) {
        ngx_delete_posted_event(ev);
    }
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_base.h"


static void ngx_b1c_shutdown_handler(ngx_event_t *ev);


static ngx_connection_t            *ngx_b1c_watcher;
static ngx_b1c_shutdown_pt   ngx_b1c_watch_told;


ngx_int_t
ngx_b1c_shutdown_watch(ngx_cycle_t *cycle, ngx_b1c_shutdown_pt handler)
{
    ngx_connection_t  *c, *saved;

    /* some event methods index connections by socket, and 0 is not ours */

    saved = NULL;

    if (cycle->files) {
        saved = cycle->files[0];
        cycle->files[0] = NULL;
    }

    c = ngx_get_connection(0, cycle->log);

    if (cycle->files) {
        cycle->files[0] = saved;
    }

    if (c == NULL) {
        return NGX_ERROR;
    }

    /* no real socket, and not -1, for which core would skip it */

    c->fd = (ngx_socket_t) -2;
    c->read->handler = ngx_b1c_shutdown_handler;
    c->read->log = cycle->log;
    c->data = cycle;

    ngx_b1c_watcher = c;
    ngx_b1c_watch_told = handler;

    return NGX_OK;
}


static void
ngx_b1c_shutdown_handler(ngx_event_t *ev)
{
    ngx_connection_t *c = ev->data;

    if (c->close && c->error) {
        c->close = 0;
        ngx_b1c_watch_told(c->data);
    }
}


void
ngx_b1c_shutdown_unwatch(void)
{
    ngx_connection_t  *c;

    c = ngx_b1c_watcher;

    if (c) {
        ngx_b1c_watcher = NULL;

        /* core looks it up by its socket, and 0 belongs to another one */

        c->fd = 0;
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
    }
}

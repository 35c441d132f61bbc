
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_ECHO_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_ECHO_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * What 1C has just written to a portal through this nginx: the event that
 * Bitrix sends of it would make 1C read back its own change, and with a rule
 * that writes again on the other side the two would never come to rest.
 * Bitrix marks such events in no way, so they are known by time alone.
 */


/* adds the shared memory; once, after the configuration was read */
ngx_int_t ngx_http_bitrix1c_echo_zone(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf);

/*
 * To be called when a write is sent, since its event may overtake its answer,
 * and once more when it has succeeded.  Without an id nothing is marked.
 */
void ngx_http_bitrix1c_echo_mark(ngx_http_bitrix1c_event_t *event);

/* the write has failed: an event that comes now is somebody else's */
void ngx_http_bitrix1c_echo_forget(ngx_http_bitrix1c_event_t *event);

/* 1 if the entity was written not longer than window ms ago */
ngx_uint_t ngx_http_bitrix1c_echo_known(ngx_http_bitrix1c_event_t *event,
    ngx_msec_t window);


#endif /* _NGX_HTTP_BITRIX1C_ECHO_H_INCLUDED_ */

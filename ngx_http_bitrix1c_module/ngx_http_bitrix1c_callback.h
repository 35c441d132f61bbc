
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_CALLBACK_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_CALLBACK_H_INCLUDED_


#include "ngx_http_bitrix1c_pack.h"


/*
 * bitrix1c_callback: what came of a queued call is told to 1C as an event of
 * its own, BITRIX1CCALL, through a location with bitrix1c_webhook, and so with
 * all that events have: order, retries, dead letters.
 */


/* finds the location that each bitrix1c_callback names */
ngx_int_t ngx_http_bitrix1c_callback_check(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf);

/*
 * Takes over a call that is done or dead, still flying, and goes on with
 * ngx_http_bitrix1c_queue_done() when its event is stored.  NGX_DECLINED: there
 * is nothing to tell or no memory to do it.
 */
ngx_int_t ngx_http_bitrix1c_callback(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t *job);


#endif /* _NGX_HTTP_BITRIX1C_CALLBACK_H_INCLUDED_ */

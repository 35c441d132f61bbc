
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_ROUTE_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_ROUTE_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * Where a job goes by the configuration that this process runs, which need not
 * be the one that it was taken by.  NULL: nowhere any more.
 */

/*
 * Of an event: the location with bitrix1c_webhook that its address leads to, in
 * a server of the name that took it.
 */
ngx_http_bitrix1c_route_t *ngx_http_bitrix1c_route_find(
    ngx_http_bitrix1c_job_t *job);

/*
 * Of a call: the location with bitrix1c_rest that took it, or else another one
 * of that server for the same portal.
 */
ngx_http_bitrix1c_route_t *ngx_http_bitrix1c_route_call(
    ngx_http_bitrix1c_job_t *job);


#endif /* _NGX_HTTP_BITRIX1C_ROUTE_H_INCLUDED_ */

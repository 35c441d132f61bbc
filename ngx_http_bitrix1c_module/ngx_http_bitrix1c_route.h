
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_ROUTE_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_ROUTE_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * Where a stored event, or a call, goes by the configuration that this process
 * runs: the location it came by, else any of its server; NULL if there is none.
 */
ngx_http_bitrix1c_route_t *ngx_http_bitrix1c_route_find(
    ngx_http_bitrix1c_job_t *job);


#endif /* _NGX_HTTP_BITRIX1C_ROUTE_H_INCLUDED_ */

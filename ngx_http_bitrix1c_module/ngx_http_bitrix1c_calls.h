
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_CALLS_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_CALLS_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * Calls that 1C leaves with the gateway: stored before they are answered with
 * 202, sent when the portal bears it, and their results kept to be asked for.
 */


/*
 * 1 if the call is to be stored: its method is one of bitrix1c_async, or the
 * caller says "Prefer: respond-async" (RFC 7240).
 */
ngx_uint_t ngx_http_bitrix1c_calls_wanted(ngx_http_request_t *r,
    ngx_str_t *method);

/*
 * Reads the body and stores the call; the request is answered in all cases.
 * Returns what a phase handler returns.  The method has been allowed.
 */
ngx_int_t ngx_http_bitrix1c_calls_store(ngx_http_request_t *r,
    ngx_str_t *method);

/*
 * PREFIXbitrix1c/calls/ID: what has become of a call.  NGX_DECLINED if the
 * path, less the prefix, is not of this form.
 */
ngx_int_t ngx_http_bitrix1c_calls_show(ngx_http_request_t *r,
    ngx_str_t *path);

/* "bitrix1c_coalesce method field,field" */
char *ngx_http_bitrix1c_calls_coalesce(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_BITRIX1C_CALLS_H_INCLUDED_ */

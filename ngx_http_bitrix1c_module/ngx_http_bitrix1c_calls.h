
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_CALLS_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_CALLS_H_INCLUDED_


#include "ngx_http_bitrix1c_rest.h"


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
 * Stores a call that has been found good.  NGX_DONE: the request is answered
 * when that is done, else what it is to be finalized with.
 */
ngx_int_t ngx_http_bitrix1c_calls_store(ngx_http_bitrix1c_rest_t *rest,
    bitrix_form_t *args, bitrix_form_t *form, cJSON *json);

/*
 * PREFIXbitrix1c/calls/ID: what has become of a call.  NGX_DECLINED if the
 * path, less the prefix, is not of this form.
 */
ngx_int_t ngx_http_bitrix1c_calls_show(ngx_http_request_t *r,
    ngx_str_t *path);

/* "bitrix1c_coalesce method field,field" */
char *ngx_http_bitrix1c_calls_coalesce(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* an answer in Bitrix' form; returns what the request is finalized with */
ngx_int_t ngx_http_bitrix1c_calls_refuse(ngx_http_request_t *r,
    ngx_uint_t status, const char *code, const char *text);


#endif /* _NGX_HTTP_BITRIX1C_CALLS_H_INCLUDED_ */

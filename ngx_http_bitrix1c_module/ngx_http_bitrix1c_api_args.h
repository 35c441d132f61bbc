
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_API_ARGS_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_API_ARGS_H_INCLUDED_


#include "ngx_http_bitrix1c_api_call.h"


/*
 * Reads the query string into call->args; "known" is the mask of arguments
 * that the endpoint has.  Another one is an error, or a filter with a slip of
 * the pen would select everything.  NGX_DECLINED: there is nothing to object
 * to; else an error was sent, and the request is to be finalized with it.
 */
ngx_int_t ngx_http_bitrix1c_api_args(ngx_http_bitrix1c_api_call_t *call,
    ngx_uint_t known);

/* 1: it has the form of an id */
ngx_uint_t ngx_http_bitrix1c_api_is_id(ngx_str_t *text);


#endif /* _NGX_HTTP_BITRIX1C_API_ARGS_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_ERROR_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_ERROR_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * Answers of the gateway itself to a call of a portal, in the form of Bitrix'
 * own errors, so that 1C needs one way to read them.  Where Bitrix has a code
 * for the case it is Bitrix' code, else one that begins with BITRIX1C_.
 */
typedef struct {
    ngx_uint_t                   status;
    const char                  *code;
    const char                  *text;
    ngx_uint_t                   retry_after;    /* s, 0: not told */
    unsigned                     only_get:1;     /* of a 405 */
} ngx_http_bitrix1c_error_t;


/* the body, in the pool */
ngx_int_t ngx_http_bitrix1c_error_text(ngx_pool_t *pool,
    ngx_http_bitrix1c_error_t *error, ngx_str_t *text);

/* sends header and body; returns what is to be finalized with */
ngx_int_t ngx_http_bitrix1c_error(ngx_http_request_t *r,
    ngx_http_bitrix1c_error_t *error);

/* adds Retry-After, s; 0 is left out */
ngx_int_t ngx_http_bitrix1c_error_retry_after(ngx_http_request_t *r,
    ngx_uint_t seconds);


#endif /* _NGX_HTTP_BITRIX1C_ERROR_H_INCLUDED_ */

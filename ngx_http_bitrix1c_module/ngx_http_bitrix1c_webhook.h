
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_WEBHOOK_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_WEBHOOK_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * The phase handler of a location with bitrix1c_webhook: it answers every
 * request of a client itself, and declines the subrequests of deliveries, so
 * that they reach proxy_pass.
 */
ngx_int_t ngx_http_bitrix1c_webhook_handler(ngx_http_request_t *r);

/*
 * The handler of an earlier phase: by which address the location was found,
 * before a "rewrite" of its own gives it another.
 */
ngx_int_t ngx_http_bitrix1c_webhook_entry(ngx_http_request_t *r);


#endif /* _NGX_HTTP_BITRIX1C_WEBHOOK_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_BODY_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_BODY_H_INCLUDED_


#include "ngx_http_bitrix1c.h"
#include "bitrix_event.h"


/*
 * ngx_http_read_client_request_body(), but what an HTTP/2 client has sent
 * whole is read even if it hung up at the same moment.
 */
ngx_int_t ngx_http_bitrix1c_body_read(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler);

/* form, if there is no Content-Type, or JSON; NGX_DECLINED: neither of them */
ngx_int_t ngx_http_bitrix1c_body_type(ngx_http_request_t *r,
    bitrix_type_t *type);

/*
 * The whole body in memory; may point into the request's buffers.  To be
 * called first of all by the handler of ngx_http_bitrix1c_body_read().
 */
ngx_int_t ngx_http_bitrix1c_body_text(ngx_http_request_t *r,
    ngx_str_t *text);


#endif /* _NGX_HTTP_BITRIX1C_BODY_H_INCLUDED_ */

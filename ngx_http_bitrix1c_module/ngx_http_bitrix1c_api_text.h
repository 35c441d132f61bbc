
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_API_TEXT_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_API_TEXT_H_INCLUDED_


#include "ngx_http_bitrix1c_answer.h"
#include "bitrix_json.h"


/*
 * Answers of the API.  Their text grows in a bitrix_buf_t, whose failure is
 * found when it is sent.
 */


/* formats of ngx_sprintf(); what is put at once must fit into 1 KB */
void ngx_http_bitrix1c_api_put(bitrix_buf_t *buf, const char *fmt, ...);

/*
 * A JSON string of any bytes whatever: what is not UTF-8 is replaced, since
 * one broken reason must not spoil the answer.
 */
void ngx_http_bitrix1c_api_put_string(bitrix_buf_t *buf, ngx_str_t *text);

/* ms as seconds with three digits behind the point */
void ngx_http_bitrix1c_api_put_seconds(bitrix_buf_t *buf, int64_t ms);

/*
 * These send an answer and return what the request is to be finalized with.
 * The buffer is freed in any case.
 */
ngx_int_t ngx_http_bitrix1c_api_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, bitrix_buf_t *buf);
ngx_int_t ngx_http_bitrix1c_api_send_json(ngx_http_request_t *r,
    bitrix_buf_t *buf);

/* a sentence that may quote what the client sent, in the format of errors */
ngx_int_t ngx_http_bitrix1c_api_error(ngx_http_request_t *r,
    ngx_uint_t status, const char *fmt, ...);


#endif /* _NGX_HTTP_BITRIX1C_API_TEXT_H_INCLUDED_ */

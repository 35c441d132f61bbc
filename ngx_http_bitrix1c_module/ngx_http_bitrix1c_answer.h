
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_ANSWER_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_ANSWER_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/* what a sender is told beside the result; all may be empty */
typedef struct {
    ngx_str_t                    id;
    ngx_str_t                    error;      /* static, needs no escaping */
    size_t                       where;      /* byte offset, with an error */
    ngx_uint_t                   status;     /* of 1C, 0: unknown */
} ngx_http_bitrix1c_detail_t;


/* the request's ctx, made if there is none; NULL is lack of memory */
ngx_http_bitrix1c_ctx_t *ngx_http_bitrix1c_get_ctx(ngx_http_request_t *r);

/* "accepted" and so on, for answers, logs and $bitrix1c_result */
ngx_str_t *ngx_http_bitrix1c_result_name(ngx_http_bitrix1c_result_e result);

/* the one line of JSON; without a detail for a result that stands alone */
ngx_int_t ngx_http_bitrix1c_answer_text(ngx_pool_t *pool,
    ngx_http_bitrix1c_result_e result, ngx_http_bitrix1c_detail_t *detail,
    ngx_str_t *text);

void ngx_http_bitrix1c_answer_type(ngx_http_request_t *r);

/* sends header and body; returns what is to be finalized with */
ngx_int_t ngx_http_bitrix1c_answer(ngx_http_request_t *r,
    ngx_http_bitrix1c_ctx_t *ctx, ngx_http_bitrix1c_detail_t *detail);

/* the same for any JSON, which must stay as long as the request */
ngx_int_t ngx_http_bitrix1c_answer_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *text);

/* a header of an answer, its name static; a value of len 0 is left out */
ngx_int_t ngx_http_bitrix1c_answer_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);


#endif /* _NGX_HTTP_BITRIX1C_ANSWER_H_INCLUDED_ */

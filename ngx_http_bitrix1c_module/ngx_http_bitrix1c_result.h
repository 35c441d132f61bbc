
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_RESULT_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_RESULT_H_INCLUDED_


#include "ngx_http_bitrix1c_pack.h"


/* bytes of one answer that are kept; of a longer one only that it came */
#define NGX_HTTP_BITRIX1C_RESULT_MAX  65536


/*
 * The answer to a call as it is kept and shown, into job->answer_text:
 * {"status":200,"result":...} or {"status":400,"error":"CODE",
 * "error_description":"..."}.
 */
void ngx_http_bitrix1c_result_text(ngx_http_bitrix1c_job_t *job,
    bitrix_reply_t *reply);

/*
 * What these calls, at most NGX_HTTP_BITRIX1C_BATCH, were answered goes to
 * Redis: right before their verdict, on the same connection, so that a call
 * which is done has its answer.
 */
ngx_int_t ngx_http_bitrix1c_result_keep(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t **jobs, ngx_uint_t n);

/* the key {b1c:NAME}:r:ID under which it is kept */
ngx_int_t ngx_http_bitrix1c_result_key(ngx_pool_t *pool,
    ngx_http_bitrix1c_queue_t *queue, ngx_str_t *id, ngx_str_t *key);


#endif /* _NGX_HTTP_BITRIX1C_RESULT_H_INCLUDED_ */

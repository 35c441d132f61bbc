
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_CALL_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_CALL_H_INCLUDED_


#include "ngx_http_bitrix1c_batch.h"


/* keys and arguments that stand before those of the jobs, at most */
#define NGX_HTTP_BITRIX1C_FIXED      8

/* one script call under way; owns the list of its words, not the words */
typedef struct {
    ngx_http_bitrix1c_worker_t  *worker;
    ngx_uint_t                   n;
    ngx_uint_t                   argc;
    ngx_str_t                   *argv;
    ngx_http_bitrix1c_job_t    **jobs;

    /* of a claim */
    ngx_uint_t                   asked;
    ngx_uint_t                   slots;
    ngx_uint_t                   probe;
    ngx_atomic_uint_t            snap;
    u_char                       number[NGX_INT_T_LEN];
} ngx_http_bitrix1c_batch_t;


enum {
    NGX_HTTP_BITRIX1C_SCRIPT_ACCEPT = 0,
    NGX_HTTP_BITRIX1C_SCRIPT_ACK,
    NGX_HTTP_BITRIX1C_SCRIPT_CLAIM,
    NGX_HTTP_BITRIX1C_SCRIPT_DEAD,
    NGX_HTTP_BITRIX1C_SCRIPT_EXTEND,
    NGX_HTTP_BITRIX1C_SCRIPT_NACK,
    NGX_HTTP_BITRIX1C_SCRIPT_RESULT,
    NGX_HTTP_BITRIX1C_SCRIPT_CLAIM_CALLS
};


extern ngx_str_t  ngx_http_bitrix1c_zero;
extern ngx_str_t  ngx_http_bitrix1c_one;


/* room for max jobs with so many words each; NULL is lack of memory */
ngx_http_bitrix1c_batch_t *ngx_http_bitrix1c_batch_create(
    ngx_http_bitrix1c_worker_t *w, ngx_uint_t max, ngx_uint_t words);

void ngx_http_bitrix1c_batch_word(ngx_http_bitrix1c_batch_t *b,
    ngx_str_t *word);

/* the handler gets the batch and frees it; unless NGX_DECLINED */
ngx_int_t ngx_http_bitrix1c_batch_send(ngx_http_bitrix1c_batch_t *b,
    ngx_uint_t script, ngx_uint_t nkeys, ngx_http_bitrix1c_reply_pt handler);

/* a reply that does not fit the call; logged unless it, or script, is NULL */
ngx_uint_t ngx_http_bitrix1c_batch_failed(ngx_http_bitrix1c_batch_t *b,
    ngx_http_bitrix1c_reply_t *reply, const char *script);


#endif /* _NGX_HTTP_BITRIX1C_CALL_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_result.h"
#include "ngx_http_bitrix1c_call.h"
#include "ngx_http_bitrix1c_job.h"
#include "bitrix_call.h"
#include "bitrix_json.h"


static ngx_int_t ngx_http_bitrix1c_result_words(ngx_http_bitrix1c_batch_t *b,
    ngx_http_bitrix1c_job_t **jobs, ngx_uint_t n);
static void ngx_http_bitrix1c_result_kept(void *data,
    ngx_http_bitrix1c_reply_t *reply);


#define ngx_http_bitrix1c_put(buf, text)                                     \
    bitrix_json_put(buf, text, sizeof(text) - 1)


void
ngx_http_bitrix1c_result_text(ngx_http_bitrix1c_job_t *job,
    bitrix_reply_t *reply)
{
    char           reason[512];
    bitrix_buf_t   buf;

    ngx_memzero(&buf, sizeof(bitrix_buf_t));

    ngx_http_bitrix1c_put(&buf, "{\"status\":");
    bitrix_json_put_int(&buf, job->outcome.status);

    if (job->result == NGX_HTTP_BITRIX1C_DELIVERED) {
        ngx_http_bitrix1c_put(&buf, ",\"result\":");

        if (reply->result.start == NULL) {
            ngx_http_bitrix1c_put(&buf, "null");

        } else if (reply->result.len > NGX_HTTP_BITRIX1C_RESULT_MAX) {
            ngx_http_bitrix1c_put(&buf, "null,\"too_large\":true");

        } else if (!bitrix_call_result(&buf, reply->result.start,
                                       reply->result.len))
        {
            ngx_http_bitrix1c_put(&buf, "null,\"broken\":true");
        }

    } else {
        ngx_http_bitrix1c_put(&buf, ",\"error\":");
        bitrix_json_put_string(&buf, reply->answer.code[0]
                                     ? reply->answer.code : "NO_ANSWER");

        ngx_http_bitrix1c_put(&buf, ",\"error_description\":");

        *ngx_cpymem(reason, job->reason.data,
                    ngx_min(job->reason.len, sizeof(reason) - 1)) = '\0';
        bitrix_json_put_string(&buf, reason);
    }

    ngx_http_bitrix1c_put(&buf, "}");

    job->answer_text.data = buf.failed
                            ? NULL : ngx_pnalloc(job->pool, buf.len);

    if (job->answer_text.data) {
        ngx_memcpy(job->answer_text.data, buf.start, buf.len);
        job->answer_text.len = buf.len;
    }

    free(buf.start);
}


ngx_int_t
ngx_http_bitrix1c_result_keep(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t **jobs, ngx_uint_t n)
{
    ngx_uint_t                  i;
    ngx_http_bitrix1c_batch_t  *b;

    b = ngx_http_bitrix1c_batch_create(w, n, 2);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_bitrix1c_result_words(b, jobs, n) != NGX_OK) {
        ngx_free(b);
        return NGX_DECLINED;
    }

    if (b->n == 0) {
        ngx_free(b);
        return NGX_OK;
    }

    if (ngx_http_bitrix1c_batch_send(b, NGX_HTTP_BITRIX1C_SCRIPT_RESULT, b->n,
                                     ngx_http_bitrix1c_result_kept)
        != NGX_OK)
    {
        ngx_free(b);
        return NGX_DECLINED;
    }

    for (i = 0; i < b->n; i++) {
        ngx_http_bitrix1c_job_hold(b->jobs[i]);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_bitrix1c_result_words(ngx_http_bitrix1c_batch_t *b,
    ngx_http_bitrix1c_job_t **jobs, ngx_uint_t n)
{
    ngx_str_t                 key;
    ngx_uint_t                i;
    ngx_http_bitrix1c_job_t  *job;

    for (i = 0; i < n; i++) {
        job = jobs[i];

        if (job->answer_text.len == 0) {
            continue;
        }

        if (ngx_http_bitrix1c_result_key(job->pool, job->queue, &job->id, &key)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        b->jobs[b->n++] = job;
        ngx_http_bitrix1c_batch_word(b, &key);
    }

    ngx_http_bitrix1c_batch_word(b, &b->worker->window);

    for (i = 0; i < b->n; i++) {
        ngx_http_bitrix1c_batch_word(b, &b->jobs[i]->answer_text);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_bitrix1c_result_key(ngx_pool_t *pool,
    ngx_http_bitrix1c_queue_t *queue, ngx_str_t *id, ngx_str_t *key)
{
    u_char  *p;

    /* beside the done markers: {b1c:NAME}:k: */

    key->len = queue->prefix.len + id->len;
    key->data = ngx_pnalloc(pool, key->len);

    if (key->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(key->data, queue->prefix.data, queue->prefix.len - 2);
    *p++ = 'r';
    *p++ = ':';
    ngx_memcpy(p, id->data, id->len);

    return NGX_OK;
}


static void
ngx_http_bitrix1c_result_kept(void *data, ngx_http_bitrix1c_reply_t *reply)
{
    ngx_http_bitrix1c_batch_t *b = data;

    ngx_uint_t  i, n;

    /* the reply is one number, which a count of elements does not fit */

    n = b->n;
    b->n = 0;

    (void) ngx_http_bitrix1c_batch_failed(b, reply, "result");

    for (i = 0; i < n; i++) {
        ngx_http_bitrix1c_job_release(b->jobs[i]);
    }

    ngx_free(b);
}

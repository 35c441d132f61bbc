
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_core.h"
#include "b1c_bitrix.h"
#include "b1c_job.h"
#include "b1c_queue_internal.h"


static void ngx_b1c_call_result_failed(b1c_buf_t *buf, ngx_b1c_job_t *job,
    b1c_reply_t *reply);
static ngx_int_t ngx_b1c_call_result_words(ngx_b1c_script_t *b,
    ngx_b1c_job_t **jobs, ngx_uint_t n);
static void ngx_b1c_call_result_kept(void *data, ngx_b1c_reply_t *reply);


#define ngx_b1c_put(buf, text)                                     \
    b1c_json_write_put(buf, text, sizeof(text) - 1)


void
ngx_b1c_call_result_text(ngx_b1c_job_t *job, b1c_reply_t *reply)
{
    char       reason[512];
    b1c_buf_t  buf;

    ngx_memzero(&buf, sizeof(b1c_buf_t));

    ngx_b1c_put(&buf, "{\"status\":");
    b1c_json_write_put_int(&buf, job->attempt.outcome.status);

    if (job->result == NGX_B1C_DELIVERED) {
        ngx_b1c_put(&buf, ",\"result\":");

        if (reply->too_large) {
            ngx_b1c_put(&buf, "null,\"too_large\":true");

        } else if (reply->result.start == NULL) {
            ngx_b1c_put(&buf, "null");

        } else if (reply->result.len > NGX_B1C_RESULT_MAX) {
            ngx_b1c_put(&buf, "null,\"too_large\":true");

        } else if (!b1c_call_result(&buf, reply->result.start,
                                    reply->result.len))
        {
            ngx_b1c_put(&buf, "null,\"broken\":true");
        }

        ngx_b1c_call_result_failed(&buf, job, reply);

    } else {
        ngx_b1c_put(&buf, ",\"error\":");
        b1c_json_write_put_string(&buf, reply->answer.code[0]
                                        ? reply->answer.code : "NO_ANSWER");

        ngx_b1c_put(&buf, ",\"error_description\":");

        *ngx_cpymem(reason, job->reason.data,
                    ngx_min(job->reason.len, sizeof(reason) - 1)) = '\0';
        b1c_json_write_put_string(&buf, reason);
    }

    ngx_b1c_put(&buf, "}");

    ngx_b1c_call(job)->answer.data = buf.failed
                            ? NULL : ngx_pnalloc(job->pool, buf.len);

    if (ngx_b1c_call(job)->answer.data) {
        ngx_memcpy(ngx_b1c_call(job)->answer.data, buf.start, buf.len);
        ngx_b1c_call(job)->answer.len = buf.len;
    }

    free(buf.start);
}


/* a batch of the caller is done, but its commands may not be */
static void
ngx_b1c_call_result_failed(b1c_buf_t *buf, ngx_b1c_job_t *job,
    b1c_reply_t *reply)
{
    size_t      n;
    ngx_str_t  *name;

    name = &job->event.name;

    if (name->len != 5
        || ngx_strncasecmp(name->data, (u_char *) "batch", 5) != 0)
    {
        return;
    }

    n = b1c_batch_failed(reply->result);

    if (n == 0) {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, job->log, 0,
                  "bitrix1c_rest: %uz commands of the batch %V failed, its "
                  "answer has their errors", n, &job->id);

    ngx_b1c_put(buf, ",\"failed\":");
    b1c_json_write_put_int(buf, n);
}


ngx_int_t
ngx_b1c_call_result_keep(ngx_b1c_worker_t *w, ngx_b1c_job_t **jobs,
    ngx_uint_t n)
{
    ngx_uint_t         i;
    ngx_b1c_script_t  *b;

    b = ngx_b1c_script_create(w, n, 2);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_b1c_call_result_words(b, jobs, n) != NGX_OK) {
        ngx_free(b);
        return NGX_DECLINED;
    }

    if (b->n == 0) {
        ngx_free(b);
        return NGX_OK;
    }

    if (ngx_b1c_script_send(b, NGX_B1C_SCRIPT_RESULT, b->n,
                            ngx_b1c_call_result_kept)
        != NGX_OK)
    {
        ngx_free(b);
        return NGX_DECLINED;
    }

    for (i = 0; i < b->n; i++) {
        ngx_b1c_job_ref(b->jobs[i]);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_call_result_words(ngx_b1c_script_t *b, ngx_b1c_job_t **jobs,
    ngx_uint_t n)
{
    ngx_str_t       key;
    ngx_uint_t      i;
    ngx_b1c_job_t  *job;

    for (i = 0; i < n; i++) {
        job = jobs[i];

        if (ngx_b1c_call(job)->answer.len == 0) {
            continue;
        }

        if (ngx_b1c_call_result_key(job->pool, job->queue, &job->id, &key)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        b->jobs[b->n++] = job;
        ngx_b1c_script_word(b, &key);
    }

    ngx_b1c_script_word(b, &b->worker->window);

    for (i = 0; i < b->n; i++) {
        ngx_b1c_script_word(b, &ngx_b1c_call(b->jobs[i])->answer);
    }

    return NGX_OK;
}


ngx_int_t
ngx_b1c_call_result_key(ngx_pool_t *pool, ngx_b1c_queue_t *queue,
    ngx_str_t *id, ngx_str_t *key)
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
ngx_b1c_call_result_kept(void *data, ngx_b1c_reply_t *reply)
{
    ngx_b1c_script_t *b = data;

    ngx_uint_t  i, n;

    /* the reply is one number, so a count of elements cannot be checked */

    n = b->n;
    b->n = 0;

    (void) ngx_b1c_script_failed(b, reply, "result");

    for (i = 0; i < n; i++) {
        ngx_b1c_job_unref(b->jobs[i]);
    }

    ngx_free(b);
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_queue.h"
#include "b1c_job.h"
#include "b1c_http.h"


static void ngx_b1c_park_cleanup(void *data);
static void ngx_b1c_park_free(void *data);


ngx_int_t
ngx_b1c_park_add(ngx_http_request_t *r, ngx_b1c_ctx_t *ctx, ngx_b1c_job_t *job)
{
    ngx_http_cleanup_t  *cln;
    ngx_pool_cleanup_t  *pcln;

    ctx->job = job;

    cln = ngx_http_cleanup_add(r, 0);
    pcln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL || pcln == NULL) {
        ctx->job = NULL;
        ngx_b1c_job_unref(job);
        return NGX_ERROR;
    }

    cln->handler = ngx_b1c_park_cleanup;
    cln->data = ctx;

    /* after the log phase, which may use the variables */

    pcln->handler = ngx_b1c_park_free;
    pcln->data = job;

    return NGX_OK;
}


static void
ngx_b1c_park_cleanup(void *data)
{
    ngx_b1c_ctx_t  *ctx = data;

    ngx_b1c_park_remove(ctx);
}


static void
ngx_b1c_park_free(void *data)
{
    ngx_b1c_job_unref(data);
}


void
ngx_b1c_park_accept(ngx_http_request_t *r, ngx_b1c_job_t *job,
    void (*answer)(ngx_b1c_job_t *job))
{
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    job->request = r;
    job->answer = answer;

    ngx_b1c_job_ref(job);
    ngx_b1c_queue_accept(job);
}


void
ngx_b1c_park_remove(ngx_b1c_ctx_t *ctx)
{
    ctx->job->request = NULL;
    ngx_b1c_queue_forget(ctx->job);

    if (ctx->wait.timer_set) {
        ngx_del_timer(&ctx->wait);
    }
}

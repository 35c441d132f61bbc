
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_delivery.h"
#include "b1c_job.h"


static ngx_int_t ngx_b1c_delivery_head_names(ngx_b1c_job_t *job,
    ngx_http_request_t *r);
static ngx_int_t ngx_b1c_delivery_head_signature(ngx_b1c_job_t *job,
    ngx_http_request_t *r);
static ngx_table_elt_t *ngx_b1c_delivery_head_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);


ngx_int_t
ngx_b1c_delivery_head_build(ngx_b1c_job_t *job, ngx_http_request_t *r,
    off_t len)
{
    ngx_str_t         length;
    ngx_table_elt_t  *h;

    static ngx_str_t  json = ngx_string("application/json");

    if (ngx_list_init(&r->headers_in.headers, r->pool, 8,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    h = ngx_b1c_delivery_head_header(r, "Content-Type", &json);
    if (h == NULL) {
        return NGX_ERROR;
    }

    r->headers_in.content_type = h;

    /* 1C's web extension may not support chunked bodies */

    length.data = ngx_pnalloc(r->pool, NGX_OFF_T_LEN);
    if (length.data == NULL) {
        return NGX_ERROR;
    }

    length.len = ngx_sprintf(length.data, "%O", len) - length.data;

    h = ngx_b1c_delivery_head_header(r, "Content-Length", &length);
    if (h == NULL) {
        return NGX_ERROR;
    }

    r->headers_in.content_length = h;
    r->headers_in.content_length_n = len;

    if (job->attempt.body.data) {
        return ngx_b1c_delivery_head_header(r, "Accept", &json)
               ? NGX_OK : NGX_ERROR;
    }

    return ngx_b1c_delivery_head_names(job, r);
}


/* headers that identify the event and prove its origin */
static ngx_int_t
ngx_b1c_delivery_head_names(ngx_b1c_job_t *job, ngx_http_request_t *r)
{
    ngx_str_t  now, attempt;

    now.data = ngx_pnalloc(r->pool, 2 * NGX_INT64_LEN);
    if (now.data == NULL) {
        return NGX_ERROR;
    }

    attempt.data = now.data + NGX_INT64_LEN;

    now.len = ngx_sprintf(now.data, "%T", ngx_time()) - now.data;
    attempt.len = ngx_sprintf(attempt.data, "%ui", job->lease.attempts + 1)
                  - attempt.data;

    if (ngx_b1c_delivery_head_header(r, "Webhook-Id", &job->id) == NULL
        || ngx_b1c_delivery_head_header(r, "Idempotency-Key", &job->id)
           == NULL
        || ngx_b1c_delivery_head_header(r, "X-Bitrix-Event",
                                        &job->event.name)
           == NULL
        || ngx_b1c_delivery_head_header(r, "Webhook-Timestamp", &now)
           == NULL
        || ngx_b1c_delivery_head_header(r, "X-Bitrix1c-Attempt",
                                        &attempt)
           == NULL)
    {
        return NGX_ERROR;
    }

    return ngx_b1c_delivery_head_signature(job, r);
}


static ngx_int_t
ngx_b1c_delivery_head_signature(ngx_b1c_job_t *job, ngx_http_request_t *r)
{
    ngx_str_t            signature, parts[2];
    ngx_chain_t         *cl;
    ngx_b1c_loc_conf_t  *lcf;

    lcf = job->route->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];

    if (lcf->webhook.sign == NULL) {
        return NGX_OK;
    }

    cl = r->request_body->bufs;

    parts[0].data = cl->buf->pos;
    parts[0].len = cl->buf->last - cl->buf->pos;
    parts[1] = job->event.tail;

    if (ngx_b1c_sign_header(r->pool, lcf->webhook.sign, &job->id, ngx_time(),
                            &parts[0], &parts[1], &signature)
        != NGX_OK
        || ngx_b1c_delivery_head_header(r, "Webhook-Signature",
                                        &signature)
           == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_table_elt_t *
ngx_b1c_delivery_head_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NULL;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

    h->lowcase_key = ngx_pnalloc(r->pool, h->key.len);
    if (h->lowcase_key == NULL) {
        return NULL;
    }

    h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, h->key.len);

    return h;
}

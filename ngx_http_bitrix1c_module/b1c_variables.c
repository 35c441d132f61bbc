
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_variables.h"
#include "b1c_bitrix.h"
#include "b1c_job.h"
#include "b1c_http.h"
#include "b1c_rest.h"


static ngx_b1c_ctx_t *ngx_b1c_variables_ctx(ngx_http_request_t *r);
static ngx_int_t ngx_b1c_variables_word(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_b1c_variables_method(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_b1c_variables_ts(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_b1c_variables_attempt(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_b1c_variables_result(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_b1c_variables_reason(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_b1c_variables_data(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_b1c_variables_set(ngx_http_variable_value_t *v, u_char *data,
    size_t len);


/* not cacheable: the id changes when Redis coalesces the event */
static ngx_http_variable_t  ngx_b1c_variables[] = {

    { ngx_string("bitrix1c_id"), NULL, ngx_b1c_variables_word,
      offsetof(ngx_b1c_job_t, id),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("bitrix1c_event"), NULL, ngx_b1c_variables_word,
      offsetof(ngx_b1c_job_t, event.name),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("bitrix1c_entity_type"), NULL,
      ngx_b1c_variables_word,
      offsetof(ngx_b1c_job_t, event.type),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("bitrix1c_entity_id"), NULL,
      ngx_b1c_variables_word,
      offsetof(ngx_b1c_job_t, event.id),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("bitrix1c_member_id"), NULL,
      ngx_b1c_variables_word,
      offsetof(ngx_b1c_job_t, event.member_id),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("bitrix1c_domain"), NULL, ngx_b1c_variables_word,
      offsetof(ngx_b1c_job_t, event.domain),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("bitrix1c_ts"), NULL, ngx_b1c_variables_ts,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("bitrix1c_attempt"), NULL,
      ngx_b1c_variables_attempt,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("bitrix1c_result"), NULL, ngx_b1c_variables_result,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("bitrix1c_reason"), NULL, ngx_b1c_variables_reason,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("bitrix1c_method"), NULL, ngx_b1c_variables_method,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("bitrix1c_data_"), NULL, ngx_b1c_variables_data,
      0, NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

      ngx_http_null_variable
};


/* the main request is a client's or a detached one of a delivery */
static ngx_b1c_ctx_t *
ngx_b1c_variables_ctx(ngx_http_request_t *r)
{
    return ngx_http_get_module_ctx(r->main, ngx_http_bitrix1c_module);
}


static ngx_int_t
ngx_b1c_variables_word(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t      *word;
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_b1c_variables_ctx(r);

    if (ctx == NULL || ctx->job == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    word = (ngx_str_t *) ((u_char *) ctx->job + data);

    if (word->data == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_b1c_variables_set(v, word->data, word->len);

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_variables_method(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t      *method;
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_b1c_variables_ctx(r);

    if (ctx == NULL || ctx->rest == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    method = ngx_b1c_rest_method(ctx->rest);

    ngx_b1c_variables_set(v, method->data, method->len);

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_variables_ts(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char         *p;
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_b1c_variables_ctx(r);

    if (ctx == NULL || ctx->job == NULL || ctx->job->event.ts == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_b1c_variables_set(v, p, ngx_sprintf(p, "%L", ctx->job->event.ts) - p);

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_variables_attempt(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char         *p;
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_b1c_variables_ctx(r);

    if (ctx == NULL || !ctx->delivery) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_b1c_variables_set(v, p,
                          ngx_sprintf(p, "%ui", ctx->job->lease.attempts + 1)
                          - p);

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_variables_result(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t      *name;
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_b1c_variables_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (ctx->delivery) {
        name = ngx_b1c_answer_name(ctx->job->attempt.outcome.done
                                          ? ctx->job->result
                                          : NGX_B1C_NONE);
    } else {
        name = ngx_b1c_answer_name(ctx->result);
    }

    if (name->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_b1c_variables_set(v, name->data, name->len);

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_variables_reason(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_b1c_job_t  *job;
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_b1c_variables_ctx(r);
    job = ctx ? ctx->job : NULL;

    if (job == NULL || !ctx->delivery || !job->attempt.outcome.done
        || job->result == NGX_B1C_DELIVERED)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_b1c_variables_set(v, job->reason.data, job->reason.len);

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_variables_data(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t *name = (ngx_str_t *) data;

    char            buf[64];
    u_char         *p;
    size_t          i, len, prefix;
    const char     *text;
    b1c_event_t    *ev;
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_b1c_variables_ctx(r);

    /* an event that was refused or ignored has no JSON */

    if (ctx == NULL || ctx->job == NULL || ctx->job->event.tail.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    ev = ngx_b1c_job_parsed(ctx->job);
    if (ev == NULL) {
        return NGX_ERROR;
    }

    prefix = sizeof("bitrix1c_data_") - 1;

    text = b1c_event_data(ev->data, (char *) name->data + prefix,
                          name->len - prefix, buf, sizeof(buf));
    if (text == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    len = ngx_strlen(text);

    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    /* customers' text: a line break would end the header that contains it */

    for (i = 0; i < len; i++) {
        p[i] = ((u_char) text[i] < 0x20) ? ' ' : (u_char) text[i];
    }

    ngx_b1c_variables_set(v, p, len);

    return NGX_OK;
}


static void
ngx_b1c_variables_set(ngx_http_variable_value_t *v, u_char *data, size_t len)
{
    v->data = data;
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}


ngx_int_t
ngx_b1c_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_b1c_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}

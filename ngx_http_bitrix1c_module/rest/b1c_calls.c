
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_core.h"
#include "b1c_bitrix.h"
#include "b1c_job.h"
#include "b1c_http.h"
#include "b1c_queue.h"


/* bytes of a caller's Idempotency-Key, as in Bitrix's REST 3.0 */
#define NGX_B1C_KEY_MAX  255


static void ngx_b1c_calls_traces(cJSON *params);
static ngx_int_t ngx_b1c_calls_job(ngx_http_request_t *r, b1c_event_t *ev);
static ngx_int_t ngx_b1c_calls_record(ngx_http_request_t *r,
    ngx_b1c_job_t *job, b1c_event_t *ev);
static ngx_int_t ngx_b1c_calls_identity(ngx_http_request_t *r,
    ngx_b1c_job_t *job, b1c_event_t *ev);
static ngx_int_t ngx_b1c_calls_row(ngx_b1c_loc_conf_t *lcf, ngx_b1c_job_t *job,
    b1c_event_t *ev, ngx_str_t *row);
static ngx_int_t ngx_b1c_calls_fields(ngx_array_t *fields, ngx_pool_t *pool,
    b1c_event_t *ev, ngx_str_t *row);
static void ngx_b1c_calls_stored(ngx_b1c_job_t *job);
static ngx_int_t ngx_b1c_calls_answer(ngx_http_request_t *r,
    ngx_b1c_job_t *job);


ngx_uint_t
ngx_b1c_calls_wanted(ngx_http_request_t *r, ngx_str_t *method)
{
    ngx_str_t           *prefer;
    ngx_uint_t           i;
    ngx_b1c_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    if (lcf->rest.route->queue->ops != &ngx_b1c_call_batch_ops) {
        return 0;
    }

    if (ngx_b1c_conf_matches(lcf->rest.async, method)) {
        return 1;
    }

    for (i = 0; /* void */ ; i++) {
        prefer = ngx_b1c_origin_header(r, "Prefer", i);

        if (prefer == NULL) {
            return 0;
        }

        if (b1c_method_prefers((char *) prefer->data, prefer->len,
                               "respond-async"))
        {
            return 1;
        }
    }
}


ngx_int_t
ngx_b1c_calls_store(ngx_b1c_rest_t *rest)
{
    ngx_int_t            rc;
    ngx_str_t           *key;
    b1c_rc_t             brc;
    b1c_event_t          ev;
    b1c_error_t          err;
    ngx_http_request_t  *r;

    r = rest->request;

    key = ngx_b1c_origin_header(r, "Idempotency-Key", 0);

    if (key && (key->len == 0 || key->len > NGX_B1C_KEY_MAX
                || ngx_b1c_origin_header(r, "Idempotency-Key", 1)))
    {
        return ngx_b1c_calls_refuse(r, NGX_HTTP_BAD_REQUEST,
                                    "BITRIX1C_BAD_REQUEST", "Idempotency-Key "
                                                            "must be given "
                                                            "once and have 1 "
                                                            "to 255 bytes");
    }

    if (rest->door.parts.n) {
        return ngx_b1c_calls_refuse(r, NGX_HTTP_BAD_REQUEST,
                                    "BITRIX1C_BAD_REQUEST", "a call with "
                                    "files in multipart/form-data cannot be "
                                    "kept");
    }

    ngx_b1c_calls_traces(rest->door.params);

    brc = b1c_call_build(&ev, (char *) rest->method.data, rest->method.len,
                         (char *) rest->portal->name.data,
                         rest->portal->name.len, NULL, NULL,
                         rest->door.params, &err);

    if (brc == B1C_NOMEM) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (brc != B1C_OK) {
        return ngx_b1c_calls_refuse(r, NGX_HTTP_BAD_REQUEST,
                                    "BITRIX1C_BAD_REQUEST",
                                    err.what);
    }

    rc = ngx_b1c_calls_job(r, &ev);

    b1c_event_free(&ev);

    return rc;
}


/* Bitrix' own programs number each request, which is no part of the call */
static void
ngx_b1c_calls_traces(cJSON *params)
{
    ngx_uint_t  i;

    static const char *const  names[] = {
        "bx24_request_id", "bx24_sdk_ver", "bx24_sdk_type"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        cJSON_DeleteItemFromObjectCaseSensitive(params, names[i]);
    }
}


static ngx_int_t
ngx_b1c_calls_job(ngx_http_request_t *r, b1c_event_t *ev)
{
    ngx_int_t            rc;
    ngx_b1c_ctx_t       *ctx;
    ngx_b1c_job_t       *job;
    ngx_b1c_loc_conf_t  *lcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);
    lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    job = ngx_b1c_job_create(lcf->rest.route->queue, ngx_cycle->log);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_b1c_park_add(r, ctx, job) != NGX_OK
        || ngx_b1c_job_event(job, ev) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_b1c_calls_record(r, job, ev);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_b1c_calls_identity(r, job, ev) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_b1c_park_accept(r, job, ngx_b1c_calls_stored);

    return NGX_DONE;
}


static ngx_int_t
ngx_b1c_calls_record(ngx_http_request_t *r, ngx_b1c_job_t *job,
    b1c_event_t *ev)
{
    char                      *tail;
    size_t                     len;
    ngx_int_t                  rc;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_core_srv_conf_t  *cscf;

    tail = b1c_event_json(ev, ngx_time(), &len);
    if (tail == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    /* the location would refuse the call when it is sent */

    if (clcf->client_max_body_size
        && clcf->client_max_body_size < (off_t) len)
    {
        free(tail);
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    rc = ngx_b1c_job_record(job, &cscf->server_name, &clcf->name,
                            (u_char *) tail, len);
    free(tail);

    return rc == NGX_OK ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/*
 * A call with the caller's Idempotency-Key is executed once.  A call of
 * bitrix1c_coalesce writes a row whose newest value counts: it may replace a
 * waiting one, but a repetition of a done one is executed again.  Any other
 * call is unique.
 */
static ngx_int_t
ngx_b1c_calls_identity(ngx_http_request_t *r, ngx_b1c_job_t *job,
    b1c_event_t *ev)
{
    ngx_int_t            rc;
    ngx_str_t            key, lane, *name;
    ngx_b1c_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    ngx_str_null(&lane);

    if (lcf->lane
        && ngx_http_complex_value(r, lcf->lane, &lane) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_b1c_calls_row(lcf, job, ev, &key);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    /* a call of an entity stays in line with all others of it */

    if (rc == NGX_OK && lane.len == 0 && job->event.id.len == 0) {
        lane = key;
    }

    name = ngx_b1c_origin_header(r, "Idempotency-Key", 0);
    job->identity.once = 1;

    if (name) {
        key.len = sizeof("key   ") - 1 + job->event.domain.len
                  + job->event.name.len + name->len;
        key.data = ngx_pnalloc(job->pool, key.len);
        if (key.data == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_sprintf(key.data, "key %V %V %V", &job->event.domain,
                           &job->event.name, name);

        /* Bitrix has one method, however it is written */

        ngx_strlow(key.data, key.data, key.len - name->len);

    } else if (rc == NGX_OK) {
        job->identity.once = 0;

    } else {
        key = job->id;
    }

    /*
     * No earlier delivery can include this call, and it must not overtake
     * another: the value is larger than any time and than that of an event
     * without one.
     */

    if (ngx_b1c_job_number(job, (int64_t) 1 << 53, &job->lease.since)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_b1c_job_identity(job, &key, &lane);
}


/* the name of the row that the call writes; NGX_DECLINED: there is none */
static ngx_int_t
ngx_b1c_calls_row(ngx_b1c_loc_conf_t *lcf, ngx_b1c_job_t *job, b1c_event_t *ev,
    ngx_str_t *row)
{
    ngx_str_t           *name;
    ngx_uint_t           i;
    ngx_b1c_coalesce_t  *rule;

    if (lcf->rest.coalesce == NULL) {
        return NGX_DECLINED;
    }

    rule = lcf->rest.coalesce->elts;
    name = &job->event.name;

    for (i = 0; i < lcf->rest.coalesce->nelts; i++) {
        if (b1c_glob_match((char *) rule[i].method.data,
                           rule[i].method.len, (char *) name->data,
                           name->len))
        {
            return ngx_b1c_calls_fields(rule[i].fields, job->pool, ev, row);
        }
    }

    return NGX_DECLINED;
}


/*
 * "row PORTAL METHOD LEN:VALUE LEN:VALUE"; the lengths make the names of
 * different rows different
 */
static ngx_int_t
ngx_b1c_calls_fields(ngx_array_t *fields, ngx_pool_t *pool, b1c_event_t *ev,
    ngx_str_t *row)
{
    u_char       *p;
    size_t        size;
    ngx_str_t    *field;
    ngx_uint_t    i;
    const char   *value;
    b1c_number_t  number;

    size = sizeof("row  ") + ngx_strlen(ev->domain) + ngx_strlen(ev->event)
           + fields->nelts * (B1C_ENTITY_MAX + NGX_SIZE_T_LEN + 2);

    row->data = ngx_pnalloc(pool, size);
    if (row->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(row->data, "row %s %s", ev->domain, ev->event);
    ngx_strlow(row->data, row->data, p - row->data);
    field = fields->elts;

    for (i = 0; i < fields->nelts; i++) {
        value = b1c_call_field(ev->data, (char *) field[i].data, field[i].len,
                               number);

        /* a row is unknown if one of its parameters is missing */

        if (value == NULL) {
            return NGX_DECLINED;
        }

        p = ngx_sprintf(p, " %uz:%s", ngx_strlen(value), value);
    }

    row->len = p - row->data;

    return NGX_OK;
}


static void
ngx_b1c_calls_stored(ngx_b1c_job_t *job)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;
    ngx_b1c_ctx_t       *ctx;

    r = job->request;

    if (r == NULL) {
        return;
    }

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);

    ctx->result = job->result;

    ngx_b1c_report_taken(job->queue, job->result);
    ngx_b1c_park_remove(ctx);
    ngx_http_set_log_request(c->log, r);

    if (job->result == NGX_B1C_UNAVAILABLE) {
        rc = ngx_b1c_calls_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                    "BITRIX1C_UNAVAILABLE", "the call could "
                                    "not be stored, send it again");

    } else {
        rc = ngx_b1c_calls_answer(r, job);
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/* RFC 7240, 3: 202, the address of the result, Preference-Applied */
static ngx_int_t
ngx_b1c_calls_answer(ngx_http_request_t *r, ngx_b1c_job_t *job)
{
    ngx_str_t                  text, where, *result, *prefix;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_b1c_ctx_t             *ctx;

    static ngx_str_t  applied = ngx_string("respond-async");

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    prefix = &clcf->name;
    result = ngx_b1c_answer_name(job->result);

    where.len = prefix->len + sizeof("bitrix1c/calls/") - 1 + job->id.len;
    where.data = ngx_pnalloc(r->pool, where.len);

    text.len = sizeof("{\"result\":{\"id\":\"\",\"state\":\"\"}}\n") - 1
               + job->id.len + result->len;
    text.data = ngx_pnalloc(r->pool, text.len);

    if (where.data == NULL || text.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_sprintf(where.data, "%Vbitrix1c/calls/%V", prefix, &job->id);
    (void) ngx_sprintf(text.data, "{\"result\":{\"id\":\"%V\",\"state\":"
                       "\"%V\"}}\n", &job->id, result);

    if (ngx_b1c_answer_header(r, "Location", &where) != NGX_OK
        || ngx_b1c_answer_header(r, "Preference-Applied", &applied)
           != NGX_OK
        || ngx_b1c_answer_header(r, "Warning", &ctx->rest->warning)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_b1c_answer_send(r, NGX_HTTP_ACCEPTED, &text);
}


ngx_int_t
ngx_b1c_calls_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *text)
{
    ngx_b1c_error_t  error;

    ngx_memzero(&error, sizeof(ngx_b1c_error_t));

    error.status = status;
    error.code = code;
    error.text = text;

    return ngx_b1c_error_send(r, &error);
}

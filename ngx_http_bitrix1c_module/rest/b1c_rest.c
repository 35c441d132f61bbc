
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_core.h"
#include "b1c_bitrix.h"
#include "b1c_base.h"
#include "b1c_http.h"


/* limits of a command's shape; client_max_body_size bounds the batch */
static const b1c_limits_t  ngx_b1c_rest_limits = {
    100000, 64, 1024
};


static ngx_int_t ngx_b1c_rest_stop(ngx_http_request_t *r,
    ngx_b1c_error_t *error);
static ngx_int_t ngx_b1c_rest_subrequest(ngx_http_request_t *r);
static ngx_int_t ngx_b1c_rest_create(ngx_http_request_t *r,
    ngx_b1c_loc_conf_t *lcf);
static void ngx_b1c_rest_free(void *data);
static ngx_int_t ngx_b1c_rest_name(ngx_http_request_t *r,
    ngx_b1c_loc_conf_t *lcf, ngx_str_t *path, ngx_str_t *method,
    ngx_b1c_error_t *error);
static void ngx_b1c_rest_slashes(ngx_str_t *path);
static ngx_int_t ngx_b1c_rest_refuse(ngx_http_request_t *r,
    ngx_b1c_error_t *error);
static void ngx_b1c_rest_body(ngx_http_request_t *r);
static ngx_int_t ngx_b1c_rest_intake(ngx_b1c_rest_t *rest, ngx_str_t *body);
static ngx_int_t ngx_b1c_rest_uri(ngx_b1c_rest_t *rest, ngx_str_t *name,
    ngx_str_t *prefix);
static ngx_uint_t ngx_b1c_rest_reads(ngx_b1c_rest_t *rest);
static ngx_int_t ngx_b1c_rest_batch(ngx_b1c_rest_t *rest);
static ngx_int_t ngx_b1c_rest_trap(ngx_b1c_rest_t *rest);
static ngx_int_t ngx_b1c_rest_error(ngx_b1c_rest_t *rest, ngx_uint_t status,
    const char *code, const char *text);


ngx_int_t
ngx_b1c_rest_entry(ngx_http_request_t *r)
{
    ngx_b1c_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    if (lcf->rest.route) {
        ngx_b1c_redact_log(r->main);
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_b1c_rest_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_str_t            method, path, *prefix;
    ngx_b1c_ctx_t       *ctx;
    ngx_b1c_error_t      error;
    ngx_b1c_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    if (lcf->rest.route == NULL) {
        return NGX_DECLINED;
    }

    if (r != r->main) {
        return ngx_b1c_rest_subrequest(r);
    }

    ngx_memzero(&error, sizeof(ngx_b1c_error_t));

    prefix = &lcf->rest.route->clcf->name;

    if (!ngx_b1c_origin_known(r, lcf->rest.route->names)) {
        error.status = NGX_HTTP_FORBIDDEN;
        error.code = "BITRIX1C_UNKNOWN_NAME";
        error.text = "the name in the address does not belong to this server: "
                     "use a number, or add the name to server_name or to "
                     "bitrix1c_rest";

        return ngx_b1c_rest_stop(r, &error);
    }

    if (r->uri.len > prefix->len) {
        path.data = r->uri.data + prefix->len;
        path.len = r->uri.len - prefix->len;

        rc = ngx_b1c_calls_show(r, &path);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (ngx_b1c_rest_name(r, lcf, &path, &method, &error) != NGX_OK) {
        return ngx_b1c_rest_stop(r, &error);
    }

    if (ngx_b1c_rest_create(r, lcf) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);
    ctx->rest->method = method;

    if (ngx_b1c_rest_uri(ctx->rest, &path, prefix) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_b1c_body_read(r, ngx_b1c_rest_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


/* refuses a call whose body has not been read */
static ngx_int_t
ngx_b1c_rest_stop(ngx_http_request_t *r, ngx_b1c_error_t *error)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_b1c_rest_refuse(r, error);

    /* a phase handler that has answered finalizes the request itself */

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


/* a "mirror" or similar of another location would bypass the checks */
static ngx_int_t
ngx_b1c_rest_subrequest(ngx_http_request_t *r)
{
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_bitrix1c_module);

    if (ctx && ctx->delivery) {
        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "bitrix1c refused a call: it is a subrequest of another "
                  "location");

    return NGX_HTTP_FORBIDDEN;
}


static ngx_int_t
ngx_b1c_rest_create(ngx_http_request_t *r, ngx_b1c_loc_conf_t *lcf)
{
    ngx_pool_cleanup_t  *cln;
    ngx_b1c_ctx_t       *ctx;
    ngx_b1c_rest_t      *rest;

    ctx = ngx_b1c_ctx_get(r);
    rest = ngx_pcalloc(r->pool, sizeof(ngx_b1c_rest_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (ctx == NULL || rest == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    rest->request = r;
    rest->conf = lcf->rest.route;
    rest->portal = lcf->rest.route->portal;
    rest->max_wait = lcf->rest.max_wait;
    rest->arrived = ngx_current_msec;

    cln->handler = ngx_b1c_rest_free;
    cln->data = rest;

    ctx->rest = rest;

    return NGX_OK;
}


static void
ngx_b1c_rest_free(void *data)
{
    ngx_b1c_rest_t *rest = data;

    if (rest->batch) {
        b1c_batch_free(rest->batch);
    }

    b1c_door_free(&rest->door);
}


static ngx_int_t
ngx_b1c_rest_name(ngx_http_request_t *r, ngx_b1c_loc_conf_t *lcf,
    ngx_str_t *path, ngx_str_t *method, ngx_b1c_error_t *error)
{
    size_t       len;
    const char  *name, *what;
    ngx_str_t   *prefix;

    len = 0;
    name = NULL;
    prefix = &lcf->rest.route->clcf->name;

    if (r->method != NGX_HTTP_GET && r->method != NGX_HTTP_POST) {
        error->status = NGX_HTTP_NOT_ALLOWED;
        error->code = "BITRIX1C_GET_OR_POST";
        error->text = "a call must be a GET or a POST";
        return NGX_DECLINED;
    }

    if (ngx_b1c_origin_foreign(r)) {
        error->status = NGX_HTTP_FORBIDDEN;
        error->code = "BITRIX1C_CROSS_SITE";
        error->text = "the call comes from a browser that shows a page of "
                      "another site";
        return NGX_DECLINED;
    }

    error->status = NGX_HTTP_BAD_REQUEST;
    error->code = "BITRIX1C_BAD_METHOD";

    what = b1c_method_path((char *) r->unparsed_uri.data, r->unparsed_uri.len);

    if (what == NULL) {

        /* the location may have been selected by another address */

        what = "a rewrite has changed the address";

        if (r->uri.len >= prefix->len
            && ngx_memcmp(r->uri.data, prefix->data, prefix->len) == 0)
        {
            path->data = r->uri.data + prefix->len;
            path->len = r->uri.len - prefix->len;

            ngx_b1c_rest_slashes(path);

            what = b1c_method_method((char *) path->data, path->len, &name,
                                     &len);
        }
    }

    if (what) {
        error->text = what;
        return NGX_DECLINED;
    }

    method->data = (u_char *) name;
    method->len = len;

    /* the commands of a batch are checked separately */

    if ((len == 5 && ngx_strncasecmp(method->data, (u_char *) "batch", 5) == 0)
        || ngx_b1c_conf_matches(lcf->rest.methods, method))
    {
        return NGX_OK;
    }

    error->status = NGX_HTTP_FORBIDDEN;
    error->code = "BITRIX1C_METHOD_FORBIDDEN";
    error->text = "bitrix1c_methods of this gateway does not allow the method";

    return NGX_DECLINED;
}


/* Bitrix takes any number of them, and its programs send some */
static void
ngx_b1c_rest_slashes(ngx_str_t *path)
{
    while (path->len && path->data[0] == '/') {
        path->data++;
        path->len--;
    }

    while (path->len && path->data[path->len - 1] == '/') {
        path->len--;
    }
}


/* the name as it was written: some methods of Bitrix have capitals in theirs */
static ngx_int_t
ngx_b1c_rest_uri(ngx_b1c_rest_t *rest, ngx_str_t *name, ngx_str_t *prefix)
{
    ngx_str_t  *uri;

    uri = &rest->uri;

    uri->len = prefix->len + name->len;
    uri->data = ngx_pnalloc(rest->request->pool, uri->len);

    if (uri->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ngx_cpymem(uri->data, prefix->data, prefix->len), name->data,
               name->len);

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_rest_refuse(ngx_http_request_t *r, ngx_b1c_error_t *error)
{
    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "bitrix1c refused a call: %s", error->text);

    return ngx_b1c_error_send(r, error);
}


static void
ngx_b1c_rest_body(ngx_http_request_t *r)
{
    ngx_int_t        rc;
    ngx_str_t        body;
    ngx_uint_t       store;
    ngx_b1c_ctx_t   *ctx;
    ngx_b1c_rest_t  *rest;

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);
    rest = ctx->rest;

    if (ngx_b1c_body_text(r, &body) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (r->connection->error) {

        /* an HTTP/2 client that hung up after its body, see _body.c */

        ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        return;
    }

    rc = ngx_b1c_rest_intake(rest, &body);

    /* it was answered, and may be gone with all its memory */

    if (rc == NGX_DONE) {
        return;
    }

    store = rc == NGX_OK && ngx_b1c_calls_wanted(r, &rest->method);

    if (store) {
        rc = ngx_b1c_calls_store(rest);

    } else if (rc == NGX_OK) {
        ngx_b1c_rest_echo_mark(rest);
    }

    cJSON_Delete(rest->door.params);
    rest->door.params = NULL;

    if (rc == NGX_OK && !store) {
        rc = ngx_b1c_rest_proxy_start(rest);
    }

    /* NGX_DONE: it was answered or is being sent */

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


/* NGX_OK: the call may be sent; otherwise it was answered or failed */
static ngx_int_t
ngx_b1c_rest_intake(ngx_b1c_rest_t *rest, ngx_str_t *body)
{
    ngx_int_t        rc;
    ngx_b1c_error_t  error;

    ngx_memzero(&error, sizeof(ngx_b1c_error_t));

    rc = ngx_b1c_rest_door_read(rest, body, &error);

    if (rc == NGX_DECLINED) {
        return ngx_b1c_rest_error(rest, error.status, error.code, error.text);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rest->door.batch) {
        rc = ngx_b1c_rest_batch(rest);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    /* an image of any page could be one */

    if (rest->request->method == NGX_HTTP_GET && !ngx_b1c_rest_reads(rest)
        && ngx_b1c_origin_page(rest->request))
    {
        return ngx_b1c_rest_error(rest, NGX_HTTP_FORBIDDEN,
                    "BITRIX1C_CROSS_SITE", "a browser sent a write by GET, "
                    "as any page can have it do: send it by POST");
    }

    return ngx_b1c_rest_trap(rest);
}


static ngx_uint_t
ngx_b1c_rest_reads(ngx_b1c_rest_t *rest)
{
    char    *method;
    size_t   i;

    if (rest->batch == NULL) {
        return ngx_b1c_rest_echo_reads((char *) rest->method.data,
                                       rest->method.len);
    }

    for (i = 0; i < rest->batch->n; i++) {
        method = rest->batch->commands[i].method;

        if (!ngx_b1c_rest_echo_reads(method, ngx_strlen(method))) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_b1c_rest_batch(ngx_b1c_rest_t *rest)
{
    size_t               i;
    ngx_str_t            method;
    b1c_batch_t         *batch;
    b1c_error_t          err;
    b1c_command_t       *command;
    ngx_b1c_loc_conf_t  *lcf;

    batch = ngx_pcalloc(rest->request->pool, sizeof(b1c_batch_t));
    if (batch == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rest->batch = batch;
    lcf = ngx_http_get_module_loc_conf(rest->request,
                                       ngx_http_bitrix1c_module);

    switch (b1c_batch_parse(batch, NULL, NULL, rest->door.params, &err)) {

    case B1C_BATCH_OK:
        break;

    case B1C_BATCH_NOMEM:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;

    case B1C_BATCH_LENGTH:
        return ngx_b1c_rest_error(rest, NGX_HTTP_BAD_REQUEST,
                    "ERROR_BATCH_LENGTH_EXCEEDED",
                    "a batch has at most 50 commands");

    case B1C_BATCH_NESTED:
        return ngx_b1c_rest_error(rest, NGX_HTTP_NOT_ALLOWED,
                    "ERROR_BATCH_METHOD_NOT_ALLOWED",
                    "a batch cannot be a command of a batch");

    default:
        return ngx_b1c_rest_error(rest, NGX_HTTP_BAD_REQUEST,
                    "BITRIX1C_BAD_REQUEST", err.what);
    }

    for (i = 0; i < batch->n; i++) {
        command = &batch->commands[i];

        method.data = (u_char *) command->method;
        method.len = ngx_strlen(method.data);

        if (!ngx_b1c_conf_matches(lcf->rest.methods, &method)) {
            return ngx_b1c_rest_error(rest, NGX_HTTP_FORBIDDEN,
                    "BITRIX1C_METHOD_FORBIDDEN", "bitrix1c_methods of this "
                                                 "gateway does not allow a "
                                                 "command of the batch");
        }
    }

    return NGX_OK;
}


/* the warning is added to the answer as "Warning" and logged once */
static ngx_int_t
ngx_b1c_rest_trap(ngx_b1c_rest_t *rest)
{
    char            text[B1C_WARNING_MAX];
    int             found;
    size_t          i;
    b1c_form_t      query;
    b1c_error_t     err;
    b1c_command_t  *command;

    found = b1c_warning_call((char *) rest->method.data, rest->method.len,
                             NULL, rest->door.params, text);

    for (i = 0; rest->batch && i < rest->batch->n && !found; i++) {
        command = &rest->batch->commands[i];

        if (b1c_form_parse(&query, command->query,
                           ngx_strlen(command->query),
                           &ngx_b1c_rest_limits, NULL, &err)
            != B1C_OK)
        {
            continue;
        }

        found = b1c_warning_call(command->method, ngx_strlen(command->method),
                                 &query, NULL, text);
        b1c_form_free(&query);
    }

    if (!found) {
        return NGX_OK;
    }

    return ngx_b1c_rest_proxy_warn(rest, text);
}


static ngx_int_t
ngx_b1c_rest_error(ngx_b1c_rest_t *rest, ngx_uint_t status, const char *code,
    const char *text)
{
    ngx_b1c_error_t  error;

    ngx_memzero(&error, sizeof(ngx_b1c_error_t));

    error.status = status;
    error.code = code;
    error.text = text;

    ngx_http_finalize_request(rest->request,
                              ngx_b1c_rest_refuse(rest->request, &error));
    return NGX_DONE;
}


ngx_str_t *
ngx_b1c_rest_method(ngx_b1c_rest_t *rest)
{
    return &rest->method;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_core.h"
#include "b1c_bitrix.h"
#include "b1c_base.h"
#include "b1c_http.h"


/* limits of a call's shape; its size is bounded by client_max_body_size */
static const b1c_limits_t  ngx_b1c_rest_limits = {
    100000, 64, 1024
};


/* a call during the checks */
typedef struct {
    ngx_http_request_t             *request;
    ngx_b1c_rest_t                 *rest;
    ngx_b1c_loc_conf_t             *lcf;
    b1c_form_t                      args;
    b1c_form_t                      form;
    cJSON                          *json;
    b1c_error_t                     error;
} ngx_b1c_rest_in_t;


static ngx_int_t ngx_b1c_rest_subrequest(ngx_http_request_t *r);
static ngx_int_t ngx_b1c_rest_create(ngx_http_request_t *r,
    ngx_b1c_loc_conf_t *lcf);
static void ngx_b1c_rest_free(void *data);
static ngx_int_t ngx_b1c_rest_name(ngx_http_request_t *r,
    ngx_b1c_loc_conf_t *lcf, ngx_str_t *method, ngx_b1c_error_t *error);
static ngx_int_t ngx_b1c_rest_refuse(ngx_http_request_t *r,
    ngx_b1c_error_t *error);
static void ngx_b1c_rest_body(ngx_http_request_t *r);
static ngx_int_t ngx_b1c_rest_intake(ngx_b1c_rest_in_t *in, ngx_str_t *body);
static ngx_int_t ngx_b1c_rest_args(ngx_b1c_rest_in_t *in);
static ngx_int_t ngx_b1c_rest_parse(ngx_b1c_rest_in_t *in, ngx_str_t *body);
static void ngx_b1c_rest_bom(ngx_http_request_t *r, ngx_str_t *body);
static ngx_int_t ngx_b1c_rest_malformed(ngx_b1c_rest_in_t *in, b1c_rc_t rc,
    const char *where);
static ngx_int_t ngx_b1c_rest_batch(ngx_b1c_rest_in_t *in);
static ngx_int_t ngx_b1c_rest_trap(ngx_b1c_rest_in_t *in);
static ngx_int_t ngx_b1c_rest_error(ngx_b1c_rest_in_t *in, ngx_uint_t status,
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

    prefix = &lcf->rest.route->clcf->name;

    if (r->uri.len > prefix->len) {
        path.data = r->uri.data + prefix->len;
        path.len = r->uri.len - prefix->len;

        rc = ngx_b1c_calls_show(r, &path);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    ngx_memzero(&error, sizeof(ngx_b1c_error_t));

    if (ngx_b1c_rest_name(r, lcf, &method, &error) != NGX_OK) {
        rc = ngx_http_discard_request_body(r);

        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_b1c_rest_refuse(r, &error);

        /* a phase handler that has answered finalizes the request itself */

        ngx_http_finalize_request(r, rc);

        return NGX_DONE;
    }

    if (ngx_b1c_rest_create(r, lcf) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);
    ctx->rest->method = method;

    rc = ngx_b1c_body_read(r, ngx_b1c_rest_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

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
}


static ngx_int_t
ngx_b1c_rest_name(ngx_http_request_t *r, ngx_b1c_loc_conf_t *lcf,
    ngx_str_t *method, ngx_b1c_error_t *error)
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

        what = r->uri.len >= prefix->len
               ? b1c_method_method((char *) r->uri.data + prefix->len,
                                   r->uri.len - prefix->len, &name, &len)
               : "a rewrite has changed the address";
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
    ngx_int_t          rc;
    ngx_str_t          body;
    ngx_uint_t         store;
    ngx_b1c_ctx_t     *ctx;
    ngx_b1c_rest_in_t  in;

    ngx_memzero(&in, sizeof(ngx_b1c_rest_in_t));

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);

    in.request = r;
    in.rest = ctx->rest;
    in.lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    if (ngx_b1c_body_text(r, &body) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (r->connection->error) {

        /* an HTTP/2 client that hung up after its body, see _body.c */

        ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        return;
    }

    rc = ngx_b1c_rest_intake(&in, &body);

    store = rc == NGX_OK && ngx_b1c_calls_wanted(r, &in.rest->method);

    if (store) {
        rc = ngx_b1c_calls_store(in.rest, &in.args, &in.form, in.json);

    } else if (rc == NGX_OK) {
        ngx_b1c_rest_echo_mark(in.rest, &in.args, &in.form, in.json);
    }

    b1c_form_free(&in.args);
    b1c_form_free(&in.form);
    cJSON_Delete(in.json);

    if (rc == NGX_OK && !store) {
        rc = ngx_b1c_rest_proxy_start(ctx->rest);
    }

    /* NGX_DONE: it was answered or is being sent */

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


/* NGX_OK: the call may be sent; otherwise it was answered or failed */
static ngx_int_t
ngx_b1c_rest_intake(ngx_b1c_rest_in_t *in, ngx_str_t *body)
{
    ngx_int_t  rc;

    rc = ngx_b1c_rest_args(in);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_b1c_rest_parse(in, body);

    if (rc != NGX_OK) {
        return rc;
    }

    if (in->rest->method.len == 5
        && ngx_strncasecmp(in->rest->method.data, (u_char *) "batch", 5) == 0)
    {
        return ngx_b1c_rest_batch(in);
    }

    return ngx_b1c_rest_trap(in);
}


static ngx_int_t
ngx_b1c_rest_args(ngx_b1c_rest_in_t *in)
{
    char       *charset;
    ngx_str_t  *args;
    b1c_rc_t    rc;

    if (in->request->args.len == 0) {
        return NGX_OK;
    }

    charset = in->lcf->charset.len ? (char *) in->lcf->charset.data : NULL;
    args = &in->rest->args;

    args->data = ngx_pnalloc(in->request->pool, 3 * in->request->args.len);
    if (args->data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    args->len = b1c_method_args((char *) args->data,
                                (char *) in->request->args.data,
                                in->request->args.len);

    rc = b1c_form_parse(&in->args, (char *) args->data, args->len,
                        &ngx_b1c_rest_limits, charset, &in->error);

    if (rc != B1C_OK) {
        return ngx_b1c_rest_malformed(in, rc, "query string");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_rest_parse(ngx_b1c_rest_in_t *in, ngx_str_t *body)
{
    char           *charset;
    ngx_int_t       rc;
    b1c_rc_t        brc;
    ngx_b1c_type_e  type;

    charset = in->lcf->charset.len ? (char *) in->lcf->charset.data : NULL;

    rc = ngx_b1c_rest_type_check(in->request, body, &type);

    if (rc == NGX_DECLINED) {
        return ngx_b1c_rest_error(in, NGX_HTTP_BAD_REQUEST,
                    "BITRIX1C_BAD_REQUEST", "Content-Type is given twice");
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    switch (type) {

    case NGX_B1C_TYPE_FORM:

        if (body->len && body->data[0] == '{') {
            return ngx_b1c_rest_error(in, NGX_HTTP_BAD_REQUEST,
                    "BITRIX1C_BAD_REQUEST", "the body looks like JSON, but "
                                            "Content-Type declares a form");
        }

        brc = b1c_form_parse(&in->form, (char *) body->data, body->len,
                             &ngx_b1c_rest_limits, charset, &in->error);
        break;

    case NGX_B1C_TYPE_JSON:
        ngx_b1c_rest_bom(in->request, body);

        brc = b1c_json_parse(&in->json, (char *) body->data, body->len,
                             &ngx_b1c_rest_limits, NULL, &in->error);
        break;

    case NGX_B1C_TYPE_OTHER:
        return ngx_b1c_rest_error(in,
                    NGX_HTTP_UNSUPPORTED_MEDIA_TYPE, "BITRIX1C_BAD_TYPE",
                    "Content-Type must be application/json or "
                    "application/x-www-form-urlencoded");

    default:
        return NGX_OK;
    }

    if (brc != B1C_OK) {
        return ngx_b1c_rest_malformed(in, brc, "body");
    }

    return NGX_OK;
}


/*
 * Removes a BOM, with which files written by 1C begin.  PHP's json_decode()
 * rejects it, and Bitrix would see a call without parameters: an update of
 * nothing, or a list of everything.
 */
static void
ngx_b1c_rest_bom(ngx_http_request_t *r, ngx_str_t *body)
{
    off_t         left, n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (body->len < 3 || ngx_memcmp(body->data, "\xef\xbb\xbf", 3) != 0) {
        return;
    }

    r->headers_in.content_length_n -= 3;

    for (left = 3, cl = r->request_body->bufs; cl && left; cl = cl->next) {
        b = cl->buf;
        n = ngx_min(left, ngx_buf_size(b));

        if (b->in_file) {
            b->file_pos += n;

        } else {
            b->pos += n;
        }

        left -= n;

        if (ngx_buf_size(b) == 0) {

            /* an empty buffer is not sent */

            r->request_body->bufs = cl->next;
        }
    }
}


static ngx_int_t
ngx_b1c_rest_malformed(ngx_b1c_rest_in_t *in, b1c_rc_t rc, const char *where)
{
    u_char  *p, *text;
    size_t   len, size;

    if (rc == B1C_NOMEM) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* the limits of calls have no directive */

    p = (u_char *) ngx_strstr(in->error.what, " (bitrix1c_limits");
    len = p ? (size_t) (p - (u_char *) in->error.what)
            : ngx_strlen(in->error.what);

    size = ngx_strlen(where) + len + NGX_SIZE_T_LEN
           + sizeof("the : , at byte ");

    text = ngx_pnalloc(in->request->pool, size);
    if (text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_sprintf(text, "the %s: %*s, at byte %uz", where, len,
                    in->error.what, in->error.where);
    *p = '\0';

    return ngx_b1c_rest_error(in, NGX_HTTP_BAD_REQUEST,
                              "BITRIX1C_BAD_REQUEST", (char *) text);
}


static ngx_int_t
ngx_b1c_rest_batch(ngx_b1c_rest_in_t *in)
{
    size_t          i;
    ngx_str_t       method;
    b1c_batch_t    *batch;
    b1c_command_t  *command;

    batch = ngx_pcalloc(in->request->pool, sizeof(b1c_batch_t));
    if (batch == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    in->rest->batch = batch;

    switch (b1c_batch_parse(batch, &in->args, &in->form, in->json,
                            &in->error))
    {

    case B1C_BATCH_OK:
        break;

    case B1C_BATCH_NOMEM:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;

    case B1C_BATCH_LENGTH:
        return ngx_b1c_rest_error(in, NGX_HTTP_BAD_REQUEST,
                    "ERROR_BATCH_LENGTH_EXCEEDED",
                    "a batch has at most 50 commands");

    case B1C_BATCH_NESTED:
        return ngx_b1c_rest_error(in, NGX_HTTP_NOT_ALLOWED,
                    "ERROR_BATCH_METHOD_NOT_ALLOWED",
                    "a batch cannot be a command of a batch");

    default:
        return ngx_b1c_rest_error(in, NGX_HTTP_BAD_REQUEST,
                    "BITRIX1C_BAD_REQUEST", in->error.what);
    }

    for (i = 0; i < batch->n; i++) {
        command = &batch->commands[i];

        method.data = (u_char *) command->method;
        method.len = ngx_strlen(method.data);

        if (!ngx_b1c_conf_matches(in->lcf->rest.methods, &method)) {
            return ngx_b1c_rest_error(in, NGX_HTTP_FORBIDDEN,
                    "BITRIX1C_METHOD_FORBIDDEN", "bitrix1c_methods of this "
                                                 "gateway does not allow a "
                                                 "command of the batch");
        }
    }

    return ngx_b1c_rest_trap(in);
}


/* the warning is added to the answer as "Warning" and logged once */
static ngx_int_t
ngx_b1c_rest_trap(ngx_b1c_rest_in_t *in)
{
    char             text[B1C_WARNING_MAX];
    int              found;
    size_t           i;
    b1c_form_t       query;
    b1c_error_t      err;
    b1c_command_t   *command;
    ngx_b1c_rest_t  *rest;

    rest = in->rest;

    found = b1c_warning_call((char *) rest->method.data, rest->method.len,
                             &in->args, NULL, text)
            || b1c_warning_call((char *) rest->method.data, rest->method.len,
                                &in->form, in->json, text);

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
ngx_b1c_rest_error(ngx_b1c_rest_in_t *in, ngx_uint_t status, const char *code,
    const char *text)
{
    ngx_b1c_error_t  error;

    ngx_memzero(&error, sizeof(ngx_b1c_error_t));

    error.status = status;
    error.code = code;
    error.text = text;

    ngx_http_finalize_request(in->request,
                              ngx_b1c_rest_refuse(in->request, &error));
    return NGX_DONE;
}


ngx_str_t *
ngx_b1c_rest_method(ngx_b1c_rest_t *rest)
{
    return &rest->method;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_api_internal.h"
#include "b1c_base.h"
#include "b1c_http.h"


#define NGX_B1C_API_TEXT   256
#define NGX_B1C_API_LIMIT  200


typedef struct {
    ngx_str_t                    name;
    ngx_uint_t                   mask;
    size_t                       offset;     /* of a text */
} ngx_b1c_api_arg_t;


static ngx_int_t ngx_b1c_api_args_get(ngx_b1c_query_t *call, ngx_uint_t known,
    ngx_str_t *name, ngx_str_t *value);
static ngx_b1c_api_arg_t *ngx_b1c_api_args_find(ngx_uint_t known,
    ngx_str_t *name);
static ngx_int_t ngx_b1c_api_args_unknown(ngx_b1c_query_t *call,
    ngx_uint_t known, ngx_str_t *name);
static ngx_int_t ngx_b1c_api_args_value(ngx_b1c_query_t *call,
    ngx_b1c_api_arg_t *arg, ngx_str_t *value);
static ngx_int_t ngx_b1c_api_args_queue(ngx_b1c_query_t *call,
    ngx_str_t *value);
static ngx_int_t ngx_b1c_api_args_decode(ngx_b1c_query_t *call,
    ngx_str_t *value);


static ngx_b1c_api_arg_t  ngx_b1c_api_known[] = {
    { ngx_string("queue"), NGX_B1C_ARG_QUEUE, 0 },
    { ngx_string("id"), NGX_B1C_ARG_ID,
      0 },
    { ngx_string("event"), NGX_B1C_ARG_EVENT,
      offsetof(ngx_b1c_api_args_t, event) },
    { ngx_string("portal"), NGX_B1C_ARG_PORTAL,
      offsetof(ngx_b1c_api_args_t, portal) },
    { ngx_string("reason"), NGX_B1C_ARG_REASON,
      offsetof(ngx_b1c_api_args_t, reason) },
    { ngx_string("from"), NGX_B1C_ARG_FROM, 0 },
    { ngx_string("to"), NGX_B1C_ARG_TO, 0 },
    { ngx_string("limit"), NGX_B1C_ARG_LIMIT, 0 },
    { ngx_string("cursor"), NGX_B1C_ARG_CURSOR,
      offsetof(ngx_b1c_api_args_t, cursor) },
    { ngx_string("all"), NGX_B1C_ARG_ALL, 0 },
    { ngx_string("what"), NGX_B1C_ARG_WHAT,
      offsetof(ngx_b1c_api_args_t, what) },
    { ngx_null_string, 0, 0 }
};


ngx_int_t
ngx_b1c_api_args_parse(ngx_b1c_query_t *call, ngx_uint_t known)
{
    u_char              *p, *last, *end, *eq;
    ngx_int_t            rc;
    ngx_str_t            name, value;
    ngx_http_request_t  *r;

    r = call->request;
    p = r->args.data;
    last = p + r->args.len;

    for ( /* void */ ; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');
        if (end == NULL) {
            end = last;
        }

        if (end == p) {
            continue;
        }

        eq = ngx_strlchr(p, end, '=');

        name.data = p;
        name.len = (eq ? eq : end) - p;
        value.data = eq ? eq + 1 : end;
        value.len = end - value.data;

        if (ngx_b1c_api_args_decode(call, &name) != NGX_OK
            || ngx_b1c_api_args_decode(call, &value) != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        rc = ngx_b1c_api_args_get(call, known, &name, &value);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if ((known & NGX_B1C_ARG_LIMIT) && ngx_b1c_api_args(call)->limit == 0) {
        ngx_b1c_api_args(call)->limit = 50;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_b1c_api_args_get(ngx_b1c_query_t *call, ngx_uint_t known, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_b1c_api_arg_t  *arg;

    arg = ngx_b1c_api_args_find(known, name);

    if (arg == NULL) {
        return ngx_b1c_api_args_unknown(call, known, name);
    }

    /* forms send their empty fields too, and those are no filters */

    if (value->len == 0) {
        return NGX_DECLINED;
    }

    if (ngx_b1c_api_args(call)->given & arg->mask) {
        return ngx_b1c_query_text_error(call->request,
                              NGX_HTTP_BAD_REQUEST,
                              "argument \"%V\" is given twice", name);
    }

    ngx_b1c_api_args(call)->given |= arg->mask;

    return ngx_b1c_api_args_value(call, arg, value);
}


static ngx_b1c_api_arg_t *
ngx_b1c_api_args_find(ngx_uint_t known, ngx_str_t *name)
{
    ngx_b1c_api_arg_t  *arg;

    for (arg = ngx_b1c_api_known; arg->name.len; arg++) {
        if ((arg->mask & known)
            && arg->name.len == name->len
            && ngx_strncmp(arg->name.data, name->data, name->len) == 0)
        {
            return arg;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_b1c_api_args_unknown(ngx_b1c_query_t *call, ngx_uint_t known,
    ngx_str_t *name)
{
    u_char             *p, list[128];
    ngx_b1c_api_arg_t  *arg;

    p = list;

    for (arg = ngx_b1c_api_known; arg->name.len; arg++) {
        if (arg->mask & known) {
            p = ngx_sprintf(p, "%s%V", p == list ? "" : ", ", &arg->name);
        }
    }

    if (p == list) {
        p = ngx_sprintf(p, "none");
    }

    name->len = ngx_min(name->len, NGX_B1C_API_TEXT);

    return ngx_b1c_query_text_error(call->request, NGX_HTTP_BAD_REQUEST,
                          "unknown argument \"%V\", known arguments: %*s",
                          name, (size_t) (p - list), list);
}


static ngx_int_t
ngx_b1c_api_args_value(ngx_b1c_query_t *call, ngx_b1c_api_arg_t *arg,
    ngx_str_t *value)
{
    char                *due;
    ngx_int_t            n;
    ngx_b1c_api_args_t  *args;

    args = ngx_b1c_api_args(call);
    n = ngx_atoi(value->data, value->len);

    switch (arg->mask) {

    case NGX_B1C_ARG_QUEUE:
        return ngx_b1c_api_args_queue(call, value);

    case NGX_B1C_ARG_FROM:
    case NGX_B1C_ARG_TO:
        n = ngx_atofp(value->data, value->len, 3);
        due = "expected Unix time in seconds";

        if (n != NGX_ERROR) {
            *(arg->mask == NGX_B1C_ARG_FROM ? &args->from : &args->to) = n;
            return NGX_DECLINED;
        }

        break;

    case NGX_B1C_ARG_LIMIT:
        due = "expected 1 to 200";

        if (n > 0 && n <= NGX_B1C_API_LIMIT) {
            args->limit = n;
            return NGX_DECLINED;
        }

        break;

    case NGX_B1C_ARG_ALL:
        due = "expected 1";

        if (n == 1) {
            return NGX_DECLINED;
        }

        break;

    case NGX_B1C_ARG_ID:
        due = "expected 32 hexadecimal digits";

        if (ngx_b1c_redis_query_is_id(value)) {
            call->id = *value;
            return NGX_DECLINED;
        }

        break;

    default:
        due = "expected at most 256 bytes";

        if (value->len <= NGX_B1C_API_TEXT) {
            *(ngx_str_t *) ((u_char *) args + arg->offset) = *value;
            return NGX_DECLINED;
        }

        break;
    }

    value->len = ngx_min(value->len, NGX_B1C_API_TEXT);

    return ngx_b1c_query_text_error(call->request, NGX_HTTP_BAD_REQUEST,
                          "invalid value \"%V\" of argument \"%V\": %s",
                          value, &arg->name, due);
}


static ngx_int_t
ngx_b1c_api_args_queue(ngx_b1c_query_t *call, ngx_str_t *value)
{
    u_char               *p, names[512];
    ngx_uint_t            i;
    ngx_b1c_queue_t     **queue;
    ngx_b1c_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(call->request,
                                        ngx_http_bitrix1c_module);

    call->queue = ngx_b1c_conf_queue(mcf, value);

    if (call->queue) {
        return NGX_DECLINED;
    }

    p = names;
    queue = mcf->queues.elts;

    for (i = 0; i < mcf->queues.nelts; i++) {
        p = ngx_slprintf(p, names + sizeof(names), "%s%V", i ? ", " : "",
                         &queue[i]->name);
    }

    value->len = ngx_min(value->len, NGX_B1C_API_TEXT);

    return ngx_b1c_query_text_error(call->request, NGX_HTTP_NOT_FOUND,
                          "unknown queue \"%V\", known queues: %*s", value,
                          (size_t) (p - names), names);
}


/*
 * decoded into the query's pool, because replies may need it after the client
 * has gone
 */
static ngx_int_t
ngx_b1c_api_args_decode(ngx_b1c_query_t *call, ngx_str_t *value)
{
    u_char  *p, *dst, *src;
    size_t   i;

    p = ngx_pstrdup(call->pool, value);
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < value->len; i++) {
        if (p[i] == '+') {
            p[i] = ' ';
        }
    }

    src = p;
    dst = p;

    ngx_unescape_uri(&dst, &src, value->len, 0);

    value->data = p;
    value->len = dst - p;

    return NGX_OK;
}

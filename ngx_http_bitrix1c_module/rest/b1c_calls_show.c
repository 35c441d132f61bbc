
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_core.h"
#include "b1c_base.h"
#include "b1c_redis.h"
#include "b1c_http.h"
#include "b1c_lua.h"


static ngx_int_t ngx_b1c_calls_show_ask(ngx_http_request_t *r,
    ngx_b1c_queue_t *queue, ngx_str_t *id);
static ngx_int_t ngx_b1c_calls_show_replied(ngx_b1c_query_t *call,
    ngx_b1c_reply_t *reply, void *data);
static ngx_int_t ngx_b1c_calls_show_put(ngx_b1c_query_t *call,
    ngx_b1c_reply_t *reply, ngx_str_t *state);


static ngx_b1c_redis_script_t  ngx_b1c_calls_show_script = {
    ngx_string("call_status"), ngx_string(NGX_B1C_LUA_CALL_STATUS), { 0 }, 0
};


/* in init_process */
void
ngx_b1c_calls_show_init(void)
{
    ngx_b1c_redis_script_init(&ngx_b1c_calls_show_script);
}


ngx_int_t
ngx_b1c_calls_show(ngx_http_request_t *r, ngx_str_t *path)
{
    ngx_int_t            rc;
    ngx_str_t            id;
    ngx_b1c_error_t      error;
    ngx_b1c_loc_conf_t  *lcf;

    static ngx_str_t  calls = ngx_string("bitrix1c/calls/");

    if (path->len < calls.len
        || ngx_strncmp(path->data, calls.data, calls.len) != 0)
    {
        return NGX_DECLINED;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    id.data = path->data + calls.len;
    id.len = path->len - calls.len;

    if (!ngx_b1c_redis_query_is_id(&id)) {
        rc = ngx_b1c_calls_refuse(r, NGX_HTTP_BAD_REQUEST,
                    "BITRIX1C_BAD_REQUEST", "the id of a call must be 32 "
                                            "digits and letters from a to f");

    } else if (r->method != NGX_HTTP_GET) {
        ngx_memzero(&error, sizeof(ngx_b1c_error_t));

        error.status = NGX_HTTP_NOT_ALLOWED;
        error.code = "BITRIX1C_GET_OR_POST";
        error.text = "the state of a call must be requested with GET";
        error.only_get = 1;

        rc = ngx_b1c_error_send(r, &error);

    } else {
        rc = ngx_b1c_calls_show_ask(r, lcf->rest.route->queue, &id);
    }

    /* a phase handler that has answered finalizes the request itself */

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


static ngx_int_t
ngx_b1c_calls_show_ask(ngx_http_request_t *r, ngx_b1c_queue_t *queue,
    ngx_str_t *id)
{
    ngx_int_t         rc;
    ngx_str_t        *argv;
    ngx_b1c_query_t  *call;

    call = ngx_b1c_redis_query_create(r);
    if (call == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    argv = ngx_palloc(call->pool, 5 * sizeof(ngx_str_t));

    call->queue = queue;
    call->id.len = id->len;
    call->id.data = ngx_pstrdup(call->pool, id);

    if (argv == NULL || call->id.data == NULL
        || ngx_b1c_call_result_key(call->pool, queue, id, &argv[3])
           != NGX_OK)
    {
        ngx_b1c_redis_query_destroy(call);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    argv[0] = queue->keys[0];
    argv[1] = queue->keys[1];
    argv[2] = queue->keys[3];
    argv[4] = call->id;

    rc = ngx_b1c_redis_query_ask(call, &ngx_b1c_calls_show_script, 4, 5, argv,
                                 ngx_b1c_calls_show_replied, NULL);
    if (rc != NGX_OK) {
        ngx_b1c_redis_query_destroy(call);
        return ngx_b1c_calls_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                    "BITRIX1C_UNAVAILABLE", "Redis is not available, ask "
                                            "again later");
    }

    return ngx_b1c_redis_query_wait(call);
}


static ngx_int_t
ngx_b1c_calls_show_replied(ngx_b1c_query_t *call, ngx_b1c_reply_t *reply,
    void *data)
{
    ngx_str_t  state;

    if (ngx_b1c_redis_query_failed(reply)
        || ngx_b1c_redis_reply_str(reply, 0, &state) != NGX_OK)
    {
        return ngx_b1c_calls_refuse(call->request,
                    NGX_HTTP_SERVICE_UNAVAILABLE, "BITRIX1C_UNAVAILABLE",
                    "Redis did not answer, ask again later");
    }

    if (state.len == sizeof("unknown") - 1
        && ngx_strncmp(state.data, "unknown", state.len) == 0)
    {
        return ngx_b1c_calls_refuse(call->request,
                    NGX_HTTP_NOT_FOUND, "BITRIX1C_NO_CALL", "there is no call "
                                                            "with this id, or "
                                                            "it ended longer "
                                                            "ago than the "
                                                            "window of the "
                                                            "queue");
    }

    return ngx_b1c_calls_show_put(call, reply, &state);
}


/* {"result":{"id":...,"state":...,"attempts":n,"reason":...,"answer":...}} */
static ngx_int_t
ngx_b1c_calls_show_put(ngx_b1c_query_t *call, ngx_b1c_reply_t *reply,
    ngx_str_t *state)
{
    int64_t    attempts;
    ngx_str_t  reason, answer;
    b1c_buf_t  buf;

    if (ngx_b1c_redis_reply_int(reply, 1, &attempts) != NGX_OK
        || ngx_b1c_redis_reply_str(reply, 2, &reason) != NGX_OK
        || ngx_b1c_redis_reply_str(reply, 3, &answer) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&buf, sizeof(b1c_buf_t));

    ngx_b1c_query_text_put(&buf, "{\"result\":{\"id\":\"%V\",\"state\":"
                           "\"%V\",\"attempts\":%L,\"reason\":",
                           &call->id, state, attempts);
    ngx_b1c_query_text_put_string(&buf, &reason);

    ngx_b1c_query_text_put(&buf, ",\"answer\":");

    if (answer.len) {
        b1c_json_write_put(&buf, (char *) answer.data, answer.len);

    } else {
        ngx_b1c_query_text_put(&buf, "null");
    }

    ngx_b1c_query_text_put(&buf, "}}\n");

    return ngx_b1c_query_text_send_json(call->request, &buf);
}

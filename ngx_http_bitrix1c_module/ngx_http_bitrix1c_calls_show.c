
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_calls.h"
#include "ngx_http_bitrix1c_api_args.h"
#include "ngx_http_bitrix1c_answer.h"
#include "ngx_http_bitrix1c_error.h"
#include "ngx_http_bitrix1c_result.h"


static ngx_int_t ngx_http_bitrix1c_calls_ask(ngx_http_request_t *r,
    ngx_http_bitrix1c_queue_t *queue, ngx_str_t *id);
static ngx_int_t ngx_http_bitrix1c_calls_shown(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_reply_t *reply,
    void *data);
static ngx_int_t ngx_http_bitrix1c_calls_put(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_reply_t *reply,
    ngx_str_t *state);


ngx_int_t
ngx_http_bitrix1c_calls_show(ngx_http_request_t *r, ngx_str_t *path)
{
    ngx_int_t                      rc;
    ngx_str_t                      id;
    ngx_http_bitrix1c_error_t      error;
    ngx_http_bitrix1c_loc_conf_t  *lcf;

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

    if (!ngx_http_bitrix1c_api_is_id(&id)) {
        rc = ngx_http_bitrix1c_calls_refuse(r, NGX_HTTP_BAD_REQUEST,
                    "BITRIX1C_BAD_REQUEST", "the id of a call has 32 digits "
                    "and letters from a to f");

    } else if (r->method != NGX_HTTP_GET) {
        ngx_memzero(&error, sizeof(ngx_http_bitrix1c_error_t));

        error.status = NGX_HTTP_NOT_ALLOWED;
        error.code = "BITRIX1C_GET_OR_POST";
        error.text = "a call is asked for with GET";
        error.only_get = 1;

        rc = ngx_http_bitrix1c_error(r, &error);

    } else {
        rc = ngx_http_bitrix1c_calls_ask(r, lcf->rest->queue, &id);
    }

    /* a phase handler that has answered says so to core itself */

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_bitrix1c_calls_ask(ngx_http_request_t *r,
    ngx_http_bitrix1c_queue_t *queue, ngx_str_t *id)
{
    ngx_int_t                      rc;
    ngx_str_t                     *argv;
    ngx_http_bitrix1c_api_call_t  *call;

    call = ngx_http_bitrix1c_api_call_create(r);
    if (call == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    argv = ngx_palloc(call->pool, 5 * sizeof(ngx_str_t));

    call->args.queue = queue;
    call->args.id.len = id->len;
    call->args.id.data = ngx_pstrdup(call->pool, id);

    if (argv == NULL || call->args.id.data == NULL
        || ngx_http_bitrix1c_result_key(call->pool, queue, id, &argv[3])
           != NGX_OK)
    {
        ngx_http_bitrix1c_api_call_destroy(call);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    argv[0] = queue->keys[0];
    argv[1] = queue->keys[1];
    argv[2] = queue->keys[3];
    argv[4] = call->args.id;

    rc = ngx_http_bitrix1c_api_ask(call, NGX_HTTP_BITRIX1C_API_CALL, 4, 5,
                                   argv, ngx_http_bitrix1c_calls_shown, NULL);
    if (rc != NGX_OK) {
        ngx_http_bitrix1c_api_call_destroy(call);
        return ngx_http_bitrix1c_calls_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                    "BITRIX1C_UNAVAILABLE", "Redis is away, ask again");
    }

    return ngx_http_bitrix1c_api_wait(call);
}


static ngx_int_t
ngx_http_bitrix1c_calls_shown(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_reply_t *reply, void *data)
{
    ngx_str_t  state;

    if (ngx_http_bitrix1c_api_failed(reply)
        || ngx_http_bitrix1c_reply_str(reply, 0, &state) != NGX_OK)
    {
        return ngx_http_bitrix1c_calls_refuse(call->request,
                    NGX_HTTP_SERVICE_UNAVAILABLE, "BITRIX1C_UNAVAILABLE",
                    "Redis did not answer, ask again");
    }

    if (state.len == sizeof("unknown") - 1
        && ngx_strncmp(state.data, "unknown", state.len) == 0)
    {
        return ngx_http_bitrix1c_calls_refuse(call->request,
                    NGX_HTTP_NOT_FOUND, "BITRIX1C_NO_CALL", "there is no call "
                    "of this id, or it was done longer ago than the window "
                    "of the queue");
    }

    return ngx_http_bitrix1c_calls_put(call, reply, &state);
}


/* {"result":{"id":...,"state":...,"attempts":n,"reason":...,"answer":...}} */
static ngx_int_t
ngx_http_bitrix1c_calls_put(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_reply_t *reply, ngx_str_t *state)
{
    int64_t       attempts;
    ngx_str_t     reason, answer;
    bitrix_buf_t  buf;

    if (ngx_http_bitrix1c_reply_int(reply, 1, &attempts) != NGX_OK
        || ngx_http_bitrix1c_reply_str(reply, 2, &reason) != NGX_OK
        || ngx_http_bitrix1c_reply_str(reply, 3, &answer) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&buf, sizeof(bitrix_buf_t));

    ngx_http_bitrix1c_api_put(&buf, "{\"result\":{\"id\":\"%V\",\"state\":"
                              "\"%V\",\"attempts\":%L,\"reason\":",
                              &call->args.id, state, attempts);
    ngx_http_bitrix1c_api_put_string(&buf, &reason);

    ngx_http_bitrix1c_api_put(&buf, ",\"answer\":");

    if (answer.len) {
        bitrix_json_put(&buf, (char *) answer.data, answer.len);

    } else {
        ngx_http_bitrix1c_api_put(&buf, "null");
    }

    ngx_http_bitrix1c_api_put(&buf, "}}\n");

    return ngx_http_bitrix1c_api_send_json(call->request, &buf);
}

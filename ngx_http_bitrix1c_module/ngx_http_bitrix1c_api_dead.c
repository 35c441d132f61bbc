
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_api_walk.h"


/* looked at in one call when a filter may pass over most of them */
#define NGX_HTTP_BITRIX1C_DEAD_PAGE  200


static ngx_int_t ngx_http_bitrix1c_api_list_item(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_api_walk_t *walk,
    ngx_http_bitrix1c_api_item_t *item);
static ngx_int_t ngx_http_bitrix1c_api_list_done(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_api_walk_t *walk);
static ngx_int_t ngx_http_bitrix1c_api_shown(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_reply_t *reply,
    void *data);


ngx_int_t
ngx_http_bitrix1c_api_list(ngx_http_bitrix1c_api_call_t *call)
{
    u_char                         letter;
    ngx_uint_t                    *count;
    ngx_http_bitrix1c_api_args_t  *args;
    ngx_http_bitrix1c_api_walk_t  *walk;

    args = &call->args;

    walk = ngx_pcalloc(call->pool, sizeof(ngx_http_bitrix1c_api_walk_t));
    count = ngx_pcalloc(call->pool, sizeof(ngx_uint_t));

    if (walk == NULL || count == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    walk->key = &args->queue->keys[3];
    walk->desc = 1;
    walk->page = (args->given & NGX_HTTP_BITRIX1C_ARG_FILTERS)
                 ? NGX_HTTP_BITRIX1C_DEAD_PAGE : args->limit;
    walk->item = ngx_http_bitrix1c_api_list_item;
    walk->done = ngx_http_bitrix1c_api_list_done;
    walk->data = count;

    if (args->cursor.len
        && ngx_http_bitrix1c_api_cursor(walk, &args->cursor, "d", &letter)
           != NGX_OK)
    {
        return ngx_http_bitrix1c_api_cursor_bad(call);
    }

    return ngx_http_bitrix1c_api_walk(call, walk);
}


static ngx_int_t
ngx_http_bitrix1c_api_list_item(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_walk_t *walk, ngx_http_bitrix1c_api_item_t *item)
{
    ngx_uint_t *count = walk->data;

    if ((*count)++) {
        ngx_http_bitrix1c_api_put(&call->buf, ",");
    }

    ngx_http_bitrix1c_api_item_put(&call->buf, item);

    return *count < call->args.limit ? NGX_OK : NGX_DONE;
}


static ngx_int_t
ngx_http_bitrix1c_api_list_done(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_walk_t *walk)
{
    bitrix_buf_t  buf;

    if (!walk->enough && ngx_http_bitrix1c_api_walk_on(walk)) {
        return ngx_http_bitrix1c_api_walk(call, walk);
    }

    ngx_memzero(&buf, sizeof(bitrix_buf_t));

    ngx_http_bitrix1c_api_put(&buf, "{\"queue\":\"%V\",\"total\":%L,"
                              "\"items\":[", &call->args.queue->name,
                              walk->total);
    bitrix_json_put(&buf, call->buf.start ? call->buf.start : "",
                    call->buf.len);
    buf.failed |= call->buf.failed;

    ngx_http_bitrix1c_api_put(&buf, "],");
    ngx_http_bitrix1c_api_cursor_json(&buf, walk, 'd');
    ngx_http_bitrix1c_api_put(&buf, "}\n");

    return ngx_http_bitrix1c_api_send_json(call->request, &buf);
}


ngx_int_t
ngx_http_bitrix1c_api_show(ngx_http_bitrix1c_api_call_t *call)
{
    return ngx_http_bitrix1c_api_ask_show(call, ngx_http_bitrix1c_api_shown,
                                          NULL);
}


ngx_int_t
ngx_http_bitrix1c_api_ask_show(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_reply_pt handler, void *data)
{
    ngx_str_t  *argv;

    argv = ngx_palloc(call->pool, 3 * sizeof(ngx_str_t));
    if (argv == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    argv[0] = call->args.queue->keys[3];
    argv[1] = call->args.queue->keys[1];
    argv[2] = call->args.id;

    if (ngx_http_bitrix1c_api_ask(call, NGX_HTTP_BITRIX1C_API_SHOW, 2, 3,
                                  argv, handler, data)
        != NGX_OK)
    {
        return ngx_http_bitrix1c_api_away(call, NULL);
    }

    return ngx_http_bitrix1c_api_wait(call);
}


static ngx_int_t
ngx_http_bitrix1c_api_shown(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_reply_t *reply, void *data)
{
    ngx_str_t                     died, meta, record;
    bitrix_buf_t                  buf;
    ngx_http_bitrix1c_api_item_t  item;

    if (ngx_http_bitrix1c_api_failed(reply)) {
        return ngx_http_bitrix1c_api_away(call, reply);
    }

    ngx_memzero(&item, sizeof(ngx_http_bitrix1c_api_item_t));

    if (ngx_http_bitrix1c_reply_str(reply, 0, &died) != NGX_OK
        || ngx_http_bitrix1c_reply_str(reply, 1, &meta) != NGX_OK
        || ngx_http_bitrix1c_reply_str(reply, 2, &item.reason) != NGX_OK
        || ngx_http_bitrix1c_reply_str(reply, 3, &record) != NGX_OK
        || died.len == 0)
    {
        return ngx_http_bitrix1c_api_error(call->request, NGX_HTTP_NOT_FOUND,
                              "there is no dead letter \"%V\" in queue "
                              "\"%V\"", &call->args.id,
                              &call->args.queue->name);
    }

    item.id = call->args.id;

    ngx_http_bitrix1c_api_item_meta(&item, &meta, &died);
    ngx_http_bitrix1c_api_item_record(&item, &record);
    ngx_http_bitrix1c_api_item_parse(&item);

    ngx_memzero(&buf, sizeof(bitrix_buf_t));

    ngx_http_bitrix1c_api_item_put(&buf, &item);
    ngx_http_bitrix1c_api_put(&buf, "\n");

    ngx_http_bitrix1c_api_item_free(&item);

    return ngx_http_bitrix1c_api_send_json(call->request, &buf);
}

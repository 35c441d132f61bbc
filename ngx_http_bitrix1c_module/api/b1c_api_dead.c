
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_api_internal.h"
#include "b1c_core.h"
#include "b1c_redis.h"
#include "b1c_http.h"


/* events read in one call while filters may reject most of them */
#define NGX_B1C_DEAD_PAGE  200


static ngx_int_t ngx_b1c_api_dead_list_item(ngx_b1c_query_t *call,
    ngx_b1c_api_walk_t *walk, ngx_b1c_api_item_t *item);
static ngx_int_t ngx_b1c_api_dead_list_done(ngx_b1c_query_t *call,
    ngx_b1c_api_walk_t *walk);
static ngx_int_t ngx_b1c_api_dead_shown(ngx_b1c_query_t *call,
    ngx_b1c_reply_t *reply, void *data);


ngx_int_t
ngx_b1c_api_dead_list(ngx_b1c_query_t *call)
{
    u_char               letter;
    ngx_uint_t          *count;
    ngx_b1c_api_args_t  *args;
    ngx_b1c_api_walk_t  *walk;

    args = ngx_b1c_api_args(call);

    walk = ngx_pcalloc(call->pool, sizeof(ngx_b1c_api_walk_t));
    count = ngx_pcalloc(call->pool, sizeof(ngx_uint_t));

    if (walk == NULL || count == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    walk->key = &call->queue->keys[3];
    walk->desc = 1;
    walk->page = (args->given & NGX_B1C_ARG_FILTERS)
                 ? NGX_B1C_DEAD_PAGE : args->limit;
    walk->item = ngx_b1c_api_dead_list_item;
    walk->done = ngx_b1c_api_dead_list_done;
    walk->data = count;

    if (args->cursor.len
        && ngx_b1c_api_walk_cursor(walk, &args->cursor, "d", &letter)
           != NGX_OK)
    {
        return ngx_b1c_api_walk_cursor_bad(call);
    }

    return ngx_b1c_api_walk_begin(call, walk);
}


static ngx_int_t
ngx_b1c_api_dead_list_item(ngx_b1c_query_t *call, ngx_b1c_api_walk_t *walk,
    ngx_b1c_api_item_t *item)
{
    ngx_uint_t *count = walk->data;

    if ((*count)++) {
        ngx_b1c_query_text_put(&call->buf, ",");
    }

    ngx_b1c_api_item_put(&call->buf, item);

    return *count < ngx_b1c_api_args(call)->limit ? NGX_OK : NGX_DONE;
}


static ngx_int_t
ngx_b1c_api_dead_list_done(ngx_b1c_query_t *call, ngx_b1c_api_walk_t *walk)
{
    b1c_buf_t  buf;

    if (!walk->enough && ngx_b1c_api_walk_on(walk)) {
        return ngx_b1c_api_walk_begin(call, walk);
    }

    ngx_memzero(&buf, sizeof(b1c_buf_t));

    ngx_b1c_query_text_put(&buf, "{\"queue\":\"%V\",\"total\":%L,"
                           "\"items\":[", &call->queue->name,
                           walk->total);
    b1c_json_write_put(&buf, call->buf.start ? call->buf.start : "",
                       call->buf.len);
    buf.failed |= call->buf.failed;

    ngx_b1c_query_text_put(&buf, "],");
    ngx_b1c_api_walk_cursor_json(&buf, walk, 'd');
    ngx_b1c_query_text_put(&buf, "}\n");

    return ngx_b1c_query_text_send_json(call->request, &buf);
}


ngx_int_t
ngx_b1c_api_dead_show(ngx_b1c_query_t *call)
{
    return ngx_b1c_api_dead_ask_show(call, ngx_b1c_api_dead_shown, NULL);
}


ngx_int_t
ngx_b1c_api_dead_ask_show(ngx_b1c_query_t *call,
    ngx_b1c_query_reply_pt handler, void *data)
{
    ngx_str_t  *argv;

    argv = ngx_palloc(call->pool, 3 * sizeof(ngx_str_t));
    if (argv == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    argv[0] = call->queue->keys[3];
    argv[1] = call->queue->keys[1];
    argv[2] = call->id;

    if (ngx_b1c_api_script_ask(call, NGX_B1C_API_SHOW, 2, 3,
                                argv, handler, data)
        != NGX_OK)
    {
        return ngx_b1c_redis_query_away(call, NULL);
    }

    return ngx_b1c_redis_query_wait(call);
}


static ngx_int_t
ngx_b1c_api_dead_shown(ngx_b1c_query_t *call, ngx_b1c_reply_t *reply,
    void *data)
{
    ngx_str_t           died, meta, record;
    b1c_buf_t           buf;
    ngx_b1c_api_item_t  item;

    if (ngx_b1c_redis_query_failed(reply)) {
        return ngx_b1c_redis_query_away(call, reply);
    }

    ngx_memzero(&item, sizeof(ngx_b1c_api_item_t));

    if (ngx_b1c_redis_reply_str(reply, 0, &died) != NGX_OK
        || ngx_b1c_redis_reply_str(reply, 1, &meta) != NGX_OK
        || ngx_b1c_redis_reply_str(reply, 2, &item.reason) != NGX_OK
        || ngx_b1c_redis_reply_str(reply, 3, &record) != NGX_OK
        || died.len == 0)
    {
        return ngx_b1c_query_text_error(call->request, NGX_HTTP_NOT_FOUND,
                              "there is no dead letter \"%V\" in queue "
                              "\"%V\"", &call->id,
                              &call->queue->name);
    }

    item.id = call->id;

    ngx_b1c_api_item_meta(&item, &meta, &died);
    ngx_b1c_api_item_record(&item, &record);
    ngx_b1c_api_item_parse(&item);

    ngx_memzero(&buf, sizeof(b1c_buf_t));

    ngx_b1c_api_item_put(&buf, &item);
    ngx_b1c_query_text_put(&buf, "\n");

    ngx_b1c_api_item_free(&item);

    return ngx_b1c_query_text_send_json(call->request, &buf);
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_api_internal.h"
#include "b1c_core.h"
#include "b1c_http.h"


static ngx_int_t ngx_b1c_api_export_item(ngx_b1c_query_t *call,
    ngx_b1c_api_walk_t *walk, ngx_b1c_api_item_t *item);
static ngx_int_t ngx_b1c_api_export_done(ngx_b1c_query_t *call,
    ngx_b1c_api_walk_t *walk);


/*
 * Followers come before the events of the queue: an event moves only from the
 * former to the latter, so that one that stays in Redis is exported once.
 */
ngx_int_t
ngx_b1c_api_export_begin(ngx_b1c_query_t *call)
{
    u_char               letter;
    ngx_str_t           *what, *keys;
    const char          *letters;
    ngx_b1c_api_args_t  *args;
    ngx_b1c_api_walk_t  *walk;

    args = ngx_b1c_api_args(call);
    what = &args->what;
    keys = call->queue->keys;

    if (what->len == 0
        || (what->len == 4 && ngx_strncmp(what->data, "dead", 4) == 0))
    {
        letters = "e";

    } else if (what->len == 7 && ngx_strncmp(what->data, "waiting", 7) == 0) {
        letters = "fq";

    } else {
        return ngx_b1c_query_text_error(call->request,
                              NGX_HTTP_BAD_REQUEST,
                              "invalid value \"%V\" of argument \"what\": "
                              "expected dead or waiting", what);
    }

    walk = ngx_pcalloc(call->pool, sizeof(ngx_b1c_api_walk_t));
    if (walk == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    letter = letters[0];

    if (args->cursor.len
        && ngx_b1c_api_walk_cursor(walk, &args->cursor, letters, &letter)
           != NGX_OK)
    {
        return ngx_b1c_api_walk_cursor_bad(call);
    }

    walk->key = &keys[letter == 'e' ? 3 : letter == 'f' ? 2 : 0];
    walk->bodies = 1;
    walk->page = args->limit;
    walk->item = ngx_b1c_api_export_item;
    walk->done = ngx_b1c_api_export_done;

    return ngx_b1c_api_walk_begin(call, walk);
}


static ngx_int_t
ngx_b1c_api_export_item(ngx_b1c_query_t *call, ngx_b1c_api_walk_t *walk,
    ngx_b1c_api_item_t *item)
{
    ngx_b1c_api_item_put(&call->buf, item);
    ngx_b1c_query_text_put(&call->buf, "\n");

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_api_export_done(ngx_b1c_query_t *call, ngx_b1c_api_walk_t *walk)
{
    u_char      letter;
    ngx_str_t  *keys, cursor;
    b1c_buf_t   buf;

    keys = call->queue->keys;

    if (!walk->more && walk->key == &keys[2]) {

        walk->key = &keys[0];
        ngx_str_null(&walk->score);
        ngx_str_null(&walk->member);

        return ngx_b1c_api_walk_begin(call, walk);
    }

    if (walk->more) {
        letter = walk->key == &keys[3] ? 'e' : walk->key == &keys[2] ? 'f'
                                                                     : 'q';

        cursor.data = ngx_pnalloc(call->request->pool, NGX_B1C_WALK_CURSOR);
        if (cursor.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        cursor.len = ngx_b1c_api_walk_cursor_put(cursor.data, walk,
                                                 letter)
                     - cursor.data;

        if (ngx_b1c_answer_header(call->request, "X-Cursor", &cursor)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    buf = call->buf;
    ngx_memzero(&call->buf, sizeof(b1c_buf_t));

    return ngx_b1c_query_text_send(call->request, NGX_HTTP_OK,
                                   "application/x-ndjson", &buf);
}

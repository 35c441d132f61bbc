
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_api_walk.h"
#include "ngx_http_bitrix1c_report.h"
#include "ngx_http_bitrix1c_depth.h"


/*
 * What an operator changes: dead letters are replayed and deleted, the oldest
 * first, so that those of one lane keep their order; a queue is held.
 */


/* ids in one call of a script */
#define NGX_HTTP_BITRIX1C_CHANGE_PAGE   100

/* ms between two replayed ones, so that what is fresh goes between them */
#define NGX_HTTP_BITRIX1C_CHANGE_PAUSE  "10"


typedef struct {
    ngx_http_bitrix1c_api_script_e   script;
    ngx_http_bitrix1c_api_walk_t     walk;
    ngx_uint_t                       ids;
    ngx_uint_t                       fixed;      /* words before them */
    int64_t                          changed;
    ngx_str_t                        argv[5 + NGX_HTTP_BITRIX1C_CHANGE_PAGE];
    u_char                           text[NGX_HTTP_BITRIX1C_CHANGE_PAGE]
                                         [NGX_HTTP_BITRIX1C_HASH_LEN];
} ngx_http_bitrix1c_api_change_t;


static ngx_int_t ngx_http_bitrix1c_api_change(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_api_script_e script,
    const char *what);
static ngx_int_t ngx_http_bitrix1c_api_change_one(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_reply_t *reply,
    void *data);
static void ngx_http_bitrix1c_api_change_id(
    ngx_http_bitrix1c_api_change_t *change, ngx_str_t *id);
static ngx_int_t ngx_http_bitrix1c_api_change_item(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_api_walk_t *walk,
    ngx_http_bitrix1c_api_item_t *item);
static ngx_int_t ngx_http_bitrix1c_api_change_page(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_api_walk_t *walk);
static ngx_int_t ngx_http_bitrix1c_api_changed(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_reply_t *reply,
    void *data);
static ngx_int_t ngx_http_bitrix1c_api_change_on(
    ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_change_t *change);
static ngx_int_t ngx_http_bitrix1c_api_set_hold(
    ngx_http_bitrix1c_api_call_t *call, ngx_uint_t hold);
static ngx_int_t ngx_http_bitrix1c_api_held(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_reply_t *reply,
    void *data);


ngx_int_t
ngx_http_bitrix1c_api_replay(ngx_http_bitrix1c_api_call_t *call)
{
    return ngx_http_bitrix1c_api_change(call, NGX_HTTP_BITRIX1C_API_REPLAY,
                                        "replayed");
}


ngx_int_t
ngx_http_bitrix1c_api_delete(ngx_http_bitrix1c_api_call_t *call)
{
    return ngx_http_bitrix1c_api_change(call, NGX_HTTP_BITRIX1C_API_DELETE,
                                        "deleted");
}


static ngx_int_t
ngx_http_bitrix1c_api_change(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_script_e script, const char *what)
{
    u_char                           letter;
    ngx_str_t                       *keys;
    ngx_uint_t                       i, id, all, filters;
    ngx_http_bitrix1c_api_args_t    *args;
    ngx_http_bitrix1c_api_walk_t    *walk;
    ngx_http_bitrix1c_api_change_t  *change;

    args = &call->args;

    id = !!(args->given & NGX_HTTP_BITRIX1C_ARG_ID);
    all = !!(args->given & NGX_HTTP_BITRIX1C_ARG_ALL);
    filters = !!(args->given & NGX_HTTP_BITRIX1C_ARG_FILTERS);

    if (id + all + filters != 1) {
        return ngx_http_bitrix1c_api_error(call->request,
                              NGX_HTTP_BAD_REQUEST,
                              "what is to be %s is not clear: id=ID, or "
                              "event=, portal=, reason=, from=, to=, or all=1 "
                              "is due",
                              what);
    }

    change = ngx_pcalloc(call->pool, sizeof(ngx_http_bitrix1c_api_change_t));
    if (change == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    change->script = script;
    keys = args->queue->keys;

    if (script == NGX_HTTP_BITRIX1C_API_REPLAY) {

        for (i = 0; i < 4; i++) {
            change->argv[i] = keys[i];
        }

        ngx_str_set(&change->argv[4], NGX_HTTP_BITRIX1C_CHANGE_PAUSE);
        change->fixed = 5;

    } else {
        change->argv[0] = keys[3];
        change->argv[1] = keys[1];
        change->fixed = 2;
    }

    walk = &change->walk;
    walk->data = change;

    if (id) {
        return ngx_http_bitrix1c_api_ask_show(call,
                                        ngx_http_bitrix1c_api_change_one,
                                        change);
    }

    walk->key = &keys[3];
    walk->page = NGX_HTTP_BITRIX1C_CHANGE_PAGE;
    walk->item = ngx_http_bitrix1c_api_change_item;
    walk->done = ngx_http_bitrix1c_api_change_page;

    if (args->cursor.len
        && ngx_http_bitrix1c_api_cursor(walk, &args->cursor, "a", &letter)
           != NGX_OK)
    {
        return ngx_http_bitrix1c_api_cursor_bad(call);
    }

    return ngx_http_bitrix1c_api_walk(call, walk);
}


/* the one that was named: it may be delivered at this moment, or be gone */
static ngx_int_t
ngx_http_bitrix1c_api_change_one(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_reply_t *reply, void *data)
{
    ngx_http_bitrix1c_api_change_t *change = data;

    ngx_str_t            died, meta;
    ngx_http_request_t  *r;

    r = call->request;

    if (ngx_http_bitrix1c_api_failed(reply)) {
        return ngx_http_bitrix1c_api_away(call, reply);
    }

    if (ngx_http_bitrix1c_reply_str(reply, 0, &died) != NGX_OK
        || ngx_http_bitrix1c_reply_str(reply, 1, &meta) != NGX_OK)
    {
        return ngx_http_bitrix1c_api_error(r, NGX_HTTP_NOT_FOUND,
                              "there is no dead letter \"%V\" in queue "
                              "\"%V\"", &call->args.id,
                              &call->args.queue->name);
    }

    if (died.len == 0) {
        return ngx_http_bitrix1c_api_error(r, NGX_HTTP_CONFLICT,
                              "event \"%V\" is no dead letter: it waits or is "
                              "being delivered", &call->args.id);
    }

    if (meta.len == 0 && change->script == NGX_HTTP_BITRIX1C_API_REPLAY) {
        return ngx_http_bitrix1c_api_error(r, NGX_HTTP_CONFLICT,
                              "dead letter \"%V\" cannot be replayed: its "
                              "fields in Redis are not those of this version",
                              &call->args.id);
    }

    ngx_http_bitrix1c_api_change_id(change, &call->args.id);

    return ngx_http_bitrix1c_api_change_page(call, &change->walk);
}


static void
ngx_http_bitrix1c_api_change_id(ngx_http_bitrix1c_api_change_t *change,
    ngx_str_t *id)
{
    ngx_str_t  *word;

    word = &change->argv[change->fixed + change->ids];

    word->data = change->text[change->ids++];
    word->len = id->len;

    ngx_memcpy(word->data, id->data, id->len);
}


static ngx_int_t
ngx_http_bitrix1c_api_change_item(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_walk_t *walk, ngx_http_bitrix1c_api_item_t *item)
{
    if (item->id.len == NGX_HTTP_BITRIX1C_HASH_LEN) {
        ngx_http_bitrix1c_api_change_id(walk->data, &item->id);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_bitrix1c_api_change_page(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_walk_t *walk)
{
    ngx_http_bitrix1c_api_change_t  *change;

    change = walk->data;

    if (change->ids == 0) {
        return ngx_http_bitrix1c_api_change_on(call, change);
    }

    if (ngx_http_bitrix1c_api_ask(call, change->script,
                                  change->fixed == 5 ? 4 : 2,
                                  change->fixed + change->ids, change->argv,
                                  ngx_http_bitrix1c_api_changed, change)
        != NGX_OK)
    {
        return ngx_http_bitrix1c_api_away(call, NULL);
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_bitrix1c_api_changed(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_reply_t *reply, void *data)
{
    ngx_http_bitrix1c_api_change_t *change = data;

    int64_t                     n;
    ngx_http_bitrix1c_queue_t  *queue;

    queue = call->args.queue;

    if (ngx_http_bitrix1c_api_failed(reply)
        || ngx_http_bitrix1c_reply_int(reply, 0, &n) != NGX_OK)
    {
        return ngx_http_bitrix1c_api_away(call, reply);
    }

    change->changed += n;
    change->ids = 0;

    if (change->script == NGX_HTTP_BITRIX1C_API_REPLAY) {
        ngx_http_bitrix1c_stats_count(queue->stats,
                                      NGX_HTTP_BITRIX1C_N_REPLAYED, n);
        ngx_http_bitrix1c_api_wake(queue);

    } else {
        ngx_http_bitrix1c_stats_count(queue->stats,
                                      NGX_HTTP_BITRIX1C_N_DELETED, n);
    }

    return ngx_http_bitrix1c_api_change_on(call, change);
}


static ngx_int_t
ngx_http_bitrix1c_api_change_on(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_change_t *change)
{
    bitrix_buf_t  buf;

    if (ngx_http_bitrix1c_api_walk_on(&change->walk)) {
        return ngx_http_bitrix1c_api_walk(call, &change->walk);
    }

    if (change->changed == 0
        && (call->args.given & NGX_HTTP_BITRIX1C_ARG_ID))
    {
        return ngx_http_bitrix1c_api_error(call->request, NGX_HTTP_NOT_FOUND,
                              "there is no dead letter \"%V\" in queue \"%V\" "
                              "any more", &call->args.id,
                              &call->args.queue->name);
    }

    ngx_memzero(&buf, sizeof(bitrix_buf_t));

    ngx_http_bitrix1c_api_put(&buf, "{\"%s\":%L,",
                              change->script == NGX_HTTP_BITRIX1C_API_REPLAY
                              ? "replayed" : "deleted", change->changed);
    ngx_http_bitrix1c_api_cursor_json(&buf, &change->walk, 'a');
    ngx_http_bitrix1c_api_put(&buf, "}\n");

    return ngx_http_bitrix1c_api_send_json(call->request, &buf);
}


ngx_int_t
ngx_http_bitrix1c_api_hold(ngx_http_bitrix1c_api_call_t *call)
{
    return ngx_http_bitrix1c_api_set_hold(call, 1);
}


ngx_int_t
ngx_http_bitrix1c_api_resume(ngx_http_bitrix1c_api_call_t *call)
{
    return ngx_http_bitrix1c_api_set_hold(call, 0);
}


static ngx_int_t
ngx_http_bitrix1c_api_set_hold(ngx_http_bitrix1c_api_call_t *call,
    ngx_uint_t hold)
{
    ngx_str_t  *argv;

    argv = ngx_palloc(call->pool, 2 * sizeof(ngx_str_t));
    if (argv == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    argv[0] = call->args.queue->keys[1];
    ngx_str_set(&argv[1], "0");

    if (hold) {
        ngx_str_set(&argv[1], "1");
    }

    if (ngx_http_bitrix1c_api_ask(call, NGX_HTTP_BITRIX1C_API_HOLD, 1, 2,
                                  argv, ngx_http_bitrix1c_api_held,
                                  hold ? call : NULL)
        != NGX_OK)
    {
        return ngx_http_bitrix1c_api_away(call, NULL);
    }

    return ngx_http_bitrix1c_api_wait(call);
}


static ngx_int_t
ngx_http_bitrix1c_api_held(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_reply_t *reply, void *data)
{
    int64_t                     changed;
    ngx_uint_t                  hold;
    bitrix_buf_t                buf;
    ngx_http_bitrix1c_queue_t  *queue;

    hold = (data != NULL);
    queue = call->args.queue;

    if (ngx_http_bitrix1c_api_failed(reply)
        || ngx_http_bitrix1c_reply_int(reply, 0, &changed) != NGX_OK)
    {
        return ngx_http_bitrix1c_api_away(call, reply);
    }

    (void) ngx_http_bitrix1c_report_held(queue, hold, queue->worker->log);

    if (!hold) {
        ngx_http_bitrix1c_api_wake(queue);
    }

    ngx_memzero(&buf, sizeof(bitrix_buf_t));

    ngx_http_bitrix1c_api_put(&buf, "{\"queue\":\"%V\",\"held\":%s}\n",
                              &queue->name, hold ? "true" : "false");

    return ngx_http_bitrix1c_api_send_json(call->request, &buf);
}

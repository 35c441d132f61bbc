
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_api_internal.h"
#include "b1c_core.h"
#include "b1c_base.h"
#include "b1c_redis.h"
#include "b1c_http.h"
#include "b1c_queue.h"


/*
 * Changes by an operator: dead letters are replayed and deleted, the oldest
 * first, so that those of one lane keep their order; a queue is held and
 * resumed.
 */


/* ids in one call of a script */
#define NGX_B1C_CHANGE_PAGE   100

/*
 * ms between two replayed events, so that new events are delivered between
 * them
 */
#define NGX_B1C_CHANGE_PAUSE  "10"


typedef struct {
    ngx_b1c_api_script_e             script;
    ngx_b1c_api_walk_t               walk;
    ngx_uint_t                       ids;
    ngx_uint_t                       keys;
    ngx_uint_t                       fixed;      /* words before the ids */
    int64_t                          changed;
    ngx_str_t                        argv[6 + NGX_B1C_CHANGE_PAGE];
    u_char                           text[NGX_B1C_CHANGE_PAGE]
                                         [NGX_B1C_HASH_LEN];
} ngx_b1c_api_change_t;


static ngx_int_t ngx_b1c_api_change_begin(ngx_b1c_query_t *call,
    ngx_b1c_api_script_e script, const char *what);
static ngx_int_t ngx_b1c_api_change_one(ngx_b1c_query_t *call,
    ngx_b1c_reply_t *reply, void *data);
static void ngx_b1c_api_change_id(ngx_b1c_api_change_t *change, ngx_str_t *id);
static ngx_int_t ngx_b1c_api_change_item(ngx_b1c_query_t *call,
    ngx_b1c_api_walk_t *walk, ngx_b1c_api_item_t *item);
static ngx_int_t ngx_b1c_api_change_page(ngx_b1c_query_t *call,
    ngx_b1c_api_walk_t *walk);
static ngx_int_t ngx_b1c_api_change_done(ngx_b1c_query_t *call,
    ngx_b1c_reply_t *reply, void *data);
static ngx_int_t ngx_b1c_api_change_on(ngx_b1c_query_t *call,
    ngx_b1c_api_change_t *change);
static ngx_int_t ngx_b1c_api_change_set_hold(ngx_b1c_query_t *call,
    ngx_uint_t hold);
static ngx_int_t ngx_b1c_api_change_held(ngx_b1c_query_t *call,
    ngx_b1c_reply_t *reply, void *data);


ngx_int_t
ngx_b1c_api_change_replay(ngx_b1c_query_t *call)
{
    return ngx_b1c_api_change_begin(call, NGX_B1C_API_REPLAY, "replayed");
}


ngx_int_t
ngx_b1c_api_change_delete(ngx_b1c_query_t *call)
{
    return ngx_b1c_api_change_begin(call, NGX_B1C_API_DELETE, "deleted");
}


static ngx_int_t
ngx_b1c_api_change_begin(ngx_b1c_query_t *call, ngx_b1c_api_script_e script,
    const char *what)
{
    u_char                 letter;
    ngx_str_t             *keys;
    ngx_uint_t             i, id, all, filters;
    ngx_b1c_api_args_t    *args;
    ngx_b1c_api_walk_t    *walk;
    ngx_b1c_api_change_t  *change;

    args = ngx_b1c_api_args(call);

    id = !!(args->given & NGX_B1C_ARG_ID);
    all = !!(args->given & NGX_B1C_ARG_ALL);
    filters = !!(args->given & NGX_B1C_ARG_FILTERS);

    if (id + all + filters != 1) {
        return ngx_b1c_query_text_error(call->request,
                              NGX_HTTP_BAD_REQUEST,
                              "it is not clear what must be %s: expected one "
                              "of id=ID, all=1, and filters: event=, portal=, "
                              "reason=, from= or to=",
                              what);
    }

    change = ngx_pcalloc(call->pool, sizeof(ngx_b1c_api_change_t));
    if (change == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    change->script = script;
    keys = call->queue->keys;

    if (script == NGX_B1C_API_REPLAY) {

        for (i = 0; i < 4; i++) {
            change->argv[i] = keys[i];
        }

        change->keys = 4;

        /* an older value of a row must not overwrite a newer one */

        if (call->queue->ops->durable) {
            change->argv[change->keys++] = call->queue->prefix;
        }

        ngx_str_set(&change->argv[change->keys], NGX_B1C_CHANGE_PAUSE);
        change->fixed = change->keys + 1;

    } else {
        change->argv[0] = keys[3];
        change->argv[1] = keys[1];
        change->keys = 2;
        change->fixed = 2;
    }

    walk = &change->walk;
    walk->data = change;

    if (id) {
        return ngx_b1c_api_dead_ask_show(call, ngx_b1c_api_change_one, change);
    }

    walk->key = &keys[3];
    walk->page = NGX_B1C_CHANGE_PAGE;
    walk->item = ngx_b1c_api_change_item;
    walk->done = ngx_b1c_api_change_page;

    if (args->cursor.len
        && ngx_b1c_api_walk_cursor(walk, &args->cursor, "a", &letter)
           != NGX_OK)
    {
        return ngx_b1c_api_walk_cursor_bad(call);
    }

    return ngx_b1c_api_walk_begin(call, walk);
}


/* the named event may be in delivery or may no longer exist */
static ngx_int_t
ngx_b1c_api_change_one(ngx_b1c_query_t *call, ngx_b1c_reply_t *reply,
    void *data)
{
    ngx_b1c_api_change_t *change = data;

    ngx_str_t            died, meta;
    ngx_http_request_t  *r;

    r = call->request;

    if (ngx_b1c_redis_query_failed(reply)) {
        return ngx_b1c_redis_query_away(call, reply);
    }

    if (ngx_b1c_redis_reply_str(reply, 0, &died) != NGX_OK
        || ngx_b1c_redis_reply_str(reply, 1, &meta) != NGX_OK)
    {
        return ngx_b1c_query_text_error(r, NGX_HTTP_NOT_FOUND,
                              "there is no dead letter \"%V\" in queue "
                              "\"%V\"", &call->id,
                              &call->queue->name);
    }

    if (died.len == 0) {
        return ngx_b1c_query_text_error(r, NGX_HTTP_CONFLICT,
                              "event \"%V\" is not a dead letter: it waits or "
                              "is being delivered", &call->id);
    }

    if (meta.len == 0 && change->script == NGX_B1C_API_REPLAY) {
        return ngx_b1c_query_text_error(r, NGX_HTTP_CONFLICT,
                              "dead letter \"%V\" cannot be replayed: its "
                              "record in Redis does not have the format of "
                              "this version, export and delete it",
                              &call->id);
    }

    ngx_b1c_api_change_id(change, &call->id);

    return ngx_b1c_api_change_page(call, &change->walk);
}


static void
ngx_b1c_api_change_id(ngx_b1c_api_change_t *change, ngx_str_t *id)
{
    ngx_str_t  *word;

    word = &change->argv[change->fixed + change->ids];

    word->data = change->text[change->ids++];
    word->len = id->len;

    ngx_memcpy(word->data, id->data, id->len);
}


static ngx_int_t
ngx_b1c_api_change_item(ngx_b1c_query_t *call, ngx_b1c_api_walk_t *walk,
    ngx_b1c_api_item_t *item)
{
    if (item->id.len == NGX_B1C_HASH_LEN) {
        ngx_b1c_api_change_id(walk->data, &item->id);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_api_change_page(ngx_b1c_query_t *call, ngx_b1c_api_walk_t *walk)
{
    ngx_b1c_api_change_t  *change;

    change = walk->data;

    if (change->ids == 0) {
        return ngx_b1c_api_change_on(call, change);
    }

    if (ngx_b1c_api_script_ask(call, change->script,
                                change->keys,
                                change->fixed + change->ids, change->argv,
                                ngx_b1c_api_change_done, change)
        != NGX_OK)
    {
        return ngx_b1c_redis_query_away(call, NULL);
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_b1c_api_change_done(ngx_b1c_query_t *call, ngx_b1c_reply_t *reply,
    void *data)
{
    ngx_b1c_api_change_t *change = data;

    int64_t           n;
    ngx_b1c_queue_t  *queue;

    queue = call->queue;

    if (ngx_b1c_redis_query_failed(reply)
        || ngx_b1c_redis_reply_int(reply, 0, &n) != NGX_OK)
    {
        return ngx_b1c_redis_query_away(call, reply);
    }

    change->changed += n;
    change->ids = 0;

    if (change->script == NGX_B1C_API_REPLAY) {
        ngx_b1c_stats_count(queue->stats, NGX_B1C_N_REPLAYED, n);
        ngx_b1c_queue_wake(queue);

    } else {
        ngx_b1c_stats_count(queue->stats, NGX_B1C_N_DELETED, n);
    }

    return ngx_b1c_api_change_on(call, change);
}


static ngx_int_t
ngx_b1c_api_change_on(ngx_b1c_query_t *call, ngx_b1c_api_change_t *change)
{
    b1c_buf_t  buf;

    if (ngx_b1c_api_walk_on(&change->walk)) {
        return ngx_b1c_api_walk_begin(call, &change->walk);
    }

    if (change->changed == 0
        && (ngx_b1c_api_args(call)->given & NGX_B1C_ARG_ID))
    {
        /* its record was there a moment ago */

        if (change->keys == 5) {
            return ngx_b1c_query_text_error(call->request, NGX_HTTP_CONFLICT,
                          "dead letter \"%V\" is not replayed: a newer value "
                          "of its row is done or in the queue, delete it",
                          &call->id);
        }

        return ngx_b1c_query_text_error(call->request, NGX_HTTP_NOT_FOUND,
                              "there is no dead letter \"%V\" in queue \"%V\" "
                              "any more", &call->id,
                              &call->queue->name);
    }

    ngx_memzero(&buf, sizeof(b1c_buf_t));

    ngx_b1c_query_text_put(&buf, "{\"%s\":%L,",
                           change->script == NGX_B1C_API_REPLAY
                           ? "replayed" : "deleted", change->changed);
    ngx_b1c_api_walk_cursor_json(&buf, &change->walk, 'a');
    ngx_b1c_query_text_put(&buf, "}\n");

    return ngx_b1c_query_text_send_json(call->request, &buf);
}


ngx_int_t
ngx_b1c_api_change_hold(ngx_b1c_query_t *call)
{
    return ngx_b1c_api_change_set_hold(call, 1);
}


ngx_int_t
ngx_b1c_api_change_resume(ngx_b1c_query_t *call)
{
    return ngx_b1c_api_change_set_hold(call, 0);
}


static ngx_int_t
ngx_b1c_api_change_set_hold(ngx_b1c_query_t *call, ngx_uint_t hold)
{
    ngx_str_t  *argv;

    argv = ngx_palloc(call->pool, 2 * sizeof(ngx_str_t));
    if (argv == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    argv[0] = call->queue->keys[1];
    ngx_str_set(&argv[1], "0");

    if (hold) {
        ngx_str_set(&argv[1], "1");
    }

    if (ngx_b1c_api_script_ask(call, NGX_B1C_API_HOLD, 1, 2,
                                argv, ngx_b1c_api_change_held,
                                hold ? call : NULL)
        != NGX_OK)
    {
        return ngx_b1c_redis_query_away(call, NULL);
    }

    return ngx_b1c_redis_query_wait(call);
}


static ngx_int_t
ngx_b1c_api_change_held(ngx_b1c_query_t *call, ngx_b1c_reply_t *reply,
    void *data)
{
    int64_t           changed;
    ngx_uint_t        hold;
    b1c_buf_t         buf;
    ngx_b1c_queue_t  *queue;

    hold = (data != NULL);
    queue = call->queue;

    if (ngx_b1c_redis_query_failed(reply)
        || ngx_b1c_redis_reply_int(reply, 0, &changed) != NGX_OK)
    {
        return ngx_b1c_redis_query_away(call, reply);
    }

    (void) ngx_b1c_report_held(queue, hold, queue->worker->log);

    if (!hold) {
        ngx_b1c_queue_wake(queue);
    }

    ngx_memzero(&buf, sizeof(b1c_buf_t));

    ngx_b1c_query_text_put(&buf, "{\"queue\":\"%V\",\"held\":%s}\n",
                           &queue->name, hold ? "true" : "false");

    return ngx_b1c_query_text_send_json(call->request, &buf);
}

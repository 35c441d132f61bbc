
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_api_call.h"
#include "ngx_http_bitrix1c_depth.h"
#include "ngx_http_bitrix1c_lua.h"


#define NGX_HTTP_BITRIX1C_API_POOL  4096


/* a reply that is due */
typedef struct {
    ngx_http_bitrix1c_api_call_t    *call;
    ngx_http_bitrix1c_queue_t       *queue;
    ngx_http_bitrix1c_api_reply_pt   handler;
    void                            *data;
} ngx_http_bitrix1c_api_due_t;


static ngx_http_bitrix1c_api_due_t *ngx_http_bitrix1c_api_due(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_queue_t *queue,
    ngx_http_bitrix1c_api_reply_pt handler, void *data);
static void ngx_http_bitrix1c_api_replied(void *data,
    ngx_http_bitrix1c_reply_t *reply);
static void ngx_http_bitrix1c_api_gone(void *data);


static ngx_http_bitrix1c_script_t  ngx_http_bitrix1c_api_scripts[] = {
    { .name = ngx_string("call_status"),
      .text = ngx_string(NGX_HTTP_BITRIX1C_LUA_CALL_STATUS) },
    { .name = ngx_string("delete"),
      .text = ngx_string(NGX_HTTP_BITRIX1C_LUA_DELETE) },
    { .name = ngx_string("hold"),
      .text = ngx_string(NGX_HTTP_BITRIX1C_LUA_HOLD) },
    { .name = ngx_string("page"),
      .text = ngx_string(NGX_HTTP_BITRIX1C_LUA_PAGE) },
    { .name = ngx_string("replay"),
      .text = ngx_string(NGX_HTTP_BITRIX1C_LUA_REPLAY) },
    { .name = ngx_string("show"),
      .text = ngx_string(NGX_HTTP_BITRIX1C_LUA_SHOW) }
};


void
ngx_http_bitrix1c_api_call_init(void)
{
    ngx_uint_t  i;

    for (i = 0;
         i < sizeof(ngx_http_bitrix1c_api_scripts)
             / sizeof(ngx_http_bitrix1c_api_scripts[0]);
         i++)
    {
        ngx_http_bitrix1c_script_init(&ngx_http_bitrix1c_api_scripts[i]);
    }
}


ngx_http_bitrix1c_api_call_t *
ngx_http_bitrix1c_api_call_create(ngx_http_request_t *r)
{
    ngx_pool_t                    *pool;
    ngx_http_bitrix1c_api_call_t  *call;

    pool = ngx_create_pool(NGX_HTTP_BITRIX1C_API_POOL, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    call = ngx_pcalloc(pool, sizeof(ngx_http_bitrix1c_api_call_t));

    if (call) {
        call->cleanup = ngx_http_cleanup_add(r, 0);
    }

    if (call == NULL || call->cleanup == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    call->pool = pool;
    call->request = r;
    call->cleanup->handler = ngx_http_bitrix1c_api_gone;
    call->cleanup->data = call;

    return call;
}


void
ngx_http_bitrix1c_api_call_destroy(ngx_http_bitrix1c_api_call_t *call)
{
    if (call->request) {
        call->cleanup->handler = NULL;
    }

    free(call->buf.start);
    ngx_destroy_pool(call->pool);
}


static void
ngx_http_bitrix1c_api_gone(void *data)
{
    ngx_http_bitrix1c_api_call_t *call = data;

    call->request = NULL;
}


ngx_int_t
ngx_http_bitrix1c_api_ask(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_script_e script, ngx_uint_t nkeys, ngx_uint_t argc,
    ngx_str_t *argv, ngx_http_bitrix1c_api_reply_pt handler, void *data)
{
    ngx_int_t                     rc;
    ngx_http_bitrix1c_queue_t    *queue;
    ngx_http_bitrix1c_api_due_t  *due;

    queue = call->args.queue;

    due = ngx_http_bitrix1c_api_due(call, queue, handler, data);
    if (due == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_bitrix1c_redis_eval(queue->worker->redis,
                                      &ngx_http_bitrix1c_api_scripts[script],
                                      nkeys, argc, argv,
                                      ngx_http_bitrix1c_api_replied, due);
    if (rc == NGX_OK) {
        call->pending++;
    }

    return rc;
}


ngx_int_t
ngx_http_bitrix1c_api_ask_depth(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_queue_t *queue, ngx_http_bitrix1c_api_reply_pt handler,
    void *data)
{
    ngx_int_t                     rc;
    ngx_http_bitrix1c_api_due_t  *due;

    due = ngx_http_bitrix1c_api_due(call, queue, handler, data);
    if (due == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_bitrix1c_depth_ask(queue, ngx_http_bitrix1c_api_replied,
                                     due);
    if (rc == NGX_OK) {
        call->pending++;
    }

    return rc;
}


static ngx_http_bitrix1c_api_due_t *
ngx_http_bitrix1c_api_due(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_queue_t *queue, ngx_http_bitrix1c_api_reply_pt handler,
    void *data)
{
    ngx_http_bitrix1c_api_due_t  *due;

    if (queue->worker == NULL) {
        return NULL;
    }

    due = ngx_palloc(call->pool, sizeof(ngx_http_bitrix1c_api_due_t));
    if (due == NULL) {
        return NULL;
    }

    due->call = call;
    due->queue = queue;
    due->handler = handler;
    due->data = data;

    return due;
}


ngx_int_t
ngx_http_bitrix1c_api_wait(ngx_http_bitrix1c_api_call_t *call)
{
    ngx_http_request_t  *r;

    r = call->request;

    r->main->count++;

    /* a body that is still being discarded has a handler of its own */

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


/*
 * The last reply ends the request.  When the worker leaves in a hurry, replies
 * of NULL come after the event loop, and there is no request to end any more.
 */
static void
ngx_http_bitrix1c_api_replied(void *data, ngx_http_bitrix1c_reply_t *reply)
{
    ngx_http_bitrix1c_api_due_t *due = data;

    ngx_int_t                      rc;
    ngx_connection_t              *c;
    ngx_http_request_t            *r;
    ngx_http_bitrix1c_api_call_t  *call;

    call = due->call;
    call->pending--;
    rc = NGX_DONE;

    if (due->queue->worker == NULL && call->request) {
        call->cleanup->handler = NULL;
        call->request = NULL;
    }

    if (call->request) {
        rc = due->handler(call, reply, due->data);
    }

    if (call->pending) {
        return;
    }

    r = call->request;

    ngx_http_bitrix1c_api_call_destroy(call);

    if (r == NULL) {
        return;
    }

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


ngx_uint_t
ngx_http_bitrix1c_api_failed(ngx_http_bitrix1c_reply_t *reply)
{
    ngx_str_t  text;

    return reply == NULL
           || ngx_http_bitrix1c_reply_error(reply, &text) == NGX_OK;
}


ngx_int_t
ngx_http_bitrix1c_api_away(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_reply_t *reply)
{
    ngx_str_t                        text, *name;
    ngx_http_bitrix1c_queue_t       *queue;
    ngx_http_bitrix1c_redis_info_t   info;

    queue = call->args.queue;
    name = &queue->name;

    if (reply && ngx_http_bitrix1c_reply_error(reply, &text) == NGX_OK) {
        return ngx_http_bitrix1c_api_error(call->request,
                              NGX_HTTP_SERVICE_UNAVAILABLE,
                              "Redis of queue \"%V\" refused: %V", name,
                              &text);
    }

    if (queue->worker == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    ngx_http_bitrix1c_redis_info(queue->worker->redis, &info);

    return ngx_http_bitrix1c_api_error(call->request,
                          NGX_HTTP_SERVICE_UNAVAILABLE,
                          "Redis of queue \"%V\" is away%s%s", name,
                          *info.reason ? ": " : "", info.reason);
}


void
ngx_http_bitrix1c_api_wake(ngx_http_bitrix1c_queue_t *queue)
{
    ngx_http_bitrix1c_worker_t  *w;

    w = queue->worker;

    ngx_http_bitrix1c_slots_mark(queue->slots);
    w->claim = 1;
    ngx_post_event(&w->flush, &ngx_posted_events);
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_http.h"
#include "b1c_base.h"
#include "b1c_redis.h"


#define NGX_B1C_QUERY_POOL  4096


static void ngx_b1c_redis_query_gone(void *data);


ngx_b1c_query_t *
ngx_b1c_redis_query_create(ngx_http_request_t *r)
{
    ngx_pool_t       *pool;
    ngx_b1c_query_t  *query;

    pool = ngx_create_pool(NGX_B1C_QUERY_POOL, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    query = ngx_pcalloc(pool, sizeof(ngx_b1c_query_t));

    if (query) {
        query->cleanup = ngx_http_cleanup_add(r, 0);
    }

    if (query == NULL || query->cleanup == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    query->pool = pool;
    query->request = r;
    query->cleanup->handler = ngx_b1c_redis_query_gone;
    query->cleanup->data = query;

    return query;
}


void
ngx_b1c_redis_query_destroy(ngx_b1c_query_t *query)
{
    if (query->request) {
        query->cleanup->handler = NULL;
    }

    free(query->buf.start);
    ngx_destroy_pool(query->pool);
}


static void
ngx_b1c_redis_query_gone(void *data)
{
    ngx_b1c_query_t *query = data;

    query->request = NULL;
}


ngx_int_t
ngx_b1c_redis_query_ask(ngx_b1c_query_t *query, ngx_b1c_redis_script_t *script,
    ngx_uint_t nkeys, ngx_uint_t argc, ngx_str_t *argv,
    ngx_b1c_query_reply_pt handler, void *data)
{
    ngx_int_t           rc;
    ngx_b1c_queue_t    *queue;
    ngx_b1c_query_expected_t  *expected;

    queue = query->queue;

    expected = ngx_b1c_redis_query_expect(query, queue, handler, data);
    if (expected == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_b1c_redis_eval(queue->redis, script,
                            nkeys, argc, argv, ngx_b1c_redis_query_reply,
                            expected);
    if (rc == NGX_OK) {
        query->pending++;
    }

    return rc;
}


ngx_b1c_query_expected_t *
ngx_b1c_redis_query_expect(ngx_b1c_query_t *query, ngx_b1c_queue_t *queue,
    ngx_b1c_query_reply_pt handler, void *data)
{
    ngx_b1c_query_expected_t  *expected;

    if (queue->redis == NULL) {
        return NULL;
    }

    expected = ngx_palloc(query->pool, sizeof(ngx_b1c_query_expected_t));
    if (expected == NULL) {
        return NULL;
    }

    expected->query = query;
    expected->queue = queue;
    expected->handler = handler;
    expected->data = data;

    return expected;
}


ngx_int_t
ngx_b1c_redis_query_wait(ngx_b1c_query_t *query)
{
    ngx_http_request_t  *r;

    r = query->request;

    r->main->count++;

    /* a body that is being discarded has its own handler */

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


/*
 * The last reply ends the request.  When the worker exits at once, NULL
 * replies come after the event loop, and there is no request to end any more.
 */
void
ngx_b1c_redis_query_reply(void *data, ngx_b1c_reply_t *reply)
{
    ngx_b1c_query_expected_t *expected = data;

    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;
    ngx_b1c_query_t     *query;

    query = expected->query;
    query->pending--;
    rc = NGX_DONE;

    if (expected->queue->redis == NULL && query->request) {
        query->cleanup->handler = NULL;
        query->request = NULL;
    }

    if (query->request) {
        rc = expected->handler(query, reply, expected->data);
    }

    if (query->pending) {
        return;
    }

    r = query->request;

    ngx_b1c_redis_query_destroy(query);

    if (r == NULL) {
        return;
    }

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


ngx_uint_t
ngx_b1c_redis_query_failed(ngx_b1c_reply_t *reply)
{
    ngx_str_t  text;

    return reply == NULL || ngx_b1c_redis_reply_error(reply, &text) == NGX_OK;
}


ngx_int_t
ngx_b1c_redis_query_away(ngx_b1c_query_t *query, ngx_b1c_reply_t *reply)
{
    ngx_str_t             text, *name;
    ngx_b1c_queue_t      *queue;
    ngx_b1c_redis_info_t  info;

    queue = query->queue;
    name = &queue->name;

    if (reply && ngx_b1c_redis_reply_error(reply, &text) == NGX_OK) {
        return ngx_b1c_query_text_error(query->request,
                              NGX_HTTP_SERVICE_UNAVAILABLE,
                              "Redis of queue \"%V\" refused the command: %V",
                              name,
                              &text);
    }

    if (queue->redis == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    ngx_b1c_redis_info(queue->redis, &info);

    return ngx_b1c_query_text_error(query->request,
                          NGX_HTTP_SERVICE_UNAVAILABLE,
                          "Redis of queue \"%V\" is not available%s%s", name,
                          *info.reason ? ": " : "", info.reason);
}


ngx_uint_t
ngx_b1c_redis_query_is_id(ngx_str_t *text)
{
    size_t  i;
    u_char  ch;

    if (text->len != NGX_B1C_HASH_LEN) {
        return 0;
    }

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f'))) {
            return 0;
        }
    }

    return 1;
}

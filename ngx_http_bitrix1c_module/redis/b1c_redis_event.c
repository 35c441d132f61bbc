
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_redis_internal.h"


static void ngx_b1c_redis_event_read_handler(ngx_event_t *rev);
static ngx_int_t ngx_b1c_redis_event_unsolicited(ngx_b1c_redis_t *redis);
static void ngx_b1c_redis_event_write_handler(ngx_event_t *wev);
static void ngx_b1c_redis_event_write(ngx_b1c_redis_t *redis);

static void ngx_b1c_redis_event_add_read(void *data);
static void ngx_b1c_redis_event_del_read(void *data);
static void ngx_b1c_redis_event_add_write(void *data);
static void ngx_b1c_redis_event_del_write(void *data);


void
ngx_b1c_redis_event_hook(ngx_b1c_redis_t *redis, void (*cleanup)(void *data))
{
    ngx_connection_t   *c;
    redisAsyncContext  *ac;

    c = redis->connection;

    /* both are set at once, because worker_shutdown_timeout calls them */

    c->read->handler = ngx_b1c_redis_event_read_handler;
    c->read->log = c->log;
    c->write->handler = ngx_b1c_redis_event_write_handler;
    c->write->log = c->log;

    ac = redis->ac;

    ac->data = redis;
    ac->ev.data = redis;
    ac->ev.addRead = ngx_b1c_redis_event_add_read;
    ac->ev.delRead = ngx_b1c_redis_event_del_read;
    ac->ev.addWrite = ngx_b1c_redis_event_add_write;
    ac->ev.delWrite = ngx_b1c_redis_event_del_write;
    ac->ev.cleanup = cleanup;
}


static void
ngx_b1c_redis_event_read_handler(ngx_event_t *rev)
{
    ngx_connection_t  *c;
    ngx_b1c_redis_t   *redis;

    c = rev->data;
    redis = c->data;

    ngx_log_debug0(NGX_LOG_DEBUG_EVENT, rev->log, 0,
                   "bitrix1c redis read handler");

    if (c->close) {

        /*
         * At worker_shutdown_timeout deliveries are being returned to Redis;
         * the command timer bounds how long that takes.
         */

        c->close = 0;
        c->error = 0;
        return;
    }

    if (redis->ac->replies.head == NULL
        && redis->phase != NGX_B1C_REDIS_CONNECTING
        && ngx_b1c_redis_event_unsolicited(redis) == NGX_OK)
    {
        return;
    }

    /* each part of a long reply shows that Redis is alive */

    redis->progress = ngx_current_msec;

    redisAsyncHandleRead(redis->ac);
}


/*
 * hiredis aborts the process at an unexpected reply.  Redis sends one before
 * it closes a connection because there are too many clients.
 */

static ngx_int_t
ngx_b1c_redis_event_unsolicited(ngx_b1c_redis_t *redis)
{
    char     buf[NGX_B1C_REDIS_REASON], *p;
    ssize_t  n;

    n = recv(redis->connection->fd, buf, sizeof(buf), MSG_PEEK);

    if (n <= 0) {
        return NGX_DECLINED;
    }

    if (buf[0] != '-') {
        ngx_b1c_redis_conn_drop(redis,
                                "Protocol error, a reply to no command");
        return NGX_OK;
    }

    p = memchr(buf, '\r', n);
    if (p) {
        n = p - buf;
    }

    ngx_b1c_redis_log_reason(redis, NULL, buf + 1, n - 1);
    ngx_b1c_redis_conn_drop(redis, NULL);

    return NGX_OK;
}


ngx_uint_t
ngx_b1c_redis_event_surplus(ngx_b1c_redis_t *redis)
{
    redisReader        *reader;
    redisAsyncContext  *ac;

    ac = redis->ac;
    reader = ac->c.reader;

    return ac->replies.head == NULL && reader->pos < reader->len;
}


static void
ngx_b1c_redis_event_write_handler(ngx_event_t *wev)
{
    ngx_connection_t  *c;

    c = wev->data;

    ngx_log_debug0(NGX_LOG_DEBUG_EVENT, wev->log, 0,
                   "bitrix1c redis write handler");

    ngx_b1c_redis_event_write(c->data);
}


/*
 * Runs after the other posted events of the iteration, so that their commands
 * are in this write.  It postpones itself only once: two connections that
 * yield to each other would never write.
 */

void
ngx_b1c_redis_event_flush_handler(ngx_event_t *ev)
{
    ngx_b1c_redis_t  *redis;

    redis = ev->data;

    if (!redis->deferred && !ngx_queue_empty(&ngx_posted_events)) {
        redis->deferred = 1;
        ngx_post_event(ev, &ngx_posted_events);
        return;
    }

    redis->deferred = 0;

    ngx_b1c_redis_event_write(redis);
}


static void
ngx_b1c_redis_event_write(ngx_b1c_redis_t *redis)
{
    /* the context may be freed afterwards, the object is not */

    redis->writing = 1;
    redisAsyncHandleWrite(redis->ac);
    redis->writing = 0;
}


static void
ngx_b1c_redis_event_add_read(void *data)
{
    ngx_b1c_redis_t *redis = data;

    ngx_event_t  *rev;

    rev = redis->connection->read;

    /* on failure, here and below, the timer ends the connection */

    if (!rev->active) {
        (void) ngx_add_event(rev, NGX_READ_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_b1c_redis_event_del_read(void *data)
{
    ngx_b1c_redis_t *redis = data;

    ngx_event_t  *rev;

    rev = redis->connection->read;

    if (rev->active) {
        (void) ngx_del_event(rev, NGX_READ_EVENT, NGX_LEVEL_EVENT);
    }
}


/*
 * hiredis calls this for every command.  While the socket is writable, one
 * write at the end of the iteration replaces two epoll_ctl() and a round of
 * the event loop.
 */

static void
ngx_b1c_redis_event_add_write(void *data)
{
    ngx_b1c_redis_t *redis = data;

    ngx_event_t  *wev;

    wev = redis->connection->write;

    if (wev->active) {
        return;
    }

    /*
     * At graceful shutdown handlers are called between two iterations, where a
     * posted event would wait for the next wakeup of the loop.
     */

    if (redis->phase == NGX_B1C_REDIS_READY
        && !redis->writing
        && !ngx_exiting)
    {
        ngx_post_event(&redis->flush, &ngx_posted_events);
        return;
    }

    (void) ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
}


static void
ngx_b1c_redis_event_del_write(void *data)
{
    ngx_b1c_redis_t *redis = data;

    ngx_event_t  *wev;

    wev = redis->connection->write;

    if (wev->active) {
        (void) ngx_del_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }
}

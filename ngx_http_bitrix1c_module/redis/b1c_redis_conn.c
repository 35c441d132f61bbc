
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_redis_internal.h"


#define NGX_B1C_REDIS_DELAY      50
#define NGX_B1C_REDIS_MAX_DELAY  1000


/* s of silence before probes, s between probes, unanswered probes */
#define NGX_B1C_REDIS_KEEPIDLE   5
#define NGX_B1C_REDIS_KEEPINTVL  2
#define NGX_B1C_REDIS_KEEPCNT    3


static redisAsyncContext *ngx_b1c_redis_conn_open(ngx_addr_t *addr);
static ngx_int_t ngx_b1c_redis_conn_attach(ngx_b1c_redis_t *redis,
    redisAsyncContext *ac);
static void ngx_b1c_redis_conn_keepalive(ngx_b1c_redis_t *redis);
static void ngx_b1c_redis_conn_sockopt(ngx_connection_t *c, int level,
    int option, int value, const char *name);

static void ngx_b1c_redis_conn_connected(const redisAsyncContext *ac,
    int status);
static void ngx_b1c_redis_conn_cleanup(void *data);
static void ngx_b1c_redis_conn_down(ngx_b1c_redis_t *redis);
static void ngx_b1c_redis_conn_retry(ngx_b1c_redis_t *redis, ngx_uint_t soon);


ngx_int_t
ngx_b1c_redis_conn_connect(ngx_b1c_redis_t *redis)
{
    redisAsyncContext  *ac;

    ngx_b1c_redis_lookup_start(redis);

    if (redis->conf->naddrs == 0 && !redis->found) {
        redis->log.action = "looking up Redis";
        redis->peer = NULL;
        ngx_b1c_redis_log_reason(redis, NULL, "host not found", 14);
        return NGX_ERROR;
    }

    redis->log.action = ngx_b1c_redis_peer_current(redis)
                        ? "connecting to Sentinel" : "connecting to Redis";
    redis->reason[0] = '\0';
    redis->refused = 0;
    redis->replica = 0;
    redis->unusable = 0;

    ac = ngx_b1c_redis_conn_open(redis->peer);

    if (ac == NULL) {
        ngx_b1c_redis_log_reason(redis, NULL, "out of memory", 13);
        return NGX_ERROR;
    }

    if (ac->err) {
        ngx_b1c_redis_log_reason(redis, NULL, ac->errstr,
                                 ngx_strlen(ac->errstr));
        redisAsyncFree(ac);
        return NGX_ERROR;
    }

    if (ngx_b1c_redis_conn_attach(redis, ac) != NGX_OK) {
        redisAsyncFree(ac);
        return NGX_ERROR;
    }

    /* nobody waits for a connection, so an exiting worker must not either */

    redis->timer.cancelable = 1;
    ngx_add_timer(&redis->timer, redis->conf->connect_timeout);

    (void) redisAsyncSetConnectCallback(ac, ngx_b1c_redis_conn_connected);

    return NGX_OK;
}


static redisAsyncContext *
ngx_b1c_redis_conn_open(ngx_addr_t *addr)
{
    size_t  len;
    u_char  text[NGX_SOCKADDR_STRLEN + 1];
#if (NGX_HAVE_UNIX_DOMAIN)
    struct sockaddr_un  *saun;

    if (addr->sockaddr->sa_family == AF_UNIX) {
        saun = (struct sockaddr_un *) addr->sockaddr;
        return redisAsyncConnectUnix(saun->sun_path);
    }
#endif

    len = ngx_sock_ntop(addr->sockaddr, addr->socklen, text,
                        NGX_SOCKADDR_STRLEN, 0);
    text[len] = '\0';

    /* hiredis calls getaddrinfo(), which does not block on a number */

    return redisAsyncConnect((char *) text,
                             (int) ngx_inet_get_port(addr->sockaddr));
}


/* on error the socket still belongs to hiredis */

static ngx_int_t
ngx_b1c_redis_conn_attach(ngx_b1c_redis_t *redis, redisAsyncContext *ac)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(ac->c.fd, &redis->log);
    if (c == NULL) {
        ngx_b1c_redis_log_reason(redis, NULL, "no free connection", 18);
        return NGX_ERROR;
    }

    c->data = redis;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->log_error = NGX_ERROR_INFO;

    redis->ac = ac;
    redis->connection = c;
    redis->phase = NGX_B1C_REDIS_CONNECTING;

    if (redis->peer->sockaddr->sa_family != AF_UNIX) {
        ngx_b1c_redis_conn_keepalive(redis);
    }

    ngx_b1c_redis_event_hook(redis, ngx_b1c_redis_conn_cleanup);

    return NGX_OK;
}


/*
 * hiredis sets TCP_NODELAY.  The other side may disappear silently, behind a
 * firewall or with its machine.  Unacknowledged data reveals this after the
 * timeout of commands, and keepalive reveals it on an idle connection.
 */

static void
ngx_b1c_redis_conn_keepalive(ngx_b1c_redis_t *redis)
{
    ngx_connection_t  *c;

    c = redis->connection;

    ngx_b1c_redis_conn_sockopt(c, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");

#if (NGX_HAVE_KEEPALIVE_TUNABLE)
    ngx_b1c_redis_conn_sockopt(c, IPPROTO_TCP, TCP_KEEPIDLE,
                               NGX_B1C_REDIS_KEEPIDLE,
                               "TCP_KEEPIDLE");
    ngx_b1c_redis_conn_sockopt(c, IPPROTO_TCP, TCP_KEEPINTVL,
                               NGX_B1C_REDIS_KEEPINTVL,
                               "TCP_KEEPINTVL");
    ngx_b1c_redis_conn_sockopt(c, IPPROTO_TCP, TCP_KEEPCNT,
                               NGX_B1C_REDIS_KEEPCNT,
                               "TCP_KEEPCNT");
#endif

#ifdef TCP_USER_TIMEOUT
    ngx_b1c_redis_conn_sockopt(c, IPPROTO_TCP, TCP_USER_TIMEOUT,
                               (int) redis->conf->timeout,
                               "TCP_USER_TIMEOUT");
#endif
}


static void
ngx_b1c_redis_conn_sockopt(ngx_connection_t *c, int level, int option,
    int value, const char *name)
{
    if (setsockopt(c->fd, level, option, (const void *) &value, sizeof(int))
        == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, c->log, ngx_socket_errno,
                      "setsockopt(%s) failed", name);
    }
}


/*
 * Sending is allowed here, but freeing is not (hiredis issue 835), so a login
 * that could not be queued is ended by the connect timer.
 */

static void
ngx_b1c_redis_conn_connected(const redisAsyncContext *ac, int status)
{
    ngx_b1c_redis_t  *redis;

    if (status != REDIS_OK) {
        return;
    }

    redis = ac->data;

    redis->phase = NGX_B1C_REDIS_LOGIN;

    ngx_b1c_redis_login_begin(redis);
}


void
ngx_b1c_redis_conn_up(ngx_b1c_redis_t *redis)
{
    redis->phase = NGX_B1C_REDIS_READY;
    redis->since = ngx_current_msec;

    ngx_del_timer(&redis->timer);

    /*
     * from now on the timer is for replies, for which an exiting worker waits
     */

    redis->timer.cancelable = 0;

    if (!redis->doubted) {
        ngx_b1c_redis_log_recovered(redis);
    }

    redis->log.action = "talking to Redis";
    redis->up = 1;
    redis->idle_closed = 0;
    redis->tried = 0;
    redis->told_down = 0;

    redis->state(redis->data, 1);
}


/*
 * Within a reply's callback hiredis frees the context only after the callback
 * has returned; until then the phase rejects new commands.
 */

void
ngx_b1c_redis_conn_drop(ngx_b1c_redis_t *redis, const char *reason)
{
    struct linger  linger;

    if (redis->phase == NGX_B1C_REDIS_CLOSING) {
        return;
    }

    redis->phase = NGX_B1C_REDIS_CLOSING;

    if (reason) {
        ngx_b1c_redis_log_reason(redis, NULL, reason, ngx_strlen(reason));
    }

    /*
     * Data that the kernel has not sent yet must not reach Redis after the
     * commands of the next connection.
     */

    linger.l_onoff = 1;
    linger.l_linger = 0;

    (void) setsockopt(redis->connection->fd, SOL_SOCKET, SO_LINGER, &linger,
                      sizeof(struct linger));

    redisAsyncFree(redis->ac);
}


/* the only hook that hiredis calls at every end of a context */

static void
ngx_b1c_redis_conn_cleanup(void *data)
{
    ngx_b1c_redis_t *redis = data;

    ngx_connection_t   *c;
    redisAsyncContext  *ac;

    ac = redis->ac;
    c = redis->connection;

    if (redis->reason[0] == '\0' && ac->errstr) {
        ngx_b1c_redis_log_reason(redis, NULL, ac->errstr,
                                 ngx_strlen(ac->errstr));
    }

    /* by its "timeout": nothing was asked, so that nothing is lost */

    if (redis->phase == NGX_B1C_REDIS_READY && ac->err == REDIS_ERR_EOF
        && redis->pending == 0 && !redis->away && !redis->step
        && ngx_b1c_redis_conn_lasts(redis))
    {
        redis->idle_closed = 1;
    }

    ac->c.fd = -1;
    ngx_close_connection(c);

    redis->ac = NULL;
    redis->connection = NULL;

    if (redis->flush.posted) {
        ngx_delete_posted_event(&redis->flush);
    }

    redis->deferred = 0;

    if (redis->timer.timer_set) {
        ngx_del_timer(&redis->timer);
    }

    if (!redis->destroyed) {
        ngx_b1c_redis_conn_down(redis);
    }
}


static void
ngx_b1c_redis_conn_down(ngx_b1c_redis_t *redis)
{
    ngx_int_t   rc;
    ngx_uint_t  tell;

    redis->phase = NGX_B1C_REDIS_DOWN;

    if (redis->up) {

        /*
         * A connection that never lasts is not retried at once, and is not
         * logged as lost and back each time.
         */

        if (ngx_b1c_redis_conn_lasts(redis)) {
            redis->attempts = 0;

        } else {
            redis->doubted = 1;
        }
    }

    if (redis->step) {
        rc = redis->up ? NGX_DECLINED : NGX_OK;
        tell = 0;

    } else if (redis->up && redis->idle_closed) {
        ngx_log_error(NGX_LOG_INFO, &redis->log, 0,
                      "Redis has closed an idle connection, it is opened "
                      "again");

        /* a Sentinel may know another master by now */

        (void) ngx_b1c_redis_peer_failed(redis);

        rc = NGX_OK;
        tell = 0;

    } else {
        ngx_b1c_redis_log_outage(redis);

        rc = ngx_b1c_redis_peer_failed(redis);
        tell = (redis->up || rc != NGX_OK);
    }

    if (!redis->told_down) {
        redis->since = ngx_current_msec;
    }

    /* the next attempt clears it */

    ngx_memcpy(redis->told, redis->reason, NGX_B1C_REDIS_REASON);

    redis->up = 0;
    redis->step = 0;
    redis->away = 0;

    ngx_b1c_redis_conn_retry(redis, rc == NGX_OK);

    if (tell && !redis->told_down) {
        redis->told_down = 1;
        redis->state(redis->data, 0);
    }
}


ngx_uint_t
ngx_b1c_redis_conn_lasts(ngx_b1c_redis_t *redis)
{
    return ngx_current_msec - redis->since >= NGX_B1C_REDIS_MAX_DELAY;
}


static void
ngx_b1c_redis_conn_retry(ngx_b1c_redis_t *redis, ngx_uint_t soon)
{
    ngx_msec_t  delay;

    redis->timer.cancelable = 1;

    if (soon) {
        ngx_add_timer(&redis->timer, 1);
        return;
    }

    delay = NGX_B1C_REDIS_DELAY << redis->attempts;

    if (delay < NGX_B1C_REDIS_MAX_DELAY) {
        redis->attempts++;

    } else {
        delay = NGX_B1C_REDIS_MAX_DELAY;
    }

    /* workers that lost Redis together must not come back together */

    delay = delay * (80 + ngx_random() % 41) / 100;

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, &redis->log, 0,
                   "bitrix1c redis next attempt in %M ms", delay);

    ngx_add_timer(&redis->timer, delay);
}


/* the timer of three exclusive waits: next attempt, connection, replies */

void
ngx_b1c_redis_conn_timer_handler(ngx_event_t *ev)
{
    ngx_msec_t        passed;
    ngx_b1c_redis_t  *redis;

    redis = ev->data;

    switch (redis->phase) {

    case NGX_B1C_REDIS_DOWN:

        if (ngx_b1c_redis_conn_connect(redis) != NGX_OK) {
            ngx_b1c_redis_conn_down(redis);
        }

        return;

    case NGX_B1C_REDIS_READY:

        /* replies do not restart the timer, they only store their time */

        passed = ngx_current_msec - redis->progress;

        if (passed < redis->conf->timeout) {
            ngx_add_timer(ev, redis->conf->timeout - passed);
            return;
        }

        ngx_b1c_redis_conn_drop(redis, "no reply in time");
        return;

    case NGX_B1C_REDIS_LOGIN:
        ngx_b1c_redis_conn_drop(redis, "no answer to the login in time");
        return;

    default:
        ngx_b1c_redis_conn_drop(redis, "no connection in time");
        return;
    }
}

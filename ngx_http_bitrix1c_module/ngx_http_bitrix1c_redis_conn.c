
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_redis_conn.h"


#define NGX_HTTP_BITRIX1C_REDIS_DELAY      50
#define NGX_HTTP_BITRIX1C_REDIS_MAX_DELAY  1000


typedef struct {
    const char  *text;
    const char  *advice;
} ngx_http_bitrix1c_advice_t;


static redisAsyncContext *ngx_http_bitrix1c_redis_open(ngx_addr_t *addr);
static ngx_int_t ngx_http_bitrix1c_redis_attach(
    ngx_http_bitrix1c_redis_t *redis, redisAsyncContext *ac);
static void ngx_http_bitrix1c_redis_keepalive(ngx_connection_t *c);

static void ngx_http_bitrix1c_redis_connected(const redisAsyncContext *ac,
    int status);
static void ngx_http_bitrix1c_redis_login(ngx_http_bitrix1c_redis_t *redis,
    const char *verb, ngx_str_t *first, ngx_str_t *second);
static void ngx_http_bitrix1c_redis_login_reply(redisAsyncContext *ac,
    void *r, void *verb);
static void ngx_http_bitrix1c_redis_refuse(ngx_http_bitrix1c_redis_t *redis,
    const char *verb, redisReply *reply);
static size_t ngx_http_bitrix1c_redis_auth_error(redisReply *reply);
static void ngx_http_bitrix1c_redis_up(ngx_http_bitrix1c_redis_t *redis);

static void ngx_http_bitrix1c_redis_cleanup(void *data);
static void ngx_http_bitrix1c_redis_down(ngx_http_bitrix1c_redis_t *redis);
static void ngx_http_bitrix1c_redis_retry(ngx_http_bitrix1c_redis_t *redis);
static void ngx_http_bitrix1c_redis_complain(
    ngx_http_bitrix1c_redis_t *redis);


static ngx_http_bitrix1c_advice_t  ngx_http_bitrix1c_redis_advice[] = {

    { "NOAUTH",
      "it wants a password: set \"password_file\", and \"user\" if it has "
      "users" },

    { "WRONGPASS", "check \"user\" and \"password_file\"" },
    { "invalid password", "check \"password_file\"" },

    { "without any password",
      "it has none: remove \"password_file\" or set \"requirepass\"" },

    { "no password is set",
      "it has none: remove \"password_file\" or set \"requirepass\"" },

    { "AUTH refused: ERR wrong number",
      "it is older than 6.0 and has no users: remove \"user\"" },

    { "NOPERM", "its ACL denies this user the command" },
    { "LOADING", "it answers when its data are loaded" },

    { "Permission denied",
      "let the workers' user into the socket's group and set "
      "\"unixsocketperm 770\"" },

    { "No such file", "is it running, and is this its \"unixsocket\"?" },
    { "Connection refused", "is it running, and does it listen there?" },
    { "Protocol error", "is it Redis that listens there?" },

    { NULL, NULL }
};


ngx_int_t
ngx_http_bitrix1c_redis_connect(ngx_http_bitrix1c_redis_t *redis)
{
    redisAsyncContext  *ac;

    redis->log.action = "connecting to Redis";
    redis->reason[0] = '\0';
    redis->refused = 0;

    ac = ngx_http_bitrix1c_redis_open(&redis->conf->addr);

    if (ac == NULL) {
        ngx_http_bitrix1c_redis_reason(redis, NULL, "out of memory", 13);
        return NGX_ERROR;
    }

    if (ac->err) {
        ngx_http_bitrix1c_redis_reason(redis, NULL, ac->errstr,
                                       ngx_strlen(ac->errstr));
        redisAsyncFree(ac);
        return NGX_ERROR;
    }

    if (ngx_http_bitrix1c_redis_attach(redis, ac) != NGX_OK) {
        redisAsyncFree(ac);
        return NGX_ERROR;
    }

    /* nobody waits for a connection, so an exiting worker does not either */

    redis->timer.cancelable = 1;
    ngx_add_timer(&redis->timer, redis->conf->connect_timeout);

    (void) redisAsyncSetConnectCallback(ac, ngx_http_bitrix1c_redis_connected);

    return NGX_OK;
}


static redisAsyncContext *
ngx_http_bitrix1c_redis_open(ngx_addr_t *addr)
{
    size_t               len;
    u_char               text[NGX_SOCKADDR_STRLEN + 1];
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


/* on error the socket is still hiredis' own */

static ngx_int_t
ngx_http_bitrix1c_redis_attach(ngx_http_bitrix1c_redis_t *redis,
    redisAsyncContext *ac)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(ac->c.fd, &redis->log);
    if (c == NULL) {
        ngx_http_bitrix1c_redis_reason(redis, NULL, "no free connection", 18);
        return NGX_ERROR;
    }

    c->data = redis;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->log_error = NGX_ERROR_INFO;

    redis->ac = ac;
    redis->connection = c;
    redis->phase = NGX_HTTP_BITRIX1C_REDIS_CONNECTING;

    if (redis->conf->addr.sockaddr->sa_family != AF_UNIX) {
        ngx_http_bitrix1c_redis_keepalive(c);
    }

    ngx_http_bitrix1c_redis_hook(redis, ngx_http_bitrix1c_redis_cleanup);

    return NGX_OK;
}


/* TCP_NODELAY is set by hiredis */

static void
ngx_http_bitrix1c_redis_keepalive(ngx_connection_t *c)
{
    int  keepalive;

    keepalive = 1;

    if (setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE,
                   (const void *) &keepalive, sizeof(int))
        == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, c->log, ngx_socket_errno,
                      "setsockopt(SO_KEEPALIVE) failed");
    }
}


/*
 * Sending is allowed here, freeing is not (hiredis issue 835), so a login
 * that could not be queued is left to the connect timer.
 */

static void
ngx_http_bitrix1c_redis_connected(const redisAsyncContext *ac, int status)
{
    u_char                           digits[NGX_INT_T_LEN];
    ngx_str_t                        db;
    ngx_http_bitrix1c_redis_t       *redis;
    ngx_http_bitrix1c_redis_conf_t  *conf;

    if (status != REDIS_OK) {
        return;
    }

    redis = ac->data;
    conf = redis->conf;

    redis->phase = NGX_HTTP_BITRIX1C_REDIS_LOGIN;
    redis->log.action = "logging in to Redis";

    if (conf->user.len) {
        ngx_http_bitrix1c_redis_login(redis, "AUTH", &conf->user,
                                      &conf->password);

    } else if (conf->password.len) {
        ngx_http_bitrix1c_redis_login(redis, "AUTH", &conf->password, NULL);
    }

    if (conf->db) {
        db.data = digits;
        db.len = ngx_sprintf(digits, "%ui", conf->db) - digits;
        ngx_http_bitrix1c_redis_login(redis, "SELECT", &db, NULL);
    }

    /*
     * AUTH and SELECT are answered even while Redis loads its data set, PING
     * is not: it alone says that scripts will run.
     */

    ngx_http_bitrix1c_redis_login(redis, "PING", NULL, NULL);
}


static void
ngx_http_bitrix1c_redis_login(ngx_http_bitrix1c_redis_t *redis,
    const char *verb, ngx_str_t *first, ngx_str_t *second)
{
    int          n;
    size_t       lens[3];
    const char  *args[3];

    args[0] = verb;
    lens[0] = ngx_strlen(verb);
    n = 1;

    if (first) {
        args[n] = (const char *) first->data;
        lens[n++] = first->len;
    }

    if (second) {
        args[n] = second->len ? (const char *) second->data : "";
        lens[n++] = second->len;
    }

    (void) redisAsyncCommandArgv(redis->ac,
                                 ngx_http_bitrix1c_redis_login_reply,
                                 (void *) verb, n, args, lens);
}


static void
ngx_http_bitrix1c_redis_login_reply(redisAsyncContext *ac, void *r,
    void *verb)
{
    ngx_uint_t                  ping;
    redisReply                 *reply;
    ngx_http_bitrix1c_redis_t  *redis;

    redis = ac->data;
    reply = r;

    if (reply == NULL || redis->phase != NGX_HTTP_BITRIX1C_REDIS_LOGIN) {
        return;
    }

    ping = (ngx_strcmp(verb, "PING") == 0);

    if (reply->type == REDIS_REPLY_ERROR) {

        /* a user without the right to PING was answered all the same */

        if (!ping || ngx_strncmp(reply->str, "NOPERM", 6) != 0) {
            ngx_http_bitrix1c_redis_refuse(redis, verb, reply);
            return;
        }

    } else if (reply->type != REDIS_REPLY_STATUS
               || ngx_strcmp(reply->str, ping ? "PONG" : "OK") != 0)
    {
        ngx_http_bitrix1c_redis_drop(redis, "Protocol error, strange reply");
        return;
    }

    if (!ping) {
        return;
    }

    if (ngx_http_bitrix1c_redis_surplus(redis)) {
        ngx_http_bitrix1c_redis_drop(redis, "Protocol error, surplus reply");
        return;
    }

    ngx_http_bitrix1c_redis_up(redis);
}


static void
ngx_http_bitrix1c_redis_refuse(ngx_http_bitrix1c_redis_t *redis,
    const char *verb, redisReply *reply)
{
    size_t  len;

    len = (ngx_strcmp(verb, "AUTH") == 0)
          ? ngx_http_bitrix1c_redis_auth_error(reply)
          : (size_t) reply->len;

    /* these two pass by themselves, any other waits for somebody's hand */

    redis->refused = (ngx_strncmp(reply->str, "LOADING", 7) != 0
                      && ngx_strncmp(reply->str, "BUSY", 4) != 0);

    ngx_http_bitrix1c_redis_reason(redis, verb, reply->str, len);
    ngx_http_bitrix1c_redis_drop(redis, NULL);
}


/*
 * How much of an error to AUTH may be logged.  Where the command is renamed,
 * or unknown to a proxy, the reply repeats its arguments, so beyond the first
 * word only texts are shown that are known to hold none.
 */

static size_t
ngx_http_bitrix1c_redis_auth_error(redisReply *reply)
{
    char          *p;
    const char   **text;

    static const char  *known[] = {
        "ERR AUTH <password> called without any password",
        "ERR Client sent AUTH, but no password is set",
        "ERR invalid password",
        "ERR max number of clients reached",
        "ERR wrong number of arguments",
        NULL
    };

    for (text = known; *text; text++) {
        if (ngx_strncmp(reply->str, *text, ngx_strlen(*text)) == 0) {
            return ngx_strlen(*text);
        }
    }

    p = memchr(reply->str, ' ', reply->len);

    return p ? (size_t) (p - reply->str) : 0;
}


static void
ngx_http_bitrix1c_redis_up(ngx_http_bitrix1c_redis_t *redis)
{
    ngx_uint_t  level;

    redis->phase = NGX_HTTP_BITRIX1C_REDIS_READY;
    redis->since = ngx_current_msec;

    ngx_del_timer(&redis->timer);

    /* from now on the timer stands for replies, which a worker waits for */

    redis->timer.cancelable = 0;

    redis->log.action = NULL;
    level = redis->logged ? NGX_LOG_NOTICE : NGX_LOG_INFO;

    ngx_log_error(level, &redis->log, 0, "Redis is %s",
                  redis->logged ? "back" : "ready");

    redis->log.action = "talking to Redis";
    redis->up = 1;
    redis->logged = 0;
    redis->logged_refused = 0;
    redis->told_down = 0;

    redis->state(redis->data, 1);
}


/*
 * Within a reply's callback hiredis frees the context only when the callback
 * returned; until then the phase keeps new commands out.
 */

void
ngx_http_bitrix1c_redis_drop(ngx_http_bitrix1c_redis_t *redis,
    const char *reason)
{
    if (redis->phase == NGX_HTTP_BITRIX1C_REDIS_CLOSING) {
        return;
    }

    redis->phase = NGX_HTTP_BITRIX1C_REDIS_CLOSING;

    if (reason) {
        ngx_http_bitrix1c_redis_reason(redis, NULL, reason,
                                       ngx_strlen(reason));
    }

    redisAsyncFree(redis->ac);
}


/* of all hooks the only one that hiredis calls at every end of a context */

static void
ngx_http_bitrix1c_redis_cleanup(void *data)
{
    ngx_http_bitrix1c_redis_t *redis = data;

    ngx_connection_t   *c;
    redisAsyncContext  *ac;

    ac = redis->ac;
    c = redis->connection;

    if (redis->reason[0] == '\0' && ac->errstr) {
        ngx_http_bitrix1c_redis_reason(redis, NULL, ac->errstr,
                                       ngx_strlen(ac->errstr));
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
        ngx_http_bitrix1c_redis_down(redis);
    }
}


static void
ngx_http_bitrix1c_redis_down(ngx_http_bitrix1c_redis_t *redis)
{
    ngx_http_bitrix1c_redis_complain(redis);

    redis->phase = NGX_HTTP_BITRIX1C_REDIS_DOWN;

    /* a Redis that never stays for long is not hurried */

    if (redis->up
        && ngx_current_msec - redis->since
           >= NGX_HTTP_BITRIX1C_REDIS_MAX_DELAY)
    {
        redis->attempts = 0;
    }

    if (!redis->told_down) {
        redis->since = ngx_current_msec;
    }

    /* the next attempt clears it */

    ngx_memcpy(redis->told, redis->reason, NGX_HTTP_BITRIX1C_REDIS_REASON);

    redis->up = 0;

    if (!redis->stopped) {
        ngx_http_bitrix1c_redis_retry(redis);
    }

    if (!redis->told_down) {
        redis->told_down = 1;
        redis->state(redis->data, 0);
    }
}


static void
ngx_http_bitrix1c_redis_retry(ngx_http_bitrix1c_redis_t *redis)
{
    ngx_msec_t  delay;

    delay = NGX_HTTP_BITRIX1C_REDIS_DELAY << redis->attempts;

    if (delay < NGX_HTTP_BITRIX1C_REDIS_MAX_DELAY) {
        redis->attempts++;

    } else {
        delay = NGX_HTTP_BITRIX1C_REDIS_MAX_DELAY;
    }

    /* workers that lost Redis together must not come back together */

    delay = delay * (80 + ngx_random() % 41) / 100;

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, &redis->log, 0,
                   "bitrix1c redis next attempt in %M ms", delay);

    redis->timer.cancelable = 1;
    ngx_add_timer(&redis->timer, delay);
}


void
ngx_http_bitrix1c_redis_reason(ngx_http_bitrix1c_redis_t *redis,
    const char *verb, const char *text, size_t len)
{
    u_char  *p, *last;

    last = ngx_snprintf(redis->reason, NGX_HTTP_BITRIX1C_REDIS_REASON - 1,
                        "%s%s%*s", verb ? verb : "", verb ? " refused: " : "",
                        len, text);
    *last = '\0';

    /* this goes to the error log, so only printable bytes stay */

    for (p = redis->reason; p < last; p++) {
        if (*p < 0x20 || *p > 0x7e) {
            *p = '?';
        }
    }
}


/*
 * An outage is one line and not one an attempt.  A refusal is told even when
 * the outage was, because it lasts until somebody mends it.
 */

static void
ngx_http_bitrix1c_redis_complain(ngx_http_bitrix1c_redis_t *redis)
{
    ngx_uint_t                   level;
    ngx_http_bitrix1c_advice_t  *a;

    for (a = ngx_http_bitrix1c_redis_advice; a->text; a++) {
        if (ngx_strstr(redis->reason, a->text)) {
            break;
        }
    }

    if (ngx_strstr(redis->reason, "Permission denied")) {
        redis->refused = 1;
    }

    if (redis->stopped
        || (redis->logged && (!redis->refused || redis->logged_refused)))
    {
        level = NGX_LOG_INFO;

    } else {
        level = NGX_LOG_ERR;
        redis->logged = 1;
        redis->logged_refused = redis->refused;
    }

    ngx_log_error(level, &redis->log, 0, "%s: %s%s%s%s",
                  redis->up ? "Redis is lost" : "Redis is not available",
                  redis->reason, a->text ? " (" : "",
                  a->text ? a->advice : "", a->text ? ")" : "");
}


u_char *
ngx_http_bitrix1c_redis_log_error(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char                     *p;
    ngx_http_bitrix1c_redis_t  *redis;

    p = buf;
    redis = log->data;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
    }

    return ngx_snprintf(p, len, ", redis: \"%V\"", &redis->conf->name);
}


/* three waits that exclude each other: next attempt, connection, replies */

void
ngx_http_bitrix1c_redis_timer_handler(ngx_event_t *ev)
{
    ngx_msec_t                  passed;
    ngx_http_bitrix1c_redis_t  *redis;

    redis = ev->data;

    switch (redis->phase) {

    case NGX_HTTP_BITRIX1C_REDIS_DOWN:

        if (ngx_http_bitrix1c_redis_connect(redis) != NGX_OK) {
            ngx_http_bitrix1c_redis_down(redis);
        }

        return;

    case NGX_HTTP_BITRIX1C_REDIS_READY:

        /* replies do not move the timer, they only note that they came */

        passed = ngx_current_msec - redis->progress;

        if (passed < redis->conf->timeout) {
            ngx_add_timer(ev, redis->conf->timeout - passed);
            return;
        }

        ngx_http_bitrix1c_redis_drop(redis, "no reply in time");
        return;

    default:
        ngx_http_bitrix1c_redis_drop(redis, "no connection in time");
        return;
    }
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_redis_internal.h"


typedef struct {
    const char  *text;
    const char  *advice;
    const char  *sentinel;      /* advice, NULL if it is the same */
} ngx_b1c_advice_t;


static ngx_b1c_advice_t *ngx_b1c_redis_log_advise(ngx_b1c_advice_t *a,
    u_char *reason);


/* the first text that the reason contains */
static ngx_b1c_advice_t  ngx_b1c_redis_advice[] = {

    { "AUTH refused: ERR wrong number",
      "it is older than 6.0 and has no users: remove \"user\"",
      "it is older than 6.2 and has no users: remove \"sentinel_user\"" },

    { "without any password",
      "it has none: remove \"password_file\" or set \"requirepass\"",
      "it has none: remove \"sentinel_password_file\"" },

    { "no password is set",
      "it has none: remove \"password_file\" or set \"requirepass\"",
      "it has none: remove \"sentinel_password_file\"" },

    { "SENTINEL refused: ERR unknown command",
      "it is no Sentinel: those listen on port 26379", NULL },

    { "unknown command", "is it a Sentinel? Those are named in \"sentinel\"",
      NULL },

    { "NOAUTH",
      "it wants a password: set \"password_file\", and \"user\" if it has "
      "users",
      "it wants a password: set \"sentinel_password_file\", and "
      "\"sentinel_user\" if it has users" },

    { "WRONGPASS", "check \"user\" and \"password_file\"",
      "check \"sentinel_user\" and \"sentinel_password_file\"" },

    { "invalid password", "check \"password_file\"",
      "check \"sentinel_password_file\"" },

    { "NOPERM", "its ACL denies this user the command", NULL },
    { "LOADING", "it answers when its data are loaded", NULL },

    { "DB index is out of range",
      "check \"db\", and \"databases\" of Redis", NULL },

    { "not allowed in cluster mode",
      "a Redis Cluster has database 0 alone: remove \"db\"", NULL },

    { "has layout",
      "drain it with the version that wrote it, or give the queue another "
      "name, see UPGRADING.md", NULL },

    { "it is a replica", "none of the addresses is that of a master",
      NULL },

    { "it knows no master", "check the name in \"sentinel\"", NULL },

    { "the master's address is",
      "numbers are due: set \"sentinel announce-hostnames no\"", NULL },

    { "MOVED",
      "numbers are due: set \"cluster-preferred-endpoint-type ip\"", NULL },

    { "a loop of redirections",
      "its nodes do not agree about the owner of the slot", NULL },

    { "Permission denied",
      "let the workers' user into the socket's group and set "
      "\"unixsocketperm 770\"", NULL },

    { "No such file", "is it running, and is this its \"unixsocket\"?", NULL },

    { "Connection refused", "is it running, and does it listen there?",
      NULL },

    { "Protocol error",
      "is it Redis that listens there, and without TLS?",
      "is it Sentinel that listens there, and without TLS?" },

    { "to the login in time",
      "is it Redis that listens there, without TLS, or is it stopped?",
      "is it Sentinel that listens there, without TLS, or is it stopped?" },

    { "no connection in time",
      "is the host up, and does a firewall let nginx through?", NULL },

    { NULL, NULL, NULL }
};


/* how something else than Redis ends a connection, and Redis when it dies */
static ngx_b1c_advice_t  ngx_b1c_redis_login_advice[] = {

    { "Connection reset",
      "is it Redis that listens there, and without TLS?",
      "is it Sentinel that listens there, and without TLS?" },

    { "Server closed the connection",
      "is it Redis that listens there, and without TLS?",
      "is it Sentinel that listens there, and without TLS?" },

    { NULL, NULL, NULL }
};


void
ngx_b1c_redis_log_reason(ngx_b1c_redis_t *redis, const char *verb,
    const char *text, size_t len)
{
    u_char  *p, *last;

    last = ngx_snprintf(redis->reason, NGX_B1C_REDIS_REASON - 1,
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
 * An outage is one line an address and not one an attempt.  A refusal is told
 * even when the outage was, because it lasts until somebody mends it.  That
 * one of several addresses is a replica's is as it should be.
 */

void
ngx_b1c_redis_log_outage(ngx_b1c_redis_t *redis)
{
    uint32_t           bit;
    ngx_uint_t         level, sentinel;
    const char        *advice;
    ngx_b1c_advice_t  *a;

    a = ngx_b1c_redis_log_advise(ngx_b1c_redis_advice, redis->reason);

    if (a->text == NULL && !redis->up) {
        a = ngx_b1c_redis_log_advise(ngx_b1c_redis_login_advice,
                                     redis->reason);
    }

    if (ngx_strstr(redis->reason, "Permission denied")) {
        redis->refused = 1;
    }

    sentinel = ngx_b1c_redis_peer_is_sentinel(redis);
    advice = (sentinel && a->sentinel) ? a->sentinel : a->advice;

    bit = (uint32_t) 1 << (redis->peer == &redis->target
                           ? NGX_B1C_REDIS_ADDRS : redis->next);

    if ((redis->replica && redis->permit + 1 < redis->conf->naddrs)
        || ((redis->logged & bit)
            && (!redis->refused || (redis->logged_refused & bit))))
    {
        level = NGX_LOG_INFO;

    } else {
        level = NGX_LOG_ERR;
        redis->logged |= bit;

        if (redis->refused) {
            redis->logged_refused |= bit;
        }
    }

    ngx_log_error(level, &redis->log, 0, "%s is %s: %s%s%s%s",
                  sentinel ? "Sentinel" : "Redis",
                  redis->unusable ? "not used"
                  : redis->up ? "lost" : "not available", redis->reason,
                  advice ? " (" : "", advice ? advice : "",
                  advice ? ")" : "");
}


/* the last one, which is empty, if none fits */

static ngx_b1c_advice_t *
ngx_b1c_redis_log_advise(ngx_b1c_advice_t *a, u_char *reason)
{
    while (a->text && ngx_strstr(reason, a->text) == NULL) {
        a++;
    }

    return a;
}


void
ngx_b1c_redis_log_recovered(ngx_b1c_redis_t *redis)
{
    ngx_uint_t   level;
    const char  *action;

    level = redis->logged ? NGX_LOG_NOTICE : NGX_LOG_INFO;

    action = redis->log.action;
    redis->log.action = NULL;

    ngx_log_error(level, &redis->log, 0, "Redis is %s",
                  redis->logged ? "back" : "ready");

    redis->log.action = (char *) action;
    redis->logged = 0;
    redis->logged_refused = 0;
    redis->doubted = 0;
}


u_char *
ngx_b1c_redis_log_error(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char           *p;
    const char       *what;
    ngx_str_t        *name;
    ngx_b1c_redis_t  *redis;

    p = buf;
    redis = log->data;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
    }

    if (redis->peer == NULL) {
        name = &redis->conf->name;
        what = "redis";

    } else {
        name = &redis->peer->name;
        what = ngx_b1c_redis_peer_is_sentinel(redis) ? "sentinel" : "redis";
    }

    return ngx_snprintf(p, len, ", %s: \"%V\"", what, name);
}

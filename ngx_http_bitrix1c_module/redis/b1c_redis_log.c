
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


/* the first entry whose text is in the reason applies */
static ngx_b1c_advice_t  ngx_b1c_redis_advice[] = {

    { "AUTH refused: ERR wrong number",
      "it is older than 6.0 and has no users: remove \"user\"",
      "it is older than 6.2 and has no users: remove \"sentinel_user\"" },

    { "without any password",
      "it has no password: remove \"password_file\" or set \"requirepass\"",
      "it has no password: remove \"sentinel_password_file\"" },

    { "no password is set",
      "it has no password: remove \"password_file\" or set \"requirepass\"",
      "it has no password: remove \"sentinel_password_file\"" },

    { "SENTINEL refused: ERR unknown command",
      "it is not a Sentinel: Sentinels listen on port 26379", NULL },

    { "unknown command", "if it is a Sentinel, specify it in \"sentinel\"",
      NULL },

    { "NOAUTH",
      "it requires a password: set \"password_file\", and \"user\" if it has "
      "users",
      "it requires a password: set \"sentinel_password_file\", and "
      "\"sentinel_user\" if it has users" },

    { "WRONGPASS", "check \"user\" and \"password_file\"",
      "check \"sentinel_user\" and \"sentinel_password_file\"" },

    { "invalid password", "check \"password_file\"",
      "check \"sentinel_password_file\"" },

    { "NOPERM", "its ACL does not allow this user the command", NULL },
    { "LOADING", "wait until it has loaded its data", NULL },

    { "DB index is out of range",
      "check \"db\", and \"databases\" in the configuration of Redis", NULL },

    { "not allowed in cluster mode",
      "a Redis Cluster has only database 0: remove \"db\"", NULL },

    { "has layout",
      "drain it with the version that wrote it, or give the queue another "
      "name, see UPGRADING.md", NULL },

    { "it is a replica", "none of the addresses belongs to a master",
      NULL },

    { "it knows no master", "check the name in \"sentinel\"", NULL },

    { "the master's address is",
      "an IP address is required: set \"sentinel announce-hostnames no\"",
      NULL },

    { "MOVED",
      "an IP address is required: set \"cluster-preferred-endpoint-type ip\"",
      NULL },

    { "a loop of redirections",
      "its nodes disagree about the owner of the slot", NULL },

    { "host not found", "check the name and DNS", NULL },

    { "Permission denied",
      "add the workers' user to the socket's group and set \"unixsocketperm "
      "770\"", NULL },

    { "No such file", "check that it is running and that this is its "
                      "\"unixsocket\"", NULL },

    { "Connection refused", "check that it is running and listens there",
      NULL },

    { "Protocol error",
      "check that Redis listens there, without TLS",
      "check that Sentinel listens there, without TLS" },

    { "to the login in time",
      "check that Redis listens there, without TLS, and is not stopped",
      "check that Sentinel listens there, without TLS, and is not stopped" },

    { "no connection in time",
      "check that the host is up and that no firewall blocks nginx", NULL },

    { NULL, NULL, NULL }
};


/* a server other than Redis ends a connection so, and a dying Redis too */
static ngx_b1c_advice_t  ngx_b1c_redis_login_advice[] = {

    { "Connection reset",
      "check that Redis listens there, without TLS",
      "check that Sentinel listens there, without TLS" },

    { "Server closed the connection",
      "check that Redis listens there, without TLS",
      "check that Sentinel listens there, without TLS" },

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
 * An outage is logged once per address, not once per attempt.  A refusal is
 * logged even during a logged outage, because it lasts until somebody fixes
 * it.  If one of several addresses is a replica, that is normal.
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

    sentinel = redis->peer ? ngx_b1c_redis_peer_is_sentinel(redis)
                           : redis->conf->master.len != 0;
    advice = (sentinel && a->sentinel) ? a->sentinel : a->advice;

    bit = (uint32_t) 1 << (redis->peer == &redis->target
                           ? NGX_B1C_REDIS_ADDRS : redis->next);

    if ((redis->replica && redis->tried + 1 < redis->conf->naddrs)
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
                  : redis->up || redis->idle_closed ? "lost" : "not available",
                  redis->reason,
                  advice ? " (" : "", advice ? advice : "",
                  advice ? ")" : "");

    /* Redis was lost with its idle connection, the next peer was not */

    if (!redis->up) {
        redis->idle_closed = 0;
    }
}


/* returns the last entry, which is empty, if none matches */

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

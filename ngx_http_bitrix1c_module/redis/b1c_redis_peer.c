
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_redis_internal.h"


/* more redirections than this are a fault of the Cluster */
#define NGX_B1C_REDIS_HOPS  3


static void ngx_b1c_redis_peer_follow(ngx_b1c_redis_t *redis,
    redisReply *reply);
static ngx_int_t ngx_b1c_redis_peer_moved(ngx_b1c_redis_t *redis,
    redisReply *reply);
static ngx_int_t ngx_b1c_redis_peer_target(ngx_b1c_redis_t *redis,
    ngx_str_t *host, ngx_str_t *port);
static ngx_uint_t ngx_b1c_redis_peer_readonly(redisReply *reply);


ngx_uint_t
ngx_b1c_redis_peer_current(ngx_b1c_redis_t *redis)
{
    redis->peer = redis->found ? &redis->target
                               : &redis->conf->addrs[redis->next];

    return ngx_b1c_redis_peer_is_sentinel(redis);
}


ngx_uint_t
ngx_b1c_redis_peer_is_sentinel(ngx_b1c_redis_t *redis)
{
    return redis->conf->master.len && redis->peer != &redis->target;
}


ngx_uint_t
ngx_b1c_redis_peer_has_peers(ngx_b1c_redis_t *redis)
{
    return redis->conf->master.len || redis->conf->naddrs > 1;
}


ngx_int_t
ngx_b1c_redis_peer_failed(ngx_b1c_redis_t *redis)
{
    ngx_uint_t  found;

    if (redis->conf->naddrs == 0) {
        redis->found = 0;
        return NGX_DECLINED;
    }

    found = (redis->peer == &redis->target);

    if (redis->up) {

        /* the master may return soon, but a Sentinel knows the current one */

        if (redis->conf->master.len || redis->away) {
            redis->found = 0;
        }

        if (redis->away && !found) {
            redis->next = (redis->next + 1) % redis->conf->naddrs;
        }

        redis->tried = 0;

        return NGX_DECLINED;
    }

    redis->found = 0;

    if (found && redis->conf->master.len == 0) {
        return NGX_OK;
    }

    /* the next Sentinel may not know yet that this master fails */

    redis->next = (redis->next + 1) % redis->conf->naddrs;

    if (++redis->tried < redis->conf->naddrs) {
        return NGX_OK;
    }

    redis->tried = 0;

    return NGX_DECLINED;
}


ngx_int_t
ngx_b1c_redis_peer_master(ngx_b1c_redis_t *redis, redisReply *reply)
{
    u_char     buf[NGX_B1C_REDIS_REASON], *last;
    ngx_str_t  host, port;

    if (reply->type == REDIS_REPLY_NIL) {
        last = ngx_snprintf(buf, sizeof(buf), "it knows no master \"%V\"",
                            &redis->conf->master);

        ngx_b1c_redis_log_reason(redis, NULL, (char *) buf, last - buf);
        redis->refused = 1;

        return NGX_DECLINED;
    }

    if (reply->type != REDIS_REPLY_ARRAY
        || reply->elements != 2
        || reply->element[0]->type != REDIS_REPLY_STRING
        || reply->element[1]->type != REDIS_REPLY_STRING)
    {
        ngx_b1c_redis_log_reason(redis, NULL,
                                 "Protocol error, strange reply", 29);
        return NGX_DECLINED;
    }

    host.data = (u_char *) reply->element[0]->str;
    host.len = reply->element[0]->len;
    port.data = (u_char *) reply->element[1]->str;
    port.len = reply->element[1]->len;

    if (ngx_b1c_redis_peer_target(redis, &host, &port) != NGX_OK) {
        last = ngx_snprintf(buf, sizeof(buf), "the master's address is "
                            "\"%V:%V\"", &host, &port);

        ngx_b1c_redis_log_reason(redis, NULL, (char *) buf, last - buf);
        redis->refused = 1;

        return NGX_DECLINED;
    }

    redis->found = 1;
    redis->step = 1;

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, &redis->log, 0,
                   "bitrix1c redis master is \"%V\"", &redis->target.name);

    ngx_b1c_redis_conn_drop(redis, "the master is known");

    return NGX_OK;
}


ngx_int_t
ngx_b1c_redis_peer_redirected(ngx_b1c_redis_t *redis, redisReply *reply)
{
    if (ngx_strncmp(reply->str, "MOVED ", 6) == 0) {
        ngx_b1c_redis_peer_follow(redis, reply);
        return NGX_DONE;
    }

    if (ngx_b1c_redis_peer_has_peers(redis)
        && ngx_b1c_redis_peer_readonly(reply))
    {
        redis->away = 1;

        ngx_b1c_redis_log_reason(redis, NULL, reply->str, reply->len);
        ngx_b1c_redis_conn_drop(redis, NULL);
    }

    return NGX_OK;
}


static void
ngx_b1c_redis_peer_follow(ngx_b1c_redis_t *redis, redisReply *reply)
{
    ngx_uint_t  level;

    ngx_b1c_redis_log_reason(redis, NULL, reply->str, reply->len);

    if (redis->phase == NGX_B1C_REDIS_LOGIN) {

        /* the node is there, so that the hops are counted and no failures */

        redis->up = 1;
        redis->tried = 0;
        redis->since = ngx_current_msec;
    }

    if (ngx_b1c_redis_peer_moved(redis, reply) == NGX_OK) {

        level = redis->doubted ? NGX_LOG_INFO : NGX_LOG_NOTICE;

        ngx_log_error(level, &redis->log, 0, "Redis Cluster has the queue at "
                      "\"%V\"", &redis->target.name);

        redis->found = 1;

        /* a redirection is not logged, unless it repeats */

        if (redis->attempts < NGX_B1C_REDIS_HOPS) {
            redis->step = 1;

        } else {
            ngx_b1c_redis_log_reason(redis, NULL,
                                     "a loop of redirections", 22);
        }

    } else {
        redis->refused = 1;
        redis->away = 1;
    }

    ngx_b1c_redis_conn_drop(redis, NULL);
}


/*
 * "MOVED slot host:port".  Without a host the same host is meant.  The last
 * colon precedes the port, because IPv6 has no brackets here.
 */

static ngx_int_t
ngx_b1c_redis_peer_moved(ngx_b1c_redis_t *redis, redisReply *reply)
{
    u_char    *p, *last, *colon;
    ngx_str_t  host, port;

    last = (u_char *) reply->str + reply->len;

    p = ngx_strlchr((u_char *) reply->str + 6, last, ' ');
    if (p == NULL) {
        return NGX_DECLINED;
    }

    host.data = ++p;

    for (colon = NULL; p < last; p++) {
        if (*p == ':') {
            colon = p;
        }
    }

    if (colon == NULL) {
        return NGX_DECLINED;
    }

    host.len = colon - host.data;
    port.data = colon + 1;
    port.len = last - port.data;

    return ngx_b1c_redis_peer_target(redis, &host, &port);
}


/* the lookup of a name would block, so only IP addresses are accepted */

static ngx_int_t
ngx_b1c_redis_peer_target(ngx_b1c_redis_t *redis, ngx_str_t *host,
    ngx_str_t *port)
{
    u_char          addr6[16];
    in_addr_t       addr;
    ngx_int_t       n;
    ngx_addr_t     *target;
    ngx_sockaddr_t  sa;

    n = ngx_atoi(port->data, port->len);

    if (n < 1 || n > 65535) {
        return NGX_DECLINED;
    }

    target = &redis->target;

    ngx_memzero(&sa, sizeof(ngx_sockaddr_t));

    addr = ngx_inet_addr(host->data, host->len);

    if (addr != INADDR_NONE) {
        sa.sockaddr_in.sin_family = AF_INET;
        sa.sockaddr_in.sin_addr.s_addr = addr;
        target->socklen = sizeof(struct sockaddr_in);

#if (NGX_HAVE_INET6)
    } else if (ngx_inet6_addr(host->data, host->len, addr6) == NGX_OK) {
        sa.sockaddr_in6.sin6_family = AF_INET6;
        ngx_memcpy(&sa.sockaddr_in6.sin6_addr, addr6, 16);
        target->socklen = sizeof(struct sockaddr_in6);
#endif

    } else if (host->len == 0
               && redis->peer->sockaddr->sa_family != AF_UNIX)
    {
        ngx_memcpy(&sa, redis->peer->sockaddr, redis->peer->socklen);
        target->socklen = redis->peer->socklen;

    } else {
        return NGX_DECLINED;
    }

    ngx_inet_set_port(&sa.sockaddr, (in_port_t) n);

    redis->target_sockaddr = sa;

    target->sockaddr = &redis->target_sockaddr.sockaddr;
    target->name.data = redis->target_name;
    target->name.len = ngx_sock_ntop(target->sockaddr, target->socklen,
                                     redis->target_name, NGX_SOCKADDR_STRLEN,
                                     1);

    return NGX_OK;
}


/* before 7.0 scripts quote the error of a command after a "-" */

static ngx_uint_t
ngx_b1c_redis_peer_readonly(redisReply *reply)
{
    return ngx_strncmp(reply->str, "READONLY", 8) == 0
           || ngx_strncmp(reply->str, "MASTERDOWN", 10) == 0
           || ngx_strstr(reply->str, "-READONLY ") != NULL;
}

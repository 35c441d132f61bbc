
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_redis_internal.h"

#if (NGX_THREADS)
#include <ngx_thread_pool.h>
#endif

#include <netdb.h>


/*
 * A name that DNS does not know when nginx starts must not keep all its other
 * sites from starting: the queue begins without Redis, and the name is looked
 * up again before each attempt to connect.  getaddrinfo() blocks, so a thread
 * does that.
 */


#if (NGX_THREADS)

struct ngx_b1c_redis_lookup_s {
    ngx_thread_task_t            task;
    ngx_b1c_redis_t             *redis;
    ngx_uint_t                   busy;

    /* of the thread */
    char                        *host;       /* copies, NUL at their ends */
    char                         port[NGX_INT_T_LEN + 1];
    int                          rc;
    struct addrinfo             *found;
};


static ngx_b1c_redis_lookup_t *ngx_b1c_redis_lookup_create(
    ngx_b1c_redis_t *redis);
static void ngx_b1c_redis_lookup_thread(void *data, ngx_log_t *log);
static void ngx_b1c_redis_lookup_done(ngx_event_t *ev);
static void ngx_b1c_redis_lookup_take(ngx_b1c_redis_t *redis, ngx_url_t *u,
    struct addrinfo *found);


void
ngx_b1c_redis_lookup_start(ngx_b1c_redis_t *redis)
{
    ngx_url_t               *u;
    ngx_b1c_redis_lookup_t  *l;

    if (redis->conf->names == NULL || redis->conf->names->nelts == 0) {
        return;
    }

    if (redis->lookup == NULL) {
        redis->lookup = ngx_b1c_redis_lookup_create(redis);
    }

    l = redis->lookup;

    if (l == NULL || l->busy) {
        return;
    }

    u = redis->conf->names->elts;

    ngx_memcpy(l->host, u->host.data, u->host.len);
    l->host[u->host.len] = '\0';
    *ngx_sprintf((u_char *) l->port, "%d", (int) u->port) = '\0';

    if (ngx_thread_task_post(redis->conf->pool, &l->task) == NGX_OK) {
        l->busy = 1;
    }
}


static ngx_b1c_redis_lookup_t *
ngx_b1c_redis_lookup_create(ngx_b1c_redis_t *redis)
{
    size_t                   len;
    ngx_url_t               *u;
    ngx_uint_t               i;
    ngx_b1c_redis_lookup_t  *l;

    u = redis->conf->names->elts;
    len = 0;

    for (i = 0; i < redis->conf->names->nelts; i++) {
        len = ngx_max(len, u[i].host.len);
    }

    l = ngx_calloc(sizeof(ngx_b1c_redis_lookup_t) + len + 1, &redis->log);
    if (l == NULL) {
        return NULL;
    }

    l->redis = redis;
    l->host = (char *) (l + 1);

    l->task.ctx = l;
    l->task.handler = ngx_b1c_redis_lookup_thread;
    l->task.event.handler = ngx_b1c_redis_lookup_done;
    l->task.event.data = l;
    l->task.event.log = &redis->log;

    return l;
}


static void
ngx_b1c_redis_lookup_thread(void *data, ngx_log_t *log)
{
    ngx_b1c_redis_lookup_t *l = data;

    struct addrinfo  hints;

    ngx_memzero(&hints, sizeof(struct addrinfo));

    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
#ifdef AI_ADDRCONFIG
    hints.ai_flags = AI_ADDRCONFIG;
#endif

    l->found = NULL;
    l->rc = getaddrinfo(l->host, l->port, &hints, &l->found);
}


static void
ngx_b1c_redis_lookup_done(ngx_event_t *ev)
{
    ngx_b1c_redis_lookup_t *l = ev->data;

    ngx_url_t        *u;
    ngx_uint_t        first;
    ngx_array_t      *names;
    ngx_b1c_redis_t  *redis;

    l->busy = 0;
    redis = l->redis;
    names = redis->conf->names;
    u = names->elts;
    first = (redis->conf->naddrs == 0);

    if (l->rc != 0) {
        ngx_log_error(NGX_LOG_INFO, &redis->log, 0,
                      "the name \"%s\" could not be looked up: %s", l->host,
                      gai_strerror(l->rc));

        /* the next one has its turn */

        if (names->nelts > 1) {
            ngx_url_t  head = u[0];

            ngx_memmove(&u[0], &u[1], (names->nelts - 1) * sizeof(ngx_url_t));
            u[names->nelts - 1] = head;
        }

        return;
    }

    ngx_b1c_redis_lookup_take(redis, u, l->found);
    freeaddrinfo(l->found);

    names->nelts--;
    ngx_memmove(&u[0], &u[1], names->nelts * sizeof(ngx_url_t));

    if (first && redis->conf->naddrs && redis->phase == NGX_B1C_REDIS_DOWN) {
        ngx_add_timer(&redis->timer, 1);
    }
}


/* the memory is that of the worker, for its life */
static void
ngx_b1c_redis_lookup_take(ngx_b1c_redis_t *redis, ngx_url_t *u,
    struct addrinfo *found)
{
    u_char                *p;
    ngx_addr_t            *addr;
    struct addrinfo       *ai;
    ngx_b1c_redis_conf_t  *conf;

    conf = redis->conf;

    for (ai = found; ai && conf->naddrs < NGX_B1C_REDIS_ADDRS;
         ai = ai->ai_next)
    {
        if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6) {
            continue;
        }

        p = ngx_palloc(ngx_cycle->pool, ai->ai_addrlen + NGX_SOCKADDR_STRLEN);
        if (p == NULL) {
            return;
        }

        addr = &conf->addrs[conf->naddrs++];

        addr->sockaddr = (struct sockaddr *) p;
        addr->socklen = ai->ai_addrlen;
        ngx_memcpy(p, ai->ai_addr, ai->ai_addrlen);

        addr->name.data = p + ai->ai_addrlen;
        addr->name.len = ngx_sock_ntop(addr->sockaddr, addr->socklen,
                                       addr->name.data, NGX_SOCKADDR_STRLEN,
                                       1);
    }
}


void
ngx_b1c_redis_lookup_free(ngx_b1c_redis_t *redis)
{
    if (redis->lookup) {
        ngx_free(redis->lookup);
        redis->lookup = NULL;
    }
}

#else

void
ngx_b1c_redis_lookup_start(ngx_b1c_redis_t *redis)
{
}


void
ngx_b1c_redis_lookup_free(ngx_b1c_redis_t *redis)
{
}

#endif

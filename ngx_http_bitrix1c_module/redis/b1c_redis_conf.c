
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_redis.h"
#include "b1c_base.h"


typedef struct {
    ngx_str_t                    name;      /* with its "=" */
    char                      *(*handler)(ngx_conf_t *cf, void *field,
                                   ngx_str_t *value);
    ngx_uint_t                   offset;    /* in the configuration of Redis */
    ngx_uint_t                   sentinel;  /* for Sentinels alone */
} ngx_b1c_redis_param_t;


static char *ngx_b1c_redis_conf_args(ngx_conf_t *cf, ngx_b1c_queue_t *queue,
    ngx_uint_t n);
static char *ngx_b1c_redis_conf_addr(ngx_conf_t *cf, ngx_b1c_queue_t *queue,
    ngx_str_t *value);
static char *ngx_b1c_redis_conf_name(ngx_conf_t *cf, ngx_b1c_queue_t *queue,
    ngx_url_t *u);
static char *ngx_b1c_redis_conf_add(ngx_conf_t *cf, ngx_b1c_queue_t *queue,
    ngx_url_t *u);
static ngx_b1c_redis_param_t *ngx_b1c_redis_conf_param(ngx_str_t *arg);
static char *ngx_b1c_redis_conf_set(ngx_conf_t *cf,
    ngx_b1c_redis_conf_t *redis, ngx_b1c_redis_param_t *param, ngx_str_t *arg);
static char *ngx_b1c_redis_conf_users(ngx_conf_t *cf, ngx_b1c_queue_t *queue);

static char *ngx_b1c_redis_conf_number(ngx_conf_t *cf, void *field,
    ngx_str_t *value);
static char *ngx_b1c_redis_conf_replicas(ngx_conf_t *cf, void *field,
    ngx_str_t *value);
static char *ngx_b1c_redis_conf_text(ngx_conf_t *cf, void *field,
    ngx_str_t *value);
static char *ngx_b1c_redis_conf_time(ngx_conf_t *cf, void *field,
    ngx_str_t *value);
static char *ngx_b1c_redis_conf_secret(ngx_conf_t *cf, void *field,
    ngx_str_t *value);
static ngx_int_t ngx_b1c_redis_conf_password(ngx_conf_t *cf, void *data,
    ngx_str_t *line, const char **what);
static char *ngx_b1c_redis_conf_in_file(ngx_conf_t *cf, void *field,
    ngx_str_t *value);


static char  ngx_b1c_redis_invalid[] = "invalid";


static ngx_b1c_redis_param_t  ngx_b1c_redis_params[] = {

    { ngx_string("db="), ngx_b1c_redis_conf_number,
      offsetof(ngx_b1c_redis_conf_t, db), 0 },

    { ngx_string("user="), ngx_b1c_redis_conf_text,
      offsetof(ngx_b1c_redis_conf_t, user), 0 },

    { ngx_string("password_file="), ngx_b1c_redis_conf_secret,
      offsetof(ngx_b1c_redis_conf_t, password), 0 },

    { ngx_string("timeout="), ngx_b1c_redis_conf_time,
      offsetof(ngx_b1c_redis_conf_t, timeout), 0 },

    { ngx_string("connect_timeout="), ngx_b1c_redis_conf_time,
      offsetof(ngx_b1c_redis_conf_t, connect_timeout), 0 },

    { ngx_string("wait="), ngx_b1c_redis_conf_replicas,
      offsetof(ngx_b1c_redis_conf_t, wait), 0 },

    { ngx_string("sentinel_user="), ngx_b1c_redis_conf_text,
      offsetof(ngx_b1c_redis_conf_t, sentinel_user), 1 },

    { ngx_string("sentinel_password_file="), ngx_b1c_redis_conf_secret,
      offsetof(ngx_b1c_redis_conf_t, sentinel_password), 1 },

    { ngx_string("password="), ngx_b1c_redis_conf_in_file, 0, 0 },
    { ngx_string("sentinel_password="), ngx_b1c_redis_conf_in_file, 0, 0 },

    { ngx_null_string, NULL, 0, 0 }
};


char *
ngx_b1c_redis_conf_redis(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    return ngx_b1c_redis_conf_args(cf, queue, 1);
}


char *
ngx_b1c_redis_conf_sentinel(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    /* Sentinel itself allows letters, digits and ".-_" */

    if (value[1].len == 0
        || ngx_strlchr(value[1].data, value[1].data + value[1].len, ':')
        || ngx_strlchr(value[1].data, value[1].data + value[1].len, '='))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in \"sentinel\" of "
                           "\"bitrix1c_queue\" \"%V\": expected the master's "
                           "name as the Sentinels know it, then host:port of "
                           "each of them", &value[1], &queue->name);
        return NGX_CONF_ERROR;
    }

    if (queue->redis_conf->naddrs == 0 && queue->redis_conf->names == NULL) {
        queue->redis_conf->master = value[1];
    }

    return ngx_b1c_redis_conf_args(cf, queue, 2);
}


/* addresses from the n-th argument on, and then parameters */

static char *
ngx_b1c_redis_conf_args(ngx_conf_t *cf, ngx_b1c_queue_t *queue, ngx_uint_t n)
{
    char                   *rv;
    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_b1c_redis_conf_t   *redis;
    ngx_b1c_redis_param_t  *param;

    value = cf->args->elts;
    redis = queue->redis_conf;

    if (redis->naddrs || redis->names) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"bitrix1c_queue\" has a duplicate \"%V\" or both "
                           "\"redis\" and \"sentinel\": expected one of them",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    redis->connect_timeout = 1000;
    redis->timeout = 3000;

    for (i = n; i < cf->args->nelts; i++) {
        param = ngx_b1c_redis_conf_param(&value[i]);

        if (param) {
            break;
        }

        rv = ngx_b1c_redis_conf_addr(cf, queue, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (redis->naddrs == 0 && redis->names == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no address in \"%V\" of \"bitrix1c_queue\" \"%V\" "
                           "before \"%V\"", &value[0], &queue->name,
                           &value[n]);
        return NGX_CONF_ERROR;
    }

    for ( /* void */ ; i < cf->args->nelts; i++) {
        param = ngx_b1c_redis_conf_param(&value[i]);
        rv = ngx_b1c_redis_conf_set(cf, redis, param, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return ngx_b1c_redis_conf_users(cf, queue);
}


static char *
ngx_b1c_redis_conf_addr(ngx_conf_t *cf, ngx_b1c_queue_t *queue,
    ngx_str_t *value)
{
    ngx_url_t    u;
    const char  *err;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *value;
    u.default_port = queue->redis_conf->master.len ? 26379 : 6379;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        err = u.err ? u.err : "it has no address";

        if (u.host.len && u.err && ngx_strcmp(u.err, "host not found") == 0) {
            return ngx_b1c_redis_conf_name(cf, queue, &u);
        }

    } else if (u.naddrs == 0) {
        err = "it has no address";

    } else if (u.family == AF_UNIX && queue->redis_conf->master.len) {
        err = "Sentinels are reachable over TCP only";

    } else {
        return ngx_b1c_redis_conf_add(cf, queue, &u);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid address \"%V\" in \"%s\" of "
                       "\"bitrix1c_queue\" \"%V\": %s; expected %shost:port",
                       value,
                       queue->redis_conf->master.len ? "sentinel" : "redis",
                       &queue->name, err,
                       queue->redis_conf->master.len ? "" : "unix:path or ");

    return NGX_CONF_ERROR;
}


/* it need not be in DNS when nginx starts, which is not there for Redis alone */

static char *
ngx_b1c_redis_conf_name(ngx_conf_t *cf, ngx_b1c_queue_t *queue, ngx_url_t *u)
{
#if (NGX_THREADS)

    ngx_url_t             *name;
    ngx_b1c_redis_conf_t  *redis;

    redis = queue->redis_conf;

    if (redis->names == NULL) {
        redis->names = ngx_array_create(cf->pool, 2, sizeof(ngx_url_t));
        redis->pool = ngx_thread_pool_add(cf, NULL);
    }

    if (redis->addrs == NULL) {
        redis->addrs = ngx_pcalloc(cf->pool,
                                   NGX_B1C_REDIS_ADDRS * sizeof(ngx_addr_t));
    }

    if (redis->names == NULL || redis->pool == NULL || redis->addrs == NULL) {
        return NGX_CONF_ERROR;
    }

    name = ngx_array_push(redis->names);
    if (name == NULL) {
        return NGX_CONF_ERROR;
    }

    *name = *u;

    if (redis->name.len == 0) {
        redis->name = u->url;
    }

    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "host not found: \"%V\" in \"%s\" of "
                       "\"bitrix1c_queue\" \"%V\"; the queue starts without "
                       "it and looks it up again, check the name and DNS",
                       &u->url, redis->master.len ? "sentinel" : "redis",
                       &queue->name);

    return NGX_CONF_OK;

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "host not found: \"%V\" in the redis of "
                       "\"bitrix1c_queue\" \"%V\"; check the name and DNS",
                       &u->url, &queue->name);
    return NGX_CONF_ERROR;

#endif
}


/* a name may have several addresses, and each of them is tried */

static char *
ngx_b1c_redis_conf_add(ngx_conf_t *cf, ngx_b1c_queue_t *queue, ngx_url_t *u)
{
    ngx_uint_t             i;
    ngx_b1c_redis_conf_t  *redis;

    redis = queue->redis_conf;

    if (redis->name.len == 0) {
        redis->name = u->url;
    }

    if (redis->addrs == NULL) {
        redis->addrs = ngx_pcalloc(cf->pool,
                                   NGX_B1C_REDIS_ADDRS * sizeof(ngx_addr_t));
        if (redis->addrs == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 0; i < u->naddrs; i++) {

        if (redis->naddrs == NGX_B1C_REDIS_ADDRS) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "too many addresses with \"%V\" in \"%s\" of "
                               "\"bitrix1c_queue\" \"%V\": expected at most "
                               "%d",
                               &u->url,
                               redis->master.len ? "sentinel" : "redis",
                               &queue->name, NGX_B1C_REDIS_ADDRS);
            return NGX_CONF_ERROR;
        }

        redis->addrs[redis->naddrs++] = u->addrs[i];
    }

    return NGX_CONF_OK;
}


/* a parameter without its "=" is a mistake and no host of this name */

static ngx_b1c_redis_param_t *
ngx_b1c_redis_conf_param(ngx_str_t *arg)
{
    size_t                  len;
    ngx_b1c_redis_param_t  *p;

    for (p = ngx_b1c_redis_params; p->name.len; p++) {
        len = p->name.len - 1;

        if (arg->len >= len
            && ngx_strncmp(arg->data, p->name.data, len) == 0
            && (arg->len == len || arg->data[len] == '='))
        {
            return p;
        }
    }

    /* anything else with a "=" is meant as a parameter */

    if (ngx_strncmp(arg->data, "unix:", 5) != 0
        && ngx_strlchr(arg->data, arg->data + arg->len, '='))
    {
        return p;
    }

    return NULL;
}


static char *
ngx_b1c_redis_conf_set(ngx_conf_t *cf, ngx_b1c_redis_conf_t *redis,
    ngx_b1c_redis_param_t *param, ngx_str_t *arg)
{
    char      *rv;
    ngx_str_t  value;

    rv = ngx_b1c_redis_invalid;

    if (param && param->handler && arg->len > param->name.len
        && (redis->master.len || !param->sentinel))
    {
        value.data = arg->data + param->name.len;
        value.len = arg->len - param->name.len;

        rv = param->handler(cf, (char *) redis + param->offset, &value);
    }

    if (rv == ngx_b1c_redis_invalid) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"%s\" of "
                           "\"bitrix1c_queue\": expected db=number, "
                           "user=name, password_file=path, timeout=time, "
                           "connect_timeout=time%s wait=replicas%s, after the "
                           "addresses", arg,
                           redis->master.len ? "sentinel" : "redis",
                           redis->master.len ? "," : " or",
                           redis->master.len ? ", sentinel_user=name or "
                               "sentinel_password_file=path" : "");
        return NGX_CONF_ERROR;
    }

    return rv;
}


static char *
ngx_b1c_redis_conf_users(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    ngx_str_t             *user;
    const char            *prefix;
    ngx_b1c_redis_conf_t  *redis;

    redis = queue->redis_conf;

    if (redis->user.len && redis->password.len == 0) {
        user = &redis->user;
        prefix = "";

    } else if (redis->sentinel_user.len && redis->sentinel_password.len == 0) {
        user = &redis->sentinel_user;
        prefix = "sentinel_";

    } else {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%suser=%V\" without \"%spassword_file=\" in \"%s\" "
                       "of \"bitrix1c_queue\" \"%V\"", prefix, user, prefix,
                       redis->master.len ? "sentinel" : "redis",
                       &queue->name);

    return NGX_CONF_ERROR;
}


static char *
ngx_b1c_redis_conf_number(ngx_conf_t *cf, void *field, ngx_str_t *value)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n == NGX_ERROR) {
        return ngx_b1c_redis_invalid;
    }

    *(ngx_uint_t *) field = n;

    return NGX_CONF_OK;
}


static char *
ngx_b1c_redis_conf_replicas(ngx_conf_t *cf, void *field, ngx_str_t *value)
{
    char  *rv;

    rv = ngx_b1c_redis_conf_number(cf, field, value);

    /* a wrong number of replicas would refuse every event, so it is limited */

    if (rv != NGX_CONF_OK || *(ngx_uint_t *) field < 1
        || *(ngx_uint_t *) field > 100)
    {
        return ngx_b1c_redis_invalid;
    }

    return NGX_CONF_OK;
}


static char *
ngx_b1c_redis_conf_text(ngx_conf_t *cf, void *field, ngx_str_t *value)
{
    *(ngx_str_t *) field = *value;

    return NGX_CONF_OK;
}


static char *
ngx_b1c_redis_conf_time(ngx_conf_t *cf, void *field, ngx_str_t *value)
{
    ngx_msec_t  ms;

    ms = ngx_parse_time(value, 0);

    if (ms == (ngx_msec_t) NGX_ERROR || ms == 0) {
        return ngx_b1c_redis_invalid;
    }

    *(ngx_msec_t *) field = ms;

    return NGX_CONF_OK;
}


static char *
ngx_b1c_redis_conf_secret(ngx_conf_t *cf, void *field, ngx_str_t *value)
{
    static ngx_str_t  parameter = ngx_string("password_file=");

    return ngx_b1c_secret_lines(cf, &parameter, value,
                                ngx_b1c_redis_conf_password, field);
}


/* the first line of the file, which root reads */

static ngx_int_t
ngx_b1c_redis_conf_password(ngx_conf_t *cf, void *data, ngx_str_t *line,
    const char **what)
{
    ngx_str_t *password = data;

    if (password->len) {
        *what = "expected one password";
        return NGX_DECLINED;
    }

    *password = *line;

    return NGX_OK;
}


static char *
ngx_b1c_redis_conf_in_file(ngx_conf_t *cf, void *field, ngx_str_t *value)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"password=\" in \"redis\" of "
                       "\"bitrix1c_queue\": a password must be in a file, "
                       "expected password_file=path");

    return NGX_CONF_ERROR;
}

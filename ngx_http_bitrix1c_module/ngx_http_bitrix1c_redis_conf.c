
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_queue_conf.h"
#include "ngx_http_bitrix1c_secret.h"


static char *ngx_http_bitrix1c_queue_redis_param(ngx_conf_t *cf,
    ngx_http_bitrix1c_redis_conf_t *redis, ngx_str_t *param);
static ngx_int_t ngx_http_bitrix1c_queue_password(ngx_conf_t *cf,
    void *data, ngx_str_t *line, const char **what);


char *
ngx_http_bitrix1c_queue_redis(ngx_conf_t *cf,
    ngx_http_bitrix1c_queue_t *queue)
{
    char                            *rv;
    ngx_url_t                        u;
    ngx_str_t                       *value;
    ngx_uint_t                       i;
    ngx_http_bitrix1c_redis_conf_t  *redis;

    value = cf->args->elts;
    redis = &queue->redis;

    if (redis->addr.sockaddr) {
        return "\"bitrix1c_queue\" has a duplicate \"redis\"";
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = value[1];
    u.default_port = 6379;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid address \"%V\" in \"redis\" of "
                           "\"bitrix1c_queue\" \"%V\": %s; unix:path or "
                           "host:port is due", &value[1], &queue->name,
                           u.err ? u.err : "it has no address");
        return NGX_CONF_ERROR;
    }

    redis->name = value[1];
    redis->addr = u.addrs[0];
    redis->connect_timeout = 1000;
    redis->timeout = 3000;

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_http_bitrix1c_queue_redis_param(cf, redis, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (redis->user.len && redis->password.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"user=%V\" without \"password_file=\" in "
                           "\"redis\" of \"bitrix1c_queue\" \"%V\"",
                           &redis->user, &queue->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_bitrix1c_queue_redis_param(ngx_conf_t *cf,
    ngx_http_bitrix1c_redis_conf_t *redis, ngx_str_t *param)
{
    ngx_int_t   n;
    ngx_str_t   s;
    ngx_msec_t  ms;

    static ngx_str_t  parameter = ngx_string("password_file=");

    if (ngx_strncmp(param->data, "db=", 3) == 0) {
        n = ngx_atoi(param->data + 3, param->len - 3);
        if (n == NGX_ERROR) {
            goto invalid;
        }

        redis->db = n;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "user=", 5) == 0 && param->len > 5) {
        redis->user.data = param->data + 5;
        redis->user.len = param->len - 5;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "password_file=", 14) == 0
        && param->len > 14)
    {
        s.data = param->data + 14;
        s.len = param->len - 14;

        return ngx_http_bitrix1c_secret_lines(cf, &parameter, &s,
                                          ngx_http_bitrix1c_queue_password,
                                          &redis->password);
    }

    if (ngx_strncmp(param->data, "timeout=", 8) == 0) {
        s.data = param->data + 8;
        s.len = param->len - 8;

        ms = ngx_parse_time(&s, 0);
        if (ms == (ngx_msec_t) NGX_ERROR || ms == 0) {
            goto invalid;
        }

        redis->timeout = ms;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "connect_timeout=", 16) == 0) {
        s.data = param->data + 16;
        s.len = param->len - 16;

        ms = ngx_parse_time(&s, 0);
        if (ms == (ngx_msec_t) NGX_ERROR || ms == 0) {
            goto invalid;
        }

        redis->connect_timeout = ms;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "password=", 9) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"password=\" in \"redis\" of "
                           "\"bitrix1c_queue\": a password belongs into a "
                           "file, password_file=path is due");
        return NGX_CONF_ERROR;
    }

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" in \"redis\" of "
                       "\"bitrix1c_queue\": db=number, user=name, "
                       "password_file=path, timeout=time or "
                       "connect_timeout=time is due", param);

    return NGX_CONF_ERROR;
}


/* the first line that is there; the file is read as root */
static ngx_int_t
ngx_http_bitrix1c_queue_password(ngx_conf_t *cf, void *data, ngx_str_t *line,
    const char **what)
{
    ngx_str_t *password = data;

    if (password->len) {
        *what = "one password is due";
        return NGX_DECLINED;
    }

    *password = *line;

    return NGX_OK;
}

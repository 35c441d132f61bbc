
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_queue_internal.h"
#include "b1c_base.h"
#include "b1c_redis.h"
#include "b1c_spool.h"


#define NGX_B1C_MAX_RETRY  100


typedef struct {
    ngx_str_t                    name;
    char                      *(*handler)(ngx_conf_t *cf,
                                   ngx_b1c_queue_t *queue);
    ngx_uint_t                   min;        /* arguments */
    ngx_uint_t                   max;
} ngx_b1c_queue_command_t;


static char *ngx_b1c_queue_conf_line(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf);
static char *ngx_b1c_queue_conf_done(ngx_conf_t *cf, ngx_b1c_queue_t *queue);
static ngx_int_t ngx_b1c_queue_conf_keys(ngx_conf_t *cf,
    ngx_b1c_queue_t *queue);
static char *ngx_b1c_queue_conf_concurrency(ngx_conf_t *cf,
    ngx_b1c_queue_t *queue);
static char *ngx_b1c_queue_conf_retry(ngx_conf_t *cf, ngx_b1c_queue_t *queue);
static char *ngx_b1c_queue_conf_window(ngx_conf_t *cf, ngx_b1c_queue_t *queue);
static char *ngx_b1c_queue_conf_margin(ngx_conf_t *cf, ngx_b1c_queue_t *queue);
static char *ngx_b1c_queue_conf_timeout(ngx_conf_t *cf,
    ngx_b1c_queue_t *queue);
static char *ngx_b1c_queue_conf_answer(ngx_conf_t *cf, ngx_b1c_queue_t *queue);
static char *ngx_b1c_queue_conf_time(ngx_conf_t *cf, ngx_msec_t *time,
    ngx_msec_t min);


static ngx_b1c_queue_command_t
    ngx_b1c_queue_commands[] =
{
    { ngx_string("redis"), ngx_b1c_redis_conf_redis, 1, 50 },
    { ngx_string("sentinel"), ngx_b1c_redis_conf_sentinel, 2, 50 },
    { ngx_string("spool"), ngx_b1c_spool_conf_spool, 1, 2 },
    { ngx_string("concurrency"), ngx_b1c_queue_conf_concurrency, 1, 1 },
    { ngx_string("retry"), ngx_b1c_queue_conf_retry, 1,
      NGX_B1C_MAX_RETRY },
    { ngx_string("window"), ngx_b1c_queue_conf_window, 1, 1 },
    { ngx_string("margin"), ngx_b1c_queue_conf_margin, 1, 1 },
    { ngx_string("rate"), ngx_b1c_limits_conf_rate, 1, 1 },
    { ngx_string("breaker"), ngx_b1c_limits_conf_breaker, 1, 2 },
    { ngx_string("hold"), ngx_b1c_limits_conf_hold, 1, 1 },
    { ngx_string("delivery_timeout"), ngx_b1c_queue_conf_timeout, 1, 1 },
    { ngx_string("max_answer_size"), ngx_b1c_queue_conf_answer, 1, 1 },
    { ngx_string("dead_letters"), ngx_b1c_limits_conf_dead, 1, 2 },
    { ngx_null_string, NULL, 0, 0 }
};


/*
 * About 76 hours with growing pauses, to cover a weekend of 1C's maintenance.
 * Based on the Standard Webhooks specification, with more steps in the middle.
 */
static ngx_msec_t  ngx_b1c_default_retry[] = {
    5000, 30000, 120000, 600000, 1800000, 3600000, 7200000, 14400000,
    28800000, 43200000, 86400000, 86400000
};


char *
ngx_b1c_queue_conf_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_b1c_main_conf_t *mcf = conf;

    char             *rv;
    u_char           *p;
    ngx_str_t        *value;
    ngx_uint_t        i;
    ngx_conf_t        save;
    ngx_b1c_queue_t  *queue, **qp;

    value = cf->args->elts;
    p = value[1].data;

    for (i = 0; i < value[1].len; i++) {
        if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z')
              || (p[i] >= '0' && p[i] <= '9') || p[i] == '_' || p[i] == '-'))
        {
            break;
        }
    }

    if (i == 0 || i > 64 || i < value[1].len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in \"bitrix1c_queue\" "
                           "directive: expected 1 to 64 letters, digits, "
                           "\"_\" or \"-\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_b1c_conf_queue(mcf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate \"bitrix1c_queue\" \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    queue = ngx_pcalloc(cf->pool, sizeof(ngx_b1c_queue_t));
    qp = ngx_array_push(&mcf->queues);

    if (queue == NULL || qp == NULL) {
        return NGX_CONF_ERROR;
    }

    *qp = queue;

    queue->redis_conf = ngx_pcalloc(cf->pool, sizeof(ngx_b1c_redis_conf_t));
    if (queue->redis_conf == NULL) {
        return NGX_CONF_ERROR;
    }

    queue->ops = &ngx_b1c_claim_events;
    queue->name = value[1];
    queue->file = cf->conf_file->file.name;
    queue->line = cf->conf_file->line;
    queue->limits_conf.concurrency = NGX_CONF_UNSET_UINT;
    queue->limits_conf.rate = NGX_CONF_UNSET_UINT;
    queue->limits_conf.failures = NGX_CONF_UNSET_UINT;
    queue->limits_conf.pause = NGX_CONF_UNSET_MSEC;
    queue->limits_conf.hold = NGX_CONF_UNSET_UINT;
    queue->dead_max = NGX_CONF_UNSET_UINT;
    queue->dead_age = NGX_CONF_UNSET;
    queue->window = NGX_CONF_UNSET_MSEC;
    queue->margin = NGX_CONF_UNSET_MSEC;
    queue->timeout = NGX_CONF_UNSET_MSEC;
    queue->answer_max = NGX_CONF_UNSET_SIZE;
    queue->retry = NGX_CONF_UNSET_PTR;

    save = *cf;
    cf->handler = ngx_b1c_queue_conf_line;
    cf->handler_conf = (char *) queue;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_b1c_queue_conf_done(cf, queue);
}


static char *
ngx_b1c_queue_conf_line(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_b1c_queue_t *queue = conf;

    ngx_str_t                *value;
    ngx_uint_t                n;
    ngx_b1c_queue_command_t  *cmd;

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    for (cmd = ngx_b1c_queue_commands; cmd->name.len; cmd++) {

        if (cmd->name.len != value[0].len
            || ngx_strcmp(cmd->name.data, value[0].data) != 0)
        {
            continue;
        }

        if (n < cmd->min || n > cmd->max) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"%V\" of "
                               "\"bitrix1c_queue\" \"%V\"", &value[0],
                               &queue->name);
            return NGX_CONF_ERROR;
        }

        return cmd->handler(cf, queue);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown \"%V\" in \"bitrix1c_queue\" \"%V\": expected "
                       "redis, sentinel, spool, concurrency, retry, window, "
                       "margin, rate, breaker, hold, delivery_timeout, "
                       "max_answer_size or dead_letters",
                       &value[0], &queue->name);

    return NGX_CONF_ERROR;
}


static char *
ngx_b1c_queue_conf_done(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    ngx_msec_t  *retry;

    if (queue->redis_conf->naddrs == 0 && queue->redis_conf->names == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"redis\" and no \"sentinel\" in "
                           "\"bitrix1c_queue\" \"%V\": one of them is "
                           "required", &queue->name);
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_uint_value(queue->limits_conf.concurrency, 4);
    ngx_conf_init_uint_value(queue->limits_conf.rate, 0);
    ngx_conf_init_uint_value(queue->limits_conf.failures, 5);
    ngx_conf_init_msec_value(queue->limits_conf.pause, 30000);
    ngx_conf_init_uint_value(queue->limits_conf.hold, NGX_B1C_HOLD_OFF);
    ngx_conf_init_uint_value(queue->dead_max, 100000);
    ngx_conf_init_value(queue->dead_age, 30 * 86400);
    ngx_conf_init_msec_value(queue->window, 86400000);
    ngx_conf_init_msec_value(queue->margin, 2000);
    ngx_conf_init_msec_value(queue->timeout, 600000);
    ngx_conf_init_size_value(queue->answer_max, 8 * 1024 * 1024);

    if (queue->retry == NGX_CONF_UNSET_PTR) {
        queue->retry = ngx_array_create(cf->pool, 12, sizeof(ngx_msec_t));
        if (queue->retry == NULL) {
            return NGX_CONF_ERROR;
        }

        retry = ngx_array_push_n(queue->retry, 12);

        ngx_memcpy(retry, ngx_b1c_default_retry,
                   sizeof(ngx_b1c_default_retry));
    }

    if (ngx_b1c_limits_zone(cf, &queue->name, &queue->limits)
        != NGX_OK
        || ngx_b1c_stats_zone(cf, &queue->name, &queue->stats)
           != NGX_OK
        || ngx_b1c_queue_conf_keys(cf, queue) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* one hash tag per queue keeps its keys on one node of a Redis Cluster */
static ngx_int_t
ngx_b1c_queue_conf_keys(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    u_char     *p;
    size_t      len;
    ngx_uint_t  i;

    static char  suffixes[] = "qhfdv";

    len = sizeof("{b1c:}:q") - 1 + queue->name.len;

    p = ngx_pnalloc(cf->pool, len * 6 + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < 5; i++) {
        queue->keys[i].data = p;
        queue->keys[i].len = len;
        p = ngx_sprintf(p, "{b1c:%V}:%c", &queue->name, suffixes[i]);
    }

    queue->prefix.data = p;
    queue->prefix.len = len + 1;
    (void) ngx_sprintf(p, "{b1c:%V}:k:", &queue->name);

    return NGX_OK;
}


static char *
ngx_b1c_queue_conf_concurrency(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (queue->limits_conf.concurrency != NGX_CONF_UNSET_UINT) {
        return "\"bitrix1c_queue\" has a duplicate \"concurrency\"";
    }

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n < 1 || n > 10000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"concurrency\" of "
                           "\"bitrix1c_queue\" \"%V\": expected 1 to 10000",
                           &value[1], &queue->name);
        return NGX_CONF_ERROR;
    }

    queue->limits_conf.concurrency = n;

    return NGX_CONF_OK;
}


static char *
ngx_b1c_queue_conf_retry(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    ngx_str_t  *value;
    ngx_uint_t  i;
    ngx_msec_t  ms, *retry;

    value = cf->args->elts;

    if (queue->retry != NGX_CONF_UNSET_PTR) {
        return "\"bitrix1c_queue\" has a duplicate \"retry\"";
    }

    queue->retry = ngx_array_create(cf->pool, cf->args->nelts,
                                    sizeof(ngx_msec_t));
    if (queue->retry == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        ms = ngx_parse_time(&value[i], 0);

        if (ms == (ngx_msec_t) NGX_ERROR || ms == 0
            || ms > 30 * 86400000ULL)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid time \"%V\" in \"retry\" of "
                               "\"bitrix1c_queue\" \"%V\": expected a pause "
                               "of at most 30d, such as 30s", &value[i],
                               &queue->name);
            return NGX_CONF_ERROR;
        }

        retry = ngx_array_push(queue->retry);
        *retry = ms;
    }

    return NGX_CONF_OK;
}


static char *
ngx_b1c_queue_conf_window(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    return ngx_b1c_queue_conf_time(cf, &queue->window, 1);
}


static char *
ngx_b1c_queue_conf_margin(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    return ngx_b1c_queue_conf_time(cf, &queue->margin, 0);
}


static char *
ngx_b1c_queue_conf_timeout(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    return ngx_b1c_queue_conf_time(cf, &queue->timeout, 1);
}


static char *
ngx_b1c_queue_conf_answer(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    ssize_t     size;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (queue->answer_max != NGX_CONF_UNSET_SIZE) {
        return "\"bitrix1c_queue\" has a duplicate \"max_answer_size\"";
    }

    size = ngx_parse_size(&value[1]);

    if (size == NGX_ERROR || size < NGX_B1C_ANSWER) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" in \"max_answer_size\" of "
                           "\"bitrix1c_queue\" \"%V\": expected a size of at "
                           "least 4k", &value[1], &queue->name);
        return NGX_CONF_ERROR;
    }

    queue->answer_max = size;

    return NGX_CONF_OK;
}


static char *
ngx_b1c_queue_conf_time(ngx_conf_t *cf, ngx_msec_t *time, ngx_msec_t min)
{
    ngx_msec_t  ms;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (*time != NGX_CONF_UNSET_MSEC) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"bitrix1c_queue\" has a duplicate \"%V\"",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    ms = ngx_parse_time(&value[1], 0);

    if (ms == (ngx_msec_t) NGX_ERROR || ms < min) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\" in \"%V\" of "
                           "\"bitrix1c_queue\": expected a time such as 24h",
                           &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    *time = ms;

    return NGX_CONF_OK;
}

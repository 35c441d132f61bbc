
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_base.h"


static ngx_int_t ngx_b1c_limits_conf_minutes(u_char *p);
static char *ngx_b1c_limits_conf_invalid(ngx_conf_t *cf,
    ngx_b1c_queue_t *queue, ngx_uint_t n, const char *due);


char *
ngx_b1c_limits_conf_rate(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (queue->limits_conf.rate != NGX_CONF_UNSET_UINT) {
        return "\"bitrix1c_queue\" has a duplicate \"rate\"";
    }

    if (ngx_b1c_limits_conf_parse_rate(&value[1], &queue->limits_conf.rate)
        != NGX_OK)
    {
        return ngx_b1c_limits_conf_invalid(cf, queue, 1,
                                  "expected a rate such as 20r/s or 30r/m");
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_b1c_limits_conf_parse_rate(ngx_str_t *value, ngx_uint_t *rate)
{
    size_t     len;
    ngx_int_t  n;

    len = value->len;

    if (len < 3 || value->data[len - 2] != '/') {
        return NGX_ERROR;
    }

    /* "20r/s" is how nginx writes it, "20/s" is shorter */

    n = ngx_atoi(value->data, len - 2 - (value->data[len - 3] == 'r'));

    if (n == NGX_ERROR || n < 1 || n > 1000000) {
        return NGX_ERROR;
    }

    switch (value->data[len - 1]) {

    case 's':
        *rate = n * 1000;
        return NGX_OK;

    case 'm':
        *rate = ngx_max(n * 1000 / 60, 1);
        return NGX_OK;

    default:
        return NGX_ERROR;
    }
}


char *
ngx_b1c_limits_conf_breaker(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    ngx_int_t   n;
    ngx_str_t  *value, s;
    ngx_uint_t  i;
    ngx_msec_t  ms;

    value = cf->args->elts;

    if (queue->limits_conf.failures != NGX_CONF_UNSET_UINT
        || queue->limits_conf.pause != NGX_CONF_UNSET_MSEC)
    {
        return "\"bitrix1c_queue\" has a duplicate \"breaker\"";
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "off") == 0 && cf->args->nelts == 2) {
            queue->limits_conf.failures = 0;
            return NGX_CONF_OK;
        }

        if (ngx_strncmp(value[i].data, "failures=", 9) == 0) {
            n = ngx_atoi(value[i].data + 9, value[i].len - 9);

            if (n != NGX_ERROR && n >= 1
                && queue->limits_conf.failures == NGX_CONF_UNSET_UINT)
            {
                queue->limits_conf.failures = n;
                continue;
            }
        }

        if (ngx_strncmp(value[i].data, "pause=", 6) == 0) {
            s.data = value[i].data + 6;
            s.len = value[i].len - 6;
            ms = ngx_parse_time(&s, 0);

            if (ms != (ngx_msec_t) NGX_ERROR && ms >= 1 && ms <= 86400000
                && queue->limits_conf.pause == NGX_CONF_UNSET_MSEC)
            {
                queue->limits_conf.pause = ms;
                continue;
            }
        }

        return ngx_b1c_limits_conf_invalid(cf, queue, i,
                    "expected failures=number, pause=time of at most 1d, or "
                    "off");
    }

    return NGX_CONF_OK;
}


char *
ngx_b1c_limits_conf_hold(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    ngx_int_t   from, to;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (queue->limits_conf.hold != NGX_CONF_UNSET_UINT) {
        return "\"bitrix1c_queue\" has a duplicate \"hold\"";
    }

    if (ngx_strcmp(value[1].data, "on") == 0) {
        queue->limits_conf.hold = NGX_B1C_HOLD_ON;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        queue->limits_conf.hold = NGX_B1C_HOLD_OFF;
        return NGX_CONF_OK;
    }

    if (value[1].len == sizeof("03:00-05:00") - 1 && value[1].data[5] == '-') {
        from = ngx_b1c_limits_conf_minutes(value[1].data);
        to = ngx_b1c_limits_conf_minutes(value[1].data + 6);

        if (from != NGX_ERROR && to != NGX_ERROR && from != to) {
            queue->limits_conf.hold = NGX_B1C_HOLD_DAILY;
            queue->limits_conf.from = from;
            queue->limits_conf.to = to;
            return NGX_CONF_OK;
        }
    }

    return ngx_b1c_limits_conf_invalid(cf, queue, 1,
                       "expected on, off, or a period of local time such as "
                       "03:00-05:00");
}


/* of "hh:mm" */
static ngx_int_t
ngx_b1c_limits_conf_minutes(u_char *p)
{
    ngx_int_t  hour, minute;

    hour = ngx_atoi(p, 2);
    minute = ngx_atoi(p + 3, 2);

    if (p[2] != ':' || hour == NGX_ERROR || minute == NGX_ERROR
        || hour > 23 || minute > 59)
    {
        return NGX_ERROR;
    }

    return hour * 60 + minute;
}


char *
ngx_b1c_limits_conf_dead(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    time_t      age;
    ngx_int_t   n;
    ngx_str_t  *value, s;

    value = cf->args->elts;

    if (queue->dead_max != NGX_CONF_UNSET_UINT) {
        return "\"bitrix1c_queue\" has a duplicate \"dead_letters\"";
    }

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n < 1) {
        return ngx_b1c_limits_conf_invalid(cf, queue, 1,
                                           "expected the number of dead "
                                           "letters to keep");
    }

    queue->dead_max = n;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    age = (time_t) NGX_ERROR;

    if (value[2].len > 4 && ngx_strncmp(value[2].data, "age=", 4) == 0) {
        s.data = value[2].data + 4;
        s.len = value[2].len - 4;
        age = ngx_parse_time(&s, 1);
    }

    if (age == (time_t) NGX_ERROR || age < 1) {
        return ngx_b1c_limits_conf_invalid(cf, queue, 2,
                                           "expected a time such as age=30d");
    }

    queue->dead_age = age;

    return NGX_CONF_OK;
}


static char *
ngx_b1c_limits_conf_invalid(ngx_conf_t *cf, ngx_b1c_queue_t *queue,
    ngx_uint_t n, const char *due)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" of "
                       "\"bitrix1c_queue\" \"%V\": %s", &value[n], &value[0],
                       &queue->name, due);

    return NGX_CONF_ERROR;
}

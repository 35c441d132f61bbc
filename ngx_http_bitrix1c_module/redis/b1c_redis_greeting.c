
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_redis_internal.h"


static ngx_int_t ngx_b1c_redis_greeting_command(ngx_b1c_redis_t *redis);
static void ngx_b1c_redis_greeting_reply(void *data, ngx_b1c_reply_t *reply);


void
ngx_b1c_redis_greeting_send(ngx_b1c_redis_t *redis)
{
    /* what it finds may be the reason why the greeting is refused */

    if (ngx_worker == 0) {
        ngx_b1c_redis_check_send(redis);
    }

    if (ngx_b1c_redis_greeting_command(redis) != NGX_OK) {
        ngx_b1c_redis_conn_drop(redis, "out of memory");
    }
}


void
ngx_b1c_redis_greeting_check(ngx_b1c_redis_t *redis)
{
    if (ngx_b1c_redis_ready(redis)) {

        /* else it is asked the next time */

        (void) ngx_b1c_redis_greeting_command(redis);
    }
}


static ngx_int_t
ngx_b1c_redis_greeting_command(ngx_b1c_redis_t *redis)
{
    ngx_b1c_redis_greeting_t  *greeting;

    greeting = redis->greeting;

    return ngx_b1c_redis_command(redis, greeting->script, greeting->nkeys,
                                 greeting->argc, greeting->argv,
                                 ngx_b1c_redis_greeting_reply, redis);
}


static void
ngx_b1c_redis_greeting_reply(void *data, ngx_b1c_reply_t *reply)
{
    ngx_b1c_redis_t *redis = data;

    ngx_str_t  text;

    if (reply == NULL) {

        /* the connection has ended, or ends */

        return;
    }

    if (ngx_b1c_redis_reply_error(reply, &text) != NGX_OK) {

        if (redis->phase == NGX_B1C_REDIS_LOGIN) {
            ngx_b1c_redis_conn_up(redis);
        }

        return;
    }

    if (ngx_strncmp(text.data, "LAYOUT ", 7) == 0) {
        redis->unusable = 1;
        ngx_b1c_redis_login_refuse(redis, NULL, (char *) text.data + 7,
                                   text.len - 7);

    } else if (redis->phase == NGX_B1C_REDIS_LOGIN) {
        ngx_b1c_redis_login_refuse(redis, "EVAL", (char *) text.data,
                                   text.len);
    }
}

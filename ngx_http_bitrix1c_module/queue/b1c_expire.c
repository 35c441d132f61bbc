
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_queue_internal.h"
#include "b1c_redis.h"
#include "b1c_lua.h"


/* ms between two looks for dead letters that are too old */
#define NGX_B1C_EXPIRE_CHECK  10000

/* dead letters that one call removes at most */
#define NGX_B1C_EXPIRE_MAX    100


static void ngx_b1c_expire_reply(void *data, ngx_b1c_reply_t *reply);


static ngx_b1c_redis_script_t  ngx_b1c_expire_script = {
    .name = ngx_string("expire"),
    .text = ngx_string(NGX_B1C_LUA_EXPIRE)
};


void
ngx_b1c_expire_init(void)
{
    ngx_b1c_redis_script_init(&ngx_b1c_expire_script);
}


/*
 * Dead letters hold personal data, so their age must not wait for the next one.
 * One worker is enough, and an idle queue must cost next to nothing.
 */
void
ngx_b1c_expire_poll(ngx_b1c_worker_t *w)
{
    ngx_str_t  *argv;

    if (ngx_worker != 0
        || ngx_current_msec - w->expire.checked < NGX_B1C_EXPIRE_CHECK
        || !ngx_b1c_redis_ready(w->queue->redis))
    {
        return;
    }

    w->expire.checked = ngx_current_msec;

    argv = w->expire.words;

    argv[0] = w->queue->keys[3];
    argv[1] = w->queue->keys[1];
    argv[2] = w->dead_age;

    (void) ngx_b1c_redis_eval(w->queue->redis, &ngx_b1c_expire_script, 2, 3,
                              argv, ngx_b1c_expire_reply, w->queue);
}


static void
ngx_b1c_expire_reply(void *data, ngx_b1c_reply_t *reply)
{
    ngx_b1c_queue_t *queue = data;

    int64_t  n;

    if (reply == NULL || queue->worker == NULL
        || ngx_b1c_redis_reply_int(reply, 0, &n) != NGX_OK
        || n == 0)
    {
        return;
    }

    ngx_b1c_stats_count(queue->stats, NGX_B1C_N_DROPPED_DEAD, n);

    ngx_log_error(NGX_LOG_WARN, queue->worker->log, 0,
                  "bitrix1c_queue \"%V\": %L dead letters were dropped, "
                  "because they are older than \"age\" of \"dead_letters\"",
                  &queue->name, n);

    /* more of them may be too old */

    if (n >= NGX_B1C_EXPIRE_MAX) {
        queue->worker->expire.checked -= NGX_B1C_EXPIRE_CHECK;
    }
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_queue.h"
#include "b1c_base.h"
#include "b1c_redis.h"
#include "b1c_lua.h"


/* ms for which a depth is valid, and after which it is refreshed */
#define NGX_B1C_DEPTH_AGE    1000
#define NGX_B1C_DEPTH_RENEW  500


static void ngx_b1c_depth_sampled(void *data, ngx_b1c_reply_t *reply);


static ngx_b1c_redis_script_t  ngx_b1c_depth_script = {
    .name = ngx_string("status"),
    .text = ngx_string(NGX_B1C_LUA_STATUS)
};


void
ngx_b1c_depth_init(void)
{
    ngx_b1c_redis_script_init(&ngx_b1c_depth_script);
}


ngx_int_t
ngx_b1c_depth_ask(ngx_b1c_queue_t *queue, ngx_b1c_reply_pt handler, void *data)
{
    if (queue->worker == NULL) {
        return NGX_DECLINED;
    }

    return ngx_b1c_redis_eval(queue->redis, &ngx_b1c_depth_script, 4,
                              4, queue->keys, handler, data);
}


ngx_uint_t
ngx_b1c_depth_recent(ngx_b1c_queue_t *queue, ngx_b1c_depth_t *depth)
{
    ngx_msec_t  age;

    if (queue->worker == NULL
        || !ngx_b1c_redis_ready(queue->redis)
        || ngx_b1c_stats_get_depth(queue->stats, depth, &age)
           != NGX_OK
        || age > NGX_B1C_DEPTH_AGE)
    {
        ngx_memzero(depth, sizeof(ngx_b1c_depth_t));
        return 0;
    }

    if (age > NGX_B1C_DEPTH_RENEW) {
        (void) ngx_b1c_depth_ask(queue, ngx_b1c_depth_sampled, queue);
    }

    return 1;
}


void
ngx_b1c_depth_read(ngx_b1c_queue_t *queue, ngx_b1c_reply_t *reply,
    ngx_b1c_depth_t *depth)
{
    ngx_b1c_limits_info_t  info;

    depth->known = reply
        && ngx_b1c_redis_reply_int(reply, 0, &depth->living) == NGX_OK
        && ngx_b1c_redis_reply_int(reply, 1, &depth->due) == NGX_OK
        && ngx_b1c_redis_reply_int(reply, 2, &depth->followers) == NGX_OK
        && ngx_b1c_redis_reply_int(reply, 3, &depth->dead) == NGX_OK
        && ngx_b1c_redis_reply_int(reply, 4, &depth->age) == NGX_OK
        && ngx_b1c_redis_reply_int(reply, 5, &depth->held) == NGX_OK;

    ngx_b1c_stats_depth(queue->stats, depth);

    if (!depth->known || queue->worker == NULL) {
        return;
    }

    (void) ngx_b1c_report_held(queue, depth->held, queue->worker->log);

    ngx_b1c_limits_info(queue->limits, &queue->limits_conf, &info);
    ngx_b1c_stats_waiting(queue->stats,
                          ngx_b1c_depth_waiting(depth, info.taken));
}


ngx_uint_t
ngx_b1c_depth_waiting(ngx_b1c_depth_t *depth, ngx_uint_t taken)
{
    int64_t  n;

    n = depth->living - (int64_t) taken;

    /* a taken slot may have no event or be returned late */

    n = ngx_max(n, depth->due);

    return n + depth->followers;
}


void
ngx_b1c_depth_sample(ngx_b1c_worker_t *w)
{
    if (ngx_b1c_stats_tick(w->queue->stats)) {
        (void) ngx_b1c_depth_ask(w->queue, ngx_b1c_depth_sampled, w->queue);
    }
}


static void
ngx_b1c_depth_sampled(void *data, ngx_b1c_reply_t *reply)
{
    ngx_b1c_depth_t  depth;

    ngx_b1c_depth_read(data, reply, &depth);
}

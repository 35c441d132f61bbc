
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_api_internal.h"
#include "b1c_base.h"
#include "b1c_redis.h"
#include "b1c_spool.h"
#include "b1c_http.h"
#include "b1c_queue.h"


typedef struct {
    ngx_b1c_api_state_t              *states;
    ngx_uint_t                        n;
    ngx_b1c_api_states_pt             handler;
} ngx_b1c_api_all_t;


typedef struct {
    ngx_b1c_api_all_t                *all;
    ngx_b1c_api_state_t              *state;
} ngx_b1c_api_one_t;


static ngx_int_t ngx_b1c_api_state_reply(ngx_b1c_query_t *call,
    ngx_b1c_reply_t *reply, void *data);
static ngx_int_t ngx_b1c_api_state_done(ngx_b1c_query_t *call,
    ngx_b1c_api_all_t *all);
static void ngx_b1c_api_state_spool(ngx_b1c_queue_t *queue,
    ngx_b1c_api_spool_t *spool);


ngx_int_t
ngx_b1c_api_state_ask(ngx_b1c_query_t *call, ngx_b1c_api_states_pt handler,
    ngx_uint_t now)
{
    ngx_uint_t                 i;
    ngx_b1c_queue_t          **queue;
    ngx_b1c_api_all_t         *all;
    ngx_b1c_api_one_t         *one;
    ngx_b1c_main_conf_t       *mcf;
    ngx_b1c_query_expected_t  *expected;

    mcf = ngx_http_get_module_main_conf(call->request,
                                        ngx_http_bitrix1c_module);
    queue = mcf->queues.elts;

    all = ngx_pcalloc(call->pool, sizeof(ngx_b1c_api_all_t));
    if (all == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    all->n = mcf->queues.nelts;
    all->handler = handler;
    all->states = ngx_pcalloc(call->pool,
                              (all->n + 1) * sizeof(ngx_b1c_api_state_t));
    one = ngx_palloc(call->pool, (all->n + 1) * sizeof(ngx_b1c_api_one_t));

    if (all->states == NULL || one == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < all->n; i++) {
        all->states[i].queue = queue[i];

        if (!now && ngx_b1c_depth_recent(queue[i], &all->states[i].depth)) {
            continue;
        }

        one[i].all = all;
        one[i].state = &all->states[i];

        expected = ngx_b1c_redis_query_expect(call, queue[i],
                                              ngx_b1c_api_state_reply,
                                              &one[i]);
        if (expected
            && ngx_b1c_depth_ask(queue[i], ngx_b1c_redis_query_reply, expected)
               == NGX_OK)
        {
            call->pending++;
        }
    }

    if (call->pending) {
        return ngx_b1c_redis_query_wait(call);
    }

    return ngx_b1c_api_state_done(call, all);
}


static ngx_int_t
ngx_b1c_api_state_reply(ngx_b1c_query_t *call, ngx_b1c_reply_t *reply,
    void *data)
{
    ngx_b1c_api_one_t *one = data;

    ngx_str_t             text;
    ngx_b1c_api_state_t  *state;

    state = one->state;

    ngx_b1c_depth_read(state->queue, reply, &state->depth);

    if (reply && ngx_b1c_redis_reply_error(reply, &text) == NGX_OK) {
        state->error.data = ngx_pstrdup(call->pool, &text);
        state->error.len = state->error.data ? text.len : 0;
    }

    if (call->pending) {
        return NGX_DONE;
    }

    return ngx_b1c_api_state_done(call, one->all);
}


static ngx_int_t
ngx_b1c_api_state_done(ngx_b1c_query_t *call, ngx_b1c_api_all_t *all)
{
    ngx_uint_t            i;
    ngx_b1c_queue_t      *queue;
    ngx_b1c_api_state_t  *state;

    for (i = 0; i < all->n; i++) {
        state = &all->states[i];
        queue = state->queue;

        ngx_b1c_limits_info(queue->limits, &queue->limits_conf,
                            &state->limits);
        ngx_b1c_api_state_spool(queue, &state->spool);

        if (queue->worker) {
            ngx_b1c_redis_info(queue->redis, &state->redis);
        }
    }

    return all->handler(call, all->states, all->n);
}


static void
ngx_b1c_api_state_spool(ngx_b1c_queue_t *queue, ngx_b1c_api_spool_t *spool)
{
    ngx_b1c_spool_stats_t  stats;

    spool->state = "off";
    spool->bytes = 0;
    spool->max = 0;

    if (queue->spool_conf == NULL) {
        return;
    }

    ngx_b1c_spool_shm_stats(queue->spool_conf->state, &stats);

    spool->bytes = stats.bytes;
    spool->max = queue->spool_conf->max;

    if (stats.fault != NGX_B1C_SPOOL_OK) {
        spool->state = "unavailable";

    } else if (stats.draining) {
        spool->state = "draining";

    } else if (stats.mode == NGX_B1C_SPOOL_DIRECT) {
        spool->state = "empty";

    } else {
        spool->state = "spooling";
    }
}


ngx_uint_t
ngx_b1c_api_state_counter(ngx_b1c_queue_t *queue, ngx_b1c_counter_e counter)
{
    ngx_b1c_spool_stats_t  stats;

    /* the spool has counters of its own */

    if ((counter == NGX_B1C_N_SPOOL_REPLAYED
         || counter == NGX_B1C_N_SPOOL_TORN)
        && queue->spool_conf)
    {
        ngx_b1c_spool_shm_stats(queue->spool_conf->state, &stats);

        return counter == NGX_B1C_N_SPOOL_TORN ? stats.torn : stats.replayed;
    }

    return ngx_b1c_stats_get(queue->stats, counter);
}

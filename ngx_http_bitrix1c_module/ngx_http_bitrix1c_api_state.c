
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_api_state.h"


typedef struct {
    ngx_http_bitrix1c_api_state_t    *states;
    ngx_uint_t                        n;
    ngx_http_bitrix1c_api_states_pt   handler;
} ngx_http_bitrix1c_api_all_t;


typedef struct {
    ngx_http_bitrix1c_api_all_t      *all;
    ngx_http_bitrix1c_api_state_t    *state;
} ngx_http_bitrix1c_api_one_t;


static ngx_int_t ngx_http_bitrix1c_api_state_reply(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_reply_t *reply,
    void *data);
static ngx_int_t ngx_http_bitrix1c_api_states_done(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_api_all_t *all);
static void ngx_http_bitrix1c_api_spool(ngx_http_bitrix1c_queue_t *queue,
    ngx_http_bitrix1c_api_spool_t *spool);


ngx_int_t
ngx_http_bitrix1c_api_states(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_states_pt handler, ngx_uint_t now)
{
    ngx_uint_t                       i;
    ngx_http_bitrix1c_queue_t      **queue;
    ngx_http_bitrix1c_api_all_t     *all;
    ngx_http_bitrix1c_api_one_t     *one;
    ngx_http_bitrix1c_main_conf_t   *mcf;

    mcf = ngx_http_get_module_main_conf(call->request,
                                        ngx_http_bitrix1c_module);
    queue = mcf->queues.elts;

    all = ngx_pcalloc(call->pool, sizeof(ngx_http_bitrix1c_api_all_t));
    if (all == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    all->n = mcf->queues.nelts;
    all->handler = handler;
    all->states = ngx_pcalloc(call->pool, (all->n + 1)
                                    * sizeof(ngx_http_bitrix1c_api_state_t));
    one = ngx_palloc(call->pool, (all->n + 1)
                                 * sizeof(ngx_http_bitrix1c_api_one_t));

    if (all->states == NULL || one == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < all->n; i++) {
        all->states[i].queue = queue[i];

        if (!now
            && ngx_http_bitrix1c_depth_recent(queue[i],
                                              &all->states[i].depth))
        {
            continue;
        }

        one[i].all = all;
        one[i].state = &all->states[i];

        (void) ngx_http_bitrix1c_api_ask_depth(call, queue[i],
                                         ngx_http_bitrix1c_api_state_reply,
                                         &one[i]);
    }

    if (call->pending) {
        return ngx_http_bitrix1c_api_wait(call);
    }

    return ngx_http_bitrix1c_api_states_done(call, all);
}


static ngx_int_t
ngx_http_bitrix1c_api_state_reply(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_reply_t *reply, void *data)
{
    ngx_http_bitrix1c_api_one_t *one = data;

    ngx_str_t                       text;
    ngx_http_bitrix1c_api_state_t  *state;

    state = one->state;

    ngx_http_bitrix1c_depth_read(state->queue, reply, &state->depth);

    if (reply && ngx_http_bitrix1c_reply_error(reply, &text) == NGX_OK) {
        state->error.data = ngx_pstrdup(call->pool, &text);
        state->error.len = state->error.data ? text.len : 0;
    }

    if (call->pending) {
        return NGX_DONE;
    }

    return ngx_http_bitrix1c_api_states_done(call, one->all);
}


static ngx_int_t
ngx_http_bitrix1c_api_states_done(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_all_t *all)
{
    ngx_uint_t                      i;
    ngx_http_bitrix1c_queue_t      *queue;
    ngx_http_bitrix1c_api_state_t  *state;

    for (i = 0; i < all->n; i++) {
        state = &all->states[i];
        queue = state->queue;

        ngx_http_bitrix1c_slots_info(queue->slots, &queue->pace,
                                     &state->slots);
        ngx_http_bitrix1c_api_spool(queue, &state->spool);

        if (queue->worker) {
            ngx_http_bitrix1c_redis_info(queue->worker->redis, &state->redis);
        }
    }

    return all->handler(call, all->states, all->n);
}


static void
ngx_http_bitrix1c_api_spool(ngx_http_bitrix1c_queue_t *queue,
    ngx_http_bitrix1c_api_spool_t *spool)
{
    ngx_http_bitrix1c_spool_stats_t  stats;

    spool->state = "off";
    spool->bytes = 0;
    spool->max = 0;

    if (queue->spool.path == NULL) {
        return;
    }

    ngx_http_bitrix1c_spool_stats(queue->spool.state, &stats);

    spool->bytes = stats.bytes;
    spool->max = queue->spool.max;

    if (stats.fault != NGX_HTTP_BITRIX1C_SPOOL_WELL) {
        spool->state = "unavailable";

    } else if (stats.draining) {
        spool->state = "draining";

    } else if (stats.mode == NGX_HTTP_BITRIX1C_SPOOL_DIRECT) {
        spool->state = "empty";

    } else {
        spool->state = "spooling";
    }
}


ngx_uint_t
ngx_http_bitrix1c_api_counter(ngx_http_bitrix1c_queue_t *queue,
    ngx_http_bitrix1c_counter_e counter)
{
    ngx_http_bitrix1c_spool_stats_t  stats;

    /* the spool counts for itself */

    if ((counter == NGX_HTTP_BITRIX1C_N_SPOOL_REPLAYED
         || counter == NGX_HTTP_BITRIX1C_N_SPOOL_TORN)
        && queue->spool.path)
    {
        ngx_http_bitrix1c_spool_stats(queue->spool.state, &stats);

        return counter == NGX_HTTP_BITRIX1C_N_SPOOL_TORN ? stats.torn
                                                         : stats.replayed;
    }

    return ngx_http_bitrix1c_stats_get(queue->stats, counter);
}

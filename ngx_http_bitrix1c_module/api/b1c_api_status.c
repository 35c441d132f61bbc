
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_api_internal.h"
#include "b1c_core.h"
#include "b1c_base.h"
#include "b1c_version.h"
#include "b1c_http.h"
#include "b1c_queue.h"


static ngx_int_t ngx_b1c_api_status_text(ngx_b1c_query_t *call,
    ngx_b1c_api_state_t *states, ngx_uint_t n);
static void ngx_b1c_api_status_queue(b1c_buf_t *buf, ngx_b1c_api_state_t *s);
static const char *ngx_b1c_api_status_word(ngx_b1c_api_state_t *s);
static void ngx_b1c_api_status_depth(b1c_buf_t *buf, ngx_b1c_api_state_t *s);
static void ngx_b1c_api_status_rate(b1c_buf_t *buf, ngx_b1c_queue_t *queue);
static void ngx_b1c_api_status_pace(b1c_buf_t *buf, ngx_b1c_api_state_t *s);
static void ngx_b1c_api_status_redis(b1c_buf_t *buf, ngx_b1c_api_state_t *s);
static void ngx_b1c_api_status_last(b1c_buf_t *buf, ngx_b1c_queue_t *queue,
    const char *name, ngx_uint_t failed);
static void ngx_b1c_api_status_counters(b1c_buf_t *buf,
    ngx_b1c_queue_t *queue);
static void ngx_b1c_api_status_history_queue(b1c_buf_t *buf,
    ngx_b1c_queue_t *queue);


ngx_int_t
ngx_b1c_api_status_send(ngx_b1c_query_t *call)
{
    return ngx_b1c_api_state_ask(call, ngx_b1c_api_status_text, 1);
}


static ngx_int_t
ngx_b1c_api_status_text(ngx_b1c_query_t *call, ngx_b1c_api_state_t *states,
    ngx_uint_t n)
{
    ngx_uint_t   i;
    ngx_time_t  *tp;
    b1c_buf_t    buf;

    ngx_memzero(&buf, sizeof(b1c_buf_t));

    tp = ngx_timeofday();

    ngx_b1c_query_text_put(&buf, "{\"version\":\"%s\",\"nginx\":\"%s\","
                           "\"time\":%T.%03M,\"pid\":%P,\"queues\":[",
                           NGX_B1C_VERSION, NGINX_VERSION, tp->sec, tp->msec,
                           ngx_pid);

    for (i = 0; i < n; i++) {
        ngx_b1c_query_text_put(&buf, i ? "," : "");
        ngx_b1c_api_status_queue(&buf, &states[i]);
    }

    ngx_b1c_query_text_put(&buf, "]}\n");

    return ngx_b1c_query_text_send_json(call->request, &buf);
}


static void
ngx_b1c_api_status_queue(b1c_buf_t *buf, ngx_b1c_api_state_t *s)
{
    ngx_b1c_queue_t  *queue;

    queue = s->queue;

    ngx_b1c_query_text_put(buf, "{\"name\":\"%V\",\"kind\":\"%V\","
                           "\"state\":\"%s\"", &queue->name,
                           &queue->ops->noun,
                           ngx_b1c_api_status_word(s));

    ngx_b1c_api_status_depth(buf, s);

    ngx_b1c_query_text_put(buf, ",\"concurrency\":%ui,\"slots_used\":%ui",
                           queue->limits_conf.concurrency, s->limits.taken);

    ngx_b1c_api_status_rate(buf, queue);
    ngx_b1c_api_status_pace(buf, s);
    ngx_b1c_api_status_redis(buf, s);

    ngx_b1c_query_text_put(buf, ",\"spool\":{\"state\":\"%s\","
                           "\"bytes\":%uL,\"max\":%uL}", s->spool.state,
                           s->spool.bytes, s->spool.max);

    ngx_b1c_api_status_last(buf, queue, "last", 0);
    ngx_b1c_api_status_last(buf, queue, "last_failure", 1);
    ngx_b1c_api_status_counters(buf, queue);

    ngx_b1c_query_text_put(buf, "}");
}


/* the worst state that applies */
static const char *
ngx_b1c_api_status_word(ngx_b1c_api_state_t *s)
{
    if (ngx_strcmp(s->spool.state, "spooling") == 0
        || ngx_strcmp(s->spool.state, "draining") == 0)
    {
        return "spooling";
    }

    if (!s->redis.up || !s->depth.known) {
        return "redis_down";
    }

    if (s->limits.open) {
        return "open";
    }

    if (s->limits.held) {
        return "held";
    }

    if (s->depth.due && s->limits.taken >= s->queue->limits_conf.concurrency) {
        return "busy";
    }

    return "ok";
}


static void
ngx_b1c_api_status_depth(b1c_buf_t *buf, ngx_b1c_api_state_t *s)
{
    ngx_b1c_depth_t  *d;

    d = &s->depth;

    if (!d->known) {
        ngx_b1c_query_text_put(buf, ",\"waiting\":null,\"due\":null,"
                               "\"followers\":null,\"in_flight\":%ui,"
                               "\"dead\":null,\"oldest_seconds\":null",
                               s->limits.taken);
        return;
    }

    ngx_b1c_query_text_put(buf, ",\"waiting\":%ui,\"due\":%L,"
                           "\"followers\":%L,\"in_flight\":%ui,"
                           "\"dead\":%L,\"oldest_seconds\":",
                     ngx_b1c_depth_waiting(d, s->limits.taken),
                     d->due, d->followers, s->limits.taken, d->dead);
    ngx_b1c_query_text_put_seconds(buf, d->age);
}


static void
ngx_b1c_api_status_rate(b1c_buf_t *buf, ngx_b1c_queue_t *queue)
{
    ngx_uint_t         delivered, accepted;
    ngx_b1c_minute_t  *m;

    m = ngx_b1c_stats_minute(queue->stats, ngx_time() / 60 - 1);

    delivered = m ? m->n[NGX_B1C_M_DELIVERED] : 0;
    accepted = m ? m->n[NGX_B1C_M_ACCEPTED] : 0;

    ngx_b1c_query_text_put(buf, ",\"rate\":{\"limit\":");
    ngx_b1c_query_text_put_seconds(buf, queue->limits_conf.rate);
    ngx_b1c_query_text_put(buf, ",\"delivered\":");
    ngx_b1c_query_text_put_seconds(buf, delivered * 1000 / 60);
    ngx_b1c_query_text_put(buf, ",\"accepted\":");
    ngx_b1c_query_text_put_seconds(buf, accepted * 1000 / 60);
    ngx_b1c_query_text_put(buf, "}");
}


static void
ngx_b1c_api_status_pace(b1c_buf_t *buf, ngx_b1c_api_state_t *s)
{
    const char             *hold;
    ngx_b1c_limits_conf_t  *limits_conf;
    ngx_b1c_limits_info_t  *limits;

    limits_conf = &s->queue->limits_conf;
    limits = &s->limits;

    ngx_b1c_query_text_put(buf, ",\"breaker\":{\"state\":\"%s\","
                           "\"seconds\":",
                           limits->probing ? "probing"
                           : limits->open ? "open" : "closed");
    ngx_b1c_query_text_put_seconds(buf, limits->left);
    ngx_b1c_query_text_put(buf, ",\"failures\":%ui,\"paused\":%ui}",
                           limits->failed, limits->paused);

    hold = limits->operator ? "operator"
           : limits_conf->hold == NGX_B1C_HOLD_ON ? "on"
           : limits_conf->hold == NGX_B1C_HOLD_DAILY ? "daily" : "off";

    ngx_b1c_query_text_put(buf, ",\"hold\":{\"state\":\"%s\"", hold);

    if (limits_conf->hold == NGX_B1C_HOLD_DAILY) {
        ngx_b1c_query_text_put(buf, ",\"from\":\"%02ui:%02ui\","
                               "\"to\":\"%02ui:%02ui\"",
                               limits_conf->from / 60, limits_conf->from % 60,
                               limits_conf->to / 60, limits_conf->to % 60);
    } else {
        ngx_b1c_query_text_put(buf, ",\"from\":\"\",\"to\":\"\"");
    }

    ngx_b1c_query_text_put(buf, ",\"held\":%s}",
                           limits->held ? "true" : "false");
}


static void
ngx_b1c_api_status_redis(b1c_buf_t *buf, ngx_b1c_api_state_t *s)
{
    ngx_str_t  error;

    ngx_b1c_query_text_put(buf, ",\"redis\":{\"state\":\"%s\","
                           "\"address\":", s->redis.up ? "up" : "down");
    ngx_b1c_query_text_put_string(buf, &s->queue->redis_conf->name);
    ngx_b1c_query_text_put(buf, ",\"seconds\":");
    ngx_b1c_query_text_put_seconds(buf, ngx_current_msec - s->redis.since);
    ngx_b1c_query_text_put(buf, ",\"error\":");

    error = s->error;

    if (error.len == 0 && s->redis.reason) {
        error.data = s->redis.reason;
        error.len = ngx_strlen(error.data);
    }

    ngx_b1c_query_text_put_string(buf, &error);
    ngx_b1c_query_text_put(buf, "}");
}


static void
ngx_b1c_api_status_last(b1c_buf_t *buf, ngx_b1c_queue_t *queue,
    const char *name, ngx_uint_t failed)
{
    ngx_str_t       text;
    ngx_b1c_last_t  last;

    ngx_b1c_query_text_put(buf, ",\"%s\":", name);

    if (ngx_b1c_stats_get_last(queue->stats, failed, &last) != NGX_OK) {
        ngx_b1c_query_text_put(buf, "null");
        return;
    }

    ngx_b1c_query_text_put(buf, "{\"time\":");
    ngx_b1c_query_text_put_seconds(buf, last.time);
    ngx_b1c_query_text_put(buf, ",\"id\":\"%*s\",\"event\":",
                           sizeof(last.id), last.id);

    text.data = last.event;
    text.len = last.event_len;
    ngx_b1c_query_text_put_string(buf, &text);

    ngx_b1c_query_text_put(buf, ",\"status\":%ui,\"verdict\":\"%V\","
                           "\"seconds\":", last.status,
                           ngx_b1c_answer_name(last.result));
    ngx_b1c_query_text_put_seconds(buf, last.took);
    ngx_b1c_query_text_put(buf, ",\"reason\":");

    text.data = last.reason;
    text.len = last.reason_len;
    ngx_b1c_query_text_put_string(buf, &text);
    ngx_b1c_query_text_put(buf, "}");
}


static void
ngx_b1c_api_status_counters(b1c_buf_t *buf, ngx_b1c_queue_t *queue)
{
    ngx_uint_t  i, received;

    received = 0;

    for (i = 0; i <= NGX_B1C_N_UNAVAILABLE; i++) {
        received += ngx_b1c_stats_get(queue->stats, i);
    }

    ngx_b1c_query_text_put(buf, ",\"counters\":{\"received\":%ui", received);

    for (i = 0; i < NGX_B1C_COUNTERS; i++) {
        ngx_b1c_query_text_put(buf, ",\"%V\":%ui",
                              ngx_b1c_stats_name(i),
                              ngx_b1c_api_state_counter(queue, i));
    }

    ngx_b1c_query_text_put(buf, "}");
}


ngx_int_t
ngx_b1c_api_status_history(ngx_b1c_query_t *call)
{
    ngx_uint_t            i, n;
    b1c_buf_t             buf;
    ngx_b1c_queue_t     **queue;
    ngx_b1c_main_conf_t  *mcf;

    ngx_memzero(&buf, sizeof(b1c_buf_t));

    mcf = ngx_http_get_module_main_conf(call->request,
                                        ngx_http_bitrix1c_module);
    queue = mcf->queues.elts;
    n = 0;

    ngx_b1c_query_text_put(&buf, "{\"step\":60,\"queues\":{");

    for (i = 0; i < mcf->queues.nelts; i++) {
        if (call->queue == NULL || call->queue == queue[i]) {
            ngx_b1c_query_text_put(&buf, "%s\"%V\":{", n++ ? "," : "",
                                   &queue[i]->name);
            ngx_b1c_api_status_history_queue(&buf, queue[i]);
            ngx_b1c_query_text_put(&buf, "}");
        }
    }

    ngx_b1c_query_text_put(&buf, "}}\n");

    return ngx_b1c_query_text_send_json(call->request, &buf);
}


/* full minutes only: the current one would look like an outage */
static void
ngx_b1c_api_status_history_queue(b1c_buf_t *buf, ngx_b1c_queue_t *queue)
{
    ngx_uint_t         i, k, first;
    ngx_b1c_minute_t  *m;

    /* in the order of ngx_b1c_minute_e, then the depth */

    static const char  *names[] = {
        "accepted", "delivered", "failed", "dead", "waiting"
    };

    first = ngx_time() / 60 - NGX_B1C_MINUTES;

    ngx_b1c_query_text_put(buf, "\"time\":[");

    for (i = 0; i < NGX_B1C_MINUTES; i++) {
        ngx_b1c_query_text_put(buf, "%s%ui", i ? "," : "", (first + i) * 60);
    }

    for (k = 0; k <= NGX_B1C_MINUTE_COUNTERS; k++) {
        ngx_b1c_query_text_put(buf, "],\"%s\":[", names[k]);

        for (i = 0; i < NGX_B1C_MINUTES; i++) {
            m = ngx_b1c_stats_minute(queue->stats, first + i);

            ngx_b1c_query_text_put(buf, i ? "," : "");

            if (m == NULL) {
                ngx_b1c_query_text_put(buf, "null");

            } else if (k < NGX_B1C_MINUTE_COUNTERS) {
                ngx_b1c_query_text_put(buf, "%uA", m->n[k]);

            } else if (m->waiting) {
                ngx_b1c_query_text_put(buf, "%uA", m->waiting - 1);

            } else {
                ngx_b1c_query_text_put(buf, "null");
            }
        }
    }

    ngx_b1c_query_text_put(buf, "]");
}

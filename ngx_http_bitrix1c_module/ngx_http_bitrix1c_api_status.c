
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_answer.h"
#include "ngx_http_bitrix1c_api_state.h"


static ngx_int_t ngx_http_bitrix1c_api_status_text(
    ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_state_t *states, ngx_uint_t n);
static void ngx_http_bitrix1c_api_status_queue(bitrix_buf_t *buf,
    ngx_http_bitrix1c_api_state_t *s);
static const char *ngx_http_bitrix1c_api_status_word(
    ngx_http_bitrix1c_api_state_t *s);
static void ngx_http_bitrix1c_api_status_depth(bitrix_buf_t *buf,
    ngx_http_bitrix1c_api_state_t *s);
static void ngx_http_bitrix1c_api_status_rate(bitrix_buf_t *buf,
    ngx_http_bitrix1c_queue_t *queue);
static void ngx_http_bitrix1c_api_status_pace(bitrix_buf_t *buf,
    ngx_http_bitrix1c_api_state_t *s);
static void ngx_http_bitrix1c_api_status_redis(bitrix_buf_t *buf,
    ngx_http_bitrix1c_api_state_t *s);
static void ngx_http_bitrix1c_api_status_last(bitrix_buf_t *buf,
    ngx_http_bitrix1c_queue_t *queue, const char *name, ngx_uint_t failed);
static void ngx_http_bitrix1c_api_status_counters(bitrix_buf_t *buf,
    ngx_http_bitrix1c_queue_t *queue);
static void ngx_http_bitrix1c_api_history_queue(bitrix_buf_t *buf,
    ngx_http_bitrix1c_queue_t *queue);


ngx_int_t
ngx_http_bitrix1c_api_status(ngx_http_bitrix1c_api_call_t *call)
{
    return ngx_http_bitrix1c_api_states(call,
                                        ngx_http_bitrix1c_api_status_text, 1);
}


static ngx_int_t
ngx_http_bitrix1c_api_status_text(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_state_t *states, ngx_uint_t n)
{
    ngx_uint_t     i;
    ngx_time_t    *tp;
    bitrix_buf_t   buf;

    ngx_memzero(&buf, sizeof(bitrix_buf_t));

    tp = ngx_timeofday();

    ngx_http_bitrix1c_api_put(&buf, "{\"version\":1,\"nginx\":\"%s\","
                              "\"time\":%T.%03M,\"pid\":%P,\"queues\":[",
                              NGINX_VERSION, tp->sec, tp->msec, ngx_pid);

    for (i = 0; i < n; i++) {
        ngx_http_bitrix1c_api_put(&buf, i ? "," : "");
        ngx_http_bitrix1c_api_status_queue(&buf, &states[i]);
    }

    ngx_http_bitrix1c_api_put(&buf, "]}\n");

    return ngx_http_bitrix1c_api_send_json(call->request, &buf);
}


static void
ngx_http_bitrix1c_api_status_queue(bitrix_buf_t *buf,
    ngx_http_bitrix1c_api_state_t *s)
{
    ngx_http_bitrix1c_queue_t  *queue;

    queue = s->queue;

    ngx_http_bitrix1c_api_put(buf, "{\"name\":\"%V\",\"kind\":\"%s\","
                              "\"state\":\"%s\"", &queue->name,
                              queue->calls ? "calls" : "events",
                              ngx_http_bitrix1c_api_status_word(s));

    ngx_http_bitrix1c_api_status_depth(buf, s);

    ngx_http_bitrix1c_api_put(buf, ",\"concurrency\":%ui,\"slots_used\":%ui",
                              queue->pace.concurrency, s->slots.taken);

    ngx_http_bitrix1c_api_status_rate(buf, queue);
    ngx_http_bitrix1c_api_status_pace(buf, s);
    ngx_http_bitrix1c_api_status_redis(buf, s);

    ngx_http_bitrix1c_api_put(buf, ",\"spool\":{\"state\":\"%s\","
                              "\"bytes\":%uL,\"max\":%uL}", s->spool.state,
                              s->spool.bytes, s->spool.max);

    ngx_http_bitrix1c_api_status_last(buf, queue, "last", 0);
    ngx_http_bitrix1c_api_status_last(buf, queue, "last_failure", 1);
    ngx_http_bitrix1c_api_status_counters(buf, queue);

    ngx_http_bitrix1c_api_put(buf, "}");
}


/* the worst that is true */
static const char *
ngx_http_bitrix1c_api_status_word(ngx_http_bitrix1c_api_state_t *s)
{
    if (ngx_strcmp(s->spool.state, "spooling") == 0
        || ngx_strcmp(s->spool.state, "draining") == 0)
    {
        return "spooling";
    }

    if (!s->redis.up || !s->depth.known) {
        return "redis_down";
    }

    if (s->slots.open) {
        return "open";
    }

    if (s->slots.held) {
        return "held";
    }

    if (s->depth.due && s->slots.taken >= s->queue->pace.concurrency) {
        return "busy";
    }

    return "ok";
}


static void
ngx_http_bitrix1c_api_status_depth(bitrix_buf_t *buf,
    ngx_http_bitrix1c_api_state_t *s)
{
    ngx_http_bitrix1c_depth_t  *d;

    d = &s->depth;

    if (!d->known) {
        ngx_http_bitrix1c_api_put(buf, ",\"waiting\":null,\"due\":null,"
                                  "\"followers\":null,\"in_flight\":%ui,"
                                  "\"dead\":null,\"oldest_seconds\":null",
                                  s->slots.taken);
        return;
    }

    ngx_http_bitrix1c_api_put(buf, ",\"waiting\":%ui,\"due\":%L,"
                              "\"followers\":%L,\"in_flight\":%ui,"
                              "\"dead\":%L,\"oldest_seconds\":",
                     ngx_http_bitrix1c_depth_waiting(d, s->slots.taken),
                     d->due, d->followers, s->slots.taken, d->dead);
    ngx_http_bitrix1c_api_put_seconds(buf, d->age);
}


static void
ngx_http_bitrix1c_api_status_rate(bitrix_buf_t *buf,
    ngx_http_bitrix1c_queue_t *queue)
{
    ngx_uint_t                   delivered, accepted;
    ngx_http_bitrix1c_minute_t  *m;

    m = ngx_http_bitrix1c_stats_minute(queue->stats, ngx_time() / 60 - 1);

    delivered = m ? m->n[NGX_HTTP_BITRIX1C_M_DELIVERED] : 0;
    accepted = m ? m->n[NGX_HTTP_BITRIX1C_M_ACCEPTED] : 0;

    ngx_http_bitrix1c_api_put(buf, ",\"rate\":{\"limit\":");
    ngx_http_bitrix1c_api_put_seconds(buf, queue->pace.rate);
    ngx_http_bitrix1c_api_put(buf, ",\"delivered\":");
    ngx_http_bitrix1c_api_put_seconds(buf, delivered * 1000 / 60);
    ngx_http_bitrix1c_api_put(buf, ",\"accepted\":");
    ngx_http_bitrix1c_api_put_seconds(buf, accepted * 1000 / 60);
    ngx_http_bitrix1c_api_put(buf, "}");
}


static void
ngx_http_bitrix1c_api_status_pace(bitrix_buf_t *buf,
    ngx_http_bitrix1c_api_state_t *s)
{
    const char                      *hold;
    ngx_http_bitrix1c_pace_t        *pace;
    ngx_http_bitrix1c_slots_info_t  *slots;

    pace = &s->queue->pace;
    slots = &s->slots;

    ngx_http_bitrix1c_api_put(buf, ",\"breaker\":{\"state\":\"%s\","
                              "\"seconds\":",
                              slots->probing ? "probing"
                              : slots->open ? "open" : "closed");
    ngx_http_bitrix1c_api_put_seconds(buf, slots->left);
    ngx_http_bitrix1c_api_put(buf, ",\"failures\":%ui}", slots->failed);

    hold = slots->operator ? "operator"
           : pace->hold == NGX_HTTP_BITRIX1C_HOLD_ON ? "on"
           : pace->hold == NGX_HTTP_BITRIX1C_HOLD_DAILY ? "daily" : "off";

    ngx_http_bitrix1c_api_put(buf, ",\"hold\":{\"state\":\"%s\"", hold);

    if (pace->hold == NGX_HTTP_BITRIX1C_HOLD_DAILY) {
        ngx_http_bitrix1c_api_put(buf, ",\"from\":\"%02ui:%02ui\","
                                  "\"to\":\"%02ui:%02ui\"",
                                  pace->from / 60, pace->from % 60,
                                  pace->to / 60, pace->to % 60);
    } else {
        ngx_http_bitrix1c_api_put(buf, ",\"from\":\"\",\"to\":\"\"");
    }

    ngx_http_bitrix1c_api_put(buf, ",\"held\":%s}",
                              slots->held ? "true" : "false");
}


static void
ngx_http_bitrix1c_api_status_redis(bitrix_buf_t *buf,
    ngx_http_bitrix1c_api_state_t *s)
{
    ngx_str_t  error;

    ngx_http_bitrix1c_api_put(buf, ",\"redis\":{\"state\":\"%s\","
                              "\"address\":", s->redis.up ? "up" : "down");
    ngx_http_bitrix1c_api_put_string(buf, &s->queue->redis.name);
    ngx_http_bitrix1c_api_put(buf, ",\"seconds\":");
    ngx_http_bitrix1c_api_put_seconds(buf,
                                      ngx_current_msec - s->redis.since);
    ngx_http_bitrix1c_api_put(buf, ",\"error\":");

    error = s->error;

    if (error.len == 0 && s->redis.reason) {
        error.data = s->redis.reason;
        error.len = ngx_strlen(error.data);
    }

    ngx_http_bitrix1c_api_put_string(buf, &error);
    ngx_http_bitrix1c_api_put(buf, "}");
}


static void
ngx_http_bitrix1c_api_status_last(bitrix_buf_t *buf,
    ngx_http_bitrix1c_queue_t *queue, const char *name, ngx_uint_t failed)
{
    ngx_str_t                 text;
    ngx_http_bitrix1c_last_t  last;

    ngx_http_bitrix1c_api_put(buf, ",\"%s\":", name);

    if (ngx_http_bitrix1c_stats_get_last(queue->stats, failed, &last)
        != NGX_OK)
    {
        ngx_http_bitrix1c_api_put(buf, "null");
        return;
    }

    ngx_http_bitrix1c_api_put(buf, "{\"time\":");
    ngx_http_bitrix1c_api_put_seconds(buf, last.time);
    ngx_http_bitrix1c_api_put(buf, ",\"id\":\"%*s\",\"event\":",
                              sizeof(last.id), last.id);

    text.data = last.event;
    text.len = last.event_len;
    ngx_http_bitrix1c_api_put_string(buf, &text);

    ngx_http_bitrix1c_api_put(buf, ",\"status\":%ui,\"verdict\":\"%V\","
                              "\"seconds\":", last.status,
                              ngx_http_bitrix1c_result_name(last.result));
    ngx_http_bitrix1c_api_put_seconds(buf, last.took);
    ngx_http_bitrix1c_api_put(buf, ",\"reason\":");

    text.data = last.reason;
    text.len = last.reason_len;
    ngx_http_bitrix1c_api_put_string(buf, &text);
    ngx_http_bitrix1c_api_put(buf, "}");
}


static void
ngx_http_bitrix1c_api_status_counters(bitrix_buf_t *buf,
    ngx_http_bitrix1c_queue_t *queue)
{
    ngx_uint_t  i, received;

    received = 0;

    for (i = 0; i <= NGX_HTTP_BITRIX1C_N_UNAVAILABLE; i++) {
        received += ngx_http_bitrix1c_stats_get(queue->stats, i);
    }

    ngx_http_bitrix1c_api_put(buf, ",\"counters\":{\"received\":%ui",
                              received);

    for (i = 0; i < NGX_HTTP_BITRIX1C_COUNTERS; i++) {
        ngx_http_bitrix1c_api_put(buf, ",\"%V\":%ui",
                              ngx_http_bitrix1c_stats_name(i),
                              ngx_http_bitrix1c_api_counter(queue, i));
    }

    ngx_http_bitrix1c_api_put(buf, "}");
}


ngx_int_t
ngx_http_bitrix1c_api_history(ngx_http_bitrix1c_api_call_t *call)
{
    ngx_uint_t                       i, n;
    bitrix_buf_t                     buf;
    ngx_http_bitrix1c_queue_t      **queue;
    ngx_http_bitrix1c_main_conf_t   *mcf;

    ngx_memzero(&buf, sizeof(bitrix_buf_t));

    mcf = ngx_http_get_module_main_conf(call->request,
                                        ngx_http_bitrix1c_module);
    queue = mcf->queues.elts;
    n = 0;

    ngx_http_bitrix1c_api_put(&buf, "{\"step\":60,\"queues\":{");

    for (i = 0; i < mcf->queues.nelts; i++) {
        if (call->args.queue == NULL || call->args.queue == queue[i]) {
            ngx_http_bitrix1c_api_put(&buf, "%s\"%V\":{", n++ ? "," : "",
                                      &queue[i]->name);
            ngx_http_bitrix1c_api_history_queue(&buf, queue[i]);
            ngx_http_bitrix1c_api_put(&buf, "}");
        }
    }

    ngx_http_bitrix1c_api_put(&buf, "}}\n");

    return ngx_http_bitrix1c_api_send_json(call->request, &buf);
}


/* full minutes: the one that runs would look like a breakdown */
static void
ngx_http_bitrix1c_api_history_queue(bitrix_buf_t *buf,
    ngx_http_bitrix1c_queue_t *queue)
{
    ngx_uint_t                   i, k, first;
    ngx_http_bitrix1c_minute_t  *m;

    /* in the order of ngx_http_bitrix1c_minute_e, and one more */

    static const char  *names[] = {
        "accepted", "delivered", "failed", "dead", "waiting"
    };

    first = ngx_time() / 60 - NGX_HTTP_BITRIX1C_MINUTES;

    ngx_http_bitrix1c_api_put(buf, "\"time\":[");

    for (i = 0; i < NGX_HTTP_BITRIX1C_MINUTES; i++) {
        ngx_http_bitrix1c_api_put(buf, "%s%ui", i ? "," : "",
                                  (first + i) * 60);
    }

    for (k = 0; k <= NGX_HTTP_BITRIX1C_MINUTE_COUNTERS; k++) {
        ngx_http_bitrix1c_api_put(buf, "],\"%s\":[", names[k]);

        for (i = 0; i < NGX_HTTP_BITRIX1C_MINUTES; i++) {
            m = ngx_http_bitrix1c_stats_minute(queue->stats, first + i);

            ngx_http_bitrix1c_api_put(buf, i ? "," : "");

            if (m == NULL) {
                ngx_http_bitrix1c_api_put(buf, "null");

            } else if (k < NGX_HTTP_BITRIX1C_MINUTE_COUNTERS) {
                ngx_http_bitrix1c_api_put(buf, "%uA", m->n[k]);

            } else if (m->waiting) {
                ngx_http_bitrix1c_api_put(buf, "%uA", m->waiting - 1);

            } else {
                ngx_http_bitrix1c_api_put(buf, "null");
            }
        }
    }

    ngx_http_bitrix1c_api_put(buf, "]");
}

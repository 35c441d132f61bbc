
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_api_internal.h"
#include "b1c_core.h"
#include "b1c_base.h"
#include "b1c_version.h"
#include "b1c_http.h"
#include "b1c_queue.h"


typedef enum {
    NGX_B1C_G_WAITING = 0,
    NGX_B1C_G_DUE,
    NGX_B1C_G_FOLLOWERS,
    NGX_B1C_G_IN_FLIGHT,
    NGX_B1C_G_CONCURRENCY,
    NGX_B1C_G_DEAD,
    NGX_B1C_G_OLDEST,
    NGX_B1C_G_BREAKER,
    NGX_B1C_G_FAILURES,
    NGX_B1C_G_HELD,
    NGX_B1C_G_REDIS,
    NGX_B1C_G_SPOOL_STATE,
    NGX_B1C_G_SPOOL,
    NGX_B1C_G_SPOOL_MAX,
    NGX_B1C_G_LAST,
    NGX_B1C_G_LAST_FAILURE,

    NGX_B1C_GAUGES
} ngx_b1c_gauge_e;


typedef struct {
    const char                      *name;       /* without "bitrix1c_" */
    const char                      *help;
    ngx_uint_t                       ms;         /* shown as seconds */
} ngx_b1c_gauge_t;


typedef struct {
    const char                      *name;
    const char                      *help;
    ngx_b1c_counter_e                first;
    ngx_b1c_counter_e                last;
} ngx_b1c_family_t;


typedef struct {
    const char                      *name;
    const char                      *help;
} ngx_b1c_timing_t;


static ngx_int_t ngx_b1c_api_metrics_text(ngx_b1c_query_t *call,
    ngx_b1c_api_state_t *states, ngx_uint_t n);
static void ngx_b1c_api_metrics_head(b1c_buf_t *buf, const char *name,
    const char *type, const char *help);
static void ngx_b1c_api_metrics_gauge(b1c_buf_t *buf, ngx_uint_t gauge,
    ngx_b1c_api_state_t *states, int64_t *values, ngx_uint_t n);
static void ngx_b1c_api_metrics_family(b1c_buf_t *buf,
    ngx_b1c_family_t *family, ngx_b1c_api_state_t *states, ngx_uint_t n);
static void ngx_b1c_api_metrics_times(b1c_buf_t *buf, ngx_uint_t time,
    ngx_b1c_api_state_t *states, ngx_uint_t n);

static void ngx_b1c_api_metrics_values(ngx_b1c_api_state_t *s, int64_t *value);
static int64_t ngx_b1c_api_metrics_last(ngx_b1c_queue_t *queue,
    ngx_uint_t failed);
static int64_t ngx_b1c_api_metrics_spool(const char *state);


/* in the order of ngx_b1c_gauge_e */
static ngx_b1c_gauge_t  ngx_b1c_gauges[] = {

    { "waiting", "Events that wait to be delivered.", 0 },
    { "due", "Events that wait and can be delivered now.", 0 },
    { "followers", "Events that wait behind another event of the same entity.",
                   0 },
    { "in_flight", "Deliveries in progress in this nginx.", 0 },
    { "concurrency", "Limit of concurrent deliveries.", 0 },
    { "dead_letters", "Events that could not be delivered and are stored.",
                      0 },
    { "oldest_seconds", "Age of the oldest event that can be delivered now.",
                        1 },
    { "breaker_state", "Circuit breaker: 0 closed, 1 open, 2 half-open.", 0 },
    { "breaker_failures", "Deliveries that failed in succession.", 0 },
    { "held", "1 if \"hold\" or an operator stops deliveries.", 0 },
    { "redis_up", "1 if the worker that serves this request is connected to "
                  "Redis.", 0 },
    { "spool_state", "Spool: 0 off or empty, 1 spooling, 2 draining, 3 "
                     "unavailable.",
      0 },
    { "spool_bytes", "Bytes in the spool.", 0 },
    { "spool_max_bytes", "Limit of bytes in the spool.", 0 },
    { "last_delivery_timestamp_seconds", "Time of the end of the last "
                                         "delivery.", 1 },
    { "last_failure_timestamp_seconds", "Time of the last failed delivery.",
                                        1 }
};


static ngx_b1c_family_t  ngx_b1c_families[] = {

    { "events_total", "Requests of senders by result.",
      NGX_B1C_N_ACCEPTED, NGX_B1C_N_UNAVAILABLE },

    { "deliveries_total", "Deliveries by result.",
      NGX_B1C_N_DELIVERED, NGX_B1C_N_LOST },

    { "dead_letters_total", "Dead letters by action.",
      NGX_B1C_N_REPLAYED, NGX_B1C_N_DROPPED_DEAD },

    { "spool_events_total", "Spooled events by result.",
      NGX_B1C_N_SPOOL_REPLAYED, NGX_B1C_N_SPOOL_TORN },

    { NULL, NULL, 0, 0 }
};


/* in the order of ngx_b1c_time_e */
static ngx_b1c_timing_t  ngx_b1c_timings[] = {
    { "answer_seconds", "From a sender's request to the answer to it." },
    { "delivery_seconds", "From the start of a delivery to 1C's answer." },
    { "event_seconds", "From the receipt of an event to 1C's success." }
};


ngx_int_t
ngx_b1c_api_metrics_send(ngx_b1c_query_t *call)
{
    return ngx_b1c_api_state_ask(call, ngx_b1c_api_metrics_text, 0);
}


static ngx_int_t
ngx_b1c_api_metrics_text(ngx_b1c_query_t *call, ngx_b1c_api_state_t *states,
    ngx_uint_t n)
{
    int64_t           *values;
    ngx_uint_t         i;
    b1c_buf_t          buf;
    ngx_b1c_family_t  *family;

    values = ngx_palloc(call->pool,
                        (n + 1) * NGX_B1C_GAUGES * sizeof(int64_t));
    if (values == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < n; i++) {
        ngx_b1c_api_metrics_values(&states[i], values + i * NGX_B1C_GAUGES);
    }

    ngx_memzero(&buf, sizeof(b1c_buf_t));

    ngx_b1c_api_metrics_head(&buf, "info", "gauge",
                             "1, with the versions of the module and of "
                             "nginx.");
    ngx_b1c_query_text_put(&buf, "bitrix1c_info{version=\"%s\","
                           "nginx=\"%s\"} 1\n",
                           NGX_B1C_VERSION, NGINX_VERSION);

    for (i = 0; i < NGX_B1C_GAUGES; i++) {
        ngx_b1c_api_metrics_gauge(&buf, i, states, values, n);
    }

    for (family = ngx_b1c_families; family->name; family++) {
        ngx_b1c_api_metrics_family(&buf, family, states, n);
    }

    for (i = 0; i < NGX_B1C_TIMES; i++) {
        ngx_b1c_api_metrics_times(&buf, i, states, n);
    }

    return ngx_b1c_query_text_send(call->request, NGX_HTTP_OK,
                                "text/plain; version=0.0.4; charset=utf-8",
                                &buf);
}


static void
ngx_b1c_api_metrics_head(b1c_buf_t *buf, const char *name, const char *type,
    const char *help)
{
    ngx_b1c_query_text_put(buf, "# HELP bitrix1c_%s %s\n"
                           "# TYPE bitrix1c_%s %s\n",
                           name, help, name, type);
}


static void
ngx_b1c_api_metrics_gauge(b1c_buf_t *buf, ngx_uint_t gauge,
    ngx_b1c_api_state_t *states, int64_t *values, ngx_uint_t n)
{
    int64_t           value;
    ngx_uint_t        i;
    ngx_b1c_gauge_t  *g;

    g = &ngx_b1c_gauges[gauge];

    ngx_b1c_api_metrics_head(buf, g->name, "gauge", g->help);

    for (i = 0; i < n; i++) {
        value = values[i * NGX_B1C_GAUGES + gauge];

        if (value < 0) {
            continue;
        }

        ngx_b1c_query_text_put(buf, "bitrix1c_%s{queue=\"%V\"} ",
                               g->name, &states[i].queue->name);

        if (g->ms) {
            ngx_b1c_query_text_put_seconds(buf, value);

        } else {
            ngx_b1c_query_text_put(buf, "%L", value);
        }

        ngx_b1c_query_text_put(buf, "\n");
    }
}


static void
ngx_b1c_api_metrics_family(b1c_buf_t *buf, ngx_b1c_family_t *family,
    ngx_b1c_api_state_t *states, ngx_uint_t n)
{
    ngx_str_t   result;
    ngx_uint_t  i, k;

    ngx_b1c_api_metrics_head(buf, family->name, "counter",
                             family->help);

    for (i = 0; i < n; i++) {
        for (k = family->first; k <= family->last; k++) {
            result = *ngx_b1c_stats_name(k);

            /* the name of the family already says it */

            if (result.len > 6
                && ngx_strncmp(result.data, "spool_", 6) == 0)
            {
                result.data += 6;
                result.len -= 6;

            } else if (k == NGX_B1C_N_DROPPED_DEAD) {
                result.len -= 5;
            }

            ngx_b1c_query_text_put(buf, "bitrix1c_%s{queue=\"%V\","
                                   "result=\"%V\"} %ui\n", family->name,
                                   &states[i].queue->name, &result,
                     ngx_b1c_api_state_counter(states[i].queue, k));
        }
    }
}


static void
ngx_b1c_api_metrics_times(b1c_buf_t *buf, ngx_uint_t time,
    ngx_b1c_api_state_t *states, ngx_uint_t n)
{
    u_char                bound[NGX_TIME_T_LEN + 4], *last;
    ngx_str_t            *queue;
    ngx_msec_t            ms;
    ngx_uint_t            i, k, count;
    const char           *name;
    ngx_b1c_histogram_t  *h;

    name = ngx_b1c_timings[time].name;

    ngx_b1c_api_metrics_head(buf, name, "histogram",
                             ngx_b1c_timings[time].help);

    for (i = 0; i < n; i++) {
        h = ngx_b1c_stats_get_time(states[i].queue->stats, time);
        queue = &states[i].queue->name;
        count = 0;

        for (k = 0; k < NGX_B1C_BUCKETS; k++) {
            count += h->n[k];

            ms = ngx_b1c_stats_bound(k);

            /* in the shortest form: 0.01, 60 */

            last = ngx_sprintf(bound, "%M.%03M", ms / 1000, ms % 1000);

            while (last[-1] == '0') {
                last--;
            }

            last -= (last[-1] == '.');

            ngx_b1c_query_text_put(buf, "bitrix1c_%s_bucket{queue=\"%V\","
                                   "le=\"%*s\"} %ui\n", name, queue,
                                   (size_t) (last - bound), bound, count);
        }

        count += h->n[k];

        ngx_b1c_query_text_put(buf, "bitrix1c_%s_bucket{queue=\"%V\","
                               "le=\"+Inf\"} %ui\n"
                               "bitrix1c_%s_sum{queue=\"%V\"} ",
                               name, queue, count, name, queue);
        ngx_b1c_query_text_put_seconds(buf, h->sum);
        ngx_b1c_query_text_put(buf, "\nbitrix1c_%s_count{queue=\"%V\"} "
                               "%ui\n", name, queue, count);
    }
}


/* unknown values are negative and are left out */
static void
ngx_b1c_api_metrics_values(ngx_b1c_api_state_t *s, int64_t *value)
{
    ngx_uint_t        known;
    ngx_b1c_depth_t  *d;

    d = &s->depth;
    known = d->known;

    value[NGX_B1C_G_WAITING] = known
           ? (int64_t) ngx_b1c_depth_waiting(d, s->limits.taken) : -1;
    value[NGX_B1C_G_DUE] = known ? d->due : -1;
    value[NGX_B1C_G_FOLLOWERS] = known ? d->followers : -1;
    value[NGX_B1C_G_IN_FLIGHT] = s->limits.taken;
    value[NGX_B1C_G_CONCURRENCY] = s->queue->limits_conf.concurrency;
    value[NGX_B1C_G_DEAD] = known ? d->dead : -1;
    value[NGX_B1C_G_OLDEST] = known ? d->age : -1;
    value[NGX_B1C_G_BREAKER] = s->limits.probing ? 2 : s->limits.open ? 1 : 0;
    value[NGX_B1C_G_FAILURES] = s->limits.failed;
    value[NGX_B1C_G_HELD] = s->limits.held ? 1 : 0;
    value[NGX_B1C_G_REDIS] = s->redis.up && known;
    value[NGX_B1C_G_SPOOL_STATE] = ngx_b1c_api_metrics_spool(s->spool.state);
    value[NGX_B1C_G_SPOOL] = s->spool.bytes;
    value[NGX_B1C_G_SPOOL_MAX] = s->spool.max;
    value[NGX_B1C_G_LAST] = ngx_b1c_api_metrics_last(s->queue, 0);
    value[NGX_B1C_G_LAST_FAILURE] = ngx_b1c_api_metrics_last(s->queue, 1);
}


static int64_t
ngx_b1c_api_metrics_last(ngx_b1c_queue_t *queue, ngx_uint_t failed)
{
    ngx_b1c_last_t  last;

    return ngx_b1c_stats_get_last(queue->stats, failed, &last)
           == NGX_OK ? last.time : -1;
}


static int64_t
ngx_b1c_api_metrics_spool(const char *state)
{
    ngx_uint_t  i;

    static const char  *states[] = { "spooling", "draining", "unavailable" };

    for (i = 0; i < 3; i++) {
        if (ngx_strcmp(state, states[i]) == 0) {
            return i + 1;
        }
    }

    return 0;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_queue.h"
#include "b1c_job.h"


/* ms without an end of any delivery while all slots are in use */
#define NGX_B1C_STUCK  60000


static void ngx_b1c_report_last(ngx_b1c_job_t *job);
static void ngx_b1c_report_failed(ngx_b1c_job_t *job);
static void ngx_b1c_report_worked(ngx_b1c_job_t *job);
static void ngx_b1c_report_dead(ngx_b1c_job_t *job);


void
ngx_b1c_report_taken(ngx_b1c_queue_t *queue, ngx_b1c_result_e result)
{
    ngx_b1c_counter_e  counter;

    switch (result) {

    case NGX_B1C_ACCEPTED:
        counter = NGX_B1C_N_ACCEPTED;
        break;

    case NGX_B1C_COALESCED:
        counter = NGX_B1C_N_COALESCED;
        break;

    case NGX_B1C_DUPLICATE:
        counter = NGX_B1C_N_DUPLICATE;
        break;

    case NGX_B1C_SPOOLED:
        counter = NGX_B1C_N_SPOOLED;
        break;

    case NGX_B1C_IGNORED:
        counter = NGX_B1C_N_IGNORED;
        break;

    case NGX_B1C_MALFORMED:
        counter = NGX_B1C_N_MALFORMED;
        break;

    case NGX_B1C_FORBIDDEN:
        counter = NGX_B1C_N_FORBIDDEN;
        break;

    case NGX_B1C_NOT_ALLOWED:
    case NGX_B1C_TOO_LARGE:
    case NGX_B1C_UNSUPPORTED:
        counter = NGX_B1C_N_REFUSED;
        break;

    case NGX_B1C_UNAVAILABLE:
        counter = NGX_B1C_N_UNAVAILABLE;
        break;

    default:
        return;
    }

    ngx_b1c_stats_count(queue->stats, counter, 1);
}


void
ngx_b1c_report_answer(ngx_http_request_t *r, ngx_b1c_result_e result)
{
    ngx_time_t          *tp;
    ngx_msec_int_t       ms;
    ngx_b1c_queue_t     *queue;
    ngx_b1c_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    if (lcf->webhook.route == NULL || result == NGX_B1C_READY) {
        return;
    }

    queue = lcf->webhook.route->queue;

    switch (result) {

    case NGX_B1C_IGNORED:
    case NGX_B1C_MALFORMED:
    case NGX_B1C_FORBIDDEN:
    case NGX_B1C_NOT_ALLOWED:
    case NGX_B1C_TOO_LARGE:
    case NGX_B1C_UNSUPPORTED:
        ngx_b1c_report_taken(queue, result);
        break;

    default:
        break;
    }

    tp = ngx_timeofday();

    ms = (ngx_msec_int_t) ((tp->sec - r->start_sec) * 1000
                           + (tp->msec - r->start_msec));

    ngx_b1c_stats_time(queue->stats, NGX_B1C_T_ANSWER, ngx_max(ms, 0));
}


void
ngx_b1c_report_unavailable(ngx_b1c_job_t *job, ngx_log_t *log)
{
    ngx_uint_t  level;

    level = ngx_b1c_stats_level(job->queue->stats, NGX_B1C_SAY_UNAVAILABLE,
                                NGX_LOG_ERR);

    ngx_log_error(level, log, 0,
                  "bitrix1c could not store event %V of %V %V: Redis of queue "
                  "\"%V\" is not available or refuses writes",
                  &job->event.name, &job->event.type, &job->event.id,
                  &job->queue->name);
}


void
ngx_b1c_report_delivery(ngx_b1c_job_t *job)
{
    ngx_uint_t         level;
    ngx_b1c_stats_t   *stats;
    ngx_b1c_counter_e  counter;

    stats = job->queue->stats;

    switch (job->result) {

    case NGX_B1C_DELIVERED:
        counter = NGX_B1C_N_DELIVERED;
        ngx_b1c_stats_time(stats, NGX_B1C_T_EVENT,
                           ngx_current_msec - job->arrived);
        break;

    case NGX_B1C_DEAD:
        counter = NGX_B1C_N_DEAD;
        break;

    case NGX_B1C_LOST:
        counter = NGX_B1C_N_LOST;
        break;

    default: /* NGX_B1C_RETRY */
        counter = NGX_B1C_N_RETRIED;
        break;
    }

    ngx_b1c_stats_count(stats, counter, 1);

    if (job->attempt.outcome.done && !job->attempt.outcome.ours
        && job->result != NGX_B1C_LOST)
    {
        ngx_b1c_stats_time(stats, NGX_B1C_T_DELIVERY,
                           ngx_current_msec - job->attempt.started);
    }

    ngx_b1c_report_last(job);

    switch (job->result) {

    case NGX_B1C_DELIVERED:
        ngx_b1c_report_worked(job);
        break;

    case NGX_B1C_RETRY:
        ngx_b1c_report_failed(job);
        break;

    case NGX_B1C_DEAD:
        ngx_b1c_report_dead(job);
        break;

    default: /* NGX_B1C_LOST */
        level = ngx_b1c_stats_level(stats, NGX_B1C_SAY_LOST, NGX_LOG_WARN);

        ngx_log_error(level, job->log, 0,
                      "bitrix1c_queue \"%V\": the lease of event %V was lost, "
                      "its delivery is aborted", &job->queue->name,
                      &job->id);
        break;
    }
}


static void
ngx_b1c_report_last(ngx_b1c_job_t *job)
{
    ngx_time_t     *tp;
    ngx_b1c_last_t  last;

    tp = ngx_timeofday();

    last.time = (int64_t) tp->sec * 1000 + tp->msec;
    last.status = job->attempt.outcome.status;
    last.result = job->result;
    last.took = job->attempt.started
                ? ngx_current_msec - job->attempt.started : 0;

    ngx_memcpy(last.id, job->id.data, sizeof(last.id));

    last.event_len = ngx_min(job->event.name.len, NGX_B1C_LAST_EVENT);

    /* an event that could not be read has no name */

    if (last.event_len) {
        ngx_memcpy(last.event, job->event.name.data, last.event_len);
    }

    last.reason_len = 0;

    if (job->result != NGX_B1C_DELIVERED) {
        last.reason_len = ngx_min(job->reason.len, NGX_B1C_LAST_REASON);
        ngx_memcpy(last.reason, job->reason.data, last.reason_len);
    }

    ngx_b1c_stats_last(job->queue->stats, &last,
                       job->result != NGX_B1C_DELIVERED);
}


static void
ngx_b1c_report_failed(ngx_b1c_job_t *job)
{
    ngx_uint_t  first, level;

    first = ngx_b1c_stats_failed(job->queue->stats);
    level = first ? NGX_LOG_WARN : NGX_LOG_INFO;

    ngx_log_error(level, job->log, 0,
                  "bitrix1c_queue \"%V\": event %V (%V) will be retried in %M "
                  "ms, attempt %ui: %V%s", &job->queue->name, &job->id,
                  &job->event.name, job->attempt.delay, job->lease.attempts + 1,
                  &job->reason,
                  first ? "; further failures are logged at level info" : "");
}


static void
ngx_b1c_report_worked(ngx_b1c_job_t *job)
{
    ngx_uint_t  n;

    n = ngx_b1c_stats_worked(job->queue->stats);

    if (n) {
        ngx_log_error(NGX_LOG_NOTICE, job->log, 0,
                      "bitrix1c_queue \"%V\": %V accepts %V again after %ui "
                      "failed attempts", &job->queue->name,
                      &job->queue->ops->receiver, &job->queue->ops->noun, n);
    }
}


static void
ngx_b1c_report_dead(ngx_b1c_job_t *job)
{
    ngx_uint_t  level;

    level = ngx_b1c_stats_level(job->queue->stats, NGX_B1C_SAY_DEAD,
                                NGX_LOG_ERR);

    ngx_log_error(level, job->log, 0,
                  "bitrix1c_queue \"%V\": event %V (%V) became a dead letter "
                  "after %ui attempts: %V", &job->queue->name, &job->id,
                  &job->event.name, job->lease.attempts + 1, &job->reason);
}


void
ngx_b1c_report_late(ngx_b1c_job_t *job)
{
    ngx_uint_t  level;

    ngx_b1c_stats_count(job->queue->stats, NGX_B1C_N_LOST, 1);

    level = ngx_b1c_stats_level(job->queue->stats, NGX_B1C_SAY_LATE,
                                NGX_LOG_WARN);

    ngx_log_error(level, job->log, 0,
                  "bitrix1c_queue \"%V\": the lease of event %V ended before "
                  "its delivery", &job->queue->name, &job->id);
}


void
ngx_b1c_report_stuck(ngx_b1c_worker_t *w)
{
    ngx_msec_t        ms;
    ngx_b1c_queue_t  *queue;

    queue = w->queue;

    ms = ngx_b1c_limits_stuck(queue->limits, &queue->limits_conf,
                              ngx_min(queue->timeout / 2, NGX_B1C_STUCK));
    if (ms) {
        ngx_log_error(NGX_LOG_WARN, w->log, 0,
                      "bitrix1c_queue \"%V\": all %ui slots have been in use "
                      "for %M ms and no delivery has ended: %V is slow, see "
                      "\"concurrency\" and \"delivery_timeout\"",
                      &queue->name, queue->limits_conf.concurrency, ms,
                      &queue->ops->receiver);
    }
}


ngx_uint_t
ngx_b1c_report_held(ngx_b1c_queue_t *queue, ngx_uint_t held, ngx_log_t *log)
{
    if (!ngx_b1c_limits_hold(queue->limits, held)) {
        return 0;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0, "bitrix1c_queue \"%V\": %s",
                  &queue->name,
                  held ? "an operator has held the queue, deliveries are "
                         "stopped until it is resumed"
                       : "an operator has resumed the queue, deliveries "
                         "continue");

    return 1;
}

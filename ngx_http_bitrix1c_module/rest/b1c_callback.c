
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_core.h"
#include "b1c_bitrix.h"
#include "b1c_job.h"
#include "b1c_queue.h"


/* ms until the next attempt to store an event */
#define NGX_B1C_CALLBACK_AGAIN  1000

/* bytes of {"id":"..." before the record */
#define NGX_B1C_CALLBACK_HEAD   64


static ngx_b1c_job_t *ngx_b1c_callback_job(ngx_b1c_job_t *call,
    ngx_b1c_route_t *route);
static ngx_int_t ngx_b1c_callback_record(ngx_b1c_job_t *job,
    ngx_b1c_job_t *call);
static ngx_int_t ngx_b1c_callback_text(b1c_buf_t *buf, ngx_b1c_job_t *job,
    ngx_b1c_job_t *call, ngx_uint_t cut);
static ngx_int_t ngx_b1c_callback_data(b1c_buf_t *buf, ngx_b1c_job_t *call,
    ngx_uint_t cut);
static void ngx_b1c_callback_stored(ngx_b1c_job_t *job);
static void ngx_b1c_callback_again(ngx_event_t *ev);


#define ngx_b1c_put(buf, text)                                     \
    b1c_json_write_put(buf, text, sizeof(text) - 1)


ngx_int_t
ngx_b1c_callback_send(ngx_b1c_worker_t *w, ngx_b1c_job_t *job)
{
    ngx_b1c_job_t       *event;
    ngx_b1c_loc_conf_t  *lcf;

    if (job->route == NULL || job->result == NGX_B1C_RETRY) {
        return NGX_DECLINED;
    }

    lcf = job->route->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];

    if (lcf->rest.callback_route == NULL
        || lcf->rest.callback_route->queue->worker == NULL)
    {
        return NGX_DECLINED;
    }

    event = ngx_b1c_callback_job(job, lcf->rest.callback_route);
    if (event == NULL) {
        return NGX_DECLINED;
    }

    /* an exiting worker settles the call without waiting for this */

    job->attempt.outcome.done = 1;
    ngx_b1c_job_ref(job);

    event->kind = job;
    event->answer = ngx_b1c_callback_stored;

    ngx_b1c_queue_accept(event);

    return NGX_OK;
}


static ngx_b1c_job_t *
ngx_b1c_callback_job(ngx_b1c_job_t *call, ngx_b1c_route_t *route)
{
    ngx_str_t       key, none;
    ngx_b1c_job_t  *job;

    job = ngx_b1c_job_create(route->queue, call->log);
    if (job == NULL) {
        return NULL;
    }

    ngx_str_null(&none);

    job->route = route;
    job->identity.once = 1;
    job->server = route->cscf->server_name;
    job->uri = route->clcf->name;

    ngx_str_set(&job->event.name, "BITRIX1CCALL");
    ngx_str_set(&job->event.type, "BITRIX1CCALL");

    job->event.ts = ngx_time();
    job->event.id.len = call->id.len;
    job->event.id.data = ngx_pstrdup(job->pool, &call->id);
    job->event.domain.len = call->event.domain.len;
    job->event.domain.data = ngx_pstrdup(job->pool, &call->event.domain);

    /*
     * The result is delivered once, however often this is tried.  A dead
     * letter that was replayed gets another one when it is done.
     */

    key.len = sizeof("call dead ") - 1 + call->id.len;
    key.data = ngx_pnalloc(job->pool, key.len);

    if (key.data == NULL || job->event.id.data == NULL
        || job->event.domain.data == NULL
        || ngx_b1c_callback_record(job, call) != NGX_OK
        || ngx_b1c_job_number(job, 0, &job->lease.since) != NGX_OK)
    {
        ngx_b1c_job_unref(job);
        return NULL;
    }

    (void) ngx_sprintf(key.data, "call %s %V",
                       call->result == NGX_B1C_DEAD ? "dead"
                                                    : "done",
                       &call->id);

    if (ngx_b1c_job_identity(job, &key, &none) != NGX_OK) {
        ngx_b1c_job_unref(job);
        return NULL;
    }

    return job;
}


static ngx_int_t
ngx_b1c_callback_record(ngx_b1c_job_t *job, ngx_b1c_job_t *call)
{
    off_t       max;
    ngx_int_t   rc;
    ngx_str_t   server, uri;
    ngx_uint_t  cut;
    b1c_buf_t   buf;

    max = job->route->clcf->client_max_body_size;

    /* the location would refuse it each time; first the answer goes */

    for (cut = 0; /* void */ ; cut++) {

        ngx_memzero(&buf, sizeof(b1c_buf_t));

        if (ngx_b1c_callback_text(&buf, job, call, cut) != NGX_OK) {
            free(buf.start);
            return NGX_ERROR;
        }

        if (cut == 2 || max == 0
            || (off_t) buf.len + NGX_B1C_CALLBACK_HEAD <= max)
        {
            break;
        }

        free(buf.start);
    }

    server = job->server;
    uri = job->uri;

    rc = ngx_b1c_job_record(job, &server, &uri, (u_char *) buf.start,
                            buf.len);
    free(buf.start);

    return rc;
}


static ngx_int_t
ngx_b1c_callback_text(b1c_buf_t *buf, ngx_b1c_job_t *job, ngx_b1c_job_t *call,
    ngx_uint_t cut)
{
    ngx_b1c_put(buf, ",\"event\":\"BITRIX1CCALL\",\"ts\":");
    b1c_json_write_put_int(buf, job->event.ts);
    ngx_b1c_put(buf, ",\"received\":");
    b1c_json_write_put_int(buf, job->event.ts);
    ngx_b1c_put(buf, ",\"source\":{\"domain\":\"");
    b1c_json_write_put(buf, (char *) job->event.domain.data,
                       job->event.domain.len);
    ngx_b1c_put(buf, "\",\"member_id\":\"\"},\"entity\":{\"type\":"
                "\"BITRIX1CCALL\",\"id\":\"");
    b1c_json_write_put(buf, (char *) job->event.id.data, job->event.id.len);
    ngx_b1c_put(buf, "\"},\"data\":");

    if (ngx_b1c_callback_data(buf, call, cut) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_b1c_put(buf, "}");

    return buf->failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_b1c_callback_data(b1c_buf_t *buf, ngx_b1c_job_t *call, ngx_uint_t cut)
{
    b1c_event_t  *ev;
    b1c_reply_t   none;

    ev = ngx_b1c_job_parsed(call);
    if (ev == NULL) {
        return NGX_ERROR;
    }

    if (ngx_b1c_call(call)->answer.len == 0) {

        /* the call is dead without an answer, so the reason replaces it */

        ngx_memzero(&none, sizeof(b1c_reply_t));
        ngx_b1c_call_result_text(call, &none);
    }

    ngx_b1c_put(buf, "{\"method\":");
    b1c_json_write_put_string(buf, ev->event);

    ngx_b1c_put(buf, ",\"params\":");

    if (cut < 2) {
        b1c_json_write_put_tree(buf, ev->data);

    } else {
        ngx_b1c_put(buf, "{}");
    }

    ngx_b1c_put(buf, ",\"answer\":");

    if (cut) {
        ngx_b1c_put(buf, "{\"too_large\":true}");

    } else if (ngx_b1c_call(call)->answer.len) {
        b1c_json_write_put(buf, (char *) ngx_b1c_call(call)->answer.data,
                           ngx_b1c_call(call)->answer.len);

    } else {
        ngx_b1c_put(buf, "null");
    }

    ngx_b1c_put(buf, "}");

    return NGX_OK;
}


static void
ngx_b1c_callback_stored(ngx_b1c_job_t *job)
{
    ngx_b1c_job_t     *call;
    ngx_b1c_worker_t  *w;

    call = job->kind;

    /* called once more when the event was delivered */

    if (call == NULL) {
        return;
    }

    if (job->result == NGX_B1C_UNAVAILABLE && call->flying) {
        job->attempt.done.handler = ngx_b1c_callback_again;
        job->attempt.done.data = job;
        job->attempt.done.log = job->log;
        job->attempt.done.cancelable = 1;

        ngx_b1c_job_ref(job);
        ngx_add_timer(&job->attempt.done, NGX_B1C_CALLBACK_AGAIN);
        return;
    }

    job->kind = NULL;
    w = call->queue->worker;

    if (call->flying && w) {
        ngx_b1c_queue_done(w, call);
    }

    ngx_b1c_job_unref(call);
}


static void
ngx_b1c_callback_again(ngx_event_t *ev)
{
    ngx_b1c_job_t *job = ev->data;

    if (job->queue->worker) {
        ngx_b1c_queue_accept(job);
    }
}


ngx_int_t
ngx_b1c_callback_check(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf)
{
    ngx_uint_t           i, k;
    ngx_b1c_route_t    **rest, **route;
    ngx_b1c_loc_conf_t  *lcf;

    rest = mcf->rests.elts;
    route = mcf->routes.elts;

    for (i = 0; i < mcf->rests.nelts; i++) {
        lcf = rest[i]->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];

        if (lcf->rest.callback.len == 0) {
            continue;
        }

        for (k = 0; k < mcf->routes.nelts; k++) {
            if (route[k]->cscf == rest[i]->cscf
                && route[k]->clcf->name.len == lcf->rest.callback.len
                && ngx_strncmp(route[k]->clcf->name.data,
                               lcf->rest.callback.data, lcf->rest.callback.len)
                   == 0)
            {
                lcf->rest.callback_route = route[k];
            }
        }

        if (lcf->rest.callback_route == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no location \"%V\" with \"bitrix1c_webhook\" in "
                          "the server of \"bitrix1c_callback %V\" in %V:%ui: "
                          "results are delivered to 1C through such a "
                          "location",
                          &lcf->rest.callback, &lcf->rest.callback,
                          &rest[i]->file,
                          rest[i]->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}

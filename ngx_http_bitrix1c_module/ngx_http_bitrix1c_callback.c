
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_callback.h"
#include "ngx_http_bitrix1c_job.h"
#include "ngx_http_bitrix1c_result.h"
#include "bitrix_call.h"
#include "bitrix_json.h"


/* ms until an event that could not be stored is offered again */
#define NGX_HTTP_BITRIX1C_CALLBACK_AGAIN  1000


static ngx_http_bitrix1c_job_t *ngx_http_bitrix1c_callback_job(
    ngx_http_bitrix1c_job_t *call, ngx_http_bitrix1c_route_t *route);
static ngx_int_t ngx_http_bitrix1c_callback_record(
    ngx_http_bitrix1c_job_t *job, ngx_http_bitrix1c_job_t *call);
static ngx_int_t ngx_http_bitrix1c_callback_data(bitrix_buf_t *buf,
    ngx_http_bitrix1c_job_t *call);
static void ngx_http_bitrix1c_callback_stored(ngx_http_bitrix1c_job_t *job);
static void ngx_http_bitrix1c_callback_again(ngx_event_t *ev);


#define ngx_http_bitrix1c_put(buf, text)                                     \
    bitrix_json_put(buf, text, sizeof(text) - 1)


ngx_int_t
ngx_http_bitrix1c_callback(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t *job)
{
    ngx_http_bitrix1c_job_t       *event;
    ngx_http_bitrix1c_loc_conf_t  *lcf;

    if (job->route == NULL || job->result == NGX_HTTP_BITRIX1C_RETRY) {
        return NGX_DECLINED;
    }

    lcf = job->route->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];

    if (lcf->callback_route == NULL
        || lcf->callback_route->queue->worker == NULL)
    {
        return NGX_DECLINED;
    }

    event = ngx_http_bitrix1c_callback_job(job, lcf->callback_route);
    if (event == NULL) {
        return NGX_DECLINED;
    }

    /* a worker that has to leave settles the call without waiting for this */

    job->outcome.done = 1;
    ngx_http_bitrix1c_job_hold(job);

    event->origin = job;
    event->answer = ngx_http_bitrix1c_callback_stored;

    ngx_http_bitrix1c_queue_accept(event);

    return NGX_OK;
}


static ngx_http_bitrix1c_job_t *
ngx_http_bitrix1c_callback_job(ngx_http_bitrix1c_job_t *call,
    ngx_http_bitrix1c_route_t *route)
{
    ngx_str_t                  key, none;
    ngx_http_bitrix1c_job_t   *job;

    job = ngx_http_bitrix1c_job_create(route->queue, call->log);
    if (job == NULL) {
        return NULL;
    }

    ngx_str_null(&none);

    job->route = route;
    job->once = 1;
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
     * it is told once, however often this is tried; but of a dead letter that
     * was replayed it is told that it is done
     */

    key.len = sizeof("call dead ") - 1 + call->id.len;
    key.data = ngx_pnalloc(job->pool, key.len);

    if (key.data == NULL || job->event.id.data == NULL
        || job->event.domain.data == NULL
        || ngx_http_bitrix1c_callback_record(job, call) != NGX_OK
        || ngx_http_bitrix1c_job_number(job, 0, &job->since) != NGX_OK)
    {
        ngx_http_bitrix1c_job_release(job);
        return NULL;
    }

    (void) ngx_sprintf(key.data, "call %s %V",
                       call->result == NGX_HTTP_BITRIX1C_DEAD ? "dead"
                                                              : "done",
                       &call->id);

    if (ngx_http_bitrix1c_job_identity(job, &key, &none) != NGX_OK) {
        ngx_http_bitrix1c_job_release(job);
        return NULL;
    }

    return job;
}


static ngx_int_t
ngx_http_bitrix1c_callback_record(ngx_http_bitrix1c_job_t *job,
    ngx_http_bitrix1c_job_t *call)
{
    ngx_int_t     rc;
    ngx_str_t     server, uri;
    bitrix_buf_t  buf;

    ngx_memzero(&buf, sizeof(bitrix_buf_t));

    ngx_http_bitrix1c_put(&buf, ",\"event\":\"BITRIX1CCALL\",\"ts\":");
    bitrix_json_put_int(&buf, job->event.ts);
    ngx_http_bitrix1c_put(&buf, ",\"received\":");
    bitrix_json_put_int(&buf, job->event.ts);
    ngx_http_bitrix1c_put(&buf, ",\"source\":{\"domain\":\"");
    bitrix_json_put(&buf, (char *) job->event.domain.data,
                    job->event.domain.len);
    ngx_http_bitrix1c_put(&buf, "\",\"member_id\":\"\"},\"entity\":{\"type\":"
                          "\"BITRIX1CCALL\",\"id\":\"");
    bitrix_json_put(&buf, (char *) job->event.id.data, job->event.id.len);
    ngx_http_bitrix1c_put(&buf, "\"},\"data\":");

    if (ngx_http_bitrix1c_callback_data(&buf, call) != NGX_OK || buf.failed) {
        free(buf.start);
        return NGX_ERROR;
    }

    ngx_http_bitrix1c_put(&buf, "}");

    server = job->server;
    uri = job->uri;

    rc = buf.failed ? NGX_ERROR
                    : ngx_http_bitrix1c_job_record(job, &server, &uri,
                                              (u_char *) buf.start, buf.len);
    free(buf.start);

    return rc;
}


/* {"method":...,"params":{...},"answer":{...}} */
static ngx_int_t
ngx_http_bitrix1c_callback_data(bitrix_buf_t *buf,
    ngx_http_bitrix1c_job_t *call)
{
    bitrix_event_t  *ev;
    bitrix_reply_t   none;

    ev = ngx_http_bitrix1c_job_parsed(call);
    if (ev == NULL) {
        return NGX_ERROR;
    }

    if (call->answer_text.len == 0) {

        /* dead without an answer, so the reason stands in for it */

        ngx_memzero(&none, sizeof(bitrix_reply_t));
        ngx_http_bitrix1c_result_text(call, &none);
    }

    ngx_http_bitrix1c_put(buf, "{\"method\":");
    bitrix_json_put_string(buf, ev->event);

    ngx_http_bitrix1c_put(buf, ",\"params\":");
    bitrix_json_put_tree(buf, ev->data);

    ngx_http_bitrix1c_put(buf, ",\"answer\":");

    if (call->answer_text.len) {
        bitrix_json_put(buf, (char *) call->answer_text.data,
                        call->answer_text.len);

    } else {
        ngx_http_bitrix1c_put(buf, "null");
    }

    ngx_http_bitrix1c_put(buf, "}");

    return NGX_OK;
}


static void
ngx_http_bitrix1c_callback_stored(ngx_http_bitrix1c_job_t *job)
{
    ngx_http_bitrix1c_job_t     *call;
    ngx_http_bitrix1c_worker_t  *w;

    call = job->origin;

    /* called once more when the event was delivered */

    if (call == NULL) {
        return;
    }

    if (job->result == NGX_HTTP_BITRIX1C_UNAVAILABLE && call->flying) {
        job->done.handler = ngx_http_bitrix1c_callback_again;
        job->done.data = job;
        job->done.log = job->log;
        job->done.cancelable = 1;

        ngx_http_bitrix1c_job_hold(job);
        ngx_add_timer(&job->done, NGX_HTTP_BITRIX1C_CALLBACK_AGAIN);
        return;
    }

    job->origin = NULL;
    w = call->queue->worker;

    if (call->flying && w) {
        ngx_http_bitrix1c_queue_done(w, call);
    }

    ngx_http_bitrix1c_job_release(call);
}


static void
ngx_http_bitrix1c_callback_again(ngx_event_t *ev)
{
    ngx_http_bitrix1c_job_t *job = ev->data;

    if (job->queue->worker) {
        ngx_http_bitrix1c_queue_accept(job);
    }
}


ngx_int_t
ngx_http_bitrix1c_callback_check(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf)
{
    ngx_uint_t                       i, k;
    ngx_http_bitrix1c_route_t      **rest, **route;
    ngx_http_bitrix1c_loc_conf_t    *lcf;

    rest = mcf->rests.elts;
    route = mcf->routes.elts;

    for (i = 0; i < mcf->rests.nelts; i++) {
        lcf = rest[i]->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];

        if (lcf->callback.len == 0) {
            continue;
        }

        for (k = 0; k < mcf->routes.nelts; k++) {
            if (route[k]->cscf == rest[i]->cscf
                && route[k]->clcf->name.len == lcf->callback.len
                && ngx_strncmp(route[k]->clcf->name.data, lcf->callback.data,
                               lcf->callback.len)
                   == 0)
            {
                lcf->callback_route = route[k];
            }
        }

        if (lcf->callback_route == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no location \"%V\" with \"bitrix1c_webhook\" in "
                          "the server of \"bitrix1c_callback %V\" in %V:%ui: "
                          "it says where in 1C the results go",
                          &lcf->callback, &lcf->callback, &rest[i]->file,
                          rest[i]->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}

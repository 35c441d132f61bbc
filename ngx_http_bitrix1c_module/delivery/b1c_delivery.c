
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_delivery.h"
#include "b1c_job.h"
#include "b1c_http.h"


/*
 * A delivery is a main request without a client, on a connection without a
 * socket, as nginx's HTTP/2 streams are.  It has one subrequest into the
 * location that accepted the event, so proxy_pass and its directives work as
 * usual.
 */


/* ms between checks whether a thread has finished with its file */
#define NGX_B1C_DELIVERY_BLOCKED  10

/* no socket; ngx_http_lua_module takes -1 for a request of its own timers */
#define NGX_B1C_DELIVERY_FD       ((ngx_socket_t) -2)

/* the "passed" flags of these modules, each is private to its file */
#define NGX_B1C_DELIVERY_PASSED   1


typedef struct {
    ngx_connection_t             connection;
    ngx_event_t                  read;
    ngx_event_t                  write;
    ngx_log_t                    log;
    ngx_http_log_ctx_t           log_ctx;
    ngx_http_connection_t        http;
    ngx_http_post_subrequest_t   post;
    ngx_b1c_ctx_t                ctx;
    ngx_buf_t                    buffer;
    ngx_buf_t                    bufs[2];
    ngx_chain_t                  body[2];
    ngx_http_request_body_t      request_body;
    u_char                       head[sizeof("{\"id\":\"\"") - 1
                                      + NGX_B1C_HASH_LEN];
    u_char                       byte;
    ngx_event_t                  timeout;
    ngx_connection_t             dummy;      /* ident of the timer */
} ngx_b1c_detached_t;


static void ngx_b1c_delivery_judge(ngx_b1c_job_t *job);
static void ngx_b1c_delivery_timeout(ngx_event_t *ev);
static void ngx_b1c_delivery_untimed(ngx_b1c_job_t *job);
static ngx_int_t ngx_b1c_delivery_start(ngx_b1c_job_t *job);
static ngx_connection_t *ngx_b1c_delivery_connection(ngx_b1c_job_t *job,
    ngx_b1c_detached_t *d);
static ngx_int_t ngx_b1c_delivery_request(ngx_b1c_job_t *job,
    ngx_b1c_detached_t *d);
static ngx_int_t ngx_b1c_delivery_line(ngx_http_request_t *r);
static void ngx_b1c_delivery_body(ngx_b1c_job_t *job, ngx_b1c_detached_t *d);
static ngx_int_t ngx_b1c_delivery_handler(ngx_http_request_t *r, void *data,
    ngx_int_t rc);
static void ngx_b1c_delivery_woken(ngx_http_request_t *r);
static void ngx_b1c_delivery_terminated(void *data);
static void ngx_b1c_delivery_pool_gone(void *data);
static void ngx_b1c_delivery_event(ngx_event_t *ev);
static void ngx_b1c_delivery_over(ngx_b1c_job_t *job);
static void ngx_b1c_delivery_orphan(ngx_event_t *ev);


/*
 * Modules such as realip, ip_hash and geo need a client address.  That of a
 * unix socket makes $binary_remote_addr empty.
 */
static struct sockaddr_un  ngx_b1c_sockaddr = {
    .sun_family = AF_UNIX
};


void
ngx_b1c_delivery_begin(ngx_b1c_job_t *job)
{
    job->attempt.started = ngx_current_msec;

    if (job->route == NULL || ngx_b1c_delivery_start(job) != NGX_OK) {
        job->attempt.outcome.ours = 1;
        job->attempt.outcome.done = 1;
        ngx_b1c_delivery_judge(job);
        ngx_post_event(&job->attempt.done, &ngx_posted_events);
    }
}


/*
 * The delivery has taken too long, or 1C's answer is too large.  Timeouts of
 * proxy_pass are between two reads, so they do not end an answer that drips.
 */
static void
ngx_b1c_delivery_timeout(ngx_event_t *ev)
{
    ngx_connection_t    *dummy;
    ngx_b1c_job_t       *job;
    ngx_b1c_outcome_t   *o;
    ngx_http_request_t  *sr;

    dummy = ev->data;
    job = dummy->data;
    o = &job->attempt.outcome;

    if (o->done || job->attempt.detached == NULL
        || job->attempt.detached->postponed == NULL)
    {
        return;
    }

    sr = job->attempt.detached->postponed->request;

    if (sr == NULL) {
        return;
    }

    ngx_b1c_outcome_read(o, sr, NGX_OK);

    if (o->large) {

        /* of an event's answer, enough has been read */

        o->truncated = (o->max != 0);

        ngx_log_error(NGX_LOG_WARN, job->log, 0,
                      "bitrix1c_queue \"%V\": the answer to %V (id %V) is "
                      "larger than \"max_answer_size\", the connection is "
                      "closed", &job->queue->name, &job->event.name, &job->id);

    } else {
        o->late = 1;
    }

    ngx_b1c_delivery_judge(job);
    ngx_b1c_delivery_log_phase(sr);
    ngx_b1c_delivery_over(job);
}


static void
ngx_b1c_delivery_untimed(ngx_b1c_job_t *job)
{
    if (job->attempt.stop) {
        ngx_b1c_timer_stop(job->attempt.stop);
        job->attempt.stop = NULL;
    }
}


static void
ngx_b1c_delivery_judge(ngx_b1c_job_t *job)
{
    if (job->attempt.verdict) {
        job->attempt.verdict(job);
        return;
    }

    ngx_b1c_verdict(job);
}


static ngx_int_t
ngx_b1c_delivery_start(ngx_b1c_job_t *job)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r, *sr;
    ngx_b1c_detached_t  *d;

    d = ngx_pcalloc(job->pool, sizeof(ngx_b1c_detached_t));
    if (d == NULL) {
        return NGX_ERROR;
    }

    c = ngx_b1c_delivery_connection(job, d);
    if (c == NULL) {
        return NGX_ERROR;
    }

    job->attempt.connection = c;

    ngx_b1c_timer_init(&d->timeout, ngx_b1c_delivery_timeout, &d->dummy, job,
                       job->log, 1);
    ngx_add_timer(&d->timeout, job->queue->timeout);
    job->attempt.stop = &d->timeout;

    if (ngx_b1c_delivery_request(job, d) != NGX_OK) {
        return NGX_ERROR;
    }

    r = job->attempt.detached;

    d->post.handler = ngx_b1c_delivery_handler;
    d->post.data = job;

    if (ngx_http_subrequest(r, &job->uri, NULL, &sr, &d->post,
                            NGX_HTTP_SUBREQUEST_WAITED)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    sr->method = NGX_HTTP_POST;
    sr->method_name = r->method_name;
    sr->header_in = r->header_in;

    ngx_http_run_posted_requests(c);

    return NGX_OK;
}


static ngx_connection_t *
ngx_b1c_delivery_connection(ngx_b1c_job_t *job, ngx_b1c_detached_t *d)
{
    ngx_connection_t    *c;
    ngx_pool_cleanup_t  *cln;

    c = &d->connection;

    /* a pool of its own, because core destroys it with the connection */

    c->pool = ngx_create_pool(256, job->log);
    if (c->pool == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(c->pool, 0);
    if (cln == NULL) {
        ngx_destroy_pool(c->pool);
        return NULL;
    }

    cln->handler = ngx_b1c_delivery_pool_gone;
    cln->data = c;

    d->log = *job->route->clcf->error_log;
    d->log.connection = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    d->log.handler = ngx_b1c_delivery_log;
    d->log.data = &d->log_ctx;
    d->log.action = "delivering an event";
    d->log_ctx.connection = c;

    c->read = &d->read;
    c->write = &d->write;
    c->log = &d->log;
    c->fd = NGX_B1C_DELIVERY_FD;
    c->number = d->log.connection;
    c->start_time = ngx_current_msec;
    c->log_error = NGX_ERROR_INFO;
    c->shared = 1;

    /*
     * "active" prevents core from adding the events to epoll without a socket.  A
     * read that is not ready prevents core from checking whether the client
     * has gone.
     */

    d->read.data = c;
    d->read.index = NGX_INVALID_INDEX;
    d->read.handler = ngx_b1c_delivery_event;
    d->read.log = c->log;
    d->read.active = 1;

    d->write = d->read;
    d->write.write = 1;
    d->write.ready = 1;

    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    c->sockaddr = (struct sockaddr *) &ngx_b1c_sockaddr;
    c->socklen = sizeof(struct sockaddr_un);
    c->local_sockaddr = c->sockaddr;
    c->local_socklen = c->socklen;

    d->buffer.start = &d->byte;
    d->buffer.pos = &d->byte;
    d->buffer.last = &d->byte;
    d->buffer.end = &d->byte + 1;
    d->buffer.temporary = 1;

    c->buffer = &d->buffer;

    d->http.conf_ctx = job->route->cscf->ctx;
    c->data = &d->http;

    return c;
}


static ngx_int_t
ngx_b1c_delivery_request(ngx_b1c_job_t *job, ngx_b1c_detached_t *d)
{
    ngx_connection_t    *c;
    ngx_pool_cleanup_t  *cln;
    ngx_http_request_t  *r;

    static ngx_str_t  post = ngx_string("POST");
    static ngx_str_t  protocol = ngx_string("HTTP/1.1");

    c = job->attempt.connection;

    r = ngx_http_create_request(c);
    if (r == NULL) {
        return NGX_ERROR;
    }

    job->attempt.detached = r;
    c->data = r;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_reading, -1);
    r->stat_reading = 0;
    (void) ngx_atomic_fetch_add(ngx_stat_writing, 1);
    r->stat_writing = 1;
#endif

    r->method = NGX_HTTP_POST;
    r->method_name = post;
    r->http_protocol = protocol;
    r->http_version = NGX_HTTP_VERSION_11;
    r->uri = job->uri;
    r->valid_location = 1;
    r->expect_tested = 1;
    r->internal = 1;

    /* log_subrequest logs the subrequest */
    r->logged = 1;

    /* limit_req and limit_conn must apply to senders only */

    r->limit_req_status = NGX_B1C_DELIVERY_PASSED;
    r->limit_conn_status = NGX_B1C_DELIVERY_PASSED;

    if (ngx_b1c_delivery_line(r) != NGX_OK) {
        return NGX_ERROR;
    }

    r->http_state = NGX_HTTP_PROCESS_REQUEST_STATE;
    r->read_event_handler = ngx_http_request_empty_handler;
    r->write_event_handler = ngx_b1c_delivery_woken;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_b1c_delivery_terminated;
    cln->data = job;

    d->ctx.job = job;
    d->ctx.delivery = 1;

    ngx_http_set_ctx(r, &d->ctx, ngx_http_bitrix1c_module);

    ngx_b1c_delivery_body(job, d);
    r->request_body = &d->request_body;

    return ngx_b1c_delivery_head_build(job, r,
                                  job->attempt.body.data
                                  ? (off_t) job->attempt.body.len
                                  : (off_t) (sizeof(d->head)
                                             + job->event.tail.len));
}


/* escaped, as a client sends it, because logs contain it */
static ngx_int_t
ngx_b1c_delivery_line(ngx_http_request_t *r)
{
    u_char  *p;
    size_t   len;

    len = r->uri.len + 2 * ngx_escape_uri(NULL, r->uri.data, r->uri.len,
                                          NGX_ESCAPE_URI);

    p = ngx_pnalloc(r->pool, sizeof("POST  HTTP/1.1") - 1 + len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    r->request_line.data = p;
    p = ngx_cpymem(p, "POST ", sizeof("POST ") - 1);

    r->unparsed_uri.data = p;
    r->unparsed_uri.len = len;

    if (len == r->uri.len) {
        p = ngx_cpymem(p, r->uri.data, len);

    } else {
        p = (u_char *) ngx_escape_uri(p, r->uri.data, r->uri.len,
                                      NGX_ESCAPE_URI);
    }

    p = ngx_cpymem(p, " HTTP/1.1", sizeof(" HTTP/1.1") - 1);
    r->request_line.len = p - r->request_line.data;

    return NGX_OK;
}


static void
ngx_b1c_delivery_body(ngx_b1c_job_t *job, ngx_b1c_detached_t *d)
{
    ngx_uint_t  i, n;

    if (job->attempt.body.data) {
        d->bufs[0].pos = job->attempt.body.data;
        d->bufs[0].last = job->attempt.body.data + job->attempt.body.len;
        n = 1;

    } else {
        (void) ngx_sprintf(d->head, "{\"id\":\"%V\"", &job->id);

        d->bufs[0].pos = d->head;
        d->bufs[0].last = d->head + sizeof(d->head);
        d->bufs[1].pos = job->event.tail.data;
        d->bufs[1].last = job->event.tail.data + job->event.tail.len;
        d->body[0].next = &d->body[1];
        n = 2;
    }

    for (i = 0; i < n; i++) {
        d->bufs[i].start = d->bufs[i].pos;
        d->bufs[i].end = d->bufs[i].last;
        d->bufs[i].memory = 1;
        d->body[i].buf = &d->bufs[i];
    }

    d->bufs[n - 1].last_buf = 1;
    d->request_body.bufs = &d->body[0];
}


/*
 * Called by core, possibly twice, when the subrequest ends.  It only stores
 * the result: waking or freeing anything here would free the request while its
 * callers use it.
 */
static ngx_int_t
ngx_b1c_delivery_handler(ngx_http_request_t *r, void *data, ngx_int_t rc)
{
    ngx_b1c_job_t  *job = data;

    if (!job->attempt.outcome.done) {
        ngx_b1c_outcome_read(&job->attempt.outcome, r, rc);
        ngx_b1c_delivery_judge(job);
    }

    /*
     * an error flag would make core terminate the main request, which has no
     * socket to close; the outcome already has the result
     */

    r->connection->error = 0;
    r->buffered = 0;

    return NGX_OK;
}


static void
ngx_b1c_delivery_woken(ngx_http_request_t *r)
{
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_bitrix1c_module);

    ngx_b1c_delivery_over(ctx->job);
}


/*
 * Nothing is read from or written to this connection, but core notifies it
 * when a thread finishes with a file after the end of the subrequest.
 */
static void
ngx_b1c_delivery_event(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;
    ngx_b1c_ctx_t       *ctx;

    c = ev->data;
    r = c->data;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ev->log, 0,
                   "bitrix1c detached connection event");

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_bitrix1c_module);

    ngx_b1c_delivery_over(ctx->job);
}


static void
ngx_b1c_delivery_over(ngx_b1c_job_t *job)
{
    if (job->attempt.outcome.done && job->attempt.detached
        && job->attempt.detached->blocked == 0)
    {
        ngx_post_event(&job->attempt.done, &ngx_posted_events);
    }
}


/* the request is freed, by this module or by core after an error */
static void
ngx_b1c_delivery_terminated(void *data)
{
    ngx_b1c_job_t  *job = data;

    job->attempt.detached = NULL;

    if (!job->attempt.outcome.done) {
        job->attempt.outcome.done = 1;
        ngx_b1c_delivery_judge(job);
        ngx_post_event(&job->attempt.done, &ngx_posted_events);
    }
}


static void
ngx_b1c_delivery_pool_gone(void *data)
{
    ngx_connection_t  *c = data;

    c->pool = NULL;
}


void
ngx_b1c_delivery_free(ngx_b1c_job_t *job)
{
    ngx_connection_t  *c;

    ngx_b1c_delivery_untimed(job);

    c = job->attempt.connection;

    if (c == NULL) {
        return;
    }

    job->attempt.connection = NULL;

    if (job->attempt.detached) {

        /*
         * cleanups of a running upstream finalize the subrequest, which must
         * not free the main request while it is being freed
         */

        job->attempt.detached->count += 2;

        ngx_http_free_request(job->attempt.detached, 0);
    }

    ngx_b1c_timer_stop(c->read);
    ngx_b1c_timer_stop(c->write);

    c->destroyed = 1;

    if (c->pool) {
        ngx_destroy_pool(c->pool);
    }
}


void
ngx_b1c_delivery_abort(ngx_b1c_job_t *job)
{
    job->attempt.outcome.done = 1;

    ngx_b1c_delivery_untimed(job);

    if (job->attempt.done.posted) {
        ngx_delete_posted_event(&job->attempt.done);
    }

    if (job->attempt.detached && job->attempt.detached->postponed) {
        ngx_b1c_delivery_log_phase(job->attempt.detached->postponed->request);
    }

    job->attempt.done.handler = ngx_b1c_delivery_orphan;
    job->attempt.done.data = job;

    ngx_b1c_job_ref(job);
    ngx_b1c_delivery_orphan(&job->attempt.done);
}


/* a thread that works on a file of the request cannot be cancelled */
static void
ngx_b1c_delivery_orphan(ngx_event_t *ev)
{
    ngx_b1c_job_t *job = ev->data;

    ngx_b1c_timer_stop(ev);

    if (job->attempt.detached && job->attempt.detached->blocked) {
        ngx_add_timer(ev, NGX_B1C_DELIVERY_BLOCKED);
        return;
    }

    ngx_b1c_delivery_free(job);
    ngx_b1c_job_unref(job);
}

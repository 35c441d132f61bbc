
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_HTTP_H_INCLUDED_
#define _B1C_HTTP_H_INCLUDED_


#include "b1c_base.h"
#include "b1c_bitrix.h"
#include "b1c_core.h"
#include "b1c_job.h"
#include "b1c_redis.h"


/* context of a client's request or of a delivery's detached main request */
typedef struct {
    ngx_b1c_job_t                   *job;        /* NULL: none yet */
    ngx_b1c_rest_t                  *rest;       /* a call of a portal */
    ngx_b1c_result_e                 result;
    ngx_str_t                        uri;        /* selected the location */
    ngx_str_t                        token;      /* of the address, if any */
    ngx_http_event_handler_pt        read;       /* core's, of an h2 body */
    ngx_event_t                      wait;
    unsigned                         delivery:1;
    unsigned                         entered:1;  /* uri is set */
    unsigned                         answered:1; /* by this module */
    unsigned                         hung_up:1;  /* during its body */
    unsigned                         replaced:1; /* a body of core's, by us */
} ngx_b1c_ctx_t;


/* details for the sender beside the result; all may be empty */
typedef struct {
    ngx_str_t                    id;
    ngx_str_t                    error;      /* static, needs no escaping */
    size_t                       where;      /* byte offset, with an error */
    ngx_uint_t                   status;     /* of 1C; 0: unknown */
} ngx_b1c_detail_t;


/* the request's ctx, created if there is none; NULL: no memory */
ngx_b1c_ctx_t *ngx_b1c_ctx_get(ngx_http_request_t *r);

/* "accepted" and so on, for answers, logs and $bitrix1c_result */
ngx_str_t *ngx_b1c_answer_name(ngx_b1c_result_e result);

/* the line of JSON; the detail may be NULL */
ngx_int_t ngx_b1c_answer_text(ngx_pool_t *pool, ngx_b1c_result_e result,
    ngx_b1c_detail_t *detail, ngx_str_t *text);

void ngx_b1c_answer_type(ngx_http_request_t *r);

/* sends header and body; returns the code to finalize with */
ngx_int_t ngx_b1c_answer_result(ngx_http_request_t *r, ngx_b1c_ctx_t *ctx,
    ngx_b1c_detail_t *detail);

/* the same for any JSON, which must live as long as the request */
ngx_int_t ngx_b1c_answer_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *text);

/* the same for any type, which the caller has set */
ngx_int_t ngx_b1c_answer_body(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *text);

/* adds a header with a static name; an empty value is left out */
ngx_int_t ngx_b1c_answer_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);


/*
 * Answers of the gateway itself to a call of a portal, in the form of Bitrix's
 * own errors, so that 1C reads both in one way.  The code is Bitrix's if
 * Bitrix has one for the case, otherwise it begins with BITRIX1C_.
 */
typedef struct {
    ngx_uint_t                   status;
    const char                  *code;
    const char                  *text;
    ngx_uint_t                   retry_after;    /* s; 0: not sent */
    unsigned                     only_get:1;     /* for a 405 */
} ngx_b1c_error_t;


/* the body, in the pool */
ngx_int_t ngx_b1c_error_text(ngx_pool_t *pool, ngx_b1c_error_t *error,
    ngx_str_t *text);

/* sends header and body; returns the code to finalize with */
ngx_int_t ngx_b1c_error_send(ngx_http_request_t *r, ngx_b1c_error_t *error);

/* adds Retry-After, s; 0 is left out */
ngx_int_t ngx_b1c_error_retry_after(ngx_http_request_t *r, ngx_uint_t seconds);


/*
 * ngx_http_read_client_request_body(), but a body that an HTTP/2 client has
 * sent completely is read even if the client hung up at the same moment.
 */
ngx_int_t ngx_b1c_body_read(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler);

/* form (also without a Content-Type) or JSON; NGX_DECLINED: neither */
ngx_int_t ngx_b1c_body_type(ngx_http_request_t *r, b1c_type_t *type);

/*
 * The whole body in memory; it may point into the request's buffers.  The
 * handler of ngx_b1c_body_read() must call this first.
 */
ngx_int_t ngx_b1c_body_text(ngx_http_request_t *r, ngx_str_t *text);


/*
 * The origin of a request.  A page of any site can make the browser of an
 * allowed user send everything that a form or an image can.  The browser
 * reports the origin in headers that the page cannot change (W3C Fetch
 * Metadata, WHATWG Fetch).
 */


/* of several headers of this name the n-th one, or NULL */
ngx_str_t *ngx_b1c_origin_header(ngx_http_request_t *r, const char *name,
    ngx_uint_t skip);

/* 1 if "Sec-Fetch-Site" names another site, or another host of this one */
ngx_uint_t ngx_b1c_origin_site(ngx_http_request_t *r);

/*
 * The same, and also 1 for an "Origin" that is not this host: browsers send no
 * "Sec-Fetch-Site" over plain http.
 */
ngx_uint_t ngx_b1c_origin_foreign(ngx_http_request_t *r);

/*
 * The same for a GET, and 1 also for a browser that does not tell which page it
 * asks for: over plain http it sends nothing of this with the request of an
 * image.
 */
ngx_uint_t ngx_b1c_origin_page(ngx_http_request_t *r);

/*
 * 1 if the requested host is a number, "localhost", a name of the server, or
 * one of these names, which may be NULL.  Any other DNS name can point here,
 * and then its page in a user's browser has the same origin as the gateway.
 */
ngx_uint_t ngx_b1c_origin_known(ngx_http_request_t *r, ngx_array_t *names);


/*
 * Returns the decoded value of an argument, the first one if there are several,
 * and overwrites it with '*' in the address of the request: logs and variables
 * do not contain it.  The value is empty if there is none.
 */
ngx_int_t ngx_b1c_redact_arg(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);

/*
 * Redacts the key of an inbound webhook.  It is a part of the address, which
 * nginx writes to its error log and portals repeat in their answers.
 */


/* state of a body that is redacted buffer by buffer; begins as zeros */
typedef struct {
    ngx_str_t                    key;        /* len 0: there is none */
    size_t                       matched;    /* partial match at the end */
} ngx_b1c_redact_t;


/* from now on keys are redacted in log lines of this main request */
void ngx_b1c_redact_log(ngx_http_request_t *r);

/*
 * For a log handler: redacts the whole line that it adds to, which may quote
 * what the upstream of r sent; buf and len are those of the handler, its text
 * ends at last.
 */
void ngx_b1c_redact_line(ngx_http_request_t *r, u_char *buf, size_t len,
    u_char *last);

/* finds the key in the requested address */
void ngx_b1c_redact_init(ngx_b1c_redact_t *redact, ngx_str_t *uri);

/*
 * Overwrites the key in place.  If it is spread over two buffers, less than
 * eight bytes of it may remain, because the first buffer was already sent.
 */
void ngx_b1c_redact_text(ngx_b1c_redact_t *redact, u_char *p, size_t len);

/*
 * Removes headers of an answer that contain the key, its reason phrase and its
 * type if they do, and headers by which Bitrix allows pages of all sites to
 * read the answer.
 */
void ngx_b1c_redact_headers(ngx_b1c_redact_t *redact,
    ngx_http_headers_out_t *headers);


/*
 * Output filters.  They store the beginning of 1C's answer to a delivery and
 * pass nothing on, because there is no client.  They also give core's own
 * refusal of a large body the form of this module's answers.
 */


/* core refused a request: a hook for the counters of upper layers */
typedef void (*ngx_b1c_filter_count_pt)(ngx_http_request_t *r,
    ngx_b1c_result_e result);

ngx_int_t ngx_b1c_filter_init(ngx_conf_t *cf, ngx_b1c_filter_count_pt count);

/* in a worker: answers to deliveries go past the filters of all modules */
void ngx_b1c_filter_first(void);


/*
 * Answers of the API.  Their text is built in a b1c_buf_t, whose failure is
 * checked when it is sent.
 */


/* formats of ngx_sprintf(); the result of one call must fit into 1 KB */
void ngx_b1c_query_text_put(b1c_buf_t *buf, const char *fmt, ...);

/*
 * A JSON string of arbitrary bytes: invalid UTF-8 is replaced, because one
 * broken reason must not break the answer.
 */
void ngx_b1c_query_text_put_string(b1c_buf_t *buf, ngx_str_t *text);

/* ms as seconds with three decimals */
void ngx_b1c_query_text_put_seconds(b1c_buf_t *buf, int64_t ms);

/*
 * These send an answer and return the code to finalize the request with.  The
 * buffer is freed in any case.
 */
ngx_int_t ngx_b1c_query_text_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, b1c_buf_t *buf);
ngx_int_t ngx_b1c_query_text_send_json(ngx_http_request_t *r, b1c_buf_t *buf);

/* an error with a sentence that may quote the client's input */
ngx_int_t ngx_b1c_query_text_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *fmt, ...);


/*
 * A request that asks Redis and is answered when all replies have come.  It
 * has its own pool, because the words of a script call must outlive a client
 * that hangs up.
 */


typedef struct ngx_b1c_query_s  ngx_b1c_query_t;


/*
 * Handles a reply, NULL if there is none.  If it has sent no further command
 * and no other reply is expected, the request ends with its return code.
 */
typedef ngx_int_t (*ngx_b1c_query_reply_pt)(ngx_b1c_query_t *query,
    ngx_b1c_reply_t *reply, void *data);


struct ngx_b1c_query_s {
    ngx_pool_t                      *pool;
    ngx_http_request_t              *request;    /* NULL: it has gone */
    ngx_http_cleanup_t              *cleanup;
    ngx_b1c_queue_t                 *queue;      /* with the Redis to ask */
    ngx_str_t                        id;         /* of event or call */
    ngx_uint_t                       pending;
    b1c_buf_t                        buf;        /* the answer so far */
    void                            *data;       /* the caller's */
};


/* an expected reply; the data of ngx_b1c_redis_query_reply() */
typedef struct {
    ngx_b1c_query_t                 *query;
    ngx_b1c_queue_t                 *queue;
    ngx_b1c_query_reply_pt           handler;
    void                            *data;
} ngx_b1c_query_expected_t;


/* NULL is lack of memory */
ngx_b1c_query_t *ngx_b1c_redis_query_create(ngx_http_request_t *r);
void ngx_b1c_redis_query_destroy(ngx_b1c_query_t *query);

/*
 * Calls a script of query->queue; argv must be in the query's pool.
 * NGX_DECLINED: Redis is not available, the handler will not be called.
 */
ngx_int_t ngx_b1c_redis_query_ask(ngx_b1c_query_t *query,
    ngx_b1c_redis_script_t *script, ngx_uint_t nkeys, ngx_uint_t argc,
    ngx_str_t *argv, ngx_b1c_query_reply_pt handler, void *data);

/*
 * For a command that the caller sends itself, to any queue: its handler is
 * ngx_b1c_redis_query_reply(), its data the result of this function, and the
 * caller increments query->pending after sending.  NULL: it cannot be sent.
 */
ngx_b1c_query_expected_t *ngx_b1c_redis_query_expect(ngx_b1c_query_t *query,
    ngx_b1c_queue_t *queue, ngx_b1c_query_reply_pt handler, void *data);
void ngx_b1c_redis_query_reply(void *data, ngx_b1c_reply_t *reply);

/* parks the request until the replies have come */
ngx_int_t ngx_b1c_redis_query_wait(ngx_b1c_query_t *query);

/* sends the error 503: there is no reply, or the reply is an error */
ngx_int_t ngx_b1c_redis_query_away(ngx_b1c_query_t *query,
    ngx_b1c_reply_t *reply);

/* 1 if the reply is missing or an error */
ngx_uint_t ngx_b1c_redis_query_failed(ngx_b1c_reply_t *reply);

/* 1 if the text has the form of an id */
ngx_uint_t ngx_b1c_redis_query_is_id(ngx_str_t *text);


#endif /* _B1C_HTTP_H_INCLUDED_ */


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


/* of a request: the client's, or the detached main request of a delivery */
typedef struct {
    ngx_b1c_job_t                   *job;        /* held, NULL if none yet */
    ngx_b1c_rest_t                  *rest;       /* a call of a portal */
    ngx_b1c_result_e                 result;
    ngx_str_t                        uri;        /* that found the location */
    ngx_http_event_handler_pt        read;       /* core's, of an h2 body */
    ngx_event_t                      wait;
    unsigned                         delivery:1;
    unsigned                         entered:1;  /* it found its location */
    unsigned                         answered:1; /* by this module */
    unsigned                         hung_up:1;  /* while its body was read */
    unsigned                         replaced:1; /* a body of core's, by us */
} ngx_b1c_ctx_t;


/* what a sender is told beside the result; all may be empty */
typedef struct {
    ngx_str_t                    id;
    ngx_str_t                    error;      /* static, needs no escaping */
    size_t                       where;      /* byte offset, with an error */
    ngx_uint_t                   status;     /* of 1C, 0: unknown */
} ngx_b1c_detail_t;


/* the request's ctx, made if there is none; NULL is lack of memory */
ngx_b1c_ctx_t *ngx_b1c_ctx_get(ngx_http_request_t *r);

/* "accepted" and so on, for answers, logs and $bitrix1c_result */
ngx_str_t *ngx_b1c_answer_name(ngx_b1c_result_e result);

/* the one line of JSON; without a detail for a result that stands alone */
ngx_int_t ngx_b1c_answer_text(ngx_pool_t *pool, ngx_b1c_result_e result,
    ngx_b1c_detail_t *detail, ngx_str_t *text);

void ngx_b1c_answer_type(ngx_http_request_t *r);

/* sends header and body; returns what is to be finalized with */
ngx_int_t ngx_b1c_answer_result(ngx_http_request_t *r, ngx_b1c_ctx_t *ctx,
    ngx_b1c_detail_t *detail);

/* the same for any JSON, which must stay as long as the request */
ngx_int_t ngx_b1c_answer_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *text);

/* the same for any type, which the caller has set */
ngx_int_t ngx_b1c_answer_body(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *text);

/* a header of an answer, its name static; a value of len 0 is left out */
ngx_int_t ngx_b1c_answer_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);


/*
 * Answers of the gateway itself to a call of a portal, in the form of Bitrix'
 * own errors, so that 1C needs one way to read them.  Where Bitrix has a code
 * for the case it is Bitrix' code, else one that begins with BITRIX1C_.
 */
typedef struct {
    ngx_uint_t                   status;
    const char                  *code;
    const char                  *text;
    ngx_uint_t                   retry_after;    /* s, 0: not told */
    unsigned                     only_get:1;     /* of a 405 */
} ngx_b1c_error_t;


/* the body, in the pool */
ngx_int_t ngx_b1c_error_text(ngx_pool_t *pool, ngx_b1c_error_t *error,
    ngx_str_t *text);

/* sends header and body; returns what is to be finalized with */
ngx_int_t ngx_b1c_error_send(ngx_http_request_t *r, ngx_b1c_error_t *error);

/* adds Retry-After, s; 0 is left out */
ngx_int_t ngx_b1c_error_retry_after(ngx_http_request_t *r, ngx_uint_t seconds);


/*
 * ngx_http_read_client_request_body(), but what an HTTP/2 client has sent
 * whole is read even if it hung up at the same moment.
 */
ngx_int_t ngx_b1c_body_read(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler);

/* form, if there is no Content-Type, or JSON; NGX_DECLINED: neither of them */
ngx_int_t ngx_b1c_body_type(ngx_http_request_t *r, b1c_type_t *type);

/*
 * The whole body in memory; may point into the request's buffers.  To be
 * called first of all by the handler of ngx_b1c_body_read().
 */
ngx_int_t ngx_b1c_body_text(ngx_http_request_t *r, ngx_str_t *text);


/*
 * Whence a request comes: a page of any site can make the browser of somebody
 * who is allowed to call send what a form or an image can, and cannot help that
 * the browser says so (Fetch Metadata and Fetch, both of W3C and WHATWG).
 */


/* of several headers of this name the one behind so many, or NULL */
ngx_str_t *ngx_b1c_origin_header(ngx_http_request_t *r, const char *name,
    ngx_uint_t skip);

/* 1 if "Sec-Fetch-Site" names another site, or another host of this one */
ngx_uint_t ngx_b1c_origin_site(ngx_http_request_t *r);

/*
 * The same, and 1 for an "Origin" that is not this host, as of a browser that
 * sends no "Sec-Fetch-Site", which no browser does to plain http.
 */
ngx_uint_t ngx_b1c_origin_foreign(ngx_http_request_t *r);


/*
 * The key of an inbound webhook is a part of its address, which nginx prints
 * into its error log and portals repeat in what they answer.
 */


/* a body that is looked through buffer by buffer; begins as zeros */
typedef struct {
    ngx_str_t                    key;        /* len 0: there is none */
    size_t                       matched;    /* bytes that end the last one */
} ngx_b1c_redact_t;


/* from now on keys are masked in error log lines of this main request */
void ngx_b1c_redact_log(ngx_http_request_t *r);

/* takes the key from the address that is asked */
void ngx_b1c_redact_init(ngx_b1c_redact_t *redact, ngx_str_t *uri);

/*
 * Overwrites the key in place.  Of one that is spread over two buffers less
 * than eight bytes may stay, since the first of them has been sent.
 */
void ngx_b1c_redact_text(ngx_b1c_redact_t *redact, u_char *p, size_t len);

/*
 * Headers of an answer whose values contain the key are left out, and those by
 * which Bitrix lets pages of all sites read what is meant for 1C.
 */
void ngx_b1c_redact_headers(ngx_b1c_redact_t *redact,
    ngx_http_headers_out_t *headers);


/*
 * Output filters: they keep the beginning of 1C's answer to a delivery and let
 * nothing of it out, since there is nobody to send it to; and they give core's
 * own refusal of a large body the form of this module's answers.
 */


/* a request was refused by core: for the counters, which this layer lacks */
typedef void (*ngx_b1c_filter_count_pt)(ngx_http_request_t *r,
    ngx_b1c_result_e result);

ngx_int_t ngx_b1c_filter_init(ngx_conf_t *cf, ngx_b1c_filter_count_pt count);


/*
 * Answers of the API.  Their text grows in a b1c_buf_t, whose failure is
 * found when it is sent.
 */


/* formats of ngx_sprintf(); what is put at once must fit into 1 KB */
void ngx_b1c_query_text_put(b1c_buf_t *buf, const char *fmt, ...);

/*
 * A JSON string of any bytes whatever: what is not UTF-8 is replaced, since
 * one broken reason must not spoil the answer.
 */
void ngx_b1c_query_text_put_string(b1c_buf_t *buf, ngx_str_t *text);

/* ms as seconds with three digits behind the point */
void ngx_b1c_query_text_put_seconds(b1c_buf_t *buf, int64_t ms);

/*
 * These send an answer and return what the request is to be finalized with.
 * The buffer is freed in any case.
 */
ngx_int_t ngx_b1c_query_text_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, b1c_buf_t *buf);
ngx_int_t ngx_b1c_query_text_send_json(ngx_http_request_t *r, b1c_buf_t *buf);

/* a sentence that may quote what the client sent, in the format of errors */
ngx_int_t ngx_b1c_query_text_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *fmt, ...);


/*
 * A request that asks Redis and is answered when all replies have come.  It
 * has a pool of its own, because the words of a script call must outlive a
 * client that hangs up.
 */


typedef struct ngx_b1c_query_s  ngx_b1c_query_t;


/*
 * Reads a reply, NULL if there is none.  If it has sent nothing more and no
 * other reply is expected, what it returns is what the request ends with.
 */
typedef ngx_int_t (*ngx_b1c_query_reply_pt)(ngx_b1c_query_t *query,
    ngx_b1c_reply_t *reply, void *data);


struct ngx_b1c_query_s {
    ngx_pool_t                      *pool;
    ngx_http_request_t              *request;    /* NULL: it has gone */
    ngx_http_cleanup_t              *cleanup;
    ngx_b1c_queue_t                 *queue;      /* whose Redis is asked */
    ngx_str_t                        id;         /* of what is asked for */
    ngx_uint_t                       pending;
    b1c_buf_t                        buf;        /* the answer so far */
    void                            *data;       /* the caller's */
};


/* a reply that is expected; the data of ngx_b1c_redis_query_reply() */
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
 * Calls a script of query->queue; argv in the query's pool.  NGX_DECLINED:
 * Redis is away, the handler will not be called.
 */
ngx_int_t ngx_b1c_redis_query_ask(ngx_b1c_query_t *query,
    ngx_b1c_redis_script_t *script, ngx_uint_t nkeys, ngx_uint_t argc,
    ngx_str_t *argv, ngx_b1c_query_reply_pt handler, void *data);

/*
 * For a command that the caller sends by itself, to any queue: its handler is
 * ngx_b1c_redis_query_reply(), its data what this returns, and the caller
 * increments query->pending once it is sent.  NULL: it cannot be sent.
 */
ngx_b1c_query_expected_t *ngx_b1c_redis_query_expect(ngx_b1c_query_t *query,
    ngx_b1c_queue_t *queue, ngx_b1c_query_reply_pt handler, void *data);
void ngx_b1c_redis_query_reply(void *data, ngx_b1c_reply_t *reply);

/* parks the request until the replies have come */
ngx_int_t ngx_b1c_redis_query_wait(ngx_b1c_query_t *query);

/* the error 503: there is no reply, or an error for one */
ngx_int_t ngx_b1c_redis_query_away(ngx_b1c_query_t *query,
    ngx_b1c_reply_t *reply);

/* 1 if a reply is missing or an error */
ngx_uint_t ngx_b1c_redis_query_failed(ngx_b1c_reply_t *reply);

/* 1: it has the form of an id */
ngx_uint_t ngx_b1c_redis_query_is_id(ngx_str_t *text);


#endif /* _B1C_HTTP_H_INCLUDED_ */

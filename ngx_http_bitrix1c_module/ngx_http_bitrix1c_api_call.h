
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_API_CALL_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_API_CALL_H_INCLUDED_


#include "ngx_http_bitrix1c_api_text.h"


/*
 * A request of the API that waits for Redis.  It has a pool of its own,
 * because the words of a script call must outlive a client that hangs up.
 */


typedef struct ngx_http_bitrix1c_api_call_s  ngx_http_bitrix1c_api_call_t;


/* arguments of the query string; those not given are zeros */
typedef struct {
    ngx_http_bitrix1c_queue_t       *queue;
    ngx_str_t                        id;
    ngx_str_t                        event;      /* a mask */
    ngx_str_t                        portal;     /* parts of texts */
    ngx_str_t                        reason;
    ngx_str_t                        cursor;
    ngx_str_t                        what;
    int64_t                          from;       /* ms */
    int64_t                          to;
    ngx_uint_t                       limit;
    ngx_uint_t                       given;      /* mask of them */
} ngx_http_bitrix1c_api_args_t;

#define NGX_HTTP_BITRIX1C_ARG_QUEUE    0x0001
#define NGX_HTTP_BITRIX1C_ARG_ID       0x0002
#define NGX_HTTP_BITRIX1C_ARG_EVENT    0x0004
#define NGX_HTTP_BITRIX1C_ARG_PORTAL   0x0008
#define NGX_HTTP_BITRIX1C_ARG_REASON   0x0010
#define NGX_HTTP_BITRIX1C_ARG_FROM     0x0020
#define NGX_HTTP_BITRIX1C_ARG_TO       0x0040
#define NGX_HTTP_BITRIX1C_ARG_LIMIT    0x0080
#define NGX_HTTP_BITRIX1C_ARG_CURSOR   0x0100
#define NGX_HTTP_BITRIX1C_ARG_ALL      0x0200
#define NGX_HTTP_BITRIX1C_ARG_WHAT     0x0400

#define NGX_HTTP_BITRIX1C_ARG_FILTERS                                        \
    (NGX_HTTP_BITRIX1C_ARG_EVENT|NGX_HTTP_BITRIX1C_ARG_PORTAL                \
     |NGX_HTTP_BITRIX1C_ARG_REASON|NGX_HTTP_BITRIX1C_ARG_FROM                \
     |NGX_HTTP_BITRIX1C_ARG_TO)


/*
 * Reads a reply, NULL if there is none.  If it has sent nothing more and no
 * other reply is due, what it returns is what the request ends with.
 */
typedef ngx_int_t (*ngx_http_bitrix1c_api_reply_pt)(
    ngx_http_bitrix1c_api_call_t *call, ngx_http_bitrix1c_reply_t *reply,
    void *data);


struct ngx_http_bitrix1c_api_call_s {
    ngx_pool_t                      *pool;
    ngx_http_request_t              *request;    /* NULL: it has gone */
    ngx_http_cleanup_t              *cleanup;
    ngx_http_bitrix1c_api_args_t     args;
    ngx_uint_t                       pending;
    bitrix_buf_t                     buf;        /* the answer so far */
};


typedef enum {
    NGX_HTTP_BITRIX1C_API_DELETE = 0,
    NGX_HTTP_BITRIX1C_API_HOLD,
    NGX_HTTP_BITRIX1C_API_LIST,
    NGX_HTTP_BITRIX1C_API_REPLAY,
    NGX_HTTP_BITRIX1C_API_SHOW
} ngx_http_bitrix1c_api_script_e;


/* an endpoint, which returns by ngx_http_bitrix1c_api_wait() if it asks */
typedef ngx_int_t (*ngx_http_bitrix1c_api_pt)(
    ngx_http_bitrix1c_api_call_t *call);


/* in init_process */
void ngx_http_bitrix1c_api_call_init(void);

/* NULL is lack of memory */
ngx_http_bitrix1c_api_call_t *ngx_http_bitrix1c_api_call_create(
    ngx_http_request_t *r);
void ngx_http_bitrix1c_api_call_destroy(ngx_http_bitrix1c_api_call_t *call);

/* of the call's queue; argv in the call's pool; NGX_DECLINED: Redis is away */
ngx_int_t ngx_http_bitrix1c_api_ask(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_script_e script, ngx_uint_t nkeys, ngx_uint_t argc,
    ngx_str_t *argv, ngx_http_bitrix1c_api_reply_pt handler, void *data);

/* the same for the depth of any queue */
ngx_int_t ngx_http_bitrix1c_api_ask_depth(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_queue_t *queue, ngx_http_bitrix1c_api_reply_pt handler,
    void *data);

/* parks the request until the replies have come */
ngx_int_t ngx_http_bitrix1c_api_wait(ngx_http_bitrix1c_api_call_t *call);

/* the error 503: there is no reply, or an error for one */
ngx_int_t ngx_http_bitrix1c_api_away(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_reply_t *reply);

/* 1 if a reply is missing or an error */
ngx_uint_t ngx_http_bitrix1c_api_failed(ngx_http_bitrix1c_reply_t *reply);

/* events may be due now that were not before */
void ngx_http_bitrix1c_api_wake(ngx_http_bitrix1c_queue_t *queue);


/* the endpoints */

ngx_int_t ngx_http_bitrix1c_api_status(ngx_http_bitrix1c_api_call_t *call);
ngx_int_t ngx_http_bitrix1c_api_history(ngx_http_bitrix1c_api_call_t *call);
ngx_int_t ngx_http_bitrix1c_api_metrics(ngx_http_bitrix1c_api_call_t *call);
ngx_int_t ngx_http_bitrix1c_api_list(ngx_http_bitrix1c_api_call_t *call);
ngx_int_t ngx_http_bitrix1c_api_show(ngx_http_bitrix1c_api_call_t *call);
ngx_int_t ngx_http_bitrix1c_api_replay(ngx_http_bitrix1c_api_call_t *call);
ngx_int_t ngx_http_bitrix1c_api_delete(ngx_http_bitrix1c_api_call_t *call);
ngx_int_t ngx_http_bitrix1c_api_hold(ngx_http_bitrix1c_api_call_t *call);
ngx_int_t ngx_http_bitrix1c_api_resume(ngx_http_bitrix1c_api_call_t *call);
ngx_int_t ngx_http_bitrix1c_api_export(ngx_http_bitrix1c_api_call_t *call);

/* a file of the dashboard by its name, "" is the page */
ngx_uint_t ngx_http_bitrix1c_api_is_page(ngx_str_t *name);
ngx_int_t ngx_http_bitrix1c_api_page(ngx_http_request_t *r, ngx_str_t *name);


#endif /* _NGX_HTTP_BITRIX1C_API_CALL_H_INCLUDED_ */

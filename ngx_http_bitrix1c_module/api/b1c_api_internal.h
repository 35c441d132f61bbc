
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_API_INTERNAL_H_INCLUDED_
#define _B1C_API_INTERNAL_H_INCLUDED_


#include "b1c_api.h"
#include "b1c_http.h"
#include "b1c_queue.h"


/* arguments of the query string; zeros if not given */
typedef struct {
    ngx_str_t                        event;      /* a glob */
    ngx_str_t                        portal;     /* parts of texts */
    ngx_str_t                        reason;
    ngx_str_t                        cursor;
    ngx_str_t                        what;
    int64_t                          from;       /* ms */
    int64_t                          to;
    ngx_uint_t                       limit;
    ngx_uint_t                       given;      /* bits of the given ones */
} ngx_b1c_api_args_t;

/* arguments of a query; its queue and id are stored in the query itself */
#define ngx_b1c_api_args(call)  ((ngx_b1c_api_args_t *) (call)->data)

#define NGX_B1C_ARG_QUEUE    0x0001
#define NGX_B1C_ARG_ID       0x0002
#define NGX_B1C_ARG_EVENT    0x0004
#define NGX_B1C_ARG_PORTAL   0x0008
#define NGX_B1C_ARG_REASON   0x0010
#define NGX_B1C_ARG_FROM     0x0020
#define NGX_B1C_ARG_TO       0x0040
#define NGX_B1C_ARG_LIMIT    0x0080
#define NGX_B1C_ARG_CURSOR   0x0100
#define NGX_B1C_ARG_ALL      0x0200
#define NGX_B1C_ARG_WHAT     0x0400

#define NGX_B1C_ARG_FILTERS                                        \
    (NGX_B1C_ARG_EVENT|NGX_B1C_ARG_PORTAL                \
     |NGX_B1C_ARG_REASON|NGX_B1C_ARG_FROM                \
     |NGX_B1C_ARG_TO)


/*
 * Reads the query string into call->args.  "known" is the set of arguments
 * that the endpoint has.  Any other is an error, because a filter with a
 * misspelled name would select everything.  NGX_DECLINED: there was no error.
 * Otherwise an error was sent, and the request must be finalized with the
 * code.
 */
ngx_int_t ngx_b1c_api_args_parse(ngx_b1c_query_t *call, ngx_uint_t known);


/* an event as stored in Redis; the texts belong to the reply */
typedef struct {
    ngx_str_t                        id;
    ngx_str_t                        reason;
    ngx_str_t                        text;       /* JSON, see page.lua */
    ngx_uint_t                       whole;      /* not truncated */
    ngx_uint_t                       attempts;
    int64_t                          created;    /* ms, 0: unknown */
    int64_t                          died;
    int64_t                          size;
    cJSON                           *tree;       /* of text, NULL: no JSON */
} ngx_b1c_api_item_t;


/* parses item->text into item->tree, which the next function frees */
void ngx_b1c_api_item_parse(ngx_b1c_api_item_t *item);
void ngx_b1c_api_item_free(ngx_b1c_api_item_t *item);

/* reads attempts and created from id:m, died from a score */
void ngx_b1c_api_item_meta(ngx_b1c_api_item_t *item, ngx_str_t *meta,
    ngx_str_t *score);

/* the JSON of a record from the comma after the id on; empty if it has none */
void ngx_b1c_api_item_record(ngx_b1c_api_item_t *item, ngx_str_t *record);

/* the item as a JSON object, with its "body" if it is whole */
void ngx_b1c_api_item_put(b1c_buf_t *buf, ngx_b1c_api_item_t *item);

/* 1 if all given filters match; page.lua checks the times */
ngx_uint_t ngx_b1c_api_item_fits(ngx_b1c_api_item_t *item,
    ngx_b1c_api_args_t *args);


/* state of a spool, "off" if the queue has none */
typedef struct {
    const char                      *state;
    uint64_t                         bytes;
    uint64_t                         max;
} ngx_b1c_api_spool_t;


/* a queue at this moment: from shared memory, and one reply of Redis */
typedef struct {
    ngx_b1c_queue_t                 *queue;
    ngx_b1c_depth_t                  depth;
    ngx_b1c_limits_info_t            limits;
    ngx_b1c_redis_info_t             redis;
    ngx_b1c_api_spool_t              spool;
    ngx_str_t                        error;      /* of Redis, from a reply */
} ngx_b1c_api_state_t;


/* writes the answer when the state of all queues is known */
typedef ngx_int_t (*ngx_b1c_api_states_pt)(
    ngx_b1c_query_t *call,
    ngx_b1c_api_state_t *states, ngx_uint_t n);


/*
 * Asks for the state of all queues, one script call each, and then calls the
 * handler.  A state that is less than a second old is reused unless "now" is
 * set.
 */
ngx_int_t ngx_b1c_api_state_ask(ngx_b1c_query_t *call,
    ngx_b1c_api_states_pt handler, ngx_uint_t now);

/* events counted since nginx was started */
ngx_uint_t ngx_b1c_api_state_counter(ngx_b1c_queue_t *queue,
    ngx_b1c_counter_e counter);


/*
 * Walks over dead letters or waiting events page by page.  One request looks
 * at a limited number of events; the next one continues at the cursor.
 */


/*
 * limits of one request: events to look at, bytes of records to send, and bytes
 * of records that Redis reads for it
 */
#define NGX_B1C_WALK_LOOK   1000
#define NGX_B1C_WALK_BYTES  1048576
#define NGX_B1C_WALK_READ   (64 * 1024 * 1024)


/* letter, score and member */
#define NGX_B1C_WALK_CURSOR  (2 + 40 + 1 + 96)


typedef struct ngx_b1c_api_walk_s  ngx_b1c_api_walk_t;

struct ngx_b1c_api_walk_s {

    /* set by the caller */
    ngx_str_t                       *key;        /* the ZSET */
    ngx_uint_t                       desc;
    ngx_uint_t                       bodies;     /* whole records are wanted */
    ngx_uint_t                       page;       /* at most 200 */

    /* NGX_OK: continue; NGX_DONE: stop after this item */
    ngx_int_t                      (*item)(ngx_b1c_query_t *call,
                                           ngx_b1c_api_walk_t *walk,
                                        ngx_b1c_api_item_t *item);

    /* called after a page: asks for more or returns the request's result */
    ngx_int_t                      (*done)(ngx_b1c_query_t *call,
                                           ngx_b1c_api_walk_t *walk);
    void                            *data;

    /* state of the walk */
    int64_t                          total;      /* elements of the ZSET */
    ngx_uint_t                       more;
    ngx_uint_t                       enough;     /* set by an item */
    ngx_uint_t                       moved;
    ngx_uint_t                       parked;
    ngx_uint_t                       looked;
    size_t                           bytes;
    size_t                           read;
    ngx_str_t                        score;      /* of the last item */
    ngx_str_t                        member;

    ngx_str_t                        argv[9];
    u_char                           numbers[3][NGX_INT64_LEN + 1];
    u_char                           bytes_text[NGX_INT64_LEN + 1];
    u_char                           place[NGX_B1C_WALK_CURSOR];
};


/* asks for the page after the last one */
ngx_int_t ngx_b1c_api_walk_begin(ngx_b1c_query_t *call,
    ngx_b1c_api_walk_t *walk);

/* 1: there is more, and the limits of this request allow it */
ngx_uint_t ngx_b1c_api_walk_on(ngx_b1c_api_walk_t *walk);

/*
 * A cursor is a letter that names the walked set, and the position in it.
 * NGX_OK if it has one of the given letters, which is then set; otherwise
 * NGX_DECLINED.
 */
ngx_int_t ngx_b1c_api_walk_cursor(ngx_b1c_api_walk_t *walk, ngx_str_t *cursor,
    const char *letters, u_char *letter);

/* needs NGX_B1C_WALK_CURSOR bytes at p; returns the end */
u_char *ngx_b1c_api_walk_cursor_put(u_char *p, ngx_b1c_api_walk_t *walk,
    u_char letter);

/* "cursor":"..." or, at the end, null */
void ngx_b1c_api_walk_cursor_json(b1c_buf_t *buf, ngx_b1c_api_walk_t *walk,
    u_char letter);

/* the error 400 */
ngx_int_t ngx_b1c_api_walk_cursor_bad(ngx_b1c_query_t *call);

/* asks for the event of the argument "id" and waits, see show.lua */
ngx_int_t ngx_b1c_api_dead_ask_show(ngx_b1c_query_t *call,
    ngx_b1c_query_reply_pt handler, void *data);


/* the scripts of the API, in the order of their names */
typedef enum {
    NGX_B1C_API_DELETE = 0,
    NGX_B1C_API_HOLD,
    NGX_B1C_API_PAGE,
    NGX_B1C_API_REPLAY,
    NGX_B1C_API_SHOW
} ngx_b1c_api_script_e;


/* an endpoint; returns ngx_b1c_redis_query_wait() if it asks Redis */
typedef ngx_int_t (*ngx_b1c_api_pt)(ngx_b1c_query_t *call);

/* in init_process */
void ngx_b1c_api_script_init(void);

/* calls ngx_b1c_redis_query_ask() with one of them */
ngx_int_t ngx_b1c_api_script_ask(ngx_b1c_query_t *call,
    ngx_b1c_api_script_e script, ngx_uint_t nkeys, ngx_uint_t argc,
    ngx_str_t *argv, ngx_b1c_query_reply_pt handler, void *data);


/* the endpoints */

ngx_int_t ngx_b1c_api_status_send(ngx_b1c_query_t *call);
ngx_int_t ngx_b1c_api_status_history(ngx_b1c_query_t *call);
ngx_int_t ngx_b1c_api_metrics_send(ngx_b1c_query_t *call);
ngx_int_t ngx_b1c_api_dead_list(ngx_b1c_query_t *call);
ngx_int_t ngx_b1c_api_dead_show(ngx_b1c_query_t *call);
ngx_int_t ngx_b1c_api_change_replay(ngx_b1c_query_t *call);
ngx_int_t ngx_b1c_api_change_delete(ngx_b1c_query_t *call);
ngx_int_t ngx_b1c_api_change_hold(ngx_b1c_query_t *call);
ngx_int_t ngx_b1c_api_change_resume(ngx_b1c_query_t *call);
ngx_int_t ngx_b1c_api_export_begin(ngx_b1c_query_t *call);

/* a file of the dashboard by its name; "" is the page itself */
ngx_uint_t ngx_b1c_api_page_is_page(ngx_str_t *name);
ngx_int_t ngx_b1c_api_page_send(ngx_http_request_t *r, ngx_str_t *name);


#endif /* _B1C_API_INTERNAL_H_INCLUDED_ */

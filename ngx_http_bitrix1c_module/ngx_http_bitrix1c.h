
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_bitrix1c_redis.h"
#include "ngx_http_bitrix1c_slots.h"
#include "ngx_http_bitrix1c_spool.h"
#include "ngx_http_bitrix1c_stats.h"


/* hex digits of an id, an identity or a lane: 128 bits */
#define NGX_HTTP_BITRIX1C_HASH_LEN   32

/* what is kept of 1C's answer: a verdict and a reason need no more */
#define NGX_HTTP_BITRIX1C_ANSWER     4096

/* and of Bitrix' answer to 50 calls at once, whose results are asked for */
#define NGX_HTTP_BITRIX1C_RESULTS    (4 * 1024 * 1024)


typedef struct ngx_http_bitrix1c_queue_s   ngx_http_bitrix1c_queue_t;
typedef struct ngx_http_bitrix1c_worker_s  ngx_http_bitrix1c_worker_t;
typedef struct ngx_http_bitrix1c_job_s     ngx_http_bitrix1c_job_t;
typedef struct ngx_http_bitrix1c_pack_s    ngx_http_bitrix1c_pack_t;
typedef struct ngx_http_bitrix1c_portal_s  ngx_http_bitrix1c_portal_t;
typedef struct ngx_http_bitrix1c_rest_s    ngx_http_bitrix1c_rest_t;


/* what is told to the sender and to $bitrix1c_result */
typedef enum {
    NGX_HTTP_BITRIX1C_NONE = 0,
    NGX_HTTP_BITRIX1C_READY,
    NGX_HTTP_BITRIX1C_ACCEPTED,
    NGX_HTTP_BITRIX1C_COALESCED,
    NGX_HTTP_BITRIX1C_DUPLICATE,
    NGX_HTTP_BITRIX1C_SPOOLED,
    NGX_HTTP_BITRIX1C_IGNORED,
    NGX_HTTP_BITRIX1C_MALFORMED,
    NGX_HTTP_BITRIX1C_FORBIDDEN,
    NGX_HTTP_BITRIX1C_NOT_ALLOWED,
    NGX_HTTP_BITRIX1C_TOO_LARGE,
    NGX_HTTP_BITRIX1C_UNSUPPORTED,
    NGX_HTTP_BITRIX1C_UNAVAILABLE,
    /* of a delivery */
    NGX_HTTP_BITRIX1C_DELIVERED,
    NGX_HTTP_BITRIX1C_RETRY,
    NGX_HTTP_BITRIX1C_DEAD,
    NGX_HTTP_BITRIX1C_LOST
} ngx_http_bitrix1c_result_e;


/*
 * A queue as configured.  "worker" is what this process knows of it at run
 * time; it is set in init_process, since the master keeps no state that a
 * reload could find stale.
 */
struct ngx_http_bitrix1c_queue_s {
    ngx_str_t                        name;
    ngx_http_bitrix1c_redis_conf_t   redis;
    ngx_http_bitrix1c_spool_conf_t   spool;
    ngx_http_bitrix1c_pace_t         pace;
    ngx_array_t                     *retry;      /* of ngx_msec_t */
    ngx_msec_t                       window;
    ngx_msec_t                       margin;     /* between two clocks */
    ngx_uint_t                       dead_max;   /* dead letters kept */
    time_t                           dead_age;

    ngx_str_t                        keys[4];    /* {b1c:name}:q h f d */
    ngx_str_t                        prefix;     /* {b1c:name}:k: */
    ngx_http_bitrix1c_slots_t       *slots;
    ngx_http_bitrix1c_stats_t       *stats;
    ngx_http_bitrix1c_worker_t      *worker;

    ngx_uint_t                       calls;      /* of 1C, to Bitrix */

    ngx_str_t                        file;       /* where it was configured */
    ngx_uint_t                       line;
};


/*
 * Where a queue's events are delivered, a location with bitrix1c_webhook; or
 * where 1C calls a portal, one with bitrix1c_rest.
 */
typedef struct {
    ngx_http_bitrix1c_queue_t       *queue;
    ngx_str_t                        name;       /* of the queue, as written */
    ngx_http_core_srv_conf_t        *cscf;
    ngx_http_core_loc_conf_t        *clcf;
    ngx_http_bitrix1c_portal_t      *portal;     /* of calls, else NULL */

    ngx_str_t                        file;       /* where it was configured */
    ngx_uint_t                       line;
} ngx_http_bitrix1c_route_t;


typedef struct {
    ngx_array_t                      queues;     /* of ..._queue_t * */
    ngx_array_t                      routes;     /* of ..._route_t * */
    ngx_shm_zone_t                  *echo;
    ngx_array_t                      rests;      /* of ..._route_t * */
    ngx_array_t                      portals;    /* of ..._portal_t * */
} ngx_http_bitrix1c_main_conf_t;


/* bitrix1c_api */
typedef struct {
    ngx_str_t                        prefix;     /* the location's name */
    ngx_uint_t                       open;
} ngx_http_bitrix1c_api_loc_t;


/* calls of which the newest one says all, told apart by these parameters */
typedef struct {
    ngx_str_t                        method;     /* a mask */
    ngx_array_t                     *fields;     /* of ngx_str_t */
} ngx_http_bitrix1c_coalesce_t;


typedef struct {
    ngx_http_bitrix1c_route_t       *route;      /* bitrix1c_webhook */
    ngx_http_bitrix1c_api_loc_t     *api;
    ngx_array_t                     *tokens;
    ngx_array_t                     *events;     /* of ngx_str_t, masks */
    ngx_array_t                     *once;
    ngx_array_t                     *permanent;  /* of ngx_uint_t */
    ngx_array_t                     *sign;       /* of ngx_str_t, keys */
    ngx_http_complex_value_t        *key;
    ngx_http_complex_value_t        *lane;
    ngx_str_t                        charset;
    ngx_uint_t                       pairs;
    ngx_uint_t                       depth;
    ngx_uint_t                       key_len;
    time_t                           skew;
    ngx_msec_t                       wait;
    ngx_msec_t                       echo;       /* 0: none is ignored */
    ngx_array_t                     *async;      /* of ngx_str_t, masks */
    ngx_array_t                     *repeatable; /* the same */
    ngx_array_t                     *coalesce;   /* of ..._coalesce_t */
    ngx_str_t                        callback;   /* a location's name */
    ngx_http_bitrix1c_route_t       *callback_route;

    ngx_http_bitrix1c_route_t       *rest;       /* bitrix1c_rest */
    ngx_array_t                     *methods;    /* of ngx_str_t, masks */
    ngx_uint_t                       rate;       /* calls in 1000 s */
    ngx_uint_t                       burst;
    ngx_msec_t                       max_wait;
    ngx_msec_t                       overload;   /* how long it stops */
    ngx_str_t                        portal;     /* as named, or empty */
} ngx_http_bitrix1c_loc_conf_t;


/* an event's words, in the pool of its job */
typedef struct {
    ngx_str_t                        name;
    ngx_str_t                        type;
    ngx_str_t                        id;         /* data NULL: no entity */
    ngx_str_t                        member_id;
    ngx_str_t                        domain;
    int64_t                          ts;         /* s, 0 is unknown */
    ngx_str_t                        tail;       /* JSON less {"id":"..." */
    void                            *parsed;     /* bitrix_event_t, lazy */
} ngx_http_bitrix1c_event_t;


/* what came of one attempt */
typedef struct {
    ngx_uint_t                       status;     /* 0: none came */
    ngx_uint_t                       seconds;    /* Retry-After, 0: none */
    u_char                          *answer;     /* as far as it is kept */
    size_t                           len;
    size_t                           size;       /* of the memory for it */
    size_t                           max;        /* 0: ..._ANSWER */
    unsigned                         done:1;
    unsigned                         truncated:1;
    unsigned                         sent:1;     /* it may have been read */
    unsigned                         ours:1;     /* no upstream was asked */
} ngx_http_bitrix1c_outcome_t;


/*
 * One event on its way: from a request to Redis, from there to 1C, and back
 * to Redis with the verdict.  It owns its memory, because neither the client
 * nor the detached request lives as long.  Held by the queue and, while the
 * request has not been logged, by the request: for the variables.
 */
struct ngx_http_bitrix1c_job_s {
    ngx_pool_t                      *pool;
    ngx_uint_t                       refs;
    ngx_queue_t                      link;
    ngx_log_t                       *log;

    ngx_http_bitrix1c_queue_t       *queue;
    ngx_http_bitrix1c_route_t       *route;
    ngx_http_request_t              *request;    /* parked client or NULL */
    void                           (*answer)(ngx_http_bitrix1c_job_t *job);

    ngx_str_t                        id;
    ngx_str_t                        key;        /* identity */
    ngx_str_t                        lane;
    ngx_str_t                        marker;     /* Redis key of "done" */

    /* fields and a part of a field in Redis, see accept.lua */
    ngx_str_t                        id_field;   /* id:m */
    ngx_str_t                        key_field;  /* k:KEY */
    ngx_str_t                        lane_field; /* l:LANE */
    ngx_str_t                        meta;       /* once key lane */

    ngx_str_t                        server;
    ngx_str_t                        uri;
    ngx_str_t                        record;     /* as stored in Redis */
    ngx_http_bitrix1c_event_t        event;

    ngx_str_t                        since;      /* ms, see accept.lua */
    ngx_str_t                        epoch;      /* of our lease, a number */
    ngx_uint_t                       attempts;   /* that have failed */
    ngx_uint_t                       lost;       /* leases, with a worker */
    ngx_msec_t                       arrived;    /* was received */
    ngx_msec_t                       leased;     /* when, or last extended */
    ngx_msec_t                       started;
    ngx_msec_t                       delay;      /* until the next attempt */
    ngx_str_t                        delay_text;
    ngx_str_t                        reason;     /* of the last failure */
    ngx_http_bitrix1c_result_e       result;
    ngx_http_bitrix1c_health_e       health;     /* of 1C, by this attempt */

    unsigned                         spared:1;   /* it spends no attempt */
    unsigned                         once:1;
    unsigned                         again:1;    /* perhaps in Redis already */
    unsigned                         slot:1;     /* counts in concurrency */
    unsigned                         probe:1;    /* of an open breaker */
    unsigned                         flying:1;   /* linked as such */
    unsigned                         waited:1;   /* so is this */
    unsigned                         repeated:1; /* its verdict, to Redis */

    /* of the job that carries calls to Bitrix and is none itself */
    ngx_http_bitrix1c_pack_t        *pack;
    ngx_str_t                        body;       /* instead of the event's */
    ngx_str_t                        answer_text; /* of a call, to be kept */
    ngx_http_bitrix1c_job_t         *origin;     /* the call it tells of */
    void                           (*judge)(ngx_http_bitrix1c_job_t *job);

    /* the detached request */
    ngx_http_request_t              *detached;
    ngx_connection_t                *connection;
    ngx_event_t                      done;
    ngx_http_bitrix1c_outcome_t      outcome;
};


/* of a request: the client's, or the detached main request of a delivery */
typedef struct {
    ngx_http_bitrix1c_job_t         *job;        /* held, NULL if none yet */
    ngx_http_bitrix1c_rest_t        *rest;       /* a call of a portal */
    ngx_http_bitrix1c_result_e       result;
    ngx_str_t                        uri;        /* that found the location */
    ngx_http_event_handler_pt        read;       /* core's, of an h2 body */
    ngx_event_t                      wait;
    unsigned                         delivery:1;
    unsigned                         entered:1;  /* it found its location */
    unsigned                         answered:1; /* by this module */
    unsigned                         hung_up:1;  /* while its body was read */
    unsigned                         replaced:1; /* a body of core's, by us */
} ngx_http_bitrix1c_ctx_t;


extern ngx_module_t  ngx_http_bitrix1c_module;


#endif /* _NGX_HTTP_BITRIX1C_H_INCLUDED_ */

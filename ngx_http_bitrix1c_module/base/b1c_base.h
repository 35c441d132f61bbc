
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_BASE_H_INCLUDED_
#define _B1C_BASE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>


/*
 * Adds the zone "bitrix1c_<kind>_<queue>:<name>", all of them by one tag; the
 * colon is in no queue's name, so that no two make one.  The name may be NULL.
 * Returns NULL after an error, which was logged.
 */
ngx_shm_zone_t *ngx_b1c_zone_add(ngx_conf_t *cf, const char *kind,
    ngx_str_t *queue, ngx_str_t *name, size_t size, ngx_shm_zone_init_pt init,
    void *data);

/*
 * In the init handler of a zone, with its arguments: the one structure of so
 * many bytes that the zone is for.  It is kept by a reload; *fresh tells that
 * it was made just now, of zeros.  NULL is lack of memory.
 */
void *ngx_b1c_zone_attach(ngx_shm_zone_t *shm_zone, void *data, size_t size,
    ngx_slab_pool_t **shpool, ngx_uint_t *fresh);


/*
 * Timers, which may also be posted, of an owner that has no connection: since
 * core looks for its number, ev->data is a dummy, and dummy->data the owner.  A
 * worker that leaves waits for those that are not cancelable.
 */
void ngx_b1c_timer_init(ngx_event_t *ev, ngx_event_handler_pt handler,
    ngx_connection_t *dummy, void *owner, ngx_log_t *log,
    ngx_uint_t cancelable);

/* neither set nor posted any more */
void ngx_b1c_timer_stop(ngx_event_t *ev);


/*
 * A line without its comment, blanks around it and line break, in memory of
 * the configuration's pool.  NGX_DECLINED: it is wrong, and *what tells what
 * is due.
 */
typedef ngx_int_t (*ngx_b1c_secret_line_pt)(ngx_conf_t *cf,
    void *data, ngx_str_t *line, const char **what);


/*
 * Reads a file of secrets line by line, in the master, so that workers need no
 * right to read it, and again on every reload.  At least one line is due.
 * Messages name the file and the line, never what stands there.
 */
char *ngx_b1c_secret_lines(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, ngx_b1c_secret_line_pt handler, void *data);


typedef void (*ngx_b1c_shutdown_pt)(ngx_cycle_t *cycle);


/*
 * Tells when worker_shutdown_timeout has passed: core then visits all
 * connections that have a socket, and those of deliveries have none.  In
 * init_process; NGX_ERROR is lack of connections.
 */
ngx_int_t ngx_b1c_shutdown_watch(ngx_cycle_t *cycle,
    ngx_b1c_shutdown_pt handler);

/* in exit_process, or core would report a socket that was left open */
void ngx_b1c_shutdown_unwatch(void);


/*
 * What the workers of this nginx share about one queue: how many deliveries
 * each has under way, how fast they may go, whether 1C is given a rest, and
 * whether Redis holds events that could go now.
 */


/* as configured; times in ms */
typedef struct {
    ngx_uint_t                   concurrency;
    ngx_uint_t                   rate;       /* in 1000 s, 0: no limit */
    ngx_uint_t                   failures;   /* that open, 0: no breaker */
    ngx_msec_t                   pause;      /* while it is open */
    ngx_uint_t                   hold;       /* NGX_B1C_HOLD_... */
    ngx_uint_t                   from;       /* minutes of the local day */
    ngx_uint_t                   to;
} ngx_b1c_limits_conf_t;


#define NGX_B1C_HOLD_OFF    0
#define NGX_B1C_HOLD_ON     1
#define NGX_B1C_HOLD_DAILY  2


/* what may go */
typedef struct {
    ngx_uint_t                   n;          /* slots taken */
    ngx_msec_t                   wait;       /* 0: until a slot is given */
    ngx_uint_t                   probe;      /* the one of an open breaker */
} ngx_b1c_grant_t;


/* what a delivery says of 1C */
typedef enum {
    NGX_B1C_HEALTH_UNKNOWN = 0,           /* 1C was not asked */
    NGX_B1C_HEALTH_OK,
    NGX_B1C_HEALTH_FAILING,                   /* opens after some of them */
    NGX_B1C_HEALTH_MISCONFIGURED,                 /* opens at once */
    NGX_B1C_HEALTH_MAINTENANCE                 /* 1C's maintenance, likewise */
} ngx_b1c_health_e;


/* what became of the breaker by it */
typedef enum {
    NGX_B1C_SAME = 0,
    NGX_B1C_OPENED,
    NGX_B1C_STILL,                 /* it was open before */
    NGX_B1C_RECOVERED
} ngx_b1c_breaker_e;


typedef struct {
    ngx_uint_t                   taken;      /* slots, of all workers */
    ngx_uint_t                   open;       /* the breaker is */
    ngx_uint_t                   probing;    /* and one delivery tries */
    ngx_msec_t                   left;       /* until the next probe */
    ngx_uint_t                   failed;     /* in a row */
    ngx_uint_t                   operator;   /* holds it */
    ngx_uint_t                   held;       /* by whomever */
} ngx_b1c_limits_info_t;


typedef struct ngx_b1c_limits_s  ngx_b1c_limits_t;


/* adds their zone */
ngx_int_t ngx_b1c_limits_zone(ngx_conf_t *cf, ngx_str_t *queue,
    ngx_b1c_limits_t **limits);

/* takes up to n slots */
void ngx_b1c_limits_take(ngx_b1c_limits_t *limits,
    ngx_b1c_limits_conf_t *conf, ngx_uint_t n, ngx_b1c_grant_t *grant);

/* n deliveries have ended */
void ngx_b1c_limits_give(ngx_b1c_limits_t *limits, ngx_uint_t n);

/* n of the slots that were taken found nothing to deliver */
void ngx_b1c_limits_unused(ngx_b1c_limits_t *limits,
    ngx_b1c_limits_conf_t *conf, ngx_uint_t n, ngx_uint_t probe);

/*
 * Told of every delivery's end.  For CLOSED the rest lasts for pause ms, else
 * as long as configured.
 */
ngx_b1c_breaker_e ngx_b1c_limits_health(ngx_b1c_limits_t *limits,
    ngx_b1c_limits_conf_t *conf, ngx_b1c_health_e health,
    ngx_msec_t pause);

/* slots of workers that died are free again; to be called now and then */
void ngx_b1c_limits_reap(ngx_b1c_limits_t *limits);

/*
 * The backlog: whether events wait in Redis for a slot.  Marked by whoever
 * leaves one there; a claim that found fewer than it asked for clears what was
 * marked before it was sent, and nothing that was marked since.
 */
void ngx_b1c_limits_mark(ngx_b1c_limits_t *limits);
ngx_uint_t ngx_b1c_limits_marked(ngx_b1c_limits_t *limits);
ngx_atomic_uint_t ngx_b1c_limits_snap(ngx_b1c_limits_t *limits);
void ngx_b1c_limits_clear(ngx_b1c_limits_t *limits, ngx_atomic_uint_t snap);

/*
 * Whether the operator holds the queue, as Redis says; 1: that is new here.
 * It stops no claim: those find out when it is resumed.
 */
ngx_uint_t ngx_b1c_limits_hold(ngx_b1c_limits_t *limits, ngx_uint_t held);
ngx_uint_t ngx_b1c_limits_on_hold(ngx_b1c_limits_t *limits);

/* how it is at this moment, for those who show it */
void ngx_b1c_limits_info(ngx_b1c_limits_t *limits,
    ngx_b1c_limits_conf_t *conf, ngx_b1c_limits_info_t *info);

/*
 * One worker at a time looks into an idle queue: 1 if nobody has done so for
 * the interval (ms), and the caller is the one; else 0 and in *wait the ms
 * that are left.
 */
ngx_uint_t ngx_b1c_limits_poll(ngx_b1c_limits_t *limits, ngx_msec_t interval,
    ngx_msec_t *wait);


/*
 * What the workers of this nginx have counted for one queue since it was
 * started: counters, times, the last hour by the minute, the last delivery.
 * They survive a reload and the death of a worker.
 */


/* in the order of their names in _stats.c */
typedef enum {
    NGX_B1C_N_ACCEPTED = 0,
    NGX_B1C_N_COALESCED,
    NGX_B1C_N_DUPLICATE,
    NGX_B1C_N_SPOOLED,
    NGX_B1C_N_IGNORED,
    NGX_B1C_N_MALFORMED,
    NGX_B1C_N_FORBIDDEN,
    NGX_B1C_N_REFUSED,             /* 405, 413, 415 */
    NGX_B1C_N_UNAVAILABLE,
    /* of deliveries */
    NGX_B1C_N_DELIVERED,
    NGX_B1C_N_RETRIED,
    NGX_B1C_N_DEAD,
    NGX_B1C_N_LOST,                /* their lease was */
    /* of dead letters and the spool */
    NGX_B1C_N_REPLAYED,
    NGX_B1C_N_DELETED,
    NGX_B1C_N_DROPPED_DEAD,
    NGX_B1C_N_SPOOL_REPLAYED,
    NGX_B1C_N_SPOOL_TORN,

    NGX_B1C_COUNTERS
} ngx_b1c_counter_e;


typedef enum {
    NGX_B1C_T_ANSWER = 0,          /* request to answer */
    NGX_B1C_T_DELIVERY,            /* 1C's own */
    NGX_B1C_T_EVENT,               /* receipt to 1C's success */

    NGX_B1C_TIMES
} ngx_b1c_time_e;


/* one more for what is beyond the last bound */
#define NGX_B1C_BUCKETS  20

typedef struct {
    ngx_atomic_t                 n[NGX_B1C_BUCKETS + 1];
    ngx_atomic_t                 sum;        /* ms */
} ngx_b1c_histogram_t;


/* of the last hour */
#define NGX_B1C_MINUTES  60

typedef enum {
    NGX_B1C_M_ACCEPTED = 0,
    NGX_B1C_M_DELIVERED,
    NGX_B1C_M_FAILED,
    NGX_B1C_M_DEAD,

    NGX_B1C_MINUTE_COUNTERS
} ngx_b1c_minute_e;


typedef struct {
    ngx_atomic_t                 minute;     /* of the epoch */
    ngx_atomic_t                 n[NGX_B1C_MINUTE_COUNTERS];
    ngx_atomic_t                 waiting;    /* one more; 0 is unknown */
} ngx_b1c_minute_t;


#define NGX_B1C_LAST_EVENT   128
#define NGX_B1C_LAST_REASON  512

/* a delivery that has ended; kept in one piece */
typedef struct {
    int64_t                      time;       /* ms, 0: there was none */
    ngx_uint_t                   status;     /* 0: no answer came */
    ngx_uint_t                   result;     /* ngx_b1c_result_e */
    ngx_msec_t                   took;
    size_t                       event_len;
    size_t                       reason_len;
    u_char                       id[32];
    u_char                       event[NGX_B1C_LAST_EVENT];
    u_char                       reason[NGX_B1C_LAST_REASON];
} ngx_b1c_last_t;


/* what Redis holds of a queue, see status.lua */
typedef struct {
    ngx_uint_t                   known;
    int64_t                      living;     /* followers not counted */
    int64_t                      due;
    int64_t                      followers;
    int64_t                      dead;
    int64_t                      age;        /* ms */
    int64_t                      held;
} ngx_b1c_depth_t;


/* lines of the error log that an outage would write for each event */
typedef enum {
    NGX_B1C_SAY_DEAD = 0,
    NGX_B1C_SAY_LOST,
    NGX_B1C_SAY_LATE,
    NGX_B1C_SAY_REFUSED,
    NGX_B1C_SAY_UNAVAILABLE,

    NGX_B1C_SAYINGS
} ngx_b1c_saying_e;

/* between two lines of a kind, s */
#define NGX_B1C_QUIET    60


typedef struct ngx_b1c_stats_s  ngx_b1c_stats_t;


/* adds the zone; its data must be a ngx_b1c_stats_t ** to set */
ngx_int_t ngx_b1c_stats_zone(ngx_conf_t *cf, ngx_str_t *queue,
    ngx_b1c_stats_t **stats);

void ngx_b1c_stats_count(ngx_b1c_stats_t *stats, ngx_b1c_counter_e counter,
    ngx_uint_t n);
void ngx_b1c_stats_time(ngx_b1c_stats_t *stats, ngx_b1c_time_e time,
    ngx_msec_t ms);

/*
 * The last delivery, and the last failure if "failed".  Whoever reads gets one
 * whole; NGX_DECLINED: there was none.
 */
void ngx_b1c_stats_last(ngx_b1c_stats_t *stats, ngx_b1c_last_t *last,
    ngx_uint_t failed);
ngx_int_t ngx_b1c_stats_get_last(ngx_b1c_stats_t *stats, ngx_uint_t failed,
    ngx_b1c_last_t *last);

/*
 * This minute was one in which nginx ran.  1: nobody knows yet how many events
 * wait, and the caller is the one to find out.
 */
ngx_uint_t ngx_b1c_stats_tick(ngx_b1c_stats_t *stats);
void ngx_b1c_stats_waiting(ngx_b1c_stats_t *stats, ngx_uint_t waiting);

/*
 * What Redis held when one of the workers asked last, which is *age ms ago;
 * NGX_DECLINED: that is not known.
 */
void ngx_b1c_stats_depth(ngx_b1c_stats_t *stats, ngx_b1c_depth_t *depth);
ngx_int_t ngx_b1c_stats_get_depth(ngx_b1c_stats_t *stats,
    ngx_b1c_depth_t *depth, ngx_msec_t *age);

/*
 * A series of failures: 1 when it begins, and is to be told; then how many
 * they were when it ends, 0 if there was none to speak of.
 */
ngx_uint_t ngx_b1c_stats_failed(ngx_b1c_stats_t *stats);
ngx_uint_t ngx_b1c_stats_worked(ngx_b1c_stats_t *stats);

/*
 * The level at which a line is to be logged: as it is once in QUIET seconds,
 * INFO for the others.
 */
ngx_uint_t ngx_b1c_stats_level(ngx_b1c_stats_t *stats, ngx_b1c_saying_e saying,
    ngx_uint_t level);

/* for those who show it */

ngx_str_t *ngx_b1c_stats_name(ngx_b1c_counter_e counter);
ngx_uint_t ngx_b1c_stats_get(ngx_b1c_stats_t *stats,
    ngx_b1c_counter_e counter);
ngx_b1c_histogram_t *ngx_b1c_stats_get_time(ngx_b1c_stats_t *stats,
    ngx_b1c_time_e time);

/* ms, of the buckets but the last */
ngx_msec_t ngx_b1c_stats_bound(ngx_uint_t bucket);

/* NULL: nginx did not run in that minute, or it is not of the last hour */
ngx_b1c_minute_t *ngx_b1c_stats_minute(ngx_b1c_stats_t *stats,
    ngx_uint_t minute);


/* hex digits of an id, an identity or a lane: 128 bits */
#define NGX_B1C_HASH_LEN   32

/* bytes of 1C's answer that are kept: a verdict and a reason need no more */
#define NGX_B1C_ANSWER     4096

/* the same of Bitrix' answer to 50 calls at once, whose results are kept */
#define NGX_B1C_RESULTS    (4 * 1024 * 1024)


typedef struct ngx_b1c_queue_s       ngx_b1c_queue_t;
typedef struct ngx_b1c_job_s         ngx_b1c_job_t;

/* what other layers keep in a queue, a route or a job; this one only passes */
typedef struct ngx_b1c_redis_s       ngx_b1c_redis_t;
typedef struct ngx_b1c_redis_conf_s  ngx_b1c_redis_conf_t;
typedef struct ngx_b1c_spool_conf_s  ngx_b1c_spool_conf_t;
typedef struct ngx_b1c_worker_s      ngx_b1c_worker_t;
typedef struct ngx_b1c_portal_s      ngx_b1c_portal_t;
typedef struct ngx_b1c_rest_s        ngx_b1c_rest_t;


/* what is told to the sender and to $bitrix1c_result */
typedef enum {
    NGX_B1C_NONE = 0,
    NGX_B1C_READY,
    NGX_B1C_ACCEPTED,
    NGX_B1C_COALESCED,
    NGX_B1C_DUPLICATE,
    NGX_B1C_SPOOLED,
    NGX_B1C_IGNORED,
    NGX_B1C_MALFORMED,
    NGX_B1C_FORBIDDEN,
    NGX_B1C_NOT_ALLOWED,
    NGX_B1C_TOO_LARGE,
    NGX_B1C_UNSUPPORTED,
    NGX_B1C_UNAVAILABLE,
    /* of a delivery */
    NGX_B1C_DELIVERED,
    NGX_B1C_RETRY,
    NGX_B1C_DEAD,
    NGX_B1C_LOST
} ngx_b1c_result_e;


/*
 * What a queue does differently when it holds calls of 1C instead of events.
 * The layer of the calls fills it in, so that the queue need not know it.
 */
typedef struct {
    ngx_str_t                        noun;       /* "events" or "calls" */
    ngx_str_t                        receiver;   /* "1C" or "Bitrix" */
    ngx_uint_t                       requests;   /* at once, by one claim */
    ngx_uint_t                       together;   /* jobs in one request */
    ngx_uint_t                       unleased;   /* accept leaves the lease */
    ngx_uint_t                       durable;    /* claims wait for replicas */
    size_t                           kind;       /* bytes of job->kind */

    /* takes over n claimed jobs and the place among the deliveries */
    void                           (*deliver)(ngx_b1c_worker_t *w,
                                              ngx_b1c_job_t **jobs,
                                              ngx_uint_t n, ngx_uint_t probe);

    /* the lease of one job was lost; NULL: nothing to do */
    void                           (*lost)(ngx_b1c_job_t *job);

    /* breaks off the request that carries the job; NULL: nothing to do */
    void                           (*abort)(ngx_b1c_job_t *job);

    /* sends what must be in Redis before the verdicts; NULL: nothing */
    ngx_int_t                      (*before_settle)(ngx_b1c_worker_t *w,
                                                    ngx_b1c_job_t **jobs,
                                                    ngx_uint_t n);
} ngx_b1c_queue_ops_t;


/*
 * A queue as configured.  "worker" and "redis" are what this process knows of
 * it at run time; they are set in init_process, since the master keeps no
 * state that a reload could find stale.
 */
struct ngx_b1c_queue_s {
    ngx_str_t                        name;
    ngx_b1c_redis_conf_t            *redis_conf;
    ngx_b1c_spool_conf_t            *spool_conf; /* NULL: there is no spool */
    ngx_b1c_limits_conf_t            limits_conf;
    ngx_array_t                     *retry;      /* of ngx_msec_t */
    ngx_msec_t                       window;
    ngx_msec_t                       margin;     /* between two clocks */
    ngx_uint_t                       dead_max;   /* dead letters kept */
    time_t                           dead_age;

    ngx_str_t                        keys[5];    /* {b1c:name}:q h f d v */
    ngx_str_t                        prefix;     /* {b1c:name}:k: */
    ngx_b1c_limits_t                *limits;
    ngx_b1c_stats_t                 *stats;
    ngx_b1c_queue_ops_t             *ops;

    ngx_b1c_worker_t                *worker;
    ngx_b1c_redis_t                 *redis;

    ngx_str_t                        file;       /* where it was configured */
    ngx_uint_t                       line;
};


/*
 * Where a queue's events are delivered, a location with bitrix1c_webhook; or
 * where 1C calls a portal, one with bitrix1c_rest.
 */
typedef struct {
    ngx_b1c_queue_t                 *queue;
    ngx_str_t                        name;       /* of the queue, as written */
    ngx_http_core_srv_conf_t        *cscf;
    ngx_http_core_loc_conf_t        *clcf;
    ngx_b1c_portal_t                *portal;     /* of calls, else NULL */

    ngx_str_t                        file;       /* where it was configured */
    ngx_uint_t                       line;
} ngx_b1c_route_t;


typedef struct {
    ngx_array_t                      queues;     /* of ..._queue_t * */
    ngx_array_t                      routes;     /* of ..._route_t * */
    ngx_shm_zone_t                  *echo;
    ngx_array_t                      rests;      /* of ..._route_t * */
    ngx_array_t                      portals;    /* of ..._portal_t * */
} ngx_b1c_main_conf_t;


/* calls of which the newest one says all, told apart by these parameters */
typedef struct {
    ngx_str_t                        method;     /* a glob */
    ngx_array_t                     *fields;     /* of ngx_str_t */
} ngx_b1c_coalesce_t;


/* a location with bitrix1c_webhook */
typedef struct {
    ngx_b1c_route_t                 *route;      /* NULL: it is none */
    ngx_array_t                     *tokens;
    ngx_array_t                     *events;     /* of ngx_str_t, globs */
    ngx_array_t                     *once;
    ngx_array_t                     *permanent;  /* of ngx_uint_t */
    ngx_array_t                     *sign;       /* of ngx_str_t, keys */
    ngx_http_complex_value_t        *key;
    ngx_uint_t                       pairs;
    ngx_uint_t                       depth;
    ngx_uint_t                       key_len;
    time_t                           skew;
    ngx_msec_t                       wait;
    ngx_msec_t                       echo;       /* 0: none is ignored */
} ngx_b1c_webhook_loc_t;


/* a location with bitrix1c_rest */
typedef struct {
    ngx_b1c_route_t                 *route;      /* NULL: it is none */
    ngx_array_t                     *methods;    /* of ngx_str_t, globs */
    ngx_array_t                     *async;      /* the same */
    ngx_array_t                     *idempotent; /* the same */
    ngx_array_t                     *coalesce;   /* of ..._coalesce_t */
    ngx_str_t                        callback;   /* a location's name */
    ngx_b1c_route_t                 *callback_route;
    ngx_uint_t                       rate;       /* calls in 1000 s */
    ngx_uint_t                       burst;
    ngx_msec_t                       max_wait;
    ngx_msec_t                       overload;   /* how long it stops */
    ngx_str_t                        portal;     /* as named, or empty */
} ngx_b1c_rest_loc_t;


/* a location with bitrix1c_api */
typedef struct {
    ngx_str_t                        prefix;     /* the location's name */
    ngx_uint_t                       open;
} ngx_b1c_api_loc_t;


typedef struct {
    ngx_b1c_webhook_loc_t            webhook;
    ngx_b1c_rest_loc_t               rest;
    ngx_b1c_api_loc_t               *api;        /* NULL: it is none */
    ngx_http_complex_value_t        *lane;       /* of events and of calls */
    ngx_str_t                        charset;
} ngx_b1c_loc_conf_t;


extern ngx_module_t  ngx_http_bitrix1c_module;


/* an ngx_array_t * of ngx_str_t at cmd->offset, appended to */
char *ngx_b1c_conf_globs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

char *ngx_b1c_conf_charset(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* NULL if there is none of this name */
ngx_b1c_queue_t *ngx_b1c_conf_queue(ngx_b1c_main_conf_t *mcf,
    ngx_str_t *name);

/* a route of the location that is being read, into routes and *field */
char *ngx_b1c_conf_route(ngx_conf_t *cf, ngx_array_t *routes,
    ngx_b1c_route_t **field);

/*
 * "20r/s", "20/s", "30r/m" or "30/m" as a number in 1000 s; NGX_ERROR: it has
 * another form, or is not from 1 to 1000000.
 */
ngx_int_t ngx_b1c_limits_conf_parse_rate(ngx_str_t *value, ngx_uint_t *rate);

/* lines of the block of bitrix1c_queue */
char *ngx_b1c_limits_conf_rate(ngx_conf_t *cf, ngx_b1c_queue_t *queue);
char *ngx_b1c_limits_conf_breaker(ngx_conf_t *cf, ngx_b1c_queue_t *queue);
char *ngx_b1c_limits_conf_hold(ngx_conf_t *cf, ngx_b1c_queue_t *queue);
char *ngx_b1c_limits_conf_dead(ngx_conf_t *cf, ngx_b1c_queue_t *queue);

/*
 * What the location's proxy_pass brings may not lead to other locations: an
 * X-Accel-Redirect would have nginx answer in the place of Bitrix or 1C.
 */
void ngx_b1c_conf_no_redirects(ngx_conf_t *cf);


/* 1 if one of the masks, of ngx_str_t, fits the name; they may be NULL */
ngx_uint_t ngx_b1c_conf_matches(ngx_array_t *masks, ngx_str_t *name);


#endif /* _B1C_BASE_H_INCLUDED_ */

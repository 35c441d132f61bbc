
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
 * Adds the zone "bitrix1c_<kind>_<queue>:<name>"; all zones share one tag.  A
 * queue's name has no colon, so the names do not collide.  The name may be
 * NULL.  Returns NULL after an error, which was logged.
 */
ngx_shm_zone_t *ngx_b1c_zone_add(ngx_conf_t *cf, const char *kind,
    ngx_str_t *queue, ngx_str_t *name, size_t size, ngx_shm_zone_init_pt init,
    void *data);

/*
 * For the init handler of a zone, with its arguments: returns the structure of
 * the given size in the zone.  A reload keeps it; *fresh is set if it was just
 * created, with zeros.  NULL: no memory.
 */
void *ngx_b1c_zone_attach(ngx_shm_zone_t *shm_zone, void *data, size_t size,
    ngx_slab_pool_t **shpool, ngx_uint_t *fresh);


/*
 * Timers and posted events of an owner that has no connection.  Core looks for
 * a connection number, so ev->data is a dummy connection and dummy->data the
 * owner.  A worker that exits waits for timers that are not cancelable.
 */
void ngx_b1c_timer_init(ngx_event_t *ev, ngx_event_handler_pt handler,
    ngx_connection_t *dummy, void *owner, ngx_log_t *log,
    ngx_uint_t cancelable);

/* removes the timer and the posted event */
void ngx_b1c_timer_stop(ngx_event_t *ev);


/*
 * Gets a line without its comment, surrounding blanks and line break, in
 * memory of the configuration's pool.  NGX_DECLINED: the line is invalid, and
 * *what is set to the expected form.
 */
typedef ngx_int_t (*ngx_b1c_secret_line_pt)(ngx_conf_t *cf,
    void *data, ngx_str_t *line, const char **what);


/*
 * Reads a file of secrets line by line.  The master reads it, also on every
 * reload, so that workers need no right to read it.  The file must have at
 * least one line.  Messages name the file and the line but never quote the
 * line.
 */
char *ngx_b1c_secret_lines(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, ngx_b1c_secret_line_pt handler, void *data);


typedef void (*ngx_b1c_shutdown_pt)(ngx_cycle_t *cycle);


/*
 * Reports when worker_shutdown_timeout has passed: core then closes all
 * connections that have a socket, and those of deliveries have none.  Called
 * in init_process; NGX_ERROR: no free connection.
 */
ngx_int_t ngx_b1c_shutdown_watch(ngx_cycle_t *cycle,
    ngx_b1c_shutdown_pt handler);

/* in exit_process, otherwise core reports an open socket */
void ngx_b1c_shutdown_unwatch(void);


/*
 * What the workers of this nginx share about one queue: how many deliveries
 * each has in progress, their rate, the breaker and the hold, and whether
 * Redis holds events that can be delivered now.
 */


/* as configured; times in ms */
typedef struct {
    ngx_uint_t                   concurrency;
    ngx_uint_t                   rate;       /* in 1000 s, 0: no limit */
    ngx_uint_t                   failures;   /* that open it, 0: no breaker */
    ngx_msec_t                   pause;      /* while it is open */
    ngx_uint_t                   hold;       /* NGX_B1C_HOLD_... */
    ngx_uint_t                   from;       /* minutes of the local day */
    ngx_uint_t                   to;
} ngx_b1c_limits_conf_t;


#define NGX_B1C_HOLD_OFF    0
#define NGX_B1C_HOLD_ON     1
#define NGX_B1C_HOLD_DAILY  2


/* types of events whose failures are told apart, and bytes of their names */
#define NGX_B1C_CIRCUITS      16
#define NGX_B1C_CIRCUIT_NAME  64


/* a type of events that is paused */
typedef struct {
    u_char                       name[NGX_B1C_CIRCUIT_NAME];
    size_t                       len;
    ngx_msec_t                   wait;       /* for its other events, ms */
    unsigned                     allowed:1;  /* one may be tried */
    unsigned                     any:1;      /* not always the oldest */
} ngx_b1c_skip_t;


/* what limits_take() allows */
typedef struct {
    ngx_uint_t                   n;          /* slots that were taken */
    ngx_msec_t                   wait;       /* 0: until a slot is free */
    ngx_uint_t                   probe;      /* the probe of an open breaker */
    ngx_uint_t                   one;        /* of all types, as a probe */
    ngx_uint_t                   nskips;
    ngx_b1c_skip_t               skips[NGX_B1C_CIRCUITS];
} ngx_b1c_grant_t;


/* what a delivery tells about 1C */
typedef enum {
    NGX_B1C_HEALTH_UNKNOWN = 0,           /* 1C was not asked */
    NGX_B1C_HEALTH_OK,
    NGX_B1C_HEALTH_FAILING,                   /* opens after "failures" */
    NGX_B1C_HEALTH_MISCONFIGURED,                 /* opens at once */
    NGX_B1C_HEALTH_MAINTENANCE                 /* opens at once, too */
} ngx_b1c_health_e;


/* of which event it says that */
typedef struct {
    ngx_b1c_health_e             health;
    ngx_msec_t                   pause;      /* in: of a maintenance; out */
    ngx_str_t                    type;       /* empty: it is one of many */
    uint32_t                     lane;       /* a hash, 0 is unknown */
    ngx_uint_t                   status;
    unsigned                     probe:1;
    unsigned                     again:1;    /* it has failed before */
    unsigned                     nobody:1;   /* no connection: not its fault */
    unsigned                     alone:1;    /* out: other types pass */
    unsigned                     own:1;      /* out: 1C is not to blame */
} ngx_b1c_symptom_t;


/* effect of a delivery on the breaker */
typedef enum {
    NGX_B1C_SAME = 0,
    NGX_B1C_OPENED,
    NGX_B1C_STILL,                 /* it was open before */
    NGX_B1C_RECOVERED
} ngx_b1c_breaker_e;


typedef struct {
    ngx_uint_t                   taken;      /* slots, of all workers */
    ngx_uint_t                   open;       /* the breaker is open */
    ngx_uint_t                   paused;     /* types of events */
    ngx_uint_t                   probing;    /* a probe is in progress */
    ngx_msec_t                   left;       /* ms until the next probe */
    ngx_uint_t                   failed;     /* failed in succession */
    ngx_uint_t                   operator;   /* held by an operator */
    ngx_uint_t                   held;       /* held in any way */
} ngx_b1c_limits_info_t;


typedef struct ngx_b1c_limits_s  ngx_b1c_limits_t;


/* adds the zone of the limits */
ngx_int_t ngx_b1c_limits_zone(ngx_conf_t *cf, ngx_str_t *queue,
    ngx_b1c_limits_t **limits);

/* takes up to n concurrency slots */
void ngx_b1c_limits_take(ngx_b1c_limits_t *limits,
    ngx_b1c_limits_conf_t *conf, ngx_uint_t n, ngx_b1c_grant_t *grant);

/* 1: the breaker holds nothing back, so that any event may be delivered */
ngx_uint_t ngx_b1c_limits_closed(ngx_b1c_limits_t *limits);

/* n deliveries have ended */
void ngx_b1c_limits_give(ngx_b1c_limits_t *limits, ngx_uint_t n);

/*
 * Returns n slots for which there was nothing to deliver, and the probes that
 * are left in the grant; NULL: there are none.
 */
void ngx_b1c_limits_unused(ngx_b1c_limits_t *limits,
    ngx_b1c_limits_conf_t *conf, ngx_uint_t n, ngx_b1c_grant_t *grant);

/* must be called at the end of every delivery */
ngx_b1c_breaker_e ngx_b1c_limits_health(ngx_b1c_limits_t *limits,
    ngx_b1c_limits_conf_t *conf, ngx_b1c_symptom_t *symptom);

/*
 * ms for which all slots are taken and none was given back, if that is longer
 * than max and has not been told for as long; else 0
 */
ngx_msec_t ngx_b1c_limits_stuck(ngx_b1c_limits_t *limits,
    ngx_b1c_limits_conf_t *conf, ngx_msec_t max);

/* frees the slots of dead workers; called periodically */
void ngx_b1c_limits_reap(ngx_b1c_limits_t *limits);

/*
 * The backlog mark: events wait in Redis for a slot.  A worker sets it when it
 * leaves an event there.  A claim that found fewer events than it asked for
 * clears it, unless it was set again after the claim was sent.
 */
void ngx_b1c_limits_mark(ngx_b1c_limits_t *limits);
ngx_uint_t ngx_b1c_limits_marked(ngx_b1c_limits_t *limits);
ngx_atomic_uint_t ngx_b1c_limits_snap(ngx_b1c_limits_t *limits);
void ngx_b1c_limits_clear(ngx_b1c_limits_t *limits, ngx_atomic_uint_t snap);

/*
 * Stores whether the operator holds the queue, as reported by Redis; returns 1
 * if this is a change.  Claims are sent anyway: their replies tell when the
 * queue is resumed.
 */
ngx_uint_t ngx_b1c_limits_hold(ngx_b1c_limits_t *limits, ngx_uint_t held);
ngx_uint_t ngx_b1c_limits_on_hold(ngx_b1c_limits_t *limits);

/* the current state, for status and metrics */
void ngx_b1c_limits_info(ngx_b1c_limits_t *limits,
    ngx_b1c_limits_conf_t *conf, ngx_b1c_limits_info_t *info);

/*
 * One worker at a time polls an idle queue.  Returns 1 if nobody has polled
 * for the interval (ms) and the caller must do it; otherwise 0 and in *wait
 * the ms that are left.
 */
ngx_uint_t ngx_b1c_limits_poll(ngx_b1c_limits_t *limits, ngx_msec_t interval,
    ngx_msec_t *wait);


/*
 * Statistics of one queue since the start of this nginx: counters, times, the
 * last hour by the minute, the last delivery.  They survive a reload and the
 * death of a worker.
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
    NGX_B1C_N_LOST,                /* their lease was lost */
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
    NGX_B1C_T_DELIVERY,            /* 1C's response time */
    NGX_B1C_T_EVENT,               /* receipt to 1C's success */

    NGX_B1C_TIMES
} ngx_b1c_time_e;


/* one more for values above the last bound */
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
    ngx_atomic_t                 minute;     /* Unix time / 60 */
    ngx_atomic_t                 n[NGX_B1C_MINUTE_COUNTERS];
    ngx_atomic_t                 waiting;    /* depth + 1; 0: unknown */
} ngx_b1c_minute_t;


#define NGX_B1C_LAST_EVENT   128
#define NGX_B1C_LAST_REASON  512

/* the last ended delivery; read and written as a whole */
typedef struct {
    int64_t                      time;       /* ms, 0: there was none */
    ngx_uint_t                   status;     /* 0: no answer */
    ngx_uint_t                   result;     /* ngx_b1c_result_e */
    ngx_msec_t                   took;
    size_t                       event_len;
    size_t                       reason_len;
    u_char                       id[32];
    u_char                       event[NGX_B1C_LAST_EVENT];
    u_char                       reason[NGX_B1C_LAST_REASON];
} ngx_b1c_last_t;


/* contents of a queue in Redis, see status.lua */
typedef struct {
    ngx_uint_t                   known;
    int64_t                      living;     /* without followers */
    int64_t                      due;
    int64_t                      followers;
    int64_t                      dead;
    int64_t                      age;        /* ms */
    int64_t                      held;
} ngx_b1c_depth_t;


/* log lines that an outage would repeat for each event */
typedef enum {
    NGX_B1C_SAY_DEAD = 0,
    NGX_B1C_SAY_LOST,
    NGX_B1C_SAY_LATE,
    NGX_B1C_SAY_REFUSED,
    NGX_B1C_SAY_UNAVAILABLE,

    NGX_B1C_SAYINGS
} ngx_b1c_saying_e;

/* s between two lines of one kind */
#define NGX_B1C_QUIET    60


typedef struct ngx_b1c_stats_s  ngx_b1c_stats_t;


/* adds the zone; its data is the ngx_b1c_stats_t ** to set */
ngx_int_t ngx_b1c_stats_zone(ngx_conf_t *cf, ngx_str_t *queue,
    ngx_b1c_stats_t **stats);

void ngx_b1c_stats_count(ngx_b1c_stats_t *stats, ngx_b1c_counter_e counter,
    ngx_uint_t n);
void ngx_b1c_stats_time(ngx_b1c_stats_t *stats, ngx_b1c_time_e time,
    ngx_msec_t ms);

/*
 * Stores the last delivery, and also as the last failure if "failed" is set.
 * Readers get a whole record; NGX_DECLINED: there was none.
 */
void ngx_b1c_stats_last(ngx_b1c_stats_t *stats, ngx_b1c_last_t *last,
    ngx_uint_t failed);
ngx_int_t ngx_b1c_stats_get_last(ngx_b1c_stats_t *stats, ngx_uint_t failed,
    ngx_b1c_last_t *last);

/*
 * Marks this minute as one in which nginx ran.  Returns 1 if the number of
 * waiting events is not known for it yet, and the caller must find it out.
 */
ngx_uint_t ngx_b1c_stats_tick(ngx_b1c_stats_t *stats);
void ngx_b1c_stats_waiting(ngx_b1c_stats_t *stats, ngx_uint_t waiting);

/*
 * The last known contents of Redis, which are *age ms old; NGX_DECLINED: they
 * are unknown.
 */
void ngx_b1c_stats_depth(ngx_b1c_stats_t *stats, ngx_b1c_depth_t *depth);
ngx_int_t ngx_b1c_stats_get_depth(ngx_b1c_stats_t *stats,
    ngx_b1c_depth_t *depth, ngx_msec_t *age);

/*
 * A series of failures: failed() returns 1 when it begins and must be logged,
 * worked() how many failures it had, or 0 if none was logged.
 */
ngx_uint_t ngx_b1c_stats_failed(ngx_b1c_stats_t *stats);
ngx_uint_t ngx_b1c_stats_worked(ngx_b1c_stats_t *stats);

/*
 * The level for a log line: the given one once in QUIET seconds, otherwise
 * INFO.
 */
ngx_uint_t ngx_b1c_stats_level(ngx_b1c_stats_t *stats, ngx_b1c_saying_e saying,
    ngx_uint_t level);

/* for status and metrics */

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

/* digits of an identity that stand for the entity, see ngx_b1c_job_identity() */
#define NGX_B1C_HASH_ENTITY  20

/* bytes of 1C's answer that are stored for the verdict and the reason */
#define NGX_B1C_ANSWER     4096

/* the same for Bitrix's answer to 50 calls, whose results are stored */
#define NGX_B1C_RESULTS    (4 * 1024 * 1024)

/* bytes of its end, which say what failed and how long it took */
#define NGX_B1C_RESULTS_TAIL  65536


typedef struct ngx_b1c_queue_s       ngx_b1c_queue_t;
typedef struct ngx_b1c_job_s         ngx_b1c_job_t;

/* types of other layers that this one only points to */
typedef struct ngx_b1c_redis_s       ngx_b1c_redis_t;
typedef struct ngx_b1c_redis_conf_s  ngx_b1c_redis_conf_t;
typedef struct ngx_b1c_spool_conf_s  ngx_b1c_spool_conf_t;
typedef struct ngx_b1c_worker_s      ngx_b1c_worker_t;
typedef struct ngx_b1c_portal_s      ngx_b1c_portal_t;
typedef struct ngx_b1c_rest_s        ngx_b1c_rest_t;


/* results for the sender and $bitrix1c_result */
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
 * Operations that differ for a queue of 1C's calls.  The layer of the calls
 * fills them in, so that the queue does not depend on it.
 */
typedef struct {
    ngx_str_t                        noun;       /* "events" or "calls" */
    ngx_str_t                        receiver;   /* "1C" or "Bitrix" */
    ngx_uint_t                       requests;   /* requests of one claim */
    ngx_uint_t                       together;   /* jobs in one request */
    ngx_uint_t                       unleased;   /* accept takes no lease */
    ngx_uint_t                       durable;    /* claims wait for replicas */
    size_t                           kind;       /* bytes of job->kind */

    /* takes over n claimed jobs and their concurrency slot */
    void                           (*deliver)(ngx_b1c_worker_t *w,
                                              ngx_b1c_job_t **jobs,
                                              ngx_uint_t n, ngx_uint_t probe);

    /* the lease of one job was lost; NULL: nothing to do */
    void                           (*lost)(ngx_b1c_job_t *job);

    /* aborts the request that carries the job; NULL: nothing to do */
    void                           (*abort)(ngx_b1c_job_t *job);

    /* sends what Redis must have before the verdicts; NULL: nothing */
    ngx_int_t                      (*before_settle)(ngx_b1c_worker_t *w,
                                                    ngx_b1c_job_t **jobs,
                                                    ngx_uint_t n);
} ngx_b1c_queue_ops_t;


/*
 * A queue as configured.  "worker" and "redis" are the run-time state of this
 * process; init_process sets them, so that the master has no state that a
 * reload would find stale.
 */
struct ngx_b1c_queue_s {
    ngx_str_t                        name;
    ngx_b1c_redis_conf_t            *redis_conf;
    ngx_b1c_spool_conf_t            *spool_conf; /* NULL: there is no spool */
    ngx_b1c_limits_conf_t            limits_conf;
    ngx_array_t                     *retry;      /* of ngx_msec_t */
    ngx_msec_t                       window;
    ngx_msec_t                       margin;     /* allowed clock difference */
    ngx_msec_t                       timeout;    /* of a delivery */
    size_t                           answer_max; /* bytes that are read */
    ngx_uint_t                       dead_max;   /* dead letters to keep */
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
 * The location where a queue's events are delivered (bitrix1c_webhook) or
 * through which 1C calls a portal (bitrix1c_rest).
 */
typedef struct {
    ngx_b1c_queue_t                 *queue;
    ngx_str_t                        name;       /* of the queue, as written */
    ngx_http_core_srv_conf_t        *cscf;
    ngx_http_core_loc_conf_t        *clcf;
    ngx_b1c_portal_t                *portal;     /* of calls, else NULL */

    ngx_str_t                        file;       /* where it was configured */
    ngx_uint_t                       line;
    ngx_array_t                     *names;      /* of ngx_str_t, or NULL */
} ngx_b1c_route_t;


typedef struct {
    ngx_array_t                      queues;     /* of ..._queue_t * */
    ngx_array_t                      routes;     /* of ..._route_t * */
    ngx_shm_zone_t                  *echo;
    ngx_array_t                      rests;      /* of ..._route_t * */
    ngx_array_t                      portals;    /* of ..._portal_t * */
} ngx_b1c_main_conf_t;


/* calls of which only the newest counts; these parameters tell rows apart */
typedef struct {
    ngx_str_t                        method;     /* a glob */
    ngx_array_t                     *fields;     /* of ngx_str_t */
} ngx_b1c_coalesce_t;


/* a location with bitrix1c_webhook */
typedef struct {
    ngx_b1c_route_t                 *route;      /* NULL: not set here */
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
    ngx_str_t                        token_arg;  /* its name, or empty */
    ngx_flag_t                       event_token;
} ngx_b1c_webhook_loc_t;


/* a location with bitrix1c_rest */
typedef struct {
    ngx_b1c_route_t                 *route;      /* NULL: not set here */
    ngx_array_t                     *methods;    /* of ngx_str_t, globs */
    ngx_array_t                     *async;      /* of ngx_str_t, globs */
    ngx_array_t                     *idempotent; /* of ngx_str_t, globs */
    ngx_array_t                     *coalesce;   /* of ..._coalesce_t */
    ngx_uint_t                       batch_max;  /* calls in a request */
    ngx_msec_t                       batch_time; /* that it may take */
    ngx_str_t                        callback;   /* a location's name */
    ngx_b1c_route_t                 *callback_route;
    ngx_uint_t                       rate;       /* calls in 1000 s */
    ngx_uint_t                       burst;
    ngx_msec_t                       max_wait;
    ngx_msec_t                       overload;   /* ms for which calls stop */
    ngx_str_t                        portal;     /* as configured, or empty */
} ngx_b1c_rest_loc_t;


/* a location with bitrix1c_api */
typedef struct {
    ngx_str_t                        prefix;     /* the location's name */
    ngx_uint_t                       open;
} ngx_b1c_api_loc_t;


typedef struct {
    ngx_b1c_webhook_loc_t            webhook;
    ngx_b1c_rest_loc_t               rest;
    ngx_b1c_api_loc_t               *api;        /* NULL: not set here */
    ngx_array_t                     *names;      /* of the server; NULL
                                                    without api or rest */
    ngx_http_complex_value_t        *lane;       /* of events and of calls */
    ngx_str_t                        charset;
} ngx_b1c_loc_conf_t;


extern ngx_module_t  ngx_http_bitrix1c_module;


/* appends globs to the ngx_array_t * of ngx_str_t at cmd->offset */
char *ngx_b1c_conf_globs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

char *ngx_b1c_conf_charset(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* the queue of this name or NULL */
ngx_b1c_queue_t *ngx_b1c_conf_queue(ngx_b1c_main_conf_t *mcf,
    ngx_str_t *name);

/* adds a route of the current location to routes and *field */
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
 * Answers of proxy_pass must not redirect to other locations: with an
 * X-Accel-Redirect nginx would answer instead of Bitrix or 1C.
 */
void ngx_b1c_conf_no_redirects(ngx_conf_t *cf);

/* of ngx_http_server_name_t; NULL is lack of memory */
ngx_array_t *ngx_b1c_conf_server_names(ngx_conf_t *cf);

/* refuses "try_files" in the location of the directive of this name */
ngx_int_t ngx_b1c_conf_no_try_files(ngx_conf_t *cf, ngx_b1c_route_t *route,
    const char *name);


/* 1 if one of the globs, of ngx_str_t, matches the name; NULL: none */
ngx_uint_t ngx_b1c_conf_matches(ngx_array_t *masks, ngx_str_t *name);


#endif /* _B1C_BASE_H_INCLUDED_ */

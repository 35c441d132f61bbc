
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_JOB_H_INCLUDED_
#define _B1C_JOB_H_INCLUDED_


#include "b1c_base.h"
#include "b1c_bitrix.h"
#include "b1c_core.h"


/* the strings of an event, in the pool of its job */
typedef struct {
    ngx_str_t                        name;
    ngx_str_t                        type;
    ngx_str_t                        id;         /* data NULL: no entity */
    ngx_str_t                        member_id;
    ngx_str_t                        domain;
    int64_t                          ts;         /* s, 0 is unknown */
    ngx_str_t                        tail;       /* JSON after {"id":"..." */
    void                            *parsed;     /* b1c_event_t, lazy */
    b1c_kind_e                       kind;       /* until it is accepted */
    ngx_str_t                        run;        /* the same, of a robot */
} ngx_b1c_event_t;


/* the result of one attempt */
typedef struct {
    ngx_uint_t                       status;     /* 0: no answer */
    ngx_uint_t                       seconds;    /* Retry-After, 0: none */
    u_char                          *answer;     /* its stored part */
    size_t                           len;
    size_t                           size;       /* allocated bytes */
    off_t                            received;   /* bytes of the answer */
    size_t                           max;        /* limit; 0: ..._ANSWER */
    ngx_str_t                       *location;   /* of a redirect, or NULL;
                                                    gone with its request */
    u_char                          *tail;       /* the end of a longer one */
    size_t                           tail_len;
    unsigned                         done:1;
    unsigned                         truncated:1;
    unsigned                         sent:1;     /* 1C may have read it */
    unsigned                         too_big:1;  /* the header was */
    unsigned                         late:1;     /* delivery_timeout */
    unsigned                         large:1;    /* max_answer_size */
    unsigned                         ours:1;     /* nginx answered itself */
} ngx_b1c_outcome_t;


/* identity and lane of the event, see accept.lua */
typedef struct {
    ngx_str_t                        key;
    ngx_str_t                        lane;
    ngx_str_t                        marker;     /* Redis key of "done" */

    /* fields and a part of a field in Redis */
    ngx_str_t                        id_field;   /* id:m */
    ngx_str_t                        key_field;  /* k:KEY */
    ngx_str_t                        lane_field; /* l:LANE */
    ngx_str_t                        meta;       /* once key lane */

    unsigned                         once:1;
} ngx_b1c_identity_t;


/* the job's state in Redis and in the limits of the queue */
typedef struct {
    ngx_str_t                        since;      /* ms, see accept.lua */
    ngx_str_t                        epoch;      /* of the lease, a number */
    ngx_uint_t                       attempts;   /* failed attempts */
    ngx_uint_t                       lost_leases; /* by death of a worker */
    ngx_msec_t                       leased;     /* lease or extension */

    unsigned                         maybe_accepted:1; /* reply was lost */
    unsigned                         slot:1;     /* counts in concurrency */
    unsigned                         probe:1;    /* of an open breaker */
    unsigned                         repeated:1; /* its verdict, to Redis */
} ngx_b1c_lease_t;


/* one attempt to deliver: the detached request and its result */
typedef struct {
    ngx_msec_t                       started;
    ngx_msec_t                       delay;      /* until the next attempt */
    ngx_str_t                        delay_text;
    ngx_b1c_health_e                 health;     /* 1C's state by this one */

    ngx_str_t                        body;       /* replaces the event's */
    void                           (*verdict)(ngx_b1c_job_t *job);

    ngx_http_request_t              *detached;
    ngx_connection_t                *connection;
    ngx_event_t                      done;
    ngx_event_t                     *stop;       /* breaks the delivery off */
    ngx_b1c_outcome_t                outcome;

    unsigned                         no_location:1; /* on this node */
    unsigned                         own:1;      /* failed by itself */
    unsigned                         free_retry:1; /* spends no attempt */
} ngx_b1c_attempt_t;


/*
 * One event or call: from a request to Redis, from there to its receiver, and
 * back to Redis with the verdict.  It has its own pool, because neither the
 * client's request nor the detached one lives as long.  It is referenced by
 * the queue and, until the request has been logged, by the request for its
 * variables.
 */
struct ngx_b1c_job_s {
    ngx_pool_t                      *pool;
    ngx_uint_t                       refs;
    ngx_queue_t                      link;
    ngx_log_t                       *log;

    ngx_b1c_queue_t                 *queue;
    ngx_b1c_route_t                 *route;
    ngx_http_request_t              *request;    /* parked client or NULL */
    void                           (*answer)(ngx_b1c_job_t *job);

    ngx_str_t                        id;
    ngx_str_t                        server;
    ngx_str_t                        uri;
    ngx_str_t                        record;     /* as stored in Redis */
    ngx_b1c_event_t                  event;
    ngx_msec_t                       arrived;    /* time of receipt */

    ngx_b1c_result_e                 result;
    ngx_str_t                        reason;     /* of the last failure */

    ngx_b1c_identity_t               identity;
    ngx_b1c_lease_t                  lease;
    ngx_b1c_attempt_t                attempt;
    void                            *kind;       /* of the queue's layer */

    unsigned                         flying:1;   /* linked in "flying" */
    unsigned                         waited:1;   /* linked in "waited" */
};


/* chooses random bits for the ids of this worker; in init_process */
ngx_int_t ngx_b1c_job_seed(ngx_log_t *log);

/* has one reference, the caller's; NULL: no memory */
ngx_b1c_job_t *ngx_b1c_job_create(ngx_b1c_queue_t *queue, ngx_log_t *log);

void ngx_b1c_job_ref(ngx_b1c_job_t *job);
void ngx_b1c_job_unref(ngx_b1c_job_t *job);

/* copies the words of an event into the job's pool, without its JSON */
ngx_int_t ngx_b1c_job_event(ngx_b1c_job_t *job, b1c_event_t *ev);

/*
 * Builds the record for Redis: "b1 <server bytes> <uri bytes>\n", the server's
 * name and the URI of the location, then the JSON without its head.
 */
ngx_int_t ngx_b1c_job_record(ngx_b1c_job_t *job, ngx_str_t *server,
    ngx_str_t *uri, u_char *tail, size_t len);

/* Fills a job from its record; NGX_DECLINED: it has another format. */
ngx_int_t ngx_b1c_job_load(ngx_b1c_job_t *job, ngx_str_t *record);

/* splits a record in place; NGX_DECLINED: it has another format */
ngx_int_t ngx_b1c_job_split(ngx_str_t *record, ngx_str_t *server,
    ngx_str_t *uri, ngx_str_t *tail);

/*
 * Default identity and lane, where no directive sets them.  Calls always have a
 * key.  Events with the verbs ADD, UPDATE and DELETE, or similar ones, have an
 * identity in which accept.lua can replace the verb by its opposite:
 *
 *     20 digits  hash of the portal, the name without the verb, the entity
 *      4 digits  the verb: "add0", "ed17" or "de1e"
 *      8 digits  ts, or 0 of an event that may be coalesced
 */
ngx_int_t ngx_b1c_job_identity(ngx_b1c_job_t *job, ngx_str_t *key,
    ngx_str_t *lane);

/* data of a claim beside the record; copied */
ngx_int_t ngx_b1c_job_claimed(ngx_b1c_job_t *job, ngx_str_t *epoch,
    ngx_str_t *key, ngx_str_t *lane);

/*
 * What the spool stores of a job, and a job restored from it.  The latter is
 * only good for accept, and only as long as the memory of ev.
 */
void ngx_b1c_job_spool(ngx_b1c_job_t *job, b1c_record_event_t *ev);
ngx_int_t ngx_b1c_job_spooled(ngx_b1c_job_t *job, b1c_record_event_t *ev);

/* data of the event for $bitrix1c_data_*; NULL if there is none */
b1c_event_t *ngx_b1c_job_parsed(ngx_b1c_job_t *job);

/* a number as text in the job's pool */
ngx_int_t ngx_b1c_job_number(ngx_b1c_job_t *job, int64_t n, ngx_str_t *text);


/*
 * Writes that 1C has just made through this nginx.  Bitrix sends an event
 * about each of them, and 1C would read its own change back; if the other side
 * also writes on events, the two would never stop.  Bitrix does not mark such
 * events, so they are recognized by time alone.
 */


/* adds the shared memory; once, after the configuration was read */
ngx_int_t ngx_b1c_echo_zone(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf);

/*
 * Must be called when a write is sent, because its event may arrive before its
 * answer, and again when the write has succeeded.  An event without an id is
 * not marked.
 */
void ngx_b1c_echo_mark(ngx_b1c_event_t *event);

/* the write has failed: a later event is about another change */
void ngx_b1c_echo_forget(ngx_b1c_event_t *event);

/* 1 if the entity was written within the last window ms */
ngx_uint_t ngx_b1c_echo_known(ngx_b1c_event_t *event, ngx_msec_t window);


#endif /* _B1C_JOB_H_INCLUDED_ */

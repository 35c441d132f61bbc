
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_JOB_H_INCLUDED_
#define _B1C_JOB_H_INCLUDED_


#include "b1c_base.h"
#include "b1c_bitrix.h"
#include "b1c_core.h"


/* an event's words, in the pool of its job */
typedef struct {
    ngx_str_t                        name;
    ngx_str_t                        type;
    ngx_str_t                        id;         /* data NULL: no entity */
    ngx_str_t                        member_id;
    ngx_str_t                        domain;
    int64_t                          ts;         /* s, 0 is unknown */
    ngx_str_t                        tail;       /* JSON less {"id":"..." */
    void                            *parsed;     /* b1c_event_t, lazy */
} ngx_b1c_event_t;


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
} ngx_b1c_outcome_t;


/* how a repetition, and what must stay in order, are told: see accept.lua */
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


/* what Redis and the limits of the queue know of the job */
typedef struct {
    ngx_str_t                        since;      /* ms, see accept.lua */
    ngx_str_t                        epoch;      /* of our lease, a number */
    ngx_uint_t                       attempts;   /* that have failed */
    ngx_uint_t                       lost_leases; /* with their workers */
    ngx_msec_t                       leased;     /* when, or last extended */

    unsigned                         maybe_accepted:1; /* reply was lost */
    unsigned                         slot:1;     /* counts in concurrency */
    unsigned                         probe:1;    /* of an open breaker */
    unsigned                         repeated:1; /* its verdict, to Redis */
} ngx_b1c_lease_t;


/* one try to deliver: the detached request, and what came of it */
typedef struct {
    ngx_msec_t                       started;
    ngx_msec_t                       delay;      /* until the next attempt */
    ngx_str_t                        delay_text;
    ngx_b1c_health_e                 health;     /* of 1C, by this attempt */

    ngx_str_t                        body;       /* instead of the event's */
    void                           (*verdict)(ngx_b1c_job_t *job);

    ngx_http_request_t              *detached;
    ngx_connection_t                *connection;
    ngx_event_t                      done;
    ngx_b1c_outcome_t                outcome;

    unsigned                         free_retry:1; /* spends no attempt */
} ngx_b1c_attempt_t;


/*
 * One event or call on its way: from a request to Redis, from there to its
 * receiver, and back to Redis with the verdict.  It owns its memory, because
 * neither the client nor the detached request lives as long.  Referenced by
 * the queue and, until the request has been logged, by the request: for the
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
    ngx_msec_t                       arrived;    /* was received */

    ngx_b1c_result_e                 result;
    ngx_str_t                        reason;     /* of the last failure */

    ngx_b1c_identity_t               identity;
    ngx_b1c_lease_t                  lease;
    ngx_b1c_attempt_t                attempt;
    void                            *kind;       /* of the queue's layer */

    unsigned                         flying:1;   /* linked as such */
    unsigned                         waited:1;   /* so is this */
};


/* a random start for the ids of this worker; in init_process */
ngx_int_t ngx_b1c_job_seed(ngx_log_t *log);

/* held once, by the caller; NULL is lack of memory */
ngx_b1c_job_t *ngx_b1c_job_create(ngx_b1c_queue_t *queue, ngx_log_t *log);

void ngx_b1c_job_ref(ngx_b1c_job_t *job);
void ngx_b1c_job_unref(ngx_b1c_job_t *job);

/* copies the words of an event into the job's pool, without its JSON */
ngx_int_t ngx_b1c_job_event(ngx_b1c_job_t *job, b1c_event_t *ev);

/*
 * The record for Redis: "b1 <server bytes> <uri bytes>\n", the server's name
 * and the URI of the location, then the JSON less its head.
 */
ngx_int_t ngx_b1c_job_record(ngx_b1c_job_t *job, ngx_str_t *server,
    ngx_str_t *uri, u_char *tail, size_t len);

/*
 * A job out of its record; NGX_DECLINED: not in this form.
 */
ngx_int_t ngx_b1c_job_load(ngx_b1c_job_t *job, ngx_str_t *record);

/* the parts of a record, inside it; NGX_DECLINED: not in this form */
ngx_int_t ngx_b1c_job_split(ngx_str_t *record, ngx_str_t *server,
    ngx_str_t *uri, ngx_str_t *tail);

/* identity and lane as of DESIGN's section 6, where no directive names them */
ngx_int_t ngx_b1c_job_identity(ngx_b1c_job_t *job, ngx_str_t *key,
    ngx_str_t *lane);

/* what a claim tells beside the record; copied */
ngx_int_t ngx_b1c_job_claimed(ngx_b1c_job_t *job, ngx_str_t *epoch,
    ngx_str_t *key, ngx_str_t *lane);

/*
 * What the spool needs of a job, and a job out of that: only good for accept,
 * and as long as the memory that ev points into.
 */
void ngx_b1c_job_spool(ngx_b1c_job_t *job, b1c_record_event_t *ev);
ngx_int_t ngx_b1c_job_spooled(ngx_b1c_job_t *job, b1c_record_event_t *ev);

/* data of the event for $bitrix1c_data_*; NULL if it cannot be had */
b1c_event_t *ngx_b1c_job_parsed(ngx_b1c_job_t *job);

/* a number as text in the job's pool */
ngx_int_t ngx_b1c_job_number(ngx_b1c_job_t *job, int64_t n, ngx_str_t *text);


/*
 * What 1C has just written to a portal through this nginx: the event that
 * Bitrix sends of it would make 1C read back its own change, and with a rule
 * that writes again on the other side the two would never come to rest.
 * Bitrix marks such events in no way, so they are known by time alone.
 */


/* adds the shared memory; once, after the configuration was read */
ngx_int_t ngx_b1c_echo_zone(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf);

/*
 * To be called when a write is sent, since its event may overtake its answer,
 * and once more when it has succeeded.  Without an id nothing is marked.
 */
void ngx_b1c_echo_mark(ngx_b1c_event_t *event);

/* the write has failed: an event that comes now is somebody else's */
void ngx_b1c_echo_forget(ngx_b1c_event_t *event);

/* 1 if the entity was written not longer than window ms ago */
ngx_uint_t ngx_b1c_echo_known(ngx_b1c_event_t *event, ngx_msec_t window);


#endif /* _B1C_JOB_H_INCLUDED_ */

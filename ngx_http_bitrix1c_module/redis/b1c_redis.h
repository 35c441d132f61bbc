
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_REDIS_H_INCLUDED_
#define _B1C_REDIS_H_INCLUDED_



#include "b1c_base.h"


/*
 * One connection of one worker to the Redis that accepts writes: the only
 * address, the first of several that is not a replica, the master that a
 * Sentinel names, or the node to which a Redis Cluster redirects.  It knows no
 * queue and exposes no hiredis type, so that the library can be replaced.
 */


typedef struct ngx_b1c_reply_s  ngx_b1c_reply_t;


/* bits of the outage state, one per address; the last is for a found one */
#define NGX_B1C_REDIS_ADDRS  31


struct ngx_b1c_redis_conf_s {
    ngx_str_t                    name;      /* as written in the directive */
    ngx_addr_t                  *addrs;     /* resolved at configuration */
    ngx_uint_t                   naddrs;    /* at most _REDIS_ADDRS */
    ngx_array_t                 *names;     /* ngx_url_t without an address;
                                               NULL: all have one */
    void                        *pool;      /* of threads that resolve them */
    ngx_str_t                    master;    /* addrs are its Sentinels */
    ngx_str_t                    sentinel_user;
    ngx_str_t                    sentinel_password;
    ngx_str_t                    user;
    ngx_str_t                    password;
    ngx_uint_t                   db;
    ngx_uint_t                   wait;      /* replicas for durable scripts */
    ngx_msec_t                   connect_timeout;
    ngx_msec_t                   timeout;   /* of every command */
};


/* with too few replicas: an error instead of the reply, or redis_short() */
#define NGX_B1C_DURABLE_OR_ERROR  1
#define NGX_B1C_DURABLE_OR_SHORT  2


typedef struct {
    ngx_str_t                    name;      /* "accept", for the error log */
    ngx_str_t                    text;
    u_char                       sha1[40];  /* hex, set by script_init() */
    ngx_uint_t                   durable;   /* followed by WAIT */
} ngx_b1c_redis_script_t;


/*
 * A script that runs before the connection is ready.  An error in reply to it
 * means that this Redis must not be used: the connection is closed, and tried
 * again like one that could not log in.
 */
typedef struct {
    ngx_b1c_redis_script_t      *script;
    ngx_uint_t                   nkeys;
    ngx_uint_t                   argc;
    const ngx_str_t             *argv;      /* keys and arguments */
} ngx_b1c_redis_greeting_t;


typedef struct {
    ngx_uint_t                   up;
    ngx_msec_t                   since;     /* of this state */
    u_char                      *reason;    /* of the last loss, "" while up */
} ngx_b1c_redis_info_t;


/*
 * A NULL reply means that the outcome is unknown: the command may or may not
 * have been executed.  The reply is freed when the handler returns.
 */
typedef void (*ngx_b1c_reply_pt)(void *data,
    ngx_b1c_reply_t *reply);

/* up is 1 when the connection became ready, 0 when it was lost or refused */
typedef void (*ngx_b1c_redis_state_pt)(void *data, ngx_uint_t up);


void ngx_b1c_redis_script_init(ngx_b1c_redis_script_t *script);

/*
 * Allocated with ngx_alloc() for the life of the worker; connects at once and
 * reconnects forever.  The greeting must stay valid.  NULL: no memory.
 */
ngx_b1c_redis_t *ngx_b1c_redis_create(ngx_b1c_redis_conf_t *conf,
    ngx_log_t *log, ngx_b1c_redis_greeting_t *greeting,
    ngx_b1c_redis_state_pt state, void *data);

/* runs the greeting again; an error ends the connection */
void ngx_b1c_redis_greeting_check(ngx_b1c_redis_t *redis);

/* outstanding commands get a NULL reply before this returns */
void ngx_b1c_redis_destroy(ngx_b1c_redis_t *redis);

ngx_uint_t ngx_b1c_redis_ready(ngx_b1c_redis_t *redis);

/* 1: lost or refused, and the owner was notified; 0 also if unknown yet */
ngx_uint_t ngx_b1c_redis_away(ngx_b1c_redis_t *redis);

/* state of this worker's connection, for status; the text belongs to it */
void ngx_b1c_redis_info(ngx_b1c_redis_t *redis, ngx_b1c_redis_info_t *info);

/*
 * Queues EVALSHA for the end of this iteration of the event loop; all commands
 * of one iteration leave in one write. argv holds the keys and then the
 * arguments.  It must stay valid, with everything that it points to, until the
 * handler was called, because the script is sent again as EVAL if Redis does
 * not know it.  The handler is called exactly once and never from within this
 * function.  NGX_DECLINED: not connected, the handler will not be called.  A
 * durable script is followed by WAIT, and the handler is called when that is
 * answered.  If fewer than conf->wait replicas have the script's writes, the
 * handler gets the error "NOREPLICAS 0 of 1 replicas have it" instead of the
 * script's reply, although the script was executed; or it gets that reply, see
 * redis_short().
 */
ngx_int_t ngx_b1c_redis_eval(ngx_b1c_redis_t *redis,
    ngx_b1c_redis_script_t *script, ngx_uint_t nkeys, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_b1c_reply_pt handler, void *data);


/* in a handler: 1 if too few replicas have the writes of its script */
ngx_uint_t ngx_b1c_redis_wait_short(ngx_b1c_redis_t *redis);


/* NGX_OK: the reply is an error, and its text is set; else NGX_DECLINED */
ngx_int_t ngx_b1c_redis_reply_error(ngx_b1c_reply_t *reply, ngx_str_t *text);

/* number of elements of an array reply, 0 for other replies */
ngx_uint_t ngx_b1c_redis_reply_count(ngx_b1c_reply_t *reply);

/* element n of an array reply; NGX_ERROR: missing, or of another type */
ngx_int_t ngx_b1c_redis_reply_int(ngx_b1c_reply_t *reply, ngx_uint_t n,
    int64_t *value);
ngx_int_t ngx_b1c_redis_reply_str(ngx_b1c_reply_t *reply, ngx_uint_t n,
    ngx_str_t *value);


/* lines of the block of bitrix1c_queue */

char *ngx_b1c_redis_conf_redis(ngx_conf_t *cf, ngx_b1c_queue_t *queue);
char *ngx_b1c_redis_conf_sentinel(ngx_conf_t *cf, ngx_b1c_queue_t *queue);


#endif /* _B1C_REDIS_H_INCLUDED_ */

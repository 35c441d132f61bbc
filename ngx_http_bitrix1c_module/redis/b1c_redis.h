
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_REDIS_H_INCLUDED_
#define _B1C_REDIS_H_INCLUDED_



#include "b1c_base.h"


/*
 * One connection of one worker to the one Redis that takes writes: the only
 * address, the first of several that is no replica, the master that a Sentinel
 * names, or the node to which a Redis Cluster redirects.  Knows no queue and
 * shows no hiredis type, so that the library behind it can be changed.
 */


typedef struct ngx_b1c_reply_s  ngx_b1c_reply_t;


/* bits of the state of an outage, the last one is that of a found address */
#define NGX_B1C_REDIS_ADDRS  31


struct ngx_b1c_redis_conf_s {
    ngx_str_t                    name;      /* as written in the directive */
    ngx_addr_t                  *addrs;     /* resolved when configured */
    ngx_uint_t                   naddrs;    /* at most _REDIS_ADDRS */
    ngx_str_t                    master;    /* its name: addrs are Sentinels */
    ngx_str_t                    sentinel_user;
    ngx_str_t                    sentinel_password;
    ngx_str_t                    user;
    ngx_str_t                    password;
    ngx_uint_t                   db;
    ngx_uint_t                   wait;      /* replicas, of durable scripts */
    ngx_msec_t                   connect_timeout;
    ngx_msec_t                   timeout;   /* of every command */
};


/* too few replicas are an error instead of the reply, or redis_short() tells */
#define NGX_B1C_DURABLE_OR_ERROR  1
#define NGX_B1C_DURABLE_OR_SHORT  2


typedef struct {
    ngx_str_t                    name;      /* "accept", for the error log */
    ngx_str_t                    text;
    u_char                       sha1[40];  /* hex, set by script_init() */
    ngx_uint_t                   durable;   /* conf->wait is for it, if set:
                                               what a shortage does */
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
    ngx_msec_t                   since;     /* when it came up or was lost */
    u_char                      *reason;    /* of the last loss, "" while up */
} ngx_b1c_redis_info_t;


/*
 * A reply of NULL means that the outcome is unknown: the command may or may
 * not have been carried out.  The reply is gone when the handler returns.
 */
typedef void (*ngx_b1c_reply_pt)(void *data,
    ngx_b1c_reply_t *reply);

/* up is 1 when the connection became ready, 0 when it was lost or refused */
typedef void (*ngx_b1c_redis_state_pt)(void *data, ngx_uint_t up);


void ngx_b1c_redis_script_init(ngx_b1c_redis_script_t *script);

/*
 * Allocated with ngx_alloc(), for the life of the worker; connects at once and
 * then for ever.  The greeting must stay valid.  NULL is lack of memory.
 */
ngx_b1c_redis_t *ngx_b1c_redis_create(ngx_b1c_redis_conf_t *conf,
    ngx_log_t *log, ngx_b1c_redis_greeting_t *greeting,
    ngx_b1c_redis_state_pt state, void *data);

/* runs the greeting again; an error ends the connection */
void ngx_b1c_redis_greeting_check(ngx_b1c_redis_t *redis);

/* outstanding commands get a NULL reply before this returns */
void ngx_b1c_redis_destroy(ngx_b1c_redis_t *redis);

ngx_uint_t ngx_b1c_redis_ready(ngx_b1c_redis_t *redis);

/* 1: lost or refused, as the owner was told; 0 also while nobody knows yet */
ngx_uint_t ngx_b1c_redis_away(ngx_b1c_redis_t *redis);

/* of this worker's connection, for those who show it; the text is its own */
void ngx_b1c_redis_info(ngx_b1c_redis_t *redis, ngx_b1c_redis_info_t *info);

/*
 * Queues EVALSHA for the end of this iteration of the event loop; all commands
 * of one iteration leave in one write.  argv holds the keys and then the
 * arguments and must stay valid, with all that it points at, until the handler
 * was called, because the script is sent once more as EVAL when Redis does not
 * know it.  The handler is called exactly once and never from within this
 * function.  NGX_DECLINED: not connected, the handler will not be called.
 *
 * A durable script is followed by WAIT, and the handler called when that is
 * answered: if fewer than conf->wait replicas have what the script wrote, with
 * the error "NOREPLICAS 0 of 1 replicas have it" instead of the script's reply,
 * although the script was carried out; or with that reply, see redis_short().
 */
ngx_int_t ngx_b1c_redis_eval(ngx_b1c_redis_t *redis,
    ngx_b1c_redis_script_t *script, ngx_uint_t nkeys, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_b1c_reply_pt handler, void *data);


/* 1 in a handler: too few replicas have what its script has written */
ngx_uint_t ngx_b1c_redis_wait_short(ngx_b1c_redis_t *redis);


/* NGX_OK: the reply is an error and its text is set; else NGX_DECLINED */
ngx_int_t ngx_b1c_redis_reply_error(ngx_b1c_reply_t *reply, ngx_str_t *text);

/* elements of an array reply, 0 for any other */
ngx_uint_t ngx_b1c_redis_reply_count(ngx_b1c_reply_t *reply);

/* element n of an array reply; NGX_ERROR if it is not there or of that type */
ngx_int_t ngx_b1c_redis_reply_int(ngx_b1c_reply_t *reply, ngx_uint_t n,
    int64_t *value);
ngx_int_t ngx_b1c_redis_reply_str(ngx_b1c_reply_t *reply, ngx_uint_t n,
    ngx_str_t *value);


/* lines of the block of bitrix1c_queue */

char *ngx_b1c_redis_conf_redis(ngx_conf_t *cf, ngx_b1c_queue_t *queue);
char *ngx_b1c_redis_conf_sentinel(ngx_conf_t *cf, ngx_b1c_queue_t *queue);


#endif /* _B1C_REDIS_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_REDIS_INTERNAL_H_INCLUDED_
#define _B1C_REDIS_INTERNAL_H_INCLUDED_


#include <hiredis/hiredis.h>
#include <hiredis/async.h>

#include "b1c_redis.h"


/*
 * Private declarations of the files that use hiredis: _redis.c sends commands,
 * _redis_wait.c sends WAIT after durable ones, _redis_conn.c opens and closes
 * the connection, _redis_peer.c selects the address, _redis_login.c logs in,
 * _redis_greeting.c runs the owner's first script, _redis_check.c checks the
 * settings of Redis, _redis_log.c writes the error log, and _redis_event.c
 * connects hiredis to the event loop.  No other file may include this header.
 *
 * hiredis is written for level-triggered loops: it reads 16 KB per call and
 * expects to be called again.  nginx owns the socket, otherwise both would
 * close it.  Only features that 0.14 and 1.x have in common are used: 0.14 has
 * no timers, and before 1.1 a context must not be freed in onConnect.
 */


#define NGX_B1C_REDIS_SCRIPTS  16
#define NGX_B1C_REDIS_REASON   160


typedef enum {
    NGX_B1C_REDIS_DOWN = 0,
    NGX_B1C_REDIS_CONNECTING,
    NGX_B1C_REDIS_LOGIN,
    NGX_B1C_REDIS_READY,
    NGX_B1C_REDIS_CLOSING
} ngx_b1c_redis_phase_e;


typedef struct ngx_b1c_command_s  ngx_b1c_command_t;

struct ngx_b1c_command_s {
    ngx_b1c_command_t                *next;
    ngx_b1c_redis_t                  *redis;
    ngx_b1c_redis_script_t           *script;

    const ngx_str_t                  *argv;
    ngx_uint_t                        argc;
    ngx_uint_t                        nkeys;

    ngx_b1c_reply_pt                  handler;
    void                             *data;

    redisReply                       *held;        /* until WAIT is answered */
    ngx_uint_t                        waits;       /* WAITs without a reply */

    uint64_t                          number;
    size_t                            size;
    unsigned                          whole:1;     /* sent as EVAL */
    unsigned                          answered:1;
};


/* names that DNS did not know when nginx started; private to one file */
typedef struct ngx_b1c_redis_lookup_s  ngx_b1c_redis_lookup_t;


/* a script and the number of the command that sent its text to Redis */
typedef struct {
    ngx_b1c_redis_script_t           *script;
    uint64_t                          number;
} ngx_b1c_loaded_t;


struct ngx_b1c_redis_s {
    redisAsyncContext                *ac;
    ngx_connection_t                 *connection;
    ngx_b1c_redis_conf_t             *conf;

    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_int_t                         ident;

    ngx_b1c_redis_phase_e             phase;
    ngx_b1c_redis_greeting_t         *greeting;
    ngx_b1c_redis_state_pt            state;
    void                             *data;

    ngx_event_t                       timer;
    ngx_event_t                       flush;
    ngx_log_t                         log;

    uint64_t                          number;      /* commands sent */
    ngx_uint_t                        pending;     /* without a reply yet */
    size_t                            bytes;       /* of these commands */
    ngx_msec_t                        progress;    /* time of the last reply */

    ngx_addr_t                       *peer;        /* of the connection */
    ngx_uint_t                        next;        /* index in conf->addrs */
    ngx_uint_t                        tried;       /* in this round */
    ngx_addr_t                        target;      /* the address found */
    ngx_sockaddr_t                    target_sockaddr;
    u_char                            target_name[NGX_SOCKADDR_STRLEN];

    ngx_uint_t                        attempts;
    ngx_msec_t                        since;       /* of this state */
    u_char                            reason[NGX_B1C_REDIS_REASON];
    uint32_t                          logged;      /* bit per address */
    uint32_t                          logged_refused;

    ngx_msec_t                        waited;      /* last full WAIT */
    ngx_uint_t                        findings;    /* bits of the checks */
    u_char                            told[NGX_B1C_REDIS_REASON];

    ngx_b1c_command_t                *free;
    ngx_uint_t                        nfree;

    ngx_b1c_loaded_t                  loaded[NGX_B1C_REDIS_SCRIPTS];
    ngx_uint_t                        nloaded;

    ngx_b1c_redis_lookup_t           *lookup;      /* NULL: not needed */

    unsigned                          found:1;     /* target must be tried */
    unsigned                          step:1;      /* not a failure */
    unsigned                          away:1;      /* try another address */
    unsigned                          doubted:1;   /* that it will stay */
    unsigned                          up:1;
    unsigned                          told_down:1;
    unsigned                          refused:1;
    unsigned                          replica:1;   /* by its own reply */
    unsigned                          unusable:1;  /* by the greeting */
    unsigned                          shortage:1;  /* too few replicas */
    unsigned                          writing:1;
    unsigned                          deferred:1;
    unsigned                          idle_closed:1; /* no outage, so far */
    unsigned                          destroyed:1;
};


/*
 * NGX_ERROR: there is no connection and the reason is set, but the owner was
 * not notified and no timer was set.
 */
ngx_int_t ngx_b1c_redis_conn_connect(ngx_b1c_redis_t *redis);

/* called after the login: notifies the owner */
void ngx_b1c_redis_conn_up(ngx_b1c_redis_t *redis);

/* 1 if the connection has been up for a while */
ngx_uint_t ngx_b1c_redis_conn_lasts(ngx_b1c_redis_t *redis);

/* ends the connection; a reason of NULL is set already */
void ngx_b1c_redis_conn_drop(ngx_b1c_redis_t *redis, const char *reason);

/* handler of redis->timer */
void ngx_b1c_redis_conn_timer_handler(ngx_event_t *ev);


/*
 * Looks up, in a thread, the names that are still without an address, unless
 * that is being done; redis->timer is set to fire at once when it has ended.
 */
void ngx_b1c_redis_lookup_start(ngx_b1c_redis_t *redis);

/* in exit_process, when no thread runs any more */
void ngx_b1c_redis_lookup_free(ngx_b1c_redis_t *redis);

/* sets redis->peer; 1 if it is a Sentinel */
ngx_uint_t ngx_b1c_redis_peer_current(ngx_b1c_redis_t *redis);
ngx_uint_t ngx_b1c_redis_peer_is_sentinel(ngx_b1c_redis_t *redis);

/* 1 if only a master will do, because there are others to try */
ngx_uint_t ngx_b1c_redis_peer_has_peers(ngx_b1c_redis_t *redis);

/*
 * The peer has failed or was lost: selects the next one.  NGX_OK: it must be
 * tried at once; NGX_DECLINED: all have been tried, and a pause follows.
 */
ngx_int_t ngx_b1c_redis_peer_failed(ngx_b1c_redis_t *redis);

/*
 * Handles the answer of a Sentinel: closes the connection, and the next one
 * goes to the master.  NGX_DECLINED: the answer is invalid, the reason is set.
 */
ngx_int_t ngx_b1c_redis_peer_master(ngx_b1c_redis_t *redis, redisReply *reply);

/*
 * Handles an error reply to a script.  NGX_DONE: the connection was closed in
 * favour of another node, and nothing was executed; NGX_OK: the error is for
 * the caller, though the connection may have been closed.
 */
ngx_int_t ngx_b1c_redis_peer_redirected(ngx_b1c_redis_t *redis,
    redisReply *reply);


/* ngx_b1c_redis_eval() whatever the phase */
ngx_int_t ngx_b1c_redis_command(ngx_b1c_redis_t *redis,
    ngx_b1c_redis_script_t *script, ngx_uint_t nkeys, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_b1c_reply_pt handler, void *data);


/* sends the commands that must succeed before scripts are sent */
void ngx_b1c_redis_login_begin(ngx_b1c_redis_t *redis);

/* an error in reply to the login; ends the connection */
void ngx_b1c_redis_login_refuse(ngx_b1c_redis_t *redis, const char *verb,
    const char *text, size_t len);

/* the login is through */
void ngx_b1c_redis_greeting_send(ngx_b1c_redis_t *redis);

/* checks the settings of Redis and logs what to change */
void ngx_b1c_redis_check_send(ngx_b1c_redis_t *redis);

/*
 * Must be called before a reply is used.  NGX_DECLINED: there is no reply
 * because the context ends, and new commands would be lost.
 */
ngx_int_t ngx_b1c_redis_replied(ngx_b1c_redis_t *redis, redisReply *reply);

/* passes the reply, or NULL, to the command's handler, frees the command */
void ngx_b1c_redis_finish(ngx_b1c_command_t *cmd, redisReply *reply);

/* sends WAIT behind the command */
void ngx_b1c_redis_wait_send(ngx_b1c_command_t *cmd);

/* keeps the reply, or NULL, until WAIT is answered */
void ngx_b1c_redis_wait_hold(ngx_b1c_command_t *cmd, redisReply *reply);


/* sets the reason; the text may come from the other side */
void ngx_b1c_redis_log_reason(ngx_b1c_redis_t *redis, const char *verb,
    const char *text, size_t len);

/* logs that there is no connection, with the reason */
void ngx_b1c_redis_log_outage(ngx_b1c_redis_t *redis);

/* logs the end of the outage */
void ngx_b1c_redis_log_recovered(ngx_b1c_redis_t *redis);

/* handler of redis->log */
u_char *ngx_b1c_redis_log_error(ngx_log_t *log, u_char *buf, size_t len);


/* sets the hooks of the context and the handlers of the connection */
void ngx_b1c_redis_event_hook(ngx_b1c_redis_t *redis,
    void (*cleanup)(void *data));

/* handler of redis->flush */
void ngx_b1c_redis_event_flush_handler(ngx_event_t *ev);

/* 1 if there are bytes without a command */
ngx_uint_t ngx_b1c_redis_event_surplus(ngx_b1c_redis_t *redis);


#endif /* _B1C_REDIS_INTERNAL_H_INCLUDED_ */

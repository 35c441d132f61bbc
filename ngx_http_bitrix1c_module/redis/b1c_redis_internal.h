
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_REDIS_INTERNAL_H_INCLUDED_
#define _B1C_REDIS_INTERNAL_H_INCLUDED_


#include <hiredis/hiredis.h>
#include <hiredis/async.h>

#include "b1c_redis.h"


/*
 * The inside of ngx_b1c_redis.h, shared by the files that know hiredis:
 * _redis.c has the commands, _redis_wait.c what follows durable ones,
 * _redis_conn.c the connection's life, _redis_peer.c whom it goes to,
 * _redis_login.c and _redis_greeting.c how it begins, _redis_check.c what is
 * looked at meanwhile, _redis_log.c the error log and _redis_event.c the
 * library's hooks into the event loop.  Nobody else includes this.
 *
 * hiredis is written for level-triggered loops: it reads 16 KB a call and
 * expects to be called again.  nginx owns the socket, since otherwise both
 * would close it.  In use is only what 0.14 and 1.x have in common: 0.14 has
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


/* a script and the number of the command that took its text to Redis */
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

    uint64_t                          number;      /* commands ever sent */
    ngx_uint_t                        pending;     /* without a reply yet */
    size_t                            bytes;       /* of those */
    ngx_msec_t                        progress;    /* of replies, when */

    ngx_addr_t                       *peer;        /* whom it goes to */
    ngx_uint_t                        next;        /* of conf->addrs */
    ngx_uint_t                        permit;      /* tried in this round */
    ngx_addr_t                        target;      /* the address found */
    ngx_sockaddr_t                    target_sockaddr;
    u_char                            target_name[NGX_SOCKADDR_STRLEN];

    ngx_uint_t                        attempts;
    ngx_msec_t                        since;       /* up, or down */
    u_char                            reason[NGX_B1C_REDIS_REASON];
    uint32_t                          logged;      /* a bit an address */
    uint32_t                          logged_refused;

    ngx_msec_t                        waited;      /* in full, when short */
    ngx_uint_t                        findings;    /* of the checks */
    u_char                            told[NGX_B1C_REDIS_REASON];

    ngx_b1c_command_t                *free;
    ngx_uint_t                        nfree;

    ngx_b1c_loaded_t                  loaded[NGX_B1C_REDIS_SCRIPTS];
    ngx_uint_t                        nloaded;

    unsigned                          found:1;     /* target is to be tried */
    unsigned                          step:1;      /* this end is no failure */
    unsigned                          away:1;      /* leave this address */
    unsigned                          doubted:1;   /* that it will stay */
    unsigned                          up:1;
    unsigned                          told_down:1;
    unsigned                          refused:1;
    unsigned                          replica:1;   /* it says it is one */
    unsigned                          unusable:1;  /* says the greeting */
    unsigned                          shortage:1;  /* of replicas */
    unsigned                          writing:1;
    unsigned                          deferred:1;
    unsigned                          destroyed:1;
};


/*
 * NGX_ERROR: there is no connection, the reason is set, and nobody was told
 * and no timer armed.
 */
ngx_int_t ngx_b1c_redis_conn_connect(ngx_b1c_redis_t *redis);

/* the login is through: tells the owner */
void ngx_b1c_redis_conn_up(ngx_b1c_redis_t *redis);

/* 1 if the connection has been up for a while */
ngx_uint_t ngx_b1c_redis_conn_lasts(ngx_b1c_redis_t *redis);

/* ends the connection; a reason of NULL is set already */
void ngx_b1c_redis_conn_drop(ngx_b1c_redis_t *redis, const char *reason);

/* of redis->timer, whatever it stands for */
void ngx_b1c_redis_conn_timer_handler(ngx_event_t *ev);


/* sets redis->peer; 1 if it is a Sentinel */
ngx_uint_t ngx_b1c_redis_peer_current(ngx_b1c_redis_t *redis);
ngx_uint_t ngx_b1c_redis_peer_is_sentinel(ngx_b1c_redis_t *redis);

/* 1 if only a master will do, because there are others to try */
ngx_uint_t ngx_b1c_redis_peer_has_peers(ngx_b1c_redis_t *redis);

/*
 * The peer has failed or was lost: chooses the next one.  NGX_OK: which is to
 * be tried at once; NGX_DECLINED: all have been tried, it is time for a pause.
 */
ngx_int_t ngx_b1c_redis_peer_failed(ngx_b1c_redis_t *redis);

/*
 * The answer of a Sentinel; drops the connection, and the next one goes to the
 * master.  NGX_DECLINED: it makes no sense, the reason is set.
 */
ngx_int_t ngx_b1c_redis_peer_master(ngx_b1c_redis_t *redis, redisReply *reply);

/*
 * An error in reply to a script.  NGX_DONE: the connection was dropped in
 * favour of another node, and nothing was carried out; NGX_OK: it is for the
 * caller, though the connection may have been dropped.
 */
ngx_int_t ngx_b1c_redis_peer_redirected(ngx_b1c_redis_t *redis,
    redisReply *reply);


/* ngx_b1c_redis_eval() whatever the phase */
ngx_int_t ngx_b1c_redis_command(ngx_b1c_redis_t *redis,
    ngx_b1c_redis_script_t *script, ngx_uint_t nkeys, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_b1c_reply_pt handler, void *data);


/* sends what must be answered well before scripts are */
void ngx_b1c_redis_login_begin(ngx_b1c_redis_t *redis);

/* an error that does not pass by itself; ends the connection */
void ngx_b1c_redis_login_refuse(ngx_b1c_redis_t *redis, const char *verb,
    const char *text, size_t len);

/* the login is through */
void ngx_b1c_redis_greeting_send(ngx_b1c_redis_t *redis);

/* looks at the settings of Redis and tells the log what to change */
void ngx_b1c_redis_check_send(ngx_b1c_redis_t *redis);

/*
 * Before any reply is looked at.  NGX_DECLINED: there is none, as the context
 * ends, and what is sent now would be lost.
 */
ngx_int_t ngx_b1c_redis_replied(ngx_b1c_redis_t *redis, redisReply *reply);

/* hands the reply, or NULL, to the command's handler and frees the command */
void ngx_b1c_redis_finish(ngx_b1c_command_t *cmd, redisReply *reply);

/* sends WAIT behind the command */
void ngx_b1c_redis_wait_send(ngx_b1c_command_t *cmd);

/* keeps the reply, or NULL, until WAIT is answered */
void ngx_b1c_redis_wait_hold(ngx_b1c_command_t *cmd, redisReply *reply);


/* the text may be the other side's own words */
void ngx_b1c_redis_log_reason(ngx_b1c_redis_t *redis, const char *verb,
    const char *text, size_t len);

/* tells the log that there is no connection, and why */
void ngx_b1c_redis_log_outage(ngx_b1c_redis_t *redis);

/* tells the log that the outage is over */
void ngx_b1c_redis_log_recovered(ngx_b1c_redis_t *redis);

/* of redis->log */
u_char *ngx_b1c_redis_log_error(ngx_log_t *log, u_char *buf, size_t len);


/* puts the context's hooks and the connection's handlers into place */
void ngx_b1c_redis_event_hook(ngx_b1c_redis_t *redis,
    void (*cleanup)(void *data));

/* of redis->flush */
void ngx_b1c_redis_event_flush_handler(ngx_event_t *ev);

/* 1 if bytes came that no command asked for */
ngx_uint_t ngx_b1c_redis_event_surplus(ngx_b1c_redis_t *redis);


#endif /* _B1C_REDIS_INTERNAL_H_INCLUDED_ */

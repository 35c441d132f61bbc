
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_REDIS_CONN_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_REDIS_CONN_H_INCLUDED_


/*
 * The inside of ngx_http_bitrix1c_redis.h, shared by the three files that
 * know hiredis: _redis.c has the commands, _redis_conn.c the connection's life
 * and _redis_event.c the library's hooks into the event loop.  Nobody else
 * includes this.
 *
 * hiredis is written for level-triggered loops: it reads 16 KB a call and
 * expects to be called again.  nginx owns the socket, since otherwise both
 * would close it.  In use is only what 0.14 and 1.x have in common: 0.14 has
 * no timers, and before 1.1 a context must not be freed in onConnect.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <hiredis/hiredis.h>
#include <hiredis/async.h>

#include "ngx_http_bitrix1c_redis.h"


#define NGX_HTTP_BITRIX1C_REDIS_SCRIPTS  16
#define NGX_HTTP_BITRIX1C_REDIS_REASON   160


typedef enum {
    NGX_HTTP_BITRIX1C_REDIS_DOWN = 0,
    NGX_HTTP_BITRIX1C_REDIS_CONNECTING,
    NGX_HTTP_BITRIX1C_REDIS_LOGIN,
    NGX_HTTP_BITRIX1C_REDIS_READY,
    NGX_HTTP_BITRIX1C_REDIS_CLOSING
} ngx_http_bitrix1c_redis_phase_e;


typedef struct ngx_http_bitrix1c_command_s  ngx_http_bitrix1c_command_t;

struct ngx_http_bitrix1c_command_s {
    ngx_http_bitrix1c_command_t      *next;
    ngx_http_bitrix1c_redis_t        *redis;
    ngx_http_bitrix1c_script_t       *script;

    const ngx_str_t                  *argv;
    ngx_uint_t                        argc;
    ngx_uint_t                        nkeys;

    ngx_http_bitrix1c_reply_pt        handler;
    void                             *data;

    uint64_t                          number;
    size_t                            size;
    unsigned                          whole:1;     /* sent as EVAL */
};


/* a script and the number of the command that took its text to Redis */
typedef struct {
    ngx_http_bitrix1c_script_t       *script;
    uint64_t                          number;
} ngx_http_bitrix1c_loaded_t;


struct ngx_http_bitrix1c_redis_s {
    redisAsyncContext                *ac;
    ngx_connection_t                 *connection;
    ngx_http_bitrix1c_redis_conf_t   *conf;

    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_int_t                         ident;

    ngx_http_bitrix1c_redis_phase_e   phase;
    ngx_http_bitrix1c_redis_state_pt  state;
    void                             *data;

    ngx_event_t                       timer;
    ngx_event_t                       flush;
    ngx_log_t                         log;

    uint64_t                          number;      /* commands ever sent */
    ngx_uint_t                        pending;     /* without a reply yet */
    size_t                            bytes;       /* of those */
    ngx_msec_t                        progress;    /* last reply came */

    ngx_uint_t                        attempts;
    ngx_msec_t                        since;       /* up, or down */
    u_char                            reason[NGX_HTTP_BITRIX1C_REDIS_REASON];
    u_char                            told[NGX_HTTP_BITRIX1C_REDIS_REASON];

    ngx_http_bitrix1c_command_t      *free;
    ngx_uint_t                        nfree;

    const char                      **args;
    size_t                           *lens;
    ngx_uint_t                        nargs;

    ngx_http_bitrix1c_loaded_t        loaded[NGX_HTTP_BITRIX1C_REDIS_SCRIPTS];
    ngx_uint_t                        nloaded;

    unsigned                          up:1;
    unsigned                          told_down:1;
    unsigned                          refused:1;
    unsigned                          logged:1;
    unsigned                          logged_refused:1;
    unsigned                          writing:1;
    unsigned                          deferred:1;
    unsigned                          stopped:1;
    unsigned                          destroyed:1;
};


/*
 * NGX_ERROR: there is no connection, the reason is set, and nobody was told
 * and no timer armed.
 */
ngx_int_t ngx_http_bitrix1c_redis_connect(ngx_http_bitrix1c_redis_t *redis);

/* ends the connection; a reason of NULL is set already */
void ngx_http_bitrix1c_redis_drop(ngx_http_bitrix1c_redis_t *redis,
    const char *reason);

/* the text may be the other side's own words */
void ngx_http_bitrix1c_redis_reason(ngx_http_bitrix1c_redis_t *redis,
    const char *verb, const char *text, size_t len);

/* of redis->timer, whatever it stands for */
void ngx_http_bitrix1c_redis_timer_handler(ngx_event_t *ev);

/* of redis->log */
u_char *ngx_http_bitrix1c_redis_log_error(ngx_log_t *log, u_char *buf,
    size_t len);


/* puts the context's hooks and the connection's handlers into place */
void ngx_http_bitrix1c_redis_hook(ngx_http_bitrix1c_redis_t *redis,
    void (*cleanup)(void *data));

/* of redis->flush */
void ngx_http_bitrix1c_redis_flush_handler(ngx_event_t *ev);

/* 1 if bytes came that no command asked for */
ngx_uint_t ngx_http_bitrix1c_redis_surplus(ngx_http_bitrix1c_redis_t *redis);


#endif /* _NGX_HTTP_BITRIX1C_REDIS_CONN_H_INCLUDED_ */

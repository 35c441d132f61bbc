
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_SPOOL_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_SPOOL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_http_bitrix1c_spool_state.h"
#include "bitrix_spool.h"


/*
 * Files on a local disk that hold events while Redis cannot: one spool a queue,
 * for all workers of this nginx, so that the order of the files is the order of
 * acceptance.  Knows no queue and no job: events go in as the caller has framed
 * them, and come out as bitrix_spool_event_t.
 */


typedef struct {
    ngx_str_t                            name;   /* of the queue */
    ngx_path_t                          *path;   /* NULL: there is no spool */
    off_t                                max;
    void                                *pool;   /* of threads */
    ngx_http_bitrix1c_spool_state_t     *state;
} ngx_http_bitrix1c_spool_conf_t;


/* of one worker */
typedef struct ngx_http_bitrix1c_spool_s  ngx_http_bitrix1c_spool_t;


/*
 * NGX_OK: what was given is on the disk; NGX_AGAIN: the mode forbids it for the
 * moment, nothing was written; NGX_ERROR: full or broken, which was logged.
 */
typedef void (*ngx_http_bitrix1c_spool_written_pt)(void *data, ngx_int_t rc);

/*
 * NGX_OK: there are events to take; NGX_DONE: all are replayed and the mode is
 * DIRECT; NGX_DECLINED: another process does it; the last two end the replay.
 */
typedef void (*ngx_http_bitrix1c_spool_replay_pt)(void *data, ngx_int_t rc);


/* NULL is lack of memory */
ngx_http_bitrix1c_spool_t *ngx_http_bitrix1c_spool_create(
    ngx_http_bitrix1c_spool_conf_t *conf, ngx_log_t *log);

/* in exit_process, when no thread runs any more */
void ngx_http_bitrix1c_spool_destroy(ngx_http_bitrix1c_spool_t *spool);

/* looks for files of an earlier nginx, if that is what the mode waits for */
void ngx_http_bitrix1c_spool_start(ngx_http_bitrix1c_spool_t *spool);

/* 1: a group is being written */
ngx_uint_t ngx_http_bitrix1c_spool_writing(ngx_http_bitrix1c_spool_t *spool);

/*
 * Appends whole records, n of them, and syncs them to the disk.  The memory
 * must stay until the handler was called, which is never from within this
 * function.  NGX_DECLINED: it will not be called.
 */
ngx_int_t ngx_http_bitrix1c_spool_append(ngx_http_bitrix1c_spool_t *spool,
    u_char *start, size_t len, ngx_uint_t n,
    ngx_http_bitrix1c_spool_written_pt handler, void *data);

/* files that are needed no more are closed; 1: none is open */
ngx_uint_t ngx_http_bitrix1c_spool_idle(ngx_http_bitrix1c_spool_t *spool);


/*
 * The way back.  After NGX_OK the events are taken one by one, told when they
 * are in Redis, and then replay_next() brings more; an event's memory is good
 * until then.  NGX_DECLINED: nothing was begun.
 */
ngx_int_t ngx_http_bitrix1c_spool_replay(ngx_http_bitrix1c_spool_t *spool,
    ngx_http_bitrix1c_spool_replay_pt handler, void *data);
ngx_int_t ngx_http_bitrix1c_spool_replay_next(
    ngx_http_bitrix1c_spool_t *spool);

/* breaks off; what was not told of is replayed again */
void ngx_http_bitrix1c_spool_replay_end(ngx_http_bitrix1c_spool_t *spool);

/* end is for replay_stored(); NGX_DONE: no more of them */
ngx_int_t ngx_http_bitrix1c_spool_replay_take(
    ngx_http_bitrix1c_spool_t *spool, bitrix_spool_event_t *ev,
    uint64_t *end);

/* n events up to the end of the last one are in Redis */
void ngx_http_bitrix1c_spool_replay_stored(ngx_http_bitrix1c_spool_t *spool,
    ngx_uint_t n, uint64_t end);


#endif /* _NGX_HTTP_BITRIX1C_SPOOL_H_INCLUDED_ */

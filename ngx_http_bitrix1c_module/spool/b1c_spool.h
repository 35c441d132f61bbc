
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_SPOOL_H_INCLUDED_
#define _B1C_SPOOL_H_INCLUDED_


#include "b1c_base.h"
#include "b1c_core.h"


/*
 * What the workers of this nginx share about one spool.  As long as it is not
 * DIRECT, no event goes to Redis past it, or it would overtake those of its
 * lane that are in the files.
 */


typedef enum {
    NGX_B1C_SPOOL_UNKNOWN = 0,     /* nobody has looked for files */
    NGX_B1C_SPOOL_DIRECT,          /* there are none */
    NGX_B1C_SPOOL_SPOOLING,
    NGX_B1C_SPOOL_CLOSING          /* the last few are replayed */
} ngx_b1c_spool_mode_e;


/* why it took nothing the last time */
typedef enum {
    NGX_B1C_SPOOL_OK = 0,
    NGX_B1C_SPOOL_FULL,
    NGX_B1C_SPOOL_FAILED
} ngx_b1c_spool_fault_e;


typedef struct ngx_b1c_spool_shm_s
    ngx_b1c_spool_shm_t;


/* for those who look; since the nginx was started */
typedef struct {
    ngx_b1c_spool_mode_e             mode;
    ngx_b1c_spool_fault_e            fault;
    ngx_uint_t                       draining;   /* events go to Redis */
    off_t                            bytes;      /* of all files */
    uint64_t                         spooled;    /* events */
    uint64_t                         replayed;
    uint64_t                         torn;       /* places in files */
    uint64_t                         damaged;
} ngx_b1c_spool_stats_t;


/* adds the zone; another folder is another spool, of which nothing is known */
ngx_int_t ngx_b1c_spool_shm_zone(ngx_conf_t *cf, ngx_str_t *queue,
    ngx_str_t *folder, ngx_b1c_spool_shm_t **state);

void ngx_b1c_spool_shm_stats(ngx_b1c_spool_shm_t *state,
    ngx_b1c_spool_stats_t *stats);

ngx_b1c_spool_mode_e ngx_b1c_spool_shm_mode(ngx_b1c_spool_shm_t *state);


/*
 * Changes of the mode; they return 1, or a serial number, if it was this call
 * that made them.
 */

/* still UNKNOWN, and the caller is the one to look for files */
ngx_uint_t ngx_b1c_spool_shm_scan(ngx_b1c_spool_shm_t *state);

/* to SPOOLING if files are there, else to DIRECT; last is the last one's */
ngx_uint_t ngx_b1c_spool_shm_scanned(ngx_b1c_spool_shm_t *state,
    ngx_uint_t files, uint64_t last);

/* DIRECT to SPOOLING */
ngx_uint_t ngx_b1c_spool_shm_enter(ngx_b1c_spool_shm_t *state);

/* SPOOLING to CLOSING */
ngx_uint_t ngx_b1c_spool_shm_close(ngx_b1c_spool_shm_t *state);

/* CLOSING to DIRECT, unless somebody has lost patience since */
ngx_uint_t ngx_b1c_spool_shm_leave(ngx_b1c_spool_shm_t *state,
    ngx_uint_t serial);

/* CLOSING back to SPOOLING: by who closes, or with 0 if that got stuck */
ngx_uint_t ngx_b1c_spool_shm_reopen(ngx_b1c_spool_shm_t *state,
    ngx_uint_t serial);

/* 1 once in so many ms in all workers together */
ngx_uint_t ngx_b1c_spool_shm_look(ngx_b1c_spool_shm_t *state,
    ngx_msec_t interval);


/* number of the file to append to; 0: the mode is not SPOOLING */
uint64_t ngx_b1c_spool_shm_number(ngx_b1c_spool_shm_t *state);

/* this one gets no more; nothing if another is appended to already */
void ngx_b1c_spool_shm_rotate(ngx_b1c_spool_shm_t *state, uint64_t number);

/* NGX_DECLINED: more than max would be used */
ngx_int_t ngx_b1c_spool_shm_reserve(ngx_b1c_spool_shm_t *state, off_t size,
    off_t max);
void ngx_b1c_spool_shm_release(ngx_b1c_spool_shm_t *state, off_t size);
void ngx_b1c_spool_shm_used(ngx_b1c_spool_shm_t *state, off_t size);

/*
 * How far the file's records are in Redis; outlives a killed worker.  The inode
 * tells a file from another that took its name; number 0: none is read.
 */
void ngx_b1c_spool_shm_acked(ngx_b1c_spool_shm_t *state, uint64_t number,
    ino_t ino, uint64_t offset, ngx_uint_t events);
uint64_t ngx_b1c_spool_shm_progress(ngx_b1c_spool_shm_t *state,
    uint64_t number, ino_t ino);


/* what is logged once and not by every worker */

/* the fault there was before; of WELL also how many events were written */
ngx_b1c_spool_fault_e ngx_b1c_spool_shm_fault(ngx_b1c_spool_shm_t *state,
    ngx_b1c_spool_fault_e fault, ngx_uint_t events);

/* Redis refuses to store; 1: it did, and has not stored since */
void ngx_b1c_spool_shm_refuse(ngx_b1c_spool_shm_t *state);
ngx_uint_t ngx_b1c_spool_shm_refused(ngx_b1c_spool_shm_t *state);

/* 1: this file, or 0 for the folder, was complained of */
ngx_uint_t ngx_b1c_spool_shm_told(ngx_b1c_spool_shm_t *state, uint64_t number);

void ngx_b1c_spool_shm_count(ngx_b1c_spool_shm_t *state, ngx_uint_t torn,
    ngx_uint_t damaged);


/*
 * Files on a local disk that hold events while Redis cannot: one spool a queue,
 * for all workers of this nginx, so that the order of the files is the order of
 * acceptance.  Knows no queue and no job: events go in as the caller has framed
 * them, and come out as b1c_record_event_t.
 */


struct ngx_b1c_spool_conf_s {
    ngx_str_t                            name;   /* of the queue */
    ngx_path_t                          *path;
    off_t                                max;
    void                                *pool;   /* of threads */
    ngx_b1c_spool_shm_t                 *state;
};


/* of one worker */
typedef struct ngx_b1c_spool_s  ngx_b1c_spool_t;


/*
 * NGX_OK: what was given is on the disk; NGX_AGAIN: the mode forbids it for the
 * moment, nothing was written; NGX_ERROR: full or broken, which was logged.
 */
typedef void (*ngx_b1c_spool_written_pt)(void *data, ngx_int_t rc);

/*
 * NGX_OK: there are events to take; NGX_DONE: all are replayed and the mode is
 * DIRECT; NGX_DECLINED: another process does it; the last two end the replay.
 */
typedef void (*ngx_b1c_spool_drain_pt)(void *data, ngx_int_t rc);


/* NULL is lack of memory */
ngx_b1c_spool_t *ngx_b1c_spool_create(ngx_b1c_spool_conf_t *conf,
    ngx_log_t *log);

/* in exit_process, when no thread runs any more */
void ngx_b1c_spool_destroy(ngx_b1c_spool_t *spool);

/* looks for files of an earlier nginx, if that is what the mode waits for */
void ngx_b1c_spool_start(ngx_b1c_spool_t *spool);

/* 1: a group is being written */
ngx_uint_t ngx_b1c_spool_writing(ngx_b1c_spool_t *spool);

/*
 * Appends whole records, n of them, and syncs them to the disk.  The memory
 * must stay until the handler was called, which is never from within this
 * function.  NGX_DECLINED: it will not be called.
 */
ngx_int_t ngx_b1c_spool_append(ngx_b1c_spool_t *spool, u_char *start,
    size_t len, ngx_uint_t n, ngx_b1c_spool_written_pt handler, void *data);

/* files that are needed no more are closed; 1: none is open */
ngx_uint_t ngx_b1c_spool_idle(ngx_b1c_spool_t *spool);


/*
 * The way back.  After NGX_OK the events are taken one by one, told when they
 * are in Redis, and then replay_next() brings more; an event's memory is good
 * until then.  NGX_DECLINED: nothing was begun.
 */
ngx_int_t ngx_b1c_spool_drain(ngx_b1c_spool_t *spool,
    ngx_b1c_spool_drain_pt handler, void *data);
ngx_int_t ngx_b1c_spool_drain_next(ngx_b1c_spool_t *spool);

/* breaks off; what was not told of is replayed again */
void ngx_b1c_spool_drain_end(ngx_b1c_spool_t *spool);

/* end is for replay_stored(); NGX_DONE: no more of them */
ngx_int_t ngx_b1c_spool_drain_take(ngx_b1c_spool_t *spool,
    b1c_record_event_t *ev, uint64_t *end);

/* n events up to the end of the last one are in Redis */
void ngx_b1c_spool_drain_stored(ngx_b1c_spool_t *spool, ngx_uint_t n,
    uint64_t end);


/* "spool" in the block of bitrix1c_queue */
char *ngx_b1c_spool_conf_spool(ngx_conf_t *cf, ngx_b1c_queue_t *queue);


#endif /* _B1C_SPOOL_H_INCLUDED_ */

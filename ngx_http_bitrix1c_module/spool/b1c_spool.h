
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_SPOOL_H_INCLUDED_
#define _B1C_SPOOL_H_INCLUDED_


#include "b1c_base.h"
#include "b1c_core.h"


/*
 * What the workers of this nginx share about one spool.  Unless the mode is
 * DIRECT, no event goes to Redis past the spool, because it would overtake
 * events of its lane in the files.
 */


typedef enum {
    NGX_B1C_SPOOL_UNKNOWN = 0,     /* files have not been looked for */
    NGX_B1C_SPOOL_DIRECT,          /* there are no files */
    NGX_B1C_SPOOL_SPOOLING,
    NGX_B1C_SPOOL_CLOSING          /* the last files are drained */
} ngx_b1c_spool_mode_e;


/* why the last write failed */
typedef enum {
    NGX_B1C_SPOOL_OK = 0,
    NGX_B1C_SPOOL_FULL,
    NGX_B1C_SPOOL_FAILED
} ngx_b1c_spool_fault_e;


typedef struct ngx_b1c_spool_shm_s
    ngx_b1c_spool_shm_t;


/* for status and metrics; since the start of this nginx */
typedef struct {
    ngx_b1c_spool_mode_e             mode;
    ngx_b1c_spool_fault_e            fault;
    ngx_uint_t                       draining;   /* events go to Redis */
    off_t                            bytes;      /* of all files */
    uint64_t                         spooled;    /* events */
    uint64_t                         replayed;
    uint64_t                         torn;       /* damaged places */
    uint64_t                         damaged;
} ngx_b1c_spool_stats_t;


/* adds the zone; another folder is another spool, with no known state */
ngx_int_t ngx_b1c_spool_shm_zone(ngx_conf_t *cf, ngx_str_t *queue,
    ngx_str_t *folder, ngx_b1c_spool_shm_t **state);

void ngx_b1c_spool_shm_stats(ngx_b1c_spool_shm_t *state,
    ngx_b1c_spool_stats_t *stats);

ngx_b1c_spool_mode_e ngx_b1c_spool_shm_mode(ngx_b1c_spool_shm_t *state);


/*
 * Changes of the mode.  They return 1, or a serial number, if this call
 * changed it.
 */

/* the mode is UNKNOWN, and the caller must look for files */
ngx_uint_t ngx_b1c_spool_shm_scan(ngx_b1c_spool_shm_t *state);

/* to SPOOLING if there are files, else to DIRECT; last is the last number */
ngx_uint_t ngx_b1c_spool_shm_scanned(ngx_b1c_spool_shm_t *state,
    ngx_uint_t files, uint64_t last);

/* DIRECT to SPOOLING */
ngx_uint_t ngx_b1c_spool_shm_enter(ngx_b1c_spool_shm_t *state);

/* SPOOLING to CLOSING */
ngx_uint_t ngx_b1c_spool_shm_close(ngx_b1c_spool_shm_t *state);

/* CLOSING to DIRECT, unless another worker has reopened it */
ngx_uint_t ngx_b1c_spool_shm_leave(ngx_b1c_spool_shm_t *state,
    ngx_uint_t serial);

/* CLOSING back to SPOOLING: by the closing worker, or with 0 if it hangs */
ngx_uint_t ngx_b1c_spool_shm_reopen(ngx_b1c_spool_shm_t *state,
    ngx_uint_t serial);

/* 1 once in the given ms for all workers together */
ngx_uint_t ngx_b1c_spool_shm_look(ngx_b1c_spool_shm_t *state,
    ngx_msec_t interval);


/* number of the file to append to; 0: the mode is not SPOOLING */
uint64_t ngx_b1c_spool_shm_number(ngx_b1c_spool_shm_t *state);

/* ends this file; no effect if another is already current */
void ngx_b1c_spool_shm_rotate(ngx_b1c_spool_shm_t *state, uint64_t number);

/* NGX_DECLINED: more than max would be used */
ngx_int_t ngx_b1c_spool_shm_reserve(ngx_b1c_spool_shm_t *state, off_t size,
    off_t max);
void ngx_b1c_spool_shm_release(ngx_b1c_spool_shm_t *state, off_t size);
void ngx_b1c_spool_shm_used(ngx_b1c_spool_shm_t *state, off_t size);

/*
 * The offset up to which the file's records are in Redis; survives a killed
 * worker.  The inode distinguishes a file from another with the same name;
 * number 0: no file is being read.
 */
void ngx_b1c_spool_shm_acked(ngx_b1c_spool_shm_t *state, uint64_t number,
    ino_t ino, uint64_t offset, ngx_uint_t events);
uint64_t ngx_b1c_spool_shm_progress(ngx_b1c_spool_shm_t *state,
    uint64_t number, ino_t ino);


/* faults that are logged once and not by every worker */

/* returns the previous fault; for OK also counts the written events */
ngx_b1c_spool_fault_e ngx_b1c_spool_shm_fault(ngx_b1c_spool_shm_t *state,
    ngx_b1c_spool_fault_e fault, ngx_uint_t events);

/* Redis refuses to store; 1: it already did and has not stored since */
void ngx_b1c_spool_shm_refuse(ngx_b1c_spool_shm_t *state);
ngx_uint_t ngx_b1c_spool_shm_refused(ngx_b1c_spool_shm_t *state);

/* 1: this file, or the folder for 0, was already reported */
ngx_uint_t ngx_b1c_spool_shm_told(ngx_b1c_spool_shm_t *state, uint64_t number);

void ngx_b1c_spool_shm_count(ngx_b1c_spool_shm_t *state, ngx_uint_t torn,
    ngx_uint_t damaged);


/*
 * Files on a local disk that store events while Redis does not.  There is one
 * spool per queue for all workers of this nginx, so that the order of the
 * files is the order of acceptance.  It knows no queue and no job: the caller
 * frames the events, and they come back as b1c_record_event_t.
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
 * NGX_OK: the records are on the disk; NGX_AGAIN: the mode forbids it now,
 * nothing was written; NGX_ERROR: the spool is full or failed, which was
 * logged.
 */
typedef void (*ngx_b1c_spool_written_pt)(void *data, ngx_int_t rc);

/*
 * NGX_OK: there are events; NGX_DONE: all are drained and the mode is DIRECT;
 * NGX_DECLINED: another process drains; the last two end the drain.
 */
typedef void (*ngx_b1c_spool_drain_pt)(void *data, ngx_int_t rc);


/* NULL is lack of memory */
ngx_b1c_spool_t *ngx_b1c_spool_create(ngx_b1c_spool_conf_t *conf,
    ngx_log_t *log);

/* in exit_process, after the threads have ended */
void ngx_b1c_spool_destroy(ngx_b1c_spool_t *spool);

/* looks for files of an earlier nginx if the mode is UNKNOWN */
void ngx_b1c_spool_start(ngx_b1c_spool_t *spool);

/* 1: a group is being written */
ngx_uint_t ngx_b1c_spool_writing(ngx_b1c_spool_t *spool);

/*
 * Appends n whole records and syncs them to the disk.  The memory must stay
 * until the handler was called, which is never from within this function.
 * NGX_DECLINED: it will not be called.
 */
ngx_int_t ngx_b1c_spool_append(ngx_b1c_spool_t *spool, u_char *start,
    size_t len, ngx_uint_t n, ngx_b1c_spool_written_pt handler, void *data);

/* closes files that are no longer needed; 1: none is open */
ngx_uint_t ngx_b1c_spool_idle(ngx_b1c_spool_t *spool);


/*
 * The drain.  After NGX_OK the events are taken one by one and confirmed when
 * they are in Redis; then drain_next() reads more.  An event's memory is valid
 * until then.  NGX_DECLINED: nothing was begun.
 */
ngx_int_t ngx_b1c_spool_drain(ngx_b1c_spool_t *spool,
    ngx_b1c_spool_drain_pt handler, void *data);
ngx_int_t ngx_b1c_spool_drain_next(ngx_b1c_spool_t *spool);

/* aborts; events that were not confirmed are drained again */
void ngx_b1c_spool_drain_end(ngx_b1c_spool_t *spool);

/* end is for drain_stored(); NGX_DONE: no more of them */
ngx_int_t ngx_b1c_spool_drain_take(ngx_b1c_spool_t *spool,
    b1c_record_event_t *ev, uint64_t *end);

/* confirms that n events, up to the end of the last one, are in Redis */
void ngx_b1c_spool_drain_stored(ngx_b1c_spool_t *spool, ngx_uint_t n,
    uint64_t end);


/* "spool" in the block of bitrix1c_queue */
char *ngx_b1c_spool_conf_spool(ngx_conf_t *cf, ngx_b1c_queue_t *queue);


#endif /* _B1C_SPOOL_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_SPOOL_STATE_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_SPOOL_STATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * What the workers of this nginx share about one spool.  As long as it is not
 * DIRECT, no event goes to Redis past it, or it would overtake those of its
 * lane that are in the files.
 */


typedef enum {
    NGX_HTTP_BITRIX1C_SPOOL_UNKNOWN = 0,     /* nobody has looked for files */
    NGX_HTTP_BITRIX1C_SPOOL_DIRECT,          /* there are none */
    NGX_HTTP_BITRIX1C_SPOOL_SPOOLING,
    NGX_HTTP_BITRIX1C_SPOOL_CLOSING          /* the last few are replayed */
} ngx_http_bitrix1c_spool_mode_e;


/* why it took nothing the last time */
typedef enum {
    NGX_HTTP_BITRIX1C_SPOOL_WELL = 0,
    NGX_HTTP_BITRIX1C_SPOOL_FULL,
    NGX_HTTP_BITRIX1C_SPOOL_FAILED
} ngx_http_bitrix1c_spool_fault_e;


typedef struct ngx_http_bitrix1c_spool_state_s
    ngx_http_bitrix1c_spool_state_t;


/* for those who look; since the nginx was started */
typedef struct {
    ngx_http_bitrix1c_spool_mode_e   mode;
    ngx_http_bitrix1c_spool_fault_e  fault;
    ngx_uint_t                       draining;   /* events go to Redis */
    off_t                            bytes;      /* of all files */
    uint64_t                         spooled;    /* events */
    uint64_t                         replayed;
    uint64_t                         torn;       /* places in files */
    uint64_t                         damaged;
} ngx_http_bitrix1c_spool_stats_t;


/* adds the zone; another folder is another spool, of which nothing is known */
ngx_int_t ngx_http_bitrix1c_spool_zone(ngx_conf_t *cf, ngx_str_t *queue,
    ngx_str_t *folder, ngx_http_bitrix1c_spool_state_t **state);

void ngx_http_bitrix1c_spool_stats(ngx_http_bitrix1c_spool_state_t *state,
    ngx_http_bitrix1c_spool_stats_t *stats);

ngx_http_bitrix1c_spool_mode_e ngx_http_bitrix1c_spool_mode(
    ngx_http_bitrix1c_spool_state_t *state);


/*
 * Changes of the mode; they return 1, or a serial number, if it was this call
 * that made them.
 */

/* still UNKNOWN, and the caller is the one to look for files */
ngx_uint_t ngx_http_bitrix1c_spool_scan(
    ngx_http_bitrix1c_spool_state_t *state);

/* to SPOOLING if files are there, else to DIRECT; last is the last one's */
ngx_uint_t ngx_http_bitrix1c_spool_scanned(
    ngx_http_bitrix1c_spool_state_t *state, ngx_uint_t files, uint64_t last);

/* DIRECT to SPOOLING */
ngx_uint_t ngx_http_bitrix1c_spool_enter(
    ngx_http_bitrix1c_spool_state_t *state);

/* SPOOLING to CLOSING */
ngx_uint_t ngx_http_bitrix1c_spool_close(
    ngx_http_bitrix1c_spool_state_t *state);

/* CLOSING to DIRECT, unless somebody has lost patience since */
ngx_uint_t ngx_http_bitrix1c_spool_leave(
    ngx_http_bitrix1c_spool_state_t *state, ngx_uint_t serial);

/* CLOSING back to SPOOLING: by who closes, or with 0 if that got stuck */
ngx_uint_t ngx_http_bitrix1c_spool_reopen(
    ngx_http_bitrix1c_spool_state_t *state, ngx_uint_t serial);

/* who closes gets on */
void ngx_http_bitrix1c_spool_beat(ngx_http_bitrix1c_spool_state_t *state);

/* 1 once in so many ms in all workers together */
ngx_uint_t ngx_http_bitrix1c_spool_look(
    ngx_http_bitrix1c_spool_state_t *state, ngx_msec_t interval);


/* number of the file to append to; 0: the mode is not SPOOLING */
uint64_t ngx_http_bitrix1c_spool_number(
    ngx_http_bitrix1c_spool_state_t *state);

/* this one gets no more; nothing if another is appended to already */
void ngx_http_bitrix1c_spool_rotate(ngx_http_bitrix1c_spool_state_t *state,
    uint64_t number);

/* NGX_DECLINED: more than max would be used */
ngx_int_t ngx_http_bitrix1c_spool_reserve(
    ngx_http_bitrix1c_spool_state_t *state, off_t size, off_t max);
void ngx_http_bitrix1c_spool_release(ngx_http_bitrix1c_spool_state_t *state,
    off_t size);
void ngx_http_bitrix1c_spool_used(ngx_http_bitrix1c_spool_state_t *state,
    off_t size);

/*
 * How far the file's records are in Redis; outlives a killed worker.  The inode
 * tells a file from another that took its name; number 0: none is read.
 */
void ngx_http_bitrix1c_spool_acked(ngx_http_bitrix1c_spool_state_t *state,
    uint64_t number, ino_t ino, uint64_t offset, ngx_uint_t events);
uint64_t ngx_http_bitrix1c_spool_progress(
    ngx_http_bitrix1c_spool_state_t *state, uint64_t number, ino_t ino);


/* what is logged once and not by every worker */

/* the fault there was before; of WELL also how many events were written */
ngx_http_bitrix1c_spool_fault_e ngx_http_bitrix1c_spool_fault(
    ngx_http_bitrix1c_spool_state_t *state,
    ngx_http_bitrix1c_spool_fault_e fault, ngx_uint_t events);

/* Redis refuses to store; 1: it did, and has not stored since */
void ngx_http_bitrix1c_spool_refuse(ngx_http_bitrix1c_spool_state_t *state);
ngx_uint_t ngx_http_bitrix1c_spool_refused(
    ngx_http_bitrix1c_spool_state_t *state);

/* 1: this file, or 0 for the folder, was complained of */
ngx_uint_t ngx_http_bitrix1c_spool_told(
    ngx_http_bitrix1c_spool_state_t *state, uint64_t number);

void ngx_http_bitrix1c_spool_count(ngx_http_bitrix1c_spool_state_t *state,
    ngx_uint_t torn, ngx_uint_t damaged);


#endif /* _NGX_HTTP_BITRIX1C_SPOOL_STATE_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_KEEP_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_KEEP_H_INCLUDED_


#include "ngx_http_bitrix1c_queue.h"


/*
 * What becomes of events that Redis does not take: they are kept in the spool,
 * and replayed when it does.  Without a spool all of this does nothing.
 */


/* of a worker and a queue */
struct ngx_http_bitrix1c_keep_s {
    ngx_http_bitrix1c_spool_t       *spool;

    ngx_queue_t                      writing;    /* jobs of the group */
    u_char                          *group;      /* their records */
    ngx_event_t                      tick;
    ngx_event_t                      guard;      /* somebody waits */

    ngx_queue_t                      replaying;  /* jobs out of the spool */
    uint64_t                         ends[NGX_HTTP_BITRIX1C_BATCH];
    ngx_uint_t                       n;          /* of them */
    ngx_msec_t                       next;       /* when to replay again */

    unsigned                         busy:1;     /* it could not be written */
    unsigned                         active:1;   /* the replay */
    unsigned                         looking:1;  /* it was DIRECT before */
    unsigned                         replayed:1; /* something */
    unsigned                         doubtful:1; /* it may be in Redis */
};


ngx_int_t ngx_http_bitrix1c_keep_start(ngx_http_bitrix1c_worker_t *w);
void ngx_http_bitrix1c_keep_stop(ngx_http_bitrix1c_worker_t *w);

/* 1: what is to be stored may go to Redis */
ngx_uint_t ngx_http_bitrix1c_keep_direct(ngx_http_bitrix1c_worker_t *w);

/* w->accepts holds what could not go there */
void ngx_http_bitrix1c_keep_flush(ngx_http_bitrix1c_worker_t *w);

/* Redis is ready; now and then */
void ngx_http_bitrix1c_keep_up(ngx_http_bitrix1c_worker_t *w);
void ngx_http_bitrix1c_keep_poll(ngx_http_bitrix1c_worker_t *w);

/*
 * Senders have waited for Redis for its timeout; 1: the spool takes over, so
 * that they may wait a little longer.
 */
ngx_uint_t ngx_http_bitrix1c_keep_late(ngx_http_bitrix1c_worker_t *w);

/* Redis refuses to store, and whether that was logged */
void ngx_http_bitrix1c_keep_refused(ngx_http_bitrix1c_worker_t *w);
ngx_uint_t ngx_http_bitrix1c_keep_told(ngx_http_bitrix1c_worker_t *w);


#endif /* _NGX_HTTP_BITRIX1C_KEEP_H_INCLUDED_ */

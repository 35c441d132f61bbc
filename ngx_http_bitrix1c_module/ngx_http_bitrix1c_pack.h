
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_PACK_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_PACK_H_INCLUDED_


#include "ngx_http_bitrix1c_queue.h"
#include "ngx_http_bitrix1c_pace.h"
#include "bitrix_batch.h"


/*
 * Queued calls of 1C on their way to Bitrix: up to 50 in one request, since a
 * portal counts requests and not calls.  The request belongs to a job of its
 * own, the carrier, which is in no queue; each call keeps its own lease and
 * gets its own verdict.
 */


struct ngx_http_bitrix1c_pack_s {
    ngx_http_bitrix1c_worker_t      *worker;
    ngx_http_bitrix1c_job_t         *carrier;
    ngx_http_bitrix1c_turn_t         turn;       /* with the portal */
    ngx_http_bitrix1c_pack_t        *next;       /* gets the slot after it */
    ngx_uint_t                       n;
    ngx_http_bitrix1c_job_t         *jobs[BITRIX_BATCH_MAX];
};


/*
 * Takes over n calls that were claimed together, none of them of one lane with
 * another, and the slot (and probe) under which they were.  What does not fit
 * into one request goes in several, one after the other in that slot.
 */
void ngx_http_bitrix1c_pack_deliver(ngx_http_bitrix1c_worker_t *w,
    ngx_http_bitrix1c_job_t **jobs, ngx_uint_t n, ngx_uint_t probe);

/* the lease of one call was lost; its request cannot be called back */
void ngx_http_bitrix1c_pack_lost(ngx_http_bitrix1c_job_t *job);

/*
 * The worker has to leave: the request is broken off and its calls, all still
 * linked as flying, have their verdict.
 */
void ngx_http_bitrix1c_pack_abort(ngx_http_bitrix1c_pack_t *pack);


#endif /* _NGX_HTTP_BITRIX1C_PACK_H_INCLUDED_ */

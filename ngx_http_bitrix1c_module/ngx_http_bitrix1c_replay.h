
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_REPLAY_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_REPLAY_H_INCLUDED_


#include "ngx_http_bitrix1c_keep.h"


/*
 * The way back: one worker of the node reads the spool and has Redis accept
 * what is in it, one call at a time and in the order of the files, so that a
 * call that failed has none behind it that did not.
 */


/* unless it cannot be now; look: the mode is DIRECT, no file is expected */
void ngx_http_bitrix1c_replay_start(ngx_http_bitrix1c_worker_t *w,
    ngx_uint_t look);

/* the n events of a call are stored, or rc tells that nobody knows */
void ngx_http_bitrix1c_replay_stored(ngx_http_bitrix1c_worker_t *w,
    ngx_uint_t n, ngx_int_t rc);

/* frees the jobs that were not sent */
void ngx_http_bitrix1c_replay_drop(ngx_http_bitrix1c_keep_t *keep);


#endif /* _NGX_HTTP_BITRIX1C_REPLAY_H_INCLUDED_ */

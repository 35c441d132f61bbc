
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_JUDGE_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_JUDGE_H_INCLUDED_


#include "ngx_http_bitrix1c_pack.h"


/* the name of call i in a batch */
void ngx_http_bitrix1c_judge_name(ngx_uint_t i, char name[4]);

/* what Bitrix' answer to the carrier's request means for each of its calls */
void ngx_http_bitrix1c_judge(ngx_http_bitrix1c_job_t *carrier);

/*
 * Before a call is sent: finds its location, and leaves job->result as NONE if
 * it may go.  Unless it may be repeated, a call whose worker died with it is a
 * dead letter, since nobody knows whether Bitrix has carried it out; one whose
 * method or portal is closed waits.
 */
void ngx_http_bitrix1c_judge_before(ngx_http_bitrix1c_job_t *job);

/* the calls of a pack whose turn did not come; carrier->delay tells when */
void ngx_http_bitrix1c_judge_busy(ngx_http_bitrix1c_pack_t *pack);

/*
 * The worker has to leave while the request runs: what Bitrix may have read by
 * now and must not read twice is a dead letter, everything else goes again.
 */
void ngx_http_bitrix1c_judge_leave(ngx_http_bitrix1c_pack_t *pack);

/* a call whose lease too few replicas of Redis know of */
void ngx_http_bitrix1c_judge_short(ngx_http_bitrix1c_job_t *job);

/* a call that could not be sent for lack of memory */
void ngx_http_bitrix1c_judge_unsent(ngx_http_bitrix1c_job_t *job);


#endif /* _NGX_HTTP_BITRIX1C_JUDGE_H_INCLUDED_ */

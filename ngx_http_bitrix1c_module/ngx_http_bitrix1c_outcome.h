
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_OUTCOME_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_OUTCOME_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * What came of a delivery's subrequest r that ended with rc: fills in
 * o, less the answer's text, which the body filter keeps; in that a
 * webhook's key is masked.
 */
void ngx_http_bitrix1c_outcome(ngx_http_bitrix1c_outcome_t *o,
    ngx_http_request_t *r, ngx_int_t rc);


#endif /* _NGX_HTTP_BITRIX1C_OUTCOME_H_INCLUDED_ */

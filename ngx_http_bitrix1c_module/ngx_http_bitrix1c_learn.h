
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_LEARN_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_LEARN_H_INCLUDED_


#include "ngx_http_bitrix1c_portal.h"
#include "bitrix_rest.h"


/*
 * What the portal's answer to a call of this method asks for: bucket, method or
 * portal are closed here and on the other nodes, and the log tells it once.
 * Returns the ms after which such a call may be tried again, 0: at once.
 */
ngx_msec_t ngx_http_bitrix1c_learn(ngx_http_bitrix1c_portal_t *portal,
    ngx_str_t *method, bitrix_answer_t *answer, ngx_log_t *log);


#endif /* _NGX_HTTP_BITRIX1C_LEARN_H_INCLUDED_ */

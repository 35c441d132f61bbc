
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_FILTER_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_FILTER_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * Output filters: they keep the beginning of 1C's answer to a delivery and let
 * nothing of it out, since there is nobody to send it to; and they give core's
 * own refusal of a large body the form of this module's answers.
 */
ngx_int_t ngx_http_bitrix1c_filter_init(ngx_conf_t *cf);


#endif /* _NGX_HTTP_BITRIX1C_FILTER_H_INCLUDED_ */

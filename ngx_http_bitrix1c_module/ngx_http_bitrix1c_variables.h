
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_VARIABLES_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_VARIABLES_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/* $bitrix1c_*, in the sender's request and in its deliveries */
ngx_int_t ngx_http_bitrix1c_variables_add(ngx_conf_t *cf);


#endif /* _NGX_HTTP_BITRIX1C_VARIABLES_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_VARIABLES_H_INCLUDED_
#define _B1C_VARIABLES_H_INCLUDED_


#include "b1c_base.h"


/* $bitrix1c_*, in the requests of senders and in deliveries */
ngx_int_t ngx_b1c_variables_add(ngx_conf_t *cf);


#endif /* _B1C_VARIABLES_H_INCLUDED_ */

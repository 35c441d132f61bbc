
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_VERSION_H_INCLUDED_
#define _B1C_VERSION_H_INCLUDED_


#define NGX_B1C_VERSION  "0.2.0"


#endif /* _B1C_VERSION_H_INCLUDED_ */

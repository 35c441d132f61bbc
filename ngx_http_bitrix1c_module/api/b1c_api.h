
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_API_H_INCLUDED_
#define _B1C_API_H_INCLUDED_


#include "b1c_base.h"


/* "bitrix1c_api [open]": lcf->api */
char *ngx_b1c_api_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* blocks of "if" and "limit_except" inherit the API of their location */
void ngx_b1c_api_merge(ngx_conf_t *cf, ngx_b1c_loc_conf_t *prev,
    ngx_b1c_loc_conf_t *conf);

/* in init_process */
void ngx_b1c_api_init(void);


#endif /* _B1C_API_H_INCLUDED_ */

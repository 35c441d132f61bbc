
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_REST_CONF_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_REST_CONF_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


char *ngx_http_bitrix1c_rest(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_bitrix1c_pace(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

void ngx_http_bitrix1c_rest_create_conf(ngx_http_bitrix1c_loc_conf_t *lcf);
void ngx_http_bitrix1c_rest_merge_conf(ngx_http_bitrix1c_loc_conf_t *prev,
    ngx_http_bitrix1c_loc_conf_t *conf);

/* all locations with bitrix1c_rest, when the whole configuration is read */
ngx_int_t ngx_http_bitrix1c_rest_check(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf);


#endif /* _NGX_HTTP_BITRIX1C_REST_CONF_H_INCLUDED_ */

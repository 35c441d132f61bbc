
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_CONF_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_CONF_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/* bitrix1c_queue name { ... } */
char *ngx_http_bitrix1c_queue_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* an ngx_array_t * of ngx_str_t at cmd->offset, appended to */
char *ngx_http_bitrix1c_masks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

char *ngx_http_bitrix1c_limits(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_bitrix1c_permanent(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_bitrix1c_charset(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

ngx_http_bitrix1c_queue_t *ngx_http_bitrix1c_queue_find(
    ngx_http_bitrix1c_main_conf_t *mcf, ngx_str_t *name);

/*
 * What the location's proxy_pass brings may not lead to other locations: an
 * X-Accel-Redirect would have nginx answer in the place of Bitrix or 1C.
 */
void ngx_http_bitrix1c_no_redirects(ngx_conf_t *cf);


/* 1 if one of the masks, of ngx_str_t, fits the name; they may be NULL */
ngx_uint_t ngx_http_bitrix1c_masked(ngx_array_t *masks, ngx_str_t *name);


#endif /* _NGX_HTTP_BITRIX1C_CONF_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_REST_H_INCLUDED_
#define _B1C_REST_H_INCLUDED_


#include "b1c_base.h"


char *ngx_b1c_rest_conf_rest(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_b1c_rest_conf_pace(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* the name that "bitrix1c_idempotent" had in 0.1.0 */
char *ngx_b1c_rest_conf_repeatable(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* "bitrix1c_batch max=number time=time" */
char *ngx_b1c_rest_conf_batch(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* "bitrix1c_coalesce method field,field" */
char *ngx_b1c_rest_conf_coalesce(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

void ngx_b1c_rest_conf_create(ngx_b1c_loc_conf_t *lcf);
void ngx_b1c_rest_conf_merge(ngx_b1c_loc_conf_t *prev,
    ngx_b1c_loc_conf_t *conf);

/* checks all locations with bitrix1c_rest after the configuration is read */
ngx_int_t ngx_b1c_rest_conf_check(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf);


/* handlers of the phases REWRITE and PRECONTENT */
ngx_int_t ngx_b1c_rest_entry(ngx_http_request_t *r);
ngx_int_t ngx_b1c_rest_handler(ngx_http_request_t *r);

ngx_int_t ngx_b1c_rest_filter_init(ngx_conf_t *cf);

/* the called method, for $bitrix1c_method */
ngx_str_t *ngx_b1c_rest_method(ngx_b1c_rest_t *rest);

/* in init_process */
void ngx_b1c_calls_show_init(void);


#endif /* _B1C_REST_H_INCLUDED_ */

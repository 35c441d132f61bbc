
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_TOKEN_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_TOKEN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_str_t                    portal;    /* member_id, domain or "*" */
    ngx_str_t                    token;
} ngx_http_bitrix1c_token_t;


/* bitrix1c_token value ...: each accepted for every portal */
char *ngx_http_bitrix1c_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * bitrix1c_token_file path: lines "portal token", '#' comments, the portal is
 * a member_id, a domain or "*"; several lines a portal.  Read by the master,
 * so that workers need no right to read it, and again on every reload.
 */
char *ngx_http_bitrix1c_token_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * NGX_OK if the token is one of those of this portal.  Takes the same time
 * whatever the token is: every entry is compared to its end.
 */
ngx_int_t ngx_http_bitrix1c_token_check(ngx_array_t *tokens, ngx_str_t *token,
    ngx_str_t *member_id, ngx_str_t *domain);


#endif /* _NGX_HTTP_BITRIX1C_TOKEN_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_SIGN_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_SIGN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * bitrix1c_sign file: lines "whsec_<base64>" of the Standard Webhooks
 * specification, several while a secret is being changed.  An ngx_array_t * of
 * ngx_str_t keys at cmd->offset.
 */
char *ngx_http_bitrix1c_sign_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * The value of Webhook-Signature: for each key "v1," and the base64 of the
 * HMAC-SHA256 of "id.timestamp.body", separated by spaces.  The body is given
 * in two parts; timestamp is in seconds.
 */
ngx_int_t ngx_http_bitrix1c_sign(ngx_pool_t *pool, ngx_array_t *keys,
    ngx_str_t *id, time_t timestamp, ngx_str_t *head, ngx_str_t *tail,
    ngx_str_t *signature);


#endif /* _NGX_HTTP_BITRIX1C_SIGN_H_INCLUDED_ */

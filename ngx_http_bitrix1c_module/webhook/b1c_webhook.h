
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_WEBHOOK_H_INCLUDED_
#define _B1C_WEBHOOK_H_INCLUDED_


#include "b1c_base.h"


/*
 * The phase handler of a location with bitrix1c_webhook: it answers every
 * request of a client, and declines the subrequests of deliveries, so that
 * they reach proxy_pass.
 */
ngx_int_t ngx_b1c_webhook_handler(ngx_http_request_t *r);

/*
 * The handler of an earlier phase: stores the address by which the location
 * was selected, before a "rewrite" changes it.
 */
ngx_int_t ngx_b1c_webhook_entry(ngx_http_request_t *r);


typedef struct {
    ngx_str_t                    portal;    /* member_id, domain or "*" */
    ngx_str_t                    member_id; /* of "domain/member_id" */
    ngx_str_t                    token;
    unsigned                     pair:1;
} ngx_b1c_token_t;


/* what a token proves of its sender */
#define NGX_B1C_TOKEN_MEMBER_ID    1
#define NGX_B1C_TOKEN_DOMAIN       2
#define NGX_B1C_TOKEN_CONTRADICTS  4


/* bitrix1c_token value ...: each accepted for every portal */
char *ngx_b1c_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * bitrix1c_token_file path: reads lines "portal token" and '#' comments.  The
 * portal is a member_id, a domain, "domain/member_id" or "*", and may have
 * several lines.  The master reads the file, also on every reload, so that workers need no right
 * to read it.
 */
char *ngx_b1c_token_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Which of the two names the token proves, 0 if none: the event is forbidden
 * then.  NGX_B1C_TOKEN_CONTRADICTS: the token proves one name, and the other
 * belongs to lines with other tokens.  It always takes the same time, because
 * every entry is compared to its end.
 */
ngx_uint_t ngx_b1c_token_check(ngx_array_t *tokens, ngx_str_t *token,
    ngx_str_t *member_id, ngx_str_t *domain);


/* the directives of a location with bitrix1c_webhook */

char *ngx_b1c_webhook_conf_webhook(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_b1c_webhook_conf_limits(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_b1c_webhook_conf_permanent(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_b1c_webhook_conf_token_arg(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

void ngx_b1c_webhook_conf_create(ngx_b1c_loc_conf_t *lcf);
char *ngx_b1c_webhook_conf_merge(ngx_conf_t *cf, ngx_b1c_loc_conf_t *parent,
    ngx_b1c_loc_conf_t *child);

/* checks all of them after the configuration is read */
ngx_int_t ngx_b1c_webhook_conf_check(ngx_conf_t *cf,
    ngx_b1c_main_conf_t *mcf);

/* NGX_ERROR: the "proxy_pass" of this location would be wrong in deliveries */
ngx_int_t ngx_b1c_webhook_empty_check(ngx_conf_t *cf, ngx_b1c_route_t *route);


#endif /* _B1C_WEBHOOK_H_INCLUDED_ */

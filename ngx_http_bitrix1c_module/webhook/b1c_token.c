
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_webhook.h"
#include "b1c_base.h"


#define NGX_B1C_TOKEN_MIN  8
#define NGX_B1C_TOKEN_MAX  256


static ngx_int_t ngx_b1c_token_line(ngx_conf_t *cf, void *data,
    ngx_str_t *line, const char **what);
static ngx_int_t ngx_b1c_token_valid(ngx_str_t *token);
static ngx_array_t *ngx_b1c_token_array(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void ngx_b1c_token_split(ngx_b1c_token_t *token);
static ngx_uint_t ngx_b1c_token_names(ngx_b1c_token_t *known,
    ngx_str_t *member_id, ngx_str_t *domain);
static ngx_uint_t ngx_b1c_token_equal(ngx_str_t *a, ngx_str_t *b);
static ngx_uint_t ngx_b1c_token_differs(ngx_str_t *known, ngx_str_t *token);


char *
ngx_b1c_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t        *value;
    ngx_uint_t        i;
    ngx_array_t      *tokens;
    ngx_b1c_token_t  *token;

    tokens = ngx_b1c_token_array(cf, cmd, conf);
    if (tokens == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_b1c_token_valid(&value[i]) != NGX_OK) {

            /* a token is a secret, even a mistyped one */

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid token %ui, of %uz bytes, in "
                               "\"bitrix1c_token\" directive: expected 8 to "
                               "256 printable ASCII characters", i,
                               value[i].len);
            return NGX_CONF_ERROR;
        }

        token = ngx_array_push(tokens);
        if (token == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(token, sizeof(ngx_b1c_token_t));
        ngx_str_set(&token->portal, "*");
        token->token = value[i];
    }

    return NGX_CONF_OK;
}


char *
ngx_b1c_token_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t    *value;
    ngx_array_t  *tokens;

    tokens = ngx_b1c_token_array(cf, cmd, conf);
    if (tokens == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    return ngx_b1c_secret_lines(cf, &cmd->name, &value[1], ngx_b1c_token_line,
                                tokens);
}


static ngx_int_t
ngx_b1c_token_line(ngx_conf_t *cf, void *data, ngx_str_t *line,
    const char **what)
{
    ngx_array_t *tokens = data;

    u_char           *p, *last;
    ngx_b1c_token_t  *token;

    *what = "expected \"portal token\": a member_id, a domain, both as "
            "\"domain/member_id\", or \"*\", then a token of 8 to 256 "
            "printable ASCII characters";

    token = ngx_array_push(tokens);
    if (token == NULL) {
        return NGX_ERROR;
    }

    p = line->data;
    last = p + line->len;

    token->portal.data = p;

    while (p < last && *p != ' ' && *p != '\t') {

        /* the byte order mark that some editors write first */

        if (*p == 0xef) {
            return NGX_DECLINED;
        }

        p++;
    }

    token->portal.len = p - token->portal.data;
    ngx_b1c_token_split(token);

    /* an address instead of a domain would silently never match */

    if (token->pair
        && (token->portal.len == 0 || token->member_id.len == 0
            || token->portal.data[0] == '*'
            || ngx_strlchr(token->member_id.data, p, '/') != NULL))
    {
        return NGX_DECLINED;
    }

    while (p < last && (*p == ' ' || *p == '\t')) { p++; }

    token->token.data = p;
    token->token.len = last - p;

    return ngx_b1c_token_valid(&token->token);
}


static ngx_int_t
ngx_b1c_token_valid(ngx_str_t *token)
{
    ngx_uint_t  i;

    if (token->len < NGX_B1C_TOKEN_MIN || token->len > NGX_B1C_TOKEN_MAX) {
        return NGX_DECLINED;
    }

    for (i = 0; i < token->len; i++) {
        if (token->data[i] <= ' ' || token->data[i] >= 0x7f) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_array_t *
ngx_b1c_token_array(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_array_t  **tokens;

    tokens = (ngx_array_t **) (p + cmd->offset);

    if (*tokens == NGX_CONF_UNSET_PTR) {
        *tokens = ngx_array_create(cf->pool, 4, sizeof(ngx_b1c_token_t));
    }

    return *tokens;
}


static void
ngx_b1c_token_split(ngx_b1c_token_t *token)
{
    u_char  *p, *last;

    last = token->portal.data + token->portal.len;
    p = ngx_strlchr(token->portal.data, last, '/');

    token->pair = (p != NULL);
    ngx_str_null(&token->member_id);

    if (p) {
        token->portal.len = p - token->portal.data;
        token->member_id.data = p + 1;
        token->member_id.len = last - p - 1;
    }
}


ngx_uint_t
ngx_b1c_token_check(ngx_array_t *tokens, ngx_str_t *token,
    ngx_str_t *member_id, ngx_str_t *domain)
{
    ngx_uint_t        i, same, names, all, proven, owned;
    ngx_b1c_token_t  *known;

    proven = 0;
    owned = 0;
    known = tokens->elts;
    all = NGX_B1C_TOKEN_MEMBER_ID|NGX_B1C_TOKEN_DOMAIN;

    /* always to the end: the time must not reveal which token matched */

    for (i = 0; i < tokens->nelts; i++) {
        same = (ngx_b1c_token_differs(&known[i].token, token) == 0);

        if (known[i].portal.len == 1 && known[i].portal.data[0] == '*') {
            proven |= same * all;
            continue;
        }

        names = ngx_b1c_token_names(&known[i], member_id, domain);

        proven |= same * names;
        owned |= names;
    }

    /* a name that other lines have speaks by the tokens of those lines only */

    if (proven && (owned & ~proven)) {
        return NGX_B1C_TOKEN_CONTRADICTS;
    }

    return proven;
}


/* the portal is not secret, so a normal comparison is sufficient */
static ngx_uint_t
ngx_b1c_token_names(ngx_b1c_token_t *known, ngx_str_t *member_id,
    ngx_str_t *domain)
{
    ngx_uint_t  names;

    names = ngx_b1c_token_equal(&known->portal, domain)
            ? NGX_B1C_TOKEN_DOMAIN : 0;

    if (ngx_b1c_token_equal(known->pair ? &known->member_id : &known->portal,
                            member_id))
    {
        names |= NGX_B1C_TOKEN_MEMBER_ID;
    }

    return names;
}


static ngx_uint_t
ngx_b1c_token_equal(ngx_str_t *a, ngx_str_t *b)
{
    return a->len && a->len == b->len
           && ngx_strncasecmp(a->data, b->data, a->len) == 0;
}


static ngx_uint_t
ngx_b1c_token_differs(ngx_str_t *known, ngx_str_t *token)
{
    u_char               c;
    ngx_uint_t           i;
    volatile ngx_uint_t  differs;

    differs = known->len ^ token->len;

    /* the number of steps depends on the known token only */

    for (i = 0; i < known->len; i++) {
        c = token->len ? token->data[i % token->len] : 0;
        differs |= known->data[i] ^ c;
    }

    return differs;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_delivery.h"
#include "b1c_base.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>


#define NGX_B1C_SIGN_SIZE  32
#define NGX_B1C_SIGN_KEY   24      /* minimum of the specification, bytes */


static ngx_int_t ngx_b1c_sign_line(ngx_conf_t *cf, void *data, ngx_str_t *line,
    const char **what);


char *
ngx_b1c_sign_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t    *value;
    ngx_array_t **keys;

    keys = (ngx_array_t **) (p + cmd->offset);

    if (*keys != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    *keys = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
    if (*keys == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    return ngx_b1c_secret_lines(cf, &cmd->name, &value[1], ngx_b1c_sign_line,
                                *keys);
}


static ngx_int_t
ngx_b1c_sign_line(ngx_conf_t *cf, void *data, ngx_str_t *line,
    const char **what)
{
    ngx_array_t *keys = data;

    ngx_str_t  *key, text;

    *what = "expected \"whsec_\" and the base64 of at least 24 bytes, as "
            "\"openssl rand -base64 24\" makes them";

    if (line->len < 6 || ngx_strncmp(line->data, "whsec_", 6) != 0) {
        return NGX_DECLINED;
    }

    text.data = line->data + 6;
    text.len = line->len - 6;

    key = ngx_array_push(keys);
    if (key == NULL) {
        return NGX_ERROR;
    }

    key->data = ngx_pnalloc(cf->pool, ngx_base64_decoded_length(text.len));
    if (key->data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_decode_base64(key, &text) != NGX_OK
        || key->len < NGX_B1C_SIGN_KEY)
    {
        return NGX_DECLINED;
    }

    /* the decoder ends at the first '=', but later text must not be ignored */

    if (ngx_strlchr(text.data, text.data + text.len, '=')
        && ngx_base64_encoded_length(key->len) != text.len)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_b1c_sign_header(ngx_pool_t *pool, ngx_array_t *keys, ngx_str_t *id,
    time_t timestamp, ngx_str_t *head, ngx_str_t *tail, ngx_str_t *signature)
{
    u_char        hmac[NGX_B1C_SIGN_SIZE];
    u_char       *text, *p;
    ngx_str_t    *key, raw, base64;
    ngx_uint_t    i;
    unsigned int  len;

    text = ngx_pnalloc(pool, id->len + NGX_TIME_T_LEN + 2 + head->len
                             + tail->len);

    signature->data = ngx_pnalloc(pool,
              keys->nelts
              * (4 + ngx_base64_encoded_length(NGX_B1C_SIGN_SIZE)));

    if (text == NULL || signature->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(text, "%V.%T.%V%V", id, timestamp, head, tail);

    raw.data = hmac;
    raw.len = NGX_B1C_SIGN_SIZE;

    base64.data = signature->data;
    key = keys->elts;

    for (i = 0; i < keys->nelts; i++) {

        if (HMAC(EVP_sha256(), key[i].data, (int) key[i].len, text, p - text,
                 hmac, &len)
            == NULL)
        {
            return NGX_ERROR;
        }

        if (i) {
            *base64.data++ = ' ';
        }

        base64.data = ngx_cpymem(base64.data, "v1,", 3);

        ngx_encode_base64(&base64, &raw);
        base64.data += base64.len;
    }

    signature->len = base64.data - signature->data;

    return NGX_OK;
}

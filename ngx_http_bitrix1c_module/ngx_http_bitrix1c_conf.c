
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_conf.h"
#include "bitrix_event.h"

#include <iconv.h>


extern ngx_module_t  ngx_http_proxy_module;


static ngx_uint_t ngx_http_bitrix1c_charset_ascii(iconv_t cd);
static void ngx_http_bitrix1c_charset_close(void *data);


char *
ngx_http_bitrix1c_masks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t    *value, *mask;
    ngx_uint_t    i, k;
    ngx_array_t **masks;

    masks = (ngx_array_t **) (p + cmd->offset);
    value = cf->args->elts;

    if (*masks == NGX_CONF_UNSET_PTR) {
        *masks = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (*masks == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 1; i < cf->args->nelts; i++) {

        for (k = 0; k < value[i].len; k++) {
            if (value[i].data[k] <= ' ' || value[i].data[k] >= 0x7f) {
                break;
            }
        }

        if (k == 0 || k < value[i].len || k > 128) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid mask \"%V\" in \"%V\" directive: %s "
                               "is due", &value[i], &cmd->name,
                               cmd->offset
                               == offsetof(ngx_http_bitrix1c_loc_conf_t,
                                           methods)
                               ? "a method's name such as sale.order.*"
                               : "an event's name such as ONCRMDEAL*");
            return NGX_CONF_ERROR;
        }

        mask = ngx_array_push(*masks);
        if (mask == NULL) {
            return NGX_CONF_ERROR;
        }

        *mask = value[i];
    }

    return NGX_CONF_OK;
}


char *
ngx_http_bitrix1c_limits(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_bitrix1c_loc_conf_t *lcf = conf;

    size_t       len;
    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t   i, *limit;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "pairs=", 6) == 0) {
            limit = &lcf->pairs;
            len = 6;

        } else if (ngx_strncmp(value[i].data, "depth=", 6) == 0) {
            limit = &lcf->depth;
            len = 6;

        } else if (ngx_strncmp(value[i].data, "key=", 4) == 0) {
            limit = &lcf->key_len;
            len = 4;

        } else {
            limit = NULL;
            len = 0;
        }

        n = ngx_atoi(value[i].data + len, value[i].len - len);

        /* the tree is walked by recursion, so its depth has a bound */

        if (limit == NULL || n == NGX_ERROR || n < 1
            || n > (limit == &lcf->depth ? 64 : 1000000))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in "
                               "\"bitrix1c_limits\" directive: pairs=number, "
                               "depth=number of at most 64, or key=bytes is "
                               "due", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (*limit != NGX_CONF_UNSET_UINT) {
            return "has a duplicate parameter";
        }

        *limit = n;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_bitrix1c_permanent(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_bitrix1c_loc_conf_t *lcf = conf;

    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t   i, *code;

    if (lcf->permanent != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    lcf->permanent = ngx_array_create(cf->pool, cf->args->nelts,
                                      sizeof(ngx_uint_t));
    if (lcf->permanent == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        n = ngx_atoi(value[i].data, value[i].len);

        if (n == NGX_ERROR || n < 300 || n > 599) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid code \"%V\" in "
                               "\"bitrix1c_permanent\" directive: a status "
                               "from 300 to 599 is due", &value[i]);
            return NGX_CONF_ERROR;
        }

        code = ngx_array_push(lcf->permanent);
        *code = n;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_bitrix1c_charset(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_bitrix1c_loc_conf_t *lcf = conf;

    iconv_t              cd;
    ngx_str_t           *value;
    ngx_pool_cleanup_t  *cln;

    if (lcf->charset.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcasecmp(value[1].data, (u_char *) "utf-8") == 0) {
        ngx_str_set(&lcf->charset, "");
        return NGX_CONF_OK;
    }

    cd = iconv_open("UTF-8", (char *) value[1].data);

    if (cd == (iconv_t) -1 || !ngx_http_bitrix1c_charset_ascii(cd)) {

        if (cd != (iconv_t) -1) {
            iconv_close(cd);
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown charset \"%V\" in \"bitrix1c_charset\" "
                           "directive: a name that \"iconv -l\" lists, of a "
                           "charset with ASCII in it, is due",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    /* kept open: libc loads its tables from disk for the first one only */

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        iconv_close(cd);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_bitrix1c_charset_close;
    cln->data = (void *) cd;

    lcf->charset = value[1];

    return NGX_CONF_OK;
}


/* keys of a form and the words of JSON are compared as ASCII */
static ngx_uint_t
ngx_http_bitrix1c_charset_ascii(iconv_t cd)
{
    char    text[] = "event=ONSALE&data[ID]={\"1\":2}%+", out[64];
    char   *from, *to;
    size_t  n, left;

    from = text;
    n = sizeof(text) - 1;
    to = out;
    left = sizeof(out);

    return iconv(cd, &from, &n, &to, &left) != (size_t) -1
           && to - out == sizeof(text) - 1
           && ngx_memcmp(text, out, sizeof(text) - 1) == 0;
}


static void
ngx_http_bitrix1c_charset_close(void *data)
{
    iconv_close((iconv_t) data);
}


void
ngx_http_bitrix1c_no_redirects(ngx_conf_t *cf)
{
    ngx_http_upstream_conf_t  *ucf;

    /* that of the upstream stands first in the proxy module's own */

    ucf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_proxy_module);

    if (ucf) {
        ucf->ignore_headers |= NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT;
    }
}


ngx_uint_t
ngx_http_bitrix1c_masked(ngx_array_t *masks, ngx_str_t *name)
{
    ngx_str_t   *mask;
    ngx_uint_t   i;

    if (masks == NULL) {
        return 0;
    }

    mask = masks->elts;

    for (i = 0; i < masks->nelts; i++) {
        if (bitrix_mask_match((char *) mask[i].data, mask[i].len,
                              (char *) name->data, name->len))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_calls.h"
#include "bitrix_event.h"


static char *ngx_http_bitrix1c_calls_split(ngx_conf_t *cf, ngx_str_t *list,
    ngx_array_t *fields);


char *
ngx_http_bitrix1c_calls_coalesce(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_bitrix1c_loc_conf_t *lcf = conf;

    ngx_str_t                     *value;
    ngx_http_bitrix1c_coalesce_t  *rule;

    value = cf->args->elts;

    if (lcf->coalesce == NGX_CONF_UNSET_PTR) {
        lcf->coalesce = ngx_array_create(cf->pool, 2,
                                       sizeof(ngx_http_bitrix1c_coalesce_t));
        if (lcf->coalesce == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    rule = ngx_array_push(lcf->coalesce);
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    rule->method = value[1];
    rule->fields = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));

    if (rule->fields == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_bitrix1c_calls_split(cf, &value[2], rule->fields);
}


static char *
ngx_http_bitrix1c_calls_split(ngx_conf_t *cf, ngx_str_t *list,
    ngx_array_t *fields)
{
    u_char     *p, *start, *last;
    ngx_str_t  *field;

    start = list->data;
    last = list->data + list->len;

    for (p = start; p <= last; p++) {

        if (p < last && *p != ',') {
            continue;
        }

        if (p == start) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid fields \"%V\" in \"bitrix1c_coalesce\""
                               ": names of parameters with commas between "
                               "are due, such as productId,storeId", list);
            return NGX_CONF_ERROR;
        }

        field = ngx_array_push(fields);
        if (field == NULL) {
            return NGX_CONF_ERROR;
        }

        field->data = start;
        field->len = p - start;

        start = p + 1;
    }

    return NGX_CONF_OK;
}

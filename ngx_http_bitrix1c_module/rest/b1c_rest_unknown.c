
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"


/*
 * Programs that use Bitrix's libraries send a call again after 502, 504 and
 * the like, some of them ten times.  None does so after 409.
 */


static ngx_uint_t ngx_b1c_rest_unknown_repeatable(ngx_b1c_rest_t *rest);
static ngx_uint_t ngx_b1c_rest_unknown_harmless(ngx_b1c_rest_t *rest,
    ngx_str_t *method);


void
ngx_b1c_rest_unknown_mark(ngx_b1c_rest_t *rest, ngx_b1c_error_t *error)
{
    /* these say that the call was not executed */

    if (error->status < NGX_HTTP_INTERNAL_SERVER_ERROR
        || error->status == NGX_HTTP_SERVICE_UNAVAILABLE
        || ngx_strcmp(error->code, "BITRIX1C_NOT_REACHED") == 0
        || ngx_strcmp(error->code, "BITRIX1C_REDIRECT") == 0)
    {
        return;
    }

    if (ngx_b1c_rest_unknown_repeatable(rest)) {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, rest->request->connection->log, 0,
                  "bitrix1c_rest: the outcome of %V is unknown, its caller "
                  "must not send it again: %s", &rest->method, error->text);

    error->status = NGX_HTTP_CONFLICT;
    error->code = "BITRIX1C_OUTCOME_UNKNOWN";
    error->text = "the portal gave no valid answer, it is unknown whether the "
                  "call was executed: check in Bitrix before you send it "
                  "again";
}


static ngx_uint_t
ngx_b1c_rest_unknown_repeatable(ngx_b1c_rest_t *rest)
{
    size_t     i;
    ngx_str_t  method;

    if (rest->batch == NULL) {
        return ngx_b1c_rest_unknown_harmless(rest, &rest->method);
    }

    for (i = 0; i < rest->batch->n; i++) {
        method.data = (u_char *) rest->batch->commands[i].method;
        method.len = ngx_strlen(method.data);

        if (!ngx_b1c_rest_unknown_harmless(rest, &method)) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_b1c_rest_unknown_harmless(ngx_b1c_rest_t *rest, ngx_str_t *method)
{
    ngx_b1c_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(rest->request,
                                       ngx_http_bitrix1c_module);

    return ngx_b1c_rest_echo_reads((char *) method->data, method->len)
           || ngx_b1c_conf_matches(lcf->rest.idempotent, method);
}

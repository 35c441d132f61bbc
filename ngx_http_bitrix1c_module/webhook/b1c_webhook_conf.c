
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_webhook.h"
#include "b1c_job.h"


static ngx_int_t ngx_b1c_webhook_conf_check_route(ngx_conf_t *cf,
    ngx_b1c_main_conf_t *mcf, ngx_b1c_route_t *route);


/* with these 1C rejects the event, so a retry is useless */
static ngx_uint_t  ngx_b1c_webhook_conf_codes[] = {
    400, 410, 413, 415, 422
};


char *
ngx_b1c_webhook_conf_webhook(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_b1c_loc_conf_t *lcf = conf;

    ngx_b1c_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_bitrix1c_module);

    return ngx_b1c_conf_route(cf, &mcf->routes, &lcf->webhook.route);
}


char *
ngx_b1c_webhook_conf_limits(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_b1c_loc_conf_t *lcf = conf;

    size_t      len;
    ngx_int_t   n;
    ngx_str_t  *value;
    ngx_uint_t  i, *limit;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "pairs=", 6) == 0) {
            limit = &lcf->webhook.pairs;
            len = 6;

        } else if (ngx_strncmp(value[i].data, "depth=", 6) == 0) {
            limit = &lcf->webhook.depth;
            len = 6;

        } else if (ngx_strncmp(value[i].data, "key=", 4) == 0) {
            limit = &lcf->webhook.key_len;
            len = 4;

        } else {
            limit = NULL;
            len = 0;
        }

        n = ngx_atoi(value[i].data + len, value[i].len - len);

        /* the tree is walked by recursion, so its depth is limited */

        if (limit == NULL || n == NGX_ERROR || n < 1
            || n > (limit == &lcf->webhook.depth ? 64 : 1000000))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in "
                               "\"bitrix1c_limits\" directive: expected "
                               "pairs=number, depth=number of at most 64, or "
                               "key=bytes", &value[i]);
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
ngx_b1c_webhook_conf_permanent(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_b1c_loc_conf_t *lcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;
    ngx_uint_t  i, *code;

    if (lcf->webhook.permanent != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    lcf->webhook.permanent = ngx_array_create(cf->pool, cf->args->nelts,
                                      sizeof(ngx_uint_t));
    if (lcf->webhook.permanent == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        n = ngx_atoi(value[i].data, value[i].len);

        if (n == NGX_ERROR || n < 300 || n > 599) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid code \"%V\" in \"bitrix1c_permanent\" "
                               "directive: expected a status from 300 to 599",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        code = ngx_array_push(lcf->webhook.permanent);
        *code = n;
    }

    return NGX_CONF_OK;
}


char *
ngx_b1c_webhook_conf_token_arg(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_b1c_loc_conf_t *lcf = conf;

    size_t      i;
    ngx_str_t  *value;

    if (lcf->webhook.token_arg.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        if (!((value[1].data[i] >= 'a' && value[1].data[i] <= 'z')
              || (value[1].data[i] >= 'A' && value[1].data[i] <= 'Z')
              || (value[1].data[i] >= '0' && value[1].data[i] <= '9')
              || value[1].data[i] == '_' || value[1].data[i] == '-'))
        {
            break;
        }
    }

    if (value[1].len == 0 || i < value[1].len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in \"bitrix1c_token_arg\" "
                           "directive: letters, digits, \"_\" and \"-\" are "
                           "expected, as in \"bitrix1c_token_arg token;\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    lcf->webhook.token_arg = value[1];

    return NGX_CONF_OK;
}


void
ngx_b1c_webhook_conf_create(ngx_b1c_loc_conf_t *lcf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     lcf->webhook.route = NULL;
     *     lcf->webhook.key = NULL;
     *     lcf->webhook.token_arg = { 0, NULL };
     */

    lcf->webhook.tokens = NGX_CONF_UNSET_PTR;
    lcf->webhook.events = NGX_CONF_UNSET_PTR;
    lcf->webhook.once = NGX_CONF_UNSET_PTR;
    lcf->webhook.permanent = NGX_CONF_UNSET_PTR;
    lcf->webhook.sign = NGX_CONF_UNSET_PTR;
    lcf->webhook.pairs = NGX_CONF_UNSET_UINT;
    lcf->webhook.depth = NGX_CONF_UNSET_UINT;
    lcf->webhook.key_len = NGX_CONF_UNSET_UINT;
    lcf->webhook.skew = NGX_CONF_UNSET;
    lcf->webhook.wait = NGX_CONF_UNSET_MSEC;
    lcf->webhook.echo = NGX_CONF_UNSET_MSEC;
    lcf->webhook.event_token = NGX_CONF_UNSET;
}


char *
ngx_b1c_webhook_conf_merge(ngx_conf_t *cf, ngx_b1c_loc_conf_t *parent,
    ngx_b1c_loc_conf_t *child)
{
    ngx_uint_t             *code;
    ngx_b1c_webhook_loc_t  *prev, *conf;

    prev = &parent->webhook;
    conf = &child->webhook;

    ngx_conf_merge_ptr_value(conf->tokens, prev->tokens, NULL);
    ngx_conf_merge_ptr_value(conf->events, prev->events, NULL);
    ngx_conf_merge_ptr_value(conf->once, prev->once, NULL);
    ngx_conf_merge_ptr_value(conf->sign, prev->sign, NULL);
    ngx_conf_merge_ptr_value(conf->permanent, prev->permanent, NULL);
    ngx_conf_merge_uint_value(conf->pairs, prev->pairs, 1000);
    ngx_conf_merge_uint_value(conf->depth, prev->depth, 8);
    ngx_conf_merge_uint_value(conf->key_len, prev->key_len, 256);
    ngx_conf_merge_sec_value(conf->skew, prev->skew, 0);
    ngx_conf_merge_msec_value(conf->wait, prev->wait, 0);
    ngx_conf_merge_msec_value(conf->echo, prev->echo, 0);
    ngx_conf_merge_str_value(conf->token_arg, prev->token_arg, "");
    ngx_conf_merge_value(conf->event_token, prev->event_token, 0);

    if (conf->key == NULL) {
        conf->key = prev->key;
    }

    if (conf->permanent == NULL) {
        conf->permanent = ngx_array_create(cf->pool, 5, sizeof(ngx_uint_t));
        if (conf->permanent == NULL) {
            return NGX_CONF_ERROR;
        }

        code = ngx_array_push_n(conf->permanent, 5);

        ngx_memcpy(code, ngx_b1c_webhook_conf_codes,
                   sizeof(ngx_b1c_webhook_conf_codes));
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_b1c_webhook_conf_check(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf)
{
    ngx_uint_t         i;
    ngx_b1c_route_t  **route;

    route = mcf->routes.elts;

    for (i = 0; i < mcf->routes.nelts; i++) {
        if (ngx_b1c_webhook_conf_check_route(cf, mcf, route[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_webhook_conf_check_route(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf,
    ngx_b1c_route_t *route)
{
    ngx_b1c_loc_conf_t  *lcf;

    route->queue = ngx_b1c_conf_queue(mcf, &route->name);

    if (route->queue == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown queue \"%V\" in \"bitrix1c_webhook\" directive "
                      "in %V:%ui: no \"bitrix1c_queue %V { ... }\" is in the "
                      "http block", &route->name, &route->file, route->line,
                      &route->name);
        return NGX_ERROR;
    }

    lcf = route->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];

    if (lcf->api) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"bitrix1c_webhook\" and \"bitrix1c_api\" in one "
                      "location in %V:%ui: the API needs a location of its "
                      "own",
                      &route->file, route->line);
        return NGX_ERROR;
    }

    if (lcf->webhook.echo && mcf->echo == NULL
        && ngx_b1c_echo_zone(cf, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (route->clcf->named) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"bitrix1c_webhook\" in the named location in %V:%ui: "
                      "deliveries need a location with an address",
                      &route->file, route->line);
        return NGX_ERROR;
    }

    if (lcf->webhook.tokens == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"bitrix1c_token\" or \"bitrix1c_token_file\" for "
                      "\"bitrix1c_webhook\" in %V:%ui: specify the token of "
                      "the outbound webhook, or anybody could send events",
                      &route->file, route->line);
        return NGX_ERROR;
    }

    if (route->clcf->handler == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"proxy_pass\" in the location of "
                      "\"bitrix1c_webhook\" in %V:%ui: specify the address of "
                      "1C",
                      &route->file, route->line);
        return NGX_ERROR;
    }

    if (ngx_b1c_webhook_empty_check(cf, route) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_b1c_conf_no_try_files(cf, route, "bitrix1c_webhook");
}

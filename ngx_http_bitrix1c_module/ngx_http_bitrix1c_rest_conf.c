
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_rest_conf.h"
#include "ngx_http_bitrix1c_callback.h"
#include "ngx_http_bitrix1c_conf.h"
#include "ngx_http_bitrix1c_portal.h"


/* a longer wait would outlive the caller; pace.lua relies on it too */
#define NGX_HTTP_BITRIX1C_MAX_WAIT  600000


static ngx_int_t ngx_http_bitrix1c_pace_rate(ngx_str_t *value,
    ngx_uint_t *rate);
static ngx_int_t ngx_http_bitrix1c_pace_portal(ngx_str_t *value);
static ngx_int_t ngx_http_bitrix1c_rest_check_one(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf, ngx_http_bitrix1c_route_t *rest);
static ngx_int_t ngx_http_bitrix1c_rest_check_calls(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf, ngx_http_bitrix1c_route_t *rest);
static ngx_int_t ngx_http_bitrix1c_rest_check_location(ngx_conf_t *cf,
    ngx_http_bitrix1c_route_t *rest);
static ngx_int_t ngx_http_bitrix1c_rest_check_portal(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf, ngx_http_bitrix1c_route_t *rest);
static ngx_str_t *ngx_http_bitrix1c_rest_host(
    ngx_http_bitrix1c_route_t *rest);


extern ngx_module_t  ngx_http_proxy_module;


/* what is done twice with the same end: values that are set, not added to */
static ngx_str_t  ngx_http_bitrix1c_rest_masks[] = {
    ngx_string("*.update"),
    ngx_string("*.set")
};


static ngx_array_t  ngx_http_bitrix1c_rest_repeatable = {
    ngx_http_bitrix1c_rest_masks, 2, sizeof(ngx_str_t), 2, NULL
};


char *
ngx_http_bitrix1c_rest(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_bitrix1c_loc_conf_t *lcf = conf;

    ngx_str_t                       *value;
    ngx_http_bitrix1c_route_t   *rest, **p;
    ngx_http_bitrix1c_main_conf_t   *mcf;

    if (lcf->rest) {
        return "is duplicate";
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_bitrix1c_module);

    rest = ngx_pcalloc(cf->pool, sizeof(ngx_http_bitrix1c_route_t));
    p = ngx_array_push(&mcf->rests);

    if (rest == NULL || p == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    rest->name = value[1];
    rest->cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    rest->clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    rest->file = cf->conf_file->file.name;
    rest->line = cf->conf_file->line;

    *p = rest;
    lcf->rest = rest;

    return NGX_CONF_OK;
}


char *
ngx_http_bitrix1c_pace(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_bitrix1c_loc_conf_t *lcf = conf;

    ngx_int_t    n;
    ngx_str_t   *value, s;
    ngx_uint_t   i;
    ngx_msec_t   ms, *time;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "rate=", 5) == 0) {
            s.data = value[i].data + 5;
            s.len = value[i].len - 5;

            if (lcf->rate == NGX_CONF_UNSET_UINT
                && ngx_http_bitrix1c_pace_rate(&s, &lcf->rate) == NGX_OK)
            {
                continue;
            }

        } else if (ngx_strncmp(value[i].data, "burst=", 6) == 0) {
            n = ngx_atoi(value[i].data + 6, value[i].len - 6);

            if (n != NGX_ERROR && n >= 1 && n <= 1000000
                && lcf->burst == NGX_CONF_UNSET_UINT)
            {
                lcf->burst = n;
                continue;
            }

        } else if (ngx_strncmp(value[i].data, "portal=", 7) == 0) {
            s.data = value[i].data + 7;
            s.len = value[i].len - 7;

            if (lcf->portal.data == NULL
                && ngx_http_bitrix1c_pace_portal(&s) == NGX_OK)
            {
                lcf->portal = s;
                continue;
            }

        } else if (ngx_strncmp(value[i].data, "max_wait=", 9) == 0
                   || ngx_strncmp(value[i].data, "overload=", 9) == 0)
        {
            time = value[i].data[0] == 'm' ? &lcf->max_wait : &lcf->overload;

            s.data = value[i].data + 9;
            s.len = value[i].len - 9;
            ms = ngx_parse_time(&s, 0);

            if (ms != (ngx_msec_t) NGX_ERROR
                && ms <= (time == &lcf->max_wait ? NGX_HTTP_BITRIX1C_MAX_WAIT
                                                 : 86400000)
                && *time == NGX_CONF_UNSET_MSEC)
            {
                *time = ms;
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"bitrix1c_pace\" "
                           "directive: rate=number/s or number/m, "
                           "burst=number, max_wait=time of at most 10m, "
                           "overload=time of at most 1d or portal=name is "
                           "due, each once", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_bitrix1c_pace_rate(ngx_str_t *value, ngx_uint_t *rate)
{
    ngx_int_t  n;

    if (value->len < 3 || value->data[value->len - 2] != '/') {
        return NGX_ERROR;
    }

    n = ngx_atoi(value->data, value->len - 2);

    if (n == NGX_ERROR || n < 1 || n > 1000000) {
        return NGX_ERROR;
    }

    switch (value->data[value->len - 1]) {

    case 's':
        *rate = n * 1000;
        return NGX_OK;

    case 'm':
        *rate = ngx_max(n * 1000 / 60, 1);
        return NGX_OK;

    default:
        return NGX_ERROR;
    }
}


/* it becomes a part of a key in Redis and of the name of a zone */
static ngx_int_t
ngx_http_bitrix1c_pace_portal(ngx_str_t *value)
{
    u_char      ch;
    ngx_uint_t  i;

    for (i = 0; i < value->len; i++) {
        ch = value->data[i];

        if (!(ch >= 'a' && ch <= 'z') && !(ch >= 'A' && ch <= 'Z')
            && !(ch >= '0' && ch <= '9') && ch != '.' && ch != '-'
            && ch != '_')
        {
            return NGX_ERROR;
        }
    }

    return i > 0 && i <= 128 ? NGX_OK : NGX_ERROR;
}


void
ngx_http_bitrix1c_rest_create_conf(ngx_http_bitrix1c_loc_conf_t *lcf)
{
    lcf->methods = NGX_CONF_UNSET_PTR;
    lcf->async = NGX_CONF_UNSET_PTR;
    lcf->coalesce = NGX_CONF_UNSET_PTR;
    lcf->repeatable = NGX_CONF_UNSET_PTR;
    lcf->rate = NGX_CONF_UNSET_UINT;
    lcf->burst = NGX_CONF_UNSET_UINT;
    lcf->max_wait = NGX_CONF_UNSET_MSEC;
    lcf->overload = NGX_CONF_UNSET_MSEC;
}


void
ngx_http_bitrix1c_rest_merge_conf(ngx_http_bitrix1c_loc_conf_t *prev,
    ngx_http_bitrix1c_loc_conf_t *conf)
{
    ngx_conf_merge_ptr_value(conf->methods, prev->methods, NULL);
    ngx_conf_merge_ptr_value(conf->async, prev->async, NULL);
    ngx_conf_merge_ptr_value(conf->coalesce, prev->coalesce, NULL);
    ngx_conf_merge_ptr_value(conf->repeatable, prev->repeatable,
                             &ngx_http_bitrix1c_rest_repeatable);
    ngx_conf_merge_str_value(conf->callback, prev->callback, "");

    /* Bitrix24's own numbers for all plans below Enterprise */

    ngx_conf_merge_uint_value(conf->rate, prev->rate, 2000);
    ngx_conf_merge_uint_value(conf->burst, prev->burst, 50);
    ngx_conf_merge_msec_value(conf->max_wait, prev->max_wait, 10000);
    ngx_conf_merge_msec_value(conf->overload, prev->overload, 300000);
    ngx_conf_merge_str_value(conf->portal, prev->portal, "");
}


ngx_int_t
ngx_http_bitrix1c_rest_check(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf)
{
    ngx_uint_t                       i;
    ngx_http_bitrix1c_route_t  **rest;

    rest = mcf->rests.elts;

    for (i = 0; i < mcf->rests.nelts; i++) {
        if (ngx_http_bitrix1c_rest_check_one(cf, mcf, rest[i]) != NGX_OK
            || ngx_http_bitrix1c_rest_check_calls(cf, mcf, rest[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_bitrix1c_callback_check(cf, mcf);
}


/*
 * A queue has one breaker, one pace and one concurrency, which are about one
 * server: calls are kept in a queue only if it is not 1C's.
 */
static ngx_int_t
ngx_http_bitrix1c_rest_check_calls(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf, ngx_http_bitrix1c_route_t *rest)
{
    ngx_uint_t                      i;
    ngx_http_bitrix1c_route_t     **route;
    ngx_http_bitrix1c_loc_conf_t   *lcf;

    lcf = rest->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];
    route = mcf->routes.elts;

    for (i = 0; i < mcf->routes.nelts; i++) {

        if (route[i]->queue != rest->queue) {
            continue;
        }

        if (lcf->async == NULL && lcf->callback.len == 0
            && lcf->coalesce == NULL)
        {
            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "the queue \"%V\" of \"bitrix1c_rest\" in %V:%ui is "
                      "one of \"bitrix1c_webhook\" too: calls that are kept, "
                      "see \"bitrix1c_async\", need a queue of their own, "
                      "which may be in the same Redis", &rest->name,
                      &rest->file, rest->line);
        return NGX_ERROR;
    }

    rest->queue->calls = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_bitrix1c_rest_check_one(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf, ngx_http_bitrix1c_route_t *rest)
{
    ngx_http_bitrix1c_loc_conf_t  *lcf;

    rest->queue = ngx_http_bitrix1c_queue_find(mcf, &rest->name);

    if (rest->queue == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown queue \"%V\" in \"bitrix1c_rest\" directive "
                      "in %V:%ui: no \"bitrix1c_queue %V { ... }\" is in the "
                      "http block", &rest->name, &rest->file, rest->line,
                      &rest->name);
        return NGX_ERROR;
    }

    lcf = rest->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];

    if (lcf->route) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"bitrix1c_rest\" in %V:%ui is in a location with "
                      "\"bitrix1c_webhook\": each needs one of its own",
                      &rest->file, rest->line);
        return NGX_ERROR;
    }

    if (lcf->methods == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"bitrix1c_methods\" for \"bitrix1c_rest\" in "
                      "%V:%ui: it says what may be called, such as "
                      "\"bitrix1c_methods catalog.* sale.order.*;\"",
                      &rest->file, rest->line);
        return NGX_ERROR;
    }

    if (ngx_http_bitrix1c_rest_check_location(cf, rest) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_bitrix1c_rest_check_portal(cf, mcf, rest);
}


/* what follows the location's name is the method */
static ngx_int_t
ngx_http_bitrix1c_rest_check_location(ngx_conf_t *cf,
    ngx_http_bitrix1c_route_t *rest)
{
    ngx_str_t                 *name;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = rest->clcf;
    name = &clcf->name;

    if (clcf->named || clcf->exact_match
#if (NGX_PCRE)
        || clcf->regex
#endif
        || name->len == 0 || name->data[name->len - 1] != '/')
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"bitrix1c_rest\" in %V:%ui is in location \"%V\": one "
                      "by prefix with a slash at its end is due, such as "
                      "\"location /bitrix/\"", &rest->file, rest->line, name);
        return NGX_ERROR;
    }

    if (clcf->handler == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"proxy_pass\" in the location of \"bitrix1c_rest\" "
                      "in %V:%ui: it says where the portal is, with the key "
                      "of its inbound webhook", &rest->file, rest->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_bitrix1c_rest_check_portal(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf, ngx_http_bitrix1c_route_t *rest)
{
    ngx_str_t                     *name;
    ngx_http_bitrix1c_portal_t    *portal;
    ngx_http_bitrix1c_loc_conf_t  *lcf;

    lcf = rest->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];
    name = lcf->portal.len ? &lcf->portal
                           : ngx_http_bitrix1c_rest_host(rest);

    if (name == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no host in \"proxy_pass\" of \"bitrix1c_rest\" in "
                      "%V:%ui that names the portal: "
                      "\"bitrix1c_pace portal=name;\" is due",
                      &rest->file, rest->line);
        return NGX_ERROR;
    }

    portal = ngx_http_bitrix1c_portal_add(cf, mcf, rest->queue, name);
    if (portal == NULL) {
        return NGX_ERROR;
    }

    if (portal->rate
        && (portal->rate != lcf->rate || portal->burst != lcf->burst
            || portal->overload != lcf->overload))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"bitrix1c_rest\" in %V:%ui has another "
                      "\"bitrix1c_pace\" for the portal \"%V\" than a "
                      "location before it: Bitrix counts the calls of both "
                      "together", &rest->file, rest->line, &portal->name);
        return NGX_ERROR;
    }

    portal->rate = lcf->rate;
    portal->burst = lcf->burst;
    portal->overload = lcf->overload;
    rest->portal = portal;

    return NGX_OK;
}


/*
 * The configuration of the proxy module is its own, but that of its upstream
 * stands first in it: ngx_http_upstream.c takes every such module's by that.
 * With variables there is none.
 */
static ngx_str_t *
ngx_http_bitrix1c_rest_host(ngx_http_bitrix1c_route_t *rest)
{
    ngx_http_upstream_conf_t  *ucf;

    ucf = rest->clcf->loc_conf[ngx_http_proxy_module.ctx_index];

    if (ucf == NULL || ucf->upstream == NULL
        || ngx_http_bitrix1c_pace_portal(&ucf->upstream->host) != NGX_OK)
    {
        return NULL;
    }

    return &ucf->upstream->host;
}

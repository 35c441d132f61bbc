
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_base.h"
#include "b1c_portal.h"


/* the caller would not wait longer; pace.lua relies on it too */
#define NGX_B1C_MAX_WAIT  600000


static char *ngx_b1c_rest_conf_names(ngx_conf_t *cf, ngx_b1c_route_t *route);
static char *ngx_b1c_rest_conf_split(ngx_conf_t *cf, ngx_str_t *list,
    ngx_array_t *fields);
static ngx_int_t ngx_b1c_rest_conf_pace_portal(ngx_str_t *value);
static ngx_int_t ngx_b1c_rest_conf_check_one(ngx_conf_t *cf,
    ngx_b1c_main_conf_t *mcf, ngx_b1c_route_t *rest);
static ngx_int_t ngx_b1c_rest_conf_check_calls(ngx_conf_t *cf,
    ngx_b1c_main_conf_t *mcf, ngx_b1c_route_t *rest);
static ngx_int_t ngx_b1c_rest_conf_check_location(ngx_conf_t *cf,
    ngx_b1c_route_t *rest);
static ngx_int_t ngx_b1c_rest_conf_check_portal(ngx_conf_t *cf,
    ngx_b1c_main_conf_t *mcf, ngx_b1c_route_t *rest);
static ngx_str_t *ngx_b1c_rest_conf_host(ngx_b1c_route_t *rest);


extern ngx_module_t  ngx_http_proxy_module;


/* idempotent methods: they set values and do not add to them */
static ngx_str_t  ngx_b1c_rest_masks[] = {
    ngx_string("*.update"),
    ngx_string("*.set")
};


static ngx_array_t  ngx_b1c_rest_conf_idempotent = {
    ngx_b1c_rest_masks, 2, sizeof(ngx_str_t), 2, NULL
};


char *
ngx_b1c_rest_conf_rest(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_b1c_loc_conf_t *lcf = conf;

    char                 *rc;
    ngx_b1c_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_bitrix1c_module);

    rc = ngx_b1c_conf_route(cf, &mcf->rests, &lcf->rest.route);

    return rc == NGX_CONF_OK ? ngx_b1c_rest_conf_names(cf, lcf->rest.route)
                             : rc;
}


/* those that callers may use beside the names of the server */
static char *
ngx_b1c_rest_conf_names(ngx_conf_t *cf, ngx_b1c_route_t *route)
{
    ngx_str_t   *value, *name;
    ngx_uint_t   i;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    route->names = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
    if (route->names == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (value[i].len == 0 || strpbrk((char *) value[i].data, "/: ~")
            || (value[i].data[0] == '*' && value[i].len < 3))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid name \"%V\" in \"bitrix1c_rest\" "
                               "directive: it must be the name of a host, "
                               "without a port, such as gate.myshop.ru or "
                               "*.myshop.ru", &value[i]);
            return NGX_CONF_ERROR;
        }

        name = ngx_array_push(route->names);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    return NGX_CONF_OK;
}


char *
ngx_b1c_rest_conf_repeatable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "the \"bitrix1c_repeatable\" directive is deprecated, "
                       "use the \"bitrix1c_idempotent\" directive instead");

    return ngx_b1c_conf_globs(cf, cmd, conf);
}


char *
ngx_b1c_rest_conf_pace(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_b1c_loc_conf_t *lcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value, s;
    ngx_uint_t  i;
    ngx_msec_t  ms, *time;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "rate=", 5) == 0) {
            s.data = value[i].data + 5;
            s.len = value[i].len - 5;

            if (lcf->rest.rate == NGX_CONF_UNSET_UINT
                && ngx_b1c_limits_conf_parse_rate(&s, &lcf->rest.rate)
                   == NGX_OK)
            {
                continue;
            }

        } else if (ngx_strncmp(value[i].data, "burst=", 6) == 0) {
            n = ngx_atoi(value[i].data + 6, value[i].len - 6);

            if (n != NGX_ERROR && n >= 1 && n <= 1000000
                && lcf->rest.burst == NGX_CONF_UNSET_UINT)
            {
                lcf->rest.burst = n;
                continue;
            }

        } else if (ngx_strncmp(value[i].data, "portal=", 7) == 0) {
            s.data = value[i].data + 7;
            s.len = value[i].len - 7;

            if (lcf->rest.portal.data == NULL
                && ngx_b1c_rest_conf_pace_portal(&s) == NGX_OK)
            {
                lcf->rest.portal = s;
                continue;
            }

        } else if (ngx_strncmp(value[i].data, "max_wait=", 9) == 0
                   || ngx_strncmp(value[i].data, "overload=", 9) == 0)
        {
            time = value[i].data[0] == 'm' ? &lcf->rest.max_wait
                                           : &lcf->rest.overload;

            s.data = value[i].data + 9;
            s.len = value[i].len - 9;
            ms = ngx_parse_time(&s, 0);

            if (ms != (ngx_msec_t) NGX_ERROR
                && ms <= (time == &lcf->rest.max_wait ? NGX_B1C_MAX_WAIT
                                                 : 86400000)
                && *time == NGX_CONF_UNSET_MSEC)
            {
                *time = ms;
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"bitrix1c_pace\" "
                           "directive: expected a rate such as rate=2r/s or "
                           "rate=30r/m, burst=number, max_wait=time of at "
                           "most 10m, overload=time of at most 1d or "
                           "portal=name, each once", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* bitrix1c_batch [max=number] [time=time] */
char *
ngx_b1c_rest_conf_batch(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_b1c_loc_conf_t *lcf = conf;

    ngx_int_t    n;
    ngx_str_t   *value, s;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "max=", 4) == 0) {
            n = ngx_atoi(value[i].data + 4, value[i].len - 4);

            if (n != NGX_ERROR && n >= 1 && n <= B1C_BATCH_MAX
                && lcf->rest.batch_max == NGX_CONF_UNSET_UINT)
            {
                lcf->rest.batch_max = n;
                continue;
            }

        } else if (ngx_strncmp(value[i].data, "time=", 5) == 0) {
            s.data = value[i].data + 5;
            s.len = value[i].len - 5;
            n = ngx_parse_time(&s, 0);

            if (n != NGX_ERROR && n >= 1000 && n <= 60000
                && lcf->rest.batch_time == NGX_CONF_UNSET_MSEC)
            {
                lcf->rest.batch_time = n;
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"bitrix1c_batch\" "
                           "directive: expected max=number of 1 to 50 and "
                           "time=time of 1s to 60s, each once", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* it becomes a part of a key in Redis and of the name of a zone */
static ngx_int_t
ngx_b1c_rest_conf_pace_portal(ngx_str_t *value)
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
ngx_b1c_rest_conf_create(ngx_b1c_loc_conf_t *lcf)
{
    lcf->rest.methods = NGX_CONF_UNSET_PTR;
    lcf->rest.async = NGX_CONF_UNSET_PTR;
    lcf->rest.coalesce = NGX_CONF_UNSET_PTR;
    lcf->rest.batch_max = NGX_CONF_UNSET_UINT;
    lcf->rest.batch_time = NGX_CONF_UNSET_MSEC;
    lcf->rest.idempotent = NGX_CONF_UNSET_PTR;
    lcf->rest.rate = NGX_CONF_UNSET_UINT;
    lcf->rest.burst = NGX_CONF_UNSET_UINT;
    lcf->rest.max_wait = NGX_CONF_UNSET_MSEC;
    lcf->rest.overload = NGX_CONF_UNSET_MSEC;
}


void
ngx_b1c_rest_conf_merge(ngx_b1c_loc_conf_t *prev, ngx_b1c_loc_conf_t *conf)
{
    ngx_conf_merge_ptr_value(conf->rest.methods, prev->rest.methods, NULL);
    ngx_conf_merge_ptr_value(conf->rest.async, prev->rest.async, NULL);
    ngx_conf_merge_ptr_value(conf->rest.coalesce, prev->rest.coalesce, NULL);
    ngx_conf_merge_uint_value(conf->rest.batch_max, prev->rest.batch_max,
                              B1C_BATCH_MAX);
    ngx_conf_merge_msec_value(conf->rest.batch_time, prev->rest.batch_time,
                              40000);
    ngx_conf_merge_ptr_value(conf->rest.idempotent, prev->rest.idempotent,
                             &ngx_b1c_rest_conf_idempotent);
    ngx_conf_merge_str_value(conf->rest.callback, prev->rest.callback, "");

    /* Bitrix24's own numbers for all plans below Enterprise */

    ngx_conf_merge_uint_value(conf->rest.rate, prev->rest.rate, 2000);
    ngx_conf_merge_uint_value(conf->rest.burst, prev->rest.burst, 50);
    ngx_conf_merge_msec_value(conf->rest.max_wait, prev->rest.max_wait, 10000);
    ngx_conf_merge_msec_value(conf->rest.overload, prev->rest.overload, 300000);
    ngx_conf_merge_str_value(conf->rest.portal, prev->rest.portal, "");
}


ngx_int_t
ngx_b1c_rest_conf_check(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf)
{
    ngx_uint_t         i;
    ngx_b1c_route_t  **rest;

    rest = mcf->rests.elts;

    for (i = 0; i < mcf->rests.nelts; i++) {
        if (ngx_b1c_rest_conf_check_one(cf, mcf, rest[i]) != NGX_OK
            || ngx_b1c_rest_conf_check_calls(cf, mcf, rest[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_b1c_callback_check(cf, mcf);
}


/*
 * A queue has one breaker, one rate and one concurrency, which are those of
 * one server: a queue of calls must not be one of 1C's events.
 */
static ngx_int_t
ngx_b1c_rest_conf_check_calls(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf,
    ngx_b1c_route_t *rest)
{
    ngx_uint_t           i;
    ngx_b1c_route_t    **route;
    ngx_b1c_loc_conf_t  *lcf;

    lcf = rest->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];
    route = mcf->routes.elts;

    for (i = 0; i < mcf->routes.nelts; i++) {

        if (route[i]->queue != rest->queue) {
            continue;
        }

        if (lcf->rest.async == NULL && lcf->rest.callback.len == 0
            && lcf->rest.coalesce == NULL)
        {
            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "the queue \"%V\" of \"bitrix1c_rest\" in %V:%ui is one "
                      "of \"bitrix1c_webhook\" too: queued calls, see "
                      "\"bitrix1c_async\", need a queue of their own, which "
                      "may be in the same Redis", &rest->name,
                      &rest->file, rest->line);
        return NGX_ERROR;
    }

    rest->queue->ops = &ngx_b1c_call_batch_ops;

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_rest_conf_check_one(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf,
    ngx_b1c_route_t *rest)
{
    ngx_b1c_loc_conf_t  *lcf;

    rest->queue = ngx_b1c_conf_queue(mcf, &rest->name);

    if (rest->queue == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown queue \"%V\" in \"bitrix1c_rest\" directive "
                      "in %V:%ui: no \"bitrix1c_queue %V { ... }\" is in the "
                      "http block", &rest->name, &rest->file, rest->line,
                      &rest->name);
        return NGX_ERROR;
    }

    lcf = rest->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];

    if (lcf->webhook.route) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"bitrix1c_rest\" in %V:%ui is in a location with "
                      "\"bitrix1c_webhook\": each needs a location of its own",
                      &rest->file, rest->line);
        return NGX_ERROR;
    }

    if (lcf->rest.methods == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"bitrix1c_methods\" for \"bitrix1c_rest\" in "
                      "%V:%ui: specify the allowed methods, such as "
                      "\"bitrix1c_methods catalog.* sale.order.*;\"",
                      &rest->file, rest->line);
        return NGX_ERROR;
    }

    if (ngx_b1c_rest_conf_check_location(cf, rest) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_b1c_rest_conf_check_portal(cf, mcf, rest);
}


/* the path after the location's name is the method */
static ngx_int_t
ngx_b1c_rest_conf_check_location(ngx_conf_t *cf, ngx_b1c_route_t *rest)
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
                      "\"bitrix1c_rest\" in %V:%ui is in location \"%V\": "
                      "expected a prefix location whose name ends with \"/\", "
                      "such as \"location /bitrix/\"",
                      &rest->file, rest->line, name);
        return NGX_ERROR;
    }

    if (clcf->handler == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"proxy_pass\" in the location of \"bitrix1c_rest\" "
                      "in %V:%ui: specify the portal's address with the key "
                      "of its inbound webhook", &rest->file, rest->line);
        return NGX_ERROR;
    }

    return ngx_b1c_conf_no_try_files(cf, rest, "bitrix1c_rest");
}


static ngx_int_t
ngx_b1c_rest_conf_check_portal(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf,
    ngx_b1c_route_t *rest)
{
    ngx_str_t           *name;
    ngx_b1c_portal_t    *portal;
    ngx_b1c_loc_conf_t  *lcf;

    lcf = rest->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];
    name = lcf->rest.portal.len ? &lcf->rest.portal
                           : ngx_b1c_rest_conf_host(rest);

    if (name == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no host in \"proxy_pass\" of \"bitrix1c_rest\" in "
                      "%V:%ui names the portal: specify \"bitrix1c_pace "
                      "portal=name;\"",
                      &rest->file, rest->line);
        return NGX_ERROR;
    }

    portal = ngx_b1c_portal_add(cf, mcf, rest->queue, name);
    if (portal == NULL) {
        return NGX_ERROR;
    }

    if (portal->rate
        && (portal->rate != lcf->rest.rate || portal->burst != lcf->rest.burst
            || portal->overload != lcf->rest.overload))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"bitrix1c_rest\" in %V:%ui has another "
                      "\"bitrix1c_pace\" for the portal \"%V\" than an "
                      "earlier location: both must be equal, because Bitrix "
                      "counts the calls of both together",
                      &rest->file, rest->line, &portal->name);
        return NGX_ERROR;
    }

    portal->rate = lcf->rest.rate;
    portal->burst = lcf->rest.burst;
    portal->overload = lcf->rest.overload;
    rest->portal = portal;

    return NGX_OK;
}


/*
 * The configuration of the proxy module is private, but it begins with that of
 * its upstream: ngx_http_upstream.c relies on that for every such module.
 * With variables there is no upstream.
 */
static ngx_str_t *
ngx_b1c_rest_conf_host(ngx_b1c_route_t *rest)
{
    ngx_http_upstream_conf_t  *ucf;

    ucf = rest->clcf->loc_conf[ngx_http_proxy_module.ctx_index];

    if (ucf == NULL || ucf->upstream == NULL
        || ngx_b1c_rest_conf_pace_portal(&ucf->upstream->host) != NGX_OK)
    {
        return NULL;
    }

    return &ucf->upstream->host;
}


char *
ngx_b1c_rest_conf_coalesce(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_b1c_loc_conf_t *lcf = conf;

    ngx_str_t           *value;
    ngx_b1c_coalesce_t  *rule;

    value = cf->args->elts;

    if (lcf->rest.coalesce == NGX_CONF_UNSET_PTR) {
        lcf->rest.coalesce = ngx_array_create(cf->pool, 2,
                                         sizeof(ngx_b1c_coalesce_t));
        if (lcf->rest.coalesce == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    rule = ngx_array_push(lcf->rest.coalesce);
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    rule->method = value[1];
    rule->fields = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));

    if (rule->fields == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_b1c_rest_conf_split(cf, &value[2], rule->fields);
}


static char *
ngx_b1c_rest_conf_split(ngx_conf_t *cf, ngx_str_t *list, ngx_array_t *fields)
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
                               "invalid fields \"%V\" in "
                               "\"bitrix1c_coalesce\": expected names of "
                               "parameters separated by commas, such as "
                               "productId,storeId", list);
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

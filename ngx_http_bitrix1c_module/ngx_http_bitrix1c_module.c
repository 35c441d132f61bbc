
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c.h"
#include "ngx_http_bitrix1c_api.h"
#include "ngx_http_bitrix1c_batch.h"
#include "ngx_http_bitrix1c_calls.h"
#include "ngx_http_bitrix1c_conf.h"
#include "ngx_http_bitrix1c_echo.h"
#include "ngx_http_bitrix1c_filter.h"
#include "ngx_http_bitrix1c_job.h"
#include "ngx_http_bitrix1c_pace.h"
#include "ngx_http_bitrix1c_queue.h"
#include "ngx_http_bitrix1c_rest.h"
#include "ngx_http_bitrix1c_rest_conf.h"
#include "ngx_http_bitrix1c_sign.h"
#include "ngx_http_bitrix1c_token.h"
#include "ngx_http_bitrix1c_variables.h"
#include "ngx_http_bitrix1c_watch.h"
#include "ngx_http_bitrix1c_webhook.h"


static char *ngx_http_bitrix1c_webhook(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_bitrix1c_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_bitrix1c_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_bitrix1c_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_bitrix1c_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_bitrix1c_check_route(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf, ngx_http_bitrix1c_route_t *route);
static ngx_int_t ngx_http_bitrix1c_init_process(ngx_cycle_t *cycle);
static void ngx_http_bitrix1c_exit_process(ngx_cycle_t *cycle);
static void ngx_http_bitrix1c_shutdown_timeout(ngx_cycle_t *cycle);


static ngx_uint_t  ngx_http_bitrix1c_default_permanent[] = {
    400, 410, 413, 415, 422
};


static struct {
    ngx_http_phases              phase;
    ngx_http_handler_pt          handler;
} ngx_http_bitrix1c_handlers[] = {
    { NGX_HTTP_REWRITE_PHASE, ngx_http_bitrix1c_webhook_entry },
    { NGX_HTTP_REWRITE_PHASE, ngx_http_bitrix1c_rest_entry },
    { NGX_HTTP_PRECONTENT_PHASE, ngx_http_bitrix1c_webhook_handler },
    { NGX_HTTP_PRECONTENT_PHASE, ngx_http_bitrix1c_rest_handler },
    { 0, NULL }
};


static ngx_command_t  ngx_http_bitrix1c_commands[] = {

    { ngx_string("bitrix1c_queue"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_bitrix1c_queue_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_webhook"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_bitrix1c_webhook,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_token"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_bitrix1c_token,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, tokens),
      NULL },

    { ngx_string("bitrix1c_token_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_bitrix1c_token_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, tokens),
      NULL },

    { ngx_string("bitrix1c_events"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_bitrix1c_masks,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, events),
      NULL },

    { ngx_string("bitrix1c_once"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_bitrix1c_masks,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, once),
      NULL },

    { ngx_string("bitrix1c_key"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, key),
      NULL },

    { ngx_string("bitrix1c_lane"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, lane),
      NULL },

    { ngx_string("bitrix1c_skew"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, skew),
      NULL },

    { ngx_string("bitrix1c_charset"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_bitrix1c_charset,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_limits"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_bitrix1c_limits,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_permanent"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_bitrix1c_permanent,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_sign"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_bitrix1c_sign_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, sign),
      NULL },

    { ngx_string("bitrix1c_wait"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, wait),
      NULL },

    { ngx_string("bitrix1c_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_bitrix1c_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_echo"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, echo),
      NULL },

    { ngx_string("bitrix1c_rest"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_bitrix1c_rest,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_methods"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_bitrix1c_masks,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, methods),
      NULL },

    { ngx_string("bitrix1c_async"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_bitrix1c_masks,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, async),
      NULL },

    { ngx_string("bitrix1c_repeatable"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_bitrix1c_masks,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, repeatable),
      NULL },

    { ngx_string("bitrix1c_coalesce"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_bitrix1c_calls_coalesce,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_callback"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_bitrix1c_loc_conf_t, callback),
      NULL },

    { ngx_string("bitrix1c_pace"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_bitrix1c_pace,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_bitrix1c_module_ctx = {
    ngx_http_bitrix1c_variables_add,       /* preconfiguration */
    ngx_http_bitrix1c_init,                /* postconfiguration */

    ngx_http_bitrix1c_create_main_conf,    /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_bitrix1c_create_loc_conf,     /* create location configuration */
    ngx_http_bitrix1c_merge_loc_conf       /* merge location configuration */
};


ngx_module_t  ngx_http_bitrix1c_module = {
    NGX_MODULE_V1,
    &ngx_http_bitrix1c_module_ctx,         /* module context */
    ngx_http_bitrix1c_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_bitrix1c_init_process,        /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_bitrix1c_exit_process,        /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_bitrix1c_webhook(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_bitrix1c_loc_conf_t *lcf = conf;

    ngx_str_t                      *value;
    ngx_http_bitrix1c_route_t      *route, **p;
    ngx_http_bitrix1c_main_conf_t  *mcf;

    if (lcf->route) {
        return "is duplicate";
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_bitrix1c_module);

    route = ngx_pcalloc(cf->pool, sizeof(ngx_http_bitrix1c_route_t));
    p = ngx_array_push(&mcf->routes);

    if (route == NULL || p == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    route->name = value[1];
    route->cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    route->clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    route->file = cf->conf_file->file.name;
    route->line = cf->conf_file->line;

    *p = route;
    lcf->route = route;

    return NGX_CONF_OK;
}


static void *
ngx_http_bitrix1c_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_bitrix1c_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_bitrix1c_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&mcf->queues, cf->pool, 2,
                       sizeof(ngx_http_bitrix1c_queue_t *))
        != NGX_OK
        || ngx_array_init(&mcf->routes, cf->pool, 4,
                          sizeof(ngx_http_bitrix1c_route_t *))
           != NGX_OK
        || ngx_array_init(&mcf->rests, cf->pool, 2,
                          sizeof(ngx_http_bitrix1c_route_t *))
           != NGX_OK
        || ngx_array_init(&mcf->portals, cf->pool, 2,
                          sizeof(ngx_http_bitrix1c_portal_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return mcf;
}


static void *
ngx_http_bitrix1c_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_bitrix1c_loc_conf_t  *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_bitrix1c_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     lcf->route = NULL;
     *     lcf->api = NULL;
     *     lcf->key = NULL;
     *     lcf->lane = NULL;
     *     lcf->charset = { 0, NULL };
     *     lcf->rest = NULL;
     *     lcf->portal = { 0, NULL };
     */

    lcf->tokens = NGX_CONF_UNSET_PTR;
    lcf->events = NGX_CONF_UNSET_PTR;
    lcf->once = NGX_CONF_UNSET_PTR;
    lcf->permanent = NGX_CONF_UNSET_PTR;
    lcf->sign = NGX_CONF_UNSET_PTR;
    lcf->pairs = NGX_CONF_UNSET_UINT;
    lcf->depth = NGX_CONF_UNSET_UINT;
    lcf->key_len = NGX_CONF_UNSET_UINT;
    lcf->skew = NGX_CONF_UNSET;
    lcf->wait = NGX_CONF_UNSET_MSEC;
    lcf->echo = NGX_CONF_UNSET_MSEC;

    ngx_http_bitrix1c_rest_create_conf(lcf);

    return lcf;
}


static char *
ngx_http_bitrix1c_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_bitrix1c_loc_conf_t *prev = parent;
    ngx_http_bitrix1c_loc_conf_t *conf = child;

    ngx_uint_t                *code;
    ngx_http_core_loc_conf_t  *clcf;

    /*
     * A location inherits how events are taken, not that they are; but blocks
     * of "if" and "limit_except" are the location itself, and inherit its
     * proxy_pass: a request that came past the token check would reach 1C.
     */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && conf->route == NULL && conf->rest == NULL) {
        conf->route = prev->route;
        conf->rest = prev->rest;
    }

    if (conf->route || conf->rest) {
        ngx_http_bitrix1c_no_redirects(cf);
    }

    ngx_http_bitrix1c_api_merge(cf, prev, conf);

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
    ngx_conf_merge_str_value(conf->charset, prev->charset, "");

    ngx_http_bitrix1c_rest_merge_conf(prev, conf);

    if (conf->key == NULL) {
        conf->key = prev->key;
    }

    if (conf->lane == NULL) {
        conf->lane = prev->lane;
    }

    if (conf->permanent == NULL) {
        conf->permanent = ngx_array_create(cf->pool, 5, sizeof(ngx_uint_t));
        if (conf->permanent == NULL) {
            return NGX_CONF_ERROR;
        }

        code = ngx_array_push_n(conf->permanent, 5);

        ngx_memcpy(code, ngx_http_bitrix1c_default_permanent,
                   sizeof(ngx_http_bitrix1c_default_permanent));
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_bitrix1c_init(ngx_conf_t *cf)
{
    ngx_uint_t                       i;
    ngx_http_handler_pt             *h;
    ngx_http_bitrix1c_route_t      **route;
    ngx_http_core_main_conf_t       *cmcf;
    ngx_http_bitrix1c_main_conf_t   *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_bitrix1c_module);
    route = mcf->routes.elts;

    for (i = 0; i < mcf->routes.nelts; i++) {
        if (ngx_http_bitrix1c_check_route(cf, mcf, route[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_bitrix1c_rest_check(cf, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    /* who has none of its locations pays nothing for the module */

    if (mcf->routes.nelts == 0 && mcf->rests.nelts == 0) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    for (i = 0; ngx_http_bitrix1c_handlers[i].handler; i++) {

        h = ngx_array_push(
             &cmcf->phases[ngx_http_bitrix1c_handlers[i].phase].handlers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        *h = ngx_http_bitrix1c_handlers[i].handler;
    }

    if (ngx_http_bitrix1c_rest_filter_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_bitrix1c_filter_init(cf);
}


static ngx_int_t
ngx_http_bitrix1c_check_route(ngx_conf_t *cf,
    ngx_http_bitrix1c_main_conf_t *mcf, ngx_http_bitrix1c_route_t *route)
{
    ngx_http_bitrix1c_loc_conf_t  *lcf;

    route->queue = ngx_http_bitrix1c_queue_find(mcf, &route->name);

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
                      "location in %V:%ui: the API needs one of its own",
                      &route->file, route->line);
        return NGX_ERROR;
    }

    if (lcf->echo && mcf->echo == NULL
        && ngx_http_bitrix1c_echo_zone(cf, mcf) != NGX_OK)
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

    if (lcf->tokens == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"bitrix1c_token\" or \"bitrix1c_token_file\" for "
                      "\"bitrix1c_webhook\" in %V:%ui: without the token of "
                      "the outbound webhook anybody could send events",
                      &route->file, route->line);
        return NGX_ERROR;
    }

    if (route->clcf->handler == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"proxy_pass\" in the location of "
                      "\"bitrix1c_webhook\" in %V:%ui: it says where 1C is",
                      &route->file, route->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_bitrix1c_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                       i;
    ngx_http_bitrix1c_queue_t      **queue;
    ngx_http_bitrix1c_portal_t     **portal;
    ngx_http_bitrix1c_main_conf_t   *mcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_bitrix1c_module);

    if (mcf == NULL || mcf->queues.nelts == 0) {
        return NGX_OK;
    }

    if (ngx_http_bitrix1c_job_seed(cycle->log) != NGX_OK
        || ngx_http_bitrix1c_watch(cycle, ngx_http_bitrix1c_shutdown_timeout)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_bitrix1c_batch_init();
    ngx_http_bitrix1c_api_init();

    queue = mcf->queues.elts;

    for (i = 0; i < mcf->queues.nelts; i++) {
        if (ngx_http_bitrix1c_queue_start(queue[i], cycle->log) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    portal = mcf->portals.elts;

    for (i = 0; i < mcf->portals.nelts; i++) {
        if (ngx_http_bitrix1c_pace_start(portal[i], cycle->log) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_bitrix1c_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                       i;
    ngx_http_bitrix1c_queue_t      **queue;
    ngx_http_bitrix1c_portal_t     **portal;
    ngx_http_bitrix1c_main_conf_t   *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_bitrix1c_module);
    if (mcf == NULL) {
        return;
    }

    portal = mcf->portals.elts;

    for (i = 0; i < mcf->portals.nelts; i++) {
        ngx_http_bitrix1c_pace_stop(portal[i]);
    }

    queue = mcf->queues.elts;

    for (i = 0; i < mcf->queues.nelts; i++) {
        ngx_http_bitrix1c_queue_stop(queue[i]);
    }

    ngx_http_bitrix1c_unwatch();
}


static void
ngx_http_bitrix1c_shutdown_timeout(ngx_cycle_t *cycle)
{
    ngx_uint_t                       i;
    ngx_http_bitrix1c_queue_t      **queue;
    ngx_http_bitrix1c_main_conf_t   *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_bitrix1c_module);
    queue = mcf->queues.elts;

    for (i = 0; i < mcf->queues.nelts; i++) {
        ngx_http_bitrix1c_queue_give_back(queue[i]);
    }
}

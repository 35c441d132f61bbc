
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_variables.h"
#include "b1c_version.h"
#include "b1c_job.h"
#include "b1c_portal.h"
#include "b1c_http.h"
#include "b1c_delivery.h"
#include "b1c_queue.h"
#include "b1c_queue_internal.h"
#include "b1c_webhook.h"
#include "b1c_rest.h"
#include "b1c_api.h"


static void *ngx_b1c_module_create_main_conf(ngx_conf_t *cf);
static void *ngx_b1c_module_create_loc_conf(ngx_conf_t *cf);
static char *ngx_b1c_module_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_b1c_module_init(ngx_conf_t *cf);
static ngx_int_t ngx_b1c_module_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_b1c_module_init_process(ngx_cycle_t *cycle);
static void ngx_b1c_module_exit_process(ngx_cycle_t *cycle);
static void ngx_b1c_module_shutdown_timeout(ngx_cycle_t *cycle);


static struct {
    ngx_http_phases      phase;
    ngx_http_handler_pt  handler;
} ngx_b1c_handlers[] = {
    { NGX_HTTP_REWRITE_PHASE, ngx_b1c_webhook_entry },
    { NGX_HTTP_REWRITE_PHASE, ngx_b1c_rest_entry },
    { NGX_HTTP_PRECONTENT_PHASE, ngx_b1c_webhook_handler },
    { NGX_HTTP_PRECONTENT_PHASE, ngx_b1c_rest_handler },
    { 0, NULL }
};


static ngx_command_t  ngx_b1c_commands[] = {

    { ngx_string("bitrix1c_queue"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_b1c_queue_conf_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_webhook"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_b1c_webhook_conf_webhook,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_token"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_b1c_token,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, webhook.tokens),
      NULL },

    { ngx_string("bitrix1c_token_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_b1c_token_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, webhook.tokens),
      NULL },

    { ngx_string("bitrix1c_token_arg"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_b1c_webhook_conf_token_arg,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_event_token"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, webhook.event_token),
      NULL },

    { ngx_string("bitrix1c_events"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_b1c_conf_globs,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, webhook.events),
      NULL },

    { ngx_string("bitrix1c_once"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_b1c_conf_globs,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, webhook.once),
      NULL },

    { ngx_string("bitrix1c_key"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, webhook.key),
      NULL },

    { ngx_string("bitrix1c_lane"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, lane),
      NULL },

    { ngx_string("bitrix1c_skew"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, webhook.skew),
      NULL },

    { ngx_string("bitrix1c_charset"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_b1c_conf_charset,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_limits"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_b1c_webhook_conf_limits,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_permanent"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_b1c_webhook_conf_permanent,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_sign"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_b1c_sign_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, webhook.sign),
      NULL },

    { ngx_string("bitrix1c_wait"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, webhook.wait),
      NULL },

    { ngx_string("bitrix1c_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_b1c_api_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_echo"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, webhook.echo),
      NULL },

    { ngx_string("bitrix1c_rest"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_b1c_rest_conf_rest,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_methods"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_b1c_conf_globs,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, rest.methods),
      NULL },

    { ngx_string("bitrix1c_async"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_b1c_conf_globs,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, rest.async),
      NULL },

    { ngx_string("bitrix1c_idempotent"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_b1c_conf_globs,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, rest.idempotent),
      NULL },

    { ngx_string("bitrix1c_repeatable"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_b1c_rest_conf_repeatable,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, rest.idempotent),
      NULL },

    { ngx_string("bitrix1c_coalesce"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_b1c_rest_conf_coalesce,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_batch"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_b1c_rest_conf_batch,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("bitrix1c_callback"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_b1c_loc_conf_t, rest.callback),
      NULL },

    { ngx_string("bitrix1c_pace"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_b1c_rest_conf_pace,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_b1c_module_ctx = {
    ngx_b1c_variables_add,                 /* preconfiguration */
    ngx_b1c_module_init,                   /* postconfiguration */

    ngx_b1c_module_create_main_conf,       /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_b1c_module_create_loc_conf,        /* create location configuration */
    ngx_b1c_module_merge_loc_conf          /* merge location configuration */
};


ngx_module_t  ngx_http_bitrix1c_module = {
    NGX_MODULE_V1,
    &ngx_b1c_module_ctx,                   /* module context */
    ngx_b1c_commands,                      /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_b1c_module_init_module,            /* init module */
    ngx_b1c_module_init_process,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_b1c_module_exit_process,           /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_b1c_module_create_main_conf(ngx_conf_t *cf)
{
    ngx_b1c_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_b1c_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&mcf->queues, cf->pool, 2,
                       sizeof(ngx_b1c_queue_t *))
        != NGX_OK
        || ngx_array_init(&mcf->routes, cf->pool, 4,
                          sizeof(ngx_b1c_route_t *))
           != NGX_OK
        || ngx_array_init(&mcf->rests, cf->pool, 2,
                          sizeof(ngx_b1c_route_t *))
           != NGX_OK
        || ngx_array_init(&mcf->portals, cf->pool, 2,
                          sizeof(ngx_b1c_portal_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return mcf;
}


static void *
ngx_b1c_module_create_loc_conf(ngx_conf_t *cf)
{
    ngx_b1c_loc_conf_t  *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_b1c_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     lcf->api = NULL;
     *     lcf->lane = NULL;
     *     lcf->charset = { 0, NULL };
     */

    ngx_b1c_webhook_conf_create(lcf);
    ngx_b1c_rest_conf_create(lcf);

    return lcf;
}


static char *
ngx_b1c_module_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_b1c_loc_conf_t *prev = parent;
    ngx_b1c_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    /*
     * Nested locations inherit the parameters but do not become webhooks
     * themselves.  Blocks of "if" and "limit_except" are part of the location
     * and inherit its proxy_pass: without the token check a request would
     * reach 1C through them.
     */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && conf->webhook.route == NULL
        && conf->rest.route == NULL)
    {
        conf->webhook.route = prev->webhook.route;
        conf->rest.route = prev->rest.route;
    }

    if (conf->webhook.route || conf->rest.route) {
        ngx_b1c_conf_no_redirects(cf);
    }

    ngx_b1c_api_merge(cf, prev, conf);

    if (conf->api || conf->rest.route) {
        conf->names = ngx_b1c_conf_server_names(cf);

        if (conf->names == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    ngx_b1c_rest_conf_merge(prev, conf);

    ngx_conf_merge_str_value(conf->charset, prev->charset, "");

    if (conf->lane == NULL) {
        conf->lane = prev->lane;
    }

    return ngx_b1c_webhook_conf_merge(cf, prev, conf);
}


static ngx_int_t
ngx_b1c_module_init(ngx_conf_t *cf)
{
    ngx_uint_t                  i;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;
    ngx_b1c_main_conf_t        *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_bitrix1c_module);

    if (ngx_b1c_webhook_conf_check(cf, mcf) != NGX_OK
        || ngx_b1c_rest_conf_check(cf, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a configuration without such locations gets no handlers */

    if (mcf->routes.nelts == 0 && mcf->rests.nelts == 0) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    for (i = 0; ngx_b1c_handlers[i].handler; i++) {

        h = ngx_array_push(&cmcf->phases[ngx_b1c_handlers[i].phase].handlers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        *h = ngx_b1c_handlers[i].handler;
    }

    if (ngx_b1c_rest_filter_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_b1c_filter_init(cf, ngx_b1c_report_answer);
}


static ngx_int_t
ngx_b1c_module_init_module(ngx_cycle_t *cycle)
{
    ngx_b1c_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_bitrix1c_module);

    if (mcf && mcf->queues.nelts && !ngx_test_config) {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "ngx_http_bitrix1c_module " NGX_B1C_VERSION);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_module_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t            i;
    ngx_b1c_queue_t     **queue;
    ngx_b1c_portal_t    **portal;
    ngx_b1c_main_conf_t  *mcf;

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

    if (ngx_b1c_job_seed(cycle->log) != NGX_OK
        || ngx_b1c_shutdown_watch(cycle, ngx_b1c_module_shutdown_timeout)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* here, because all modules have added their filters */
    ngx_b1c_filter_first();

    ngx_b1c_script_init();
    ngx_b1c_api_init();
    ngx_b1c_calls_show_init();

    queue = mcf->queues.elts;

    for (i = 0; i < mcf->queues.nelts; i++) {
        if (ngx_b1c_queue_start(queue[i], cycle->log) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    portal = mcf->portals.elts;

    for (i = 0; i < mcf->portals.nelts; i++) {
        if (ngx_b1c_portal_rate_start(portal[i], cycle->log) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_b1c_module_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t            i;
    ngx_b1c_queue_t     **queue;
    ngx_b1c_portal_t    **portal;
    ngx_b1c_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_bitrix1c_module);
    if (mcf == NULL) {
        return;
    }

    portal = mcf->portals.elts;

    for (i = 0; i < mcf->portals.nelts; i++) {
        ngx_b1c_portal_rate_stop(portal[i]);
    }

    queue = mcf->queues.elts;

    for (i = 0; i < mcf->queues.nelts; i++) {
        ngx_b1c_queue_stop(queue[i]);
    }

    ngx_b1c_shutdown_unwatch();
}


static void
ngx_b1c_module_shutdown_timeout(ngx_cycle_t *cycle)
{
    ngx_uint_t            i;
    ngx_b1c_queue_t     **queue;
    ngx_b1c_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_bitrix1c_module);
    queue = mcf->queues.elts;

    for (i = 0; i < mcf->queues.nelts; i++) {
        ngx_b1c_queue_give_back(queue[i]);
    }
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_route.h"


ngx_http_bitrix1c_route_t *
ngx_http_bitrix1c_route_find(ngx_http_bitrix1c_job_t *job)
{
    ngx_uint_t                      i;
    ngx_array_t                    *routes;
    ngx_http_bitrix1c_route_t     **route, *found;
    ngx_http_bitrix1c_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_bitrix1c_module);
    routes = job->queue->calls ? &mcf->rests : &mcf->routes;
    route = routes->elts;
    found = NULL;

    for (i = 0; i < routes->nelts; i++) {

        if (route[i]->queue != job->queue
            || route[i]->cscf->server_name.len != job->server.len
            || ngx_strncmp(route[i]->cscf->server_name.data,
                           job->server.data, job->server.len)
               != 0)
        {
            continue;
        }

        /* which of a server's locations it is, find_config knows */

        found = route[i];

        if (found->clcf->name.len == job->uri.len
            && ngx_strncmp(found->clcf->name.data, job->uri.data,
                           job->uri.len)
               == 0)
        {
            break;
        }
    }

    return found;
}

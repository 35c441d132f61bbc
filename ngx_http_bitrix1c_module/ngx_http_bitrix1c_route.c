
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_route.h"
#include "ngx_http_bitrix1c_portal.h"


static ngx_uint_t ngx_http_bitrix1c_route_near(
    ngx_http_bitrix1c_route_t *route, ngx_http_bitrix1c_job_t *job);
static ngx_uint_t ngx_http_bitrix1c_route_same(ngx_str_t *a, ngx_str_t *b);


ngx_http_bitrix1c_route_t *
ngx_http_bitrix1c_route_find(ngx_http_bitrix1c_job_t *job)
{
    ngx_uint_t                      i;
    ngx_http_bitrix1c_route_t     **route, *found;
    ngx_http_bitrix1c_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_bitrix1c_module);
    route = mcf->routes.elts;
    found = NULL;

    for (i = 0; i < mcf->routes.nelts; i++) {

        if (!ngx_http_bitrix1c_route_near(route[i], job)) {
            continue;
        }

        /* which of a server's locations it is, find_config knows */

        found = route[i];

        if (ngx_http_bitrix1c_route_same(&found->clcf->name, &job->uri)) {
            break;
        }
    }

    return found;
}


ngx_http_bitrix1c_route_t *
ngx_http_bitrix1c_route_call(ngx_http_bitrix1c_job_t *job)
{
    ngx_uint_t                      i;
    ngx_http_bitrix1c_route_t     **route, *found;
    ngx_http_bitrix1c_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_bitrix1c_module);
    route = mcf->rests.elts;
    found = NULL;

    for (i = 0; i < mcf->rests.nelts; i++) {

        if (!ngx_http_bitrix1c_route_near(route[i], job)) {
            continue;
        }

        if (ngx_http_bitrix1c_route_same(&route[i]->clcf->name, &job->uri)) {
            return route[i];
        }

        /* never to a portal that it is not for */

        if (found == NULL
            && ngx_http_bitrix1c_route_same(&route[i]->portal->name,
                                            &job->event.domain))
        {
            found = route[i];
        }
    }

    return found;
}


static ngx_uint_t
ngx_http_bitrix1c_route_near(ngx_http_bitrix1c_route_t *route,
    ngx_http_bitrix1c_job_t *job)
{
    return route->queue == job->queue
           && ngx_http_bitrix1c_route_same(&route->cscf->server_name,
                                           &job->server);
}


static ngx_uint_t
ngx_http_bitrix1c_route_same(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len && ngx_strncmp(a->data, b->data, a->len) == 0;
}

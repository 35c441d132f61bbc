
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_delivery.h"
#include "b1c_job.h"
#include "b1c_portal.h"


/* more than the length of any path */
#define NGX_B1C_ROUTE_EXACT  NGX_MAX_SIZE_T_VALUE


typedef size_t (*ngx_b1c_route_fit_pt)(
    ngx_b1c_route_t *route, ngx_b1c_job_t *job);


static ngx_b1c_route_t *ngx_b1c_route_best(ngx_array_t *routes,
    ngx_b1c_job_t *job, ngx_b1c_route_fit_pt fit);
static size_t ngx_b1c_route_event(ngx_b1c_route_t *route, ngx_b1c_job_t *job);
static size_t ngx_b1c_route_portal(ngx_b1c_route_t *route, ngx_b1c_job_t *job);
static ngx_uint_t ngx_b1c_route_same(ngx_str_t *a, ngx_str_t *b);


ngx_b1c_route_t *
ngx_b1c_route_find(ngx_b1c_job_t *job)
{
    ngx_b1c_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_bitrix1c_module);

    return ngx_b1c_route_best(&mcf->routes, job, ngx_b1c_route_event);
}


ngx_b1c_route_t *
ngx_b1c_route_call(ngx_b1c_job_t *job)
{
    ngx_b1c_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_bitrix1c_module);

    return ngx_b1c_route_best(&mcf->rests, job, ngx_b1c_route_portal);
}


/* of equally good ones the first in the configuration */
static ngx_b1c_route_t *
ngx_b1c_route_best(ngx_array_t *routes, ngx_b1c_job_t *job,
    ngx_b1c_route_fit_pt fit)
{
    size_t             n, max;
    ngx_uint_t         i;
    ngx_b1c_route_t  **route, *best;

    route = routes->elts;
    best = NULL;
    max = 0;

    for (i = 0; i < routes->nelts; i++) {

        if (route[i]->queue != job->queue
            || !ngx_b1c_route_same(&route[i]->cscf->server_name,
                                   &job->server))
        {
            continue;
        }

        n = fit(route[i], job);

        if (n > max) {
            max = n;
            best = route[i];
        }
    }

    return best;
}


/*
 * Several servers may have the same name, or none, and differ in their ports:
 * the right one has a location for the event's address.
 */
static size_t
ngx_b1c_route_event(ngx_b1c_route_t *route, ngx_b1c_job_t *job)
{
    ngx_str_t                 *name, *uri;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = route->clcf;
    name = &clcf->name;
    uri = &job->uri;

#if (NGX_PCRE)

    if (clcf->regex) {
        return ngx_regex_exec(clcf->regex->regex, uri, NULL, 0) >= 0;
    }

#endif

    if (ngx_b1c_route_same(name, uri)) {
        return NGX_B1C_ROUTE_EXACT;
    }

    if (clcf->exact_match
        || uri->len < name->len
        || ngx_strncmp(uri->data, name->data, name->len) != 0)
    {
        return 0;
    }

    return 1 + name->len;
}


/* a call must not go to another portal */
static size_t
ngx_b1c_route_portal(ngx_b1c_route_t *route, ngx_b1c_job_t *job)
{
    if (ngx_b1c_route_same(&route->clcf->name, &job->uri)) {
        return NGX_B1C_ROUTE_EXACT;
    }

    return ngx_b1c_route_same(&route->portal->name, &job->event.domain);
}


static ngx_uint_t
ngx_b1c_route_same(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len && ngx_strncmp(a->data, b->data, a->len) == 0;
}

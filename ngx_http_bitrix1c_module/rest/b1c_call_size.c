
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_portal.h"


/* ms that a command is expected to take while its method is unknown */
#define NGX_B1C_COMMAND  2000


ngx_uint_t
ngx_b1c_call_size_full(ngx_b1c_job_t *job, ngx_uint_t n, ngx_msec_t *time)
{
    ngx_msec_t           ms;
    ngx_b1c_loc_conf_t  *lcf;

    lcf = job->route->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];

    ms = ngx_b1c_portal_takes(job->route->portal, &job->event.name,
                              NGX_B1C_COMMAND);

    if (n && (n >= lcf->rest.batch_max
              || *time + ms > lcf->rest.batch_time))
    {
        *time = ms;
        return 1;
    }

    *time += ms;

    return 0;
}

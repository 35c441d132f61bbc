
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_zone.h"


void *
ngx_http_bitrix1c_zone_attach(ngx_shm_zone_t *shm_zone, void *data,
    size_t size, ngx_slab_pool_t **shpool, ngx_uint_t *fresh)
{
    ngx_slab_pool_t  *pool;

    pool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    /* "data" is the zone's of the configuration before a reload */

    *fresh = (data == NULL && !shm_zone->shm.exists);
    *shpool = pool;

    if (*fresh) {
        pool->data = ngx_slab_calloc(pool, size);
    }

    return pool->data;
}

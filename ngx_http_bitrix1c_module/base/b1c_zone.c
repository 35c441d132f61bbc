
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_base.h"


extern ngx_module_t  ngx_http_bitrix1c_module;


ngx_shm_zone_t *
ngx_b1c_zone_add(ngx_conf_t *cf, const char *kind, ngx_str_t *queue,
    ngx_str_t *name, size_t size, ngx_shm_zone_init_pt init, void *data)
{
    u_char          *p;
    ngx_str_t        full;
    ngx_shm_zone_t  *zone;

    full.len = sizeof("bitrix1c__:") - 1 + ngx_strlen(kind) + queue->len
               + (name ? name->len : 0);

    full.data = ngx_pnalloc(cf->pool, full.len);
    if (full.data == NULL) {
        return NULL;
    }

    p = ngx_sprintf(full.data, "bitrix1c_%s_%V", kind, queue);

    if (name) {
        p = ngx_sprintf(p, ":%V", name);
    }

    full.len = p - full.data;

    zone = ngx_shared_memory_add(cf, &full, size, &ngx_http_bitrix1c_module);
    if (zone == NULL) {
        return NULL;
    }

    zone->init = init;
    zone->data = data;

    return zone;
}


void *
ngx_b1c_zone_attach(ngx_shm_zone_t *shm_zone, void *data, size_t size,
    ngx_slab_pool_t **shpool, ngx_uint_t *fresh)
{
    ngx_slab_pool_t  *pool;

    pool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    /* "data" belongs to the zone of the configuration before a reload */

    *fresh = (data == NULL && !shm_zone->shm.exists);
    *shpool = pool;

    if (*fresh) {
        pool->data = ngx_slab_calloc(pool, size);
    }

    return pool->data;
}

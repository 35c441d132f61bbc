
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_ZONE_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Adds the zone "bitrix1c_<kind>_<queue>:<name>", all of them by one tag; the
 * colon is in no queue's name, so that no two make one.  The name may be NULL.
 * Returns NULL after an error, which was logged.
 */
ngx_shm_zone_t *ngx_http_bitrix1c_zone_add(ngx_conf_t *cf, const char *kind,
    ngx_str_t *queue, ngx_str_t *name, size_t size, ngx_shm_zone_init_pt init,
    void *data);

/*
 * In the init handler of a zone, with its arguments: the one structure of so
 * many bytes that the zone is for.  It is kept by a reload; *fresh tells that
 * it was made just now, of zeros.  NULL is lack of memory.
 */
void *ngx_http_bitrix1c_zone_attach(ngx_shm_zone_t *shm_zone, void *data,
    size_t size, ngx_slab_pool_t **shpool, ngx_uint_t *fresh);


#endif /* _NGX_HTTP_BITRIX1C_ZONE_H_INCLUDED_ */

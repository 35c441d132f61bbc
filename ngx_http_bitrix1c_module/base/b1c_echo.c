
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_job.h"


/*
 * Number of remembered entities, in sets of which each replaces its oldest
 * one.  A portal allows only a few writes a second, so the memory covers more
 * than any sensible window.
 */
#define NGX_B1C_ECHO_SETS  4096
#define NGX_B1C_ECHO_WAYS  4


typedef struct {
    uint64_t                     hash;       /* 0: free */
    ngx_msec_t                   written;
} ngx_b1c_mark_t;


typedef struct {
    ngx_b1c_mark_t               marks[NGX_B1C_ECHO_SETS] [NGX_B1C_ECHO_WAYS];
} ngx_b1c_echo_sh_t;


static ngx_int_t ngx_b1c_echo_init_zone(ngx_shm_zone_t *shm_zone, void *data);
static ngx_b1c_mark_t *ngx_b1c_echo_set(ngx_b1c_event_t *event, uint64_t *hash,
    ngx_slab_pool_t **shpool);
static uint64_t ngx_b1c_echo_hash(ngx_b1c_event_t *event);
static uint64_t ngx_b1c_echo_word(uint64_t hash, ngx_str_t *word,
    ngx_uint_t type);


ngx_int_t
ngx_b1c_echo_zone(ngx_conf_t *cf, ngx_b1c_main_conf_t *mcf)
{
    static ngx_str_t  name = ngx_string("bitrix1c_echo");

    mcf->echo = ngx_shared_memory_add(cf, &name,
                                      sizeof(ngx_b1c_echo_sh_t)
                                      + 8 * ngx_pagesize,
                                      &ngx_http_bitrix1c_module);
    if (mcf->echo == NULL) {
        return NGX_ERROR;
    }

    mcf->echo->init = ngx_b1c_echo_init_zone;

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_echo_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_uint_t        fresh;
    ngx_slab_pool_t  *shpool;

    if (ngx_b1c_zone_attach(shm_zone, data,
                            sizeof(ngx_b1c_echo_sh_t),
                            &shpool, &fresh)
        == NULL)
    {
        return NGX_ERROR;
    }

    shm_zone->data = shpool;

    return NGX_OK;
}


void
ngx_b1c_echo_mark(ngx_b1c_event_t *event)
{
    uint64_t          hash;
    ngx_uint_t        i;
    ngx_slab_pool_t  *shpool;
    ngx_b1c_mark_t   *set, *mark;

    set = ngx_b1c_echo_set(event, &hash, &shpool);

    if (set == NULL) {
        return;
    }

    ngx_shmtx_lock(&shpool->mutex);

    mark = set;

    for (i = 0; i < NGX_B1C_ECHO_WAYS; i++) {

        if (set[i].hash == hash) {
            mark = &set[i];
            break;
        }

        if (mark->hash
            && (set[i].hash == 0
                || (ngx_msec_int_t) (set[i].written - mark->written) < 0))
        {
            mark = &set[i];
        }
    }

    mark->hash = hash;
    mark->written = ngx_current_msec;

    ngx_shmtx_unlock(&shpool->mutex);
}


void
ngx_b1c_echo_forget(ngx_b1c_event_t *event)
{
    uint64_t          hash;
    ngx_uint_t        i;
    ngx_slab_pool_t  *shpool;
    ngx_b1c_mark_t   *set;

    set = ngx_b1c_echo_set(event, &hash, &shpool);

    if (set == NULL) {
        return;
    }

    ngx_shmtx_lock(&shpool->mutex);

    for (i = 0; i < NGX_B1C_ECHO_WAYS; i++) {
        if (set[i].hash == hash) {
            set[i].hash = 0;
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);
}


ngx_uint_t
ngx_b1c_echo_known(ngx_b1c_event_t *event, ngx_msec_t window)
{
    uint64_t          hash;
    ngx_uint_t        i, known;
    ngx_msec_int_t    age;
    ngx_slab_pool_t  *shpool;
    ngx_b1c_mark_t   *set;

    set = ngx_b1c_echo_set(event, &hash, &shpool);

    if (set == NULL) {
        return 0;
    }

    known = 0;

    ngx_shmtx_lock(&shpool->mutex);

    for (i = 0; i < NGX_B1C_ECHO_WAYS; i++) {
        if (set[i].hash == hash) {

            /* the cached clock of another worker may be slightly ahead */

            age = (ngx_msec_int_t) (ngx_current_msec - set[i].written);
            known = age <= (ngx_msec_int_t) window;
            break;
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return known;
}


static ngx_b1c_mark_t *
ngx_b1c_echo_set(ngx_b1c_event_t *event, uint64_t *hash,
    ngx_slab_pool_t **shpool)
{
    ngx_b1c_echo_sh_t    *sh;
    ngx_b1c_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_bitrix1c_module);

    if (mcf->echo == NULL || event->id.len == 0 || event->type.len == 0) {
        return NULL;
    }

    *hash = ngx_b1c_echo_hash(event);
    *shpool = mcf->echo->data;

    sh = (*shpool)->data;

    return sh->marks[*hash % NGX_B1C_ECHO_SETS];
}


/* FNV-1a, 64 bits: a collision at worst ignores one event */
static uint64_t
ngx_b1c_echo_hash(ngx_b1c_event_t *event)
{
    uint64_t   hash;
    ngx_str_t  type;

    /* events of a site's own orders have ORDER where REST has sale.order */

    type = event->type;
    type.data = (u_char *) b1c_entity_object((char *) type.data, &type.len);

    hash = 0xcbf29ce484222325;

    hash = ngx_b1c_echo_word(hash, &event->domain, 0);
    hash = ngx_b1c_echo_word(hash, &type, 1);
    hash = ngx_b1c_echo_word(hash, &event->id, 0);

    return hash ? hash : 1;
}


/* without case, and without the dots of a type: CATALOG.PRODUCT */
static uint64_t
ngx_b1c_echo_word(uint64_t hash, ngx_str_t *word, ngx_uint_t type)
{
    size_t  i;

    for (i = 0; i < word->len; i++) {
        if (type && word->data[i] == '.') {
            continue;
        }

        hash ^= ngx_tolower(word->data[i]);
        hash *= 0x100000001b3;
    }

    return (hash ^ 0xff) * 0x100000001b3;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_spool_internal.h"
#include "b1c_base.h"

#if (NGX_THREADS)
#include <ngx_thread_pool.h>
#endif


#define NGX_B1C_SPOOL_MIN  (64 * 1024)


#if (NGX_THREADS)

static ngx_int_t ngx_b1c_spool_conf_max(ngx_conf_t *cf,
    ngx_b1c_queue_t *queue);
static ngx_int_t ngx_b1c_spool_conf_path(ngx_conf_t *cf,
    ngx_b1c_queue_t *queue);

#endif


char *
ngx_b1c_spool_conf_spool(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    if (queue->spool_conf) {
        return "\"bitrix1c_queue\" has a duplicate \"spool\"";
    }

#if (NGX_THREADS)

    queue->spool_conf = ngx_pcalloc(cf->pool, sizeof(ngx_b1c_spool_conf_t));
    if (queue->spool_conf == NULL) {
        return NGX_CONF_ERROR;
    }

    /* the default pool needs no configuration */

    queue->spool_conf->pool = ngx_thread_pool_add(cf, NULL);

    if (queue->spool_conf->pool == NULL
        || ngx_b1c_spool_conf_max(cf, queue) != NGX_OK
        || ngx_b1c_spool_conf_path(cf, queue) != NGX_OK
        || ngx_b1c_spool_shm_zone(cf, &queue->name,
                                  &queue->spool_conf->path->name,
                                  &queue->spool_conf->state)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"spool\" of \"bitrix1c_queue\" \"%V\" requires an "
                       "nginx built --with-threads: a worker must not wait "
                       "for a disk", &queue->name);
    return NGX_CONF_ERROR;

#endif
}


#if (NGX_THREADS)

static ngx_int_t
ngx_b1c_spool_conf_max(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    ngx_str_t  *value, s;

    value = cf->args->elts;

    queue->spool_conf->max = 256 * 1024 * 1024;

    if (cf->args->nelts == 2) {
        return NGX_OK;
    }

    if (ngx_strncmp(value[2].data, "max=", 4) == 0) {
        s.data = value[2].data + 4;
        s.len = value[2].len - 4;

        queue->spool_conf->max = ngx_parse_offset(&s);

        if (queue->spool_conf->max >= NGX_B1C_SPOOL_MIN) {
            return NGX_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"spool\" of "
                       "\"bitrix1c_queue\" \"%V\": expected max=size of at "
                       "least 64k, such as max=256m", &value[2],
                       &queue->name);
    return NGX_ERROR;
}


static ngx_int_t
ngx_b1c_spool_conf_path(ngx_conf_t *cf, ngx_b1c_queue_t *queue)
{
    ngx_str_t   *value;
    ngx_path_t  *path;

    value = cf->args->elts;

    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (path == NULL) {
        return NGX_ERROR;
    }

    path->name = value[1];

    while (path->name.len > 1
           && path->name.data[path->name.len - 1] == '/')
    {
        path->name.data[--path->name.len] = '\0';
    }

    if (path->name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid folder \"%V\" in \"spool\" of "
                           "\"bitrix1c_queue\" \"%V\": expected a path",
                           &value[1], &queue->name);
        return NGX_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, &path->name, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    if (path->name.len + queue->name.len + NGX_B1C_SPOOL_SUFFIX
        > NGX_MAX_PATH)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the path of the folder in \"spool\" of "
                           "\"bitrix1c_queue\" \"%V\" is too long: %uz bytes",
                           &queue->name, path->name.len);
        return NGX_ERROR;
    }

    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    /*
     * the master creates it for the workers' user, as with temporary folders
     */

    if (ngx_add_path(cf, &path) != NGX_OK) {
        return NGX_ERROR;
    }

    queue->spool_conf->name = queue->name;
    queue->spool_conf->path = path;

    return NGX_OK;
}

#endif

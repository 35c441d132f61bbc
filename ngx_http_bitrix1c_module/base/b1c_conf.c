
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_base.h"
#include "b1c_core.h"

#include <iconv.h>


extern ngx_module_t  ngx_http_proxy_module;
extern ngx_module_t  ngx_http_try_files_module;


static ngx_uint_t ngx_b1c_conf_charset_ascii(iconv_t cd);
static void ngx_b1c_conf_charset_close(void *data);


char *
ngx_b1c_conf_globs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t    *value, *mask;
    ngx_uint_t    i, k;
    ngx_array_t **masks;

    masks = (ngx_array_t **) (p + cmd->offset);
    value = cf->args->elts;

    if (*masks == NGX_CONF_UNSET_PTR) {
        *masks = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (*masks == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 1; i < cf->args->nelts; i++) {

        for (k = 0; k < value[i].len; k++) {
            if (value[i].data[k] <= ' ' || value[i].data[k] >= 0x7f) {
                break;
            }
        }

        if (k == 0 || k < value[i].len || k > 128) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid glob \"%V\" in \"%V\" directive: "
                               "expected %s", &value[i], &cmd->name,
                               cmd->offset
                               == offsetof(ngx_b1c_loc_conf_t, rest.methods)
                               ? "a method's name such as \"sale.order.*\""
                               : "an event's name such as \"ONCRMDEAL*\"");
            return NGX_CONF_ERROR;
        }

        mask = ngx_array_push(*masks);
        if (mask == NULL) {
            return NGX_CONF_ERROR;
        }

        *mask = value[i];
    }

    return NGX_CONF_OK;
}


char *
ngx_b1c_conf_charset(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_b1c_loc_conf_t *lcf = conf;

    iconv_t              cd;
    ngx_str_t           *value;
    ngx_pool_cleanup_t  *cln;

    if (lcf->charset.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcasecmp(value[1].data, (u_char *) "utf-8") == 0) {
        ngx_str_set(&lcf->charset, "");
        return NGX_CONF_OK;
    }

    cd = iconv_open("UTF-8", (char *) value[1].data);

    if (cd == (iconv_t) -1 || !ngx_b1c_conf_charset_ascii(cd)) {

        if (cd != (iconv_t) -1) {
            iconv_close(cd);
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown charset \"%V\" in \"bitrix1c_charset\" "
                           "directive: expected a name that \"iconv -l\" "
                           "lists, of a charset that contains ASCII",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    /* kept open, so that libc loads the tables from disk only once */

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        iconv_close(cd);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_b1c_conf_charset_close;
    cln->data = (void *) cd;

    lcf->charset = value[1];

    return NGX_CONF_OK;
}


/* keys of a form and JSON tokens are compared as ASCII */
static ngx_uint_t
ngx_b1c_conf_charset_ascii(iconv_t cd)
{
    char    text[] = "event=ONSALE&data[ID]={\"1\":2}%+", out[64];
    char   *from, *to;
    size_t  n, left;

    from = text;
    n = sizeof(text) - 1;
    to = out;
    left = sizeof(out);

    return iconv(cd, &from, &n, &to, &left) != (size_t) -1
           && to - out == sizeof(text) - 1
           && ngx_memcmp(text, out, sizeof(text) - 1) == 0;
}


static void
ngx_b1c_conf_charset_close(void *data)
{
    iconv_close((iconv_t) data);
}


char *
ngx_b1c_conf_route(ngx_conf_t *cf, ngx_array_t *routes,
    ngx_b1c_route_t **field)
{
    ngx_str_t        *value;
    ngx_b1c_route_t  *route, **p;

    if (*field) {
        return "is duplicate";
    }

    route = ngx_pcalloc(cf->pool, sizeof(ngx_b1c_route_t));
    p = ngx_array_push(routes);

    if (route == NULL || p == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    route->name = value[1];
    route->cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    route->clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    route->file = cf->conf_file->file.name;
    route->line = cf->conf_file->line;

    *p = route;
    *field = route;

    return NGX_CONF_OK;
}


ngx_b1c_queue_t *
ngx_b1c_conf_queue(ngx_b1c_main_conf_t *mcf, ngx_str_t *name)
{
    ngx_uint_t         i;
    ngx_b1c_queue_t  **queue;

    queue = mcf->queues.elts;

    for (i = 0; i < mcf->queues.nelts; i++) {
        if (queue[i]->name.len == name->len
            && ngx_strncmp(queue[i]->name.data, name->data, name->len) == 0)
        {
            return queue[i];
        }
    }

    return NULL;
}


void
ngx_b1c_conf_no_redirects(ngx_conf_t *cf)
{
    ngx_http_upstream_conf_t  *ucf;

    /* the upstream's configuration is first in that of the proxy module */

    ucf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_proxy_module);

    if (ucf) {
        ucf->ignore_headers |= NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT;
    }
}


ngx_uint_t
ngx_b1c_conf_matches(ngx_array_t *masks, ngx_str_t *name)
{
    ngx_str_t  *mask;
    ngx_uint_t  i;

    if (masks == NULL) {
        return 0;
    }

    mask = masks->elts;

    for (i = 0; i < masks->nelts; i++) {
        if (b1c_glob_match((char *) mask[i].data, mask[i].len,
                           (char *) name->data, name->len))
        {
            return 1;
        }
    }

    return 0;
}


/* nginx itself keeps them no longer than it reads the configuration */
ngx_array_t *
ngx_b1c_conf_server_names(ngx_conf_t *cf)
{
    ngx_array_t               *names;
    ngx_http_server_name_t    *name;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    names = ngx_array_create(cf->pool, cscf->server_names.nelts + 1,
                             sizeof(ngx_http_server_name_t));
    if (names == NULL) {
        return NULL;
    }

    name = ngx_array_push_n(names, cscf->server_names.nelts);

    ngx_memcpy(name, cscf->server_names.elts,
               cscf->server_names.nelts * sizeof(ngx_http_server_name_t));

    return names;
}


/*
 * A delivery runs through the phases of its location, where "try_files" would
 * send it to a file or to another location, whose 200 would be taken for that
 * of 1C or Bitrix.  Its configuration is a single pointer.
 */
ngx_int_t
ngx_b1c_conf_no_try_files(ngx_conf_t *cf, ngx_b1c_route_t *route,
    const char *name)
{
    void  **conf;

    conf = route->clcf->loc_conf[ngx_http_try_files_module.ctx_index];

    if (conf == NULL || *conf == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"try_files\" is in the location of \"%s\" in %V:%ui: "
                  "deliveries would leave the location, remove it and leave "
                  "\"proxy_pass\" alone there", name, &route->file,
                  route->line);

    return NGX_ERROR;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_api_internal.h"
#include "b1c_base.h"
#include "b1c_http.h"
#include "b1c_queue.h"


typedef struct {
    ngx_str_t                    name;       /* after the location's name */
    ngx_uint_t                   post;
    ngx_uint_t                   args;
    ngx_uint_t                   needs;      /* arguments that are required */
    ngx_b1c_api_pt               handler;
} ngx_b1c_api_endpoint_t;


static ngx_int_t ngx_b1c_api_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_b1c_api_near(ngx_http_request_t *r);
static ngx_uint_t ngx_b1c_api_loopback(struct sockaddr *sa);
static ngx_int_t ngx_b1c_api_route(ngx_http_request_t *r, ngx_str_t *name);
static ngx_b1c_api_endpoint_t *ngx_b1c_api_find(ngx_str_t *name,
    ngx_str_t *id);
static ngx_int_t ngx_b1c_api_method(ngx_http_request_t *r, ngx_uint_t post);
static ngx_int_t ngx_b1c_api_intended(ngx_http_request_t *r);
static ngx_int_t ngx_b1c_api_serve(ngx_http_request_t *r,
    ngx_b1c_api_endpoint_t *ep, ngx_str_t *id);


static ngx_b1c_api_endpoint_t  ngx_b1c_api_endpoints[] = {

    { ngx_string("status"), 0, 0, 0,
      ngx_b1c_api_status_send },

    { ngx_string("history"), 0,
      NGX_B1C_ARG_QUEUE, 0,
      ngx_b1c_api_status_history },

    { ngx_string("metrics"), 0, 0, 0,
      ngx_b1c_api_metrics_send },

    { ngx_string("dead"), 0,
      NGX_B1C_ARG_QUEUE|NGX_B1C_ARG_FILTERS
      |NGX_B1C_ARG_LIMIT|NGX_B1C_ARG_CURSOR,
      NGX_B1C_ARG_QUEUE,
      ngx_b1c_api_dead_list },

    { ngx_string("dead/replay"), 1,
      NGX_B1C_ARG_QUEUE|NGX_B1C_ARG_ID
      |NGX_B1C_ARG_FILTERS|NGX_B1C_ARG_ALL
      |NGX_B1C_ARG_CURSOR,
      NGX_B1C_ARG_QUEUE,
      ngx_b1c_api_change_replay },

    { ngx_string("dead/delete"), 1,
      NGX_B1C_ARG_QUEUE|NGX_B1C_ARG_ID
      |NGX_B1C_ARG_FILTERS|NGX_B1C_ARG_ALL
      |NGX_B1C_ARG_CURSOR,
      NGX_B1C_ARG_QUEUE,
      ngx_b1c_api_change_delete },

    { ngx_string("dead/"), 0,
      NGX_B1C_ARG_QUEUE, NGX_B1C_ARG_QUEUE,
      ngx_b1c_api_dead_show },

    { ngx_string("queue/hold"), 1,
      NGX_B1C_ARG_QUEUE, NGX_B1C_ARG_QUEUE,
      ngx_b1c_api_change_hold },

    { ngx_string("queue/resume"), 1,
      NGX_B1C_ARG_QUEUE, NGX_B1C_ARG_QUEUE,
      ngx_b1c_api_change_resume },

    { ngx_string("export"), 0,
      NGX_B1C_ARG_QUEUE|NGX_B1C_ARG_WHAT |NGX_B1C_ARG_LIMIT|NGX_B1C_ARG_CURSOR,
      NGX_B1C_ARG_QUEUE,
      ngx_b1c_api_export_begin },

    { ngx_null_string, 0, 0, 0, NULL }
};


char *
ngx_b1c_api_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_b1c_loc_conf_t *lcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_b1c_api_loc_t         *api;

    if (lcf->api) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* links of the page are relative to it */

    if (clcf->named || clcf->exact_match || clcf->name.len == 0
#if (NGX_PCRE)
        || clcf->regex
#endif
        || clcf->name.data[clcf->name.len - 1] != '/')
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"bitrix1c_api\" in location \"%V\": expected a "
                           "prefix location whose name ends with \"/\", such "
                           "as \"location /bitrix1c/\"",
                           &clcf->name);
        return NGX_CONF_ERROR;
    }

    api = ngx_palloc(cf->pool, sizeof(ngx_b1c_api_loc_t));
    if (api == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    api->prefix = clcf->name;
    api->open = (cf->args->nelts == 2);

    if (api->open && ngx_strcmp(value[1].data, "open") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"bitrix1c_api\" "
                           "directive: expected \"open\" or no parameter",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    lcf->api = api;

    clcf->handler = ngx_b1c_api_handler;
    clcf->auto_redirect = 1;

    return NGX_CONF_OK;
}


void
ngx_b1c_api_merge(ngx_conf_t *cf, ngx_b1c_loc_conf_t *prev,
    ngx_b1c_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && conf->api == NULL && prev->api
        && clcf->handler == NULL)
    {
        conf->api = prev->api;
        clcf->handler = ngx_b1c_api_handler;
    }
}


void
ngx_b1c_api_init(void)
{
    ngx_b1c_depth_init();
    ngx_b1c_api_script_init();
}


static ngx_int_t
ngx_b1c_api_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_str_t            name;
    ngx_b1c_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (r != r->main
        || (!lcf->api->open && !ngx_b1c_api_near(r)))
    {
        return ngx_b1c_query_text_error(r, NGX_HTTP_FORBIDDEN,
                              "access is allowed only from this machine: "
                              "\"bitrix1c_api open\" allows it from others, "
                              "restrict it then by \"allow\" or "
                              "\"auth_basic\"");
    }

    if (!ngx_b1c_origin_known(r, NULL)) {
        return ngx_b1c_query_text_error(r, NGX_HTTP_FORBIDDEN,
                              "the name in the address does not belong to "
                              "this server: use a number, localhost or its "
                              "server_name");
    }

    name.len = lcf->api->prefix.len;

    if (r->uri.len < name.len) {
        return NGX_HTTP_NOT_FOUND;
    }

    name.data = r->uri.data + name.len;
    name.len = r->uri.len - name.len;

    return ngx_b1c_api_route(r, &name);
}


/*
 * Both the peer of the socket and the address that realip made of it must be
 * local: each alone can be forged where a proxy runs on this machine or a
 * header is trusted.
 */
static ngx_uint_t
ngx_b1c_api_near(ngx_http_request_t *r)
{
    socklen_t       len;
    ngx_sockaddr_t  sa;

    len = sizeof(ngx_sockaddr_t);
    ngx_memzero(&sa, len);

    if (getpeername(r->connection->fd, &sa.sockaddr, &len) == -1) {
        return 0;
    }

    return ngx_b1c_api_loopback(&sa.sockaddr)
           && ngx_b1c_api_loopback(r->connection->sockaddr);
}


static ngx_uint_t
ngx_b1c_api_loopback(struct sockaddr *sa)
{
    in_addr_t            addr;
    struct sockaddr_in  *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (sa->sa_family) {

#if (NGX_HAVE_UNIX_DOMAIN)
    case AF_UNIX:
        return 1;
#endif

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;

        if (!IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            return IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr);
        }

        ngx_memcpy(&addr, &sin6->sin6_addr.s6_addr[12], 4);
        break;
#endif

    case AF_INET:
        sin = (struct sockaddr_in *) sa;
        addr = sin->sin_addr.s_addr;
        break;

    default:
        return 0;
    }

    return (ntohl(addr) >> 24) == 127;
}


static ngx_int_t
ngx_b1c_api_route(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_int_t                rc;
    ngx_str_t                id;
    ngx_b1c_api_endpoint_t  *ep;

    ep = ngx_b1c_api_find(name, &id);

    if (ep == NULL && !ngx_b1c_api_page_is_page(name)) {
        name->len = ngx_min(name->len, 256);

        return ngx_b1c_query_text_error(r, NGX_HTTP_NOT_FOUND,
                              "there is no \"%V\" here: expected status, "
                              "history, metrics, dead, dead/ID, dead/replay, "
                              "dead/delete, queue/hold, queue/resume or "
                              "export", name);
    }

    rc = ngx_b1c_api_method(r, ep && ep->post);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    return ep ? ngx_b1c_api_serve(r, ep, &id) : ngx_b1c_api_page_send(r, name);
}


static ngx_b1c_api_endpoint_t *
ngx_b1c_api_find(ngx_str_t *name, ngx_str_t *id)
{
    ngx_str_t               *s;
    ngx_b1c_api_endpoint_t  *ep;

    ngx_str_null(id);

    for (ep = ngx_b1c_api_endpoints; ep->name.len; ep++) {
        s = &ep->name;

        if (name->len < s->len
            || ngx_strncmp(name->data, s->data, s->len) != 0)
        {
            continue;
        }

        if (name->len == s->len && s->data[s->len - 1] != '/') {
            return ep;
        }

        if (s->data[s->len - 1] == '/' && name->len > s->len
            && ngx_strlchr(name->data + s->len, name->data + name->len, '/')
               == NULL)
        {
            id->data = name->data + s->len;
            id->len = name->len - s->len;
            return ep;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_b1c_api_method(ngx_http_request_t *r, ngx_uint_t post)
{
    ngx_uint_t        allowed;
    static ngx_str_t  get_head = ngx_string("GET, HEAD");
    static ngx_str_t  only_post = ngx_string("POST");

    allowed = post ? NGX_HTTP_POST : NGX_HTTP_GET|NGX_HTTP_HEAD;

    if (r->method & allowed) {
        return post ? ngx_b1c_api_intended(r) : NGX_DECLINED;
    }

    if (ngx_b1c_answer_header(r, "Allow",
                                     post ? &only_post : &get_head)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_b1c_query_text_error(r, NGX_HTTP_NOT_ALLOWED,
                          "the method is not allowed here: expected %V",
                          post ? &only_post : &get_head);
}


/*
 * A page of another site can make an operator's browser send a form here, but
 * it can neither add a header of its own nor hide its origin.
 */
static ngx_int_t
ngx_b1c_api_intended(ngx_http_request_t *r)
{
    if (ngx_b1c_origin_header(r, "X-Bitrix1c", 0) == NULL) {
        return ngx_b1c_query_text_error(r, NGX_HTTP_FORBIDDEN,
                              "the header \"X-Bitrix1c: 1\" is missing: every "
                              "change must have it, because a form of another "
                              "site cannot send it");
    }

    if (ngx_b1c_origin_site(r)) {
        return ngx_b1c_query_text_error(r, NGX_HTTP_FORBIDDEN,
                              "the request comes from another site: changes "
                              "are accepted only from the page of this "
                              "location");
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_b1c_api_serve(ngx_http_request_t *r, ngx_b1c_api_endpoint_t *ep,
    ngx_str_t *id)
{
    ngx_int_t         rc;
    ngx_b1c_query_t  *call;

    call = ngx_b1c_redis_query_create(r);
    if (call == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    call->data = ngx_pcalloc(call->pool, sizeof(ngx_b1c_api_args_t));
    if (call->data == NULL) {
        ngx_b1c_redis_query_destroy(call);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_b1c_api_args_parse(call, ep->args);

    /* NGX_DECLINED, here and above, means that no error was sent */

    if (rc == NGX_DECLINED && (ep->needs & ~ngx_b1c_api_args(call)->given)) {
        rc = ngx_b1c_query_text_error(r, NGX_HTTP_BAD_REQUEST,
                            "an argument is missing: expected queue=name");

    } else if (rc == NGX_DECLINED && id->data
               && !ngx_b1c_redis_query_is_id(id))
    {
        id->len = ngx_min(id->len, 256);

        rc = ngx_b1c_query_text_error(r, NGX_HTTP_BAD_REQUEST,
                            "invalid id \"%V\": expected 32 hexadecimal "
                            "digits",
                            id);

    } else if (rc == NGX_DECLINED) {

        if (id->data) {
            call->id.len = id->len;
            call->id.data = ngx_pstrdup(call->pool, id);
        }

        rc = (id->data && call->id.data == NULL)
             ? NGX_HTTP_INTERNAL_SERVER_ERROR : ep->handler(call);
    }

    if (call->pending == 0) {
        ngx_b1c_redis_query_destroy(call);
    }

    return rc;
}

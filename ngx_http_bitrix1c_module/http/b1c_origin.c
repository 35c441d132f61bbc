
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_http.h"


static ngx_uint_t ngx_b1c_origin_is(ngx_str_t *name, ngx_str_t *host);
static ngx_uint_t ngx_b1c_origin_here(ngx_http_request_t *r, ngx_str_t *url);


ngx_str_t *
ngx_b1c_origin_header(ngx_http_request_t *r, const char *name, ngx_uint_t skip)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0
                && skip-- == 0)
            {
                return &h[i].value;
            }
        }
    }

    return NULL;
}


ngx_uint_t
ngx_b1c_origin_site(ngx_http_request_t *r)
{
    ngx_str_t  *site;

    site = ngx_b1c_origin_header(r, "Sec-Fetch-Site", 0);

    return site
           && !(site->len == 11
                && ngx_strncmp(site->data, "same-origin", 11) == 0)
           && !(site->len == 4 && ngx_strncmp(site->data, "none", 4) == 0);
}


ngx_uint_t
ngx_b1c_origin_foreign(ngx_http_request_t *r)
{
    ngx_str_t  *origin;

    if (ngx_b1c_origin_header(r, "Sec-Fetch-Site", 0)) {
        return ngx_b1c_origin_site(r);
    }

    origin = ngx_b1c_origin_header(r, "Origin", 0);

    if (origin == NULL) {
        return 0;
    }

    return !ngx_b1c_origin_here(r, origin);
}


/* 1 if the address is one of the host that is asked */
static ngx_uint_t
ngx_b1c_origin_here(ngx_http_request_t *r, ngx_str_t *url)
{
    u_char     *p, *last;
    ngx_str_t  *host;

    host = r->headers_in.host ? &r->headers_in.host->value : NULL;
    last = url->data + url->len;
    p = ngx_strlcasestrn(url->data, last, (u_char *) "://", 3 - 1);

    return host && p && (size_t) (last - p - 3) >= host->len
           && ngx_strncasecmp(p + 3, host->data, host->len) == 0
           && (p + 3 + host->len == last || p[3 + host->len] == '/');
}


ngx_uint_t
ngx_b1c_origin_page(ngx_http_request_t *r)
{
    ngx_str_t  *agent, *referer;

    if (ngx_b1c_origin_header(r, "Sec-Fetch-Site", 0)
        || ngx_b1c_origin_header(r, "Origin", 0))
    {
        return ngx_b1c_origin_foreign(r);
    }

    referer = ngx_b1c_origin_header(r, "Referer", 0);

    if (referer) {
        return !ngx_b1c_origin_here(r, referer);
    }

    agent = ngx_b1c_origin_header(r, "User-Agent", 0);

    return agent && agent->len > 8
           && ngx_strncasecmp(agent->data, (u_char *) "Mozilla/", 8) == 0;
}


ngx_uint_t
ngx_b1c_origin_known(ngx_http_request_t *r, ngx_array_t *names)
{
    ngx_str_t               *host, *name;
    ngx_uint_t               i;
    ngx_b1c_loc_conf_t      *lcf;
    ngx_http_server_name_t  *sn;

    host = &r->headers_in.server;

    if (host->len == 0
        || (host->len == 9
            && ngx_strncasecmp(host->data, (u_char *) "localhost", 9) == 0)
        || host->data[0] == '['
        || ngx_inet_addr(host->data, host->len) != INADDR_NONE)
    {
        return 1;
    }

    if (names) {
        name = names->elts;

        for (i = 0; i < names->nelts; i++) {
            if (ngx_b1c_origin_is(&name[i], host)) {
                return 1;
            }
        }
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);
    sn = lcf->names->elts;

    for (i = 0; i < lcf->names->nelts; i++) {

#if (NGX_PCRE)

        if (sn[i].regex) {
            if (ngx_regex_exec(sn[i].regex->regex, host, NULL, 0) >= 0) {
                return 1;
            }

            continue;
        }

#endif

        if (ngx_b1c_origin_is(&sn[i].name, host)) {
            return 1;
        }
    }

    return 0;
}


/* as "server_name" has them: *.name, .name and name.* */
static ngx_uint_t
ngx_b1c_origin_is(ngx_str_t *name, ngx_str_t *host)
{
    size_t   len;
    u_char  *p;

    if (name->len == host->len
        && ngx_strncasecmp(name->data, host->data, host->len) == 0)
    {
        return 1;
    }

    if (name->len > 2 && name->data[name->len - 1] == '*') {
        len = name->len - 1;

        return host->len > len
               && ngx_strncasecmp(name->data, host->data, len) == 0;
    }

    if (name->len < 2 || (name->data[0] != '*' && name->data[0] != '.')) {
        return 0;
    }

    p = name->data + (name->data[0] == '*');
    len = name->data + name->len - p;

    if (name->data[0] == '.' && host->len == len - 1) {
        return ngx_strncasecmp(p + 1, host->data, host->len) == 0;
    }

    return host->len > len
           && ngx_strncasecmp(host->data + host->len - len, p, len) == 0;
}

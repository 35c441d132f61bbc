
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_http.h"


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
    u_char     *p, *last;
    ngx_str_t  *origin, *host;

    if (ngx_b1c_origin_header(r, "Sec-Fetch-Site", 0)) {
        return ngx_b1c_origin_site(r);
    }

    origin = ngx_b1c_origin_header(r, "Origin", 0);

    if (origin == NULL) {
        return 0;
    }

    host = r->headers_in.host ? &r->headers_in.host->value : NULL;
    last = origin->data + origin->len;
    p = ngx_strlcasestrn(origin->data, last, (u_char *) "://", 3 - 1);

    return host == NULL || p == NULL
           || (size_t) (last - p - 3) != host->len
           || ngx_strncasecmp(p + 3, host->data, host->len) != 0;
}

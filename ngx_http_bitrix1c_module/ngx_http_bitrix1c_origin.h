
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_ORIGIN_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_ORIGIN_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * Whence a request comes: a page of any site can make the browser of somebody
 * who is allowed to call send what a form or an image can, and cannot help that
 * the browser says so (Fetch Metadata and Fetch, both of W3C and WHATWG).
 */


/* of several headers of this name the one behind so many, or NULL */
ngx_str_t *ngx_http_bitrix1c_origin_header(ngx_http_request_t *r,
    const char *name, ngx_uint_t skip);

/* 1 if "Sec-Fetch-Site" names another site, or another host of this one */
ngx_uint_t ngx_http_bitrix1c_origin_site(ngx_http_request_t *r);

/*
 * The same, and 1 for an "Origin" that is not this host, as of a browser that
 * sends no "Sec-Fetch-Site", which no browser does to plain http.
 */
ngx_uint_t ngx_http_bitrix1c_origin_foreign(ngx_http_request_t *r);


#endif /* _NGX_HTTP_BITRIX1C_ORIGIN_H_INCLUDED_ */

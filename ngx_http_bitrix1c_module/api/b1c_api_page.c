
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_api_internal.h"
#include "b1c_core.h"
#include "b1c_http.h"
#include "b1c_page.h"


/* only the page's own files are loaded, nobody may frame the page */
#define NGX_B1C_CSP                                                \
    "default-src 'none'; script-src 'self'; style-src 'self'; "              \
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; "            \
    "form-action 'none'; frame-ancestors 'none'"


typedef struct {
    ngx_str_t                    name;
    const char                  *type;
    u_char                      *text;
    size_t                       len;
} ngx_b1c_api_file_t;


static ngx_b1c_api_file_t *ngx_b1c_api_page_file(ngx_str_t *name);


static ngx_b1c_api_file_t  ngx_b1c_api_files[] = {
    NGX_B1C_PAGE
    { ngx_null_string, NULL, NULL, 0 }
};


static ngx_b1c_api_file_t *
ngx_b1c_api_page_file(ngx_str_t *name)
{
    ngx_b1c_api_file_t  *file;

    for (file = ngx_b1c_api_files; file->type; file++) {
        if (file->name.len == name->len
            && ngx_strncmp(file->name.data, name->data, name->len) == 0)
        {
            return file;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_b1c_api_page_is_page(ngx_str_t *name)
{
    return ngx_b1c_api_page_file(name) != NULL;
}


ngx_int_t
ngx_b1c_api_page_send(ngx_http_request_t *r, ngx_str_t *name)
{
    b1c_buf_t            buf;
    ngx_b1c_api_file_t  *file;

    static ngx_str_t  csp = ngx_string(NGX_B1C_CSP);
    static ngx_str_t  referrer = ngx_string("no-referrer");

    file = ngx_b1c_api_page_file(name);

    if (ngx_b1c_answer_header(r, "Content-Security-Policy", &csp)
        != NGX_OK
        || ngx_b1c_answer_header(r, "Referrer-Policy", &referrer)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&buf, sizeof(b1c_buf_t));
    b1c_json_write_put(&buf, (char *) file->text, file->len);

    return ngx_b1c_query_text_send(r, NGX_HTTP_OK, file->type, &buf);
}

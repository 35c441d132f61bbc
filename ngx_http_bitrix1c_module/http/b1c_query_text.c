
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_http.h"
#include "b1c_core.h"


#define NGX_B1C_API_CHUNK  1024


typedef struct {
    ngx_uint_t                   status;
    const char                  *code;
} ngx_b1c_api_code_t;


static size_t ngx_b1c_query_text_plain(u_char *p, u_char *last);
static const char *ngx_b1c_query_text_code(ngx_uint_t status);
static void ngx_b1c_query_text_free(void *data);


static ngx_b1c_api_code_t  ngx_b1c_api_codes[] = {
    { NGX_HTTP_BAD_REQUEST, "BadRequest" },
    { NGX_HTTP_FORBIDDEN, "Forbidden" },
    { NGX_HTTP_NOT_FOUND, "NotFound" },
    { NGX_HTTP_NOT_ALLOWED, "MethodNotAllowed" },
    { NGX_HTTP_CONFLICT, "Conflict" },
    { NGX_HTTP_SERVICE_UNAVAILABLE, "Unavailable" },
    { 0, "Error" }
};


void
ngx_b1c_query_text_put(b1c_buf_t *buf, const char *fmt, ...)
{
    u_char   text[NGX_B1C_API_CHUNK], *p;
    va_list  args;

    va_start(args, fmt);
    p = ngx_vslprintf(text, text + sizeof(text), fmt, args);
    va_end(args);

    b1c_json_write_put(buf, (char *) text, p - text);
}


void
ngx_b1c_query_text_put_string(b1c_buf_t *buf, ngx_str_t *text)
{
    u_char  *p, *last;
    size_t   n;

    p = text->data;
    last = p + text->len;

    b1c_json_write_put(buf, "\"", 1);

    while (p < last) {
        n = ngx_b1c_query_text_plain(p, last);

        if (n) {
            b1c_json_write_put(buf, (char *) p, n);
            p += n;
            continue;
        }

        if (*p == '"' || *p == '\\') {
            ngx_b1c_query_text_put(buf, "\\%c", *p);

        } else if (*p < 0x80) {
            ngx_b1c_query_text_put(buf, "\\u%04xd", (uint32_t) *p);

        } else {
            b1c_json_write_put(buf, "\\ufffd", 6);
        }

        p++;
    }

    b1c_json_write_put(buf, "\"", 1);
}


/* bytes that a JSON string may contain without an escape */
static size_t
ngx_b1c_query_text_plain(u_char *p, u_char *last)
{
    size_t   n;
    u_char  *start;

    start = p;

    while (p < last) {

        if (*p < 0x80) {

            if (*p < 0x20 || *p == 0x7f || *p == '"' || *p == '\\') {
                break;
            }

            p++;
            continue;
        }

        n = b1c_text_char(p, last - p);
        if (n == 0) {
            break;
        }

        p += n;
    }

    return p - start;
}


void
ngx_b1c_query_text_put_seconds(b1c_buf_t *buf, int64_t ms)
{
    ms = ngx_max(ms, 0);

    ngx_b1c_query_text_put(buf, "%L.%03L", ms / 1000, ms % 1000);
}


ngx_int_t
ngx_b1c_query_text_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, b1c_buf_t *buf)
{
    ngx_str_t            text;
    ngx_pool_cleanup_t  *cln;

    static ngx_str_t  no_store = ngx_string("no-store");
    static ngx_str_t  nosniff = ngx_string("nosniff");

    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL || buf->failed) {
        ngx_b1c_query_text_free(buf->start);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_b1c_query_text_free;
    cln->data = buf->start;

    if (ngx_b1c_answer_header(r, "Cache-Control", &no_store) != NGX_OK
        || ngx_b1c_answer_header(r, "X-Content-Type-Options", &nosniff)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    text.data = (u_char *) buf->start;
    text.len = buf->len;

    return ngx_b1c_answer_body(r, status, &text);
}


ngx_int_t
ngx_b1c_query_text_send_json(ngx_http_request_t *r, b1c_buf_t *buf)
{
    return ngx_b1c_query_text_send(r, NGX_HTTP_OK,
                                   "application/json; charset=utf-8", buf);
}


ngx_int_t
ngx_b1c_query_text_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *fmt, ...)
{
    u_char     sentence[NGX_B1C_API_CHUNK];
    va_list    args;
    ngx_str_t  text;
    b1c_buf_t  buf;

    ngx_memzero(&buf, sizeof(b1c_buf_t));

    va_start(args, fmt);
    text.data = sentence;
    text.len = ngx_vslprintf(sentence, sentence + sizeof(sentence), fmt, args)
               - sentence;
    va_end(args);

    ngx_b1c_query_text_put(&buf, "{\"error\":{\"status\":%ui,"
                           "\"code\":\"%s\",\"text\":", status,
                           ngx_b1c_query_text_code(status));
    ngx_b1c_query_text_put_string(&buf, &text);
    ngx_b1c_query_text_put(&buf, "}}\n");

    return ngx_b1c_query_text_send(r, status,
                                   "application/json; charset=utf-8",
                                   &buf);
}


static const char *
ngx_b1c_query_text_code(ngx_uint_t status)
{
    ngx_b1c_api_code_t  *c;

    for (c = ngx_b1c_api_codes; c->status; c++) {
        if (c->status == status) {
            break;
        }
    }

    return c->code;
}


static void
ngx_b1c_query_text_free(void *data)
{
    free(data);
}

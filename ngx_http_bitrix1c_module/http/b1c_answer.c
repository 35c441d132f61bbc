
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_http.h"
#include "b1c_base.h"


typedef struct {
    ngx_str_t                    name;
    ngx_uint_t                   status;
} ngx_b1c_answer_t;


/* in the order of ngx_b1c_result_e */
static ngx_b1c_answer_t  ngx_b1c_answers[] = {
    { ngx_string(""), NGX_HTTP_INTERNAL_SERVER_ERROR },
    { ngx_string("ready"), NGX_HTTP_OK },
    { ngx_string("accepted"), NGX_HTTP_OK },
    { ngx_string("coalesced"), NGX_HTTP_OK },
    { ngx_string("duplicate"), NGX_HTTP_OK },
    { ngx_string("spooled"), NGX_HTTP_OK },
    { ngx_string("ignored"), NGX_HTTP_OK },
    { ngx_string("malformed"), NGX_HTTP_BAD_REQUEST },
    { ngx_string("forbidden"), NGX_HTTP_FORBIDDEN },
    { ngx_string("not_allowed"), NGX_HTTP_NOT_ALLOWED },
    { ngx_string("too_large"), NGX_HTTP_REQUEST_ENTITY_TOO_LARGE },
    { ngx_string("unsupported"), NGX_HTTP_UNSUPPORTED_MEDIA_TYPE },
    { ngx_string("unavailable"), NGX_HTTP_SERVICE_UNAVAILABLE },
    { ngx_string("delivered"), 0 },
    { ngx_string("retry"), 0 },
    { ngx_string("dead"), 0 },
    { ngx_string("lost"), 0 }
};


ngx_str_t *
ngx_b1c_answer_name(ngx_b1c_result_e result)
{
    return &ngx_b1c_answers[result].name;
}


ngx_int_t
ngx_b1c_answer_text(ngx_pool_t *pool, ngx_b1c_result_e result,
    ngx_b1c_detail_t *detail, ngx_str_t *text)
{
    u_char                  *p;
    size_t                   size;
    static ngx_b1c_detail_t  none;

    if (detail == NULL) {
        detail = &none;
    }

    size = sizeof("{\"result\":\"not_allowed\",\"id\":\"\",\"error\":\"\","
                  "\"where\":,\"status\":}\n")
           + detail->id.len + detail->error.len
           + NGX_SIZE_T_LEN + NGX_INT_T_LEN;

    text->data = ngx_pnalloc(pool, size);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(text->data, "{\"result\":\"%V\"",
                    ngx_b1c_answer_name(result));

    if (detail->id.len) {
        p = ngx_sprintf(p, ",\"id\":\"%V\"", &detail->id);
    }

    if (detail->error.len) {
        p = ngx_sprintf(p, ",\"error\":\"%V\",\"where\":%uz",
                        &detail->error, detail->where);
    }

    if (detail->status) {
        p = ngx_sprintf(p, ",\"status\":%ui", detail->status);
    }

    *p++ = '}';
    *p++ = LF;

    text->len = p - text->data;

    return NGX_OK;
}


void
ngx_b1c_answer_type(ngx_http_request_t *r)
{
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    ngx_str_null(&r->headers_out.charset);
}


ngx_int_t
ngx_b1c_answer_result(ngx_http_request_t *r, ngx_b1c_ctx_t *ctx,
    ngx_b1c_detail_t *detail)
{
    ngx_str_t  text;

    static ngx_str_t  allow = ngx_string("GET, HEAD, POST");

    if (ngx_b1c_answer_text(r->pool, ctx->result, detail, &text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->result == NGX_B1C_NOT_ALLOWED
        && ngx_b1c_answer_header(r, "Allow", &allow) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_b1c_answer_send(r, ngx_b1c_answers[ctx->result].status, &text);
}


ngx_int_t
ngx_b1c_answer_send(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t *text)
{
    ngx_b1c_ctx_t  *ctx;

    ctx = ngx_b1c_ctx_get(r);

    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->answered = 1;

    ngx_b1c_answer_type(r);

    return ngx_b1c_answer_body(r, status, text);
}


ngx_int_t
ngx_b1c_answer_body(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t *text)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);

    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = text->len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    if (text->len) {
        b->pos = text->data;
        b->last = text->data + text->len;
        b->memory = 1;
    }

    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_b1c_answer_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    if (value->len == 0) {
        return NGX_OK;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

    return NGX_OK;
}

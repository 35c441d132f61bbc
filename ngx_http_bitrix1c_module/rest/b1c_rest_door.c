
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_bitrix.h"
#include "b1c_http.h"


static ngx_int_t ngx_b1c_rest_door_type(ngx_http_request_t *r,
    b1c_door_t *door);
static ngx_int_t ngx_b1c_rest_door_malformed(ngx_b1c_rest_t *rest,
    ngx_b1c_error_t *error, b1c_error_t *err);
static ngx_int_t ngx_b1c_rest_door_sent(ngx_b1c_rest_t *rest);
static ngx_int_t ngx_b1c_rest_door_headers(ngx_b1c_rest_t *rest);
static ngx_uint_t ngx_b1c_rest_door_is(ngx_table_elt_t *h, const char *name);


ngx_int_t
ngx_b1c_rest_door_read(ngx_b1c_rest_t *rest, ngx_str_t *body,
    ngx_b1c_error_t *error)
{
    b1c_door_t          *door;
    b1c_error_t          err;
    ngx_http_request_t  *r;
    ngx_b1c_loc_conf_t  *lcf;

    r = rest->request;
    door = &rest->door;
    lcf = ngx_http_get_module_loc_conf(r, ngx_http_bitrix1c_module);

    error->status = NGX_HTTP_BAD_REQUEST;
    error->code = "BITRIX1C_BAD_REQUEST";

    if (ngx_b1c_rest_door_type(r, door) != NGX_OK) {
        error->text = "Content-Type is given twice";
        return NGX_DECLINED;
    }

    door->in_args = (char *) r->args.data;
    door->in_args_len = r->args.len;
    door->in_body = (char *) body->data;
    door->in_len = body->len;
    door->charset = lcf->charset.len ? (char *) lcf->charset.data : NULL;
    door->post = (r->method == NGX_HTTP_POST);
    door->batch = ngx_b1c_rest_door_called(rest, "batch");
    door->files = ngx_b1c_rest_door_called(rest, "upload")
                  || ngx_b1c_rest_door_called(rest, "download");

    switch (b1c_door_read(door, &err)) {

    case B1C_DOOR_OK:
        return ngx_b1c_rest_door_sent(rest);

    case B1C_DOOR_TYPE:
        error->status = NGX_HTTP_UNSUPPORTED_MEDIA_TYPE;
        error->code = "BITRIX1C_BAD_TYPE";
        error->text = "Content-Type must be application/json, "
                      "application/x-www-form-urlencoded or "
                      "multipart/form-data";
        return NGX_DECLINED;

    case B1C_DOOR_MALFORMED:
        return ngx_b1c_rest_door_malformed(rest, error, &err);

    default:
        return NGX_ERROR;
    }
}


ngx_uint_t
ngx_b1c_rest_door_called(ngx_b1c_rest_t *rest, const char *name)
{
    return rest->method.len == ngx_strlen(name)
           && ngx_strncasecmp(rest->method.data, (u_char *) name,
                              rest->method.len)
              == 0;
}


/* NGX_DECLINED: there are two */
static ngx_int_t
ngx_b1c_rest_door_type(ngx_http_request_t *r, b1c_door_t *door)
{
    ngx_str_t  *type;

    type = ngx_b1c_origin_header(r, "Content-Type", 0);

    if (type == NULL) {
        return NGX_OK;
    }

    door->in_type = (char *) type->data;
    door->in_type_len = type->len;

    return ngx_b1c_origin_header(r, "Content-Type", 1) ? NGX_DECLINED
                                                       : NGX_OK;
}


static ngx_int_t
ngx_b1c_rest_door_malformed(ngx_b1c_rest_t *rest, ngx_b1c_error_t *error,
    b1c_error_t *err)
{
    u_char      *p, *text;
    size_t       len, size;
    const char  *where;

    where = rest->door.where;

    /* the limits of calls are no directive's */

    p = (u_char *) ngx_strstr(err->what, " (bitrix1c_limits");
    len = p ? (size_t) (p - (u_char *) err->what) : ngx_strlen(err->what);

    size = ngx_strlen(where) + len + NGX_SIZE_T_LEN
           + sizeof("the : , at byte ");

    text = ngx_pnalloc(rest->request->pool, size);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(text, "the %s: %*s", where, len, err->what);

    if (err->where) {
        p = ngx_sprintf(p, ", at byte %uz", err->where);
    }

    *p = '\0';

    error->text = (char *) text;

    return NGX_DECLINED;
}


/* what each try sends */
static ngx_int_t
ngx_b1c_rest_door_sent(ngx_b1c_rest_t *rest)
{
    ngx_buf_t           *b;
    b1c_door_t          *door;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = rest->request;
    door = &rest->door;

    rest->args.data = (u_char *) door->args.start;
    rest->args.len = door->args.len;

    if (!door->as_is) {
        b = ngx_calloc_buf(r->pool);
        cl = ngx_alloc_chain_link(r->pool);

        if (b == NULL || cl == NULL) {
            return NGX_ERROR;
        }

        b->start = (u_char *) door->body.start;
        b->pos = b->start;
        b->last = b->start + door->body.len;
        b->end = b->last;
        b->memory = 1;

        cl->buf = b;
        cl->next = NULL;

        r->request_body->bufs = door->body.len ? cl : NULL;
        r->headers_in.content_length_n = door->body.len;
    }

    return ngx_b1c_rest_door_headers(rest);
}


/*
 * The headers of a try: the type of what it sends, no "Authorization", whose
 * rights Bitrix would use instead of the webhook's, and no compressed answer,
 * which could not be looked into.
 */
static ngx_int_t
ngx_b1c_rest_door_headers(ngx_b1c_rest_t *rest)
{
    ngx_uint_t           i;
    ngx_list_part_t     *part;
    ngx_table_elt_t     *h, *to;
    ngx_http_request_t  *r;

    r = rest->request;

    rest->headers = ngx_list_create(r->pool, 16, sizeof(ngx_table_elt_t));
    if (rest->headers == NULL) {
        return NGX_ERROR;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_b1c_rest_door_is(&h[i], "authorization")
                || ngx_b1c_rest_door_is(&h[i], "content-type"))
            {
                continue;
            }

            to = ngx_list_push(rest->headers);
            if (to == NULL) {
                return NGX_ERROR;
            }

            *to = h[i];

            if (ngx_b1c_rest_door_is(&h[i], "accept-encoding")) {
                ngx_str_set(&to->value, "identity");
            }
        }
    }

    if (rest->door.type == NULL) {
        return NGX_OK;
    }

    to = ngx_list_push(rest->headers);
    if (to == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(to, sizeof(ngx_table_elt_t));

    to->hash = 1;
    ngx_str_set(&to->key, "Content-Type");
    to->lowcase_key = (u_char *) "content-type";
    to->value.data = (u_char *) rest->door.type;
    to->value.len = ngx_strlen(rest->door.type);

    to->hash = ngx_hash_key(to->lowcase_key, to->key.len);

    rest->type = to;

    return NGX_OK;
}


static ngx_uint_t
ngx_b1c_rest_door_is(ngx_table_elt_t *h, const char *name)
{
    size_t  len;

    len = ngx_strlen(name);

    return h->key.len == len
           && ngx_strncasecmp(h->key.data, (u_char *) name, len) == 0;
}


void
ngx_b1c_rest_door_pass(ngx_b1c_rest_t *rest, ngx_http_request_t *sr)
{
    ngx_http_headers_in_t  *in;

    static ngx_str_t  post = ngx_string("POST");

    in = &sr->headers_in;

    in->headers = *rest->headers;

    if (rest->headers->last == &rest->headers->part) {
        in->headers.last = &in->headers.part;
    }

    in->authorization = NULL;
    in->content_type = rest->type;
    in->content_length_n = rest->request->headers_in.content_length_n;

    /* a batch that came by GET has a body now */

    if (rest->door.body.len) {
        sr->method = NGX_HTTP_POST;
        sr->method_name = post;
    }
}

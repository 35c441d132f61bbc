
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_API_ITEM_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_API_ITEM_H_INCLUDED_


#include "ngx_http_bitrix1c_api_call.h"


/* an event as Redis has it; the texts are the reply's */
typedef struct {
    ngx_str_t                        id;
    ngx_str_t                        reason;
    ngx_str_t                        text;       /* JSON, see page.lua */
    ngx_uint_t                       whole;      /* up to its end */
    ngx_uint_t                       attempts;
    int64_t                          created;    /* ms, 0: unknown */
    int64_t                          died;
    int64_t                          size;
    cJSON                           *tree;       /* of text, NULL: no JSON */
} ngx_http_bitrix1c_api_item_t;


/* item->text as item->tree, to be freed by the next one */
void ngx_http_bitrix1c_api_item_parse(ngx_http_bitrix1c_api_item_t *item);
void ngx_http_bitrix1c_api_item_free(ngx_http_bitrix1c_api_item_t *item);

/* attempts and created out of id:m, died out of a score */
void ngx_http_bitrix1c_api_item_meta(ngx_http_bitrix1c_api_item_t *item,
    ngx_str_t *meta, ngx_str_t *score);

/* the JSON of a record from the comma after the id on; empty if it has none */
void ngx_http_bitrix1c_api_item_record(ngx_http_bitrix1c_api_item_t *item,
    ngx_str_t *record);

/* the item as a JSON object, with its "body" if it is whole */
void ngx_http_bitrix1c_api_item_put(bitrix_buf_t *buf,
    ngx_http_bitrix1c_api_item_t *item);

/* 1 if all filters that are given fit; times are left to page.lua */
ngx_uint_t ngx_http_bitrix1c_api_item_fits(ngx_http_bitrix1c_api_item_t *item,
    ngx_http_bitrix1c_api_args_t *args);


#endif /* _NGX_HTTP_BITRIX1C_API_ITEM_H_INCLUDED_ */

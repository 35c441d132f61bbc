
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_API_WALK_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_API_WALK_H_INCLUDED_


#include "ngx_http_bitrix1c_api_item.h"


/*
 * Goes through dead letters, or through what waits, page by page, with a bound
 * on what one request looks at: what is left is for the next one, which begins
 * at the cursor.
 */


/* events a request looks at, and bytes of records that it sends, about */
#define NGX_HTTP_BITRIX1C_WALK_LOOK   1000
#define NGX_HTTP_BITRIX1C_WALK_BYTES  1048576


/* letter, score and member */
#define NGX_HTTP_BITRIX1C_WALK_CURSOR  (2 + 40 + 1 + 96)


typedef struct ngx_http_bitrix1c_api_walk_s  ngx_http_bitrix1c_api_walk_t;

struct ngx_http_bitrix1c_api_walk_s {

    /* as it is to be */
    ngx_str_t                       *key;        /* the ZSET */
    ngx_uint_t                       desc;
    ngx_uint_t                       bodies;     /* whole records are due */
    ngx_uint_t                       page;       /* at most 200 */

    /* NGX_OK: go on; NGX_DONE: enough, this item included */
    ngx_int_t                      (*item)(ngx_http_bitrix1c_api_call_t *call,
                                           ngx_http_bitrix1c_api_walk_t *walk,
                                        ngx_http_bitrix1c_api_item_t *item);

    /* a page is through; what the request ends with, or asks for more */
    ngx_int_t                      (*done)(ngx_http_bitrix1c_api_call_t *call,
                                           ngx_http_bitrix1c_api_walk_t *walk);
    void                            *data;

    /* how it is */
    int64_t                          total;      /* elements of the ZSET */
    ngx_uint_t                       more;
    ngx_uint_t                       enough;     /* said by an item */
    ngx_uint_t                       moved;
    ngx_uint_t                       parked;
    ngx_uint_t                       looked;
    size_t                           bytes;
    ngx_str_t                        score;      /* of the last item */
    ngx_str_t                        member;

    ngx_str_t                        argv[9];
    u_char                           numbers[3][NGX_INT64_LEN + 1];
    u_char                           bytes_text[NGX_INT64_LEN + 1];
    u_char                           place[NGX_HTTP_BITRIX1C_WALK_CURSOR];
};


/* sends for a page, from where the one before has ended */
ngx_int_t ngx_http_bitrix1c_api_walk(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_walk_t *walk);

/* 1: there is more, and this request may look at it */
ngx_uint_t ngx_http_bitrix1c_api_walk_on(ngx_http_bitrix1c_api_walk_t *walk);

/*
 * A cursor is a letter that tells what is walked through, and the place.
 * NGX_OK if it is one of the letters, which is set; else NGX_DECLINED.
 */
ngx_int_t ngx_http_bitrix1c_api_cursor(ngx_http_bitrix1c_api_walk_t *walk,
    ngx_str_t *cursor, const char *letters, u_char *letter);

/* NGX_HTTP_BITRIX1C_WALK_CURSOR bytes at p are enough; returns the end */
u_char *ngx_http_bitrix1c_api_cursor_put(u_char *p,
    ngx_http_bitrix1c_api_walk_t *walk, u_char letter);

/* "cursor":"..." or, at the end, null */
void ngx_http_bitrix1c_api_cursor_json(bitrix_buf_t *buf,
    ngx_http_bitrix1c_api_walk_t *walk, u_char letter);

/* the error 400 */
ngx_int_t ngx_http_bitrix1c_api_cursor_bad(
    ngx_http_bitrix1c_api_call_t *call);

/* asks for the event of the argument "id" and waits, see show.lua */
ngx_int_t ngx_http_bitrix1c_api_ask_show(ngx_http_bitrix1c_api_call_t *call,
    ngx_http_bitrix1c_api_reply_pt handler, void *data);


#endif /* _NGX_HTTP_BITRIX1C_API_WALK_H_INCLUDED_ */

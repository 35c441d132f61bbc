
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_api_internal.h"
#include "b1c_core.h"
#include "b1c_base.h"
#include "b1c_redis.h"
#include "b1c_http.h"


/* words of an event in the reply of page.lua */
#define NGX_B1C_WALK_WORDS  6


static ngx_int_t ngx_b1c_api_walk_replied(ngx_b1c_query_t *call,
    ngx_b1c_reply_t *reply, void *data);
static ngx_int_t ngx_b1c_api_walk_item(ngx_b1c_query_t *call,
    ngx_b1c_api_walk_t *walk, ngx_b1c_reply_t *reply, ngx_uint_t n);
static void ngx_b1c_api_walk_place(ngx_b1c_api_walk_t *walk, ngx_str_t *score,
    ngx_str_t *member);
static ngx_uint_t ngx_b1c_api_walk_cursor_good(ngx_str_t *score,
    ngx_str_t *member);


ngx_int_t
ngx_b1c_api_walk_begin(ngx_b1c_query_t *call, ngx_b1c_api_walk_t *walk)
{
    u_char              *p;
    ngx_str_t           *argv;
    ngx_b1c_api_args_t  *args;

    static ngx_str_t  asc = ngx_string("asc");
    static ngx_str_t  desc = ngx_string("desc");
    static ngx_str_t  least = ngx_string("-inf");
    static ngx_str_t  most = ngx_string("+inf");

    args = ngx_b1c_api_args(call);
    argv = walk->argv;

    argv[0] = *walk->key;
    argv[1] = call->queue->keys[1];
    argv[2] = walk->desc ? desc : asc;

    argv[3].data = walk->numbers[0];
    p = ngx_sprintf(argv[3].data, "%ui", walk->page);
    argv[3].len = p - argv[3].data;

    argv[4] = walk->score;
    argv[5] = walk->member;

    argv[6] = least;
    argv[7] = most;

    if (args->given & NGX_B1C_ARG_FROM) {
        argv[6].data = walk->numbers[1];
        argv[6].len = ngx_sprintf(argv[6].data, "%L", args->from)
                      - argv[6].data;
    }

    if (args->given & NGX_B1C_ARG_TO) {
        argv[7].data = walk->numbers[2];
        argv[7].len = ngx_sprintf(argv[7].data, "%L", args->to)
                      - argv[7].data;
    }

    argv[8].data = walk->bytes_text;
    argv[8].len = ngx_sprintf(argv[8].data, "%i",
                              walk->bodies ? (ngx_int_t)
                                             NGX_B1C_WALK_BYTES
                                           : 0)
                  - argv[8].data;

    if (ngx_b1c_api_script_ask(call, NGX_B1C_API_PAGE, 2, 9,
                                argv, ngx_b1c_api_walk_replied, walk)
        != NGX_OK)
    {
        return ngx_b1c_redis_query_away(call, NULL);
    }

    /* already parked, except for the first page */

    if (walk->parked) {
        return NGX_DONE;
    }

    walk->parked = 1;

    return ngx_b1c_redis_query_wait(call);
}


ngx_uint_t
ngx_b1c_api_walk_on(ngx_b1c_api_walk_t *walk)
{
    return walk->more
           && walk->looked < NGX_B1C_WALK_LOOK
           && walk->bytes < NGX_B1C_WALK_BYTES
           && walk->read < NGX_B1C_WALK_READ;
}


static ngx_int_t
ngx_b1c_api_walk_replied(ngx_b1c_query_t *call, ngx_b1c_reply_t *reply,
    void *data)
{
    ngx_b1c_api_walk_t *walk = data;

    int64_t     more;
    ngx_int_t   rc;
    ngx_uint_t  i, n;

    if (ngx_b1c_redis_query_failed(reply)
        || ngx_b1c_redis_reply_int(reply, 0, &walk->total) != NGX_OK
        || ngx_b1c_redis_reply_int(reply, 1, &more) != NGX_OK)
    {
        return ngx_b1c_redis_query_away(call, reply);
    }

    walk->more = (more != 0);
    walk->moved = 0;

    n = (ngx_b1c_redis_reply_count(reply) - 2) / NGX_B1C_WALK_WORDS;

    for (i = 0; i < n; i++) {
        rc = ngx_b1c_api_walk_item(call, walk, reply,
                                   2 + i * NGX_B1C_WALK_WORDS);
        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (rc == NGX_DONE) {
            walk->more = walk->more || i + 1 < n;
            walk->enough = 1;
            break;
        }
    }

    /* members of a foreign format would be walked for ever */

    if (!walk->moved) {
        walk->more = 0;
    }

    return walk->done(call, walk);
}


static ngx_int_t
ngx_b1c_api_walk_item(ngx_b1c_query_t *call, ngx_b1c_api_walk_t *walk,
    ngx_b1c_reply_t *reply, ngx_uint_t n)
{
    ngx_int_t           rc;
    ngx_str_t           word[NGX_B1C_WALK_WORDS], *member;
    ngx_uint_t          i;
    ngx_b1c_api_item_t  item;

    for (i = 0; i < NGX_B1C_WALK_WORDS; i++) {
        if (ngx_b1c_redis_reply_str(reply, n + i, &word[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_memzero(&item, sizeof(ngx_b1c_api_item_t));

    /* a follower's member ends with the id */

    member = &word[1];
    i = ngx_min(member->len, NGX_B1C_HASH_LEN);

    item.id.data = member->data + member->len - i;
    item.id.len = i;
    item.reason = word[3];
    item.text = word[5];
    item.whole = walk->bodies;

    ngx_b1c_api_item_meta(&item, &word[2], &word[0]);

    item.size = ngx_atoi(word[4].data, word[4].len);

    if (walk->key != &call->queue->keys[3]) {
        item.died = 0;
    }

    walk->looked++;
    walk->bytes += walk->bodies ? item.text.len : 0;
    walk->read += ngx_max(item.size, 0);

    ngx_b1c_api_walk_place(walk, &word[0], member);

    ngx_b1c_api_item_parse(&item);

    rc = NGX_OK;

    if (ngx_b1c_api_item_fits(&item, ngx_b1c_api_args(call))) {
        rc = walk->item(call, walk, &item);
    }

    ngx_b1c_api_item_free(&item);

    return rc;
}


/* the walk cannot continue after a member of a foreign format */
static void
ngx_b1c_api_walk_place(ngx_b1c_api_walk_t *walk, ngx_str_t *score,
    ngx_str_t *member)
{
    if (!ngx_b1c_api_walk_cursor_good(score, member)) {
        return;
    }

    walk->moved = 1;

    walk->score.data = walk->place;
    walk->score.len = score->len;
    walk->member.data = ngx_cpymem(walk->place, score->data, score->len);
    walk->member.len = member->len;

    ngx_memcpy(walk->member.data, member->data, member->len);
}


static ngx_uint_t
ngx_b1c_api_walk_cursor_good(ngx_str_t *score, ngx_str_t *member)
{
    size_t  i;
    u_char  ch;

    if (score->len == 0 || score->len > 40
        || member->len == 0 || member->len > 96)
    {
        return 0;
    }

    for (i = 0; i < score->len; i++) {
        ch = score->data[i];

        if (!((ch >= '0' && ch <= '9') || ch == '.' || ch == 'e'
              || ch == '+' || ch == '-'))
        {
            return 0;
        }
    }

    for (i = 0; i < member->len; i++) {
        ch = member->data[i];

        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f')
              || ch == ':'))
        {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_b1c_api_walk_cursor(ngx_b1c_api_walk_t *walk, ngx_str_t *cursor,
    const char *letters, u_char *letter)
{
    u_char    *p, *last;
    ngx_str_t  score, member;

    p = cursor->data;
    last = p + cursor->len;

    if (cursor->len < 4 || p[1] != '_' || ngx_strchr(letters, p[0]) == NULL) {
        return NGX_DECLINED;
    }

    score.data = p + 2;

    p = ngx_strlchr(score.data, last, '_');
    if (p == NULL) {
        return NGX_DECLINED;
    }

    score.len = p - score.data;
    member.data = p + 1;
    member.len = last - member.data;

    /* Redis refuses a score that is not a number */

    if (!ngx_b1c_api_walk_cursor_good(&score, &member)
        || score.data[0] < '0' || score.data[0] > '9')
    {
        return NGX_DECLINED;
    }

    *letter = cursor->data[0];

    ngx_b1c_api_walk_place(walk, &score, &member);

    return NGX_OK;
}


u_char *
ngx_b1c_api_walk_cursor_put(u_char *p, ngx_b1c_api_walk_t *walk, u_char letter)
{
    return ngx_sprintf(p, "%c_%V_%V", letter, &walk->score, &walk->member);
}


void
ngx_b1c_api_walk_cursor_json(b1c_buf_t *buf, ngx_b1c_api_walk_t *walk,
    u_char letter)
{
    u_char  text[NGX_B1C_WALK_CURSOR], *p;

    if (!walk->more) {
        ngx_b1c_query_text_put(buf, "\"cursor\":null");
        return;
    }

    p = ngx_b1c_api_walk_cursor_put(text, walk, letter);

    ngx_b1c_query_text_put(buf, "\"cursor\":\"%*s\"",
                           (size_t) (p - text), text);
}


ngx_int_t
ngx_b1c_api_walk_cursor_bad(ngx_b1c_query_t *call)
{
    return ngx_b1c_query_text_error(call->request, NGX_HTTP_BAD_REQUEST,
                          "invalid value \"%V\" of argument \"cursor\": "
                          "expected the cursor of an earlier answer to the "
                          "same query",
                          &ngx_b1c_api_args(call)->cursor);
}

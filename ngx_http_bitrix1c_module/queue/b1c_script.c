
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_queue_internal.h"
#include "b1c_job.h"
#include "b1c_redis.h"
#include "b1c_lua.h"


static ngx_b1c_redis_script_t  ngx_b1c_scripts[] = {
    { ngx_string("accept"), ngx_string(NGX_B1C_LUA_ACCEPT), { 0 },
      NGX_B1C_DURABLE_OR_ERROR },
    { ngx_string("ack"), ngx_string(NGX_B1C_LUA_ACK), { 0 }, 0 },
    { ngx_string("claim"), ngx_string(NGX_B1C_LUA_CLAIM), { 0 }, 0 },
    { ngx_string("dead"), ngx_string(NGX_B1C_LUA_DEAD), { 0 }, 0 },
    { ngx_string("extend"), ngx_string(NGX_B1C_LUA_EXTEND), { 0 }, 0 },
    { ngx_string("nack"), ngx_string(NGX_B1C_LUA_NACK), { 0 }, 0 },
    { ngx_string("result"), ngx_string(NGX_B1C_LUA_RESULT), { 0 }, 0 },
    { ngx_string("claim"), ngx_string(NGX_B1C_LUA_CLAIM), { 0 },
      NGX_B1C_DURABLE_OR_SHORT }
};


ngx_str_t  ngx_b1c_zero = ngx_string("0");
ngx_str_t  ngx_b1c_one = ngx_string("1");


void
ngx_b1c_script_init(void)
{
    ngx_uint_t  i;

    for (i = 0; i < sizeof(ngx_b1c_scripts) / sizeof(ngx_b1c_scripts[0]); i++)
    {
        ngx_b1c_redis_script_init(&ngx_b1c_scripts[i]);
    }

    ngx_b1c_layout_init();
    ngx_b1c_expire_init();
}


ngx_b1c_script_t *
ngx_b1c_script_create(ngx_b1c_worker_t *w, ngx_uint_t max, ngx_uint_t words)
{
    u_char            *p;
    ngx_b1c_script_t  *b;

    p = ngx_alloc(sizeof(ngx_b1c_script_t)
                  + (NGX_B1C_SCRIPT_FIXED + max * words)
                    * sizeof(ngx_str_t)
                  + max * sizeof(ngx_b1c_job_t *), w->log);
    if (p == NULL) {
        return NULL;
    }

    b = (ngx_b1c_script_t *) p;

    b->worker = w;
    b->n = 0;
    b->argc = 0;
    b->argv = (ngx_str_t *) (p + sizeof(ngx_b1c_script_t));
    b->jobs = (ngx_b1c_job_t **)
                  (b->argv + NGX_B1C_SCRIPT_FIXED + max * words);

    return b;
}


void
ngx_b1c_script_word(ngx_b1c_script_t *b, ngx_str_t *word)
{
    b->argv[b->argc++] = *word;
}


ngx_int_t
ngx_b1c_script_send(ngx_b1c_script_t *b, ngx_uint_t script, ngx_uint_t nkeys,
    ngx_b1c_reply_pt handler)
{
    return ngx_b1c_redis_eval(b->worker->redis, &ngx_b1c_scripts[script],
                              nkeys, b->argc, b->argv, handler, b);
}


ngx_uint_t
ngx_b1c_script_failed(ngx_b1c_script_t *b, ngx_b1c_reply_t *reply,
    const char *script)
{
    ngx_str_t   text;
    ngx_uint_t  level;

    if (reply == NULL) {
        return 1;
    }

    if (ngx_b1c_redis_reply_error(reply, &text) == NGX_OK) {
        if (script) {
            level = ngx_b1c_stats_level(b->worker->queue->stats,
                                        NGX_B1C_SAY_REFUSED, NGX_LOG_ERR);

            ngx_log_error(level, b->worker->log, 0,
                          "bitrix1c_queue \"%V\": Redis refused script "
                          "\"%s\": %V",
                          &b->worker->queue->name, script, &text);
        }

        return 1;
    }

    if (b->n && ngx_b1c_redis_reply_count(reply) < b->n) {
        if (script) {
            ngx_log_error(NGX_LOG_ERR, b->worker->log, 0,
                          "bitrix1c_queue \"%V\": Redis answered script "
                          "\"%s\" with %ui elements instead of %ui",
                          &b->worker->queue->name, script,
                          ngx_b1c_redis_reply_count(reply), b->n);
        }

        return 1;
    }

    return 0;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_api_internal.h"
#include "b1c_redis.h"
#include "b1c_http.h"
#include "b1c_lua.h"


static ngx_b1c_redis_script_t  ngx_b1c_api_scripts[] = {
    { .name = ngx_string("delete"),
      .text = ngx_string(NGX_B1C_LUA_DELETE) },
    { .name = ngx_string("hold"),
      .text = ngx_string(NGX_B1C_LUA_HOLD) },
    { .name = ngx_string("page"),
      .text = ngx_string(NGX_B1C_LUA_PAGE) },
    { .name = ngx_string("replay"),
      .text = ngx_string(NGX_B1C_LUA_REPLAY) },
    { .name = ngx_string("show"),
      .text = ngx_string(NGX_B1C_LUA_SHOW) }
};


void
ngx_b1c_api_script_init(void)
{
    ngx_uint_t  i;

    for (i = 0;
         i < sizeof(ngx_b1c_api_scripts) / sizeof(ngx_b1c_api_scripts[0]);
         i++)
    {
        ngx_b1c_redis_script_init(&ngx_b1c_api_scripts[i]);
    }
}


ngx_int_t
ngx_b1c_api_script_ask(ngx_b1c_query_t *call, ngx_b1c_api_script_e script,
    ngx_uint_t nkeys, ngx_uint_t argc, ngx_str_t *argv,
    ngx_b1c_query_reply_pt handler, void *data)
{
    return ngx_b1c_redis_query_ask(call, &ngx_b1c_api_scripts[script], nkeys,
                                   argc, argv, handler, data);
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_queue_internal.h"
#include "b1c_redis.h"
#include "b1c_lua.h"


/* of the keys of a queue in Redis; a change that 0.1.0 could not read is 2 */
#define NGX_B1C_LAYOUT        "1"

/* ms between two looks at a queue that is in use */
#define NGX_B1C_LAYOUT_CHECK  30000


static ngx_b1c_redis_script_t  ngx_b1c_layout_script = {
    .name = ngx_string("layout"),
    .text = ngx_string(NGX_B1C_LUA_LAYOUT)
};


void
ngx_b1c_layout_init(void)
{
    ngx_b1c_redis_script_init(&ngx_b1c_layout_script);
}


ngx_b1c_redis_greeting_t *
ngx_b1c_layout_greeting(ngx_b1c_worker_t *w)
{
    static ngx_str_t  number = ngx_string(NGX_B1C_LAYOUT);

    w->layout.words[0] = w->queue->keys[4];
    w->layout.words[1] = number;
    w->layout.words[2] = w->queue->name;

    w->layout.greeting.script = &ngx_b1c_layout_script;
    w->layout.greeting.nkeys = 1;
    w->layout.greeting.argc = 3;
    w->layout.greeting.argv = w->layout.words;

    w->layout.checked = ngx_current_msec;

    return &w->layout.greeting;
}


/*
 * Another version may have taken the queue over while this one was connected,
 * and a Redis that was emptied has no mark any more.
 */
void
ngx_b1c_layout_poll(ngx_b1c_worker_t *w)
{
    if (ngx_current_msec - w->layout.checked >= NGX_B1C_LAYOUT_CHECK) {
        w->layout.checked = ngx_current_msec;
        ngx_b1c_redis_greeting_check(w->redis);
    }
}

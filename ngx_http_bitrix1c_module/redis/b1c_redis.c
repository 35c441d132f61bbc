
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_redis_internal.h"

#include <ngx_sha1.h>


/* limit of commands without a reply, which are twice in memory */
#define NGX_B1C_REDIS_PENDING  65536
#define NGX_B1C_REDIS_BYTES    (64 * 1024 * 1024)

/* records kept for the next commands */
#define NGX_B1C_REDIS_FREE     1024


static ngx_int_t ngx_b1c_redis_send(ngx_b1c_command_t *cmd, ngx_uint_t whole);
static ngx_int_t ngx_b1c_redis_resend(ngx_b1c_command_t *cmd);
static ngx_b1c_loaded_t *ngx_b1c_redis_loaded(ngx_b1c_redis_t *redis,
    ngx_b1c_redis_script_t *script);
static ngx_int_t ngx_b1c_redis_text(ngx_b1c_command_t *cmd,
    ngx_uint_t whole, ngx_str_t *text);
static u_char *ngx_b1c_redis_word(u_char *p, const void *data, size_t len);
static u_char *ngx_b1c_redis_count(u_char *p, u_char kind, size_t n);

static void ngx_b1c_redis_reply(redisAsyncContext *ac, void *r, void *data);
static redisReply *ngx_b1c_redis_error(ngx_b1c_command_t *cmd,
    redisReply *reply, ngx_uint_t *again);

static ngx_b1c_command_t *ngx_b1c_redis_get_command(ngx_b1c_redis_t *redis);
static void ngx_b1c_redis_free_command(ngx_b1c_command_t *cmd);


void
ngx_b1c_redis_script_init(ngx_b1c_redis_script_t *script)
{
    u_char      digest[20];
    ngx_sha1_t  sha1;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, script->text.data, script->text.len);
    ngx_sha1_final(digest, &sha1);

    (void) ngx_hex_dump(script->sha1, digest, sizeof(digest));
}


ngx_b1c_redis_t *
ngx_b1c_redis_create(ngx_b1c_redis_conf_t *conf, ngx_log_t *log,
    ngx_b1c_redis_greeting_t *greeting, ngx_b1c_redis_state_pt state,
    void *data)
{
    ngx_b1c_redis_t  *redis;

    redis = ngx_calloc(sizeof(ngx_b1c_redis_t), log);
    if (redis == NULL) {
        return NULL;
    }

    redis->conf = conf;
    redis->ident = -1;
    redis->since = ngx_current_msec;
    redis->greeting = greeting;
    redis->state = state;
    redis->data = data;

    redis->log = *log;
    redis->log.handler = ngx_b1c_redis_log_error;
    redis->log.data = redis;

    redis->timer.handler = ngx_b1c_redis_conn_timer_handler;
    redis->timer.data = redis;
    redis->timer.log = &redis->log;
    redis->timer.cancelable = 1;

    redis->flush.handler = ngx_b1c_redis_event_flush_handler;
    redis->flush.data = redis;
    redis->flush.log = &redis->log;

    if (ngx_b1c_redis_conn_connect(redis) != NGX_OK) {

        /*
         * The owner does not have the object yet and cannot be notified: the
         * timer repeats the attempt and then notifies it.
         */

        ngx_add_timer(&redis->timer, 1);
    }

    return redis;
}


void
ngx_b1c_redis_destroy(ngx_b1c_redis_t *redis)
{
    ngx_b1c_command_t  *cmd;

    redis->destroyed = 1;
    redis->phase = NGX_B1C_REDIS_CLOSING;

    if (redis->ac) {
        redisAsyncFree(redis->ac);
    }

    if (redis->timer.timer_set) {
        ngx_del_timer(&redis->timer);
    }

    ngx_b1c_redis_lookup_free(redis);

    while (redis->free) {
        cmd = redis->free;
        redis->free = cmd->next;
        ngx_free(cmd);
    }

    ngx_free(redis);
}


ngx_uint_t
ngx_b1c_redis_ready(ngx_b1c_redis_t *redis)
{
    return redis->phase == NGX_B1C_REDIS_READY;
}


ngx_uint_t
ngx_b1c_redis_away(ngx_b1c_redis_t *redis)
{
    return redis->told_down;
}


void
ngx_b1c_redis_info(ngx_b1c_redis_t *redis, ngx_b1c_redis_info_t *info)
{
    info->up = ngx_b1c_redis_ready(redis);
    info->since = redis->since;
    info->reason = info->up ? (u_char *) "" : redis->told;
}


ngx_int_t
ngx_b1c_redis_eval(ngx_b1c_redis_t *redis, ngx_b1c_redis_script_t *script,
    ngx_uint_t nkeys, ngx_uint_t argc, const ngx_str_t *argv,
    ngx_b1c_reply_pt handler, void *data)
{
    if (redis->phase != NGX_B1C_REDIS_READY
        || redis->pending >= NGX_B1C_REDIS_PENDING
        || redis->bytes >= NGX_B1C_REDIS_BYTES)
    {
        return NGX_DECLINED;
    }

    return ngx_b1c_redis_command(redis, script, nkeys, argc, argv, handler,
                                 data);
}


ngx_int_t
ngx_b1c_redis_command(ngx_b1c_redis_t *redis, ngx_b1c_redis_script_t *script,
    ngx_uint_t nkeys, ngx_uint_t argc, const ngx_str_t *argv,
    ngx_b1c_reply_pt handler, void *data)
{
    ngx_uint_t          i;
    ngx_b1c_command_t  *cmd;

    cmd = ngx_b1c_redis_get_command(redis);
    if (cmd == NULL) {
        return NGX_DECLINED;
    }

    cmd->script = script;
    cmd->argv = argv;
    cmd->argc = argc;
    cmd->nkeys = nkeys;
    cmd->handler = handler;
    cmd->data = data;
    cmd->held = NULL;
    cmd->waits = 0;
    cmd->answered = 0;
    cmd->size = 0;

    for (i = 0; i < argc; i++) {
        cmd->size += argv[i].len;
    }

    if (ngx_b1c_redis_send(cmd, 0) != NGX_OK) {
        ngx_b1c_redis_free_command(cmd);
        return NGX_DECLINED;
    }

    redis->bytes += cmd->size;

    /* that of the login runs until the connection is ready */

    if (redis->pending++ == 0 && redis->phase == NGX_B1C_REDIS_READY) {
        redis->progress = ngx_current_msec;
        ngx_add_timer(&redis->timer, redis->conf->timeout);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_redis_send(ngx_b1c_command_t *cmd, ngx_uint_t whole)
{
    int               rc;
    ngx_str_t         text;
    ngx_b1c_redis_t  *redis;

    redis = cmd->redis;

    if (ngx_b1c_redis_text(cmd, whole, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = redisAsyncFormattedCommand(redis->ac, ngx_b1c_redis_reply, cmd,
                                    (char *) text.data, text.len);
    ngx_free(text.data);

    if (rc != REDIS_OK) {
        return NGX_ERROR;
    }

    cmd->whole = whole;
    cmd->number = redis->number++;

    if (redis->conf->wait && cmd->script->durable) {
        ngx_b1c_redis_wait_send(cmd);
    }

    return NGX_OK;
}


/*
 * Builds the command in wire format; the caller frees it. hiredis would call
 * printf() for each of a batch's hundreds of words. hiredis reads the first
 * one as a string, hence the terminating zero.
 */

static ngx_int_t
ngx_b1c_redis_text(ngx_b1c_command_t *cmd, ngx_uint_t whole,
    ngx_str_t *text)
{
    u_char     *p, nkeys[NGX_INT_T_LEN];
    size_t      len;
    ngx_uint_t  i, n;

    n = cmd->argc + 3;
    len = (n + 1) * (NGX_SIZE_T_LEN + sizeof("$\r\n\r\n")) + cmd->size
          + sizeof("EVALSHA") + NGX_INT_T_LEN + 1
          + (whole ? cmd->script->text.len : sizeof(cmd->script->sha1));

    text->data = ngx_alloc(len, &cmd->redis->log);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_b1c_redis_count(text->data, '*', n);

    if (whole) {
        p = ngx_b1c_redis_word(p, "EVAL", 4);
        p = ngx_b1c_redis_word(p, cmd->script->text.data,
                               cmd->script->text.len);
    } else {
        p = ngx_b1c_redis_word(p, "EVALSHA", 7);
        p = ngx_b1c_redis_word(p, cmd->script->sha1,
                               sizeof(cmd->script->sha1));
    }

    len = ngx_sprintf(nkeys, "%ui", cmd->nkeys) - nkeys;
    p = ngx_b1c_redis_word(p, nkeys, len);

    for (i = 0; i < cmd->argc; i++) {
        p = ngx_b1c_redis_word(p, cmd->argv[i].data, cmd->argv[i].len);
    }

    *p = '\0';
    text->len = p - text->data;

    return NGX_OK;
}


static u_char *
ngx_b1c_redis_word(u_char *p, const void *data, size_t len)
{
    p = ngx_b1c_redis_count(p, '$', len);

    if (len) {
        p = ngx_cpymem(p, data, len);
    }

    *p++ = CR;
    *p++ = LF;

    return p;
}


static u_char *
ngx_b1c_redis_count(u_char *p, u_char kind, size_t n)
{
    u_char  digits[NGX_SIZE_T_LEN], *d, *last;

    last = digits + NGX_SIZE_T_LEN;
    d = last;

    do {
        *--d = (u_char) (n % 10 + '0');
        n /= 10;
    } while (n);

    *p++ = kind;
    p = ngx_cpymem(p, d, last - d);
    *p++ = CR;
    *p++ = LF;

    return p;
}


/*
 * The first command whose script Redis did not know sends the text again.
 * For commands that were sent before the text, it is already on its way.
 */

static ngx_int_t
ngx_b1c_redis_resend(ngx_b1c_command_t *cmd)
{
    ngx_b1c_loaded_t  *loaded;

    loaded = ngx_b1c_redis_loaded(cmd->redis, cmd->script);

    if (loaded->script && cmd->number < loaded->number) {
        return ngx_b1c_redis_send(cmd, 0);
    }

    if (ngx_b1c_redis_send(cmd, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    loaded->script = cmd->script;
    loaded->number = cmd->number;

    return NGX_OK;
}


/* the script's entry, or a free one for it */

static ngx_b1c_loaded_t *
ngx_b1c_redis_loaded(ngx_b1c_redis_t *redis, ngx_b1c_redis_script_t *script)
{
    ngx_uint_t         i;
    ngx_b1c_loaded_t  *loaded;

    for (i = 0; i < NGX_B1C_REDIS_SCRIPTS; i++) {
        if (redis->loaded[i].script == script) {
            return &redis->loaded[i];
        }
    }

    loaded = &redis->loaded[redis->nloaded++ % NGX_B1C_REDIS_SCRIPTS];
    loaded->script = NULL;

    return loaded;
}


static void
ngx_b1c_redis_reply(redisAsyncContext *ac, void *r, void *data)
{
    ngx_b1c_command_t *cmd = data;

    redisReply       *reply;
    ngx_uint_t        again;
    ngx_b1c_redis_t  *redis;

    reply = r;
    redis = cmd->redis;

    if (ngx_b1c_redis_replied(redis, reply) == NGX_OK) {

        if (reply->type == REDIS_REPLY_ERROR) {
            again = 0;
            reply = ngx_b1c_redis_error(cmd, reply, &again);

            if (again) {
                return;
            }

        } else if (redis->up && redis->doubted
                   && ngx_b1c_redis_conn_lasts(redis))
        {
            ngx_b1c_redis_log_recovered(redis);
        }
    }

    if (cmd->waits) {
        ngx_b1c_redis_wait_hold(cmd, reply);
        return;
    }

    if (redis->conf->wait && cmd->script->durable) {

        /* WAIT was not sent because there was no memory */

        reply = NULL;
    }

    ngx_b1c_redis_finish(cmd, reply);
}


ngx_int_t
ngx_b1c_redis_replied(ngx_b1c_redis_t *redis, redisReply *reply)
{
    if (reply == NULL) {

        /*
         * A command that a handler sends now would be lost.  From hiredis 1.1
         * on, after an error, the cleanup hook has been called before, and the
         * next attempt is already scheduled.
         */

        if (redis->phase == NGX_B1C_REDIS_READY) {
            redis->phase = NGX_B1C_REDIS_CLOSING;
        }

        return NGX_DECLINED;
    }

    redis->progress = ngx_current_msec;

    if (ngx_b1c_redis_event_surplus(redis)) {

        /* hiredis would abort the process at one more reply */

        ngx_b1c_redis_conn_drop(redis, "Protocol error, surplus reply");
    }

    return NGX_OK;
}


/* result for the caller, unless the command has been sent again */

static redisReply *
ngx_b1c_redis_error(ngx_b1c_command_t *cmd, redisReply *reply,
    ngx_uint_t *again)
{
    if (!cmd->whole && ngx_strncmp(reply->str, "NOSCRIPT", 8) == 0) {
        *again = (ngx_b1c_redis_resend(cmd) == NGX_OK);
        return NULL;
    }

    if (ngx_b1c_redis_peer_redirected(cmd->redis, reply) == NGX_DONE) {

        /* commands without an outcome are sent again when the node is found */

        return NULL;
    }

    return reply;
}


void
ngx_b1c_redis_finish(ngx_b1c_command_t *cmd, redisReply *reply)
{
    void             *data;
    ngx_b1c_redis_t  *redis;
    ngx_b1c_reply_pt  handler;

    redis = cmd->redis;
    handler = cmd->handler;
    data = cmd->data;

    redis->bytes -= cmd->size;

    if (--redis->pending == 0 && redis->phase == NGX_B1C_REDIS_READY) {
        ngx_del_timer(&redis->timer);
    }

    ngx_b1c_redis_free_command(cmd);

    handler(data, (ngx_b1c_reply_t *) reply);
}


static ngx_b1c_command_t *
ngx_b1c_redis_get_command(ngx_b1c_redis_t *redis)
{
    ngx_b1c_command_t  *cmd;

    cmd = redis->free;

    if (cmd) {
        redis->free = cmd->next;
        redis->nfree--;
        return cmd;
    }

    cmd = ngx_alloc(sizeof(ngx_b1c_command_t), &redis->log);
    if (cmd) {
        cmd->redis = redis;
    }

    return cmd;
}


static void
ngx_b1c_redis_free_command(ngx_b1c_command_t *cmd)
{
    ngx_b1c_redis_t  *redis;

    redis = cmd->redis;

    if (redis->nfree == NGX_B1C_REDIS_FREE) {
        ngx_free(cmd);
        return;
    }

    cmd->next = redis->free;
    redis->free = cmd;
    redis->nfree++;
}


ngx_int_t
ngx_b1c_redis_reply_error(ngx_b1c_reply_t *reply, ngx_str_t *text)
{
    u_char      *p;
    redisReply  *r;

    r = (redisReply *) reply;

    if (r->type != REDIS_REPLY_ERROR) {
        return NGX_DECLINED;
    }

    text->data = (u_char *) r->str;
    text->len = r->len;

    /* "unknown command" quotes the arguments, which contain payloads */

    p = ngx_strnstr(text->data, ", with args", text->len);
    if (p) {
        text->len = p - text->data;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_b1c_redis_reply_count(ngx_b1c_reply_t *reply)
{
    redisReply  *r;

    r = (redisReply *) reply;

    return (r->type == REDIS_REPLY_ARRAY) ? (ngx_uint_t) r->elements : 0;
}


ngx_int_t
ngx_b1c_redis_reply_int(ngx_b1c_reply_t *reply, ngx_uint_t n, int64_t *value)
{
    redisReply  *r;

    if (n >= ngx_b1c_redis_reply_count(reply)) {
        return NGX_ERROR;
    }

    r = ((redisReply *) reply)->element[n];

    if (r->type != REDIS_REPLY_INTEGER) {
        return NGX_ERROR;
    }

    *value = r->integer;

    return NGX_OK;
}


ngx_int_t
ngx_b1c_redis_reply_str(ngx_b1c_reply_t *reply, ngx_uint_t n, ngx_str_t *value)
{
    redisReply  *r;

    if (n >= ngx_b1c_redis_reply_count(reply)) {
        return NGX_ERROR;
    }

    r = ((redisReply *) reply)->element[n];

    if (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_STATUS) {
        return NGX_ERROR;
    }

    value->data = (u_char *) r->str;
    value->len = r->len;

    return NGX_OK;
}

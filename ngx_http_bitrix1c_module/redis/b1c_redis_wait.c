
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_redis_internal.h"


/*
 * WAIT delays all later commands on the connection, so it may take only a part
 * of a command's timeout; and only a small part while replicas are known to be
 * missing, so that their loss does not slow down other commands.
 */
#define NGX_B1C_REDIS_WAIT(timeout)        ((timeout) / 3 + 1)
#define NGX_B1C_REDIS_WAIT_SHORT(timeout)  ((timeout) / 60 + 1)

/* ms after which WAIT gets its whole time again: replicas may be distant */
#define NGX_B1C_REDIS_WAIT_AGAIN           5000


static void ngx_b1c_redis_wait_reply(redisAsyncContext *ac, void *r,
    void *data);
static void ngx_b1c_redis_wait_check(ngx_b1c_command_t *cmd,
    redisReply *reply);
static void ngx_b1c_redis_wait_shortage(ngx_b1c_redis_t *redis,
    ngx_uint_t shortage, long long n);
static redisReply *ngx_b1c_redis_wait_copy(redisReply *reply, ngx_log_t *log);
static void ngx_b1c_redis_wait_free_copy(redisReply *reply);


void
ngx_b1c_redis_wait_send(ngx_b1c_command_t *cmd)
{
    u_char            replicas[NGX_INT_T_LEN], ms[NGX_INT64_LEN];
    size_t            lens[3];
    ngx_msec_t        timeout;
    const char       *args[3];
    ngx_b1c_redis_t  *redis;

    redis = cmd->redis;
    timeout = NGX_B1C_REDIS_WAIT(redis->conf->timeout);

    if (redis->shortage) {

        if (ngx_current_msec - redis->waited < NGX_B1C_REDIS_WAIT_AGAIN) {
            timeout = NGX_B1C_REDIS_WAIT_SHORT(redis->conf->timeout);

        } else {
            redis->waited = ngx_current_msec;
        }
    }

    args[0] = "WAIT";
    lens[0] = 4;
    args[1] = (const char *) replicas;
    lens[1] = ngx_sprintf(replicas, "%ui", redis->conf->wait) - replicas;
    args[2] = (const char *) ms;
    lens[2] = ngx_sprintf(ms, "%M", timeout) - ms;

    if (redisAsyncCommandArgv(redis->ac, ngx_b1c_redis_wait_reply, cmd,
                              3, args, lens)
        == REDIS_OK)
    {
        cmd->waits++;
    }
}


/* hiredis frees a reply when its callback returns */

void
ngx_b1c_redis_wait_hold(ngx_b1c_command_t *cmd, redisReply *reply)
{
    cmd->answered = 1;

    if (reply) {

        /* without memory the outcome is unknown */

        cmd->held = ngx_b1c_redis_wait_copy(reply, &cmd->redis->log);
    }
}


static void
ngx_b1c_redis_wait_reply(redisAsyncContext *ac, void *r, void *data)
{
    ngx_b1c_command_t *cmd = data;

    redisReply       *reply, *held;
    ngx_b1c_redis_t  *redis;

    reply = r;
    redis = cmd->redis;

    (void) ngx_b1c_redis_replied(redis, reply);

    /* the script may have been sent twice, each time with WAIT */

    if (--cmd->waits || !cmd->answered) {
        return;
    }

    held = cmd->held;

    if (held == NULL || held->type == REDIS_REPLY_ERROR) {
        ngx_b1c_redis_finish(cmd, held);

    } else {
        ngx_b1c_redis_wait_check(cmd, reply);
    }

    ngx_b1c_redis_wait_free_copy(held);
}


static void
ngx_b1c_redis_wait_check(ngx_b1c_command_t *cmd, redisReply *reply)
{
    char              text[64];
    redisReply        error;
    ngx_uint_t        shortage;
    ngx_b1c_redis_t  *redis;

    redis = cmd->redis;

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        ngx_b1c_redis_finish(cmd, reply);
        return;
    }

    if (reply->type != REDIS_REPLY_INTEGER) {
        ngx_b1c_redis_conn_drop(redis, "Protocol error, strange reply");
        ngx_b1c_redis_finish(cmd, NULL);
        return;
    }

    shortage = (reply->integer < (long long) redis->conf->wait);

    ngx_b1c_redis_wait_shortage(redis, shortage, reply->integer);

    if (!shortage || cmd->script->durable == NGX_B1C_DURABLE_OR_SHORT) {
        ngx_b1c_redis_finish(cmd, cmd->held);
        return;
    }

    ngx_memzero(&error, sizeof(redisReply));

    error.type = REDIS_REPLY_ERROR;
    error.str = text;
    error.len = ngx_snprintf((u_char *) text, sizeof(text) - 1,
                             "NOREPLICAS %L of %ui replicas have it",
                             (int64_t) reply->integer, redis->conf->wait)
                - (u_char *) text;
    text[error.len] = '\0';

    ngx_b1c_redis_finish(cmd, &error);
}


ngx_uint_t
ngx_b1c_redis_wait_short(ngx_b1c_redis_t *redis)
{
    return redis->conf->wait && redis->shortage;
}


/* one line when replicas become too few, and one when they are back */

static void
ngx_b1c_redis_wait_shortage(ngx_b1c_redis_t *redis, ngx_uint_t shortage,
    long long n)
{
    if (shortage == redis->shortage) {
        return;
    }

    redis->shortage = shortage;
    redis->waited = ngx_current_msec;

    if (shortage) {
        ngx_log_error(NGX_LOG_ERR, &redis->log, 0,
                      "Redis has %L of the %ui replicas that \"wait\" "
                      "requires: check that they are up and not behind",
                      (int64_t) n,
                      redis->conf->wait);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, &redis->log, 0,
                      "Redis has the replicas that \"wait\" requires again");
    }
}


static redisReply *
ngx_b1c_redis_wait_copy(redisReply *reply, ngx_log_t *log)
{
    size_t       i;
    redisReply  *copy;

    copy = ngx_alloc(sizeof(redisReply), log);
    if (copy == NULL) {
        return NULL;
    }

    *copy = *reply;

    copy->str = NULL;
    copy->element = NULL;
    copy->elements = 0;

    if (reply->str) {
        copy->str = ngx_alloc(reply->len + 1, log);
        if (copy->str == NULL) {
            goto failed;
        }

        ngx_memcpy(copy->str, reply->str, reply->len);
        copy->str[reply->len] = '\0';
    }

    if (reply->elements) {
        copy->element = ngx_alloc(reply->elements * sizeof(redisReply *), log);
        if (copy->element == NULL) {
            goto failed;
        }
    }

    for (i = 0; i < reply->elements; i++) {
        copy->element[i] = ngx_b1c_redis_wait_copy(reply->element[i], log);
        if (copy->element[i] == NULL) {
            goto failed;
        }

        copy->elements++;
    }

    return copy;

failed:

    ngx_b1c_redis_wait_free_copy(copy);

    return NULL;
}


static void
ngx_b1c_redis_wait_free_copy(redisReply *reply)
{
    size_t  i;

    if (reply == NULL) {
        return;
    }

    for (i = 0; i < reply->elements; i++) {
        ngx_b1c_redis_wait_free_copy(reply->element[i]);
    }

    if (reply->element) {
        ngx_free(reply->element);
    }

    if (reply->str) {
        ngx_free(reply->str);
    }

    ngx_free(reply);
}

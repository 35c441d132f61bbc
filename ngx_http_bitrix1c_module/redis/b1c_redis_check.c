
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_redis_internal.h"


/*
 * Scripts may write after TIME, and HSET takes several fields, since Redis 5.0
 * (https://redis.io/docs/latest/commands/eval/, "script effects replication").
 */
#define NGX_B1C_REDIS_VERSION  5


#define NGX_B1C_REDIS_FIND_INFO      0x0001
#define NGX_B1C_REDIS_FIND_MODE      0x0002
#define NGX_B1C_REDIS_FIND_VERSION   0x0004
#define NGX_B1C_REDIS_FIND_ROLE      0x0008
#define NGX_B1C_REDIS_FIND_AOF       0x0010
#define NGX_B1C_REDIS_FIND_AOF_ERR   0x0020
#define NGX_B1C_REDIS_FIND_RDB_ERR   0x0040
#define NGX_B1C_REDIS_FIND_POLICY    0x0080
#define NGX_B1C_REDIS_FIND_CONFIG    0x0100
#define NGX_B1C_REDIS_FIND_FSYNC     0x0200


typedef struct {
    ngx_uint_t   bit;
    const char  *name;      /* of a line of INFO */
    const char  *bad;       /* bad value, NULL: all but "good" */
    const char  *good;
    const char  *advice;
} ngx_b1c_finding_t;


static void ngx_b1c_redis_check_info(redisAsyncContext *ac, void *r,
    void *data);
static void ngx_b1c_redis_check_version(ngx_b1c_redis_t *redis,
    ngx_str_t *text);
static void ngx_b1c_redis_check_config(redisAsyncContext *ac, void *r,
    void *data);
static ngx_uint_t ngx_b1c_redis_check_found(ngx_b1c_redis_t *redis,
    ngx_uint_t bit, ngx_uint_t there);
static ngx_int_t ngx_b1c_redis_check_line(ngx_str_t *text, const char *name,
    ngx_str_t *value);
static ngx_uint_t ngx_b1c_redis_check_is(ngx_str_t *value, const char *text);


static ngx_b1c_finding_t  ngx_b1c_redis_findings[] = {

    { NGX_B1C_REDIS_FIND_MODE, "redis_mode", "sentinel", NULL,
      "it is a Sentinel and stores nothing: use \"sentinel\" instead of "
      "\"redis\"" },

    { NGX_B1C_REDIS_FIND_ROLE, "role", "slave", NULL,
      "it is a replica and accepts no events: specify its master" },

    { NGX_B1C_REDIS_FIND_AOF, "aof_enabled", NULL, "1",
      "it loses events when it crashes: set \"appendonly yes\" in its "
      "configuration" },

    { NGX_B1C_REDIS_FIND_AOF_ERR, "aof_last_write_status", NULL,
      "ok", "it could not write its append-only file and refuses events: "
            "check its log, its disk and the permissions of its \"dir\"" },

    { NGX_B1C_REDIS_FIND_RDB_ERR, "rdb_last_bgsave_status", NULL,
      "ok", "it could not save its snapshot and refuses events if "
            "\"stop-writes-on-bgsave-error\" is set: check its log and its "
            "disk" },

    { NGX_B1C_REDIS_FIND_POLICY, "maxmemory_policy", NULL,
      "noeviction", "it evicts events when its memory is full: set "
                    "\"maxmemory-policy noeviction\" in its configuration" },

    { 0, NULL, NULL, NULL, NULL }
};


/*
 * Nobody waits for these replies.  INFO without a section has everything that
 * is needed in every version; only the fsync policy is missing in it.
 */

void
ngx_b1c_redis_check_send(ngx_b1c_redis_t *redis)
{
    static size_t       lens[] = { 4 };
    static size_t       config_lens[] = { 6, 3, 11 };
    static const char  *args[] = { "INFO" };
    static const char  *config_args[] = { "CONFIG", "GET", "appendfsync" };

    (void) redisAsyncCommandArgv(redis->ac, ngx_b1c_redis_check_info,
                                 redis, 1, args, lens);
    (void) redisAsyncCommandArgv(redis->ac, ngx_b1c_redis_check_config,
                                 redis, 3, config_args, config_lens);
}


static void
ngx_b1c_redis_check_info(redisAsyncContext *ac, void *r, void *data)
{
    ngx_b1c_redis_t *redis = data;

    ngx_str_t           text, value;
    ngx_uint_t          there;
    redisReply         *reply;
    ngx_b1c_finding_t  *f;

    reply = r;

    if (ngx_b1c_redis_replied(redis, reply) != NGX_OK) {
        return;
    }

    there = (reply->type != REDIS_REPLY_STRING);

    if (ngx_b1c_redis_check_found(redis, NGX_B1C_REDIS_FIND_INFO, there)) {
        ngx_log_error(NGX_LOG_WARN, &redis->log, 0,
                      "Redis: INFO was refused, so it is not known whether "
                      "events are safe: allow \"+info\" in its ACL");
    }

    if (there) {
        return;
    }

    text.data = (u_char *) reply->str;
    text.len = reply->len;

    ngx_b1c_redis_check_version(redis, &text);

    for (f = ngx_b1c_redis_findings; f->name; f++) {

        /* a value that a fork of Redis does not report is no finding */

        there = 0;

        if (ngx_b1c_redis_check_line(&text, f->name, &value) == NGX_OK) {
            there = f->bad ? ngx_b1c_redis_check_is(&value, f->bad)
                           : !ngx_b1c_redis_check_is(&value, f->good);
        }

        if (ngx_b1c_redis_check_found(redis, f->bit, there)) {
            ngx_log_error(NGX_LOG_WARN, &redis->log, 0,
                          "Redis has %s \"%V\": %s", f->name, &value,
                          f->advice);
        }
    }
}


/* Valkey and other forks report the compatible version of Redis here */

static void
ngx_b1c_redis_check_version(ngx_b1c_redis_t *redis, ngx_str_t *text)
{
    ngx_int_t    major;
    ngx_str_t    value;
    ngx_uint_t   there;
    const char  *dot;

    there = 0;

    if (ngx_b1c_redis_check_line(text, "redis_version", &value)
        == NGX_OK)
    {
        dot = memchr(value.data, '.', value.len);
        major = ngx_atoi(value.data,
                         dot ? (size_t) ((u_char *) dot - value.data)
                             : value.len);

        there = (major != NGX_ERROR && major < NGX_B1C_REDIS_VERSION);
    }

    if (ngx_b1c_redis_check_found(redis, NGX_B1C_REDIS_FIND_VERSION, there)) {
        ngx_log_error(NGX_LOG_WARN, &redis->log, 0,
                      "Redis has redis_version \"%V\": the scripts require "
                      "%d.0 or later", &value, NGX_B1C_REDIS_VERSION);
    }
}


static void
ngx_b1c_redis_check_config(redisAsyncContext *ac, void *r, void *data)
{
    ngx_b1c_redis_t *redis = data;

    ngx_uint_t   there;
    redisReply  *reply;

    reply = r;

    if (ngx_b1c_redis_replied(redis, reply) != NGX_OK) {
        return;
    }

    there = (reply->type != REDIS_REPLY_ARRAY
             || reply->elements != 2
             || reply->element[1]->type != REDIS_REPLY_STRING);

    if (ngx_b1c_redis_check_found(redis, NGX_B1C_REDIS_FIND_CONFIG, there)) {
        ngx_log_error(NGX_LOG_WARN, &redis->log, 0,
                      "Redis: CONFIG GET was refused, so it is not known "
                      "whether \"appendfsync\" is \"everysec\" or \"always\": "
                      "%s",
                      reply->type == REDIS_REPLY_ERROR
                      && ngx_strstr(reply->str, "unknown command")
                      ? "check it in the configuration of Redis, which removes "
                        "CONFIG by \"rename-command\""
                      : "allow \"+config|get\" in its ACL");
    }

    if (there) {
        return;
    }

    there = (ngx_strcmp(reply->element[1]->str, "no") == 0);

    if (ngx_b1c_redis_check_found(redis, NGX_B1C_REDIS_FIND_FSYNC, there)) {
        ngx_log_error(NGX_LOG_WARN, &redis->log, 0,
                      "Redis has appendfsync \"no\": a power failure loses "
                      "the events of up to 30 seconds, set \"appendfsync "
                      "everysec\" or \"always\" in its configuration");
    }
}


/* 1 if a finding must be logged: it is new since the last check */

static ngx_uint_t
ngx_b1c_redis_check_found(ngx_b1c_redis_t *redis, ngx_uint_t bit,
    ngx_uint_t there)
{
    ngx_uint_t  before;

    before = redis->findings & bit;

    if (there) {
        redis->findings |= bit;

    } else {
        redis->findings &= ~bit;
    }

    return there && !before;
}


/* the value in a line "name:value" */

static ngx_int_t
ngx_b1c_redis_check_line(ngx_str_t *text, const char *name, ngx_str_t *value)
{
    size_t   len;
    u_char  *p, *last, *end;

    p = text->data;
    last = p + text->len;
    len = ngx_strlen(name);

    while (p < last) {
        end = ngx_strlchr(p, last, CR);
        end = end ? end : last;

        if ((size_t) (end - p) > len
            && ngx_memcmp(p, name, len) == 0
            && p[len] == ':')
        {
            value->data = p + len + 1;

            /*
             * the value goes to the error log, so it is cut at a nonprintable
             * byte
             */

            for (p = value->data;
                 p < end && p - value->data < 64 && *p > ' ' && *p < 0x7f;
                 p++)
            {
                /* void */
            }

            value->len = p - value->data;

            return NGX_OK;
        }

        p = end + 1;

        if (p < last && *p == LF) {
            p++;
        }
    }

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_b1c_redis_check_is(ngx_str_t *value, const char *text)
{
    return value->len == ngx_strlen(text)
           && ngx_memcmp(value->data, text, value->len) == 0;
}

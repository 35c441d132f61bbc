
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_redis_internal.h"


/* NGX_DECLINED: it is not a valid answer */
typedef ngx_int_t (*ngx_b1c_word_pt)(
    ngx_b1c_redis_t *redis, redisReply *reply);


typedef struct {
    const char                 *verb;
    ngx_b1c_word_pt             handler;
} ngx_b1c_word_t;


static void ngx_b1c_redis_login_say_auth(ngx_b1c_redis_t *redis,
    ngx_str_t *user, ngx_str_t *password);
static void ngx_b1c_redis_login_say(ngx_b1c_redis_t *redis,
    ngx_b1c_word_t *word, ngx_str_t *first, ngx_str_t *second);
static void ngx_b1c_redis_login_said(redisAsyncContext *ac, void *r,
    void *data);
static ngx_int_t ngx_b1c_redis_login_ok(ngx_b1c_redis_t *redis,
    redisReply *reply);
static ngx_int_t ngx_b1c_redis_login_role_is(ngx_b1c_redis_t *redis,
    redisReply *reply);
static ngx_int_t ngx_b1c_redis_login_pong(ngx_b1c_redis_t *redis,
    redisReply *reply);
static size_t ngx_b1c_redis_login_auth_error(redisReply *reply);


static ngx_b1c_word_t  ngx_b1c_redis_auth =
    { "AUTH", ngx_b1c_redis_login_ok };

static ngx_b1c_word_t  ngx_b1c_redis_select =
    { "SELECT", ngx_b1c_redis_login_ok };

static ngx_b1c_word_t  ngx_b1c_redis_role =
    { "ROLE", ngx_b1c_redis_login_role_is };

static ngx_b1c_word_t  ngx_b1c_redis_ping =
    { "PING", ngx_b1c_redis_login_pong };

static ngx_b1c_word_t  ngx_b1c_redis_sentinel =
    { "SENTINEL", ngx_b1c_redis_peer_master };


void
ngx_b1c_redis_login_begin(ngx_b1c_redis_t *redis)
{
    u_char                 digits[NGX_INT_T_LEN];
    ngx_str_t              db;
    ngx_b1c_redis_conf_t  *conf;

    static ngx_str_t  ask = ngx_string("get-master-addr-by-name");

    conf = redis->conf;

    if (ngx_b1c_redis_peer_is_sentinel(redis)) {
        redis->log.action = "asking Sentinel";

        ngx_b1c_redis_login_say_auth(redis, &conf->sentinel_user,
                                     &conf->sentinel_password);
        ngx_b1c_redis_login_say(redis, &ngx_b1c_redis_sentinel, &ask,
                                &conf->master);
        return;
    }

    redis->log.action = "logging in to Redis";

    ngx_b1c_redis_login_say_auth(redis, &conf->user, &conf->password);

    if (conf->db) {
        db.data = digits;
        db.len = ngx_sprintf(digits, "%ui", conf->db) - digits;
        ngx_b1c_redis_login_say(redis, &ngx_b1c_redis_select, &db, NULL);
    }

    if (ngx_b1c_redis_peer_has_peers(redis)) {
        ngx_b1c_redis_login_say(redis, &ngx_b1c_redis_role, NULL, NULL);
    }

    /*
     * All these are answered even while Redis loads its data set.  Only PING
     * fails then, and so shows that scripts will run.
     */

    ngx_b1c_redis_login_say(redis, &ngx_b1c_redis_ping, NULL, NULL);
}


static void
ngx_b1c_redis_login_say_auth(ngx_b1c_redis_t *redis, ngx_str_t *user,
    ngx_str_t *password)
{
    if (user->len) {
        ngx_b1c_redis_login_say(redis, &ngx_b1c_redis_auth, user, password);

    } else if (password->len) {
        ngx_b1c_redis_login_say(redis, &ngx_b1c_redis_auth, password, NULL);
    }
}


static void
ngx_b1c_redis_login_say(ngx_b1c_redis_t *redis, ngx_b1c_word_t *word,
    ngx_str_t *first, ngx_str_t *second)
{
    int          n;
    size_t       lens[3];
    const char  *args[3];

    args[0] = word->verb;
    lens[0] = ngx_strlen(word->verb);
    n = 1;

    if (first) {
        args[n] = (const char *) first->data;
        lens[n++] = first->len;
    }

    if (second) {
        args[n] = (const char *) second->data;
        lens[n++] = second->len;
    }

    (void) redisAsyncCommandArgv(redis->ac, ngx_b1c_redis_login_said,
                                 word, n, args, lens);
}


static void
ngx_b1c_redis_login_said(redisAsyncContext *ac, void *r, void *data)
{
    ngx_b1c_word_t *word = data;

    size_t            len;
    ngx_uint_t        ping;
    redisReply       *reply;
    ngx_b1c_redis_t  *redis;

    redis = ac->data;
    reply = r;

    if (reply == NULL || redis->phase != NGX_B1C_REDIS_LOGIN) {
        return;
    }

    ping = (word == &ngx_b1c_redis_ping);

    /* NOPERM for PING is an answer, too */

    if (reply->type == REDIS_REPLY_ERROR
        && (!ping || ngx_strncmp(reply->str, "NOPERM", 6) != 0))
    {
        len = (word == &ngx_b1c_redis_auth)
              ? ngx_b1c_redis_login_auth_error(reply)
              : (size_t) reply->len;

        ngx_b1c_redis_login_refuse(redis, word->verb, reply->str, len);
        return;
    }

    if (word->handler(redis, reply) != NGX_OK) {

        ngx_b1c_redis_conn_drop(redis, redis->reason[0] ? NULL
                                         : "Protocol error, strange reply");
    }
}


static ngx_int_t
ngx_b1c_redis_login_ok(ngx_b1c_redis_t *redis, redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STATUS
        || ngx_strcmp(reply->str, "OK") != 0)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* an array whose first element is "master", "slave" or "sentinel" */

static ngx_int_t
ngx_b1c_redis_login_role_is(ngx_b1c_redis_t *redis, redisReply *reply)
{
    const char  *role;

    if (reply->type != REDIS_REPLY_ARRAY
        || reply->elements == 0
        || reply->element[0]->type != REDIS_REPLY_STRING)
    {
        return NGX_DECLINED;
    }

    role = reply->element[0]->str;

    if (ngx_strcmp(role, "master") == 0) {
        return NGX_OK;
    }

    if (ngx_strcmp(role, "slave") == 0) {
        redis->replica = 1;
        ngx_b1c_redis_conn_drop(redis, "it is a replica");
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_b1c_redis_login_pong(ngx_b1c_redis_t *redis, redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ERROR
        && (reply->type != REDIS_REPLY_STATUS
            || ngx_strcmp(reply->str, "PONG") != 0))
    {
        return NGX_DECLINED;
    }

    if (ngx_b1c_redis_event_surplus(redis)) {
        ngx_b1c_redis_conn_drop(redis, "Protocol error, surplus reply");
        return NGX_OK;
    }

    ngx_b1c_redis_greeting_send(redis);

    return NGX_OK;
}


void
ngx_b1c_redis_login_refuse(ngx_b1c_redis_t *redis, const char *verb,
    const char *text, size_t len)
{
    /* these two are temporary, any other error needs an operator */

    redis->refused = (ngx_strncmp(text, "LOADING", 7) != 0
                      && ngx_strncmp(text, "BUSY", 4) != 0);

    ngx_b1c_redis_log_reason(redis, verb, text, len);
    ngx_b1c_redis_conn_drop(redis, NULL);
}


/*
 * Part of an AUTH error that may be logged.  If the command is renamed, or
 * unknown to a proxy, the reply repeats its arguments.  So after the first
 * word only texts are logged that are known to contain none.
 */

static size_t
ngx_b1c_redis_login_auth_error(redisReply *reply)
{
    char         *p;
    const char  **text;

    static const char  *known[] = {
        "ERR AUTH <password> called without any password",
        "ERR Client sent AUTH, but no password is set",
        "ERR invalid password",
        "ERR max number of clients reached",
        "ERR wrong number of arguments",
        NULL
    };

    for (text = known; *text; text++) {
        if (ngx_strncmp(reply->str, *text, ngx_strlen(*text)) == 0) {
            return ngx_strlen(*text);
        }
    }

    p = memchr(reply->str, ' ', reply->len);

    return p ? (size_t) (p - reply->str) : 0;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_job.h"
#include "b1c_core.h"
#include "b1c_bitrix.h"
#include <ngx_sha1.h>
#include <sys/random.h>


#define NGX_B1C_JOB_POOL   4096
#define NGX_B1C_JOB_POOLS  256


static void ngx_b1c_job_id(u_char *id);
static ngx_pool_t *ngx_b1c_job_pool(ngx_log_t *log);
static void ngx_b1c_job_recycle(ngx_b1c_job_t *job);
static ngx_int_t ngx_b1c_job_word(ngx_b1c_job_t *job, ngx_str_t *word,
    const char *text);
static ngx_int_t ngx_b1c_job_key(ngx_b1c_job_t *job, ngx_str_t *portal,
    u_char *hash);
static ngx_int_t ngx_b1c_job_verb(ngx_b1c_job_t *job, ngx_str_t *portal,
    u_char *hash);
static void ngx_b1c_job_data(ngx_b1c_job_t *job, ngx_str_t *data);
static ngx_int_t ngx_b1c_job_words(ngx_b1c_job_t *job, u_char *key,
    u_char *lane);
static void ngx_b1c_job_hash(u_char *hash, const char *kind, ngx_str_t **parts,
    ngx_uint_t n);
static void ngx_b1c_job_parsed_free(void *data);


/* 64 random bits, different in each process and each nginx */
static uint64_t  ngx_b1c_job_worker;
static uint32_t  ngx_b1c_job_serial;

static ngx_pool_t  *ngx_b1c_job_pools[NGX_B1C_JOB_POOLS];
static ngx_uint_t   ngx_b1c_job_npools;


ngx_int_t
ngx_b1c_job_seed(ngx_log_t *log)
{
    uint64_t  seed;

    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "getrandom() failed");
        return NGX_ERROR;
    }

    ngx_b1c_job_worker = seed;
    ngx_b1c_job_serial = 0;

    return NGX_OK;
}


static void
ngx_b1c_job_id(u_char *id)
{
    /*
     * The time comes first, so that ids sort by age.  The serial number wraps
     * only after 2^32 events in one second.
     */

    (void) ngx_sprintf(id, "%08xD%016xL%08xD", (uint32_t) ngx_time(),
                       ngx_b1c_job_worker,
                       ngx_b1c_job_serial++);
}


ngx_b1c_job_t *
ngx_b1c_job_create(ngx_b1c_queue_t *queue, ngx_log_t *log)
{
    u_char         *id;
    ngx_pool_t     *pool;
    ngx_b1c_job_t  *job;

    pool = ngx_b1c_job_pool(log);
    if (pool == NULL) {
        return NULL;
    }

    job = ngx_pcalloc(pool, sizeof(ngx_b1c_job_t) + queue->ops->kind);
    id = ngx_pnalloc(pool, NGX_B1C_HASH_LEN + 2);

    if (job == NULL || id == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    ngx_b1c_job_id(id);

    id[NGX_B1C_HASH_LEN] = ':';
    id[NGX_B1C_HASH_LEN + 1] = 'm';

    job->id.data = id;
    job->id.len = NGX_B1C_HASH_LEN;
    job->identity.id_field.data = id;
    job->identity.id_field.len = NGX_B1C_HASH_LEN + 2;

    job->pool = pool;
    job->log = log;
    job->refs = 1;
    job->queue = queue;
    job->kind = queue->ops->kind ? job + 1 : NULL;

    return job;
}


void
ngx_b1c_job_ref(ngx_b1c_job_t *job)
{
    job->refs++;
}


void
ngx_b1c_job_unref(ngx_b1c_job_t *job)
{
    if (--job->refs == 0) {
        ngx_b1c_job_recycle(job);
    }
}


static ngx_pool_t *
ngx_b1c_job_pool(ngx_log_t *log)
{
    if (ngx_b1c_job_npools) {
        return ngx_b1c_job_pools[--ngx_b1c_job_npools];
    }

    return ngx_create_pool(NGX_B1C_JOB_POOL, log);
}


/*
 * Dozens of jobs are created and freed in one iteration of the event loop.
 * Without these the allocator returns the memory to the system each time.
 */
static void
ngx_b1c_job_recycle(ngx_b1c_job_t *job)
{
    ngx_pool_t          *pool;
    ngx_pool_cleanup_t  *c;

    pool = job->pool;

    /* a pool that has grown for a large event would not shrink again */

    if (job->record.len > NGX_B1C_JOB_POOL / 4
        || ngx_b1c_job_npools == NGX_B1C_JOB_POOLS)
    {
        ngx_destroy_pool(pool);
        return;
    }

    for (c = pool->cleanup; c; c = c->next) {
        if (c->handler) {
            c->handler(c->data);
        }
    }

    pool->cleanup = NULL;

    ngx_reset_pool(pool);

    ngx_b1c_job_pools[ngx_b1c_job_npools++] = pool;
}


ngx_int_t
ngx_b1c_job_event(ngx_b1c_job_t *job, b1c_event_t *ev)
{
    ngx_b1c_event_t  *event;

    event = &job->event;

    if (ngx_b1c_job_word(job, &event->name, ev->event) != NGX_OK
        || ngx_b1c_job_word(job, &event->type, ev->type) != NGX_OK
        || ngx_b1c_job_word(job, &event->id, ev->id) != NGX_OK
        || ngx_b1c_job_word(job, &event->domain, ev->domain)
           != NGX_OK
        || ngx_b1c_job_word(job, &event->member_id, ev->member_id)
           != NGX_OK
        || ngx_b1c_job_word(job, &event->run, ev->run) != NGX_OK)
    {
        return NGX_ERROR;
    }

    event->ts = ev->ts;
    event->kind = ev->kind;

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_job_word(ngx_b1c_job_t *job, ngx_str_t *word, const char *text)
{
    ngx_str_t  src;

    if (text == NULL) {
        ngx_str_null(word);
        return NGX_OK;
    }

    src.data = (u_char *) text;
    src.len = ngx_strlen(text);

    word->len = src.len;
    word->data = ngx_pnalloc(job->pool, src.len + 1);
    if (word->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(word->data, src.data, src.len + 1);

    return NGX_OK;
}


ngx_int_t
ngx_b1c_job_record(ngx_b1c_job_t *job, ngx_str_t *server, ngx_str_t *uri,
    u_char *tail, size_t len)
{
    u_char  *p;
    size_t   size;

    size = sizeof("b1  \n") - 1 + 2 * NGX_SIZE_T_LEN + server->len + uri->len
           + len;

    job->record.data = ngx_pnalloc(job->pool, size);
    if (job->record.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(job->record.data, "b1 %uz %uz\n", server->len, uri->len);

    job->server.data = p;
    job->server.len = server->len;
    p = ngx_cpymem(p, server->data, server->len);

    job->uri.data = p;
    job->uri.len = uri->len;
    p = ngx_cpymem(p, uri->data, uri->len);

    job->event.tail.data = p;
    job->event.tail.len = len;
    p = ngx_cpymem(p, tail, len);

    job->record.len = p - job->record.data;

    return NGX_OK;
}


ngx_int_t
ngx_b1c_job_load(ngx_b1c_job_t *job, ngx_str_t *record)
{
    b1c_event_t  *ev;

    /* the stored event may be one with which this one was coalesced */

    job->event.parsed = NULL;

    job->record.data = ngx_pstrdup(job->pool, record);
    if (job->record.data == NULL) {
        return NGX_ERROR;
    }

    job->record.len = record->len;

    if (ngx_b1c_job_split(&job->record, &job->server, &job->uri,
                          &job->event.tail)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ev = ngx_b1c_job_parsed(job);
    if (ev == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_b1c_job_event(job, ev) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_b1c_job_split(ngx_str_t *record, ngx_str_t *server, ngx_str_t *uri,
    ngx_str_t *tail)
{
    u_char    *p, *last, *space, *lf;
    ngx_int_t  n, k;

    p = record->data;
    last = p + record->len;

    if (record->len < 3 || ngx_strncmp(p, "b1 ", 3) != 0) {
        return NGX_DECLINED;
    }

    p += 3;

    lf = ngx_strlchr(p, last, LF);
    space = ngx_strlchr(p, lf ? lf : p, ' ');

    if (lf == NULL || space == NULL) {
        return NGX_DECLINED;
    }

    n = ngx_atoi(p, space - p);
    k = ngx_atoi(space + 1, lf - space - 1);
    p = lf + 1;

    if (n < 0 || k < 1 || last - p < n || last - p - n < k) {
        return NGX_DECLINED;
    }

    server->data = p;
    server->len = n;
    uri->data = p + n;
    uri->len = k;
    tail->data = p + n + k;
    tail->len = last - tail->data;

    return NGX_OK;
}


ngx_int_t
ngx_b1c_job_identity(ngx_b1c_job_t *job, ngx_str_t *key, ngx_str_t *lane)
{
    u_char            key_hash[NGX_B1C_HASH_LEN];
    u_char            lane_hash[NGX_B1C_HASH_LEN];
    ngx_str_t        *parts[3], *portal, object;
    ngx_b1c_event_t  *event;

    event = &job->event;
    portal = event->member_id.len ? &event->member_id : &event->domain;

    if (key->len) {
        ngx_b1c_job_hash(key_hash, "key", &key, 1);

    } else if (ngx_b1c_job_key(job, portal, key_hash) != NGX_OK) {
        return NGX_ERROR;
    }

    parts[0] = portal;

    if (lane->len) {
        parts[1] = lane;
        ngx_b1c_job_hash(lane_hash, "own", parts, 2);

    } else {

        /* an object that has two names is in one lane under both */

        object = event->type;
        object.data = (u_char *) b1c_entity_object((char *) object.data,
                                                   &object.len);

        parts[1] = &object;
        parts[2] = event->id.data ? &event->id : &job->id;
        ngx_b1c_job_hash(lane_hash, "lane", parts, 3);
    }

    return ngx_b1c_job_words(job, key_hash, lane_hash);
}


static ngx_int_t
ngx_b1c_job_key(ngx_b1c_job_t *job, ngx_str_t *portal, u_char *hash)
{
    ngx_str_t        *parts[6], ts, data;
    ngx_b1c_event_t  *event;

    event = &job->event;

    /* two runs of a robot may be equal byte for byte, unless they have a name */

    if (event->kind == B1C_COMMAND && event->run.len == 0) {
        parts[0] = &job->id;
        ngx_b1c_job_hash(hash, "run", parts, 1);

        return NGX_OK;
    }

    if (event->kind == B1C_STATE && event->id.data
        && ngx_b1c_job_verb(job, portal, hash) == NGX_OK)
    {
        return NGX_OK;
    }

    parts[0] = portal;
    parts[1] = &event->name;
    parts[2] = &event->type;

    if (!job->identity.once) {
        parts[3] = &event->id;
        ngx_b1c_job_hash(hash, "entity", parts, 4);

        return NGX_OK;
    }

    if (ngx_b1c_job_number(job, event->ts, &ts) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_b1c_job_data(job, &data);

    parts[3] = &ts;
    parts[4] = &data;
    parts[5] = &event->run;
    ngx_b1c_job_hash(hash, "body", parts, 6);

    return NGX_OK;
}


/* NGX_DECLINED: the verb has no opposite */
static ngx_int_t
ngx_b1c_job_verb(ngx_b1c_job_t *job, ngx_str_t *portal, u_char *hash)
{
    size_t            stem;
    uint32_t          ts;
    ngx_str_t        *parts[4], name;
    b1c_verb_e        verb;
    const char       *mark;
    ngx_b1c_event_t  *event;

    event = &job->event;
    verb = b1c_entity_does((char *) event->name.data, &stem);

    /* events that may be coalesced have one identity for all times */

    ts = job->identity.once ? (uint32_t) event->ts : 0;

    switch (verb) {

    case B1C_VERB_BEGIN:
        mark = "add0";
        break;

    case B1C_VERB_CHANGE:
        mark = "ed17";
        break;

    case B1C_VERB_END:
        mark = "de1e";
        break;

    default:
        return NGX_DECLINED;
    }

    name.data = event->name.data;
    name.len = stem;

    parts[0] = portal;
    parts[1] = &name;
    parts[2] = &event->type;
    parts[3] = &event->id;

    ngx_b1c_job_hash(hash, "verb", parts, 4);

    (void) ngx_sprintf(hash + NGX_B1C_HASH_ENTITY, "%s%08xD", mark, ts);

    return NGX_OK;
}


/* only from "data" on: the time of receipt before it differs in repeats */
static void
ngx_b1c_job_data(ngx_b1c_job_t *job, ngx_str_t *data)
{
    u_char  *p, *last;

    *data = job->event.tail;
    last = data->data + data->len;

    p = ngx_strlcasestrn(data->data, last, (u_char *) ",\"data\":", 8 - 1);

    if (p) {
        data->data = p;
        data->len = last - p;
    }
}


ngx_int_t
ngx_b1c_job_claimed(ngx_b1c_job_t *job, ngx_str_t *epoch, ngx_str_t *key,
    ngx_str_t *lane)
{
    job->lease.epoch.len = epoch->len;
    job->lease.epoch.data = ngx_pstrdup(job->pool, epoch);

    if (job->lease.epoch.data == NULL
        || key->len != NGX_B1C_HASH_LEN
        || lane->len != NGX_B1C_HASH_LEN)
    {
        return NGX_ERROR;
    }

    return ngx_b1c_job_words(job, key->data, lane->data);
}


void
ngx_b1c_job_spool(ngx_b1c_job_t *job, b1c_record_event_t *ev)
{
    ev->id = (char *) job->id.data;
    ev->key = (char *) job->identity.key.data;
    ev->lane = (char *) job->identity.lane.data;
    ev->since = (char *) job->lease.since.data;
    ev->since_len = job->lease.since.len;
    ev->record = (char *) job->record.data;
    ev->len = job->record.len;
    ev->once = job->identity.once;
    ev->again = job->lease.maybe_accepted;
}


ngx_int_t
ngx_b1c_job_spooled(ngx_b1c_job_t *job, b1c_record_event_t *ev)
{
    ngx_memcpy(job->id.data, ev->id, NGX_B1C_HASH_LEN);

    job->lease.since.data = (u_char *) ev->since;
    job->lease.since.len = ev->since_len;
    job->record.data = (u_char *) ev->record;
    job->record.len = ev->len;
    job->identity.once = ev->once;
    job->lease.maybe_accepted = ev->again;

    return ngx_b1c_job_words(job, (u_char *) ev->key, (u_char *) ev->lane);
}


/* arguments of the scripts, built here rather than in Lua */
static ngx_int_t
ngx_b1c_job_words(ngx_b1c_job_t *job, u_char *key, u_char *lane)
{
    u_char     *p;
    ngx_str_t  *prefix;

    prefix = &job->queue->prefix;

    p = ngx_pnalloc(job->pool, prefix->len + sizeof("k:l:1  ") - 1
                               + 5 * NGX_B1C_HASH_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    job->identity.marker.data = p;
    p = ngx_cpymem(p, prefix->data, prefix->len);
    p = ngx_cpymem(p, key, NGX_B1C_HASH_LEN);
    job->identity.marker.len = p - job->identity.marker.data;

    job->identity.key_field.data = p;
    *p++ = 'k';
    *p++ = ':';
    job->identity.key.data = p;
    p = ngx_cpymem(p, key, NGX_B1C_HASH_LEN);
    job->identity.key.len = NGX_B1C_HASH_LEN;
    job->identity.key_field.len = p - job->identity.key_field.data;

    job->identity.lane_field.data = p;
    *p++ = 'l';
    *p++ = ':';
    job->identity.lane.data = p;
    p = ngx_cpymem(p, lane, NGX_B1C_HASH_LEN);
    job->identity.lane.len = NGX_B1C_HASH_LEN;
    job->identity.lane_field.len = p - job->identity.lane_field.data;

    job->identity.meta.data = p;
    *p++ = job->identity.once ? '1' : '0';
    *p++ = ' ';
    p = ngx_cpymem(p, key, NGX_B1C_HASH_LEN);
    *p++ = ' ';
    p = ngx_cpymem(p, lane, NGX_B1C_HASH_LEN);
    job->identity.meta.len = p - job->identity.meta.data;

    return NGX_OK;
}


static void
ngx_b1c_job_hash(u_char *hash, const char *kind, ngx_str_t **parts,
    ngx_uint_t n)
{
    u_char      sha1[20], len[sizeof(uint32_t)];
    uint32_t    size;
    ngx_uint_t  i;
    ngx_sha1_t  state;

    ngx_sha1_init(&state);
    ngx_sha1_update(&state, kind, ngx_strlen(kind));

    for (i = 0; i < n; i++) {

        /* with its length, or "ab" + "c" would be "a" + "bc" */

        size = (uint32_t) parts[i]->len;
        ngx_memcpy(len, &size, sizeof(uint32_t));

        ngx_sha1_update(&state, len, sizeof(uint32_t));
        ngx_sha1_update(&state, parts[i]->data, parts[i]->len);
    }

    ngx_sha1_final(sha1, &state);

    (void) ngx_hex_dump(hash, sha1, NGX_B1C_HASH_LEN / 2);
}


b1c_event_t *
ngx_b1c_job_parsed(ngx_b1c_job_t *job)
{
    b1c_event_t         *ev;
    ngx_pool_cleanup_t  *cln;

    if (job->event.parsed) {
        return job->event.parsed;
    }

    cln = ngx_pool_cleanup_add(job->pool, sizeof(b1c_event_t));
    if (cln == NULL) {
        return NULL;
    }

    ev = cln->data;

    if (b1c_event_from_json(ev, (char *) job->event.tail.data,
                            job->event.tail.len)
        != B1C_OK)
    {
        return NULL;
    }

    cln->handler = ngx_b1c_job_parsed_free;
    job->event.parsed = ev;

    return ev;
}


static void
ngx_b1c_job_parsed_free(void *data)
{
    b1c_event_free(data);
}


ngx_int_t
ngx_b1c_job_number(ngx_b1c_job_t *job, int64_t n, ngx_str_t *text)
{
    text->data = ngx_pnalloc(job->pool, NGX_INT64_LEN);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    text->len = ngx_sprintf(text->data, "%L", n) - text->data;

    return NGX_OK;
}

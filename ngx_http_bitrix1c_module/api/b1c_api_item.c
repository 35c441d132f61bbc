
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_api_internal.h"
#include "b1c_core.h"
#include "b1c_job.h"
#include "b1c_http.h"


static void ngx_b1c_api_item_word(const cJSON *object, const char *name,
    ngx_str_t *word);
static void ngx_b1c_api_item_portal(ngx_b1c_api_item_t *item,
    ngx_str_t *portal);
static void ngx_b1c_api_item_body(b1c_buf_t *buf, ngx_b1c_api_item_t *item);
static ngx_uint_t ngx_b1c_api_item_has(ngx_str_t *text, ngx_str_t *part);
static int64_t ngx_b1c_api_item_number(u_char **p, u_char *last);


void
ngx_b1c_api_item_record(ngx_b1c_api_item_t *item, ngx_str_t *record)
{
    ngx_str_t  server, uri;

    item->size = record->len;
    item->whole = 1;

    if (ngx_b1c_job_split(record, &server, &uri, &item->text) != NGX_OK) {
        ngx_str_null(&item->text);
    }
}


void
ngx_b1c_api_item_meta(ngx_b1c_api_item_t *item, ngx_str_t *meta,
    ngx_str_t *score)
{
    u_char  *p, *last;

    /* epoch, attempts, leased, lost, created, see accept.lua */

    p = meta->data;
    last = p + meta->len;

    (void) ngx_b1c_api_item_number(&p, last);
    item->attempts = ngx_b1c_api_item_number(&p, last);
    (void) ngx_b1c_api_item_number(&p, last);
    (void) ngx_b1c_api_item_number(&p, last);
    item->created = ngx_b1c_api_item_number(&p, last);

    p = score->data;
    last = p + score->len;

    item->died = ngx_b1c_api_item_number(&p, last);
}


/* the next word as a number, 0 if it is none; fractions are ignored */
static int64_t
ngx_b1c_api_item_number(u_char **p, u_char *last)
{
    u_char  *start, *end, *point;
    int64_t  n;

    start = *p;

    end = ngx_strlchr(start, last, ' ');
    if (end == NULL) {
        end = last;
    }

    *p = (end < last) ? end + 1 : last;

    point = ngx_strlchr(start, end, '.');

    n = ngx_atoi(start, (point ? point : end) - start);

    return ngx_max(n, 0);
}


/* the text begins after the id, and a truncated head has no closing brace */
void
ngx_b1c_api_item_parse(ngx_b1c_api_item_t *item)
{
    char         *text;
    size_t        len;
    b1c_error_t   error;
    b1c_limits_t  limits;

    item->tree = NULL;
    len = item->text.len;

    if (len < 2) {
        return;
    }

    text = malloc(len + 1);
    if (text == NULL) {
        return;
    }

    ngx_memcpy(text, item->text.data, len);
    text[0] = '{';

    if (!item->whole) {
        text[len++] = '}';
    }

    /* the limits of the location were checked when the event came */

    limits.pairs = (size_t) -1;
    limits.depth = B1C_DEPTH_MAX;
    limits.key = (size_t) -1;

    if (b1c_json_parse(&item->tree, text, len, &limits, NULL, &error)
        != B1C_OK)
    {
        item->tree = NULL;
    }

    free(text);
}


void
ngx_b1c_api_item_free(ngx_b1c_api_item_t *item)
{
    cJSON_Delete(item->tree);
    item->tree = NULL;
}


/* data is NULL if there is none */
static void
ngx_b1c_api_item_word(const cJSON *object, const char *name, ngx_str_t *word)
{
    const cJSON  *node;

    ngx_str_null(word);

    node = cJSON_GetObjectItemCaseSensitive(object, name);

    if (cJSON_IsString(node)) {
        word->data = (u_char *) node->valuestring;
        word->len = ngx_strlen(word->data);
    }
}


/* people know the domain better than the member_id */
static void
ngx_b1c_api_item_portal(ngx_b1c_api_item_t *item, ngx_str_t *portal)
{
    const cJSON  *source;

    source = cJSON_GetObjectItemCaseSensitive(item->tree, "source");

    ngx_b1c_api_item_word(source, "domain", portal);

    if (portal->len == 0) {
        ngx_b1c_api_item_word(source, "member_id", portal);
    }
}


void
ngx_b1c_api_item_put(b1c_buf_t *buf, ngx_b1c_api_item_t *item)
{
    ngx_str_t     event, portal, type, id;
    const cJSON  *entity;

    entity = cJSON_GetObjectItemCaseSensitive(item->tree, "entity");

    ngx_b1c_api_item_word(item->tree, "event", &event);
    ngx_b1c_api_item_portal(item, &portal);
    ngx_b1c_api_item_word(entity, "type", &type);
    ngx_b1c_api_item_word(entity, "id", &id);

    ngx_b1c_query_text_put(buf, "{\"id\":");
    ngx_b1c_query_text_put_string(buf, &item->id);
    ngx_b1c_query_text_put(buf, ",\"event\":");
    ngx_b1c_query_text_put_string(buf, &event);
    ngx_b1c_query_text_put(buf, ",\"portal\":");
    ngx_b1c_query_text_put_string(buf, &portal);
    ngx_b1c_query_text_put(buf, ",\"entity\":{\"type\":");
    ngx_b1c_query_text_put_string(buf, &type);
    ngx_b1c_query_text_put(buf, ",\"id\":");

    if (id.data) {
        ngx_b1c_query_text_put_string(buf, &id);

    } else {
        ngx_b1c_query_text_put(buf, "null");
    }

    ngx_b1c_query_text_put(buf, "},\"reason\":");
    ngx_b1c_query_text_put_string(buf, &item->reason);
    ngx_b1c_query_text_put(buf, ",\"attempts\":%ui,\"created\":",
                           item->attempts);
    ngx_b1c_query_text_put_seconds(buf, item->created);

    if (item->died) {
        ngx_b1c_query_text_put(buf, ",\"died\":");
        ngx_b1c_query_text_put_seconds(buf, item->died);
    }

    ngx_b1c_query_text_put(buf, ",\"size\":%L", item->size);

    if (item->whole) {
        ngx_b1c_api_item_body(buf, item);
    }

    ngx_b1c_query_text_put(buf, "}");
}


/* the body for 1C; null if the record has another version's format */
static void
ngx_b1c_api_item_body(b1c_buf_t *buf, ngx_b1c_api_item_t *item)
{
    const cJSON  *child;

    if (item->tree == NULL) {
        ngx_b1c_query_text_put(buf, ",\"body\":null");
        return;
    }

    ngx_b1c_query_text_put(buf, ",\"body\":{\"id\":");
    ngx_b1c_query_text_put_string(buf, &item->id);

    cJSON_ArrayForEach(child, item->tree) {
        ngx_b1c_query_text_put(buf, ",");
        b1c_json_write_put_string(buf, child->string);
        ngx_b1c_query_text_put(buf, ":");
        b1c_json_write_put_tree(buf, child);
    }

    ngx_b1c_query_text_put(buf, "}");
}


ngx_uint_t
ngx_b1c_api_item_fits(ngx_b1c_api_item_t *item, ngx_b1c_api_args_t *args)
{
    ngx_str_t     event, domain, member_id;
    const cJSON  *source;

    ngx_b1c_api_item_word(item->tree, "event", &event);

    if (args->event.len
        && !b1c_glob_match((char *) args->event.data, args->event.len,
                           event.data ? (char *) event.data : "",
                           event.len))
    {
        return 0;
    }

    source = cJSON_GetObjectItemCaseSensitive(item->tree, "source");

    ngx_b1c_api_item_word(source, "domain", &domain);
    ngx_b1c_api_item_word(source, "member_id", &member_id);

    return (ngx_b1c_api_item_has(&domain, &args->portal)
            || ngx_b1c_api_item_has(&member_id, &args->portal))
           && ngx_b1c_api_item_has(&item->reason, &args->reason);
}


/* ASCII letters are compared without case */
static ngx_uint_t
ngx_b1c_api_item_has(ngx_str_t *text, ngx_str_t *part)
{
    if (part->len == 0) {
        return 1;
    }

    if (text->len < part->len) {
        return 0;
    }

    return ngx_strlcasestrn(text->data, text->data + text->len, part->data,
                            part->len - 1)
           != NULL;
}

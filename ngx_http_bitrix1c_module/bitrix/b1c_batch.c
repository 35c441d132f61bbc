
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


/* levels of parameters, whose names are joined in one buffer */
#define B1C_BATCH_DEPTH  16


static b1c_batch_rc_t b1c_batch_form(b1c_batch_t *batch,
    const b1c_form_t *form, b1c_error_t *err);
static b1c_batch_rc_t b1c_batch_json(b1c_batch_t *batch, const cJSON *json,
    b1c_error_t *err);
static b1c_batch_rc_t b1c_batch_add(b1c_batch_t *batch, const char *name,
    size_t name_len, const char *value, b1c_error_t *err);
static b1c_batch_rc_t b1c_batch_malformed(b1c_error_t *err, const char *what,
    size_t where);
static void b1c_batch_query(b1c_buf_t *buf, b1c_buf_t *path, const cJSON *node,
    int *first);
static void b1c_batch_encode(b1c_buf_t *buf, const char *text);
static void b1c_batch_scalar(b1c_buf_t *buf, const cJSON *node);
static b1c_span_t b1c_batch_entry(b1c_span_t map, const char *name);


b1c_batch_rc_t
b1c_batch_parse(b1c_batch_t *batch, const b1c_form_t *args,
    const b1c_form_t *form, const cJSON *json, b1c_error_t *err)
{
    b1c_batch_rc_t  rc;

    memset(batch, 0, sizeof(b1c_batch_t));

    rc = b1c_batch_form(batch, args, err);

    if (rc == B1C_BATCH_OK) {
        rc = b1c_batch_form(batch, form, err);
    }

    if (rc == B1C_BATCH_OK) {
        rc = b1c_batch_json(batch, json, err);
    }

    if (rc == B1C_BATCH_OK && batch->n == 0) {
        return b1c_batch_malformed(err, "the batch has no cmd", 0);
    }

    return rc;
}


void
b1c_batch_free(b1c_batch_t *batch)
{
    size_t  i;

    for (i = 0; i < batch->n; i++) {
        free(batch->commands[i].name);
    }

    batch->n = 0;
}


/*
 * PHP ignores spaces before a key and text after its last bracket.  Every key
 * that it could read as "cmd" must be a plain cmd[name] here.
 */
static b1c_batch_rc_t
b1c_batch_form(b1c_batch_t *batch, const b1c_form_t *form, b1c_error_t *err)
{
    size_t             i, len;
    const char        *key, *end;
    b1c_batch_rc_t     rc;
    const b1c_pair_t  *pair;

    if (form == NULL) {
        return B1C_BATCH_OK;
    }

    for (i = 0; i < form->npairs; i++) {
        pair = &form->pairs[i];

        for (key = pair->key; *key == ' '; key++) { /* void */ }

        if (strncasecmp(key, "cmd", 3) != 0
            || (key[3] != '\0' && key[3] != '[' && key[3] != ' '))
        {
            continue;
        }

        len = strlen(key);
        end = key[3] == '[' ? strchr(key, ']') : NULL;

        if (end != key + len - 1 || key != pair->key) {
            return b1c_batch_malformed(err, "a command of a batch must have "
                                            "the form cmd[name]=method?query",
                                       pair->where);
        }

        rc = b1c_batch_add(batch, key + 4, len - 5, pair->value, err);

        if (rc != B1C_BATCH_OK) {
            return rc;
        }
    }

    return B1C_BATCH_OK;
}


static b1c_batch_rc_t
b1c_batch_json(b1c_batch_t *batch, const cJSON *json, b1c_error_t *err)
{
    char            number[32];
    size_t          n;
    const char     *name;
    const cJSON    *cmd, *node;
    b1c_batch_rc_t  rc;

    cJSON_ArrayForEach(cmd, json) {

        if (cmd->string == NULL || strcasecmp(cmd->string, "cmd") != 0) {
            continue;
        }

        if (!cJSON_IsObject(cmd) && !cJSON_IsArray(cmd)) {
            return b1c_batch_malformed(err, "cmd of a batch must be an object "
                                            "or a list of method?query", 0);
        }

        n = 0;

        cJSON_ArrayForEach(node, cmd) {

            if (!cJSON_IsString(node)) {
                return b1c_batch_malformed(err, "a command of a batch must be "
                                                "a string of the form "
                                                "method?query", 0);
            }

            (void) snprintf(number, sizeof(number), "%zu", n++);
            name = node->string != NULL ? node->string : number;

            rc = b1c_batch_add(batch, name, strlen(name), node->valuestring,
                               err);
            if (rc != B1C_BATCH_OK) {
                return rc;
            }
        }
    }

    return B1C_BATCH_OK;
}


static b1c_batch_rc_t
b1c_batch_add(b1c_batch_t *batch, const char *name, size_t name_len,
    const char *value, b1c_error_t *err)
{
    char           *p;
    size_t          len, method_len;
    const char     *what, *method, *query;
    b1c_command_t  *command;

    query = strchr(value, '?');
    len = query != NULL ? (size_t) (query - value) : strlen(value);
    query = query != NULL ? query + 1 : "";

    what = b1c_method_method(value, len, &method, &method_len);

    if (what != NULL) {
        return b1c_batch_malformed(err, "a command of the batch names no "
                                        "method: expected method?query", 0);
    }

    if (method_len == 5 && strncasecmp(method, "batch", 5) == 0) {
        return B1C_BATCH_NESTED;
    }

    if (batch->n == B1C_BATCH_MAX) {
        return B1C_BATCH_LENGTH;
    }

    p = malloc(name_len + method_len + strlen(query) + 3);
    if (p == NULL) {
        return B1C_BATCH_NOMEM;
    }

    command = &batch->commands[batch->n++];

    command->name = memcpy(p, name, name_len);
    p[name_len] = '\0';

    command->method = memcpy(p + name_len + 1, method, method_len);
    command->method[method_len] = '\0';

    command->query = strcpy(command->method + method_len + 1, query);

    return B1C_BATCH_OK;
}


static b1c_batch_rc_t
b1c_batch_malformed(b1c_error_t *err, const char *what, size_t where)
{
    err->what = what;
    err->where = where;

    return B1C_BATCH_MALFORMED;
}


char *
b1c_batch_build(const b1c_packed_t *calls, size_t n, size_t *len)
{
    int        first;
    size_t     i;
    b1c_buf_t  buf, query, path;

    memset(&buf, 0, sizeof(b1c_buf_t));
    memset(&query, 0, sizeof(b1c_buf_t));
    memset(&path, 0, sizeof(b1c_buf_t));

    b1c_json_write_put(&buf, "{\"halt\":0,\"cmd\":{",
                       sizeof("{\"halt\":0,\"cmd\":{") - 1);

    for (i = 0; i < n; i++) {

        if (i > 0) {
            b1c_json_write_put(&buf, ",", 1);
        }

        b1c_json_write_put_string(&buf, calls[i].name);
        b1c_json_write_put(&buf, ":", 1);

        query.len = 0;
        path.len = 0;
        first = 1;

        b1c_json_write_put(&query, calls[i].method, strlen(calls[i].method));

        if (calls[i].params != NULL) {
            b1c_batch_query(&query, &path, calls[i].params, &first);
        }

        b1c_json_write_put(&query, "", 1);

        if (query.failed || path.failed) {
            buf.failed = 1;
            break;
        }

        b1c_json_write_put_string(&buf, query.start);
    }

    b1c_json_write_put(&buf, "}}", sizeof("}}"));

    free(query.start);
    free(path.start);

    if (buf.failed) {
        free(buf.start);
        return NULL;
    }

    *len = buf.len - 1;

    return buf.start;
}


/* written as by PHP's http_build_query(); the path leads to the node */
static void
b1c_batch_query(b1c_buf_t *buf, b1c_buf_t *path, const cJSON *node, int *first)
{
    char          number[32];
    size_t        len, n;
    const char   *name;
    const cJSON  *child;

    if (!cJSON_IsObject(node) && !cJSON_IsArray(node)) {
        b1c_json_write_put(buf, *first ? "?" : "&", 1);
        b1c_json_write_put(buf, path->start, path->len);
        b1c_json_write_put(buf, "=", 1);
        b1c_batch_scalar(buf, node);
        *first = 0;
        return;
    }

    len = path->len;
    n = 0;

    cJSON_ArrayForEach(child, node) {

        (void) snprintf(number, sizeof(number), "%zu", n++);
        name = child->string != NULL ? child->string : number;

        if (len > 0) {
            b1c_json_write_put(path, "%5B", 3);
        }

        b1c_batch_encode(path, name);

        if (len > 0) {
            b1c_json_write_put(path, "%5D", 3);
        }

        if (path->failed) {
            return;
        }

        b1c_batch_query(buf, path, child, first);

        path->len = len;
    }
}


static void
b1c_batch_encode(b1c_buf_t *buf, const char *text)
{
    char                  hex[4];
    const unsigned char  *p;

    for (p = (const unsigned char *) text; *p != '\0'; p++) {

        if ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z')
            || (*p >= 'A' && *p <= 'Z') || *p == '-' || *p == '_'
            || *p == '.' || *p == '~')
        {
            b1c_json_write_put(buf, (const char *) p, 1);

        } else {
            (void) snprintf(hex, sizeof(hex), "%%%02X", *p);
            b1c_json_write_put(buf, hex, 3);
        }
    }
}


static void
b1c_batch_scalar(b1c_buf_t *buf, const cJSON *node)
{
    char  number[32];

    if (cJSON_IsString(node)) {
        b1c_batch_encode(buf, node->valuestring);

    } else if (cJSON_IsNumber(node)) {
        b1c_batch_encode(buf, b1c_json_write_number(node, number));

    } else {
        b1c_json_write_put(buf, cJSON_IsTrue(node) ? "1" : "0", 1);
    }
}


void
b1c_batch_reply(b1c_reply_t *reply, const char *text, size_t len,
    const char *name)
{
    b1c_span_t  result, error, code;

    memset(reply, 0, sizeof(b1c_reply_t));

    result = b1c_json_scan_find(b1c_json_scan_value(text, len), "result");

    error = b1c_batch_entry(b1c_json_scan_find(result, "result_error"), name);

    code = b1c_json_scan_find(error, "error");

    if (b1c_portal_answer_error(code.start != NULL ? code : error,
                                reply->answer.code))
    {
        reply->answer.kind = b1c_portal_answer_code(reply->answer.code);
        reply->description = b1c_json_scan_find(error, "error_description");

    } else {
        reply->result = b1c_batch_entry(b1c_json_scan_find(result, "result"),
                                        name);
        reply->answer.kind = reply->result.start != NULL ? B1C_ANSWER_OK
                                                         : B1C_ANSWER_NONE;
    }

    result = b1c_batch_entry(b1c_json_scan_find(result, "result_time"), name);

    if (result.start != NULL) {
        b1c_portal_answer_time(&reply->answer, result.start, result.len);
    }
}


void
b1c_batch_tail(b1c_reply_t *reply, const char *tail, size_t len,
    const char *name)
{
    size_t       left;
    b1c_span_t   error, code, time;
    const char  *p;

    memset(reply, 0, sizeof(b1c_reply_t));

    reply->answer.kind = B1C_ANSWER_TRUNCATED;

    p = b1c_portal_answer_last(tail, len, "\"result_error\":", &left);

    if (p == NULL) {
        return;
    }

    error = b1c_batch_entry(b1c_json_scan_value(p, left), name);
    code = b1c_json_scan_find(error, "error");

    if (b1c_portal_answer_error(code.start != NULL ? code : error,
                                reply->answer.code))
    {
        reply->answer.kind = b1c_portal_answer_code(reply->answer.code);
        reply->description = b1c_json_scan_find(error, "error_description");
        return;
    }

    p = b1c_portal_answer_last(tail, len, "\"result_time\":", &left);

    if (p == NULL) {
        return;
    }

    time = b1c_batch_entry(b1c_json_scan_value(p, left), name);

    if (time.start != NULL) {
        reply->answer.kind = B1C_ANSWER_OK;
        reply->too_large = 1;
        b1c_portal_answer_time(&reply->answer, time.start, time.len);
    }
}


/*
 * A map of the answer is [] if it is empty, and a list if its names are 0, 1
 * and so on
 */
static b1c_span_t
b1c_batch_entry(b1c_span_t map, const char *name)
{
    char        number[32];
    size_t      n;
    b1c_scan_t  scan;
    b1c_span_t  key, value;

    if (map.start == NULL || *map.start != '[') {
        return b1c_json_scan_find(map, name);
    }

    if (b1c_json_scan_open(&scan, map)) {

        for (n = 0; b1c_json_scan_next(&scan, &key, &value); n++) {
            (void) snprintf(number, sizeof(number), "%zu", n);

            if (strcmp(number, name) == 0) {
                return value;
            }
        }
    }

    value.start = NULL;
    value.len = 0;

    return value;
}


size_t
b1c_batch_failed(b1c_span_t result)
{
    size_t      n;
    b1c_scan_t  scan;
    b1c_span_t  key, value;

    n = 0;

    if (b1c_json_scan_open(&scan, b1c_json_scan_find(result, "result_error"))) {
        while (b1c_json_scan_next(&scan, &key, &value)) {
            n++;
        }
    }

    return n;
}

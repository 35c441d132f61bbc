
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


/* the end of the year 9999 */
#define B1C_TS_MAX  253402300799LL


static b1c_rc_t b1c_event_fill(b1c_event_t *ev, b1c_message_t *msg,
    b1c_error_t *err);
static b1c_rc_t b1c_event_portal(char **copy, const char *text,
    b1c_error_t *err);
static b1c_rc_t b1c_event_ts(const cJSON *node, int64_t *ts, b1c_error_t *err);
static b1c_rc_t b1c_event_ordinary(b1c_event_t *ev, cJSON *tree,
    const char *name, b1c_error_t *err);
static b1c_rc_t b1c_event_entity(b1c_event_t *ev, const b1c_known_t *known);
static char *b1c_event_name(const char *name);
static b1c_rc_t b1c_event_detach(cJSON *tree, cJSON **data);
static int b1c_event_secret(const char *name);
static b1c_rc_t b1c_event_load(b1c_event_t *ev, cJSON *tree);
static b1c_rc_t b1c_event_copy(char **copy, const cJSON *node);


b1c_rc_t
b1c_event_build(b1c_event_t *ev, b1c_message_t *msg, b1c_error_t *err)
{
    b1c_rc_t  rc;

    memset(ev, 0, sizeof(b1c_event_t));

    rc = B1C_OK;

    if (msg->tree == NULL) {
        rc = b1c_tree_build(&msg->form, &msg->tree, err);
    }

    if (rc == B1C_OK) {
        rc = b1c_event_fill(ev, msg, err);
    }

    if (rc != B1C_OK) {
        b1c_event_free(ev);
    }

    return rc;
}


void
b1c_event_free(b1c_event_t *ev)
{
    free(ev->event);
    free(ev->type);
    free(ev->id);
    free(ev->member_id);
    free(ev->domain);
    free(ev->run);
    cJSON_Delete(ev->data);

    memset(ev, 0, sizeof(b1c_event_t));
}


static b1c_rc_t
b1c_event_fill(b1c_event_t *ev, b1c_message_t *msg, b1c_error_t *err)
{
    b1c_rc_t      rc;
    const cJSON  *name;

    rc = b1c_event_portal(&ev->member_id, msg->member_id, err);

    if (rc == B1C_OK) {
        rc = b1c_event_portal(&ev->domain, msg->domain, err);
    }

    if (rc == B1C_OK) {
        rc = b1c_event_ts(b1c_event_get(msg->tree, "ts"), &ev->ts, err);
    }

    if (rc != B1C_OK) {
        return rc;
    }

    name = b1c_event_get(msg->tree, "event");

    if (name == NULL) {
        return b1c_robot_build(ev, msg, err);
    }

    return b1c_event_ordinary(ev, msg->tree, cJSON_GetStringValue(name), err);
}


/* both become part of keys and of variables */

static b1c_rc_t
b1c_event_portal(char **copy, const char *text, b1c_error_t *err)
{
    if (strlen(text) > B1C_ENTITY_MAX || strpbrk(text, "\t\n\r") != NULL) {
        return b1c_text_malformed(err, "auth does not name a portal", 0);
    }

    *copy = strdup(text);

    return (*copy == NULL) ? B1C_NOMEM : B1C_OK;
}


static b1c_rc_t
b1c_event_ts(const cJSON *node, int64_t *ts, b1c_error_t *err)
{
    double       value;
    const char  *p;

    if (node == NULL) {
        return B1C_OK;
    }

    if (cJSON_IsNumber(node)) {
        value = node->valuedouble;

        if (value >= 0 && value <= (double) B1C_TS_MAX
            && value == (double) (int64_t) value)
        {
            *ts = (int64_t) value;
            return B1C_OK;
        }

    } else if (cJSON_IsString(node) && node->valuestring[0] != '\0') {

        for (p = node->valuestring; *p >= '0' && *p <= '9'; p++) {
            *ts = *ts * 10 + (*p - '0');

            if (*ts > B1C_TS_MAX) {
                break;
            }
        }

        if (*p == '\0') {
            return B1C_OK;
        }
    }

    return b1c_text_malformed(err, "ts is not a number", 0);
}


static b1c_rc_t
b1c_event_ordinary(b1c_event_t *ev, cJSON *tree, const char *name,
    b1c_error_t *err)
{
    size_t              len;
    b1c_rc_t            rc;
    const b1c_known_t  *known;

    len = name ? strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "abcdefghijklmnopqrstuvwxyz0123456789_.:-") : 0;

    if (len == 0 || len > B1C_EVENT_MAX || name[len] != '\0') {
        return b1c_text_malformed(err, "event is not a name", 0);
    }

    ev->event = b1c_event_name(name);
    if (ev->event == NULL) {
        return B1C_NOMEM;
    }

    known = b1c_known_find(ev->event);

    if (known != NULL && known->kind == B1C_FORM_ANSWER) {
        return b1c_text_malformed(err, "Bitrix24 shows the answer to this event"
                                  " as a form, which a queue cannot answer",
                                  0);
    }

    rc = b1c_event_detach(tree, &ev->data);
    if (rc != B1C_OK) {
        return rc;
    }

    b1c_event_scrub(ev->data);

    while (known != NULL && known->secret != NULL
           && cJSON_HasObjectItem(ev->data, known->secret))
    {
        cJSON_DeleteItemFromObject(ev->data, known->secret);
    }

    return b1c_event_entity(ev, known);
}


static b1c_rc_t
b1c_event_entity(b1c_event_t *ev, const b1c_known_t *known)
{
    char          type[B1C_EVENT_MAX + B1C_ENTITY_MAX];
    char          buf[B1C_ENTITY_MAX + 1];
    const char   *id;
    b1c_number_t  number;

    b1c_entity_type(ev->event, ev->data, type);

    ev->type = strdup(type);
    if (ev->type == NULL) {
        return B1C_NOMEM;
    }

    id = known ? b1c_known_id(known, ev->data, buf) : NULL;

    if (id == NULL) {
        id = b1c_entity_id(ev->data, number);
    }

    if (id == NULL) {
        ev->kind = B1C_ONCE;
        return B1C_OK;
    }

    ev->kind = known ? known->kind
                     : b1c_entity_bare(ev->data, id) ? B1C_STATE : B1C_ONCE;

    ev->id = strdup(id);

    return (ev->id == NULL) ? B1C_NOMEM : B1C_OK;
}


/* upper case, except in some examples of the documentation */

static char *
b1c_event_name(const char *name)
{
    char  *copy, *p;

    copy = strdup(name);
    if (copy == NULL) {
        return NULL;
    }

    for (p = copy; *p; p++) {
        if (*p >= 'a' && *p <= 'z') {
            *p &= ~0x20;
        }
    }

    return copy;
}


/* PHP sends an empty map as a list, or in a form not at all */

static b1c_rc_t
b1c_event_detach(cJSON *tree, cJSON **data)
{
    cJSON  *node;

    node = cJSON_DetachItemFromObjectCaseSensitive(tree, "data");

    if (cJSON_IsNull(node) || (cJSON_IsArray(node) && node->child == NULL)
        || (cJSON_IsString(node) && node->valuestring[0] == '\0'))
    {
        cJSON_Delete(node);
        node = NULL;
    }

    if (node == NULL) {
        *data = cJSON_CreateObject();
        return (*data == NULL) ? B1C_NOMEM : B1C_OK;
    }

    *data = node;

    return B1C_OK;
}


/*
 * Events of chat bots have the tokens of the bot's application inside data,
 * and again in an AUTH there.
 */

void
b1c_event_scrub(cJSON *node)
{
    cJSON  *child, *next;

    for (child = node->child; child != NULL; child = next) {

        next = child->next;

        if (child->string != NULL && b1c_event_secret(child->string)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(node, child));

        } else if (child->child != NULL) {
            b1c_event_scrub(child);
        }
    }
}


static int
b1c_event_secret(const char *name)
{
    switch (strlen(name)) {

    case 9:
        return strcasecmp(name, "client_id") == 0;

    case 11:
        return strcasecmp(name, "event_token") == 0;

    case 12:
        return strcasecmp(name, "access_token") == 0;

    case 13:
        return strcasecmp(name, "refresh_token") == 0
               || strcasecmp(name, "client_secret") == 0;

    case 17:
        return strcasecmp(name, "application_token") == 0;

    default:
        return 0;
    }
}


const cJSON *
b1c_event_get(const cJSON *node, const char *name)
{
    if (!cJSON_IsObject(node)) {
        return NULL;
    }

    node = cJSON_GetObjectItemCaseSensitive(node, name);

    return cJSON_IsNull(node) ? NULL : node;
}


char *
b1c_event_json(const b1c_event_t *ev, int64_t received, size_t *len)
{
    b1c_buf_t  buf;

    memset(&buf, 0, sizeof(b1c_buf_t));

#define b1c_put(s)  b1c_json_write_put(&buf, s, sizeof(s) - 1)

    b1c_put(",\"event\":");
    b1c_json_write_put_string(&buf, ev->event);

    b1c_put(",\"ts\":");
    b1c_json_write_put_int(&buf, ev->ts ? ev->ts : received);

    b1c_put(",\"received\":");
    b1c_json_write_put_int(&buf, received);

    b1c_put(",\"source\":{\"domain\":");
    b1c_json_write_put_string(&buf, ev->domain);

    b1c_put(",\"member_id\":");
    b1c_json_write_put_string(&buf, ev->member_id);

    b1c_put("},\"entity\":{\"type\":");
    b1c_json_write_put_string(&buf, ev->type);

    b1c_put(",\"id\":");

    if (ev->id != NULL) {
        b1c_json_write_put_string(&buf, ev->id);

    } else {
        b1c_put("null");
    }

    b1c_put("},\"data\":");
    b1c_json_write_put_tree(&buf, ev->data);

    b1c_put("}");

#undef b1c_put

    if (buf.failed) {
        free(buf.start);
        return NULL;
    }

    buf.start[buf.len] = '\0';
    *len = buf.len;

    return buf.start;
}


b1c_rc_t
b1c_event_from_json(b1c_event_t *ev, const char *text, size_t len)
{
    char        *copy;
    cJSON       *tree;
    b1c_rc_t     rc;
    b1c_error_t  err;

    /* it was within the limits when it was accepted */

    static const b1c_limits_t  none = { SIZE_MAX, SIZE_MAX, SIZE_MAX };

    memset(ev, 0, sizeof(b1c_event_t));

    if (len == 0 || text[0] != ',') {
        return B1C_MALFORMED;
    }

    copy = malloc(len);
    if (copy == NULL) {
        return B1C_NOMEM;
    }

    memcpy(copy, text, len);
    copy[0] = '{';

    rc = b1c_json_parse(&tree, copy, len, &none, NULL, &err);

    free(copy);

    if (rc != B1C_OK) {
        return rc;
    }

    rc = b1c_event_load(ev, tree);

    if (rc != B1C_OK) {
        b1c_event_free(ev);
    }

    cJSON_Delete(tree);

    return rc;
}


static b1c_rc_t
b1c_event_load(b1c_event_t *ev, cJSON *tree)
{
    b1c_rc_t      rc;
    const cJSON  *entity, *source;
    b1c_error_t   err;

    source = b1c_event_get(tree, "source");
    entity = b1c_event_get(tree, "entity");

    rc = b1c_event_ts(b1c_event_get(tree, "ts"), &ev->ts, &err);

    if (rc == B1C_OK) {
        rc = b1c_event_copy(&ev->event, b1c_event_get(tree, "event"));
    }

    if (rc == B1C_OK) {
        rc = b1c_event_copy(&ev->domain, b1c_event_get(source, "domain"));
    }

    if (rc == B1C_OK) {
        rc = b1c_event_copy(&ev->member_id,
                            b1c_event_get(source, "member_id"));
    }

    if (rc == B1C_OK) {
        rc = b1c_event_copy(&ev->type, b1c_event_get(entity, "type"));
    }

    if (rc == B1C_OK && b1c_event_get(entity, "id") != NULL) {
        rc = b1c_event_copy(&ev->id, b1c_event_get(entity, "id"));
    }

    if (rc == B1C_OK) {
        rc = b1c_event_detach(tree, &ev->data);
    }

    return rc;
}


static b1c_rc_t
b1c_event_copy(char **copy, const cJSON *node)
{
    if (!cJSON_IsString(node)) {
        return B1C_MALFORMED;
    }

    *copy = strdup(node->valuestring);

    return (*copy == NULL) ? B1C_NOMEM : B1C_OK;
}

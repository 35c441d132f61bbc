
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bitrix_entity.h"
#include "bitrix_event.h"
#include "bitrix_json.h"
#include "bitrix_text.h"
#include "bitrix_tree.h"


/* the end of the year 9999, where calendars end */
#define BITRIX_TS_MAX  253402300799LL


static bitrix_rc_t bitrix_event_fill(bitrix_event_t *ev,
    bitrix_message_t *msg, bitrix_error_t *err);
static bitrix_rc_t bitrix_event_portal(char **copy, const char *text,
    bitrix_error_t *err);
static bitrix_rc_t bitrix_event_ts(const cJSON *node, int64_t *ts,
    bitrix_error_t *err);
static bitrix_rc_t bitrix_event_ordinary(bitrix_event_t *ev, cJSON *tree,
    const char *name, bitrix_error_t *err);
static char *bitrix_event_name(const char *name);
static bitrix_rc_t bitrix_event_detach(cJSON *tree, cJSON **data,
    bitrix_error_t *err);
static bitrix_rc_t bitrix_event_robot(bitrix_event_t *ev,
    bitrix_message_t *msg, bitrix_error_t *err);
static bitrix_rc_t bitrix_event_document(bitrix_event_t *ev,
    const cJSON *document, bitrix_error_t *err);
static bitrix_rc_t bitrix_event_gather(cJSON *data, bitrix_message_t *msg,
    bitrix_error_t *err);
static bitrix_rc_t bitrix_event_move(bitrix_index_t *index, cJSON *to,
    cJSON *from, int with_ts);
static void bitrix_event_scrub(cJSON *node);
static int bitrix_event_secret(const char *name);
static const cJSON *bitrix_event_get(const cJSON *node, const char *name);
static bitrix_rc_t bitrix_event_load(bitrix_event_t *ev, cJSON *tree);
static bitrix_rc_t bitrix_event_copy(char **copy, const cJSON *node);


bitrix_rc_t
bitrix_event_build(bitrix_event_t *ev, bitrix_message_t *msg,
    bitrix_error_t *err)
{
    bitrix_rc_t  rc;

    memset(ev, 0, sizeof(bitrix_event_t));

    rc = BITRIX_OK;

    if (msg->tree == NULL) {
        rc = bitrix_form_tree(&msg->form, &msg->tree, err);
    }

    if (rc == BITRIX_OK) {
        rc = bitrix_event_fill(ev, msg, err);
    }

    if (rc != BITRIX_OK) {
        bitrix_event_free(ev);
    }

    return rc;
}


void
bitrix_event_free(bitrix_event_t *ev)
{
    free(ev->event);
    free(ev->type);
    free(ev->id);
    free(ev->member_id);
    free(ev->domain);
    cJSON_Delete(ev->data);

    memset(ev, 0, sizeof(bitrix_event_t));
}


static bitrix_rc_t
bitrix_event_fill(bitrix_event_t *ev, bitrix_message_t *msg,
    bitrix_error_t *err)
{
    bitrix_rc_t   rc;
    const cJSON  *name;

    rc = bitrix_event_portal(&ev->member_id, msg->member_id, err);

    if (rc == BITRIX_OK) {
        rc = bitrix_event_portal(&ev->domain, msg->domain, err);
    }

    if (rc == BITRIX_OK) {
        rc = bitrix_event_ts(bitrix_event_get(msg->tree, "ts"), &ev->ts, err);
    }

    if (rc != BITRIX_OK) {
        return rc;
    }

    name = bitrix_event_get(msg->tree, "event");

    if (name == NULL) {
        return bitrix_event_robot(ev, msg, err);
    }

    return bitrix_event_ordinary(ev, msg->tree, cJSON_GetStringValue(name),
                                 err);
}


/* both become part of keys and may be asked for as variables */

static bitrix_rc_t
bitrix_event_portal(char **copy, const char *text, bitrix_error_t *err)
{
    if (strlen(text) > BITRIX_ENTITY_MAX || strpbrk(text, "\t\n\r") != NULL) {
        return bitrix_malformed(err, "auth does not name a portal", 0);
    }

    *copy = strdup(text);

    return (*copy == NULL) ? BITRIX_NOMEM : BITRIX_OK;
}


static bitrix_rc_t
bitrix_event_ts(const cJSON *node, int64_t *ts, bitrix_error_t *err)
{
    double       value;
    const char  *p;

    if (node == NULL) {
        return BITRIX_OK;
    }

    if (cJSON_IsNumber(node)) {
        value = node->valuedouble;

        if (value >= 0 && value <= (double) BITRIX_TS_MAX
            && value == (double) (int64_t) value)
        {
            *ts = (int64_t) value;
            return BITRIX_OK;
        }

    } else if (cJSON_IsString(node) && node->valuestring[0] != '\0') {

        for (p = node->valuestring; *p >= '0' && *p <= '9'; p++) {
            *ts = *ts * 10 + (*p - '0');

            if (*ts > BITRIX_TS_MAX) {
                break;
            }
        }

        if (*p == '\0') {
            return BITRIX_OK;
        }
    }

    return bitrix_malformed(err, "ts is not a number", 0);
}


static bitrix_rc_t
bitrix_event_ordinary(bitrix_event_t *ev, cJSON *tree, const char *name,
    bitrix_error_t *err)
{
    char              type[BITRIX_EVENT_MAX + BITRIX_ENTITY_MAX];
    size_t            len;
    const char       *id;
    bitrix_rc_t       rc;
    bitrix_number_t   number;

    len = name ? strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "abcdefghijklmnopqrstuvwxyz0123456789_.:-") : 0;

    if (len == 0 || len > BITRIX_EVENT_MAX || name[len] != '\0') {
        return bitrix_malformed(err, "event is not a name", 0);
    }

    rc = bitrix_event_detach(tree, &ev->data, err);
    if (rc != BITRIX_OK) {
        return rc;
    }

    bitrix_event_scrub(ev->data);

    ev->event = bitrix_event_name(name);
    if (ev->event == NULL) {
        return BITRIX_NOMEM;
    }

    bitrix_entity_type(ev->event, ev->data, type);

    ev->type = strdup(type);
    if (ev->type == NULL) {
        return BITRIX_NOMEM;
    }

    id = bitrix_entity_id(ev->data, number);
    if (id == NULL) {
        return BITRIX_OK;
    }

    ev->id = strdup(id);

    return (ev->id == NULL) ? BITRIX_NOMEM : BITRIX_OK;
}


/* upper case on the wire, except where the documentation nods */

static char *
bitrix_event_name(const char *name)
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


/* PHP writes an empty map as a list, and into a form nothing at all */

static bitrix_rc_t
bitrix_event_detach(cJSON *tree, cJSON **data, bitrix_error_t *err)
{
    cJSON  *node;

    node = cJSON_DetachItemFromObjectCaseSensitive(tree, "data");

    if (cJSON_IsNull(node) || (cJSON_IsArray(node) && node->child == NULL)) {
        cJSON_Delete(node);
        node = NULL;
    }

    if (node == NULL) {
        *data = cJSON_CreateObject();
        return (*data == NULL) ? BITRIX_NOMEM : BITRIX_OK;
    }

    *data = node;

    if (!cJSON_IsObject(node) && !cJSON_IsArray(node)) {
        return bitrix_malformed(err, "data is not a map", 0);
    }

    return BITRIX_OK;
}


/*
 * Robots and business processes send no event but the document they run on:
 * document_id = [ module, class, id ], and their fields beside it instead of
 * in data.
 */

static bitrix_rc_t
bitrix_event_robot(bitrix_event_t *ev, bitrix_message_t *msg,
    bitrix_error_t *err)
{
    bitrix_rc_t   rc;
    const cJSON  *document;

    document = bitrix_event_get(msg->tree, "document_id");

    if (document == NULL) {
        return bitrix_malformed(err, "no event", 0);
    }

    rc = bitrix_event_document(ev, document, err);
    if (rc != BITRIX_OK) {
        return rc;
    }

    ev->event = strdup("ROBOT");
    ev->data = cJSON_CreateObject();

    if (ev->event == NULL || ev->data == NULL) {
        return BITRIX_NOMEM;
    }

    rc = bitrix_event_gather(ev->data, msg, err);

    bitrix_event_scrub(ev->data);

    return rc;
}


static bitrix_rc_t
bitrix_event_document(bitrix_event_t *ev, const cJSON *document,
    bitrix_error_t *err)
{
    int               i;
    char              index[2];
    size_t            size;
    const cJSON      *node;
    const char       *part[3];
    bitrix_number_t   number[3];

    for (i = 0; i < 3; i++) {
        index[0] = '0' + i;
        index[1] = '\0';

        node = cJSON_IsArray(document) ? cJSON_GetArrayItem(document, i)
                                       : bitrix_event_get(document, index);

        part[i] = bitrix_entity_scalar(node, number[i]);
    }

    if (part[0] == NULL || part[1] == NULL) {
        return bitrix_malformed(err, "document_id does not name a document",
                                0);
    }

    size = strlen(part[0]) + strlen(part[1]) + 2;

    ev->type = malloc(size);
    ev->id = part[2] ? strdup(part[2]) : NULL;

    if (ev->type == NULL || (part[2] != NULL && ev->id == NULL)) {
        return BITRIX_NOMEM;
    }

    snprintf(ev->type, size, "%s.%s", part[0], part[1]);

    return BITRIX_OK;
}


/* the fields of the body, and those of the query string that it has not */

static bitrix_rc_t
bitrix_event_gather(cJSON *data, bitrix_message_t *msg, bitrix_error_t *err)
{
    int              with_ts;
    cJSON           *args;
    bitrix_rc_t      rc;
    bitrix_index_t   index;

    rc = bitrix_index_init(&index);
    if (rc != BITRIX_OK) {
        return rc;
    }

    with_ts = (cJSON_GetObjectItemCaseSensitive(msg->tree, "ts") == NULL);

    rc = bitrix_event_move(&index, data, msg->tree, 0);

    if (rc == BITRIX_OK && msg->args.npairs > 0) {

        rc = bitrix_form_tree(&msg->args, &args, err);

        if (rc == BITRIX_OK) {
            rc = bitrix_event_move(&index, data, args, with_ts);
            cJSON_Delete(args);

        } else if (rc == BITRIX_MALFORMED) {
            err->what = "malformed query string";
        }
    }

    bitrix_index_free(&index);

    return rc;
}


static bitrix_rc_t
bitrix_event_move(bitrix_index_t *index, cJSON *to, cJSON *from, int with_ts)
{
    cJSON          *child, *next;
    bitrix_slot_t  *slot;

    for (child = from->child; child != NULL; child = next) {

        next = child->next;

        if (strcasecmp(child->string, "auth") == 0
            || (!with_ts && strcmp(child->string, "ts") == 0))
        {
            continue;
        }

        slot = bitrix_index_find(index, to, child->string,
                                 strlen(child->string));
        if (slot == NULL) {
            return BITRIX_NOMEM;
        }

        if (slot->child == NULL) {
            cJSON_DetachItemViaPointer(from, child);
            bitrix_index_put(index, slot, to, child);
        }
    }

    return BITRIX_OK;
}


/*
 * Events of chat bots have the tokens of the bot's own application inside data,
 * and again in an AUTH of theirs.
 */

static void
bitrix_event_scrub(cJSON *node)
{
    cJSON  *child, *next;

    for (child = node->child; child != NULL; child = next) {

        next = child->next;

        if (child->string != NULL && bitrix_event_secret(child->string)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(node, child));

        } else if (child->child != NULL) {
            bitrix_event_scrub(child);
        }
    }
}


static int
bitrix_event_secret(const char *name)
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


/* a member of an object; null counts as absent, as it does for PHP */

static const cJSON *
bitrix_event_get(const cJSON *node, const char *name)
{
    if (!cJSON_IsObject(node)) {
        return NULL;
    }

    node = cJSON_GetObjectItemCaseSensitive(node, name);

    return cJSON_IsNull(node) ? NULL : node;
}


char *
bitrix_event_json(const bitrix_event_t *ev, int64_t received, size_t *len)
{
    bitrix_buf_t  buf;

    memset(&buf, 0, sizeof(bitrix_buf_t));

#define bitrix_put(s)  bitrix_json_put(&buf, s, sizeof(s) - 1)

    bitrix_put(",\"event\":");
    bitrix_json_put_string(&buf, ev->event);

    bitrix_put(",\"ts\":");
    bitrix_json_put_int(&buf, ev->ts ? ev->ts : received);

    bitrix_put(",\"received\":");
    bitrix_json_put_int(&buf, received);

    bitrix_put(",\"source\":{\"domain\":");
    bitrix_json_put_string(&buf, ev->domain);

    bitrix_put(",\"member_id\":");
    bitrix_json_put_string(&buf, ev->member_id);

    bitrix_put("},\"entity\":{\"type\":");
    bitrix_json_put_string(&buf, ev->type);

    bitrix_put(",\"id\":");

    if (ev->id != NULL) {
        bitrix_json_put_string(&buf, ev->id);

    } else {
        bitrix_put("null");
    }

    bitrix_put("},\"data\":");
    bitrix_json_put_tree(&buf, ev->data);

    bitrix_put("}");

#undef bitrix_put

    if (buf.failed) {
        free(buf.start);
        return NULL;
    }

    buf.start[buf.len] = '\0';
    *len = buf.len;

    return buf.start;
}


bitrix_rc_t
bitrix_event_from_json(bitrix_event_t *ev, const char *text, size_t len)
{
    char            *copy;
    cJSON           *tree;
    bitrix_rc_t      rc;
    bitrix_error_t   err;

    /* it was within the limits when it was taken, whatever they are now */

    static const bitrix_limits_t  none = { SIZE_MAX, SIZE_MAX, SIZE_MAX };

    memset(ev, 0, sizeof(bitrix_event_t));

    if (len == 0 || text[0] != ',') {
        return BITRIX_MALFORMED;
    }

    copy = malloc(len);
    if (copy == NULL) {
        return BITRIX_NOMEM;
    }

    memcpy(copy, text, len);
    copy[0] = '{';

    rc = bitrix_json_parse(&tree, copy, len, &none, NULL, &err);

    free(copy);

    if (rc != BITRIX_OK) {
        return rc;
    }

    rc = bitrix_event_load(ev, tree);

    if (rc != BITRIX_OK) {
        bitrix_event_free(ev);
    }

    cJSON_Delete(tree);

    return rc;
}


static bitrix_rc_t
bitrix_event_load(bitrix_event_t *ev, cJSON *tree)
{
    bitrix_rc_t      rc;
    const cJSON     *entity, *source;
    bitrix_error_t   err;

    source = bitrix_event_get(tree, "source");
    entity = bitrix_event_get(tree, "entity");

    rc = bitrix_event_ts(bitrix_event_get(tree, "ts"), &ev->ts, &err);

    if (rc == BITRIX_OK) {
        rc = bitrix_event_copy(&ev->event, bitrix_event_get(tree, "event"));
    }

    if (rc == BITRIX_OK) {
        rc = bitrix_event_copy(&ev->domain,
                               bitrix_event_get(source, "domain"));
    }

    if (rc == BITRIX_OK) {
        rc = bitrix_event_copy(&ev->member_id,
                               bitrix_event_get(source, "member_id"));
    }

    if (rc == BITRIX_OK) {
        rc = bitrix_event_copy(&ev->type, bitrix_event_get(entity, "type"));
    }

    if (rc == BITRIX_OK && bitrix_event_get(entity, "id") != NULL) {
        rc = bitrix_event_copy(&ev->id, bitrix_event_get(entity, "id"));
    }

    if (rc == BITRIX_OK) {
        rc = bitrix_event_detach(tree, &ev->data, &err);
    }

    return rc;
}


static bitrix_rc_t
bitrix_event_copy(char **copy, const cJSON *node)
{
    if (!cJSON_IsString(node)) {
        return BITRIX_MALFORMED;
    }

    *copy = strdup(node->valuestring);

    return (*copy == NULL) ? BITRIX_NOMEM : BITRIX_OK;
}

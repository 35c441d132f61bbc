
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


static b1c_rc_t b1c_robot_entity(b1c_event_t *ev, const cJSON *tree,
    b1c_error_t *err);
static b1c_rc_t b1c_robot_document(b1c_event_t *ev, const cJSON *document,
    b1c_error_t *err);
static const char *b1c_robot_object(const char *const part[3],
    char type[B1C_EVENT_MAX], const char **id);
static const char *b1c_robot_crm(const char *text, char type[B1C_EVENT_MAX],
    const char **id);
static b1c_rc_t b1c_robot_run(b1c_event_t *ev, const cJSON *tree);
static b1c_rc_t b1c_robot_gather(cJSON *data, b1c_message_t *msg,
    b1c_error_t *err);
static b1c_rc_t b1c_robot_move(b1c_index_t *index, cJSON *to, cJSON *from,
    int with_ts);


static const char  b1c_robot_task[] =
    "Bitrix\\Tasks\\Integration\\Bizproc\\Document\\Task";


/*
 * The text before the last '_' of a document's id, and the type of the entity in
 * events of the same object.  b1c_robot_crm() handles DYNAMIC_147.
 */

static const struct {
    const char  *prefix;
    const char  *type;
} b1c_robot_types[] = {
    { "LEAD",           "CRMLEAD" },
    { "DEAL",           "CRMDEAL" },
    { "CONTACT",        "CRMCONTACT" },
    { "COMPANY",        "CRMCOMPANY" },
    { "QUOTE",          "CRMQUOTE" },
    { "INVOICE",        "CRMINVOICE" },
    { "SMART_INVOICE",  "CRMDYNAMICITEM_31" },
    { "SMART_DOCUMENT", "CRMDYNAMICITEM_36" },
    { "SMART_B2E_DOC",  "CRMDYNAMICITEM_39" },
    { "ORDER",          "ORDER" },
    { "ORDER_SHIPMENT", "SHIPMENT" }
};


/*
 * Robots and business processes send no event but the document that they run
 * on: document_id = [ module, class, id ].  Their fields are beside it instead
 * of in data.
 */

b1c_rc_t
b1c_robot_build(b1c_event_t *ev, b1c_message_t *msg, b1c_error_t *err)
{
    b1c_rc_t  rc;

    rc = b1c_robot_entity(ev, msg->tree, err);

    if (rc == B1C_OK) {
        rc = b1c_robot_run(ev, msg->tree);
    }

    if (rc != B1C_OK) {
        return rc;
    }

    ev->kind = B1C_COMMAND;
    ev->event = strdup("ROBOT");
    ev->data = cJSON_CreateObject();

    if (ev->event == NULL || ev->data == NULL) {
        return B1C_NOMEM;
    }

    rc = b1c_robot_gather(ev->data, msg, err);

    b1c_event_scrub(ev->data);

    if (rc == B1C_OK && msg->event_token && ev->run != NULL
        && cJSON_GetObjectItemCaseSensitive(ev->data, "message_id") == NULL
        && cJSON_AddStringToObject(ev->data, "event_token", ev->run) == NULL)
    {
        return B1C_NOMEM;
    }

    return rc;
}


/* a message that a person sends by an SMS provider has no document */
static b1c_rc_t
b1c_robot_entity(b1c_event_t *ev, const cJSON *tree, b1c_error_t *err)
{
    const char    *id;
    const cJSON   *document;
    b1c_number_t   number;

    document = b1c_event_get(tree, "document_id");

    if (document != NULL) {
        return b1c_robot_document(ev, document, err);
    }

    id = b1c_entity_scalar(b1c_event_get(tree, "message_id"), number);

    if (id == NULL || b1c_event_get(tree, "code") == NULL) {
        return b1c_text_malformed(err, "no event", 0);
    }

    ev->type = strdup("MESSAGE");
    ev->id = strdup(id);

    return (ev->type == NULL || ev->id == NULL) ? B1C_NOMEM : B1C_OK;
}


static b1c_rc_t
b1c_robot_document(b1c_event_t *ev, const cJSON *document, b1c_error_t *err)
{
    int           i;
    char          index[2], buf[B1C_EVENT_MAX];
    size_t        size;
    const char   *id, *type;
    const cJSON  *node;
    const char   *part[3];
    b1c_number_t  number[3];

    for (i = 0; i < 3; i++) {
        index[0] = '0' + i;
        index[1] = '\0';

        node = cJSON_IsArray(document) ? cJSON_GetArrayItem(document, i)
                                       : b1c_event_get(document, index);

        part[i] = b1c_entity_scalar(node, number[i]);
    }

    if (part[0] == NULL || part[1] == NULL) {
        return b1c_text_malformed(err, "document_id does not name a document",
                                  0);
    }

    id = part[2];
    type = b1c_robot_object(part, buf, &id);

    size = strlen(part[0]) + strlen(part[1]) + 2;

    ev->type = type ? strdup(type) : malloc(size);
    ev->id = id ? strdup(id) : NULL;

    if (ev->type == NULL || (id != NULL && ev->id == NULL)) {
        return B1C_NOMEM;
    }

    if (type == NULL) {
        snprintf(ev->type, size, "%s.%s", part[0], part[1]);
    }

    return B1C_OK;
}


/*
 * The type of the entity in events of this object, and its id.  NULL: there are
 * no such events, or the document is unknown.
 */
static const char *
b1c_robot_object(const char *const part[3], char type[B1C_EVENT_MAX],
    const char **id)
{
    if (part[2] == NULL) {
        return NULL;
    }

    if (strcasecmp(part[0], "crm") == 0) {
        return b1c_robot_crm(part[2], type, id);
    }

    if (strcasecmp(part[0], "tasks") == 0
        && strcasecmp(part[1], b1c_robot_task) == 0
        && part[2][strspn(part[2], "0123456789")] == '\0')
    {
        return "TASK";
    }

    return NULL;
}


static const char *
b1c_robot_crm(const char *text, char type[B1C_EVENT_MAX], const char **id)
{
    size_t       i, len;
    const char  *last, *kind;

    last = strrchr(text, '_');

    if (last == NULL || last[1] == '\0'
        || last[1 + strspn(last + 1, "0123456789")] != '\0')
    {
        return NULL;
    }

    len = last - text;

    for (i = 0; i < sizeof(b1c_robot_types) / sizeof(b1c_robot_types[0]); i++) {

        if (strlen(b1c_robot_types[i].prefix) == len
            && strncmp(b1c_robot_types[i].prefix, text, len) == 0)
        {
            *id = last + 1;
            return b1c_robot_types[i].type;
        }
    }

    kind = text + sizeof("DYNAMIC_") - 1;

    if (strncmp(text, "DYNAMIC_", sizeof("DYNAMIC_") - 1) != 0
        || last <= kind || last - kind > 10
        || strspn(kind, "0123456789") != (size_t) (last - kind))
    {
        return NULL;
    }

    snprintf(type, B1C_EVENT_MAX, "CRMDYNAMICITEM_%.*s", (int) (last - kind),
             kind);
    *id = last + 1;

    return type;
}


/* what identifies this run of the robot; arguments of the query do not count */
static b1c_rc_t
b1c_robot_run(b1c_event_t *ev, const cJSON *tree)
{
    const char    *run;
    b1c_number_t   number;

    run = cJSON_GetStringValue(b1c_event_get(tree, "event_token"));

    if (run == NULL || run[0] == '\0') {
        run = b1c_entity_scalar(b1c_event_get(tree, "message_id"), number);
    }

    if (run == NULL) {
        return B1C_OK;
    }

    ev->run = strdup(run);

    return (ev->run == NULL) ? B1C_NOMEM : B1C_OK;
}


/* the fields of the body and, if it lacks them, of the query string */

static b1c_rc_t
b1c_robot_gather(cJSON *data, b1c_message_t *msg, b1c_error_t *err)
{
    int          with_ts;
    cJSON       *args;
    b1c_rc_t     rc;
    b1c_index_t  index;

    rc = b1c_index_init(&index);
    if (rc != B1C_OK) {
        return rc;
    }

    with_ts = (cJSON_GetObjectItemCaseSensitive(msg->tree, "ts") == NULL);

    rc = b1c_robot_move(&index, data, msg->tree, 0);

    if (rc == B1C_OK) {
        rc = b1c_query_parse(&args, &msg->query, err);

        if (rc == B1C_OK) {
            rc = b1c_robot_move(&index, data, args, with_ts);
            cJSON_Delete(args);
        }
    }

    b1c_index_free(&index);

    return rc;
}


static b1c_rc_t
b1c_robot_move(b1c_index_t *index, cJSON *to, cJSON *from, int with_ts)
{
    cJSON       *child, *next;
    b1c_slot_t  *slot;

    for (child = from->child; child != NULL; child = next) {

        next = child->next;

        if (strcasecmp(child->string, "auth") == 0
            || (!with_ts && strcmp(child->string, "ts") == 0))
        {
            continue;
        }

        slot = b1c_index_find(index, to, child->string, strlen(child->string));
        if (slot == NULL) {
            return B1C_NOMEM;
        }

        if (slot->child == NULL) {
            cJSON_DetachItemViaPointer(from, child);
            b1c_index_put(index, slot, to, child);
        }
    }

    return B1C_OK;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


typedef struct {
    const char  *name;
    size_t       len;
} b1c_word_t;

#define b1c_word(s)  { s, sizeof(s) - 1 }


typedef struct {
    const char  *name;
    size_t       len;
    b1c_verb_e   does;
    int          once;      /* see b1c_entity_once() */
} b1c_verb_t;

#define b1c_verb(s, does, once)  { s, sizeof(s) - 1, does, once }


static const b1c_verb_t *b1c_entity_verb(const char *name, size_t len);
static size_t b1c_entity_stem(const char *event, size_t len, char *buf);
static size_t b1c_entity_trim(const char *name, size_t len);
static const char *b1c_entity_kind(const cJSON *data, b1c_number_t number);
static const char *b1c_entity_at(const cJSON *data, const char *map,
    const char *name, b1c_number_t number);


/*
 * The verbs of the events in the REST documentation, and similar ones.  A verb
 * that ends with another one precedes it.
 */

static const b1c_verb_t  b1c_verbs[] = {
    b1c_verb("MOVETOCATEGORY", B1C_VERB_OTHER, 0),
    b1c_verb("SETENUMVALUES", B1C_VERB_OTHER, 0),
    b1c_verb("ENTITYDELETED", B1C_VERB_OTHER, 0),
    b1c_verb("ENTITYSAVED", B1C_VERB_OTHER, 0),
    b1c_verb("UNREGISTER", B1C_VERB_END, 1),
    b1c_verb("SETSTATUS", B1C_VERB_OTHER, 0),
    b1c_verb("UNINSTALL", B1C_VERB_OTHER, 0),
    b1c_verb("REGISTER", B1C_VERB_BEGIN, 1),
    b1c_verb("RESTORED", B1C_VERB_OTHER, 0),
    b1c_verb("INSTALL", B1C_VERB_OTHER, 0),
    b1c_verb("RESTORE", B1C_VERB_OTHER, 0),
    b1c_verb("CREATED", B1C_VERB_OTHER, 0),
    b1c_verb("UPDATED", B1C_VERB_OTHER, 0),
    b1c_verb("DELETED", B1C_VERB_OTHER, 0),
    b1c_verb("REMOVED", B1C_VERB_OTHER, 0),
    b1c_verb("CHANGED", B1C_VERB_OTHER, 0),
    b1c_verb("CREATE", B1C_VERB_OTHER, 0),
    b1c_verb("UPDATE", B1C_VERB_CHANGE, 0),
    b1c_verb("DELETE", B1C_VERB_END, 1),
    b1c_verb("REMOVE", B1C_VERB_OTHER, 0),
    b1c_verb("CHANGE", B1C_VERB_OTHER, 0),
    b1c_verb("FINISH", B1C_VERB_OTHER, 0),
    b1c_verb("EXPOSE", B1C_VERB_OTHER, 0),
    b1c_verb("ADDED", B1C_VERB_OTHER, 0),
    b1c_verb("SAVED", B1C_VERB_OTHER, 0),
    b1c_verb("START", B1C_VERB_OTHER, 0),
    b1c_verb("MOVED", B1C_VERB_OTHER, 0),
    b1c_verb("SAVE", B1C_VERB_OTHER, 0),
    b1c_verb("MOVE", B1C_VERB_OTHER, 0),
    b1c_verb("INIT", B1C_VERB_OTHER, 0),
    b1c_verb("SEND", B1C_VERB_OTHER, 0),
    b1c_verb("ADD", B1C_VERB_BEGIN, 1),
    b1c_verb("NEW", B1C_VERB_OTHER, 1),
    b1c_verb("END", B1C_VERB_OTHER, 0)
};


void
b1c_entity_type(const char *event, const cJSON *data,
    char buf[B1C_EVENT_MAX + B1C_ENTITY_MAX])
{
    size_t        n, len, suffix;
    const char   *kind;
    b1c_number_t  number;

    len = strlen(event);
    suffix = b1c_entity_suffix(event, len);

    n = b1c_entity_stem(event, len - suffix, buf);

    if (n == 0) {
        memcpy(buf, event, len + 1);
        return;
    }

    /* only these: in others ENTITY_TYPE_ID is the type of the owner */

    if (suffix == 0 && strstr(buf, "DYNAMICITEM") != NULL) {
        kind = b1c_entity_kind(data, number);

        if (kind != NULL) {
            buf[n++] = '_';
            memcpy(buf + n, kind, strlen(kind) + 1);
        }
    }

    memcpy(buf + strlen(buf), event + len - suffix, suffix + 1);
}


/* length of the name without its suffix; 0 if nothing is left */

static size_t
b1c_entity_stem(const char *event, size_t len, char *buf)
{
    char              *before;
    const b1c_verb_t  *verb;

    if (len > 2 && event[0] == 'O' && event[1] == 'N') {
        event += 2;
        len -= 2;
    }

    memcpy(buf, event, len);
    buf[len] = '\0';

    before = strstr(buf, "BEFORE");

    if (before != NULL) {
        len -= 6;
        memmove(before, before + 6, len - (before - buf) + 1);
    }

    verb = b1c_entity_verb(buf, len);

    if (verb != NULL) {
        len = b1c_entity_trim(buf, len - verb->len);

        /* CATALOG.PRODUCT.ON.UPDATE */

        if (len > 3 && memcmp(buf + len - 3, ".ON", 3) == 0) {
            len = b1c_entity_trim(buf, len - 3);
        }
    }

    buf[len] = '\0';

    return len;
}


static size_t
b1c_entity_trim(const char *name, size_t len)
{
    while (len > 0 && memchr("._:-", name[len - 1], 4) != NULL) {
        len--;
    }

    return len;
}


size_t
b1c_entity_suffix(const char *name, size_t len)
{
    size_t  n;

    n = len;

    while (n > 0 && name[n - 1] >= '0' && name[n - 1] <= '9') {
        n--;
    }

    return (n > 1 && n < len && name[n - 1] == '_') ? len - n + 1 : 0;
}


static const b1c_verb_t *
b1c_entity_verb(const char *name, size_t len)
{
    char               last;
    size_t             i;
    const b1c_verb_t  *verb;

    if (len == 0) {
        return NULL;
    }

    /*
     * all verbs are tried for every event, so the last letter is tested first
     */

    last = (char) toupper((unsigned char) name[len - 1]);

    for (i = 0; i < sizeof(b1c_verbs) / sizeof(b1c_verbs[0]); i++) {
        verb = &b1c_verbs[i];

        if (len >= verb->len
            && verb->name[verb->len - 1] == last
            && strncasecmp(name + len - verb->len, verb->name, verb->len) == 0)
        {
            return verb;
        }
    }

    return NULL;
}


static const char *
b1c_entity_kind(const cJSON *data, b1c_number_t number)
{
    size_t       len;
    const char  *kind;

    kind = b1c_entity_at(data, "FIELDS", "ENTITY_TYPE_ID", number);

    if (kind == NULL) {
        return NULL;
    }

    len = strspn(kind, "0123456789");

    return (kind[len] == '\0' && len <= 10) ? kind : NULL;
}


int
b1c_entity_once(const char *event, const char *id)
{
    size_t             len;
    const b1c_verb_t  *verb;

    if (id == NULL) {
        return 1;
    }

    len = strlen(event);
    len -= b1c_entity_suffix(event, len);

    verb = b1c_entity_verb(event, len);

    return verb != NULL && verb->once;
}


b1c_verb_e
b1c_entity_does(const char *event, size_t *stem)
{
    size_t             len;
    const b1c_verb_t  *verb;

    len = strlen(event);
    len -= b1c_entity_suffix(event, len);

    verb = b1c_entity_verb(event, len);
    *stem = len - (verb ? verb->len : 0);

    return verb ? verb->does : B1C_VERB_OTHER;
}


const char *
b1c_entity_object(const char *type, size_t *len)
{
    size_t  i;

    static const struct {
        b1c_word_t  type;
        b1c_word_t  object;
    } names[] = {
        { b1c_word("ORDER"),        b1c_word("SALEORDER") },
        { b1c_word("EXTERNALCALL"), b1c_word("VOXIMPLANTCALL") }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (*len == names[i].type.len
            && strncasecmp(type, names[i].type.name, *len) == 0)
        {
            *len = names[i].object.len;
            return names[i].object.name;
        }
    }

    return type;
}


int
b1c_entity_bare(const cJSON *data, const char *id)
{
    const char    *text;
    const cJSON   *child;
    b1c_number_t   number;

    if (!cJSON_IsObject(data)) {
        return 0;
    }

    cJSON_ArrayForEach(child, data) {

        if (cJSON_IsObject(child)) {
            if (!b1c_entity_bare(child, id)) {
                return 0;
            }

            continue;
        }

        if (cJSON_IsString(child)
            && strcmp(child->valuestring, "undefined") == 0)
        {
            continue;
        }

        text = b1c_entity_scalar(child, number);

        if (text == NULL || strcmp(text, id) != 0
            || strcasecmp(child->string, "ID") != 0)
        {
            return 0;
        }
    }

    return 1;
}


const char *
b1c_entity_id(const cJSON *data, b1c_number_t number)
{
    size_t       i;
    const char  *id;

    static const struct {
        const char  *map;
        const char  *name;
        int          zero;      /* 1: 0 is a valid id */
    } places[] = {
        { "FIELDS",        "ID",         1 },
        { "FIELDS_AFTER",  "ID",         0 },
        { "FIELDS_AFTER",  "MESSAGE_ID", 0 },
        { "FIELDS_BEFORE", "ID",         1 },
        { "FIELDS",        "POST_ID",    1 },
        { NULL,            "CALL_ID",    1 },
        { NULL,            "ID",         1 },
        { NULL,            "id",         1 }
    };

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {

        id = b1c_entity_at(data, places[i].map, places[i].name, number);

        if (id != NULL && (places[i].zero || strcmp(id, "0") != 0)) {
            return id;
        }
    }

    return NULL;
}


static const char *
b1c_entity_at(const cJSON *data, const char *map, const char *name,
    b1c_number_t number)
{
    if (map != NULL) {

        if (!cJSON_IsObject(data)) {
            return NULL;
        }

        data = cJSON_GetObjectItemCaseSensitive(data, map);
    }

    if (!cJSON_IsObject(data)) {
        return NULL;
    }

    return b1c_entity_scalar(cJSON_GetObjectItemCaseSensitive(data, name),
                             number);
}


const char *
b1c_entity_scalar(const cJSON *node, b1c_number_t number)
{
    const char  *text;

    if (cJSON_IsNumber(node)
        && node->valuedouble > -1e15 && node->valuedouble < 1e15
        && node->valuedouble == (double) (long long) node->valuedouble)
    {
        return b1c_json_write_number(node, number);
    }

    if (!cJSON_IsString(node)) {
        return NULL;
    }

    text = node->valuestring;

    if (text[0] == '\0'
        || strcmp(text, "undefined") == 0
        || strnlen(text, B1C_ENTITY_MAX + 1) > B1C_ENTITY_MAX
        || strpbrk(text, "\t\n\r") != NULL)
    {
        return NULL;
    }

    return text;
}

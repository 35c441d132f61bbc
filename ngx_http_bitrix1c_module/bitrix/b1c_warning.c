
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


/* bytes of a name that a warning quotes */
#define B1C_TRAP_NAME  48


typedef struct {
    const char      *where;      /* "filter", "fields", ... */
    char             name[B1C_TRAP_NAME];
    size_t           filters;    /* all conditions, and ignored ones */
    size_t           dropped;
} b1c_warning_t;


static void b1c_warning_form(b1c_warning_t *trap, const b1c_form_t *form);
static void b1c_warning_json(b1c_warning_t *trap, const cJSON *json);
static const char *b1c_warning_place(const char *key, size_t len);
static void b1c_warning_name(b1c_warning_t *trap, const char *where,
    const char *name, size_t len);
static void b1c_warning_camel(const char *name, char camel[B1C_TRAP_NAME]);


int
b1c_warning_call(const char *method, size_t len, const b1c_form_t *form,
    const cJSON *json, char warning[B1C_WARNING_MAX])
{
    char           camel[B1C_TRAP_NAME];
    const char    *then;
    b1c_warning_t  trap;

    if ((len < 5 || strncasecmp(method, "sale.", 5) != 0)
        && (len < 8 || strncasecmp(method, "catalog.", 8) != 0))
    {
        return 0;
    }

    memset(&trap, 0, sizeof(b1c_warning_t));

    b1c_warning_form(&trap, form);
    b1c_warning_json(&trap, json);

    if (trap.where == NULL) {
        return 0;
    }

    b1c_warning_camel(trap.name, camel);

    then = "";

    if (strcmp(trap.where, "fields") == 0) {
        then = ", so the update does not change it";

    } else if (trap.dropped > 0) {
        then = trap.dropped == trap.filters
               ? ", so the list is not filtered"
               : ", so the list is filtered less than requested";
    }

    (void) snprintf(warning, B1C_WARNING_MAX,
                    "%.*s takes names in camelCase and silently ignores %s in "
                    "%s%s: use %s",
                    (int) (len < 64 ? len : 64), method, trap.name, trap.where,
                    then, camel);

    return 1;
}


static void
b1c_warning_form(b1c_warning_t *trap, const b1c_form_t *form)
{
    size_t             i, len;
    const char        *key, *end, *where;
    const b1c_pair_t  *pair;

    if (form == NULL) {
        return;
    }

    for (i = 0; i < form->npairs; i++) {
        pair = &form->pairs[i];

        key = strchr(pair->key, '[');
        if (key == NULL) {
            continue;
        }

        len = key - pair->key;
        where = b1c_warning_place(pair->key, len);

        if (where == NULL) {
            continue;
        }

        if (strcmp(where, "select") == 0) {
            b1c_warning_name(trap, where, pair->value, pair->value_len);
            continue;
        }

        end = strchr(key, ']');

        if (end != NULL) {
            b1c_warning_name(trap, where, key + 1, end - key - 1);
        }
    }
}


static void
b1c_warning_json(b1c_warning_t *trap, const cJSON *json)
{
    const char   *where;
    const cJSON  *part, *node;

    cJSON_ArrayForEach(part, json) {

        where = part->string != NULL
                ? b1c_warning_place(part->string, strlen(part->string)) : NULL;

        if (where == NULL) {
            continue;
        }

        cJSON_ArrayForEach(node, part) {

            if (node->string != NULL) {
                b1c_warning_name(trap, where, node->string,
                                 strlen(node->string));

            } else if (cJSON_IsString(node)) {
                b1c_warning_name(trap, where, node->valuestring,
                                 strlen(node->valuestring));
            }
        }
    }
}


static const char *
b1c_warning_place(const char *key, size_t len)
{
    size_t  i;

    static const char *const  places[] = {
        "filter", "fields", "select", "order"
    };

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (len == strlen(places[i]) && strncmp(key, places[i], len) == 0) {
            return places[i];
        }
    }

    return NULL;
}


/* Bitrix ignores every name without small letters */
static void
b1c_warning_name(b1c_warning_t *trap, const char *where, const char *name,
    size_t len)
{
    size_t  i;
    int     upper;

    while (len > 0 && strchr("<>=!@%?~", *name) != NULL) {
        name++;
        len--;
    }

    if (strcmp(where, "filter") == 0) {
        trap->filters++;
    }

    upper = 0;

    for (i = 0; i < len; i++) {

        if (name[i] >= 'A' && name[i] <= 'Z') {
            upper = 1;

        } else if ((name[i] < '0' || name[i] > '9') && name[i] != '_') {
            return;
        }
    }

    if (!upper || len >= B1C_TRAP_NAME) {
        return;
    }

    /* an ignored condition does more harm than other ignored names */

    if (strcmp(where, "filter") == 0) {
        if (trap->dropped++ > 0) {
            return;
        }

    } else if (trap->where != NULL) {
        return;
    }

    trap->where = where;
    memcpy(trap->name, name, len);
    trap->name[len] = '\0';
}


/* STATUS_ID becomes statusId */
static void
b1c_warning_camel(const char *name, char camel[B1C_TRAP_NAME])
{
    int   up;
    char  ch;

    for (up = 0; (ch = *name) != '\0'; name++) {

        if (ch == '_') {
            up = 1;
            continue;
        }

        if (ch >= 'A' && ch <= 'Z' && !up) {
            ch |= 0x20;
        }

        up = 0;
        *camel++ = ch;
    }

    *camel = '\0';
}


int
b1c_warning_answer(const char *method, size_t len, const b1c_answer_t *answer,
    char warning[B1C_WARNING_MAX])
{
    size_t  i, n;

    static const char  storeproduct[] = "catalog.storeproduct.";

    /* these exist, so what is missing is a right */

    static const char *const  verbs[] = { "list", "get", "getfields" };

    n = sizeof(storeproduct) - 1;

    if (answer->kind != B1C_ANSWER_NO_METHOD || len < n
        || strncasecmp(method, storeproduct, n) != 0)
    {
        return 0;
    }

    for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (len - n == strlen(verbs[i])
            && strncasecmp(method + n, verbs[i], len - n) == 0)
        {
            return 0;
        }
    }

    (void) snprintf(warning, B1C_WARNING_MAX,
                    "catalog.storeproduct.* only shows the stock: change it "
                    "by catalog.document.add, .element.add and .conduct, or "
                    "without inventory management by catalog.product.update "
                    "with fields.quantity");

    return 1;
}

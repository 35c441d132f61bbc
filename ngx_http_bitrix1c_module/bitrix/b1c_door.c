
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


/*
 * A call as it comes in at the door.  PHP reads a request by rules of its own:
 * here it is read once, and what goes to the portal is written anew from what
 * was read, wherever the two could differ.
 */


/* PHP's max_input_vars: it drops what comes behind them */
#define B1C_DOOR_VARS  1000


static const b1c_limits_t  b1c_door_limits = { 100000, 64, 1024 };


static b1c_door_rc_t b1c_door_rc(b1c_rc_t rc);
static b1c_door_rc_t b1c_door_form(b1c_door_t *door, b1c_form_t *form,
    const char *text, size_t len, b1c_error_t *err);
static b1c_door_rc_t b1c_door_names(b1c_door_t *door, b1c_form_t *form,
    b1c_error_t *err);
static void b1c_door_mangle(b1c_pair_t *pair);
static b1c_door_rc_t b1c_door_args(b1c_door_t *door, b1c_error_t *err);
static b1c_door_rc_t b1c_door_body(b1c_door_t *door, b1c_error_t *err);
static b1c_door_rc_t b1c_door_multipart(b1c_door_t *door, b1c_error_t *err);
static b1c_door_rc_t b1c_door_fields(b1c_door_t *door, b1c_error_t *err);
static b1c_door_rc_t b1c_door_json(b1c_door_t *door, b1c_error_t *err);
static b1c_door_rc_t b1c_door_object(cJSON *list);
static b1c_door_rc_t b1c_door_strip(b1c_door_t *door, int *changed,
    b1c_error_t *err);
static b1c_door_rc_t b1c_door_merge(b1c_door_t *door);
static int b1c_door_numbered(const b1c_form_t *form);


b1c_door_rc_t
b1c_door_read(b1c_door_t *door, b1c_error_t *err)
{
    b1c_door_rc_t  rc;

    rc = b1c_door_args(door, err);

    if (rc == B1C_DOOR_OK) {
        rc = b1c_door_body(door, err);
    }

    if (rc == B1C_DOOR_OK) {
        rc = b1c_door_merge(door);
    }

    if (rc == B1C_DOOR_OK && door->batch) {
        rc = b1c_door_batch_read(door, err);
    }

    if (rc == B1C_DOOR_OK) {
        b1c_form_write(&door->args, &door->query);
        rc = door->args.failed || door->body.failed ? B1C_DOOR_NOMEM : rc;
    }

    return rc;
}


void
b1c_door_free(b1c_door_t *door)
{
    b1c_form_free(&door->query);
    b1c_form_free(&door->form);
    b1c_multipart_free(&door->parts);

    cJSON_Delete(door->query_tree);
    cJSON_Delete(door->params);

    free(door->args.start);
    free(door->body.start);

    door->query_tree = NULL;
    door->params = NULL;
    door->args.start = NULL;
    door->body.start = NULL;
}


static b1c_door_rc_t
b1c_door_rc(b1c_rc_t rc)
{
    return rc == B1C_OK ? B1C_DOOR_OK
           : rc == B1C_NOMEM ? B1C_DOOR_NOMEM : B1C_DOOR_MALFORMED;
}


b1c_door_rc_t
b1c_door_malformed(b1c_error_t *err, const char *what, size_t where)
{
    err->what = what;
    err->where = where;

    return B1C_DOOR_MALFORMED;
}


/* a query string or a form, with its names as PHP has them */
static b1c_door_rc_t
b1c_door_form(b1c_door_t *door, b1c_form_t *form, const char *text, size_t len,
    b1c_error_t *err)
{
    char      *mended;
    size_t     n;
    b1c_rc_t   rc;

    for (n = 0; n < len && text[n] == '&'; n++) { /* void */ }

    if (n == len) {
        return B1C_DOOR_OK;
    }

    mended = malloc(3 * len);
    if (mended == NULL) {
        return B1C_DOOR_NOMEM;
    }

    n = b1c_method_args(mended, text, len);
    rc = b1c_form_parse(form, mended, n, &b1c_door_limits, door->charset, err);

    free(mended);

    return rc == B1C_OK ? b1c_door_names(door, form, err) : b1c_door_rc(rc);
}


/* leaves out what only the portal may say, or would not give to the method */
static b1c_door_rc_t
b1c_door_names(b1c_door_t *door, b1c_form_t *form, b1c_error_t *err)
{
    size_t           i, n;
    b1c_pair_t      *pair;
    b1c_door_name_t  kind;

    for (i = 0, n = 0; i < form->npairs; i++) {
        pair = &form->pairs[i];

        b1c_door_mangle(pair);

        if (pair->key_len == 0 || pair->key[0] == '[') {
            return b1c_door_malformed(err, "empty key", pair->where);
        }

        kind = b1c_door_name(door, pair->key, strcspn(pair->key, "["));

        if (kind == B1C_DOOR_REFUSED) {
            return b1c_door_malformed(err, B1C_DOOR_TOKEN, pair->where);
        }

        if (kind == B1C_DOOR_KEPT) {
            form->pairs[n++] = *pair;
        }
    }

    form->npairs = n;

    return B1C_DOOR_OK;
}


/* PHP: spaces before a name go, and '.' and ' ' in it become '_' */
static void
b1c_door_mangle(b1c_pair_t *pair)
{
    size_t  i, n;

    n = strspn(pair->key, " ");

    pair->key += n;
    pair->key_len -= n;

    n = strcspn(pair->key, "[");

    for (i = 0; i < n; i++) {
        if (pair->key[i] == '.' || pair->key[i] == ' ') {
            pair->key[i] = '_';
        }
    }
}


b1c_door_name_t
b1c_door_name(const b1c_door_t *door, const char *name, size_t len)
{
    size_t  i;

    /* they name the one who calls, who is the webhook, or are not passed on */

    static const char  *dropped[] = {
        "auth", "access_token", "sessid", "method", "ap", "aplogin"
    };

    for (i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++) {
        if (strlen(dropped[i]) == len && memcmp(name, dropped[i], len) == 0) {
            return B1C_DOOR_DROPPED;
        }
    }

    /* with it the portal takes all parameters out of the token */

    if (len == 5 && memcmp(name, "token", 5) == 0 && !door->files) {
        return B1C_DOOR_REFUSED;
    }

    return B1C_DOOR_KEPT;
}


static b1c_door_rc_t
b1c_door_args(b1c_door_t *door, b1c_error_t *err)
{
    b1c_rc_t       rc;
    b1c_door_rc_t  drc;

    err->what = NULL;
    door->where = "query string";

    drc = b1c_door_form(door, &door->query, door->in_args, door->in_args_len,
                        err);

    if (drc != B1C_DOOR_OK || door->query.npairs == 0) {
        return drc;
    }

    if (door->query.npairs > B1C_DOOR_VARS) {
        return b1c_door_malformed(err, "more than 1000 parameters, which "
                                  "PHP would cut: send them as JSON", 0);
    }

    rc = b1c_tree_build_last(&door->query, &door->query_tree, err);

    return b1c_door_rc(rc);
}


static b1c_door_rc_t
b1c_door_body(b1c_door_t *door, b1c_error_t *err)
{
    size_t          n;
    b1c_door_rc_t   rc;
    b1c_door_kind_t kind;

    door->where = "body";
    door->as_is = 1;

    for (n = 0; n < door->in_len && strchr(" \t\r\n\v", door->in_body[n])
                && door->in_body[n] != '\0'; n++) { /* void */ }

    if (n == door->in_len) {
        door->as_is = (n == 0);
        door->params = cJSON_CreateObject();
        return door->params ? B1C_DOOR_OK : B1C_DOOR_NOMEM;
    }

    if (!door->post) {
        return b1c_door_malformed(err, "a GET has a body, which Bitrix does "
                                  "not read: send it by POST", 0);
    }

    kind = b1c_multipart_kind(door->in_type, door->in_type_len, door->in_body,
                              door->in_len);

    switch (kind) {

    case B1C_DOOR_JSON:
        return b1c_door_json(door, err);

    case B1C_DOOR_FORM:
        rc = b1c_door_form(door, &door->form, door->in_body, door->in_len,
                           err);

        return rc == B1C_DOOR_OK ? b1c_door_fields(door, err) : rc;

    case B1C_DOOR_TEXT:

        /* less the BOM and the spaces that are not meant */

        if (door->in_len - n >= 3
            && memcmp(door->in_body + n, "\xef\xbb\xbf", 3) == 0)
        {
            n += 3;
        }

        while (door->in_len > n
               && strchr(" \t\r\n", door->in_body[door->in_len - 1])
               && door->in_body[door->in_len - 1] != '\0')
        {
            door->in_len--;
        }

        rc = b1c_door_form(door, &door->form, door->in_body + n,
                           door->in_len - n, err);

        return rc == B1C_DOOR_OK ? b1c_door_fields(door, err) : rc;

    case B1C_DOOR_MULTIPART:
        return b1c_door_multipart(door, err);

    case B1C_DOOR_JSON_FORM:
        return b1c_door_malformed(err, "the body looks like JSON, but "
                                  "Content-Type says that it is a form", 0);

    default:
        return B1C_DOOR_TYPE;
    }
}


static b1c_door_rc_t
b1c_door_multipart(b1c_door_t *door, b1c_error_t *err)
{
    size_t         i;
    b1c_rc_t       rc;
    b1c_buf_t      text;
    b1c_door_rc_t  drc;

    memset(&text, 0, sizeof(b1c_buf_t));

    rc = b1c_multipart_parse(&door->parts, door->in_type, door->in_type_len,
                             door->in_body, door->in_len, &text, err);

    if (rc == B1C_OK && text.failed) {
        rc = B1C_NOMEM;
    }

    drc = b1c_door_rc(rc);

    if (drc == B1C_DOOR_OK) {
        drc = b1c_door_form(door, &door->form, text.start, text.len, err);
    }

    free(text.start);

    if (drc == B1C_DOOR_OK) {
        drc = b1c_door_fields(door, err);
    }

    if (drc != B1C_DOOR_OK || door->parts.n == 0) {
        return drc;
    }

    if (door->form.npairs > B1C_DOOR_VARS) {
        return b1c_door_malformed(err, "more than 1000 fields beside files, "
                                  "which PHP would cut", 0);
    }

    /* a value may have lost what kept it from ending its part */

    for (i = 0; i < door->form.npairs; i++) {
        if (strstr(door->form.pairs[i].value,
                   strchr(door->parts.type, '=') + 1) != NULL)
        {
            return b1c_door_malformed(err, "a value contains the boundary",
                                      door->form.pairs[i].where);
        }
    }

    door->body.len = 0;
    door->type = door->parts.type;

    b1c_multipart_write(&door->body, &door->parts, &door->form);

    return B1C_DOOR_OK;
}


static b1c_door_rc_t
b1c_door_fields(b1c_door_t *door, b1c_error_t *err)
{
    b1c_rc_t  rc;

    rc = b1c_tree_build_last(&door->form, &door->params, err);

    if (rc != B1C_OK) {
        return b1c_door_rc(rc);
    }

    /* PHP numbers anew what has numbers in both */

    if (b1c_door_numbered(&door->query) && b1c_door_numbered(&door->form)) {
        return b1c_door_malformed(err, "parameters without a name stand in "
                                  "the query string and in the body", 0);
    }

    if (door->form.npairs > B1C_DOOR_VARS) {
        return b1c_door_write(door);
    }

    door->as_is = 0;
    door->type = B1C_DOOR_FORM_TYPE;

    b1c_form_write(&door->body, &door->form);

    return B1C_DOOR_OK;
}


static int
b1c_door_numbered(const b1c_form_t *form)
{
    size_t  i;

    for (i = 0; i < form->npairs; i++) {
        if (strspn(form->pairs[i].key, "-0123456789")
            == strcspn(form->pairs[i].key, "["))
        {
            return 1;
        }
    }

    return 0;
}


static b1c_door_rc_t
b1c_door_json(b1c_door_t *door, b1c_error_t *err)
{
    int             changed;
    size_t          len;
    b1c_rc_t        rc;
    b1c_door_rc_t   drc;
    const char     *text;

    text = door->in_body;
    len = door->in_len;

    rc = b1c_json_parse_any(&door->params, text, len, &b1c_door_limits,
                            &changed, err);

    if (rc != B1C_OK) {
        return b1c_door_rc(rc);
    }

    drc = b1c_door_object(door->params);

    if (drc == B1C_DOOR_OK) {
        drc = b1c_door_strip(door, &changed, err);
    }

    if (drc != B1C_DOOR_OK) {
        return drc;
    }

    if (changed) {
        return b1c_door_write(door);
    }

    door->type = B1C_DOOR_JSON_TYPE;

    return B1C_DOOR_OK;
}


/* to PHP a list is the same as an object with the names 0, 1, ... */
static b1c_door_rc_t
b1c_door_object(cJSON *list)
{
    char    number[32];
    size_t  n;
    cJSON  *child;

    if (cJSON_IsObject(list)) {
        return B1C_DOOR_OK;
    }

    list->type = cJSON_Object;
    n = 0;

    cJSON_ArrayForEach(child, list) {
        (void) snprintf(number, sizeof(number), "%zu", n++);

        child->string = strdup(number);

        if (child->string == NULL) {
            return B1C_DOOR_NOMEM;
        }
    }

    return B1C_DOOR_OK;
}


static b1c_door_rc_t
b1c_door_strip(b1c_door_t *door, int *changed, b1c_error_t *err)
{
    cJSON  *child, *next;

    for (child = door->params->child; child; child = next) {
        next = child->next;

        switch (b1c_door_name(door, child->string, strlen(child->string))) {

        case B1C_DOOR_KEPT:
            break;

        case B1C_DOOR_DROPPED:
            cJSON_Delete(cJSON_DetachItemViaPointer(door->params, child));
            *changed = 1;
            break;

        default:
            return b1c_door_malformed(err, B1C_DOOR_TOKEN, 0);
        }
    }

    return B1C_DOOR_OK;
}


/* the query string's come first, and the body's count if both have one */
static b1c_door_rc_t
b1c_door_merge(b1c_door_t *door)
{
    cJSON        *child, *next, *old, *to;
    b1c_rc_t      rc;
    b1c_index_t   index;
    b1c_slot_t   *slot;

    to = door->query_tree;

    if (to == NULL) {
        return B1C_DOOR_OK;
    }

    rc = b1c_index_init(&index);

    for (child = to->child; rc == B1C_OK && child; child = child->next) {
        slot = b1c_index_find(&index, to, child->string,
                              strlen(child->string));

        if (slot == NULL) {
            rc = B1C_NOMEM;
            break;
        }

        slot->parent = to;
        slot->child = child;
        index.used++;
    }

    for (child = door->params->child; rc == B1C_OK && child; child = next) {
        next = child->next;

        slot = b1c_index_find(&index, to, child->string,
                              strlen(child->string));

        if (slot == NULL) {
            rc = B1C_NOMEM;
            break;
        }

        (void) cJSON_DetachItemViaPointer(door->params, child);

        if (slot->child) {
            old = slot->child;
            slot->child = child;

            cJSON_ReplaceItemViaPointer(to, old, child);

        } else {
            cJSON_AddItemToArray(to, child);
        }
    }

    b1c_index_free(&index);

    if (rc != B1C_OK) {
        return B1C_DOOR_NOMEM;
    }

    cJSON_Delete(door->params);

    door->params = to;
    door->query_tree = NULL;

    return B1C_DOOR_OK;
}


b1c_door_rc_t
b1c_door_write(b1c_door_t *door)
{
    door->as_is = 0;
    door->type = B1C_DOOR_JSON_TYPE;
    door->body.len = 0;

    b1c_json_write_put_tree(&door->body, door->params);

    return B1C_DOOR_OK;
}

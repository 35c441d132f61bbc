
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "b1c_core.h"


/* decimal digits of a list's index that is taken for a number */
#define B1C_INDEX_LEN   9


typedef struct {
    b1c_index_t       index;
    int               last;       /* as PHP has it: the last one counts */
} b1c_tree_t;


static b1c_rc_t b1c_tree_make(const b1c_form_t *form, cJSON **tree, int last,
    b1c_error_t *err);
static b1c_rc_t b1c_tree_pair(b1c_tree_t *t, cJSON *root,
    const b1c_pair_t *pair, b1c_error_t *err);
static b1c_rc_t b1c_tree_step(b1c_tree_t *t, cJSON **node,
    const char *name, size_t len, const b1c_pair_t *leaf, const char **what);
static int b1c_tree_odd(const char *name, size_t len);
static b1c_rc_t b1c_tree_list(cJSON *node, int n);
static b1c_rc_t b1c_tree_place(cJSON *root, cJSON *item, const char **what);
static b1c_rc_t b1c_tree_descend(cJSON **node, const char *name,
    const char **what);


b1c_rc_t
b1c_tree_build(const b1c_form_t *form, cJSON **tree, b1c_error_t *err)
{
    return b1c_tree_make(form, tree, 0, err);
}


b1c_rc_t
b1c_tree_build_last(const b1c_form_t *form, cJSON **tree, b1c_error_t *err)
{
    return b1c_tree_make(form, tree, 1, err);
}


static b1c_rc_t
b1c_tree_make(const b1c_form_t *form, cJSON **tree, int last, b1c_error_t *err)
{
    cJSON       *root, *child;
    size_t       i;
    b1c_rc_t     rc;
    b1c_tree_t   t;

    root = cJSON_CreateObject();
    if (root == NULL) {
        return B1C_NOMEM;
    }

    t.last = last;
    rc = b1c_index_init(&t.index);

    for (i = 0; rc == B1C_OK && i < form->npairs; i++) {
        rc = b1c_tree_pair(&t, root, &form->pairs[i], err);
    }

    b1c_index_free(&t.index);

    /* the body itself is always a map */

    for (child = root->child; child != NULL; child = child->next) {
        if (rc == B1C_OK) {
            rc = b1c_tree_lists(child, last);
        }
    }

    if (rc != B1C_OK) {
        cJSON_Delete(root);
        return rc;
    }

    *tree = root;

    return B1C_OK;
}


static b1c_rc_t
b1c_tree_pair(b1c_tree_t *t, cJSON *root, const b1c_pair_t *pair,
    b1c_error_t *err)
{
    cJSON       *node;
    size_t       len;
    const char  *p, *end, *what;
    b1c_rc_t     rc;

    node = root;
    p = pair->key;
    end = p + pair->key_len;
    what = NULL;

    len = strcspn(p, "[");

    for ( ;; ) {
        rc = b1c_tree_step(t, &node, p, len,
                           (p + len + 1 >= end) ? pair : NULL, &what);
        if (rc != B1C_OK) {
            break;
        }

        /* past "[" after the head, past "][" after a part */

        p += len + (p == pair->key ? 1 : 2);

        if (p >= end) {
            break;
        }

        len = strcspn(p, "]");
    }

    return (rc == B1C_MALFORMED) ? b1c_text_malformed(err, what, pair->where)
                                 : rc;
}


/*
 * Descends one part of a key; the last part leads to the leaf, the pair.
 * "valueint", which objects do not use, stores the index that PHP would give
 * to the next "[]".
 */

static b1c_rc_t
b1c_tree_step(b1c_tree_t *t, cJSON **node, const char *name, size_t len,
    const b1c_pair_t *leaf, const char **what)
{
    int          n;
    char         buf[16];
    cJSON       *child;
    b1c_rc_t     rc;
    b1c_slot_t  *slot;

    if (!cJSON_IsObject(*node)) {
        *what = "key is both a scalar and a map";
        return B1C_MALFORMED;
    }

    if (len == 0) {

        if (t->last && (*node)->valuedouble != 0) {
            *what = "[] behind such a number has no certain place";
            return B1C_MALFORMED;
        }

        len = snprintf(buf, sizeof(buf), "%d", (*node)->valueint);
        name = buf;
    }

    slot = b1c_index_find(&t->index, *node, name, len);
    if (slot == NULL) {
        return B1C_NOMEM;
    }

    if (slot->child == NULL) {
        child = leaf ? cJSON_CreateString(leaf->value) : cJSON_CreateObject();

        rc = b1c_index_add(&t->index, slot, *node, name, len, child);
        if (rc != B1C_OK) {
            return rc;
        }

        n = (name == buf) ? (*node)->valueint : b1c_tree_number(name, len);

        if (n >= (*node)->valueint) {
            (*node)->valueint = n + 1;
        }

        if (b1c_tree_odd(name, len)) {
            (*node)->valuedouble = 1;
        }

    } else if (leaf && t->last && cJSON_IsString(slot->child)) {

        if (cJSON_SetValuestring(slot->child, leaf->value) == NULL) {
            return B1C_NOMEM;
        }

    } else if (leaf) {
        *what = cJSON_IsObject(slot->child)
                ? "key is both a scalar and a map" : "key is repeated";
        return B1C_MALFORMED;
    }

    *node = slot->child;

    return B1C_OK;
}


/* -1 unless the name is a number as PHP writes it, without leading zeros */

int
b1c_tree_number(const char *name, size_t len)
{
    int     n;
    size_t  i;

    if (len == 0 || len > B1C_INDEX_LEN || (name[0] == '0' && len > 1)) {
        return -1;
    }

    for (n = 0, i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return -1;
        }

        n = n * 10 + (name[i] - '0');
    }

    return n;
}


/* an integer that PHP takes for an index and b1c_tree_number() does not */

static int
b1c_tree_odd(const char *name, size_t len)
{
    int  minus;

    minus = (name[0] == '-');

    return len - minus > 0 && (minus || len > B1C_INDEX_LEN)
           && name[minus] != '0'
           && strspn(name + minus, "0123456789") >= len - minus;
}


/*
 * An object whose keys are 0..n-1 was a list, in any order: some senders sort
 * their keys as text.  Sparse keys are ids and remain.
 */

b1c_rc_t
b1c_tree_lists(cJSON *node, int ordered)
{
    int       n, max, index;
    cJSON    *child;
    b1c_rc_t  rc;

    n = 0;
    max = -1;

    for (child = node->child; child != NULL; child = child->next) {

        rc = b1c_tree_lists(child, ordered);
        if (rc != B1C_OK) {
            return rc;
        }

        if (n >= 0) {
            index = child->string ? b1c_tree_number(child->string,
                                                    strlen(child->string))
                                  : -1;
            n = (index < 0 || (ordered && index != n)) ? -1 : n + 1;
            max = (index > max) ? index : max;
        }
    }

    /* no key is repeated, so n keys with this maximum are 0..n-1 */

    if (n <= 0 || max != n - 1) {
        return B1C_OK;
    }

    return b1c_tree_list(node, n);
}


static b1c_rc_t
b1c_tree_list(cJSON *node, int n)
{
    int     i;
    cJSON  *child, **items;

    items = calloc(n, sizeof(cJSON *));
    if (items == NULL) {
        return B1C_NOMEM;
    }

    for (child = node->child; child != NULL; child = child->next) {
        items[b1c_tree_number(child->string, strlen(child->string))] = child;
        cJSON_free(child->string);
        child->string = NULL;
    }

    /* in cJSON's lists "prev" of the first is the last */

    for (i = 0; i < n; i++) {
        items[i]->prev = items[i > 0 ? i - 1 : n - 1];
        items[i]->next = (i < n - 1) ? items[i + 1] : NULL;
    }

    node->type = cJSON_Array;
    node->valueint = 0;
    node->child = items[0];

    free(items);

    return B1C_OK;
}


b1c_rc_t
b1c_tree_unfold(cJSON *tree, const b1c_limits_t *limits, b1c_error_t *err)
{
    int          folded;
    cJSON       *child, *next;
    b1c_rc_t     rc;
    const char  *what;

    folded = 0;
    rc = B1C_OK;
    what = NULL;

    for (child = tree->child; rc == B1C_OK && child != NULL; child = next) {

        next = child->next;

        if (strchr(child->string, '[') == NULL
            || b1c_form_brackets(child->string, strlen(child->string),
                                 limits->depth)
               != NULL)
        {
            continue;
        }

        folded = 1;
        cJSON_DetachItemViaPointer(tree, child);

        rc = b1c_tree_place(tree, child, &what);

        if (rc != B1C_OK) {
            cJSON_Delete(child);
        }
    }

    for (child = tree->child; folded && child != NULL; child = child->next) {
        if (rc == B1C_OK) {
            rc = b1c_tree_lists(child, 0);
        }
    }

    return (rc == B1C_MALFORMED) ? b1c_text_malformed(err, what, 0) : rc;
}


/* the item, whose name has brackets, is taken over on B1C_OK */
static b1c_rc_t
b1c_tree_place(cJSON *root, cJSON *item, const char **what)
{
    char        *name, *p, buf[16];
    cJSON       *node;
    b1c_rc_t     rc;
    const char  *part;

    name = strdup(item->string);
    if (name == NULL) {
        return B1C_NOMEM;
    }

    part = name;
    p = strchr(name, '[');
    node = root;

    while (p != NULL) {
        *p++ = '\0';

        rc = b1c_tree_descend(&node, part, what);
        if (rc != B1C_OK) {
            goto done;
        }

        part = p;
        p = strchr(p, ']');
        *p++ = '\0';
        p = (*p == '[') ? p : NULL;
    }

    part = b1c_tree_part(node, part, buf);

    if (cJSON_GetObjectItemCaseSensitive(node, part) != NULL) {
        *what = "key is repeated";
        rc = B1C_MALFORMED;

    } else {
        rc = cJSON_AddItemToObject(node, part, item) ? B1C_OK : B1C_NOMEM;
    }

done:

    free(name);

    return rc;
}


static b1c_rc_t
b1c_tree_descend(cJSON **node, const char *name, const char **what)
{
    char    buf[16];
    cJSON  *child;

    name = b1c_tree_part(*node, name, buf);
    child = cJSON_GetObjectItemCaseSensitive(*node, name);

    if (child == NULL) {
        child = cJSON_AddObjectToObject(*node, name);

        if (child == NULL) {
            return B1C_NOMEM;
        }
    }

    if (!cJSON_IsObject(child)) {
        *what = "key is a scalar and a map at once";
        return B1C_MALFORMED;
    }

    *node = child;

    return B1C_OK;
}


const char *
b1c_tree_part(cJSON *node, const char *name, char buf[16])
{
    int  n;

    if (name[0] == '\0') {
        snprintf(buf, 16, "%d", node->valueint);
        name = buf;
    }

    n = b1c_tree_number(name, strlen(name));

    if (n >= node->valueint) {
        node->valueint = n + 1;
    }

    return name;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitrix_text.h"
#include "bitrix_tree.h"


/* slots of a new index; an ordinary webhook has about twenty nodes */
#define BITRIX_INDEX_SIZE  64

/* decimal digits of a list's index that is taken for a number */
#define BITRIX_INDEX_LEN   9


static bitrix_rc_t bitrix_index_grow(bitrix_index_t *index);
static bitrix_slot_t *bitrix_index_probe(const bitrix_index_t *index,
    const cJSON *parent, const char *name, size_t len);
static bitrix_rc_t bitrix_tree_pair(bitrix_index_t *index, cJSON *root,
    const bitrix_pair_t *pair, bitrix_error_t *err);
static bitrix_rc_t bitrix_tree_step(bitrix_index_t *index, cJSON **node,
    const char *name, size_t len, const bitrix_pair_t *leaf,
    const char **what);
static int bitrix_tree_number(const char *name, size_t len);
static bitrix_rc_t bitrix_tree_lists(cJSON *node);
static bitrix_rc_t bitrix_tree_list(cJSON *node, int n);


bitrix_rc_t
bitrix_index_init(bitrix_index_t *index)
{
    index->slots = calloc(BITRIX_INDEX_SIZE, sizeof(bitrix_slot_t));
    index->size = BITRIX_INDEX_SIZE;
    index->used = 0;

    return (index->slots == NULL) ? BITRIX_NOMEM : BITRIX_OK;
}


void
bitrix_index_free(bitrix_index_t *index)
{
    free(index->slots);
}


bitrix_slot_t *
bitrix_index_find(bitrix_index_t *index, const cJSON *parent,
    const char *name, size_t len)
{
    if (index->used >= index->size / 2
        && bitrix_index_grow(index) != BITRIX_OK)
    {
        return NULL;
    }

    return bitrix_index_probe(index, parent, name, len);
}


bitrix_rc_t
bitrix_index_add(bitrix_index_t *index, bitrix_slot_t *slot, cJSON *parent,
    const char *name, size_t len, cJSON *child)
{
    if (child == NULL) {
        return BITRIX_NOMEM;
    }

    child->string = cJSON_malloc(len + 1);
    if (child->string == NULL) {
        cJSON_Delete(child);
        return BITRIX_NOMEM;
    }

    memcpy(child->string, name, len);
    child->string[len] = '\0';

    bitrix_index_put(index, slot, parent, child);

    return BITRIX_OK;
}


void
bitrix_index_put(bitrix_index_t *index, bitrix_slot_t *slot, cJSON *parent,
    cJSON *child)
{
    /* links only, and leaves the name alone */

    cJSON_AddItemToArray(parent, child);

    slot->parent = parent;
    slot->child = child;
    index->used++;
}


static bitrix_rc_t
bitrix_index_grow(bitrix_index_t *index)
{
    size_t           i;
    const char      *name;
    bitrix_slot_t   *slot;
    bitrix_index_t   grown;

    grown.size = 2 * index->size;
    grown.used = index->used;

    grown.slots = calloc(grown.size, sizeof(bitrix_slot_t));
    if (grown.slots == NULL) {
        return BITRIX_NOMEM;
    }

    for (i = 0; i < index->size; i++) {
        if (index->slots[i].child == NULL) {
            continue;
        }

        name = index->slots[i].child->string;
        slot = bitrix_index_probe(&grown, index->slots[i].parent, name,
                                  strlen(name));
        *slot = index->slots[i];
    }

    free(index->slots);
    *index = grown;

    return BITRIX_OK;
}


/*
 * FNV-1a begun with the address of the parent.  That the heap lies elsewhere in
 * each process also keeps a sender from preparing names that collide.
 */

static bitrix_slot_t *
bitrix_index_probe(const bitrix_index_t *index, const cJSON *parent,
    const char *name, size_t len)
{
    size_t          i;
    uint64_t        hash;
    bitrix_slot_t  *slot;

    hash = 14695981039346656037ULL ^ (uintptr_t) parent;

    for (i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char) name[i]) * 1099511628211ULL;
    }

    hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ULL;
    hash ^= hash >> 32;

    for (i = hash & (index->size - 1); /* void */ ;
         i = (i + 1) & (index->size - 1))
    {
        slot = &index->slots[i];

        if (slot->child == NULL
            || (slot->parent == parent
                && strncmp(slot->child->string, name, len) == 0
                && slot->child->string[len] == '\0'))
        {
            return slot;
        }
    }
}


bitrix_rc_t
bitrix_form_tree(const bitrix_form_t *form, cJSON **tree, bitrix_error_t *err)
{
    cJSON           *root, *child;
    size_t           i;
    bitrix_rc_t      rc;
    bitrix_index_t   index;

    root = cJSON_CreateObject();
    if (root == NULL) {
        return BITRIX_NOMEM;
    }

    rc = bitrix_index_init(&index);

    for (i = 0; rc == BITRIX_OK && i < form->npairs; i++) {
        rc = bitrix_tree_pair(&index, root, &form->pairs[i], err);
    }

    bitrix_index_free(&index);

    /* the body itself is a map, whatever its keys */

    for (child = root->child; child != NULL; child = child->next) {
        if (rc == BITRIX_OK) {
            rc = bitrix_tree_lists(child);
        }
    }

    if (rc != BITRIX_OK) {
        cJSON_Delete(root);
        return rc;
    }

    *tree = root;

    return BITRIX_OK;
}


static bitrix_rc_t
bitrix_tree_pair(bitrix_index_t *index, cJSON *root,
    const bitrix_pair_t *pair, bitrix_error_t *err)
{
    cJSON       *node;
    size_t       len;
    const char  *p, *end, *what;
    bitrix_rc_t  rc;

    node = root;
    p = pair->key;
    end = p + pair->key_len;
    what = NULL;

    len = strcspn(p, "[");

    for ( ;; ) {
        rc = bitrix_tree_step(index, &node, p, len,
                              (p + len + 1 >= end) ? pair : NULL, &what);
        if (rc != BITRIX_OK) {
            break;
        }

        /* past "[" after the head, past "][" after a part */

        p += len + (p == pair->key ? 1 : 2);

        if (p >= end) {
            break;
        }

        len = strcspn(p, "]");
    }

    return (rc == BITRIX_MALFORMED) ? bitrix_malformed(err, what, pair->where)
                                    : rc;
}


/*
 * Goes down one part of a key, the leaf being the pair if it is the last one.
 * "valueint", of no use to an object, is the index that PHP would give to the
 * next "[]".
 */

static bitrix_rc_t
bitrix_tree_step(bitrix_index_t *index, cJSON **node, const char *name,
    size_t len, const bitrix_pair_t *leaf, const char **what)
{
    int             n;
    char            buf[16];
    cJSON          *child;
    bitrix_rc_t     rc;
    bitrix_slot_t  *slot;

    if (!cJSON_IsObject(*node)) {
        *what = "key is a scalar and a map at once";
        return BITRIX_MALFORMED;
    }

    if (len == 0) {
        len = snprintf(buf, sizeof(buf), "%d", (*node)->valueint);
        name = buf;
    }

    slot = bitrix_index_find(index, *node, name, len);
    if (slot == NULL) {
        return BITRIX_NOMEM;
    }

    if (slot->child == NULL) {
        child = leaf ? cJSON_CreateString(leaf->value) : cJSON_CreateObject();

        rc = bitrix_index_add(index, slot, *node, name, len, child);
        if (rc != BITRIX_OK) {
            return rc;
        }

        n = (name == buf) ? (*node)->valueint : bitrix_tree_number(name, len);

        if (n >= (*node)->valueint) {
            (*node)->valueint = n + 1;
        }

    } else if (leaf) {
        *what = cJSON_IsObject(slot->child)
                ? "key is a scalar and a map at once" : "key is repeated";
        return BITRIX_MALFORMED;
    }

    *node = slot->child;

    return BITRIX_OK;
}


/* -1 unless the name is a number as PHP writes it, without leading zeros */

static int
bitrix_tree_number(const char *name, size_t len)
{
    int     n;
    size_t  i;

    if (len == 0 || len > BITRIX_INDEX_LEN || (name[0] == '0' && len > 1)) {
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


/*
 * An object whose keys are 0..n-1 was a list, in whatever order they came: some
 * senders sort their keys as text.  Sparse keys are ids and stay.
 */

static bitrix_rc_t
bitrix_tree_lists(cJSON *node)
{
    int          n, max, index;
    cJSON       *child;
    bitrix_rc_t  rc;

    n = 0;
    max = -1;

    for (child = node->child; child != NULL; child = child->next) {

        rc = bitrix_tree_lists(child);
        if (rc != BITRIX_OK) {
            return rc;
        }

        if (n >= 0) {
            index = bitrix_tree_number(child->string, strlen(child->string));
            n = (index < 0) ? -1 : n + 1;
            max = (index > max) ? index : max;
        }
    }

    /* keys are not repeated, so that this many below n + 1 are all of them */

    if (n <= 0 || max != n - 1) {
        return BITRIX_OK;
    }

    return bitrix_tree_list(node, n);
}


static bitrix_rc_t
bitrix_tree_list(cJSON *node, int n)
{
    int     i;
    cJSON  *child, **items;

    items = calloc(n, sizeof(cJSON *));
    if (items == NULL) {
        return BITRIX_NOMEM;
    }

    for (child = node->child; child != NULL; child = child->next) {
        items[bitrix_tree_number(child->string, strlen(child->string))] = child;
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

    return BITRIX_OK;
}

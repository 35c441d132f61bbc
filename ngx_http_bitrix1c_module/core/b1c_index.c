
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdlib.h>
#include <string.h>

#include "b1c_core.h"


/* slots of a new index; an ordinary webhook has about twenty nodes */
#define B1C_INDEX_SIZE  64


static b1c_rc_t b1c_index_grow(b1c_index_t *index);
static b1c_slot_t *b1c_index_probe(const b1c_index_t *index,
    const cJSON *parent, const char *name, size_t len);


b1c_rc_t
b1c_index_init(b1c_index_t *index)
{
    index->limits = calloc(B1C_INDEX_SIZE, sizeof(b1c_slot_t));
    index->size = B1C_INDEX_SIZE;
    index->used = 0;

    return (index->limits == NULL) ? B1C_NOMEM : B1C_OK;
}


void
b1c_index_free(b1c_index_t *index)
{
    free(index->limits);
}


b1c_slot_t *
b1c_index_find(b1c_index_t *index, const cJSON *parent, const char *name,
    size_t len)
{
    if (index->used >= index->size / 2 && b1c_index_grow(index) != B1C_OK) {
        return NULL;
    }

    return b1c_index_probe(index, parent, name, len);
}


b1c_rc_t
b1c_index_add(b1c_index_t *index, b1c_slot_t *slot, cJSON *parent,
    const char *name, size_t len, cJSON *child)
{
    if (child == NULL) {
        return B1C_NOMEM;
    }

    child->string = cJSON_malloc(len + 1);
    if (child->string == NULL) {
        cJSON_Delete(child);
        return B1C_NOMEM;
    }

    memcpy(child->string, name, len);
    child->string[len] = '\0';

    b1c_index_put(index, slot, parent, child);

    return B1C_OK;
}


void
b1c_index_put(b1c_index_t *index, b1c_slot_t *slot, cJSON *parent,
    cJSON *child)
{
    /* only links the child and does not change its name */

    cJSON_AddItemToArray(parent, child);

    slot->parent = parent;
    slot->child = child;
    index->used++;
}


static b1c_rc_t
b1c_index_grow(b1c_index_t *index)
{
    size_t       i;
    const char  *name;
    b1c_slot_t  *slot;
    b1c_index_t  grown;

    grown.size = 2 * index->size;
    grown.used = index->used;

    grown.limits = calloc(grown.size, sizeof(b1c_slot_t));
    if (grown.limits == NULL) {
        return B1C_NOMEM;
    }

    for (i = 0; i < index->size; i++) {
        if (index->limits[i].child == NULL) {
            continue;
        }

        name = index->limits[i].child->string;
        slot = b1c_index_probe(&grown, index->limits[i].parent, name,
                               strlen(name));
        *slot = index->limits[i];
    }

    free(index->limits);
    *index = grown;

    return B1C_OK;
}


/*
 * FNV-1a, begun with the address of the parent.  Heap addresses differ in each
 * process, so a sender cannot prepare names that collide.
 */

static b1c_slot_t *
b1c_index_probe(const b1c_index_t *index, const cJSON *parent,
    const char *name, size_t len)
{
    size_t       i;
    uint64_t     hash;
    b1c_slot_t  *slot;

    hash = 14695981039346656037ULL ^ (uintptr_t) parent;

    for (i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char) name[i]) * 1099511628211ULL;
    }

    hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ULL;
    hash ^= hash >> 32;

    for (i = hash & (index->size - 1); /* void */ ;
         i = (i + 1) & (index->size - 1))
    {
        slot = &index->limits[i];

        if (slot->child == NULL
            || (slot->parent == parent
                && strncmp(slot->child->string, name, len) == 0
                && slot->child->string[len] == '\0'))
        {
            return slot;
        }
    }
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _BITRIX_TREE_H_INCLUDED_
#define _BITRIX_TREE_H_INCLUDED_


#include "bitrix_form.h"


/*
 * Inside the pure core: finds the children of all objects of a growing tree by
 * name.  cJSON keeps them in lists, so that a body with n members of one map
 * would take n * n / 2 comparisons to be checked for repeated keys.
 */


typedef struct {
    const cJSON     *parent;
    cJSON           *child;      /* NULL: the slot is free */
} bitrix_slot_t;


typedef struct {
    bitrix_slot_t   *slots;
    size_t           size;       /* a power of two */
    size_t           used;
} bitrix_index_t;


bitrix_rc_t bitrix_index_init(bitrix_index_t *index);
void bitrix_index_free(bitrix_index_t *index);

/*
 * The slot of the child of this name: taken if there is one, free if there is
 * none yet.  Good until the next call; NULL is lack of memory.
 */
bitrix_slot_t *bitrix_index_find(bitrix_index_t *index, const cJSON *parent,
    const char *name, size_t len);

/* appends a child that has its name, into the free slot found for that */
void bitrix_index_put(bitrix_index_t *index, bitrix_slot_t *slot,
    cJSON *parent, cJSON *child);

/*
 * The same for a child without a name.  The child, which may be NULL for a
 * failed allocation, is taken over and freed on BITRIX_NOMEM.
 */
bitrix_rc_t bitrix_index_add(bitrix_index_t *index, bitrix_slot_t *slot,
    cJSON *parent, const char *name, size_t len, cJSON *child);


#endif /* _BITRIX_TREE_H_INCLUDED_ */

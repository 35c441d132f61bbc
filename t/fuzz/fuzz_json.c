
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "fuzz.h"


/* the first byte chooses limits and charset, the rest is a JSON body */


/* members and elements, names and levels of all that was read */

static size_t
fuzz_shape(const cJSON *node, size_t level, const b1c_limits_t *limits)
{
    size_t        n;
    const cJSON  *child, *other;

    if (!cJSON_IsObject(node) && !cJSON_IsArray(node)) {
        return 0;
    }

    fuzz_check(level <= limits->depth);

    n = 0;

    cJSON_ArrayForEach(child, node) {

        if (child->string != NULL) {
            fuzz_check(strlen(child->string) <= limits->key);

            for (other = child->next; other != NULL; other = other->next) {
                fuzz_check(strcmp(child->string, other->string) != 0);
            }
        }

        n += 1 + fuzz_shape(child, level + 1, limits);
    }

    return n;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON        *tree, *other;
    const char   *text;
    b1c_rc_t      rc;
    b1c_error_t   err;
    b1c_limits_t  limits;

    if (size == 0) {
        return 0;
    }

    text = (const char *) data + 1;
    size--;

    limits = fuzz_limits(data[0]);
    err.what = NULL;

    rc = b1c_json_parse(&tree, text, size, &limits, fuzz_charset(data[0]),
                        &err);

    if (rc != B1C_OK) {
        fuzz_check(rc == B1C_MALFORMED);
        fuzz_check(err.what != NULL);
        fuzz_check(fuzz_charset(data[0]) != NULL || err.where <= size);
        return 0;
    }

    fuzz_check(cJSON_IsObject(tree));
    fuzz_check(fuzz_shape(tree, 1, &limits) <= limits.pairs);
    fuzz_tree(tree, 1);
    fuzz_written(tree);
    cJSON_Delete(tree);

    /* nothing is taken that a laxer reader would not take */

    if (fuzz_charset(data[0]) == NULL) {
        other = cJSON_ParseWithLength(text, size);
        fuzz_check(other != NULL);
        cJSON_Delete(other);
    }

    return 0;
}

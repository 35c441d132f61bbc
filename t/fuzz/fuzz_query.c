
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "fuzz.h"


/* the first byte chooses limits and charset, the rest is a query string */


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON        *tree;
    size_t        i, pairs;
    b1c_rc_t      rc;
    b1c_error_t   err;
    b1c_query_t   query;

    if (size == 0) {
        return 0;
    }

    memset(&query, 0, sizeof(b1c_query_t));

    query.text = (const char *) data + 1;
    query.len = size - 1;
    query.charset = fuzz_charset(data[0]);
    query.secret = "token";
    query.limits = fuzz_limits(data[0]);

    for (i = 0, pairs = 1; i < query.len; i++) {
        pairs += (query.text[i] == '&');
    }

    err.what = NULL;

    rc = b1c_query_parse(&tree, &query, &err);

    if (rc != B1C_OK) {

        /* what customers write is no reason, only what is too much */

        fuzz_check(rc == B1C_MALFORMED && err.what != NULL);
        fuzz_check(strncmp(err.what, "too many ", 9) == 0);
        fuzz_check(err.where < query.len);
        return 0;
    }

    /* an empty list has none, and none can be made by a query */

    fuzz_check(fuzz_tree(tree, 1) <= pairs);
    fuzz_written(tree);

    cJSON_Delete(tree);

    return 0;
}

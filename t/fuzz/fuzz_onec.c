
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "fuzz.h"


/* an answer of 1C: whether it is an exception does not hang on where it ends */


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char  *copy;

    (void) b1c_onec_failed((const char *) data, size);

    /* memory of just that size, so that a read past its end is seen */

    copy = malloc(size ? size : 1);

    if (copy == NULL) {
        return 0;
    }

    memcpy(copy, data, size);
    fuzz_check(b1c_onec_failed(copy, size)
               == b1c_onec_failed((const char *) data, size));
    free(copy);

    return 0;
}

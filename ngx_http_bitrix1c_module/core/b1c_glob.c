
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <string.h>
#include <strings.h>

#include "b1c_core.h"


static int b1c_glob_lower(char ch);


/*
 * After a mismatch only the last '*' can take one more character: the part
 * before it has already matched at its leftmost place.
 */

int
b1c_glob_match(const char *mask, size_t mask_len, const char *name, size_t len)
{
    size_t       m, n, taken;
    const char  *star;

    m = 0;
    n = 0;
    taken = 0;
    star = NULL;

    while (n < len) {

        if (m < mask_len && mask[m] == '*') {
            star = &mask[m++];
            taken = n;

        } else if (m < mask_len
                   && b1c_glob_lower(mask[m]) == b1c_glob_lower(name[n]))
        {
            m++;
            n++;

        } else if (star != NULL) {
            m = star - mask + 1;
            n = ++taken;

        } else {
            return 0;
        }
    }

    while (m < mask_len && mask[m] == '*') {
        m++;
    }

    return m == mask_len;
}


static int
b1c_glob_lower(char ch)
{
    return (ch >= 'A' && ch <= 'Z') ? ch | 0x20 : ch;
}

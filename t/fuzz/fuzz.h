
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


/*
 * What holds for every input, checked by code that shares nothing with what it
 * checks.  A property that does not hold is a crash for libFuzzer.
 */


#define FUZZ_UNUSED  __attribute__((unused))

#define fuzz_check(condition)                                                \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__,          \
                    __LINE__, #condition);                                   \
            abort();                                                         \
        }                                                                    \
    } while (0)


static FUZZ_UNUSED const b1c_limits_t  fuzz_unlimited = {
    SIZE_MAX, SIZE_MAX, SIZE_MAX
};


/* small limits, or few inputs would reach them */

static FUZZ_UNUSED b1c_limits_t
fuzz_limits(unsigned char choice)
{
    b1c_limits_t  limits = { 1000, 8, 256 };

    if (choice & 4) {
        limits.pairs = 8;
        limits.depth = 3;
        limits.key = 16;
    }

    return limits;
}


static FUZZ_UNUSED const char *
fuzz_charset(unsigned char choice)
{
    return (choice & 2) ? "windows-1251" : NULL;
}


/* valid UTF-8 that 1C can put into XML, on one line if it is a key */

static FUZZ_UNUSED void
fuzz_text(const char *text, int key)
{
    int                   i, n;
    uint32_t              code;
    const unsigned char  *p;

    static const uint32_t  least[] = { 0, 0x80, 0x800, 0x10000 };

    for (p = (const unsigned char *) text; *p; p += n + 1) {

        n = (*p >= 0xf0) ? 3 : (*p >= 0xe0) ? 2 : (*p >= 0xc0) ? 1 : 0;
        code = (n == 0) ? *p : *p & (0x3f >> n);

        fuzz_check(n > 0 || *p < 0x80);

        for (i = 1; i <= n; i++) {
            fuzz_check(p[i] >= 0x80 && p[i] <= 0xbf);
            code = code << 6 | (p[i] & 0x3f);
        }

        fuzz_check(code >= least[n] && code <= 0x10ffff);
        fuzz_check(code < 0xd800 || code > 0xdfff);
        fuzz_check(code != 0xfffe && code != 0xffff);
        fuzz_check(code < 0x7f || code > 0x9f);
        fuzz_check(code >= 0x20
                   || (!key && (code == '\t' || code == '\n' || code == '\r')));
    }
}


static FUZZ_UNUSED int
fuzz_secret(const char *name)
{
    size_t  i;

    static const char *const  names[] = {
        "access_token", "refresh_token", "application_token", "event_token",
        "client_secret", "client_id"
    };

    for (i = 0; i < 6; i++) {
        if (strcasecmp(name, names[i]) == 0) {
            return 1;
        }
    }

    return 0;
}


/* all names and strings of a tree; the number of its leaves */

static FUZZ_UNUSED size_t
fuzz_tree(const cJSON *node, int secrets)
{
    size_t        n;
    const cJSON  *child;

    if (!cJSON_IsObject(node) && !cJSON_IsArray(node)) {

        if (cJSON_IsString(node)) {
            fuzz_text(node->valuestring, 0);
        }

        return 1;
    }

    n = 0;

    cJSON_ArrayForEach(child, node) {

        fuzz_check((child->string != NULL) == cJSON_IsObject(node));

        if (child->string != NULL) {
            fuzz_text(child->string, 1);
            fuzz_check(secrets || !fuzz_secret(child->string));
        }

        n += fuzz_tree(child, secrets);
    }

    return n;
}


/* what is written is JSON for others and reads back the same */

static FUZZ_UNUSED void
fuzz_written(const cJSON *tree)
{
    cJSON       *again;
    b1c_buf_t    first, second;
    b1c_error_t  err;

    memset(&first, 0, sizeof(b1c_buf_t));
    memset(&second, 0, sizeof(b1c_buf_t));

    b1c_json_write_put_tree(&first, tree);

    again = cJSON_ParseWithLength(first.start, first.len);
    fuzz_check(again != NULL);
    fuzz_check(cJSON_Compare(tree, again, 1));
    cJSON_Delete(again);

    fuzz_check(b1c_json_parse(&again, first.start, first.len,
                              &fuzz_unlimited, NULL, &err)
               == B1C_OK);
    fuzz_check(cJSON_Compare(tree, again, 1));

    b1c_json_write_put_tree(&second, again);
    cJSON_Delete(again);

    fuzz_check(first.len == second.len);
    fuzz_check(memcmp(first.start, second.start, first.len) == 0);

    free(first.start);
    free(second.start);
}


#endif /* _FUZZ_H_INCLUDED_ */

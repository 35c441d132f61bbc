
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "fuzz.h"


/* the first byte chooses limits and charset, the rest is a form body */


static void
fuzz_pairs(const b1c_form_t *form, size_t len, const b1c_limits_t *limits)
{
    size_t             i, j, depth;
    const b1c_pair_t  *pair;

    fuzz_check(form->npairs > 0 && form->npairs <= limits->pairs);

    for (i = 0; i < form->npairs; i++) {
        pair = &form->pairs[i];

        fuzz_check(pair->key_len > 0 && pair->key_len <= limits->key);
        fuzz_check(strlen(pair->key) == pair->key_len);
        fuzz_check(strlen(pair->value) == pair->value_len);
        fuzz_check(pair->where < len);
        fuzz_check(i == 0 || pair->where > form->pairs[i - 1].where);
        fuzz_check(b1c_form_find(form, pair->key) <= pair);

        fuzz_text(pair->key, 1);
        fuzz_text(pair->value, 0);

        for (j = 0, depth = 0; j < pair->key_len; j++) {
            depth += (pair->key[j] == '[');
        }

        fuzz_check(depth <= limits->depth);
    }
}


static char *
fuzz_encode(char *p, const char *text, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        p += sprintf(p, "%%%02X", (unsigned char) text[i]);
    }

    return p;
}


/* all encoded, it is the same form in UTF-8 */

static void
fuzz_again(const b1c_form_t *form)
{
    char        *body, *p;
    size_t       i, size;
    b1c_form_t   again;
    b1c_error_t  err;

    for (i = 0, size = 1; i < form->npairs; i++) {
        size += 3 * (form->pairs[i].key_len + form->pairs[i].value_len) + 2;
    }

    body = malloc(size);
    fuzz_check(body != NULL);

    for (i = 0, p = body; i < form->npairs; i++) {
        p = fuzz_encode(p, form->pairs[i].key, form->pairs[i].key_len);
        *p++ = '=';
        p = fuzz_encode(p, form->pairs[i].value, form->pairs[i].value_len);
        *p++ = '&';
    }

    fuzz_check(b1c_form_parse(&again, body, p - body, &fuzz_unlimited, NULL,
                              &err)
               == B1C_OK);
    fuzz_check(again.npairs == form->npairs);

    for (i = 0; i < form->npairs; i++) {
        fuzz_check(strcmp(again.pairs[i].key, form->pairs[i].key) == 0);
        fuzz_check(strcmp(again.pairs[i].value, form->pairs[i].value) == 0);
    }

    b1c_form_free(&again);
    free(body);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON        *tree;
    b1c_rc_t      rc;
    b1c_form_t    form;
    b1c_error_t   err;
    b1c_limits_t  limits;

    if (size == 0) {
        return 0;
    }

    limits = fuzz_limits(data[0]);
    err.what = NULL;

    rc = b1c_form_parse(&form, (const char *) data + 1, size - 1, &limits,
                        fuzz_charset(data[0]), &err);

    if (rc != B1C_OK) {
        fuzz_check(rc == B1C_MALFORMED);
        fuzz_check(err.what != NULL && err.where <= size - 1);
        fuzz_check(form.pairs == NULL && form.text == NULL);
        return 0;
    }

    fuzz_pairs(&form, size - 1, &limits);
    fuzz_again(&form);

    err.what = NULL;

    rc = b1c_tree_build(&form, &tree, &err);

    if (rc == B1C_OK) {
        fuzz_check(fuzz_tree(tree, 1) == form.npairs);
        fuzz_written(tree);
        cJSON_Delete(tree);

    } else {
        fuzz_check(rc == B1C_MALFORMED);
        fuzz_check(err.what != NULL && err.where < size - 1);
    }

    b1c_form_free(&form);

    return 0;
}

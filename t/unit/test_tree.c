
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <time.h>

#include "tap.h"


/* the tree of a form body as JSON, or the reason why there is none */

static char *
tree(const char *body)
{
    char        *text, *printed;
    cJSON       *root;
    b1c_rc_t     rc;
    b1c_form_t   form;
    b1c_error_t  err;

    if (b1c_form_parse(&form, body, strlen(body), &tap_limits, NULL, &err)
        != B1C_OK)
    {
        return tap_join("malformed form: ", err.what);
    }

    rc = b1c_tree_build(&form, &root, &err);
    b1c_form_free(&form);

    if (rc != B1C_OK) {
        return tap_join("malformed: ", err.what);
    }

    printed = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);

    text = tap_join(printed, "");
    cJSON_free(printed);

    return text;
}


static void
test_shapes(void)
{
    char   *text;
    size_t  i;

    static const char  both[] = "malformed: key is both a scalar and a map";
    static const char  twice[] = "malformed: key is repeated";

    static const struct {
        const char  *body;
        const char  *want;
    } cases[] = {
        { "a=1", "{\"a\":\"1\"}" },
        { "a[b]=1", "{\"a\":{\"b\":\"1\"}}" },
        { "a[b][c][d]=1", "{\"a\":{\"b\":{\"c\":{\"d\":\"1\"}}}}" },
        { "a[b]=1&c=2&a[d]=3",
          "{\"a\":{\"b\":\"1\",\"d\":\"3\"},\"c\":\"2\"}" },
        { "b[a]=1&a[a]=2", "{\"b\":{\"a\":\"1\"},\"a\":{\"a\":\"2\"}}" },
        { "a[ab]=1&a[a]=2&a[abc]=3",
          "{\"a\":{\"ab\":\"1\",\"a\":\"2\",\"abc\":\"3\"}}" },
        { "a[B]=1&a[b]=2", "{\"a\":{\"B\":\"1\",\"b\":\"2\"}}" },
        { "a[b c]=%22", "{\"a\":{\"b c\":\"\\\"\"}}" },

        /* lists */
        { "a[0]=x", "{\"a\":[\"x\"]}" },
        { "a[0]=x&a[1]=y", "{\"a\":[\"x\",\"y\"]}" },
        { "a[1]=y&a[0]=x", "{\"a\":[\"x\",\"y\"]}" },
        { "a[0]=0&a[1]=1&a[10]=10&a[2]=2&a[3]=3&a[4]=4&a[5]=5&a[6]=6&a[7]=7"
          "&a[8]=8&a[9]=9",
          "{\"a\":[\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\","
          "\"10\"]}" },
        { "a[0][id]=1&a[1][id]=2", "{\"a\":[{\"id\":\"1\"},{\"id\":\"2\"}]}" },
        { "a[1][0]=y&a[0][0]=x", "{\"a\":[[\"x\"],[\"y\"]]}" },
        { "a[]=x&a[]=y", "{\"a\":[\"x\",\"y\"]}" },
        { "a[][b]=x&a[][b]=y", "{\"a\":[{\"b\":\"x\"},{\"b\":\"y\"}]}" },
        { "a[][]=x&a[][]=y", "{\"a\":[[\"x\"],[\"y\"]]}" },
        { "a[0]=x&a[]=y", "{\"a\":[\"x\",\"y\"]}" },

        /* not lists */
        { "a[1]=x", "{\"a\":{\"1\":\"x\"}}" },
        { "a[0]=x&a[2]=y", "{\"a\":{\"0\":\"x\",\"2\":\"y\"}}" },
        { "a[00]=x", "{\"a\":{\"00\":\"x\"}}" },
        { "a[0]=x&a[01]=y", "{\"a\":{\"0\":\"x\",\"01\":\"y\"}}" },
        { "a[-1]=x", "{\"a\":{\"-1\":\"x\"}}" },
        { "a[+1]=x", "{\"a\":{\" 1\":\"x\"}}" },
        { "a[0]=x&a[n]=y", "{\"a\":{\"0\":\"x\",\"n\":\"y\"}}" },
        { "a[n]=y&a[0]=x", "{\"a\":{\"n\":\"y\",\"0\":\"x\"}}" },
        { "0=x&1=y", "{\"0\":\"x\",\"1\":\"y\"}" },
        { "a[15010][b]=x", "{\"a\":{\"15010\":{\"b\":\"x\"}}}" },
        { "a[5]=x&a[]=y", "{\"a\":{\"5\":\"x\",\"6\":\"y\"}}" },
        { "a[n]=x&a[]=y", "{\"a\":{\"n\":\"x\",\"0\":\"y\"}}" },
        { "a[999999999]=x&a[]=y",
          "{\"a\":{\"999999999\":\"x\",\"1000000000\":\"y\"}}" },
        { "a[99999999999999999999]=x&a[]=y",
          "{\"a\":{\"99999999999999999999\":\"x\",\"0\":\"y\"}}" },

        /* one key, two meanings */
        { "a=1&a=2", twice },
        { "a[b]=1&a[b]=2", twice },
        { "a[b]=1&a[c]=2&a%5Bb%5D=1", twice },
        { "a[]=1&a[0]=2", twice },
        { "a=1&a[b]=2", both },
        { "a[b]=1&a=2", both },
        { "a[]=1&a=2", both },
        { "a=1&a[]=2", both },
        { "a[b]=1&a[b][c]=2", both },
        { "a[b][c]=1&a[b]=2", both },
        { "a[0]=1&a[0][0]=2", both }
    };

    for (i = 0; i < countof(cases); i++) {
        text = tree(cases[i].body);
        is(text, cases[i].want, cases[i].body);
        free(text);
    }
}


static void
test_place(void)
{
    cJSON       *root;
    b1c_form_t   form;
    b1c_error_t  err;

    static const char  body[] = "x=1&a[b]=2&y=3&a[b]=4&z=5";

    b1c_form_parse(&form, body, strlen(body), &tap_limits, NULL, &err);

    num(b1c_tree_build(&form, &root, &err), B1C_MALFORMED, "repeated");
    num(err.where, 15, "the second of them is named");

    b1c_form_free(&form);
}


/* cJSON goes on with a sorted list as with one of its own */

static void
test_links(void)
{
    char        *text;
    cJSON       *root;
    b1c_form_t   form;
    b1c_error_t  err;

    static const char  body[] = "a[2]=z&a[0]=x&a[1]=y";

    b1c_form_parse(&form, body, strlen(body), &tap_limits, NULL, &err);
    b1c_tree_build(&form, &root, &err);
    b1c_form_free(&form);

    cJSON_AddItemToArray(root->child, cJSON_CreateString("w"));
    cJSON_DeleteItemFromArray(root->child, 0);
    cJSON_AddItemToArray(root->child, cJSON_CreateString("v"));

    text = cJSON_PrintUnformatted(root);
    is(text, "{\"a\":[\"y\",\"z\",\"w\",\"v\"]}", "a list is changed");

    cJSON_free(text);
    cJSON_Delete(root);
}


/*
 * An operator may allow 100,000 pairs.  If finding a key took time with the
 * number of its siblings, this would take minutes.
 */

static void
test_wide(const char *before, const char *after, const char *name)
{
    char         *body, *p;
    cJSON        *root;
    clock_t       begun;
    unsigned      i;
    b1c_form_t    form;
    b1c_error_t   err;
    b1c_limits_t  limits = { 100000, 8, 256 };

    body = malloc(100000 * 32);
    if (body == NULL) {
        abort();
    }

    p = body;

    for (i = 0; i < 100000; i++) {
        p += sprintf(p, "&a[%s%u]%s=1", before, i * 7919 % 100000, after);
    }

    begun = clock();

    num(b1c_form_parse(&form, body, p - body, &limits, NULL, &err), B1C_OK,
        name);
    num(b1c_tree_build(&form, &root, &err), B1C_OK, "as a tree");

    ok(clock() - begun < 5 * CLOCKS_PER_SEC, "in less than 5 seconds");

    num(cJSON_GetArraySize(root->child), 100000, "with all its members");

    b1c_form_free(&form);
    cJSON_Delete(root);
    free(body);
}


int
main(void)
{
    test_shapes();
    test_place();
    test_links();
    test_wide("k", "", "100000 siblings");
    test_wide("", "[b]", "a list of 100000 in any order");

    return tap_done();
}

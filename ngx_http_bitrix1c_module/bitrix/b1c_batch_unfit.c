
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <string.h>
#include <strings.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


/* levels of parameters; their names are joined in one buffer */
#define B1C_BATCH_UNFIT_DEPTH   16

/* PHP's max_input_vars is 1000, and it drops what comes after them */
#define B1C_BATCH_UNFIT_VALUES  999


static const char *b1c_batch_unfit_method(const char *method);
static const char *b1c_batch_unfit_top(const char *name);
static const char *b1c_batch_unfit_name(const char *name);
static const char *b1c_batch_unfit_level(const cJSON *node, size_t depth,
    size_t *values);
static const char *b1c_batch_unfit_text(const char *text);


const char *
b1c_batch_unfit(const char *method, const cJSON *params)
{
    size_t        values;
    const char   *what;
    const cJSON  *child;

    what = b1c_batch_unfit_method(method);

    if (what != NULL) {
        return what;
    }

    if (params != NULL && !cJSON_IsObject(params)) {
        return "parameters are an object";
    }

    values = 0;

    /* a call without any is as good without them */

    cJSON_ArrayForEach(child, params) {

        what = b1c_batch_unfit_top(child->string);

        if (what == NULL) {
            what = b1c_batch_unfit_level(child, 1, &values);
        }

        if (what != NULL) {
            return what;
        }
    }

    return NULL;
}


/* a file as the answer of a command would destroy the answer of the batch */
static const char *
b1c_batch_unfit_method(const char *method)
{
    size_t       i;
    const char  *verb;

    static const char *const  verbs[] = {
        "batch", "download", "upload", "getfile", "getpdf", "getimage",
        "showpdf"
    };

    verb = strrchr(method, '.');
    verb = verb != NULL ? verb + 1 : method;

    for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcasecmp(verb, verbs[i]) == 0) {
            return "the method cannot travel in a batch";
        }
    }

    return NULL;
}


static const char *
b1c_batch_unfit_top(const char *name)
{
    /* Bitrix verifies the signature of a token in its own way */

    if (strcmp(name, "token") == 0) {
        return "a token cannot travel in a batch";
    }

    /* the first makes another name of these, and numbers are counted anew */

    if (strpbrk(name, ". ") != NULL
        || name[strspn(name, "-0123456789")] == '\0')
    {
        return "a parameter of this name cannot travel in a batch";
    }

    return b1c_batch_unfit_name(name);
}


/* what PHP reads in a query string is not always what was written */
static const char *
b1c_batch_unfit_name(const char *name)
{
    if (name[0] == '\0') {
        return "a parameter without a name cannot travel in a batch";
    }

    if (strpbrk(name, "[]$") != NULL || strchr(" \t\r\n\v\f", name[0])) {
        return "a parameter of this name cannot travel in a batch";
    }

    return NULL;
}


static const char *
b1c_batch_unfit_level(const cJSON *node, size_t depth, size_t *values)
{
    const char   *what;
    const cJSON  *child;

    if (cJSON_IsNull(node)) {
        return "a null cannot travel in a batch";
    }

    if (!cJSON_IsObject(node) && !cJSON_IsArray(node)) {

        if (++*values > B1C_BATCH_UNFIT_VALUES) {
            return "so many values cannot travel in a batch";
        }

        return cJSON_IsString(node) ? b1c_batch_unfit_text(node->valuestring)
                                    : NULL;
    }

    if (node->child == NULL) {
        return "an empty list cannot travel in a batch";
    }

    if (depth == B1C_BATCH_UNFIT_DEPTH) {
        return "so many levels cannot travel in a batch";
    }

    cJSON_ArrayForEach(child, node) {

        what = child->string != NULL ? b1c_batch_unfit_name(child->string)
                                     : NULL;

        if (what == NULL) {
            what = b1c_batch_unfit_level(child, depth + 1, values);
        }

        if (what != NULL) {
            return what;
        }
    }

    return NULL;
}


/*
 * Bitrix replaces "$", one of these, anything but a space and a key in
 * brackets by what an earlier command of the batch has answered.  Without the
 * brackets it does not, but nobody needs to rely on that.
 */
static const char *
b1c_batch_unfit_text(const char *text)
{
    size_t  i;

    static const char *const  maps[] = {
        "result", "next", "total", "time", "error", "signature"
    };

    for (text = strchr(text, '$'); text != NULL; text = strchr(text, '$')) {

        text++;

        for (i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
            if (strncasecmp(text, maps[i], strlen(maps[i])) == 0) {
                return "a value that refers to another command cannot travel "
                       "in a batch";
            }
        }
    }

    return NULL;
}

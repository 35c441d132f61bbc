
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


static const char *b1c_event_data_text(const cJSON *node, char *buf,
    size_t size);
static size_t b1c_event_data_prefix(const cJSON *parent, const cJSON *child,
    size_t index, const char *name, size_t len);
static size_t b1c_event_data_index(size_t index, const char *name, size_t len);


/*
 * Keys may contain underscores, so all children are tried whose key is a
 * prefix of the name; the first scalar in the order of the body is taken.
 * Each node has one path, so no node is visited twice.
 */

const char *
b1c_event_data(const cJSON *data, const char *name, size_t len, char *buf,
    size_t size)
{
    size_t        n, index;
    const char   *text;
    const cJSON  *child;

    index = 0;

    for (child = data->child; child != NULL; child = child->next) {

        n = b1c_event_data_prefix(data, child, index++, name, len);

        if (n == 0) {
            continue;
        }

        /* bitrix1c_event_token passes it to 1C, but logs must not get it */

        if (child->string != NULL
            && strcasecmp(child->string, "event_token") == 0)
        {
            continue;
        }

        if (n == len) {
            text = b1c_event_data_text(child, buf, size);

        } else {
            text = b1c_event_data(child, name + n + 1, len - n - 1, buf, size);
        }

        if (text != NULL) {
            return text;
        }
    }

    return NULL;
}


static const char *
b1c_event_data_text(const cJSON *node, char *buf, size_t size)
{
    char         number[32];
    size_t       len;
    const char  *text;

    if (cJSON_IsString(node)) {
        return node->valuestring;
    }

    if (cJSON_IsBool(node)) {
        return cJSON_IsTrue(node) ? "true" : "false";
    }

    if (!cJSON_IsNumber(node)) {
        return NULL;
    }

    text = b1c_json_write_number(node, number);
    len = strlen(text);

    if (len >= size) {
        return NULL;
    }

    return memcpy(buf, text, len + 1);
}


/* bytes of the name that match the child's key or index; 0 if none */

static size_t
b1c_event_data_prefix(const cJSON *parent, const cJSON *child, size_t index,
    const char *name, size_t len)
{
    size_t  n;

    if (cJSON_IsArray(parent)) {
        n = b1c_event_data_index(index, name, len);

    } else {
        n = strlen(child->string);

        if (n > len || strncasecmp(child->string, name, n) != 0) {
            return 0;
        }
    }

    return (n == len || name[n] == '_') ? n : 0;
}


static size_t
b1c_event_data_index(size_t index, const char *name, size_t len)
{
    size_t  n, value;

    value = 0;

    for (n = 0; n < len && name[n] >= '0' && name[n] <= '9'; n++) {

        if (n > 8 || (n > 0 && value == 0)) {
            return 0;
        }

        value = value * 10 + (name[n] - '0');
    }

    return (n > 0 && value == index) ? n : 0;
}

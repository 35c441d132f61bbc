
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <string.h>
#include <strings.h>

#include "bitrix_event.h"
#include "bitrix_json.h"


static int bitrix_mask_lower(char ch);
static const char *bitrix_data_text(const cJSON *node, char *buf, size_t size);
static size_t bitrix_data_prefix(const cJSON *parent, const cJSON *child,
    size_t index, const char *name, size_t len);
static size_t bitrix_data_index(size_t index, const char *name, size_t len);


/*
 * When the rest does not match, only the last '*' can still take another
 * character: what stood before it has found its leftmost place.
 */

int
bitrix_mask_match(const char *mask, size_t mask_len, const char *name,
    size_t len)
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
                   && bitrix_mask_lower(mask[m]) == bitrix_mask_lower(name[n]))
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
bitrix_mask_lower(char ch)
{
    return (ch >= 'A' && ch <= 'Z') ? ch | 0x20 : ch;
}


/*
 * Keys have underscores of their own, so that all children are tried whose key
 * the name begins with; the first scalar in the order of the body is taken.
 * Each node has one path, so that no node is seen twice.
 */

const char *
bitrix_event_data(const cJSON *data, const char *name, size_t len, char *buf,
    size_t size)
{
    size_t        n, index;
    const char   *text;
    const cJSON  *child;

    index = 0;

    for (child = data->child; child != NULL; child = child->next) {

        n = bitrix_data_prefix(data, child, index++, name, len);

        if (n == 0) {
            continue;
        }

        if (n == len) {
            text = bitrix_data_text(child, buf, size);

        } else {
            text = bitrix_event_data(child, name + n + 1, len - n - 1, buf,
                                     size);
        }

        if (text != NULL) {
            return text;
        }
    }

    return NULL;
}


static const char *
bitrix_data_text(const cJSON *node, char *buf, size_t size)
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

    text = bitrix_json_number(node, number);
    len = strlen(text);

    if (len >= size) {
        return NULL;
    }

    return memcpy(buf, text, len + 1);
}


/* bytes of the name that the child's key or index takes; 0 if it does not */

static size_t
bitrix_data_prefix(const cJSON *parent, const cJSON *child, size_t index,
    const char *name, size_t len)
{
    size_t  n;

    if (cJSON_IsArray(parent)) {
        n = bitrix_data_index(index, name, len);

    } else {
        n = strlen(child->string);

        if (n > len || strncasecmp(child->string, name, n) != 0) {
            return 0;
        }
    }

    return (n == len || name[n] == '_') ? n : 0;
}


static size_t
bitrix_data_index(size_t index, const char *name, size_t len)
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

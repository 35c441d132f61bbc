
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdlib.h>
#include <string.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"
#include "b1c_events.h"


static const b1c_known_t *b1c_known_search(const char *event, size_t len);
static int b1c_known_join(const char *path, size_t len, const cJSON *data,
    char *id);
static const cJSON *b1c_known_at(const char *path, size_t len,
    const cJSON *data);


const b1c_known_t *
b1c_known_find(const char *event)
{
    size_t              len;
    const b1c_known_t  *known;

    len = strlen(event);
    known = b1c_known_search(event, len);

    if (known == NULL) {
        known = b1c_known_search(event, len - b1c_entity_suffix(event, len));
    }

    return known;
}


static const b1c_known_t *
b1c_known_search(const char *event, size_t len)
{
    int                 rc;
    size_t              low, high, middle;
    const b1c_known_t  *known;

    low = 0;
    high = sizeof(b1c_known_events) / sizeof(b1c_known_events[0]);

    while (low < high) {
        middle = low + (high - low) / 2;
        known = &b1c_known_events[middle];

        rc = strncmp(event, known->event, len);

        if (rc == 0 && known->event[len] == '\0') {
            return known;
        }

        if (rc > 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return NULL;
}


const char *
b1c_known_id(const b1c_known_t *known, const cJSON *data,
    char id[B1C_ENTITY_MAX + 1])
{
    size_t       len;
    const char  *path;

    for (path = known->id; path != NULL; path += len + 1) {
        len = strcspn(path, "|");

        /* if the value is "0", the id is in the next place */

        if (b1c_known_join(path, len, data, id)
            && (path[len] == '\0' || strcmp(id, "0") != 0))
        {
            return id;
        }

        if (path[len] == '\0') {
            break;
        }
    }

    return NULL;
}


/* joins the parts of a compound id by commas; 0: a part is missing */
static int
b1c_known_join(const char *path, size_t len, const cJSON *data, char *id)
{
    char          *p;
    size_t         n, text_len;
    const char    *plus, *text, *end;
    b1c_number_t   number;

    p = id;
    end = path + len;

    for ( ;; ) {
        plus = memchr(path, '+', end - path);
        n = plus ? (size_t) (plus - path) : (size_t) (end - path);

        text = b1c_entity_scalar(b1c_known_at(path, n, data), number);
        if (text == NULL) {
            return 0;
        }

        text_len = strlen(text);

        if (text_len + 1 > (size_t) (id + B1C_ENTITY_MAX + 1 - p)) {
            return 0;
        }

        memcpy(p, text, text_len + 1);
        p += text_len;

        if (plus == NULL) {
            return 1;
        }

        if (p == id + B1C_ENTITY_MAX) {
            return 0;
        }

        *p++ = ',';
        path = plus + 1;
    }
}


static const cJSON *
b1c_known_at(const char *path, size_t len, const cJSON *data)
{
    char        part[B1C_EVENT_MAX];
    size_t       n;
    const char  *dot;

    if (len == 1 && path[0] == '.') {
        return data;
    }

    while (data != NULL && len > 0) {
        dot = memchr(path, '.', len);
        n = dot ? (size_t) (dot - path) : len;

        if (n >= sizeof(part)) {
            return NULL;
        }

        memcpy(part, path, n);
        part[n] = '\0';

        if (cJSON_IsArray(data)) {
            data = (strspn(part, "0123456789") == n)
                   ? cJSON_GetArrayItem(data, atoi(part)) : NULL;

        } else if (cJSON_IsObject(data)) {
            data = cJSON_GetObjectItemCaseSensitive(data, part);

        } else {
            return NULL;
        }

        n += (dot != NULL);
        path += n;
        len -= n;
    }

    return data;
}

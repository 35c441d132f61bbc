
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "b1c_core.h"


/* enough for the JSON of an ordinary event */
#define B1C_BUF_SIZE  1024


static char *b1c_json_write_room(b1c_buf_t *buf, size_t len);
static char *b1c_json_write_escaped(char *dst, unsigned char ch);


void
b1c_json_write_put(b1c_buf_t *buf, const char *text, size_t len)
{
    char  *dst;

    dst = b1c_json_write_room(buf, len);
    if (dst == NULL) {
        return;
    }

    memcpy(dst, text, len);
    buf->len += len;
}


void
b1c_json_write_put_string(b1c_buf_t *buf, const char *text)
{
    char                 *dst;
    size_t                len, escapes;
    const unsigned char  *p;

    escapes = 0;

    for (p = (const unsigned char *) text; *p; p++) {
        if (*p < 0x20 || *p == '"' || *p == '\\') {
            escapes++;
        }
    }

    len = p - (const unsigned char *) text;

    /* the longest escape is \u0001 */

    dst = b1c_json_write_room(buf, len + 5 * escapes + 2);
    if (dst == NULL) {
        return;
    }

    *dst++ = '"';

    if (escapes == 0) {
        memcpy(dst, text, len);
        dst += len;

    } else {
        for (p = (const unsigned char *) text; *p; p++) {
            dst = b1c_json_write_escaped(dst, *p);
        }
    }

    *dst++ = '"';

    buf->len = dst - buf->start;
}


static char *
b1c_json_write_escaped(char *dst, unsigned char ch)
{
    static const char  hex[] = "0123456789abcdef";

    if (ch >= 0x20) {

        if (ch == '"' || ch == '\\') {
            *dst++ = '\\';
        }

        *dst++ = (char) ch;

        return dst;
    }

    *dst++ = '\\';

    switch (ch) {

    case '\t':
        *dst++ = 't';
        break;

    case '\n':
        *dst++ = 'n';
        break;

    case '\r':
        *dst++ = 'r';
        break;

    default:
        memcpy(dst, "u00", 3);
        dst += 3;
        *dst++ = hex[ch >> 4];
        *dst++ = hex[ch & 0xf];
    }

    return dst;
}


void
b1c_json_write_put_int(b1c_buf_t *buf, long long value)
{
    int   n;
    char  text[32];

    n = snprintf(text, sizeof(text), "%lld", value);

    b1c_json_write_put(buf, text, n);
}


void
b1c_json_write_put_tree(b1c_buf_t *buf, const cJSON *node)
{
    int           object;
    char          number[32];
    const char   *text;
    const cJSON  *child;

    if (cJSON_IsString(node)) {
        b1c_json_write_put_string(buf, node->valuestring);
        return;
    }

    if (!cJSON_IsObject(node) && !cJSON_IsArray(node)) {
        text = cJSON_IsNumber(node) ? b1c_json_write_number(node, number)
               : cJSON_IsTrue(node) ? "true"
               : cJSON_IsFalse(node) ? "false" : "null";

        b1c_json_write_put(buf, text, strlen(text));
        return;
    }

    object = cJSON_IsObject(node);

    b1c_json_write_put(buf, object ? "{" : "[", 1);

    for (child = node->child; child != NULL; child = child->next) {

        if (object) {
            b1c_json_write_put_string(buf, child->string);
            b1c_json_write_put(buf, ":", 1);
        }

        b1c_json_write_put_tree(buf, child);

        if (child->next != NULL) {
            b1c_json_write_put(buf, ",", 1);
        }
    }

    b1c_json_write_put(buf, object ? "}" : "]", 1);
}


const char *
b1c_json_write_number(const cJSON *node, char buf[32])
{
    double  value;

    value = node->valuedouble;

    if (value > -1e15 && value < 1e15 && value == (double) (long long) value) {
        snprintf(buf, 32, "%lld", (long long) value);
        return buf;
    }

    /* cJSON puts a point where the locale has a comma */

    return cJSON_PrintPreallocated((cJSON *) node, buf, 32, 0) ? buf : "null";
}


/* one byte more than asked for, so that the text can be terminated */

static char *
b1c_json_write_room(b1c_buf_t *buf, size_t len)
{
    char   *grown;
    size_t  size;

    if (buf->failed) {
        return NULL;
    }

    if (buf->size - buf->len <= len) {
        size = 2 * buf->size + len + 1;

        if (size < B1C_BUF_SIZE) {
            size = B1C_BUF_SIZE;
        }

        grown = realloc(buf->start, size);
        if (grown == NULL) {
            buf->failed = 1;
            return NULL;
        }

        buf->start = grown;
        buf->size = size;
    }

    return buf->start + buf->len;
}

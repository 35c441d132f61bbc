
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdlib.h>
#include <string.h>

#include "b1c_core.h"


/*
 * The query string as PHP reads it.  Robots put texts of customers into it
 * without encoding them, and nobody would send a refused request again.
 * Therefore a '%' may stand for itself, the last of equal names counts, and text
 * that is not valid UTF-8 is read as windows-1251.
 */


static b1c_rc_t b1c_query_pair(cJSON *root, const b1c_query_t *query,
    const char *p, const char *end, b1c_error_t *err);
static char *b1c_query_decode(const char *p, const char *end, int name);
static b1c_rc_t b1c_query_utf8(char **text, const char *charset);
static b1c_rc_t b1c_query_windows(char **text);
static int b1c_query_valid(const char *text, size_t len);
static char *b1c_query_name(char *name);
static b1c_rc_t b1c_query_set(cJSON *node, char *name, const char *value,
    size_t depth, b1c_error_t *err);
static b1c_rc_t b1c_query_leaf(cJSON *node, const char *name,
    const char *value);
static cJSON *b1c_query_map(cJSON *node, const char *name);
static b1c_rc_t b1c_query_put(cJSON *node, const char *name, cJSON *item);


b1c_rc_t
b1c_query_parse(cJSON **tree, const b1c_query_t *query, b1c_error_t *err)
{
    cJSON       *root, *child;
    size_t       n;
    b1c_rc_t     rc;
    const char  *p, *end, *amp;

    root = cJSON_CreateObject();
    if (root == NULL) {
        return B1C_NOMEM;
    }

    n = 0;
    rc = B1C_OK;
    end = query->text + query->len;

    for (p = query->text; rc == B1C_OK && p < end; p = amp + 1) {

        amp = memchr(p, '&', end - p);
        if (amp == NULL) {
            amp = end;
        }

        if (amp == p) {
            continue;
        }

        if (n++ == query->limits.pairs) {
            rc = b1c_text_malformed(err, "too many pairs in the query string"
                                    " (bitrix1c_limits pairs=)",
                                    p - query->text);
            break;
        }

        rc = b1c_query_pair(root, query, p, amp, err);
    }

    for (child = root->child; child != NULL; child = child->next) {
        if (rc == B1C_OK) {
            rc = b1c_tree_lists(child, 0);
        }
    }

    if (rc != B1C_OK) {
        cJSON_Delete(root);
        return rc;
    }

    *tree = root;

    return B1C_OK;
}


static b1c_rc_t
b1c_query_pair(cJSON *root, const b1c_query_t *query, const char *p,
    const char *end, b1c_error_t *err)
{
    char        *name, *value;
    b1c_rc_t     rc;
    const char  *equal;

    equal = memchr(p, '=', end - p);
    if (equal == NULL) {
        equal = end;
    }

    name = b1c_query_decode(p, equal, 1);
    value = b1c_query_decode(equal < end ? equal + 1 : end, end, 0);

    rc = (name && value) ? b1c_query_utf8(&name, query->charset) : B1C_NOMEM;

    if (rc == B1C_OK) {
        rc = b1c_query_utf8(&value, query->charset);
    }

    if (rc == B1C_OK
        && (query->secret == NULL || strcmp(name, query->secret) != 0))
    {
        rc = b1c_query_set(root, b1c_query_name(name), value,
                           query->limits.depth, err);

        if (rc == B1C_MALFORMED) {
            err->where = p - query->text;
        }
    }

    free(name);
    free(value);

    return rc;
}


/* PHP lets a name end at a NUL byte */
static char *
b1c_query_decode(const char *p, const char *end, int name)
{
    int    code;
    char   ch, *text, *out;

    text = malloc(end - p + 1);
    if (text == NULL) {
        return NULL;
    }

    for (out = text; p < end; p++) {

        ch = *p;

        if (ch == '+') {
            ch = ' ';

        } else if (ch == '%') {
            code = b1c_text_hex2(p + 1, end);

            if (code >= 0) {
                ch = (char) code;
                p += 2;
            }
        }

        if (ch == '\0' && name) {
            break;
        }

        if (ch != '\0') {
            *out++ = ch;
        }
    }

    *out = '\0';

    return text;
}


static b1c_rc_t
b1c_query_utf8(char **text, const char *charset)
{
    char         *out;
    size_t        len;
    b1c_rc_t      rc;
    b1c_error_t   ignored;

    len = strlen(*text);
    rc = B1C_MALFORMED;

    if (charset != NULL) {
        rc = b1c_text_convert(charset, *text, len, &out, &len, &ignored);

        if (rc == B1C_OK) {
            free(*text);
            *text = realloc(out, len + 1);

            if (*text == NULL) {
                free(out);
                return B1C_NOMEM;
            }

            (*text)[len] = '\0';
            len = strlen(*text);
        }
    }

    if (rc == B1C_NOMEM) {
        return rc;
    }

    if (!b1c_query_valid(*text, len)) {
        rc = b1c_query_windows(text);

        if (rc == B1C_NOMEM) {
            return rc;
        }

        len = strlen(*text);
    }

    (void) b1c_text_value(*text, &len);

    return B1C_OK;
}


/* 0x98 is the only byte that is not defined in windows-1251 */
static b1c_rc_t
b1c_query_windows(char **text)
{
    char         *p, *out;
    size_t        len;
    b1c_rc_t      rc;
    b1c_error_t   ignored;

    for (p = *text; *p != '\0'; p++) {
        if ((unsigned char) *p == 0x98) {
            *p = '?';
        }
    }

    rc = b1c_text_convert("CP1251", *text, p - *text, &out, &len, &ignored);

    if (rc == B1C_NOMEM) {
        return rc;
    }

    if (rc == B1C_MALFORMED) {

        /* iconv of this system lacks the charset */

        for (p = *text; *p != '\0'; p++) {
            if ((unsigned char) *p >= 0x80) {
                *p = '?';
            }
        }

        return B1C_OK;
    }

    free(*text);
    *text = realloc(out, len + 1);

    if (*text == NULL) {
        free(out);
        return B1C_NOMEM;
    }

    (*text)[len] = '\0';

    return B1C_OK;
}


static int
b1c_query_valid(const char *text, size_t len)
{
    size_t                n;
    const unsigned char  *p, *end;

    p = (const unsigned char *) text;
    end = p + len;

    for ( /* void */ ; p < end; p += n) {
        n = b1c_text_char(p, end - p);

        if (n == 0) {
            return 0;
        }
    }

    return 1;
}


/*
 * As in PHP, spaces at the beginning are dropped, and dots and spaces before the
 * first bracket become '_', as does a bracket that is not closed.
 */
static char *
b1c_query_name(char *name)
{
    char  *p, *out;

    /* a name in JSON has no line break, see b1c_text_key() */

    for (p = name, out = name; *p != '\0'; p++) {
        if ((unsigned char) *p >= 0x20) {
            *out++ = *p;
        }
    }

    *out = '\0';

    while (*name == ' ') {
        name++;
    }

    for (p = name; *p != '\0' && *p != '['; p++) {
        if (*p == ' ' || *p == '.') {
            *p = '_';
        }
    }

    if (p > name && *p == '[' && strchr(p, ']') == NULL) {

        for ( /* void */ ; *p != '\0'; p++) {
            if (*p == ' ' || *p == '.' || *p == '[') {
                *p = '_';
            }
        }
    }

    return name;
}


/* name[part][part]; text behind the last bracket is ignored, as in PHP */
static b1c_rc_t
b1c_query_set(cJSON *node, char *name, const char *value, size_t depth,
    b1c_error_t *err)
{
    char  *part, *p;

    part = name;
    p = name + strcspn(name, "[");

    if (p == name) {
        return B1C_OK;
    }

    while (*p == '[' && strchr(p, ']') != NULL) {

        if (depth-- == 0) {
            return b1c_text_malformed(err, "too many brackets in the query"
                                      " string (bitrix1c_limits depth=)", 0);
        }

        *p++ = '\0';

        node = b1c_query_map(node, part);
        if (node == NULL) {
            return B1C_NOMEM;
        }

        part = p;
        p += strcspn(p, "]");
        *p++ = '\0';
    }

    return b1c_query_leaf(node, part, value);
}


static b1c_rc_t
b1c_query_leaf(cJSON *node, const char *name, const char *value)
{
    char    buf[16];
    cJSON  *item;

    item = cJSON_CreateString(value);
    if (item == NULL) {
        return B1C_NOMEM;
    }

    return b1c_query_put(node, b1c_tree_part(node, name, buf), item);
}


static cJSON *
b1c_query_map(cJSON *node, const char *name)
{
    char    buf[16];
    cJSON  *item;

    name = b1c_tree_part(node, name, buf);
    item = cJSON_GetObjectItemCaseSensitive(node, name);

    if (cJSON_IsObject(item)) {
        return item;
    }

    item = cJSON_CreateObject();

    if (item == NULL || b1c_query_put(node, name, item) != B1C_OK) {
        return NULL;
    }

    return item;
}


/* takes ownership of the item, which replaces another one of this name */
static b1c_rc_t
b1c_query_put(cJSON *node, const char *name, cJSON *item)
{
    cJSON_DeleteItemFromObjectCaseSensitive(node, name);

    if (!cJSON_AddItemToObject(node, name, item)) {
        cJSON_Delete(item);
        return B1C_NOMEM;
    }

    return B1C_OK;
}

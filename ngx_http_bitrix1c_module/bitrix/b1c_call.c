
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


/* longer than any name that means something */
#define B1C_CALL_NAME  16


static b1c_rc_t b1c_call_body(cJSON **params, const b1c_form_t *form,
    const cJSON *json, b1c_error_t *err);
static b1c_rc_t b1c_call_args(cJSON *params, const b1c_form_t *form,
    b1c_error_t *err);
static void b1c_call_commands(cJSON *params);
static size_t b1c_call_name(char name[B1C_CALL_NAME], const char *p,
    const char *last);
static const char *b1c_call_number(const char *text, b1c_number_t number);
static void b1c_call_item(const char *kind, char *buf);
static const cJSON *b1c_call_path(const cJSON *node, const char *name,
    size_t len);
static int b1c_call_plain(const char *text, size_t len);
static int b1c_call_escape(const char *p, const char *last);
static char *b1c_call_copy(const char *text, size_t len);


b1c_rc_t
b1c_call_build(b1c_event_t *ev, const char *method, size_t len,
    const char *portal, size_t portal_len, const b1c_form_t *args,
    const b1c_form_t *form, const cJSON *json, b1c_error_t *err)
{
    char          type[B1C_EVENT_MAX + B1C_ENTITY_MAX];
    b1c_rc_t      rc;
    const char   *id;
    b1c_number_t  number;

    memset(ev, 0, sizeof(b1c_event_t));

    rc = b1c_call_body(&ev->data, form, json, err);

    if (rc == B1C_OK && args != NULL && args->npairs) {
        rc = b1c_call_args(ev->data, args, err);
    }

    if (rc != B1C_OK) {
        b1c_event_free(ev);
        return rc;
    }

    cJSON_DeleteItemFromObjectCaseSensitive(ev->data, "auth");

    if (len == 5 && strncasecmp(method, "batch", 5) == 0) {
        b1c_call_commands(ev->data);
    }

    b1c_call_type(method, len, ev->data, type);
    id = b1c_call_field(ev->data, "id", 2, number);

    if (id == NULL) {
        id = b1c_call_field(ev->data, "ID", 2, number);
    }

    ev->event = b1c_call_copy(method, len);
    ev->domain = b1c_call_copy(portal, portal_len);
    ev->member_id = b1c_call_copy("", 0);
    ev->type = b1c_call_copy(type, strlen(type));
    ev->id = id ? b1c_call_copy(id, strlen(id)) : NULL;

    if (ev->event == NULL || ev->domain == NULL || ev->member_id == NULL
        || ev->type == NULL || (id && ev->id == NULL))
    {
        b1c_event_free(ev);
        return B1C_NOMEM;
    }

    return B1C_OK;
}


static b1c_rc_t
b1c_call_body(cJSON **params, const b1c_form_t *form, const cJSON *json,
    b1c_error_t *err)
{
    if (form != NULL && form->npairs) {
        return b1c_tree_build(form, params, err);
    }

    *params = json ? cJSON_Duplicate(json, 1) : cJSON_CreateObject();

    return *params ? B1C_OK : B1C_NOMEM;
}


static b1c_rc_t
b1c_call_args(cJSON *params, const b1c_form_t *form, b1c_error_t *err)
{
    cJSON    *args, *item;
    b1c_rc_t  rc;

    rc = b1c_tree_build(form, &args, err);

    if (rc != B1C_OK) {
        return rc;
    }

    while (args->child) {
        item = cJSON_DetachItemViaPointer(args, args->child);

        if (cJSON_GetObjectItemCaseSensitive(params, item->string)
            || !cJSON_AddItemToObject(params, item->string, item))
        {
            cJSON_Delete(item);
        }
    }

    cJSON_Delete(args);

    return B1C_OK;
}


/* each command has its own parameters, and Bitrix accepts "auth" there */
static void
b1c_call_commands(cJSON *params)
{
    cJSON  *cmd, *command;

    cJSON_ArrayForEach(cmd, params) {

        if (cmd->string == NULL || strcasecmp(cmd->string, "cmd") != 0) {
            continue;
        }

        cJSON_ArrayForEach(command, cmd) {
            if (cJSON_IsString(command)) {
                (void) b1c_call_strip(command->valuestring);
            }
        }
    }
}


int
b1c_call_strip(char *command)
{
    char        *p, *query, *to, name[B1C_CALL_NAME];
    size_t       len;
    b1c_door_t   door;

    memset(&door, 0, sizeof(b1c_door_t));

    query = strchr(command, '?');
    if (query == NULL) {
        return 0;
    }

    to = ++query;

    for (p = query; *p != '\0'; p += len + (p[len] != '\0')) {
        len = strcspn(p, "&");

        switch (b1c_door_name(&door, name,
                              b1c_call_name(name, p, p + len)))
        {
        case B1C_DOOR_REFUSED:
            return 1;

        case B1C_DOOR_DROPPED:
            continue;

        default:
            break;
        }

        if (to != query) {
            *to++ = '&';
        }

        memmove(to, p, len);
        to += len;
    }

    *to = '\0';

    return 0;
}


/* the beginning of a pair's name, as PHP reads it: decoded, spaces cut off */
static size_t
b1c_call_name(char name[B1C_CALL_NAME], const char *p, const char *last)
{
    int     ch, code;
    size_t  n;

    for (n = 0; p < last && *p != '=' && n < B1C_CALL_NAME; p++) {
        ch = (unsigned char) *p;

        if (ch == '%') {
            code = b1c_text_hex2(p + 1, last);

            if (code >= 0) {
                ch = code;
                p += 2;
            }
        }

        if (n == 0 && (ch == ' ' || ch == '+')) {
            continue;
        }

        if (ch == '[' || ch == '=' || ch == '\0') {
            break;
        }

        name[n++] = (ch == '.' || ch == ' ' || ch == '+') ? '_' : (char) ch;
    }

    return n;
}


void
b1c_call_type(const char *method, size_t len, const cJSON *params,
    char buf[B1C_EVENT_MAX + B1C_ENTITY_MAX])
{
    size_t        i, n;
    const char   *kind;
    b1c_number_t  number;

    static const char  item[] = "crm.item.";

    buf[0] = '\0';

    if (len > sizeof(item) - 1
        && strncasecmp(method, item, sizeof(item) - 1) == 0)
    {
        kind = b1c_call_field(params, "entityTypeId", 12, number);

        if (kind) {
            b1c_call_item(kind, buf);
            return;
        }
    }

    while (len && method[len - 1] != '.') {
        len--;
    }

    for (i = 0, n = 0; i < len && n < B1C_EVENT_MAX - 1; i++) {
        if (method[i] != '.' && method[i] != '_') {
            buf[n++] = (char) toupper((unsigned char) method[i]);
        }
    }

    buf[n] = '\0';
}


/* for these types Bitrix24 sends events with names of their own */
static void
b1c_call_item(const char *kind, char *buf)
{
    size_t  i;

    static const struct {
        const char  *kind;
        const char  *type;
    } types[] = {
        { "1", "CRMLEAD" },
        { "2", "CRMDEAL" },
        { "3", "CRMCONTACT" },
        { "4", "CRMCOMPANY" },
        { "7", "CRMQUOTE" }
    };

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(kind, types[i].kind) == 0) {
            strcpy(buf, types[i].type);
            return;
        }
    }

    strcpy(buf, "CRMDYNAMICITEM_");
    strcat(buf, kind);
}


const char *
b1c_call_field(const cJSON *params, const char *name, size_t len,
    b1c_number_t number)
{
    const char   *text;
    const cJSON  *fields;

    text = b1c_entity_scalar(b1c_call_path(params, name, len), number);

    if (text == NULL) {
        fields = cJSON_GetObjectItemCaseSensitive(params, "fields");

        text = b1c_entity_scalar(b1c_call_path(fields, name, len), number);
    }

    return text ? b1c_call_number(text, number) : NULL;
}


/* " 300" and "0300" are 300 to Bitrix; the text itself if it is no number */
static const char *
b1c_call_number(const char *text, b1c_number_t number)
{
    size_t       n;
    const char  *p, *end;

    p = text + strspn(text, " ");
    p += (*p == '+');

    n = strspn(p, "0123456789");
    end = p + n;

    if (n == 0 || end[strspn(end, " ")] != '\0') {
        return text;
    }

    while (*p == '0' && p + 1 < end) {
        p++;
    }

    n = end - p;

    if (n >= sizeof(b1c_number_t)) {
        return text;
    }

    memmove(number, p, n);
    number[n] = '\0';

    return number;
}


static const cJSON *
b1c_call_path(const cJSON *node, const char *name, size_t len)
{
    char         part[B1C_EVENT_MAX];
    size_t       n;
    const char  *dot;

    while (node && len) {
        dot = memchr(name, '.', len);
        n = dot ? (size_t) (dot - name) : len;

        if (n >= sizeof(part)) {
            return NULL;
        }

        memcpy(part, name, n);
        part[n] = '\0';

        node = cJSON_GetObjectItemCaseSensitive(node, part);

        n += (dot != NULL);
        name += n;
        len -= n;
    }

    return node;
}


int
b1c_call_result(b1c_buf_t *buf, const char *text, size_t len)
{
    cJSON       *tree;
    b1c_rc_t     rc;
    b1c_buf_t    whole;
    b1c_error_t  err;

    static const b1c_limits_t  limits = { 1000000, 65, 65536 };

    tree = NULL;

    memset(&whole, 0, sizeof(b1c_buf_t));

    b1c_json_write_put(&whole, "{\"r\":", sizeof("{\"r\":") - 1);
    b1c_json_write_put(&whole, text, len);
    b1c_json_write_put(&whole, "}", 1);

    rc = whole.failed ? B1C_NOMEM
                      : b1c_json_parse(&tree, whole.start, whole.len,
                                       &limits, NULL, &err);
    free(whole.start);

    if (rc == B1C_NOMEM) {
        buf->failed = 1;
        return 1;
    }

    if (rc != B1C_OK) {
        return 0;
    }

    if (b1c_call_plain(text, len)) {
        b1c_json_write_put(buf, text, len);

    } else {
        b1c_json_write_put_tree(buf, tree->child);
    }

    cJSON_Delete(tree);

    return 1;
}


/* valid JSON on one line, without control characters, escaped ones included */
static int
b1c_call_plain(const char *text, size_t len)
{
    size_t       n;
    const char  *p, *last;

    last = text + len;

    for (p = text; p < last; p += n) {

        n = b1c_text_char((const unsigned char *) p, last - p);

        if (n == 0 || *p == '\t' || *p == '\n' || *p == '\r'
            || b1c_text_control((const unsigned char *) p, n)
            || b1c_call_escape(p, last))
        {
            return 0;
        }

        n += (*p == '\\');
    }

    return 1;
}


/* 1 if the escape stands for a control character */
static int
b1c_call_escape(const char *p, const char *last)
{
    long  ch;

    if (last - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return 0;
    }

    ch = b1c_text_hex4(p + 2, last);

    return (ch >= 0 && ch < 0x20 && ch != '\t' && ch != '\n' && ch != '\r')
           || (ch >= 0x7f && ch < 0xa0) || ch >= 0xfffe;
}


char *
b1c_call_params(const cJSON *params, size_t *len)
{
    b1c_buf_t  buf;

    memset(&buf, 0, sizeof(b1c_buf_t));

    b1c_json_write_put_tree(&buf, params);
    b1c_json_write_put(&buf, "", 1);

    if (buf.failed) {
        free(buf.start);
        return NULL;
    }

    *len = buf.len - 1;

    return buf.start;
}


static char *
b1c_call_copy(const char *text, size_t len)
{
    char  *copy;

    copy = malloc(len + 1);

    if (copy) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }

    return copy;
}

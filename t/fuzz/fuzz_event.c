
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "fuzz.h"


/*
 * The first byte chooses the type, limits and charset; then come the query
 * string, which is taken for a mask too, a line feed and the body.
 */


static void
fuzz_fields(const b1c_event_t *ev)
{
    size_t  len;

    len = strspn(ev->event, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-");
    fuzz_check(len > 0 && len <= 128 && ev->event[len] == '\0');

    fuzz_check(ev->ts >= 0 && ev->ts <= 253402300799LL);

    fuzz_check(ev->type[0] != '\0' && strlen(ev->type) <= 513);
    fuzz_text(ev->type, 1);

    fuzz_check(strlen(ev->member_id) <= 256 && strlen(ev->domain) <= 256);
    fuzz_text(ev->member_id, 1);
    fuzz_text(ev->domain, 1);

    if (ev->id != NULL) {
        fuzz_check(ev->id[0] != '\0' && strlen(ev->id) <= 256);
        fuzz_check(strcmp(ev->id, "undefined") != 0);
        fuzz_text(ev->id, 1);

    } else {
        fuzz_check(b1c_entity_once(ev->event, ev->id));
    }

    fuzz_check(ev->data != NULL && !cJSON_IsNull(ev->data));
    fuzz_check(ev->kind != B1C_FORM_ANSWER);
    fuzz_check(ev->id != NULL || ev->kind != B1C_STATE);
    fuzz_tree(ev->data, 0);
}


static int
fuzz_robot(const b1c_message_t *msg)
{
    const cJSON  *event;

    if (msg->tree == NULL) {
        return b1c_form_find(&msg->form, "event") == NULL;
    }

    event = cJSON_GetObjectItemCaseSensitive(msg->tree, "event");

    return event == NULL || cJSON_IsNull(event);
}


/* the text is one line of JSON and makes the same event again */

static void
fuzz_stored(const b1c_event_t *ev, int64_t received)
{
    char        *text, *again, *whole;
    cJSON       *json;
    size_t       len, again_len, i;
    b1c_event_t  back;

    text = b1c_event_json(ev, received, &len);
    fuzz_check(text != NULL && strlen(text) == len);

    fuzz_text(text, 1);

    whole = malloc(len + 9);
    fuzz_check(whole != NULL);

    memcpy(whole, "{\"id\":\"x\"", 9);
    memcpy(whole + 9, text, len);

    json = cJSON_ParseWithLength(whole, len + 9);
    fuzz_check(json != NULL);
    fuzz_check(cJSON_Compare(cJSON_GetObjectItem(json, "data"), ev->data, 1));
    cJSON_Delete(json);
    free(whole);

    fuzz_check(b1c_event_from_json(&back, text, len) == B1C_OK);

    again = b1c_event_json(&back, received, &again_len);
    fuzz_check(again_len == len && memcmp(text, again, len) == 0);
    free(again);

    b1c_event_free(&back);

    /* a text that was cut is not an event */

    for (i = 1; i < 4 && i < len; i++) {
        fuzz_check(b1c_event_from_json(&back, text, len - i) == B1C_MALFORMED);
    }

    free(text);
}


/* every scalar is found by the path of its names, or another with that path */

static void
fuzz_paths(const cJSON *root, const cJSON *node, char *path, size_t len,
    size_t size)
{
    int           n, index;
    char          buf[64];
    size_t        start;
    const char   *found;
    const cJSON  *child;

    index = 0;
    start = len + (len > 0);

    cJSON_ArrayForEach(child, node) {

        n = child->string
            ? snprintf(path + len, size - len, "%s%s", len ? "_" : "",
                       child->string)
            : snprintf(path + len, size - len, "%s%d", len ? "_" : "", index);

        index++;

        if (n < 0 || (size_t) n >= size - len || path[start] == '\0') {
            continue;
        }

        if (cJSON_IsObject(child) || cJSON_IsArray(child)) {
            fuzz_paths(root, child, path, len + n, size);
            continue;
        }

        found = b1c_event_data(root, path, len + n, buf, sizeof(buf));
        fuzz_check(found != NULL || cJSON_IsNull(child));
    }
}


/* the meaning of a mask, as plainly as it can be said */

static int
fuzz_matches(const char *mask, size_t mask_len, const char *name)
{
    if (mask_len == 0) {
        return *name == '\0';
    }

    if (*mask == '*') {
        return fuzz_matches(mask + 1, mask_len - 1, name)
               || (*name != '\0' && fuzz_matches(mask, mask_len, name + 1));
    }

    return *name != '\0' && strncasecmp(mask, name, 1) == 0
           && fuzz_matches(mask + 1, mask_len - 1, name + 1);
}


static void
fuzz_mask(const char *mask, size_t len, const char *name)
{
    size_t  i, stars;

    for (i = 0, stars = 0; i < len; i++) {
        stars += (mask[i] == '*');
    }

    /* said so plainly it takes time exponential in the stars */

    if (stars <= 3) {
        fuzz_check(b1c_glob_match(mask, len, name, strlen(name))
                   == fuzz_matches(mask, len, name));
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int            robot;
    char           path[512];
    b1c_rc_t       rc;
    const char    *text, *line;
    b1c_event_t    ev;
    b1c_error_t    err;
    b1c_input_t    input;
    b1c_limits_t   limits;
    b1c_message_t  msg;

    if (size == 0) {
        return 0;
    }

    text = (const char *) data + 1;
    size--;

    line = memchr(text, '\n', size);
    if (line == NULL) {
        return 0;
    }

    limits = fuzz_limits(data[0]);
    err.what = NULL;

    input.type = (data[0] & 1) ? B1C_JSON : B1C_FORM;
    input.charset = fuzz_charset(data[0]);
    input.secret = (data[0] & 4) ? "token" : NULL;
    input.event_token = (data[0] & 8) != 0;
    input.args = text;
    input.args_len = line - text;
    input.body = line + 1;
    input.len = size - (line + 1 - text);

    rc = b1c_message_parse(&msg, &input, &limits, &err);

    if (rc != B1C_OK) {
        fuzz_check(rc == B1C_MALFORMED && err.what != NULL);
        fuzz_check(msg.tree == NULL && msg.token == NULL);
        return 0;
    }

    fuzz_check(msg.member_id != NULL && msg.domain != NULL);

    if (msg.token != NULL) {
        fuzz_text(msg.token, 0);
    }

    robot = fuzz_robot(&msg);

    rc = b1c_event_build(&ev, &msg, &err);
    b1c_message_free(&msg);

    if (rc != B1C_OK) {
        fuzz_check(rc == B1C_MALFORMED && err.what != NULL);
        fuzz_check(ev.event == NULL && ev.data == NULL);
        return 0;
    }

    fuzz_check((ev.kind == B1C_COMMAND) == robot);

    if (robot) {
        /* only where it was asked for, and only that of the body */

        if (ev.run != NULL && input.event_token) {
            cJSON_DeleteItemFromObjectCaseSensitive(ev.data, "event_token");
        }

        fuzz_check(strcmp(ev.event, "ROBOT") == 0);
        fuzz_check(cJSON_GetObjectItem(ev.data, "auth") == NULL);
    }

    fuzz_fields(&ev);
    fuzz_stored(&ev, 1700000000);
    fuzz_paths(ev.data, ev.data, path, 0, sizeof(path));
    fuzz_mask(input.args, input.args_len, ev.event);

    b1c_event_free(&ev);

    return 0;
}

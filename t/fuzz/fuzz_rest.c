
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "fuzz.h"
#include "b1c_bitrix.h"


/*
 * the first byte chooses what the rest is: an address, a batch, an answer, or
 * a whole call
 */


static void
fuzz_address(const char *text, size_t size)
{
    char        *copy;
    size_t       len, i;
    const char  *name, *key;

    if (b1c_method_method(text, size, &name, &len) == NULL) {
        fuzz_check(name == text && len > 0 && len <= size);
        fuzz_check(len <= B1C_METHOD_MAX);

        for (i = 0; i < len; i++) {
            fuzz_check(text[i] != '/' && text[i] != '%' && text[i] != '?');
            fuzz_check(text[i] != '.' || (i > 0 && text[i - 1] != '.'));
        }
    }

    (void) b1c_method_path(text, size);
    (void) b1c_method_prefers(text, size, "respond-async");

    /* what is the key of an address is masked where it is written */

    copy = malloc(size * 3 + 1);
    fuzz_check(copy != NULL);

    memcpy(copy, text, size);
    b1c_method_redact(copy, size);

    key = b1c_method_key(text, size, &len);

    if (key != NULL) {
        fuzz_check(key > text && key + len < text + size && len >= 8);

        for (i = 0; i < len; i++) {
            fuzz_check(copy[key - text + i] == '*');
        }
    }

    /* nothing is lost, and the second time nothing is left to be done */

    len = b1c_method_args(copy, text, size);
    fuzz_check(len >= size && len <= 3 * size);

    free(copy);
}


static void
fuzz_commands(const char *text, size_t size)
{
    cJSON       *json;
    size_t       i;
    b1c_form_t   form;
    b1c_batch_t  batch;
    b1c_error_t  err;
    char         warning[B1C_WARNING_MAX];

    json = NULL;
    memset(&form, 0, sizeof(b1c_form_t));

    if (size > 0 && text[0] == '{') {
        if (b1c_json_parse(&json, text, size, &fuzz_unlimited, NULL, &err)
            != B1C_OK)
        {
            return;
        }

    } else if (b1c_form_parse(&form, text, size, &fuzz_unlimited, NULL,
                              &err)
               != B1C_OK)
    {
        return;
    }

    if (b1c_batch_parse(&batch, NULL, &form, json, &err) == B1C_BATCH_OK) {
        fuzz_check(batch.n > 0 && batch.n <= B1C_BATCH_MAX);

        for (i = 0; i < batch.n; i++) {
            fuzz_check(strcasecmp(batch.commands[i].method, "batch") != 0);
            fuzz_check(strchr(batch.commands[i].method, '/') == NULL);
        }
    }

    b1c_batch_free(&batch);

    if (b1c_warning_call("sale.order.list", 15, &form, json, warning)) {
        fuzz_check(strlen(warning) < B1C_WARNING_MAX);

        for (i = 0; warning[i] != '\0'; i++) {
            fuzz_check(warning[i] >= ' ' && warning[i] < 0x7f
                       && warning[i] != '"');
        }
    }

    cJSON_Delete(json);
    b1c_form_free(&form);
}


/* what was packed is found again by the one who unpacks it */

static void
fuzz_packed(const char *text, size_t size)
{
    char         *body;
    cJSON        *params, *json;
    size_t        len;
    b1c_batch_t   batch;
    b1c_error_t   err;
    b1c_packed_t  call;

    if (b1c_json_parse(&params, text, size, &fuzz_unlimited, NULL, &err)
        != B1C_OK)
    {
        return;
    }

    if (b1c_batch_unfit("crm.deal.list", params) == NULL) {
        call.name = "c0";
        call.method = "a.b";
        call.params = params;

        body = b1c_batch_build(&call, 1, &len);
        fuzz_check(body != NULL);
        fuzz_check(b1c_json_parse(&json, body, len, &fuzz_unlimited, NULL,
                                  &err)
                   == B1C_OK);
        fuzz_check(b1c_batch_parse(&batch, NULL, NULL, json, &err)
                   == B1C_BATCH_OK);
        fuzz_check(batch.n == 1);
        fuzz_check(strcmp(batch.commands[0].method, "a.b") == 0);

        b1c_batch_free(&batch);
        cJSON_Delete(json);
        free(body);
    }

    cJSON_Delete(params);
}


/* what is sent is read again as it was, and needs no second writing */

static void
fuzz_door(const char *text, size_t size, unsigned char choice)
{
    size_t        args, type;
    b1c_buf_t     tree, again;
    b1c_door_t    door, sent;
    b1c_error_t   err;

    memset(&door, 0, sizeof(b1c_door_t));
    memset(&sent, 0, sizeof(b1c_door_t));
    memset(&tree, 0, sizeof(b1c_buf_t));
    memset(&again, 0, sizeof(b1c_buf_t));

    /* three lines: the query string, the type, the body */

    args = strcspn(text, "\n");
    type = text[args] ? strcspn(text + args + 1, "\n") : 0;

    door.post = 1;
    door.batch = !!(choice & 16);
    door.in_args = text;
    door.in_args_len = args;
    door.in_type = text + args + !!text[args];
    door.in_type_len = type;
    door.in_body = door.in_type + type + !!door.in_type[type];
    door.in_len = text + size - door.in_body;

    if (b1c_door_read(&door, &err) == B1C_DOOR_OK) {
        fuzz_check(cJSON_IsObject(door.params));
        fuzz_check(cJSON_GetObjectItemCaseSensitive(door.params, "auth")
                   == NULL);
        fuzz_check(cJSON_GetObjectItemCaseSensitive(door.params, "token")
                   == NULL);

        sent.post = 1;
        sent.batch = door.batch;
        sent.in_args = door.args.start;
        sent.in_args_len = door.args.len;
        sent.in_type = door.type ? door.type : "";
        sent.in_type_len = strlen(sent.in_type);
        sent.in_body = door.as_is ? door.in_body : door.body.start;
        sent.in_len = door.as_is ? door.in_len : door.body.len;

        fuzz_check(b1c_door_read(&sent, &err) == B1C_DOOR_OK);

        b1c_json_write_put_tree(&tree, door.params);
        b1c_json_write_put_tree(&again, sent.params);

        fuzz_check(tree.len == again.len
                   && memcmp(tree.start, again.start, tree.len) == 0);
    }

    b1c_door_free(&door);
    b1c_door_free(&sent);
    free(tree.start);
    free(again.start);
}


static void
fuzz_answer(const char *text, size_t size, unsigned char choice)
{
    cJSON        *json;
    b1c_error_t   err;
    b1c_reply_t   reply;
    b1c_answer_t  answer;

    b1c_portal_answer_judge(&answer, choice & 4 ? 503 : 200, text, size,
                            choice & 8);
    fuzz_check(strlen(answer.code) < B1C_CODE_MAX);

    b1c_batch_reply(&reply, text, size, "a");

    if (reply.result.start != NULL) {
        fuzz_check(reply.result.start > text);
        fuzz_check(reply.result.start + reply.result.len <= text + size);
    }

    /* an object for whoever reads JSON is one here too */

    json = NULL;

    if (b1c_json_parse(&json, text, size, &fuzz_unlimited, NULL, &err)
        == B1C_OK)
    {
        fuzz_check(answer.kind != B1C_ANSWER_FOREIGN);
    }

    cJSON_Delete(json);
}


/* what is kept of a result is JSON that needs no second cleaning */

static void
fuzz_result(const char *text, size_t size)
{
    size_t     i;
    b1c_buf_t  buf, again;

    memset(&buf, 0, sizeof(b1c_buf_t));
    memset(&again, 0, sizeof(b1c_buf_t));

    if (!b1c_call_result(&buf, text, size)) {
        fuzz_check(buf.len == 0);
        return;
    }

    fuzz_check(!buf.failed && buf.len > 0);

    for (i = 0; i < buf.len; i++) {
        fuzz_check((unsigned char) buf.start[i] >= 0x20);
    }

    fuzz_check(b1c_call_result(&again, buf.start, buf.len));
    fuzz_check(again.len == buf.len
               && memcmp(again.start, buf.start, buf.len) == 0);

    free(buf.start);
    free(again.start);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char        *copy;
    const char  *text;

    if (size == 0) {
        return 0;
    }

    text = (const char *) data + 1;
    size--;

    if (data[0] & 128) {
        copy = malloc(size + 1);
        fuzz_check(copy != NULL);

        memcpy(copy, text, size);
        copy[size] = '\0';

        if (strlen(copy) == size) {
            fuzz_door(copy, size, data[0]);
        }

        free(copy);
        return 0;
    }

    switch (data[0] & 3) {

    case 0:
        fuzz_address(text, size);
        break;

    case 1:
        fuzz_commands(text, size);
        break;

    case 2:
        fuzz_packed(text, size);
        break;

    default:
        fuzz_answer(text, size, data[0]);
        fuzz_result(text, size);
    }

    return 0;
}

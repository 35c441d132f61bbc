
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <string.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


static b1c_rc_t b1c_message_form(b1c_message_t *msg, const b1c_input_t *input,
    const b1c_limits_t *limits, b1c_error_t *err);
static b1c_rc_t b1c_message_json(b1c_message_t *msg, const b1c_input_t *input,
    const b1c_limits_t *limits, b1c_error_t *err);
static const char *b1c_message_auth(const cJSON *auth, const char *name);


b1c_rc_t
b1c_message_parse(b1c_message_t *msg, const b1c_input_t *input,
    const b1c_limits_t *limits, b1c_error_t *err)
{
    b1c_rc_t      rc;
    b1c_limits_t  bounded;

    memset(msg, 0, sizeof(b1c_message_t));

    bounded = *limits;

    if (bounded.depth > B1C_DEPTH_MAX) {
        bounded.depth = B1C_DEPTH_MAX;
    }

    msg->query.text = input->args;
    msg->query.len = input->args ? input->args_len : 0;
    msg->query.charset = input->charset;
    msg->query.secret = input->secret;
    msg->query.limits = bounded;
    msg->event_token = input->event_token;

    rc = (input->type == B1C_JSON)
         ? b1c_message_json(msg, input, &bounded, err)
         : b1c_message_form(msg, input, &bounded, err);

    if (rc != B1C_OK) {
        b1c_message_free(msg);
    }

    return rc;
}


void
b1c_message_free(b1c_message_t *msg)
{
    b1c_form_free(&msg->form);
    cJSON_Delete(msg->tree);

    memset(msg, 0, sizeof(b1c_message_t));
}


static b1c_rc_t
b1c_message_form(b1c_message_t *msg, const b1c_input_t *input,
    const b1c_limits_t *limits, b1c_error_t *err)
{
    size_t             i, j, len;
    b1c_rc_t           rc;
    const char        *found[4];
    const b1c_pair_t  *pair;

    /* the sender and the event must not be ambiguous */

    static const char *const  single[4] = {
        "event",
        "auth[application_token]",
        "auth[member_id]",
        "auth[domain]"
    };

    rc = b1c_form_parse(&msg->form, input->body, input->len, limits,
                        input->charset, err);
    if (rc != B1C_OK) {
        return rc;
    }

    memset(found, 0, sizeof(found));

    for (i = 0; i < msg->form.npairs; i++) {
        pair = &msg->form.pairs[i];

        for (j = 0; j < 4; j++) {
            len = strlen(single[j]);

            if (pair->key_len != len || memcmp(pair->key, single[j], len)) {
                continue;
            }

            if (found[j] != NULL) {
                return b1c_text_malformed(err, "key is repeated", pair->where);
            }

            found[j] = pair->value;
        }
    }

    msg->token = found[1];
    msg->member_id = found[2] ? found[2] : "";
    msg->domain = found[3] ? found[3] : "";

    return B1C_OK;
}


static b1c_rc_t
b1c_message_json(b1c_message_t *msg, const b1c_input_t *input,
    const b1c_limits_t *limits, b1c_error_t *err)
{
    b1c_rc_t      rc;
    const cJSON  *auth;

    rc = b1c_json_parse(&msg->tree, input->body, input->len, limits,
                        input->charset, err);

    if (rc == B1C_OK) {
        rc = b1c_tree_unfold(msg->tree, limits, err);
    }

    if (rc != B1C_OK) {
        return rc;
    }

    auth = cJSON_GetObjectItemCaseSensitive(msg->tree, "auth");

    msg->token = b1c_message_auth(auth, "application_token");
    msg->member_id = b1c_message_auth(auth, "member_id");
    msg->domain = b1c_message_auth(auth, "domain");

    if (msg->member_id == NULL) {
        msg->member_id = "";
    }

    if (msg->domain == NULL) {
        msg->domain = "";
    }

    return B1C_OK;
}


static const char *
b1c_message_auth(const cJSON *auth, const char *name)
{
    if (!cJSON_IsObject(auth)) {
        return NULL;
    }

    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(auth, name));
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <string.h>

#include "bitrix_event.h"
#include "bitrix_json.h"
#include "bitrix_text.h"


static bitrix_rc_t bitrix_message_form(bitrix_message_t *msg,
    const bitrix_input_t *input, const bitrix_limits_t *limits,
    bitrix_error_t *err);
static bitrix_rc_t bitrix_message_json(bitrix_message_t *msg,
    const bitrix_input_t *input, const bitrix_limits_t *limits,
    bitrix_error_t *err);
static const char *bitrix_message_auth(const cJSON *auth, const char *name);
static bitrix_rc_t bitrix_message_args(bitrix_message_t *msg,
    const bitrix_input_t *input, const bitrix_limits_t *limits,
    bitrix_error_t *err);


bitrix_rc_t
bitrix_message_parse(bitrix_message_t *msg, const bitrix_input_t *input,
    const bitrix_limits_t *limits, bitrix_error_t *err)
{
    bitrix_rc_t      rc;
    bitrix_limits_t  bounded;

    memset(msg, 0, sizeof(bitrix_message_t));

    bounded = *limits;

    if (bounded.depth > BITRIX_DEPTH_MAX) {
        bounded.depth = BITRIX_DEPTH_MAX;
    }

    rc = (input->type == BITRIX_JSON)
         ? bitrix_message_json(msg, input, &bounded, err)
         : bitrix_message_form(msg, input, &bounded, err);

    if (rc != BITRIX_OK) {
        bitrix_message_free(msg);
    }

    return rc;
}


void
bitrix_message_free(bitrix_message_t *msg)
{
    bitrix_form_free(&msg->form);
    bitrix_form_free(&msg->args);
    cJSON_Delete(msg->tree);

    memset(msg, 0, sizeof(bitrix_message_t));
}


static bitrix_rc_t
bitrix_message_form(bitrix_message_t *msg, const bitrix_input_t *input,
    const bitrix_limits_t *limits, bitrix_error_t *err)
{
    size_t                i, j, len;
    bitrix_rc_t           rc;
    const char           *found[4];
    const bitrix_pair_t  *pair;

    /* what decides who the sender is and what he says must not be ambiguous */

    static const char *const  single[4] = {
        "event",
        "auth[application_token]",
        "auth[member_id]",
        "auth[domain]"
    };

    rc = bitrix_form_parse(&msg->form, input->body, input->len, limits,
                           input->charset, err);
    if (rc != BITRIX_OK) {
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
                return bitrix_malformed(err, "key is repeated", pair->where);
            }

            found[j] = pair->value;
        }
    }

    msg->token = found[1];
    msg->member_id = found[2] ? found[2] : "";
    msg->domain = found[3] ? found[3] : "";

    return (found[0] == NULL) ? bitrix_message_args(msg, input, limits, err)
                              : BITRIX_OK;
}


static bitrix_rc_t
bitrix_message_json(bitrix_message_t *msg, const bitrix_input_t *input,
    const bitrix_limits_t *limits, bitrix_error_t *err)
{
    bitrix_rc_t   rc;
    const cJSON  *auth, *event;

    rc = bitrix_json_parse(&msg->tree, input->body, input->len, limits,
                           input->charset, err);
    if (rc != BITRIX_OK) {
        return rc;
    }

    auth = cJSON_GetObjectItemCaseSensitive(msg->tree, "auth");
    event = cJSON_GetObjectItemCaseSensitive(msg->tree, "event");

    msg->token = bitrix_message_auth(auth, "application_token");
    msg->member_id = bitrix_message_auth(auth, "member_id");
    msg->domain = bitrix_message_auth(auth, "domain");

    if (msg->member_id == NULL) {
        msg->member_id = "";
    }

    if (msg->domain == NULL) {
        msg->domain = "";
    }

    return (event == NULL) ? bitrix_message_args(msg, input, limits, err)
                           : BITRIX_OK;
}


static const char *
bitrix_message_auth(const cJSON *auth, const char *name)
{
    if (!cJSON_IsObject(auth)) {
        return NULL;
    }

    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(auth, name));
}


/*
 * Robots put what the author of the business process asked for into the query
 * string.  Nobody else has a use for it, so that for others it may hold
 * anything, such as a secret of the address.
 */

static bitrix_rc_t
bitrix_message_args(bitrix_message_t *msg, const bitrix_input_t *input,
    const bitrix_limits_t *limits, bitrix_error_t *err)
{
    size_t       i;
    bitrix_rc_t  rc;

    if (input->args == NULL) {
        return BITRIX_OK;
    }

    for (i = 0; i < input->args_len && input->args[i] == '&'; i++) {
        /* void */
    }

    if (i == input->args_len) {
        return BITRIX_OK;
    }

    rc = bitrix_form_parse(&msg->args, input->args, input->args_len, limits,
                           input->charset, err);

    if (rc == BITRIX_MALFORMED) {
        err->what = "malformed query string";
    }

    return rc;
}

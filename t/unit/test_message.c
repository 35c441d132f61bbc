
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"


static b1c_error_t  err;


static b1c_rc_t
parse(b1c_message_t *msg, b1c_type_t type, const char *body, const char *args)
{
    b1c_input_t  input;

    memset(&input, 0, sizeof(b1c_input_t));

    input.type = type;
    input.body = body;
    input.len = strlen(body);
    input.args = args;
    input.args_len = args ? strlen(args) : 0;

    return b1c_message_parse(msg, &input, &tap_limits, &err);
}


static void
test_auth(void)
{
    size_t         i;
    b1c_message_t  msg;

    static const struct {
        b1c_type_t   type;
        const char  *body;
        const char  *token;
        const char  *member_id;
        const char  *domain;
    } cases[] = {
        { B1C_FORM, "event=A&auth[application_token]=t&auth[member_id]=m"
                    "&auth[domain]=d", "t", "m", "d" },
        { B1C_FORM, "auth%5Bapplication_token%5D=t&event=A", "t", "", "" },
        { B1C_FORM, "event=A", NULL, "", "" },
        { B1C_FORM, "event=A&auth=t", NULL, "", "" },
        { B1C_FORM, "event=A&application_token=t", NULL, "", "" },
        { B1C_FORM, "event=A&auth[application_token]=", "", "", "" },
        { B1C_FORM, "event=A&auth[application_token][]=t", NULL, "", "" },
        { B1C_FORM, "event=A&auth[application_token][0]=t", NULL, "", "" },
        { B1C_FORM, "event=A&AUTH[application_token]=t", NULL, "", "" },
        { B1C_FORM, "event=A&data[auth][application_token]=t", NULL, "",
                       "" },

        { B1C_JSON, "{\"event\":\"A\",\"auth\":{\"application_token\":\"t\","
                    "\"member_id\":\"m\",\"domain\":\"d\"}}",
                       "t", "m", "d" },
        { B1C_JSON, "{}", NULL, "", "" },
        { B1C_JSON, "{\"auth\":\"t\"}", NULL, "", "" },
        { B1C_JSON, "{\"auth\":null}", NULL, "", "" },
        { B1C_JSON, "{\"auth\":[\"t\"]}", NULL, "", "" },
        { B1C_JSON, "{\"auth\":[{\"application_token\":\"t\"}]}", NULL, "",
                       "" },
        { B1C_JSON, "{\"auth\":{\"application_token\":1}}", NULL, "", "" },
        { B1C_JSON, "{\"auth\":{\"application_token\":[\"t\"]}}", NULL, "",
                       "" },
        { B1C_JSON, "{\"auth\":{\"application_token\":\"t\","
                    "\"member_id\":1,\"domain\":null}}", "t", "", "" },
        { B1C_JSON, "{\"data\":{\"auth\":{\"application_token\":\"t\"}}}",
                       NULL, "", "" }
    };

    for (i = 0; i < countof(cases); i++) {
        num(parse(&msg, cases[i].type, cases[i].body, NULL), B1C_OK,
            cases[i].body);
        is(msg.token, cases[i].token, "token");
        is(msg.member_id, cases[i].member_id, "member_id");
        is(msg.domain, cases[i].domain, "domain");
        b1c_message_free(&msg);
    }
}


static void
test_repeated(void)
{
    size_t         i;
    b1c_message_t  msg;

    static const struct {
        b1c_type_t   type;
        const char  *body;
        size_t       where;
    } cases[] = {
        { B1C_FORM, "event=A&event=A", 8 },
        { B1C_FORM, "event=A&x=1&%65vent=B", 12 },
        { B1C_FORM, "event=A&auth[application_token]=t"
                    "&auth%5bapplication_token%5d=t", 34 },
        { B1C_FORM, "auth[member_id]=a&auth[member_id]=b", 18 },
        { B1C_FORM, "auth[domain]=a&auth[domain]=b", 15 },
        { B1C_JSON, "{\"event\":\"A\",\"event\":\"A\"}", 24 },
        { B1C_JSON, "{\"auth\":{},\"auth\":{}}", 19 },
        { B1C_JSON, "{\"auth\":{\"application_token\":\"t\","
                    "\"application_token\":\"t\"}}", 56 }
    };

    for (i = 0; i < countof(cases); i++) {
        num(parse(&msg, cases[i].type, cases[i].body, NULL), B1C_MALFORMED,
            cases[i].body);
        is(err.what, "key is repeated", "the reason");
        num(err.where, cases[i].where, "the place");
        ok(msg.form.pairs == NULL && msg.tree == NULL && msg.token == NULL,
           "nothing is left");
    }
}


static void
test_flat(void)
{
    size_t         i;
    b1c_message_t  msg;

    static const struct {
        const char  *body;
        const char  *token;      /* NULL: the reason why it is malformed */
        const char  *text;
    } cases[] = {
        { "{\"event\":\"A\",\"auth[application_token]\":\"t\","
          "\"auth[member_id]\":\"m\",\"data[FIELDS][ID]\":\"5\"}", "t",
          "{\"event\":\"A\",\"auth\":{\"application_token\":\"t\","
          "\"member_id\":\"m\"},\"data\":{\"FIELDS\":{\"ID\":\"5\"}}}" },
        { "{\"auth\":{\"member_id\":\"m\"},\"auth[application_token]\":\"t\","
          "\"l[1]\":2,\"l[0]\":{\"a\":1},\"m[]\":1,\"m[]\\u0020\":3}", "t",
          "{\"auth\":{\"member_id\":\"m\",\"application_token\":\"t\"},"
          "\"m[] \":3,\"l\":[{\"a\":1},2],\"m\":[1]}" },
        { "{\"a[b\":1,\"[a]\":2,\"a]\":3,\"auth[application_token]\":\"t\"}",
          "t", "{\"a[b\":1,\"[a]\":2,\"a]\":3,"
          "\"auth\":{\"application_token\":\"t\"}}" },
        { "{\"auth\":{\"application_token\":\"s\"},"
          "\"auth[application_token]\":\"t\"}", NULL, "key is repeated" },
        { "{\"auth[application_token]\":\"t\","
          "\"auth\":{\"application_token\":\"s\"}}", NULL,
          "key is repeated" },
        { "{\"a\":1,\"a[b]\":2}", NULL,
          "key is a scalar and a map at once" },
        { "{\"a\":[1],\"a[0]\":2}", NULL,
          "key is a scalar and a map at once" }
    };

    for (i = 0; i < countof(cases); i++) {
        char  *text;

        if (cases[i].token == NULL) {
            num(parse(&msg, B1C_JSON, cases[i].body, NULL), B1C_MALFORMED,
                cases[i].body);
            is(err.what, cases[i].text, "the reason");
            continue;
        }

        num(parse(&msg, B1C_JSON, cases[i].body, NULL), B1C_OK,
            cases[i].body);
        is(msg.token, cases[i].token, "token");

        text = cJSON_PrintUnformatted(msg.tree);
        is(text, cases[i].text, "as a form means it");
        free(text);

        b1c_message_free(&msg);
    }
}


static void
test_malformed(void)
{
    b1c_message_t  msg;
    b1c_input_t    input;

    memset(&input, 0, sizeof(b1c_input_t));

    num(b1c_message_parse(&msg, &input, &tap_limits, &err),
        B1C_MALFORMED, "no body");
    is(err.what, "empty body", "the reason");

    input.type = B1C_JSON;
    input.body = "";

    num(b1c_message_parse(&msg, &input, &tap_limits, &err),
        B1C_MALFORMED, "no body for JSON");
    is(err.what, "empty body", "the reason");

    num(parse(&msg, B1C_JSON, "event=A", NULL), B1C_MALFORMED,
        "a form that is said to be JSON");
    is(err.what, "JSON is not an object", "the reason");

    num(parse(&msg, B1C_FORM, "event=%zz", NULL), B1C_MALFORMED,
        "a broken form");
    num(err.where, 6, "the place");
}


int
main(void)
{
    test_auth();
    test_repeated();
    test_flat();
    test_malformed();

    return tap_done();
}

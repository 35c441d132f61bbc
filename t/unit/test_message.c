
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"


static bitrix_error_t  err;


static bitrix_rc_t
parse(bitrix_message_t *msg, bitrix_type_t type, const char *body,
    const char *args)
{
    bitrix_input_t  input;

    memset(&input, 0, sizeof(bitrix_input_t));

    input.type = type;
    input.body = body;
    input.len = strlen(body);
    input.args = args;
    input.args_len = args ? strlen(args) : 0;

    return bitrix_message_parse(msg, &input, &tap_limits, &err);
}


static void
test_auth(void)
{
    size_t            i;
    bitrix_message_t  msg;

    static const struct {
        bitrix_type_t   type;
        const char     *body;
        const char     *token;
        const char     *member_id;
        const char     *domain;
    } cases[] = {
        { BITRIX_FORM, "event=A&auth[application_token]=t&auth[member_id]=m"
                       "&auth[domain]=d", "t", "m", "d" },
        { BITRIX_FORM, "auth%5Bapplication_token%5D=t&event=A", "t", "", "" },
        { BITRIX_FORM, "event=A", NULL, "", "" },
        { BITRIX_FORM, "event=A&auth=t", NULL, "", "" },
        { BITRIX_FORM, "event=A&application_token=t", NULL, "", "" },
        { BITRIX_FORM, "event=A&auth[application_token]=", "", "", "" },
        { BITRIX_FORM, "event=A&auth[application_token][]=t", NULL, "", "" },
        { BITRIX_FORM, "event=A&auth[application_token][0]=t", NULL, "", "" },
        { BITRIX_FORM, "event=A&AUTH[application_token]=t", NULL, "", "" },
        { BITRIX_FORM, "event=A&data[auth][application_token]=t", NULL, "",
                       "" },

        { BITRIX_JSON, "{\"event\":\"A\",\"auth\":{\"application_token\":\"t\","
                       "\"member_id\":\"m\",\"domain\":\"d\"}}",
                       "t", "m", "d" },
        { BITRIX_JSON, "{}", NULL, "", "" },
        { BITRIX_JSON, "{\"auth\":\"t\"}", NULL, "", "" },
        { BITRIX_JSON, "{\"auth\":null}", NULL, "", "" },
        { BITRIX_JSON, "{\"auth\":[\"t\"]}", NULL, "", "" },
        { BITRIX_JSON, "{\"auth\":[{\"application_token\":\"t\"}]}", NULL, "",
                       "" },
        { BITRIX_JSON, "{\"auth\":{\"application_token\":1}}", NULL, "", "" },
        { BITRIX_JSON, "{\"auth\":{\"application_token\":[\"t\"]}}", NULL, "",
                       "" },
        { BITRIX_JSON, "{\"auth\":{\"application_token\":\"t\","
                       "\"member_id\":1,\"domain\":null}}", "t", "", "" },
        { BITRIX_JSON, "{\"data\":{\"auth\":{\"application_token\":\"t\"}}}",
                       NULL, "", "" }
    };

    for (i = 0; i < countof(cases); i++) {
        num(parse(&msg, cases[i].type, cases[i].body, NULL), BITRIX_OK,
            cases[i].body);
        is(msg.token, cases[i].token, "token");
        is(msg.member_id, cases[i].member_id, "member_id");
        is(msg.domain, cases[i].domain, "domain");
        bitrix_message_free(&msg);
    }
}


static void
test_repeated(void)
{
    size_t            i;
    bitrix_message_t  msg;

    static const struct {
        bitrix_type_t   type;
        const char     *body;
        size_t          where;
    } cases[] = {
        { BITRIX_FORM, "event=A&event=A", 8 },
        { BITRIX_FORM, "event=A&x=1&%65vent=B", 12 },
        { BITRIX_FORM, "event=A&auth[application_token]=t"
                       "&auth%5bapplication_token%5d=t", 34 },
        { BITRIX_FORM, "auth[member_id]=a&auth[member_id]=b", 18 },
        { BITRIX_FORM, "auth[domain]=a&auth[domain]=b", 15 },
        { BITRIX_JSON, "{\"event\":\"A\",\"event\":\"A\"}", 24 },
        { BITRIX_JSON, "{\"auth\":{},\"auth\":{}}", 19 },
        { BITRIX_JSON, "{\"auth\":{\"application_token\":\"t\","
                       "\"application_token\":\"t\"}}", 56 }
    };

    for (i = 0; i < countof(cases); i++) {
        num(parse(&msg, cases[i].type, cases[i].body, NULL), BITRIX_MALFORMED,
            cases[i].body);
        is(err.what, "key is repeated", "the reason");
        num(err.where, cases[i].where, "the place");
        ok(msg.form.pairs == NULL && msg.tree == NULL && msg.token == NULL,
           "nothing is left");
    }
}


static void
test_args(void)
{
    bitrix_message_t  msg;

    num(parse(&msg, BITRIX_FORM, "event=A", "%zz&a[b"), BITRIX_OK,
        "an event's query string may hold anything");
    num(msg.args.npairs, 0, "and is not looked at");
    bitrix_message_free(&msg);

    num(parse(&msg, BITRIX_JSON, "{\"event\":\"A\"}", "%zz"), BITRIX_OK,
        "for JSON neither");
    bitrix_message_free(&msg);

    num(parse(&msg, BITRIX_FORM, "document_id[0]=crm", "a=1&b=2"), BITRIX_OK,
        "a robot's query string");
    num(msg.args.npairs, 2, "is read");
    bitrix_message_free(&msg);

    num(parse(&msg, BITRIX_FORM, "document_id[0]=crm", ""), BITRIX_OK,
        "an empty one is none");
    bitrix_message_free(&msg);

    num(parse(&msg, BITRIX_FORM, "document_id[0]=crm", "&&"), BITRIX_OK,
        "nor are two empty pairs one");
    bitrix_message_free(&msg);

    num(parse(&msg, BITRIX_FORM, "document_id[0]=crm", "a=1&a[b"),
        BITRIX_MALFORMED, "a broken one of a robot is malformed");
    is(err.what, "malformed query string", "the reason");
    num(err.where, 4, "the place in it");
    ok(msg.form.pairs == NULL, "nothing is left");
}


static void
test_malformed(void)
{
    bitrix_message_t  msg;
    bitrix_input_t    input;

    memset(&input, 0, sizeof(bitrix_input_t));

    num(bitrix_message_parse(&msg, &input, &tap_limits, &err),
        BITRIX_MALFORMED, "no body");
    is(err.what, "empty body", "the reason");

    input.type = BITRIX_JSON;
    input.body = "";

    num(bitrix_message_parse(&msg, &input, &tap_limits, &err),
        BITRIX_MALFORMED, "no body for JSON");
    is(err.what, "empty body", "the reason");

    num(parse(&msg, BITRIX_JSON, "event=A", NULL), BITRIX_MALFORMED,
        "a form that is said to be JSON");
    is(err.what, "JSON is not an object", "the reason");

    num(parse(&msg, BITRIX_FORM, "event=%zz", NULL), BITRIX_MALFORMED,
        "a broken form");
    num(err.where, 6, "the place");
}


int
main(void)
{
    test_auth();
    test_repeated();
    test_args();
    test_malformed();

    return tap_done();
}

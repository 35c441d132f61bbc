
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"


#define EVENT                                                                \
    ",\"event\":\"ONX\",\"ts\":5,\"received\":6,"                            \
    "\"source\":{\"domain\":\"d\",\"member_id\":\"m\"},"


static void
test_round_trip(void)
{
    char        *text;
    size_t       i, len;
    b1c_event_t  ev;

    static const char *const  events[] = {
        EVENT "\"entity\":{\"type\":\"X\",\"id\":\"1\"},\"data\":{}}",
        EVENT "\"entity\":{\"type\":\"X\",\"id\":null},\"data\":{}}",
        EVENT "\"entity\":{\"type\":\"a\\\\b.c\",\"id\":\"\\\"\"},\"data\":{}}",
        EVENT "\"entity\":{\"type\":\"X\",\"id\":null},"
        "\"data\":{\"Имя\":\"Анна \\\"\\\\\\t\\r\\n/😀\",\"\":\"\"}}",
        EVENT "\"entity\":{\"type\":\"X\",\"id\":null},"
        "\"data\":{\"l\":[[],{},[{}]],\"n\":null,\"t\":true,\"f\":false}}",
        EVENT "\"entity\":{\"type\":\"X\",\"id\":null},"
        "\"data\":{\"n\":[0,-1,1.5,200540400001,0.0001,-0.25,"
        "999999999999999,123456.789012345]}}",
        EVENT "\"entity\":{\"type\":\"X\",\"id\":null},\"data\":[\"a\",1]}"
    };

    for (i = 0; i < countof(events); i++) {
        num(b1c_event_from_json(&ev, events[i], strlen(events[i])), B1C_OK,
            events[i]);

        text = b1c_event_json(&ev, 6, &len);
        is(text, events[i], "there and back");
        num(len, strlen(events[i]), "its length");

        free(text);
        b1c_event_free(&ev);
    }
}


static void
test_fields(void)
{
    b1c_event_t  ev;

    static const char  text[] =
        EVENT "\"entity\":{\"type\":\"X\",\"id\":\"1\"},"
              "\"data\":{\"a\":\"b\"}}";

    num(b1c_event_from_json(&ev, text, strlen(text)), B1C_OK, "read");

    is(ev.event, "ONX", "event");
    is(ev.type, "X", "type");
    is(ev.id, "1", "id");
    is(ev.member_id, "m", "member_id");
    is(ev.domain, "d", "domain");
    num(ev.ts, 5, "ts");
    is(cJSON_GetStringValue(cJSON_GetObjectItem(ev.data, "a")), "b", "data");

    b1c_event_free(&ev);

    ok(ev.event == NULL && ev.data == NULL, "freed");
}


static void
test_malformed(void)
{
    size_t       i;
    b1c_event_t  ev;

    static const char *const  texts[] = {
        "",
        ",",
        ",}",
        "{}",
        "x",
        ",\"event\":\"ONX\"}",
        ",\"event\":1,\"ts\":5,\"source\":{\"domain\":\"\",\"member_id\":\"\"},"
        "\"entity\":{\"type\":\"X\",\"id\":null},\"data\":{}}",
        ",\"event\":\"X\",\"ts\":\"x\",\"source\":{\"domain\":\"\","
        "\"member_id\":\"\"},\"entity\":{\"type\":\"X\",\"id\":null},"
        "\"data\":{}}",
        EVENT "\"entity\":{\"id\":\"1\"},\"data\":{}}",
        EVENT "\"entity\":{\"type\":\"X\",\"id\":1},\"data\":{}}",
        EVENT "\"entity\":[],\"data\":{}}",
        EVENT "\"entity\":{\"type\":\"X\",\"id\":\"1\"},\"data\":{}",
        EVENT "\"entity\":{\"type\":\"X\",\"id\":\"1\"},\"data\":{}}}"
    };

    for (i = 0; i < countof(texts); i++) {
        num(b1c_event_from_json(&ev, texts[i], strlen(texts[i])),
            B1C_MALFORMED, texts[i]);
        ok(ev.event == NULL && ev.id == NULL && ev.data == NULL,
           "nothing is left");
    }
}


/* whatever an operator allows to come in must come out of the queue again */

static void
test_depth(b1c_type_t type, const char *first, const char *part, size_t n,
    const char *middle, const char *close)
{
    char          *body, *p, *text, *again;
    size_t         i, len;
    b1c_event_t    ev;
    b1c_error_t    err;
    b1c_input_t    input;
    b1c_message_t  msg;

    b1c_limits_t  limits = { 100000, 100000, 100000 };

    body = malloc(20000);
    if (body == NULL) {
        abort();
    }

    p = stpcpy(body, first);

    for (i = 0; i < n; i++) {
        p = stpcpy(p, part);
    }

    p = stpcpy(p, middle);

    for (i = 0; i < n; i++) {
        p = stpcpy(p, close);
    }

    p = stpcpy(p, type == B1C_JSON ? "}" : "");

    memset(&input, 0, sizeof(b1c_input_t));
    input.type = type;
    input.body = body;
    input.len = p - body;

    num(b1c_message_parse(&msg, &input, &limits, &err), B1C_OK, first);
    num(b1c_event_build(&ev, &msg, &err), B1C_OK, "1000 levels");
    b1c_message_free(&msg);

    text = b1c_event_json(&ev, 1, &len);
    b1c_event_free(&ev);

    num(b1c_event_from_json(&ev, text, len), B1C_OK, "read again");

    again = b1c_event_json(&ev, 1, &len);
    b1c_event_free(&ev);

    is(again, text, "the same again");

    free(again);
    free(text);
    free(body);
}


static void
test_too_deep(void)
{
    char           body[8192], *p;
    size_t         i;
    b1c_error_t    err;
    b1c_input_t    input;
    b1c_limits_t   limits = { 100000, 100000, 100000 };
    b1c_message_t  msg;

    p = stpcpy(body, "{\"event\":\"ONX\",\"data\":");

    for (i = 0; i < 1000; i++) {
        *p++ = '[';
    }

    memset(p, ']', 1000);
    p += 1000;
    *p++ = '}';

    memset(&input, 0, sizeof(b1c_input_t));
    input.type = B1C_JSON;
    input.body = body;
    input.len = p - body;

    num(b1c_message_parse(&msg, &input, &limits, &err), B1C_MALFORMED,
        "no limit allows 1001 levels");
    is(err.what, "too deep (bitrix1c_limits depth=)", "the reason");
}


int
main(void)
{
    test_round_trip();
    test_fields();
    test_malformed();

    test_depth(B1C_FORM, "event=ONX&data", "[a]", 1000, "=1", "");
    test_depth(B1C_FORM, "document_id[]=a&document_id[]=b&x", "[a]", 1000,
               "=1", "");
    test_depth(B1C_JSON, "{\"event\":\"ONX\",\"data\":", "{\"a\":", 999,
               "1", "}");
    test_depth(B1C_JSON, "{\"document_id\":[\"a\",\"b\"],\"x\":", "[", 999,
               "", "]");
    test_too_deep();

    return tap_done();
}

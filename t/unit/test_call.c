
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"
#include "bitrix_call.h"
#include "bitrix_json.h"


static const bitrix_limits_t  limits = { 20, 4, 32 };


static bitrix_rc_t
build(bitrix_event_t *ev, bitrix_type_t type, const char *method,
    const char *body, const char *query)
{
    cJSON           *json;
    bitrix_rc_t      rc;
    bitrix_form_t    args, form;
    bitrix_error_t   err;

    json = NULL;
    memset(&args, 0, sizeof(args));
    memset(&form, 0, sizeof(form));

    rc = BITRIX_OK;

    if (query[0] != '\0') {
        rc = bitrix_form_parse(&args, query, strlen(query), &limits, NULL,
                               &err);
    }

    if (rc == BITRIX_OK && body[0] != '\0' && type == BITRIX_FORM) {
        rc = bitrix_form_parse(&form, body, strlen(body), &limits, NULL,
                               &err);

    } else if (rc == BITRIX_OK && body[0] != '\0') {
        rc = bitrix_json_parse(&json, body, strlen(body), &limits, NULL,
                               &err);
    }

    if (rc == BITRIX_OK) {
        rc = bitrix_call_build(ev, method, strlen(method), "myshop.ru", 9,
                               &args, &form, json, &err);
    }

    bitrix_form_free(&args);
    bitrix_form_free(&form);
    cJSON_Delete(json);

    return rc;
}


static void
test_result(void)
{
    size_t         i;
    bitrix_buf_t   buf;

    static const struct {
        const char     *text;
        const char     *want;
    } cases[] = {
        { "true", "true" },
        { "12345678901234567890.120", "12345678901234567890.120" },
        { "{\"a\":[1,null],\"b\":\"\\u0434\\/\\n\"}",
          "{\"a\":[1,null],\"b\":\"\\u0434\\/\\n\"}" },
        { "\"\\\\u0001\"", "\"\\\\u0001\"" },
        { "\"a\\u000bb\"", "\"ab\"" },
        { "\"a\\u009Fb\"", "\"ab\"" },
        { "\"a\x0b" "b\"", "\"ab\"" },
        { "\"a\xc2\x80" "b\"", "\"ab\"" },
        { "[1,\n2]", "[1,2]" },
        { "\"\xff\"", NULL },
        { "[1,2}", NULL },
        { "{\"a\" 1}", NULL },
        { "", NULL }
    };

    for (i = 0; i < countof(cases); i++) {
        memset(&buf, 0, sizeof(buf));

        if (!bitrix_call_result(&buf, cases[i].text, strlen(cases[i].text))) {
            ok(cases[i].want == NULL && buf.len == 0, cases[i].text);

        } else {
            bitrix_json_put(&buf, "", 1);
            is(buf.start, cases[i].want ? cases[i].want : "none",
               cases[i].text);
        }

        free(buf.start);
    }
}


static void
test_params(void)
{
    char            *text;
    size_t           i, len;
    bitrix_rc_t      rc;
    bitrix_event_t   ev;

    static const struct {
        bitrix_type_t   type;
        const char     *body;
        const char     *args;
        const char     *params;
    } cases[] = {
        { BITRIX_JSON, "{\"id\":300,\"fields\":{\"statusId\":\"N\"}}", "",
          "{\"id\":300,\"fields\":{\"statusId\":\"N\"}}" },
        { BITRIX_JSON, "", "", "{}" },
        { BITRIX_JSON, "[1]", "", NULL },
        { BITRIX_JSON, "[[]]", "", NULL },
        { BITRIX_JSON, "{\"id\":1", "", NULL },
        { BITRIX_JSON, "{\"id\":1,\"id\":2}", "", NULL },
        { BITRIX_JSON, "{\"a\":1,\"auth\":\"secret\"}", "", "{\"a\":1}" },
        { BITRIX_JSON, "{\"id\":200540400001}", "", "{\"id\":200540400001}" },
        { BITRIX_JSON, "{\"id\":1}", "id=2&x[]=3&x[]=4&auth=s",
          "{\"id\":1,\"x\":[\"3\",\"4\"]}" },
        { BITRIX_FORM, "id=5&fields[a]=b", "",
          "{\"id\":\"5\",\"fields\":{\"a\":\"b\"}}" },
        { BITRIX_FORM, "id=5&id=6", "", NULL },
        { BITRIX_FORM, "0=a", "", "{\"0\":\"a\"}" },
        { BITRIX_FORM, "", "", "{}" },
        { BITRIX_FORM, "", "a", "{\"a\":\"\"}" },
        { BITRIX_FORM, "", "filter[%3EDATE]=1", "{\"filter\":{\">DATE\":\"1\"}}" }
    };

    for (i = 0; i < countof(cases); i++) {
        rc = build(&ev, cases[i].type, "a.b.update", cases[i].body,
                   cases[i].args);

        if (cases[i].params == NULL) {
            num(rc, BITRIX_MALFORMED, cases[i].body);
            continue;
        }

        num(rc, BITRIX_OK, cases[i].body);

        if (rc != BITRIX_OK) {
            continue;
        }

        text = bitrix_call_params(ev.data, &len);
        is(text, cases[i].params, cases[i].params);

        free(text);
        bitrix_event_free(&ev);
    }
}


static void
test_commands(void)
{
    char            *text, body[256];
    size_t           i, len;
    bitrix_event_t   ev;

    static const struct {
        const char  *command;
        const char  *stored;
    } cases[] = {
        { "a.get", "a.get" },
        { "a.get?", "a.get?" },
        { "a.get?id=1&b=2", "a.get?id=1&b=2" },
        { "a.get?auth=s", "a.get?" },
        { "a.get?auth=s&id=1", "a.get?id=1" },
        { "a.get?id=1&auth=s", "a.get?id=1" },
        { "a.get?id=1&auth=s&b=2&auth=t", "a.get?id=1&b=2" },
        { "a.get?id=1&%61u%74h=s&b", "a.get?id=1&b" },
        { "a.get?+%20auth=s", "a.get?" },
        { "a.get?auth[x]=s&auth%5Bx]=s&auth%3ds&auth", "a.get?" },
        { "a.get?author=1&xauth=2&aut=3&au%", "a.get?author=1&xauth=2&aut=3"
          "&au%" },
        { "a.get?x[auth]=1&b=auth=2", "a.get?x[auth]=1&b=auth=2" }
    };

    for (i = 0; i < countof(cases); i++) {
        (void) snprintf(body, sizeof(body), "{\"cmd\":{\"x\":\"%s\"},"
                        "\"CMD\":[\"%s\"]}", cases[i].command,
                        cases[i].command);
        num(build(&ev, BITRIX_JSON, "Batch", body, ""), BITRIX_OK, body);
        text = bitrix_call_params(ev.data, &len);
        (void) snprintf(body, sizeof(body), "{\"cmd\":{\"x\":\"%s\"},"
                        "\"CMD\":[\"%s\"]}", cases[i].stored,
                        cases[i].stored);
        is(text, body, cases[i].command);

        free(text);
        bitrix_event_free(&ev);
    }
}


static void
test_entity(void)
{
    size_t          i;
    bitrix_event_t  ev;

    static const struct {
        const char  *method;
        const char  *body;
        const char  *type;
        const char  *id;
    } cases[] = {
        { "crm.deal.update", "{\"id\":7}", "CRMDEAL", "7" },
        { "crm.deal.update", "{\"ID\":\"7\"}", "CRMDEAL", "7" },
        { "sale.order.update", "{\"id\":300,\"fields\":{}}", "SALEORDER",
          "300" },
        { "catalog.product.update", "{\"fields\":{\"id\":9}}",
          "CATALOGPRODUCT", "9" },
        { "crm.item.update", "{\"entityTypeId\":147,\"id\":2}",
          "CRMDYNAMICITEM_147", "2" },
        { "crm.item.update", "{\"id\":2}", "CRMITEM", "2" },
        { "catalog.storeproduct.update", "{\"productId\":1,\"storeId\":2}",
          "CATALOGSTOREPRODUCT", NULL },
        { "batch", "{\"cmd\":{}}", "", NULL }
    };

    for (i = 0; i < countof(cases); i++) {
        num(build(&ev, BITRIX_JSON, cases[i].method, cases[i].body, ""),
            BITRIX_OK, cases[i].method);
        is(ev.event, cases[i].method, "the method stays as it is");
        is(ev.domain, "myshop.ru", "the portal");
        is(ev.type, cases[i].type, cases[i].type);
        is(ev.id, cases[i].id, "id");
        bitrix_event_free(&ev);
    }
}


static void
test_field(void)
{
    bitrix_event_t    ev;
    bitrix_number_t   number;

    (void) build(&ev, BITRIX_JSON, "a.update",
                 "{\"a\":1,\"fields\":{\"b\":\"x\",\"c\":{\"d\":2.5}},"
                 "\"o\":{\"p\":3},\"l\":[1]}", "");

    is(bitrix_call_field(ev.data, "a", 1, number), "1", "at the top");
    is(bitrix_call_field(ev.data, "b", 1, number), "x", "inside fields");
    is(bitrix_call_field(ev.data, "o.p", 3, number), "3", "by a path");
    is(bitrix_call_field(ev.data, "fields.b", 8, number), "x", "whole path");
    is(bitrix_call_field(ev.data, "B", 1, number), NULL, "case matters");
    is(bitrix_call_field(ev.data, "l", 1, number), NULL, "a list is none");
    is(bitrix_call_field(ev.data, "o", 1, number), NULL, "nor is a map");
    is(bitrix_call_field(ev.data, "c.d", 3, number), NULL,
       "nor a broken number");
    is(bitrix_call_field(ev.data, "o.", 2, number), NULL, "nor a bare dot");

    bitrix_event_free(&ev);
}


/* a call goes into the queue and comes out of it as an event does */

static void
test_stored(void)
{
    char            *text;
    size_t           len;
    bitrix_event_t   ev, back;

    (void) build(&ev, BITRIX_JSON, "crm.deal.update",
                 "{\"id\":7,\"fields\":{\"TITLE\":\"\\u0416\"}}", "");

    text = bitrix_event_json(&ev, 1711111112, &len);
    num(bitrix_event_from_json(&back, text, len), BITRIX_OK, "read back");

    is(back.event, "crm.deal.update", "method");
    is(back.type, "CRMDEAL", "type");
    is(back.id, "7", "id");
    is(back.domain, "myshop.ru", "portal");

    free(text);
    text = bitrix_call_params(back.data, &len);
    is(text, "{\"id\":7,\"fields\":{\"TITLE\":\"\xd0\x96\"}}", "parameters");

    free(text);
    bitrix_event_free(&ev);
    bitrix_event_free(&back);
}


int
main(void)
{
    test_result();
    test_params();
    test_commands();
    test_entity();
    test_field();
    test_stored();

    return tap_done();
}

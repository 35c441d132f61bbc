
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"
#include "b1c_bitrix.h"
#include "b1c_core.h"


static const b1c_limits_t  limits = { 20, 4, 32 };


static b1c_rc_t
build(b1c_event_t *ev, b1c_type_t type, const char *method, const char *body,
    const char *query)
{
    cJSON       *json;
    b1c_rc_t     rc;
    b1c_form_t   args, form;
    b1c_error_t  err;

    json = NULL;
    memset(&args, 0, sizeof(args));
    memset(&form, 0, sizeof(form));

    rc = B1C_OK;

    if (query[0] != '\0') {
        rc = b1c_form_parse(&args, query, strlen(query), &limits, NULL, &err);
    }

    if (rc == B1C_OK && body[0] != '\0' && type == B1C_FORM) {
        rc = b1c_form_parse(&form, body, strlen(body), &limits, NULL, &err);

    } else if (rc == B1C_OK && body[0] != '\0') {
        rc = b1c_json_parse(&json, body, strlen(body), &limits, NULL, &err);
    }

    if (rc == B1C_OK) {
        rc = b1c_call_build(ev, method, strlen(method), "myshop.ru", 9,
                            &args, &form, json, &err);
    }

    b1c_form_free(&args);
    b1c_form_free(&form);
    cJSON_Delete(json);

    return rc;
}


static void
test_result(void)
{
    size_t     i;
    b1c_buf_t  buf;

    static const struct {
        const char  *text;
        const char  *want;
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

        if (!b1c_call_result(&buf, cases[i].text, strlen(cases[i].text))) {
            ok(cases[i].want == NULL && buf.len == 0, cases[i].text);

        } else {
            b1c_json_write_put(&buf, "", 1);
            is(buf.start, cases[i].want ? cases[i].want : "none",
               cases[i].text);
        }

        free(buf.start);
    }
}


static void
test_params(void)
{
    char        *text;
    size_t       i, len;
    b1c_rc_t     rc;
    b1c_event_t  ev;

    static const struct {
        b1c_type_t   type;
        const char  *body;
        const char  *args;
        const char  *params;
    } cases[] = {
        { B1C_JSON, "{\"id\":300,\"fields\":{\"statusId\":\"N\"}}", "",
          "{\"id\":300,\"fields\":{\"statusId\":\"N\"}}" },
        { B1C_JSON, "", "", "{}" },
        { B1C_JSON, "[1]", "", NULL },
        { B1C_JSON, "[[]]", "", NULL },
        { B1C_JSON, "{\"id\":1", "", NULL },
        { B1C_JSON, "{\"id\":1,\"id\":2}", "", NULL },
        { B1C_JSON, "{\"a\":1,\"auth\":\"secret\"}", "", "{\"a\":1}" },
        { B1C_JSON, "{\"id\":200540400001}", "", "{\"id\":200540400001}" },
        { B1C_JSON, "{\"id\":1}", "id=2&x[]=3&x[]=4&auth=s",
          "{\"id\":1,\"x\":[\"3\",\"4\"]}" },
        { B1C_FORM, "id=5&fields[a]=b", "",
          "{\"id\":\"5\",\"fields\":{\"a\":\"b\"}}" },
        { B1C_FORM, "id=5&id=6", "", NULL },
        { B1C_FORM, "0=a", "", "{\"0\":\"a\"}" },
        { B1C_FORM, "", "", "{}" },
        { B1C_FORM, "", "a", "{\"a\":\"\"}" },
        { B1C_FORM, "", "filter[%3EDATE]=1", "{\"filter\":{\">DATE\":\"1\"}}" }
    };

    for (i = 0; i < countof(cases); i++) {
        rc = build(&ev, cases[i].type, "a.b.update", cases[i].body,
                   cases[i].args);

        if (cases[i].params == NULL) {
            num(rc, B1C_MALFORMED, cases[i].body);
            continue;
        }

        num(rc, B1C_OK, cases[i].body);

        if (rc != B1C_OK) {
            continue;
        }

        text = b1c_call_params(ev.data, &len);
        is(text, cases[i].params, cases[i].params);

        free(text);
        b1c_event_free(&ev);
    }
}


static void
test_commands(void)
{
    char        *text, body[256];
    size_t       i, len;
    b1c_event_t  ev;

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
        num(build(&ev, B1C_JSON, "Batch", body, ""), B1C_OK, body);
        text = b1c_call_params(ev.data, &len);
        (void) snprintf(body, sizeof(body), "{\"cmd\":{\"x\":\"%s\"},"
                        "\"CMD\":[\"%s\"]}", cases[i].stored,
                        cases[i].stored);
        is(text, body, cases[i].command);

        free(text);
        b1c_event_free(&ev);
    }
}


static void
test_entity(void)
{
    size_t       i;
    b1c_event_t  ev;

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
        { "crm.item.update", "{\"entityTypeId\":1,\"id\":2}", "CRMLEAD", "2" },
        { "crm.item.update", "{\"entityTypeId\":\"2\",\"id\":2}", "CRMDEAL",
          "2" },
        { "crm.item.add", "{\"entityTypeId\":3}", "CRMCONTACT", NULL },
        { "crm.item.delete", "{\"entityTypeId\":4,\"id\":2}", "CRMCOMPANY",
          "2" },
        { "crm.item.update", "{\"entityTypeId\":7,\"id\":2}", "CRMQUOTE",
          "2" },
        { "crm.item.update", "{\"entityTypeId\":31,\"id\":2}",
          "CRMDYNAMICITEM_31", "2" },
        { "crm.item.update", "{\"id\":2}", "CRMITEM", "2" },
        { "catalog.storeproduct.update", "{\"productId\":1,\"storeId\":2}",
          "CATALOGSTOREPRODUCT", NULL },
        { "batch", "{\"cmd\":{}}", "", NULL }
    };

    for (i = 0; i < countof(cases); i++) {
        num(build(&ev, B1C_JSON, cases[i].method, cases[i].body, ""),
            B1C_OK, cases[i].method);
        is(ev.event, cases[i].method, "the method stays as it is");
        is(ev.domain, "myshop.ru", "the portal");
        is(ev.type, cases[i].type, cases[i].type);
        is(ev.id, cases[i].id, "id");
        b1c_event_free(&ev);
    }
}


static void
test_field(void)
{
    b1c_event_t   ev;
    b1c_number_t  number;

    (void) build(&ev, B1C_JSON, "a.update",
                 "{\"a\":1,\"fields\":{\"b\":\"x\",\"c\":{\"d\":2.5}},"
                 "\"o\":{\"p\":3},\"l\":[1],\"s\":\" +0300 \",\"z\":\"00\","
                 "\"t\":\" 3x\"}", "");

    is(b1c_call_field(ev.data, "a", 1, number), "1", "at the top");
    is(b1c_call_field(ev.data, "b", 1, number), "x", "inside fields");
    is(b1c_call_field(ev.data, "o.p", 3, number), "3", "by a path");
    is(b1c_call_field(ev.data, "s", 1, number), "300", "spaces and zeros");
    is(b1c_call_field(ev.data, "z", 1, number), "0", "a zero");
    is(b1c_call_field(ev.data, "t", 1, number), " 3x", "but no other text");
    is(b1c_call_field(ev.data, "fields.b", 8, number), "x", "whole path");
    is(b1c_call_field(ev.data, "B", 1, number), NULL, "case matters");
    is(b1c_call_field(ev.data, "l", 1, number), NULL, "a list is none");
    is(b1c_call_field(ev.data, "o", 1, number), NULL, "nor is a map");
    is(b1c_call_field(ev.data, "c.d", 3, number), NULL, "nor a broken number");
    is(b1c_call_field(ev.data, "o.", 2, number), NULL, "nor a bare dot");

    b1c_event_free(&ev);
}


/* a call goes into the queue and comes out of it as an event does */

static void
test_stored(void)
{
    char        *text;
    size_t       len;
    b1c_event_t  ev, back;

    (void) build(&ev, B1C_JSON, "crm.deal.update",
                 "{\"id\":7,\"fields\":{\"TITLE\":\"\\u0416\"}}", "");

    text = b1c_event_json(&ev, 1711111112, &len);
    num(b1c_event_from_json(&back, text, len), B1C_OK, "read back");

    is(back.event, "crm.deal.update", "method");
    is(back.type, "CRMDEAL", "type");
    is(back.id, "7", "id");
    is(back.domain, "myshop.ru", "portal");

    free(text);
    text = b1c_call_params(back.data, &len);
    is(text, "{\"id\":7,\"fields\":{\"TITLE\":\"\xd0\x96\"}}", "parameters");

    free(text);
    b1c_event_free(&ev);
    b1c_event_free(&back);
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

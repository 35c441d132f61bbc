
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"
#include "b1c_bitrix.h"
#include "b1c_core.h"


static void
test_method(void)
{
    char         got[256], longest[B1C_METHOD_MAX + 8];
    size_t       i, len;
    const char  *name, *what;

    static const struct {
        const char  *path;
        const char  *method;     /* NULL: refused */
    } cases[] = {
        { "crm.deal.list", "crm.deal.list" },
        { "crm.deal.list.json", "crm.deal.list" },
        { "crm.deal.list.JSON", "crm.deal.list" },
        { "crm.deal.list.xml", "crm.deal.list" },
        { "batch", "batch" },
        { "profile", "profile" },
        { "im.v2.Chat_x1", "im.v2.Chat_x1" },
        { ".json", NULL },
        { "a.json.json", "a.json" },
        { "", NULL },
        { "/", NULL },
        { "1/abcdefghij/crm.deal.list", NULL },
        { "crm.deal.list/", NULL },
        { "/crm.deal.list", NULL },
        { "..", NULL },
        { ".", NULL },
        { ".a", NULL },
        { "a.", NULL },
        { "a..b", NULL },
        { "a b", NULL },
        { "a%2eb", NULL },
        { "a?b", NULL },
        { "a-b", NULL },
        { "a;b", NULL },
        { "a\\b", NULL },
        { "\xd0\xb0", NULL }
    };

    for (i = 0; i < countof(cases); i++) {
        name = NULL;
        len = 0;
        what = b1c_method_method(cases[i].path, strlen(cases[i].path), &name,
                                 &len);

        if (cases[i].method == NULL) {
            ok(what != NULL, cases[i].path);
            continue;
        }

        snprintf(got, sizeof(got), "%.*s", (int) len, name ? name : "");
        is(what ? what : got, cases[i].method, cases[i].path);
    }

    memset(longest, 'a', sizeof(longest));
    ok(b1c_method_method(longest, B1C_METHOD_MAX, &name, &len) == NULL,
       "the longest name");
    ok(b1c_method_method(longest, B1C_METHOD_MAX + 1, &name, &len) != NULL,
       "one that is longer");
}


static void
test_path(void)
{
    size_t  i;

    static const struct {
        const char  *path;
        int          good;
    } cases[] = {
        { "/bitrix/crm.deal.list", 1 },
        { "/bitrix/crm.deal.list?filter[a]=../%2f//", 1 },
        { "/", 1 },
        { "", 1 },
        { "/b%d0%b8/crm.deal.list", 1 },
        { "/bitrix/%", 1 },
        { "/bitrix/../crm.deal.list", 0 },
        { "/bitrix/..", 0 },
        { "/bitrix/..?a", 0 },
        { "/bitrix/./crm.deal.list", 0 },
        { "/bitrix//crm.deal.list", 1 },
        { "/bitrix/x%2Fcrm.deal.list", 0 },
        { "/bitrix/x%2fcrm.deal.list", 0 },
        { "/bitrix/%2e%2e/crm.deal.list", 0 },
        { "/bitrix/crm%2Edeal.list", 0 },
        { "/bitrix/%5c", 0 },
        { "/bitrix/%252f", 0 },
        { "/bitrix/a\\b", 0 },
        { "/bitrix/%2f", 0 }
    };

    for (i = 0; i < countof(cases); i++) {
        num(b1c_method_path(cases[i].path, strlen(cases[i].path)) == NULL,
            cases[i].good, cases[i].path);
    }
}


static void
test_key(void)
{
    char         got[256];
    size_t       i, len;
    const char  *key;

    static const struct {
        const char  *path;
        const char  *key;
        const char  *masked;
    } cases[] = {
        { "/rest/1/abcdefgh/crm.deal.list", "abcdefgh",
          "/rest/1/********/crm.deal.list" },
        { "/rest/api/17/abcdefgh12/x?a=/rest/1/zzzzzzzz/y", "abcdefgh12",
          "/rest/api/17/**********/x?a=/rest/1/********/y" },
        { "http://h/1/2/abcdefgh/x", "abcdefgh", "http://h/1/2/********/x" },
        { "/rest/1/12345678/x", "12345678", "/rest/1/********/x" },
        { "/rest/1/abcdefg/x", NULL, "/rest/1/abcdefg/x" },
        { "/rest/1/abcdefgh", NULL, "/rest/1/********" },
        { "/rest/1/abcde-fgh/x", NULL, "/rest/1/abcde-fgh/x" },
        { "/bitrix/crm.deal.list", NULL, "/bitrix/crm.deal.list" },
        { "/rest/12345678901/abcdefgh/x", NULL,
          "/rest/12345678901/abcdefgh/x" },
        { "/x?a=/rest/1/abcdefgh/y", NULL, "/x?a=/rest/1/********/y" },
        { "", NULL, "" },
        { "/1/", NULL, "/1/" },
        { "/1", NULL, "/1" }
    };

    for (i = 0; i < countof(cases); i++) {
        key = b1c_method_key(cases[i].path, strlen(cases[i].path), &len);
        snprintf(got, sizeof(got), "%.*s", key ? (int) len : 0, key ? key : "");
        is(key ? got : NULL, cases[i].key, cases[i].path);

        strcpy(got, cases[i].path);
        b1c_method_redact(got, strlen(got));
        is(got, cases[i].masked, "masked");
    }
}


static void
test_args(void)
{
    char    out[512];
    size_t  i, len;

    static const struct {
        const char  *args;
        const char  *want;
    } cases[] = {
        { "filter[>=DATE_INSERT]=1&select[]=ID",
          "filter[>%3DDATE_INSERT]=1&select[]=ID" },
        { "filter%5B>=a%5D=1", "filter%5B>%3Da%5D=1" },
        { "filter[!=a][]=1&filter[=b]=c=d", "filter[!%3Da][]=1"
                                            "&filter[%3Db]=c=d" },
        { "a=[b=c]=d", "a=[b=c]=d" },
        { "a[b=c]", "a[b=c]" },
        { "a[b=c]d=e", "a[b=c]d=e" },
        { "a[b=c&d]=e", "a[b=c&d]=e" },
        { "a[b]=c&d[e]=f]=g", "a[b]=c&d[e]=f]=g" },
        { "[=]=", "[%3D]=" },
        { "", "" },
        { "=", "=" }
    };

    for (i = 0; i < countof(cases); i++) {
        len = b1c_method_args(out, cases[i].args, strlen(cases[i].args));
        out[len] = '\0';
        is(out, cases[i].want, cases[i].args);
    }
}


static void
test_prefers(void)
{
    size_t  i;

    static const struct {
        const char  *value;
        int          want;
    } cases[] = {
        { "respond-async", 1 },
        { "Respond-Async", 1 },
        { "wait=10, respond-async", 1 },
        { "wait=10,\trespond-async ; x=1", 1 },
        { "respond-async;x", 1 },
        { "respond-async=\"\"", 1 },
        { "respond-asynchronously, respond-async", 1 },
        { "a=\"x\\\",\", respond-async", 1 },
        { ",, respond-async", 1 },
        { "", 0 },
        { "respond", 0 },
        { "respond-asynchronously", 0 },
        { "x-respond-async", 0 },
        { "x; respond-async", 0 },
        { "x=respond-async", 0 },
        { "x=\"a, respond-async\"", 0 },
        { "x=\"a\\\", respond-async", 0 }
    };

    for (i = 0; i < countof(cases); i++) {
        ok(b1c_method_prefers(cases[i].value, strlen(cases[i].value),
                              "respond-async") == cases[i].want,
           cases[i].value);
    }
}


static void
test_judge(void)
{
    size_t        i;
    b1c_answer_t  answer;

    static const struct {
        unsigned      status;
        const char   *text;
        int           truncated;
        b1c_answer_e  kind;
        const char   *code;
    } cases[] = {
        { 200, "{\"result\":{\"a\":1}}", 0, B1C_ANSWER_OK, "" },
        { 200, "\xef\xbb\xbf {\"result\":[]}", 0, B1C_ANSWER_OK, "" },
        { 200, "{\"result\":{\"error\":\"x\"}}", 0, B1C_ANSWER_OK, "" },
        { 200, "{\"error\":\"x\"}", 0, B1C_ANSWER_ERROR, "x" },
        { 400, "{\"error\":200540400001,\"error_description\":\"\"}", 0,
          B1C_ANSWER_ERROR, "200540400001" },
        { 200, "{\"error\":0,\"error_description\":\"error\"}", 0,
          B1C_ANSWER_ERROR, "0" },
        { 400, "{\"error\":\"\"}", 0, B1C_ANSWER_ERROR, "" },
        { 503, "{\"error\":\"QUERY_LIMIT_EXCEEDED\"}", 0,
          B1C_ANSWER_QUERY_LIMIT, "QUERY_LIMIT_EXCEEDED" },
        { 200, "{\"error\":\"query_limit_exceeded\"}", 0,
          B1C_ANSWER_QUERY_LIMIT, "query_limit_exceeded" },
        { 503, "{\"error\":\"OVERLOAD_LIMIT\"}", 0, B1C_ANSWER_OVERLOAD,
          "OVERLOAD_LIMIT" },
        { 429, "{\"error\":\"OPERATION_TIME_LIMIT\"}", 0,
          B1C_ANSWER_OPERATION, "OPERATION_TIME_LIMIT" },
        { 404, "{\"error\":\"ERROR_METHOD_NOT_FOUND\"}", 0,
          B1C_ANSWER_NO_METHOD, "ERROR_METHOD_NOT_FOUND" },
        { 500, "{\"result\":1}", 0, B1C_ANSWER_ERROR, "" },
        { 503, "<html>QUERY_LIMIT_EXCEEDED</html>", 0, B1C_ANSWER_FOREIGN,
          "" },
        { 200, "", 0, B1C_ANSWER_FOREIGN, "" },
        { 200, "null", 0, B1C_ANSWER_FOREIGN, "" },
        { 200, "[]", 0, B1C_ANSWER_FOREIGN, "" },
        { 200, "{\"result\":{\"a\"", 0, B1C_ANSWER_TRUNCATED, "" },
        { 200, "{\"result\":\"}", 0, B1C_ANSWER_TRUNCATED, "" },
        { 200, "", 1, B1C_ANSWER_TRUNCATED, "" }
    };

    for (i = 0; i < countof(cases); i++) {
        b1c_portal_answer_judge(&answer, cases[i].status, cases[i].text,
                                strlen(cases[i].text), cases[i].truncated);
        num(answer.kind, cases[i].kind, cases[i].text);
        is(answer.code, cases[i].code, "its code");
    }
}


static void
test_time(void)
{
    char         *text;
    size_t        i;
    b1c_answer_t  answer;

    static const struct {
        const char  *tail;
        unsigned     operating;
        long long    reset_at;
    } cases[] = {
        { "\"operating_reset_at\":1778747792,\"operating\":3.3076241016}}", 3,
          1778747792 },
        { "\"operating\": 479.99 ,\"operating_reset_at\": 1778747792}", 479,
          1778747792 },
        { "{\"operating\":1,\"x\":{\"operating\":2}}", 2, 0 },
        { "\\\"operating\\\":77,\\\"operating_reset_at\\\":5", 0, 0 },
        { "\"operating\":-1,\"operating_reset_at\":-5}", 0, 0 },
        { "\"operating\":\"12\",\"operating_reset_at\":\"34\"}", 12, 34 },
        { "\"operating\":null,\"operating_reset_at\":{}}", 0, 0 },
        { "\"operating_reset_at\":99999999999999999999}", 0, 0 },
        { "\"operating\":", 0, 0 },
        { "\"operating", 0, 0 },
        { "", 0, 0 }
    };

    for (i = 0; i < countof(cases); i++) {
        memset(&answer, 0, sizeof(b1c_answer_t));
        b1c_portal_answer_time(&answer, cases[i].tail, strlen(cases[i].tail));
        num(answer.operating, cases[i].operating, cases[i].tail);
        num(answer.reset_at, cases[i].reset_at, "reset_at");
    }

    text = b1c_method_error("A_CODE", "what \"is\"\nwrong", &i);
    is(text, "{\"error\":\"A_CODE\",\"error_description\":"
             "\"what \\\"is\\\"\\nwrong\"}", "an error");
    num(i, strlen(text), "its length");
    free(text);
}


static void
test_trap(void)
{
    int           found;
    char          got[B1C_WARNING_MAX];
    cJSON        *json;
    size_t        i;
    b1c_rc_t      rc;
    b1c_form_t    form;
    b1c_error_t   err;
    b1c_answer_t  answer;

    static const struct {
        const char  *method;
        const char  *params;     /* JSON, or a form */
        const char  *warning;    /* a part of it; NULL: none */
    } cases[] = {
        { "sale.order.list", "filter[STATUS_ID]=N&select[]=ID",
          "silently ignores STATUS_ID in filter, so the list is not filtered: "
          "use statusId" },
        { "SALE.ORDER.LIST", "filter[>%3DDATE_INSERT]=1&filter[payed]=Y",
          "silently ignores DATE_INSERT in filter, so the list is filtered less "
          "than requested: use dateInsert" },
        { "sale.order.list", "select[]=ID&select[1]=statusId",
          "silently ignores ID in select: use id" },
        { "sale.order.list", "order[DATE_UPDATE]=asc", "dateUpdate" },
        { "sale.order.list", "filter[statusId]=N&filter[@payed][]=Y", NULL },
        { "sale.order.list", "filter[property123]=N&filter[10]=1", NULL },
        { "sale.order.list", "FILTER=N&ID=3&start=50", NULL },
        { "crm.deal.list", "filter[STAGE_ID]=NEW", NULL },
        { "sales.order.list", "filter[STAGE_ID]=NEW", NULL },
        { "sale.order.update", "{\"id\":1,\"fields\":{\"STATUS_ID\":\"F\"}}",
          "silently ignores STATUS_ID in fields, so the update does not change "
          "it: use statusId" },
        { "catalog.product.list", "{\"select\":[\"ID\",\"iblockId\"]}",
          "silently ignores ID in select" },
        { "catalog.product.list", "{\"filter\":{\"!%NAME\":\"x\"}}",
          "silently ignores NAME in filter" },
        { "catalog.product.list", "{\"filter\":\"NAME\",\"select\":[1,null]}",
          NULL },
        { "catalog.product.list", "{}", NULL }
    };

    for (i = 0; i < countof(cases); i++) {
        json = NULL;
        memset(&form, 0, sizeof(b1c_form_t));

        rc = cases[i].params[0] == '{'
             ? B1C_OK
             : b1c_form_parse(&form, cases[i].params,
                              strlen(cases[i].params), &tap_limits, NULL,
                              &err);
        if (cases[i].params[0] == '{') {
            json = cJSON_Parse(cases[i].params);
        }

        num(rc, B1C_OK, cases[i].params);

        found = b1c_warning_call(cases[i].method, strlen(cases[i].method),
                                 &form, json, got);

        num(found, cases[i].warning != NULL, "warned");

        if (cases[i].warning != NULL && found) {
            ok(strstr(got, cases[i].warning) != NULL, got);
        }

        cJSON_Delete(json);
        b1c_form_free(&form);
    }

    memset(&answer, 0, sizeof(b1c_answer_t));
    answer.kind = B1C_ANSWER_NO_METHOD;

    ok(b1c_warning_answer("catalog.storeproduct.update", 27, &answer, got),
       "a method that never was");
    ok(!b1c_warning_answer("catalog.product.update", 22, &answer, got),
       "another one");
    answer.kind = B1C_ANSWER_ERROR;
    ok(!b1c_warning_answer("catalog.storeproduct.update", 27, &answer, got),
       "another error");
}


static void
test_scan(void)
{
    char        got[256];
    size_t      i;
    b1c_span_t  span;

    static const struct {
        const char  *text;
        const char  *name;
        const char  *value;      /* NULL: none */
    } cases[] = {
        { "{\"a\":12345678901234567890.5e10}", "a",
          "12345678901234567890.5e10" },
        { " { \"b\" : [ ] , \"a\" : { \"a\" : 1 } } ", "a", "{ \"a\" : 1 }" },
        { "{\"a\":1,\"a\":2}", "a", "2" },
        { "{\"x\":\"\\\"a\\\":1\",\"a\":true}", "a", "true" },
        { "{\"a\":\"]}\"}", "a", "\"]}\"" },
        { "{\"x\":[[[{}]]],\"a\":null}", "a", "null" },
        { "[{\"a\":1}]", "a", NULL },
        { "[]", "a", NULL },
        { "{}", "a", NULL },
        { "{\"a\"}", "a", NULL },
        { "{\"a\":}", "a", NULL },
        { "{a:1}", "a", NULL },
        { "{\"a\":1", "a", NULL },
        { "}", "a", NULL }
    };

    for (i = 0; i < countof(cases); i++) {
        span = b1c_json_scan_find(b1c_json_scan_value(cases[i].text,
                                                      strlen(cases[i].text)),
                                  cases[i].name);
        snprintf(got, sizeof(got), "%.*s", (int) span.len,
                 span.start ? span.start : "");
        is(span.start ? got : NULL, cases[i].value, cases[i].text);
    }
}


int
main(void)
{
    test_method();
    test_path();
    test_key();
    test_args();
    test_prefers();
    test_judge();
    test_time();
    test_trap();
    test_scan();

    return tap_done();
}

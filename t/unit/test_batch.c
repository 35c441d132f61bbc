
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"
#include "b1c_bitrix.h"
#include "b1c_core.h"


static b1c_error_t  err;


static void
form_of(b1c_form_t *form, const char *text)
{
    memset(form, 0, sizeof(b1c_form_t));

    if (text != NULL
        && b1c_form_parse(form, text, strlen(text), &tap_limits, NULL, &err)
           != B1C_OK)
    {
        printf("# %s: %s\n", text, err.what);
        abort();
    }
}


/* "name method query;..." or the reason why not */

static char *
commands_of(const char *args, const char *body)
{
    char           *text;
    cJSON          *json;
    size_t          i;
    b1c_form_t      a, f;
    b1c_batch_t     batch;
    b1c_batch_rc_t  rc;

    static const char *const  names[] = {
        "", "malformed", "length", "nested", "nomem"
    };

    json = NULL;
    form_of(&a, args);
    form_of(&f, body != NULL && *body != '{' ? body : NULL);

    if (body != NULL && *body == '{'
        && b1c_json_parse(&json, body, strlen(body), &tap_limits, NULL,
                          &err)
           != B1C_OK)
    {
        abort();
    }

    rc = b1c_batch_parse(&batch, &a, &f, json, &err);

    text = calloc(1, 8192);
    strcpy(text, names[rc]);

    for (i = 0; rc == B1C_BATCH_OK && i < batch.n; i++) {
        sprintf(text + strlen(text), "%s %s %s;", batch.commands[i].name,
                batch.commands[i].method, batch.commands[i].query);
    }

    b1c_batch_free(&batch);
    b1c_form_free(&a);
    b1c_form_free(&f);
    cJSON_Delete(json);

    return text;
}


static void
test_parse(void)
{
    char   *got;
    size_t  i;

    static const struct {
        const char  *args;
        const char  *body;
        const char  *want;
    } cases[] = {
        { NULL, "cmd[a]=crm.deal.list&halt=0", "a crm.deal.list ;" },
        { NULL, "cmd[a]=crm.deal.get%3FID%3D%24result%5Bb%5D%5BID%5D"
                "&cmd[b]=x.json",
          "a crm.deal.get ID=$result[b][ID];b x ;" },
        { NULL, "cmd[]=a&cmd[]=b?c", " a ; b c;" },
        { "cmd[x]=a", NULL, "x a ;" },
        { "cmd[x]=a", "cmd[y]=b", "x a ;y b ;" },
        { "cmd[x]=a", "{\"cmd\":{\"y\":\"b\"}}", "x a ;y b ;" },
        { NULL, "{\"halt\":1,\"cmd\":{\"a\":\"x?y=%20\",\"b\":\"z\"}}",
          "a x y=%20;b z ;" },
        { NULL, "{\"cmd\":[\"a\",\"b?c\"]}", "0 a ;1 b c;" },
        { NULL, "{\"CMD\":{\"a\":\"x\"},\"cmd\":{\"b\":\"y\"}}",
          "a x ;b y ;" },
        { NULL, "CMD[a]=x", "a x ;" },

        { NULL, NULL, "malformed" },
        { NULL, "{}", "malformed" },
        { NULL, "{\"cmd\":{}}", "malformed" },
        { NULL, "{\"cmd\":[]}", "malformed" },
        { NULL, "{\"cmd\":\"x\"}", "malformed" },
        { NULL, "{\"cmd\":{\"a\":1}}", "malformed" },
        { NULL, "{\"cmd\":{\"a\":{\"b\":\"c\"}}}", "malformed" },
        { NULL, "{\"cmd\":{\"a\":\"\"}}", "malformed" },
        { NULL, "{\"cmd\":{\"a\":\"1/abcdefgh/x\"}}", "malformed" },
        { NULL, "{\"cmd\":{\"a\":\" batch\"}}", "malformed" },
        { NULL, "cmd=x", "malformed" },
        { NULL, "+cmd[a]=x", "malformed" },
        { NULL, "cmd[a][b]=x", "malformed" },
        { NULL, "cmd+[a]=x", "malformed" },

        { NULL, "cmd[a]=batch", "nested" },
        { NULL, "cmd[a]=Batch.json%3Fcmd[x]=y", "nested" },
        { NULL, "{\"cmd\":{\"b\":\"x\",\"a\":\"BATCH?halt=0\"}}", "nested" },
        { "cmd[a]=batch", "{\"cmd\":{\"b\":\"x\"}}", "nested" }
    };

    for (i = 0; i < countof(cases); i++) {
        got = commands_of(cases[i].args, cases[i].body);
        is(got, cases[i].want, cases[i].body ? cases[i].body : "no body");
        free(got);
    }
}


static void
test_length(void)
{
    char   *got, text[4096];
    size_t  i, n;

    for (n = 50; n <= 51; n++) {

        strcpy(text, "{\"cmd\":{");

        for (i = 0; i < n; i++) {
            sprintf(text + strlen(text), "%s\"c%zu\":\"a.b\"", i ? "," : "", i);
        }

        strcat(text, "}}");

        got = commands_of(NULL, text);
        num(strcmp(got, "length") == 0, n == 51, "commands in a batch");
        free(got);
    }

    strcpy(text, "a=b");

    for (i = 0; i < 26; i++) {
        sprintf(text + strlen(text), "&cmd[c%zu]=a.b", i);
    }

    got = commands_of(text, text);
    is(got, "length", "26 in the query string and 26 in the body");
    free(got);
}


static void
test_unfit(void)
{
    cJSON  *json;
    size_t  i;

    static const struct {
        const char  *params;
        int          fit;
    } cases[] = {
        { "{}", 1 },
        { "{\"a\":1,\"b\":[1,{\"c\":\"\"}],\"d\":true}", 1 },
        { "{\"a\":null}", 0 },
        { "{\"a\":{\"b\":[null]}}", 0 },
        { "{\"a\":[]}", 0 },
        { "{\"a\":{}}", 0 },
        { "{\"\":1}", 0 },
        { "[1]", 0 },
        { "1", 0 },
        { "{\"a\":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}", 0 },

        { "{\"a\":\"pay $result[c0][PASSWORD]\"}", 0 },
        { "{\"a\":{\"b\":[\"$next[c0]\"]}}", 0 },
        { "{\"a\":\"US$total[c0]\"}", 0 },
        { "{\"a\":\"$TIME[c0]\"}", 0 },
        { "{\"a\":\"$error[c0]\"}", 0 },
        { "{\"a\":\"$resultant[c0]\"}", 0 },
        { "{\"a\":\"$signature[c0]\"}", 0 },
        { "{\"a\":\"$$result[c0]\"}", 0 },
        { "{\"a\":\"$5 ${x} $ result[c0] a$\"}", 1 },

        { "{\"a.b\":1}", 0 },
        { "{\"c d\":1}", 0 },
        { "{\" c\":1}", 0 },
        { "{\"e[f\":1}", 0 },
        { "{\"x]y\":1}", 0 },
        { "{\"$a\":1}", 0 },
        { "{\"5\":1}", 0 },
        { "{\"-5\":1}", 0 },
        { "{\"token\":\"x\"}", 0 },
        { "{\"a\":{\"token\":\"x\",\"b.c\":1,\"b c\":1,\"5\":1,\"#\":2}}", 1 },
        { "{\"a#b\":\"#=&?\",\"a:b/c\":1,\">=a\":1}", 1 },
        { "{\"a\":{\"b[\":1}}", 0 },
        { "{\"a\":{\"b]\":1}}", 0 },
        { "{\"a\":{\" \":1}}", 0 },
        { "{\"a\":{\"\":1}}", 0 }
    };

    static const char *const  alone[] = {
        "batch", "BATCH", "download", "Upload", "catalog.product.download",
        "crm.controller.item.getFile",
        "crm.documentgenerator.document.getpdf"
    };

    for (i = 0; i < countof(cases); i++) {
        json = cJSON_Parse(cases[i].params);
        num(b1c_batch_unfit("crm.deal.list", json) == NULL, cases[i].fit,
            cases[i].params);
        cJSON_Delete(json);
    }

    for (i = 0; i < countof(alone); i++) {
        ok(b1c_batch_unfit(alone[i], NULL) != NULL, alone[i]);
    }

    ok(b1c_batch_unfit("crm.deal.list", NULL) == NULL, "no parameters");
}


static void
test_unfit_values(void)
{
    cJSON  *json, *list;
    size_t  n;

    json = cJSON_CreateObject();
    list = cJSON_AddArrayToObject(json, "rows");

    for (n = 1; n <= 1001; n++) {
        cJSON_AddItemToArray(list, cJSON_CreateNumber(n));

        if (n == 999 || n == 1001) {
            num(b1c_batch_unfit("crm.deal.list", json) == NULL, n == 999,
                "values of max_input_vars");
        }
    }

    cJSON_Delete(json);
}


static void
test_build(void)
{
    char         *text;
    cJSON        *params;
    size_t        len;
    b1c_packed_t  calls[2];

    static const char  json[] = "{\"id\":200540400001,\"fields\":{\"price\":"
        "10.5,\"name\":\"a&b=\xd0\xb8 [\",\"on\":true,\"off\":false,\"list\":"
        "[1,\"x\"],\"big\":12345678901234567890}}";

    if (b1c_json_parse(&params, json, sizeof(json) - 1, &tap_limits, NULL,
                       &err)
        != B1C_OK)
    {
        abort();
    }

    calls[0].name = "c0";
    calls[0].method = "sale.order.update";
    calls[0].params = params;
    calls[1].name = "c1";
    calls[1].method = "profile";
    calls[1].params = NULL;

    text = b1c_batch_build(calls, 2, &len);
    is(text, "{\"halt\":0,\"cmd\":{\"c0\":\"sale.order.update?"
             "id=200540400001&fields%5Bprice%5D=10.5"
             "&fields%5Bname%5D=a%26b%3D%D0%B8%20%5B&fields%5Bon%5D=1"
             "&fields%5Boff%5D=0&fields%5Blist%5D%5B0%5D=1"
             "&fields%5Blist%5D%5B1%5D=x&fields%5Bbig%5D=12345678901234567890"
             "\",\"c1\":\"profile\"}}", "a batch of two");
    num(len, strlen(text), "its length");

    free(text);
    cJSON_Delete(params);
}


static void
test_reply(void)
{
    char         got[256];
    size_t       i;
    b1c_reply_t  reply;

    static const char  text[] =
        "{\"result\":{\"result\":{\"a\":{\"id\":200540400001},\"b\":[],"
        "\"n\":null},\"result_error\":{\"c\":{\"error\":"
        "\"OPERATION_TIME_LIMIT\",\"error_description\":\"blocked\"},"
        "\"d\":{\"error\":200540400001,\"error_description\":\"no order\"},"
        "\"e\":\"odd\"},\"result_total\":[],\"result_next\":[],"
        "\"result_time\":{\"a\":{\"operating\":70.5,"
        "\"operating_reset_at\":1778747792}}},\"time\":{\"operating\":1}}";

    static const struct {
        const char   *name;
        b1c_answer_e  kind;
        const char   *value;     /* result, or code */
    } cases[] = {
        { "a", B1C_ANSWER_OK, "{\"id\":200540400001}" },
        { "b", B1C_ANSWER_OK, "[]" },
        { "n", B1C_ANSWER_OK, "null" },
        { "c", B1C_ANSWER_OPERATION, "OPERATION_TIME_LIMIT" },
        { "d", B1C_ANSWER_ERROR, "200540400001" },
        { "e", B1C_ANSWER_ERROR, "odd" },
        { "z", B1C_ANSWER_NONE, "" }
    };

    for (i = 0; i < countof(cases); i++) {
        b1c_batch_reply(&reply, text, sizeof(text) - 1, cases[i].name);
        num(reply.answer.kind, cases[i].kind, cases[i].name);

        snprintf(got, sizeof(got), "%.*s", (int) reply.result.len,
                 reply.result.start ? reply.result.start : "");
        is(reply.answer.kind == B1C_ANSWER_OK ? got : reply.answer.code,
           cases[i].value, "what it says");
    }

    b1c_batch_reply(&reply, text, sizeof(text) - 1, "a");
    num(reply.answer.operating, 70, "a command's own time");
    num(reply.answer.reset_at, 1778747792, "and when it falls");

    b1c_batch_reply(&reply, text, sizeof(text) - 1, "d");
    snprintf(got, sizeof(got), "%.*s", (int) reply.description.len,
             reply.description.start ? reply.description.start : "");
    is(got, "\"no order\"", "a description");

    b1c_batch_reply(&reply, "{\"result\":{\"result\":[],\"result_error\":"
                            "[]}}", 41, "a");
    num(reply.answer.kind, B1C_ANSWER_NONE, "[] for an empty object");

    b1c_batch_reply(&reply, "{\"result\":", 10, "a");
    num(reply.answer.kind, B1C_ANSWER_NONE, "cut off");
}


/* PHP makes a list of the keys 0, 1, ... */
static void
test_reply_list(void)
{
    size_t       i;
    b1c_reply_t  reply;

    static const char  text[] =
        "{\"result\":{\"result\":{\"1\":true,\"2\":7},\"result_error\":"
        "[{\"error\":\"OPERATION_TIME_LIMIT\"}],\"result_time\":"
        "{\"1\":{\"duration\":1.25,\"operating\":61}}}}";

    static const char  list[] =
        "{\"result\":{\"result\":[1,null],\"result_error\":[],"
        "\"result_time\":[{\"duration\":0.5},{\"operating\":9}]}}";

    static const struct {
        const char   *text;
        const char   *name;
        b1c_answer_e  kind;
        unsigned      duration;
        unsigned      operating;
    } cases[] = {
        { text, "0", B1C_ANSWER_OPERATION, 0, 0 },
        { text, "1", B1C_ANSWER_OK, 1250, 61 },
        { text, "2", B1C_ANSWER_OK, 0, 0 },
        { list, "0", B1C_ANSWER_OK, 500, 0 },
        { list, "1", B1C_ANSWER_OK, 0, 9 },
        { list, "2", B1C_ANSWER_NONE, 0, 0 },
        { list, "01", B1C_ANSWER_NONE, 0, 0 }
    };

    for (i = 0; i < countof(cases); i++) {
        b1c_batch_reply(&reply, cases[i].text, strlen(cases[i].text),
                        cases[i].name);
        num(reply.answer.kind, cases[i].kind, cases[i].name);
        num(reply.answer.duration, cases[i].duration, "its duration");
        num(reply.answer.operating, cases[i].operating, "its operating time");
    }

    num(b1c_batch_failed(b1c_json_scan_find(
            b1c_json_scan_value(text, sizeof(text) - 1), "result")), 1,
        "failed commands of a list");
}


/* the end of an answer that was too large */
static void
test_tail(void)
{
    size_t        i;
    b1c_reply_t   reply;
    b1c_answer_t  answer;

    static const char  tail[] =
        "xx\",\"result_error\":1}},\"result_error\":{\"c1\":{\"error\":\"E\"}},"
        "\"result_total\":[],\"result_next\":[],\"result_time\":{\"c0\":"
        "{\"duration\":2}}},\"time\":{\"duration\":3}}\n";

    static const struct {
        const char   *name;
        b1c_answer_e  kind;
    } cases[] = {
        { "c0", B1C_ANSWER_OK },
        { "c1", B1C_ANSWER_ERROR },
        { "c2", B1C_ANSWER_TRUNCATED }
    };

    for (i = 0; i < countof(cases); i++) {
        b1c_batch_tail(&reply, tail, sizeof(tail) - 1, cases[i].name);
        num(reply.answer.kind, cases[i].kind, cases[i].name);
    }

    b1c_batch_tail(&reply, tail + 50, sizeof(tail) - 51, "c0");
    num(reply.answer.kind, B1C_ANSWER_TRUNCATED, "no errors in the tail");

    memset(&answer, 0, sizeof(b1c_answer_t));
    answer.kind = B1C_ANSWER_TRUNCATED;

    b1c_portal_answer_tail(&answer, "<html>    ", 10, tail, sizeof(tail) - 1);
    num(answer.kind, B1C_ANSWER_TRUNCATED, "not an answer");

    b1c_portal_answer_tail(&answer, "{\"result\":", 10, tail, 20);
    num(answer.kind, B1C_ANSWER_TRUNCATED, "without an end");

    b1c_portal_answer_tail(&answer, "{\"result\":", 10, tail,
                           sizeof(tail) - 1);
    num(answer.kind, B1C_ANSWER_OK, "a whole answer");
    num(answer.duration, 3000, "its time");
}


static void
test_codes(void)
{
    size_t        i;
    b1c_answer_t  answer;

    static const struct {
        const char   *text;
        b1c_answer_e  kind;
        const char   *code;
    } cases[] = {
        { "{\"error\":null,\"result\":1}", B1C_ANSWER_OK, "" },
        { "{\"error\":\"insufficient_scope\"}", B1C_ANSWER_NO_RIGHT,
          "insufficient_scope" },
        { "{\"error\":\"ERROR_BATCH_METHOD_NOT_ALLOWED\"}",
          B1C_ANSWER_NO_BATCH, "ERROR_BATCH_METHOD_NOT_ALLOWED" },
        { "{\"error\":{\"code\":\"X_Y\",\"message\":\"z\"}}",
          B1C_ANSWER_ERROR, "X_Y" },
        { "{\"error\":{\"code\":"
          "\"BITRIX_REST_V3_EXCEPTIONS_RATELIMITEXCEPTION\"}}",
          B1C_ANSWER_OPERATION,
          "BITRIX_REST_V3_EXCEPTIONS_RATELIMITEXCEPTION" },
        { "{\"error\":{}}", B1C_ANSWER_ERROR, "" }
    };

    for (i = 0; i < countof(cases); i++) {
        b1c_portal_answer_judge(&answer, 200, cases[i].text,
                                strlen(cases[i].text), 0);
        num(answer.kind, cases[i].kind, cases[i].text);
        is(answer.code, cases[i].code, "its code");
    }
}


int
main(void)
{
    test_parse();
    test_length();
    test_unfit();
    test_unfit_values();
    test_build();
    test_reply();
    test_reply_list();
    test_tail();
    test_codes();

    return tap_done();
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"


#define HEAD(event, ts)                                                      \
    ",\"event\":\"" event "\",\"ts\":" ts ",\"received\":1700000000,"
#define SOURCE  "\"source\":{\"domain\":\"\",\"member_id\":\"\"},"


static void
is_event(b1c_type_t type, const char *body, const char *args, const char *want)
{
    char  *got;

    got = tap_event(type, body, args, NULL);
    is(got, want, body);
    free(got);
}


static void
test_json(void)
{
    is_event(B1C_FORM,
             "event=ONSALEORDERNEW&data%5BFIELDS%5D%5BID%5D=123&ts=1711111111"
             "&auth%5Bdomain%5D=myshop.ru&auth%5Bmember_id%5D=a223"
             "&auth%5Bapplication_token%5D=secret", NULL,
             ",\"event\":\"ONSALEORDERNEW\",\"ts\":1711111111,"
             "\"received\":1700000000,"
             "\"source\":{\"domain\":\"myshop.ru\",\"member_id\":\"a223\"},"
             "\"entity\":{\"type\":\"SALEORDER\",\"id\":\"123\"},"
             "\"data\":{\"FIELDS\":{\"ID\":\"123\"}}}");

    is_event(B1C_JSON,
             "{\"event\":\"onCrmDealUpdate\",\"data\":{\"FIELDS\":{\"ID\":300,"
             "\"SUM\":12.5,\"N\":[1,null,true]}},\"ts\":1711111111,"
             "\"auth\":{\"application_token\":\"secret\"}}", NULL,
             HEAD("ONCRMDEALUPDATE", "1711111111") SOURCE
             "\"entity\":{\"type\":\"CRMDEAL\",\"id\":\"300\"},"
             "\"data\":{\"FIELDS\":{\"ID\":300,\"SUM\":12.5,"
             "\"N\":[1,null,true]}}}");

    /* without an entity, without ts, without data */

    is_event(B1C_FORM, "event=ONAPPTEST", NULL,
             HEAD("ONAPPTEST", "1700000000") SOURCE
             "\"entity\":{\"type\":\"APPTEST\",\"id\":null},\"data\":{}}");

    /* what 1C gets is text whatever is in it */

    is_event(B1C_FORM, "event=A&data[a\"b]=%22%5C%09%0D%0A%01/%D0%90", NULL,
             HEAD("A", "1700000000") SOURCE
             "\"entity\":{\"type\":\"A\",\"id\":null},"
             "\"data\":{\"a\\\"b\":\"\\\"\\\\\\t\\r\\n/А\"}}");
}


static void
test_data(void)
{
    char   *want, *half;
    size_t  i;

    static const struct {
        b1c_type_t   type;
        const char  *body;
        const char  *data;
    } cases[] = {
        { B1C_FORM, "event=A&data[x]=undefined", "{\"x\":\"undefined\"}" },
        { B1C_FORM, "event=A&data[0]=x&data[1]=y", "[\"x\",\"y\"]" },
        { B1C_FORM, "event=A&other[x]=1&x=2", "{}" },
        { B1C_JSON, "{\"event\":\"A\"}", "{}" },
        { B1C_JSON, "{\"event\":\"A\",\"data\":[]}", "{}" },
        { B1C_JSON, "{\"event\":\"A\",\"data\":{}}", "{}" },
        { B1C_JSON, "{\"event\":\"A\",\"data\":null}", "{}" },
        { B1C_JSON, "{\"event\":\"A\",\"data\":{\"x\":[],\"y\":{}}}",
                       "{\"x\":[],\"y\":{}}" },
        { B1C_JSON, "{\"event\":\"A\",\"data\":{\"n\":1152921504606846976,"
                    "\"m\":1e3}}",
                       "{\"n\":\"1152921504606846976\",\"m\":\"1e3\"}" }
    };

    for (i = 0; i < countof(cases); i++) {
        half = tap_join(HEAD("A", "1700000000") SOURCE
                        "\"entity\":{\"type\":\"A\",\"id\":null},\"data\":",
                        cases[i].data);
        want = tap_join(half, "}");

        is_event(cases[i].type, cases[i].body, NULL, want);

        free(half);
        free(want);
    }
}


static void
test_malformed(void)
{
    size_t  i;

    static const struct {
        b1c_type_t   type;
        const char  *body;
        const char  *want;
    } cases[] = {
        { B1C_FORM, "ts=1", "malformed: no event" },
        { B1C_FORM, "document=1", "malformed: no event" },
        { B1C_JSON, "{}", "malformed: no event" },
        { B1C_JSON, "{\"event\":null}", "malformed: no event" },
        { B1C_FORM, "event=", "malformed: event is not a name" },
        { B1C_FORM, "event", "malformed: event is not a name" },
        { B1C_FORM, "event=A+B", "malformed: event is not a name" },
        { B1C_FORM, "event=A%0AB", "malformed: event is not a name" },
        { B1C_FORM, "event=A*", "malformed: event is not a name" },
        { B1C_FORM, "event=%D0%90", "malformed: event is not a name" },
        { B1C_FORM, "event[]=A", "malformed: event is not a name" },
        { B1C_FORM, "event[A]=A", "malformed: event is not a name" },
        { B1C_JSON, "{\"event\":1}", "malformed: event is not a name" },
        { B1C_JSON, "{\"event\":[\"A\"]}",
                       "malformed: event is not a name" },
        { B1C_JSON, "{\"event\":true}", "malformed: event is not a name" },

        { B1C_FORM, "event=A&data=1&data[x]=1",
                       "malformed: key is both a scalar and a map" },
        { B1C_FORM, "event=A&data[x]=1&data=1",
                       "malformed: key is both a scalar and a map" },
        { B1C_FORM, "event=A&auth=1&auth[application_token]=t",
                       "malformed: key is both a scalar and a map" },
        { B1C_FORM, "event=A&data[x]=1&data[x]=1",
                       "malformed: key is repeated" },
        { B1C_FORM, "event=A&ts=1&ts=1", "malformed: key is repeated" },

        { B1C_FORM, "event=A&ts=", "malformed: ts is not a number" },
        { B1C_FORM, "event=A&ts=x", "malformed: ts is not a number" },
        { B1C_FORM, "event=A&ts=-1", "malformed: ts is not a number" },
        { B1C_FORM, "event=A&ts=+1", "malformed: ts is not a number" },
        { B1C_FORM, "event=A&ts=1.5", "malformed: ts is not a number" },
        { B1C_FORM, "event=A&ts=1e9", "malformed: ts is not a number" },
        { B1C_FORM, "event=A&ts=0x1", "malformed: ts is not a number" },
        { B1C_FORM, "event=A&ts[]=1", "malformed: ts is not a number" },
        { B1C_FORM, "event=A&ts=253402300800",
                       "malformed: ts is not a number" },
        { B1C_FORM, "event=A&ts=99999999999999999999999999",
                       "malformed: ts is not a number" },
        { B1C_JSON, "{\"event\":\"A\",\"ts\":-1}",
                       "malformed: ts is not a number" },
        { B1C_JSON, "{\"event\":\"A\",\"ts\":1.5}",
                       "malformed: ts is not a number" },
        { B1C_JSON, "{\"event\":\"A\",\"ts\":1e9}",
                       "malformed: ts is not a number" },
        { B1C_JSON, "{\"event\":\"A\",\"ts\":true}",
                       "malformed: ts is not a number" },
        { B1C_JSON, "{\"event\":\"A\",\"ts\":253402300800}",
                       "malformed: ts is not a number" },

        { B1C_FORM, "event=A&auth[member_id]=a%0Ab",
                       "malformed: auth does not name a portal" },
        { B1C_FORM, "event=A&auth[domain]=a%0D",
                       "malformed: auth does not name a portal" }
    };

    for (i = 0; i < countof(cases); i++) {
        is_event(cases[i].type, cases[i].body, NULL, cases[i].want);
    }
}


static void
test_long(void)
{
    char  *got, body[512];

    memset(body, 'A', sizeof(body));
    memcpy(body, "event=", 6);

    body[6 + 129] = '\0';
    is_event(B1C_FORM, body, NULL, "malformed: event is not a name");

    body[6 + 128] = '\0';
    got = tap_event(B1C_FORM, body, NULL, NULL);
    ok(strncmp(got, ",\"event\":", 9) == 0, "an event of 128 letters");
    free(got);

    strcpy(body, "event=A&auth[domain]=");
    memset(body + strlen(body), 'x', 257);
    body[21 + 257] = '\0';
    is_event(B1C_FORM, body, NULL, "malformed: auth does not name a portal");
}


static void
test_ts(void)
{
    char   *want, *half;
    size_t  i;

    static const struct {
        b1c_type_t   type;
        const char  *body;
        const char  *ts;
    } cases[] = {
        { B1C_FORM, "event=A&ts=1", "1" },
        { B1C_FORM, "event=A&ts=1711111111", "1711111111" },
        { B1C_FORM, "event=A&ts=253402300799", "253402300799" },
        { B1C_FORM, "event=A&ts=0", "1700000000" },
        { B1C_FORM, "event=A", "1700000000" },
        { B1C_JSON, "{\"event\":\"A\",\"ts\":1711111111}", "1711111111" },
        { B1C_JSON, "{\"event\":\"A\",\"ts\":\"1711111111\"}",
                       "1711111111" },
        { B1C_JSON, "{\"event\":\"A\",\"ts\":null}", "1700000000" }
    };

    for (i = 0; i < countof(cases); i++) {
        half = tap_join(",\"event\":\"A\",\"ts\":", cases[i].ts);
        want = tap_join(half, ",\"received\":1700000000," SOURCE
                        "\"entity\":{\"type\":\"A\",\"id\":null},"
                        "\"data\":{}}");

        is_event(cases[i].type, cases[i].body, NULL, want);

        free(half);
        free(want);
    }
}


#define DATA(data)  HEAD("A", "1700000000") SOURCE                            \
                    "\"entity\":{\"type\":\"A\",\"id\":null},\"data\":" data "}"

static void
test_scalar(void)
{
    is_event(B1C_FORM, "event=A&data=1", NULL, DATA("\"1\""));
    is_event(B1C_FORM, "event=A&data=", NULL, DATA("{}"));
    is_event(B1C_JSON, "{\"event\":\"A\",\"data\":\"x\"}", NULL,
             DATA("\"x\""));
    is_event(B1C_JSON, "{\"event\":\"A\",\"data\":false}", NULL,
             DATA("false"));
    is_event(B1C_JSON, "{\"event\":\"A\",\"data\":5}", NULL, DATA("5"));

    is_event(B1C_FORM, "event=ONIMCONNECTORLINEDELETE&data=107", NULL,
             HEAD("ONIMCONNECTORLINEDELETE", "1700000000") SOURCE
             "\"entity\":{\"type\":\"IMCONNECTORLINE\",\"id\":\"107\"},"
             "\"data\":\"107\"}");
}


static void
test_confirm(void)
{
    is_event(B1C_FORM, "event=onAppMethodConfirm&data[TOKEN]=S&data[METHOD]=m"
             "&data[token]=S", NULL,
             HEAD("ONAPPMETHODCONFIRM", "1700000000") SOURCE
             "\"entity\":{\"type\":\"APPMETHODCONFIRM\",\"id\":null},"
             "\"data\":{\"METHOD\":\"m\"}}");

    is_event(B1C_FORM, "event=OnAppSettingsInstall&data[a]=1", NULL,
             "malformed: Bitrix24 shows the answer to this event as a form,"
             " which a queue cannot answer");
}


static void
test_secrets(void)
{
    char   *got, body[512];
    size_t  i;

    static const char *const  secrets[] = {
        "access_token", "refresh_token", "application_token", "event_token",
        "client_secret", "client_id", "ACCESS_TOKEN", "Client_Id"
    };

    for (i = 0; i < countof(secrets); i++) {
        snprintf(body, sizeof(body),
                 "event=A&data[%s]=S1&data[x][%s]=S2&data[y][0][%s]=S3"
                 "&data[y][1][z][%s]=S4&data[w][%s][q]=S5&data[k]=1",
                 secrets[i], secrets[i], secrets[i], secrets[i], secrets[i]);

        is_event(B1C_FORM, body, NULL,
                 HEAD("A", "1700000000") SOURCE
                 "\"entity\":{\"type\":\"A\",\"id\":null},"
                 "\"data\":{\"x\":{},\"y\":[{},{\"z\":{}}],\"w\":{},"
                 "\"k\":\"1\"}}");

        snprintf(body, sizeof(body),
                 "{\"event\":\"A\",\"data\":[{\"%s\":{\"a\":\"S\"}},"
                 "[[{\"%s\":[\"S\"],\"b\":1}]]]}", secrets[i], secrets[i]);

        is_event(B1C_JSON, body, NULL,
                 HEAD("A", "1700000000") SOURCE
                 "\"entity\":{\"type\":\"A\",\"id\":null},"
                 "\"data\":[{},[[{\"b\":1}]]]}");
    }

    /* the AUTH of a bot stays, without what must not leave */

    got = tap_event(B1C_FORM,
                    "event=ONIMBOTMESSAGEADD&data[BOT][567][access_token]=S"
                    "&data[BOT][567][AUTH][access_token]=S"
                    "&data[BOT][567][AUTH][domain]=d"
                    "&data[BOT][567][AUTH][application_token]=S", NULL, NULL);

    is(got, HEAD("ONIMBOTMESSAGEADD", "1700000000") SOURCE
       "\"entity\":{\"type\":\"IMBOTMESSAGE\",\"id\":null},"
       "\"data\":{\"BOT\":{\"567\":{\"AUTH\":{\"domain\":\"d\"}}}}}",
       "the AUTH of a bot");
    free(got);

    is_event(B1C_FORM, "event=A&data[access_tokens]=1&data[token]=2", NULL,
             HEAD("A", "1700000000") SOURCE
             "\"entity\":{\"type\":\"A\",\"id\":null},"
             "\"data\":{\"access_tokens\":\"1\",\"token\":\"2\"}}");
}


static void
test_robots(void)
{
    static const char  plain[] =
        "workflow_id=w&document_id[0]=crm&document_id[1]=CCrmDocumentDeal"
        "&document_id[2]=DEAL_123&event_token=S&ts=1758016282"
        "&properties[field_input_1]=6&auth[application_token]=S"
        "&auth[domain]=portal.ru&access_token=S";

    static const char  want[] =
        HEAD("ROBOT", "1758016282")
        "\"source\":{\"domain\":\"portal.ru\",\"member_id\":\"\"},"
        "\"entity\":{\"type\":\"CRMDEAL\",\"id\":\"123\"},"
        "\"data\":{\"workflow_id\":\"w\",\"document_id\":[\"crm\","
        "\"CCrmDocumentDeal\",\"DEAL_123\"],"
        "\"properties\":{\"field_input_1\":\"6\"}";

    char  *text;

    text = tap_join(want, "}}");
    is_event(B1C_FORM, plain, NULL, text);
    is_event(B1C_FORM, plain, "&", text);

    /* the body wins, and what must not leave does not by the back door */

    is_event(B1C_FORM, plain, "workflow_id=Q&auth[x]=S&AUTH=S&ts=5"
             "&event_token=S&client_secret=S&properties=Q", text);
    free(text);

    text = tap_join(want, ",\"id\":\"5\",\"event\":\"B\","
                    "\"l\":[\"a\",\"b\"]}}");
    is_event(B1C_FORM, plain, "id=5&event=B&l[]=a&l[]=b", text);
    free(text);

    text = tap_join(want, ",\"a\":\"2\",\"b_c\":\"50%\",\"d_e\":\"\"}}");
    is_event(B1C_FORM, plain, "a=1&a=2&b.c=50%&d[e", text);
    free(text);

    is_event(B1C_JSON, "{\"document_id\":[\"a\",\"b\",5],\"auth\":{},"
             "\"event_token\":\"S\",\"x\":{\"y\":1}}", "ts=7&x=2",
             HEAD("ROBOT", "1700000000") SOURCE
             "\"entity\":{\"type\":\"a.b\",\"id\":\"5\"},"
             "\"data\":{\"document_id\":[\"a\",\"b\",5],\"x\":{\"y\":1},"
             "\"ts\":\"7\"}}");

    is_event(B1C_JSON, "{\"document_id\":{\"0\":\"a\",\"1\":\"b\"}}", NULL,
             HEAD("ROBOT", "1700000000") SOURCE
             "\"entity\":{\"type\":\"a.b\",\"id\":null},"
             "\"data\":{\"document_id\":{\"0\":\"a\",\"1\":\"b\"}}}");

    is_event(B1C_FORM, "document_id=1", NULL,
             "malformed: document_id does not name a document");
    is_event(B1C_FORM, "document_id[0]=crm", NULL,
             "malformed: document_id does not name a document");
    is_event(B1C_FORM, "document_id[0]=&document_id[1]=b", NULL,
             "malformed: document_id does not name a document");
    is_event(B1C_FORM, "document_id[0]=a%0Ab&document_id[1]=b", NULL,
             "malformed: document_id does not name a document");
    is_event(B1C_JSON, "{\"document_id\":[[\"a\"],\"b\",\"c\"]}", NULL,
             "malformed: document_id does not name a document");
}


static void
test_documents(void)
{
    char    body[512], *want, *got;
    size_t  i;

    static const struct {
        const char  *document;   /* module, class, id */
        const char  *entity;
    } cases[] = {
        { "crm CCrmDocumentLead LEAD_31", "CRMLEAD\",\"id\":\"31" },
        { "crm CCrmDocumentDeal DEAL_759", "CRMDEAL\",\"id\":\"759" },
        { "crm CCrmDocumentContact CONTACT_8", "CRMCONTACT\",\"id\":\"8" },
        { "crm CCrmDocumentCompany COMPANY_9", "CRMCOMPANY\",\"id\":\"9" },
        { "crm Quote QUOTE_4", "CRMQUOTE\",\"id\":\"4" },
        { "crm Invoice INVOICE_15", "CRMINVOICE\",\"id\":\"15" },
        { "crm SmartInvoice SMART_INVOICE_3",
          "CRMDYNAMICITEM_31\",\"id\":\"3" },
        { "crm Dynamic DYNAMIC_147_1", "CRMDYNAMICITEM_147\",\"id\":\"1" },
        { "crm SmartDocument SMART_DOCUMENT_8",
          "CRMDYNAMICITEM_36\",\"id\":\"8" },
        { "crm SmartB2eDocument SMART_B2E_DOC_9",
          "CRMDYNAMICITEM_39\",\"id\":\"9" },
        { "crm Order ORDER_300", "ORDER\",\"id\":\"300" },
        { "crm Shipment ORDER_SHIPMENT_12", "SHIPMENT\",\"id\":\"12" },
        { "tasks Bitrix%5CTasks%5CIntegration%5CBizproc%5CDocument%5CTask 5",
          "TASK\",\"id\":\"5" },

        /* what has no events, or is not known */
        { "lists BizprocDocument 777", "lists.BizprocDocument\",\"id\":\"777" },
        { "rpa Item 5:17", "rpa.Item\",\"id\":\"5:17" },
        { "tasks Other 5", "tasks.Other\",\"id\":\"5" },
        { "crm X FOO_1", "crm.X\",\"id\":\"FOO_1" },
        { "crm X DEAL_", "crm.X\",\"id\":\"DEAL_" },
        { "crm X DEAL_1x", "crm.X\",\"id\":\"DEAL_1x" },
        { "crm X DEAL", "crm.X\",\"id\":\"DEAL" },
        { "crm X DYNAMIC_1", "crm.X\",\"id\":\"DYNAMIC_1" },
        { "crm X DYNAMIC__1", "crm.X\",\"id\":\"DYNAMIC__1" },
        { "crm X DYNAMIC_x_1", "crm.X\",\"id\":\"DYNAMIC_x_1" },
        { "crm X DYNAMIC_12345678901_1",
          "crm.X\",\"id\":\"DYNAMIC_12345678901_1" }
    };

    for (i = 0; i < countof(cases); i++) {
        char  module[16], class[80], id[80];

        (void) sscanf(cases[i].document, "%15s %79s %79s", module, class, id);
        snprintf(body, sizeof(body), "document_id[0]=%s&document_id[1]=%s"
                 "&document_id[2]=%s", module, class, id);

        got = tap_event(B1C_FORM, body, NULL, NULL);
        want = tap_join("\"entity\":{\"type\":\"", cases[i].entity);

        ok(strstr(got, want) != NULL, cases[i].document);

        free(want);
        free(got);
    }

    is_event(B1C_FORM, "module_id=crm&type=SMS&code=p&message_id=8b5a"
             "&message_to=1&ts=5", NULL,
             HEAD("ROBOT", "5") SOURCE
             "\"entity\":{\"type\":\"MESSAGE\",\"id\":\"8b5a\"},"
             "\"data\":{\"module_id\":\"crm\",\"type\":\"SMS\","
             "\"code\":\"p\",\"message_id\":\"8b5a\",\"message_to\":\"1\"}}");
    is_event(B1C_FORM, "message_id=8b5a", NULL, "malformed: no event");
}


/* what a robot's body says of its run, and whether it is handed on */

static void
test_tokens(void)
{
    size_t         i;
    char          *text;
    b1c_event_t    ev;
    b1c_error_t    err;
    b1c_input_t    input;
    b1c_message_t  msg;

    static const struct {
        const char  *body;
        const char  *args;
        int          event_token;
        const char  *run;
        const char  *data;
    } cases[] = {
        { "document_id[0]=a&document_id[1]=b&event_token=w|A1|x.f", "", 0,
          "w|A1|x.f", "{\"document_id\":[\"a\",\"b\"]}" },
        { "document_id[0]=a&document_id[1]=b&event_token=w|A1|x.f", "", 1,
          "w|A1|x.f", "{\"document_id\":[\"a\",\"b\"],"
          "\"event_token\":\"w|A1|x.f\"}" },
        { "document_id[0]=a&document_id[1]=b", "event_token=S&Token=x", 1, NULL,
          "{\"document_id\":[\"a\",\"b\"]}" },
        { "code=p&message_id=5", "token=SECRET&token=other&tokens=1", 1, "5",
          "{\"code\":\"p\",\"message_id\":\"5\",\"tokens\":\"1\"}" }
    };

    for (i = 0; i < countof(cases); i++) {
        memset(&input, 0, sizeof(b1c_input_t));

        input.body = cases[i].body;
        input.len = strlen(input.body);
        input.args = cases[i].args;
        input.args_len = strlen(input.args);
        input.event_token = cases[i].event_token;
        input.secret = strstr(input.args, "Token") ? "Token" : "token";

        num(b1c_message_parse(&msg, &input, &tap_limits, &err), B1C_OK,
            cases[i].body);
        num(b1c_event_build(&ev, &msg, &err), B1C_OK, cases[i].body);
        b1c_message_free(&msg);

        num(ev.kind, B1C_COMMAND, "is a command");
        is(ev.run, cases[i].run, "its run");

        text = cJSON_PrintUnformatted(ev.data);
        is(text, cases[i].data, "its data");
        free(text);

        ok(b1c_event_data(ev.data, "event_token", 11, NULL, 0) == NULL,
           "no variable has the token");

        b1c_event_free(&ev);
    }
}


/* the arguments of an address as PHP reads them */

static void
test_query(void)
{
    char    *text;
    cJSON   *tree;
    size_t   i;

    b1c_error_t  err;
    b1c_query_t  query;

    static const struct {
        const char  *text;
        const char  *charset;
        const char  *want;       /* NULL: err says why */
    } cases[] = {
        { "", NULL, "{}" },
        { "&&", NULL, "{}" },
        { "a", NULL, "{\"a\":\"\"}" },
        { "a=50%&b=%zz&c=%4&d=%41", NULL,
          "{\"a\":\"50%\",\"b\":\"%zz\",\"c\":\"%4\",\"d\":\"A\"}" },
        { "a=1&a=2", NULL, "{\"a\":\"2\"}" },
        { "a=1&a[b]=2", NULL, "{\"a\":{\"b\":\"2\"}}" },
        { "a[b]=2&a=1", NULL, "{\"a\":\"1\"}" },
        { "a[]=1&a[]=2", NULL, "{\"a\":[\"1\",\"2\"]}" },
        { "a[x]=1&a[x]=2&a[]=3", NULL,
          "{\"a\":{\"x\":\"2\",\"0\":\"3\"}}" },
        { "+a.b c=1&=2&%20=3&[x]=4", NULL, "{\"a_b_c\":\"1\"}" },
        { "a[b=1&c]=2&d[e.f=3", NULL,
          "{\"a_b\":\"1\",\"c]\":\"2\",\"d_e_f\":\"3\"}" },
        { "a[b]c=1&a[d][e=2", NULL, "{\"a\":{\"b\":\"1\",\"d\":\"2\"}}" },
        { "a%00b=1%002&c%0A=%01x%0A", NULL, "{\"a\":\"12\",\"c\":\"x\\n\"}" },
        { "a=%D0%90&%D0%90=b", NULL, "{\"a\":\"А\",\"А\":\"b\"}" },
        { "a=%C0%ED%ED%E0&b=\300\230", NULL, "{\"a\":\"Анна\",\"b\":\"А?\"}" },
        { "a=%E1", "koi8-r", "{\"a\":\"А\"}" },
        { "a=%D0%90", "ascii", "{\"a\":\"А\"}" },
        { "a[1][2][3][4][5][6][7][8]=1", NULL,
          "{\"a\":{\"1\":{\"2\":{\"3\":{\"4\":{\"5\":{\"6\":{\"7\":"
          "{\"8\":\"1\"}}}}}}}}}" },
        { "a[1][2][3][4][5][6][7][8][9]=1", NULL, NULL },
        { "a&b&c&d&e&f&g&h&i", NULL, NULL }
    };

    for (i = 0; i < countof(cases); i++) {
        memset(&query, 0, sizeof(b1c_query_t));

        query.text = cases[i].text;
        query.len = strlen(query.text);
        query.charset = cases[i].charset;
        query.limits.pairs = 8;
        query.limits.depth = 8;

        if (b1c_query_parse(&tree, &query, &err) != B1C_OK) {
            is(NULL, cases[i].want, cases[i].text);
            continue;
        }

        text = cJSON_PrintUnformatted(tree);
        is(text, cases[i].want, cases[i].text);
        free(text);

        cJSON_Delete(tree);
    }
}


static void
test_charset(void)
{
    char  *got;

    got = tap_event(B1C_FORM, "event=A&data[n]=%C0%ED%ED%E0", NULL,
                    "windows-1251");
    is(got, HEAD("A", "1700000000") SOURCE
       "\"entity\":{\"type\":\"A\",\"id\":null},\"data\":{\"n\":\"Анна\"}}",
       "windows-1251");
    free(got);

    got = tap_event(B1C_FORM, "document_id[0]=a&document_id[1]=b",
                    "n=%C0%ED%ED%E0", "windows-1251");
    ok(strstr(got, "\"n\":\"Анна\"") != NULL,
       "the query string of a robot has the same charset");
    free(got);
}


int
main(void)
{
    test_json();
    test_data();
    test_malformed();
    test_long();
    test_ts();
    test_scalar();
    test_confirm();
    test_secrets();
    test_robots();
    test_documents();
    test_tokens();
    test_query();
    test_charset();

    return tap_done();
}

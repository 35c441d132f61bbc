
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"
#include "b1c_bitrix.h"


static void
test_type(void)
{
    char    buf[B1C_EVENT_MAX + B1C_ENTITY_MAX];
    cJSON  *data;
    size_t  i;

    static const struct {
        const char  *event;
        const char  *type;
    } cases[] = {
        { "ONSALEORDERNEW", "SALEORDER" },
        { "ONSALEORDERSAVED", "SALEORDER" },
        { "ONSALEBEFOREORDERDELETE", "SALEORDER" },
        { "ONORDERENTITYSAVED", "ORDER" },
        { "ONORDERDELETED", "ORDER" },
        { "ONPAYMENTENTITYSAVED", "PAYMENT" },
        { "ONPAYMENTDELETED", "PAYMENT" },
        { "ONSHIPMENTENTITYSAVED", "SHIPMENT" },
        { "ONPROPERTYVALUEENTITYSAVED", "PROPERTYVALUE" },
        { "ONPROPERTYVALUEDELETED", "PROPERTYVALUE" },
        { "ONCRMDEALADD", "CRMDEAL" },
        { "ONCRMDEALUPDATE", "CRMDEAL" },
        { "ONCRMDEALDELETE", "CRMDEAL" },
        { "ONCRMDEALMOVETOCATEGORY", "CRMDEAL" },
        { "ONCRMDEALRECURRINGEXPOSE", "CRMDEALRECURRING" },
        { "ONCRMDEALUSERFIELDADD", "CRMDEALUSERFIELD" },
        { "ONCRMDEALUSERFIELDSETENUMVALUES", "CRMDEALUSERFIELD" },
        { "ONCRMINVOICESETSTATUS", "CRMINVOICE" },
        { "ONCRMADDRESSREGISTER", "CRMADDRESS" },
        { "ONCRMADDRESSUNREGISTER", "CRMADDRESS" },
        { "ONVOXIMPLANTCALLINIT", "VOXIMPLANTCALL" },
        { "ONVOXIMPLANTCALLSTART", "VOXIMPLANTCALL" },
        { "ONVOXIMPLANTCALLEND", "VOXIMPLANTCALL" },
        { "ONEXTERNALCALLBACKSTART", "EXTERNALCALLBACK" },
        { "ONTASKCOMMENTADD", "TASKCOMMENT" },
        { "ONAPPINSTALL", "APP" },
        { "ONAPPUNINSTALL", "APP" },
        { "ONAPPPAYMENT", "APPPAYMENT" },
        { "ONSESSIONFINISH", "SESSION" },
        { "ONOFFLINEEVENT", "OFFLINEEVENT" },
        { "ONIMBOTV2MESSAGEADD", "IMBOTV2MESSAGE" },
        { "CATALOG.PRODUCT.ON.UPDATE", "CATALOG.PRODUCT" },
        { "CATALOG.PRODUCT.ON.ADD", "CATALOG.PRODUCT" },
        { "CATALOG.PRICE.TYPE.ON.DELETE", "CATALOG.PRICE.TYPE" },
        { "CRM.DEAL.ADD", "CRM.DEAL" },
        { "ONCRMTYPEADD", "CRMTYPE" },
        { "ONCRMDYNAMICITEMADD_147", "CRMDYNAMICITEM_147" },
        { "ONCRMDYNAMICITEMDELETE_31", "CRMDYNAMICITEM_31" },

        /* odd ones: a type is never empty */
        { "ON", "ON" },
        { "ADD", "ADD" },
        { "ONADD", "ONADD" },
        { "ONADD_147", "ONADD_147" },
        { "ONBEFOREADD", "ONBEFOREADD" },
        { "ONBEFORE", "ONBEFORE" },
        { "ON.ADD", "ON.ADD" },
        { "X", "X" },
        { "_147", "_147" },
        { "147", "147" },
        { "ONX_", "X_" },
        { "A.ON.ADD", "A" },
        { "ONREADDRESSED", "READDRESSED" }
    };

    data = cJSON_CreateObject();

    for (i = 0; i < countof(cases); i++) {
        b1c_entity_type(cases[i].event, data, buf);
        is(buf, cases[i].type, cases[i].event);
    }

    cJSON_Delete(data);
}


static void
test_kind(void)
{
    char    buf[B1C_EVENT_MAX + B1C_ENTITY_MAX];
    cJSON  *data;
    size_t  i;

    static const struct {
        const char  *event;
        const char  *data;
        const char  *type;
    } cases[] = {
        { "ONCRMDYNAMICITEMUPDATE",
          "{\"FIELDS\":{\"ID\":\"22\",\"ENTITY_TYPE_ID\":\"147\"}}",
          "CRMDYNAMICITEM_147" },
        { "ONCRMDYNAMICITEMUPDATE",
          "{\"FIELDS\":{\"ID\":22,\"ENTITY_TYPE_ID\":147}}",
          "CRMDYNAMICITEM_147" },
        { "ONCRMDYNAMICITEMADD_147",
          "{\"FIELDS\":{\"ID\":\"22\",\"ENTITY_TYPE_ID\":\"147\"}}",
          "CRMDYNAMICITEM_147" },
        { "ONCRMDYNAMICITEMUPDATE", "{\"FIELDS\":{\"ID\":\"22\"}}",
          "CRMDYNAMICITEM" },
        { "ONCRMDYNAMICITEMUPDATE",
          "{\"FIELDS\":{\"ENTITY_TYPE_ID\":\"1-4\"}}", "CRMDYNAMICITEM" },
        { "ONCRMDYNAMICITEMUPDATE",
          "{\"FIELDS\":{\"ENTITY_TYPE_ID\":\"12345678901\"}}",
          "CRMDYNAMICITEM" },
        { "ONCRMDYNAMICITEMUPDATE",
          "{\"FIELDS\":{\"ENTITY_TYPE_ID\":{\"x\":\"147\"}}}",
          "CRMDYNAMICITEM" },
        { "ONCRMREQUISITEUPDATE",
          "{\"FIELDS\":{\"ID\":\"1\",\"ENTITY_TYPE_ID\":\"4\"}}",
          "CRMREQUISITE" }
    };

    for (i = 0; i < countof(cases); i++) {
        data = cJSON_Parse(cases[i].data);
        b1c_entity_type(cases[i].event, data, buf);
        is(buf, cases[i].type, cases[i].data);
        cJSON_Delete(data);
    }
}


static void
test_id(void)
{
    cJSON        *data;
    size_t        i;
    b1c_number_t  number;

    static const struct {
        const char  *data;
        const char  *id;
    } cases[] = {
        { "{\"FIELDS\":{\"ID\":\"123\"}}", "123" },
        { "{\"FIELDS\":{\"ID\":123}}", "123" },
        { "{\"FIELDS\":{\"ID\":200540400001}}", "200540400001" },
        { "{\"FIELDS\":{\"ID\":\"CHE\"}}", "CHE" },
        { "{\"FIELDS\":{\"ID\":\"0\"}}", "0" },
        { "{\"FIELDS\":{\"ID\":\"1\"},\"FIELDS_AFTER\":{\"ID\":\"2\"}}", "1" },
        { "{\"FIELDS_AFTER\":{\"ID\":\"2\"},\"FIELDS_BEFORE\":{\"ID\":\"3\"}}",
          "2" },
        { "{\"FIELDS_AFTER\":{\"ID\":\"0\",\"MESSAGE_ID\":\"1458\"}}", "1458" },
        { "{\"FIELDS_AFTER\":{\"ID\":0,\"MESSAGE_ID\":1458}}", "1458" },
        { "{\"FIELDS_AFTER\":{\"MESSAGE_ID\":1458}}", "1458" },
        { "{\"FIELDS_AFTER\":{\"ID\":\"0\"},\"FIELDS_BEFORE\":{\"ID\":\"3\"}}",
          "3" },
        { "{\"FIELDS_AFTER\":{\"ID\":\"0\",\"MESSAGE_ID\":\"0\"}}", NULL },
        { "{\"FIELDS_AFTER\":\"undefined\",\"FIELDS_BEFORE\":{\"ID\":\"3\"}}",
          "3" },
        { "{\"FIELDS_BEFORE\":\"undefined\",\"FIELDS_AFTER\":{\"ID\":\"2\"}}",
          "2" },
        { "{\"FIELDS\":{\"POST_ID\":\"209\"}}", "209" },
        { "{\"CALL_ID\":\"externalCall.7b0c.1\",\"USER_ID\":\"1269\"}",
          "externalCall.7b0c.1" },
        { "{\"CALL_ID\":\"c\",\"ID\":\"1\"}", "c" },
        { "{\"ID\":\"123\"}", "123" },
        { "{\"ID\":\"1\",\"id\":\"2\"}", "1" },
        { "{\"id\":\"1414\"}", "1414" },

        /* what counts as absent */
        { "{\"FIELDS\":{\"ID\":\"\"},\"ID\":\"5\"}", "5" },
        { "{\"FIELDS\":{\"ID\":\"undefined\"},\"ID\":\"5\"}", "5" },
        { "{\"FIELDS\":{\"ID\":null},\"ID\":\"5\"}", "5" },
        { "{\"FIELDS\":{\"ID\":true},\"ID\":\"5\"}", "5" },
        { "{\"FIELDS\":{\"ID\":1.5},\"ID\":\"5\"}", "5" },
        { "{\"FIELDS\":{\"ID\":{\"x\":\"1\"}},\"ID\":\"5\"}", "5" },
        { "{\"FIELDS\":{\"ID\":[\"1\"]},\"ID\":\"5\"}", "5" },
        { "{\"FIELDS\":{\"ID\":\"1\\n2\"},\"ID\":\"5\"}", "5" },
        { "{\"FIELDS\":[\"1\"],\"ID\":\"5\"}", "5" },
        { "{\"FIELDS\":\"1\",\"ID\":\"5\"}", "5" },
        { "{\"fields\":{\"id\":\"1\"}}", NULL },
        { "{}", NULL },
        { "[\"1\"]", NULL },
        { "[{\"ID\":\"1\"}]", NULL }
    };

    for (i = 0; i < countof(cases); i++) {
        data = cJSON_Parse(cases[i].data);
        is(b1c_entity_id(data, number), cases[i].id, cases[i].data);
        cJSON_Delete(data);
    }
}


static void
test_long_id(void)
{
    char          id[258];
    cJSON        *node;
    b1c_number_t  number;

    memset(id, 'x', 257);
    id[257] = '\0';

    node = cJSON_CreateString(id);
    is(b1c_entity_scalar(node, number), NULL, "257 bytes are no id");
    cJSON_Delete(node);

    id[256] = '\0';

    node = cJSON_CreateString(id);
    is(b1c_entity_scalar(node, number), id, "256 bytes are");
    cJSON_Delete(node);
}


static void
test_once(void)
{
    size_t  i;

    static const struct {
        const char  *event;
        const char  *id;
        int          once;
    } cases[] = {
        { "ONSALEORDERNEW", "1", 1 },
        { "ONCRMDEALADD", "1", 1 },
        { "onCrmDealAdd", "1", 1 },
        { "ONCRMDEALDELETE", "1", 1 },
        { "ONSALEBEFOREORDERDELETE", "1", 1 },
        { "ONCRMDYNAMICITEMADD_147", "1", 1 },
        { "ONCRMDYNAMICITEMDELETE_147", "1", 1 },
        { "CATALOG.PRODUCT.ON.ADD", "1", 1 },
        { "ONCRMDEALUPDATE", "1", 0 },
        { "ONSALEORDERSAVED", "1", 0 },
        { "ONORDERDELETED", "1", 0 },
        { "ONCRMDYNAMICITEMUPDATE_147", "1", 0 },
        { "ONCRMDEALMOVETOCATEGORY", "1", 0 },
        { "ONX", "1", 0 },
        { "", "1", 0 },
        { "ROBOT", "DEAL_1", 0 },
        { "ONCRMADDRESSREGISTER", "1", 1 },
        { "ONCRMADDRESSUNREGISTER", "1", 1 },
        { "ONCRMDEALUPDATE", NULL, 1 },
        { "ONOFFLINEEVENT", NULL, 1 }
    };

    for (i = 0; i < countof(cases); i++) {
        num(b1c_entity_once(cases[i].event, cases[i].id), cases[i].once,
            cases[i].event);
    }
}


static void
test_bare(void)
{
    cJSON   *data;
    size_t   i;

    static const struct {
        const char  *data;
        int          bare;
    } cases[] = {
        { "{\"FIELDS\":{\"ID\":\"5\"}}", 1 },
        { "{\"FIELDS\":{\"ID\":5}}", 1 },
        { "{\"id\":\"5\"}", 1 },
        { "{\"FIELDS_AFTER\":{\"ID\":\"5\"},\"FIELDS_BEFORE\":\"undefined\"}",
          1 },
        { "{\"FIELDS\":{\"ID\":\"5\",\"DEAL_ID\":\"6\"}}", 0 },
        { "{\"FIELDS\":{\"ID\":\"5\"},\"ID\":\"6\"}", 0 },
        { "{\"FIELDS\":{\"ID\":\"5\"},\"N\":\"5\"}", 0 },
        { "{\"ID\":\"5\",\"x\":null}", 0 },
        { "{\"ID\":[\"5\"]}", 0 },
        { "[\"5\"]", 0 },
        { "\"5\"", 0 }
    };

    for (i = 0; i < countof(cases); i++) {
        data = cJSON_Parse(cases[i].data);
        num(b1c_entity_bare(data, "5"), cases[i].bare, cases[i].data);
        cJSON_Delete(data);
    }
}


static void
is_object(const char *type, const char *want)
{
    size_t       len;
    const char  *got;

    len = strlen(type);
    got = b1c_entity_object(type, &len);

    is(got, want, type);
    num(len, strlen(want), "its length");
}


static void
test_does(void)
{
    size_t  i, stem;

    static const struct {
        const char  *event;
        b1c_verb_e   verb;
        size_t       stem;
    } cases[] = {
        { "ONCRMDEALADD", B1C_VERB_BEGIN, 9 },
        { "ONCRMDEALUPDATE", B1C_VERB_CHANGE, 9 },
        { "ONCRMDEALDELETE", B1C_VERB_END, 9 },
        { "ONCRMDYNAMICITEMDELETE_147", B1C_VERB_END, 16 },
        { "ONCRMADDRESSREGISTER", B1C_VERB_BEGIN, 12 },
        { "ONCRMADDRESSUNREGISTER", B1C_VERB_END, 12 },
        { "ONORDERDELETED", B1C_VERB_OTHER, 7 },
        { "ONSALEORDERNEW", B1C_VERB_OTHER, 11 },
        { "ONX", B1C_VERB_OTHER, 3 }
    };

    for (i = 0; i < countof(cases); i++) {
        num(b1c_entity_does(cases[i].event, &stem), cases[i].verb,
            cases[i].event);
        num(stem, cases[i].stem, "its stem");
    }

    is_object("ORDER", "SALEORDER");
    is_object("EXTERNALCALL", "VOXIMPLANTCALL");
    is_object("SALEORDER", "SALEORDER");
    is_object("CRMDEAL", "CRMDEAL");
    is_object("", "");
}


int
main(void)
{
    test_type();
    test_kind();
    test_id();
    test_long_id();
    test_once();
    test_bare();
    test_does();

    return tap_done();
}

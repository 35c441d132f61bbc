
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"


/*
 * Bodies that were captured or that the documentation of Bitrix24's REST prints
 * (https://apidocs.bitrix24.com/, "Events"), with dummies for all secrets.
 * Documented samples are JSON for the reader's sake; they are here as JSON, and
 * some also as the form that is really sent.
 */


#define SECRET  "s6p6eclrvim6da22ft9ch94ekreb52lv"

/* auth of an outgoing webhook, as a form and as JSON */
#define HOOK                                                                 \
    "&auth%5Bdomain%5D=some-domain.bitrix24.com"                             \
    "&auth%5Bclient_endpoint%5D=https%3A%2F%2Fsome-domain.bitrix24.com"      \
    "%2Frest%2F&auth%5Bserver_endpoint%5D=https%3A%2F%2Foauth.bitrix.info"   \
    "%2Frest%2F&auth%5Bmember_id%5D=a223c6b3710f85df22e9377d6c4f7553"        \
    "&auth%5Bapplication_token%5D=" SECRET

/* auth of an application */
#define APP                                                                  \
    "\"auth\":{\"access_token\":\"" SECRET "\",\"expires_in\":3600,"         \
    "\"scope\":\"sale\",\"domain\":\"some-domain.bitrix24.com\","            \
    "\"server_endpoint\":\"https://oauth.bitrix.info/rest/\","               \
    "\"status\":\"F\","                                                      \
    "\"client_endpoint\":\"https://some-domain.bitrix24.com/rest/\","        \
    "\"member_id\":\"a223c6b3710f85df22e9377d6c4f7553\","                    \
    "\"refresh_token\":\"" SECRET "\",\"application_token\":\"" SECRET "\"}}"

/* the tokens of a bot inside data */
#define BOT_AUTH                                                             \
    "\"access_token\":\"" SECRET "\",\"expires\":\"1771932585\","            \
    "\"expires_in\":\"3600\",\"scope\":\"imbot\","                           \
    "\"domain\":\"some-domain.bitrix24.com\","                               \
    "\"server_endpoint\":\"https://oauth.bitrix.info/rest/\","               \
    "\"status\":\"F\","                                                      \
    "\"client_endpoint\":\"https://some-domain.bitrix24.com/rest/\","        \
    "\"member_id\":\"bac1cd5c8940947a75e0d71b1a84e348\","                    \
    "\"refresh_token\":\"" SECRET "\",\"user_id\":\"567\","                  \
    "\"client_id\":\"" SECRET "\",\"application_token\":\"" SECRET "\""

#define BOT_LEFT                                                             \
    "\"expires\":\"1771932585\",\"expires_in\":\"3600\","                    \
    "\"scope\":\"imbot\",\"domain\":\"some-domain.bitrix24.com\","           \
    "\"server_endpoint\":\"https://oauth.bitrix.info/rest/\","               \
    "\"status\":\"F\","                                                      \
    "\"client_endpoint\":\"https://some-domain.bitrix24.com/rest/\","        \
    "\"member_id\":\"bac1cd5c8940947a75e0d71b1a84e348\","                    \
    "\"user_id\":\"567\""


static const struct {
    const char  *body;
    const char  *type;
    const char  *id;
    const char  *data;       /* NULL: the same as in the body, if it is JSON */
} shapes[] = {

    /* captures: forms of several years and senders */

    { "event=ONCRMDEALUPDATE&data%5BFIELDS%5D%5BID%5D=662&ts=1724140800" HOOK,
      "CRMDEAL", "662", "{\"FIELDS\":{\"ID\":\"662\"}}" },

    { "event=ONCRMDYNAMICITEMUPDATE&event_handler_id=509"
      "&data%5BFIELDS%5D%5BID%5D=21"
      "&data%5BFIELDS%5D%5BENTITY_TYPE_ID%5D=1032&ts=1739049397" HOOK,
      "CRMDYNAMICITEM_1032", "21",
      "{\"FIELDS\":{\"ID\":\"21\",\"ENTITY_TYPE_ID\":\"1032\"}}" },

    { "event=ONCRMCONTACTUPDATE&event_id=2&data[FIELDS][ID]=2&ts=1718849644"
      HOOK, "CRMCONTACT", "2", "{\"FIELDS\":{\"ID\":\"2\"}}" },

    { "auth[access_token]=" SECRET "&auth[application_token]=" SECRET
      "&auth[client_endpoint]=x&auth[domain]=b24-foobar.bitrix24.com"
      "&auth[expires]=1560436386&auth[expires_in]=3600"
      "&auth[scope]=crm,bizproc,user&data[FIELDS][ID]=16"
      "&event=ONCRMACTIVITYADD&ts=1560432785",
      "CRMACTIVITY", "16", "{\"FIELDS\":{\"ID\":\"16\"}}" },

    { "event=ONAPPINSTALL&data[VERSION]=1&data[ACTIVE]=Y&data[INSTALLED]=Y"
      "&data[LANGUAGE_ID]=ru&ts=1677593645&auth[refresh_token]=" SECRET,
      "APP", NULL, "{\"VERSION\":\"1\",\"ACTIVE\":\"Y\",\"INSTALLED\":\"Y\","
      "\"LANGUAGE_ID\":\"ru\"}" },

    { "event=ONIMBOTMESSAGEADD&data[BOT][15010][access_token]=" SECRET
      "&data[BOT][15010][scope]=imbot&data[BOT][15010][client_id]=local."
      SECRET "&data[BOT][15010][AUTH][application_token]=" SECRET
      "&data[BOT][15010][AUTH][scope]=imbot&data[BOT][15010][BOT_ID]=15010"
      "&data[PARAMS][MESSAGE]=%D0%B4%D0%B0&data[USER][ID]=27" HOOK,
      "IMBOTMESSAGE", NULL,
      "{\"BOT\":{\"15010\":{\"scope\":\"imbot\",\"AUTH\":{\"scope\":\"imbot\"},"
      "\"BOT_ID\":\"15010\"}},\"PARAMS\":{\"MESSAGE\":\"да\"},"
      "\"USER\":{\"ID\":\"27\"}}" },

    { "event=ONIMCOMMANDADD&data[COMMAND][66][domain]=d"
      "&data[COMMAND][66][application_token]=" SECRET
      "&data[COMMAND][66][AUTH][access_token]=" SECRET
      "&data[COMMAND][66][COMMAND]=help&data[COMMAND][66][COMMAND_PARAMS]="
      "&data[PARAMS][MESSAGE_TYPE]=C" HOOK,
      "IMCOMMAND", NULL,
      "{\"COMMAND\":{\"66\":{\"domain\":\"d\",\"AUTH\":{},"
      "\"COMMAND\":\"help\",\"COMMAND_PARAMS\":\"\"}},"
      "\"PARAMS\":{\"MESSAGE_TYPE\":\"C\"}}" },

    { "event=ONTASKUPDATE&data[FIELDS_BEFORE][ID]=2&data[FIELDS_AFTER][ID]=2"
      "&data[IS_ACCESSIBLE_BEFORE]=undefined"
      "&data[IS_ACCESSIBLE_AFTER]=undefined" HOOK,
      "TASK", "2",
      "{\"FIELDS_BEFORE\":{\"ID\":\"2\"},\"FIELDS_AFTER\":{\"ID\":\"2\"},"
      "\"IS_ACCESSIBLE_BEFORE\":\"undefined\","
      "\"IS_ACCESSIBLE_AFTER\":\"undefined\"}" },

    { "event=ONTASKCOMMENTADD&data[FIELDS_AFTER][ID]=0"
      "&data[FIELDS_AFTER][MESSAGE_ID]=12928&data[FIELDS_AFTER][TASK_ID]=1102"
      HOOK, "TASKCOMMENT", "12928",
      "{\"FIELDS_AFTER\":{\"ID\":\"0\",\"MESSAGE_ID\":\"12928\","
      "\"TASK_ID\":\"1102\"}}" },

    { "workflow_id=w&code=c&document_id[0]=tasks"
      "&document_id[1]=Bitrix%5CTasks%5CIntegration%5CBizproc%5CDocument%5CTask"
      "&document_id[2]=49728&document_type[0]=tasks"
      "&event_token=" SECRET "|A8071|x&properties[field_input_1]=6"
      "&timeout_duration=0&ts=1758016282&auth[access_token]=" SECRET
      "&auth[refresh_token]=" SECRET,
      "TASK", "49728",
      "{\"workflow_id\":\"w\",\"code\":\"c\",\"document_id\":[\"tasks\","
      "\"Bitrix\\\\Tasks\\\\Integration\\\\Bizproc\\\\Document\\\\Task\","
      "\"49728\"],\"document_type\":[\"tasks\"],"
      "\"properties\":{\"field_input_1\":\"6\"},\"timeout_duration\":\"0\"}" },

    /* the documentation, as forms */

    { "event=ONIMCONNECTORMESSAGEADD&event_handler_id=555"
      "&data[CONNECTOR]=myconnector&data[LINE]=107"
      "&data[MESSAGES][0][im][chat_id]=1807"
      "&data[MESSAGES][0][im][message_id]=86497"
      "&data[MESSAGES][0][message][text]=%5Bb%5DKlaus%3A%5B%2Fb%5D"
      "&data[MESSAGES][0][chat][id]=channel-123" HOOK,
      "IMCONNECTORMESSAGE", "86497",
      "{\"CONNECTOR\":\"myconnector\",\"LINE\":\"107\",\"MESSAGES\":[{"
      "\"im\":{\"chat_id\":\"1807\",\"message_id\":\"86497\"},"
      "\"message\":{\"text\":\"[b]Klaus:[/b]\"},"
      "\"chat\":{\"id\":\"channel-123\"}}]}" },

    { "event=ONOFFLINEEVENT&ts=1466439714" HOOK, "OFFLINEEVENT", NULL, "{}" },

    { "event=ONIMBOTV2MESSAGEADD&data[bot][id]=5&data[bot][auth][access_token]="
      SECRET "&data[message][id]=7" HOOK, "IMBOTV2MESSAGE", "7",
      "{\"bot\":{\"id\":\"5\",\"auth\":{}},\"message\":{\"id\":\"7\"}}" },

    /* the documentation, as printed */

    { "{\"event\":\"ONCRMDEALADD\",\"event_handler_id\":\"975\",\"data\":"
      "{\"FIELDS\":{\"ID\":\"7405\"}},\"ts\":\"1766047124\"," APP,
      "CRMDEAL", "7405", NULL },
    { "{\"event\":\"ONSALEORDERSAVED\",\"event_handler_id\":1,\"data\":"
      "{\"FIELDS\":{\"ID\":300,\"XML_ID\":\"\",\"ACTION\":\"save\"}},"
      "\"ts\":1714649632," APP, "SALEORDER", "300", NULL },
    { "{\"event\":\"ONSALEBEFOREORDERDELETE\",\"event_handler_id\":1,\"data\":"
      "{\"FIELDS\":{\"ID\":300,\"XML_ID\":\"\",\"ACTION\":\"delete\"}},"
      "\"ts\":1714649632," APP, "SALEORDER", "300", NULL },
    { "{\"event\":\"ONORDERENTITYSAVED\",\"event_handler_id\":1,\"data\":"
      "{\"FIELDS\":{\"ID\":300}},\"ts\":1714649632," APP,
      "ORDER", "300", NULL },
    { "{\"event\":\"CATALOG.PRODUCT.ON.UPDATE\",\"event_handler_id\":1,"
      "\"data\":{\"FIELDS\":{\"ID\":1,\"TYPE\":1}},\"ts\":1714649632," APP,
      "CATALOG.PRODUCT", "1", NULL },
    { "{\"event\":\"CATALOG.PRICE.TYPE.ON.UPDATE\",\"data\":{\"FIELDS\":"
      "{\"ID\":1}},\"ts\":1714649632," APP, "CATALOG.PRICE.TYPE", "1", NULL },
    { "{\"event\":\"ONTASKADD\",\"data\":{\"FIELDS_BEFORE\":\"undefined\","
      "\"FIELDS_AFTER\":{\"ID\":123},\"IS_ACCESSIBLE_BEFORE\":\"N\","
      "\"IS_ACCESSIBLE_AFTER\":\"undefined\"},\"ts\":\"1466439714\"," APP,
      "TASK", "123", NULL },
    { "{\"event\":\"ONTASKDELETE\",\"data\":{\"FIELDS_BEFORE\":{\"ID\":123},"
      "\"FIELDS_AFTER\":\"undefined\",\"IS_ACCESSIBLE_BEFORE\":\"undefined\","
      "\"IS_ACCESSIBLE_AFTER\":\"N\"},\"ts\":\"1466439714\"," APP,
      "TASK", "123", NULL },
    { "{\"event\":\"ONTASKCOMMENTADD\",\"data\":{\"FIELDS_AFTER\":{\"ID\":123,"
      "\"TASK_ID\":555}}," APP, "TASKCOMMENT", "123", NULL },
    { "{\"event\":\"ONTASKCOMMENTADD\",\"data\":{\"FIELDS_AFTER\":{\"ID\":0,"
      "\"TASK_ID\":555,\"MESSAGE_ID\":1458}}," APP, "TASKCOMMENT", "1458",
      NULL },
    { "{\"event\":\"ONCRMDYNAMICITEMADD\",\"event_handler_id\":\"4\",\"data\":"
      "{\"FIELDS\":{\"ID\":\"22\",\"ENTITY_TYPE_ID\":\"1220\"}},"
      "\"ts\":\"1723534033\"," APP, "CRMDYNAMICITEM_1220", "22", NULL },
    { "{\"event\":\"ONCRMDEALMOVETOCATEGORY\",\"data\":{\"FIELDS\":{"
      "\"ID\":\"6675\",\"CATEGORY_ID\":\"1\",\"STAGE_ID\":\"C1:NEW\"}}," APP,
      "CRMDEAL", "6675", NULL },
    { "{\"event\":\"ONCRMCURRENCYUPDATE\",\"data\":{\"FIELDS\":{"
      "\"ID\":\"CHE\"}},"
      APP, "CRMCURRENCY", "CHE", NULL },
    { "{\"event\":\"ONCRMDEALUSERFIELDSETENUMVALUES\",\"data\":{\"FIELDS\":{"
      "\"ID\":\"6947\",\"ENTITY_ID\":\"CRM_DEAL\","
      "\"FIELD_NAME\":\"UF_CRM_1736930561\"}}," APP, "CRMDEALUSERFIELD",
      "6947", NULL },
    { "{\"event\":\"onCrmAddressRegister\",\"data\":{\"FIELDS\":{"
      "\"ID\":\"1\"}},"
      APP, "CRMADDRESS", "1", NULL },
    { "{\"event\":\"ONVOXIMPLANTCALLEND\",\"data\":{\"CALL_ID\":"
      "\"externalCall.7b0c\",\"CALL_TYPE\":\"1\",\"PHONE_NUMBER\":"
      "\"+499061234567\",\"CALL_START_DATE\":\"2026-03-11T17:28:46+03:00\","
      "\"COST\":\"0\",\"COST_CURRENCY\":\"\",\"CRM_ACTIVITY_ID\":\"7953\"},"
      APP, "VOXIMPLANTCALL", "externalCall.7b0c", NULL },
    { "{\"event\":\"ONEXTERNALCALLSTART\",\"data\":{\"PHONE_NUMBER\":"
      "\"+494951234567\",\"EXTENSION\":\"\",\"CALL_ID\":\"externalCall.89\","
      "\"CRM_ENTITY_TYPE\":\"CONTACT\",\"CRM_ENTITY_ID\":\"797\"}," APP,
      "EXTERNALCALL", "externalCall.89", NULL },
    { "{\"event\":\"ONEXTERNALCALLBACKSTART\",\"data\":{\"PHONE_NUMBER\":"
      "\"+494951234567\",\"TEXT\":\"A callback\",\"CRM_ENTITY_ID\":\"5785\"},"
      APP, "EXTERNALCALLBACK", NULL, NULL },
    { "{\"event\":\"ONCALENDARENTRYADD\",\"event_handler_id\":\"3\","
      "\"data\":{\"id\":\"1414\"},\"ts\":\"1734608169\"," APP,
      "CALENDARENTRY", "1414", NULL },
    { "{\"event\":\"ONLIVEFEEDPOSTADD\",\"data\":{\"FIELDS\":{\"POST_ID\":"
      "\"209\"}}," APP, "LIVEFEEDPOST", "209", NULL },
    { "{\"event\":\"ONUSERADD\",\"data\":{\"ID\":123,\"ACTIVE\":\"Y\","
      "\"EMAIL\":\"user@example.com\",\"UF_DEPARTMENT\":[1,2],"
      "\"DATE_REGISTER\":\"2024-04-05T10:00:00+03:00\"}," APP,
      "USER", "123", NULL },
    { "{\"event\":\"ONAPPUPDATE\",\"data\":{\"VERSION\":\"2.1.0\","
      "\"PREVIOUS_VERSION\":\"2.0.3\",\"LANGUAGE_ID\":\"de\"}," APP,
      "APP", NULL, NULL },
    { "{\"event\":\"ONAPPUNINSTALL\",\"data\":{\"LANGUAGE_ID\":\"de\","
      "\"CLEAN\":1},\"ts\":\"1466439714\"," APP, "APP", NULL, NULL },
    { "{\"event\":\"ONAPPPAYMENT\",\"data\":{\"CODE\":\"bitrix.gds_company\","
      "\"VERSION\":1,\"DAYS\":28},\"auth\":{\"domain\":\"d\"}}",
      "APPPAYMENT", "bitrix.gds_company", NULL },
    { "{\"event\":\"ONOFFLINEEVENT\",\"data\":[],\"ts\":\"1466439714\"," APP,
      "OFFLINEEVENT", NULL, "{}" },
    { "{\"event\":\"ONOPENLINEMESSAGEADD\",\"eventId\":1,\"data\":{\"DATA\":[{"
      "\"connector\":{\"connector_id\":\"livechat\",\"line_id\":128},"
      "\"message\":{\"id\":80964,\"date\":\"\",\"files\":[],\"attach\":\"\"},"
      "\"ref\":[],\"extra\":{\"EXTRA_URL\":\"\"}}]},\"ts\":1714649632," APP,
      "OPENLINEMESSAGE", "80964", NULL },
    { "{\"event\":\"ONIMBOTMESSAGEADD\",\"event_handler_id\":\"403\",\"data\":{"
      "\"BOT\":{\"567\":{" BOT_AUTH ",\"AUTH\":{" BOT_AUTH "},"
      "\"BOT_ID\":\"567\",\"BOT_CODE\":\"BOT1\"}},"
      "\"PARAMS\":{\"MESSAGE\":\"Hello\",\"MESSAGE_ID\":\"84331\"},"
      "\"USER\":{\"ID\":\"27\",\"WORK_POSITION\":\"\"}},"
      "\"ts\":\"1771928985\"," APP, "IMBOTMESSAGE", "84331",
      "{\"BOT\":{\"567\":{" BOT_LEFT ",\"AUTH\":{" BOT_LEFT "},"
      "\"BOT_ID\":\"567\",\"BOT_CODE\":\"BOT1\"}},"
      "\"PARAMS\":{\"MESSAGE\":\"Hello\",\"MESSAGE_ID\":\"84331\"},"
      "\"USER\":{\"ID\":\"27\",\"WORK_POSITION\":\"\"}}" }
};


static void
test_shape(const char *body, const char *type, const char *id,
    const char *data)
{
    char   *got, *at, part[4096];
    cJSON  *tree, *sent, *left;
    size_t  len;

    got = tap_event(*body == '{' ? B1C_JSON : B1C_FORM, body, NULL, NULL);

    ok(strstr(got, SECRET) == NULL, "no secret left");

    snprintf(part, sizeof(part), "\"entity\":{\"type\":\"%s\",\"id\":%s%s%s},",
             type, id ? "\"" : "", id ? id : "null", id ? "\"" : "");

    at = strstr(got, "\"entity\":");
    ok(at != NULL, body);

    if (at == NULL) {
        printf("# %s\n", got);
        free(got);
        return;
    }

    len = strcspn(at, "}") + 2;

    at[len - 1] = '\0';
    part[strlen(part) - 1] = '\0';
    is(at, part, "its entity");
    at[len - 1] = ',';

    at = strstr(got, "\"data\":") + 7;

    if (data != NULL) {
        at[strlen(at) - 1] = '\0';
        is(at, data, "its data");

    } else {
        sent = cJSON_GetObjectItem(tree = cJSON_Parse(body), "data");
        left = cJSON_Parse(at);
        ok(cJSON_Compare(sent, left, 1), "its data, unchanged");
        cJSON_Delete(left);
        cJSON_Delete(tree);
    }

    free(got);
}


int
main(void)
{
    size_t  i;

    for (i = 0; i < countof(shapes); i++) {
        test_shape(shapes[i].body, shapes[i].type, shapes[i].id,
                   shapes[i].data);
    }

    return tap_done();
}

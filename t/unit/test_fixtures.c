
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <glob.h>

#include "tap.h"


/*
 * Every body in t/fixtures/webhooks, found from the top of the tree or from
 * where BITRIX1C_FIXTURES says.  One that is not in the table is checked for
 * all that does not need to be known before.
 */


#define TOKEN  "51856fefc120afa4b628cc82d3935cce"


static const struct {
    const char  *file;
    const char  *event;
    const char  *type;
    const char  *id;
    const char  *domain;
    long         ts;
    const char  *data;
} known[] = {
    { "crm-contact-add.app.2024.form", "ONCRMCONTACTADD", "CRMCONTACT",
      "134806", "bitrix24-php-sdk-playground.bitrix24.com", 1727018926,
      "{\"FIELDS\":{\"ID\":\"134806\"}}" },
    { "crm-contact-update.webhook.2024.form", "ONCRMCONTACTUPDATE",
      "CRMCONTACT", "2", "b24-tgz7td.bitrix24.es", 1718849644,
      "{\"FIELDS\":{\"ID\":\"2\"}}" },
    { "crm-dynamic-item-update.webhook.2025.form", "ONCRMDYNAMICITEMUPDATE",
      "CRMDYNAMICITEM_1032", "21", "konsultatsiyatest.bitrix24.ru", 1739049397,
      "{\"FIELDS\":{\"ID\":\"21\",\"ENTITY_TYPE_ID\":\"1032\"}}" },
    { "crm-lead-add.webhook.2018.form", "ONCRMLEADADD", "CRMLEAD", "365",
      "b24-46hovy.bitrix24.ru", 1545851621, "{\"FIELDS\":{\"ID\":\"365\"}}" },
    { "sale-order-new.seed.form", "ONSALEORDERNEW", "SALEORDER", "123",
      "myshop.ru", 1710460800, "{\"FIELDS\":{\"ID\":\"123\"}}" },
    { "sale-order-saved.docs.form", "ONSALEORDERSAVED", "SALEORDER", "300",
      "some-domain.bitrix24.com", 1714649632,
      "{\"FIELDS\":{\"ID\":\"300\",\"XML_ID\":\"\",\"ACTION\":\"save\"}}" },
    { "task-add.docs.form", "ONTASKADD", "TASK", "123",
      "some-domain.bitrix24.com", 1466439714,
      "{\"FIELDS_BEFORE\":\"undefined\",\"FIELDS_AFTER\":{\"ID\":\"123\"},"
      "\"IS_ACCESSIBLE_BEFORE\":\"N\",\"IS_ACCESSIBLE_AFTER\":\"undefined\"}" },
    { "user-add.app.docs.form", "ONUSERADD", "USER", "123",
      "some-domain.bitrix24.com", 1712304000,
      "{\"ID\":\"123\",\"ACTIVE\":\"Y\",\"EMAIL\":\"user@example.com\","
      "\"NAME\":\"Анна\",\"LAST_NAME\":\"Weber\","
      "\"UF_DEPARTMENT\":[\"1\",\"2\"]}" },
    { "voximplant-call-start.docs.form", "ONVOXIMPLANTCALLSTART",
      "VOXIMPLANTCALL",
      "externalCall.7b0c7de811455ef32b18dc5917e4306a.1773239327",
      "some-domain.bitrix24.com", 1773239326,
      "{\"CALL_ID\":"
      "\"externalCall.7b0c7de811455ef32b18dc5917e4306a.1773239327\","
      "\"USER_ID\":\"1269\"}" }
};


static size_t
read_file(const char *path, char *buf, size_t size)
{
    FILE   *file;
    size_t  len;

    file = fopen(path, "rb");
    if (file == NULL) {
        return 0;
    }

    len = fread(buf, 1, size, file);
    fclose(file);

    return len;
}


static void
test_known(const char *file, const b1c_event_t *ev)
{
    char   *data;
    size_t  i;

    for (i = 0; i < countof(known); i++) {
        if (strcmp(known[i].file, file) != 0) {
            continue;
        }

        data = cJSON_PrintUnformatted(ev->data);

        is(ev->event, known[i].event, "its event");
        is(ev->type, known[i].type, "its type");
        is(ev->id, known[i].id, "its id");
        is(ev->domain, known[i].domain, "its domain");
        num(ev->ts, known[i].ts, "its ts");
        is(data, known[i].data, "its data");

        cJSON_free(data);
    }
}


static void
test_file(const char *path)
{
    char           body[65536], *text, *whole;
    cJSON         *json;
    size_t         len;
    b1c_event_t    ev;
    b1c_error_t    err;
    b1c_input_t    input;
    b1c_message_t  msg;

    memset(&input, 0, sizeof(b1c_input_t));

    input.body = body;
    input.len = read_file(path, body, sizeof(body));

    if (!ok(b1c_message_parse(&msg, &input, &tap_limits, &err) == B1C_OK,
            path))
    {
        return;
    }

    is(msg.token, TOKEN, "its token");
    num(strlen(msg.member_id), 32, "its member_id");

    num(b1c_event_build(&ev, &msg, &err), B1C_OK, "its event");
    b1c_message_free(&msg);

    test_known(strrchr(path, '/') + 1, &ev);

    text = b1c_event_json(&ev, 1, &len);
    b1c_event_free(&ev);

    ok(strstr(text, "token") == NULL && strstr(text, "auth") == NULL
       && strstr(text, TOKEN) == NULL, "no secret left");

    whole = tap_join("{\"id\":\"x\"", text);
    json = cJSON_Parse(whole);
    ok(json != NULL, "valid JSON");

    cJSON_Delete(json);
    free(whole);
    free(text);
}


int
main(void)
{
    char        *pattern;
    glob_t       found;
    size_t       i;
    const char  *dir;

    dir = getenv("BITRIX1C_FIXTURES");
    pattern = tap_join(dir ? dir : "t/fixtures/webhooks", "/*.form");

    if (!ok(glob(pattern, 0, NULL, &found) == 0, pattern)) {
        return tap_done();
    }

    ok(found.gl_pathc >= countof(known), "as many as are known");

    for (i = 0; i < found.gl_pathc; i++) {
        test_file(found.gl_pathv[i]);
    }

    globfree(&found);
    free(pattern);

    return tap_done();
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <time.h>

#include "tap.h"


static void
test_mask(void)
{
    char   *name;
    size_t  i;

    static const struct {
        const char  *mask;
        const char  *name;
        int          matches;
    } cases[] = {
        { "ONSALEORDERNEW", "ONSALEORDERNEW", 1 },
        { "onSaleOrderNew", "ONSALEORDERNEW", 1 },
        { "ONSALEORDERNEW", "onSaleOrderNew", 1 },
        { "ONSALEORDERNEW", "ONSALEORDERNEWS", 0 },
        { "ONSALEORDERNEW", "ONSALEORDERNE", 0 },
        { "ONCRMDEAL*", "ONCRMDEALADD", 1 },
        { "ONCRMDEAL*", "ONCRMDEAL", 1 },
        { "ONCRMDEAL*", "ONCRMLEADADD", 0 },
        { "*", "", 1 },
        { "*", "ONCRMDEALADD", 1 },
        { "**", "X", 1 },
        { "", "", 1 },
        { "", "X", 0 },
        { "X", "", 0 },
        { "*ADD", "ONCRMDEALADD", 1 },
        { "*ADD", "ONADDADD", 1 },
        { "*ADD", "ONADDADX", 0 },
        { "*ADD*", "ONADDX", 1 },
        { "ON*ADD", "ONADD", 1 },
        { "ON*ADD", "ONAD", 0 },
        { "ON*DEAL*UPDATE", "ONCRMDEALUPDATE", 1 },
        { "ON*DEAL*UPDATE", "ONCRMDEALUPDATED", 0 },
        { "*a*b*c*", "xaxbxcx", 1 },
        { "*a*b*c*", "xaxcxbx", 0 },
        { "a*a*a", "aaa", 1 },
        { "a*a*a", "aa", 0 },
        { "CATALOG.*.ON.*", "CATALOG.PRICE.TYPE.ON.ADD", 1 },
        { "CATALOG.X", "CATALOGZX", 0 },
        { "ONCRMDYNAMICITEM*_147", "ONCRMDYNAMICITEMADD_147", 1 },
        { "ONCRMDYNAMICITEM*_147", "ONCRMDYNAMICITEMADD_1470", 0 },
        { "[", "{", 0 },
        { "@", "`", 0 }
    };

    for (i = 0; i < countof(cases); i++) {
        name = tap_join(cases[i].mask, " ");
        num(b1c_glob_match(cases[i].mask, strlen(cases[i].mask),
                           cases[i].name, strlen(cases[i].name)),
            cases[i].matches, name);
        free(name);
    }

    num(b1c_glob_match("ABC", 2, "ABX", 2), 1, "lengths are obeyed");
}


static void
test_mask_time(void)
{
    char     name[20000], mask[200];
    size_t   i;
    clock_t  begun;

    for (i = 0; i < sizeof(mask); i += 2) {
        mask[i] = '*';
        mask[i + 1] = 'a';
    }

    mask[sizeof(mask) - 1] = 'b';
    memset(name, 'a', sizeof(name));

    begun = clock();

    num(b1c_glob_match(mask, sizeof(mask), name, sizeof(name)), 0,
        "100 stars");
    ok(clock() - begun < CLOCKS_PER_SEC, "in less than a second");
}


static void
test_data(void)
{
    char    buf[64];
    cJSON  *data;
    size_t  i;

    static const char  text[] =
        "{\"FIELDS\":{\"ID\":\"21\",\"ENTITY_TYPE_ID\":\"1032\","
        "\"EMPTY\":\"\"},"
        "\"UF_DEPARTMENT\":[1,2,{\"ID\":\"x\"}],"
        "\"A\":{\"B\":{\"Z\":\"deep\"},\"B_C\":{\"D\":\"mid\"}},"
        "\"A_B\":{\"C_D\":\"late\",\"Q\":\"q\"},"
        "\"NUM\":1250.5,\"BIG\":200540400001,\"NEG\":-5,"
        "\"YES\":true,\"NO\":false,\"NIL\":null,"
        "\"SPARSE\":{\"15010\":{\"CODE\":\"c\"}},\"im\":{\"chat_id\":1807},"
        "\"\":\"nameless\",\"U_\":\"tail\"}";

    static const struct {
        const char  *name;
        const char  *want;
    } cases[] = {
        { "fields_id", "21" },
        { "FIELDS_ID", "21" },
        { "fields_entity_type_id", "1032" },
        { "fields_empty", "" },
        { "fields", NULL },
        { "fields_", NULL },
        { "fields_entity", NULL },
        { "fields_entity_type_id_x", NULL },
        { "field_id", NULL },
        { "fieldsid", NULL },
        { "fieldsxid", NULL },
        { "uf_department_0", "1" },
        { "uf_department_1", "2" },
        { "uf_department_2_id", "x" },
        { "uf_department_3", NULL },
        { "uf_department_00", NULL },
        { "uf_department_", NULL },
        { "uf_department_0x", NULL },
        { "uf_department_18446744073709551616", NULL },
        { "uf_department", NULL },
        { "a_b_z", "deep" },
        { "a_b_c_d", "mid" },
        { "a_b_q", "q" },
        { "num", "1250.5" },
        { "big", "200540400001" },
        { "neg", "-5" },
        { "yes", "true" },
        { "no", "false" },
        { "nil", NULL },
        { "sparse_15010_code", "c" },
        { "im_chat_id", "1807" },
        { "", NULL },
        { "_", NULL },
        { "u_", "tail" }
    };

    data = cJSON_Parse(text);
    ok(data != NULL, "data");

    for (i = 0; i < countof(cases); i++) {
        is(b1c_event_data(data, cases[i].name, strlen(cases[i].name), buf,
                          sizeof(buf)),
           cases[i].want, cases[i].name);
    }

    is(b1c_event_data(data, "fields_idx", 9, buf, sizeof(buf)), "21",
       "the length is obeyed");
    is(b1c_event_data(data, "big", 3, buf, 12), NULL, "no room for a number");
    is(b1c_event_data(data, "big", 3, buf, 13), "200540400001",
       "just room for a number");

    cJSON_Delete(data);

    data = cJSON_Parse("[{\"ID\":\"5\"}]");
    is(b1c_event_data(data, "0_id", 4, buf, sizeof(buf)), "5",
       "data that is a list");
    cJSON_Delete(data);
}


int
main(void)
{
    test_mask();
    test_mask_time();
    test_data();

    return tap_done();
}

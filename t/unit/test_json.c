
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"
#include "b1c_core.h"


static b1c_error_t  err;


/* what was read, written again, or the reason why it was not read */

static char *
json(const char *text, size_t len, const b1c_limits_t *limits,
    const char *charset)
{
    cJSON     *tree;
    b1c_buf_t  buf;

    if (b1c_json_parse(&tree, text, len, limits, charset, &err) != B1C_OK) {
        return tap_join("malformed: ", err.what);
    }

    memset(&buf, 0, sizeof(b1c_buf_t));

    b1c_json_write_put_tree(&buf, tree);
    b1c_json_write_put(&buf, "", 1);

    cJSON_Delete(tree);

    return buf.start;
}


static void
is_json(const char *text, const char *want)
{
    char  *got, *copy;

    /* of the exact size, so that a sanitizer sees what is read behind it */

    copy = malloc(strlen(text) + 1);
    if (copy == NULL) {
        abort();
    }

    memcpy(copy, text, strlen(text));
    copy = realloc(copy, strlen(text) ? strlen(text) : 1);

    got = json(copy, strlen(text), &tap_limits, NULL);
    is(got, want, text);

    free(got);
    free(copy);
}


static void
test_good(void)
{
    size_t  i;

    static const char  same[] = "";

    static const struct {
        const char  *text;
        const char  *want;
    } cases[] = {
        { "{}", same },
        { " { } ", "{}" },
        { "\xef\xbb\xbf{\"a\":1}", "{\"a\":1}" },
        { "\r\n\t{ \"a\" : [ 1 , { \"b\" : null } ] }\n",
          "{\"a\":[1,{\"b\":null}]}" },
        { "{\"a\":[]}", same },
        { "{\"a\":{}}", same },
        { "{\"a\":[[],[{}],[[]]]}", same },
        { "{\"a\":true,\"b\":false,\"c\":null}", same },
        { "{\"\":1}", same },
        { "{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}", same },
        { "{\"a\":\"\"}", same },

        /* strings */
        { "{\"a\":\"\\\"\\\\\\/\\t\\n\\r\"}",
          "{\"a\":\"\\\"\\\\/\\t\\n\\r\"}" },
        { "{\"a\":\"\\b\\f\\u0001x\\u001f\\u007f\\u0085y\"}",
          "{\"a\":\"xy\"}" },
        { "{\"a\":\"x\ty\x01z\nw\"}", "{\"a\":\"x\\tyz\\nw\"}" },
        { "{\"a\":\"\\u0410\\u043D\\u043d\\u0430\"}", "{\"a\":\"Анна\"}" },
        { "{\"Имя\":\"Анна\"}", same },
        { "{\"\\u0438\":\"\\u00e9\\u20ac\\ud83d\\ude00\"}",
          "{\"и\":\"é€😀\"}" },
        { "{\"a\":\"\\uFFFF\\ufffe\\uFFFD\"}", "{\"a\":\"\xef\xbf\xbd\"}" },
        { "{\"a\":\"\\u007e\\u07ff\\u0800\\u0fff\\ud7ff\\ue000\\ud800\\udc00"
          "\\udbff\\udfff\"}",
          "{\"a\":\"~\xdf\xbf\xe0\xa0\x80\xe0\xbf\xbf\xed\x9f\xbf\xee\x80\x80"
          "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"}" },
        { "{\"a\\\"b\":1}", same },

        /* numbers */
        { "{\"a\":[0,-1,1,42,-0]}", "{\"a\":[0,-1,1,42,0]}" },
        { "{\"a\":[200540400001,2147483648,999999999999999]}", same },
        { "{\"a\":[1.5,-0.25,0.1,1250.5,3.14159265358979]}", same },
        { "{\"a\":[1.50,2.0,0.0001]}", "{\"a\":[1.5,2,0.0001]}" },
        { "{\"a\":1234567890123456}", "{\"a\":\"1234567890123456\"}" },
        { "{\"a\":-1152921504606846976}", "{\"a\":\"-1152921504606846976\"}" },
        { "{\"a\":0.1234567890123456}", "{\"a\":\"0.1234567890123456\"}" },
        { "{\"a\":1e5,\"b\":1E+5,\"c\":-1.5e-7}",
          "{\"a\":\"1e5\",\"b\":\"1E+5\",\"c\":\"-1.5e-7\"}" },
        { "{\"a\":0.00001}", "{\"a\":\"0.00001\"}" },
        { "{\"a\":0.000000000000001,\"b\":0.0000}",
          "{\"a\":\"0.000000000000001\",\"b\":\"0.0000\"}" },
        { "{\"a\":[1e400,12345678901234567890]}",
          "{\"a\":[\"1e400\",\"12345678901234567890\"]}" }
    };

    for (i = 0; i < countof(cases); i++) {
        is_json(cases[i].text,
                cases[i].want == same ? cases[i].text : cases[i].want);
    }
}


static void
test_bad(void)
{
    char   *want;
    size_t  i, j;

    static const struct {
        const char  *what;
        const char  *texts[16];
    } cases[] = {
        { "empty body", { "", " ", "\r\n", "\xef\xbb\xbf" } },
        { "JSON is not an object",
          { "[]", "[{}]", "1", "\"a\"", "null", "x", "event=ONSALEORDERNEW",
            "\xef\xbb{}" } },
        { "text after the end of the JSON",
          { "{}{}", "{} x", "{},", "{}}", "{\"a\":1}]" } },
        { "broken JSON",
          { "{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,",
            "{\"a\":[", "{\"a\":[1", "{\"a\":[1,", "{\"a\":{", "{\"a\":\"x",
            "{]", "{\"a\":[}", "{\"a\":{]" } },
        { "broken JSON",
          { "{,}", "{\"a\":1,}", "{\"a\":1,,\"b\":2}", "{\"a\":1 \"b\":2}",
            "{\"a\":[,]}", "{\"a\":[1,]}", "{\"a\":[1,,2]}", "{\"a\":[1 2]}",
            "{a:1}", "{'a':1}", "{1:1}", "{\"a\",1}", "{\"a\"}", "{\"a\"::1}",
            "{\"a\":}" } },
        { "broken JSON",
          { "{\"a\":+1}", "{\"a\":01}", "{\"a\":-01}", "{\"a\":.5}",
            "{\"a\":1.}", "{\"a\":1.e5}", "{\"a\":1e}", "{\"a\":1e+}",
            "{\"a\":-}", "{\"a\":0x1}", "{\"a\":NaN}", "{\"a\":Infinity}",
            "{\"a\":1.5.5}", "{\"a\":--1}", "{\"a\":1e5.5}" } },
        { "broken JSON",
          { "{\"a\":True}", "{\"a\":tru}", "{\"a\":nul", "{\"a\":nulll}",
            "{\"a\":undefined}", "{/**/}", "{\"a\":1\v}", "{\v}",
            "{\"a\":1;}" } },
        { "broken escape in JSON",
          { "{\"a\":\"\\x41\"}", "{\"a\":\"\\", "{\"a\":\"\\u\"}",
            "{\"a\":\"\\u123\"}", "{\"a\":\"\\u123g\"}", "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\udc00\"}", "{\"a\":\"\\ud800\\u0041\"}",
            "{\"a\":\"\\ud800\\ud800\"}", "{\"a\":\"\\ud800x\"}",
            "{\"a\":\"\\ud800\\ue000\"}", "{\"a\":\"\\ud800\\udbff\"}",
            "{\"a\":\"\\U0041\"}", "{\"a\":\"\\u12", "{\"a\":\"\\ud800\\udc" }
        },
        { "NUL byte", { "{\"a\":\"\\u0000\"}", "{\"\\u0000\":1}" } },
        { "broken UTF-8 in a value",
          { "{\"a\":\"\xff\"}", "{\"a\":\"\xc0\x80\"}",
            "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xf4\x90\x80\x80\"}",
            "{\"a\":\"\xc3\"}", "{\"a\":\"\xe2\x82\"}" } },
        { "broken UTF-8 in a key", { "{\"\xff\":1}" } },
        { "control character in a key",
          { "{\"a\\n\":1}", "{\"a\t\":1}", "{\"\\u0085\":1}",
            "{\"\\u007f\":1}" }
        },
        { "key is repeated",
          { "{\"event\":1,\"event\":2}", "{\"event\":1,\"\\u0065vent\":2}",
            "{\"auth\":{},\"auth\":{}}", "{\"a\":{\"b\":{},\"c\":1,\"b\":1}}",
            "{\"a\":[{\"b\":1,\"b\":1}]}", "{\"\":1,\"\":2}" } }
    };

    for (i = 0; i < countof(cases); i++) {
        for (j = 0; j < 16 && cases[i].texts[j] != NULL; j++) {
            want = tap_join("malformed: ", cases[i].what);
            is_json(cases[i].texts[j], want);
            free(want);
        }
    }
}


static void
test_nul(void)
{
    char  *got;

    got = json("{\"a\":\"x\0y\"}", 11, &tap_limits, NULL);
    is(got, "malformed: NUL byte", "a NUL byte in a string");
    free(got);

    got = json("{\"a\":1\0}", 8, &tap_limits, NULL);
    is(got, "malformed: broken JSON", "a NUL byte elsewhere");
    free(got);

    got = json("{}\0", 3, &tap_limits, NULL);
    is(got, "malformed: text after the end of the JSON",
       "a NUL byte at the end");
    free(got);
}


static void
test_limit(const char *first, const char *part, size_t n, const char *last,
    const char *want, const b1c_limits_t *limits)
{
    char   *text, *got, *p;
    size_t  i;

    text = malloc(strlen(first) + n * strlen(part) + strlen(last) + 1);
    if (text == NULL) {
        abort();
    }

    p = stpcpy(text, first);

    for (i = 0; i < n; i++) {
        p = stpcpy(p, part);
    }

    strcpy(p, last);

    err.what = NULL;

    got = json(text, strlen(text), limits, NULL);
    is(err.what, want, want ? want : "within the limits");

    free(got);
    free(text);
}


static void
test_limits(void)
{
    b1c_limits_t  none = { SIZE_MAX, SIZE_MAX, SIZE_MAX };

    static const char  many[] =
        "too many members or elements (bitrix1c_limits pairs=)";
    static const char  deep[] = "too deep (bitrix1c_limits depth=)";
    static const char  wide[] = "key too long (bitrix1c_limits key=)";

    test_limit("{\"a\":[1", ",1", 998, "]}", NULL, &tap_limits);
    test_limit("{\"a\":[1", ",1", 999, "]}", many, &tap_limits);
    test_limit("{\"a\":[1", ",1", 99999, "]}", many, &tap_limits);

    test_limit("", "{\"a\":", 8, "1}}}}}}}}", NULL, &tap_limits);
    test_limit("", "{\"a\":", 9, "1}}}}}}}}}", deep, &tap_limits);
    test_limit("{\"a\":", "[", 7, "]]]]]]]}", NULL, &tap_limits);
    test_limit("{\"a\":", "[", 8, "]]]]]]]]}", deep, &tap_limits);
    test_limit("{\"a\":", "[", 1000, "", deep, &tap_limits);
    test_limit("{\"a\":", "[", 1000000, "", deep, &none);

    test_limit("{\"", "x", 256, "\":1}", NULL, &tap_limits);
    test_limit("{\"", "x", 257, "\":1}", wide, &tap_limits);
    test_limit("{\"", "\\u0410", 128, "\":1}", NULL, &tap_limits);
    test_limit("{\"", "\\u0410", 129, "\":1}", wide, &tap_limits);
    test_limit("{\"", "x", 1000000, "\":1}", wide, &tap_limits);
    test_limit("{\"a\":\"", "x", 1000000, "\"}", NULL, &tap_limits);
}


static void
test_place(void)
{
    char  *got;

    got = json("{\"a\":1,\"b\":x}", 13, &tap_limits, NULL);
    num(err.where, 11, "the place of an error is told");
    free(got);
}


static void
test_charset(void)
{
    char  *got;

    got = json("{\"a\":\"\xc0\xed\xed\xe0\"}", 12, &tap_limits, "cp1251");
    is(got, "{\"a\":\"Анна\"}", "windows-1251");
    free(got);

    got = json("{\"a\":\"\x98\"}", 9, &tap_limits, "windows-1251");
    is(got, "malformed: not valid in the charset (bitrix1c_charset)",
       "not valid in windows-1251");
    num(err.where, 6, "and where");
    free(got);
}


/* what the reader never lets in, the writer still writes as JSON */

static void
test_writing(void)
{
    char       number[32];
    char       text[2001], want[12002], *p;
    cJSON     *node;
    size_t     i;
    b1c_buf_t  buf;

    memset(text, '\x01', 2000);
    text[2000] = '\0';

    p = stpcpy(want, "\"");

    for (i = 0; i < 2000; i++) {
        p = stpcpy(p, "\\u0001");
    }

    memset(&buf, 0, sizeof(b1c_buf_t));
    b1c_json_write_put_string(&buf, text);

    num(buf.len, 12002, "2000 control characters");
    ok(memcmp(buf.start, want, 12001) == 0, "are all escaped");

    free(buf.start);

    node = cJSON_CreateNumber(1e300);
    is(b1c_json_write_number(node, number), "1e+300",
       "a number beyond integers");
    cJSON_Delete(node);

    node = cJSON_CreateNumber(-2.2250738585072014e-308);
    is(b1c_json_write_number(node, number), "-2.2250738585072014e-308",
       "the longest text of a number");
    cJSON_Delete(node);
}


int
main(void)
{
    test_good();
    test_bad();
    test_nul();
    test_limits();
    test_place();
    test_charset();
    test_writing();

    return tap_done();
}

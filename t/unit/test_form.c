
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"


static b1c_error_t  err;


static b1c_rc_t
parse(b1c_form_t *form, const char *body, const char *charset)
{
    return b1c_form_parse(form, body, strlen(body), &tap_limits, charset,
                          &err);
}


/* all pairs as key=value;key=value; or the reason why there are none */

static char *
pairs(const char *body, const char *charset)
{
    char       *text, *longer;
    size_t      i;
    b1c_form_t  form;

    if (parse(&form, body, charset) != B1C_OK) {
        return tap_join("malformed: ", err.what);
    }

    text = tap_join("", "");

    for (i = 0; i < form.npairs; i++) {
        longer = tap_join(text, form.pairs[i].key);
        free(text);
        text = tap_join(longer, "=");
        free(longer);
        longer = tap_join(text, form.pairs[i].value);
        free(text);
        text = tap_join(longer, ";");
        free(longer);
    }

    b1c_form_free(&form);

    return text;
}


static void
test_decoding(void)
{
    char   *text;
    size_t  i;

    static const struct {
        const char  *body;
        const char  *want;
        const char  *charset;
    } cases[] = {
        { "a=1", "a=1;", NULL },
        { "a=1&b=2", "a=1;b=2;", NULL },
        { "a+b=c+d", "a b=c d;", NULL },
        { "a=%2B%26%3d%25", "a=+&=%;", NULL },
        { "a%5Bb%5D=1&a[c]=2", "a[b]=1;a[c]=2;", NULL },
        { "a%5bb%5d%5bc%5d=1", "a[b][c]=1;", NULL },
        { "a[]=1&a[]=2", "a[]=1;a[]=2;", NULL },
        { "&&a=1&&&b=2&", "a=1;b=2;", NULL },
        { "a", "a=;", NULL },
        { "a&b&c", "a=;b=;c=;", NULL },
        { "a=", "a=;", NULL },
        { "a==b=c", "a==b=c;", NULL },
        { "a=[]]][", "a=[]]][;", NULL },
        { "%D0%98%D0%BC%D1%8F=%D0%90", "Имя=А;", NULL },
        { "Имя=Анна", "Имя=Анна;", NULL },
        { "%C8%EC%FF=%C0%ED%ED%E0", "Имя=Анна;", "windows-1251" },
        { "a=%80%88", "a=Ђ€;", "windows-1251" },
        { "a[%81%5B]=%81%5D", "a[ー]=‐;", "SHIFT_JIS" },
        { "a=e%EC", "a=é;", "windows-1258" },
        { "\xc8=\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0",
          "И=ААААААААААААААА;", "windows-1251" },
        { "a=\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88"
          "\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88",
          "a=€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€;", "windows-1251" },
        /* control characters are dropped, three of them and text stay */
        { "a=%01x%08y%0Bz%1F%7F", "a=xyz;", NULL },
        { "a=%09%0A%0D", "a=\t\n\r;", NULL },
        { "a=x%C2%85%C2%9Fy%C2%A0", "a=xy\xc2\xa0;", NULL },
        { "a=x%EF%BF%BEy%EF%BF%BFz%EF%BF%BD", "a=xyz\xef\xbf\xbd;", NULL },
        { "a=x\x01y&b=\x02", "a=xy;b=;", NULL },
        { "a=%98x", "malformed: not valid in the charset"
          " (bitrix1c_charset)", "windows-1251" },
        { "a=x", "malformed: unknown charset (bitrix1c_charset)", "none-1" },
        { "a=x", "malformed: charset does not extend ASCII"
          " (bitrix1c_charset)", "UTF-16LE" }
    };

    for (i = 0; i < countof(cases); i++) {
        text = pairs(cases[i].body, cases[i].charset);
        is(text, cases[i].want, cases[i].body);
        free(text);
    }
}


static void
test_malformed(void)
{
    size_t      i;
    b1c_form_t  form;

    static const struct {
        const char  *body;
        const char  *what;
        size_t       where;
    } cases[] = {
        { "", "empty body", 0 },
        { "&&&", "empty body", 0 },
        { "%", "% without two hex digits", 0 },
        { "a=%zz", "% without two hex digits", 2 },
        { "a=1&b=%2", "% without two hex digits", 6 },
        { "a=1&b=%2&c=3", "% without two hex digits", 6 },
        { "a=1&b%=2", "% without two hex digits", 5 },
        { "a=%4", "% without two hex digits", 2 },
        { "a=%+1", "% without two hex digits", 2 },
        { "a=%0x", "% without two hex digits", 2 },
        { "a=1%00", "NUL byte", 3 },
        { "a=1&a%00b=1", "NUL byte", 5 },
        { "=1", "empty key", 0 },
        { "a=1&=", "empty key", 4 },
        { "[a]=1", "key begins with a bracket", 0 },
        { "%5Ba%5D=1", "key begins with a bracket", 0 },
        { "]=1", "closing bracket without an opening one", 0 },
        { "a[b=1", "bracket is not closed", 0 },
        { "a[=1", "bracket is not closed", 0 },
        { "a%5Bb=1", "bracket is not closed", 0 },
        { "a]b=1", "closing bracket without an opening one", 0 },
        { "a]=1", "closing bracket without an opening one", 0 },
        { "a[b]c=1", "key continues after its brackets", 0 },
        { "a[b]]=1", "key continues after its brackets", 0 },
        { "a[b]]c[d]=1", "key continues after its brackets", 0 },
        { "a[b[c]]=1", "bracket inside brackets", 0 },
        { "a%01=1", "control character in a key", 0 },
        { "a%0A=1", "control character in a key", 0 },
        { "a%7F=1", "control character in a key", 0 },
        { "a%C2%80=1", "control character in a key", 0 },
        { "a%EF%BF%BF=1", "control character in a key", 0 },
        { "%FF=1", "broken UTF-8 in a key", 0 },
        { "x=1&a=%80", "broken UTF-8 in a value", 4 },
        { "a=%C0%80", "broken UTF-8 in a value", 0 },
        { "a=%C1%BF", "broken UTF-8 in a value", 0 },
        { "a=%C3", "broken UTF-8 in a value", 0 },
        { "a=%C3x", "broken UTF-8 in a value", 0 },
        { "a=%E0%9F%BF", "broken UTF-8 in a value", 0 },
        { "a=%E2%82", "broken UTF-8 in a value", 0 },
        { "a=%E2%82x", "broken UTF-8 in a value", 0 },
        { "a=%ED%A0%80", "broken UTF-8 in a value", 0 },
        { "a=%ED%BF%BF", "broken UTF-8 in a value", 0 },
        { "a=%F0%8F%BF%BF", "broken UTF-8 in a value", 0 },
        { "a=%F4%90%80%80", "broken UTF-8 in a value", 0 },
        { "a=%F5%80%80%80", "broken UTF-8 in a value", 0 },
        { "a=%FF", "broken UTF-8 in a value", 0 },
        { "a=%C8%EC%FF", "broken UTF-8 in a value", 0 }
    };

    for (i = 0; i < countof(cases); i++) {
        memset(&err, 0, sizeof(b1c_error_t));

        num(parse(&form, cases[i].body, NULL), B1C_MALFORMED, cases[i].body);
        is(err.what, cases[i].what, cases[i].what);
        num(err.where, cases[i].where, "the place is told");
        ok(form.pairs == NULL && form.text == NULL, "nothing is left");
    }

    num(b1c_form_parse(&form, "a=\0b", 4, &tap_limits, NULL, &err),
        B1C_MALFORMED, "a raw NUL byte");
    is(err.what, "NUL byte", "the reason of the NUL byte");

    parse(&form, "a=1&bb=%98&c=3", "windows-1251");
    num(err.where, 4, "the place of a pair that is not valid in its charset");
}


static void
test_edges_of_utf8(void)
{
    size_t      i;
    b1c_form_t  form;

    static const char *const  bodies[] = {
        "a=%C2%A0", "a=%DF%BF", "a=%E0%A0%80", "a=%ED%9F%BF", "a=%EE%80%80",
        "a=%EF%BF%BD", "a=%F0%90%80%80", "a=%F4%8F%BF%BF"
    };

    for (i = 0; i < countof(bodies); i++) {
        num(parse(&form, bodies[i], NULL), B1C_OK, bodies[i]);
        num(form.pairs[0].value_len, (strlen(bodies[i]) - 2) / 3,
            "all its bytes are there");
        b1c_form_free(&form);
    }
}


static char *
repeated(const char *first, const char *part, size_t n, const char *last)
{
    char   *text, *p;
    size_t  i, len;

    len = strlen(part);

    text = malloc(strlen(first) + n * len + strlen(last) + 1);
    if (text == NULL) {
        abort();
    }

    p = stpcpy(text, first);

    for (i = 0; i < n; i++) {
        memcpy(p, part, len);
        p += len;
    }

    strcpy(p, last);

    return text;
}


static void
test_limit(const char *first, const char *part, size_t n, const char *last,
    const char *want, const char *name)
{
    char       *body;
    b1c_rc_t    rc;
    b1c_form_t  form;

    body = repeated(first, part, n, last);

    memset(&err, 0, sizeof(b1c_error_t));

    rc = parse(&form, body, NULL);

    is(err.what, want, name);
    num(rc, want ? B1C_MALFORMED : B1C_OK, "its code");

    if (rc == B1C_OK) {
        b1c_form_free(&form);
    }

    free(body);
}


static void
test_limits(void)
{
    b1c_form_t    form;
    b1c_limits_t  limits;

    static const char  many[] = "too many pairs (bitrix1c_limits pairs=)";
    static const char  deep[] = "too many brackets (bitrix1c_limits depth=)";
    static const char  wide[] = "key too long (bitrix1c_limits key=)";

    test_limit("", "&a=1", 1000, "", NULL, "1000 pairs");
    test_limit("", "a=1&", 1001, "", many, "1001 pairs");
    test_limit("", "a=1&", 100000, "", many, "100000 pairs");
    test_limit("", "a&", 500000, "", many, "1 MB of pairs");
    test_limit("", "&", 1000000, "a=1", NULL, "1 MB of empty pairs");

    test_limit("a", "[b]", 8, "=", NULL, "8 brackets");
    test_limit("a", "[b]", 9, "=", deep, "9 brackets");
    test_limit("a", "[]", 9, "=", deep, "9 empty brackets");
    test_limit("a", "%5B%5D", 9, "=", deep, "9 encoded brackets");
    test_limit("a", "[]", 100, "=", deep, "100 brackets");
    test_limit("a", "[b]", 1000, "=", deep, "1000 brackets");
    test_limit("a", "[b]", 300000, "=", deep, "1 MB of brackets");

    test_limit("", "x", 256, "=", NULL, "a key of 256 bytes");
    test_limit("", "x", 257, "=", wide, "a key of 257 bytes");
    test_limit("", "%D0%90", 128, "=", NULL, "256 bytes are decoded ones");
    test_limit("x", "%D0%90", 128, "=", wide, "257 decoded bytes");
    test_limit("", "x", 1000000, "", wide, "a key of 1 MB");
    test_limit("a=", "x", 1000000, "", NULL, "a value of 1 MB");

    limits = tap_limits;
    limits.depth = 100000;
    limits.key = 100000;

    num(b1c_form_parse(&form, "a[b][c]=1", 9, &limits, NULL, &err),
        B1C_OK, "high limits");
    b1c_form_free(&form);
}


static void
test_depth_max(void)
{
    char         *body;
    b1c_form_t    form;
    b1c_limits_t  limits = { 10, 100000, 100000 };

    body = repeated("a", "[]", 1000, "");

    num(b1c_form_parse(&form, body, strlen(body), &limits, NULL, &err),
        B1C_OK, "1000 brackets, if they are allowed");

    b1c_form_free(&form);
    free(body);

    body = repeated("a", "[]", 1001, "");

    num(b1c_form_parse(&form, body, strlen(body), &limits, NULL, &err),
        B1C_MALFORMED, "no limit allows 1001 brackets");

    free(body);
}


static void
test_find(void)
{
    b1c_form_t         form;
    const b1c_pair_t  *pair;

    parse(&form, "eventx=0&event=a&auth%5Bdomain%5D=b%20c&event=d", NULL);

    pair = b1c_form_find(&form, "event");
    ok(pair != NULL, "a key is found");
    is(pair->value, "a", "the first of two");
    num(pair->where, 9, "with its place");

    pair = b1c_form_find(&form, "auth[domain]");
    is(pair->value, "b c", "an encoded key is found");
    num(pair->value_len, 3, "and its value's length");

    ok(b1c_form_find(&form, "auth") == NULL, "no part of a key is found");
    ok(b1c_form_find(&form, "even") == NULL, "no beginning of a key");

    b1c_form_free(&form);
}


int
main(void)
{
    test_decoding();
    test_malformed();
    test_edges_of_utf8();
    test_limits();
    test_depth_max();
    test_find();

    return tap_done();
}

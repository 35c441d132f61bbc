
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <iconv.h>
#include <zlib.h>

#include "tap.h"
#include "b1c_core.h"


/*
 * fixtures/onec: one answer a line, the sign of the return key for a line
 * break.  None of ordinary.txt is an exception, all of errors.txt are.
 */


#define BREAK  "\xe2\x8f\x8e"


static size_t
unfold(char *text)
{
    char    *src, *dst;

    dst = text;

    for (src = text; *src != '\0' && *src != '\n'; /* void */ ) {

        if (strncmp(src, BREAK, 3) == 0) {
            *dst++ = '\n';
            src += 3;

        } else {
            *dst++ = *src++;
        }
    }

    *dst = '\0';

    return dst - text;
}


static void
test_file(const char *name, int want, int least)
{
    int     n;
    char    line[16384];
    FILE   *f;
    size_t  len;

    f = fopen(name, "r");
    ok(f != NULL, name);

    if (f == NULL) {
        return;
    }

    for (n = 0; fgets(line, sizeof(line), f) != NULL; n++) {
        len = unfold(line);
        ok(b1c_onec_failed(line, len) == want, line);
    }

    fclose(f);

    ok(n >= least, "the file has all its answers");
}


static void
test_cut(void)
{
    size_t  n;

    static const char  text[] =
        "{\"error\":\"{ОбщийМодуль.Обмен.Модуль(40)}: Деление на ноль\"}";

    for (n = 0; n <= sizeof(text) - 1; n++) {

        char  *copy = malloc(n ? n : 1);

        memcpy(copy, text, n);
        (void) b1c_onec_failed(copy, n);
        free(copy);
    }

    ok(b1c_onec_failed(text, sizeof(text) - 10), "an answer that is cut off");
    ok(!b1c_onec_failed(text, 40), "one that is cut off before the place ends");
}


static void
test_charset(const char *charset, const char *bom, size_t bom_len)
{
    char     buf[512], *in, *out;
    size_t   left, room;
    iconv_t  cd;

    static char  text[] = "{ОбщийМодуль.Обмен.Модуль(40)}: Деление на ноль";

    cd = iconv_open(charset, "UTF-8");

    in = text;
    left = sizeof(text) - 1;
    memcpy(buf, bom, bom_len);
    out = buf + bom_len;
    room = sizeof(buf) - bom_len;

    ok(iconv(cd, &in, &left, &out, &room) != (size_t) -1, charset);
    iconv_close(cd);

    ok(b1c_onec_failed(buf, out - buf), "the exception is found in it");
}


static void
test_gzip(const char *text, int want)
{
    size_t         n;
    z_stream       z;
    unsigned char  buf[512];

    memset(&z, 0, sizeof(z_stream));

    ok(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY)
       == Z_OK, "gzip");

    z.next_in = (unsigned char *) text;
    z.avail_in = (unsigned int) strlen(text);
    z.next_out = buf;
    z.avail_out = sizeof(buf);

    ok(deflate(&z, Z_FINISH) == Z_STREAM_END, "the whole text");
    deflateEnd(&z);

    n = sizeof(buf) - z.avail_out;

    ok(b1c_onec_failed((char *) buf, n) == want, "a gzipped answer");
    ok(b1c_onec_failed((char *) buf, n - 8) == want, "and one cut off");
}


static void
test_bounds(void)
{
    char    big[10000];
    size_t  i;

    memset(big, '{', sizeof(big));
    ok(!b1c_onec_failed(big, sizeof(big)), "braces alone");

    for (i = 0; i + 3 < sizeof(big); i += 2) {
        memcpy(big + i, "\"\\", 2);
    }

    big[0] = '{';
    ok(!b1c_onec_failed(big, sizeof(big)), "escapes alone");
    ok(!b1c_onec_failed("", 0), "an empty answer");
    ok(!b1c_onec_failed(NULL, 0), "no answer");
    ok(!b1c_onec_failed("\x1f\x8b\x08", 3), "a broken gzip");
    ok(!b1c_onec_failed("\xff\xfe\x00\xd8", 4), "a broken UTF-16");
}


int
main(void)
{
    test_file("t/fixtures/onec/errors.txt", 1, 30);
    test_file("t/fixtures/onec/ordinary.txt", 0, 200);
    test_cut();
    test_charset("WINDOWS-1251", "", 0);
    test_charset("UTF-16LE", "\xff\xfe", 2);
    test_charset("UTF-16BE", "\xfe\xff", 2);
    test_gzip("{ОбщийМодуль.Обмен.Модуль(40)}: Деление на ноль", 1);
    test_gzip("{\"result\":true}", 0);
    test_bounds();

    return tap_done();
}

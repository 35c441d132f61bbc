
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "b1c_core.h"


/* bytes of an answer that are looked at, after it was unpacked or converted */
#define B1C_ONEC_TEXT   4096

/* bytes of the name in a place, and of a key of JSON */
#define B1C_ONEC_NAME   400
#define B1C_ONEC_KEY    32

/* the detailed form of an error has its places behind a few lines of text */
#define B1C_ONEC_LINES  8

/* how the place of an HTTP service begins: it need not be whole */
#define B1C_ONEC_SERVICE  "{HTTPСервис."


static size_t b1c_onec_plain(const char *text, size_t len, char *buf);
static size_t b1c_onec_inflate(const char *text, size_t len, char *buf);
static size_t b1c_onec_convert(const char *charset, const char *text,
    size_t len, char *buf);
static int b1c_onec_utf8(const char *text, size_t len);
static int b1c_onec_lines(const char *p, const char *end);
static int b1c_onec_json(const char *p, const char *end);
static int b1c_onec_error_key(const char *key, size_t len);
static const char *b1c_onec_string(const char *p, const char *end, char *buf,
    size_t *len);
static int b1c_onec_place(const char *p, const char *end);
static int b1c_onec_module(const char *name, size_t len);
static const char *b1c_onec_digits(const char *p, const char *end, int max);


/*
 * How the name of a place ends, in a configuration with Russian or English
 * script; forms have no word for "module"
 */
static const char  *b1c_onec_modules[] = {
    ".Модуль", ".МодульОбъекта", ".МодульМенеджера",
    ".МодульМенеджераЗначения", ".МодульНабораЗаписей", ".МодульКоманды",
    ".Форма", ".Module", ".ObjectModule", ".ManagerModule",
    ".ValueManagerModule", ".RecordSetModule", ".CommandModule", ".Form",
    NULL
};

/* modules of the application as a whole, and code without one */
static const char  *b1c_onec_roots[] = {
    "МодульСеанса", "МодульУправляемогоПриложения",
    "МодульОбычногоПриложения", "МодульВнешнегоСоединения", "SessionModule",
    "ManagedApplicationModule", "OrdinaryApplicationModule",
    "ExternalConnectionModule", "<Неизвестный модуль>", "Неизвестный модуль",
    "<Unknown module>", "Unknown module", NULL
};

/* keys whose text is an error's and never a customer's */
static const char  *b1c_onec_keys[] = {
    "error", "err", "errors", "exception", "message", "msg", "descr",
    "errorDescr", "errorMessage", "errorText", "error_message", "error_text",
    "error_description", "trace", "fault", "faultstring", "ошибка", "Ошибка",
    "ТекстОшибки", "ОписаниеОшибки", "сообщение", "Сообщение", "исключение",
    "Исключение", NULL
};


int
b1c_onec_failed(const char *text, size_t len)
{
    char        buf[B1C_ONEC_TEXT];
    size_t      n;
    const char  *p, *end;

    if (len == 0) {
        return 0;
    }

    n = b1c_onec_plain(text, len, buf);

    p = buf;
    end = buf + n;

    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')) {
        p++;
    }

    if (p == end) {
        return 0;
    }

    n = sizeof(B1C_ONEC_SERVICE) - 1;

    if ((size_t) (end - p) >= n && memcmp(p, B1C_ONEC_SERVICE, n) == 0) {
        return 1;
    }

    return b1c_onec_lines(p, end)
           || ((*p == '{' || *p == '[') && b1c_onec_json(p, end));
}


/* UTF-8 without its BOM, whatever the server in front of 1C made of it */
static size_t
b1c_onec_plain(const char *text, size_t len, char *buf)
{
    size_t  n;

    if (len > 2 && memcmp(text, "\x1f\x8b", 2) == 0) {
        return b1c_onec_inflate(text, len, buf);
    }

    if (len > 2 && memcmp(text, "\xff\xfe", 2) == 0) {
        return b1c_onec_convert("UTF-16LE", text + 2, (len - 2) & ~1, buf);
    }

    if (len > 2 && memcmp(text, "\xfe\xff", 2) == 0) {
        return b1c_onec_convert("UTF-16BE", text + 2, (len - 2) & ~1, buf);
    }

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }

    n = len < B1C_ONEC_TEXT ? len : B1C_ONEC_TEXT;

    if (!b1c_onec_utf8(text, n)) {
        return b1c_onec_convert("WINDOWS-1251", text, n, buf);
    }

    memcpy(buf, text, n);

    return n;
}


static size_t
b1c_onec_inflate(const char *text, size_t len, char *buf)
{
    z_stream  z;

    memset(&z, 0, sizeof(z_stream));

    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) {
        return 0;
    }

    z.next_in = (unsigned char *) text;
    z.avail_in = (unsigned int) len;
    z.next_out = (unsigned char *) buf;
    z.avail_out = B1C_ONEC_TEXT;

    /* the answer may be cut off: what has come out is good */

    (void) inflate(&z, Z_SYNC_FLUSH);
    (void) inflateEnd(&z);

    return B1C_ONEC_TEXT - z.avail_out;
}


static size_t
b1c_onec_convert(const char *charset, const char *text, size_t len, char *buf)
{
    char         *out;
    size_t        n;
    b1c_error_t   err;

    if (b1c_text_convert(charset, text, len, &out, &n, &err) != B1C_OK) {
        return 0;
    }

    if (n > B1C_ONEC_TEXT) {
        n = B1C_ONEC_TEXT;
    }

    memcpy(buf, out, n);
    free(out);

    return n;
}


/* but for a character at the end that was cut in its middle */
static int
b1c_onec_utf8(const char *text, size_t len)
{
    size_t                n;
    const unsigned char  *p, *end;

    p = (const unsigned char *) text;
    end = p + len;

    for ( /* void */ ; p < end; p += n) {
        n = b1c_text_char(p, end - p);

        if (n == 0) {
            return end - p < 4 && *p >= 0xc2;
        }
    }

    return 1;
}


/*
 * Brief: "{ОбщийМодуль.Обмен.Модуль(40)}: ..." in the first line, perhaps with
 * words before it.  Detailed: a text, and then lines that begin with places.
 */
static int
b1c_onec_lines(const char *p, const char *end)
{
    int          line;
    const char  *at, *eol;

    for (line = 0; line < B1C_ONEC_LINES && p < end; line++) {

        eol = memchr(p, '\n', end - p);

        if (eol == NULL) {
            eol = end;
        }

        for (at = p; at < eol; at++) {

            if (*at == '{' && b1c_onec_place(at, eol)) {
                return 1;
            }

            if (line > 0 && *at != ' ' && *at != '\t') {
                break;
            }

            /* JSON, whose values are looked at by their keys */

            if (line == 0 && *at == '"' && *p != '"' && (*p == '{' || *p == '['))
            {
                return 0;
            }
        }

        p = eol + (eol < end);
    }

    return 0;
}


/* the strings of JSON one after the other; the end may be cut off */
static int
b1c_onec_json(const char *p, const char *end)
{
    int     wanted;
    char    buf[B1C_ONEC_TEXT];
    size_t  len;

    wanted = 0;

    while (p < end) {

        if (*p == ',' || *p == '}') {
            wanted = 0;
        }

        if (*p != '"') {
            p++;
            continue;
        }

        p = b1c_onec_string(p + 1, end, buf, &len);

        while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'
                           || *p == '\n'))
        {
            p++;
        }

        if (p < end && *p == ':') {
            wanted = b1c_onec_error_key(buf, len);
            p++;
            continue;
        }

        if (wanted && b1c_onec_lines(buf, buf + len)) {
            return 1;
        }
    }

    return 0;
}


static int
b1c_onec_error_key(const char *key, size_t len)
{
    size_t  i;

    if (len == 0 || len > B1C_ONEC_KEY) {
        return 0;
    }

    for (i = 0; b1c_onec_keys[i] != NULL; i++) {
        if (b1c_glob_match(b1c_onec_keys[i], strlen(b1c_onec_keys[i]), key,
                           len))
        {
            return 1;
        }
    }

    return 0;
}


/* the text of a string that begins at p; returns what stands behind it */
static const char *
b1c_onec_string(const char *p, const char *end, char *buf, size_t *len)
{
    long    code;
    char   *out;

    for (out = buf; p < end && *p != '"'; /* void */ ) {

        if (*p != '\\') {
            *out++ = *p++;
            continue;
        }

        if (++p == end) {
            break;
        }

        if (*p != 'u') {
            *out++ = (*p == 'n') ? '\n' : (*p == 't') ? '\t' : *p;
            p++;
            continue;
        }

        code = b1c_text_hex4(p + 1, end);

        if (code < 0) {
            break;
        }

        /* six bytes of an escape become at most three */

        if (code < 0x80) {
            *out++ = (char) code;

        } else if (code < 0x800) {
            *out++ = (char) (0xc0 | code >> 6);
            *out++ = (char) (0x80 | (code & 0x3f));

        } else {
            *out++ = (char) (0xe0 | code >> 12);
            *out++ = (char) (0x80 | (code >> 6 & 0x3f));
            *out++ = (char) (0x80 | (code & 0x3f));
        }

        p += 5;
    }

    *len = out - buf;

    return p < end ? p + 1 : end;
}


/* "{name(line)}:" or "{name(line,column)}:", with p at the brace */
static int
b1c_onec_place(const char *p, const char *end)
{
    const char  *name, *open;

    name = p + 1;

    if (end - name > B1C_ONEC_NAME) {
        end = name + B1C_ONEC_NAME;
    }

    for (open = name; open < end && *open != '('; open++) {
        if (*open == '{' || *open == '}' || *open == ')' || *open == '"'
            || *open == '\r')
        {
            return 0;
        }
    }

    if (open == end || !b1c_onec_module(name, open - name)) {
        return 0;
    }

    p = b1c_onec_digits(open + 1, end, 7);

    if (p != NULL && p < end && *p == ',') {
        p++;
        p += (p < end && *p == ' ');
        p = b1c_onec_digits(p, end, 5);
    }

    if (p == NULL || end - p < 3 || p[0] != ')' || p[1] != '}') {
        return 0;
    }

    p += 2;
    p += (*p == ' ');

    return p < end && *p == ':';
}


static int
b1c_onec_module(const char *name, size_t len)
{
    size_t  i, n;

    for (i = 0; b1c_onec_modules[i] != NULL; i++) {
        n = strlen(b1c_onec_modules[i]);

        if (len > n && memcmp(name + len - n, b1c_onec_modules[i], n) == 0) {
            return 1;
        }
    }

    for (i = 0; b1c_onec_roots[i] != NULL; i++) {
        n = strlen(b1c_onec_roots[i]);

        /* the name of an extension may stand before it */

        if (len >= n && memcmp(name + len - n, b1c_onec_roots[i], n) == 0
            && (len == n || name[len - n - 1] == ' '))
        {
            return 1;
        }
    }

    return 0;
}


/* behind one to max digits; NULL if there is none, or one too many */
static const char *
b1c_onec_digits(const char *p, const char *end, int max)
{
    int  n;

    for (n = 0; p < end && *p >= '0' && *p <= '9'; n++) {
        p++;
    }

    return (n == 0 || n > max) ? NULL : p;
}

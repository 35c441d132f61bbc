
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


/*
 * multipart/form-data (RFC 7578), as programs write it.  PHP reads more than
 * that, in ways of its own: what is not spelled as below is malformed.
 */


/* PHP's max_file_uploads: it drops what comes behind them */
#define B1C_MULTIPART_FILES  20


static size_t b1c_multipart_type(const char *type, size_t len);
static int b1c_multipart_is(const char *type, size_t len, const char *name);
static const char *b1c_multipart_boundary(const char *type, size_t len,
    size_t *n);
static const char *b1c_multipart_head(b1c_part_t *part, const char *p,
    const char *last);
static const char *b1c_multipart_quoted(const char **p, const char *last,
    const char *name, size_t *len);
static const char *b1c_multipart_find(const char *p, const char *last,
    const char *text, size_t len);


b1c_door_kind_t
b1c_multipart_kind(const char *type, size_t len, const char *body,
    size_t body_len)
{
    int     json;
    size_t  n;

    while (len && (*type == ' ' || *type == '\t')) {
        type++;
        len--;
    }

    n = b1c_multipart_type(type, len);

    if (b1c_multipart_is(type, n, "multipart/form-data")) {
        return B1C_DOOR_MULTIPART;
    }

    if (b1c_multipart_is(type, n, "application/json")
        || b1c_multipart_is(type, n, "text/json")
        || (n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0))
    {
        return B1C_DOOR_JSON;
    }

    /* what the body says by itself, a BOM and spaces before it aside */

    while (body_len && (strchr(" \t\r\n\v\f\xef\xbb\xbf", *body))) {
        body++;
        body_len--;
    }

    json = body_len && (*body == '{' || *body == '[');

    if (b1c_multipart_is(type, n, "application/x-www-form-urlencoded")) {
        return json ? B1C_DOOR_JSON_FORM : B1C_DOOR_FORM;
    }

    if (json) {
        return B1C_DOOR_JSON;
    }

    return n == 0 || b1c_multipart_is(type, n, "text/plain")
           ? B1C_DOOR_TEXT : B1C_DOOR_OTHER;
}


static size_t
b1c_multipart_type(const char *type, size_t len)
{
    size_t  n;

    for (n = 0; n < len; n++) {
        if (type[n] == ';' || type[n] == ',' || type[n] == ' '
            || type[n] == '\t')
        {
            break;
        }
    }

    return n;
}


static int
b1c_multipart_is(const char *type, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(type, name, len) == 0;
}


/* NULL, unless it is the only parameter, of characters that need no quotes */
static const char *
b1c_multipart_boundary(const char *type, size_t len, size_t *n)
{
    int          quoted;
    size_t       i;
    const char  *p, *last;

    static const char  name[] = "boundary=";
    static const char  chars[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz'-._";

    last = type + len;
    p = memchr(type, ';', len);

    if (p == NULL) {
        return NULL;
    }

    for (p++; p < last && *p == ' '; p++) { /* void */ }

    if ((size_t) (last - p) < sizeof(name)
        || strncasecmp(p, name, sizeof(name) - 1) != 0)
    {
        return NULL;
    }

    p += sizeof(name) - 1;
    quoted = (*p == '"');
    p += quoted;

    for (i = 0; p + i < last && p[i] && strchr(chars, p[i]); i++) { /* void */ }

    if (i == 0 || i > 70 || p + i + quoted != last
        || (quoted && p[i] != '"'))
    {
        return NULL;
    }

    *n = i;

    return p;
}


b1c_rc_t
b1c_multipart_parse(b1c_multipart_t *parts, const char *type, size_t len,
    const char *body, size_t body_len, b1c_buf_t *fields, b1c_error_t *err)
{
    char         mark[4 + 70];
    size_t       n;
    b1c_part_t   part;
    const char  *p, *last, *boundary, *end;

    static const char  form[] = "multipart/form-data; boundary=";

    p = body;
    last = body + body_len;

    boundary = b1c_multipart_boundary(type, len, &n);

    if (boundary == NULL) {
        return b1c_text_malformed(err, "the boundary in Content-Type is "
                                  "missing, or not of letters, digits, "
                                  "- . _ and '", 0);
    }

    memcpy(parts->type, form, sizeof(form) - 1);
    memcpy(parts->type + sizeof(form) - 1, boundary, n);
    parts->type[sizeof(form) - 1 + n] = '\0';

    memcpy(mark, "\r\n--", 4);
    memcpy(mark + 4, boundary, n);
    n += 4;

    /* the first one stands at the beginning */

    if (body_len < n - 2 || memcmp(p, mark + 2, n - 2) != 0) {
        return b1c_text_malformed(err, "the body does not begin with its "
                                  "boundary", 0);
    }

    p += n - 2;

    while (last - p >= 2 && memcmp(p, "\r\n", 2) == 0) {

        memset(&part, 0, sizeof(b1c_part_t));

        p = b1c_multipart_head(&part, p + 2, last);

        end = p ? b1c_multipart_find(p, last, mark, n) : NULL;

        if (end == NULL) {
            return b1c_text_malformed(err, "a part is not headers with a "
                                      "plain name, an empty line, a value "
                                      "and the boundary", body_len);
        }

        part.data = p;
        part.len = end - p;
        p = end + n;

        if (part.file == NULL) {
            b1c_json_write_put(fields, fields->len ? "&" : "", !!fields->len);
            b1c_form_encode(fields, part.name, part.name_len);
            b1c_json_write_put(fields, "=", 1);
            b1c_form_encode(fields, part.data, part.len);
            continue;
        }

        if (parts->n == B1C_MULTIPART_FILES) {
            return b1c_text_malformed(err, "more than 20 files", body_len);
        }

        if (parts->files == NULL) {
            parts->files = calloc(B1C_MULTIPART_FILES, sizeof(b1c_part_t));
            if (parts->files == NULL) {
                return B1C_NOMEM;
            }
        }

        parts->files[parts->n++] = part;
    }

    if (last - p < 2 || memcmp(p, "--", 2) != 0
        || (last - p != 2
            && (last - p != 4 || memcmp(p + 2, "\r\n", 2) != 0)))
    {
        return b1c_text_malformed(err, "the body does not end with its "
                                  "boundary", body_len);
    }

    return B1C_OK;
}


/* where the value begins, or NULL */
static const char *
b1c_multipart_head(b1c_part_t *part, const char *p, const char *last)
{
    size_t       n;
    const char  *end;

    static const char  disposition[] = "Content-Disposition: form-data; ";
    static const char  type[] = "Content-Type: ";
    static const char  length[] = "Content-Length: ";

    for ( ;; ) {
        end = b1c_multipart_find(p, last, "\r\n", 2);

        if (end == NULL) {
            return NULL;
        }

        n = end - p;

        if (n == 0) {
            return part->name ? end + 2 : NULL;
        }

        /* PHP begins another header at a line feed */

        while (n && (unsigned char) p[n - 1] >= 0x20) {
            n--;
        }

        if (n) {
            return NULL;
        }

        n = end - p;

        if (n > sizeof(disposition) - 1 && part->name == NULL
            && strncasecmp(p, disposition, sizeof(disposition) - 1) == 0)
        {
            p += sizeof(disposition) - 1;
            part->name = b1c_multipart_quoted(&p, end, "name=\"",
                                              &part->name_len);

            if (part->name == NULL) {
                return NULL;
            }

            if (end - p > 2 && memcmp(p, "; ", 2) == 0) {
                p += 2;
                part->file = b1c_multipart_quoted(&p, end, "filename=\"",
                                                  &part->file_len);
            }

            if (p != end) {
                return NULL;
            }

        } else if (n > sizeof(type) - 1 && part->type == NULL
                   && strncasecmp(p, type, sizeof(type) - 1) == 0)
        {
            part->type = p + sizeof(type) - 1;
            part->type_len = end - part->type;

        } else if (n < sizeof(length)
                   || strncasecmp(p, length, sizeof(length) - 1) != 0)
        {
            return NULL;
        }

        p = end + 2;
    }
}


/* the text in quotes; PHP has rules of its own for a \ in it */
static const char *
b1c_multipart_quoted(const char **p, const char *last, const char *name,
    size_t *len)
{
    size_t       n;
    const char  *start;

    n = strlen(name);

    if ((size_t) (last - *p) < n || strncasecmp(*p, name, n) != 0) {
        return NULL;
    }

    start = *p + n;

    for (*p = start; *p < last && **p != '"'; (*p)++) {
        if ((unsigned char) **p < 0x20 || **p == '\\' || **p == 0x7f) {
            return NULL;
        }
    }

    if (*p == last) {
        return NULL;
    }

    *len = *p - start;
    (*p)++;

    return start;
}


static const char *
b1c_multipart_find(const char *p, const char *last, const char *text,
    size_t len)
{
    for ( /* void */ ; (size_t) (last - p) >= len; p++) {

        p = memchr(p, text[0], last - p - len + 1);

        if (p == NULL) {
            return NULL;
        }

        if (memcmp(p, text, len) == 0) {
            return p;
        }
    }

    return NULL;
}


void
b1c_multipart_write(b1c_buf_t *buf, const b1c_multipart_t *parts,
    const b1c_form_t *form)
{
    size_t             i;
    const char        *boundary;
    const b1c_part_t  *part;

    static const char  head[] = "\r\nContent-Disposition: form-data; name=\"";

    boundary = strchr(parts->type, '=') + 1;

#define b1c_multipart_text(text)  b1c_json_write_put(buf, text, strlen(text))

    for (i = 0; i < form->npairs; i++) {
        b1c_multipart_text("--");
        b1c_multipart_text(boundary);
        b1c_multipart_text(head);
        b1c_multipart_text(form->pairs[i].key);
        b1c_multipart_text("\"\r\n\r\n");
        b1c_multipart_text(form->pairs[i].value);
        b1c_multipart_text("\r\n");
    }

    for (i = 0; i < parts->n; i++) {
        part = &parts->files[i];

        b1c_multipart_text("--");
        b1c_multipart_text(boundary);
        b1c_multipart_text(head);
        b1c_json_write_put(buf, part->name, part->name_len);
        b1c_multipart_text("\"; filename=\"");
        b1c_json_write_put(buf, part->file, part->file_len);
        b1c_multipart_text("\"\r\nContent-Type: ");

        if (part->type) {
            b1c_json_write_put(buf, part->type, part->type_len);

        } else {
            b1c_multipart_text("application/octet-stream");
        }

        b1c_multipart_text("\r\n\r\n");
        b1c_json_write_put(buf, part->data, part->len);
        b1c_multipart_text("\r\n");
    }

    b1c_multipart_text("--");
    b1c_multipart_text(boundary);
    b1c_multipart_text("--\r\n");
}


void
b1c_multipart_free(b1c_multipart_t *parts)
{
    free(parts->files);

    parts->files = NULL;
    parts->n = 0;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdlib.h>
#include <string.h>

#include "b1c_core.h"


/* the event adds two levels to the deepest body of a robot */
#define B1C_JSON_LEVELS  (B1C_DEPTH_MAX + 2)

/* significant decimal digits that a double always keeps */
#define B1C_JSON_DIGITS  15


typedef struct {
    const char             *start;
    const char             *pos;
    const char             *end;

    char                   *out;        /* room for the decoded strings */
    char                   *name;       /* of the member being read */
    size_t                  name_len;

    int                     array;      /* the outermost may be one */
    int                     changed;    /* the tree is not all of the text */
    size_t                  pairs;
    size_t                  level;
    cJSON                  *open[B1C_JSON_LEVELS];

    b1c_index_t             index;
    const b1c_limits_t     *limits;
    b1c_error_t            *err;
} b1c_reader_t;


static b1c_rc_t b1c_json_text(b1c_reader_t *r, cJSON **tree, const char *text,
    size_t len, const b1c_limits_t *limits, b1c_error_t *err);
static b1c_rc_t b1c_json_read(b1c_reader_t *r, cJSON **tree);
static b1c_rc_t b1c_json_open(b1c_reader_t *r, cJSON *node);
static b1c_rc_t b1c_json_body(b1c_reader_t *r);
static b1c_rc_t b1c_json_member(b1c_reader_t *r);
static b1c_rc_t b1c_json_name(b1c_reader_t *r);
static b1c_rc_t b1c_json_value(b1c_reader_t *r);
static b1c_rc_t b1c_json_add(b1c_reader_t *r, cJSON *node);
static b1c_rc_t b1c_json_literal(b1c_reader_t *r);
static b1c_rc_t b1c_json_number_value(b1c_reader_t *r);
static const char *b1c_json_number_end(const char *p, const char *end);
static const char *b1c_json_digits(const char *p, const char *end);
static int b1c_json_exact(const char *p, const char *end);
static b1c_rc_t b1c_json_string(b1c_reader_t *r, char **text, size_t *len);
static b1c_rc_t b1c_json_escape(b1c_reader_t *r);
static b1c_rc_t b1c_json_unicode(b1c_reader_t *r);
static char *b1c_json_encode(char *out, long code);
static void b1c_json_space(b1c_reader_t *r);
static int b1c_json_take(b1c_reader_t *r, char ch);
static b1c_rc_t b1c_json_error(b1c_reader_t *r, const char *what);


static const char  b1c_json_empty[] = "empty body";
static const char  b1c_json_broken[] = "broken JSON";


b1c_rc_t
b1c_json_parse(cJSON **tree, const char *text, size_t len,
    const b1c_limits_t *limits, const char *charset, b1c_error_t *err)
{
    char         *converted;
    b1c_rc_t      rc;
    b1c_reader_t  r;

    if (len == 0) {
        return b1c_text_malformed(err, b1c_json_empty, 0);
    }

    converted = NULL;

    if (charset != NULL) {
        rc = b1c_text_convert(charset, text, len, &converted, &len, err);
        if (rc != B1C_OK) {
            return rc;
        }

        text = converted;
    }

    r.array = 0;

    rc = b1c_json_text(&r, tree, text, len, limits, err);

    free(converted);

    return rc;
}


b1c_rc_t
b1c_json_parse_any(cJSON **tree, const char *text, size_t len,
    const b1c_limits_t *limits, int *changed, b1c_error_t *err)
{
    b1c_rc_t      rc;
    b1c_reader_t  r;

    r.array = 1;

    rc = b1c_json_text(&r, tree, text, len, limits, err);

    *changed = r.changed;

    return rc;
}


static b1c_rc_t
b1c_json_text(b1c_reader_t *r, cJSON **tree, const char *text, size_t len,
    const b1c_limits_t *limits, b1c_error_t *err)
{
    char      *arena;
    b1c_rc_t   rc;

    r->start = text;
    r->pos = text;
    r->end = text + len;
    r->changed = 0;
    r->pairs = 0;
    r->level = 0;
    r->limits = limits;
    r->err = err;

    /* a decoded string and its terminator fit into the quoted length */

    arena = malloc(len + 1);
    r->out = arena;

    rc = b1c_index_init(&r->index);

    if (rc == B1C_OK) {
        rc = (arena == NULL) ? B1C_NOMEM : b1c_json_read(r, tree);
    }

    b1c_index_free(&r->index);
    free(arena);

    return rc;
}


static b1c_rc_t
b1c_json_read(b1c_reader_t *r, cJSON **tree)
{
    cJSON    *root;
    b1c_rc_t  rc;

    if (r->end - r->pos >= 3 && memcmp(r->pos, "\xef\xbb\xbf", 3) == 0) {
        r->pos += 3;
        r->changed = 1;
    }

    b1c_json_space(r);

    if (r->pos == r->end) {
        return b1c_json_error(r, b1c_json_empty);
    }

    if (b1c_json_take(r, '{')) {
        root = cJSON_CreateObject();

    } else if (r->array && b1c_json_take(r, '[')) {
        root = cJSON_CreateArray();

    } else {
        return b1c_json_error(r, "JSON is not an object");
    }

    if (root == NULL) {
        return B1C_NOMEM;
    }

    rc = b1c_json_open(r, root);

    if (rc == B1C_OK) {
        rc = b1c_json_body(r);
    }

    if (rc == B1C_OK) {
        b1c_json_space(r);

        if (r->pos < r->end) {
            rc = b1c_json_error(r, "text after the end of the JSON");
        }
    }

    if (rc != B1C_OK) {
        cJSON_Delete(root);
        return rc;
    }

    *tree = root;

    return B1C_OK;
}


static b1c_rc_t
b1c_json_open(b1c_reader_t *r, cJSON *node)
{
    if (r->level >= r->limits->depth || r->level >= B1C_JSON_LEVELS) {
        return b1c_json_error(r, "too deep (bitrix1c_limits depth=)");
    }

    r->open[r->level++] = node;

    return B1C_OK;
}


/* from behind the first bracket to behind the last, without recursion */
static b1c_rc_t
b1c_json_body(b1c_reader_t *r)
{
    int       comma;
    cJSON    *node;
    b1c_rc_t  rc;

    comma = 0;

    while (r->level > 0) {

        node = r->open[r->level - 1];

        b1c_json_space(r);

        if (!comma
            && b1c_json_take(r, cJSON_IsObject(node) ? '}' : ']'))
        {
            r->level--;
            continue;
        }

        if (!comma && node->child != NULL) {
            if (!b1c_json_take(r, ',')) {
                return b1c_json_error(r, b1c_json_broken);
            }

            comma = 1;
            continue;
        }

        comma = 0;

        rc = b1c_json_member(r);
        if (rc != B1C_OK) {
            return rc;
        }
    }

    return B1C_OK;
}


static b1c_rc_t
b1c_json_member(b1c_reader_t *r)
{
    b1c_rc_t  rc;

    if (r->pairs++ == r->limits->pairs) {
        return b1c_json_error(r, "too many members or elements"
                              " (bitrix1c_limits pairs=)");
    }

    if (cJSON_IsObject(r->open[r->level - 1])) {

        rc = b1c_json_name(r);
        if (rc != B1C_OK) {
            return rc;
        }
    }

    return b1c_json_value(r);
}


static b1c_rc_t
b1c_json_name(b1c_reader_t *r)
{
    const char  *what;
    b1c_rc_t     rc;

    if (!b1c_json_take(r, '"')) {
        return b1c_json_error(r, b1c_json_broken);
    }

    rc = b1c_json_string(r, &r->name, &r->name_len);
    if (rc != B1C_OK) {
        return rc;
    }

    if (r->name_len > r->limits->key) {
        return b1c_json_error(r, "key too long (bitrix1c_limits key=)");
    }

    what = b1c_text_key(r->name, r->name_len);
    if (what != NULL) {
        return b1c_json_error(r, what);
    }

    b1c_json_space(r);

    if (!b1c_json_take(r, ':')) {
        return b1c_json_error(r, b1c_json_broken);
    }

    b1c_json_space(r);

    return B1C_OK;
}


static b1c_rc_t
b1c_json_value(b1c_reader_t *r)
{
    char        *text;
    size_t       len, came;
    cJSON       *node;
    const char  *what;
    b1c_rc_t     rc;

    if (b1c_json_take(r, '"')) {

        rc = b1c_json_string(r, &text, &len);
        if (rc != B1C_OK) {
            return rc;
        }

        came = len;

        what = b1c_text_value(text, &len);
        if (what != NULL) {
            return b1c_json_error(r, what);
        }

        r->changed |= (len != came);

        return b1c_json_add(r, cJSON_CreateString(text));
    }

    if (b1c_json_take(r, '{')) {
        node = cJSON_CreateObject();

    } else if (b1c_json_take(r, '[')) {
        node = cJSON_CreateArray();

    } else {
        return b1c_json_literal(r);
    }

    rc = b1c_json_add(r, node);

    return (rc == B1C_OK) ? b1c_json_open(r, node) : rc;
}


/* takes ownership of the node, which may be NULL after a failed allocation */

static b1c_rc_t
b1c_json_add(b1c_reader_t *r, cJSON *node)
{
    cJSON       *parent;
    b1c_slot_t  *slot;

    parent = r->open[r->level - 1];

    if (node == NULL) {
        return B1C_NOMEM;
    }

    if (!cJSON_IsObject(parent)) {
        cJSON_AddItemToArray(parent, node);
        return B1C_OK;
    }

    slot = b1c_index_find(&r->index, parent, r->name, r->name_len);

    if (slot == NULL) {
        cJSON_Delete(node);
        return B1C_NOMEM;
    }

    if (slot->child != NULL) {
        cJSON_Delete(node);
        return b1c_json_error(r, "key is repeated");
    }

    return b1c_index_add(&r->index, slot, parent, r->name, r->name_len, node);
}


static b1c_rc_t
b1c_json_literal(b1c_reader_t *r)
{
    size_t  left;

    left = r->end - r->pos;

    if (left >= 4 && memcmp(r->pos, "true", 4) == 0) {
        r->pos += 4;
        return b1c_json_add(r, cJSON_CreateTrue());
    }

    if (left >= 5 && memcmp(r->pos, "false", 5) == 0) {
        r->pos += 5;
        return b1c_json_add(r, cJSON_CreateFalse());
    }

    if (left >= 4 && memcmp(r->pos, "null", 4) == 0) {
        r->pos += 4;
        return b1c_json_add(r, cJSON_CreateNull());
    }

    return b1c_json_number_value(r);
}


static b1c_rc_t
b1c_json_number_value(b1c_reader_t *r)
{
    size_t       len;
    const char  *p, *end;

    p = r->pos;

    end = b1c_json_number_end(p, r->end);
    if (end == NULL) {
        return b1c_json_error(r, b1c_json_broken);
    }

    len = end - p;
    r->pos = end;

    if (b1c_json_exact(p, end)) {
        return b1c_json_add(r, cJSON_ParseWithLength(p, len));
    }

    /* there is room: all decoded bytes come from the text before the number */

    memcpy(r->out, p, len);
    r->out[len] = '\0';

    return b1c_json_add(r, cJSON_CreateString(r->out));
}


/* NULL if there is no number in the syntax of RFC 8259 */

static const char *
b1c_json_number_end(const char *p, const char *end)
{
    const char  *digits;

    digits = p + (p < end && *p == '-');
    p = b1c_json_digits(digits, end);

    if (p == digits || (*digits == '0' && p - digits > 1)) {
        return NULL;
    }

    if (p < end && *p == '.') {
        digits = p + 1;
        p = b1c_json_digits(digits, end);

        if (p == digits) {
            return NULL;
        }
    }

    if (p < end && (*p == 'e' || *p == 'E')) {
        digits = p + 1;
        digits += (digits < end && (*digits == '+' || *digits == '-'));
        p = b1c_json_digits(digits, end);

        if (p == digits) {
            return NULL;
        }
    }

    return p;
}


static const char *
b1c_json_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }

    return p;
}


static int
b1c_json_exact(const char *p, const char *end)
{
    size_t       significant, zeros;
    const char  *dot;

    dot = NULL;
    zeros = 0;
    significant = 0;

    for ( /* void */ ; p < end; p++) {

        if (*p == '.') {
            dot = p;

        } else if (*p == 'e' || *p == 'E') {
            return 0;

        } else if (significant > 0 || (*p >= '1' && *p <= '9')) {
            significant++;

        } else if (dot != NULL) {
            zeros++;
        }
    }

    /* "%.15g" writes an exponent if four zeros follow the point */

    return significant <= B1C_JSON_DIGITS && zeros < 4;
}


/*
 * Reads from after the opening quote to after the closing one.  The decoded
 * bytes stay in place until all is read, with room for a terminator.
 */

static b1c_rc_t
b1c_json_string(b1c_reader_t *r, char **text, size_t *len)
{
    b1c_rc_t  rc;

    *text = r->out;

    for ( ;; ) {

        if (r->pos == r->end) {
            return b1c_json_error(r, b1c_json_broken);
        }

        if (*r->pos == '"') {
            r->pos++;
            break;
        }

        if (*r->pos == '\0') {
            return b1c_json_error(r, "NUL byte");
        }

        if (*r->pos != '\\') {
            r->changed |= ((unsigned char) *r->pos < 0x20);
            *r->out++ = *r->pos++;
            continue;
        }

        rc = b1c_json_escape(r);
        if (rc != B1C_OK) {
            return rc;
        }
    }

    *len = r->out - *text;
    *r->out++ = '\0';

    return B1C_OK;
}


static b1c_rc_t
b1c_json_escape(b1c_reader_t *r)
{
    const char  *p;

    static const char  codes[] = "\"\\/bfnrt";
    static const char  chars[] = "\"\\/\b\f\n\r\t";

    if (r->end - r->pos >= 2) {

        if (r->pos[1] == 'u') {
            return b1c_json_unicode(r);
        }

        p = memchr(codes, r->pos[1], sizeof(codes) - 1);

        if (p != NULL) {
            *r->out++ = chars[p - codes];
            r->pos += 2;
            return B1C_OK;
        }
    }

    return b1c_json_error(r, "broken escape in JSON");
}


static b1c_rc_t
b1c_json_unicode(b1c_reader_t *r)
{
    long  code, low;

    code = b1c_text_hex4(r->pos + 2, r->end);

    if (code == 0) {
        return b1c_json_error(r, "NUL byte");
    }

    if (code >= 0xd800 && code < 0xdc00 && r->end - r->pos >= 12
        && r->pos[6] == '\\' && r->pos[7] == 'u')
    {
        low = b1c_text_hex4(r->pos + 8, r->end);

        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            r->pos += 6;
        }
    }

    if (code < 0 || (code >= 0xd800 && code < 0xe000)) {
        return b1c_json_error(r, "broken escape in JSON");
    }

    r->pos += 6;
    r->out = b1c_json_encode(r->out, code);

    return B1C_OK;
}


static char *
b1c_json_encode(char *out, long code)
{
    if (code < 0x80) {
        *out++ = (char) code;
        return out;
    }

    if (code < 0x800) {
        *out++ = (char) (0xc0 | code >> 6);

    } else {
        if (code < 0x10000) {
            *out++ = (char) (0xe0 | code >> 12);

        } else {
            *out++ = (char) (0xf0 | code >> 18);
            *out++ = (char) (0x80 | (code >> 12 & 0x3f));
        }

        *out++ = (char) (0x80 | (code >> 6 & 0x3f));
    }

    *out++ = (char) (0x80 | (code & 0x3f));

    return out;
}


static void
b1c_json_space(b1c_reader_t *r)
{
    while (r->pos < r->end
           && (*r->pos == ' ' || *r->pos == '\t' || *r->pos == '\n'
               || *r->pos == '\r'))
    {
        r->pos++;
    }
}


static int
b1c_json_take(b1c_reader_t *r, char ch)
{
    if (r->pos < r->end && *r->pos == ch) {
        r->pos++;
        return 1;
    }

    return 0;
}


static b1c_rc_t
b1c_json_error(b1c_reader_t *r, const char *what)
{
    return b1c_text_malformed(r->err, what, r->pos - r->start);
}

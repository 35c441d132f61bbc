
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdlib.h>
#include <string.h>

#include "bitrix_json.h"
#include "bitrix_text.h"
#include "bitrix_tree.h"


/* an event around the deepest body of a robot adds two levels */
#define BITRIX_JSON_LEVELS  (BITRIX_DEPTH_MAX + 2)

/* significant decimal digits that a double always keeps */
#define BITRIX_JSON_DIGITS  15


typedef struct {
    const char             *start;
    const char             *pos;
    const char             *end;

    char                   *out;        /* room for the decoded strings */
    char                   *name;       /* of the member being read */
    size_t                  name_len;

    size_t                  pairs;
    size_t                  level;
    cJSON                  *open[BITRIX_JSON_LEVELS];

    bitrix_index_t          index;
    const bitrix_limits_t  *limits;
    bitrix_error_t         *err;
} bitrix_reader_t;


static bitrix_rc_t bitrix_json_read(bitrix_reader_t *r, cJSON **tree);
static bitrix_rc_t bitrix_json_open(bitrix_reader_t *r, cJSON *node);
static bitrix_rc_t bitrix_json_body(bitrix_reader_t *r);
static bitrix_rc_t bitrix_json_member(bitrix_reader_t *r);
static bitrix_rc_t bitrix_json_name(bitrix_reader_t *r);
static bitrix_rc_t bitrix_json_value(bitrix_reader_t *r);
static bitrix_rc_t bitrix_json_add(bitrix_reader_t *r, cJSON *node);
static bitrix_rc_t bitrix_json_literal(bitrix_reader_t *r);
static bitrix_rc_t bitrix_json_number_value(bitrix_reader_t *r);
static const char *bitrix_json_number_end(const char *p, const char *end);
static const char *bitrix_json_digits(const char *p, const char *end);
static int bitrix_json_exact(const char *p, const char *end);
static bitrix_rc_t bitrix_json_string(bitrix_reader_t *r, char **text,
    size_t *len);
static bitrix_rc_t bitrix_json_escape(bitrix_reader_t *r);
static bitrix_rc_t bitrix_json_unicode(bitrix_reader_t *r);
static char *bitrix_json_encode(char *out, long code);
static long bitrix_json_hex4(const char *p, const char *end);
static void bitrix_json_space(bitrix_reader_t *r);
static int bitrix_json_take(bitrix_reader_t *r, char ch);
static bitrix_rc_t bitrix_json_error(bitrix_reader_t *r, const char *what);


static const char  bitrix_json_empty[] = "empty body";
static const char  bitrix_json_broken[] = "broken JSON";


bitrix_rc_t
bitrix_json_parse(cJSON **tree, const char *text, size_t len,
    const bitrix_limits_t *limits, const char *charset, bitrix_error_t *err)
{
    char             *arena, *converted;
    bitrix_rc_t       rc;
    bitrix_reader_t   r;

    if (len == 0) {
        return bitrix_malformed(err, bitrix_json_empty, 0);
    }

    converted = NULL;

    if (charset != NULL) {
        rc = bitrix_text_convert(charset, text, len, &converted, &len, err);
        if (rc != BITRIX_OK) {
            return rc;
        }

        text = converted;
    }

    r.start = text;
    r.pos = text;
    r.end = text + len;
    r.pairs = 0;
    r.level = 0;
    r.limits = limits;
    r.err = err;

    /* a string and its terminator are never longer than it was in quotes */

    arena = malloc(len + 1);
    r.out = arena;

    rc = bitrix_index_init(&r.index);

    if (rc == BITRIX_OK) {
        rc = (arena == NULL) ? BITRIX_NOMEM : bitrix_json_read(&r, tree);
    }

    bitrix_index_free(&r.index);
    free(arena);
    free(converted);

    return rc;
}


static bitrix_rc_t
bitrix_json_read(bitrix_reader_t *r, cJSON **tree)
{
    cJSON        *root;
    bitrix_rc_t   rc;

    if (r->end - r->pos >= 3 && memcmp(r->pos, "\xef\xbb\xbf", 3) == 0) {
        r->pos += 3;
    }

    bitrix_json_space(r);

    if (r->pos == r->end) {
        return bitrix_json_error(r, bitrix_json_empty);
    }

    if (!bitrix_json_take(r, '{')) {
        return bitrix_json_error(r, "JSON is not an object");
    }

    root = cJSON_CreateObject();
    if (root == NULL) {
        return BITRIX_NOMEM;
    }

    rc = bitrix_json_open(r, root);

    if (rc == BITRIX_OK) {
        rc = bitrix_json_body(r);
    }

    if (rc == BITRIX_OK) {
        bitrix_json_space(r);

        if (r->pos < r->end) {
            rc = bitrix_json_error(r, "JSON goes on after its end");
        }
    }

    if (rc != BITRIX_OK) {
        cJSON_Delete(root);
        return rc;
    }

    *tree = root;

    return BITRIX_OK;
}


static bitrix_rc_t
bitrix_json_open(bitrix_reader_t *r, cJSON *node)
{
    if (r->level >= r->limits->depth || r->level >= BITRIX_JSON_LEVELS) {
        return bitrix_json_error(r, "too deep (bitrix1c_limits depth=)");
    }

    r->open[r->level++] = node;

    return BITRIX_OK;
}


/* from behind the first bracket to behind the last, without recursion */

static bitrix_rc_t
bitrix_json_body(bitrix_reader_t *r)
{
    int           comma;
    cJSON        *node;
    bitrix_rc_t   rc;

    comma = 0;

    while (r->level > 0) {

        node = r->open[r->level - 1];

        bitrix_json_space(r);

        if (!comma
            && bitrix_json_take(r, cJSON_IsObject(node) ? '}' : ']'))
        {
            r->level--;
            continue;
        }

        if (!comma && node->child != NULL) {
            if (!bitrix_json_take(r, ',')) {
                return bitrix_json_error(r, bitrix_json_broken);
            }

            comma = 1;
            continue;
        }

        comma = 0;

        rc = bitrix_json_member(r);
        if (rc != BITRIX_OK) {
            return rc;
        }
    }

    return BITRIX_OK;
}


static bitrix_rc_t
bitrix_json_member(bitrix_reader_t *r)
{
    bitrix_rc_t  rc;

    if (r->pairs++ == r->limits->pairs) {
        return bitrix_json_error(r, "too many members or elements"
                                 " (bitrix1c_limits pairs=)");
    }

    if (cJSON_IsObject(r->open[r->level - 1])) {

        rc = bitrix_json_name(r);
        if (rc != BITRIX_OK) {
            return rc;
        }
    }

    return bitrix_json_value(r);
}


static bitrix_rc_t
bitrix_json_name(bitrix_reader_t *r)
{
    const char   *what;
    bitrix_rc_t   rc;

    if (!bitrix_json_take(r, '"')) {
        return bitrix_json_error(r, bitrix_json_broken);
    }

    rc = bitrix_json_string(r, &r->name, &r->name_len);
    if (rc != BITRIX_OK) {
        return rc;
    }

    if (r->name_len > r->limits->key) {
        return bitrix_json_error(r, "key too long (bitrix1c_limits key=)");
    }

    what = bitrix_text_key(r->name, r->name_len);
    if (what != NULL) {
        return bitrix_json_error(r, what);
    }

    bitrix_json_space(r);

    if (!bitrix_json_take(r, ':')) {
        return bitrix_json_error(r, bitrix_json_broken);
    }

    bitrix_json_space(r);

    return BITRIX_OK;
}


static bitrix_rc_t
bitrix_json_value(bitrix_reader_t *r)
{
    char         *text;
    size_t        len;
    cJSON        *node;
    const char   *what;
    bitrix_rc_t   rc;

    if (bitrix_json_take(r, '"')) {

        rc = bitrix_json_string(r, &text, &len);
        if (rc != BITRIX_OK) {
            return rc;
        }

        what = bitrix_text_value(text, &len);
        if (what != NULL) {
            return bitrix_json_error(r, what);
        }

        return bitrix_json_add(r, cJSON_CreateString(text));
    }

    if (bitrix_json_take(r, '{')) {
        node = cJSON_CreateObject();

    } else if (bitrix_json_take(r, '[')) {
        node = cJSON_CreateArray();

    } else {
        return bitrix_json_literal(r);
    }

    rc = bitrix_json_add(r, node);

    return (rc == BITRIX_OK) ? bitrix_json_open(r, node) : rc;
}


/* takes the node over, which may be NULL for a failed allocation */

static bitrix_rc_t
bitrix_json_add(bitrix_reader_t *r, cJSON *node)
{
    cJSON          *parent;
    bitrix_slot_t  *slot;

    parent = r->open[r->level - 1];

    if (node == NULL) {
        return BITRIX_NOMEM;
    }

    if (!cJSON_IsObject(parent)) {
        cJSON_AddItemToArray(parent, node);
        return BITRIX_OK;
    }

    slot = bitrix_index_find(&r->index, parent, r->name, r->name_len);

    if (slot == NULL) {
        cJSON_Delete(node);
        return BITRIX_NOMEM;
    }

    if (slot->child != NULL) {
        cJSON_Delete(node);
        return bitrix_json_error(r, "key is repeated");
    }

    return bitrix_index_add(&r->index, slot, parent, r->name, r->name_len,
                            node);
}


static bitrix_rc_t
bitrix_json_literal(bitrix_reader_t *r)
{
    size_t  left;

    left = r->end - r->pos;

    if (left >= 4 && memcmp(r->pos, "true", 4) == 0) {
        r->pos += 4;
        return bitrix_json_add(r, cJSON_CreateTrue());
    }

    if (left >= 5 && memcmp(r->pos, "false", 5) == 0) {
        r->pos += 5;
        return bitrix_json_add(r, cJSON_CreateFalse());
    }

    if (left >= 4 && memcmp(r->pos, "null", 4) == 0) {
        r->pos += 4;
        return bitrix_json_add(r, cJSON_CreateNull());
    }

    return bitrix_json_number_value(r);
}


static bitrix_rc_t
bitrix_json_number_value(bitrix_reader_t *r)
{
    size_t       len;
    const char  *p, *end;

    p = r->pos;

    end = bitrix_json_number_end(p, r->end);
    if (end == NULL) {
        return bitrix_json_error(r, bitrix_json_broken);
    }

    len = end - p;
    r->pos = end;

    if (bitrix_json_exact(p, end)) {
        return bitrix_json_add(r, cJSON_ParseWithLength(p, len));
    }

    /* there is room: all that was decoded so far came from before the number */

    memcpy(r->out, p, len);
    r->out[len] = '\0';

    return bitrix_json_add(r, cJSON_CreateString(r->out));
}


/* NULL if there is no number as RFC 8259 has them */

static const char *
bitrix_json_number_end(const char *p, const char *end)
{
    const char  *digits;

    digits = p + (p < end && *p == '-');
    p = bitrix_json_digits(digits, end);

    if (p == digits || (*digits == '0' && p - digits > 1)) {
        return NULL;
    }

    if (p < end && *p == '.') {
        digits = p + 1;
        p = bitrix_json_digits(digits, end);

        if (p == digits) {
            return NULL;
        }
    }

    if (p < end && (*p == 'e' || *p == 'E')) {
        digits = p + 1;
        digits += (digits < end && (*digits == '+' || *digits == '-'));
        p = bitrix_json_digits(digits, end);

        if (p == digits) {
            return NULL;
        }
    }

    return p;
}


static const char *
bitrix_json_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }

    return p;
}


static int
bitrix_json_exact(const char *p, const char *end)
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

    /* "%.15g" takes an exponent for what has four zeros behind the point */

    return significant <= BITRIX_JSON_DIGITS && zeros < 4;
}


/*
 * From behind the opening quote to behind the closing one.  The decoded bytes
 * stay where they are put until all is read, with room for a terminator.
 */

static bitrix_rc_t
bitrix_json_string(bitrix_reader_t *r, char **text, size_t *len)
{
    bitrix_rc_t  rc;

    *text = r->out;

    for ( ;; ) {

        if (r->pos == r->end) {
            return bitrix_json_error(r, bitrix_json_broken);
        }

        if (*r->pos == '"') {
            r->pos++;
            break;
        }

        if (*r->pos == '\0') {
            return bitrix_json_error(r, "NUL byte");
        }

        if (*r->pos != '\\') {
            *r->out++ = *r->pos++;
            continue;
        }

        rc = bitrix_json_escape(r);
        if (rc != BITRIX_OK) {
            return rc;
        }
    }

    *len = r->out - *text;
    *r->out++ = '\0';

    return BITRIX_OK;
}


static bitrix_rc_t
bitrix_json_escape(bitrix_reader_t *r)
{
    const char  *p;

    static const char  codes[] = "\"\\/bfnrt";
    static const char  chars[] = "\"\\/\b\f\n\r\t";

    if (r->end - r->pos >= 2) {

        if (r->pos[1] == 'u') {
            return bitrix_json_unicode(r);
        }

        p = memchr(codes, r->pos[1], sizeof(codes) - 1);

        if (p != NULL) {
            *r->out++ = chars[p - codes];
            r->pos += 2;
            return BITRIX_OK;
        }
    }

    return bitrix_json_error(r, "broken escape in JSON");
}


static bitrix_rc_t
bitrix_json_unicode(bitrix_reader_t *r)
{
    long  code, low;

    code = bitrix_json_hex4(r->pos + 2, r->end);

    if (code == 0) {
        return bitrix_json_error(r, "NUL byte");
    }

    if (code >= 0xd800 && code < 0xdc00 && r->end - r->pos >= 12
        && r->pos[6] == '\\' && r->pos[7] == 'u')
    {
        low = bitrix_json_hex4(r->pos + 8, r->end);

        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            r->pos += 6;
        }
    }

    if (code < 0 || (code >= 0xd800 && code < 0xe000)) {
        return bitrix_json_error(r, "broken escape in JSON");
    }

    r->pos += 6;
    r->out = bitrix_json_encode(r->out, code);

    return BITRIX_OK;
}


static char *
bitrix_json_encode(char *out, long code)
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


/* -1 if there are no four hex digits */

static long
bitrix_json_hex4(const char *p, const char *end)
{
    int   i;
    long  code;
    char  ch;

    if (end - p < 4) {
        return -1;
    }

    for (code = 0, i = 0; i < 4; i++) {
        ch = p[i];

        if (ch >= '0' && ch <= '9') {
            code = code << 4 | (ch - '0');
            continue;
        }

        ch |= 0x20;

        if (ch < 'a' || ch > 'f') {
            return -1;
        }

        code = code << 4 | (ch - 'a' + 10);
    }

    return code;
}


static void
bitrix_json_space(bitrix_reader_t *r)
{
    while (r->pos < r->end
           && (*r->pos == ' ' || *r->pos == '\t' || *r->pos == '\n'
               || *r->pos == '\r'))
    {
        r->pos++;
    }
}


static int
bitrix_json_take(bitrix_reader_t *r, char ch)
{
    if (r->pos < r->end && *r->pos == ch) {
        r->pos++;
        return 1;
    }

    return 0;
}


static bitrix_rc_t
bitrix_json_error(bitrix_reader_t *r, const char *what)
{
    return bitrix_malformed(r->err, what, r->pos - r->start);
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_CORE_H_INCLUDED_
#define _B1C_CORE_H_INCLUDED_


#include <stddef.h>
#include <cjson/cJSON.h>
#include <stdint.h>


/*
 * The pure core: libc and cJSON only, no nginx type, so that it is tested and
 * fuzzed alone.  It does not trust its input: the limits are checked while the
 * body is split, before anything is built from it.
 */


/*
 * Nothing deeper is accepted, however high the limit is set: trees are freed
 * and written by recursion, with a stack frame per level.
 */
#define B1C_DEPTH_MAX  1000


typedef enum {
    B1C_OK = 0,
    B1C_MALFORMED,            /* the sender's fault, see b1c_error_t */
    B1C_NOMEM
} b1c_rc_t;


typedef struct {
    size_t           pairs;      /* key=value pairs or JSON members */
    size_t           depth;      /* brackets of a key or levels of JSON */
    size_t           key;        /* bytes of a decoded key */
} b1c_limits_t;


typedef struct {
    const char      *what;       /* static sentence, no input in it */
    size_t           where;      /* byte offset in the body */
} b1c_error_t;


typedef struct {
    char            *key;
    char            *value;
    size_t           key_len;
    size_t           value_len;
    size_t           where;      /* byte offset of the pair in the body */
} b1c_pair_t;


typedef struct {
    b1c_pair_t      *pairs;
    size_t           npairs;
    char            *text;       /* the decoded bytes of all keys and values */
} b1c_form_t;


/*
 * Splits and decodes application/x-www-form-urlencoded with PHP brackets, raw
 * or percent-encoded.  The charset is an iconv name or NULL for UTF-8; bytes
 * that are not valid in it are malformed.  Control characters other than TAB,
 * LF and CR are removed from values, because 1C cannot put them into XML; a
 * NUL byte, or a control character in a key, is malformed.
 */
b1c_rc_t b1c_form_parse(b1c_form_t *form, const char *body, size_t len,
    const b1c_limits_t *limits, const char *charset, b1c_error_t *err);

void b1c_form_free(b1c_form_t *form);

/* the value of a decoded key such as "auth[application_token]", or NULL */
const b1c_pair_t *b1c_form_find(const b1c_form_t *form, const char *key);

/*
 * Builds the nested tree: lists 0..n-1 become arrays, sparse numeric keys stay
 * objects, "a[]" appends.  A key that is both a scalar and a map, or that is
 * repeated, is malformed.
 */
b1c_rc_t b1c_tree_build(const b1c_form_t *form, cJSON **tree,
    b1c_error_t *err);

/*
 * The same as PHP's parse_str() has it: of a value that is repeated the last
 * one counts, and numbers that are not in order stay an object.  What PHP's
 * versions number differently, "a[-5]=x&a[]=y", is malformed.
 */
b1c_rc_t b1c_tree_build_last(const b1c_form_t *form, cJSON **tree,
    b1c_error_t *err);

/*
 * Replaces members whose names have the brackets of a form, as some relays write
 * them: {"a[b]": 1} becomes {"a": {"b": 1}}.
 */
b1c_rc_t b1c_tree_unfold(cJSON *tree, const b1c_limits_t *limits,
    b1c_error_t *err);

/*
 * Makes lists of the objects in node whose names are 0..n-1, itself included;
 * ordered: only if they stand in this order.
 */
b1c_rc_t b1c_tree_lists(cJSON *node, int ordered);

/*
 * The name of a part as it is, or the index that PHP gives to an empty one.  Of
 * an object, which has no use for it, "valueint" is that index.
 */
const char *b1c_tree_part(cJSON *node, const char *name, char buf[16]);

/* the index that a name is, as PHP writes it, or -1 */
int b1c_tree_number(const char *name, size_t len);

/* NULL if the key is name[part]...[part] of at most max parts, or why not */
const char *b1c_form_brackets(const char *key, size_t len, size_t max);


typedef struct {
    const char      *text;
    size_t           len;
    const char      *charset;    /* iconv name, NULL is UTF-8 */
    const char      *secret;     /* name of an argument to leave out, or NULL */
    b1c_limits_t     limits;
} b1c_query_t;


/*
 * Arguments as PHP reads them.  Only the limits on their number and depth can
 * make them malformed.
 */
b1c_rc_t b1c_query_parse(cJSON **tree, const b1c_query_t *query,
    b1c_error_t *err);


/*
 * The bytes of keys and values.  Both checks return NULL if the text is valid,
 * otherwise a static sentence for b1c_error_t.  Control characters are
 * Unicode's Cc except TAB, LF and CR, and also U+FFFE and U+FFFF, which XML
 * 1.0 does not allow.
 */


/* length of the UTF-8 character at p, 0 if it is not valid */
size_t b1c_text_char(const unsigned char *p, size_t len);

/* 1 if the character at p, of n bytes, is such a control character */
int b1c_text_control(const unsigned char *p, size_t n);

/* a key: valid UTF-8 without any control character, TAB, LF and CR included */
const char *b1c_text_key(const char *text, size_t len);

/*
 * A value: valid UTF-8.  Control characters are removed in place, so *len may
 * decrease; text[*len] is set to NUL and must be writable.
 */
const char *b1c_text_value(char *text, size_t *len);

/*
 * Converts from an iconv charset to UTF-8 into a new buffer, which the caller
 * frees. err->where is the offset of the first invalid byte in the text.
 */
b1c_rc_t b1c_text_convert(const char *charset, const char *text, size_t len,
    char **out, size_t *out_len, b1c_error_t *err);

/* the number of one, two or four hex digits; -1 if they are not there */
int b1c_text_hex(char ch);
int b1c_text_hex2(const char *p, const char *end);
long b1c_text_hex4(const char *p, const char *end);

/* fills err, which may not be NULL, and returns B1C_MALFORMED */
b1c_rc_t b1c_text_malformed(b1c_error_t *err, const char *what, size_t where);


/*
 * Finds children of all objects of a growing tree by name. cJSON keeps
 * children in lists, so the check of n members of one map for repeated keys
 * would take n * n / 2 comparisons.
 */


typedef struct {
    const cJSON     *parent;
    cJSON           *child;      /* NULL: the slot is free */
} b1c_slot_t;


typedef struct {
    b1c_slot_t      *limits;
    size_t           size;       /* a power of two */
    size_t           used;
} b1c_index_t;


b1c_rc_t b1c_index_init(b1c_index_t *index);
void b1c_index_free(b1c_index_t *index);

/*
 * The slot of the child of this name: occupied if the child exists, otherwise
 * free.  Valid until the next call; NULL: no memory.
 */
b1c_slot_t *b1c_index_find(b1c_index_t *index, const cJSON *parent,
    const char *name, size_t len);

/* appends a child with its name, into the free slot that was found */
void b1c_index_put(b1c_index_t *index, b1c_slot_t *slot, cJSON *parent,
    cJSON *child);

/*
 * The same for a child without a name.  Takes ownership of the child, which
 * may be NULL after a failed allocation, and frees it on B1C_NOMEM.
 */
b1c_rc_t b1c_index_add(b1c_index_t *index, b1c_slot_t *slot, cJSON *parent,
    const char *name, size_t len, cJSON *child);


/*
 * Reads and writes JSON. cJSON's own parser is not used: it has no limits,
 * keeps both of two equal keys, ends a string at \u0000, accepts any bytes as
 * UTF-8 and rounds long numbers.  A separate check before it would have to
 * agree with it about every byte.
 */


typedef struct {
    char            *start;
    size_t           len;
    size_t           size;
    int              failed;     /* no memory; tested once at the end */
} b1c_buf_t;


/*
 * Reads an object (RFC 8259, and a BOM before it).  Limits: "pairs" counts
 * members and elements of all levels, "depth" levels, the outermost being the
 * first, "key" bytes of one decoded name.  A repeated name in one object is
 * malformed.  Strings are treated like the values of a form.  They may contain
 * unescaped control characters, which cJSON accepts and PHP sends.  A number
 * that would lose digits in a double or be written back with an exponent
 * becomes a string with all its digits: a number of more than 15 significant
 * digits, with an exponent, or below 0.0001.
 *
 * The charset is used as in b1c_form_parse(); with it err->where counts bytes
 * of the converted text.  On B1C_OK the caller owns the tree.
 */
b1c_rc_t b1c_json_parse(cJSON **tree, const char *text, size_t len,
    const b1c_limits_t *limits, const char *charset, b1c_error_t *err);

/*
 * The same for the body of a call: the outermost value may be an array.  With
 * *changed set, a stricter reader would find something else in the text than
 * the tree: it begins with a BOM, a control character stands in a string, or
 * one was dropped.
 */
b1c_rc_t b1c_json_parse_any(cJSON **tree, const char *text, size_t len,
    const b1c_limits_t *limits, int *changed, b1c_error_t *err);

/*
 * Append text unchanged, a string with quotes and escapes, an integer, or a
 * whole tree.  The buffer begins as zeros; its owner frees "start".
 */
void b1c_json_write_put(b1c_buf_t *buf, const char *text, size_t len);
void b1c_json_write_put_string(b1c_buf_t *buf, const char *text);
void b1c_json_write_put_int(b1c_buf_t *buf, long long value);
void b1c_json_write_put_tree(b1c_buf_t *buf, const cJSON *node);

/* the form as a body or a query string; a part of one, brackets as they are */
void b1c_form_write(b1c_buf_t *buf, const b1c_form_t *form);
void b1c_form_encode(b1c_buf_t *buf, const char *text, size_t len);

/* writes the text of a number node, at most 31 bytes */
const char *b1c_json_write_number(const cJSON *node, char buf[32]);


/*
 * Scans JSON without building a tree.  A portal's answer may be large or cut
 * off and is passed on unchanged, so values are found as spans of bytes, and
 * numbers keep all their digits.
 */


typedef struct {
    const char      *start;      /* NULL: there is none */
    size_t           len;
} b1c_span_t;


typedef struct {
    const char      *pos;
    const char      *last;
    char             close;      /* its closing bracket */
    int              broken;     /* not JSON, or cut off */
} b1c_scan_t;


/*
 * The value at the beginning of the text, after spaces and a BOM; an empty
 * span if it is broken or has no end.
 */
b1c_span_t b1c_json_scan_value(const char *text, size_t len);

/* begins a scan of an object or array; 0: the value is neither */
int b1c_json_scan_open(b1c_scan_t *scan, b1c_span_t value);

/*
 * Gets the next member: returns 1, or 0 at the end or with scan->broken set.
 * The name has no quotes, keeps its escapes, and is empty in an array.
 */
int b1c_json_scan_next(b1c_scan_t *scan, b1c_span_t *name, b1c_span_t *value);

/* the last member of this name of an object */
b1c_span_t b1c_json_scan_find(b1c_span_t object, const char *name);

/*
 * The text of a string, with its escapes, or of a number.  It is cut to size,
 * always NUL-terminated, and "" for other values.
 */
void b1c_json_scan_text(b1c_span_t value, char *buf, size_t size);


/*
 * The format of a file of the spool.  A file is a header and records.  A record
 * has four parts:
 *
 *     magic     4 bytes, not valid in UTF-8, so that no payload contains them
 *     length    4 bytes, of the payload, little-endian
 *     CRC32     4 bytes, of the payload, little-endian
 *     payload   "1 id flags since key lane\n" and the event's record; the flags
 *               are the sum of 1, once, and 2, again
 *
 * Processes append whole records to a common file.  A killed process may leave
 * a part of a record in the middle of it.
 */


#define B1C_RECORD_VERSION   1

/*
 * bytes of a file's header; offset of the progress in it, and of a byte that
 * is not 0 if damage was found
 */
#define B1C_RECORD_HEADER    32
#define B1C_RECORD_PROGRESS  16
#define B1C_RECORD_MARK      24

/* bytes before a payload, and of the largest one */
#define B1C_RECORD_FRAME     12
#define B1C_RECORD_MAX       (64 * 1024 * 1024)

/* hex digits of an id, a key or a lane */
#define B1C_RECORD_HASH      32


typedef enum {
    B1C_RECORD_GOOD = 0,
    B1C_RECORD_SHORT,          /* the beginning of a header, or nothing */
    B1C_RECORD_FOREIGN,        /* no file of a spool */
    B1C_RECORD_OTHER           /* of another version */
} b1c_record_file_e;


typedef enum {
    B1C_RECORD_RECORD = 0,     /* payload and len are set */
    B1C_RECORD_MORE,           /* needs at least need bytes */
    B1C_RECORD_DAMAGE,         /* from ... to is lost, a record follows */
    B1C_RECORD_TORN,           /* the same, and nothing follows */
    B1C_RECORD_END
} b1c_record_found_e;


typedef struct {
    uint64_t              offset;    /* of the next byte to look at */
    uint64_t              bad;       /* where damage began, if lost */
    int                   lost;
} b1c_record_reader_t;


typedef struct {
    const unsigned char  *payload;
    size_t                len;
    size_t                need;
    uint64_t              from;      /* offsets in the file */
    uint64_t              to;
} b1c_record_found_t;


/* the data of an event for accept; the strings are not terminated */
typedef struct {
    const char           *id;        /* B1C_RECORD_HASH each */
    const char           *key;
    const char           *lane;
    const char           *since;     /* a number, ms */
    size_t                since_len;
    const char           *record;
    size_t                len;
    int                   once;
    int                   again;     /* it may have been accepted before */
} b1c_record_event_t;


/*
 * Writes the header of a new file.  The progress is the offset up to which the
 * records are drained.
 */
void b1c_record_header(unsigned char header[B1C_RECORD_HEADER]);
void b1c_record_progress(unsigned char progress[8], uint64_t offset);

/* parses the first len bytes of a file; progress is set if GOOD */
b1c_record_file_e b1c_record_file(const unsigned char *header, size_t len,
    uint64_t *progress);

/* length of the event's record with its frame; 0: it is too large */
size_t b1c_record_size(const b1c_record_event_t *ev);

/* writes the record and returns its end */
unsigned char *b1c_record_put(unsigned char *p, const b1c_record_event_t *ev);

/* 0: the payload is an event, and ev points into it; -1: it is not */
int b1c_record_event(b1c_record_event_t *ev, const unsigned char *payload,
    size_t len);

/*
 * Parses the len bytes at buf, which are at reader->offset of the file, and
 * advances the offset.  With eof nothing follows them.  After damage the next
 * whole record is looked for at every byte; DAMAGE or TORN is returned once
 * for all that was skipped.
 */
b1c_record_found_e b1c_record_next(b1c_record_reader_t *reader,
    const unsigned char *buf, size_t len, int eof, b1c_record_found_t *found);


/* '*' matches any characters, letters are compared without case */
int b1c_glob_match(const char *mask, size_t mask_len, const char *name,
    size_t len);


/*
 * 1 if an answer of 1C with status 200 is the text of an exception that the
 * author of the HTTP service has caught: it names a place in a module, as the
 * platform writes it, "{ОбщийМодуль.Обмен.Модуль(40)}:" or in English.  Looked
 * for in the first line, at the beginning of one of the first lines (that is
 * the platform's detailed form), and in values of JSON that are named like an
 * error.  The text may be gzipped, UTF-16 or windows-1251, and cut off.
 */
int b1c_onec_failed(const char *text, size_t len);


#endif /* _B1C_CORE_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _BITRIX_FORM_H_INCLUDED_
#define _BITRIX_FORM_H_INCLUDED_


#include <stddef.h>
#include <cjson/cJSON.h>


/*
 * The pure core: libc and cJSON only, no nginx type, so that it is tested and
 * fuzzed alone.  Nothing here trusts its input: the limits are checked while
 * the body is split, before anything is built from it.
 */


/*
 * However high the limit is set, nothing deeper is taken: trees are freed and
 * written by recursion, a stack frame a level.
 */
#define BITRIX_DEPTH_MAX  1000


typedef enum {
    BITRIX_OK = 0,
    BITRIX_MALFORMED,            /* the sender's fault, see bitrix_error_t */
    BITRIX_NOMEM
} bitrix_rc_t;


typedef struct {
    size_t           pairs;      /* key=value pairs or JSON members */
    size_t           depth;      /* brackets of a key or levels of JSON */
    size_t           key;        /* bytes of a decoded key */
} bitrix_limits_t;


typedef struct {
    const char      *what;       /* static sentence, no input in it */
    size_t           where;      /* byte offset in the body */
} bitrix_error_t;


typedef struct {
    char            *key;        /* decoded, NUL-terminated, no NUL inside */
    char            *value;
    size_t           key_len;
    size_t           value_len;
    size_t           where;      /* byte offset of the pair in the body */
} bitrix_pair_t;


typedef struct {
    bitrix_pair_t   *pairs;
    size_t           npairs;
    char            *text;       /* the decoded bytes, owns keys and values */
} bitrix_form_t;


/*
 * Splits and decodes application/x-www-form-urlencoded with PHP brackets, raw
 * or percent-encoded.  The charset is an iconv name or NULL for UTF-8; what is
 * not valid in it is malformed.  Control characters other than TAB, LF and CR
 * are dropped from values, because 1C cannot put them into XML; a NUL byte, or
 * a control character in a key, is malformed.
 */
bitrix_rc_t bitrix_form_parse(bitrix_form_t *form, const char *body,
    size_t len, const bitrix_limits_t *limits, const char *charset,
    bitrix_error_t *err);

void bitrix_form_free(bitrix_form_t *form);

/* the value of a decoded key such as "auth[application_token]" or NULL */
const bitrix_pair_t *bitrix_form_find(const bitrix_form_t *form,
    const char *key);

/*
 * The nested tree: lists 0..n-1 become arrays, sparse numeric keys stay
 * objects, "a[]" appends.  A key that is a scalar and a map at once, or that
 * is repeated, is malformed.
 */
bitrix_rc_t bitrix_form_tree(const bitrix_form_t *form, cJSON **tree,
    bitrix_error_t *err);


#endif /* _BITRIX_FORM_H_INCLUDED_ */

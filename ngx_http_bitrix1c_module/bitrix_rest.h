
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _BITRIX_REST_H_INCLUDED_
#define _BITRIX_REST_H_INCLUDED_


#include <stdint.h>
#include "bitrix_form.h"


/*
 * Calls to a portal's REST by an inbound webhook: what a caller may name, and
 * what the portal's answer means.
 */


/* bytes of a method's name, of a code of an error and of a warning */
#define BITRIX_METHOD_MAX   128
#define BITRIX_CODE_MAX     64
#define BITRIX_WARNING_MAX  320


/*
 * What the portal's limits and system errors ask for, by
 * apidocs.bitrix24.com: settings/performance/limits and system-errors.
 */
typedef enum {
    BITRIX_ANSWER_OK = 0,
    BITRIX_ANSWER_ERROR,         /* of the call itself */
    BITRIX_ANSWER_NO_METHOD,     /* ERROR_METHOD_NOT_FOUND */
    BITRIX_ANSWER_QUERY_LIMIT,   /* too many requests; not carried out */
    BITRIX_ANSWER_OPERATION,     /* the method used up its time; the same */
    BITRIX_ANSWER_OVERLOAD,      /* blocked by hand until support was asked */
    BITRIX_ANSWER_FOREIGN,       /* no JSON object: HTML or the like */
    BITRIX_ANSWER_TRUNCATED,
    BITRIX_ANSWER_NONE           /* of a command: it was not reached */
} bitrix_answer_e;


typedef struct {
    bitrix_answer_e  kind;
    char             code[BITRIX_CODE_MAX];  /* "error", "" if there is none */
    unsigned         operating;  /* whole s of the method in ten minutes */
    int64_t          reset_at;   /* when it falls, Unix time, 0: unknown */
} bitrix_answer_t;


/*
 * The name of the method in what follows the location's prefix, less a ".json"
 * or ".xml" behind it, which Bitrix takes too.  NULL, or a sentence that says
 * what is wrong and quotes nothing: a caller may have put a key there.
 */
const char *bitrix_rest_method(const char *path, size_t len, const char **name,
    size_t *name_len);

/*
 * The same for the path as it came, before nginx decoded it: a name that is
 * not spelled out could be another one for those who log or check it.
 */
const char *bitrix_rest_path(const char *path, size_t len);

/*
 * The query string as its author meant it: PHP ends a name at the first '=',
 * even inside brackets, so that of filter[>=dateInsert]=... nothing would
 * reach Bitrix, which then lists all there is.  Such a '=' is encoded.  The
 * buffer holds three times len; returns the new length.
 */
size_t bitrix_rest_args(char *out, const char *args, size_t len);

/*
 * Whether a "Prefer" header (RFC 7240, 2) has this preference, with or without
 * a value and parameters: not a parameter or a quoted value of another one.
 */
int bitrix_rest_prefers(const char *value, size_t len, const char *name);

/*
 * The key of an inbound webhook in a path or address: /rest/1/KEY/method and
 * /rest/api/1/KEY/method.  NULL if there is none.
 */
const char *bitrix_rest_key(const char *path, size_t len, size_t *key_len);

/*
 * Overwrites with '*' what looks like a key in any text: a segment of eight or
 * more letters and digits behind one that is a number.
 */
void bitrix_rest_mask(char *text, size_t len);

/*
 * An answer in the form of Bitrix' own errors; the caller frees it.  len is
 * less the NUL that ends it; NULL is lack of memory.
 */
char *bitrix_rest_error(const char *code, const char *description,
    size_t *len);

/* the text may be the beginning of an answer if it is told to be truncated */
void bitrix_answer_judge(bitrix_answer_t *answer, unsigned status,
    const char *text, size_t len, int truncated);

/* the same by the code of an error, whichever way it came */
bitrix_answer_e bitrix_answer_code(const char *code);

/*
 * "operating" and "operating_reset_at" out of the end of an answer, where the
 * "time" of the call stands; they stay as they are if they are not there.
 */
void bitrix_answer_time(bitrix_answer_t *answer, const char *tail, size_t len);


/*
 * What is known to be lost on Bitrix without an error.  1 if there is something
 * to warn of, in a sentence of printable ASCII without quotes.
 *
 * sale.* and catalog.* take names in camelCase and drop others silently, which
 * leaves a list unfiltered and an update without effect.  Of the parameters
 * either may be NULL.
 */
int bitrix_trap_call(const char *method, size_t len, const bitrix_form_t *form,
    const cJSON *json, char warning[BITRIX_WARNING_MAX]);

/* methods that many call though Bitrix never had them */
int bitrix_trap_answer(const char *method, size_t len,
    const bitrix_answer_t *answer, char warning[BITRIX_WARNING_MAX]);


#endif /* _BITRIX_REST_H_INCLUDED_ */

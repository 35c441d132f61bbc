
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _BITRIX_BATCH_H_INCLUDED_
#define _BITRIX_BATCH_H_INCLUDED_


#include "bitrix_rest.h"
#include "bitrix_scan.h"


/*
 * Bitrix' method "batch": up to 50 calls in one request, which counts as one
 * (apidocs.bitrix24.com: settings/how-to-call-rest-api/batch).
 */


#define BITRIX_BATCH_MAX  50


typedef struct {
    char            *name;
    char            *method;     /* less its suffix and query */
    char            *query;      /* "" if there is none; $result[...] stays */
} bitrix_command_t;


typedef struct {
    bitrix_command_t  commands[BITRIX_BATCH_MAX];
    size_t            n;
} bitrix_batch_t;


typedef enum {
    BITRIX_BATCH_OK = 0,
    BITRIX_BATCH_MALFORMED,      /* err says what is wrong */
    BITRIX_BATCH_LENGTH,         /* more than 50 commands */
    BITRIX_BATCH_NESTED,         /* a batch among them */
    BITRIX_BATCH_NOMEM
} bitrix_batch_rc_t;


/* one call of a batch that is built */
typedef struct {
    const char      *name;       /* letters and digits */
    const char      *method;
    const cJSON     *params;     /* an object, or NULL */
} bitrix_packed_t;


/* what became of one command; both texts are JSON as it came */
typedef struct {
    bitrix_answer_t  answer;
    bitrix_span_t    result;     /* any value, of BITRIX_ANSWER_OK */
    bitrix_span_t    description;  /* a string, if there is one */
} bitrix_reply_t;


/*
 * The commands of a call of "batch".  Bitrix merges what came in the query
 * string with what came in the body and takes "cmd" in any case, so all of it
 * is looked into; each of the three may be NULL.  To be freed in any case.
 */
bitrix_batch_rc_t bitrix_batch_parse(bitrix_batch_t *batch,
    const bitrix_form_t *args, const bitrix_form_t *form, const cJSON *json,
    bitrix_error_t *err);

void bitrix_batch_free(bitrix_batch_t *batch);

/*
 * NULL, or why these parameters cannot travel in a batch: a command is a query
 * string, which has no null and no empty list in it.
 */
const char *bitrix_batch_unfit(const cJSON *params);

/*
 * The JSON body of a batch that goes on after errors.  The caller frees it;
 * len is less the NUL that ends it, NULL is lack of memory.  All parameters
 * must have been found fit.
 */
char *bitrix_batch_build(const bitrix_packed_t *calls, size_t n, size_t *len);

/*
 * What became of the command of this name, by the whole text of an answer that
 * bitrix_answer_judge() called BITRIX_ANSWER_OK.
 */
void bitrix_batch_reply(bitrix_reply_t *reply, const char *text, size_t len,
    const char *name);


#endif /* _BITRIX_BATCH_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_BITRIX_H_INCLUDED_
#define _B1C_BITRIX_H_INCLUDED_


#include <stdint.h>

#include "b1c_core.h"


/*
 * Inside the pure core: what an event is about.  Bitrix has no common place for
 * an object's id and no field for its type.
 */


/* bytes of an event's name, of an id, of a portal's member_id and domain */
#define B1C_EVENT_MAX   128
#define B1C_ENTITY_MAX  256


/* room for the text of an id that came as a number */
typedef char  b1c_number_t[32];


/*
 * The type by the name of the event, in upper case: less a leading "ON", a
 * "BEFORE" inside and the verb at the end, so that all that happens to one
 * object has the same type.  Smart processes have the number of their kind
 * behind it, whether it came with the name or in ENTITY_TYPE_ID.  Written into
 * buf, never empty.
 */
void b1c_entity_type(const char *event, const cJSON *data,
    char buf[B1C_EVENT_MAX + B1C_ENTITY_MAX]);

/*
 * The id or NULL.  The places are those where events of the REST documentation
 * have it: most in FIELDS; tasks in FIELDS_AFTER or, once deleted, in
 * FIELDS_BEFORE; comments of new task cards have 0 there and a MESSAGE_ID; the
 * live feed has POST_ID, telephony CALL_ID, users ID and calendars id.
 */
const char *b1c_entity_id(const cJSON *data, b1c_number_t number);

/*
 * An id by itself: a string or a whole number.  NULL if it is absent, empty,
 * the "undefined" that tasks send for what is not there, longer than
 * B1C_ENTITY_MAX, or has TAB, LF or CR in it.
 */
const char *b1c_entity_scalar(const cJSON *node, b1c_number_t number);


typedef enum {
    B1C_FORM = 0,             /* application/x-www-form-urlencoded */
    B1C_JSON                  /* application/json of the same shape */
} b1c_type_t;


typedef struct {
    b1c_type_t       type;
    const char      *body;
    size_t           len;
    const char      *args;       /* query string, for robots; may be NULL */
    size_t           args_len;
    const char      *charset;    /* iconv name, NULL is UTF-8 */
} b1c_input_t;


/*
 * A body that passed the shape limits and nothing else.  Until the caller has
 * found the token good, only the three strings below may be looked at.
 */
typedef struct {
    b1c_form_t       form;       /* of a form body, the tree comes later */
    b1c_form_t       args;
    cJSON           *tree;       /* of a JSON body, whole */

    const char      *token;      /* auth[application_token] or NULL */
    const char      *member_id;  /* auth[member_id], "" if absent */
    const char      *domain;     /* auth[domain], "" if absent */
} b1c_message_t;


typedef struct {
    char            *event;      /* upper case; "ROBOT" for a robot's body */
    char            *type;       /* entity type, e.g. "SALEORDER" */
    char            *id;         /* entity id or NULL if the body names none */
    char            *member_id;  /* "" if absent */
    char            *domain;     /* "" if absent */
    int64_t          ts;         /* seconds; 0 if the body has none */
    cJSON           *data;       /* never NULL, secrets already removed */
} b1c_event_t;


/*
 * Bounds first: bytes are the caller's business, pairs, depth and key length
 * are checked here.  "event" or "auth[application_token]" twice is malformed
 * because PHP takes the last and others the first.  On B1C_OK the message
 * must be freed.
 */
b1c_rc_t b1c_message_parse(b1c_message_t *msg, const b1c_input_t *input,
    const b1c_limits_t *limits, b1c_error_t *err);

void b1c_message_free(b1c_message_t *msg);

/*
 * To be called only when the token was found good.  On B1C_OK the event
 * must be freed; it does not point into the message.
 */
b1c_rc_t b1c_event_build(b1c_event_t *ev, b1c_message_t *msg,
    b1c_error_t *err);

void b1c_event_free(b1c_event_t *ev);

/*
 * The JSON for 1C without its head: everything after {"id":"...", from the
 * comma on.  The head is put before it when the event is sent, since only the
 * queue knows under which id it goes.  "received" is in seconds and stands in
 * for a missing ts.  The caller frees the text; NULL is lack of memory.
 */
char *b1c_event_json(const b1c_event_t *ev, int64_t received, size_t *len);

/* the reverse of b1c_event_json(), for events that come from the queue */
b1c_rc_t b1c_event_from_json(b1c_event_t *ev, const char *text, size_t len);

/*
 * The default of bitrix1c_once: events whose verb is ADD, NEW or DELETE, a
 * "_147" type suffix aside, and every event without a known entity id.
 */
int b1c_entity_once(const char *event, const char *id);


/*
 * A value inside data by its path in the form of a variable's name: the parts
 * joined by '_' and compared without case ("fields_entity_type_id" finds
 * FIELDS, ENTITY_TYPE_ID).  Only scalars are found; the text of a number is
 * written into buf.  NULL if there is none.
 */
const char *b1c_event_data(const cJSON *data, const char *name, size_t len,
    char *buf, size_t size);


/*
 * Calls to a portal's REST by an inbound webhook: what a caller may name, and
 * what the portal's answer means.
 */


/* bytes of a method's name, of a code of an error and of a warning */
#define B1C_METHOD_MAX   128
#define B1C_CODE_MAX     64
#define B1C_WARNING_MAX  320


/*
 * What the portal's limits and system errors ask for, by
 * apidocs.bitrix24.com: settings/performance/limits and system-errors.
 */
typedef enum {
    B1C_ANSWER_OK = 0,
    B1C_ANSWER_ERROR,         /* of the call itself */
    B1C_ANSWER_NO_METHOD,     /* ERROR_METHOD_NOT_FOUND */
    B1C_ANSWER_QUERY_LIMIT,   /* too many requests; not carried out */
    B1C_ANSWER_OPERATION,     /* the method used up its time; the same */
    B1C_ANSWER_OVERLOAD,      /* blocked by hand until support was asked */
    B1C_ANSWER_FOREIGN,       /* no JSON object: HTML or the like */
    B1C_ANSWER_TRUNCATED,
    B1C_ANSWER_NONE           /* of a command: it was not reached */
} b1c_answer_e;


typedef struct {
    b1c_answer_e     kind;
    char             code[B1C_CODE_MAX];     /* "error", "" if there is none */
    unsigned         operating;  /* whole s of the method in ten minutes */
    int64_t          reset_at;   /* when it falls, Unix time, 0: unknown */
} b1c_answer_t;


/*
 * The name of the method in what follows the location's prefix, less a ".json"
 * or ".xml" behind it, which Bitrix takes too.  NULL, or a sentence that says
 * what is wrong and quotes nothing: a caller may have put a key there.
 */
const char *b1c_method_method(const char *path, size_t len, const char **name,
    size_t *name_len);

/*
 * The same for the path as it came, before nginx decoded it: a name that is
 * not spelled out could be another one for those who log or check it.
 */
const char *b1c_method_path(const char *path, size_t len);

/*
 * The query string as its author meant it: PHP ends a name at the first '=',
 * even inside brackets, so that of filter[>=dateInsert]=... nothing would
 * reach Bitrix, which then lists all there is.  Such a '=' is encoded.  The
 * buffer holds three times len; returns the new length.
 */
size_t b1c_method_args(char *out, const char *args, size_t len);

/*
 * Whether a "Prefer" header (RFC 7240, 2) has this preference, with or without
 * a value and parameters: not a parameter or a quoted value of another one.
 */
int b1c_method_prefers(const char *value, size_t len, const char *name);

/*
 * The key of an inbound webhook in a path or address: /rest/1/KEY/method and
 * /rest/api/1/KEY/method.  NULL if there is none.
 */
const char *b1c_method_key(const char *path, size_t len, size_t *key_len);

/*
 * Overwrites with '*' what looks like a key in any text: a segment of eight or
 * more letters and digits behind one that is a number.
 */
void b1c_method_redact(char *text, size_t len);

/*
 * An answer in the form of Bitrix' own errors; the caller frees it.  len is
 * less the NUL that ends it; NULL is lack of memory.
 */
char *b1c_method_error(const char *code, const char *description, size_t *len);

/* the text may be the beginning of an answer if it is told to be truncated */
void b1c_portal_answer_judge(b1c_answer_t *answer, unsigned status,
    const char *text, size_t len, int truncated);

/* the same by the code of an error, whichever way it came */
b1c_answer_e b1c_portal_answer_code(const char *code);

/*
 * "operating" and "operating_reset_at" out of the end of an answer, where the
 * "time" of the call stands; they stay as they are if they are not there.
 */
void b1c_portal_answer_time(b1c_answer_t *answer, const char *tail, size_t len);


/*
 * What is known to be lost on Bitrix without an error.  1 if there is something
 * to warn of, in a sentence of printable ASCII without quotes.
 *
 * sale.* and catalog.* take names in camelCase and drop others silently, which
 * leaves a list unfiltered and an update without effect.  Of the parameters
 * either may be NULL.
 */
int b1c_warning_call(const char *method, size_t len, const b1c_form_t *form,
    const cJSON *json, char warning[B1C_WARNING_MAX]);

/* methods that many call though Bitrix never had them */
int b1c_warning_answer(const char *method, size_t len,
    const b1c_answer_t *answer, char warning[B1C_WARNING_MAX]);


/*
 * Bitrix' method "batch": up to 50 calls in one request, which counts as one
 * (apidocs.bitrix24.com: settings/how-to-call-rest-api/batch).
 */


#define B1C_BATCH_MAX  50


typedef struct {
    char            *name;
    char            *method;     /* less its suffix and query */
    char            *query;      /* "" if there is none; $result[...] stays */
} b1c_command_t;


typedef struct {
    b1c_command_t     commands[B1C_BATCH_MAX];
    size_t            n;
} b1c_batch_t;


typedef enum {
    B1C_BATCH_OK = 0,
    B1C_BATCH_MALFORMED,      /* err says what is wrong */
    B1C_BATCH_LENGTH,         /* more than 50 commands */
    B1C_BATCH_NESTED,         /* a batch among them */
    B1C_BATCH_NOMEM
} b1c_batch_rc_t;


/* one call of a batch that is built */
typedef struct {
    const char      *name;       /* letters and digits */
    const char      *method;
    const cJSON     *params;     /* an object, or NULL */
} b1c_packed_t;


/* what became of one command; both texts are JSON as it came */
typedef struct {
    b1c_answer_t     answer;
    b1c_span_t       result;     /* any value, of B1C_ANSWER_OK */
    b1c_span_t       description;  /* a string, if there is one */
} b1c_reply_t;


/*
 * The commands of a call of "batch".  Bitrix merges what came in the query
 * string with what came in the body and takes "cmd" in any case, so all of it
 * is looked into; each of the three may be NULL.  To be freed in any case.
 */
b1c_batch_rc_t b1c_batch_parse(b1c_batch_t *batch, const b1c_form_t *args,
    const b1c_form_t *form, const cJSON *json, b1c_error_t *err);

void b1c_batch_free(b1c_batch_t *batch);

/*
 * NULL, or why these parameters cannot travel in a batch: a command is a query
 * string, which has no null and no empty list in it.
 */
const char *b1c_batch_unfit(const cJSON *params);

/*
 * The JSON body of a batch that goes on after errors.  The caller frees it;
 * len is less the NUL that ends it, NULL is lack of memory.  All parameters
 * must have been found fit.
 */
char *b1c_batch_build(const b1c_packed_t *calls, size_t n, size_t *len);

/*
 * What became of the command of this name, by the whole text of an answer that
 * b1c_portal_answer_judge() called B1C_ANSWER_OK.
 */
void b1c_batch_reply(b1c_reply_t *reply, const char *text, size_t len,
    const char *name);


/*
 * A REST call of 1C that is to be kept.  It takes the form of an event, so
 * that one queue, one spool and one list of dead letters serve both ways: the
 * method is the event's name, the parameters its data, the portal its domain.
 */


/*
 * Fills ev, which must be freed on B1C_OK, by the parameters as they were
 * read: those of the query string, and those of the body as a form or as JSON.
 * Each may be NULL; of a parameter that is given twice the body's counts, as in
 * PHP.  The method has been checked by the caller.  "auth" is left out, since
 * what is stored holds no secret.  The entity is what the call is about as far
 * as its name and an "id" of the parameters tell.
 */
b1c_rc_t b1c_call_build(b1c_event_t *ev, const char *method, size_t len,
    const char *portal, size_t portal_len, const b1c_form_t *args,
    const b1c_form_t *form, const cJSON *json, b1c_error_t *err);

/*
 * The entity type as events of the same object have it: "crm.deal.update" is
 * about a CRMDEAL, "crm.item.update" with entityTypeId 147 about a
 * CRMDYNAMICITEM_147.  buf gets the empty string if the name has no verb.
 */
void b1c_call_type(const char *method, size_t len, const cJSON *params,
    char buf[B1C_EVENT_MAX + B1C_ENTITY_MAX]);

/*
 * A scalar among the parameters, at the top or inside "fields"; NULL if it is
 * in neither.  The name may be a path with dots.
 */
const char *b1c_call_field(const cJSON *params, const char *name, size_t len,
    b1c_number_t number);

/*
 * Appends what Bitrix answered as 1C can take it: as it is, digit by digit, or
 * if there are control characters in it, which 1C cannot read, without them.
 * 0: it is no JSON (of 64 levels at most), and nothing was appended.
 */
int b1c_call_result(b1c_buf_t *buf, const char *text, size_t len);

/* the parameters as JSON, with a NUL behind it; freed by the caller */
char *b1c_call_params(const cJSON *params, size_t *len);


#endif /* _B1C_BITRIX_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_BITRIX_H_INCLUDED_
#define _B1C_BITRIX_H_INCLUDED_


#include <stdint.h>

#include "b1c_core.h"


/*
 * What an event is about.  Bitrix has no common place for an object's id and
 * no field for its type.
 */


/* bytes of an event's name, of an id, of a portal's member_id and domain */
#define B1C_EVENT_MAX   128
#define B1C_ENTITY_MAX  256


/* room for the text of an id that came as a number */
typedef char  b1c_number_t[32];


/*
 * Derives the type from the name of the event, in upper case: without a
 * leading "ON", an inner "BEFORE" and the verb at the end, so that all events
 * of one object have the same type.  Smart processes get the number of their
 * kind as a suffix, whether it comes with the name or in ENTITY_TYPE_ID.  The
 * type is written into buf and is never empty.
 */
void b1c_entity_type(const char *event, const cJSON *data,
    char buf[B1C_EVENT_MAX + B1C_ENTITY_MAX]);

/* bytes of "_147" at the end of an event's name, 0 if there is none */
size_t b1c_entity_suffix(const char *name, size_t len);

/*
 * The type by which lanes are formed, the same for all types of one object: an
 * order of the shop is a SALEORDER in some events and an ORDER in others.  *len
 * is the length of the type, and is set to that of the result.
 */
const char *b1c_entity_object(const char *type, size_t *len);

/* 1 if data contains nothing but the id, in one or more places */
int b1c_entity_bare(const cJSON *data, const char *id);

/* what an event does to the existence of its entity */
typedef enum {
    B1C_VERB_OTHER = 0,
    B1C_VERB_BEGIN,           /* ADD, REGISTER */
    B1C_VERB_CHANGE,          /* UPDATE */
    B1C_VERB_END              /* DELETE, UNREGISTER */
} b1c_verb_e;

/* stem: bytes of the name before the verb */
b1c_verb_e b1c_entity_does(const char *event, size_t *stem);

/*
 * The id or NULL.  It is looked for where events of the REST documentation
 * have it: most in FIELDS; tasks in FIELDS_AFTER or, once deleted, in
 * FIELDS_BEFORE; comments of new task cards have 0 there and a MESSAGE_ID; the
 * live feed has POST_ID, telephony CALL_ID, users ID and calendars id.
 */
const char *b1c_entity_id(const cJSON *data, b1c_number_t number);

/*
 * An id in one node: a string or a whole number.  NULL if it is absent or
 * empty, is "undefined", which tasks send for a missing value, is longer than
 * B1C_ENTITY_MAX, or contains TAB, LF or CR.
 */
const char *b1c_entity_scalar(const cJSON *node, b1c_number_t number);


/* kinds of events, see docs/delivery.md */
typedef enum {
    B1C_STATE = 0,            /* a newer event may replace it */
    B1C_ONCE,                 /* only a repetition is a duplicate */
    B1C_COMMAND,              /* of a robot, always delivered */
    B1C_FORM_ANSWER           /* Bitrix24 shows its answer, refused */
} b1c_kind_e;


/* a line of events/events.tsv, where its columns are described */
typedef struct {
    const char      *event;
    const char      *id;         /* paths, or NULL */
    b1c_kind_e       kind;
    const char      *secret;     /* a member of data, or NULL */
} b1c_known_t;


/* NULL: the event is not in the table */
const b1c_known_t *b1c_known_find(const char *event);

/* the id, written into buf, or NULL: it is not where the table says */
const char *b1c_known_id(const b1c_known_t *known, const cJSON *data,
    char buf[B1C_ENTITY_MAX + 1]);


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
    const char      *secret;     /* name of the argument with the token */
    int              event_token; /* a robot's is passed to 1C */
} b1c_input_t;


/*
 * A body that passed the shape limits only.  Until the caller has verified the
 * token, only the three strings below may be used.
 */
typedef struct {
    b1c_form_t       form;       /* a form body, its tree is built later */
    b1c_query_t      query;      /* points into the input, which must stay */
    int              event_token; /* a robot's is passed to 1C */
    cJSON           *tree;       /* a JSON body */

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
    b1c_kind_e       kind;       /* not stored */
    char            *run;        /* identifies a robot's run, or NULL */
    cJSON           *data;       /* never NULL, secrets already removed */
} b1c_event_t;


/*
 * Checks the bounds first: pairs, depth and key length; the caller limits the
 * bytes.  A repeated "event" or "auth[application_token]" is malformed,
 * because PHP takes the last one and other parsers the first.  On B1C_OK the
 * message must be freed.
 */
b1c_rc_t b1c_message_parse(b1c_message_t *msg, const b1c_input_t *input,
    const b1c_limits_t *limits, b1c_error_t *err);

void b1c_message_free(b1c_message_t *msg);

/*
 * May be called only after the token was verified.  On B1C_OK the event must
 * be freed; it does not point into the message.
 */
b1c_rc_t b1c_event_build(b1c_event_t *ev, b1c_message_t *msg,
    b1c_error_t *err);

void b1c_event_free(b1c_event_t *ev);

/* the same for a body without an event: a robot or a business process */
b1c_rc_t b1c_robot_build(b1c_event_t *ev, b1c_message_t *msg,
    b1c_error_t *err);

/* a member of an object; null counts as absent, as it does for PHP */
const cJSON *b1c_event_get(const cJSON *node, const char *name);

/* removes all secrets of Bitrix24, at any depth */
void b1c_event_scrub(cJSON *node);

/*
 * The JSON for 1C without its head: everything after {"id":"...", from the
 * comma on.  The head is added when the event is sent, because only the queue
 * knows the id.  "received", in seconds, replaces a missing ts.  The caller
 * frees the text; NULL: no memory.
 */
char *b1c_event_json(const b1c_event_t *ev, int64_t received, size_t *len);

/* the reverse of b1c_event_json(), for events from the queue */
b1c_rc_t b1c_event_from_json(b1c_event_t *ev, const char *text, size_t len);

/*
 * The default of bitrix1c_once: events with the verb ADD, NEW, DELETE, REGISTER
 * or UNREGISTER, not counting a type suffix such as "_147", and all events
 * without a known entity id.
 */
int b1c_entity_once(const char *event, const char *id);


/*
 * Finds a value inside data by its path in the form of a variable's name:
 * parts joined by '_' and compared without case ("fields_entity_type_id" finds
 * FIELDS, ENTITY_TYPE_ID).  Only scalars are found; the text of a number is
 * written into buf.  NULL if there is none.
 */
const char *b1c_event_data(const cJSON *data, const char *name, size_t len,
    char *buf, size_t size);


/*
 * Calls of a portal's REST by an inbound webhook: which method a caller names,
 * and what the portal's answer means.
 */


/* bytes of a method's name, of a code of an error and of a warning */
#define B1C_METHOD_MAX   128
#define B1C_CODE_MAX     64
#define B1C_WARNING_MAX  320


/*
 * What the portal's limits and system errors mean, by apidocs.bitrix24.com:
 * settings/performance/limits and system-errors.
 */
typedef enum {
    B1C_ANSWER_OK = 0,
    B1C_ANSWER_ERROR,         /* an error of the call itself */
    B1C_ANSWER_NO_METHOD,     /* ERROR_METHOD_NOT_FOUND */
    B1C_ANSWER_NO_RIGHT,      /* the webhook may not; not executed */
    B1C_ANSWER_NO_BATCH,      /* not in a batch; not executed */
    B1C_ANSWER_QUERY_LIMIT,   /* too many requests; not executed */
    B1C_ANSWER_OPERATION,     /* execution time is used up; the same */
    B1C_ANSWER_OVERLOAD,      /* blocked until support lifts it */
    B1C_ANSWER_FOREIGN,       /* not a JSON object, such as HTML */
    B1C_ANSWER_TRUNCATED,
    B1C_ANSWER_NONE           /* the command was not executed */
} b1c_answer_e;


typedef struct {
    b1c_answer_e     kind;
    char             code[B1C_CODE_MAX];     /* "error", "" if there is none */
    unsigned         operating;  /* s in ten minutes */
    int64_t          reset_at;   /* time of its reset, 0: unknown */
    unsigned         duration;   /* ms that it took, 0: unknown */
} b1c_answer_t;


/*
 * The name of the method in the path after the location's prefix, without a
 * suffix ".json" or ".xml", which Bitrix accepts too.  Returns NULL, or a
 * sentence that says what is wrong and quotes nothing, because the path may
 * contain a key.
 */
const char *b1c_method_method(const char *path, size_t len, const char **name,
    size_t *name_len);

/*
 * Checks the path as received, before nginx decoded it: a percent-encoded name
 * could be read as another one by those who log or check it.
 */
const char *b1c_method_path(const char *path, size_t len);

/*
 * Encodes each '=' inside brackets of a query string.  PHP ends a name at the
 * first '=', so filter[>=dateInsert]=... would not reach Bitrix, which would
 * then list everything.  The buffer holds three times len; returns the new
 * length.
 */
size_t b1c_method_args(char *out, const char *args, size_t len);

/*
 * 1 if a "Prefer" header (RFC 7240, 2) has this preference, with or without a
 * value and parameters.  A parameter or a quoted value of another preference
 * does not count.
 */
int b1c_method_prefers(const char *value, size_t len, const char *name);

/*
 * Finds the key of an inbound webhook in a path or address: /rest/1/KEY/method
 * and /rest/api/1/KEY/method.  NULL if there is none.
 */
const char *b1c_method_key(const char *path, size_t len, size_t *key_len);

/*
 * Redacts with '*' everything in a text that looks like a key: a segment of
 * eight or more letters and digits after a segment that is a number.
 */
void b1c_method_redact(char *text, size_t len);

/*
 * An answer in the form of Bitrix's own errors; the caller frees it. len
 * excludes the final NUL.  NULL: no memory.
 */
char *b1c_method_error(const char *code, const char *description, size_t *len);

/* the text may be the beginning of an answer if "truncated" is set */
void b1c_portal_answer_judge(b1c_answer_t *answer, unsigned status,
    const char *text, size_t len, int truncated);

/*
 * Judges an answer that was received completely but too large to hold, by its
 * beginning and its end: a success, or still B1C_ANSWER_TRUNCATED
 */
void b1c_portal_answer_tail(b1c_answer_t *answer, const char *head,
    size_t head_len, const char *tail, size_t tail_len);

/* the text after the last such name, or NULL; the text may begin anywhere */
const char *b1c_portal_answer_last(const char *text, size_t len,
    const char *name, size_t *left);

/* the same by an error code */
b1c_answer_e b1c_portal_answer_code(const char *code);

/*
 * Reads the code of the value of "error": a string, a number, or an object of
 * REST 3.0 that has a code.  Returns 0 if it is null or absent, which is none.
 */
int b1c_portal_answer_error(b1c_span_t error, char code[B1C_CODE_MAX]);

/*
 * Reads "operating", "operating_reset_at" and "duration" from the end of an
 * answer, where the "time" of the call is.  Missing values leave the answer unchanged.
 */
void b1c_portal_answer_time(b1c_answer_t *answer, const char *tail, size_t len);


/*
 * Mistakes that Bitrix ignores without an error.  Returns 1 if there is a
 * warning, a sentence of printable ASCII without quotes. sale.* and catalog.*
 * take names in camelCase and silently ignore others, so a list is not
 * filtered and an update has no effect.  Either parameter may be NULL.
 */
int b1c_warning_call(const char *method, size_t len, const b1c_form_t *form,
    const cJSON *json, char warning[B1C_WARNING_MAX]);

/* methods that are often called though Bitrix never had them */
int b1c_warning_answer(const char *method, size_t len,
    const b1c_answer_t *answer, char warning[B1C_WARNING_MAX]);


/*
 * Bitrix's method "batch": up to 50 calls in one request, which counts as one
 * (apidocs.bitrix24.com: settings/how-to-call-rest-api/batch).
 */


#define B1C_BATCH_MAX  50


typedef struct {
    char            *name;
    char            *method;     /* without suffix and query */
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


/* one call of a batch to build */
typedef struct {
    const char      *name;       /* letters and digits */
    const char      *method;
    const cJSON     *params;     /* an object, or NULL */
} b1c_packed_t;


/* the result of one command; both texts are JSON as received */
typedef struct {
    b1c_answer_t     answer;
    b1c_span_t       result;     /* any value, for B1C_ANSWER_OK */
    b1c_span_t       description;  /* a string, if there is one */
    unsigned         too_large:1;  /* the result was not held */
} b1c_reply_t;


/*
 * Reads the commands of a call of "batch".  Bitrix merges the query string
 * with the body and accepts "cmd" in any case, so all of it is read; each of
 * the three may be NULL.  The batch must be freed in any case.
 */
b1c_batch_rc_t b1c_batch_parse(b1c_batch_t *batch, const b1c_form_t *args,
    const b1c_form_t *form, const cJSON *json, b1c_error_t *err);

void b1c_batch_free(b1c_batch_t *batch);

/*
 * NULL, or the reason why this call would not mean the same as a command of a
 * batch.  A command is a query string that PHP reads: it can express neither
 * null nor an empty list, has at most 1000 values, and gives some names another
 * spelling.  Bitrix replaces "$result[...]" and the like in its values.
 */
const char *b1c_batch_unfit(const char *method, const cJSON *params);

/*
 * The JSON body of a batch that continues after errors.  The caller frees it;
 * len excludes the final NUL, NULL: no memory. b1c_batch_unfit() must have
 * accepted all parameters.
 */
char *b1c_batch_build(const b1c_packed_t *calls, size_t n, size_t *len);

/*
 * The result of the command of this name, from the whole text of an answer for
 * which b1c_portal_answer_judge() returned B1C_ANSWER_OK.
 */
void b1c_batch_reply(b1c_reply_t *reply, const char *text, size_t len,
    const char *name);

/*
 * The same from the end of an answer that was too large to hold: there are the
 * maps of errors and times, and each command that succeeded has a time.
 */
void b1c_batch_tail(b1c_reply_t *reply, const char *tail, size_t len,
    const char *name);

/* the number of failed commands, from the "result" of an answer to a batch */
size_t b1c_batch_failed(b1c_span_t result);


/*
 * The door: a call of a portal is read once, as PHP reads it, and what is sent
 * to the portal is rewritten wherever PHP could read something else.
 */


#define B1C_DOOR_FORM_TYPE  "application/x-www-form-urlencoded"
#define B1C_DOOR_JSON_TYPE  "application/json"

#define B1C_DOOR_TOKEN  "a parameter \"token\" would replace all parameters " \
                        "by those of the token"


typedef enum {
    B1C_DOOR_OK = 0,
    B1C_DOOR_NOMEM,
    B1C_DOOR_MALFORMED,       /* err says what is wrong, door->where in what */
    B1C_DOOR_TYPE             /* Content-Type is none of those taken */
} b1c_door_rc_t;


/* what a body is */
typedef enum {
    B1C_DOOR_FORM = 0,
    B1C_DOOR_JSON,
    B1C_DOOR_TEXT,            /* a form that is not said to be one */
    B1C_DOOR_MULTIPART,
    B1C_DOOR_JSON_FORM,       /* JSON that is said to be a form */
    B1C_DOOR_OTHER
} b1c_door_kind_t;


/* what becomes of a parameter at the top */
typedef enum {
    B1C_DOOR_KEPT = 0,
    B1C_DOOR_DROPPED,
    B1C_DOOR_REFUSED
} b1c_door_name_t;


/* a part of multipart/form-data; all point into the body */
typedef struct {
    const char      *name;
    const char      *file;       /* the name of a file, NULL: it is none */
    const char      *type;
    const char      *data;
    size_t           name_len;
    size_t           file_len;
    size_t           type_len;
    size_t           len;
} b1c_part_t;


typedef struct {
    b1c_part_t      *files;
    size_t           n;
    char             type[128];  /* Content-Type, with the boundary */
} b1c_multipart_t;


typedef struct {

    /* set by the caller, everything else begins as zeros */
    const char      *in_args;
    const char      *in_type;
    const char      *in_body;
    const char      *charset;    /* iconv name of forms, NULL is UTF-8 */
    size_t           in_args_len;
    size_t           in_type_len;
    size_t           in_len;
    unsigned         post:1;
    unsigned         batch:1;    /* it is one */
    unsigned         files:1;    /* "upload" and "download", by token */

    /* what was read: the parameters as the method gets them, an object */
    cJSON           *params;
    const char      *where;

    /* what is to be sent */
    b1c_buf_t        args;
    b1c_buf_t        body;
    const char      *type;       /* NULL: there is no body */
    unsigned         as_is:1;    /* the body as it came, not this one */

    b1c_form_t       query;
    b1c_form_t       form;
    cJSON           *query_tree;
    b1c_multipart_t  parts;
} b1c_door_t;


/* the door must be freed in any case */
b1c_door_rc_t b1c_door_read(b1c_door_t *door, b1c_error_t *err);

void b1c_door_free(b1c_door_t *door);

/* used only by the files of the door */

b1c_door_rc_t b1c_door_batch_read(b1c_door_t *door, b1c_error_t *err);

/* the body to send is the JSON of all parameters of the body */
b1c_door_rc_t b1c_door_write(b1c_door_t *door);

b1c_door_rc_t b1c_door_malformed(b1c_error_t *err, const char *what,
    size_t where);

b1c_door_name_t b1c_door_name(const b1c_door_t *door, const char *name,
    size_t len);


b1c_door_kind_t b1c_multipart_kind(const char *type, size_t len,
    const char *body, size_t body_len);

/* the fields are appended to a form's text, the files are found */
b1c_rc_t b1c_multipart_parse(b1c_multipart_t *parts, const char *type,
    size_t len, const char *body, size_t body_len, b1c_buf_t *fields,
    b1c_error_t *err);

void b1c_multipart_write(b1c_buf_t *buf, const b1c_multipart_t *parts,
    const b1c_form_t *form);

void b1c_multipart_free(b1c_multipart_t *parts);


/*
 * A REST call of 1C that is queued.  It has the form of an event, so that one
 * queue, one spool and one list of dead letters serve both directions: the
 * method is the event's name, the parameters its data, the portal its domain.
 */


/*
 * Fills ev, which must be freed on B1C_OK, from the parsed parameters: those
 * of the query string, and those of the body as a form or as JSON.  Each may
 * be NULL; as in PHP, the body's value wins over the query string's.  The
 * caller has checked the method.  "auth" is left out, because secrets are not
 * stored.  The entity is derived from the method's name and an "id" among the
 * parameters.
 */
b1c_rc_t b1c_call_build(b1c_event_t *ev, const char *method, size_t len,
    const char *portal, size_t portal_len, const b1c_form_t *args,
    const b1c_form_t *form, const cJSON *json, b1c_error_t *err);

/*
 * The entity type that events of the same object have: "crm.deal.update" is
 * about a CRMDEAL, "crm.item.update" with entityTypeId 147 about a
 * CRMDYNAMICITEM_147. buf gets the empty string if the name has no verb.
 */
void b1c_call_type(const char *method, size_t len, const cJSON *params,
    char buf[B1C_EVENT_MAX + B1C_ENTITY_MAX]);

/*
 * A scalar among the parameters, at the top level or inside "fields"; NULL if
 * there is none.  The name may be a path with dots.
 */
const char *b1c_call_field(const cJSON *params, const char *name, size_t len,
    b1c_number_t number);

/*
 * Appends Bitrix's answer in a form that 1C can read: unchanged, or without
 * control characters if it has some.  Returns 0 if it is not JSON (of at most
 * 64 levels), and then appends nothing.
 */
int b1c_call_result(b1c_buf_t *buf, const char *text, size_t len);

/*
 * Takes out of a command of a batch, in place, what b1c_door_name() drops.  1:
 * it has a parameter that is refused.
 */
int b1c_call_strip(char *command);

/* the parameters as JSON, NUL-terminated; freed by the caller */
char *b1c_call_params(const cJSON *params, size_t *len);


#endif /* _B1C_BITRIX_H_INCLUDED_ */

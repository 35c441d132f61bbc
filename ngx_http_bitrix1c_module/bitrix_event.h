
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _BITRIX_EVENT_H_INCLUDED_
#define _BITRIX_EVENT_H_INCLUDED_


#include <stdint.h>
#include "bitrix_form.h"


typedef enum {
    BITRIX_FORM = 0,             /* application/x-www-form-urlencoded */
    BITRIX_JSON                  /* application/json of the same shape */
} bitrix_type_t;


typedef struct {
    bitrix_type_t    type;
    const char      *body;
    size_t           len;
    const char      *args;       /* query string, for robots; may be NULL */
    size_t           args_len;
    const char      *charset;    /* iconv name, NULL is UTF-8 */
} bitrix_input_t;


/*
 * A body that passed the shape limits and nothing else.  Until the caller has
 * found the token good, only the three strings below may be looked at.
 */
typedef struct {
    bitrix_form_t    form;       /* of a form body, the tree comes later */
    bitrix_form_t    args;
    cJSON           *tree;       /* of a JSON body, whole */

    const char      *token;      /* auth[application_token] or NULL */
    const char      *member_id;  /* auth[member_id], "" if absent */
    const char      *domain;     /* auth[domain], "" if absent */
} bitrix_message_t;


typedef struct {
    char            *event;      /* upper case; "ROBOT" for a robot's body */
    char            *type;       /* entity type, e.g. "SALEORDER" */
    char            *id;         /* entity id or NULL if the body names none */
    char            *member_id;  /* "" if absent */
    char            *domain;     /* "" if absent */
    int64_t          ts;         /* seconds; 0 if the body has none */
    cJSON           *data;       /* never NULL, secrets already removed */
} bitrix_event_t;


/*
 * Bounds first: bytes are the caller's business, pairs, depth and key length
 * are checked here.  "event" or "auth[application_token]" twice is malformed
 * because PHP takes the last and others the first.  On BITRIX_OK the message
 * must be freed.
 */
bitrix_rc_t bitrix_message_parse(bitrix_message_t *msg,
    const bitrix_input_t *input, const bitrix_limits_t *limits,
    bitrix_error_t *err);

void bitrix_message_free(bitrix_message_t *msg);

/*
 * To be called only when the token was found good.  On BITRIX_OK the event
 * must be freed; it does not point into the message.
 */
bitrix_rc_t bitrix_event_build(bitrix_event_t *ev, bitrix_message_t *msg,
    bitrix_error_t *err);

void bitrix_event_free(bitrix_event_t *ev);

/*
 * The JSON for 1C without its head: everything after {"id":"...", from the
 * comma on.  The head is put before it when the event is sent, since only the
 * queue knows under which id it goes.  "received" is in seconds and stands in
 * for a missing ts.  The caller frees the text; NULL is lack of memory.
 */
char *bitrix_event_json(const bitrix_event_t *ev, int64_t received,
    size_t *len);

/* the reverse of bitrix_event_json(), for events that come from the queue */
bitrix_rc_t bitrix_event_from_json(bitrix_event_t *ev, const char *text,
    size_t len);

/*
 * The default of bitrix1c_once: events whose verb is ADD, NEW or DELETE, a
 * "_147" type suffix aside, and every event without a known entity id.
 */
int bitrix_event_once(const char *event, const char *id);

/* '*' stands for any run of characters, letters compare without case */
int bitrix_mask_match(const char *mask, size_t mask_len, const char *name,
    size_t len);

/*
 * A value inside data by its path in the form of a variable's name: the parts
 * joined by '_' and compared without case ("fields_entity_type_id" finds
 * FIELDS, ENTITY_TYPE_ID).  Only scalars are found; the text of a number is
 * written into buf.  NULL if there is none.
 */
const char *bitrix_event_data(const cJSON *data, const char *name, size_t len,
    char *buf, size_t size);


#endif /* _BITRIX_EVENT_H_INCLUDED_ */

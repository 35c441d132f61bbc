
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _BITRIX_ENTITY_H_INCLUDED_
#define _BITRIX_ENTITY_H_INCLUDED_


#include "bitrix_form.h"


/*
 * Inside the pure core: what an event is about.  Bitrix has no common place for
 * an object's id and no field for its type.
 */


/* bytes of an event's name, of an id, of a portal's member_id and domain */
#define BITRIX_EVENT_MAX   128
#define BITRIX_ENTITY_MAX  256


/* room for the text of an id that came as a number */
typedef char  bitrix_number_t[32];


/*
 * The type by the name of the event, in upper case: less a leading "ON", a
 * "BEFORE" inside and the verb at the end, so that all that happens to one
 * object has the same type.  Smart processes have the number of their kind
 * behind it, whether it came with the name or in ENTITY_TYPE_ID.  Written into
 * buf, never empty.
 */
void bitrix_entity_type(const char *event, const cJSON *data,
    char buf[BITRIX_EVENT_MAX + BITRIX_ENTITY_MAX]);

/*
 * The id or NULL.  The places are those where events of the REST documentation
 * have it: most in FIELDS; tasks in FIELDS_AFTER or, once deleted, in
 * FIELDS_BEFORE; comments of new task cards have 0 there and a MESSAGE_ID; the
 * live feed has POST_ID, telephony CALL_ID, users ID and calendars id.
 */
const char *bitrix_entity_id(const cJSON *data, bitrix_number_t number);

/*
 * An id by itself: a string or a whole number.  NULL if it is absent, empty,
 * the "undefined" that tasks send for what is not there, longer than
 * BITRIX_ENTITY_MAX, or has TAB, LF or CR in it.
 */
const char *bitrix_entity_scalar(const cJSON *node, bitrix_number_t number);


#endif /* _BITRIX_ENTITY_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _BITRIX_CALL_H_INCLUDED_
#define _BITRIX_CALL_H_INCLUDED_


#include "bitrix_event.h"
#include "bitrix_json.h"
#include "bitrix_entity.h"


/*
 * A REST call of 1C that is to be kept.  It takes the form of an event, so
 * that one queue, one spool and one list of dead letters serve both ways: the
 * method is the event's name, the parameters its data, the portal its domain.
 */


/*
 * Fills ev, which must be freed on BITRIX_OK, by the parameters as they were
 * read: those of the query string, and those of the body as a form or as JSON.
 * Each may be NULL; of a parameter that is given twice the body's counts, as in
 * PHP.  The method has been checked by the caller.  "auth" is left out, since
 * what is stored holds no secret.  The entity is what the call is about as far
 * as its name and an "id" of the parameters tell.
 */
bitrix_rc_t bitrix_call_build(bitrix_event_t *ev, const char *method,
    size_t len, const char *portal, size_t portal_len,
    const bitrix_form_t *args, const bitrix_form_t *form, const cJSON *json,
    bitrix_error_t *err);

/*
 * The entity type as events of the same object have it: "crm.deal.update" is
 * about a CRMDEAL, "crm.item.update" with entityTypeId 147 about a
 * CRMDYNAMICITEM_147.  buf gets the empty string if the name has no verb.
 */
void bitrix_call_type(const char *method, size_t len, const cJSON *params,
    char buf[BITRIX_EVENT_MAX + BITRIX_ENTITY_MAX]);

/*
 * A scalar among the parameters, at the top or inside "fields"; NULL if it is
 * in neither.  The name may be a path with dots.
 */
const char *bitrix_call_field(const cJSON *params, const char *name,
    size_t len, bitrix_number_t number);

/*
 * Appends what Bitrix answered as 1C can take it: as it is, digit by digit, or
 * if there are control characters in it, which 1C cannot read, without them.
 * 0: it is no JSON (of 64 levels at most), and nothing was appended.
 */
int bitrix_call_result(bitrix_buf_t *buf, const char *text, size_t len);

/* the parameters as JSON, with a NUL behind it; freed by the caller */
char *bitrix_call_params(const cJSON *params, size_t *len);


#endif /* _BITRIX_CALL_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdlib.h>
#include <string.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


static const struct {
    const char    *code;
    b1c_answer_e   kind;
} b1c_answer_codes[] = {
    { "QUERY_LIMIT_EXCEEDED", B1C_ANSWER_QUERY_LIMIT },
    { "OPERATION_TIME_LIMIT", B1C_ANSWER_OPERATION },
    { "OVERLOAD_LIMIT", B1C_ANSWER_OVERLOAD },
    { "ERROR_METHOD_NOT_FOUND", B1C_ANSWER_NO_METHOD },
    { "ERROR_BATCH_METHOD_NOT_ALLOWED", B1C_ANSWER_NO_BATCH },
    { "insufficient_scope", B1C_ANSWER_NO_RIGHT }
};

/* the words before these differ between versions of REST 3.0 */
static const struct {
    const char    *end;
    b1c_answer_e   kind;
} b1c_answer_ends[] = {
    { "_RATELIMITEXCEPTION", B1C_ANSWER_OPERATION },
    { "_METHODNOTFOUNDEXCEPTION", B1C_ANSWER_NO_METHOD },
    { "_INSUFFICIENTSCOPEEXCEPTION", B1C_ANSWER_NO_RIGHT }
};



b1c_answer_e
b1c_portal_answer_code(const char *code)
{
    size_t  i, len, n;

    for (i = 0;
         i < sizeof(b1c_answer_codes) / sizeof(b1c_answer_codes[0]);
         i++)
    {
        if (strcasecmp(code, b1c_answer_codes[i].code) == 0) {
            return b1c_answer_codes[i].kind;
        }
    }

    len = strlen(code);

    for (i = 0;
         i < sizeof(b1c_answer_ends) / sizeof(b1c_answer_ends[0]);
         i++)
    {
        n = strlen(b1c_answer_ends[i].end);

        if (len > n && strcmp(code + len - n, b1c_answer_ends[i].end) == 0) {
            return b1c_answer_ends[i].kind;
        }
    }

    return B1C_ANSWER_ERROR;
}


int
b1c_portal_answer_error(b1c_span_t error, char code[B1C_CODE_MAX])
{
    code[0] = '\0';

    if (error.start == NULL || *error.start == 'n') {
        return 0;
    }

    if (*error.start == '{') {
        error = b1c_json_scan_find(error, "code");
    }

    b1c_json_scan_text(error, code, B1C_CODE_MAX);

    return 1;
}


void
b1c_portal_answer_judge(b1c_answer_t *answer, unsigned status,
    const char *text, size_t len, int truncated)
{
    b1c_span_t  object, error;

    memset(answer, 0, sizeof(b1c_answer_t));

    object = b1c_json_scan_value(text, len);

    if (object.start == NULL || *object.start != '{') {
        answer->kind = truncated
                       || (object.start == NULL && len > 0 && *text == '{')
                       ? B1C_ANSWER_TRUNCATED : B1C_ANSWER_FOREIGN;
        return;
    }

    b1c_portal_answer_time(answer, object.start, object.len);

    error = b1c_json_scan_find(object, "error");

    if (b1c_portal_answer_error(error, answer->code)) {
        answer->kind = b1c_portal_answer_code(answer->code);
        return;
    }

    answer->kind = status >= 200 && status < 300 ? B1C_ANSWER_OK
                                                 : B1C_ANSWER_ERROR;
}


void
b1c_portal_answer_tail(b1c_answer_t *answer, const char *head,
    size_t head_len, const char *tail, size_t tail_len)
{
    static const char  result[] = "{\"result\":";

    while (tail_len && strchr(" \r\n\t", tail[tail_len - 1]) != NULL) {
        tail_len--;
    }

    if (head_len < sizeof(result) - 1
        || memcmp(head, result, sizeof(result) - 1) != 0
        || tail_len == 0 || tail[tail_len - 1] != '}')
    {
        return;
    }

    answer->kind = B1C_ANSWER_OK;

    b1c_portal_answer_time(answer, tail, tail_len);
}


void
b1c_portal_answer_time(b1c_answer_t *answer, const char *tail, size_t len)
{
    char         number[32];
    size_t       left;
    double       duration;
    long long    operating, reset_at;
    const char  *p;

    p = b1c_portal_answer_last(tail, len, "\"operating\":", &left);

    if (p != NULL) {
        b1c_json_scan_text(b1c_json_scan_value(p, left), number,
                           sizeof(number));
        operating = strtoll(number, NULL, 10);

        if (operating >= 0 && operating < 1000000) {
            answer->operating = (unsigned) operating;
        }
    }

    p = b1c_portal_answer_last(tail, len, "\"operating_reset_at\":", &left);

    if (p != NULL) {
        b1c_json_scan_text(b1c_json_scan_value(p, left), number,
                           sizeof(number));
        reset_at = strtoll(number, NULL, 10);

        if (reset_at > 0 && reset_at < (int64_t) 1 << 40) {
            answer->reset_at = reset_at;
        }
    }

    p = b1c_portal_answer_last(tail, len, "\"duration\":", &left);

    if (p != NULL) {
        b1c_json_scan_text(b1c_json_scan_value(p, left), number,
                           sizeof(number));
        duration = strtod(number, NULL);

        if (duration > 0 && duration < 1000) {
            answer->duration = (unsigned) (duration * 1000);
        }
    }
}


/* the text after the last such name; quotes inside strings are escaped */
const char *
b1c_portal_answer_last(const char *text, size_t len, const char *name,
    size_t *left)
{
    size_t  n, i;

    n = strlen(name);

    if (len < n) {
        return NULL;
    }

    for (i = len - n + 1; i-- > 0; /* void */ ) {
        if (text[i] == '"' && memcmp(&text[i], name, n) == 0) {
            *left = len - i - n;
            return &text[i + n];
        }
    }

    return NULL;
}

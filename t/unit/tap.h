
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _TAP_H_INCLUDED_
#define _TAP_H_INCLUDED_


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "b1c_bitrix.h"


/*
 * Checks that print the Test Anything Protocol, and the few calls that every
 * test here makes.  All is static, because a test is one file.
 */


#define TAP_UNUSED  __attribute__((unused))


static int  tap_count;
static int  tap_failed;


static TAP_UNUSED int
tap_ok(int passed, const char *name, const char *file, int line)
{
    size_t  i;

    printf("%s %d - ", passed ? "ok" : "not ok", ++tap_count);

    /* names are often the input itself, which may hold anything */

    for (i = 0; name[i] != '\0' && i < 70; i++) {
        putchar((unsigned char) name[i] < 0x20 || name[i] == '#' ? '.'
                                                                : name[i]);
    }

    putchar('\n');

    if (!passed) {
        tap_failed++;
        printf("# failed at %s:%d\n", file, line);
    }

    return passed;
}


static TAP_UNUSED void
tap_is(const char *got, const char *want, const char *name, const char *file,
    int line)
{
    int  same;

    same = (got == NULL || want == NULL) ? got == want
                                         : strcmp(got, want) == 0;

    if (!tap_ok(same, name, file, line)) {
        printf("#      got: %s\n# expected: %s\n", got ? got : "(null)",
               want ? want : "(null)");
    }
}


static TAP_UNUSED void
tap_num(long long got, long long want, const char *name, const char *file,
    int line)
{
    if (!tap_ok(got == want, name, file, line)) {
        printf("#      got: %lld\n# expected: %lld\n", got, want);
    }
}


static TAP_UNUSED int
tap_done(void)
{
    printf("1..%d\n", tap_count);

    return tap_failed ? 1 : 0;
}


#define ok(passed, name)      tap_ok(!!(passed), name, __FILE__, __LINE__)
#define is(got, want, name)   tap_is(got, want, name, __FILE__, __LINE__)
#define num(got, want, name)  tap_num(got, want, name, __FILE__, __LINE__)

#define countof(a)            (sizeof(a) / sizeof((a)[0]))


/* the defaults of bitrix1c_limits */
static TAP_UNUSED const b1c_limits_t  tap_limits = { 1000, 8, 256 };


static TAP_UNUSED char *
tap_join(const char *a, const char *b)
{
    char  *text;

    text = malloc(strlen(a) + strlen(b) + 1);
    if (text == NULL) {
        abort();
    }

    return strcat(strcpy(text, a), b);
}


/*
 * A body from its bytes to the JSON for 1C without its head, or to "malformed:"
 * and the reason.  The caller frees the text.
 */

static TAP_UNUSED char *
tap_event(b1c_type_t type, const char *body, const char *args,
    const char *charset)
{
    char          *text;
    size_t         len;
    b1c_rc_t       rc;
    b1c_event_t    ev;
    b1c_error_t    err;
    b1c_input_t    input;
    b1c_message_t  msg;

    memset(&input, 0, sizeof(b1c_input_t));

    input.type = type;
    input.body = body;
    input.len = strlen(body);
    input.args = args;
    input.args_len = args ? strlen(args) : 0;
    input.charset = charset;

    rc = b1c_message_parse(&msg, &input, &tap_limits, &err);

    if (rc != B1C_OK) {
        return tap_join("malformed: ", err.what);
    }

    rc = b1c_event_build(&ev, &msg, &err);
    b1c_message_free(&msg);

    if (rc != B1C_OK) {
        return tap_join("malformed: ", err.what);
    }

    text = b1c_event_json(&ev, 1700000000, &len);
    b1c_event_free(&ev);

    return text;
}


#endif /* _TAP_H_INCLUDED_ */

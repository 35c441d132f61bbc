
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


/*
 * Linked into the nginx of BUILD=sanitize, so that it finds the same mistakes
 * however it is started.  ASAN_OPTIONS and the like still override.
 */


#include <ngx_config.h>
#include <ngx_core.h>


const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__lsan_default_options(void);
const char *__lsan_default_suppressions(void);
int __lsan_is_turned_off(void);


/*
 * A signal is what nginx's master logs as an alert.  Every module of nginx has
 * a global "ngx_modules" of its own, which is what odr violation means.
 */

const char *
__asan_default_options(void)
{
    return "abort_on_error=1"
           ":detect_odr_violation=0"
           ":detect_stack_use_after_return=1"
           ":strict_string_checks=1";
}


const char *
__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}


const char *
__lsan_default_options(void)
{
    return "print_suppressions=0";
}


/* what nginx itself leaves to the end of its process */

const char *
__lsan_default_suppressions(void)
{
    return "leak:ngx_event_process_init\n"
           "leak:ngx_regex_malloc\n";
}


/*
 * "nginx -t", "nginx -s" and a start that fails leave the whole configuration
 * to it.
 */

int
__lsan_is_turned_off(void)
{
    return ngx_test_config
           || ngx_process == NGX_PROCESS_SIGNALLER
           || ngx_process == NGX_PROCESS_SINGLE;
}

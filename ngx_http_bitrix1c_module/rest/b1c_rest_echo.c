
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_rest_internal.h"
#include "b1c_core.h"
#include "b1c_bitrix.h"
#include "b1c_job.h"


static const b1c_limits_t  ngx_b1c_echo_limits = {
    1000, 16, 256
};


static void ngx_b1c_rest_echo_batch(ngx_b1c_rest_t *rest);
static void ngx_b1c_rest_echo_add(ngx_b1c_rest_t *rest, char *method,
    size_t len, b1c_form_t *form, cJSON *json);
static ngx_int_t ngx_b1c_rest_echo_word(ngx_pool_t *pool, ngx_str_t *word,
    const char *text);


void
ngx_b1c_rest_echo_mark(ngx_b1c_rest_t *rest)
{
    ngx_b1c_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(rest->request,
                                        ngx_http_bitrix1c_module);

    if (mcf->echo == NULL) {
        return;
    }

    if (rest->batch) {
        ngx_b1c_rest_echo_batch(rest);

    } else {
        ngx_b1c_rest_echo_add(rest, (char *) rest->method.data,
                              rest->method.len, NULL, rest->door.params);
    }
}


static void
ngx_b1c_rest_echo_batch(ngx_b1c_rest_t *rest)
{
    size_t          i;
    b1c_form_t      query;
    b1c_error_t     err;
    b1c_command_t  *command;

    for (i = 0; i < rest->batch->n; i++) {
        command = &rest->batch->commands[i];

        if (b1c_form_parse(&query, command->query,
                           ngx_strlen(command->query),
                           &ngx_b1c_echo_limits, NULL, &err)
            != B1C_OK)
        {
            continue;
        }

        ngx_b1c_rest_echo_add(rest, command->method,
                              ngx_strlen(command->method), &query, NULL);
        b1c_form_free(&query);
    }
}


/* on failure nothing is marked: an echo is a nuisance and not a loss */
static void
ngx_b1c_rest_echo_add(ngx_b1c_rest_t *rest, char *method, size_t len,
    b1c_form_t *form, cJSON *json)
{
    ngx_str_t        *portal;
    ngx_pool_t       *pool;
    b1c_event_t       ev;
    b1c_error_t       err;
    ngx_b1c_event_t  *event;

    if (ngx_b1c_rest_echo_reads(method, len)) {
        return;
    }

    pool = rest->request->pool;
    portal = &rest->portal->name;

    if (rest->writes == NULL) {
        rest->writes = ngx_array_create(pool, 1, sizeof(ngx_b1c_event_t));
        if (rest->writes == NULL) {
            return;
        }
    }

    if (b1c_call_build(&ev, method, len, (char *) portal->data,
                       portal->len, NULL, form, json, &err)
        != B1C_OK)
    {
        return;
    }

    event = ev.id ? ngx_array_push(rest->writes) : NULL;

    if (event) {
        ngx_memzero(event, sizeof(ngx_b1c_event_t));

        event->domain = *portal;

        if (ngx_b1c_rest_echo_word(pool, &event->type, ev.type)
            == NGX_OK
            && ngx_b1c_rest_echo_word(pool, &event->id, ev.id)
               == NGX_OK)
        {
            ngx_b1c_echo_mark(event);
        }
    }

    b1c_event_free(&ev);
}


ngx_uint_t
ngx_b1c_rest_echo_reads(const char *method, size_t len)
{
    size_t      n;
    ngx_uint_t  i;

    static const char *const  verbs[] = {
        "get", "list", "fields", "count", "search"
    };

    /* the last word is the verb */

    for (n = len; n && method[n - 1] != '.'; n--) { /* void */ }

    for (i = 0; n && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (len - n >= ngx_strlen(verbs[i])
            && ngx_strncasecmp((u_char *) method + n, (u_char *) verbs[i],
                               ngx_strlen(verbs[i]))
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_b1c_rest_echo_word(ngx_pool_t *pool, ngx_str_t *word, const char *text)
{
    word->len = ngx_strlen(text);
    word->data = ngx_pnalloc(pool, word->len);

    if (word->data == NULL) {
        word->len = 0;
        return NGX_ERROR;
    }

    ngx_memcpy(word->data, text, word->len);

    return NGX_OK;
}


void
ngx_b1c_rest_echo_end(ngx_b1c_rest_t *rest, ngx_uint_t good)
{
    ngx_uint_t        i;
    ngx_b1c_event_t  *event;

    if (rest->writes == NULL) {
        return;
    }

    event = rest->writes->elts;

    for (i = 0; i < rest->writes->nelts; i++) {
        if (good) {
            ngx_b1c_echo_mark(&event[i]);

        } else {
            ngx_b1c_echo_forget(&event[i]);
        }
    }
}


/*
 * A lost event does harm and an echo does not: whatever is not known to be
 * written is unmarked.
 */
void
ngx_b1c_rest_echo_failed(ngx_b1c_rest_t *rest)
{
    size_t            i;
    ngx_str_t         type, id;
    b1c_form_t        query;
    b1c_event_t       ev;
    b1c_error_t       err;
    b1c_reply_t       reply;
    b1c_command_t    *command;
    ngx_b1c_event_t   event;

    if (rest->writes == NULL || rest->batch == NULL) {
        return;
    }

    if (rest->cut) {
        ngx_b1c_rest_echo_end(rest, 0);
        return;
    }

    for (i = 0; i < rest->batch->n; i++) {
        command = &rest->batch->commands[i];

        b1c_batch_reply(&reply, (char *) rest->text, rest->len, command->name);

        if (reply.answer.kind == B1C_ANSWER_OK
            || b1c_form_parse(&query, command->query,
                              ngx_strlen(command->query),
                              &ngx_b1c_echo_limits, NULL, &err)
               != B1C_OK)
        {
            continue;
        }

        if (b1c_call_build(&ev, command->method, ngx_strlen(command->method),
                           (char *) rest->portal->name.data,
                           rest->portal->name.len, &query, NULL, NULL, &err)
            == B1C_OK)
        {
            if (ev.id) {
                type.data = (u_char *) ev.type;
                type.len = ngx_strlen(ev.type);
                id.data = (u_char *) ev.id;
                id.len = ngx_strlen(ev.id);

                ngx_memzero(&event, sizeof(ngx_b1c_event_t));

                event.domain = rest->portal->name;
                event.type = type;
                event.id = id;

                ngx_b1c_echo_forget(&event);
            }

            b1c_event_free(&ev);
        }

        b1c_form_free(&query);
    }
}

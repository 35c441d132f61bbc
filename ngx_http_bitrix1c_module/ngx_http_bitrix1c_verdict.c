
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_verdict.h"


#define NGX_HTTP_BITRIX1C_REASON   500

/* an HTTP error of 1C's own author, caught and returned with a 200 */
#define NGX_HTTP_BITRIX1C_CAUGHT   "{HTTP\xd0\xa1\xd0\xb5\xd1\x80\xd0\xb2"  \
                                   "\xd0\xb8\xd1\x81."


static void ngx_http_bitrix1c_verdict_dead(ngx_http_bitrix1c_job_t *job,
    const char *what, ngx_str_t *answer);
static void ngx_http_bitrix1c_verdict_retry(ngx_http_bitrix1c_job_t *job,
    const char *what, ngx_str_t *answer);
static void ngx_http_bitrix1c_verdict_reason(ngx_http_bitrix1c_job_t *job,
    const char *what, ngx_str_t *answer);
static ngx_msec_t ngx_http_bitrix1c_verdict_delay(
    ngx_http_bitrix1c_job_t *job);
static const char *ngx_http_bitrix1c_verdict_hint(ngx_uint_t status);


void
ngx_http_bitrix1c_verdict(ngx_http_bitrix1c_job_t *job)
{
    ngx_str_t                      answer;
    ngx_uint_t                     i, *code;
    ngx_http_bitrix1c_outcome_t   *o;
    ngx_http_bitrix1c_loc_conf_t  *lcf;

    o = &job->outcome;

    answer.data = o->answer;
    answer.len = o->len;

    /* 1C puts a BOM before any text unless its author forbids it */

    if (answer.len >= 3 && ngx_memcmp(answer.data, "\xef\xbb\xbf", 3) == 0) {
        answer.data += 3;
        answer.len -= 3;
    }

    if (job->route == NULL) {
        ngx_http_bitrix1c_verdict_retry(job, "the configuration has no "
            "location with bitrix1c_webhook in the event's server any more",
            NULL);
        return;
    }

    if (o->ours) {
        ngx_http_bitrix1c_verdict_retry(job,
            o->status ? "nginx itself answered, proxy_pass was not reached"
                      : "nginx could not start the delivery", NULL);
        return;
    }

    if (o->status == 0) {
        ngx_http_bitrix1c_verdict_retry(job, "1C gave no answer", NULL);
        return;
    }

    if (o->status >= 200 && o->status < 300) {

        if (o->truncated) {
            ngx_http_bitrix1c_verdict_retry(job, "1C's answer was cut off",
                                            NULL);
            return;
        }

        if (answer.len >= sizeof(NGX_HTTP_BITRIX1C_CAUGHT) - 1
            && ngx_memcmp(answer.data, NGX_HTTP_BITRIX1C_CAUGHT,
                          sizeof(NGX_HTTP_BITRIX1C_CAUGHT) - 1)
               == 0)
        {
            ngx_http_bitrix1c_verdict_dead(job,
                                           "1C returned an exception's text",
                                           &answer);
            return;
        }

        job->result = NGX_HTTP_BITRIX1C_DELIVERED;
        return;
    }

    lcf = job->route->clcf->loc_conf[ngx_http_bitrix1c_module.ctx_index];
    code = lcf->permanent->elts;

    for (i = 0; i < lcf->permanent->nelts; i++) {
        if (code[i] == o->status) {
            ngx_http_bitrix1c_verdict_dead(job, "1C refused the event",
                                           &answer);
            return;
        }
    }

    ngx_http_bitrix1c_verdict_retry(job,
                                    ngx_http_bitrix1c_verdict_hint(o->status),
                                    &answer);
}


static const char *
ngx_http_bitrix1c_verdict_hint(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_UNAUTHORIZED:
        return "1C does not know the user, "
               "see proxy_set_header Authorization";

    case NGX_HTTP_FORBIDDEN:
        return "1C is closed or the user lacks the right to the HTTP service";

    case NGX_HTTP_NOT_FOUND:
        return "1C has no such HTTP service, see proxy_pass and the "
               "publication";

    default:
        return "1C failed";
    }
}


static void
ngx_http_bitrix1c_verdict_dead(ngx_http_bitrix1c_job_t *job, const char *what,
    ngx_str_t *answer)
{
    job->result = NGX_HTTP_BITRIX1C_DEAD;
    ngx_http_bitrix1c_verdict_reason(job, what, answer);
}


static void
ngx_http_bitrix1c_verdict_retry(ngx_http_bitrix1c_job_t *job,
    const char *what, ngx_str_t *answer)
{
    if (job->attempts >= job->queue->retry->nelts) {
        ngx_http_bitrix1c_verdict_dead(job, what, answer);
        return;
    }

    job->result = NGX_HTTP_BITRIX1C_RETRY;
    job->delay = ngx_http_bitrix1c_verdict_delay(job);

    ngx_http_bitrix1c_verdict_reason(job, what, answer);
}


/* with a jitter of 20 %, so that an outage does not end in a rush */
static ngx_msec_t
ngx_http_bitrix1c_verdict_delay(ngx_http_bitrix1c_job_t *job)
{
    ngx_msec_t   base, delay, asked;
    ngx_msec_t  *retry;

    retry = job->queue->retry->elts;
    base = retry[job->attempts];

    delay = base - base / 5;

    if (base >= 5) {
        delay += (ngx_msec_t) ngx_random() % (base / 5 * 2 + 1);
    }

    /* Retry-After is honoured within [base, 2 * base] */

    if (job->outcome.seconds) {
        asked = ngx_min((ngx_msec_t) job->outcome.seconds, 86400 * 7) * 1000;
        asked = ngx_max(asked, base);
        delay = ngx_min(asked, 2 * base);
    }

    return delay;
}


/*
 * One line: what happened, the status, and the first words of the answer.
 * 1C's answers may echo customers' data, so no more than that is kept.
 */
static void
ngx_http_bitrix1c_verdict_reason(ngx_http_bitrix1c_job_t *job,
    const char *what, ngx_str_t *answer)
{
    u_char  *p, *last, *src, *end;

    p = ngx_pnalloc(job->pool, NGX_HTTP_BITRIX1C_REASON);
    if (p == NULL) {
        job->reason.data = (u_char *) what;
        job->reason.len = ngx_strlen(what);
        return;
    }

    job->reason.data = p;
    last = p + NGX_HTTP_BITRIX1C_REASON;

    p = ngx_slprintf(p, last, "%s", what);

    if (job->outcome.status) {
        p = ngx_slprintf(p, last, ", status %ui", job->outcome.status);
    }

    if (answer && answer->len) {
        p = ngx_slprintf(p, last, ": ");

        src = answer->data;
        end = src + answer->len;

        while (src < end && p < last) {
            *p++ = (*src < 0x20 || *src == 0x7f) ? ' ' : *src;
            src++;
        }

        /* a character cut in the middle would not be UTF-8 any more */

        while (p > job->reason.data && src < end && (*src & 0xc0) == 0x80) {
            src--;
            p--;
        }
    }

    job->reason.len = p - job->reason.data;
}

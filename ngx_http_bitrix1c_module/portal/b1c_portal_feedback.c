
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_portal.h"
#include "b1c_bitrix.h"


/*
 * s of "operating" from which its reset time is stored; a method is refused at
 * 480 and none runs for more than 60
 */
#define NGX_B1C_OPERATING  60

/* ms for which a method is stopped if its reset time is unknown */
#define NGX_B1C_BASKET   60000


static ngx_msec_t ngx_b1c_portal_feedback_operation(ngx_b1c_portal_t *portal,
    ngx_str_t *method, b1c_answer_t *answer, ngx_log_t *log);


ngx_msec_t
ngx_b1c_portal_feedback_learn(ngx_b1c_portal_t *portal, ngx_str_t *method,
    b1c_answer_t *answer, ngx_log_t *log)
{
    switch (answer->kind) {

    case B1C_ANSWER_QUERY_LIMIT:

        if (ngx_b1c_portal_limited(portal)) {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "bitrix1c_pace of \"%V\": the portal refuses calls "
                          "with QUERY_LIMIT_EXCEEDED: another client calls it "
                          "from this address, or its plan allows less than "
                          "\"rate\" and \"burst\", reduce them",
                          &portal->name);
        }

        ngx_b1c_portal_rate_exhausted(portal);

        return 1000;

    case B1C_ANSWER_OVERLOAD:

        if (ngx_b1c_portal_rate_close(portal, portal->overload)) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "bitrix1c_pace of \"%V\": all calls are stopped for "
                          "%M ms: the portal is blocked with OVERLOAD_LIMIT, "
                          "ask Bitrix24's support to unblock it",
                          &portal->name, portal->overload);
        }

        return portal->overload;

    case B1C_ANSWER_OPERATION:
        return ngx_b1c_portal_feedback_operation(portal, method, answer, log);

    default:

        if (answer->operating >= NGX_B1C_OPERATING && answer->reset_at > 0) {
            ngx_b1c_portal_reset(portal, method, (time_t) answer->reset_at);
        }

        return 0;
    }
}


/* a refusal seldom has the reset time, but the last success had it */
static ngx_msec_t
ngx_b1c_portal_feedback_operation(ngx_b1c_portal_t *portal, ngx_str_t *method,
    b1c_answer_t *answer, ngx_log_t *log)
{
    time_t      reset_at;
    ngx_msec_t  ms;
    ngx_uint_t  known;

    reset_at = answer->reset_at
               ? (time_t) answer->reset_at
               : ngx_b1c_portal_resets(portal, method);

    /* the limit covers ten minutes, so a longer time is invalid */

    known = reset_at > ngx_time() && reset_at <= ngx_time() + 600;

    ms = known ? (ngx_msec_t) (reset_at - ngx_time()) * 1000 : NGX_B1C_BASKET;

    if (ngx_b1c_portal_rate_block(portal, method, ms, !known)) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "bitrix1c_pace of \"%V\": method %V has used up its "
                      "execution time, its calls are stopped for %M ms",
                      &portal->name, method, ms);
    }

    return ms;
}

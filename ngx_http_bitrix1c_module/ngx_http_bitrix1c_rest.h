
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_REST_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_REST_H_INCLUDED_


#include "ngx_http_bitrix1c.h"
#include "ngx_http_bitrix1c_mask.h"
#include "ngx_http_bitrix1c_pace.h"
#include "bitrix_batch.h"


/*
 * An answer that is no success is held back up to this size, since it may have
 * to be repeated or replaced; of a batch as much is looked into as it passes;
 * of others the end, where "time" stands.
 */
#define NGX_HTTP_BITRIX1C_HELD  65536
#define NGX_HTTP_BITRIX1C_TAIL  1024


typedef enum {
    NGX_HTTP_BITRIX1C_REST_BEGIN = 0,    /* nothing of the body has come */
    NGX_HTTP_BITRIX1C_REST_HELD,
    NGX_HTTP_BITRIX1C_REST_DROPPED,      /* it will be replaced */
    NGX_HTTP_BITRIX1C_REST_PASSED        /* to the caller, as it comes */
} ngx_http_bitrix1c_rest_state_e;


typedef enum {
    NGX_HTTP_BITRIX1C_TYPE_NONE = 0,
    NGX_HTTP_BITRIX1C_TYPE_FORM,
    NGX_HTTP_BITRIX1C_TYPE_JSON,
    NGX_HTTP_BITRIX1C_TYPE_OTHER
} ngx_http_bitrix1c_type_e;


/*
 * A call of a portal: the caller's request, parked until its turn has come, and
 * a subrequest for each try, which runs nothing but the location's proxy_pass.
 */
struct ngx_http_bitrix1c_rest_s {
    ngx_http_request_t              *request;
    ngx_http_request_t              *sr;         /* the try that runs */
    ngx_http_bitrix1c_route_t       *conf;
    ngx_http_bitrix1c_portal_t      *portal;
    ngx_str_t                        method;
    ngx_str_t                        args;
    bitrix_batch_t                  *batch;      /* NULL: it is none */
    ngx_str_t                        warning;
    ngx_array_t                     *writes;     /* of ..._event_t */

    ngx_msec_t                       arrived;
    ngx_msec_t                       max_wait;
    ngx_uint_t                       tries;
    ngx_http_bitrix1c_turn_t         turn;
    ngx_event_t                      again;      /* the next try */
    ngx_http_post_subrequest_t       post;

    /* of the try that runs or ended */
    ngx_http_bitrix1c_outcome_t      outcome;
    ngx_int_t                        rc;
    ngx_http_bitrix1c_rest_state_e   state;
    ngx_http_bitrix1c_mask_t         mask;
    u_char                          *text;       /* held, or looked into */
    size_t                           len;
    size_t                           size;
    off_t                            passed;     /* bytes to the caller */
    unsigned                         headed:1;   /* its header has come */
    unsigned                         learned:1;  /* what it says of limits */
    unsigned                         cut:1;      /* text is not all of it */
};


/* handlers of the phases REWRITE and PRECONTENT */
ngx_int_t ngx_http_bitrix1c_rest_entry(ngx_http_request_t *r);
ngx_int_t ngx_http_bitrix1c_rest_handler(ngx_http_request_t *r);


/* between the files of this layer */

/*
 * Begins with the call when its turn has come.  NGX_DONE: it ends by itself,
 * else what the request is to be finalized with.
 */
ngx_int_t ngx_http_bitrix1c_rest_start(ngx_http_bitrix1c_rest_t *rest);

/*
 * What the body is, and that the portal sees the same in it: NGX_DECLINED if
 * its type is told twice.  1C sends no type unless it is told to, and Bitrix
 * would take that for no parameters at all.  An answer that is compressed could
 * not be looked into.
 */
ngx_int_t ngx_http_bitrix1c_rest_type(ngx_http_request_t *r, ngx_str_t *body,
    ngx_http_bitrix1c_type_e *type);

/* the header of a try, the warning and "Retry-After" as that of the caller */
ngx_int_t ngx_http_bitrix1c_rest_send_header(ngx_http_bitrix1c_rest_t *rest,
    ngx_uint_t retry_after);

/* what a success says of the portal, a batch of each command; only once */
void ngx_http_bitrix1c_rest_learn(ngx_http_bitrix1c_rest_t *rest);

/* for the answer, and for the log if nobody has told it yet */
ngx_int_t ngx_http_bitrix1c_rest_warn(ngx_http_bitrix1c_rest_t *rest,
    const char *text);

/*
 * For bitrix1c_echo: what the call writes is marked, the parameters as they
 * were read; and when it has ended, once more or no longer.
 */
void ngx_http_bitrix1c_rest_echo(ngx_http_bitrix1c_rest_t *rest,
    bitrix_form_t *args, bitrix_form_t *form, cJSON *json);
void ngx_http_bitrix1c_rest_echo_end(ngx_http_bitrix1c_rest_t *rest,
    ngx_uint_t good);

/* 1 if the method, by its name, changes nothing; a batch may */
ngx_uint_t ngx_http_bitrix1c_rest_reads(const char *method, size_t len);

ngx_int_t ngx_http_bitrix1c_rest_filter_init(ngx_conf_t *cf);


#endif /* _NGX_HTTP_BITRIX1C_REST_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_MASK_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_MASK_H_INCLUDED_


#include "ngx_http_bitrix1c.h"


/*
 * The key of an inbound webhook is a part of its address, which nginx prints
 * into its error log and portals repeat in what they answer.
 */


/* a body that is looked through buffer by buffer; begins as zeros */
typedef struct {
    ngx_str_t                    key;        /* len 0: there is none */
    size_t                       matched;    /* bytes that end the last one */
} ngx_http_bitrix1c_mask_t;


/* from now on keys are masked in error log lines of this main request */
void ngx_http_bitrix1c_mask_log(ngx_http_request_t *r);

/* takes the key from the address that is asked */
void ngx_http_bitrix1c_mask_init(ngx_http_bitrix1c_mask_t *mask,
    ngx_str_t *uri);

/*
 * Overwrites the key in place.  Of one that is spread over two buffers less
 * than eight bytes may stay, since the first of them has been sent.
 */
void ngx_http_bitrix1c_mask_text(ngx_http_bitrix1c_mask_t *mask, u_char *p,
    size_t len);

/*
 * Headers of an answer whose values contain the key are left out, and those by
 * which Bitrix lets pages of all sites read what is meant for 1C.
 */
void ngx_http_bitrix1c_mask_headers(ngx_http_bitrix1c_mask_t *mask,
    ngx_http_headers_out_t *headers);


#endif /* _NGX_HTTP_BITRIX1C_MASK_H_INCLUDED_ */

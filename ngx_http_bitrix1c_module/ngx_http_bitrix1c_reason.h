
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_REASON_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_REASON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_BITRIX1C_REASON  500


/*
 * Writes one line, of at most size bytes of whole UTF-8 characters: what, the
 * status unless 0, and the part of 1C's answer that a person can use: the
 * innermost "descr" of an exception, or what stands in an error page behind
 * "by reason:", or else the answer's first words.  1C's answers echo customers'
 * data and stack dumps, so no more than that is kept.  Returns its length.
 */
size_t ngx_http_bitrix1c_reason(u_char *buf, size_t size, const char *what,
    ngx_uint_t status, ngx_str_t *answer);


#endif /* _NGX_HTTP_BITRIX1C_REASON_H_INCLUDED_ */

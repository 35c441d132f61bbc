
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_SECRET_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_SECRET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A line without its comment, blanks around it and line break, in memory of
 * the configuration's pool.  NGX_DECLINED: it is wrong, and *what tells what
 * is due.
 */
typedef ngx_int_t (*ngx_http_bitrix1c_secret_line_pt)(ngx_conf_t *cf,
    void *data, ngx_str_t *line, const char **what);


/*
 * Reads a file of secrets line by line, in the master, so that workers need no
 * right to read it, and again on every reload.  At least one line is due.
 * Messages name the file and the line, never what stands there.
 */
char *ngx_http_bitrix1c_secret_lines(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, ngx_http_bitrix1c_secret_line_pt handler, void *data);


#endif /* _NGX_HTTP_BITRIX1C_SECRET_H_INCLUDED_ */

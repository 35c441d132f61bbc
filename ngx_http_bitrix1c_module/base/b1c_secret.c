
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_base.h"


#define NGX_B1C_SECRET_MAX  (1024 * 1024)


static char *ngx_b1c_secret_read(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, ngx_str_t *text);
static void ngx_b1c_secret_trim(ngx_str_t *line);


char *
ngx_b1c_secret_lines(ngx_conf_t *cf, ngx_str_t *directive, ngx_str_t *name,
    ngx_b1c_secret_line_pt handler, void *data)
{
    char        *rv;
    u_char      *p, *last, *end;
    ngx_int_t    rc;
    ngx_str_t    file, text, line;
    ngx_uint_t   n, lines;
    const char  *what;

    file = *name;

    if (ngx_conf_full_name(cf->cycle, &file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_b1c_secret_read(cf, directive, &file, &text);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    p = text.data;
    last = p + text.len;
    lines = 0;

    for (n = 1; p < last; n++) {
        end = ngx_strlchr(p, last, LF);
        end = end ? end : last;

        line.data = p;
        line.len = end - p;
        p = end + 1;

        ngx_b1c_secret_trim(&line);

        if (line.len == 0) {
            continue;
        }

        lines++;
        what = "out of memory";

        rc = handler(cf, data, &line, &what);

        if (rc != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid line in %V:%ui of \"%V\": %s",
                               &file, n, directive, what);
            return NGX_CONF_ERROR;
        }
    }

    if (lines == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no line with a value in \"%V\" of \"%V\"",
                           &file, directive);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_b1c_secret_read(ngx_conf_t *cf, ngx_str_t *directive, ngx_str_t *name,
    ngx_str_t *text)
{
    off_t            size;
    ssize_t          n;
    ngx_file_t       file;
    ngx_file_info_t  fi;

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *name;
    file.log = cf->log;
    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                            NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" of \"%V\" failed", name,
                           directive);
        return NGX_CONF_ERROR;
    }

    text->data = NULL;
    n = -1;

    if (ngx_fd_info(file.fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", name);
        goto done;
    }

    if (!ngx_is_file(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"%V\" is not a regular file", name,
                           directive);
        goto done;
    }

    size = ngx_file_size(&fi);

    if (size > NGX_B1C_SECRET_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"%V\" is larger than 1 MB", name,
                           directive);
        goto done;
    }

    if (ngx_file_access(&fi) & S_IROTH) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" of \"%V\" can be read by every user: run "
                           "\"chmod o-r\" on it", name, directive);
    }

    text->data = ngx_pnalloc(cf->pool, (size_t) size + 1);
    if (text->data == NULL) {
        goto done;
    }

    n = ngx_read_file(&file, text->data, (size_t) size, 0);

done:

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    if (n < 0) {
        return NGX_CONF_ERROR;
    }

    text->len = n;

    return NGX_CONF_OK;
}


static void
ngx_b1c_secret_trim(ngx_str_t *line)
{
    if (line->len && line->data[0] == '#') {
        line->len = 0;
    }

    while (line->len && line->data[line->len - 1] <= ' ') {
        line->len--;
    }

    while (line->len && line->data[0] <= ' ') {
        line->data++;
        line->len--;
    }

    if (line->len && line->data[0] == '#') {
        line->len = 0;
    }
}

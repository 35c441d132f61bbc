
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_webhook.h"


/*
 * A delivery has neither the arguments nor the host of the sender's request.
 * In "proxy_pass" such a variable would lead to another address, whose 200
 * would count.  nginx does not tell which variables a directive uses, so the
 * text of the location is read: its "set" and "proxy_pass".
 */


/* a larger file is not read */
#define NGX_B1C_WEBHOOK_EMPTY_SIZE  (1024 * 1024)


typedef struct {
    u_char                      *pos;
    u_char                      *last;
    ngx_uint_t                   line;
    ngx_str_t                    words[3];   /* of the statement */
    ngx_uint_t                   n;
    ngx_array_t                 *names;      /* ngx_str_t, always empty */
} ngx_b1c_webhook_empty_t;


static ngx_int_t ngx_b1c_webhook_empty_read(ngx_conf_t *cf, ngx_str_t *file,
    ngx_b1c_webhook_empty_t *e);
static ngx_int_t ngx_b1c_webhook_empty_captures(ngx_conf_t *cf,
    ngx_http_core_srv_conf_t *cscf, ngx_array_t *names);
static u_char *ngx_b1c_webhook_empty_block(ngx_b1c_webhook_empty_t *e,
    ngx_uint_t line);
static ngx_str_t *ngx_b1c_webhook_empty_find(ngx_b1c_webhook_empty_t *e,
    u_char *start, const char *directive);
static u_char ngx_b1c_webhook_empty_next(ngx_b1c_webhook_empty_t *e);
static void ngx_b1c_webhook_empty_word(ngx_b1c_webhook_empty_t *e);
static ngx_uint_t ngx_b1c_webhook_empty_uses(ngx_b1c_webhook_empty_t *e,
    ngx_str_t *text);


ngx_int_t
ngx_b1c_webhook_empty_check(ngx_conf_t *cf, ngx_b1c_route_t *route)
{
    u_char                   *block;
    ngx_str_t                *value;
    ngx_b1c_webhook_empty_t   e;

    ngx_memzero(&e, sizeof(ngx_b1c_webhook_empty_t));

    e.names = ngx_array_create(cf->temp_pool, 4, sizeof(ngx_str_t));

    if (e.names == NULL
        || ngx_b1c_webhook_empty_captures(cf, route->cscf, e.names) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_b1c_webhook_empty_read(cf, &route->file, &e) != NGX_OK) {
        return NGX_OK;
    }

    block = ngx_b1c_webhook_empty_block(&e, route->line);

    if (block == NULL) {
        return NGX_OK;
    }

    /* a variable that is set from an empty one is empty, in any order */

    while ((value = ngx_b1c_webhook_empty_find(&e, block, "set"))) {

        value = ngx_array_push(e.names);
        if (value == NULL) {
            return NGX_ERROR;
        }

        *value = e.words[1];
        value->data++;
        value->len--;
    }

    value = ngx_b1c_webhook_empty_find(&e, block, "proxy_pass");

    if (value == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"proxy_pass %V\" in the location of \"bitrix1c_webhook\" "
                  "in %V:%ui uses an argument of the request or a capture of "
                  "\"server_name\": they are empty in a delivery; use one "
                  "location for each address of 1C, or a part of the path "
                  "that a regular expression of \"location\" captures",
                  value, &route->file, route->line);

    return NGX_ERROR;
}


static ngx_int_t
ngx_b1c_webhook_empty_read(ngx_conf_t *cf, ngx_str_t *file,
    ngx_b1c_webhook_empty_t *e)
{
    off_t       size;
    ssize_t     n;
    ngx_file_t  f;

    ngx_memzero(&f, sizeof(ngx_file_t));

    f.name = *file;
    f.log = cf->log;
    f.fd = ngx_open_file(file->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (f.fd == NGX_INVALID_FILE) {
        return NGX_DECLINED;
    }

    n = NGX_ERROR;

    if (ngx_fd_info(f.fd, &f.info) != NGX_FILE_ERROR) {
        size = ngx_file_size(&f.info);

        if (size > 0 && size <= NGX_B1C_WEBHOOK_EMPTY_SIZE) {
            e->pos = ngx_palloc(cf->temp_pool, size);

            if (e->pos) {
                n = ngx_read_file(&f, e->pos, size, 0);
            }
        }
    }

    (void) ngx_close_file(f.fd);

    if (n <= 0) {
        return NGX_DECLINED;
    }

    e->last = e->pos + n;
    e->line = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_webhook_empty_captures(ngx_conf_t *cf, ngx_http_core_srv_conf_t *cscf,
    ngx_array_t *names)
{
#if (NGX_PCRE)
    ngx_str_t                  *name;
    ngx_uint_t                  i, k;
    ngx_http_regex_t           *regex;
    ngx_http_variable_t        *v;
    ngx_http_server_name_t     *sn;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    v = cmcf->variables.elts;
    sn = cscf->server_names.elts;

    for (i = 0; i < cscf->server_names.nelts; i++) {
        regex = sn[i].regex;

        for (k = 0; regex && k < regex->nvariables; k++) {
            name = ngx_array_push(names);
            if (name == NULL) {
                return NGX_ERROR;
            }

            *name = v[regex->variables[k].index].name;
        }
    }
#endif

    return NGX_OK;
}


/* where the block begins that has the directive of this line */
static u_char *
ngx_b1c_webhook_empty_block(ngx_b1c_webhook_empty_t *e, ngx_uint_t line)
{
    u_char      c, *blocks[32];
    ngx_uint_t  depth;

    depth = 0;

    while ((c = ngx_b1c_webhook_empty_next(e))) {

        if (c == '{') {
            if (depth == 32) {
                return NULL;
            }

            blocks[depth++] = e->pos;

        } else if (c == '}') {
            if (depth == 0) {
                return NULL;
            }

            depth--;

        } else if (e->line == line && e->n && depth
                   && ngx_strncmp(e->words[0].data, "bitrix1c_webhook",
                                  sizeof("bitrix1c_webhook") - 1)
                      == 0)
        {
            return blocks[depth - 1];
        }
    }

    return NULL;
}


/* the value of such a directive that uses an empty variable not yet known */
static ngx_str_t *
ngx_b1c_webhook_empty_find(ngx_b1c_webhook_empty_t *e, u_char *start,
    const char *directive)
{
    u_char      c;
    ngx_str_t  *value;
    ngx_uint_t  depth, set;

    e->pos = start;
    depth = 1;
    set = ngx_strcmp(directive, "set") == 0;

    while (depth && (c = ngx_b1c_webhook_empty_next(e))) {

        if (c != ';') {
            depth += (c == '{') ? 1 : -1;
            continue;
        }

        if (e->n < (set ? 3 : 2)
            || e->words[0].len != ngx_strlen(directive)
            || ngx_strncmp(e->words[0].data, directive, e->words[0].len) != 0)
        {
            continue;
        }

        value = &e->words[set ? 2 : 1];

        if (ngx_b1c_webhook_empty_uses(e, value)
            && !(set && (e->words[1].len < 2
                         || ngx_b1c_webhook_empty_uses(e, &e->words[1]))))
        {
            return value;
        }
    }

    return NULL;
}


/* reads a statement; returns the character that ends it, 0 at the end */
static u_char
ngx_b1c_webhook_empty_next(ngx_b1c_webhook_empty_t *e)
{
    u_char  c;

    e->n = 0;

    while (e->pos < e->last) {
        c = *e->pos;

        if (c == ';' || c == '{' || c == '}') {
            e->pos++;
            return c;
        }

        if (c == '#') {
            while (e->pos < e->last && *e->pos != '\n') { e->pos++; }
            continue;
        }

        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            e->line += (c == '\n');
            e->pos++;
            continue;
        }

        ngx_b1c_webhook_empty_word(e);
    }

    return 0;
}


static void
ngx_b1c_webhook_empty_word(ngx_b1c_webhook_empty_t *e)
{
    u_char  c, quote, *start;

    quote = (*e->pos == '"' || *e->pos == '\'') ? *e->pos++ : 0;
    start = e->pos;

    for ( /* void */ ; e->pos < e->last; e->pos++) {
        c = *e->pos;

        if (c == '\\' && e->pos + 1 < e->last) {
            e->line += (*++e->pos == '\n');
            continue;
        }

        if (c == '$' && e->pos + 1 < e->last && e->pos[1] == '{') {
            e->pos++;
            continue;
        }

        if (quote ? c == quote
                  : (c == ' ' || c == '\t' || c == '\r' || c == '\n'
                     || c == ';' || c == '{'))
        {
            break;
        }

        e->line += (c == '\n');
    }

    if (e->n < 3) {
        e->words[e->n].data = start;
        e->words[e->n++].len = e->pos - start;
    }

    if (quote && e->pos < e->last) {
        e->pos++;
    }
}


static ngx_uint_t
ngx_b1c_webhook_empty_uses(ngx_b1c_webhook_empty_t *e, ngx_str_t *text)
{
    u_char      *p, *last, *start;
    size_t       len;
    ngx_str_t   *names;
    ngx_uint_t   i;

    names = e->names->elts;
    last = text->data + text->len;

    for (p = text->data; p < last; p++) {
        if (*p != '$') {
            continue;
        }

        start = p + 1;

        if (start < last && *start == '{') {
            start++;
        }

        for (p = start;
             p < last && (((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z')
                          || (*p >= '0' && *p <= '9') || *p == '_');
             p++)
        {
            /* void */
        }

        len = p - start;
        p--;

        if (len > 4 && ngx_strncasecmp(start, (u_char *) "arg_", 4) == 0) {
            return 1;
        }

        for (i = 0; i < e->names->nelts; i++) {
            if (names[i].len == len
                && ngx_strncasecmp(names[i].data, start, len) == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_spool_internal.h"

#include <sys/file.h>


static ngx_uint_t ngx_b1c_spool_file_skipped(ngx_b1c_spool_skip_t *skip,
    uint64_t number);
static uint64_t ngx_b1c_spool_file_parse(ngx_b1c_spool_conf_t *conf,
    char *name);
static ngx_uint_t ngx_b1c_spool_file_known(char *name);


ngx_int_t
ngx_b1c_spool_file_list(ngx_b1c_spool_conf_t *conf, ngx_b1c_spool_skip_t *skip,
    ngx_b1c_spool_list_t *list, ngx_err_t *err)
{
    DIR            *dir;
    uint64_t        number;
    struct stat     st;
    struct dirent  *de;

    ngx_memzero(list, sizeof(ngx_b1c_spool_list_t));

    dir = opendir((char *) conf->path->name.data);

    if (dir == NULL) {
        *err = ngx_errno;
        return (*err == NGX_ENOENT) ? NGX_DECLINED : NGX_ERROR;
    }

    while ((de = readdir(dir)) != NULL) {

        number = ngx_b1c_spool_file_parse(conf, de->d_name);

        if (number == 0) {
            if (!ngx_b1c_spool_file_known(de->d_name)) {
                list->foreign++;
                (void) ngx_cpystrn(list->name, (u_char *) de->d_name,
                                   sizeof(list->name));
            }

            continue;
        }

        list->last = ngx_max(list->last, number);

        if (fstatat(dirfd(dir), de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0
            && S_ISREG(st.st_mode))
        {
            list->bytes += st.st_size;
        }

        if (skip && ngx_b1c_spool_file_skipped(skip, number)) {
            continue;
        }

        if (list->files++ == 0 || number < list->first) {
            list->first = number;
        }
    }

    (void) closedir(dir);

    return NGX_OK;
}


static ngx_uint_t
ngx_b1c_spool_file_skipped(ngx_b1c_spool_skip_t *skip, uint64_t number)
{
    ngx_uint_t  i;

    if (number <= skip->floor) {
        return 1;
    }

    for (i = 0; i < skip->n; i++) {
        if (skip->numbers[i] == number) {
            return 1;
        }
    }

    return 0;
}


/* the number of a file of this queue, else 0 */
static uint64_t
ngx_b1c_spool_file_parse(ngx_b1c_spool_conf_t *conf, char *name)
{
    size_t   n;
    u_char  *p;
    off_t    number;

    p = (u_char *) name;

    if (ngx_strncmp(p, conf->name.data, conf->name.len) != 0
        || p[conf->name.len] != '.')
    {
        return 0;
    }

    p += conf->name.len + 1;

    for (n = 0; p[n] >= '0' && p[n] <= '9'; n++) { /* void */ }

    /* as this module writes it, otherwise two names would be one file */

    if (n == 0 || n > 18 || p[0] == '0' || ngx_strcmp(p + n, ".spool") != 0) {
        return 0;
    }

    number = ngx_atoof(p, n);

    return (number > 0) ? (uint64_t) number : 0;
}


/* files of other queues, locks, and damaged files */
static ngx_uint_t
ngx_b1c_spool_file_known(char *name)
{
    char  *p;

    if (name[0] == '.') {
        return name[1] == '\0' || (name[1] == '.' && name[2] == '\0');
    }

    p = ngx_strchr(name, '.');

    if (p == NULL) {
        return 0;
    }

    if (ngx_strcmp(p, ".lock") == 0) {
        return 1;
    }

    for (p++; *p >= '0' && *p <= '9'; p++) { /* void */ }

    return ngx_strcmp(p, ".spool") == 0
           || ngx_strncmp(p, ".spool.damaged", 14) == 0;
}


u_char *
ngx_b1c_spool_file_path(ngx_b1c_spool_conf_t *conf, uint64_t number,
    ngx_b1c_spool_path_t path)
{
    u_char  *p;

    /* the directive has checked the length */

    p = ngx_sprintf(path, "%V/%V.", &conf->path->name, &conf->name);

    p = number ? ngx_sprintf(p, "%uL.spool", number)
               : ngx_sprintf(p, "lock");
    *p = '\0';

    return p;
}


ngx_int_t
ngx_b1c_spool_file_flock(ngx_fd_t fd, int how)
{
    int  rc;

    do {
        rc = flock(fd, how|LOCK_NB);
    } while (rc == -1 && ngx_errno == NGX_EINTR);

    return (rc == 0) ? NGX_OK : NGX_AGAIN;
}


void
ngx_b1c_spool_file_close(ngx_fd_t *fd)
{
    if (*fd != NGX_INVALID_FILE) {
        (void) close(*fd);
        *fd = NGX_INVALID_FILE;
    }
}

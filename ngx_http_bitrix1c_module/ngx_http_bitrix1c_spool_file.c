
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "ngx_http_bitrix1c_spool_file.h"

#include <sys/file.h>


#define NGX_HTTP_BITRIX1C_SPOOL_TRIES  8


static ngx_int_t ngx_http_bitrix1c_spool_write_open(
    ngx_http_bitrix1c_spool_write_t *w);
static void ngx_http_bitrix1c_spool_write_leave(
    ngx_http_bitrix1c_spool_write_t *w, uint64_t number);
static ngx_int_t ngx_http_bitrix1c_spool_write_header(
    ngx_http_bitrix1c_spool_write_t *w);
static ngx_int_t ngx_http_bitrix1c_spool_write_folder(
    ngx_http_bitrix1c_spool_write_t *w);
static void ngx_http_bitrix1c_spool_write_records(
    ngx_http_bitrix1c_spool_write_t *w);
static void ngx_http_bitrix1c_spool_write_undo(
    ngx_http_bitrix1c_spool_write_t *w, size_t written);
static ngx_int_t ngx_http_bitrix1c_spool_write_failed(
    ngx_http_bitrix1c_spool_write_t *w, const char *failed);
static ngx_uint_t ngx_http_bitrix1c_spool_skipped(
    ngx_http_bitrix1c_spool_skip_t *skip, uint64_t number);
static uint64_t ngx_http_bitrix1c_spool_parse(
    ngx_http_bitrix1c_spool_conf_t *conf, char *name);
static ngx_uint_t ngx_http_bitrix1c_spool_known(char *name);


void
ngx_http_bitrix1c_spool_write_thread(void *data)
{
    ngx_http_bitrix1c_spool_write_t *w = data;

    ngx_uint_t  i;

    w->rc = NGX_DECLINED;

    /* files change under us when another worker begins the next one */

    for (i = 0; i < NGX_HTTP_BITRIX1C_SPOOL_TRIES; i++) {
        w->rc = ngx_http_bitrix1c_spool_write_open(w);

        if (w->rc != NGX_DECLINED) {
            break;
        }
    }

    if (w->rc == NGX_DECLINED) {
        w->rc = NGX_AGAIN;
    }

    if (w->rc == NGX_OK) {
        ngx_http_bitrix1c_spool_write_records(w);
    }

    if (w->rc == NGX_ERROR) {
        ngx_http_bitrix1c_spool_close_fd(&w->fd);

    } else if (w->fd != NGX_INVALID_FILE) {
        (void) flock(w->fd, LOCK_UN);
    }
}


/*
 * NGX_OK: the file to append to is open, has a header and our shared lock;
 * NGX_DECLINED: try again.
 */
static ngx_int_t
ngx_http_bitrix1c_spool_write_open(ngx_http_bitrix1c_spool_write_t *w)
{
    uint64_t                         number;
    ngx_file_info_t                  fi, there;
    ngx_http_bitrix1c_spool_path_t   path;

    number = ngx_http_bitrix1c_spool_number(w->conf->state);

    if (number == 0) {
        return NGX_AGAIN;
    }

    if (w->number != number) {
        ngx_http_bitrix1c_spool_close_fd(&w->fd);
    }

    (void) ngx_http_bitrix1c_spool_path(w->conf, number, path);

    if (w->fd == NGX_INVALID_FILE) {
        w->number = number;

        w->fd = open((char *) path, O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC
                                    |O_NOFOLLOW|O_NONBLOCK, 0600);

        if (w->fd == NGX_INVALID_FILE) {
            return ngx_http_bitrix1c_spool_write_failed(w, "open()");
        }
    }

    if (ngx_http_bitrix1c_spool_flock(w->fd, LOCK_SH) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (ngx_fd_info(w->fd, &fi) == NGX_FILE_ERROR) {
        return ngx_http_bitrix1c_spool_write_failed(w, "fstat()");
    }

    if (ngx_file_info(path, &there) == NGX_FILE_ERROR
        || ngx_file_uniq(&there) != ngx_file_uniq(&fi))
    {
        /* drained, removed or moved away: nobody would look for it there */

        ngx_http_bitrix1c_spool_rotate(w->conf->state, number);
        ngx_http_bitrix1c_spool_close_fd(&w->fd);

        return NGX_DECLINED;
    }

    if (ngx_http_bitrix1c_spool_number(w->conf->state) != number) {
        ngx_http_bitrix1c_spool_write_leave(w, number);
        return NGX_DECLINED;
    }

    if (fi.st_size < BITRIX_SPOOL_HEADER) {
        return ngx_http_bitrix1c_spool_write_header(w);
    }

    w->size = fi.st_size;

    return NGX_OK;
}


/* it is none to append to any more; nobody may look for what was only made */
static void
ngx_http_bitrix1c_spool_write_leave(ngx_http_bitrix1c_spool_write_t *w,
    uint64_t number)
{
    ngx_file_info_t                 fi;
    ngx_http_bitrix1c_spool_path_t  path;

    if (ngx_http_bitrix1c_spool_flock(w->fd, LOCK_EX) == NGX_OK
        && ngx_fd_info(w->fd, &fi) != NGX_FILE_ERROR
        && fi.st_size == 0
        && fi.st_nlink)
    {
        (void) ngx_http_bitrix1c_spool_path(w->conf, number, path);
        (void) unlink((char *) path);
    }

    ngx_http_bitrix1c_spool_close_fd(&w->fd);
}


/* of several who find an empty file only one may write its header */
static ngx_int_t
ngx_http_bitrix1c_spool_write_header(ngx_http_bitrix1c_spool_write_t *w)
{
    ssize_t          n;
    u_char           header[BITRIX_SPOOL_HEADER];
    ngx_file_info_t  fi;

    if (ngx_http_bitrix1c_spool_flock(w->fd, LOCK_EX) != NGX_OK) {
        (void) flock(w->fd, LOCK_UN);
        return NGX_AGAIN;
    }

    if (ngx_fd_info(w->fd, &fi) == NGX_FILE_ERROR) {
        return ngx_http_bitrix1c_spool_write_failed(w, "fstat()");
    }

    if (fi.st_size < BITRIX_SPOOL_HEADER && fi.st_nlink) {

        if (fi.st_size && ftruncate(w->fd, 0) == -1) {
            return ngx_http_bitrix1c_spool_write_failed(w, "ftruncate()");
        }

        bitrix_spool_header(header);

        n = write(w->fd, header, BITRIX_SPOOL_HEADER);

        if (n != BITRIX_SPOOL_HEADER) {
            return ngx_http_bitrix1c_spool_write_failed(w, "write()");
        }

        if (fsync(w->fd) == -1) {
            return ngx_http_bitrix1c_spool_write_failed(w, "fsync()");
        }

        if (ngx_http_bitrix1c_spool_write_folder(w) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    (void) flock(w->fd, LOCK_UN);

    return NGX_DECLINED;
}


/* or a power cut could leave the file without its name */
static ngx_int_t
ngx_http_bitrix1c_spool_write_folder(ngx_http_bitrix1c_spool_write_t *w)
{
    ngx_int_t  rc;
    ngx_fd_t   fd;

    fd = open((char *) w->conf->path->name.data,
              O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {
        return ngx_http_bitrix1c_spool_write_failed(w, "open()");
    }

    rc = NGX_OK;

    if (fsync(fd) == -1) {
        rc = ngx_http_bitrix1c_spool_write_failed(w, "fsync()");
    }

    ngx_http_bitrix1c_spool_close_fd(&fd);

    return rc;
}


static void
ngx_http_bitrix1c_spool_write_records(ngx_http_bitrix1c_spool_write_t *w)
{
    size_t   done;
    ssize_t  n;

    if (ngx_http_bitrix1c_spool_reserve(w->conf->state, w->len, w->conf->max)
        != NGX_OK)
    {
        w->rc = NGX_DECLINED;
        return;
    }

    for (done = 0; done < w->len; done += n) {
        n = write(w->fd, w->start + done, w->len - done);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            n = 0;
            continue;
        }

        if (n <= 0) {
            w->rc = ngx_http_bitrix1c_spool_write_failed(w, "write()");
            ngx_http_bitrix1c_spool_write_undo(w, done);
            return;
        }
    }

    if (fdatasync(w->fd) == -1) {
        w->rc = ngx_http_bitrix1c_spool_write_failed(w, "fdatasync()");

        /* what this file has in store nobody knows any more */

        ngx_http_bitrix1c_spool_rotate(w->conf->state, w->number);
        return;
    }

    if (w->size + (off_t) w->len >= NGX_HTTP_BITRIX1C_SPOOL_SEGMENT) {
        ngx_http_bitrix1c_spool_rotate(w->conf->state, w->number);
    }
}


/*
 * A disk that is full must not fill up with parts of records.  If somebody else
 * has written behind ours they stay, and the reader passes over them.
 */
static void
ngx_http_bitrix1c_spool_write_undo(ngx_http_bitrix1c_spool_write_t *w,
    size_t written)
{
    off_t            end;
    ngx_file_info_t  fi;

    end = lseek(w->fd, 0, SEEK_CUR);

    if (written
        && end != -1
        && ngx_http_bitrix1c_spool_flock(w->fd, LOCK_EX) == NGX_OK
        && ngx_fd_info(w->fd, &fi) != NGX_FILE_ERROR
        && fi.st_size == end
        && ftruncate(w->fd, end - written) == 0)
    {
        written = 0;
    }

    ngx_http_bitrix1c_spool_release(w->conf->state, w->len - written);
}


static ngx_int_t
ngx_http_bitrix1c_spool_write_failed(ngx_http_bitrix1c_spool_write_t *w,
    const char *failed)
{
    w->err = ngx_errno;
    w->failed = failed;

    return NGX_ERROR;
}


ngx_int_t
ngx_http_bitrix1c_spool_list(ngx_http_bitrix1c_spool_conf_t *conf,
    ngx_http_bitrix1c_spool_skip_t *skip,
    ngx_http_bitrix1c_spool_list_t *list, ngx_err_t *err)
{
    DIR            *dir;
    uint64_t        number;
    struct stat     st;
    struct dirent  *de;

    ngx_memzero(list, sizeof(ngx_http_bitrix1c_spool_list_t));

    dir = opendir((char *) conf->path->name.data);

    if (dir == NULL) {
        *err = ngx_errno;
        return (*err == NGX_ENOENT) ? NGX_DECLINED : NGX_ERROR;
    }

    while ((de = readdir(dir)) != NULL) {

        number = ngx_http_bitrix1c_spool_parse(conf, de->d_name);

        if (number == 0) {
            if (!ngx_http_bitrix1c_spool_known(de->d_name)) {
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

        if (skip && ngx_http_bitrix1c_spool_skipped(skip, number)) {
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
ngx_http_bitrix1c_spool_skipped(ngx_http_bitrix1c_spool_skip_t *skip,
    uint64_t number)
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
ngx_http_bitrix1c_spool_parse(ngx_http_bitrix1c_spool_conf_t *conf,
    char *name)
{
    size_t    n;
    u_char   *p;
    off_t     number;

    p = (u_char *) name;

    if (ngx_strncmp(p, conf->name.data, conf->name.len) != 0
        || p[conf->name.len] != '.')
    {
        return 0;
    }

    p += conf->name.len + 1;

    for (n = 0; p[n] >= '0' && p[n] <= '9'; n++) { /* void */ }

    /* as we write it, or two names would be one file */

    if (n == 0 || n > 18 || p[0] == '0' || ngx_strcmp(p + n, ".spool") != 0) {
        return 0;
    }

    number = ngx_atoof(p, n);

    return (number > 0) ? (uint64_t) number : 0;
}


/* files of other queues, locks, and what was kept for its damage */
static ngx_uint_t
ngx_http_bitrix1c_spool_known(char *name)
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
ngx_http_bitrix1c_spool_path(ngx_http_bitrix1c_spool_conf_t *conf,
    uint64_t number, ngx_http_bitrix1c_spool_path_t path)
{
    u_char  *p;

    /* the directive has seen to it that there is room */

    p = ngx_sprintf(path, "%V/%V.", &conf->path->name, &conf->name);

    p = number ? ngx_sprintf(p, "%uL.spool", number)
               : ngx_sprintf(p, "lock");
    *p = '\0';

    return p;
}


ngx_int_t
ngx_http_bitrix1c_spool_flock(ngx_fd_t fd, int how)
{
    int  rc;

    do {
        rc = flock(fd, how|LOCK_NB);
    } while (rc == -1 && ngx_errno == NGX_EINTR);

    return (rc == 0) ? NGX_OK : NGX_AGAIN;
}


void
ngx_http_bitrix1c_spool_close_fd(ngx_fd_t *fd)
{
    if (*fd != NGX_INVALID_FILE) {
        (void) close(*fd);
        *fd = NGX_INVALID_FILE;
    }
}

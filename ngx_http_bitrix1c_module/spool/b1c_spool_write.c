
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_spool_internal.h"
#include "b1c_core.h"

#include <sys/file.h>


#define NGX_B1C_SPOOL_TRIES  8


static ngx_int_t ngx_b1c_spool_write_open(ngx_b1c_spool_write_t *w);
static void ngx_b1c_spool_write_leave(ngx_b1c_spool_write_t *w,
    uint64_t number);
static ngx_int_t ngx_b1c_spool_write_header(ngx_b1c_spool_write_t *w);
static ngx_int_t ngx_b1c_spool_write_folder(ngx_b1c_spool_write_t *w);
static void ngx_b1c_spool_write_records(ngx_b1c_spool_write_t *w);
static void ngx_b1c_spool_write_undo(ngx_b1c_spool_write_t *w, size_t written);
static ngx_int_t ngx_b1c_spool_write_failed(ngx_b1c_spool_write_t *w,
    const char *failed);


void
ngx_b1c_spool_write_thread(void *data)
{
    ngx_b1c_spool_write_t *w = data;

    ngx_uint_t  i;

    w->rc = NGX_DECLINED;

    /* another worker may begin the next file meanwhile */

    for (i = 0; i < NGX_B1C_SPOOL_TRIES; i++) {
        w->rc = ngx_b1c_spool_write_open(w);

        if (w->rc != NGX_DECLINED) {
            break;
        }
    }

    if (w->rc == NGX_DECLINED) {
        w->rc = NGX_AGAIN;
    }

    if (w->rc == NGX_OK) {
        ngx_b1c_spool_write_records(w);
    }

    if (w->rc == NGX_ERROR) {
        ngx_b1c_spool_file_close(&w->fd);

    } else if (w->fd != NGX_INVALID_FILE) {
        (void) flock(w->fd, LOCK_UN);
    }
}


/*
 * NGX_OK: the current file is open, has a header and our shared lock;
 * NGX_DECLINED: try again.
 */
static ngx_int_t
ngx_b1c_spool_write_open(ngx_b1c_spool_write_t *w)
{
    uint64_t              number;
    ngx_file_info_t       fi, there;
    ngx_b1c_spool_path_t  path;

    number = ngx_b1c_spool_shm_number(w->conf->state);

    if (number == 0) {
        return NGX_AGAIN;
    }

    if (w->number != number) {
        ngx_b1c_spool_file_close(&w->fd);
    }

    (void) ngx_b1c_spool_file_path(w->conf, number, path);

    if (w->fd == NGX_INVALID_FILE) {
        w->number = number;

        w->fd = open((char *) path, O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC
                                    |O_NOFOLLOW|O_NONBLOCK, 0600);

        if (w->fd == NGX_INVALID_FILE) {
            return ngx_b1c_spool_write_failed(w, "open()");
        }
    }

    if (ngx_b1c_spool_file_flock(w->fd, LOCK_SH) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (ngx_fd_info(w->fd, &fi) == NGX_FILE_ERROR) {
        return ngx_b1c_spool_write_failed(w, "fstat()");
    }

    if (ngx_file_info(path, &there) == NGX_FILE_ERROR
        || ngx_file_uniq(&there) != ngx_file_uniq(&fi))
    {
        /* drained, removed or moved away: its events would not be drained */

        ngx_b1c_spool_shm_rotate(w->conf->state, number);
        ngx_b1c_spool_file_close(&w->fd);

        return NGX_DECLINED;
    }

    if (ngx_b1c_spool_shm_number(w->conf->state) != number) {
        ngx_b1c_spool_write_leave(w, number);
        return NGX_DECLINED;
    }

    if (fi.st_size < B1C_RECORD_HEADER) {
        return ngx_b1c_spool_write_header(w);
    }

    w->size = fi.st_size;

    return NGX_OK;
}


/* it is not the current file any more, and an empty file may stay unseen */
static void
ngx_b1c_spool_write_leave(ngx_b1c_spool_write_t *w, uint64_t number)
{
    ngx_file_info_t       fi;
    ngx_b1c_spool_path_t  path;

    if (ngx_b1c_spool_file_flock(w->fd, LOCK_EX) == NGX_OK
        && ngx_fd_info(w->fd, &fi) != NGX_FILE_ERROR
        && fi.st_size == 0
        && fi.st_nlink)
    {
        (void) ngx_b1c_spool_file_path(w->conf, number, path);
        (void) unlink((char *) path);
    }

    ngx_b1c_spool_file_close(&w->fd);
}


/* of several workers that find an empty file one writes the header */
static ngx_int_t
ngx_b1c_spool_write_header(ngx_b1c_spool_write_t *w)
{
    ssize_t          n;
    u_char           header[B1C_RECORD_HEADER];
    ngx_file_info_t  fi;

    if (ngx_b1c_spool_file_flock(w->fd, LOCK_EX) != NGX_OK) {
        (void) flock(w->fd, LOCK_UN);
        return NGX_AGAIN;
    }

    if (ngx_fd_info(w->fd, &fi) == NGX_FILE_ERROR) {
        return ngx_b1c_spool_write_failed(w, "fstat()");
    }

    if (fi.st_size < B1C_RECORD_HEADER && fi.st_nlink) {

        if (fi.st_size && ftruncate(w->fd, 0) == -1) {
            return ngx_b1c_spool_write_failed(w, "ftruncate()");
        }

        b1c_record_header(header);

        n = write(w->fd, header, B1C_RECORD_HEADER);

        if (n != B1C_RECORD_HEADER) {
            return ngx_b1c_spool_write_failed(w, "write()");
        }

        if (fsync(w->fd) == -1) {
            return ngx_b1c_spool_write_failed(w, "fsync()");
        }

        if (ngx_b1c_spool_write_folder(w) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    (void) flock(w->fd, LOCK_UN);

    return NGX_DECLINED;
}


/* otherwise a power failure could leave the file without its name */
static ngx_int_t
ngx_b1c_spool_write_folder(ngx_b1c_spool_write_t *w)
{
    ngx_int_t  rc;
    ngx_fd_t   fd;

    fd = open((char *) w->conf->path->name.data,
              O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {
        return ngx_b1c_spool_write_failed(w, "open()");
    }

    rc = NGX_OK;

    if (fsync(fd) == -1) {
        rc = ngx_b1c_spool_write_failed(w, "fsync()");
    }

    ngx_b1c_spool_file_close(&fd);

    return rc;
}


static void
ngx_b1c_spool_write_records(ngx_b1c_spool_write_t *w)
{
    size_t   done;
    ssize_t  n;

    if (ngx_b1c_spool_shm_reserve(w->conf->state, w->len, w->conf->max)
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
            w->rc = ngx_b1c_spool_write_failed(w, "write()");
            ngx_b1c_spool_write_undo(w, done);
            return;
        }
    }

    if (fdatasync(w->fd) == -1) {
        w->rc = ngx_b1c_spool_write_failed(w, "fdatasync()");

        /* the state of this file is unknown now */

        ngx_b1c_spool_shm_rotate(w->conf->state, w->number);
        return;
    }

    if (w->size + (off_t) w->len >= NGX_B1C_SPOOL_SEGMENT) {
        ngx_b1c_spool_shm_rotate(w->conf->state, w->number);
    }
}


/*
 * A full disk must not fill up with partial records.  If another process has
 * written after ours they remain, and the reader skips them.
 */
static void
ngx_b1c_spool_write_undo(ngx_b1c_spool_write_t *w, size_t written)
{
    off_t            end;
    ngx_file_info_t  fi;

    end = lseek(w->fd, 0, SEEK_CUR);

    if (written
        && end != -1
        && ngx_b1c_spool_file_flock(w->fd, LOCK_EX) == NGX_OK
        && ngx_fd_info(w->fd, &fi) != NGX_FILE_ERROR
        && fi.st_size == end
        && ftruncate(w->fd, end - written) == 0)
    {
        written = 0;
    }

    ngx_b1c_spool_shm_release(w->conf->state, w->len - written);
}


static ngx_int_t
ngx_b1c_spool_write_failed(ngx_b1c_spool_write_t *w, const char *failed)
{
    w->err = ngx_errno;
    w->failed = failed;

    return NGX_ERROR;
}

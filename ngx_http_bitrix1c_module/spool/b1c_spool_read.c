
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_spool_internal.h"
#include "b1c_core.h"

#include <sys/file.h>


#define NGX_B1C_SPOOL_DAMAGED  100


static ngx_int_t ngx_b1c_spool_read_begin(ngx_b1c_spool_read_t *r);
static ngx_int_t ngx_b1c_spool_read_step(ngx_b1c_spool_read_t *r);
static ngx_int_t ngx_b1c_spool_read_first(ngx_b1c_spool_read_t *r);
static ngx_int_t ngx_b1c_spool_read_empty(ngx_b1c_spool_read_t *r);
static ngx_int_t ngx_b1c_spool_read_open(ngx_b1c_spool_read_t *r);
static ngx_int_t ngx_b1c_spool_read_header(ngx_b1c_spool_read_t *r);
static ngx_int_t ngx_b1c_spool_read_lock(ngx_b1c_spool_read_t *r);
static ngx_int_t ngx_b1c_spool_read_chunk(ngx_b1c_spool_read_t *r);
static ssize_t ngx_b1c_spool_read_bytes(ngx_b1c_spool_read_t *r, size_t size);
static ngx_int_t ngx_b1c_spool_read_records(ngx_b1c_spool_read_t *r,
    size_t len, ngx_uint_t eof, size_t *need);
static ngx_int_t ngx_b1c_spool_read_done(ngx_b1c_spool_read_t *r);
static ngx_int_t ngx_b1c_spool_read_keep(ngx_b1c_spool_read_t *r);
static ngx_int_t ngx_b1c_spool_read_note(ngx_b1c_spool_read_t *r,
    ngx_b1c_spool_note_e note, ngx_err_t err);
static void ngx_b1c_spool_read_skip(ngx_b1c_spool_read_t *r);
static void ngx_b1c_spool_read_store(ngx_b1c_spool_read_t *r);


void
ngx_b1c_spool_read_thread(void *data)
{
    ngx_b1c_spool_read_t *r = data;

    r->n = 0;
    r->note = NGX_B1C_SPOOL_SILENT;
    r->err = 0;
    r->entered = 0;

    if (!r->begun) {
        r->rc = ngx_b1c_spool_read_begin(r);

        if (r->rc != NGX_OK || r->note) {
            return;
        }
    }

    ngx_b1c_spool_read_store(r);

    do {
        r->rc = ngx_b1c_spool_read_step(r);
    } while (r->rc == NGX_OK && r->n == 0 && r->note == 0);
}


static ngx_int_t
ngx_b1c_spool_read_begin(ngx_b1c_spool_read_t *r)
{
    ngx_b1c_spool_path_t  path;

    (void) ngx_b1c_spool_file_path(r->conf, 0, path);

    r->begun = 1;
    r->lock = open((char *) path, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (r->lock == NGX_INVALID_FILE) {

        /* without a folder there is nothing to lock */

        if (ngx_errno == NGX_ENOENT) {
            return NGX_OK;
        }

        /* two processes that drain do the work twice, but lose nothing */

        return ngx_b1c_spool_read_note(r, NGX_B1C_SPOOL_LOCK, ngx_errno);
    }

    if (ngx_b1c_spool_file_flock(r->lock, LOCK_EX) != NGX_OK) {
        ngx_b1c_spool_file_close(&r->lock);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_spool_read_step(ngx_b1c_spool_read_t *r)
{
    ngx_int_t  rc;

    if (r->fd == NGX_INVALID_FILE) {
        rc = ngx_b1c_spool_read_first(r);

        if (rc != NGX_OK || r->note || r->fd == NGX_INVALID_FILE) {
            return rc;
        }
    }

    rc = ngx_b1c_spool_read_lock(r);

    if (rc != NGX_OK || r->note || r->fd == NGX_INVALID_FILE) {
        return rc;
    }

    return ngx_b1c_spool_read_chunk(r);
}


/* opens the oldest file; NGX_DONE: there is none, and events go to Redis */
static ngx_int_t
ngx_b1c_spool_read_first(ngx_b1c_spool_read_t *r)
{
    ngx_err_t             err;
    ngx_b1c_spool_list_t  list;

    if (ngx_b1c_spool_file_list(r->conf, &r->skip, &list, &err) == NGX_ERROR) {
        /* nothing can be expected from a folder that cannot be read */

        ngx_memzero(&list, sizeof(ngx_b1c_spool_list_t));

        if (!ngx_b1c_spool_shm_told(r->conf->state, 0)) {
            (void) ngx_b1c_spool_read_note(r, NGX_B1C_SPOOL_FOLDER, err);
        }
    }

    if (list.files == 0) {
        return ngx_b1c_spool_read_empty(r);
    }

    ngx_b1c_spool_shm_used(r->conf->state, list.bytes);

    r->number = list.first;

    return ngx_b1c_spool_read_open(r);
}


/*
 * A write that had begun before the mode was CLOSING is in a file by now.  So
 * files are looked for once more, and then nothing can be added.
 */
static ngx_int_t
ngx_b1c_spool_read_empty(ngx_b1c_spool_read_t *r)
{
    ngx_b1c_spool_mode_e  mode;

    mode = ngx_b1c_spool_shm_mode(r->conf->state);

    if (mode == NGX_B1C_SPOOL_DIRECT
        || (r->serial
            && ngx_b1c_spool_shm_leave(r->conf->state, r->serial)))
    {
        r->serial = 0;
        return NGX_DONE;
    }

    r->serial = ngx_b1c_spool_shm_close(r->conf->state);

    return r->serial ? NGX_OK : NGX_AGAIN;
}


static ngx_int_t
ngx_b1c_spool_read_open(ngx_b1c_spool_read_t *r)
{
    uint64_t              acked;
    ngx_file_info_t       fi;
    ngx_b1c_spool_path_t  path;

    (void) ngx_b1c_spool_file_path(r->conf, r->number, path);

    r->exclusive = 0;
    r->damaged = 0;
    r->marked = 0;

    r->fd = open((char *) path, O_RDWR|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);

    if (r->fd == NGX_INVALID_FILE) {

        /* it has disappeared since it was listed */

        if (ngx_errno == NGX_ENOENT) {
            return NGX_OK;
        }

        return ngx_b1c_spool_read_note(r, NGX_B1C_SPOOL_UNREADABLE, ngx_errno);
    }

    if (ngx_fd_info(r->fd, &fi) == NGX_FILE_ERROR || !S_ISREG(fi.st_mode)) {
        return ngx_b1c_spool_read_note(r, NGX_B1C_SPOOL_ALIEN, 0);
    }

    if (ngx_b1c_spool_read_header(r) != NGX_OK) {
        return NGX_OK;
    }

    r->ino = fi.st_ino;
    r->size = fi.st_size;

    acked = ngx_b1c_spool_shm_progress(r->conf->state, r->number, r->ino);
    r->acked = ngx_max(r->stored, acked);

    if (r->acked < B1C_RECORD_HEADER || r->acked > (uint64_t) r->size) {
        r->acked = B1C_RECORD_HEADER;
    }

    ngx_memzero(&r->at, sizeof(b1c_record_reader_t));
    r->at.offset = r->acked;

    /* of another nginx, or put back by hand: it precedes new files */

    if (ngx_b1c_spool_shm_enter(r->conf->state)) {
        r->entered = 1;
    }

    return NGX_OK;
}


/* NGX_DECLINED: there is a note */
static ngx_int_t
ngx_b1c_spool_read_header(ngx_b1c_spool_read_t *r)
{
    ssize_t  n;
    u_char   header[B1C_RECORD_HEADER];

    n = pread(r->fd, header, B1C_RECORD_HEADER, 0);

    if (n == -1) {
        (void) ngx_b1c_spool_read_note(r, NGX_B1C_SPOOL_UNREADABLE, ngx_errno);
        return NGX_DECLINED;
    }

    r->stored = B1C_RECORD_HEADER;

    switch (b1c_record_file(header, n, &r->stored)) {

    case B1C_RECORD_FOREIGN:
        (void) ngx_b1c_spool_read_note(r, NGX_B1C_SPOOL_ALIEN, 0);
        return NGX_DECLINED;

    case B1C_RECORD_OTHER:
        (void) ngx_b1c_spool_read_note(r, NGX_B1C_SPOOL_VERSION, 0);
        return NGX_DECLINED;

    case B1C_RECORD_GOOD:
        r->damaged = (header[B1C_RECORD_MARK] != 0);
        r->marked = r->damaged;
        return NGX_OK;

    default: /* B1C_RECORD_SHORT */
        return NGX_OK;
    }
}


/*
 * No more may be appended before the end of the file is final.  Until Redis
 * has shown that it stores again, writers are not disturbed: the file is only
 * read, and its events are tried.
 */
static ngx_int_t
ngx_b1c_spool_read_lock(ngx_b1c_spool_read_t *r)
{
    ngx_file_info_t  fi;

    if (r->exclusive) {
        return NGX_OK;
    }

    if (ngx_b1c_spool_shm_number(r->conf->state) == r->number) {

        if (!r->proven) {
            return NGX_OK;
        }

        if ((uint64_t) r->size > r->at.offset + NGX_B1C_SPOOL_CHUNK)
        {
            ngx_b1c_spool_shm_rotate(r->conf->state, r->number);

        } else {
            r->serial = ngx_b1c_spool_shm_close(r->conf->state);

            if (r->serial == 0) {
                return NGX_AGAIN;
            }
        }
    }

    if (ngx_b1c_spool_file_flock(r->fd, LOCK_EX) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (ngx_fd_info(r->fd, &fi) == NGX_FILE_ERROR || fi.st_nlink == 0) {

        /* the file was removed */

        ngx_b1c_spool_file_close(&r->fd);
        return NGX_OK;
    }

    r->exclusive = 1;
    r->size = fi.st_size;

    return NGX_OK;
}


static ngx_int_t
ngx_b1c_spool_read_chunk(ngx_b1c_spool_read_t *r)
{
    size_t           size, need;
    ssize_t          n;
    ngx_int_t        rc;
    ngx_uint_t       eof;
    ngx_file_info_t  fi;

    if (!r->exclusive) {

        if (ngx_fd_info(r->fd, &fi) == NGX_FILE_ERROR) {
            return ngx_b1c_spool_read_note(r, NGX_B1C_SPOOL_UNREADABLE,
                                           ngx_errno);
        }

        r->size = fi.st_size;
    }

    if (r->exclusive && r->at.offset >= (uint64_t) r->size && !r->at.lost) {
        return ngx_b1c_spool_read_done(r);
    }

    size = NGX_B1C_SPOOL_CHUNK;

    for ( ;; ) {
        n = ngx_b1c_spool_read_bytes(r, size);

        if (n == -1) {
            return ngx_b1c_spool_read_note(r, NGX_B1C_SPOOL_UNREADABLE,
                                           ngx_errno);
        }

        eof = r->exclusive
              && ((size_t) n < size
                  || r->at.offset + n >= (uint64_t) r->size);
        need = 0;

        rc = ngx_b1c_spool_read_records(r, n, eof, &need);

        if (rc != NGX_AGAIN || r->n || (size_t) n < size) {
            break;
        }

        /* the first record is larger than the bytes read */

        size = ngx_max(need, NGX_B1C_SPOOL_CHUNK);
    }

    if (!r->exclusive && r->n == 0) {

        /* there is no event to try, so Redis must be tested otherwise */

        r->proven = 1;
    }

    return NGX_OK;
}


/* reads up to size bytes from the reader's offset */
static ssize_t
ngx_b1c_spool_read_bytes(ngx_b1c_spool_read_t *r, size_t size)
{
    size_t   len;
    u_char  *buf;
    ssize_t  n;

    if (r->allocated < size) {
        buf = malloc(size);
        if (buf == NULL) {
            return -1;
        }

        free(r->buf);
        r->buf = buf;
        r->allocated = size;
    }

    for (len = 0; len < size; len += n) {
        n = pread(r->fd, r->buf + len, size - len, r->at.offset + len);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            n = 0;
            continue;
        }

        if (n == -1) {
            return -1;
        }

        if (n == 0) {
            break;
        }
    }

    return len;
}


/* NGX_AGAIN: *need bytes are needed */
static ngx_int_t
ngx_b1c_spool_read_records(ngx_b1c_spool_read_t *r, size_t len, ngx_uint_t eof,
    size_t *need)
{
    size_t                   done;
    uint64_t                 base;
    b1c_record_found_t       found;
    b1c_record_found_e       what;
    b1c_record_reader_t      before;
    ngx_b1c_spool_record_t  *record;

    base = r->at.offset;

    while (r->n < NGX_B1C_SPOOL_RECORDS) {

        done = r->at.offset - base;
        before = r->at;

        what = b1c_record_next(&r->at, r->buf + done, len - done, (int) eof,
                               &found);

        switch (what) {

        case B1C_RECORD_RECORD:
            record = &r->records[r->n++];
            record->payload = found.payload;
            record->len = found.len;
            record->end = r->at.offset;
            continue;

        case B1C_RECORD_MORE:

            if (!r->exclusive) {

                /* perhaps because it is being written */

                r->at = before;
                return NGX_OK;
            }

            *need = found.need;
            return NGX_AGAIN;

        case B1C_RECORD_END:
            return NGX_OK;

        default: /* B1C_RECORD_DAMAGE, B1C_RECORD_TORN */

            if (!r->exclusive) {
                r->at = before;
                return NGX_OK;
            }

            r->from = found.from;
            r->to = found.to;
            r->note = NGX_B1C_SPOOL_TAIL;

            if (what == B1C_RECORD_DAMAGE) {
                r->note = NGX_B1C_SPOOL_GAP;
                r->damaged = 1;
            }

            return NGX_OK;
        }
    }

    return NGX_OK;
}


/* all events of the file are in Redis */
static ngx_int_t
ngx_b1c_spool_read_done(ngx_b1c_spool_read_t *r)
{
    ngx_b1c_spool_path_t  path;

    if (r->damaged) {
        return ngx_b1c_spool_read_keep(r);
    }

    (void) ngx_b1c_spool_file_path(r->conf, r->number, path);

    if (unlink((char *) path) == -1 && ngx_errno != NGX_ENOENT) {
        return ngx_b1c_spool_read_note(r, NGX_B1C_SPOOL_STAYS, ngx_errno);
    }

    ngx_b1c_spool_shm_acked(r->conf->state, 0, 0, 0, 0);
    ngx_b1c_spool_file_close(&r->fd);

    return NGX_OK;
}


/* for an operator, who may be able to read the damaged part */
static ngx_int_t
ngx_b1c_spool_read_keep(ngx_b1c_spool_read_t *r)
{
    u_char               *last;
    ngx_uint_t            i;
    ngx_b1c_spool_path_t  path, kept;

    (void) ngx_b1c_spool_file_path(r->conf, r->number, path);
    last = ngx_b1c_spool_file_path(r->conf, r->number, kept);

    last = ngx_cpymem(last, ".damaged", sizeof(".damaged"));

    /* link() does not overwrite a file that was kept before */

    for (i = 2; i < NGX_B1C_SPOOL_DAMAGED; i++) {

        if (link((char *) path, (char *) kept) == 0) {

            if (unlink((char *) path) == -1) {
                break;
            }

            ngx_b1c_spool_shm_acked(r->conf->state, 0, 0, 0, 0);
            ngx_b1c_spool_file_close(&r->fd);

            r->note = NGX_B1C_SPOOL_KEPT;

            return NGX_OK;
        }

        if (ngx_errno != NGX_EEXIST) {
            break;
        }

        *ngx_sprintf(last - 1, ".%ui", i) = '\0';
    }

    return ngx_b1c_spool_read_note(r, NGX_B1C_SPOOL_STAYS, ngx_errno);
}


static ngx_int_t
ngx_b1c_spool_read_note(ngx_b1c_spool_read_t *r, ngx_b1c_spool_note_e note,
    ngx_err_t err)
{
    r->note = note;
    r->err = err;

    if (note > NGX_B1C_SPOOL_FOLDER) {
        ngx_b1c_spool_read_skip(r);
    }

    return NGX_OK;
}


static void
ngx_b1c_spool_read_skip(ngx_b1c_spool_read_t *r)
{
    ngx_b1c_spool_file_close(&r->fd);

    if (r->skip.n == NGX_B1C_SPOOL_SKIP) {

        /*
         * the oldest file comes first, so all of these are older than this one
         */

        r->skip.floor = r->number;
        r->skip.n = 0;
    }

    r->skip.numbers[r->skip.n++] = r->number;

    /* reported once, not in every run */

    if (ngx_b1c_spool_shm_told(r->conf->state, r->number)) {
        r->note = NGX_B1C_SPOOL_SILENT;
    }
}


/* not synced: events that are drained twice are recognized */
static void
ngx_b1c_spool_read_store(ngx_b1c_spool_read_t *r)
{
    u_char  progress[8], damaged;

    if (r->fd == NGX_INVALID_FILE) {
        return;
    }

    /* first, because the progress may pass it */

    if (r->damaged && !r->marked) {
        damaged = 1;
        r->marked = (pwrite(r->fd, &damaged, 1, B1C_RECORD_MARK) == 1);
    }

    if (r->acked <= r->stored) {
        return;
    }

    b1c_record_progress(progress, r->acked);

    if (pwrite(r->fd, progress, 8, B1C_RECORD_PROGRESS) == 8) {
        r->stored = r->acked;
    }
}


void
ngx_b1c_spool_read_end(void *data)
{
    ngx_b1c_spool_read_t *r = data;

    ngx_b1c_spool_read_store(r);

    if (r->serial) {
        (void) ngx_b1c_spool_shm_reopen(r->conf->state, r->serial);
        r->serial = 0;
    }

    ngx_b1c_spool_file_close(&r->fd);
    ngx_b1c_spool_file_close(&r->lock);

    free(r->buf);
    r->buf = NULL;
    r->allocated = 0;
}

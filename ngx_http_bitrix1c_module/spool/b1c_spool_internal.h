
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_SPOOL_INTERNAL_H_INCLUDED_
#define _B1C_SPOOL_INTERNAL_H_INCLUDED_


#include "b1c_spool.h"
#include "b1c_core.h"


/*
 * Private declarations of the spool: the work of threads on its files.  These
 * functions may block; they do not use events and do not log.
 *
 * Files are "<queue>.<number>.spool".  A process that appends holds a shared
 * lock, a process that drains holds the exclusive lock.  While it holds it, no
 * process writes, and later writers see in the shared state that the file is
 * not the current one.  The kernel releases the locks of a killed process.
 */


/* bytes after which the next file is begun */
#define NGX_B1C_SPOOL_SEGMENT  (4 * 1024 * 1024)

/* bytes read at once; few, because new events may wait for their drain */
#define NGX_B1C_SPOOL_CHUNK    (256 * 1024)

/* records of a chunk */
#define NGX_B1C_SPOOL_RECORDS  1024

/* files that are skipped one by one in a run */
#define NGX_B1C_SPOOL_SKIP     64

/* length of the longest name of a file, without the queue's name */
#define NGX_B1C_SPOOL_SUFFIX   64


typedef u_char  ngx_b1c_spool_path_t[NGX_MAX_PATH];


/* files to skip: these, and all up to a number */
typedef struct {
    uint64_t                           numbers[NGX_B1C_SPOOL_SKIP];
    ngx_uint_t                         n;
    uint64_t                           floor;
} ngx_b1c_spool_skip_t;


/* what is in the folder */
typedef struct {
    uint64_t                           first;    /* first file to look at */
    uint64_t                           last;
    ngx_uint_t                         files;
    off_t                              bytes;    /* of all with such a name */
    ngx_uint_t                         foreign;  /* files of other names */
    u_char                             name[256];  /* one of them */
} ngx_b1c_spool_list_t;


/* one group of records to append */
typedef struct {
    ngx_b1c_spool_conf_t              *conf;
    ngx_fd_t                           fd;       /* kept for the next one */
    uint64_t                           number;
    off_t                              size;

    u_char                            *start;
    size_t                             len;

    /*
     * NGX_OK: they are on the disk; NGX_AGAIN: nothing may be appended now;
     * NGX_DECLINED: max is reached; NGX_ERROR
     */
    ngx_int_t                          rc;
    ngx_err_t                          err;
    const char                        *failed;
} ngx_b1c_spool_write_t;


typedef enum {
    NGX_B1C_SPOOL_SILENT = 0,
    NGX_B1C_SPOOL_LOCK,            /* cannot be locked, continues */
    NGX_B1C_SPOOL_FOLDER,          /* cannot be read */
    NGX_B1C_SPOOL_UNREADABLE,      /* a file, skipped */
    NGX_B1C_SPOOL_ALIEN,
    NGX_B1C_SPOOL_VERSION,
    NGX_B1C_SPOOL_TAIL,            /* torn, cut off */
    NGX_B1C_SPOOL_GAP,             /* damage inside */
    NGX_B1C_SPOOL_KEPT,            /* renamed for its damage */
    NGX_B1C_SPOOL_STAYS            /* cannot be removed */
} ngx_b1c_spool_note_e;


typedef struct {
    const u_char                      *payload;
    size_t                             len;
    uint64_t                           end;      /* offset in the file */
} ngx_b1c_spool_record_t;


/* one run of the drain */
typedef struct {
    ngx_b1c_spool_conf_t              *conf;
    ngx_fd_t                           lock;
    ngx_fd_t                           fd;       /* of the file being read */
    uint64_t                           number;
    ino_t                              ino;
    off_t                              size;
    b1c_record_reader_t                at;
    uint64_t                           acked;    /* in Redis up to here */
    uint64_t                           stored;   /* as stored in the file */
    ngx_uint_t                         serial;   /* of CLOSING, 0: not so */

    u_char                            *buf;
    size_t                             allocated;
    ngx_b1c_spool_record_t             records[ NGX_B1C_SPOOL_RECORDS];
    ngx_uint_t                         n;

    ngx_b1c_spool_skip_t               skip;

    /*
     * NGX_OK: there are records or a note; NGX_AGAIN: the file is being
     * written; NGX_DONE: nothing is left; NGX_DECLINED: another process drains
     */
    ngx_int_t                          rc;
    ngx_b1c_spool_note_e               note;
    uint64_t                           from;     /* of the note */
    uint64_t                           to;
    ngx_err_t                          err;

    unsigned                           begun:1;
    unsigned                           proven:1; /* Redis stored some */
    unsigned                           exclusive:1;
    unsigned                           damaged:1;
    unsigned                           marked:1;  /* file is marked */
    unsigned                           entered:1; /* mode was DIRECT */
} ngx_b1c_spool_read_t;


/* both are run by a task */
void ngx_b1c_spool_write_thread(void *data);
void ngx_b1c_spool_read_thread(void *data);

/* the end of a run: stores the progress in the file, releases the locks */
void ngx_b1c_spool_read_end(void *data);

/* NGX_DECLINED: there is no folder; skip may be NULL */
ngx_int_t ngx_b1c_spool_file_list(ngx_b1c_spool_conf_t *conf,
    ngx_b1c_spool_skip_t *skip, ngx_b1c_spool_list_t *list, ngx_err_t *err);

/* the path of a file, NUL-terminated; returns its end */
u_char *ngx_b1c_spool_file_path(ngx_b1c_spool_conf_t *conf, uint64_t number,
    ngx_b1c_spool_path_t path);

/* NGX_OK: locked; NGX_AGAIN: another process holds the lock */
ngx_int_t ngx_b1c_spool_file_flock(ngx_fd_t fd, int how);

void ngx_b1c_spool_file_close(ngx_fd_t *fd);


#endif /* _B1C_SPOOL_INTERNAL_H_INCLUDED_ */

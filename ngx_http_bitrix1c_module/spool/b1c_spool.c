
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_spool_internal.h"
#include "b1c_core.h"
#include "b1c_base.h"

#if (NGX_THREADS)
#include <ngx_thread_pool.h>
#endif


/* ms until the next try of a file that is being written */
#define NGX_B1C_SPOOL_AGAIN  5


/* a task of a thread, and who is notified when it is done */
typedef struct {
#if (NGX_THREADS)
    ngx_thread_task_t                   thread;
#endif
    void                              (*run)(void *data);
    void                               *data;
    unsigned                            busy:1;
} ngx_b1c_spool_task_t;


struct ngx_b1c_spool_s {
    ngx_b1c_spool_conf_t               *conf;
    ngx_log_t                          *log;

    ngx_b1c_spool_task_t                writer;
    ngx_b1c_spool_write_t               write;
    ngx_b1c_spool_written_pt            written;
    void                               *written_data;
    ngx_uint_t                          n;       /* records of the group */

    ngx_b1c_spool_task_t                scanner;
    ngx_b1c_spool_list_t                list;
    ngx_int_t                           rc;      /* of the list */
    ngx_err_t                           err;

    ngx_b1c_spool_task_t                reader;
    ngx_b1c_spool_read_t               *read;    /* NULL: no drain */
    ngx_b1c_spool_drain_pt              replay;
    void                               *replay_data;
    ngx_uint_t                          taken;   /* records of the chunk */
    ngx_event_t                         again;
    ngx_connection_t                    dummy;   /* ident of the timer */

    unsigned                            ending:1;
};


static ngx_int_t ngx_b1c_spool_post(ngx_b1c_spool_t *spool,
    ngx_b1c_spool_task_t *task, void (*run)(void *data), void *data,
    ngx_event_handler_pt done);
#if (NGX_THREADS)
static void ngx_b1c_spool_thread(void *data, ngx_log_t *log);
#endif
static void ngx_b1c_spool_scan_thread(void *data);
static void ngx_b1c_spool_scan_done(ngx_event_t *ev);
static void ngx_b1c_spool_write_done(ngx_event_t *ev);
static void ngx_b1c_spool_write_fault(ngx_b1c_spool_t *spool,
    ngx_b1c_spool_fault_e fault);
static void ngx_b1c_spool_read_handler(ngx_event_t *ev);
static void ngx_b1c_spool_ended_handler(ngx_event_t *ev);
static void ngx_b1c_spool_again_handler(ngx_event_t *ev);
static void ngx_b1c_spool_note(ngx_b1c_spool_t *spool);
static const char *ngx_b1c_spool_fault_text(ngx_b1c_spool_note_e note);


ngx_b1c_spool_t *
ngx_b1c_spool_create(ngx_b1c_spool_conf_t *conf, ngx_log_t *log)
{
    ngx_b1c_spool_t  *spool;

    spool = ngx_calloc(sizeof(ngx_b1c_spool_t), log);
    if (spool == NULL) {
        return NULL;
    }

    spool->conf = conf;
    spool->log = log;

    spool->write.conf = conf;
    spool->write.fd = NGX_INVALID_FILE;

    ngx_b1c_timer_init(&spool->again, ngx_b1c_spool_again_handler,
                       &spool->dummy, spool, log, 1);

    return spool;
}


void
ngx_b1c_spool_destroy(ngx_b1c_spool_t *spool)
{
    if (spool->again.timer_set) {
        ngx_del_timer(&spool->again);
    }

    if (spool->read) {
        ngx_b1c_spool_read_end(spool->read);
        ngx_free(spool->read);
    }

    ngx_b1c_spool_file_close(&spool->write.fd);

    ngx_free(spool);
}


static ngx_int_t
ngx_b1c_spool_post(ngx_b1c_spool_t *spool, ngx_b1c_spool_task_t *task,
    void (*run)(void *data), void *data, ngx_event_handler_pt done)
{
#if (NGX_THREADS)

    if (task->busy) {
        return NGX_DECLINED;
    }

    task->run = run;
    task->data = data;

    task->thread.ctx = task;
    task->thread.handler = ngx_b1c_spool_thread;
    task->thread.event.handler = done;
    task->thread.event.data = spool;
    task->thread.event.log = spool->log;

    if (ngx_thread_task_post(spool->conf->pool, &task->thread) != NGX_OK) {
        return NGX_DECLINED;
    }

    task->busy = 1;

    return NGX_OK;

#else

    return NGX_DECLINED;

#endif
}


#if (NGX_THREADS)

static void
ngx_b1c_spool_thread(void *data, ngx_log_t *log)
{
    ngx_b1c_spool_task_t *task = data;

    task->run(task->data);
}

#endif


void
ngx_b1c_spool_start(ngx_b1c_spool_t *spool)
{
    if (!spool->scanner.busy && ngx_b1c_spool_shm_scan(spool->conf->state)) {
        (void) ngx_b1c_spool_post(spool, &spool->scanner,
                                        ngx_b1c_spool_scan_thread,
                                        spool,
                                        ngx_b1c_spool_scan_done);
    }
}


static void
ngx_b1c_spool_scan_thread(void *data)
{
    ngx_b1c_spool_t *spool = data;

    spool->rc = ngx_b1c_spool_file_list(spool->conf, NULL, &spool->list,
                                        &spool->err);
}


static void
ngx_b1c_spool_scan_done(ngx_event_t *ev)
{
    ngx_b1c_spool_t *spool = ev->data;

    ngx_b1c_spool_list_t  *list;

    spool->scanner.busy = 0;
    list = &spool->list;

    if (!ngx_b1c_spool_shm_scanned(spool->conf->state, list->files,
                                   list->last))
    {
        return;
    }

    if (spool->rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, spool->log, spool->err,
                      "bitrix1c_queue \"%V\": the folder \"%V\" of \"spool\" "
                      "cannot be read: it must belong to the workers' user",
                      &spool->conf->name, &spool->conf->path->name);
    }

    if (list->foreign) {
        ngx_log_error(NGX_LOG_WARN, spool->log, 0,
                      "bitrix1c_queue \"%V\": %ui files in the folder \"%V\" "
                      "are not of a spool, such as \"%s\": they are ignored",
                      &spool->conf->name, list->foreign,
                      &spool->conf->path->name, list->name);
    }

    if (list->files) {
        ngx_b1c_spool_shm_used(spool->conf->state, list->bytes);

        ngx_log_error(NGX_LOG_NOTICE, spool->log, 0,
                      "bitrix1c_queue \"%V\": %ui files in the folder \"%V\" "
                      "of \"spool\" are from an earlier nginx, %O bytes: they "
                      "will be drained", &spool->conf->name, list->files,
                      &spool->conf->path->name, list->bytes);
    }
}


ngx_uint_t
ngx_b1c_spool_writing(ngx_b1c_spool_t *spool)
{
    return spool->writer.busy;
}


ngx_int_t
ngx_b1c_spool_append(ngx_b1c_spool_t *spool, u_char *start, size_t len,
    ngx_uint_t n, ngx_b1c_spool_written_pt handler, void *data)
{
    spool->write.start = start;
    spool->write.len = len;
    spool->n = n;
    spool->written = handler;
    spool->written_data = data;

    return ngx_b1c_spool_post(spool, &spool->writer,
                              ngx_b1c_spool_write_thread, &spool->write,
                              ngx_b1c_spool_write_done);
}


static void
ngx_b1c_spool_write_done(ngx_event_t *ev)
{
    ngx_b1c_spool_t *spool = ev->data;

    ngx_int_t  rc;

    spool->writer.busy = 0;
    rc = spool->write.rc;

    switch (rc) {

    case NGX_OK:
        ngx_b1c_spool_write_fault(spool, NGX_B1C_SPOOL_OK);
        break;

    case NGX_DECLINED:
        ngx_b1c_spool_write_fault(spool, NGX_B1C_SPOOL_FULL);
        rc = NGX_ERROR;
        break;

    case NGX_ERROR:
        ngx_b1c_spool_write_fault(spool, NGX_B1C_SPOOL_FAILED);
        break;

    default: /* NGX_AGAIN */
        break;
    }

    spool->written(spool->written_data, rc);
}


/* one line when the fault begins and one when it ends */
static void
ngx_b1c_spool_write_fault(ngx_b1c_spool_t *spool, ngx_b1c_spool_fault_e fault)
{
    ngx_uint_t             n;
    ngx_b1c_spool_conf_t  *conf;

    conf = spool->conf;
    n = (fault == NGX_B1C_SPOOL_OK) ? spool->n : 0;

    if (ngx_b1c_spool_shm_fault(conf->state, fault, n) == fault) {
        return;
    }

    switch (fault) {

    case NGX_B1C_SPOOL_FULL:
        ngx_log_error(NGX_LOG_ERR, spool->log, 0,
                      "bitrix1c_queue \"%V\": \"spool %V max=%O\" is full: "
                      "events are lost unless the sender repeats them, "
                      "restore Redis or increase \"max\"",
                      &conf->name, &conf->path->name, conf->max);
        break;

    case NGX_B1C_SPOOL_FAILED:
        ngx_log_error(NGX_LOG_ERR, spool->log, spool->write.err,
                      "bitrix1c_queue \"%V\": %s failed in the folder \"%V\" "
                      "of \"spool\": events are lost unless the sender "
                      "repeats them, restore Redis or mend the folder",
                      &conf->name, spool->write.failed,
                      &conf->path->name);
        break;

    default: /* NGX_B1C_SPOOL_OK */
        ngx_log_error(NGX_LOG_NOTICE, spool->log, 0,
                      "bitrix1c_queue \"%V\": \"spool\" accepts events again",
                      &conf->name);
        break;
    }
}


ngx_uint_t
ngx_b1c_spool_idle(ngx_b1c_spool_t *spool)
{
    if (spool->writer.busy) {
        return 0;
    }

    if (spool->write.fd != NGX_INVALID_FILE
        && ngx_b1c_spool_shm_number(spool->conf->state)
           != spool->write.number)
    {
        ngx_b1c_spool_file_close(&spool->write.fd);
    }

    return spool->write.fd == NGX_INVALID_FILE && spool->read == NULL;
}


ngx_int_t
ngx_b1c_spool_drain(ngx_b1c_spool_t *spool, ngx_b1c_spool_drain_pt handler,
    void *data)
{
    if (spool->read || spool->reader.busy) {
        return NGX_DECLINED;
    }

    spool->read = ngx_calloc(sizeof(ngx_b1c_spool_read_t), spool->log);
    if (spool->read == NULL) {
        return NGX_DECLINED;
    }

    spool->read->conf = spool->conf;
    spool->read->fd = NGX_INVALID_FILE;
    spool->read->lock = NGX_INVALID_FILE;

    spool->replay = handler;
    spool->replay_data = data;
    spool->ending = 0;

    if (ngx_b1c_spool_drain_next(spool) != NGX_OK) {
        ngx_free(spool->read);
        spool->read = NULL;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_b1c_spool_drain_next(ngx_b1c_spool_t *spool)
{
    spool->taken = 0;

    return ngx_b1c_spool_post(spool, &spool->reader, ngx_b1c_spool_read_thread,
                              spool->read, ngx_b1c_spool_read_handler);
}


void
ngx_b1c_spool_drain_end(ngx_b1c_spool_t *spool)
{
    if (spool->read == NULL || spool->ending) {
        return;
    }

    spool->ending = 1;

    if (spool->again.timer_set) {
        ngx_del_timer(&spool->again);
    }

    if (spool->reader.busy) {

        /* the handler of the task will see it */

        return;
    }

    if (ngx_b1c_spool_post(spool, &spool->reader,
                           ngx_b1c_spool_read_end,
                           spool->read,
                           ngx_b1c_spool_ended_handler)
        != NGX_OK)
    {
        ngx_b1c_spool_read_end(spool->read);
        ngx_free(spool->read);
        spool->read = NULL;
    }
}


static void
ngx_b1c_spool_ended_handler(ngx_event_t *ev)
{
    ngx_b1c_spool_t *spool = ev->data;

    spool->reader.busy = 0;

    ngx_free(spool->read);
    spool->read = NULL;
}


static void
ngx_b1c_spool_read_handler(ngx_event_t *ev)
{
    ngx_b1c_spool_t *spool = ev->data;

    ngx_b1c_spool_read_t  *r;

    r = spool->read;
    spool->reader.busy = 0;

    if (r->entered) {
        ngx_log_error(NGX_LOG_NOTICE, spool->log, 0,
                      "bitrix1c_queue \"%V\": files were put into the folder "
                      "\"%V\" of \"spool\": they will be drained",
                      &spool->conf->name, &spool->conf->path->name);
    }

    if (r->note) {
        ngx_b1c_spool_note(spool);
    }

    if (spool->ending) {
        spool->ending = 0;
        ngx_b1c_spool_drain_end(spool);
        return;
    }

    if (r->rc == NGX_AGAIN || (r->rc == NGX_OK && r->n == 0)) {
        ngx_add_timer(&spool->again,
                      r->rc == NGX_OK ? 0 : NGX_B1C_SPOOL_AGAIN);
        return;
    }

    spool->replay(spool->replay_data, r->rc);
}


static void
ngx_b1c_spool_again_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    ngx_b1c_spool_t   *spool;

    c = ev->data;
    spool = c->data;

    if (ngx_b1c_spool_drain_next(spool) != NGX_OK) {
        ngx_add_timer(ev, NGX_B1C_SPOOL_AGAIN);
    }
}


ngx_int_t
ngx_b1c_spool_drain_take(ngx_b1c_spool_t *spool, b1c_record_event_t *ev,
    uint64_t *end)
{
    ngx_b1c_spool_read_t    *r;
    ngx_b1c_spool_record_t  *record;

    r = spool->read;

    while (spool->taken < r->n) {
        record = &r->records[spool->taken++];

        if (b1c_record_event(ev, record->payload, record->len) == 0) {
            *end = record->end;
            return NGX_OK;
        }

        /* whole records of another version: an operator must check them */

        r->note = NGX_B1C_SPOOL_GAP;
        r->from = record->end - record->len - B1C_RECORD_FRAME;
        r->to = record->end;
        r->damaged = 1;

        ngx_b1c_spool_note(spool);
    }

    return NGX_DONE;
}


void
ngx_b1c_spool_drain_stored(ngx_b1c_spool_t *spool, ngx_uint_t n, uint64_t end)
{
    ngx_b1c_spool_read_t  *r;

    r = spool->read;

    r->acked = end;
    r->proven = 1;

    ngx_b1c_spool_shm_acked(spool->conf->state, r->number, r->ino, end, n);
}


static void
ngx_b1c_spool_note(ngx_b1c_spool_t *spool)
{
    ngx_uint_t             level;
    ngx_b1c_spool_conf_t  *conf;
    ngx_b1c_spool_read_t  *r;
    ngx_b1c_spool_path_t   path;

    r = spool->read;
    conf = spool->conf;

    (void) ngx_b1c_spool_file_path(conf,
               r->note == NGX_B1C_SPOOL_LOCK ? 0 : r->number, path);

    switch (r->note) {

    case NGX_B1C_SPOOL_FOLDER:
        ngx_log_error(NGX_LOG_ERR, spool->log, r->err,
                      "bitrix1c_queue \"%V\": the folder \"%V\" of \"spool\" "
                      "cannot be read: it must belong to the workers' user",
                      &conf->name, &conf->path->name);
        return;

    case NGX_B1C_SPOOL_TAIL:
    case NGX_B1C_SPOOL_GAP:

        if (r->note == NGX_B1C_SPOOL_TAIL) {
            ngx_b1c_spool_shm_count(conf->state, 1, 0);
            level = NGX_LOG_WARN;

        } else {
            ngx_b1c_spool_shm_count(conf->state, 0, 1);
            level = NGX_LOG_ERR;
        }

        ngx_log_error(level, spool->log, 0,
                      "bitrix1c_queue \"%V\": \"%s\" %s at offset %uL, %uL "
                      "bytes are skipped", &conf->name, path,
                      ngx_b1c_spool_fault_text(r->note), r->from,
                      r->to - r->from);
        return;

    default:
        ngx_log_error(NGX_LOG_ERR, spool->log, r->err,
                      "bitrix1c_queue \"%V\": \"%s\" %s", &conf->name, path,
                      ngx_b1c_spool_fault_text(r->note));
        return;
    }
}


static const char *
ngx_b1c_spool_fault_text(ngx_b1c_spool_note_e note)
{
    switch (note) {

    case NGX_B1C_SPOOL_LOCK:
        return "cannot be locked: it must belong to the workers' user";

    case NGX_B1C_SPOOL_UNREADABLE:
        return "cannot be read, its events wait: it must belong to the "
               "workers' user";

    case NGX_B1C_SPOOL_ALIEN:
        return "is not a file of a spool despite its name: it is ignored";

    case NGX_B1C_SPOOL_VERSION:
        return "was written by another version of this module: it is ignored, "
               "drain it with that version, see UPGRADING.md";

    case NGX_B1C_SPOOL_TAIL:
        return "ends with an incomplete record";

    case NGX_B1C_SPOOL_GAP:
        return "is damaged";

    case NGX_B1C_SPOOL_KEPT:
        return "was drained except for the damaged part, and is kept with the "
               "suffix \".damaged\"";

    default: /* NGX_B1C_SPOOL_STAYS */
        return "was drained, but cannot be removed: its folder must belong to "
               "the workers' user";
    }
}

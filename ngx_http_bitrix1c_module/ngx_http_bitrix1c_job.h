
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_JOB_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_JOB_H_INCLUDED_


#include "ngx_http_bitrix1c.h"
#include "bitrix_event.h"


/* a random start for the ids of this worker; in init_process */
ngx_int_t ngx_http_bitrix1c_job_seed(ngx_log_t *log);

/* held once, by the caller; NULL is lack of memory */
ngx_http_bitrix1c_job_t *ngx_http_bitrix1c_job_create(
    ngx_http_bitrix1c_queue_t *queue, ngx_log_t *log);

void ngx_http_bitrix1c_job_hold(ngx_http_bitrix1c_job_t *job);
void ngx_http_bitrix1c_job_release(ngx_http_bitrix1c_job_t *job);

/* copies the words of an event into the job's pool, without its JSON */
ngx_int_t ngx_http_bitrix1c_job_event(ngx_http_bitrix1c_job_t *job,
    bitrix_event_t *ev);

/*
 * The record for Redis: "b1 <server bytes> <uri bytes>\n", the server's name
 * and the URI of the location, then the JSON less its head.
 */
ngx_int_t ngx_http_bitrix1c_job_record(ngx_http_bitrix1c_job_t *job,
    ngx_str_t *server, ngx_str_t *uri, u_char *tail, size_t len);

/*
 * A job out of its record; NGX_DECLINED: not in this form.
 */
ngx_int_t ngx_http_bitrix1c_job_load(ngx_http_bitrix1c_job_t *job,
    ngx_str_t *record);

/* the parts of a record, inside it; NGX_DECLINED: not in this form */
ngx_int_t ngx_http_bitrix1c_job_split(ngx_str_t *record, ngx_str_t *server,
    ngx_str_t *uri, ngx_str_t *tail);

/* identity and lane as of DESIGN's section 6, where no directive names them */
ngx_int_t ngx_http_bitrix1c_job_identity(ngx_http_bitrix1c_job_t *job,
    ngx_str_t *key, ngx_str_t *lane);

/* what a claim tells beside the record; copied */
ngx_int_t ngx_http_bitrix1c_job_claimed(ngx_http_bitrix1c_job_t *job,
    ngx_str_t *epoch, ngx_str_t *key, ngx_str_t *lane);

/* data of the event for $bitrix1c_data_*; NULL if it cannot be had */
bitrix_event_t *ngx_http_bitrix1c_job_parsed(ngx_http_bitrix1c_job_t *job);

/* a number as text in the job's pool */
ngx_int_t ngx_http_bitrix1c_job_number(ngx_http_bitrix1c_job_t *job,
    int64_t n, ngx_str_t *text);


#endif /* _NGX_HTTP_BITRIX1C_JOB_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _NGX_HTTP_BITRIX1C_SLOTS_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_SLOTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * What the workers of this nginx share about one queue: how many deliveries
 * each has under way, and whether Redis holds events that could go now.
 */


typedef struct ngx_http_bitrix1c_slots_s  ngx_http_bitrix1c_slots_t;


/* adds the zone; its data must be a ngx_http_bitrix1c_slots_t ** to set */
ngx_shm_zone_t *ngx_http_bitrix1c_slots_zone(ngx_conf_t *cf, ngx_str_t *name,
    ngx_http_bitrix1c_slots_t **slots, void *tag);

/* takes up to n of limit slots, returns how many */
ngx_uint_t ngx_http_bitrix1c_slots_take(ngx_http_bitrix1c_slots_t *slots,
    ngx_uint_t n, ngx_uint_t limit);

void ngx_http_bitrix1c_slots_give(ngx_http_bitrix1c_slots_t *slots,
    ngx_uint_t n);

/* slots of workers that died are free again; to be called now and then */
void ngx_http_bitrix1c_slots_reap(ngx_http_bitrix1c_slots_t *slots);

/*
 * The backlog: whether events wait in Redis for a slot.  Marked by whoever
 * leaves one there; a claim that found fewer than it asked for clears what was
 * marked before it was sent, and nothing that was marked since.
 */
void ngx_http_bitrix1c_slots_mark(ngx_http_bitrix1c_slots_t *slots);
ngx_uint_t ngx_http_bitrix1c_slots_marked(ngx_http_bitrix1c_slots_t *slots);
ngx_atomic_uint_t ngx_http_bitrix1c_slots_snap(
    ngx_http_bitrix1c_slots_t *slots);
void ngx_http_bitrix1c_slots_clear(ngx_http_bitrix1c_slots_t *slots,
    ngx_atomic_uint_t snap);

/*
 * One worker at a time looks into an idle queue: 1 if nobody has done so for
 * the interval (ms), and the caller is the one; else 0 and in *wait the ms
 * that are left.
 */
ngx_uint_t ngx_http_bitrix1c_slots_poll(ngx_http_bitrix1c_slots_t *slots,
    ngx_msec_t interval, ngx_msec_t *wait);


#endif /* _NGX_HTTP_BITRIX1C_SLOTS_H_INCLUDED_ */

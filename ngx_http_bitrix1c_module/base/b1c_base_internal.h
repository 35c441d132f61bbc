
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _B1C_BASE_INTERNAL_H_INCLUDED_
#define _B1C_BASE_INTERNAL_H_INCLUDED_


#include "b1c_base.h"


/*
 * The breaker, in the shared memory of the limits and under their lock.  Each
 * type of events that fails has a circuit of its own, so that only this type
 * waits while others pass.
 */
typedef struct {
    u_char                       name[NGX_B1C_CIRCUIT_NAME];
    size_t                       len;        /* 0: the entry is free */
    ngx_uint_t                   failed;     /* in a row */
    ngx_uint_t                   streak;     /* since anything succeeded */
    ngx_uint_t                   series;     /* of the streak */
    ngx_uint_t                   rounds;     /* of probes that failed */
    ngx_uint_t                   opinions;   /* probes before it pauses */
    ngx_uint_t                   told;       /* that it is open */
    ngx_msec_t                   until;      /* open, if not 0 */
    ngx_msec_t                   pause;
    ngx_msec_t                   used;
    ngx_pid_t                    probe;      /* who tries it again */
    uint32_t                     lane;       /* of the last failure */
    ngx_uint_t                   status;     /* that opened it */
    ngx_uint_t                   refuted;    /* a status that was no outage */
    ngx_msec_t                   refuted_at;
} ngx_b1c_circuit_t;


typedef struct {
    ngx_uint_t                   failed;     /* in a row, of all types */
    ngx_uint_t                   series;     /* ends with each success */
    uint32_t                     lane;       /* that has failed since then */
    ngx_uint_t                   mixed;      /* so has another lane */
    ngx_uint_t                   opened;     /* circuits of types */
    ngx_uint_t                   passed;     /* one has, since one opened */
    ngx_msec_t                   worked;     /* last success, 0: none */
    uint32_t                     worked_type;
    ngx_msec_t                   other;      /* the same of another type */
    ngx_b1c_circuit_t            whole;      /* stops all types */
    ngx_b1c_circuit_t            types[NGX_B1C_CIRCUITS];
} ngx_b1c_breaker_sh_t;


/* whether anything may go, and what not; takes nothing */
ngx_uint_t ngx_b1c_breaker_look(ngx_b1c_breaker_sh_t *sh,
    ngx_b1c_limits_conf_t *conf, ngx_b1c_grant_t *grant);

/* this process makes the probes that the grant allows, or does not after all */
void ngx_b1c_breaker_reserve(ngx_b1c_breaker_sh_t *sh,
    ngx_b1c_grant_t *grant);
void ngx_b1c_breaker_release(ngx_b1c_breaker_sh_t *sh,
    ngx_b1c_grant_t *grant);

/* an event of this type has passed */
void ngx_b1c_breaker_pass(ngx_b1c_breaker_sh_t *sh, ngx_str_t *type);

/* a process has died */
void ngx_b1c_breaker_reap(ngx_b1c_breaker_sh_t *sh, ngx_pid_t pid);

ngx_b1c_breaker_e ngx_b1c_breaker_learn(ngx_b1c_breaker_sh_t *sh,
    ngx_b1c_limits_conf_t *conf, ngx_b1c_symptom_t *symptom);

void ngx_b1c_breaker_info(ngx_b1c_breaker_sh_t *sh,
    ngx_b1c_limits_info_t *info);


#endif /* _B1C_BASE_INTERNAL_H_INCLUDED_ */


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "b1c_base_internal.h"


/*
 * Whether 1C is well is inferred from events of different types and entities:
 * what one event or one type brings about is its own fault as long as others
 * pass.  So a type that fails is paused alone, and it is the first event of
 * another type that tells whether everything has to pause.
 */


/* ms of the first pause of a type; each probe that fails doubles it */
#define NGX_B1C_BREAKER_FIRST    1000

/* probes of a type, without a pause, while other types pass */
#define NGX_B1C_BREAKER_OPINIONS  4

/* ms that those of a paused type are out of the way of others, at most */
#define NGX_B1C_BREAKER_ASIDE    2000

/* ms for which a status that was one event's own fault is known as such */
#define NGX_B1C_BREAKER_REFUTED  600000


static ngx_uint_t ngx_b1c_breaker_probing(ngx_b1c_breaker_sh_t *sh);
static ngx_b1c_circuit_t *ngx_b1c_breaker_find(ngx_b1c_breaker_sh_t *sh,
    ngx_str_t *type);
static ngx_b1c_circuit_t *ngx_b1c_breaker_add(ngx_b1c_breaker_sh_t *sh,
    ngx_str_t *type);
static ngx_b1c_breaker_e ngx_b1c_breaker_worked(ngx_b1c_breaker_sh_t *sh,
    ngx_b1c_circuit_t *c, ngx_b1c_symptom_t *symptom);
static ngx_b1c_breaker_e ngx_b1c_breaker_whole(ngx_b1c_breaker_sh_t *sh,
    ngx_b1c_limits_conf_t *conf, ngx_b1c_symptom_t *symptom);
static ngx_b1c_breaker_e ngx_b1c_breaker_type(ngx_b1c_breaker_sh_t *sh,
    ngx_b1c_limits_conf_t *conf, ngx_b1c_circuit_t *c,
    ngx_b1c_symptom_t *symptom);
static ngx_uint_t ngx_b1c_breaker_count(ngx_b1c_breaker_sh_t *sh,
    ngx_b1c_limits_conf_t *conf, ngx_b1c_circuit_t *c,
    ngx_b1c_symptom_t *symptom);
static ngx_uint_t ngx_b1c_breaker_alone(ngx_b1c_breaker_sh_t *sh,
    ngx_b1c_limits_conf_t *conf, ngx_b1c_symptom_t *symptom);
static void ngx_b1c_breaker_all(ngx_b1c_breaker_sh_t *sh,
    ngx_b1c_limits_conf_t *conf);
static ngx_uint_t ngx_b1c_breaker_failing(ngx_b1c_breaker_sh_t *sh);
static void ngx_b1c_breaker_pause(ngx_b1c_breaker_sh_t *sh,
    ngx_b1c_limits_conf_t *conf, ngx_b1c_circuit_t *c);
static ngx_uint_t ngx_b1c_breaker_lately(ngx_b1c_breaker_sh_t *sh,
    ngx_b1c_limits_conf_t *conf);
static ngx_msec_t ngx_b1c_breaker_left(ngx_b1c_circuit_t *c);


ngx_uint_t
ngx_b1c_breaker_look(ngx_b1c_breaker_sh_t *sh, ngx_b1c_limits_conf_t *conf,
    ngx_b1c_grant_t *grant)
{
    ngx_msec_t          left;
    ngx_uint_t          i, one, probing;
    ngx_b1c_skip_t     *skip;
    ngx_b1c_circuit_t  *c;

    grant->nskips = 0;
    grant->one = 0;

    if (sh->whole.until) {
        left = ngx_b1c_breaker_left(&sh->whole);

        if (left || sh->whole.probe) {
            grant->wait = left;
            return 0;
        }

        grant->probe = 1;
        return 1;
    }

    if (sh->opened == 0) {
        return 1;
    }

    /* nobody has passed since: one event at a time tells whether any can */

    one = !sh->passed;
    probing = one && ngx_b1c_breaker_probing(sh);

    for (i = 0; i < NGX_B1C_CIRCUITS; i++) {
        c = &sh->types[i];

        if (c->until == 0) {
            continue;
        }

        left = ngx_b1c_breaker_left(c);
        skip = &grant->skips[grant->nskips++];

        ngx_memcpy(skip->name, c->name, c->len);
        skip->len = c->len;
        skip->allowed = (left == 0 && c->probe == 0 && !probing);
        skip->any = (c->rounds > 0);
        skip->wait = left ? ngx_min(left, NGX_B1C_BREAKER_ASIDE)
                          : NGX_B1C_BREAKER_FIRST;
    }

    grant->one = one;

    return !probing;
}


static ngx_uint_t
ngx_b1c_breaker_probing(ngx_b1c_breaker_sh_t *sh)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_B1C_CIRCUITS; i++) {
        if (sh->types[i].probe) {
            return 1;
        }
    }

    return sh->whole.probe != 0;
}


void
ngx_b1c_breaker_reserve(ngx_b1c_breaker_sh_t *sh, ngx_b1c_grant_t *grant)
{
    ngx_str_t           type;
    ngx_uint_t          i;
    ngx_b1c_circuit_t  *c;

    if (grant->probe || grant->one) {
        sh->whole.probe = ngx_pid;
    }

    for (i = 0; i < grant->nskips; i++) {

        if (!grant->skips[i].allowed) {
            continue;
        }

        type.data = grant->skips[i].name;
        type.len = grant->skips[i].len;
        c = ngx_b1c_breaker_find(sh, &type);

        if (c) {
            c->probe = ngx_pid;
        }
    }
}


void
ngx_b1c_breaker_release(ngx_b1c_breaker_sh_t *sh, ngx_b1c_grant_t *grant)
{
    ngx_str_t           type;
    ngx_uint_t          i;
    ngx_b1c_circuit_t  *c;

    if ((grant->probe || grant->one) && sh->whole.probe == ngx_pid) {
        sh->whole.probe = 0;
    }

    for (i = 0; i < grant->nskips; i++) {

        if (!grant->skips[i].allowed) {
            continue;
        }

        type.data = grant->skips[i].name;
        type.len = grant->skips[i].len;
        c = ngx_b1c_breaker_find(sh, &type);

        if (c && c->probe == ngx_pid) {
            c->probe = 0;
        }
    }
}


void
ngx_b1c_breaker_reap(ngx_b1c_breaker_sh_t *sh, ngx_pid_t pid)
{
    ngx_uint_t  i;

    if (sh->whole.probe == pid) {
        sh->whole.probe = 0;
    }

    for (i = 0; i < NGX_B1C_CIRCUITS; i++) {
        if (sh->types[i].probe == pid) {
            sh->types[i].probe = 0;
        }
    }
}


ngx_b1c_breaker_e
ngx_b1c_breaker_learn(ngx_b1c_breaker_sh_t *sh, ngx_b1c_limits_conf_t *conf,
    ngx_b1c_symptom_t *symptom)
{
    ngx_uint_t          open;
    ngx_b1c_circuit_t  *c;

    c = ngx_b1c_breaker_find(sh, &symptom->type);
    open = sh->whole.until || (c && c->until);

    if (symptom->probe) {
        if (c && c->probe == ngx_pid) {
            c->probe = 0;
        }

        if (sh->whole.probe == ngx_pid) {
            sh->whole.probe = 0;
        }
    }

    switch (symptom->health) {

    case NGX_B1C_HEALTH_UNKNOWN:

        /* the probe found nothing out, another may */

        return open ? NGX_B1C_STILL : NGX_B1C_SAME;

    case NGX_B1C_HEALTH_OK:
        return ngx_b1c_breaker_worked(sh, c, symptom);

    case NGX_B1C_HEALTH_MAINTENANCE:
        return ngx_b1c_breaker_whole(sh, conf, symptom);

    default: /* NGX_B1C_HEALTH_FAILING, NGX_B1C_HEALTH_MISCONFIGURED */
        break;
    }

    if (sh->whole.until || symptom->nobody || symptom->type.len == 0) {
        return ngx_b1c_breaker_whole(sh, conf, symptom);
    }

    if (c == NULL) {
        c = ngx_b1c_breaker_add(sh, &symptom->type);
    }

    return c ? ngx_b1c_breaker_type(sh, conf, c, symptom)
             : ngx_b1c_breaker_whole(sh, conf, symptom);
}


static ngx_b1c_breaker_e
ngx_b1c_breaker_worked(ngx_b1c_breaker_sh_t *sh, ngx_b1c_circuit_t *c,
    ngx_b1c_symptom_t *symptom)
{
    ngx_uint_t  i, open;

    open = (sh->whole.until != 0);

    sh->failed = 0;
    sh->series++;
    sh->lane = 0;
    sh->mixed = 0;
    ngx_b1c_breaker_pass(sh, &symptom->type);

    sh->whole.until = 0;
    sh->whole.probe = 0;

    if (c) {

        if (c->until) {
            open |= c->told;
            sh->opened--;

            c->refuted = c->status;
            c->refuted_at = ngx_max(ngx_current_msec, 1);
        }

        c->until = 0;
        c->probe = 0;
        c->failed = 0;
        c->rounds = 0;
        c->lane = 0;
    }

    if (sh->opened && !sh->passed) {

        /* what has stopped them may be over for the other types, too */

        for (i = 0; i < NGX_B1C_CIRCUITS; i++) {
            if (sh->types[i].until) {
                sh->types[i].until = ngx_max(ngx_current_msec, 1);
                sh->types[i].opinions = NGX_B1C_BREAKER_OPINIONS;
            }
        }
    }

    sh->passed = 1;

    return open ? NGX_B1C_RECOVERED : NGX_B1C_SAME;
}


void
ngx_b1c_breaker_pass(ngx_b1c_breaker_sh_t *sh, ngx_str_t *type)
{
    uint32_t  hash;

    hash = ngx_crc32_short(type->data, type->len);

    if (hash != sh->worked_type) {
        sh->other = sh->worked;
        sh->worked_type = hash;
    }

    sh->worked = ngx_max(ngx_current_msec, 1);
}


/* no event can be to blame */
static ngx_b1c_breaker_e
ngx_b1c_breaker_whole(ngx_b1c_breaker_sh_t *sh, ngx_b1c_limits_conf_t *conf,
    ngx_b1c_symptom_t *symptom)
{
    ngx_uint_t          open;
    ngx_b1c_circuit_t  *c;

    c = &sh->whole;
    open = (c->until != 0);

    sh->failed++;

    if (symptom->health == NGX_B1C_HEALTH_FAILING
        && !open
        && (conf->failures == 0 || sh->failed < conf->failures))
    {
        return NGX_B1C_SAME;
    }

    if (symptom->health == NGX_B1C_HEALTH_MISCONFIGURED
        && conf->failures == 0)
    {
        return open ? NGX_B1C_STILL : NGX_B1C_SAME;
    }

    /* a late failure of before does not put the probe off */

    if (!open || symptom->probe
        || symptom->health == NGX_B1C_HEALTH_MAINTENANCE)
    {
        c->pause = symptom->health == NGX_B1C_HEALTH_MAINTENANCE
                   ? symptom->pause : conf->pause;
        c->until = ngx_max(ngx_current_msec + c->pause, 1);
    }

    symptom->pause = c->pause;

    return open ? NGX_B1C_STILL : NGX_B1C_OPENED;
}


static ngx_b1c_breaker_e
ngx_b1c_breaker_type(ngx_b1c_breaker_sh_t *sh, ngx_b1c_limits_conf_t *conf,
    ngx_b1c_circuit_t *c, ngx_b1c_symptom_t *symptom)
{
    ngx_uint_t  open;

    c->used = ngx_current_msec;
    open = (c->until != 0);

    if (sh->lane == 0) {
        sh->lane = symptom->lane;
    }

    if (sh->lane != symptom->lane) {
        sh->mixed = 1;
    }

    symptom->own = (!sh->mixed
                    || (sh->passed && ngx_b1c_breaker_lately(sh, conf)));

    if (open && !symptom->probe) {
        return c->told ? NGX_B1C_STILL : NGX_B1C_SAME;
    }

    if (open) {
        sh->failed++;
        c->rounds++;

        if (c->opinions) {
            c->opinions--;
        }

    } else {

        if (!ngx_b1c_breaker_count(sh, conf, c, symptom)) {
            return NGX_B1C_SAME;
        }

        sh->opened++;
        c->rounds = 0;
        c->told = 0;
        c->opinions = NGX_B1C_BREAKER_OPINIONS;
    }

    c->status = symptom->status;
    symptom->alone = ngx_b1c_breaker_alone(sh, conf, symptom);

    if (symptom->alone && c->opinions) {
        c->until = ngx_max(ngx_current_msec, 1);
        return c->told ? NGX_B1C_STILL : NGX_B1C_SAME;
    }

    c->opinions = symptom->alone ? NGX_B1C_BREAKER_OPINIONS / 2 : 0;

    if (c->told) {
        ngx_b1c_breaker_pause(sh, conf, c);
        return NGX_B1C_STILL;
    }

    c->rounds = 0;
    c->told = 1;

    if (!symptom->alone) {
        sh->passed = 0;
    }

    ngx_b1c_breaker_pause(sh, conf, c);
    symptom->pause = c->pause;

    if (ngx_b1c_breaker_failing(sh) > 1) {
        ngx_b1c_breaker_all(sh, conf);
    }

    return NGX_B1C_OPENED;
}


/* others have passed lately, and no other type has failed since */
static ngx_uint_t
ngx_b1c_breaker_alone(ngx_b1c_breaker_sh_t *sh, ngx_b1c_limits_conf_t *conf,
    ngx_b1c_symptom_t *symptom)
{
    return ngx_b1c_breaker_lately(sh, conf)
           && ngx_b1c_breaker_failing(sh) < 2
           && (sh->worked_type != ngx_crc32_short(symptom->type.data,
                                                  symptom->type.len)
               || (sh->other
                   && (ngx_msec_int_t) (ngx_current_msec - sh->other)
                      <= (ngx_msec_int_t) conf->pause));
}


/* the other types in this row of failures have shown enough */
static void
ngx_b1c_breaker_all(ngx_b1c_breaker_sh_t *sh, ngx_b1c_limits_conf_t *conf)
{
    ngx_uint_t          i;
    ngx_b1c_circuit_t  *c;

    for (i = 0; i < NGX_B1C_CIRCUITS; i++) {
        c = &sh->types[i];

        if (c->len == 0 || c->series != sh->series
            || (c->until ? c->opinions == 0 : sh->failed < conf->failures))
        {
            continue;
        }

        if (c->until == 0) {
            sh->opened++;
        }

        c->rounds = 0;
        c->opinions = 0;
        c->told = 1;

        ngx_b1c_breaker_pause(sh, conf, c);
    }
}


/* 1: this failure opens the circuit */
static ngx_uint_t
ngx_b1c_breaker_count(ngx_b1c_breaker_sh_t *sh, ngx_b1c_limits_conf_t *conf,
    ngx_b1c_circuit_t *c, ngx_b1c_symptom_t *symptom)
{
    ngx_uint_t  known;

    /* that an event fails again says nothing of 1C while others pass */

    if (ngx_b1c_breaker_lately(sh, conf)
        && (symptom->again || (c->lane && c->lane == symptom->lane)))
    {
        return 0;
    }

    if (c->series != sh->series) {
        c->series = sh->series;
        c->streak = 0;
    }

    c->failed++;
    c->streak++;
    c->lane = symptom->lane;
    sh->failed++;

    if (conf->failures == 0) {
        return 0;
    }

    known = c->refuted_at && c->refuted == symptom->status
            && ngx_current_msec - c->refuted_at < NGX_B1C_BREAKER_REFUTED;

    if (symptom->health == NGX_B1C_HEALTH_MISCONFIGURED && !known) {
        return 1;
    }

    if (c->failed >= conf->failures) {
        return 1;
    }

    return sh->failed >= conf->failures
           && (c->streak > 1 || ngx_b1c_breaker_failing(sh) > 2);
}


/* types that have failed since anything succeeded */
static ngx_uint_t
ngx_b1c_breaker_failing(ngx_b1c_breaker_sh_t *sh)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < NGX_B1C_CIRCUITS; i++) {
        n += sh->types[i].len && sh->types[i].series == sh->series
             && sh->types[i].streak;
    }

    return n;
}


static void
ngx_b1c_breaker_pause(ngx_b1c_breaker_sh_t *sh, ngx_b1c_limits_conf_t *conf,
    ngx_b1c_circuit_t *c)
{
    ngx_uint_t          i;
    ngx_msec_t          until;
    ngx_b1c_circuit_t  *other;

    c->pause = ngx_min(conf->pause,
                       (ngx_msec_t) NGX_B1C_BREAKER_FIRST
                       << (ngx_b1c_breaker_lately(sh, conf)
                           ? 0 : ngx_min(c->rounds, 16)));
    c->until = ngx_max(ngx_current_msec + c->pause, 1);

    if (sh->passed) {
        return;
    }

    /* one probe is for all, as long as none passes */

    for (i = 0; i < NGX_B1C_CIRCUITS; i++) {
        other = &sh->types[i];
        until = ngx_max(ngx_current_msec + other->pause, 1);

        if (other->until && (ngx_msec_int_t) (until - other->until) > 0) {
            other->until = until;
        }
    }
}


static ngx_uint_t
ngx_b1c_breaker_lately(ngx_b1c_breaker_sh_t *sh, ngx_b1c_limits_conf_t *conf)
{
    return sh->worked
           && (ngx_msec_int_t) (ngx_current_msec - sh->worked)
              <= (ngx_msec_int_t) conf->pause;
}


static ngx_msec_t
ngx_b1c_breaker_left(ngx_b1c_circuit_t *c)
{
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (c->until - ngx_current_msec);

    return left > 0 ? (ngx_msec_t) left : 0;
}


/* NULL: it has not failed, or is one that has no circuit */
static ngx_b1c_circuit_t *
ngx_b1c_breaker_find(ngx_b1c_breaker_sh_t *sh, ngx_str_t *type)
{
    ngx_uint_t  i;

    if (type->len == 0) {
        return NULL;
    }

    for (i = 0; i < NGX_B1C_CIRCUITS; i++) {
        if (sh->types[i].len == type->len
            && ngx_memcmp(sh->types[i].name, type->data, type->len) == 0)
        {
            return &sh->types[i];
        }
    }

    return NULL;
}


/* in the place of the one that has not failed for the longest time */
static ngx_b1c_circuit_t *
ngx_b1c_breaker_add(ngx_b1c_breaker_sh_t *sh, ngx_str_t *type)
{
    ngx_uint_t          i;
    ngx_b1c_circuit_t  *c, *best;

    if (type->len > NGX_B1C_CIRCUIT_NAME) {
        return NULL;
    }

    best = NULL;

    for (i = 0; i < NGX_B1C_CIRCUITS; i++) {
        c = &sh->types[i];

        if (c->len == 0) {
            best = c;
            break;
        }

        if (c->until == 0
            && (best == NULL
                || (ngx_msec_int_t) (c->used - best->used) < 0))
        {
            best = c;
        }
    }

    if (best) {
        ngx_memzero(best, sizeof(ngx_b1c_circuit_t));
        ngx_memcpy(best->name, type->data, type->len);
        best->len = type->len;
    }

    return best;
}


void
ngx_b1c_breaker_info(ngx_b1c_breaker_sh_t *sh, ngx_b1c_limits_info_t *info)
{
    ngx_uint_t          i;
    ngx_msec_t          left;
    ngx_b1c_circuit_t  *c;

    info->failed = sh->failed;
    info->paused = sh->opened;
    info->open = sh->whole.until || (sh->opened && !sh->passed);
    info->probing = info->open && ngx_b1c_breaker_probing(sh);
    info->left = sh->whole.until ? ngx_b1c_breaker_left(&sh->whole) : 0;

    if (sh->whole.until || !info->open) {
        return;
    }

    info->left = NGX_MAX_INT_T_VALUE;

    for (i = 0; i < NGX_B1C_CIRCUITS; i++) {
        c = &sh->types[i];

        if (c->until) {
            left = ngx_b1c_breaker_left(c);
            info->left = ngx_min(info->left, left);
        }
    }
}


/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "bitrix_spool.h"


#define BITRIX_SPOOL_MAGIC   "\xb1\x5c\xff\x0a"
#define BITRIX_SPOOL_NAME    "b1c spool "

/* "1 ", an id, " 1 ", since, " ", a key, " ", a lane, "\n" */
#define BITRIX_SPOOL_HEAD    (3 * BITRIX_SPOOL_HASH + 8)
#define BITRIX_SPOOL_DIGITS  20


typedef enum {
    BITRIX_FRAME_WHOLE = 0,
    BITRIX_FRAME_SHORT,
    BITRIX_FRAME_BAD
} bitrix_frame_e;


static bitrix_frame_e bitrix_spool_frame(const unsigned char *p, size_t len,
    size_t *need);
static bitrix_spool_found_e bitrix_spool_search(bitrix_spool_reader_t *reader,
    const unsigned char *buf, size_t len, int eof,
    bitrix_spool_found_t *found);
static void bitrix_spool_put32(unsigned char *p, uint32_t n);
static uint32_t bitrix_spool_get32(const unsigned char *p);
static int bitrix_spool_hash(const char **hash, const char **p,
    const char *last);


void
bitrix_spool_header(unsigned char header[BITRIX_SPOOL_HEADER])
{
    memset(header, 0, BITRIX_SPOOL_HEADER);

    (void) snprintf((char *) header, BITRIX_SPOOL_HEADER,
                    BITRIX_SPOOL_NAME "%d\n", BITRIX_SPOOL_VERSION);

    bitrix_spool_progress(header + BITRIX_SPOOL_PROGRESS,
                          BITRIX_SPOOL_HEADER);
}


void
bitrix_spool_progress(unsigned char progress[8], uint64_t offset)
{
    bitrix_spool_put32(progress, (uint32_t) offset);
    bitrix_spool_put32(progress + 4, (uint32_t) (offset >> 32));
}


bitrix_spool_file_e
bitrix_spool_file(const unsigned char *header, size_t len, uint64_t *progress)
{
    size_t         name, fixed;
    unsigned char  own[BITRIX_SPOOL_HEADER];

    bitrix_spool_header(own);

    name = sizeof(BITRIX_SPOOL_NAME) - 1;
    fixed = strlen((char *) own);

    if (memcmp(header, own, len < name ? len : name) != 0) {
        return BITRIX_SPOOL_FOREIGN;
    }

    if (memcmp(header, own, len < fixed ? len : fixed) != 0) {
        return BITRIX_SPOOL_OTHER;
    }

    if (len < BITRIX_SPOOL_HEADER) {
        return BITRIX_SPOOL_SHORT;
    }

    header += BITRIX_SPOOL_PROGRESS;

    *progress = bitrix_spool_get32(header)
                | (uint64_t) bitrix_spool_get32(header + 4) << 32;

    return BITRIX_SPOOL_GOOD;
}


size_t
bitrix_spool_size(const bitrix_spool_event_t *ev)
{
    if (ev->since_len > BITRIX_SPOOL_DIGITS
        || ev->len > BITRIX_SPOOL_MAX - BITRIX_SPOOL_HEAD
                     - BITRIX_SPOOL_DIGITS)
    {
        return 0;
    }

    return BITRIX_SPOOL_FRAME + BITRIX_SPOOL_HEAD + ev->since_len + ev->len;
}


unsigned char *
bitrix_spool_put(unsigned char *p, const bitrix_spool_event_t *ev)
{
    unsigned char  *frame, *payload;

    frame = p;
    payload = p + BITRIX_SPOOL_FRAME;
    p = payload;

    *p++ = '0' + BITRIX_SPOOL_VERSION;
    *p++ = ' ';
    memcpy(p, ev->id, BITRIX_SPOOL_HASH);
    p += BITRIX_SPOOL_HASH;
    *p++ = ' ';
    *p++ = (unsigned char) ('0' + (ev->once ? 1 : 0) + (ev->again ? 2 : 0));
    *p++ = ' ';
    memcpy(p, ev->since, ev->since_len);
    p += ev->since_len;
    *p++ = ' ';
    memcpy(p, ev->key, BITRIX_SPOOL_HASH);
    p += BITRIX_SPOOL_HASH;
    *p++ = ' ';
    memcpy(p, ev->lane, BITRIX_SPOOL_HASH);
    p += BITRIX_SPOOL_HASH;
    *p++ = '\n';
    memcpy(p, ev->record, ev->len);
    p += ev->len;

    memcpy(frame, BITRIX_SPOOL_MAGIC, 4);
    bitrix_spool_put32(frame + 4, (uint32_t) (p - payload));
    bitrix_spool_put32(frame + 8,
                       (uint32_t) crc32(0, payload, (uInt) (p - payload)));

    return p;
}


int
bitrix_spool_event(bitrix_spool_event_t *ev, const unsigned char *payload,
    size_t len)
{
    const char  *p, *last;

    p = (const char *) payload;
    last = p + len;

    if (len < BITRIX_SPOOL_HEAD || p[0] != '0' + BITRIX_SPOOL_VERSION
        || p[1] != ' ')
    {
        return -1;
    }

    p += 2;

    if (bitrix_spool_hash(&ev->id, &p, last) != 0
        || last - p < 3 || p[0] != ' ' || p[1] < '0' || p[1] > '3'
        || p[2] != ' ')
    {
        return -1;
    }

    ev->once = (p[1] - '0') & 1;
    ev->again = (p[1] - '0') >> 1;
    p += 3;

    for (ev->since = p; p < last && *p >= '0' && *p <= '9'; p++) { /* void */ }

    ev->since_len = (size_t) (p - ev->since);

    if (ev->since_len == 0 || ev->since_len > BITRIX_SPOOL_DIGITS
        || p == last || *p++ != ' '
        || bitrix_spool_hash(&ev->key, &p, last) != 0
        || p == last || *p++ != ' '
        || bitrix_spool_hash(&ev->lane, &p, last) != 0
        || p == last || *p++ != '\n')
    {
        return -1;
    }

    ev->record = p;
    ev->len = (size_t) (last - p);

    return 0;
}


bitrix_spool_found_e
bitrix_spool_next(bitrix_spool_reader_t *reader, const unsigned char *buf,
    size_t len, int eof, bitrix_spool_found_t *found)
{
    size_t  need;

    if (reader->lost) {
        return bitrix_spool_search(reader, buf, len, eof, found);
    }

    if (len == 0 && eof) {
        return BITRIX_SPOOL_END;
    }

    switch (bitrix_spool_frame(buf, len, &need)) {

    case BITRIX_FRAME_WHOLE:
        found->payload = buf + BITRIX_SPOOL_FRAME;
        found->len = need - BITRIX_SPOOL_FRAME;
        reader->offset += need;

        return BITRIX_SPOOL_RECORD;

    case BITRIX_FRAME_SHORT:

        if (!eof) {
            found->need = need;
            return BITRIX_SPOOL_MORE;
        }

        break;

    default: /* BITRIX_FRAME_BAD */
        break;
    }

    reader->lost = 1;
    reader->bad = reader->offset;

    return bitrix_spool_search(reader, buf, len, eof, found);
}


static bitrix_spool_found_e
bitrix_spool_search(bitrix_spool_reader_t *reader, const unsigned char *buf,
    size_t len, int eof, bitrix_spool_found_t *found)
{
    size_t                i, need;
    bitrix_frame_e        frame;
    const unsigned char  *p;

    for (i = 0; i < len; i++) {

        p = memchr(buf + i, (unsigned char) BITRIX_SPOOL_MAGIC[0], len - i);

        if (p == NULL) {
            i = len;
            break;
        }

        i = (size_t) (p - buf);
        frame = bitrix_spool_frame(p, len - i, &need);

        if (frame == BITRIX_FRAME_WHOLE) {
            found->from = reader->bad;
            reader->offset += i;
            reader->lost = 0;
            found->to = reader->offset;

            return BITRIX_SPOOL_DAMAGE;
        }

        if (frame == BITRIX_FRAME_SHORT && !eof) {
            found->need = need;
            reader->offset += i;

            return BITRIX_SPOOL_MORE;
        }
    }

    reader->offset += len;

    if (!eof) {
        found->need = BITRIX_SPOOL_FRAME;
        return BITRIX_SPOOL_MORE;
    }

    found->from = reader->bad;
    found->to = reader->offset;
    reader->lost = 0;

    return BITRIX_SPOOL_TORN;
}


/* need: bytes of the whole record, or those that tell how many it has */
static bitrix_frame_e
bitrix_spool_frame(const unsigned char *p, size_t len, size_t *need)
{
    size_t  size;

    size = len < 4 ? len : 4;

    if (memcmp(p, BITRIX_SPOOL_MAGIC, size) != 0) {
        return BITRIX_FRAME_BAD;
    }

    *need = BITRIX_SPOOL_FRAME;

    if (len < BITRIX_SPOOL_FRAME) {
        return BITRIX_FRAME_SHORT;
    }

    size = bitrix_spool_get32(p + 4);

    if (size == 0 || size > BITRIX_SPOOL_MAX) {
        return BITRIX_FRAME_BAD;
    }

    *need += size;

    if (len < *need) {
        return BITRIX_FRAME_SHORT;
    }

    if (crc32(0, p + BITRIX_SPOOL_FRAME, (uInt) size)
        != bitrix_spool_get32(p + 8))
    {
        return BITRIX_FRAME_BAD;
    }

    return BITRIX_FRAME_WHOLE;
}


static void
bitrix_spool_put32(unsigned char *p, uint32_t n)
{
    p[0] = (unsigned char) n;
    p[1] = (unsigned char) (n >> 8);
    p[2] = (unsigned char) (n >> 16);
    p[3] = (unsigned char) (n >> 24);
}


static uint32_t
bitrix_spool_get32(const unsigned char *p)
{
    return p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
           | (uint32_t) p[3] << 24;
}


static int
bitrix_spool_hash(const char **hash, const char **p, const char *last)
{
    int          i;
    const char  *c;

    c = *p;

    if (last - c < BITRIX_SPOOL_HASH) {
        return -1;
    }

    for (i = 0; i < BITRIX_SPOOL_HASH; i++) {
        if (!((c[i] >= '0' && c[i] <= '9') || (c[i] >= 'a' && c[i] <= 'f'))) {
            return -1;
        }
    }

    *hash = c;
    *p = c + BITRIX_SPOOL_HASH;

    return 0;
}

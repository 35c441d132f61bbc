
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "b1c_core.h"


#define B1C_RECORD_MAGIC   "\xb1\x5c\xff\x0a"
#define B1C_RECORD_NAME    "b1c spool "

/* "1 ", an id, " 1 ", since, " ", a key, " ", a lane, "\n" */
#define B1C_RECORD_HEAD    (3 * B1C_RECORD_HASH + 8)
#define B1C_RECORD_DIGITS  20


typedef enum {
    B1C_FRAME_WHOLE = 0,
    B1C_FRAME_SHORT,
    B1C_FRAME_BAD
} b1c_frame_e;


static b1c_frame_e b1c_record_frame(const unsigned char *p, size_t len,
    size_t *need);
static b1c_record_found_e b1c_record_search(b1c_record_reader_t *reader,
    const unsigned char *buf, size_t len, int eof, b1c_record_found_t *found);
static void b1c_record_put32(unsigned char *p, uint32_t n);
static uint32_t b1c_record_get32(const unsigned char *p);
static int b1c_record_hash(const char **hash, const char **p,
    const char *last);


void
b1c_record_header(unsigned char header[B1C_RECORD_HEADER])
{
    memset(header, 0, B1C_RECORD_HEADER);

    (void) snprintf((char *) header, B1C_RECORD_HEADER,
                    B1C_RECORD_NAME "%d\n", B1C_RECORD_VERSION);

    b1c_record_progress(header + B1C_RECORD_PROGRESS, B1C_RECORD_HEADER);
}


void
b1c_record_progress(unsigned char progress[8], uint64_t offset)
{
    b1c_record_put32(progress, (uint32_t) offset);
    b1c_record_put32(progress + 4, (uint32_t) (offset >> 32));
}


b1c_record_file_e
b1c_record_file(const unsigned char *header, size_t len, uint64_t *progress)
{
    size_t         name, fixed;
    unsigned char  own[B1C_RECORD_HEADER];

    b1c_record_header(own);

    name = sizeof(B1C_RECORD_NAME) - 1;
    fixed = strlen((char *) own);

    if (memcmp(header, own, len < name ? len : name) != 0) {
        return B1C_RECORD_FOREIGN;
    }

    if (memcmp(header, own, len < fixed ? len : fixed) != 0) {
        return B1C_RECORD_OTHER;
    }

    if (len < B1C_RECORD_HEADER) {
        return B1C_RECORD_SHORT;
    }

    header += B1C_RECORD_PROGRESS;

    *progress = b1c_record_get32(header)
                | (uint64_t) b1c_record_get32(header + 4) << 32;

    return B1C_RECORD_GOOD;
}


size_t
b1c_record_size(const b1c_record_event_t *ev)
{
    if (ev->since_len > B1C_RECORD_DIGITS
        || ev->len > B1C_RECORD_MAX - B1C_RECORD_HEAD
                     - B1C_RECORD_DIGITS)
    {
        return 0;
    }

    return B1C_RECORD_FRAME + B1C_RECORD_HEAD + ev->since_len + ev->len;
}


unsigned char *
b1c_record_put(unsigned char *p, const b1c_record_event_t *ev)
{
    unsigned char  *frame, *payload;

    frame = p;
    payload = p + B1C_RECORD_FRAME;
    p = payload;

    *p++ = '0' + B1C_RECORD_VERSION;
    *p++ = ' ';
    memcpy(p, ev->id, B1C_RECORD_HASH);
    p += B1C_RECORD_HASH;
    *p++ = ' ';
    *p++ = (unsigned char) ('0' + (ev->once ? 1 : 0) + (ev->again ? 2 : 0));
    *p++ = ' ';
    memcpy(p, ev->since, ev->since_len);
    p += ev->since_len;
    *p++ = ' ';
    memcpy(p, ev->key, B1C_RECORD_HASH);
    p += B1C_RECORD_HASH;
    *p++ = ' ';
    memcpy(p, ev->lane, B1C_RECORD_HASH);
    p += B1C_RECORD_HASH;
    *p++ = '\n';
    memcpy(p, ev->record, ev->len);
    p += ev->len;

    memcpy(frame, B1C_RECORD_MAGIC, 4);
    b1c_record_put32(frame + 4, (uint32_t) (p - payload));
    b1c_record_put32(frame + 8,
                     (uint32_t) crc32(0, payload, (uInt) (p - payload)));

    return p;
}


int
b1c_record_event(b1c_record_event_t *ev, const unsigned char *payload,
    size_t len)
{
    const char  *p, *last;

    p = (const char *) payload;
    last = p + len;

    if (len < B1C_RECORD_HEAD || p[0] != '0' + B1C_RECORD_VERSION
        || p[1] != ' ')
    {
        return -1;
    }

    p += 2;

    if (b1c_record_hash(&ev->id, &p, last) != 0
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

    if (ev->since_len == 0 || ev->since_len > B1C_RECORD_DIGITS
        || p == last || *p++ != ' '
        || b1c_record_hash(&ev->key, &p, last) != 0
        || p == last || *p++ != ' '
        || b1c_record_hash(&ev->lane, &p, last) != 0
        || p == last || *p++ != '\n')
    {
        return -1;
    }

    ev->record = p;
    ev->len = (size_t) (last - p);

    return 0;
}


b1c_record_found_e
b1c_record_next(b1c_record_reader_t *reader, const unsigned char *buf,
    size_t len, int eof, b1c_record_found_t *found)
{
    size_t  need;

    if (reader->lost) {
        return b1c_record_search(reader, buf, len, eof, found);
    }

    if (len == 0 && eof) {
        return B1C_RECORD_END;
    }

    switch (b1c_record_frame(buf, len, &need)) {

    case B1C_FRAME_WHOLE:
        found->payload = buf + B1C_RECORD_FRAME;
        found->len = need - B1C_RECORD_FRAME;
        reader->offset += need;

        return B1C_RECORD_RECORD;

    case B1C_FRAME_SHORT:

        if (!eof) {
            found->need = need;
            return B1C_RECORD_MORE;
        }

        break;

    default: /* B1C_FRAME_BAD */
        break;
    }

    reader->lost = 1;
    reader->bad = reader->offset;

    return b1c_record_search(reader, buf, len, eof, found);
}


static b1c_record_found_e
b1c_record_search(b1c_record_reader_t *reader, const unsigned char *buf,
    size_t len, int eof, b1c_record_found_t *found)
{
    size_t                i, need;
    b1c_frame_e           frame;
    const unsigned char  *p;

    for (i = 0; i < len; i++) {

        p = memchr(buf + i, (unsigned char) B1C_RECORD_MAGIC[0], len - i);

        if (p == NULL) {
            i = len;
            break;
        }

        i = (size_t) (p - buf);
        frame = b1c_record_frame(p, len - i, &need);

        if (frame == B1C_FRAME_WHOLE) {
            found->from = reader->bad;
            reader->offset += i;
            reader->lost = 0;
            found->to = reader->offset;

            return B1C_RECORD_DAMAGE;
        }

        if (frame == B1C_FRAME_SHORT && !eof) {
            found->need = need;
            reader->offset += i;

            return B1C_RECORD_MORE;
        }
    }

    reader->offset += len;

    if (!eof) {
        found->need = B1C_RECORD_FRAME;
        return B1C_RECORD_MORE;
    }

    found->from = reader->bad;
    found->to = reader->offset;
    reader->lost = 0;

    return B1C_RECORD_TORN;
}


/* need: bytes of the whole record, or of the part with its length */
static b1c_frame_e
b1c_record_frame(const unsigned char *p, size_t len, size_t *need)
{
    size_t  size;

    size = len < 4 ? len : 4;

    if (memcmp(p, B1C_RECORD_MAGIC, size) != 0) {
        return B1C_FRAME_BAD;
    }

    *need = B1C_RECORD_FRAME;

    if (len < B1C_RECORD_FRAME) {
        return B1C_FRAME_SHORT;
    }

    size = b1c_record_get32(p + 4);

    if (size == 0 || size > B1C_RECORD_MAX) {
        return B1C_FRAME_BAD;
    }

    *need += size;

    if (len < *need) {
        return B1C_FRAME_SHORT;
    }

    if (crc32(0, p + B1C_RECORD_FRAME, (uInt) size)
        != b1c_record_get32(p + 8))
    {
        return B1C_FRAME_BAD;
    }

    return B1C_FRAME_WHOLE;
}


static void
b1c_record_put32(unsigned char *p, uint32_t n)
{
    p[0] = (unsigned char) n;
    p[1] = (unsigned char) (n >> 8);
    p[2] = (unsigned char) (n >> 16);
    p[3] = (unsigned char) (n >> 24);
}


static uint32_t
b1c_record_get32(const unsigned char *p)
{
    return p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
           | (uint32_t) p[3] << 24;
}


static int
b1c_record_hash(const char **hash, const char **p, const char *last)
{
    int          i;
    const char  *c;

    c = *p;

    if (last - c < B1C_RECORD_HASH) {
        return -1;
    }

    for (i = 0; i < B1C_RECORD_HASH; i++) {
        if (!((c[i] >= '0' && c[i] <= '9') || (c[i] >= 'a' && c[i] <= 'f'))) {
            return -1;
        }
    }

    *hash = c;
    *p = c + B1C_RECORD_HASH;

    return 0;
}

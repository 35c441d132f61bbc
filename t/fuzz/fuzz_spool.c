
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "fuzz.h"
#include "b1c_core.h"


/*
 * The first byte chooses in how large pieces the rest is read as records; then
 * an event is written between two parts of it, and must be found there.
 */


typedef struct {
    size_t      records;
    size_t      bytes;           /* of them */
    size_t      lost;
    size_t      ours;            /* records that are the one at "at" */
} fuzz_sum_t;


static fuzz_sum_t
fuzz_read(const uint8_t *data, size_t size, size_t step, size_t at)
{
    int                  eof;
    size_t               len, need, last;
    fuzz_sum_t           sum;
    b1c_record_event_t   ev;
    b1c_record_found_t   found;
    b1c_record_found_e   what;
    b1c_record_reader_t  reader;

    memset(&sum, 0, sizeof(fuzz_sum_t));
    memset(&reader, 0, sizeof(b1c_record_reader_t));

    need = step;

    for ( ;; ) {
        last = reader.offset;
        len = size - last;
        eof = (len <= need);
        len = eof ? len : need;

        what = b1c_record_next(&reader, data + last, len, eof, &found);

        fuzz_check(reader.offset >= last && reader.offset <= last + len);

        if (what == B1C_RECORD_END) {
            fuzz_check(reader.offset == size);
            return sum;
        }

        if (what == B1C_RECORD_MORE) {
            fuzz_check(!eof);
            fuzz_check(found.need > len || reader.offset > last);
            need = found.need > step ? found.need : step;
            continue;
        }

        if (what == B1C_RECORD_RECORD) {
            fuzz_check(found.len > 0);
            fuzz_check(found.payload + found.len == data + reader.offset);
            fuzz_check(reader.offset == last + B1C_RECORD_FRAME + found.len);

            (void) b1c_record_event(&ev, found.payload, found.len);

            sum.records++;
            sum.bytes += reader.offset - last;
            sum.ours += (last == at);
            need = step;
            continue;
        }

        fuzz_check(found.to > found.from && found.to == reader.offset);
        fuzz_check(what == B1C_RECORD_DAMAGE || reader.offset == size);
        sum.lost += (size_t) (found.to - found.from);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t              half, len;
    uint8_t            *p, *whole;
    uint64_t            progress;
    fuzz_sum_t          once, again;
    b1c_record_event_t  ev;

    if (size == 0) {
        return 0;
    }

    len = 1 + data[0];
    data++;
    size--;

    (void) b1c_record_file(data, size < 32 ? size : 32, &progress);

    if (b1c_record_event(&ev, data, size) == 0) {
        fuzz_check(ev.len <= size);
        fuzz_check(b1c_record_size(&ev) == size + B1C_RECORD_FRAME);
    }

    once = fuzz_read(data, size, SIZE_MAX, SIZE_MAX);
    again = fuzz_read(data, size, len, SIZE_MAX);

    fuzz_check(once.bytes + once.lost == size);
    fuzz_check(once.records == again.records && once.lost == again.lost);

    /* what stands before it is no beginning of a record that reaches into it */

    ev.id = ev.key = ev.lane = "0123456789abcdef0123456789abcdef";
    ev.since = "17";
    ev.since_len = 2;
    ev.record = (const char *) data;
    ev.len = size;
    ev.once = 1;
    ev.again = 0;

    half = size / 2;
    whole = malloc(half + b1c_record_size(&ev) + size - half);
    fuzz_check(whole != NULL);

    memcpy(whole, data, half);
    p = b1c_record_put(whole + half, &ev);
    fuzz_check(p == whole + half + b1c_record_size(&ev));
    memcpy(p, data + half, size - half);

    again = fuzz_read(whole, (size_t) (p - whole) + size - half, len, half);
    fuzz_check(again.ours == 1 || again.bytes > b1c_record_size(&ev));

    free(whole);

    return 0;
}

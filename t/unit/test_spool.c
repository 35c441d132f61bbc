
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"
#include "b1c_core.h"


#define ID    "0123456789abcdef0123456789abcdef"
#define KEY   "1123456789abcdef0123456789abcdef"
#define LANE  "2123456789abcdef0123456789abcdef"


static unsigned char  file[1 << 16];
static size_t         size;


static void
append(const char *record)
{
    b1c_record_event_t  ev;

    ev.id = ID;
    ev.key = KEY;
    ev.lane = LANE;
    ev.since = "1711111111000";
    ev.since_len = 13;
    ev.record = record;
    ev.len = strlen(record);
    ev.once = 1;
    ev.again = 0;

    size = (size_t) (b1c_record_put(file + size, &ev) - file);
}


static void
garbage(const void *bytes, size_t len)
{
    memcpy(file + size, bytes, len);
    size += len;
}


/*
 * What is found, read in pieces of step bytes: "a b" are records, "[3]" three
 * bytes of damage, "{3}" three that are torn.
 */

static char *
found(size_t step)
{
    int                  eof;
    char                *p;
    size_t               len, need;
    b1c_record_event_t   ev;
    b1c_record_found_t   f;
    b1c_record_reader_t  reader;

    static char  text[4096];

    memset(&reader, 0, sizeof(b1c_record_reader_t));

    p = text;
    need = step;

    for ( ;; ) {
        len = size - reader.offset;
        eof = (len <= need);
        len = eof ? len : need;

        switch (b1c_record_next(&reader, file + reader.offset, len, eof, &f)) {
        case B1C_RECORD_RECORD:
            if (b1c_record_event(&ev, f.payload, f.len) == 0) {
                p += sprintf(p, "%.*s ", (int) ev.len, ev.record);
            } else {
                p += sprintf(p, "? ");
            }

            need = step;
            break;

        case B1C_RECORD_MORE:
            need = f.need > need ? f.need : need + 1;
            break;

        case B1C_RECORD_DAMAGE:
            p += sprintf(p, "[%d] ", (int) (f.to - f.from));
            break;

        case B1C_RECORD_TORN:
            p += sprintf(p, "{%d} ", (int) (f.to - f.from));
            break;

        default:
            *p = '\0';
            return text;
        }
    }
}


static void
finds(const char *what, const char *name)
{
    size_t  i;

    static const size_t  steps[] = { 1, 3, 12, 100, 1 << 20 };

    for (i = 0; i < countof(steps); i++) {
        is(found(steps[i]), what, name);
    }
}


static void
test_event(void)
{
    size_t              i;
    unsigned char       flags[256];
    b1c_record_event_t  ev, back;

    static const char *const  bad[] = {
        "", "1", "1 ", "1 " ID, "1 " ID " 1 17 " KEY " " LANE,
        "2 " ID " 1 17 " KEY " " LANE "\n", "1 " ID " / 17 " KEY " " LANE "\n",
        "1 " ID " 1  " KEY " " LANE "\n", "1 " ID " 1 x " KEY " " LANE "\n",
        "1 " ID " 4 17 " KEY " " LANE "\n",
        "1 " ID " 1 17 " KEY "  " LANE "\n", "1 " ID " 1 17 " KEY " " LANE "x",
        "1 " ID " 1 -17 " KEY " " LANE "\n", "1 A" ID " 1 1 " KEY " " LANE "\n",
        "1 " ID " 1 123456789012345678901 " KEY " " LANE "\n"
    };

    size = 0;
    append("b1 0 1\n/{}");
    num((long long) size, B1C_RECORD_FRAME + 3 * 32 + 8 + 13 + 10,
        "as many bytes as are needed");

    num(b1c_record_event(&ev, file + B1C_RECORD_FRAME,
                         size - B1C_RECORD_FRAME),
        0, "an event is read");
    num((long long) b1c_record_size(&ev), (long long) size,
        "as many as were told");
    ok(memcmp(ev.id, ID, 32) == 0, "its id");
    ok(memcmp(ev.key, KEY, 32) == 0, "its key");
    ok(memcmp(ev.lane, LANE, 32) == 0, "its lane");
    num(ev.once, 1, "whether it is a once event");
    ok(ev.since_len == 13 && memcmp(ev.since, "1711111111000", 13) == 0,
       "since when");
    ok(ev.len == 10 && memcmp(ev.record, "b1 0 1\n/{}", 10) == 0,
       "its record");

    for (i = 0; i < 4; i++) {
        ev.once = (int) i & 1;
        ev.again = (int) i >> 1;
        (void) b1c_record_put(flags, &ev);
        (void) b1c_record_event(&back, flags + B1C_RECORD_FRAME,
                                size - B1C_RECORD_FRAME);
        num(back.once, ev.once, "its flags: once");
        num(back.again, ev.again, "its flags: again");
    }

    for (i = 0; i < countof(bad); i++) {
        num(b1c_record_event(&ev, (const unsigned char *) bad[i],
                             strlen(bad[i])),
            -1, bad[i]);
    }

    ev.len = B1C_RECORD_MAX;
    num((long long) b1c_record_size(&ev), 0, "too large");
}


static void
test_file(void)
{
    size_t         i;
    uint64_t       progress;
    unsigned char  header[B1C_RECORD_HEADER];

    b1c_record_header(header);
    num(b1c_record_file(header, sizeof(header), &progress),
        B1C_RECORD_GOOD, "a header");
    num((long long) progress, B1C_RECORD_HEADER, "nothing is replayed yet");

    b1c_record_progress(header + B1C_RECORD_PROGRESS, 0x123456789aULL);
    num(b1c_record_file(header, sizeof(header), &progress),
        B1C_RECORD_GOOD, "a header with a progress");
    num((long long) progress, 0x123456789aLL, "the progress");

    for (i = 0; i < sizeof(header); i++) {
        num(b1c_record_file(header, i, &progress), B1C_RECORD_SHORT,
            "a part of a header");
    }

    header[10] = '2';
    num(b1c_record_file(header, sizeof(header), &progress),
        B1C_RECORD_OTHER, "the next version");
    header[10] = '1';
    header[11] = '0';
    num(b1c_record_file(header, sizeof(header), &progress),
        B1C_RECORD_OTHER, "version 10");
    num(b1c_record_file((const unsigned char *) "b2", 2, &progress),
        B1C_RECORD_FOREIGN, "two other bytes");
    num(b1c_record_file((const unsigned char *) "{\"a\":1}", 7, &progress),
        B1C_RECORD_FOREIGN, "another text");
}


static void
test_records(void)
{
    size_t  whole, part;

    size = 0;
    finds("", "no record");

    append("a");
    append("bb");
    append("ccc");
    finds("a bb ccc ", "records");

    whole = size;
    append("dddd");

    for (part = whole + 1; part < size; part++) {
        size = part;
        finds(part - whole == 1 ? "a bb ccc {1} "
              : part - whole == 20 ? "a bb ccc {20} " : found(7),
              "a torn tail");
    }

    size = whole + 20;
    append("e");
    append("f");
    finds("a bb ccc [20] e f ", "a torn record in the middle");

    size = 0;
    append("a");
    garbage("\xb1\x5c\xff\x0a\xff\xff\xff\x02", 8);
    append("b");
    finds("a [8] b ", "a length that is not true");

    size = 0;
    append("a");
    append("b");
    append("c");
    file[size / 3 + 50] ^= 1;
    finds("a [130] c ", "a record that was changed");
    file[size / 3 + 50] ^= 1;
    finds("a b c ", "and changed back");

    file[50] ^= 1;
    finds("[130] b c ", "the first record");
    file[50] ^= 1;
    file[size - 1] ^= 1;
    finds("a b {130} ", "the last record");

    size = 0;
    append("a");
    memset(file + size, 0, 4096);
    size += 4096;
    finds("a {4096} ", "zeros that a power cut has left");
    append("b");
    finds("a [4096] b ", "and what was written behind them");

    size = 0;
    garbage("\xb1\x5c\xff\x0a\0\0\0\0\0\0\0\0", 12);
    append("a");
    finds("[12] a ", "a record without a payload is none");

    size = 0;
    garbage("\xb1\xb1\xb1\x5c\xb1\x5c\xff", 7);
    append("a");
    garbage("\xb1", 1);
    finds("[7] a {1} ", "parts of what records begin with");
}


int
main(void)
{
    test_event();
    test_file();
    test_records();

    return tap_done();
}

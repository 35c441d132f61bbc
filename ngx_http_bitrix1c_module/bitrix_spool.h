
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#ifndef _BITRIX_SPOOL_H_INCLUDED_
#define _BITRIX_SPOOL_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/*
 * The pure core: what the bytes of a spool's file mean.  A file is a header and
 * records, a record is
 *
 *     magic     4 bytes, not valid in UTF-8, so that no payload has them
 *     length    4 bytes, of the payload, the least first
 *     CRC32     4 bytes, of the payload, likewise
 *     payload   "1 id flags since key lane\n" and the event's record; the flags
 *               are the sum of 1, once, and 2, again
 *
 * Processes append whole records to a file that they share; one that is killed
 * may leave a part of a record in the middle of it.
 */


#define BITRIX_SPOOL_VERSION   1

/* bytes of a file's header; where in it the progress stands, and a byte that is
 * not 0 if damage was found */
#define BITRIX_SPOOL_HEADER    32
#define BITRIX_SPOOL_PROGRESS  16
#define BITRIX_SPOOL_MARK      24

/* bytes before a payload, and of the largest one */
#define BITRIX_SPOOL_FRAME     12
#define BITRIX_SPOOL_MAX       (64 * 1024 * 1024)

/* hex digits of an id, a key or a lane */
#define BITRIX_SPOOL_HASH      32


typedef enum {
    BITRIX_SPOOL_GOOD = 0,
    BITRIX_SPOOL_SHORT,          /* the beginning of a header, or nothing */
    BITRIX_SPOOL_FOREIGN,        /* no file of a spool */
    BITRIX_SPOOL_OTHER           /* of another version */
} bitrix_spool_file_e;


typedef enum {
    BITRIX_SPOOL_RECORD = 0,     /* payload and len are set */
    BITRIX_SPOOL_MORE,           /* at least need bytes are due */
    BITRIX_SPOOL_DAMAGE,         /* from ... to is lost, a record follows */
    BITRIX_SPOOL_TORN,           /* the same, and nothing follows */
    BITRIX_SPOOL_END
} bitrix_spool_found_e;


typedef struct {
    uint64_t              offset;    /* of the next byte to look at */
    uint64_t              bad;       /* where damage began, if lost */
    int                   lost;
} bitrix_spool_reader_t;


typedef struct {
    const unsigned char  *payload;
    size_t                len;
    size_t                need;
    uint64_t              from;      /* offsets in the file */
    uint64_t              to;
} bitrix_spool_found_t;


/* what accept needs of an event; the strings are not terminated */
typedef struct {
    const char           *id;        /* BITRIX_SPOOL_HASH each */
    const char           *key;
    const char           *lane;
    const char           *since;     /* a number, ms */
    size_t                since_len;
    const char           *record;
    size_t                len;
    int                   once;
    int                   again;     /* it may have been accepted before */
} bitrix_spool_event_t;


/*
 * The header of a new file.  The progress is the offset up to which its records
 * need no replay.
 */
void bitrix_spool_header(unsigned char header[BITRIX_SPOOL_HEADER]);
void bitrix_spool_progress(unsigned char progress[8], uint64_t offset);

/* what the first len bytes of a file say; progress is set if GOOD */
bitrix_spool_file_e bitrix_spool_file(const unsigned char *header, size_t len,
    uint64_t *progress);

/* bytes of the event's record with its frame; 0: it is too large */
size_t bitrix_spool_size(const bitrix_spool_event_t *ev);

/* writes them, returns where they end */
unsigned char *bitrix_spool_put(unsigned char *p,
    const bitrix_spool_event_t *ev);

/* 0: the payload is an event and ev points into it; -1: it is not */
int bitrix_spool_event(bitrix_spool_event_t *ev, const unsigned char *payload,
    size_t len);

/*
 * Looks at the len bytes at buf, which stand at reader->offset of the file, and
 * moves the offset on.  With eof nothing follows them.  After damage the next
 * whole record is looked for, wherever it begins; DAMAGE or TORN is told once
 * for all that was passed over.
 */
bitrix_spool_found_e bitrix_spool_next(bitrix_spool_reader_t *reader,
    const unsigned char *buf, size_t len, int eof,
    bitrix_spool_found_t *found);


#endif /* _BITRIX_SPOOL_H_INCLUDED_ */

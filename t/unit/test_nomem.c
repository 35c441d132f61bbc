
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include "tap.h"


/*
 * Lets every single allocation fail, one after the other, and counts that all
 * memory was given back each time.  Sanitizers have allocators of their own.
 */

#if defined(__SANITIZE_ADDRESS__)
#define TEST_SANITIZED  1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_SANITIZED  1
#endif
#endif


#ifdef TEST_SANITIZED

int
main(void)
{
    printf("1..0 # SKIP the sanitizer has its own malloc()\n");

    return 0;
}

#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);


static long  countdown = -1;
static long  live;


static int
fails(void)
{
    return countdown >= 0 && countdown-- == 0;
}


void *
malloc(size_t size)
{
    if (fails()) {
        return NULL;
    }

    live++;

    return __libc_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    if (fails()) {
        return NULL;
    }

    live++;

    return __libc_calloc(n, size);
}


void *
realloc(void *p, size_t size)
{
    if (fails()) {
        return NULL;
    }

    live += (p == NULL);

    return __libc_realloc(p, size);
}


void
free(void *p)
{
    live -= (p != NULL);

    __libc_free(p);
}


/* a body all the way to 1C's JSON and back */

static b1c_rc_t
whole_way(const b1c_input_t *input)
{
    char          *text;
    size_t         len;
    b1c_rc_t       rc;
    b1c_event_t    ev;
    b1c_error_t    err;
    b1c_message_t  msg;

    rc = b1c_message_parse(&msg, input, &tap_limits, &err);

    if (rc != B1C_OK) {
        return rc;
    }

    rc = b1c_event_build(&ev, &msg, &err);
    b1c_message_free(&msg);

    if (rc != B1C_OK) {
        return rc;
    }

    text = b1c_event_json(&ev, 1, &len);
    b1c_event_free(&ev);

    if (text == NULL) {
        return B1C_NOMEM;
    }

    rc = b1c_event_from_json(&ev, text, len);
    free(text);

    if (rc == B1C_OK) {
        b1c_event_free(&ev);
    }

    return rc;
}


static void
test_nomem(b1c_type_t type, const char *body, const char *args,
    const char *charset, const char *name)
{
    long         n, before;
    long         wrong, leaked;
    b1c_rc_t     rc;
    b1c_input_t  input;

    memset(&input, 0, sizeof(b1c_input_t));

    input.type = type;
    input.body = body;
    input.len = strlen(body);
    input.args = args;
    input.args_len = args ? strlen(args) : 0;
    input.charset = charset;
    input.event_token = 1;

    /* iconv keeps what it loads for a charset */

    whole_way(&input);

    before = live;
    wrong = 0;
    leaked = 0;

    for (n = 0; n < 10000; n++) {

        countdown = n;
        rc = whole_way(&input);

        if (countdown >= 0) {
            break;
        }

        /* iconv_open() calls some of its own failures EINVAL */

        wrong += (rc != B1C_NOMEM && charset == NULL);
        leaked += (live != before);
    }

    countdown = -1;

    num(rc, B1C_OK, name);
    ok(n > 20, "has many allocations");
    num(wrong, 0, "each of which may fail");
    num(leaked, 0, "and leave nothing behind");
    num(live, before, "as does success");
}


/* a call at the door */

static void
test_door(const char *args, const char *type, const char *body, int batch)
{
    long           n, before, wrong, leaked;
    b1c_door_t     door;
    b1c_error_t    err;
    b1c_door_rc_t  rc;

    before = live;
    wrong = 0;
    leaked = 0;

    for (n = 0; n < 10000; n++) {
        memset(&door, 0, sizeof(b1c_door_t));

        door.in_args = args;
        door.in_args_len = strlen(args);
        door.in_type = type;
        door.in_type_len = strlen(type);
        door.in_body = body;
        door.in_len = strlen(body);
        door.post = 1;
        door.batch = batch;

        countdown = n;
        rc = b1c_door_read(&door, &err);
        b1c_door_free(&door);

        leaked += (live != before);

        if (countdown >= 0) {
            break;
        }

        wrong += (rc != B1C_DOOR_NOMEM);
    }

    countdown = -1;

    num(rc, B1C_DOOR_OK, type);
    ok(n > 5, "has many allocations");
    num(wrong, 0, "each of which may fail");
    num(leaked, 0, "and leave nothing behind");
}


int
main(void)
{
    char   *body, *p;
    size_t  i;

    setvbuf(stdout, NULL, _IONBF, 0);

    test_nomem(B1C_FORM, "event=ONSALEORDERNEW&data[FIELDS][ID]=123&ts=5"
               "&data[L][1]=a&data[L][0]=b&data[N][]=c&data[client_id]=d"
               "&auth[domain]=d&auth[application_token]=t", NULL, NULL,
               "a form");

    test_nomem(B1C_JSON, "{\"event\":\"ONX\",\"data\":{\"ID\":5,\"a\":[1.5,"
               "1e5,null,true,false,{\"b\":\"c\",\"client_id\":{}}]},"
               "\"auth\":{\"domain\":\"d\"}}", NULL, NULL, "JSON");

    test_nomem(B1C_FORM, "document_id[]=a&document_id[]=b&document_id[]=c"
               "&ts=1&x[y]=z", "x=1&y[]=2&z=3", NULL, "a robot");

    test_nomem(B1C_FORM, "document_id[0]=crm&document_id[1]=D"
               "&document_id[2]=DYNAMIC_147_1&event_token=t|a", "x=1&x=2&y[a]=3"
               "&y=4&z[]=5&z[][b]=6&c.d=%zz&e[f=g", NULL, "a robot's address");

    test_nomem(B1C_FORM, "code=c&message_id=5&message_body=b",
               "x=%C0%ED%ED%E0&%98=\xc0", "windows-1251", "a message");

    test_nomem(B1C_JSON, "{\"event\":\"ONTASKADD\",\"data[FIELDS_AFTER][ID]\""
               ":\"5\",\"l[1]\":1,\"l[0]\":2,\"auth[domain]\":\"d\"}", NULL,
               NULL, "brackets in JSON");

    test_nomem(B1C_FORM, "event=ONCRMADDRESSREGISTER&data[FIELDS][TYPE_ID]=1"
               "&data[FIELDS][ENTITY_ID]=2&data[FIELDS][ENTITY_TYPE_ID]=3"
               "&auth[domain]=d", NULL, NULL, "an id of three parts");

    test_nomem(B1C_FORM, "event=ONX&data[x]=\x88\x88\x88\x88\x88\x88\x88\x88"
               "\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88"
               "\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88"
               "\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88"
               "\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88",
               NULL, "windows-1251", "windows-1251");

    /* enough for the index of keys and for the text to grow */

    body = malloc(100 * 32);
    if (body == NULL) {
        abort();
    }

    p = stpcpy(body, "event=ONX");

    for (i = 0; i < 100; i++) {
        p += sprintf(p, "&data[k%zu]=0123456789", i);
    }

    test_nomem(B1C_FORM, body, NULL, NULL, "a long form");
    test_door("a=1&x[y]=2", B1C_DOOR_FORM_TYPE, body, 0);

    free(body);

    test_door("filter[>=A]=1&id=2", B1C_DOOR_JSON_TYPE,
              "\xef\xbb\xbf{\"id\":3,\"a\":[1,{\"b\":\"c\\u0001\"}]}", 0);
    test_door("", B1C_DOOR_JSON_TYPE, "[13,{\"TITLE\":\"x\"},[]]", 0);
    test_door("halt=0&x=1", B1C_DOOR_JSON_TYPE,
              "{\"CMD\":{\"a\":\"a.get?id=1#x\",\"b\":\"a.list\"}}", 1);
    test_door("", "multipart/form-data; boundary=b",
              "--b\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n3\r\n"
              "--b\r\nContent-Disposition: form-data; name=\"f\"; "
              "filename=\"a\"\r\n\r\nxyz\r\n--b--\r\n", 0);

    return tap_done();
}

#endif

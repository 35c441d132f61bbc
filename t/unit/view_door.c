
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 *
 * What the gateway reads in calls: takes requests on stdin, each a line "post
 * batch args type body" of numbers, the last three of bytes that follow it; and
 * prints for each a line, the parameters as JSON or "-" if it is refused.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "b1c_bitrix.h"


int
main(void)
{
    int          post, batch;
    char        *text;
    size_t       args, type, body, len;
    b1c_buf_t    buf;
    b1c_door_t   door;
    b1c_error_t  err;

    while (scanf("%d %d %zu %zu %zu", &post, &batch, &args, &type, &body)
           == 5)
    {
        (void) getchar();

        len = args + type + body;
        text = malloc(len + 1);

        if (text == NULL || fread(text, 1, len, stdin) != len) {
            return 1;
        }

        memset(&door, 0, sizeof(b1c_door_t));
        memset(&buf, 0, sizeof(b1c_buf_t));

        door.post = post;
        door.batch = batch;
        door.in_args = text;
        door.in_args_len = args;
        door.in_type = text + args;
        door.in_type_len = type;
        door.in_body = text + args + type;
        door.in_len = body;

        if (b1c_door_read(&door, &err) == B1C_DOOR_OK) {
            b1c_json_write_put_tree(&buf, door.params);
            b1c_json_write_put(&buf, "\n", 1);
            (void) fwrite(buf.start, 1, buf.len, stdout);

        } else {
            puts("-");
        }

        b1c_door_free(&door);
        free(buf.start);
        free(text);
    }

    return 0;
}

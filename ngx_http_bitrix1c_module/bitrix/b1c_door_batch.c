
/*
 * Copyright (C) the ngx_http_bitrix1c_module authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "b1c_bitrix.h"
#include "b1c_core.h"


static b1c_door_rc_t b1c_door_batch_command(cJSON *command, b1c_error_t *err);


/*
 * Bitrix takes "cmd" and "halt" in any case, of both the query string and the
 * body: the batch goes on as one object that holds nothing else.
 */
b1c_door_rc_t
b1c_door_batch_read(b1c_door_t *door, b1c_error_t *err)
{
    int             cmd, halt;
    cJSON          *child, *next, *command;
    const char     *name;
    b1c_door_rc_t   rc;

    cmd = 0;
    halt = 0;

    for (child = door->params->child; child; child = next) {
        next = child->next;
        name = strcasecmp(child->string, "cmd") == 0 ? "cmd"
               : strcasecmp(child->string, "halt") == 0 ? "halt" : NULL;

        if (name == NULL) {
            cJSON_Delete(cJSON_DetachItemViaPointer(door->params, child));
            continue;
        }

        if (name[0] == 'c' ? cmd++ : halt++) {
            return b1c_door_malformed(err, "cmd or halt of a batch is given "
                                      "in two spellings", 0);
        }

        strcpy(child->string, name);

        if (name[0] == 'h') {
            continue;
        }

        cJSON_ArrayForEach(command, child) {
            rc = b1c_door_batch_command(command, err);

            if (rc != B1C_DOOR_OK) {
                return rc;
            }
        }
    }

    door->query.npairs = 0;

    return b1c_door_write(door);
}


/*
 * Bitrix takes a command for an address: what would end it there is encoded,
 * and so is what it would replace by '_'.
 */
static b1c_door_rc_t
b1c_door_batch_command(cJSON *command, b1c_error_t *err)
{
    char           hex[4];
    size_t         len, method_len;
    b1c_buf_t      buf;
    const char    *p, *query, *method;

    if (!cJSON_IsString(command)) {
        return b1c_door_malformed(err, "a command of a batch is a string, "
                                  "method?query", 0);
    }

    query = strchr(command->valuestring, '?');
    len = query ? (size_t) (query - command->valuestring)
                : strlen(command->valuestring);

    if (b1c_method_method(command->valuestring, len, &method, &method_len)
        != NULL)
    {
        return b1c_door_malformed(err, "a command of the batch names no "
                                  "method, method?query is due", 0);
    }

    /* no suffix is cut from a command, and the check would cut it again */

    do {
        len = method_len;
    } while (b1c_method_method(method, len, &method, &method_len) == NULL
             && method_len < len);

    memset(&buf, 0, sizeof(b1c_buf_t));

    b1c_json_write_put(&buf, method, method_len);

    for (p = query; p && *p; p++) {

        if ((unsigned char) *p < 0x20 || *p == 0x7f || *p == '#') {
            (void) snprintf(hex, sizeof(hex), "%%%02X", (unsigned char) *p);
            b1c_json_write_put(&buf, hex, 3);

        } else {
            b1c_json_write_put(&buf, p, 1);
        }
    }

    b1c_json_write_put(&buf, "", 1);

    if (buf.failed) {
        free(buf.start);
        return B1C_DOOR_NOMEM;
    }

    cJSON_free(command->valuestring);
    command->valuestring = buf.start;

    return b1c_call_strip(command->valuestring)
           ? b1c_door_malformed(err, B1C_DOOR_TOKEN, 0) : B1C_DOOR_OK;
}

#!/bin/sh

# Copyright (C) the ngx_http_bitrix1c_module authors
#
# usage: embed.sh directory > header
#
# Turns the files of the dashboard into arrays of bytes.

set -eu

dir=${1:?usage: embed.sh directory}

cat << END

/* made from the files of page/ by page/embed.sh */


#ifndef _NGX_HTTP_BITRIX1C_PAGE_H_INCLUDED_
#define _NGX_HTTP_BITRIX1C_PAGE_H_INCLUDED_
END

for file in index.html app.js app.css; do
    test -s "$dir/$file" || {
        echo "$dir/$file is missing or empty" >&2
        exit 1
    }

    name=$(echo "$file" | tr . _)

    printf '\n\nstatic u_char  ngx_http_bitrix1c_%s[] = {\n' "$name"
    od -An -v -tx1 "$dir/$file" | sed 's/ \(..\)/0x\1,/g'
    printf '};\n'
done

cat << END


#endif /* _NGX_HTTP_BITRIX1C_PAGE_H_INCLUDED_ */
END

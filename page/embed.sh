#!/bin/sh

# Copyright (C) the ngx_http_bitrix1c_module authors
#
# usage: embed.sh directory > header
#
# Turns the files of the dashboard into arrays of bytes, and their names and
# types into NGX_B1C_PAGE, the elements of a table.  index.html is
# what stands at the location itself, under no name.

set -eu

dir=${1:?usage: embed.sh directory}
table=

cat << END

/* made from the files of page/ by page/embed.sh */


#ifndef _NGX_B1C_PAGE_H_INCLUDED_
#define _NGX_B1C_PAGE_H_INCLUDED_
END

for file in index.html "$dir"/*.css "$dir"/*.js; do
    file=$(basename "$file")

    test -s "$dir/$file" || {
        echo "$dir/$file is missing or empty" >&2
        exit 1
    }

    case $file in
        *.html) type=text/html name= ;;
        *.css)  type=text/css name=$file ;;
        *.js)   type=text/javascript name=$file ;;
    esac

    array=ngx_b1c_page_$(echo "$file" | tr .- __)
    table="$table \\
    { ngx_string(\"$name\"), \"$type; charset=utf-8\", \\
      $array, sizeof($array) },"

    printf '\n\nstatic u_char  %s[] = {\n' "$array"
    od -An -v -tx1 "$dir/$file" | sed 's/ \(..\)/0x\1,/g'
    printf '};\n'
done

cat << END


#define NGX_B1C_PAGE$table


#endif /* _NGX_B1C_PAGE_H_INCLUDED_ */
END

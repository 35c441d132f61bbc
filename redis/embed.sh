#!/bin/sh

# Copyright (C) the ngx_http_bitrix1c_module authors
#
# usage: embed.sh directory > header
#
# Turns every directory/NAME.lua into a C string NGX_B1C_LUA_NAME.
# Comments, indentation and empty lines are left out: the text is what Redis
# hashes, keeps and gets again after every SCRIPT FLUSH.  Long brackets are
# refused, because a line of them could look like a comment.
#
# A line "-- @include lib/NAME.lua" stands for the text of that file, for code
# that several scripts share.  An included file includes no other.

set -eu

dir=${1:?usage: embed.sh directory}

cat << END

/* made from the Lua scripts of redis/ by redis/embed.sh */


#ifndef _NGX_B1C_LUA_H_INCLUDED_
#define _NGX_B1C_LUA_H_INCLUDED_
END

for lua in "$dir"/*.lua; do
    test -e "$lua" || continue

    name=$(basename "$lua" .lua | tr 'a-z-' 'A-Z_')

    LC_ALL=C awk -v dir="$dir" -v file="$lua" \
        -v name="NGX_B1C_LUA_$name" '

    function die(what) {
        print where ":" number ": " what > "/dev/stderr"
        failed = 1
        exit 1
    }

    # the line without its comment; a string cannot go on in the next line

    function code(line,    i, c, quote) {
        quote = ""

        for (i = 1; i <= length(line); i++) {
            c = substr(line, i, 1)

            if (quote != "") {
                if (c == "\\") {
                    i++

                } else if (c == quote) {
                    quote = ""
                }

                continue
            }

            if (c == "\"" || c == "\047") {
                quote = c
                continue
            }

            if (substr(line, i) ~ /^(--)?\[=*\[/) {
                die("long brackets cannot be embedded")
            }

            if (substr(line, i, 2) == "--") {
                return substr(line, 1, i - 1)
            }
        }

        if (quote != "") {
            die("a string does not end in its line")
        }

        return line
    }

    function embed(line) {
        line = code(line)
        gsub(/^[ \t\r]+|[ \t\r]+$/, "", line)

        if (line == "") {
            return
        }

        gsub(/\\/, "&&", line)
        gsub(/"/, "\\\\&", line)

        printf "%s\n    \"%s\\n\"", " \\", line
        lines++
    }

    function include(path,    line, got) {
        where = path

        while ((got = (getline line < path)) > 0) {
            number++

            if (line ~ /^-- @include /) {
                die("an included file cannot include another")
            }

            embed(line)
        }

        if (got < 0) {
            die("cannot be read, it is included by " file)
        }

        close(path)
    }

    BEGIN {
        printf "\n\n#define %s", name
    }

    {
        number = 0

        if ($1 == "--" && $2 == "@include") {
            include(dir "/" $3)

        } else {
            where = file
            number = NR
            embed($0)
        }
    }

    END {
        if (failed) {
            exit 1
        }

        if (lines == 0) {
            die("no code in it")
        }

        print ""
    }' "$lua"
done

cat << END


#endif /* _NGX_B1C_LUA_H_INCLUDED_ */
END

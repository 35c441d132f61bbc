#!/bin/sh

# Copyright (C) the ngx_http_bitrix1c_module authors
#
# usage: embed.sh events.tsv > header
#
# Turns the table of events into a C array, sorted by name for a binary search.
# Its head says what the columns mean; a line that does not fit is refused.

set -eu

table=${1:?usage: embed.sh events.tsv}

cat << END

/* made from the table of events by events/embed.sh */


#ifndef _B1C_EVENTS_H_INCLUDED_
#define _B1C_EVENTS_H_INCLUDED_


static const b1c_known_t  b1c_known_events[] = {
END

LC_ALL=C awk -F '\t' -v file="$table" '

function die(what) {
    print file ":" NR ": " what > "/dev/stderr"
    failed = 1
    exit 1
}

BEGIN {
    kind["state"] = "B1C_STATE"
    kind["once"] = "B1C_ONCE"
    kind["form"] = "B1C_FORM_ANSWER"
}

/^#/ || /^$/ { next }

{
    if (NF != 6) {
        die("six columns with a TAB between them are expected")
    }

    if ($1 !~ /^[A-Z0-9_.]+$/ || "" $1 <= "" last) {
        die("the event \"" $1 "\" is no name, or not behind the one before")
    }

    if ($3 !~ /^[A-Za-z0-9_.|+]+$/ && $3 != "-") {
        die("\"" $3 "\" is no path to an id")
    }

    if (!($4 in kind)) {
        die("the kind \"" $4 "\" is not state, once or form")
    }

    if ($5 !~ /^([A-Za-z0-9_]+|-)$/) {
        die("\"" $5 "\" is no member of data")
    }

    if ($3 == "-" && $6 == "-") {
        die("a note is expected: why has \"" $1 "\" no id?")
    }

    printf "    { \"%s\",\n      %s, %s, %s },\n", $1,
        $3 == "-" ? "NULL" : "\"" $3 "\"", kind[$4],
        $5 == "-" ? "NULL" : "\"" $5 "\""

    last = $1
}

END {
    if (failed) {
        exit 1
    }

    if (last == "") {
        die("it has no events")
    }
}
' "$table"

cat << END
};


#endif /* _B1C_EVENTS_H_INCLUDED_ */
END

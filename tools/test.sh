#!/bin/sh

# Copyright (C) the ngx_http_bitrix1c_module authors
#
# usage: test.sh test ...
#
# Runs the tests by "prove".  The tests of t/ run in two lanes, one test at a time
# in each: most of their time is waiting, but they measure times, and more tests
# at once would delay them.  The first lane has the areas in LANE, the second one
# all others; no test needs another to run before it, so the areas only balance
# the lanes.  The real Test::Nginx is used if perl finds it.
#
# environment: TMPDIR; BUILD, NGINX_BINARY, MODULE as set by the Makefile;
# whatever the tests themselves know is passed through

set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"

TEST_NGINX_BINARY=$NGINX_BINARY
TEST_NGINX_LOAD_MODULES=$MODULE
export TEST_NGINX_BINARY TEST_NGINX_LOAD_MODULES

compat=
perl -MTest::Nginx::Socket -e 1 2> /dev/null || compat=-It/compat/lib

# What the tests kill are processes, never the disk; a disk that is busy with
# something else would only make Redis late.  In kB.

if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ]; then
    space=$(df -kP /dev/shm | awk 'NR == 2 { print $4 }')

    if [ "$space" -ge 2000000 ]; then
        TMPDIR=/dev/shm
        export TMPDIR
    fi
fi

# a process that nobody waits for any more can only report into a file, and
# one without rights must be able to

reports=
if [ "$BUILD" = sanitize ]; then
    reports=$(mktemp -d)
    chmod 1777 "$reports"

    ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}log_path=$reports/report
    UBSAN_OPTIONS=${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}log_path=$reports/report
    export ASAN_OPTIONS UBSAN_OPTIONS
fi

LANE=api,delivery,queue,spool
status=0

# shellcheck disable=SC2086
prove --timer -j 8 --rules "seq=t/{$LANE}-*" --rules 'seq=t/*' \
    --rules 'par=**' \
    $compat -It/lib "$@" || status=$?

if [ -n "$reports" ]; then
    for report in "$reports"/*; do
        test -e "$report" || continue
        cat "$report" >&2
        status=1
    done

    rm -rf "$reports"
fi

exit $status

#!/bin/sh

# Copyright (C) the ngx_http_bitrix1c_module authors
#
# Called by the name of a fuzzer, build/fuzz/NAME.sh, it runs the program
# build/fuzz/NAME beside it for FUZZ_TIME seconds, as a test that "prove" can
# run.  The corpus of the sources is where it starts from; what it finds is
# kept in build/, so that the next run goes on from there.

set -u

dir=$(cd "$(dirname "$0")" && pwd)
name=$(basename "$0" .sh)
seeds=$dir/../../t/fuzz/corpus/${name#fuzz_}
log=$dir/$name.log
seconds=${FUZZ_TIME:-60}

mkdir -p "$dir/corpus/$name" "$dir/crashes"

echo 1..1

# what else runs has timings to keep

nice -n 19 "$dir/$name" -max_total_time="$seconds" -timeout=10 \
    -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$dir/crashes/$name-" \
    "$dir/corpus/$name" "$seeds" > "$log" 2>&1
status=$?

runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")

if [ $status = 0 ] && [ "${runs:-0}" -gt 0 ]; then
    echo "ok 1 - $name, $runs runs in $seconds s"

else
    echo "not ok 1 - $name, see $log and $dir/crashes"
    tail -n 50 "$log" | sed 's/^/# /' >&2
fi

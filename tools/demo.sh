#!/bin/sh

# Copyright (C) the ngx_http_bitrix1c_module authors
#
# usage: demo.sh demo|run
#
# Starts a private Redis, stand-ins of 1C and of Bitrix, and nginx with the
# module; posts an order as Bitrix does and shows what 1C received; calls Bitrix
# as 1C does and shows the answers.  "demo" then stops, and is successful only
# if the order arrived and the calls were answered; "run" shows deliveries and
# calls until Ctrl-C.
#
# environment: DIR, PORT, ONEC_PORT, PORTAL_PORT, NGINX_BINARY, MODULE as set by
# the Makefile

set -eu

case "${1:-}" in
    demo | run) ;;
    *) echo "usage: demo.sh demo|run" >&2; exit 1 ;;
esac

top=$(cd "$(dirname "$0")/.." && pwd)
token=51856fefc120afa4b628cc82d3935cce
body=$top/t/fixtures/webhooks/sale-order-saved.docs.form
url=http://127.0.0.1:$PORT/bitrix/orders
rest=http://127.0.0.1:$PORT/bitrix
key=x7k2mq9dn3s8f1aa
pids=


fail() {
    echo "$*" >&2
    exit 1
}


is_free() {
    perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new(Listen => 1,
        LocalAddr => "127.0.0.1", LocalPort => $ARGV[0], ReuseAddr => 1)' "$1"
}


# until COMMAND succeeds, for ten seconds

wait_for() {
    tries=100

    until "$@" > /dev/null 2>&1; do
        tries=$((tries - 1))
        test $tries -gt 0 || return 1
        sleep 0.1
    done
}


# in its own session a process does not get Ctrl-C: this script stops them all

start() {
    setsid "$@" &
    pids="$! $pids"
}


stop() {
    signal=$1
    pid=$2

    kill -s "$signal" "$pid" 2> /dev/null || return 0

    tries=50
    while kill -0 "$pid" 2> /dev/null; do
        tries=$((tries - 1))

        if [ $tries = 0 ]; then
            kill -KILL "$pid" 2> /dev/null || true
            return 0
        fi

        sleep 0.1
    done
}


all_run() {
    for pid in $pids; do
        kill -0 "$pid" 2> /dev/null || return 1
    done
}


clean_up() {
    status=$?
    trap '' INT TERM HUP
    trap - EXIT

    # nginx was started last and is stopped first: it may still need the others

    for pid in $pids; do
        stop TERM "$pid"
    done

    wait
    exit $status
}


prepare_dir() {
    mkdir -p "$DIR"
    DIR=$(cd "$DIR" && pwd)

    if [ ! -e "$DIR/.bitrix1c" ] && [ -n "$(ls -A "$DIR")" ]; then
        fail "$DIR is not empty and was not made by this script;" \
             "choose another DIR="
    fi

    if [ ${#DIR} -gt 90 ]; then
        fail "$DIR is too long for the path of a Unix socket;" \
             "choose another DIR="
    fi

    touch "$DIR/.bitrix1c"
    rm -rf "${DIR:?}"/*
    mkdir "$DIR/temp"
}


start_all() {
    sed -e "s|^dir .*|dir $DIR|" -e "s|^logfile .*|logfile $DIR/redis.log|" \
        -e "s|^pidfile .*|pidfile $DIR/redis.pid|" \
        -e "s|^unixsocket .*|unixsocket $DIR/redis.sock|" \
        -e "s|^# aclfile .*|aclfile $DIR/users.acl|" \
        "$top/redis/redis.conf" > "$DIR/redis.conf"

    # a password of this run alone, for the user of the gateway

    od -An -N16 -tx1 /dev/urandom | tr -d ' ' > "$DIR/redis.password"
    chmod 600 "$DIR/redis.password"
    sed -e "s|^user b1c on|& >$(cat "$DIR/redis.password")|" \
        "$top/redis/users.acl" > "$DIR/users.acl"

    start redis-server "$DIR/redis.conf"

    start perl "$top/t/onec.pl" --listen "127.0.0.1:$ONEC_PORT" \
        --log "$DIR/onec.log" --print > "$DIR/onec.out" 2>&1

    start perl "$top/t/bitrix.pl" --listen "127.0.0.1:$PORTAL_PORT" \
        --key "$key" --log "$DIR/portal.log" --print > "$DIR/portal.out" 2>&1

    wait_for redis-cli -s "$DIR/redis.sock" ping \
        || fail "Redis did not start, see $DIR/redis.log"

    wait_for grep -q '^listening on' "$DIR/onec.out" \
        || fail "the stand-in of 1C did not start, see $DIR/onec.out"

    wait_for grep -q '^listening on' "$DIR/portal.out" \
        || fail "the stand-in of Bitrix did not start, see $DIR/portal.out"

    sed -e "s|@MODULE@|$MODULE|" -e "s|@DIR@|$DIR|" -e "s|@PORT@|$PORT|" \
        -e "s|@ONEC_PORT@|$ONEC_PORT|" -e "s|@TOKEN@|$token|" \
        -e "s|@PORTAL_PORT@|$PORTAL_PORT|" -e "s|@KEY@|$key|" \
        "$top/tools/demo.conf" > "$DIR/nginx.conf"

    # root's workers stay root, or they might not reach the folder

    user=
    test "$(id -u)" != 0 || user='user root;'

    start "$NGINX_BINARY" -p "$DIR" -c "$DIR/nginx.conf" -g "daemon off; $user"

    wait_for curl -sf "$url" || fail_with_log "nginx did not start"
}


fail_with_log() {
    echo "$*; the end of $DIR/error.log:" >&2
    tail -n 20 "$DIR/error.log" >&2 || true
    exit 1
}


post_order() {
    echo "an ONSALEORDERSAVED of Bitrix is posted to $url"
    echo

    curl -sS -A 'Bitrix24 Webhook Engine' --data-binary "@$body" "$url" \
        || fail_with_log "nginx did not answer"

    echo
    echo "1C received:"
    echo

    curl -sS "http://127.0.0.1:$ONEC_PORT/_standin/received?wait=1&timeout=10" \
        > "$DIR/received.json"

    perl "$top/tools/received.pl" ONSALEORDERSAVED < "$DIR/received.json" \
        || fail_with_log "the order did not arrive in 1C"

    echo
}


# shows the beginning of an answer and checks that it contains the text

call() {
    text=$1
    shift

    answer=$(curl -sS "$@") || fail_with_log "nginx did not answer"
    echo "    $(printf '%s' "$answer" | cut -c 1-200)"

    case $answer in
        *"$text"*) ;;
        *) fail_with_log "the expected answer contains '$text'" ;;
    esac
}


call_portal() {
    echo "1C calls Bitrix through the gateway, without its key:"
    echo

    echo "POST $rest/catalog.storeproduct.update"
    call '"amount":12' -d '{"productId":7,"storeId":1,"amount":12}' \
        -H 'Content-Type: application/json' \
        "$rest/catalog.storeproduct.update"

    echo "GET $rest/sale.order.list?filter[STATUS_ID]=N&..."
    call '"orders":[' -g "$rest/sale.order.list?filter[STATUS_ID]=N&filter[>=\
DATE_INSERT]=2024-03-01&select[]=ID"

    echo "POST $rest/sale.order.update"
    call '"statusId":"F"' -d '{"id":3,"fields":{"statusId":"F"}}' \
        -H 'Content-Type: application/json' "$rest/sale.order.update"

    echo
}


show_deliveries() {
    ts=$(date +%s)
    auth="auth[domain]=myshop.ru&auth[application_token]=$token"

    cat << END
The gateway runs until Ctrl-C; its files are in $DIR.
The dashboard is http://127.0.0.1:$PORT/bitrix1c/
Try, with any number for the order:

    curl -d 'event=ONSALEORDERSAVED&data[FIELDS][ID]=124&ts=$ts&$auth' $url

    curl -H 'Prefer: respond-async' -H 'Content-Type: application/json' \\
        -d '{"productId":7,"storeId":1,"amount":5}' \\
        $rest/catalog.storeproduct.update

Deliveries to 1C, and calls to Bitrix:
END

    tail -q -n +2 -f "$DIR/onec.out" "$DIR/portal.out" &
    pids="$! $pids"

    while all_run; do
        sleep 1
    done

    fail_with_log "a process has ended"
}


trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

for port in "$PORT" "$ONEC_PORT" "$PORTAL_PORT"; do
    is_free "$port" || fail "port $port of 127.0.0.1 is in use;" \
                        "choose others: make $1 PORT=8090" \
                        "ONEC_PORT=8091 PORTAL_PORT=8092"
done

prepare_dir
start_all
post_order
call_portal

if [ "$1" = run ]; then
    show_deliveries

else
    echo "the order arrived"
fi

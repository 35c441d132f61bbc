#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Mistakes in the configuration: nginx does not start, and its message names
# the directive, quotes the value and says what would be right.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(must_die => '');
    $block->set_value(suppress_stderr => '');
    $block->set_value(no_error_log => 'CONFIDENTIAL');
});

plan 'no_plan';
run_tests();

__DATA__

=== TEST 1: no such queue
--- location: bitrix1c_webhook others;
--- error_log
[emerg]
unknown queue "others" in "bitrix1c_webhook" directive in
no "bitrix1c_queue others { ... }" is in the http block


=== TEST 2: no queue at all
--- http_config
# no bitrix1c_queue
--- error_log
unknown queue "orders" in "bitrix1c_webhook" directive in


=== TEST 3: queue without Redis
--- http_config
bitrix1c_queue orders { concurrency 4; }
--- error_log
no "redis" in "bitrix1c_queue" "orders"


=== TEST 4: queue of no name
--- http_config
bitrix1c_queue "" { redis unix:/r; }
--- error_log
invalid name "" in "bitrix1c_queue" directive


=== TEST 5: queue of a bad name
--- http_config
bitrix1c_queue or:ders { redis unix:/r; }
--- error_log
invalid name "or:ders" in "bitrix1c_queue" directive
letters, digits


=== TEST 6: queue twice
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; }
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; }
--- error_log
duplicate "bitrix1c_queue" "orders"


=== TEST 7: queue that is not closed
--- http_config
bitrix1c_queue orders { redis unix:/r;
--- error_log
unexpected end of file, expecting "}"


=== TEST 8: queue in a server
--- config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; }
--- error_log
"bitrix1c_queue" directive is not allowed here


=== TEST 9: unknown word in a queue
--- queue
colour red;
--- error_log
unknown "colour" in "bitrix1c_queue" "orders"
redis, concurrency, retry


=== TEST 10: word without a value
--- queue
concurrency;
--- error_log
invalid number of arguments in "concurrency" of "bitrix1c_queue" "orders"


=== TEST 11: word with too many values
--- queue
window 1h 2h;
--- error_log
invalid number of arguments in "window" of "bitrix1c_queue" "orders"


=== TEST 12: concurrency 0
--- queue
concurrency 0;
--- error_log
invalid value "0" in "concurrency" of "bitrix1c_queue" "orders"
1 to 10000


=== TEST 13: concurrency -1
--- queue
concurrency -1;
--- error_log
invalid value "-1" in "concurrency" of "bitrix1c_queue" "orders"
1 to 10000


=== TEST 14: concurrency four
--- queue
concurrency four;
--- error_log
invalid value "four" in "concurrency" of "bitrix1c_queue" "orders"
1 to 10000


=== TEST 15: concurrency 10001
--- queue
concurrency 10001;
--- error_log
invalid value "10001" in "concurrency" of "bitrix1c_queue" "orders"
1 to 10000


=== TEST 16: concurrency 4x
--- queue
concurrency 4x;
--- error_log
invalid value "4x" in "concurrency" of "bitrix1c_queue" "orders"
1 to 10000


=== TEST 17: concurrency twice
--- queue
concurrency 4;
concurrency 5;
--- error_log
is duplicate


=== TEST 18: retry 0
--- queue
retry 5s 0;
--- error_log
invalid time "0" in "retry" of "bitrix1c_queue" "orders"
30s


=== TEST 19: retry -1s
--- queue
retry 5s -1s;
--- error_log
invalid time "-1s" in "retry" of "bitrix1c_queue" "orders"
30s


=== TEST 20: retry soon
--- queue
retry 5s soon;
--- error_log
invalid time "soon" in "retry" of "bitrix1c_queue" "orders"
30s


=== TEST 21: retry 31d
--- queue
retry 5s 31d;
--- error_log
invalid time "31d" in "retry" of "bitrix1c_queue" "orders"
30s


=== TEST 22: retry 5s,30s
--- queue
retry 5s 5s,30s;
--- error_log
invalid time "5s,30s" in "retry" of "bitrix1c_queue" "orders"
30s


=== TEST 23: retry twice
--- queue
retry 5s;
retry 6s;
--- error_log
is duplicate


=== TEST 24: window 0
--- queue
window 0;
--- error_log
invalid time "0" in "window" of "bitrix1c_queue"
24h


=== TEST 25: window long
--- queue
window long;
--- error_log
invalid time "long" in "window" of "bitrix1c_queue"
24h


=== TEST 26: margin of words
--- queue
margin wide;
--- error_log
invalid time "wide" in "margin" of "bitrix1c_queue"


=== TEST 27: Redis twice
--- queue
redis unix:/a;
redis unix:/b;
--- error_log
is duplicate


=== TEST 28: Redis of no path
--- queue
redis unix:;
--- error_log
invalid address "unix:" in "redis" of "bitrix1c_queue" "orders"
unix:path or host:port


=== TEST 29: Redis of a bad port
--- queue
redis 127.0.0.1:99999;
--- error_log
invalid address "127.0.0.1:99999" in "redis" of "bitrix1c_queue" "orders"
port


=== TEST 30: Redis of an unknown host
--- queue
redis no-such-host.invalid:6379;
--- error_log
"no-such-host.invalid:6379" in "redis" of "bitrix1c_queue" "orders"
host not found


=== TEST 31: Redis with db=one
--- queue
redis unix:/r db=one;
--- error_log
invalid parameter "db=one" in "redis" of "bitrix1c_queue"
db=number


=== TEST 32: Redis with db=-1
--- queue
redis unix:/r db=-1;
--- error_log
invalid parameter "db=-1" in "redis" of "bitrix1c_queue"
db=number


=== TEST 33: Redis with db=
--- queue
redis unix:/r db=;
--- error_log
invalid parameter "db=" in "redis" of "bitrix1c_queue"
db=number


=== TEST 34: Redis with timeout=0
--- queue
redis unix:/r timeout=0;
--- error_log
invalid parameter "timeout=0" in "redis" of "bitrix1c_queue"
db=number


=== TEST 35: Redis with timeout=soon
--- queue
redis unix:/r timeout=soon;
--- error_log
invalid parameter "timeout=soon" in "redis" of "bitrix1c_queue"
db=number


=== TEST 36: Redis with connect_timeout=x
--- queue
redis unix:/r connect_timeout=x;
--- error_log
invalid parameter "connect_timeout=x" in "redis" of "bitrix1c_queue"
db=number


=== TEST 37: Redis with user=
--- queue
redis unix:/r user=;
--- error_log
invalid parameter "user=" in "redis" of "bitrix1c_queue"
db=number


=== TEST 38: Redis with colour=red
--- queue
redis unix:/r colour=red;
--- error_log
invalid parameter "colour=red" in "redis" of "bitrix1c_queue"
db=number


=== TEST 39: Redis with password=CONFIDENT
--- queue
redis unix:/r password=CONFIDENT;
--- error_log
invalid parameter "password=CONFIDENT" in "redis" of "bitrix1c_queue"
db=number


=== TEST 40: Redis with db
--- queue
redis unix:/r db;
--- error_log
invalid parameter "db" in "redis" of "bitrix1c_queue"
db=number


=== TEST 41: Redis user without a password
--- queue
redis unix:/r user=b1c;
--- error_log
"user=b1c" without "password_file=" in "redis" of "bitrix1c_queue" "orders"


=== TEST 42: no file of the password
--- queue
redis unix:/r password_file=$TEST_NGINX_SERVER_ROOT/html/none;
--- error_log
failed for "password_file="
No such file
html/none


=== TEST 43: empty file of the password
--- user_files
>>> password

--- queue: redis unix:/r password_file=$TEST_NGINX_SERVER_ROOT/html/password;
--- error_log
no password in "
of "password_file="


=== TEST 44: password longer than can be
--- user_files eval
[["password", "CONFIDENTIAL" x 100]]
--- queue: redis unix:/r password_file=$TEST_NGINX_SERVER_ROOT/html/password;
--- error_log
no password in "
511 bytes


=== TEST 45: no token
--- config
location = /a { bitrix1c_webhook orders; proxy_pass http://127.0.0.1:1; }
--- error_log
no "bitrix1c_token" or "bitrix1c_token_file" for "bitrix1c_webhook" in
anybody could


=== TEST 46: no proxy_pass
--- config
location = /a { bitrix1c_webhook orders; bitrix1c_token abcdefgh; }
--- error_log
no "proxy_pass" in the location of "bitrix1c_webhook" in
where 1C is


=== TEST 47: webhook twice
--- location
bitrix1c_webhook orders;
bitrix1c_webhook orders;
--- error_log
"bitrix1c_webhook" directive is duplicate


=== TEST 48: webhook in a server
--- config
bitrix1c_webhook orders;
--- error_log
"bitrix1c_webhook" directive is not allowed here


=== TEST 49: events in a server
--- config
bitrix1c_events A;
--- error_log
"bitrix1c_events" directive is not allowed here


=== TEST 50: webhook of two queues
--- location
bitrix1c_webhook orders others;
--- error_log
invalid number of arguments in "bitrix1c_webhook" directive


=== TEST 51: events without a mask
--- location
bitrix1c_events;
--- error_log
invalid number of arguments in "bitrix1c_events" directive


=== TEST 52: mask with a space
--- location
bitrix1c_events "ON CRM";
--- error_log
invalid mask "ON CRM" in "bitrix1c_events" directive
ONCRMDEAL*


=== TEST 53: mask in Cyrillic
--- location
bitrix1c_once ОНСАЛЕ;
--- error_log
invalid mask "ОНСАЛЕ" in "bitrix1c_once" directive


=== TEST 54: empty mask
--- location
bitrix1c_events "";
--- error_log
invalid mask "" in "bitrix1c_events" directive


=== TEST 55: limits pairs=0
--- location
bitrix1c_limits pairs=0;
--- error_log
invalid parameter "pairs=0" in "bitrix1c_limits" directive
pairs=number


=== TEST 56: limits pairs=many
--- location
bitrix1c_limits pairs=many;
--- error_log
invalid parameter "pairs=many" in "bitrix1c_limits" directive
pairs=number


=== TEST 57: limits depth=0
--- location
bitrix1c_limits depth=0;
--- error_log
invalid parameter "depth=0" in "bitrix1c_limits" directive
pairs=number


=== TEST 58: limits depth=65
--- location
bitrix1c_limits depth=65;
--- error_log
invalid parameter "depth=65" in "bitrix1c_limits" directive
pairs=number


=== TEST 59: limits key=-1
--- location
bitrix1c_limits key=-1;
--- error_log
invalid parameter "key=-1" in "bitrix1c_limits" directive
pairs=number


=== TEST 60: limits pairs
--- location
bitrix1c_limits pairs;
--- error_log
invalid parameter "pairs" in "bitrix1c_limits" directive
pairs=number


=== TEST 61: limits colour=1
--- location
bitrix1c_limits colour=1;
--- error_log
invalid parameter "colour=1" in "bitrix1c_limits" directive
pairs=number


=== TEST 62: limits pairs=1000001
--- location
bitrix1c_limits pairs=1000001;
--- error_log
invalid parameter "pairs=1000001" in "bitrix1c_limits" directive
pairs=number


=== TEST 63: limits twice
--- location
bitrix1c_limits pairs=1 pairs=2;
--- error_log
"bitrix1c_limits" directive has a duplicate parameter


=== TEST 64: permanent 200
--- location
bitrix1c_permanent 400 200;
--- error_log
invalid code "200" in "bitrix1c_permanent" directive
300 to 599


=== TEST 65: permanent 299
--- location
bitrix1c_permanent 400 299;
--- error_log
invalid code "299" in "bitrix1c_permanent" directive
300 to 599


=== TEST 66: permanent 600
--- location
bitrix1c_permanent 400 600;
--- error_log
invalid code "600" in "bitrix1c_permanent" directive
300 to 599


=== TEST 67: permanent 4xx
--- location
bitrix1c_permanent 400 4xx;
--- error_log
invalid code "4xx" in "bitrix1c_permanent" directive
300 to 599


=== TEST 68: permanent -400
--- location
bitrix1c_permanent 400 -400;
--- error_log
invalid code "-400" in "bitrix1c_permanent" directive
300 to 599


=== TEST 69: permanent twice
--- location
bitrix1c_permanent 400;
bitrix1c_permanent 410;
--- error_log
"bitrix1c_permanent" directive is duplicate


=== TEST 70: unknown charset
--- location
bitrix1c_charset windows-1521;
--- error_log
unknown charset "windows-1521" in "bitrix1c_charset" directive
iconv


=== TEST 71: charset that is no superset of ASCII
--- location
bitrix1c_charset UTF-16;
--- error_log
"UTF-16" in "bitrix1c_charset" directive


=== TEST 72: charset twice
--- location
bitrix1c_charset koi8-r;
bitrix1c_charset koi8-r;
--- error_log
"bitrix1c_charset" directive is duplicate


=== TEST 73: skew of words
--- location
bitrix1c_skew little;
--- error_log
"bitrix1c_skew" directive invalid value


=== TEST 74: skew twice
--- location
bitrix1c_skew 1m;
bitrix1c_skew 1m;
--- error_log
"bitrix1c_skew" directive is duplicate


=== TEST 75: wait of words
--- location
bitrix1c_wait little;
--- error_log
"bitrix1c_wait" directive invalid value


=== TEST 76: key of an unknown variable
--- location
bitrix1c_key $no_such_variable;
--- error_log
unknown "no_such_variable" variable


=== TEST 77: key twice
--- location
bitrix1c_key a;
bitrix1c_key b;
--- error_log
"bitrix1c_key" directive is duplicate


=== TEST 78: misspelt directive
--- location
bitrix1c_event A;
--- error_log
unknown directive "bitrix1c_event"

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Mistakes in bitrix1c_queue.  nginx does not start, and its message names the
# directive, quotes the value and says what is expected.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

add_block_preprocessor(sub { $_[0]->set_value(must_die => '') });

plan 'no_plan';
run_tests();

__DATA__

=== TEST 1: no such queue
--- location: bitrix1c_webhook others;
--- error_log
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
no "redis" and no "sentinel" in "bitrix1c_queue" "orders"


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


=== TEST 7: queue in a server
--- config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; }
--- error_log
"bitrix1c_queue" directive is not allowed here


=== TEST 8: unknown word in a queue
--- queue
colour red;
--- error_log
unknown "colour" in "bitrix1c_queue" "orders"
expected redis, sentinel, spool, concurrency, retry


=== TEST 9: word without a value
--- queue
concurrency;
--- error_log
invalid number of arguments in "concurrency" of "bitrix1c_queue" "orders"


=== TEST 10: word with too many values
--- queue
window 1h 2h;
--- error_log
invalid number of arguments in "window" of "bitrix1c_queue" "orders"


=== TEST 11: concurrency 0
--- queue
concurrency 0;
--- error_log
invalid value "0" in "concurrency" of "bitrix1c_queue" "orders"
1 to 10000


=== TEST 12: concurrency -1
--- queue
concurrency -1;
--- error_log
invalid value "-1" in "concurrency" of "bitrix1c_queue" "orders"
1 to 10000


=== TEST 13: concurrency four
--- queue
concurrency four;
--- error_log
invalid value "four" in "concurrency" of "bitrix1c_queue" "orders"
1 to 10000


=== TEST 14: concurrency 10001
--- queue
concurrency 10001;
--- error_log
invalid value "10001" in "concurrency" of "bitrix1c_queue" "orders"
1 to 10000


=== TEST 15: concurrency 4x
--- queue
concurrency 4x;
--- error_log
invalid value "4x" in "concurrency" of "bitrix1c_queue" "orders"
1 to 10000


=== TEST 16: concurrency twice
--- queue
concurrency 4;
concurrency 5;
--- error_log
"bitrix1c_queue" has a duplicate "concurrency"


=== TEST 17: retry 0
--- queue
retry 5s 0;
--- error_log
invalid time "0" in "retry" of "bitrix1c_queue" "orders"
30s


=== TEST 18: retry -1s
--- queue
retry 5s -1s;
--- error_log
invalid time "-1s" in "retry" of "bitrix1c_queue" "orders"
30s


=== TEST 19: retry soon
--- queue
retry 5s soon;
--- error_log
invalid time "soon" in "retry" of "bitrix1c_queue" "orders"
30s


=== TEST 20: retry 31d
--- queue
retry 5s 31d;
--- error_log
invalid time "31d" in "retry" of "bitrix1c_queue" "orders"
30s


=== TEST 21: retry 5s,30s
--- queue
retry 5s 5s,30s;
--- error_log
invalid time "5s,30s" in "retry" of "bitrix1c_queue" "orders"
30s


=== TEST 22: retry twice
--- queue
retry 5s;
retry 6s;
--- error_log
"bitrix1c_queue" has a duplicate "retry"


=== TEST 23: window 0
--- queue
window 0;
--- error_log
invalid time "0" in "window" of "bitrix1c_queue"
24h


=== TEST 24: window long
--- queue
window long;
--- error_log
invalid time "long" in "window" of "bitrix1c_queue"
24h


=== TEST 25: margin that is no time
--- queue
margin wide;
--- error_log
invalid time "wide" in "margin" of "bitrix1c_queue"


=== TEST 26: Redis twice
--- queue
redis unix:/a;
redis unix:/b;
--- error_log
"bitrix1c_queue" has a duplicate "redis"


=== TEST 27: Redis of no path
--- queue
redis unix:;
--- error_log
invalid address "unix:" in "redis" of "bitrix1c_queue" "orders"
unix:path or host:port


=== TEST 28: Redis of a bad port
--- queue
redis 127.0.0.1:99999;
--- error_log
invalid address "127.0.0.1:99999" in "redis" of "bitrix1c_queue" "orders"
port


=== TEST 30: Redis with db=one
--- queue
redis unix:/r db=one;
--- error_log
invalid parameter "db=one" in "redis" of "bitrix1c_queue"
db=number


=== TEST 31: Redis with db=-1
--- queue
redis unix:/r db=-1;
--- error_log
invalid parameter "db=-1" in "redis" of "bitrix1c_queue"
db=number


=== TEST 32: Redis with db=
--- queue
redis unix:/r db=;
--- error_log
invalid parameter "db=" in "redis" of "bitrix1c_queue"
db=number


=== TEST 33: Redis with timeout=0
--- queue
redis unix:/r timeout=0;
--- error_log
invalid parameter "timeout=0" in "redis" of "bitrix1c_queue"
db=number


=== TEST 34: Redis with timeout=soon
--- queue
redis unix:/r timeout=soon;
--- error_log
invalid parameter "timeout=soon" in "redis" of "bitrix1c_queue"
db=number


=== TEST 35: Redis with connect_timeout=x
--- queue
redis unix:/r connect_timeout=x;
--- error_log
invalid parameter "connect_timeout=x" in "redis" of "bitrix1c_queue"
db=number


=== TEST 36: Redis with user=
--- queue
redis unix:/r user=;
--- error_log
invalid parameter "user=" in "redis" of "bitrix1c_queue"
db=number


=== TEST 37: Redis with colour=red
--- queue
redis unix:/r colour=red;
--- error_log
invalid parameter "colour=red" in "redis" of "bitrix1c_queue"
db=number


=== TEST 38: Redis with db
--- queue
redis unix:/r db;
--- error_log
invalid parameter "db" in "redis" of "bitrix1c_queue"
db=number


=== TEST 39: Redis user without a password
--- queue
redis unix:/r user=b1c;
--- error_log
"user=b1c" without "password_file=" in "redis" of "bitrix1c_queue" "orders"


=== TEST 40: no file of the password
--- queue
redis unix:/r password_file=$TEST_NGINX_SERVER_ROOT/html/none;
--- error_log
html/none" of "password_file=" failed (2: No such file


=== TEST 41: empty file of the password
--- user_files
>>> password

--- queue: redis unix:/r password_file=$TEST_NGINX_SERVER_ROOT/html/password;
--- error_log
no line with a value in "
html/password" of "password_file="


=== TEST 42: rate without a unit
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; rate 20; }
--- error_log
invalid value "20" in "rate" of "bitrix1c_queue" "orders"
20r/s


=== TEST 43: rate of zero
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; rate 0r/s; }
--- error_log
invalid value "0r/s" in "rate"
20r/s


=== TEST 44: rate per hour
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; rate 20r/h; }
--- error_log
invalid value "20r/h" in "rate"
30r/m


=== TEST 45: rate twice
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; rate 2r/s; rate 3r/s; }
--- error_log
"bitrix1c_queue" has a duplicate "rate"


=== TEST 46: breaker with zero failures
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; breaker failures=0; }
--- error_log
invalid value "failures=0" in "breaker" of "bitrix1c_queue" "orders"
pause=time


=== TEST 47: breaker without a time
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; breaker pause=soon; }
--- error_log
invalid value "pause=soon" in "breaker"
failures=number


=== TEST 48: breaker off and on
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; breaker off pause=1s; }
--- error_log
invalid value "off" in "breaker"


=== TEST 49: hold with an incomplete time
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; hold 03:00; }
--- error_log
invalid value "03:00" in "hold" of "bitrix1c_queue" "orders"
03:00-05:00


=== TEST 50: hold with an invalid hour
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; hold 24:00-05:00; }
--- error_log
invalid value "24:00-05:00" in "hold"


=== TEST 51: hold of zero length
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; hold 03:00-03:00; }
--- error_log
invalid value "03:00-03:00" in "hold"


=== TEST 52: dead letters: zero
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; dead_letters 0; }
--- error_log
invalid value "0" in "dead_letters" of "bitrix1c_queue" "orders"


=== TEST 53: dead letters: invalid age
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; dead_letters 10 age=old; }
--- error_log
invalid value "age=old" in "dead_letters"
age=30d


=== TEST 54: a password in the configuration is not printed
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET password=CONFIDENTIAL; }
--- error_log
invalid parameter "password=" in "redis" of "bitrix1c_queue"
password_file=path
--- no_error_log
CONFIDENTIAL


=== TEST 55: spool twice
--- queue
spool a; spool b;
--- error_log
"bitrix1c_queue" has a duplicate "spool"


=== TEST 56: spool without a folder
--- queue
spool;
--- error_log
invalid number of arguments in "spool" of "bitrix1c_queue" "orders"


=== TEST 57: spool of no name
--- queue
spool "";
--- error_log
invalid folder "" in "spool" of "bitrix1c_queue" "orders": expected a path


=== TEST 58: spool with a bad max
--- queue
spool a max=big;
--- error_log
invalid value "max=big" in "spool" of "bitrix1c_queue" "orders"
at least 64k, such as max=256m


=== TEST 59: spool with too small a max
--- queue
spool a max=63k;
--- error_log
invalid value "max=63k" in "spool" of "bitrix1c_queue" "orders"


=== TEST 60: spool with a negative max
--- queue
spool a max=-1;
--- error_log
invalid value "max=-1" in "spool" of "bitrix1c_queue" "orders"


=== TEST 61: spool with an unknown parameter
--- queue
spool a min=1m;
--- error_log
invalid value "min=1m" in "spool" of "bitrix1c_queue" "orders"
max=size


=== TEST 62: spool in a folder that is not there
--- queue
spool nowhere/at/all;
--- error_log
mkdir()
nowhere/at/all" failed (2: No such file or directory)


=== TEST 63: wait=0
--- http_config
bitrix1c_queue orders { redis unix:/r wait=0; }
--- error_log
invalid parameter "wait=0" in "redis" of "bitrix1c_queue"
wait=replicas


=== TEST 64: wait=all
--- http_config
bitrix1c_queue orders { redis unix:/r wait=all; }
--- error_log
invalid parameter "wait=all" in "redis" of "bitrix1c_queue"


=== TEST 65: wait=101
--- http_config
bitrix1c_queue orders { redis unix:/r wait=101; }
--- error_log
invalid parameter "wait=101" in "redis" of "bitrix1c_queue"


=== TEST 66: parameters before the address
--- http_config
bitrix1c_queue orders { redis db=1 unix:/r; }
--- error_log
no address in "redis" of "bitrix1c_queue" "orders" before "db=1"


=== TEST 67: an address after the parameters
--- http_config
bitrix1c_queue orders { redis unix:/r db=1 unix:/s; }
--- error_log
invalid parameter "unix:/s" in "redis" of "bitrix1c_queue"
after the addresses


=== TEST 68: the second address is bad
--- http_config
bitrix1c_queue orders { redis unix:/r 127.0.0.1:0; }
--- error_log
invalid address "127.0.0.1:0" in "redis" of "bitrix1c_queue" "orders"
port


=== TEST 69: more addresses than allowed
--- http_config
bitrix1c_queue orders { redis 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8 10.0.0.9 10.0.0.10 10.0.0.11 10.0.0.12 10.0.0.13 10.0.0.14 10.0.0.15 10.0.0.16 10.0.0.17 10.0.0.18 10.0.0.19 10.0.0.20 10.0.0.21 10.0.0.22 10.0.0.23 10.0.0.24 10.0.0.25 10.0.0.26 10.0.0.27 10.0.0.28 10.0.0.29 10.0.0.30 10.0.0.31 10.0.0.32; }
--- error_log
too many addresses with "10.0.0.32" in "redis" of "bitrix1c_queue"
at most 31


=== TEST 70: parameters of Sentinel for Redis alone
--- http_config
bitrix1c_queue orders { redis unix:/r sentinel_user=b1c; }
--- error_log
invalid parameter "sentinel_user=b1c" in "redis" of "bitrix1c_queue"


=== TEST 71: Sentinel without an address
--- http_config
bitrix1c_queue orders { sentinel orders; }
--- error_log
invalid number of arguments in "sentinel" of "bitrix1c_queue" "orders"


=== TEST 72: Sentinel without an address, but with parameters
--- http_config
bitrix1c_queue orders { sentinel orders db=1; }
--- error_log
no address in "sentinel" of "bitrix1c_queue" "orders" before "db=1"


=== TEST 73: Sentinel without a name
--- http_config
bitrix1c_queue orders { sentinel 127.0.0.1:26379 127.0.0.2:26379; }
--- error_log
invalid name "127.0.0.1:26379" in "sentinel" of "bitrix1c_queue" "orders"
master's name


=== TEST 74: Sentinel of a socket
--- http_config
bitrix1c_queue orders { sentinel orders unix:/s; }
--- error_log
invalid address "unix:/s" in "sentinel" of "bitrix1c_queue" "orders": Sentinels are reachable over TCP only; expected host:port


=== TEST 76: Sentinel with colour=red
--- http_config
bitrix1c_queue orders { sentinel orders 127.0.0.1 colour=red; }
--- error_log
invalid parameter "colour=red" in "sentinel" of "bitrix1c_queue"
sentinel_password_file=path


=== TEST 77: a user of Sentinel without a password
--- http_config
bitrix1c_queue orders { sentinel orders 127.0.0.1 sentinel_user=b1c; }
--- error_log
"sentinel_user=b1c" without "sentinel_password_file=" in "sentinel" of "bitrix1c_queue" "orders"


=== TEST 78: a password of Sentinel in the configuration is not printed
--- http_config
bitrix1c_queue orders { sentinel orders 127.0.0.1 sentinel_password=CONFIDENTIAL; }
--- error_log
a password must be in a file, expected password_file=path
--- no_error_log
CONFIDENTIAL


=== TEST 79: Redis and Sentinel
--- http_config
bitrix1c_queue orders { redis unix:/r; sentinel orders 127.0.0.1; }
--- error_log
duplicate "sentinel" or both "redis" and "sentinel"


=== TEST 80: Sentinel and Redis
--- http_config
bitrix1c_queue orders { sentinel orders 127.0.0.1; redis unix:/r; }
--- error_log
duplicate "redis" or both "redis" and "sentinel"


=== TEST 81: Sentinel twice
--- http_config
bitrix1c_queue orders { sentinel orders 127.0.0.1; sentinel orders 127.0.0.2; }
--- error_log
duplicate "sentinel"

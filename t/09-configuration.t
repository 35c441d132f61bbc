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

    my $log = $block->error_log;

    $log = "[emerg]\n$log" if $log !~ /\[\w+\]/;
    $block->set_value(error_log => $log);
    $block->set_value(must_die => '');
    $block->set_value(suppress_stderr => '');
    $block->set_value(no_error_log => [qw(CONFIDENTIAL SECRET7 SHORT)]);
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
redis, concurrency, retry


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


=== TEST 25: margin of words
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


=== TEST 29: Redis of an unknown host
--- queue
redis no-such-host.invalid:6379;
--- error_log
"no-such-host.invalid:6379" in "redis" of "bitrix1c_queue" "orders"
host not found


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
no line in "
html/password" of "password_file="


=== TEST 42: no token
--- config
location = /a { bitrix1c_webhook orders; proxy_pass http://127.0.0.1:1; }
--- error_log
no "bitrix1c_token" or "bitrix1c_token_file" for "bitrix1c_webhook" in
anybody could


=== TEST 43: no proxy_pass
--- config
location = /a { bitrix1c_webhook orders; bitrix1c_token abcdefgh; }
--- error_log
no "proxy_pass" in the location of "bitrix1c_webhook" in
where 1C is


=== TEST 44: webhook twice
--- location
bitrix1c_webhook orders;
bitrix1c_webhook orders;
--- error_log
"bitrix1c_webhook" directive is duplicate


=== TEST 45: webhook in a server
--- config
bitrix1c_webhook orders;
--- error_log
"bitrix1c_webhook" directive is not allowed here


=== TEST 46: events in a server
--- config
bitrix1c_events A;
--- error_log
"bitrix1c_events" directive is not allowed here


=== TEST 47: webhook of two queues
--- location
bitrix1c_webhook orders others;
--- error_log
invalid number of arguments in "bitrix1c_webhook" directive


=== TEST 48: events without a mask
--- location
bitrix1c_events;
--- error_log
invalid number of arguments in "bitrix1c_events" directive


=== TEST 49: mask with a space
--- location
bitrix1c_events "ON CRM";
--- error_log
invalid mask "ON CRM" in "bitrix1c_events" directive
ONCRMDEAL*


=== TEST 50: mask in Cyrillic
--- location
bitrix1c_once ОНСАЛЕ;
--- error_log
invalid mask "ОНСАЛЕ" in "bitrix1c_once" directive


=== TEST 51: empty mask
--- location
bitrix1c_events "";
--- error_log
invalid mask "" in "bitrix1c_events" directive


=== TEST 52: limits pairs=0
--- location
bitrix1c_limits pairs=0;
--- error_log
invalid parameter "pairs=0" in "bitrix1c_limits" directive
pairs=number


=== TEST 53: limits pairs=many
--- location
bitrix1c_limits pairs=many;
--- error_log
invalid parameter "pairs=many" in "bitrix1c_limits" directive
pairs=number


=== TEST 54: limits depth=0
--- location
bitrix1c_limits depth=0;
--- error_log
invalid parameter "depth=0" in "bitrix1c_limits" directive
pairs=number


=== TEST 55: limits depth=65
--- location
bitrix1c_limits depth=65;
--- error_log
invalid parameter "depth=65" in "bitrix1c_limits" directive
pairs=number


=== TEST 56: limits key=-1
--- location
bitrix1c_limits key=-1;
--- error_log
invalid parameter "key=-1" in "bitrix1c_limits" directive
pairs=number


=== TEST 57: limits pairs
--- location
bitrix1c_limits pairs;
--- error_log
invalid parameter "pairs" in "bitrix1c_limits" directive
pairs=number


=== TEST 58: limits colour=1
--- location
bitrix1c_limits colour=1;
--- error_log
invalid parameter "colour=1" in "bitrix1c_limits" directive
pairs=number


=== TEST 59: limits pairs=1000001
--- location
bitrix1c_limits pairs=1000001;
--- error_log
invalid parameter "pairs=1000001" in "bitrix1c_limits" directive
pairs=number


=== TEST 60: limits twice
--- location
bitrix1c_limits pairs=1 pairs=2;
--- error_log
"bitrix1c_limits" directive has a duplicate parameter


=== TEST 61: permanent 200
--- location
bitrix1c_permanent 400 200;
--- error_log
invalid code "200" in "bitrix1c_permanent" directive
300 to 599


=== TEST 62: permanent 299
--- location
bitrix1c_permanent 400 299;
--- error_log
invalid code "299" in "bitrix1c_permanent" directive
300 to 599


=== TEST 63: permanent 600
--- location
bitrix1c_permanent 400 600;
--- error_log
invalid code "600" in "bitrix1c_permanent" directive
300 to 599


=== TEST 64: permanent 4xx
--- location
bitrix1c_permanent 400 4xx;
--- error_log
invalid code "4xx" in "bitrix1c_permanent" directive
300 to 599


=== TEST 65: permanent -400
--- location
bitrix1c_permanent 400 -400;
--- error_log
invalid code "-400" in "bitrix1c_permanent" directive
300 to 599


=== TEST 66: permanent twice
--- location
bitrix1c_permanent 400;
bitrix1c_permanent 410;
--- error_log
"bitrix1c_permanent" directive is duplicate


=== TEST 67: unknown charset
--- location
bitrix1c_charset windows-1521;
--- error_log
unknown charset "windows-1521" in "bitrix1c_charset" directive
iconv


=== TEST 68: charset that is no superset of ASCII
--- location
bitrix1c_charset UTF-16;
--- error_log
"UTF-16" in "bitrix1c_charset" directive


=== TEST 69: charset twice
--- location
bitrix1c_charset koi8-r;
bitrix1c_charset koi8-r;
--- error_log
"bitrix1c_charset" directive is duplicate


=== TEST 70: skew of words
--- location
bitrix1c_skew little;
--- error_log
"bitrix1c_skew" directive invalid value


=== TEST 71: skew twice
--- location
bitrix1c_skew 1m;
bitrix1c_skew 1m;
--- error_log
"bitrix1c_skew" directive is duplicate


=== TEST 72: wait of words
--- location
bitrix1c_wait little;
--- error_log
"bitrix1c_wait" directive invalid value


=== TEST 73: key of an unknown variable
--- location
bitrix1c_key $no_such_variable;
--- error_log
unknown "no_such_variable" variable


=== TEST 74: key twice
--- location
bitrix1c_key a;
bitrix1c_key b;
--- error_log
"bitrix1c_key" directive is duplicate


=== TEST 75: misspelt directive
--- location
bitrix1c_event A;
--- error_log
unknown directive "bitrix1c_event"


=== TEST 76: token of 7 bytes
--- location
bitrix1c_token SECRET7;
--- error_log
invalid token 1, of 7 bytes, in "bitrix1c_token" directive: 8 to 256 printable ASCII characters are due


=== TEST 77: second token in Cyrillic
--- location
bitrix1c_token abcdefgh СЕКРЕТСЕКРЕТ;
--- error_log
invalid token 2, of 24 bytes, in "bitrix1c_token" directive: 8 to 256 printable ASCII characters are due


=== TEST 78: token with a space
--- location
bitrix1c_token "abcd efgh";
--- error_log
invalid token 1, of 9 bytes, in "bitrix1c_token" directive: 8 to 256 printable ASCII characters are due


=== TEST 79: token of 257 bytes
--- location eval
"bitrix1c_token " . "t" x 257 . ";"
--- error_log
invalid token 1, of 257 bytes, in "bitrix1c_token" directive: 8 to 256 printable ASCII characters are due


=== TEST 80: token without a value
--- location
bitrix1c_token;
--- error_log
invalid number of arguments in "bitrix1c_token" directive


=== TEST 81: no token file
--- location
bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
open() "
html/tokens" of "bitrix1c_token_file" failed (2: No such file


=== TEST 82: token file is a directory
--- location
bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html;
--- error_log
[crit]
html" failed (21: Is a directory)


=== TEST 83: empty token file
--- user_files
>>> tokens

--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
no line in "
html/tokens" of "bitrix1c_token_file"


=== TEST 84: token file of comments
--- user_files
>>> tokens
# a

# b
--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
no line in "
html/tokens" of "bitrix1c_token_file"


=== TEST 85: token file: a line of one word
--- user_files
>>> tokens
* abcdefgh
CONFIDENTIAL
--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
html/tokens:2 of "bitrix1c_token_file": "portal token" is due: a member_id, a domain or "*", then a token


=== TEST 86: token file: three words
--- user_files
>>> tokens
# a
* CONFIDENTIAL CONFIDENTIAL
--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
html/tokens:2 of "bitrix1c_token_file": "portal token" is due: a member_id, a domain or "*", then a token


=== TEST 87: token file: a short token
--- user_files
>>> tokens
* abcdefgh

* SHORT
--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
html/tokens:3 of "bitrix1c_token_file": "portal token" is due: a member_id, a domain or "*", then a token


=== TEST 88: token file larger than 1 MB
--- user_files eval
[["tokens", "* CONFIDENTIAL\n" x 80_000]]
--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
html/tokens" of "bitrix1c_token_file" is larger than 1 MB


=== TEST 89: no secret file
--- location
bitrix1c_sign $TEST_NGINX_SERVER_ROOT/html/secret;
--- error_log
html/secret" of "bitrix1c_sign" failed (2: No such file


=== TEST 90: secret without its prefix
--- user_files
>>> secret
CONFIDENTIALCONFIDENTIALCONFIDENTIAL
--- location: bitrix1c_sign $TEST_NGINX_SERVER_ROOT/html/secret;
--- error_log
html/secret:1 of "bitrix1c_sign": "whsec_" and the base64


=== TEST 91: secret that is no base64
--- user_files
>>> secret
whsec_CONFIDENTIAL!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!
--- location: bitrix1c_sign $TEST_NGINX_SERVER_ROOT/html/secret;
--- error_log
html/secret:1 of "bitrix1c_sign": "whsec_" and the base64


=== TEST 92: secret that is too short
--- user_files
>>> secret
# comment
whsec_Q09ORklERU5USUFM
--- location: bitrix1c_sign $TEST_NGINX_SERVER_ROOT/html/secret;
--- error_log
html/secret:2 of "bitrix1c_sign": "whsec_" and the base64


=== TEST 93: a location that no delivery could find
--- config
location = /bitrix/orders { try_files /none @hook; }
location @hook {
    bitrix1c_webhook  orders;
    bitrix1c_token    abcdefgh;
    proxy_pass        http://127.0.0.1:1;
}
--- error_log
"bitrix1c_webhook"

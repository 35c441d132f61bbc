#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Mistakes in the directives of REST calls.  nginx does not start, and its
# message names the directive, quotes the value and says what is expected.

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

=== TEST 1: no methods
--- config
location /b/ { bitrix1c_rest orders; proxy_pass http://127.0.0.1:1/; }
--- error_log
no "bitrix1c_methods" for "bitrix1c_rest" in
such as "bitrix1c_methods catalog.* sale.order.*;"


=== TEST 2: no proxy_pass
--- config
location /b/ { bitrix1c_rest orders; bitrix1c_methods *; }
--- error_log
no "proxy_pass" in the location of "bitrix1c_rest" in
specify the portal's address


=== TEST 3: unknown queue
--- config
location /b/ { bitrix1c_rest order; bitrix1c_methods *; proxy_pass http://127.0.0.1:1/; }
--- error_log
unknown queue "order" in "bitrix1c_rest" directive in
no "bitrix1c_queue order { ... }"


=== TEST 4: both directions
--- config
location /b/ { bitrix1c_rest orders; bitrix1c_methods *; bitrix1c_webhook orders; bitrix1c_token abcdefgh; proxy_pass http://127.0.0.1:1/; }
--- error_log
is in a location with "bitrix1c_webhook": each needs a location of its own


=== TEST 5: exact location
--- config
location = /b/ { bitrix1c_rest orders; bitrix1c_methods *; proxy_pass http://127.0.0.1:1/; }
--- error_log
is in location "/b/": expected a prefix location whose name ends with "/"


=== TEST 6: no slash
--- config
location /b { bitrix1c_rest orders; bitrix1c_methods *; proxy_pass http://127.0.0.1:1/; }
--- error_log
is in location "/b": expected a prefix location whose name ends with "/"


=== TEST 7: regular expression
--- config
location ~ ^/b/ { bitrix1c_rest orders; bitrix1c_methods *; proxy_pass http://127.0.0.1:1; }
--- error_log
is in location "^/b/": expected a prefix location whose name ends with "/"


=== TEST 8: named location
--- config
location @b { bitrix1c_rest orders; bitrix1c_methods *; proxy_pass http://127.0.0.1:1; }
--- error_log
is in location "@b": expected a prefix location


=== TEST 9: variables without a portal
--- config
location /b/ { bitrix1c_rest orders; bitrix1c_methods *; proxy_pass http://127.0.0.1:1/$arg_x; }
--- error_log
no host in "proxy_pass" of "bitrix1c_rest" in
specify "bitrix1c_pace portal=name;"


=== TEST 10: two different paces of one portal
--- config
location /b/ { bitrix1c_rest orders; bitrix1c_methods *; proxy_pass http://127.0.0.1:1/; }
location /c/ { bitrix1c_rest orders; bitrix1c_methods *; bitrix1c_pace rate=5/s; proxy_pass http://127.0.0.1:1/; }
--- error_log
has another "bitrix1c_pace" for the portal "127.0.0.1"
Bitrix counts the calls of both together


=== TEST 11: rest twice
--- config
location /b/ { bitrix1c_rest orders; bitrix1c_rest orders; }
--- error_log
"bitrix1c_rest" directive is duplicate


=== TEST 12: rest in a server
--- config
bitrix1c_rest orders;
--- error_log
"bitrix1c_rest" directive is not allowed here


=== TEST 13: methods without a pattern
--- config
location /b/ { bitrix1c_methods; }
--- error_log
invalid number of arguments in "bitrix1c_methods" directive


=== TEST 14: a pattern with a space
--- config
location /b/ { bitrix1c_methods "sale *"; }
--- error_log
invalid glob "sale *" in "bitrix1c_methods" directive: expected a method's name such as "sale.order.*"


=== TEST 15: pace rate=2
--- config
bitrix1c_pace rate=2;
--- error_log
invalid parameter "rate=2" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 16: pace rate=0/s
--- config
bitrix1c_pace rate=0/s;
--- error_log
invalid parameter "rate=0/s" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 17: pace rate=2/h
--- config
bitrix1c_pace rate=2/h;
--- error_log
invalid parameter "rate=2/h" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 18: pace rate=x/s
--- config
bitrix1c_pace rate=x/s;
--- error_log
invalid parameter "rate=x/s" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 19: pace rate=-1/s
--- config
bitrix1c_pace rate=-1/s;
--- error_log
invalid parameter "rate=-1/s" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 20: pace burst=0
--- config
bitrix1c_pace burst=0;
--- error_log
invalid parameter "burst=0" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 21: pace burst=x
--- config
bitrix1c_pace burst=x;
--- error_log
invalid parameter "burst=x" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 22: pace burst=2000000
--- config
bitrix1c_pace burst=2000000;
--- error_log
invalid parameter "burst=2000000" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 23: pace max_wait=x
--- config
bitrix1c_pace max_wait=x;
--- error_log
invalid parameter "max_wait=x" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 24: pace max_wait=11m
--- config
bitrix1c_pace max_wait=11m;
--- error_log
invalid parameter "max_wait=11m" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 25: pace overload=2d
--- config
bitrix1c_pace overload=2d;
--- error_log
invalid parameter "overload=2d" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 26: pace portal=
--- config
bitrix1c_pace portal=;
--- error_log
invalid parameter "portal=" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 27: pace portal=a/b
--- config
bitrix1c_pace portal=a/b;
--- error_log
invalid parameter "portal=a/b" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 28: pace wait=1s
--- config
bitrix1c_pace wait=1s;
--- error_log
invalid parameter "wait=1s" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 29: pace rate
--- config
bitrix1c_pace rate;
--- error_log
invalid parameter "rate" in "bitrix1c_pace" directive
rate=2r/s or rate=30r/m


=== TEST 30: pace twice
--- config
bitrix1c_pace burst=1; bitrix1c_pace burst=2;
--- error_log
invalid parameter "burst=2" in "bitrix1c_pace" directive
each once


=== TEST 31: pace without a parameter
--- config
bitrix1c_pace;
--- error_log
invalid number of arguments in "bitrix1c_pace" directive


=== TEST 32: kept calls in a queue of webhooks
--- config
location /b/ { bitrix1c_rest orders; bitrix1c_methods *; bitrix1c_async *; proxy_pass http://127.0.0.1:1/; }
location = /w { bitrix1c_webhook orders; bitrix1c_token abcdefgh; proxy_pass http://127.0.0.1:1/; }
--- error_log
the queue "orders" of "bitrix1c_rest" in
queued calls, see "bitrix1c_async", need a queue of their own


=== TEST 33: coalesce without fields
--- config
bitrix1c_coalesce *.update;
--- error_log
invalid number of arguments in "bitrix1c_coalesce" directive


=== TEST 34: coalesce with an empty field
--- config
bitrix1c_coalesce *.update a,,b;
--- error_log
invalid fields "a,,b" in "bitrix1c_coalesce"
such as productId,storeId


=== TEST 35: callback to no location
--- config
location /b/ { bitrix1c_rest orders; bitrix1c_methods *; bitrix1c_callback /w; proxy_pass http://127.0.0.1:1/; }
--- error_log
no location "/w" with "bitrix1c_webhook" in the server of "bitrix1c_callback /w" in


=== TEST 36: echo is no time
--- config
bitrix1c_echo soon;
--- error_log
"bitrix1c_echo" directive invalid value


=== TEST 37: async without a pattern
--- config
bitrix1c_async;
--- error_log
invalid number of arguments in "bitrix1c_async" directive


=== TEST 38: repeatable with an invalid pattern
--- config
bitrix1c_repeatable "";
--- error_log
"bitrix1c_repeatable"


=== TEST 39: a name with a port
--- config
location /b/ { bitrix1c_rest orders gate.myshop.ru:80; bitrix1c_methods *; proxy_pass http://127.0.0.1:1/; }
--- error_log
invalid name "gate.myshop.ru:80" in "bitrix1c_rest" directive
without a port, such as gate.myshop.ru

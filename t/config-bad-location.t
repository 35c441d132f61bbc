#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Mistakes in the directives of a location.  nginx does not start, and its
# message names the directive, quotes the value, unless it is a secret, and says
# what is expected.

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

=== TEST 1: no token
--- config
location = /a { bitrix1c_webhook orders; proxy_pass http://127.0.0.1:1; }
--- error_log
no "bitrix1c_token" or "bitrix1c_token_file" for "bitrix1c_webhook" in
anybody could


=== TEST 2: no proxy_pass
--- config
location = /a { bitrix1c_webhook orders; bitrix1c_token abcdefgh; }
--- error_log
no "proxy_pass" in the location of "bitrix1c_webhook" in
specify the address of 1C


=== TEST 3: webhook twice
--- location
bitrix1c_webhook orders;
bitrix1c_webhook orders;
--- error_log
"bitrix1c_webhook" directive is duplicate


=== TEST 4: webhook in a server
--- config
bitrix1c_webhook orders;
--- error_log
"bitrix1c_webhook" directive is not allowed here


=== TEST 5: events in a server
--- config
bitrix1c_events A;
--- error_log
"bitrix1c_events" directive is not allowed here


=== TEST 6: webhook of two queues
--- location
bitrix1c_webhook orders others;
--- error_log
invalid number of arguments in "bitrix1c_webhook" directive


=== TEST 7: events without a pattern
--- location
bitrix1c_events;
--- error_log
invalid number of arguments in "bitrix1c_events" directive


=== TEST 8: pattern with a space
--- location
bitrix1c_events "ON CRM";
--- error_log
invalid glob "ON CRM" in "bitrix1c_events" directive
ONCRMDEAL*


=== TEST 9: pattern in Cyrillic
--- location
bitrix1c_once ОНСАЛЕ;
--- error_log
invalid glob "ОНСАЛЕ" in "bitrix1c_once" directive


=== TEST 10: empty pattern
--- location
bitrix1c_events "";
--- error_log
invalid glob "" in "bitrix1c_events" directive


=== TEST 11: limits pairs=0
--- location
bitrix1c_limits pairs=0;
--- error_log
invalid parameter "pairs=0" in "bitrix1c_limits" directive
pairs=number


=== TEST 12: limits pairs=many
--- location
bitrix1c_limits pairs=many;
--- error_log
invalid parameter "pairs=many" in "bitrix1c_limits" directive
pairs=number


=== TEST 13: limits depth=0
--- location
bitrix1c_limits depth=0;
--- error_log
invalid parameter "depth=0" in "bitrix1c_limits" directive
pairs=number


=== TEST 14: limits depth=65
--- location
bitrix1c_limits depth=65;
--- error_log
invalid parameter "depth=65" in "bitrix1c_limits" directive
pairs=number


=== TEST 15: limits key=-1
--- location
bitrix1c_limits key=-1;
--- error_log
invalid parameter "key=-1" in "bitrix1c_limits" directive
pairs=number


=== TEST 16: limits pairs
--- location
bitrix1c_limits pairs;
--- error_log
invalid parameter "pairs" in "bitrix1c_limits" directive
pairs=number


=== TEST 17: limits colour=1
--- location
bitrix1c_limits colour=1;
--- error_log
invalid parameter "colour=1" in "bitrix1c_limits" directive
pairs=number


=== TEST 18: limits pairs=1000001
--- location
bitrix1c_limits pairs=1000001;
--- error_log
invalid parameter "pairs=1000001" in "bitrix1c_limits" directive
pairs=number


=== TEST 19: limits twice
--- location
bitrix1c_limits pairs=1 pairs=2;
--- error_log
"bitrix1c_limits" directive has a duplicate parameter


=== TEST 20: permanent 200
--- location
bitrix1c_permanent 400 200;
--- error_log
invalid code "200" in "bitrix1c_permanent" directive
300 to 599


=== TEST 21: permanent 299
--- location
bitrix1c_permanent 400 299;
--- error_log
invalid code "299" in "bitrix1c_permanent" directive
300 to 599


=== TEST 22: permanent 600
--- location
bitrix1c_permanent 400 600;
--- error_log
invalid code "600" in "bitrix1c_permanent" directive
300 to 599


=== TEST 23: permanent 4xx
--- location
bitrix1c_permanent 400 4xx;
--- error_log
invalid code "4xx" in "bitrix1c_permanent" directive
300 to 599


=== TEST 24: permanent -400
--- location
bitrix1c_permanent 400 -400;
--- error_log
invalid code "-400" in "bitrix1c_permanent" directive
300 to 599


=== TEST 25: permanent twice
--- location
bitrix1c_permanent 400;
bitrix1c_permanent 410;
--- error_log
"bitrix1c_permanent" directive is duplicate


=== TEST 26: unknown charset
--- location
bitrix1c_charset windows-1521;
--- error_log
unknown charset "windows-1521" in "bitrix1c_charset" directive
iconv


=== TEST 27: charset that is no superset of ASCII
--- location
bitrix1c_charset UTF-16;
--- error_log
"UTF-16" in "bitrix1c_charset" directive


=== TEST 28: charset twice
--- location
bitrix1c_charset koi8-r;
bitrix1c_charset koi8-r;
--- error_log
"bitrix1c_charset" directive is duplicate


=== TEST 29: skew that is no time
--- location
bitrix1c_skew little;
--- error_log
"bitrix1c_skew" directive invalid value


=== TEST 30: skew twice
--- location
bitrix1c_skew 1m;
bitrix1c_skew 1m;
--- error_log
"bitrix1c_skew" directive is duplicate


=== TEST 31: wait that is no time
--- location
bitrix1c_wait little;
--- error_log
"bitrix1c_wait" directive invalid value


=== TEST 32: key of an unknown variable
--- location
bitrix1c_key $no_such_variable;
--- error_log
unknown "no_such_variable" variable


=== TEST 33: key twice
--- location
bitrix1c_key a;
bitrix1c_key b;
--- error_log
"bitrix1c_key" directive is duplicate


=== TEST 34: misspelt directive
--- location
bitrix1c_event A;
--- error_log
unknown directive "bitrix1c_event"


=== TEST 35: token of 7 bytes
--- location
bitrix1c_token CONFIDE;
--- error_log
invalid token 1, of 7 bytes, in "bitrix1c_token" directive: expected 8 to 256 printable ASCII characters


=== TEST 36: second token in Cyrillic
--- location
bitrix1c_token abcdefgh СЕКРЕТСЕКРЕТ;
--- error_log
invalid token 2, of 24 bytes, in "bitrix1c_token" directive: expected 8 to 256 printable ASCII characters


=== TEST 37: token with a space
--- location
bitrix1c_token "abcd efgh";
--- error_log
invalid token 1, of 9 bytes, in "bitrix1c_token" directive: expected 8 to 256 printable ASCII characters


=== TEST 38: token of 257 bytes
--- location eval
"bitrix1c_token " . "t" x 257 . ";"
--- error_log
invalid token 1, of 257 bytes, in "bitrix1c_token" directive: expected 8 to 256 printable ASCII characters


=== TEST 39: token without a value
--- location
bitrix1c_token;
--- error_log
invalid number of arguments in "bitrix1c_token" directive


=== TEST 40: no token file
--- location
bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
open() "
html/tokens" of "bitrix1c_token_file" failed (2: No such file


=== TEST 41: token file is a directory
--- location
bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html;
--- error_log
html" of "bitrix1c_token_file" is not a regular file


=== TEST 42: empty token file
--- user_files
>>> tokens

--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
no line with a value in "
html/tokens" of "bitrix1c_token_file"


=== TEST 43: token file of comments
--- user_files
>>> tokens
# a

# b
--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
no line with a value in "
html/tokens" of "bitrix1c_token_file"


=== TEST 44: token file: a line of one word
--- user_files
>>> tokens
* abcdefgh
CONFIDENTIAL
--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
html/tokens:2 of "bitrix1c_token_file": expected "portal token": a member_id, a domain, both as "domain/member_id", or "*", then a token


=== TEST 45: token file: three words
--- user_files
>>> tokens
# a
* CONFIDENTIAL CONFIDENTIAL
--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
html/tokens:2 of "bitrix1c_token_file": expected "portal token": a member_id, a domain, both as "domain/member_id", or "*", then a token


=== TEST 46: token file: a short token
--- user_files
>>> tokens
* abcdefgh

* CONFIDE
--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
html/tokens:3 of "bitrix1c_token_file": expected "portal token": a member_id, a domain, both as "domain/member_id", or "*", then a token


=== TEST 47: token file larger than 1 MB
--- user_files eval
[["tokens", "* CONFIDENTIAL\n" x 80_000]]
--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- error_log
html/tokens" of "bitrix1c_token_file" is larger than 1 MB


=== TEST 48: no secret file
--- location
bitrix1c_sign $TEST_NGINX_SERVER_ROOT/html/secret;
--- error_log
html/secret" of "bitrix1c_sign" failed (2: No such file


=== TEST 49: secret without its prefix
--- user_files
>>> secret
CONFIDENTIALCONFIDENTIALCONFIDENTIAL
--- location: bitrix1c_sign $TEST_NGINX_SERVER_ROOT/html/secret;
--- error_log
html/secret:1 of "bitrix1c_sign": expected "whsec_" and the base64


=== TEST 50: secret that is no base64
--- user_files
>>> secret
whsec_CONFIDENTIAL!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!
--- location: bitrix1c_sign $TEST_NGINX_SERVER_ROOT/html/secret;
--- error_log
html/secret:1 of "bitrix1c_sign": expected "whsec_" and the base64


=== TEST 51: secret that is too short
--- user_files
>>> secret
# comment
whsec_Q09ORklERU5USUFM
--- location: bitrix1c_sign $TEST_NGINX_SERVER_ROOT/html/secret;
--- error_log
html/secret:2 of "bitrix1c_sign": expected "whsec_" and the base64


=== TEST 52: a location that deliveries cannot find
--- config
location = /bitrix/orders { try_files /none @hook; }
location @hook {
    bitrix1c_webhook  orders;
    bitrix1c_token    abcdefgh;
    proxy_pass        http://127.0.0.1:1;
}
--- error_log
"bitrix1c_webhook"


=== TEST 53: token_arg: a name that an address cannot have
--- location: bitrix1c_token_arg "a b";
--- error_log
invalid name "a b" in "bitrix1c_token_arg" directive: letters, digits, "_" and "-" are expected, as in "bitrix1c_token_arg token;"


=== TEST 54: token_arg: empty
--- location: bitrix1c_token_arg "";
--- error_log
invalid name "" in "bitrix1c_token_arg" directive


=== TEST 55: token_arg twice
--- location
bitrix1c_token_arg a;
bitrix1c_token_arg b;
--- error_log
"bitrix1c_token_arg" directive is duplicate


=== TEST 56: event_token: neither on nor off
--- location: bitrix1c_event_token yes;
--- error_log
it must be "on" or "off"

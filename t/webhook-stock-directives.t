#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Stock directives in and around the location of a webhook.  Whatever they do to
# the request, they lose no event and let no request pass the token check.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

plan 'no_plan';
run_tests();


# a new order, posted to another address

sub order_to {
    my ($uri) = @_;

    my $request = event('ONSALEORDERNEW', 1, 'ts=1');

    $request =~ s{/bitrix/orders}{$uri};
    return $request;
}

__DATA__

=== TEST 1: "if" in the location
--- location
if ($http_user_agent = "") {
    set $nobody 1;
}
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'), main::post_bare('event=A')]
--- error_code eval
[200, 403]
--- response_body_like eval
['"accepted"', '"forbidden"']
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 2: "limit_except" in the location, for other methods
--- location
limit_except POST {
    deny all;
}
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'), "GET /bitrix/orders"]
--- error_code eval
[200, 403]
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 3: "limit_except" in the location, for POST
--- location
limit_except GET {
    allow 127.0.0.1;
    deny  all;
}
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'), main::post_bare('event=A')]
--- error_code eval
[200, 403]
--- response_body_like eval
['"accepted"', '"forbidden"']
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 4: "rewrite" in the server
--- config
rewrite ^/in/(\w+)$ /bitrix/orders?who=$1 last;
location = /bitrix/orders {
    bitrix1c_webhook  orders;
    bitrix1c_token    $TEST_NGINX_TOKEN;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
}
--- request eval
main::order_to('/in/ann')
--- response_body_like: "accepted"
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 5: "rewrite" in the location sets the path of 1C
--- config
location = /bitrix/orders {
    bitrix1c_webhook  orders;
    bitrix1c_token    $TEST_NGINX_TOKEN;
    rewrite           ^ /CompanyName/hs/exchange/ break;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT;
}
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- response_body_like: "accepted"
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 6: encoded characters in the address
--- config
location /hook/ {
    bitrix1c_webhook  orders;
    bitrix1c_token    $TEST_NGINX_TOKEN;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
}
--- request eval
main::order_to('/hook/a%3Fb%20c%0A%25d/%D0%90?x=1')
--- response_body_like: "accepted"
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 7: "mirror" of another location does not bypass the token check
--- config
location = /old {
    mirror      /bitrix/orders;
    proxy_pass  http://127.0.0.1:1;
}
location = /bitrix/orders {
    bitrix1c_webhook  orders;
    bitrix1c_token    $TEST_NGINX_TOKEN;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
}
--- request eval
main::order_to('/old')
--- error_code: 502
--- wait: 0.3
--- onec


=== TEST 8: "mirror" and "auth_request" of the location
--- config
location = /yes {
    return 204;
}
location = /bitrix/orders {
    auth_request      /yes;
    mirror            /yes;
    bitrix1c_webhook  orders;
    bitrix1c_token    $TEST_NGINX_TOKEN;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
}
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- response_body_like: "accepted"
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 9: body filters do not affect deliveries
--- http_config
gzip              on;
gzip_types        *;
gzip_min_length   1;
gzip_proxied      any;
ssi               on;
ssi_types         *;
charset           utf-8;
charset_types     *;
add_header        X-A b always;
expires           1h;
etag              on;
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- response_body_like: "accepted"
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 10: a client that accepts a compressed answer
--- http_config
gzip             on;
gzip_types       application/json;
gzip_min_length  1;
--- more_headers
Content-Type: application/x-www-form-urlencoded
Accept-Encoding: gzip
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- response_headers
Content-Encoding: gzip
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 11: an answer of "proxy_cache" is no delivery
--- http_config
proxy_cache_path $TEST_NGINX_SERVER_ROOT/x_cache keys_zone=k:1m;
--- location
proxy_cache          k;
proxy_cache_methods  POST;
proxy_cache_valid    any 1m;
proxy_cache_key      $uri;
--- queue: retry 1h;
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 "GET /onec/received?wait=1&answered=1&show=count",
 main::event('ONSALEORDERNEW', 2, 'ts=1')]
--- error_code eval
[200, 200, 200]
--- wait: 0.2
--- redis
ZCARD {b1c:orders}:q = 1
ZCARD {b1c:orders}:d = 0


=== TEST 12: limit_rate, threads and directio of the location
--- location
limit_rate                100;
client_body_in_file_only  clean;
sendfile                  on;
aio                       threads;
directio                  1;
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- timeout: 10
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 13: a name of 1C that cannot be resolved
--- location
resolver          127.0.0.1:1 valid=1s;
resolver_timeout  200ms;
set               $onec no-such-host.invalid;
proxy_pass        http://$onec/;
--- queue: retry 1h;
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- wait: 0.5
--- redis
ZCARD {b1c:orders}:q = 1
ZCARD {b1c:orders}:d = 0


=== TEST 14: the client sends its body too slowly
--- location
client_body_timeout 200ms;
--- raw_request eval
["POST /bitrix/orders HTTP/1.1\r\nHost: a\r\n"
 . "Content-Type: application/x-www-form-urlencoded\r\n"
 . "Content-Length: 100\r\n\r\n", "event=A"]
--- raw_request_middle_delay: 0.05
--- ignore_response
--- onec


=== TEST 15: nginx exits cleanly with many queues, most without their Redis
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; retry 1h; }
bitrix1c_queue second { redis unix:$TEST_NGINX_REDIS_SOCKET; }
bitrix1c_queue third  { redis unix:$TEST_NGINX_SERVER_ROOT/third.sock; }
bitrix1c_queue fourth { redis unix:$TEST_NGINX_SERVER_ROOT/fourth.sock; }
bitrix1c_queue fifth  { redis unix:$TEST_NGINX_SERVER_ROOT/fifth.sock; }
--- rules: {"mode":"500"}
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- wait: 0.2
--- redis
ZCARD {b1c:orders}:q = 1

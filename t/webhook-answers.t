#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Every row of the table of answers: the status, body and headers that the
# sender gets, and what reaches 1C.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

plan 'no_plan';
run_tests();

__DATA__

=== TEST 1: accepted
--- request post
event=ONSALEORDERNEW
data[FIELDS][ID]=123
ts=1710460800
--- response_headers_like
Content-Type: application/json
Content-Length: \d+
--- response_body_like: ^\{"result":"accepted","id":"[0-9a-f]{32}"\}\n\z
--- onec expect
ONSALEORDERNEW 1710460800 SALEORDER 123 {"FIELDS":{"ID":"123"}}


=== TEST 2: accepted although 1C is slow, answered before 1C answers
--- rules: {"delay":1}
--- timeout: 0.8
--- request post
event=ONSALEORDERNEW
data[FIELDS][ID]=123
ts=1710460800
--- response_body_like: ^\{"result":"accepted"
--- onec expect
ONSALEORDERNEW 1710460800 SALEORDER 123 {"FIELDS":{"ID":"123"}}


=== TEST 3: accepted and stored although 1C is down
--- http_config
bitrix1c_queue orders {
    redis  unix:$TEST_NGINX_REDIS_SOCKET;
    retry  1h;
}
--- config
location = /bitrix/orders {
    bitrix1c_webhook  orders;
    bitrix1c_token    $TEST_NGINX_TOKEN;
    proxy_pass        http://127.0.0.1:1/;
}
--- request post
event=ONSALEORDERNEW
data[FIELDS][ID]=123
ts=1710460800
--- response_body_like: ^\{"result":"accepted"
--- redis
ZCARD {b1c:orders}:q = 1
ZCARD {b1c:orders}:d = 0


=== TEST 4: a duplicate has the id of the first event
--- request eval
[main::event('ONSALEORDERNEW', 123), main::event('ONSALEORDERNEW', 123)]
--- response_body_like eval
['^\{"result":"accepted","id":"[0-9a-f]{32}"\}\n\z',
 '^\{"result":"duplicate","id":"[0-9a-f]{32}"\}\n\z']
--- error_code eval
[200, 200]
--- onec expect
ONSALEORDERNEW NOW SALEORDER 123 {"FIELDS":{"ID":"123"}}


=== TEST 5: coalesced while the first event is in flight
--- rules: {"delay":0.5,"times":1}
--- request eval
[main::event('ONCRMDEALUPDATE', 7, 'ts=1'),
 main::event('ONCRMDEALUPDATE', 7, 'ts=2')]
--- response_body_like eval
['^\{"result":"accepted","id":"[0-9a-f]{32}"\}\n\z',
 '^\{"result":"coalesced","id":"[0-9a-f]{32}"\}\n\z']
--- error_code eval
[200, 200]
--- onec expect
ONCRMDEALUPDATE 1 CRMDEAL 7 {"FIELDS":{"ID":"7"}}
ONCRMDEALUPDATE 2 CRMDEAL 7 {"FIELDS":{"ID":"7"}}


=== TEST 6: ignored
--- location: bitrix1c_events ONCRM*;
--- request post
event=ONSALEORDERNEW
data[FIELDS][ID]=123
--- response_headers
Content-Type: application/json
--- response_body
{"result":"ignored"}
--- onec


=== TEST 7: portals probe the address with GET
--- request
GET /bitrix/orders
--- response_headers
Content-Type: application/json
--- response_body
{"result":"ready"}
--- onec


=== TEST 8: GET with arguments, as of a robot after a redirect
--- request
GET /bitrix/orders?event=ONSALEORDERNEW
--- error_code: 405
--- response_body
{"result":"not_allowed"}
--- onec


=== TEST 9: portals probe the address with HEAD
--- request
HEAD /bitrix/orders
--- response_headers
Content-Type: application/json
Content-Length: 19
--- response_body
--- onec


=== TEST 10: GET with a body
--- request
GET /bitrix/orders
event=ONSALEORDERNEW&data[FIELDS][ID]=123
--- response_body
{"result":"ready"}
--- onec


=== TEST 11: malformed: the answer says what and where
--- request post_bare
event=ONSALEORDERNEW
data[FIELDS][ID=123
--- error_code: 400
--- response_headers
Content-Type: application/json
--- response_body_like: ^\{"result":"malformed","error":"[^"]+","where":\d+\}\n\z
--- onec


=== TEST 12: forbidden
--- request post_bare
event=ONSALEORDERNEW
data[FIELDS][ID]=123
auth[application_token]=0123456789abcdef0123456789abcdef
--- error_code: 403
--- response_headers
Content-Type: application/json
--- response_body
{"result":"forbidden"}
--- no_error_log
0123456789abcdef
--- onec


=== TEST 13: PUT is not allowed
--- request
PUT /bitrix/orders
event=ONSALEORDERNEW&data[FIELDS][ID]=123
--- error_code: 405
--- response_headers
Content-Type: application/json
Allow: GET, HEAD, POST
--- response_body
{"result":"not_allowed"}
--- onec


=== TEST 14: DELETE is not allowed
--- request
DELETE /bitrix/orders
--- error_code: 405
--- response_headers
Allow: GET, HEAD, POST
--- response_body
{"result":"not_allowed"}
--- onec


=== TEST 15: OPTIONS is not allowed
--- request
OPTIONS /bitrix/orders
--- error_code: 405
--- response_headers
Allow: GET, HEAD, POST
--- response_body
{"result":"not_allowed"}
--- onec


=== TEST 16: too large by Content-Length
--- location: client_max_body_size 1k;
--- request eval
main::event('ONSALEORDERNEW', 123, 'data[X]=' . 'x' x 1024)
--- error_code: 413
--- response_headers_like
Content-Type: application/json
Content-Length: 23
--- response_body
{"result":"too_large"}
--- onec


=== TEST 17: too large, chunked
--- location: client_max_body_size 1k;
--- more_headers
Content-Type: application/x-www-form-urlencoded
Transfer-Encoding: chunked
--- request eval
my (undef, $body) = CORE::split /\n/, main::event('ONSALEORDERNEW', 123,
                                            'data[X]=' . 'x' x 1024), 2;
sprintf "POST /bitrix/orders\n%x\r\n%s\r\n0\r\n\r\n", length $body, $body
--- error_code: 413
--- response_headers_like
Content-Type: application/json
--- response_body
{"result":"too_large"}
--- onec


=== TEST 18: not too large
--- location: client_max_body_size 2k;
--- request eval
main::event('ONSALEORDERNEW', 123, 'ts=1', 'data[X]=' . 'x' x 1024)
--- response_body_like: ^\{"result":"accepted"
--- onec eval expect
'ONSALEORDERNEW 1 SALEORDER 123 {"FIELDS":{"ID":"123"},"X":"' . 'x' x 1024 . '"}'


=== TEST 19: another type is refused
--- more_headers
Content-Type: text/plain
--- request post
event=ONSALEORDERNEW
data[FIELDS][ID]=123
--- error_code: 415
--- response_headers
Content-Type: application/json
--- response_body
{"result":"unsupported"}
--- onec


=== TEST 20: multipart
--- more_headers
Content-Type: multipart/form-data; boundary=x
--- request eval
"POST /bitrix/orders\n--x\r\nContent-Disposition: form-data; name=\"event\"\r\n"
. "\r\nONSALEORDERNEW\r\n--x--\r\n"
--- error_code: 415
--- response_body
{"result":"unsupported"}
--- onec


=== TEST 21: a body without a type is read as a form
--- more_headers
X-Nothing: here
--- request post
event=ONSALEORDERNEW
data[FIELDS][ID]=123
ts=1
--- response_body_like: ^\{"result":"accepted"
--- onec expect
ONSALEORDERNEW 1 SALEORDER 123 {"FIELDS":{"ID":"123"}}


=== TEST 22: a type that only begins like the right one
--- more_headers
Content-Type: application/x-www-form-urlencoded-not
--- request post
event=ONSALEORDERNEW
data[FIELDS][ID]=123
--- error_code: 415
--- response_body
{"result":"unsupported"}
--- onec


=== TEST 23: the type in another case, with parameters
--- more_headers
Content-Type: Application/X-WWW-Form-Urlencoded ; charset=UTF-8
--- request post
event=ONSALEORDERNEW
data[FIELDS][ID]=123
ts=1
--- response_body_like: ^\{"result":"accepted"
--- onec expect
ONSALEORDERNEW 1 SALEORDER 123 {"FIELDS":{"ID":"123"}}


=== TEST 24: unavailable while Redis is down
--- queue: redis unix:$TEST_NGINX_SERVER_ROOT/nobody.sock timeout=300ms;
--- request post
event=ONSALEORDERNEW
data[FIELDS][ID]=123
--- error_code: 503
--- response_headers
Content-Type: application/json
--- response_body
{"result":"unavailable"}
--- onec


=== TEST 25: an error_page of the location does not change the answer
--- location
error_page 400 403 405 415 503 /sorry;
--- request eval
[main::post_bare('a[b=1'), main::post_bare("event=A\nts=1"),
 "PUT /bitrix/orders"]
--- error_code eval
[400, 403, 405]
--- response_body_like eval
['^\{"result":"malformed"', '^\{"result":"forbidden"\}',
 '^\{"result":"not_allowed"\}']
--- onec


=== TEST 26: keepalive, one connection, several events
--- pipelined_requests eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'), "GET /bitrix/orders",
 main::post_bare('a[b=1'), main::event('ONSALEORDERNEW', 2, 'ts=1')]
--- error_code eval
[200, 200, 400, 200]
--- response_body_like eval
['"accepted"', '"ready"', '"malformed"', '"accepted"']
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}
ONSALEORDERNEW 1 SALEORDER 2 {"FIELDS":{"ID":"2"}}


=== TEST 27: stock access control comes first
--- location
deny all;
--- request post
event=ONSALEORDERNEW
data[FIELDS][ID]=123
--- error_code: 403
--- response_body_like: 403 Forbidden
--- onec


=== TEST 28: a location without the module is not affected
--- config
location = /plain { return 200 "plain\n"; }
location = /bitrix/orders {
    bitrix1c_webhook  orders;
    bitrix1c_token    $TEST_NGINX_TOKEN;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT;
}
--- request
PUT /plain
--- response_body
plain
--- onec



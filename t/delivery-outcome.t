#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# What each answer of 1C means, which failures are retried and which are not,
# bitrix1c_wait, and the location's own proxy directives in deliveries.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_base64);
use FindBin;
use JSON::PP;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

our @keys = map { $_ x 24 } 'a', 'b';

push @Test::Nginx::Socket::CustomSections, 'signed_by';
add_response_body_check(\&check_signatures);

plan 'no_plan';
run_tests();


# "v1,base64" of HMAC-SHA256 over id.timestamp.body, one for each key in use
# (github.com/standard-webhooks/standard-webhooks)

sub check_signatures {
    my ($block, $body) = @_;

    return if !defined $block->signed_by || $body !~ /\A\[/;

    my $name = $block->name;
    my $requests = JSON::PP->new->utf8->decode($body);

    for my $request (@{$requests}) {
        my $h = $request->{headers};
        my $text = join '.', @{$h}{qw(webhook-id webhook-timestamp)},
                             $request->{body};

        utf8::encode($text);
        is($h->{'webhook-signature'},
           join(' ', map { 'v1,' . hmac_sha256_base64($text, $_) . '=' }
                     @keys[split ' ', $block->signed_by]),
           "$name - signature of attempt $h->{'x-bitrix1c-attempt'}");
    }

    return;
}


# one event answered by 1C in each of these ways

sub each_mode {
    my (@modes) = @_;

    return [map { ("GET /onec/mode?mode=$modes[$_]&times=1",
                   event('ONSALEORDERNEW', $_ + 1, 'ts=1'),
                   'GET /onec/received?answered=1&show=count&wait='
                   . ($_ + 1)) }
                0 .. $#modes];
}

__DATA__

=== TEST 1: success: 200 with a BOM, chunked, unframed, without a body, 204
--- queue: retry 1h;
--- request eval
main::each_mode(qw(ok bom empty chunked unframed 201 202 204))
--- error_code eval
[(200) x 24]
--- onec eval expect
CORE::join '', map { "ONSALEORDERNEW 1 SALEORDER $_ {\"FIELDS\":{\"ID\":\"$_\"}}\n" } 1 .. 8


=== TEST 2: dead at once: 1C says that the event is bad
--- queue: retry 100ms;
--- request eval
main::each_mode(qw(400 410 413 415 422))
--- error_code eval
[(200) x 15]
--- redis
ZCARD {b1c:orders}:d = 5
ZCARD {b1c:orders}:q = 0
--- onec eval expect
CORE::join '', map { "ONSALEORDERNEW 1 SALEORDER $_ {\"FIELDS\":{\"ID\":\"$_\"}}\n" } 1 .. 5


=== TEST 3: dead at once: an exception's text in a 200
--- rules: {"mode":"exception"}
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- redis
ZCARD {b1c:orders}:d = 1
ZCARD {b1c:orders}:q = 0
--- wait: 0.3
--- error_log eval
qr/\[error\] .*1C returned an exception's text, status 200/
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 4: dead at once: own codes in place of the default
--- location: bitrix1c_permanent 404 500;
--- queue: retry 1h;
--- request eval
main::each_mode(qw(400 404 500 422))
--- error_code eval
[(200) x 12]
--- redis
ZCARD {b1c:orders}:d = 2
ZCARD {b1c:orders}:q = 2
--- onec eval expect
CORE::join '', map { "ONSALEORDERNEW 1 SALEORDER $_ {\"FIELDS\":{\"ID\":\"$_\"}}\n" } 1 .. 4


=== TEST 5: retried: all temporary failures
--- queue: retry 1h;
--- request eval
main::each_mode(qw(401 403 404 406 408 409 425 429 500 502 503 504 301
                   truncated cutchunk reset commit-close locked))
--- error_code eval
[(200) x 54]
--- redis
ZCARD {b1c:orders}:d = 0
ZCARD {b1c:orders}:q = 18


=== TEST 6: a second attempt has the same id and the next number
--- rules: {"mode":"500","times":1}
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 "GET /onec/received?wait=2&answered=1"]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted"',
 qr/"webhook-id":"(\w{32})".*"x-bitrix1c-attempt":"1".*\n
    .*"webhook-id":"\1".*"x-bitrix1c-attempt":"2"/x]
--- wait: 0.1
--- onec eval expect
"ONSALEORDERNEW 1 SALEORDER 1 {\"FIELDS\":{\"ID\":\"1\"}}\n" x 2


=== TEST 7: the last attempt fails: a dead letter with its reason
--- rules: {"mode":"conflict"}
--- queue: retry 50ms 50ms;
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 "GET /onec/received?wait=3&answered=1&show=count"]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted"', '"count":3']
--- wait: 0.3
--- redis
ZCARD {b1c:orders}:d = 1
ZCARD {b1c:orders}:q = 0
--- onec eval expect
"ONSALEORDERNEW 1 SALEORDER 1 {\"FIELDS\":{\"ID\":\"1\"}}\n" x 3


=== TEST 8: 1C does not answer in time
--- rules: {"mode":"hang","times":1}
--- location
proxy_read_timeout 200ms;
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- onec eval expect
"ONSALEORDERNEW 1 SALEORDER 1 {\"FIELDS\":{\"ID\":\"1\"}}\n" x 2


=== TEST 9: 1C is down, then up
--- http_config
upstream onec {
    server 127.0.0.1:$TEST_NGINX_H2_PORT max_fails=0;
}
--- location
proxy_pass http://onec/CompanyName/hs/exchange/;
--- queue
retry 300ms 300ms 300ms 300ms 300ms 300ms 300ms;
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- error_log
connect() failed (111
--- wait: 0.2
--- redis
ZCARD {b1c:orders}:q = 1
ZCARD {b1c:orders}:d = 0


=== TEST 10: wait: 1C's status in the answer
--- location: bitrix1c_wait 5s;
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- response_body_like: ^\{"result":"accepted","id":"\w{32}","status":200\}\n\z
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 11: wait: an error of 1C is answered with 200
--- location: bitrix1c_wait 5s;
--- rules: {"mode":"500","times":1}
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- response_body_like: ^\{"result":"accepted","id":"\w{32}","status":500\}\n\z
--- onec eval expect
"ONSALEORDERNEW 1 SALEORDER 1 {\"FIELDS\":{\"ID\":\"1\"}}\n" x 2


=== TEST 12: wait: 1C is too slow
--- location: bitrix1c_wait 200ms;
--- rules: {"delay":1}
--- timeout: 0.8
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- response_body_like: ^\{"result":"accepted","id":"\w{32}"\}\n\z
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 13: wait: duplicates do not wait
--- location: bitrix1c_wait 2s;
--- rules: {"delay":0.2}
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 main::event('ONSALEORDERNEW', 1, 'ts=1')]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted","id":"\w{32}","status":200\}',
 '^\{"result":"duplicate","id":"\w{32}"\}']
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 14: wait: the client disconnects meanwhile
--- location: bitrix1c_wait 2s;
--- rules: {"delay":0.6}
--- timeout: 0.2
--- abort
--- ignore_response
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- wait: 0.6
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 15: wait: at the concurrency limit the answer does not wait
--- location: bitrix1c_wait 3s;
--- queue: concurrency 1;
--- rules: {"delay":0.6,"match":"\"ID\":\"1\""}
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 main::event('ONSALEORDERNEW', 2, 'ts=1')]
--- error_code eval
[200, 200]
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}
ONSALEORDERNEW 1 SALEORDER 2 {"FIELDS":{"ID":"2"}}


=== TEST 16: headers of the location's proxy_set_header, Basic, Host
--- location
proxy_http_version  1.1;
proxy_set_header    Connection "";
proxy_set_header    Host onec.local;
proxy_set_header    Authorization "Basic 0J7QsdC80LXQvTrRgdC10LrRgNC10YI=";
--- rules: {"mode":"basic"}
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 "GET /onec/received?wait=1&answered=1"]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted"', qr/"host":"onec\.local".*"status":200/]
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 17: no header of the sender is sent to 1C
--- more_headers
Content-Type: application/x-www-form-urlencoded
User-Agent: Bitrix24 Webhook Engine
Cookie: a=CONFIDENTIAL
Authorization: Basic CONFIDENTIAL
X-Forwarded-For: 1.2.3.4
Accept-Encoding: gzip
Webhook-Id: 00000000000000000000000000000000
X-Bitrix1c-Attempt: 9
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 "GET /onec/received?wait=1&answered=1"]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted"', qr/\A(?!.*(?:CONFIDENTIAL|user-agent|cookie|forwarded|gzip
                            |authorization|0{32})).*-attempt":"1"/x]
--- response_body_unlike eval
[qr/never/, qr/CONFIDENTIAL/]


=== TEST 18: unbuffered, with keepalive, 3 MB of an answer
--- http_config
upstream onec { server 127.0.0.1:$TEST_NGINX_ONEC_PORT; keepalive 2; }
--- location
proxy_pass           http://onec/CompanyName/hs/exchange/;
proxy_http_version   1.1;
proxy_set_header     Connection "";
proxy_buffering      off;
--- rules: {"mode":"big","times":1}
--- queue: retry 1h;
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 "GET /onec/received?wait=1&answered=1&show=count",
 main::event('ONSALEORDERNEW', 2, 'ts=1')]
--- error_code eval
[200, 200, 200]
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}
ONSALEORDERNEW 1 SALEORDER 2 {"FIELDS":{"ID":"2"}}


=== TEST 19: 3 MB of an answer, buffered into a temporary file
--- location
proxy_buffers 2 4k;
proxy_buffer_size 4k;
proxy_busy_buffers_size 4k;
--- rules: {"mode":"big","times":1}
--- queue: retry 1h;
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 20: error_page and proxy_intercept_errors do not hide 1C's status
--- location
proxy_intercept_errors on;
error_page 500 502 =200 /sorry;
--- rules: {"mode":"500","times":1}
--- queue: retry 1h;
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 "GET /onec/received?wait=1&answered=1&show=count"]
--- error_code eval
[200, 200]
--- wait: 0.2
--- redis
ZCARD {b1c:orders}:q = 1
ZCARD {b1c:orders}:d = 0


=== TEST 21: proxy_next_upstream with several servers of 1C
--- http_config
upstream onec {
    server 127.0.0.1:1 max_fails=0;
    server 127.0.0.1:$TEST_NGINX_ONEC_PORT;
}
--- location
proxy_pass           http://onec/CompanyName/hs/exchange/;
proxy_next_upstream  error non_idempotent;
--- queue: retry 1h;
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 main::event('ONSALEORDERNEW', 2, 'ts=1')]
--- error_code eval
[200, 200]
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}
ONSALEORDERNEW 1 SALEORDER 2 {"FIELDS":{"ID":"2"}}


=== TEST 22: limits, access control and rewriting of the public address
--- http_config
limit_req_zone $binary_remote_addr zone=r:1m rate=1r/m;
limit_conn_zone $binary_remote_addr zone=c:1m;
--- location
limit_req   zone=r burst=2 nodelay;
limit_conn  c 1;
allow       127.0.0.1;
deny        all;
satisfy     all;
--- queue: retry 1h;
--- request eval
[map { main::event('ONSALEORDERNEW', $_, 'ts=1') } 1 .. 4]
--- error_code eval
[200, 200, 200, 503]
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}
ONSALEORDERNEW 1 SALEORDER 2 {"FIELDS":{"ID":"2"}}
ONSALEORDERNEW 1 SALEORDER 3 {"FIELDS":{"ID":"3"}}


=== TEST 23: a location by regex and one by prefix deliver by themselves
--- config
location ~ ^/hook/(?<who>\w+)$ {
    bitrix1c_webhook  orders;
    bitrix1c_token    $TEST_NGINX_TOKEN;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/$who;
    proxy_set_header  X-Who $who;
}
location /pre/ {
    bitrix1c_webhook  orders;
    bitrix1c_token    $TEST_NGINX_TOKEN;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
    proxy_set_header  X-Who pre;
}
--- request eval
my @r = map { main::event('ONSALEORDERNEW', $_, 'ts=1') } 1, 2;
$r[0] =~ s{/bitrix/orders}{/hook/ann};
$r[1] =~ s{/bitrix/orders}{/pre/};
[$r[0], "GET /onec/received?wait=1&show=count", $r[1],
 "GET /onec/received?wait=2&answered=1"]
--- error_code eval
[200, 200, 200, 200]
--- response_body_like eval
['"accepted"', '"count":1', '"accepted"',
 '\A.*"x-who":"ann".*\n.*"x-who":"pre"']
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}
ONSALEORDERNEW 1 SALEORDER 2 {"FIELDS":{"ID":"2"}}


=== TEST 24: a delivery finds the named server again
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_PORT;
    server_name hooks.example.com;
    location = /bitrix/orders {
        bitrix1c_webhook  orders;
        bitrix1c_token    $TEST_NGINX_TOKEN;
        proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
        proxy_set_header  X-Who named;
    }
}
--- more_headers
Host: hooks.example.com
Content-Type: application/x-www-form-urlencoded
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 25: before Redis is connected events wait, and so do repeats
--- at_once
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 main::event('ONSALEORDERNEW', 1, 'ts=1'),
 main::event('ONSALEORDERNEW', 2, 'ts=1')]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"accepted"', '"duplicate"', '"accepted"']
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}
ONSALEORDERNEW 1 SALEORDER 2 {"FIELDS":{"ID":"2"}}


=== TEST 26: error.log has no token at the debug level
--- log_level: debug
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 main::post_bare("event=A\nauth[application_token]=CONFIDENTIAL1")]
--- error_code eval
[200, 403]
--- no_error_log
CONFIDENTIAL1
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 27: each attempt is signed anew
--- user_files eval
[['secret', "# the key of our 1C\nwhsec_" . 'YWFh' x 8 . "\n"]]
--- location: bitrix1c_sign $TEST_NGINX_SERVER_ROOT/html/secret;
--- rules: {"mode":"500","times":1}
--- queue: retry 1200ms;
--- request eval
[main::event('ONUSERADD', 1, 'ts=1', 'data[NAME]=%D0%90'),
 "GET /onec/received?wait=2&answered=1"]
--- error_code eval
[200, 200]
--- signed_by: 0
--- onec eval expect
"ONUSERADD 1 USER 1 {\"FIELDS\":{\"ID\":\"1\"},\"NAME\":\"\xD0\x90\"}\n" x 2


=== TEST 28: signed by two keys during a key change
--- user_files eval
[['secret', 'whsec_' . 'YWFh' x 8 . "\n" . 'whsec_' . 'YmJi' x 8 . "\n"]]
--- location: bitrix1c_sign $TEST_NGINX_SERVER_ROOT/html/secret;
--- request eval
[main::event('ONUSERADD', 1, 'ts=1'),
 "GET /onec/received?wait=1&answered=1"]
--- error_code eval
[200, 200]
--- signed_by: 0 1
--- no_error_log
YWFh


=== TEST 29: not signed by default
--- request eval
[main::event('ONUSERADD', 1, 'ts=1'),
 "GET /onec/received?wait=1&answered=1"]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted"', '\A(?!.*webhook-signature)']

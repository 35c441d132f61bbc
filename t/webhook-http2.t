#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A body arrives by HTTP/2.  1C gets the same JSON as by HTTP/1.1.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Binary qw(listen_http2 nginx_has);
use Bitrix1C::Blocks;
use Test::Nginx::Socket;

our ($body) = fixture('user-add.app.docs.form') =~ /\n(.*)/s;

our $long = 'x' x 20_000;

$ENV{TEST_NGINX_LISTEN_H2} = listen_http2("127.0.0.1:$ENV{TEST_NGINX_H2_PORT}");

plan skip_all => 'this nginx has no http_v2_module' if !nginx_has('http_v2');
plan 'no_plan';
run_tests();

__DATA__

=== TEST 1: HTTP/2, with Content-Length
--- http_config eval
'server {
    $TEST_NGINX_LISTEN_H2
    location = /bitrix/orders {
        bitrix1c_webhook  orders;
        bitrix1c_token    $TEST_NGINX_TOKEN;
        proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
    }
}'
--- init
open my $curl, '|-', qw(curl -sS --http2-prior-knowledge -o /dev/null
                        --data-binary @-),
     "http://127.0.0.1:$ENV{TEST_NGINX_H2_PORT}/bitrix/orders"
    or die "curl: $!\n";
print {$curl} $main::body;
close $curl or die "curl: $?\n";
--- request
GET /onec/received?wait=1&show=count
--- response_body_like: ^\{"count":1\}
--- onec
{"id":"ID","event":"ONUSERADD","ts":1712304000,"received":NOW,"source":{"domain":"some-domain.bitrix24.com","member_id":"a223c6b3710f85df22e9377d6c4f7553"},"entity":{"type":"USER","id":"123"},"data":{"ID":"123","ACTIVE":"Y","EMAIL":"user@example.com","NAME":"Анна","LAST_NAME":"Weber","UF_DEPARTMENT":["1","2"]}}


=== TEST 2: HTTP/2, without Content-Length, into a file
--- http_config eval
'server {
    $TEST_NGINX_LISTEN_H2
    client_body_buffer_size 1k;
    location = /bitrix/orders {
        bitrix1c_webhook  orders;
        bitrix1c_token    $TEST_NGINX_TOKEN;
        proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
    }
}'
--- init
open my $curl, '|-', qw(curl -sS --http2-prior-knowledge -o /dev/null
                        -H Content-Type:application/x-www-form-urlencoded
                        -X POST -T -),
     "http://127.0.0.1:$ENV{TEST_NGINX_H2_PORT}/bitrix/orders"
    or die "curl: $!\n";
print {$curl} "$main::body&data[X]=$main::long";
close $curl or die "curl: $?\n";
--- request
GET /onec/received?wait=1&show=count
--- response_body_like: ^\{"count":1\}
--- onec eval
'{"id":"ID","event":"ONUSERADD","ts":1712304000,"received":NOW,"source":{"domain":"some-domain.bitrix24.com","member_id":"a223c6b3710f85df22e9377d6c4f7553"},"entity":{"type":"USER","id":"123"},"data":{"ID":"123","ACTIVE":"Y","EMAIL":"user@example.com","NAME":"Анна","LAST_NAME":"Weber","UF_DEPARTMENT":["1","2"],"X":"' . $main::long . '"}}'

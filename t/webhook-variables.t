#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The module's variables in map, proxy_pass, proxy_set_header and log_format, in
# the request and in its deliveries.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

plan 'no_plan';
run_tests();

__DATA__

=== TEST 1: all of them in deliveries
--- location
proxy_set_header X-Id          $bitrix1c_id;
proxy_set_header X-Event       $bitrix1c_event;
proxy_set_header X-Type        $bitrix1c_entity_type;
proxy_set_header X-Entity      $bitrix1c_entity_id;
proxy_set_header X-Member      $bitrix1c_member_id;
proxy_set_header X-Domain      $bitrix1c_domain;
proxy_set_header X-Ts          $bitrix1c_ts;
proxy_set_header X-Attempt     $bitrix1c_attempt;
proxy_set_header X-Type-Id     $bitrix1c_data_fields_entity_type_id;
proxy_set_header X-Second      $bitrix1c_data_list_1;
proxy_set_header X-None        a$bitrix1c_data_no_such_thing;
proxy_set_header X-Map         a$bitrix1c_data_fields;
--- rules: {"mode":"500","times":1}
--- request eval
[main::event('onCrmDynamicItemUpdate', 21, 'ts=5', 'data[LIST][0]=x',
             'data[LIST][1]=y', 'data[FIELDS][ENTITY_TYPE_ID]=1032'),
 "GET /onec/received?wait=2&answered=1"]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted"',
 qr/"webhook-id":"(\w+)",
    "webhook-timestamp":"\d+",
    "x-attempt":"1",
    "x-bitrix-event":"ONCRMDYNAMICITEMUPDATE",
    "x-bitrix1c-attempt":"1",
    "x-domain":"myshop\.ru",
    "x-entity":"21",
    "x-event":"ONCRMDYNAMICITEMUPDATE",
    "x-id":"\1",
    "x-map":"a",
    "x-member":"a223c6b3710f85df22e9377d6c4f7553",
    "x-none":"a",
    "x-second":"y",
    "x-ts":"5",
    "x-type":"CRMDYNAMICITEM_1032",
    "x-type-id":"1032".*\n
    .*"x-attempt":"2".*"x-id":"\1".*"x-type-id":"1032"/x]
--- wait: 0.1


=== TEST 2: routing by map and proxy_pass
--- http_config
map $bitrix1c_event $hs { ~^ONSALE orders; default common; }
--- location
proxy_pass http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/$hs?entity=$bitrix1c_entity_id;
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 "GET /onec/received?wait=1&show=count",
 main::event('ONCRMDEALADD', 2, 'ts=1'),
 "GET /onec/received?wait=2&answered=1"]
--- error_code eval
[200, 200, 200, 200]
--- response_body_like eval
['"accepted"', '"count":1', '"accepted"',
 qr{"path":"/CompanyName/hs/exchange/orders\?entity=1".*\n
    .*"path":"/CompanyName/hs/exchange/common\?entity=2"}x]


=== TEST 3: upstream by variable, the host by map of the portal
--- http_config
upstream shop { server 127.0.0.1:$TEST_NGINX_ONEC_PORT; }
upstream none { server 127.0.0.1:1; }
map $bitrix1c_domain $onec { default none; myshop.ru shop; }
--- location
proxy_pass http://$onec/CompanyName/hs/exchange/;
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=1')
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 4: log of an accepted request
--- http_config
log_format b1c '$status [$bitrix1c_result] [$bitrix1c_event] '
               '[$bitrix1c_entity_type $bitrix1c_entity_id] [$bitrix1c_ts] '
               '[$bitrix1c_domain] [$bitrix1c_attempt] '
               '[$bitrix1c_data_fields_id]';
--- location
access_log  $TEST_NGINX_SERVER_ROOT/logs/access.log b1c;
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=5')
--- access_log
200 [accepted] [ONSALEORDERNEW] [SALEORDER 1] [5] [myshop.ru] [-] [1]


=== TEST 5: log of a duplicate
--- http_config
log_format b1c '$status [$bitrix1c_result] [$bitrix1c_id]';
--- location
access_log  $TEST_NGINX_SERVER_ROOT/logs/access.log b1c;
--- pipelined_requests eval
[main::event('ONSALEORDERNEW', 1, 'ts=5'),
 main::event('ONSALEORDERNEW', 1, 'ts=5')]
--- error_code eval
[200, 200]
--- wait: 0.1
--- access_log eval
[qr/^200 \[accepted\] \[\w{32}\]$/, qr/^200 \[duplicate\] \[\w{32}\]$/]


=== TEST 6: log of an ignored event
--- http_config
log_format b1c '$status [$bitrix1c_result] [$bitrix1c_event]';
--- location
access_log       $TEST_NGINX_SERVER_ROOT/logs/access.log b1c;
bitrix1c_events  ONCRM*;
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=5')
--- access_log
200 [ignored] [ONSALEORDERNEW]


=== TEST 7: log of a refused request
--- http_config
log_format b1c '$status [$bitrix1c_result] [$bitrix1c_event] [$bitrix1c_id]';
--- location
access_log  $TEST_NGINX_SERVER_ROOT/logs/access.log b1c;
--- request post_bare
a[=1
--- error_code: 400
--- access_log
400 [malformed] [-] [-]


=== TEST 8: log of a forbidden request has no value of its body
--- http_config
log_format b1c '$status [$bitrix1c_result] [$bitrix1c_event] [$bitrix1c_domain]';
--- location
access_log  $TEST_NGINX_SERVER_ROOT/logs/access.log b1c;
--- request post_bare
event=ONSALEORDERNEW
auth[domain]=evil.example.com
--- error_code: 403
--- access_log
403 [forbidden] [-] [-]


=== TEST 9: log of a probe
--- http_config
log_format b1c '$status [$bitrix1c_result] [$bitrix1c_event]';
--- location
access_log  $TEST_NGINX_SERVER_ROOT/logs/access.log b1c;
--- request
GET /bitrix/orders
--- access_log
200 [ready] [-]


=== TEST 10: log of a request that is too large
--- http_config
log_format b1c '$status [$bitrix1c_result]';
--- location
client_max_body_size 10;
access_log  $TEST_NGINX_SERVER_ROOT/logs/access.log b1c;
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=5')
--- error_code: 413
--- access_log
413 [too_large]


=== TEST 11: log of deliveries, successful and failed
--- http_config
log_format b1c '$status $upstream_status [$bitrix1c_result] '
               '[$bitrix1c_attempt] [$bitrix1c_event] [$bitrix1c_entity_id] '
               '[$bitrix1c_data_fields_id]';
--- location
log_subrequest  on;
access_log      $TEST_NGINX_SERVER_ROOT/logs/access.log b1c if=$bitrix1c_attempt;
--- rules: {"mode":"500","times":1}
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=5')
--- wait: 0.8
--- access_log eval
[qr/^500 500 \[[^]]*\] \[1\] \[ONSALEORDERNEW\] \[1\] \[1\]$/,
 qr/^200 200 \[[^]]*\] \[2\] \[ONSALEORDERNEW\] \[1\] \[1\]$/]
--- no_access_log
[accepted]


=== TEST 12: outside of a webhook they are empty
--- config
location = /bitrix/orders { return 200 "[$bitrix1c_id$bitrix1c_event$bitrix1c_ts$bitrix1c_attempt$bitrix1c_result$bitrix1c_data_a]\n"; }
--- request eval
main::event('ONSALEORDERNEW', 1, 'ts=5')
--- response_body
[]


=== TEST 13: a number of a JSON body, a value of true, names in any case
--- more_headers
Content-Type: application/json
--- location
proxy_set_header X-Sum  $bitrix1c_data_sum;
proxy_set_header X-Yes  $bitrix1c_data_Yes;
proxy_set_header X-No   a$bitrix1c_data_nothing;
--- request eval
[main::post_json('{"event":"ONX","ts":1,"data":{"ID":"1","SUM":12.5,"YES":true,"NOTHING":null},"auth":{"application_token":"TOKEN"}}'),
 "GET /onec/received?wait=1&answered=1"]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted"', '"x-no":"a","x-sum":"12\.5","x-yes":"true"']


=== TEST 14: a later attempt reads them from Redis
--- queue: retry 500ms;
--- rules: {"mode":"500","times":1}
--- location
proxy_set_header X-Sum $bitrix1c_data_fields_sum;
proxy_set_header X-Entity $bitrix1c_entity_id;
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=5', 'data[FIELDS][SUM]=10'),
 "GET /onec/received?wait=2&answered=1"]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted"', '"x-entity":"1","x-sum":"10".*\n.*"x-entity":"1","x-sum":"10"']
--- onec eval expect
"ONSALEORDERNEW 5 SALEORDER 1 {\"FIELDS\":{\"ID\":\"1\",\"SUM\":\"10\"}}\n" x 2

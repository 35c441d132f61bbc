#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A repeated event reaches 1C once, and an event that may be a new change always
# reaches it: duplicates, coalescing, re-runs, the window, bitrix1c_key and
# bitrix1c_lane.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

# a second that is not over when the last block runs
our $second = time + 600;

plan 'no_plan';
run_tests();

__DATA__

=== TEST 1: once: a repeat is a duplicate after delivery
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 "GET /onec/received?wait=1&answered=1&show=count",
 main::event('ONSALEORDERNEW', 1, 'ts=1')]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"accepted"', '"count":1', '"duplicate"']
--- wait: 0.1
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 2: once: a repeat is a duplicate in flight
--- rules: {"delay":0.5}
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 main::event('ONSALEORDERNEW', 1, 'ts=1')]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted"', '"duplicate"']
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 3: once: a repeat is a duplicate while the first waits for its retry
--- rules: {"mode":"500","times":1}
--- queue: retry 1s;
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 "GET /onec/received?wait=1&answered=1&show=count",
 main::event('ONSALEORDERNEW', 1, 'ts=1')]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"accepted"', '"count":1', '"duplicate"']
--- wait: 0.1
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 4: once: a repeat of a dead letter is no second dead letter
--- rules: {"mode":"400"}
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 "GET /onec/received?wait=1&answered=1&show=count",
 main::event('ONSALEORDERNEW', 1, 'ts=1')]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"accepted"', '"count":1', '"duplicate"']
--- wait: 0.1
--- redis
ZCARD {b1c:orders}:d = 1
ZCARD {b1c:orders}:q = 0
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 5: once: another entity, event or portal is another event
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 main::event('ONSALEORDERNEW', 2, 'ts=1'),
 main::event('ONCRMDEALADD', 1, 'ts=1'),
 main::post_bare(CORE::join "\n", 'event=ONSALEORDERNEW', 'data[FIELDS][ID]=1',
                 'ts=1', 'auth[member_id]=other',
                 "auth[application_token]=$Bitrix1C::Blocks::TOKEN")]
--- error_code eval
[200, 200, 200, 200]
--- response_body_like eval
[('"accepted"') x 4]


=== TEST 6: once: by the verb, without the suffix of a smart process
--- request eval
[map { (main::event($_, 1, 'ts=1'), main::event($_, 1, 'ts=1')) }
     qw(ONCRMDEALADD ONCRMDEALDELETE ONSALEORDERNEW ONCRMDYNAMICITEMADD_147
        ONCRMDYNAMICITEMDELETE_147)]
--- error_code eval
[(200) x 10]
--- response_body_like eval
[('"accepted"', '"duplicate"') x 5]


=== TEST 7: after the window a repeat is accepted
--- queue: window 300ms;
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1'),
 main::event('ONSALEORDERNEW', 1, 'ts=2')]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted"', '"accepted"']
--- wait: 0.6
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}
ONSALEORDERNEW 2 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 8: without an entity the body is the identity, less auth
--- request eval
[main::post("event=ONAPPUPDATE\nts=1\ndata[VERSION]=2\nauth[access_token]=a"),
 main::post("event=ONAPPUPDATE\nts=1\ndata[VERSION]=2\nauth[access_token]=b"),
 main::post("event=ONAPPUPDATE\nts=1\ndata[VERSION]=3\nauth[access_token]=b")]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"accepted"', '"duplicate"', '"accepted"']
--- onec expect
ONAPPUPDATE 1 APP null {"VERSION":"2"}
ONAPPUPDATE 1 APP null {"VERSION":"3"}


=== TEST 9: without an entity and without ts the time of receipt is not part of the identity
--- request eval
[main::post("event=ONAPPUPDATE\ndata[VERSION]=2"),
 main::post("event=ONAPPUPDATE\ndata[VERSION]=2")]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted"', '"duplicate"']
--- wait: 1.1


=== TEST 10: state: waiting, the newer body takes the older one's place
--- rules: {"delay":0.7,"times":1}
--- queue: concurrency 1;
--- request eval
[main::event('ONCRMLEADUPDATE', 9, 'ts=1'),
 main::event('ONCRMDEALUPDATE', 7, 'ts=1', 'data[N]=1'),
 main::event('ONCRMDEALUPDATE', 7, 'ts=2', 'data[N]=2'),
 main::event('ONCRMDEALUPDATE', 7, 'ts=3', 'data[N]=3')]
--- error_code eval
[200, 200, 200, 200]
--- response_body_like eval
['"accepted"', '"accepted"', '"coalesced"', '"coalesced"']
--- onec expect
ONCRMLEADUPDATE 1 CRMLEAD 9 {"FIELDS":{"ID":"9"}}
ONCRMDEALUPDATE 3 CRMDEAL 7 {"FIELDS":{"ID":"7"},"N":"3"}


=== TEST 11: state: in flight, one re-run for any number of repeats
--- rules: {"delay":0.7,"times":1}
--- request eval
[main::event('ONCRMDEALUPDATE', 7, 'ts=1', 'data[N]=1'),
 main::event('ONCRMDEALUPDATE', 7, 'ts=2', 'data[N]=2'),
 main::event('ONCRMDEALUPDATE', 7, 'ts=3', 'data[N]=3')]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"accepted"', '"coalesced"', '"coalesced"']
--- onec expect
ONCRMDEALUPDATE 1 CRMDEAL 7 {"FIELDS":{"ID":"7"},"N":"1"}
ONCRMDEALUPDATE 3 CRMDEAL 7 {"FIELDS":{"ID":"7"},"N":"3"}


=== TEST 12: state: two changes in one second with equal bodies
--- request eval
[main::event('ONCRMDEALUPDATE', 7, "ts=$main::second"),
 "GET /onec/received?wait=1&answered=1&show=count",
 main::event('ONCRMDEALUPDATE', 7, "ts=$main::second")]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"accepted"', '"count":1', '"accepted"']
--- wait: 0.1
--- onec eval expect
"ONCRMDEALUPDATE $main::second CRMDEAL 7 {\"FIELDS\":{\"ID\":\"7\"}}\n" x 2


=== TEST 13: state: delivered well after the change, it is a duplicate
--- request eval
[main::event('ONCRMDEALUPDATE', 7, 'ts=1710460800'),
 "GET /onec/received?wait=1&answered=1&show=count",
 main::event('ONCRMDEALUPDATE', 7, 'ts=1710460801')]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"accepted"', '"count":1', '"duplicate"']
--- wait: 0.1
--- onec expect
ONCRMDEALUPDATE 1710460800 CRMDEAL 7 {"FIELDS":{"ID":"7"}}


=== TEST 14: state: without ts no event is a duplicate
--- request eval
[main::event('ONCRMDEALUPDATE', 7),
 "GET /onec/received?wait=1&answered=1&show=count",
 main::event('ONCRMDEALUPDATE', 7)]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"accepted"', '"count":1', '"accepted"']
--- wait: 0.1
--- onec eval expect
"ONCRMDEALUPDATE NOW CRMDEAL 7 {\"FIELDS\":{\"ID\":\"7\"}}\n" x 2


=== TEST 15: state: the clocks may differ by the margin
--- queue: margin 1h;
--- request eval
my $ts = time - 1800;
[main::event('ONCRMDEALUPDATE', 7, "ts=$ts"),
 "GET /onec/received?wait=1&answered=1&show=count",
 main::event('ONCRMDEALUPDATE', 7, "ts=$ts")]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"accepted"', '"count":1', '"accepted"']
--- wait: 0.1


=== TEST 16: state: failed once and waiting: the newer body has an id of its own
--- rules: {"mode":"500","times":1}
--- queue: retry 1s;
--- request eval
[main::event('ONCRMDEALUPDATE', 7, 'ts=1', 'data[N]=1'),
 "GET /onec/received?wait=1&answered=1&show=count",
 main::event('ONCRMDEALUPDATE', 7, 'ts=2', 'data[N]=2'),
 "GET /onec/received?wait=2&answered=1&show=bodies"]
--- error_code eval
[200, 200, 200, 200]
--- response_body_like eval
['"accepted"', '"count":1', '"coalesced"',
 '\A\{"id":"(\w+)".*\n\{"id":"(?!\1)\w+".*\n\z']
--- wait: 0.1
--- onec expect
ONCRMDEALUPDATE 1 CRMDEAL 7 {"FIELDS":{"ID":"7"},"N":"1"}
ONCRMDEALUPDATE 2 CRMDEAL 7 {"FIELDS":{"ID":"7"},"N":"2"}


=== TEST 17: state: failed in flight with a re-run waiting: both arrive, in order
--- rules: {"mode":"500","times":1,"delay":0.3}
--- request eval
[main::event('ONCRMDEALUPDATE', 7, 'ts=1', 'data[N]=1'),
 main::event('ONCRMDEALUPDATE', 7, 'ts=2', 'data[N]=2'),
 "GET /onec/received?wait=3&answered=1&show=bodies"]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"accepted"', '"coalesced"',
 '\A.*"N":"1".*\n.*"N":"1".*\n.*"N":"2".*\n\z']


=== TEST 18: state: a dead letter does not suppress later events
--- rules: {"mode":"400","times":1}
--- request eval
[main::event('ONCRMDEALUPDATE', 7, 'ts=1', 'data[N]=1'),
 "GET /onec/received?wait=1&answered=1&show=count",
 main::event('ONCRMDEALUPDATE', 7, 'ts=1', 'data[N]=1')]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"accepted"', '"count":1', '"accepted"']
--- wait: 0.1
--- redis
ZCARD {b1c:orders}:d = 1
ZCARD {b1c:orders}:q = 0


=== TEST 19: save and delete of one order are two events of one lane
--- rules: {"delay":0.3}
--- request eval
[main::event('ONSALEORDERSAVED', 7, 'ts=1'),
 main::event('ONSALEBEFOREORDERDELETE', 7, 'ts=1'),
 "GET /onec/received?wait=2&answered=1&show=bodies",
 "GET /onec/stats"]
--- error_code eval
[200, 200, 200, 200]
--- response_body_like eval
['"accepted"', '"accepted"', '\A.*ORDERSAVED.*\n.*ORDERDELETE.*\n\z',
 '"max":1\b']


=== TEST 20: bitrix1c_once: own patterns in place of the default
--- location
bitrix1c_once ONCRMDEAL* onsaleorders*;
--- request eval
[map { (main::event($_, 1), main::event($_, 1)) }
     qw(ONCRMDEALUPDATE ONSALEORDERSAVED ONSALEORDERNEW)]
--- error_code eval
[(200) x 6]
--- response_body_like eval
['"accepted"', '"duplicate"', '"accepted"', '"duplicate"',
 '"accepted"', '"(?:coalesced|accepted)"']


=== TEST 21: bitrix1c_once: an event without an entity is always once
--- location: bitrix1c_once NOTHING;
--- request eval
[main::post("event=ONAPPUPDATE\ndata[VERSION]=2"),
 main::post("event=ONAPPUPDATE\ndata[VERSION]=2")]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted"', '"duplicate"']


=== TEST 22: bitrix1c_key: own identity from variables
--- location: bitrix1c_key $bitrix1c_event:$bitrix1c_data_fields_xml_id;
--- request eval
[main::event('ONSALEORDERNEW', 1, 'ts=1', 'data[FIELDS][XML_ID]=a'),
 main::event('ONSALEORDERNEW', 2, 'ts=1', 'data[FIELDS][XML_ID]=a'),
 main::event('ONSALEORDERNEW', 1, 'ts=1', 'data[FIELDS][XML_ID]=b')]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['"accepted"', '"duplicate"', '"accepted"']
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1","XML_ID":"a"}}
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1","XML_ID":"b"}}


=== TEST 23: bitrix1c_lane: own order from variables
--- location: bitrix1c_lane all;
--- rules: {"delay":0.2}
--- request eval
[(map { main::event('ONSALEORDERNEW', $_, 'ts=1') } 1 .. 4),
 "GET /onec/received?wait=4&answered=1&show=bodies", "GET /onec/stats"]
--- error_code eval
[(200) x 6]
--- response_body_like eval
[('"accepted"') x 4,
 '\A.*"ID":"1".*\n.*"ID":"2".*\n.*"ID":"3".*\n.*"ID":"4".*\n\z',
 '"max":1\b']


=== TEST 24: entities are delivered in parallel
--- rules: {"delay":2}
--- request eval
[(map { main::event('ONSALEORDERNEW', $_, 'ts=1') } 1 .. 4),
 "GET /onec/received?wait=4&answered=1&show=count", "GET /onec/stats"]
--- error_code eval
[(200) x 6]
--- response_body_like eval
[('"accepted"') x 4, '"count":4', '"max":4\b']


=== TEST 25: queues of one Redis are independent
--- http_config
bitrix1c_queue orders { redis unix:$TEST_NGINX_REDIS_SOCKET; }
bitrix1c_queue others { redis unix:$TEST_NGINX_REDIS_SOCKET; }
--- config
location = /bitrix/orders {
    bitrix1c_webhook  orders;
    bitrix1c_token    $TEST_NGINX_TOKEN;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
}
location = /other {
    bitrix1c_webhook  others;
    bitrix1c_token    $TEST_NGINX_TOKEN;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
}
--- request eval
my $other = main::event('ONSALEORDERNEW', 1, 'ts=1');
$other =~ s{/bitrix/orders}{/other};
[main::event('ONSALEORDERNEW', 1, 'ts=1'), $other]
--- error_code eval
[200, 200]
--- response_body_like eval
['"accepted"', '"accepted"']
--- onec eval expect
"ONSALEORDERNEW 1 SALEORDER 1 {\"FIELDS\":{\"ID\":\"1\"}}\n" x 2

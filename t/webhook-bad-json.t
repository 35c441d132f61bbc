#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# JSON bodies that are broken, or no webhook: the same checks as in
# webhook-bad-form.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

plan 'no_plan';
run_tests();


sub json {
    return "POST /bitrix/orders\n$_[0]";
}

__DATA__

=== TEST 1: empty body
--- more_headers
Content-Type: application/json
--- request eval
main::json('')
--- error: empty body at 0


=== TEST 2: blanks
--- more_headers
Content-Type: application/json
--- request eval
main::json('  ')
--- error: empty body at 0


=== TEST 3: a list
--- more_headers
Content-Type: application/json
--- request eval
main::json('[1]')
--- error: JSON is not an object at 0


=== TEST 4: a string
--- more_headers
Content-Type: application/json
--- request eval
main::json('"CONFIDENTIAL"')
--- error: JSON is not an object at 0


=== TEST 5: cut
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL"')
--- error: broken JSON at 33


=== TEST 6: not JSON
--- more_headers
Content-Type: application/json
--- request eval
main::json('event=ONX')
--- error: JSON is not an object at 0


=== TEST 7: data after the JSON
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX"} {}')
--- error: text after the end of the JSON at 16


=== TEST 8: comma at the end
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL",}')
--- error: broken JSON at 34


=== TEST 9: no quotes
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL",a:1}')
--- error: broken JSON at 34


=== TEST 10: a single number
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL","a":01}')
--- error: broken JSON at 38


=== TEST 11: NUL escaped
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL","a":"\u0000"}')
--- error: NUL byte at 39


=== TEST 12: lone surrogate
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL","a":"\ud800"}')
--- error: broken escape in JSON at 39


=== TEST 13: unknown escape
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL","a":"\x41"}')
--- error: broken escape in JSON at 39


=== TEST 14: broken UTF-8
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL","a":"' . "\xff" . '"}')
--- error: broken UTF-8 in a value at 41


=== TEST 15: raw NUL
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL","a":"' . "\0" . '"}')
--- error: NUL byte at 39


=== TEST 16: repeated event
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL","event":"ONY"}')
--- error: key is repeated at 47


=== TEST 17: repeated auth
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL","auth":{},"auth":{}}')
--- error: key is repeated at 52


=== TEST 18: repeated token
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL","auth":{"application_token":"a","application_token":"b"}}')
--- error: key is repeated at 89


=== TEST 19: repeated key of data
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL","data":{"ID":1,"ID":2}}')
--- error: key is repeated at 55


=== TEST 20: 9 levels deep
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"event":"ONX","c":"CONFIDENTIAL","data":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}}}')
--- error: too deep (bitrix1c_limits depth=) at 77


=== TEST 21: 100,000 levels deep
--- more_headers
Content-Type: application/json
--- request eval
main::json('[' x 100_000)
--- error: JSON is not an object at 0


=== TEST 22: 100,000 levels deep inside
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"a":' . '[' x 100_000)
--- error: too deep (bitrix1c_limits depth=) at 13


=== TEST 23: 100,000 elements
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"a":[' . CORE::join(',', (1) x 100_000) . ']}')
--- error: too many members or elements (bitrix1c_limits pairs=) at 2004


=== TEST 24: long key
--- more_headers
Content-Type: application/json
--- request eval
main::json('{"' . 'a' x 257 . '":1}')
--- error: key too long (bitrix1c_limits key=) at 260


=== TEST 26: event is a number
--- more_headers
Content-Type: application/json
--- request post_json
{"event":1,"c":"CONFIDENTIAL","auth":{"application_token":"TOKEN"}}
--- error: event is not a name at 0


=== TEST 27: event is null
--- more_headers
Content-Type: application/json
--- request post_json
{"event":null,"c":"CONFIDENTIAL","auth":{"application_token":"TOKEN"}}
--- error: no event at 0


=== TEST 28: ts is a word
--- more_headers
Content-Type: application/json
--- request post_json
{"event":"ONX","c":"CONFIDENTIAL","ts":"x","auth":{"application_token":"TOKEN"}}
--- error: ts is not a number at 0


=== TEST 29: ts has a fraction
--- more_headers
Content-Type: application/json
--- request post_json
{"event":"ONX","c":"CONFIDENTIAL","ts":1.5,"auth":{"application_token":"TOKEN"}}
--- error: ts is not a number at 0


=== TEST 30: ts is true
--- more_headers
Content-Type: application/json
--- request post_json
{"event":"ONX","c":"CONFIDENTIAL","ts":true,"auth":{"application_token":"TOKEN"}}
--- error: ts is not a number at 0

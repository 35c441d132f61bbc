#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Bodies that are no form, or no webhook.  The answer names the error and its
# offset, error.log has one line with the client and the reason and no part of
# the body, and nothing reaches 1C or Redis.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

plan 'no_plan';
run_tests();

__DATA__

=== TEST 1: no body
--- request
POST /bitrix/orders
--- error: empty body at 0


=== TEST 2: empty body
--- more_headers
Content-Type: application/x-www-form-urlencoded
Content-Length: 0
--- request
POST /bitrix/orders
--- error: empty body at 0


=== TEST 3: nothing but ampersands
--- request post_bare
&&&
--- error: empty body at 0


=== TEST 4: 1 MB of pairs
--- request eval
"POST /bitrix/orders\n" . 'a=1&' x 262_144
--- error: too many pairs (bitrix1c_limits pairs=) at 4000


=== TEST 5: 100,000 pairs
--- request eval
"POST /bitrix/orders\n" . CORE::join '&', map { "k$_=CONFIDENTIAL" } 1 .. 100_000
--- error: too many pairs (bitrix1c_limits pairs=) at 17893


=== TEST 6: own limit of pairs
--- location: bitrix1c_limits pairs=3;
--- request eval
main::post("a=1\nb=2\nc=CONFIDENTIAL\nd=4")
--- error: too many pairs (bitrix1c_limits pairs=) at 23


=== TEST 7: 1,000 brackets deep
--- request eval
main::post('a' . '[b]' x 1000 . '=CONFIDENTIAL')
--- error: too many brackets (bitrix1c_limits depth=) at 0


=== TEST 8: 1,000 brackets deep, long keys allowed
--- location: bitrix1c_limits key=100000 depth=64;
--- request eval
main::post('a' . '[b]' x 1000 . '=CONFIDENTIAL')
--- error: too many brackets (bitrix1c_limits depth=) at 0


=== TEST 9: 9 brackets deep
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a[1][2][3][4][5][6][7][8][9]=1
--- error: too many brackets (bitrix1c_limits depth=) at 47


=== TEST 10: own limit of depth
--- location: bitrix1c_limits depth=2;
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a[1][2][3]=1
--- error: too many brackets (bitrix1c_limits depth=) at 47


=== TEST 11: key of 257 bytes
--- request eval
main::post('a' x 257 . '=CONFIDENTIAL')
--- error: key too long (bitrix1c_limits key=) at 0


=== TEST 12: own limit of keys
--- location: bitrix1c_limits key=10;
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a[bcdefghi]=1
--- error: key too long (bitrix1c_limits key=) at 21


=== TEST 13: key a[b=1
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a[b=1
--- error: bracket is not closed at 47


=== TEST 14: key a]b=1
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a]b=1
--- error: closing bracket without an opening one at 47


=== TEST 15: key a[b]c=1
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a[b]c=1
--- error: key continues after its brackets at 47


=== TEST 16: key a[b]]=1
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a[b]]=1
--- error: key continues after its brackets at 47


=== TEST 17: key a[b[c]]=1
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a[b[c]]=1
--- error: bracket inside brackets at 47


=== TEST 18: key [a]=1
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
[a]=1
--- error: key begins with a bracket at 47


=== TEST 19: key =1
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
=1
--- error: empty key at 47


=== TEST 20: key a[=1
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a[=1
--- error: bracket is not closed at 47


=== TEST 21: key a%5Bb=1
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a%5Bb=1
--- error: bracket is not closed at 47


=== TEST 22: key a%5D=1
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a%5D=1
--- error: closing bracket without an opening one at 47


=== TEST 23: a=percent in a pair
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=%
--- error: % without two hex digits at 49


=== TEST 24: a=percentzz in a pair
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=%zz
--- error: % without two hex digits at 49


=== TEST 25: a=percent4 in a pair
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=%4
--- error: % without two hex digits at 49


=== TEST 26: a=1percent4g in a pair
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=1%4g
--- error: % without two hex digits at 50


=== TEST 27: a=percentpercent41 in a pair
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=%%41
--- error: % without two hex digits at 49


=== TEST 28: percent=1 in a pair
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
%=1
--- error: % without two hex digits at 47


=== TEST 29: apercentzz=1 in a pair
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a%zz=1
--- error: % without two hex digits at 48


=== TEST 30: a=percentu0041 in a pair
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=%u0041
--- error: % without two hex digits at 49


=== TEST 31: NUL in a value
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=1%00
--- error: NUL byte at 50


=== TEST 32: NUL in a key
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a%00=1
--- error: NUL byte at 48


=== TEST 33: raw NUL
--- request eval
main::post("event=A\nc=CONFIDENTIAL\na=\0")
--- error: NUL byte at 25


=== TEST 34: broken UTF-8: lone byte
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=%ff
--- error: broken UTF-8 in a value at 47


=== TEST 35: broken UTF-8: overlong NUL
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=%c0%80
--- error: broken UTF-8 in a value at 47


=== TEST 36: broken UTF-8: overlong slash
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=%c0%af
--- error: broken UTF-8 in a value at 47


=== TEST 37: broken UTF-8: surrogate
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=%ed%a0%80
--- error: broken UTF-8 in a value at 47


=== TEST 38: broken UTF-8: above U+10FFFF
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=%f4%90%80%80
--- error: broken UTF-8 in a value at 47


=== TEST 39: broken UTF-8: cut
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=%e2%82
--- error: broken UTF-8 in a value at 47


=== TEST 40: broken UTF-8: stray continuation
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=%80
--- error: broken UTF-8 in a value at 47


=== TEST 41: broken UTF-8: cp1251
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a=%cf%f0%e8%e2%e5%f2
--- error: broken UTF-8 in a value at 47


=== TEST 42: broken UTF-8 in a key
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a%ff=1
--- error: broken UTF-8 in a key at 47


=== TEST 43: control character in a key
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a%01=1
--- error: control character in a key at 47


=== TEST 44: line break in a key
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
a%0A=1
--- error: control character in a key at 47


=== TEST 45: repeated event
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
event=ONSALEORDERNEW
--- error: key is repeated at 47


=== TEST 46: repeated token
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
auth[application_token]=51856fefc120afa4b628cc82d3935cce
--- error: key is repeated at 176


=== TEST 47: repeated token, the second one is wrong
--- request post_bare
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
auth[application_token]=51856fefc120afa4b628cc82d3935cce
auth[application_token]=0
--- error: key is repeated at 104


=== TEST 48: repeated token, one spelt in another way
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
auth%5bapplication_token%5d=0
--- error: key is repeated at 149


=== TEST 49: repeated member_id
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
auth[member_id]=a223c6b3710f85df22e9377d6c4f7553
--- error: key is repeated at 119


=== TEST 50: repeated domain
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
auth[domain]=other.ru
--- error: key is repeated at 69


=== TEST 51: repeated key of data
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
data[ID]=1
data[ID]=2
--- error: key is repeated at 58


=== TEST 52: repeated other key
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
ts=1
ts=1
--- error: key is repeated at 52


=== TEST 54: data is a scalar, then a map
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
data=1
data[ID]=1
--- error: key is both a scalar and a map at 54


=== TEST 55: data is a map, then a scalar
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
data[ID]=1
data=1
--- error: key is both a scalar and a map at 58


=== TEST 56: scalar and map inside data
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
data[A]=1
data[A][B]=1
--- error: key is both a scalar and a map at 57


=== TEST 57: auth is a scalar and a map
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
auth=1
--- error: key is both a scalar and a map at 54


=== TEST 58: ts is a word
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
ts=yesterday
--- error: ts is not a number at 0


=== TEST 59: ts is empty
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
ts=
--- error: ts is not a number at 0


=== TEST 60: ts is negative
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
ts=-1
--- error: ts is not a number at 0


=== TEST 61: ts is with a fraction
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
ts=1.5
--- error: ts is not a number at 0


=== TEST 62: ts is hexadecimal
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
ts=0x10
--- error: ts is not a number at 0


=== TEST 63: ts is with a space
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
ts=+1
--- error: ts is not a number at 0


=== TEST 64: ts is too large
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
ts=99999999999999999999
--- error: ts is not a number at 0


=== TEST 65: ts is a list
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
ts[0]=1
--- error: ts is not a number at 0


=== TEST 66: ts is a map
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
ts[a]=1
--- error: ts is not a number at 0


=== TEST 67: ts is the year 10000
--- request post
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
ts=253402300800
--- error: ts is not a number at 0


=== TEST 68: no event
--- request post
confidential=CONFIDENTIAL
ts=1
--- error: no event at 0


=== TEST 69: empty event
--- request post
confidential=CONFIDENTIAL
event=
--- error: event is not a name at 0


=== TEST 70: event with a space
--- request post
confidential=CONFIDENTIAL
event=ON+SALE
--- error: event is not a name at 0


=== TEST 71: event with a line break
--- request post
confidential=CONFIDENTIAL
event=ON%0ASALE
--- error: event is not a name at 0


=== TEST 72: event in Cyrillic
--- request post
confidential=CONFIDENTIAL
event=%D0%9E
--- error: event is not a name at 0


=== TEST 73: event is a list
--- request post
confidential=CONFIDENTIAL
event[0]=A
--- error: event is not a name at 0


=== TEST 74: event of 129 bytes
--- request eval
main::post('event=' . 'A' x 129)
--- error: event is not a name at 0


=== TEST 75: a robot without a document
--- request post
confidential=CONFIDENTIAL
document_id[0]=crm
--- error: document_id does not name a document at 0


=== TEST 76: member_id with a line break
--- request post_bare
event=ONSALEORDERNEW
confidential=CONFIDENTIAL
data[ID]=1
auth[member_id]=a%0Ab
auth[application_token]=51856fefc120afa4b628cc82d3935cce
--- error: auth does not name a portal at 0

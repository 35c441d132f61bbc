#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A look at large dead letters does not hold Redis: each call of the script
# reads a bounded number of bytes, and all letters are found.

use strict;
use warnings;

use FindBin ();
use List::Util qw(max);
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(api LOCATION);
use Bitrix1C::Gateway ();

use constant { LETTERS => 100, SIZE => 900_000 };

# the letters died long ago
my $gw = Bitrix1C::Gateway->new(
    queue  => 'dead_letters 100000 age=36500d;',
    server => LOCATION,
)->start;

$gw->redis('EVAL', <<'LUA', 0, LETTERS, SIZE);
    for i = 1, ARGV[1] do
        local id = string.format('%032x', i)
        redis.call('HSET', '{b1c:orders}:h', id, 'b1 1 9\na/bitrix/x'
            .. ',"event":"ONX","ts":1,"received":1,"source":{"domain":"a",'
            .. '"member_id":"m"},"entity":{"type":"X","id":"' .. i
            .. '"},"data":{"a":"' .. string.rep('x', ARGV[2]) .. '"}}',
            id .. ':m', '1 0 0 0 1 1 ' .. id .. ' ' .. id)
        redis.call('ZADD', '{b1c:orders}:d', i, id)
    end
    return 1
LUA

$gw->redis('CONFIG', 'SET', 'slowlog-max-len', 10_000);
$gw->redis('CONFIG', 'SET', 'slowlog-log-slower-than', 1000);
$gw->redis('SLOWLOG', 'RESET');

my ($n, $cursor, $pages) = (0, undef, 0);

do {
    my $r = api($gw, 'dead?queue=orders&event=ONX'
                     . ($cursor ? "&cursor=$cursor" : ''));
    $n += @{ $r->{json}{items} // [] };
    $cursor = $r->{json}{cursor};
} while ($cursor && $pages++ < 50);

is $n, LETTERS, 'a filter finds all letters';

my @slow = $gw->redis('EVAL', <<'LUA', 0);
    local out = {}
    for i, v in ipairs(redis.call('SLOWLOG', 'GET', 10000)) do
        out[i] = v[3]
    end
    return out
LUA
@slow = grep { defined && /^\d+$/ } map { ref $_ ? @$_ : split /\n/ } @slow;
my $longest = max(0, @slow) / 1000;
note "the longest of " . @slow . " slow commands held Redis for $longest ms";
cmp_ok $longest, '<', 60, 'no command holds Redis for long';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A status costs Redis one script call per queue, for many events the same as
# for none.  Frequent scrapes share an answer of the last second.  No label
# contains what senders send.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(api metrics status_of LOCATION);
use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(percentile);

use constant { EVENTS => 50_000, SCRAPES => 60 };

my $gw = Bitrix1C::Gateway->new(
    workers => 1,
    server  => LOCATION,
    queue   => 'concurrency 4; hold on; dead_letters 100000 age=36500d;',
)->start;

ok wait_until(5, sub { (status_of($gw)->{redis}{state} // '') eq 'up' }),
    'the gateway works';


# the time of the fastest request in ms, because the machine may be busy, the
# commands that Redis got, and the largest allowed number of script calls

sub scrape {
    my ($what) = @_;
    my $before = $gw->commandstats;
    my $begin = time;
    my @times = map {
        my $start = time;
        api($gw, $what)->{status} == 200 or die "$what failed";
        1000 * (time - $start);
    } 1 .. SCRAPES;
    my $after = $gw->commandstats;
    my %calls = map { $_ => $after->{$_} - ($before->{$_} // 0) }
                grep { $after->{$_} != ($before->{$_} // 0) } keys %$after;

    delete @calls{qw(info ping)};

    # metrics are renewed when they are half a second old
    my $most = $what eq 'status' ? SCRAPES + 2 : 4 + 3 * (time - $begin);

    return (percentile(10, @times), \%calls, $most);
}


my %empty;

for my $what ('status', 'metrics') {
    my ($ms, $calls, $most) = scrape($what);
    note sprintf '%s, empty: %.2f ms', $what, $ms;
    $empty{$what} = $ms;
    cmp_ok $calls->{evalsha} // 0, '<=', $most, "$what: few calls";
}

my $fill = <<'EOT';
for i = ARGV[1], ARGV[1] + 4999 do
    local id = string.format('%032x', i)
    redis.call('ZADD', KEYS[1], i, id)
    redis.call('ZADD', KEYS[3], 0, 'lane:' .. id)
    redis.call('ZADD', KEYS[4], i, id)
end
redis.call('HSET', KEYS[2], string.format('%032x', 1) .. ':m',
           '0 0 0 0 1000 0 a b')
EOT

$gw->redis('EVAL', $fill, 4, map({ "{b1c:orders}:$_" } qw(q h f d)),
           1 + 5000 * $_) for 0 .. EVENTS / 5000 - 1;

is status_of($gw)->{due}, EVENTS, 'many events are due';

for my $what ('status', 'metrics') {
    my ($ms, $calls, $most) = scrape($what);
    note sprintf '%s, with %d events: %.2f ms', $what, EVENTS, $ms;
    cmp_ok $ms, '<', 3 * $empty{$what} + 5, "$what: many events take no longer";
    cmp_ok $calls->{evalsha} // 0, '<=', $most, "$what: few calls";

    # one command of each kind per queue, for any number of events
    my %nested = map { $_ => $calls->{$_} } grep { !/^evalsha$/ } keys %$calls;
    cmp_ok $nested{$_}, '<=', 3 * $most, "$what: $_"
        for sort keys %nested;
    # the worker itself looks for old letters every 10 s, at the mark every 30 s
    delete @nested{qw(eval get zrangebyscore)};

    is join(' ', grep { !/^(?:time|zcard|zcount|zrange|hget|hexists)$/ }
                 sort keys %nested), '', "$what: the scripts call few commands";
}

my $m = metrics($gw);
is $m->{"bitrix1c_$_->[0]\{queue=\"orders\"}"}, $_->[1], $_->[0]
    for ['waiting', 2 * EVENTS], ['due', EVENTS], ['followers', EVENTS],
        ['dead_letters', EVENTS];
cmp_ok $m->{'bitrix1c_oldest_seconds{queue="orders"}'}, '>', 1e9,
    'the metrics have the age of the oldest event';

# series that a sender could create

my $series = keys %$m;
$gw->redis('FLUSHALL');

ok wait_until(10, sub { metrics($gw)->{'bitrix1c_due{queue="orders"}'} == 0 }),
    'metrics that are read all the time show changes';

$gw->post(event => "ONX$_", id => $_, domain => "p$_.ru", member => "m$_")
    for 1 .. 10;
is scalar(keys %{ metrics($gw) }), $series, 'no new series by ten portals';

$gw->finish;
done_testing;

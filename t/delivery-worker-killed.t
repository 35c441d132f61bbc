#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Random workers are killed with SIGKILL while 10,000 events arrive.  All events
# reach 1C, and only those that were in flight arrive twice.
#
# BITRIX1C_TEST_EVENTS   how many (10000)
# BITRIX1C_TEST_KILLS    how often a worker is killed (6)

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(seed);
use Bitrix1C::Http qw(start_load finish_load percentile);

use constant LIMIT => 8;

my $events = $ENV{BITRIX1C_TEST_EVENTS} || 10_000;
my $kills = $ENV{BITRIX1C_TEST_KILLS} || 6;
my $seconds = 8;

seed();

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency ' . LIMIT . '; retry 1s 1s 1s 1s;',
    onec_args => ['--keep', 3 * $events],
)->start;

# slow enough that some deliveries are always in flight
$gw->onec_mode({ delay => 0.003 });

my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 16, retry => 1, rate => $events / $seconds,
                      next => $gw->events(1, $events));
my $flying = 0;

for my $kill (1 .. $kills) {
    sleep $seconds / ($kills + 1) * (0.7 + rand 0.6);
    $flying += $gw->onec_stats->{now};
    ok $gw->kill_worker, "kill $kill";
}

my $result = finish_load($load);

is scalar(keys %{ $result->{ok} }), $events, 'every event was answered 200';
is join(' ', keys %{ $result->{statuses} }), '200', 'no other answer';
note sprintf '%d events in %.1f s, %d lost answers, answers p50 %.1f ms,'
    . ' p99 %.1f ms', $events, $result->{elapsed}, $result->{errors},
    map { 1000 * percentile($_, @{ $result->{times} }) } 50, 99;

# a killed worker's leases end after 15 s
ok $gw->drained(40), 'the queue is empty';
is_deeply $gw->dead_letters, [], 'there is no dead letter';

my $entities = $gw->onec_entities;

is scalar(grep { !$entities->{$_} } 1 .. $events), 0,
    "all $events are at 1C";
is scalar(grep { keys %$_ > 1 } values %$entities), 0,
    'an event that is posted again is no second event';

my $ids = $gw->onec_ids;
is scalar(grep { !$ids->{$_} } values %{ $result->{ok} }), 0,
    'each event has the id of the answer';

my $stats = $gw->onec_stats;
note sprintf '%d duplicates, %d in flight at the moments of the kills'
    . ' (at most %d)', $stats->{duplicates}, $flying, $kills * LIMIT;
cmp_ok $stats->{duplicates}, '<=', $kills * LIMIT,
    'there are no more duplicates than events in flight';
cmp_ok $stats->{max}, '<=', LIMIT, 'the concurrency is never exceeded';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Several faults at once: 1C fails every third call at random, two nginx nodes
# run, workers are killed at random.  All events of all entities are delivered,
# and every lane keeps its order.
#
# BITRIX1C_TEST_LANES    entities (50)
# BITRIX1C_TEST_EVENTS   events of each (40)
# BITRIX1C_TEST_KILLS    how often a worker is killed (4)

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(seed);
use Bitrix1C::Lanes qw(lane_requests lane_faults second_node);

my $count = $ENV{BITRIX1C_TEST_LANES} || 50;
my $events = $ENV{BITRIX1C_TEST_EVENTS} || 40;
my $kills = $ENV{BITRIX1C_TEST_KILLS} || 4;

# long enough that some deliveries are always in flight
use constant DELAY => 0.015;

my $seed = seed();

my %conf = (
    workers  => 2,
    events   => 'accept_mutex off;',
    queue    => 'concurrency 16; retry ' . '30ms ' x 90 . ';',
    location => 'bitrix1c_key $bitrix1c_data_fields_n;',
);
my $gw = Bitrix1C::Gateway->new(%conf)->start;
my @nodes = ($gw, second_node($gw, %conf));

$gw->onec_mode({ mode => '500', random => 1 / 3, seed => $seed,
                 delay => DELAY }, { delay => DELAY });

# the kills are early, because events in flight wait until their leases end

my %kill_at = map { int(rand($count * $events / 6)) => 1 } 1 .. $kills;
my ($posts, $killed, $again) = (0, 0, 0);
my $start = time;

for my $number (1 .. $events) {
    for my $lane (1 .. $count) {
        $killed += !!$nodes[rand @nodes]->kill_worker if $kill_at{$posts++};

        # the answer was lost with its worker: the event may be stored

        for my $try (1 .. 50) {
            my $answer = $nodes[rand @nodes]->post(id => $lane,
                fields => { N => "$lane-$number" });
            last if $answer->{status} == 200;
            $again++;
            sleep 0.02;
        }
    }
}

note sprintf '%d events in %.1f s, %d workers killed, %d posted again',
    $posts, time - $start, $killed, $again;
is $killed, keys %kill_at, 'all kills happened';

ok $gw->drained(30 + $posts / 100), 'the queue is empty';
note sprintf 'all done after %.1f s', time - $start;

my $lanes = lane_requests($gw);
my @faults = lane_faults($lanes, $count, $events);
is scalar(@faults), 0, 'all are delivered, in order in every lane'
    or diag join "\n", "BITRIX1C_TEST_SEED=$seed", splice @faults, 0, 20;

my @all = map { @$_ } values %$lanes;
my $failed = grep { $_->{status} == 500 } @all;
note sprintf '%d requests, %d failed, %d duplicates', scalar @all, $failed,
    $gw->onec_stats->{duplicates};
cmp_ok $failed, '>', @all / 4, '1C failed often';
cmp_ok $gw->onec_stats->{closed_by_client}, '>', 0,
    'some workers died during deliveries';
is_deeply $gw->dead_letters, [], 'there is no dead letter';

my $left = $gw->redis('HLEN', '{b1c:orders}:h');
is $left, 0, 'Redis holds only done markers';
is $gw->redis('ZCARD', '{b1c:orders}:f'), 0, 'there is no follower';

$nodes[1]->finish;
$gw->finish;
done_testing;

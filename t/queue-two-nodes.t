#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Two nginx nodes on one Redis, and a 1C that has fewer sessions than both
# would like: each lane keeps its order, one of its events at a time, whatever
# node took it and whatever node delivers.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();
use Bitrix1C::Lanes qw(lane_requests lane_faults second_node);

use constant { LANES => 10, EVENTS => 15, SLOTS => 4, SESSIONS => 5,
               DELAY => 0.03 };

my %conf = (
    workers  => 2,
    events   => 'accept_mutex off;',
    queue    => 'concurrency ' . SLOTS . '; retry ' . '150ms ' x 60 . ';',
    location => 'bitrix1c_key $bitrix1c_data_fields_n;',
);
my $gw = Bitrix1C::Gateway->new(%conf)->start;
my @nodes = ($gw, second_node($gw, %conf));

$gw->onec_mode({ mode => 'sessions', sessions => SESSIONS, delay => DELAY });

my %result;

for my $n (1 .. EVENTS) {
    for my $lane (1 .. LANES) {
        my $answer = $nodes[($n + $lane) % 2]->post(id => $lane,
            event => 'ONSALEORDERSAVED', fields => { N => "$lane-$n" });
        $result{$answer->{result}}++;
    }
}

is_deeply \%result, { accepted => LANES * EVENTS }, 'both nodes take events';
ok $gw->drained(15), 'nothing is left in the queue';

my $lanes = lane_requests($gw);
is_deeply [lane_faults($lanes, LANES, EVENTS)], [],
    'each lane is complete, in order, one at a time';

my @all = map { @$_ } values %$lanes;
my $refused = grep { $_->{status} == 406 } @all;
cmp_ok $refused, '>', 0, '1C had too few sessions';
is scalar(@all) - $refused, LANES * EVENTS, 'each event is taken once';
my $max = $gw->onec_stats->{max};
cmp_ok $max, '<=', SLOTS * @nodes, 'the nodes keep their limits';
cmp_ok $max, '>', SLOTS, 'both of them deliver';
note "$refused refused with 406, $max at once at most";
is_deeply $gw->dead_letters, [], 'no dead letter';

# a node leaves, the other one goes on with its events

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', times => LANES });
my @ids = map { $nodes[1]->post(id => 100 + $_, fields => { N => "0-$_" }) }
          1 .. LANES;
$gw->onec_received(LANES, 5, 1);
$nodes[1]->finish;
ok $gw->drained(5), 'a node leaves, the other delivers what it took';
my $taken = $gw->onec_ids;
is scalar(grep { !$taken->{$_->{id}}{taken} } @ids), 0, 'all of it';

$gw->finish;
done_testing;

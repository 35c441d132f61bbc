#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Two nginx nodes use one Redis, and 1C has fewer sessions than both together
# allow.  Each lane keeps its order, with one event in flight at a time,
# whichever node accepts or delivers.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();
use Bitrix1C::Lanes qw(lane_requests lane_faults second_node);

use constant { LANES => 10, EVENTS => 15, LIMIT => 4, SESSIONS => 5,
               DELAY => 0.03 };

my %conf = (
    workers  => 2,
    events   => 'accept_mutex off;',
    queue    => 'concurrency ' . LIMIT . '; retry ' . '150ms ' x 60 . ';',
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

is_deeply \%result, { accepted => LANES * EVENTS }, 'both nodes accept events';
ok $gw->drained(15), 'the queue is empty';

my $lanes = lane_requests($gw);
is_deeply [lane_faults($lanes, LANES, EVENTS)], [],
    'each lane is complete, in order, one at a time';

my @all = map { @$_ } values %$lanes;
my $refused = grep { $_->{status} == 406 } @all;
cmp_ok $refused, '>', 0, '1C had too few sessions';
is scalar(@all) - $refused, LANES * EVENTS, 'each event is taken once';
my $max = $gw->onec_stats->{max};
cmp_ok $max, '<=', LIMIT * @nodes, 'the nodes stay within their limits';
cmp_ok $max, '>', LIMIT, 'both of them deliver';
note "$refused refused with 406, $max at once at most";
is_deeply $gw->dead_letters, [], 'there is no dead letter';

# one node exits, the other delivers its events

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', times => LANES });
my @ids = map { $nodes[1]->post(id => 100 + $_, fields => { N => "0-$_" }) }
          1 .. LANES;
$gw->onec_received(LANES, 5, 1);
$nodes[1]->finish;
ok $gw->drained(5), 'one node exits, the other delivers its events';
my $taken = $gw->onec_ids;
is scalar(grep { !$taken->{$_->{id}}{taken} } @ids), 0, '1C has all of them';

$gw->finish;
done_testing;

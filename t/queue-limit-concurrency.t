#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# 1C has few sessions.  All workers together never run more deliveries than
# "concurrency", and a waiting event is delivered as soon as another delivery
# has ended.

use strict;
use warnings;

use FindBin ();
use List::Util qw(max);
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();
use Bitrix1C::Http qw(start_load finish_load percentile);

use constant { LIMIT => 4, EVENTS => 120, DELAY => 0.1 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    events  => 'accept_mutex off;',
    queue   => 'concurrency ' . LIMIT . '; retry 1s;',
)->start;

$gw->onec_mode({ delay => DELAY });

my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 16, next => $gw->events(1, EVENTS));
my $result = finish_load($load);

is $result->{results}{accepted}, EVENTS, 'all were accepted at once';
note sprintf 'answers: p50 %.1f ms, max %.1f ms',
    1000 * percentile(50, @{ $result->{times} }),
    1000 * max @{ $result->{times} };
cmp_ok percentile(50, @{ $result->{times} }), '<', DELAY,
    'senders do not wait for 1C';

my @r = $gw->onec_received(EVENTS, 30, 1);
my $stats = $gw->onec_stats;

is scalar(@r), EVENTS, 'all were delivered';
is $stats->{max}, LIMIT, 'the concurrency is used in full and never exceeded';
is $stats->{duplicates}, 0, 'no event is delivered twice';

# delivery k begins when delivery k - LIMIT is over

my @starts = sort { $a <=> $b } map { $_->{time} } @r;
my @ends = sort { $a <=> $b } map { $_->{time} + $_->{seconds} } @r;
my @late = map { $starts[$_] - $ends[$_ - LIMIT] } LIMIT .. $#starts;

note sprintf 'delivered after p50 %.1f ms, p90 %.1f ms, max %.1f ms',
    map { 1000 * $_ } percentile(50, @late), percentile(90, @late), max @late;
cmp_ok percentile(50, @late), '<', 0.02, 'a waiting event is delivered at once';
cmp_ok percentile(90, @late), '<', 0.1, 'nearly all of them are';
cmp_ok max(@late), '<', 0.6, 'none waits for the next poll of Redis';

my $ideal = EVENTS * DELAY / LIMIT;
my $spent = $ends[-1] - $starts[0];
note sprintf 'all %d took %.2f s, %.2f s at best', EVENTS, $spent, $ideal;
cmp_ok $spent, '<', $ideal * 1.5, 'the concurrency is used all the time';

ok $gw->drained(5), 'the queue is empty';

$gw->finish;
done_testing;

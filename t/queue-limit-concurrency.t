#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# 1C has few sessions: no more deliveries at once than "concurrency", all
# workers together, and what waits goes the moment that one is over.

use strict;
use warnings;

use FindBin ();
use List::Util qw(max);
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();
use Bitrix1C::Http qw(start_load finish_load percentile);

use constant { SLOTS => 4, EVENTS => 120, DELAY => 0.1 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    events  => 'accept_mutex off;',
    queue   => 'concurrency ' . SLOTS . '; retry 1s;',
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
is $stats->{max}, SLOTS, 'never more at once, and as many as are allowed';
is $stats->{duplicates}, 0, 'none twice';

# delivery k begins when delivery k - SLOTS is over

my @starts = sort { $a <=> $b } map { $_->{time} } @r;
my @ends = sort { $a <=> $b } map { $_->{time} + $_->{seconds} } @r;
my @late = map { $starts[$_] - $ends[$_ - SLOTS] } SLOTS .. $#starts;

note sprintf 'a free slot is taken after p50 %.1f ms, p90 %.1f ms, max %.1f ms',
    map { 1000 * $_ } percentile(50, @late), percentile(90, @late), max @late;
cmp_ok percentile(50, @late), '<', 0.02, 'a free slot is taken at once';
cmp_ok percentile(90, @late), '<', 0.1, 'nearly always';
cmp_ok max(@late), '<', 0.6, 'and never waits for the next look at Redis';

my $ideal = EVENTS * DELAY / SLOTS;
my $spent = $ends[-1] - $starts[0];
note sprintf 'all %d took %.2f s, %.2f s at best', EVENTS, $spent, $ideal;
cmp_ok $spent, '<', $ideal * 1.5, 'the slots are kept busy';

ok $gw->drained(5), 'nothing is left';

$gw->finish;
done_testing;

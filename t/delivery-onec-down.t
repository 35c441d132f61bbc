#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# 1C is down under load.  Senders notice nothing, and every event is delivered
# when 1C is up again.
#
# BITRIX1C_TEST_OUTAGE   seconds without 1C (10)

use strict;
use warnings;

use FindBin ();
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();
use Bitrix1C::Http qw(start_load finish_load percentile);

use constant { RATE => 200, LIMIT => 8 };

my $outage = $ENV{BITRIX1C_TEST_OUTAGE} || 10;

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency ' . LIMIT . '; retry ' . '2s ' x 40 . ';',
    onec_args => ['--keep', 100_000],
)->start;

my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 8, rate => RATE, seconds => $outage + 2,
                      next => $gw->events(1));

sleep 1;
$gw->onec_mode({ mode => 'refuse', seconds => $outage });
my $before = $gw->onec_stats->{received};
my $down = time;

sleep $outage - 1;
my $depth = $gw->depth;
ok !$gw->onec_stats->{listening}, '1C refuses connections';
is $gw->onec_stats->{received}, $before, 'no event is delivered';
cmp_ok $depth, '>', RATE * $outage / 2, "$depth events wait in Redis";

my $result = finish_load($load);
my $sent = $result->{sent};

is_deeply $result->{statuses}, { 200 => $sent }, "all $sent answered 200";
is $result->{errors}, 0, 'no connection was lost';
is_deeply $result->{results}, { accepted => $sent }, 'all accepted';

note sprintf 'answers: p50 %.1f ms, p99 %.1f ms, max %.1f ms',
    (map { 1000 * percentile($_, @{ $result->{times} }) } 50, 99),
    1000 * max @{ $result->{times} };

ok $gw->drained(30), 'everything is delivered when 1C is up';
note sprintf '%.1f s after it came back', time - $down - $outage;
is_deeply $gw->dead_letters, [], 'there is no dead letter';

my $entities = $gw->onec_entities;

is scalar(grep { !$entities->{$_} } keys %{ $result->{ok} }), 0,
    '1C has all events';

my $stats = $gw->onec_stats;
note "$stats->{duplicates} duplicates";
cmp_ok $stats->{duplicates}, '<=', LIMIT,
    'only events in flight are delivered twice';
cmp_ok $stats->{max}, '<=', LIMIT, 'the backlog does not flood 1C';

$gw->finish;
done_testing;

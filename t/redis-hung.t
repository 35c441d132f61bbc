#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis hangs under load.  Senders are answered within its timeout, and no event
# that was answered 200 is lost.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load percentile);

use constant { LIMIT => 4, RATE => 200, HUNG => 4, LEASE => 15 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    redis   => 'timeout=1s',
    queue   => 'concurrency ' . LIMIT . '; retry 1s 1s 1s;',
    onec_args => ['--keep', 100_000],
)->start;

ok wait_until(5, sub { $gw->post(id => 900_000)->{status} == 200 }), 'works';

my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 64, rate => RATE, seconds => 3 + HUNG,
                      next => $gw->events(1));

sleep 1;
kill 'STOP', $gw->{redis_pid};
my $hung = time;
sleep 1.5;

my @slow = map { $gw->post(id => 800_000 + $_) } 1 .. 2;

for my $answer (@slow) {
    is "$answer->{status} $answer->{result}", '503 unavailable',
        'an event while Redis hangs is refused';
    cmp_ok $answer->{seconds}, '<', 1.6, 'answered within the timeout';
}

sleep $hung + HUNG - time;
kill 'CONT', $gw->{redis_pid};

my $result = finish_load($load);
my %statuses = %{ $result->{statuses} };

is join(' ', sort keys %statuses), '200 503', 'every answer is 200 or 503';
is $result->{results}{unavailable} // 0, $statuses{503},
    'each 503 says unavailable';
is $result->{errors}, 0, 'every sender got an answer';
note sprintf '%d events answered 200, %d 503; slowest answer %.2f s',
    @statuses{200, 503}, percentile(100, @{ $result->{times} });
cmp_ok percentile(100, @{ $result->{times} }), '<', 1.7,
    'all answers are in time';

ok wait_until(8, sub { $gw->post(id => 900_001)->{status} == 200 }),
    'the gateway works again';

# events that Redis accepted after the worker's timeout are delivered when their
# leases end
ok $gw->drained(LEASE + 10), 'the queue is empty';

my $ids = $gw->onec_ids;
is scalar(grep { !$ids->{$_} } values %{ $result->{ok} }), 0,
    '1C has every event that was answered 200';

my $stats = $gw->onec_stats;
note "$stats->{duplicates} duplicates";
cmp_ok $stats->{duplicates}, '<=', 2 * LIMIT,
    'only events in flight are delivered twice';
cmp_ok $stats->{max}, '<=', LIMIT, 'the concurrency is never exceeded';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis crashes under load and restarts without its scripts.  No event that was
# answered 200 is lost, and every other answer is a 503.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load percentile);

use constant { LIMIT => 8, RATE => 300, DOWN => 2.5, LEASE => 15 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    redis   => 'timeout=1s',
    redis_args => ['--appendfsync', 'always'],
    queue   => 'concurrency ' . LIMIT . '; retry 1s 1s 1s;',
    onec_args => ['--keep', 100_000],
)->start;

$gw->onec_mode({ delay => 0.02 });
ok wait_until(5, sub { $gw->post(id => 900_000)->{status} == 200 }), 'works';
sleep 0.5;
my @before = map { $gw->descriptors($_) } $gw->workers;


sub load {
    my ($seconds, $first) = @_;
    return start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 8, rate => RATE, seconds => $seconds,
                      next => $gw->events($first));
}


# only the scripts are lost

my $load = load(2, 1);

for (1 .. 5) {
    sleep 0.3;
    $gw->redis('SCRIPT', 'FLUSH');
}

my $result = finish_load($load);
is_deeply $result->{statuses}, { 200 => $result->{sent} },
    "SCRIPT FLUSH under load: all $result->{sent} accepted";
ok $gw->drained(5), 'all delivered at the first attempt';
is_deeply $gw->onec_stats->{answers}, { 200 => $result->{sent} + 1 },
    'no event failed';

# Redis itself

$load = load(2 + DOWN + 3, 100_000);
sleep 1.5;
$gw->stop_redis('KILL');
sleep DOWN;
$gw->start_redis;
my $back = time;
my $second = finish_load($load);

my %statuses = %{ $second->{statuses} };
is join(' ', sort keys %statuses), '200 503', 'every answer is 200 or 503';
is $second->{results}{unavailable} // 0, $statuses{503},
    'each 503 says unavailable';
note sprintf '%d events answered 200, %d 503; slowest answer %.2f s',
    @statuses{200, 503}, percentile(100, @{ $second->{times} });
cmp_ok percentile(100, @{ $second->{times} }), '<', 1.7,
    'all answers are in time';
cmp_ok $statuses{200}, '>', RATE * 3,
    'events are accepted before and after the crash';

# events that could not be acknowledged are delivered again when their leases
# end
ok $gw->drained(LEASE + 10), 'the queue is empty';
is_deeply $gw->dead_letters, [], 'there is no dead letter';

my $ids = $gw->onec_ids;
is scalar(grep { !$ids->{$_} } values %{ $result->{ok} },
                               values %{ $second->{ok} }), 0,
    '1C has every event that was answered 200';

my $stats = $gw->onec_stats;
note "$stats->{duplicates} duplicates";
cmp_ok $stats->{duplicates}, '<=', 2 * LIMIT,
    'only events in flight at the crash are delivered twice';

my @after = map { $gw->descriptors($_) } $gw->workers;
my $idle = LIMIT;
cmp_ok $after[$_], '<=', $before[$_] + $idle, "worker $_: descriptors"
    for 0 .. 1;

$gw->finish;
done_testing;

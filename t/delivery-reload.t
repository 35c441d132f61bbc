#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# nginx is reloaded three times under load.  No event is lost or delivered
# twice, and the old workers exit.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load);

use constant { RELOADS => 3, SECONDS => 6, LIMIT => 8, RATE => 300 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency ' . LIMIT . '; retry 1s 1s;',
    onec_args => ['--keep', 100_000],
)->start;

# some deliveries are always in flight, also during a reload
$gw->onec_mode({ delay => 0.6, every => 50 }, { delay => 0.005 });

my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 8, retry => 1, rate => RATE,
                      seconds => SECONDS, next => $gw->events(1));

for my $reload (1 .. RELOADS) {
    sleep SECONDS / (RELOADS + 1);
    my $start = time;
    ok $gw->reload, "reload $reload: new workers start, old ones exit";
    note sprintf '%.2f s', time - $start;
}

my $result = finish_load($load);
my $events = keys %{ $result->{ok} };

is join(' ', keys %{ $result->{statuses} }), '200', 'all answered 200';
cmp_ok $events, '>', RATE * SECONDS / 2, "$events events";
note "$result->{errors} keepalive connections were closed";

ok $gw->drained(20), 'the queue is empty';
is_deeply $gw->dead_letters, [], 'there is no dead letter';

my $ids = $gw->onec_ids;
is scalar(grep { !$ids->{$_} } values %{ $result->{ok} }), 0,
    '1C has all events';

my $stats = $gw->onec_stats;
is $stats->{duplicates}, 0, 'no event is delivered twice';
is $stats->{closed_by_client}, 0, 'no delivery is aborted';
cmp_ok $stats->{max}, '<=', LIMIT,
    'old and new workers together stay within the limit';

# a changed configuration takes effect, without a restart

$gw->{location} = 'bitrix1c_events ONCRM*;';
ok $gw->reload, 'a reload with another configuration';
is $gw->post(id => 1)->{result}, 'ignored',
    'the new configuration is in effect';

# the master logs the exit of a worker a moment after it

sub old_workers_left {
    my $left = () = $gw->slurp('error.log')
                    =~ /worker process \d+ exited with code 0/g;
    return $left;
}

wait_until(5, sub { old_workers_left() == 2 * (RELOADS + 1) });
is old_workers_left(), 2 * (RELOADS + 1), 'all old workers exit with code 0';

$gw->finish;
done_testing;

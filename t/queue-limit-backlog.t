#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A worker is killed while thousands of events wait.  Its share of the
# concurrency is free again soon, also while the queue is busy.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load);

use constant { LIMIT => 4, EVENTS => 400, DELAY => 0.15, SOON => 4 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    events  => 'accept_mutex off;',
    queue   => 'concurrency ' . LIMIT . '; retry 1s;',
)->start;

$gw->onec_mode({ delay => DELAY });

my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 16, next => $gw->events(1, EVENTS));
is finish_load($load)->{results}{accepted}, EVENTS, 'the backlog is accepted';

# both workers deliver, so that one of them continues

for my $kill (1, 2) {
    sleep 0.5;
    ok $gw->kill_worker, "kill $kill";
    ok wait_until(10, sub { $gw->workers == 2 }), 'a new worker starts';
}

sleep SOON;
my $before = $gw->onec_stats->{answered};
my $start = time;
sleep 2;
my $rate = ($gw->onec_stats->{answered} - $before) / (time - $start);
my $best = LIMIT / DELAY;

note sprintf '%.1f deliveries a second, %.1f at best', $rate, $best;
cmp_ok $rate, '>', $best * 0.85, 'the whole concurrency is in use again';
cmp_ok $gw->depth, '>', 0, 'the queue was never idle';
is $gw->onec_stats->{max}, LIMIT, 'the concurrency is never exceeded';

# the leases of the killed workers end

$gw->onec_mode();
$gw->redis('ZADD', '{b1c:orders}:q', 'XX', 1, $_)
    for @{ $gw->redis('ZRANGE', '{b1c:orders}:q', 0, -1) };
ok $gw->drained(15), 'the queue is empty';

$gw->finish;
done_testing;

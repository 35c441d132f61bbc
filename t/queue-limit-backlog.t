#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A worker is killed while thousands of events wait: its slots are free again
# soon, not only when the queue is idle, or each crash would make it slower.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load);

use constant { SLOTS => 4, EVENTS => 400, DELAY => 0.15, SOON => 4 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    events  => 'accept_mutex off;',
    queue   => 'concurrency ' . SLOTS . '; retry 1s;',
)->start;

$gw->onec_mode({ delay => DELAY });

my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 16, next => $gw->events(1, EVENTS));
is finish_load($load)->{results}{accepted}, EVENTS, 'a queue is full';

# deliveries of both workers, so that one of them goes on

for my $kill (1, 2) {
    sleep 0.5;
    ok $gw->kill_worker, "kill $kill";
    ok wait_until(10, sub { $gw->workers == 2 }), 'a new worker comes';
}

sleep SOON;
my $before = $gw->onec_stats->{answered};
my $start = time;
sleep 2;
my $rate = ($gw->onec_stats->{answered} - $before) / (time - $start);
my $best = SLOTS / DELAY;

note sprintf '%.1f deliveries a second, %.1f at best', $rate, $best;
cmp_ok $rate, '>', $best * 0.85, 'all slots are in use again';
cmp_ok $gw->depth, '>', 0, 'the queue was never idle';
is $gw->onec_stats->{max}, SLOTS, 'never more at once than allowed';

# the killed ones' leases end

$gw->onec_mode();
$gw->redis('ZADD', '{b1c:orders}:q', 'XX', 1, $_)
    for @{ $gw->redis('ZRANGE', '{b1c:orders}:q', 0, -1) };
ok $gw->drained(15), 'nothing is left';

$gw->finish;
done_testing;

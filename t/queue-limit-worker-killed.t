#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Workers are killed while their deliveries use the whole concurrency.  The
# limit is free again at once, and the events are delivered again when their
# leases have ended.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

use constant { LEASE => 15, LIMIT => 3 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency ' . LIMIT . '; retry 1s;',
)->start;

$gw->onec_mode({ mode => 'hang', times => LIMIT });

my @held = map { $gw->post(id => $_)->{id} } 1 .. LIMIT;
is scalar($gw->onec_received(LIMIT)), LIMIT, 'the whole concurrency is in use';

my $waiting = $gw->post(id => 50);
is $waiting->{result}, 'accepted', 'one more is accepted';
is scalar($gw->onec_received(LIMIT + 1, 1.5)), LIMIT, 'it has to wait';

my $killed = time;
$gw->kill_worker($_) for $gw->workers;
ok wait_until(10, sub { $gw->workers == 2 }), 'new workers start';

my @r = $gw->onec_received(LIMIT + 1, 10);
is $r[LIMIT]{id}, $waiting->{id}, 'the waiting event is delivered';
note sprintf 'after %.2f s', $r[LIMIT]{time} - $killed;
cmp_ok $r[LIMIT]{time} - $killed, '<', 4,
    'it is delivered long before any lease ends';

@r = $gw->onec_received(2 * LIMIT + 1, LEASE + 5, 1);
is_deeply [sort map { $_->{id} } @r[LIMIT + 1 .. $#r]], [sort @held],
    'the other events are delivered again, with their ids';

my $after = $r[-1]{time} - $killed;
note sprintf 'the last one %.2f s after the kill', $after;
cmp_ok $after, '<', LEASE + 3, 'they are delivered soon after their leases end';
ok $gw->drained(5), 'the queue is empty';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Workers are killed while their deliveries hold all slots: the slots are given
# back at once, and the events come again when their leases have ended.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

use constant { LEASE => 15, SLOTS => 3 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency ' . SLOTS . '; retry 1s;',
)->start;

$gw->onec_mode({ mode => 'hang', times => SLOTS });

my @held = map { $gw->post(id => $_)->{id} } 1 .. SLOTS;
is scalar($gw->onec_received(SLOTS)), SLOTS, 'all slots are in use';

my $waiting = $gw->post(id => 50);
is $waiting->{result}, 'accepted', 'one more is accepted';
is scalar($gw->onec_received(SLOTS + 1, 1.5)), SLOTS, 'and has to wait';

my $killed = time;
$gw->kill_worker($_) for $gw->workers;
ok wait_until(10, sub { $gw->workers == 2 }), 'new workers come';

my @r = $gw->onec_received(SLOTS + 1, 10);
is $r[SLOTS]{id}, $waiting->{id}, 'the waiting one gets a slot';
note sprintf 'after %.2f s', $r[SLOTS]{time} - $killed;
cmp_ok $r[SLOTS]{time} - $killed, '<', 4, 'long before any lease ends';

@r = $gw->onec_received(2 * SLOTS + 1, LEASE + 5, 1);
is_deeply [sort map { $_->{id} } @r[SLOTS + 1 .. $#r]], [sort @held],
    'the others come again, under their ids';

my $after = $r[-1]{time} - $killed;
note sprintf 'the last one %.2f s after the kill', $after;
cmp_ok $after, '<', LEASE + 3, 'when their leases have ended';
ok $gw->drained(5), 'nothing is left';

$gw->finish;
done_testing;

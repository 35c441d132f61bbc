#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A dropped event is never a lost change.  A change that occurs during the
# delivery, or in the same second, reaches 1C again; a newer event replaces one
# that waits; only an event that cannot carry a new change is a duplicate.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency 1; retry 1s;',
)->start;

my @state = (event => 'ONSALEORDERSAVED');
my @once = (event => 'ONSALEORDERNEW');


sub mark {
    my ($mark) = @_;
    return fields => { MARK => $mark };
}


sub marks {
    my (@r) = @_;
    return join ' ', map { "$_->{json}{entity}{id}:"
                           . $_->{json}{data}{FIELDS}{MARK} } @r;
}


sub begin {
    my ($delay) = @_;
    $gw->onec_ask('reset');
    $gw->onec_mode({ delay => $delay }) if $delay;
    return;
}


# state events while one of them is in flight

begin(0.5);
my $first = $gw->post(@state, id => 1, mark('a'));
$gw->onec_received(1);
my $second = $gw->post(@state, id => 1, mark('b'));
my $third = $gw->post(@state, id => 1, mark('c'));
my @r = $gw->onec_received(2, 3, 1);

is $first->{result}, 'accepted', 'a change';
is $second->{result}, 'coalesced',
    'another change while the first is delivered';
is $third->{result}, 'coalesced', 'a third change while the first is delivered';
is marks(@r), '1:a 1:c',
    'the last change reaches 1C, the middle one is replaced';
isnt $r[0]{id}, $r[1]{id}, 'a re-run has an id of its own';
is $r[1]{id}, $third->{id}, 'the id is the one in the answer';
cmp_ok $r[1]{time}, '>=', $r[0]{time} + $r[0]{seconds} - 0.001,
    'the re-run begins after the first delivery';
ok $gw->drained(3), 'the queue is empty';
is $gw->onec_stats->{received}, 2, 'two deliveries in all';

# state events while one of them waits for the concurrency

begin(0.5);
$gw->post(@state, id => 2, mark('x'));
$gw->onec_received(1);
my $waiting = $gw->post(@state, id => 3, mark('a'));
my $newer = $gw->post(@state, id => 3, mark('b'));
@r = $gw->onec_received(2, 3, 1);

is $newer->{result}, 'coalesced', 'a change while another waits';
is $newer->{id}, $waiting->{id},
    'the change is coalesced into the waiting event';
is marks(@r), '2:x 3:b', '1C gets the newer body only';
ok $gw->drained(3), 'the queue is empty';
is $gw->onec_stats->{received}, 2, 'two deliveries in all';

# two changes in one second; the first is already delivered

begin();
my $ts = int time;
$first = $gw->post(@state, id => 4, ts => $ts);
$gw->onec_received(1, 3, 1);
ok $gw->drained(3), 'the first change is done';
$second = $gw->post(@state, id => 4, ts => $ts);
@r = $gw->onec_received(2, 3, 1);

is $second->{result}, 'accepted', 'the second change in one second is accepted';
is scalar(@r), 2, 'both reach 1C';
isnt $r[0]{id}, $r[1]{id}, 'they are two events';

# an event from before the last delivery carries no change

ok $gw->drained(3), 'done';
my $old = $gw->post(@state, id => 4, ts => $ts - 100);
is $old->{result}, 'duplicate',
    'an old event after a newer delivery is a duplicate';
is $old->{id}, $r[1]{id}, 'it has the id of that delivery';
is scalar($gw->onec_received(3, 0.5)), 2, '1C does not get it';

# "once" events: waiting, in flight, delivered, and of another portal

begin(0.5);
$gw->post(@once, id => 5, ts => $ts);
$gw->onec_received(1);
$waiting = $gw->post(@once, id => 6, ts => $ts);
my @repeats = map { $gw->post(@once, id => $_, ts => $ts) } 5, 6;
is join(' ', map { $_->{result} } @repeats), 'duplicate duplicate',
    'a repeat in flight and one that waits';
is $repeats[1]{id}, $waiting->{id}, 'the repeat has the id of the first event';
my $other = $gw->post(@once, id => 5, ts => $ts, member => 'f' x 32);
is $other->{result}, 'accepted', 'the same order of another portal is accepted';
$gw->onec_received(3, 5, 1);
ok $gw->drained(3), 'the queue is empty';
is $gw->post(@once, id => 5, ts => $ts)->{result}, 'duplicate',
    'a repeat when it is done';
is $gw->onec_stats->{received}, 3, 'three deliveries in all';

# a change while a failed delivery waits for its retry

begin();
$gw->onec_mode({ mode => '500', times => 1 });
$first = $gw->post(@state, id => 7, mark('a'));
$gw->onec_received(1, 3, 1);
sleep 0.1;
$second = $gw->post(@state, id => 7, mark('b'));
is $second->{result}, 'coalesced', 'a change while a retry waits';
@r = $gw->onec_received(2, 4, 1);
is marks(@r), '7:a 7:b', 'the retry carries it';
isnt $r[1]{id}, $r[0]{id},
    'it has a new id, because 1C may know the old one';
is $r[1]{id}, $second->{id}, 'the id is the one in the answer';
ok $gw->drained(3), 'the queue is empty';

$gw->finish;
done_testing;

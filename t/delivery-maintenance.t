#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# An administrator locks 1C for maintenance.  The queue pauses, refused events
# spend no attempt, and deliveries continue when 1C is unlocked.
#
# BITRIX1C_TEST_WAIT   wait for the pause to end by itself, a minute (no)

use strict;
use utf8;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

use constant { PAUSE => 60, SPREAD => 12, SLACK => 3 };

# the stand-in has a mode for 1C's own answer, with BOM
my %locked = (
    'with BOM' => { mode => 'locked' },
    'plain text' => { mode => 'locked',
                      body => 'Начало сеанса с информационной базой запрещено.'
                              . "\nОбновление до утра" },
    'behind other text' => { mode => 'locked',
                             body => '<descr>HTTP: Forbidden. Начало'
                                 . ' сеанса с информационной базой'
                                 . ' запрещено</descr>' },
);

my %about = (
    'with BOM' => 'Ведутся технические работы',
    'plain text' => 'Обновление до утра',
    'behind other text' => 'Начало сеанса',
);

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency 4; retry 300ms;',
);

my ($q, $h) = ('{b1c:orders}:q', '{b1c:orders}:h');


sub attempts {
    my ($id) = @_;
    my $meta = $gw->redis('HGET', $h, "$id:m") // '';
    return (split / /, $meta)[1];
}


sub due_in {
    my ($id) = @_;
    return ($gw->redis('ZSCORE', $q, $id) // 0) / 1000 - time;
}


sub logged {
    my ($re) = @_;
    return scalar grep { /$re/ } split /\n/, $gw->slurp('error.log');
}

$gw->start_redis;
$gw->start_onec;

my $n = 0;

for my $name (sort keys %locked) {

    # the shared memory is new with each nginx, so this one knows of no lock

    $gw->start_nginx;
    $gw->onec_ask('reset');
    my $before = logged(qr/deliveries are paused/);

    # an event before its last attempt, or before its first

    my $last = $n == 0;
    $gw->onec_mode($last ? { mode => '500', times => 1 } : (), $locked{$name});
    my $first = $gw->post(id => ++$n)->{id};
    my $requests = $last ? 2 : 1;
    is scalar($gw->onec_received($requests, 5, 1)), $requests,
        "$name: it is refused";
    ok wait_until(3, sub { due_in($first) > PAUSE / 2 }),
        "$name: the event waits for the pause";

    my $left = due_in($first);
    note sprintf '%s: %.1f s', $name, $left;
    cmp_ok $left, '>=', PAUSE - SPREAD - SLACK,
        "$name: the pause is not too short";
    cmp_ok $left, '<=', PAUSE + SPREAD, "$name: the pause is not too long";

    my $spent = $last ? 1 : 0;
    is attempts($first), $spent, "$name: no attempt is spent";
    my $reason = $gw->reason($first);
    utf8::decode($reason);
    like $reason, qr/closed for maintenance.*\Q$about{$name}\E/,
        "$name: the reason has the administrator's text";
    is logged(qr/deliveries are paused/) - $before, 1, "$name: one line in the log";

    # the whole queue pauses

    my @held = map { $gw->post(id => ++$n) } 1 .. 4;
    is join(' ', map { $_->{result} } @held), join(' ', ('accepted') x 4),
        "$name: new events are accepted";
    is scalar($gw->onec_received($requests + 1, 1.5)), $requests,
        "$name: no event is delivered";

    $gw->redis('ZADD', $q, 'XX', 1, $first);
    is scalar($gw->onec_received($requests + 1, 1.5)), $requests,
        "$name: an overdue event is not delivered";

    ok $gw->reload, "$name: nginx is reloaded";
    is scalar($gw->onec_received($requests + 1, 0.7)), $requests,
        "$name: the pause survives the reload";

    if ($ENV{BITRIX1C_TEST_WAIT}) {
        $gw->onec_mode();
        ok $gw->drained(PAUSE + SPREAD + 5),
            "$name: deliveries continue after the pause";
        is logged(qr/1C is available again/), 1, "$name: the log says so";
        $gw->stop_nginx('QUIT');
        next;
    }

    # unlocked: a new nginx tries at once

    $gw->onec_mode();
    $gw->stop_nginx('QUIT');
    $gw->start_nginx;
    ok $gw->drained(5), "$name: all events are delivered when 1C is unlocked";
    is $gw->onec_stats->{answers}{200}, 5,
        "$name: each event is delivered once";
    $gw->stop_nginx('QUIT');
}

is_deeply $gw->dead_letters, [], 'there is no dead letter';

# a 403 without that text is no maintenance

$gw->start_nginx;
$gw->onec_ask('reset');
$gw->onec_mode({ mode => 'forbidden', times => 1 });
my $other = $gw->post(id => ++$n)->{id};
$gw->onec_received(1, 5, 1);
ok $gw->drained(3), 'a 403 without that text is retried by the schedule';
is scalar($gw->onec_received), 2, 'the second attempt succeeds';

$gw->finish;
done_testing;

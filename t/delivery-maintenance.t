#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# An administrator locks 1C for maintenance: the queue is held, no event spends
# an attempt however often it is refused, and it goes on when 1C is unlocked.
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

# 1C's own answer, with BOM, is the stand-in's mode
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

    # what workers share is new with each nginx, so this one knows of no lock

    $gw->start_nginx;
    $gw->onec_ask('reset');
    my $before = logged(qr/deliveries pause/);

    # the last attempt of all, or an event that has had none

    my $last = $n == 0;
    $gw->onec_mode($last ? { mode => '500', times => 1 } : (), $locked{$name});
    my $first = $gw->post(id => ++$n)->{id};
    my $requests = $last ? 2 : 1;
    is scalar($gw->onec_received($requests, 5, 1)), $requests,
        "$name: it is refused";
    ok wait_until(3, sub { due_in($first) > PAUSE / 2 }),
        "$name: it waits long";

    my $left = due_in($first);
    note sprintf '%s: %.1f s', $name, $left;
    cmp_ok $left, '>=', PAUSE - SPREAD - SLACK, "$name: not too short";
    cmp_ok $left, '<=', PAUSE + SPREAD, "$name: not too long";

    my $spent = $last ? 1 : 0;
    is attempts($first), $spent, "$name: no attempt is spent";
    my $reason = $gw->reason($first);
    utf8::decode($reason);
    like $reason, qr/closed for maintenance.*\Q$about{$name}\E/,
        "$name: the reason, with the administrator's own words";
    is logged(qr/deliveries pause/) - $before, 1, "$name: one line in the log";

    # the whole queue is held

    my @held = map { $gw->post(id => ++$n) } 1 .. 4;
    is join(' ', map { $_->{result} } @held), join(' ', ('accepted') x 4),
        "$name: senders notice nothing";
    is scalar($gw->onec_received($requests + 1, 1.5)), $requests,
        "$name: nothing goes";

    $gw->redis('ZADD', $q, 'XX', 1, $first);
    is scalar($gw->onec_received($requests + 1, 1.5)), $requests,
        "$name: not even what is due long since";

    ok $gw->reload, "$name: a reload";
    is scalar($gw->onec_received($requests + 1, 0.7)), $requests,
        "$name: does not forget it";

    if ($ENV{BITRIX1C_TEST_WAIT}) {
        $gw->onec_mode();
        ok $gw->drained(PAUSE + SPREAD + 5), "$name: it goes on by itself";
        is logged(qr/1C is back/), 1, "$name: the log says so";
        $gw->stop_nginx('QUIT');
        next;
    }

    # unlocked: an nginx that is new looks at once

    $gw->onec_mode();
    $gw->stop_nginx('QUIT');
    $gw->start_nginx;
    ok $gw->drained(5), "$name: all go when 1C is unlocked";
    is $gw->onec_stats->{answers}{200}, 5, "$name: each once";
    $gw->stop_nginx('QUIT');
}

is_deeply $gw->dead_letters, [], 'no dead letter';

# a 403 without that text is no maintenance

$gw->start_nginx;
$gw->onec_ask('reset');
$gw->onec_mode({ mode => 'forbidden', times => 1 });
my $other = $gw->post(id => ++$n)->{id};
$gw->onec_received(1, 5, 1);
ok $gw->drained(3), 'another 403 is tried again by the schedule';
is scalar($gw->onec_received), 2, 'after one that failed';

$gw->finish;
done_testing;

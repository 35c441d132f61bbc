#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# 1C takes ten seconds and nginx may not wait for it: what is in flight when
# worker_shutdown_timeout is over is given back at once and goes again by
# another worker.  No alert, and no worker that stays.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();

use constant { TIMEOUT => 1, SLOW => 10, EVENTS => 4 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    main    => 'worker_shutdown_timeout ' . TIMEOUT . 's;',
    events  => 'accept_mutex off;',
    queue   => 'concurrency 8; retry 30s 30s;',
)->start;

my ($q, $h) = ('{b1c:orders}:q', '{b1c:orders}:h');
my $n = 0;


# deliveries that 1C does not answer in time, and a follower in one's lane

sub fly {
    $gw->onec_ask('reset');
    $gw->onec_mode({ delay => SLOW });
    my @ids = map { $gw->post(id => ++$n)->{id} } 1 .. EVENTS;
    push @ids, $gw->post(id => $n, event => 'ONSALEORDERSAVED')->{id};
    is scalar($gw->onec_received(EVENTS, 5)), EVENTS, 'all are in flight';
    $gw->onec_mode();
    return @ids;
}


sub check_again {
    my ($name, $start, @ids) = @_;

    ok $gw->drained(5), "$name: all are delivered";

    my @r = $gw->onec_received(2 * EVENTS + 1, 2, 1);
    my @again = @r[EVENTS .. $#r];
    note sprintf '%s: the last one after %.2f s', $name,
        $again[-1]{time} - $start;
    is join(' ', sort map { $_->{id} } @again), join(' ', sort @ids),
        "$name: once more, and by whoever is left";
    is scalar(grep { $_->{headers}{'x-bitrix1c-attempt'} != 1 } @again), 0,
        "$name: no attempt was spent";
    is $again[-1]{id}, $ids[-1], "$name: the follower was kept behind";
    is $gw->onec_stats->{closed_by_client}, EVENTS,
        "$name: what was in flight was broken off";

    return;
}


# given back: due now, with the epoch raised, not leased any more

sub given_back {
    my (@ids) = @_;
    return !grep {
        my $score = $gw->redis('ZSCORE', $q, $_);
        !defined $score || $score / 1000 > time;
    } @ids;
}


# reload

my @ids = fly();
my $start = time;
ok $gw->reload(10), 'reload: the old workers leave';
my $left = time - $start;
note sprintf 'reload: after %.2f s', $left;
cmp_ok $left, '>', TIMEOUT * 0.9, 'reload: not before the time is over';
cmp_ok $left, '<', TIMEOUT + 2, 'reload: but then';
check_again('reload', $start, @ids);

# in time: what ends before is not broken off

$gw->onec_ask('reset');
$gw->onec_mode({ delay => TIMEOUT / 2 });
my $short = $gw->post(id => ++$n)->{id};
$gw->onec_received(1);
$start = time;
ok $gw->reload(10), 'a short delivery: the old workers leave';
cmp_ok time - $start, '<', TIMEOUT, 'a short delivery: when it is over';
is $gw->onec_stats->{closed_by_client}, 0, 'a short delivery: which they await';
ok $gw->drained(2), 'a short delivery: nothing is left';

# SIGQUIT

@ids = fly();
$start = time;
is $gw->stop_nginx('QUIT', 10), 0, 'SIGQUIT: nginx leaves with code 0';
$left = time - $start;
note sprintf 'SIGQUIT: after %.2f s', $left;
cmp_ok $left, '<', TIMEOUT + 2, 'SIGQUIT: soon';
ok given_back(@ids[0 .. EVENTS - 1]), 'SIGQUIT: all are due at once';
is join(' ', map { (split / /, $gw->redis('HGET', $h, "$_:m"))[1] }
             @ids[0 .. EVENTS - 1]), join(' ', (0) x EVENTS),
    'SIGQUIT: with no attempt spent';
$start = time;
$gw->start_nginx;
check_again('SIGQUIT', $start, @ids);

# SIGQUIT while Redis is away: nobody to give it back to, and yet no delay

@ids = fly();
$gw->stop_redis('TERM');
$start = time;
is $gw->stop_nginx('QUIT', 10), 0, 'without Redis: nginx leaves with code 0';
note sprintf 'without Redis: after %.2f s', time - $start;
cmp_ok time - $start, '<', TIMEOUT + 4, 'without Redis: soon';
$gw->start_redis;
$gw->start_nginx;
$gw->redis('ZADD', $q, 'XX', 1, $_) for @ids[0 .. EVENTS - 1];
check_again('without Redis', time, @ids);

is_deeply $gw->dead_letters, [], 'no dead letter';

$gw->finish;
done_testing;

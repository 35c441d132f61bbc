#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# 1C needs ten seconds and worker_shutdown_timeout is shorter.  Deliveries that
# are still in flight then are given back at once, and another worker delivers
# them.  No alert is logged, and no worker remains.

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


# deliveries that 1C does not answer in time, and a follower in the lane of one

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
        "$name: a remaining worker delivers each once more";
    is scalar(grep { $_->{headers}{'x-bitrix1c-attempt'} != 1 } @again), 0,
        "$name: no attempt is spent";
    is $again[-1]{id}, $ids[-1], "$name: the follower stays behind in its lane";
    is $gw->onec_stats->{closed_by_client}, EVENTS,
        "$name: the deliveries in flight are aborted";

    return;
}


# given back: due now, with a higher epoch, not leased any more

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
ok $gw->reload(10), 'reload: the old workers exit';
my $left = time - $start;
note sprintf 'reload: after %.2f s', $left;
cmp_ok $left, '>', TIMEOUT * 0.9, 'reload: they wait for the timeout';
cmp_ok $left, '<', TIMEOUT + 2, 'reload: they exit after the timeout';
check_again('reload', $start, @ids);

# a delivery that ends before the timeout is not aborted

$gw->onec_ask('reset');
$gw->onec_mode({ delay => TIMEOUT / 2 });
my $short = $gw->post(id => ++$n)->{id};
$gw->onec_received(1);
$start = time;
ok $gw->reload(10), 'a short delivery: the old workers exit';
cmp_ok time - $start, '<', TIMEOUT, 'a short delivery: they exit when it ends';
is $gw->onec_stats->{closed_by_client}, 0,
    'a short delivery: it is not aborted';
ok $gw->drained(2), 'a short delivery: the queue is empty';

# SIGQUIT

@ids = fly();
$start = time;
is $gw->stop_nginx('QUIT', 10), 0, 'SIGQUIT: nginx exits with code 0';
$left = time - $start;
note sprintf 'SIGQUIT: after %.2f s', $left;
cmp_ok $left, '<', TIMEOUT + 2, 'SIGQUIT: nginx exits soon';
ok given_back(@ids[0 .. EVENTS - 1]), 'SIGQUIT: all events are due at once';
is join(' ', map { (split / /, $gw->redis('HGET', $h, "$_:m"))[1] }
             @ids[0 .. EVENTS - 1]), join(' ', (0) x EVENTS),
    'SIGQUIT: no attempt is spent';
$start = time;
$gw->start_nginx;
check_again('SIGQUIT', $start, @ids);

# SIGQUIT while Redis is down: nothing can be given back, and the exit is not
# delayed

@ids = fly();
$gw->stop_redis('TERM');
$start = time;
is $gw->stop_nginx('QUIT', 10), 0, 'without Redis: nginx exits with code 0';
note sprintf 'without Redis: after %.2f s', time - $start;
cmp_ok time - $start, '<', TIMEOUT + 4, 'without Redis: nginx exits soon';
$gw->start_redis;
$gw->start_nginx;
$gw->redis('ZADD', $q, 'XX', 1, $_) for @ids[0 .. EVENTS - 1];
check_again('without Redis', time, @ids);

is_deeply $gw->dead_letters, [], 'there is no dead letter';

$gw->finish;
done_testing;

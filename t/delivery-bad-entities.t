#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Events that 1C refuses by their own fault hold up no others: one bad event,
# many bad entities among good ones, a whole type of events.  The breaker is for
# a 1C that answers nobody.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(status_of);
use Bitrix1C::Gateway qw(wait_until seed);

use constant { GOOD => 400, BAD => 100, RATE => 100 };

my $DEAL = 'ONCRMDEALUPDATE';
my $CONTACT = 'ONCRMCONTACTUPDATE';
my $gw;

seed();


# the defaults of the breaker, unless told otherwise

sub gateway {
    my ($queue) = @_;
    $gw = Bitrix1C::Gateway->new(workers => 2,
        server => Bitrix1C::Api::LOCATION,
        queue => $queue //
            'concurrency 4; retry 1h 1h; breaker failures=5 pause=30s;')->start;
    return;
}


sub breaker {
    return status_of($gw, 'orders')->{breaker};
}


# when each of these ids was taken, in seconds since it was posted

sub latencies {
    my (%posted) = @_;
    my %took;

    for my $r ($gw->onec_received) {
        my $since = $posted{ $r->{id} } or next;
        next if $r->{status} != 200;
        $took{ $r->{id} } //= $r->{time} + $r->{seconds} - $since;
    }

    return sort { $a <=> $b } map { $took{$_} // 999 } keys %posted;
}


sub opened {
    return scalar grep { /\[error\].*deliveries .*paused for/ }
           split /\n/, $gw->slurp('error.log');
}


# posts [event, id] at a steady rate: id of the event in the queue => time

sub post_all {
    my ($rate, @events) = @_;
    my $start = time;
    my (%posted, $n);

    for my $event (@events) {
        my $wait = $start + $n++ / $rate - time;
        sleep $wait if $wait > 0;
        my $at = time;
        my $hook = $gw->post(event => $event->[0], id => $event->[1]);
        push @{ $posted{ $event->[2] } }, $hook->{id}, $at;
    }

    return %posted;
}


sub shuffled {
    my @list = @_;
    for my $i (reverse 1 .. $#list) {
        my $j = int rand($i + 1);
        @list[$i, $j] = @list[$j, $i];
    }
    return @list;
}


# bad entities of one type among good ones of the same and of another type

for my $mode ('500', '404') {
    gateway();
    $gw->onec_mode({ mode => $mode, match => '"id":"9\d{4}"\}' });

    my %posted = post_all(RATE, shuffled(
        (map { [$DEAL, 10_000 + $_, 'good'] } 1 .. GOOD / 2),
        (map { [$CONTACT, 20_000 + $_, 'good'] } 1 .. GOOD / 2),
        (map { [$DEAL, 90_000 + $_, 'bad'] } 1 .. BAD)));
    my %good = @{ $posted{good} };

    wait_until(8, sub {
        ($gw->onec_stats->{answers}{200} // 0) >= GOOD }, 0.2);
    my @took = latencies(%good);
    my $p99 = $took[$#took * 0.99];
    note sprintf '%s: %.3f s at the median, %.3f s at the 99th percentile, '
        . '%.3f s at most, the breaker opened %d times', $mode,
        $took[@took / 2], $p99, $took[-1], opened();
    is scalar(@took), GOOD, "$mode: all good events are posted";
    cmp_ok $p99, '<=', 1,
        "$mode: 100 bad entities cost the good ones at most a second";

    $gw->finish;
}

# one event that 1C does not know

gateway();
$gw->onec_mode({ mode => '404', match => '"id":"90001"\}' });
my %posted = post_all(20, (map { [$DEAL, 10_000 + $_, 'good'] } 1 .. 20),
    [$DEAL, 90_001, 'bad'], (map { [$CONTACT, 20_000 + $_, 'good'] } 1 .. 20),
    (map { [$DEAL, 11_000 + $_, 'good'] } 1 .. 20));
wait_until(4, sub { ($gw->onec_stats->{answers}{200} // 0) >= 60 });
my @took = latencies(@{ $posted{good} });
note sprintf 'one 404: %.3f s at most', $took[-1];
cmp_ok $took[-1], '<=', 1.5, 'one 404 does not stop the queue';
$gw->finish;

# a whole type that 1C cannot take

gateway();
$gw->onec_mode({ mode => '500', match => $DEAL });
%posted = post_all(200, map { [$DEAL, 90_000 + $_, 'bad'] } 1 .. 40);
wait_until(5, sub { opened() });
is opened(), 1, 'a bad type: it pauses';
like $gw->slurp('error.log'), qr/deliveries.*paused for \d+ ms/,
    'a bad type: the log says so';
%posted = post_all(100, map { [$CONTACT, 10_000 + $_, 'good'] } 1 .. 180);
wait_until(4, sub { ($gw->onec_stats->{answers}{200} // 0) >= 180 });
@took = latencies(@{ $posted{good} });
note sprintf 'a bad type: %.3f s at most, %d requests', $took[-1],
    scalar $gw->onec_received;
is breaker()->{state}, 'closed', 'a bad type: the status says that 1C works';
is breaker()->{paused}, 1, 'a bad type: and that one type is paused';
cmp_ok $took[-1], '<=', 3, 'a bad type: all of the other type are delivered';
cmp_ok $gw->onec_stats->{answers}{500}, '<=', 20,
    'a bad type: few of its events are tried meanwhile';
$gw->onec_mode();
ok wait_until(40, sub { ($gw->onec_stats->{answers}{200} // 0) >= 180 + 20 }),
    'a bad type: it is delivered when 1C can take it'
    or diag explain $gw->onec_stats;
$gw->finish;

# 1C is down as a whole, for several types

gateway('concurrency 4; retry 1h 1h; breaker failures=5 pause=2s;');
my @types = ($DEAL, $CONTACT, 'ONSALEORDERSAVED', 'ONCRMLEADUPDATE');
post_all(200, map { [$types[$_ % 4], 10_000 + $_, 'good'] } 1 .. 8);
ok $gw->drained(3), 'down: events of four types are delivered';

for my $mode ('500', '404', 'refuse') {
    $gw->onec_ask('reset');
    $gw->onec_mode({ mode => $mode });
    my $before = opened();
    post_all(200, map { [$types[$_ % 4], 20_000 + $_ + 100 * ord $mode,
                         'good'] } 1 .. 40);
    ok wait_until(3, sub { opened() > $before }), "$mode: the breaker opens";
    sleep 3;
    my $requests = $gw->onec_stats->{received};
    note "$mode: $requests requests";
    cmp_ok $requests, '<=', 24, "$mode: few events are tried";
    $gw->onec_mode({ mode => 'listen' }) if $mode eq 'refuse';
    $gw->onec_mode();
    ok wait_until(10, sub {
        my @far = @{ $gw->redis('ZRANGEBYSCORE', '{b1c:orders}:q',
                                time * 1000 + 60_000, '+inf') };
        $gw->redis('ZADD', '{b1c:orders}:q', 'XX', 1, $_) for @far;
        return $gw->depth == 0;
    }, 0.2), "$mode: all events are delivered when it is back";
}

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A failed event is retried by the schedule, with jitter, and then becomes a
# dead letter with its reason.  Retry-After is obeyed within limits.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

# on a busy machine timers are late, never early
use constant { EARLY => 0.005, LATE => 0.15, EVENTS => 20 };

my $gw = Bitrix1C::Gateway->new(
    queue => 'concurrency 64; retry 500ms 1s;',
)->start;

# the schedule

$gw->onec_mode({ mode => 'conflict' });

my %hook = map { $gw->post(id => $_)->{id} => $_ } 1 .. EVENTS;

ok wait_until(15, sub { @{ $gw->dead_letters } == EVENTS }),
    'all are dead letters in the end';
is $gw->depth, 0, 'the dead letters are not in the queue';

my %times;
push @{ $times{$_->{id}} }, $_->{time} + $_->{seconds} for $gw->onec_received;

is join(' ', map { scalar @{ $times{$_} // [] } } keys %hook),
    join(' ', (3) x EVENTS), 'each event has three attempts';

for my $step ([1, 0.5], [2, 1]) {
    my ($i, $base) = @$step;
    my @gaps = sort { $a <=> $b }
               map { $_->[$i] - $_->[$i - 1] } values %times;

    note sprintf 'pause %d, %.1f s +-20 %%: %.3f .. %.3f', $i, $base,
        $gaps[0], $gaps[-1];
    cmp_ok $gaps[0], '>=', $base * 0.8 - EARLY, "pause $i is not too short";
    cmp_ok $gaps[-1], '<=', $base * 1.2 + LATE, "pause $i is not too long";

    # 20 pauses without jitter would be equal; with jitter they almost never are
    cmp_ok $gaps[-1] - $gaps[0], '>', $base * 0.15, "pause $i has jitter";
}

my ($id) = keys %hook;
like $gw->reason($id), qr/500.*Конфликт блокировок/, 'the reason is stored';
ok defined $gw->redis('HGET', '{b1c:orders}:h', $id), 'the event is stored';

# Retry-After

my %asked = (40 => [0.1, 0.4, 0.6], 41 => [1, 1, 1], 42 => [60, 1, 1.05]);

for my $id (sort keys %asked) {
    my ($seconds, $from, $to) = @{ $asked{$id} };

    $gw->onec_ask('reset');
    $gw->onec_mode({ mode => '503', times => 1, retry_after => $seconds });
    $gw->post(id => $id);

    my @r = $gw->onec_received(2, 5, 1);
    is scalar(@r), 2, "Retry-After: $seconds: it comes again" or next;

    my $gap = $r[1]{time} - $r[0]{time};
    note sprintf 'Retry-After: %s: %.3f s', $seconds, $gap;
    cmp_ok $gap, '>=', $from - EARLY,
        "Retry-After: $seconds: the retry is not too early";
    cmp_ok $gap, '<=', $to + LATE,
        "Retry-After: $seconds: the retry is not too late";
}

# a failing event does not delay events of other entities

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', match => '"id":"50"' });
$gw->post(id => 50);
$gw->onec_received(1);
$gw->post(id => 51);
my @r = $gw->onec_received(2, 2);
is $r[1]{json}{entity}{id}, 51, 'an event of another entity does not wait';

$gw->onec_mode();
ok $gw->drained(5), 'the failed event is delivered when 1C recovers';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# An idle gateway sends Redis at most one command a second, all workers
# together, also while events wait for their retry, and delivers them on time.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(percentile);

use constant { WORKERS => 2, SECONDS => 5 };

# Redis counts commands of scripts as well as those of clients
my $NESTED = qr/^(?:time|z\w+|h\w+|get|set|mget|del|exists|ping|info)$/;

my $gw = Bitrix1C::Gateway->new(
    workers => WORKERS,
    queue   => 'concurrency 4; retry 3s 1h;',
)->start;


sub commands {
    my $stats = $gw->commandstats;
    my $sum = 0;
    $sum += $stats->{$_} for grep { !/$NESTED/ } keys %$stats;
    return ($sum, $stats);
}


sub idle {
    my ($what) = @_;
    my ($before) = commands();
    sleep SECONDS;
    my ($after, $stats) = commands();
    my $calls = $after - $before;

    note "$what: $calls commands in " . SECONDS . ' s';
    cmp_ok $calls, '<=', SECONDS + 1, "$what: at most one command a second"
        or diag explain $stats;

    return;
}


sleep 1;
idle('an empty queue');

# one event waits an hour, another three seconds: the second must not be late

$gw->onec_mode({ mode => '500', match => '"id":"2"', times => 2 },
               { mode => '500', match => '"id":"1"', times => 1 });
$gw->post(id => 2);
ok wait_until(8, sub { $gw->onec_stats->{received} == 2 }),
    'one event waits an hour';
sleep 0.2;
idle('an event that waits');

$gw->post(id => 1);
my @r = grep { $_->{json}{entity}{id} == 1 } $gw->onec_received(4, 5, 1);
is scalar(@r), 2, 'the other event is delivered again';
my $pause = $r[1]{time} - $r[0]{time};
note sprintf 'after %.3f s', $pause;
cmp_ok $pause, '<', 3.6 + 0.15, 'it is delivered on time';
is $gw->depth, 1, 'the first event still waits';

# work after idleness starts at once

my @late;

for my $id (3 .. 7) {
    my $start = time;
    my $answer = $gw->post(id => $id);

    @r = $gw->onec_received($id + 2, 5);
    push @late, $r[-1]{time} - $start;
    note sprintf 'answered in %.1f ms, at 1C after %.1f ms',
        1000 * $answer->{seconds}, 1000 * $late[-1];
    sleep 0.3;
}

cmp_ok percentile(50, @late), '<', 0.1, 'a new event is delivered at once';
cmp_ok percentile(100, @late), '<', 0.6, 'no event waits for a poll of Redis';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# 1C accepts a limited number of requests a second.  The rate is exact for all
# workers together, also after one of them is killed, and an idle time does not
# allow a burst.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(TOKEN);
use Bitrix1C::Http qw(start_load finish_load);

use constant { RATE => 20, BURST => 2, EVENTS => 170, SECONDS => 7,
               SLOW => 12, TOLERANCE => 0.05 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    events  => 'accept_mutex off;',
    queue   => 'concurrency 32; retry 1s; rate ' . RATE . 'r/s;',
);

$gw->{http} = "bitrix1c_queue slow { redis unix:$gw->{socket};"
              . ' concurrency 32; rate 60r/m; }';
$gw->{server} = 'location = /bitrix/slow { bitrix1c_webhook slow;'
    . ' bitrix1c_token ' . TOKEN . '; proxy_http_version 1.1;'
    . ' proxy_set_header Connection "";'
    . ' proxy_pass http://onec/CompanyName/hs/exchange/slow; }';
$gw->start;

# unused rate is not saved

sleep 1;

my $start = time;
my $slow = start_load(port => $gw->{port}, path => '/bitrix/slow',
                      next => $gw->events(1, SLOW));
my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 16, next => $gw->events(1, EVENTS));

is finish_load($load)->{results}{accepted}, EVENTS, 'all were accepted';
is finish_load($slow)->{results}{accepted}, SLOW, 'both queues accept all';
cmp_ok time - $start, '<', 2, 'the rate does not delay senders';

sleep 2.5;
ok $gw->kill_worker, 'a worker is killed';
sleep $start + SECONDS + 0.8 - time;

my (@times, @slow);

for my $r ($gw->onec_received) {
    push @{ $r->{path} =~ /slow/ ? \@slow : \@times }, $r->{time};
}

# a tenth of a second's rate may be used at once

my @after = grep { $_ < $times[0] + 0.08 } @times;
cmp_ok scalar(@after), '<=', BURST + 2, 'no more than a burst at first';

for my $window ([0.5, 3], [3.2, 6.7], [0.5, SECONDS - 0.3]) {
    my ($from, $to) = map { $times[0] + $_ } @$window;
    my $count = grep { $_ >= $from && $_ < $to } @times;
    my $due = RATE * ($to - $from);

    note sprintf '%.1f s to %.1f s: %d, %.0f are due', @$window, $count, $due;
    cmp_ok abs($count - $due), '<=', $due * TOLERANCE + 0.5,
        "the rate from second $window->[0] to $window->[1]";
}

my ($first, $last) = @slow[0, -1];
my $gap = ($last - $first) / $#slow;
note sprintf '60r/m: %d in %.2f s, one in %.3f s', scalar @slow,
    $last - $first, $gap;
# the killed worker may have reserved one delivery

cmp_ok scalar(@slow), '>=', SECONDS - 2, '60r/m: deliveries continue';
cmp_ok $gap, '>=', 1 - TOLERANCE, '60r/m: at most one a second';
cmp_ok $last - $first, '<=', (@slow + 1) * (1 + TOLERANCE),
    '60r/m: no less, except at the kill';

for my $i (1 .. $#slow) {
    cmp_ok $slow[$i] - $slow[$i - 1], '>', 0.8, "60r/m: pause $i";
}

cmp_ok $gw->onec_stats->{duplicates}, '<=', 1,
    'only the kill causes a duplicate';

# without a rate the rest is delivered at once

$gw->{queue} = 'concurrency 32; retry 1s;';
ok $gw->reload, 'the rate is removed';

# the kill may have aborted a delivery, whose lease has to end first

my $received = 0;
for (1 .. 60) {
    $received = grep { $_->{path} !~ /slow/ } $gw->onec_received;
    last if $received >= EVENTS - 1;
    sleep 0.05;
}

cmp_ok $received, '>=', EVENTS - 1, 'the rest is delivered at once';
ok $gw->drained(20), 'the queue is empty';

$gw->finish;
done_testing;

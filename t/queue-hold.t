#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# "hold" stops deliveries, permanently or for some hours of the day.  Events are
# still accepted, none is delivered, and a reload without "hold" delivers all.

use strict;
use warnings;

use FindBin ();
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();

use constant { EVENTS => 5, QUIET => 1.6 };

my $gw = Bitrix1C::Gateway->new(workers => 2);


# a window of the day, in minutes from now

sub window {
    my ($from, $to) = @_;
    return join '-', map { strftime('%H:%M', localtime(time + 60 * $_)) }
                     $from, $to;
}


sub queue_with {
    my ($hold) = @_;
    return "concurrency 4; retry 1s; hold $hold;";
}

# one of the two always spans midnight

my @kinds = (
    on => 'on',
    'a window' => window(-60, 60),
    'a window that ends before it begins' => window(-10, -20),
);

$gw->{queue} = queue_with('on');
$gw->start;
my ($n, $sent) = (0, 0);

while (my ($name, $hold) = splice @kinds, 0, 2) {
    note "$name: hold $hold";
    $gw->{queue} = queue_with($hold);
    ok $gw->reload, "$name: hold is configured";

    my @answers = map { $gw->post(id => ++$n)->{result} } 1 .. EVENTS;
    is join(' ', @answers), join(' ', ('accepted') x EVENTS),
        "$name: new events are accepted";
    is scalar($gw->onec_received($sent + 1, QUIET)), $sent,
        "$name: no event is delivered";
    is $gw->depth, $n - $sent, "$name: all events are stored";

    # resumed in all three ways

    my $off = $hold eq 'on' ? 'off' : window(60, 120);
    $gw->{queue} = queue_with($off);
    ok $gw->reload, "$name: hold $off is configured";
    ok $gw->drained(4), "$name: all events are delivered";
    $sent = $n;
    is $gw->onec_stats->{received}, $sent,
        "$name: each event is delivered once";
}

# an event that waits for its retry is held like all others

$gw->onec_mode({ mode => '500', times => 1 });
my $id = $gw->post(id => ++$n)->{id};
$gw->onec_received($sent + 1, 3, 1);
$gw->{queue} = queue_with('on');
ok $gw->reload, 'hold, while a retry waits';
is scalar($gw->onec_received($sent + 2, QUIET)), $sent + 1,
    'the retry is not delivered either';

$gw->{queue} = 'concurrency 4; retry 1s;';
ok $gw->reload, 'without "hold"';
ok $gw->drained(4), 'the retry is delivered';
my @r = $gw->onec_received;
is $r[-1]{id}, $id, 'it has its id';
is $r[-1]{headers}{'x-bitrix1c-attempt'}, 2, 'it is the second attempt';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis is full.  New events are refused, and stored events are still delivered,
# which frees memory.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

use constant EVENTS => 60;

my $gw = Bitrix1C::Gateway->new(
    queue => 'concurrency 4; retry 1s 1s; hold on;',
);

$gw->start;

for my $id (1 .. EVENTS) {
    my $answer = $gw->post(id => $id);
    $answer->{result} eq 'accepted' or fail "event $id: $answer->{result}";
}

$gw->redis('CONFIG', 'SET', 'maxmemory', 1_000_000);
cmp_ok $gw->redis('INFO', 'memory') =~ /^used_memory:(\d+)/m && $1, '>',
    1_000_000, 'Redis is over its limit';

my $answer = $gw->post(id => EVENTS + 1);
is "$answer->{status} $answer->{result}", '503 unavailable',
    'a new event is refused';

# the first attempt fails, so that an event is retried as well

$gw->onec_mode({ mode => '500', times => 3 });
$gw->{queue} = 'concurrency 4; retry 1s 1s;';
ok $gw->reload, 'deliveries begin';
ok $gw->drained(20), 'the queue is empty';
is scalar($gw->onec_received), EVENTS + 3, 'each event is delivered';

$gw->redis('CONFIG', 'SET', 'maxmemory', 0);
ok wait_until(10, sub { $gw->post(id => EVENTS + 2)->{status} == 200 }),
    'events are accepted again when memory is free';
ok $gw->drained(10), 'they are delivered';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis is full: new events are refused, and those that it holds are delivered
# all the same, or its memory would never come free again.

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

# the first try fails, so that an event goes back and comes again too

$gw->onec_mode({ mode => '500', times => 3 });
$gw->{queue} = 'concurrency 4; retry 1s 1s;';
ok $gw->reload, 'deliveries go on';
ok $gw->drained(20), 'and nothing is left';
is scalar($gw->onec_received), EVENTS + 3, 'each was delivered, at once';

$gw->redis('CONFIG', 'SET', 'maxmemory', 0);
ok wait_until(10, sub { $gw->post(id => EVENTS + 2)->{status} == 200 }),
    'with room again events are taken';
ok $gw->drained(10), 'and delivered';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis is down when nginx starts.  Senders get a 503 in time, no descriptor
# leaks, and the gateway works as soon as Redis runs.
#
# BITRIX1C_TEST_ABSENCE   seconds without Redis (6)

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

my $absence = $ENV{BITRIX1C_TEST_ABSENCE} || 6;

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    redis   => 'timeout=1s',
    queue   => 'concurrency 4; retry 1s;',
);

$gw->start_onec;
$gw->start_nginx;

my $answer = $gw->post(id => 1);
is "$answer->{status} $answer->{result}", '503 unavailable',
    'an event without Redis is refused';
cmp_ok $answer->{seconds}, '<', 1.5,
    'the sender is answered within the timeout';
is $answer->{body}, qq({"result":"unavailable"}\n), 'the answer is complete';
like $answer->{headers}{'content-type'}, qr{^application/json},
    'the answer is JSON';

# many tries to connect later

my @before = map { $gw->descriptors($_) } $gw->workers;
my $end = time + $absence;

while (time < $end) {
    my $status = $gw->post(id => 1)->{status};
    $status == 503 or is $status, 503, 'meanwhile';
    sleep 0.2;
}

my @after = map { $gw->descriptors($_) } $gw->workers;
is "@after", "@before", 'no descriptor was lost';

my $lines = () = $gw->slurp('error.log') =~ /\[(?:error|warn|crit)\].*redis/gi;
cmp_ok $lines, '>=', 1, 'the error log says that Redis cannot be reached';
cmp_ok $lines, '<=', 40, "without flooding it ($lines lines)";

$gw->start_redis;
my $start = time;
ok wait_until(10, sub { $gw->post(id => 2)->{status} == 200 }),
    'the gateway finds Redis';
note sprintf 'after %.2f s', time - $start;

# both workers have to find Redis
ok wait_until(10, sub {
    my $ok = 0;
    $ok += $gw->post(id => $_)->{status} == 200 for 100 .. 119;
    return $ok == 20;
}), 'every worker finds Redis';

$gw->drained(5);
my %got = map { $_->{json}{entity}{id} => 1 } $gw->onec_received;
ok $got{2} && !$got{1},
    'accepted events are delivered, refused ones are not';

$gw->finish;
done_testing;

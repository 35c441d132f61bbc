#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# An operator holds a queue.  No delivery begins, on any nginx of that Redis,
# until the queue is resumed, even after restarts.  Events are still accepted,
# and after the resume all are delivered in order.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(change metrics status_of LOCATION);
use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Lanes qw(second_node);

my %conf = (
    workers => 2,
    events  => 'accept_mutex off;',
    server  => LOCATION,
    queue   => 'concurrency 4; retry 1s;',
);
my $gw = Bitrix1C::Gateway->new(%conf)->start;
my $other = second_node($gw, %conf);


sub logged {
    my ($node, $re) = @_;
    return scalar grep { /\[notice\].*$re/ } split /\n/, $node->slurp('error.log');
}


sub held { return logged($_[0], 'an operator has held the queue, deliveries are stopped') }
sub resumed { return logged($_[0], 'an operator has resumed the queue') }


sub hold_state {
    my ($node) = @_;
    my $s = status_of($node);
    return join ' ', $s->{state}, $s->{hold}{state}, $s->{hold}{held} ? 1 : 0;
}


# held while a delivery runs: it is completed, and no other begins

$gw->onec_mode({ delay => 0.5 });
my @ids = $gw->post(id => 1)->{id};
$gw->onec_received(1, 5);
is_deeply change($gw, 'queue/hold?queue=orders')->{json},
    { queue => 'orders', held => JSON::PP::true }, 'hold';
is hold_state($gw), 'held operator 1', 'status says so';
is hold_state($other), 'held operator 1', 'status of the other nginx says so';
is metrics($gw)->{'bitrix1c_held{queue="orders"}'}, 1, 'metrics say so';
is change($gw, 'queue/hold?queue=orders')->{status}, 200,
    'holding twice succeeds';
$gw->onec_mode();

for my $n (2 .. 6) {
    my $answer = ($n % 2 ? $gw : $other)->post(id => $n);
    is $answer->{result}, 'accepted', "event $n is accepted";
    push @ids, $answer->{id};
}

push @ids, $gw->post(id => 2, event => 'ONSALEORDERSAVED')->{id};

my $before = $gw->commandstats;
sleep 2.5;
my $after = $gw->commandstats;
is scalar($gw->onec_received), 1, 'only the first event is delivered';
is $gw->onec_stats->{answered}, 1, 'its delivery is completed';

my $calls = ($after->{evalsha} // 0) - ($before->{evalsha} // 0);
cmp_ok $calls, '<=', 2 * 5, "two nginx, $calls calls in 2.5 s";

# a restart does not resume it

ok $gw->reload, 'nginx is reloaded';
$gw->stop_redis('TERM');
sleep 0.3;
$gw->start_redis;
ok wait_until(8, sub { hold_state($gw) eq 'held operator 1'
                       && hold_state($other) eq 'held operator 1' }),
    'Redis is restarted';
$gw->kill_worker;
$gw->stop_nginx('QUIT', 20);
$gw->start_nginx;
ok wait_until(5, sub { hold_state($gw) eq 'held operator 1' }),
    'nginx is restarted';
sleep 1.5;
is scalar($gw->onec_received), 1, 'no event is delivered after the restarts';

# resumed at one nginx, both deliver

my $start = time;
is_deeply change($other, 'queue/resume?queue=orders')->{json},
    { queue => 'orders', held => JSON::PP::false }, 'resume';
my @r = $gw->onec_received(scalar @ids, 10, 1);
is join(' ', sort map { $_->{id} } @r), join(' ', sort @ids),
    'all events are delivered';
my $late = (sort { $a <=> $b } map { $_->{time} } @r)[1] - $start;
note sprintf 'the first one after %.3f s', $late;
cmp_ok $late, '<', 1, 'they are delivered at once';
ok $gw->drained(5), 'the queue is empty';
ok wait_until(5, sub { hold_state($gw) eq 'ok off 0'
                       && hold_state($other) eq 'ok off 0' }),
    'status says so';
is $gw->redis('EXISTS', '{b1c:orders}:h'), 0, 'Redis holds nothing of the hold';

ok wait_until(5, sub { held($gw) == 2 && held($other) == 1 }),
    'the log says when the queue is held, and again after the restart';
ok wait_until(5, sub { resumed($gw) == 1 && resumed($other) == 1 }),
    'the log says when it is resumed';

# the first event of an empty queue

change($gw, 'queue/hold?queue=orders');
change($gw, 'queue/resume?queue=orders');
$start = time;
$gw->post(id => 50);
@r = $gw->onec_received(@ids + 1, 5);
cmp_ok $r[-1]{time} - $start, '<', 1,
    'an event of a resumed queue is delivered at once';

$other->finish;
$gw->finish;
done_testing;

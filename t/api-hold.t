#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# An operator holds a queue: no delivery begins, on any nginx of that Redis,
# until it is resumed, whatever is restarted meanwhile; events are taken as
# ever, and all go then, in order.

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


sub held { return logged($_[0], 'an operator holds it, deliveries stop') }
sub resumed { return logged($_[0], 'an operator has resumed it') }


sub hold_state {
    my ($node) = @_;
    my $s = status_of($node);
    return join ' ', $s->{state}, $s->{hold}{state}, $s->{hold}{held} ? 1 : 0;
}


# held while a delivery runs: that one ends, nothing else begins

$gw->onec_mode({ delay => 0.5 });
my @ids = $gw->post(id => 1)->{id};
$gw->onec_received(1, 5);
is_deeply change($gw, 'queue/hold?queue=orders')->{json},
    { queue => 'orders', held => JSON::PP::true }, 'hold';
is hold_state($gw), 'held operator 1', 'status says so';
is hold_state($other), 'held operator 1', 'the other nginx too';
is metrics($gw)->{'bitrix1c_held{queue="orders"}'}, 1, 'so do metrics';
is change($gw, 'queue/hold?queue=orders')->{status}, 200, 'once more';
$gw->onec_mode();

for my $n (2 .. 6) {
    my $answer = ($n % 2 ? $gw : $other)->post(id => $n);
    is $answer->{result}, 'accepted', "event $n is taken";
    push @ids, $answer->{id};
}

push @ids, $gw->post(id => 2, event => 'ONSALEORDERSAVED')->{id};

my $before = $gw->commandstats;
sleep 2.5;
my $after = $gw->commandstats;
is scalar($gw->onec_received), 1, 'nothing but the first one goes';
is $gw->onec_stats->{answered}, 1, 'which was ended';

my $calls = ($after->{evalsha} // 0) - ($before->{evalsha} // 0);
cmp_ok $calls, '<=', 2 * 5, "two nginx, $calls calls in 2.5 s";

# what is restarted does not resume it

ok $gw->reload, 'a reload';
$gw->stop_redis('TERM');
sleep 0.3;
$gw->start_redis;
ok wait_until(8, sub { hold_state($gw) eq 'held operator 1'
                       && hold_state($other) eq 'held operator 1' }),
    'Redis was restarted';
$gw->kill_worker;
$gw->stop_nginx('QUIT', 20);
$gw->start_nginx;
ok wait_until(5, sub { hold_state($gw) eq 'held operator 1' }),
    'so was nginx';
sleep 1.5;
is scalar($gw->onec_received), 1, 'still nothing goes';

# resumed by one, it goes on at both

my $start = time;
is_deeply change($other, 'queue/resume?queue=orders')->{json},
    { queue => 'orders', held => JSON::PP::false }, 'resume';
my @r = $gw->onec_received(scalar @ids, 10, 1);
is join(' ', sort map { $_->{id} } @r), join(' ', sort @ids), 'all go';
my $late = (sort { $a <=> $b } map { $_->{time} } @r)[1] - $start;
note sprintf 'the first one after %.3f s', $late;
cmp_ok $late, '<', 1, 'at once';
ok $gw->drained(5), 'nothing is left';
ok wait_until(5, sub { hold_state($gw) eq 'ok off 0'
                       && hold_state($other) eq 'ok off 0' }),
    'status says so';
is $gw->redis('EXISTS', '{b1c:orders}:h'), 0, 'nothing is left of it';

ok wait_until(5, sub { held($gw) == 2 && held($other) == 1 }),
    'a line of the log, and one after the restart';
ok wait_until(5, sub { resumed($gw) == 1 && resumed($other) == 1 }),
    'a line at the end';

# an empty queue, the first event after it

change($gw, 'queue/hold?queue=orders');
change($gw, 'queue/resume?queue=orders');
$start = time;
$gw->post(id => 50);
@r = $gw->onec_received(@ids + 1, 5);
cmp_ok $r[-1]{time} - $start, '<', 1, 'an event of a resumed queue goes at once';

$other->finish;
$gw->finish;
done_testing;

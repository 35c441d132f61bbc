#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Several addresses of one Redis.  The gateway finds the master at any of them,
# does not use replicas, and a manual failover loses no event that was answered
# 200.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Nodes qw(start_node takes_and_delivers);

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    redis   => 'timeout=700ms connect_timeout=400ms',
    queue   => 'concurrency 4; retry 500ms 500ms 1s 1s;',
);
my ($one, $two) = map { start_node($gw, $_) } qw(one two);
my $n = 0;

ok $two->replica_of($one), 'two follows one';
$one->be_seen;
$gw->{store} = "redis unix:$gw->{dir}/nobody.sock " . $two->address . ' '
               . $one->address;

$gw->start_onec;
$gw->start_nginx;


sub works {
    my ($what) = @_;
    return takes_and_delivers($gw, $what);
}


sub lines {
    my ($re) = @_;
    my $count = () = $gw->slurp('error.log') =~ /$re/g;
    return $count;
}


sub clients {
    my ($node) = @_;
    return scalar grep { /user=b1c/ } split /\n/, $node->cmd('CLIENT', 'LIST');
}


works('no socket, a replica, the master');
ok wait_until(10, sub { clients($one) == 2 }),
    'both workers are connected to the master';
ok wait_until(10, sub { clients($two) == 0 }),
    'no worker stays connected to the replica';
is lines(qr/\[error\].*it is a replica/), 0, 'a replica is logged as no error';
is lines(qr/\[error\].*No such file.*nobody\.sock/), 2,
    'each worker logs a dead address as an error once';

# promotion while the old master hangs

ok wait_until(5, sub { $two->cmd('DBSIZE') == $one->cmd('DBSIZE') }),
    'the replica has all data';
kill 'STOP', $one->{pid};
my $answer = $gw->post(id => ++$n);
is $answer->{status}, 503, 'a master that hangs stores nothing';
cmp_ok $answer->{seconds}, '<', 3, 'the sender is answered in time';

my $start = time;
$two->replica_of(undef);
$two->be_seen;
works('the replica was promoted');
note sprintf 'after %.1f s', time - $start;
ok wait_until(10, sub { clients($two) == 2 }),
    'both workers are connected to the new master';

# the old node is still a master until it is demoted
kill 'CONT', $one->{pid};
ok $one->replica_of($two), 'one follows two';

# a running master is demoted: scripts get READONLY and the connection is closed

$start = time;
$one->replica_of(undef);
ok $two->replica_of($one), 'two is demoted';
$one->be_seen;
works('back at the first one');
note sprintf 'after %.1f s', time - $start;
ok wait_until(5, sub { clients($two) == 0 && clients($one) == 2 }),
    'both workers have left the replica';
cmp_ok lines(qr/READONLY/), '<=', 10, 'the demotion causes few lines';

# no node is a master: no busy loop, few lines of the log

sub accepted {
    my ($node) = @_;
    return $node->cmd('INFO', 'stats') =~ /^total_connections_received:(\d+)/m
           ? $1 : 0;
}

$one->cmd('REPLICAOF', '127.0.0.1', 1);
$one->cmd('CLIENT', 'KILL', 'USER', 'b1c');
sleep 0.5;
my ($connects, $lines) = (accepted($one) + accepted($two), lines(qr/\[error\]/));
sleep 2;
$connects = accepted($one) + accepted($two) - $connects;
note "$connects connections in 2 s of 2 workers";
cmp_ok $connects, '>', 1, 'the workers still look for a master';
cmp_ok $connects, '<', 2 * 2 * 2 * 4, 'they do not reconnect in a busy loop';
cmp_ok lines(qr/\[error\]/) - $lines, '<=', 4, 'the log is not flooded';
is $gw->post(id => ++$n)->{status}, 503,
    'no event is accepted without a master';

$one->replica_of(undef);
ok $two->replica_of($one), 'a master again';
works('a master again');

is_deeply $gw->dead_letters, [], 'there is no dead letter';

$gw->finish;
$_->stop for $one, $two;
done_testing;

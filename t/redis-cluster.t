#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis Cluster.  The gateway uses the node that owns the queue's slot, follows
# the slot to another node under load without losing an event, and survives the
# loss of that node.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load);
use Bitrix1C::Nodes qw(start_node takes_and_delivers);
use Bitrix1C::Port qw(free_port);

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    redis   => 'timeout=1s connect_timeout=500ms',
    queue   => 'concurrency 4; retry 500ms 500ms 1s 1s 1s;',
    onec_args => ['--keep', 100_000],
);
my $n = 0;

my @nodes = map {
    start_node($gw, $_, '--cluster-enabled', 'yes', '--cluster-node-timeout',
               1000, '--cluster-port', free_port());
} qw(one two three);

my @ranges = ([0, 5460], [5461, 10_922], [10_923, 16_383]);

for my $i (0 .. 2) {
    $nodes[$i]{id} = $nodes[$i]->cmd('CLUSTER', 'MYID');
    $nodes[$i]->cmd('CLUSTER', 'ADDSLOTSRANGE', @{ $ranges[$i] });
}

my $bus = sub { $_[0]{args}[-1] };
$nodes[0]->cmd('CLUSTER', 'MEET', '127.0.0.1', $_->{port}, $bus->($_))
    for @nodes[1, 2];

ok wait_until(20, sub {
    @nodes == grep {
        my $info = $_->cmd('CLUSTER', 'INFO');
        $info =~ /^cluster_state:ok/m && $info =~ /^cluster_known_nodes:3/m;
    } @nodes;
}), 'three nodes are a cluster';

my $slot = $nodes[0]->cmd('CLUSTER', 'KEYSLOT', '{b1c:orders}:q');
my ($owner) = grep { $slot >= $ranges[$_][0] && $slot <= $ranges[$_][1] } 0 .. 2;
my ($next, $last) = map { ($owner + $_) % 3 } 1, 2;

# the configuration names a node that does not own the slot

$gw->{store} = 'redis ' . $nodes[$next]->address;
$nodes[$owner]->be_seen;
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


my @first = map { $gw->post(id => ++$n)->{status} } 1 .. 20;
is "@first", join(' ', (200) x 20), 'the very first events reach the owner';
ok $gw->drained(5), 'the first events are delivered';
is lines(qr/\[error\].*redis/i), 0, 'a redirect is logged as no error';
is lines(qr/\[notice\].*Redis Cluster has the queue at/), 2,
    'each worker logs the redirect once';

# the slot moves, with all keys, while events arrive

sub move {
    my ($from, $to) = @_;

    $to->cmd('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $from->{id});
    $from->cmd('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $to->{id});

    while (my @keys = @{ $from->cmd('CLUSTER', 'GETKEYSINSLOT', $slot, 5000) }) {
        $from->cmd('MIGRATE', '127.0.0.1', $to->{port}, '', 0, 5000, 'KEYS',
                   @keys);
    }

    # events that are redirected meanwhile are refused
    sleep 0.2;
    $_->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $to->{id})
        for $to, $from, @nodes;

    return;
}

my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 8, rate => 200, seconds => 2,
                      next => $gw->events(10_000));
sleep 0.5;
move($nodes[$owner], $nodes[$last]);
$nodes[$last]->be_seen;
my $result = finish_load($load);
my %statuses = %{ $result->{statuses} };

is join(' ', grep { !/^(?:200|503)$/ } keys %statuses), '',
    'every answer is 200 or 503';
note join ', ', map { "$statuses{$_} of $_" } sort keys %statuses;
cmp_ok $statuses{200}, '>', 200, 'it works before and after';
works('the slot has moved');

ok wait_until(20, sub {
    my $ids = $gw->onec_ids;
    return !grep { !$ids->{$_} } values %{ $result->{ok} };
}, 0.1),
    '1C has every event that was answered 200';

# its owner dies, and no node replaces it

$nodes[$last]->stop;
is $gw->post(id => ++$n)->{status}, 503,
    'without the owner no event is accepted';
sleep 1;


sub accepted {
    my $sum = 0;
    $sum += $_->cmd('INFO', 'stats') =~ /^total_connections_received:(\d+)/m
            ? $1 : 0 for @nodes[$owner, $next];
    return $sum;
}


my ($connects, $lines) = (accepted(), lines(qr/\[(?:error|notice)\].*redis/i));
sleep 2;
$connects = accepted() - $connects;
note "$connects connections in 2 s of 2 workers";
cmp_ok $connects, '<', 2 * 2 * 4, 'no worker reconnects in a busy loop';
cmp_ok lines(qr/\[(?:error|notice)\].*redis/i) - $lines, '<=', 8,
    'the log is not flooded';

$nodes[$last]->start->be_seen;
works('the owner is back');
is_deeply $gw->dead_letters, [], 'there is no dead letter';

$gw->finish;
$_->stop for @nodes;
done_testing;

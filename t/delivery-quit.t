#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# nginx stops while deliveries are in flight.  On SIGQUIT it completes them; on
# SIGTERM it exits at once, and Redis keeps the events.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();

use constant LEASE => 15;

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency 8; retry 3s;',
)->start;


# epoch and attempts of a stored event

sub meta {
    my ($id) = @_;
    my $meta = $gw->redis('HGET', '{b1c:orders}:h', "$id:m") // '';
    return (split / /, $meta)[0, 1];
}


# SIGQUIT: one delivery fails, one succeeds, one is refused

$gw->onec_mode({ mode => '500', delay => 1.5, match => '"id":"1"' },
               { mode => '422', delay => 1.5, match => '"id":"2"' },
               { mode => 'ok', delay => 1.5 });

my %id = map { $_ => $gw->post(id => $_)->{id} } 1 .. 3;
$gw->onec_received(3);
my $start = time;
my $status = $gw->stop_nginx('QUIT', 20);
my $left = time - $start;

is $status, 0, 'SIGQUIT: nginx exits with code 0';
note sprintf 'after %.2f s', $left;
cmp_ok $left, '>', 1, 'SIGQUIT: nginx waits for its deliveries';
cmp_ok $left, '<', 4, 'SIGQUIT: nginx exits soon after them';
is $gw->onec_stats->{closed_by_client}, 0, 'SIGQUIT: no delivery is aborted';

my ($epoch, $attempts) = meta($id{1});
is $attempts, 1, 'the failed event is back in Redis, its attempt is counted';
my $due = $gw->redis('ZSCORE', '{b1c:orders}:q', $id{1}) / 1000 - time;
cmp_ok $due, '<', 4, 'its retry is due by the schedule, not by the lease';
is_deeply $gw->dead_letters, [$id{2}], 'the refused event is a dead letter';
is $gw->redis('ZSCORE', '{b1c:orders}:q', $id{3}), undef,
    'the delivered event is acknowledged';

$gw->onec_ask('reset');
$gw->start_nginx;
my @r = $gw->onec_received(1, 8, 1);
is $r[0]{id}, $id{1}, 'after a start the failed event is delivered';
is $r[0]{headers}{'x-bitrix1c-attempt'}, 2, 'it is the second attempt';
ok $gw->drained(3), 'the queue is empty';

# SIGTERM: nginx waits for nothing

$gw->onec_ask('reset');
$gw->onec_mode({ mode => 'hang' });
my $held = $gw->post(id => 4)->{id};
$gw->onec_received(1);
$start = time;
is $gw->stop_nginx('TERM', 10), 0, 'SIGTERM: nginx exits with code 0';
cmp_ok time - $start, '<', 3, 'SIGTERM: nginx exits at once';
is((meta($held))[1], 0, 'the aborted delivery does not count as a failure');

# SIGQUIT, and Redis dies before the delivery ends: its result cannot be stored

$gw->onec_mode({ delay => 1 });
$gw->start_nginx;
my $untold = $gw->post(id => 5)->{id};
$gw->onec_received(2);
$gw->stop_redis('KILL');
my $alone = time;
is $gw->stop_nginx('QUIT', 20), 0, 'SIGQUIT without Redis: code 0';
note sprintf 'after %.2f s', time - $alone;
cmp_ok time - $alone, '<', 8, 'nginx does not wait for Redis forever';
is $gw->onec_stats->{answers}{200}, 1, 'the delivery is completed';

# both leases end

$gw->start_redis;
$gw->onec_mode();
$gw->start_nginx;
@r = $gw->onec_received(4, LEASE + 5, 1);
is_deeply [sort map { $_->{id} } @r[2, 3]], [sort $held, $untold],
    'after a start both events are delivered again, with their ids';
cmp_ok $r[2]{time} - $start, '<', LEASE + 4,
    'they are delivered soon after their leases end';
ok $gw->drained(3), 'the queue is empty';

$gw->finish;
done_testing;

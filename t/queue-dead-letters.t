#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Dead letters beyond "max" or "age" are dropped, and the log says so.  They are
# replayed: one, some of them or all, one after the other, behind new events.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Scripts ();

use constant { KEPT => 6, PAUSE => 1.5, EARLY => 0.02, LATE => 0.4 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency 4; retry 1s; dead_letters ' . KEPT . ' age=1h;',
)->start;

my ($q, $h, $f, $d) = map { "{b1c:orders}:$_" } qw(q h f d);
my $script = Bitrix1C::Scripts::text('replay.lua');


sub replay {
    my ($pause, @what) = @_;
    return $gw->redis('EVAL', $script, 4, $q, $h, $f, $d, $pause * 1000, @what);
}


sub dropped {
    my $log = $gw->slurp('error.log');
    my $sum = 0;

    $sum += $_ for $log =~ /\[error\].*the (\d+) oldest dead letters were/g;

    return $sum;
}


# posts events that 1C refuses, one after the other

sub die_each {
    my ($event, @ids) = @_;
    return map {
        my $hook = $gw->post(event => $event, id => $_)->{id};
        wait_until(5, sub { defined $gw->redis('ZSCORE', $d, $hook) })
            or diag "$event $_ is no dead letter";
        $hook;
    } @ids;
}

# the maximum

$gw->onec_mode({ mode => '422', body => 'no such counterparty' });
my @orders = die_each('ONSALEORDERNEW', 1 .. KEPT);
is_deeply $gw->dead_letters, \@orders, 'as many dead letters as are kept';
is dropped(), 0, 'no dead letter is dropped';

push @orders, die_each('ONSALEORDERNEW', KEPT + 1, KEPT + 2);
is_deeply $gw->dead_letters, [@orders[2 .. $#orders]],
    'the oldest dead letters are dropped';
ok wait_until(2, sub { dropped() == 2 }), 'the log says how many';
my $rest = $gw->redis('HMGET', $h, map { ($_, "$_:m", "$_:r") } @orders[0, 1]);
is scalar(grep { defined } @$rest), 0, 'Redis holds nothing of them';

my $reason = $gw->reason($orders[-1]);
is $reason, '1C refused the event, status 422: no such counterparty',
    'each dead letter has its reason';
my @meta = split / /, $gw->redis('HGET', $h, "$orders[-1]:m");
is $meta[1], 1, 'each dead letter has its attempts';

# the age

$gw->redis('ZADD', $d, 'XX', 1000 * (time - 3601), $_) for @orders[2 .. 4];
$gw->redis('ZADD', $d, 'XX', 1000 * (time - 3500), $orders[5]);
my @deals = die_each('ONCRMDEALUPDATE', 1, 2);
is_deeply $gw->dead_letters, [@orders[5 .. 7], @deals],
    'dead letters that are too old are dropped';
ok wait_until(2, sub { dropped() == 5 }), 'the log says so';

# replay of one

$gw->onec_ask('reset');
is_deeply replay(0, $orders[6]), [1, -1], 'one dead letter is replayed';
my @r = $gw->onec_received(1, 4, 1);
is $r[0]{id}, $orders[6], 'it has its id';
is $r[0]{headers}{'x-bitrix1c-attempt'}, 1, 'its attempts begin at 1';
ok $gw->drained(3), '1C takes it';
is $gw->redis('ZSCORE', $d, $orders[6]), undef, 'it is no dead letter any more';
is $gw->reason($orders[6]), '', 'it has no reason any more';
is_deeply replay(0, $orders[6]), [0, -1], 'a second replay finds nothing';

# an event that fails again is a dead letter again

$gw->onec_mode({ mode => '422' });
replay(0, $orders[7]);
ok wait_until(4, sub { $gw->onec_stats->{answered} == 2
                       && defined $gw->redis('ZSCORE', $d, $orders[7]) }),
    'an event that is refused again is a dead letter again';
$gw->onec_mode();

# by pattern, slowly, behind new events

$gw->onec_mode({ mode => '422' });
push @deals, die_each('ONCRMDEALUPDATE', 3);
$gw->onec_mode();
$gw->onec_ask('reset');
my $start = time;
is_deeply replay(PAUSE, 100, 0, 'oncrm*update'), [3, -1],
    'the dead letters that match a pattern of any case are replayed';
my $fresh = $gw->post(id => 100)->{id};
@r = $gw->onec_received(4, 8, 1);
my %at = map { $_->{id} => $_->{time} } @r;
is scalar(keys %at), 4, 'all come, and none but them' or diag explain \%at;
is join(' ', grep { $_ ne $fresh } map { $_->{id} } @r), join(' ', @deals),
    'they are delivered in the order in which they died';
cmp_ok $at{$fresh}, '<', $at{$deals[1]}, 'a new event does not wait for them';

for my $i (1, 2) {
    my $late = $at{$deals[$i]} - $start;
    note sprintf 'replay %d after %.2f s', $i + 1, $late;
    cmp_ok $late, '>=', $i * PAUSE - EARLY, 'the pause separates them';

    # an empty queue is polled every 2 s
    cmp_ok $late, '<=', 2 + PAUSE + LATE, 'they are not late';
}

is_deeply [sort @{ $gw->dead_letters }], [sort @orders[5, 7]],
    'the other dead letters remain';

# all, in steps, to the end of their lanes

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', times => 1, match => '"id":"8"' });
my $living = $gw->post(id => 8, event => 'ONSALEORDERSAVED')->{id};
$gw->onec_received(1, 5, 1);
is_deeply replay(0, 1, 0, '*'), [1, 0], 'all: the first step';
is_deeply replay(0, 1, 0, '*'), [1, 0], 'all: the second';
is_deeply replay(0, 1, 0, '*'), [0, -1], 'all: there are no more';
ok $gw->drained(5), 'all: they are delivered';
@r = grep { $_->{json}{entity}{id} eq '8' } $gw->onec_received;
is join(' ', map { $_->{id} } @r), "$living $living $orders[7]",
    'a replayed event goes behind those of its lane';
is_deeply $gw->dead_letters, [], 'no dead letter is left';

my $left = $gw->redis('HGETALL', $h);
is scalar(@$left), 0, 'nor anything else' or diag explain $left;

$gw->finish;
done_testing;

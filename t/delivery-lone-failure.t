#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# An event that 1C refuses, and no other event that tells whether 1C is well:
# the open breaker does not spare it for ever.  It becomes a dead letter after
# its pauses, also across a restart of nginx, and its follower is delivered.  A
# 1C that answers nobody costs no event anything.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

# the sum of the pauses, each 20 % longer at most, and those of the breaker
use constant { SUM => 3, LATE => 6 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency 4; retry 1s 1s 1s; breaker failures=2 pause=1s;',
)->start;

my $h = '{b1c:orders}:h';


sub attempts {
    my ($id) = @_;
    my $meta = $gw->redis('HGET', $h, "$id:m") // '';
    return (split / /, $meta)[1];
}


sub requests {
    my ($id) = @_;
    return scalar grep { $_->{id} eq $id } $gw->onec_received;
}


for my $mode ('500', '404') {
    for my $restart (0, 1) {
        my $name = "$mode" . ($restart ? ', restart' : '');
        my $n = $mode + $restart;

        $gw->onec_ask('reset');
        $gw->onec_mode({ mode => $mode, match => '"event":"ONSALEORDERNEW"' });

        my $start = time;
        my $bad = $gw->post(id => $n)->{id};
        my $next = $gw->post(id => $n, event => 'ONSALEORDERSAVED')->{id};

        if ($restart) {
            wait_until(4, sub { attempts($bad) >= 2 });
            $gw->stop_nginx('QUIT');
            $gw->start_nginx;
        }

        ok wait_until(SUM + LATE, sub { @{ $gw->dead_letters } }),
            "$name: it becomes a dead letter";
        my $took = time - $start;
        note sprintf '%s: after %.1f s and %d requests', $name, $took,
            requests($bad);
        cmp_ok $took, '>=', SUM * 0.8, "$name: not before its pauses are over";
        is requests($bad), 4, "$name: each pause has one attempt";
        ok wait_until(3, sub { requests($next) == 1 }),
            "$name: its follower is delivered";
        like $gw->reason($bad), qr/status $mode/, "$name: the reason is kept";
        $gw->redis('DEL', '{b1c:orders}:d');
        ok $gw->drained(3), "$name: the queue is empty";
    }
}

# of several entities while nothing passes, 1C is to blame

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500' });
my @ids = map { $gw->post(id => 1000 + $_)->{id} } 1 .. 4;
sleep SUM + LATE;
is_deeply $gw->dead_letters, [], '1C fails for all: no dead letter';
$gw->onec_mode();
ok $gw->drained(10), '1C fails for all: they are delivered when it is back';

# a bad event among them is told apart as soon as others pass

$gw->onec_mode({ mode => '500', match => '"id":"2001"\}' });
my $bad = $gw->post(id => 2001, event => 'ONCRMDEALUPDATE')->{id};
$gw->post(id => 2001 + $_), sleep 0.5 for 1 .. 2 * (SUM + LATE);
is_deeply $gw->dead_letters, [$bad], 'others pass: the bad one is dead';

$gw->finish;
done_testing;

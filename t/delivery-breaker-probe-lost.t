#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The probe of an open breaker never brings a result: its worker dies, its lease
# is lost, or it cannot be delivered.  The next event then becomes the probe, so
# that the queue does not stop forever.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

use constant { PAUSE => 1, EARLY => 0.03 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency 4; retry 60s 60s; breaker failures=1 pause=1s;',
)->start;

my ($q, $h) = ('{b1c:orders}:q', '{b1c:orders}:h');
my $n = 0;


# opens the breaker; the probe will be $id, whose score is the lowest

sub open_breaker {
    my ($mode) = @_;

    $gw->onec_ask('reset');
    $gw->onec_mode({ mode => '500', times => 1 },
                   { mode => $mode, times => 1 });
    my $failed = $gw->post(id => ++$n)->{id};
    $gw->onec_received(1, 5, 1);

    my @ids = map { $gw->post(id => ++$n)->{id} } 1 .. 3;
    $gw->redis('ZADD', $q, 'XX', 1, $ids[0]);
    $gw->redis('ZADD', $q, 'XX', 2, $_) for @ids[1, 2];

    return ($failed, @ids);
}


sub gone {
    my (@ids) = @_;
    return !grep { defined $gw->redis('ZSCORE', $q, $_) } @ids;
}


# its worker dies

my ($failed, $probe, @others) = open_breaker('hang');
my @r = $gw->onec_received(2, 5);
is $r[1]{id}, $probe, 'killed: a probe is on its way' or diag scalar @r;
$gw->kill_worker($_) for $gw->workers;
ok wait_until(8, sub { gone(@others) }),
    'killed: the other events are delivered';
$gw->redis('ZADD', $q, 'XX', 1, $_) for $failed, $probe;
ok $gw->drained(5), 'killed: the queue is empty in the end';

# its lease is lost, as if another node had it

($failed, $probe, @others) = open_breaker('hang');
@r = $gw->onec_received(2, 5);
is $r[1]{id}, $probe, 'lost lease: the probe is in flight';
my $meta = $gw->redis('HGET', $h, "$probe:m");
$gw->redis('HSET', $h, "$probe:m", $meta =~ s/^\d+/99/r);
ok wait_until(8, sub { $gw->slurp('error.log')
                       =~ /lease of event $probe was lost/ }),
    'lost lease: the probe is aborted';
ok wait_until(4, sub { gone(@others) }),
    'lost lease: the other events are delivered';
$gw->redis('ZADD', $q, 'XX', 1, $_) for $failed, $probe;
ok $gw->drained(5), 'lost lease: the queue is empty in the end';

# its record cannot be read

($failed, $probe, @others) = open_breaker('ok');
$gw->redis('HSET', $h, $probe, 'what an unknown version wrote');
ok wait_until(4, sub { gone($probe) }), 'unreadable: it leaves the queue';
is_deeply $gw->dead_letters, [$probe], 'unreadable: it is a dead letter';
ok wait_until(4, sub { gone(@others) }),
    'unreadable: the other events are delivered';
$gw->redis('ZADD', $q, 'XX', 1, $failed);
ok $gw->drained(5), 'unreadable: the queue is empty in the end';

# its location is gone, so it never reaches 1C: the next event is still a probe,
# and its failure causes the whole pause

($failed, $probe, @others) = open_breaker('500');
my $record = $gw->redis('HGET', $h, $probe);
$gw->redis('HSET', $h, $probe, $record =~ s{/orders}{/nowhrx}r);
@r = $gw->onec_received(3, 8, 1);
is join(' ', map { $_->{status} } @r), '500 500 200',
    'no location: the other events become the probes';
my $gap = $r[2]{time} - $r[1]{time};
note sprintf 'no location: %.3f s between them', $gap;
cmp_ok $gap, '>=', PAUSE - EARLY, 'no location: a pause separates the probes';
ok wait_until(4, sub { $gw->slurp('error.log') =~ /event $probe.*no location/ }),
    'no location: the log says why';
$gw->redis('HSET', $h, $probe, $record);
ok wait_until(8, sub {
    $gw->redis('ZADD', $q, 'XX', 1, $_)
        for @{ $gw->redis('ZRANGEBYSCORE', $q, time * 1000 + 20_000, '+inf') };
    return $gw->depth == 0;
}, 0.3), 'no location: all events are delivered when it is back';

$gw->finish;
done_testing;

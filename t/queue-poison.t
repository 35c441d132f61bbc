#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# An event kills its worker at every delivery.  After several attempts it
# becomes a dead letter, and the next event of its lane is delivered.  The same
# holds for a record that nobody can read, and for one that is missing.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

use constant TRIES => 6;

my $gw = Bitrix1C::Gateway->new(
    workers => 1,
    queue   => 'concurrency 4; retry 1s;',
)->start;

my ($q, $h) = ('{b1c:orders}:q', '{b1c:orders}:h');

# a score in the past is a lease that has ended, so the test does not wait

$gw->onec_mode({ mode => 'hang', match => '"event":"ONSALEORDERNEW"' });
my $poison = $gw->post(id => 1)->{id};
my $follower = $gw->post(id => 1, event => 'ONSALEORDERSAVED')->{id};

for my $try (1 .. TRIES) {
    is scalar($gw->onec_received($try, 5)), $try, "try $try";
    my ($worker) = $gw->workers;
    $gw->kill_worker($worker);
    ok wait_until(5, sub { my ($new) = $gw->workers;
                           $new && $new != $worker }),
                               'the event kills its worker';

    my $lost = (split / /, $gw->redis('HGET', $h, "$poison:m"))[3];
    is $lost, $try - 1, 'its lost leases are counted';
    $gw->redis('ZADD', $q, 'XX', 1, $poison);
}

ok wait_until(5, sub { @{ $gw->dead_letters } }),
    'then the event is not retried';
is_deeply $gw->dead_letters, [$poison], 'it is a dead letter';
like $gw->reason($poison), qr/its worker died repeatedly/,
    'the dead letter has its reason';
ok defined $gw->redis('HGET', $h, $poison), 'the dead letter has its body';

my @r = $gw->onec_received(TRIES + 1, 3);
is scalar(@r), TRIES + 1, 'it is not delivered any more';
is $r[-1]{id}, $follower, 'the next one of its lane is' if @r > TRIES;
ok $gw->drained(3), 'the queue is empty';

# a few workers that died for other reasons prove nothing: a successful delivery
# resets the count

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', times => 1 });
my $unlucky = $gw->post(id => 2)->{id};
ok wait_until(3, sub { $gw->reason($unlucky) }), 'an event waits';
my @meta = split / /, $gw->redis('HGET', $h, "$unlucky:m");
$meta[3] = TRIES - 1;
$gw->redis('HSET', $h, "$unlucky:m", "@meta");
ok $gw->drained(4), 'an event whose worker died less often is delivered';
is_deeply $gw->dead_letters, [$poison], 'it is no dead letter';

# unreadable and missing records

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', times => 3 });
my ($old, $empty, $gone)
    = map { $gw->post(id => $_)->{id} } 10 .. 12;
$gw->onec_received(3, 5, 1);
ok wait_until(2, sub { 3 == grep { $gw->reason($_) } $old, $empty, $gone }),
    'three events wait';
$gw->redis('HSET', $h, $old, 'b9 what a newer version wrote');
$gw->redis('HSET', $h, $empty, '');
$gw->redis('HDEL', $h, $gone);

ok $gw->drained(4), 'they do not wait forever';
is_deeply [sort @{ $gw->dead_letters }], [sort $poison, $old, $empty],
    'an unreadable record is a dead letter';
like $gw->reason($_), qr/does not have the format of this version/, 'with a reason'
    for $old, $empty;
is scalar($gw->onec_received), 3, '1C gets none of them';

my @lines = $gw->slurp('error.log') =~ /^.*could not be read from Redis.*$/mg;
is scalar(@lines), 1, 'the missing record is logged once';

$gw->finish;
done_testing;

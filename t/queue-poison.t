#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# An event kills its worker whenever it is delivered: after some tries it is a
# dead letter, and the next one of its lane goes.  The same for a record that
# nobody can read, and one that is not there.

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

# its lease need not be waited for: a score in the past is a lease that ended

$gw->onec_mode({ mode => 'hang', match => '"event":"ONSALEORDERNEW"' });
my $poison = $gw->post(id => 1)->{id};
my $follower = $gw->post(id => 1, event => 'ONSALEORDERSAVED')->{id};

for my $try (1 .. TRIES) {
    is scalar($gw->onec_received($try, 5)), $try, "try $try";
    my ($worker) = $gw->workers;
    $gw->kill_worker($worker);
    ok wait_until(5, sub { my ($new) = $gw->workers;
                           $new && $new != $worker }), 'kills its worker';

    my $lost = (split / /, $gw->redis('HGET', $h, "$poison:m"))[3];
    is $lost, $try - 1, 'and is not yet known to have';
    $gw->redis('ZADD', $q, 'XX', 1, $poison);
}

ok wait_until(5, sub { @{ $gw->dead_letters } }), 'then it is given up';
is_deeply $gw->dead_letters, [$poison], 'as a dead letter';
like $gw->reason($poison), qr/its worker has died again and again/,
    'with its reason';
ok defined $gw->redis('HGET', $h, $poison), 'and its body';

my @r = $gw->onec_received(TRIES + 1, 3);
is scalar(@r), TRIES + 1, 'it is not tried any more';
is $r[-1]{id}, $follower, 'the next one of its lane is' if @r > TRIES;
ok $gw->drained(3), 'nothing is left';

# a few workers that died for other reasons are no proof: with the delivery
# that succeeds all is forgotten

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', times => 1 });
my $unlucky = $gw->post(id => 2)->{id};
ok wait_until(3, sub { $gw->reason($unlucky) }), 'an event waits';
my @meta = split / /, $gw->redis('HGET', $h, "$unlucky:m");
$meta[3] = TRIES - 1;
$gw->redis('HSET', $h, "$unlucky:m", "@meta");
ok $gw->drained(4), 'an event whose worker died less often is delivered';
is_deeply $gw->dead_letters, [$poison], 'and no dead letter';

# records that are no records

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

ok $gw->drained(4), 'they do not wait for ever';
is_deeply [sort @{ $gw->dead_letters }], [sort $poison, $old, $empty],
    'what cannot be read is a dead letter';
like $gw->reason($_), qr/has not the form of this version/, 'with a reason'
    for $old, $empty;
is scalar($gw->onec_received), 3, '1C gets none of them';

my @lines = $gw->slurp('error.log') =~ /^.*could not be read from Redis.*$/mg;
is scalar(@lines), 1, 'what is not there is told once';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Hundreds of events of a paused type are due before a good one.  Each claim
# does a bounded amount of work, and the good one is found after a few of them.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Scripts ();

use constant { BAD => 450, LOOK => 100, WAIT => 2_000,
               START => 1_711_111_111_000 };

my $scripts = Bitrix1C::Scripts->new(clock => 1);
my $now = START;
my $n = 0;

sub add {
    my ($name) = @_;
    my $id = sprintf '%032x', ++$n;

    $scripts->set_clock(++$now, 0);
    $scripts->accept(15_000, {
        id => $id, key => md5_hex("key $n"), lane => md5_hex("lane $n"),
        once => 1, lease => 0, since => $now,
        record => qq(b1 8 11\nshop.ru,"/bitrix/x","event":"$name","ts":1}),
    });
    return $id;
}

# the name is read behind server and address, whatever these contain

my @bad = map { add('ONBAD') } 1 .. BAD;
my $good = add('ONGOOD');
my %bad = (name => 'ONBAD', pick => 0, wait => WAIT);
my @before = map { $scripts->cmd('ZSCORE', '{m}:q', $_) } @bad;
my ($calls, @out) = (0);

until (@out || $calls == 10) {
    my @scores = map { $scripts->cmd('ZSCORE', '{m}:q', $_) } @bad;
    $scripts->set_clock(++$now, 0);
    my $reply = $scripts->claim(1, 15_000, \%bad);
    my $moved = grep {
        $scripts->cmd('ZSCORE', '{m}:q', $bad[$_]) ne $scores[$_]
    } 0 .. $#bad;
    cmp_ok $moved, '<=', LOOK + 1, 'call ' . ++$calls . ": $moved are put off";
    (my $wait, undef, @out) = @$reply;
    is $wait, 0, 'the next call can be made at once' if !@out;
}

is $out[0], $good, 'the good event is claimed';
cmp_ok $calls, '<=', BAD / LOOK + 1, "after $calls calls";
is $scripts->cmd('ZCARD', '{m}:q'), BAD + 1, 'no event has left the queue';

# the rest is not put off, and the time until the pause is over is told

$scripts->set_clock(++$now, 0);
my $reply = $scripts->claim(1, 15_000, { %bad, wait => 500 });
is_deeply [@$reply], [500, 0], 'few are due: they stay as they are';

# a probe is the oldest event that has not failed

$now += 2 * WAIT;
$scripts->set_clock($now, 0);
($reply) = $scripts->claim(1, 15_000, { %bad, pick => 1 });
is $reply->[2], $bad[0], 'the oldest is the probe';
$scripts->nack({ id => $bad[0], epoch => $reply->[3], delay => 0, spent => 1,
                 reason => 'failed' });
$scripts->set_clock($now += 3 * WAIT, 0);
($reply) = $scripts->claim(1, 15_000, { %bad, pick => 1 });
isnt $reply->[2], $bad[0], 'the next one is another, though it is due';

$scripts->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A broken write, half of a restored backup or another version of the scripts
# left bad data in Redis.  No script fails or loops, and an event that is
# accepted afterwards for the same entity is delivered, in a lane that moves.
#
# BITRIX1C_TEST_SCRIPTS  another folder of scripts (redis/)

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use FindBin ();
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Scripts ();

use constant LEASE => 20;

my $scripts = Bitrix1C::Scripts->new;
my $serial = 0;

$SIG{ALRM} = sub { die "a script does not come back\n" };


sub event {
    my ($name, %opt) = @_;
    return { id => md5_hex($serial++), key => md5_hex($name),
             lane => md5_hex('lane'), once => 0, lease => 0, since => 2 ** 52,
             record => qq(,"event":"$name"), %opt };
}


# the event that carries this one to 1C after it was accepted

sub put {
    my ($event) = @_;
    my $reply = $scripts->accept(LEASE, $event)->[0];
    return $reply =~ /^[cd](.*)/ ? $1 : $event->{id};
}


# claims and acknowledges until the queue is empty; the ids in their order, or
# undef if it never is

sub drain {
    my @ids;

    for (1 .. 60) {
        my $reply = $scripts->claim(100, LEASE);
        my ($wait, $dropped, @out) = @$reply;
        my @jobs;

        return \@ids if $wait == -1;

        while (@out) {
            my %job;
            @job{qw(id epoch attempts key lane once lost age record)}
                = splice @out, 0, 9;
            push @jobs, \%job;
        }

        push @ids, map { $_->{id} } @jobs;
        $scripts->ack(@jobs) if @jobs;
        sleep 0.005 if !@jobs;
    }

    return;
}


# Two events wait in a lane, the data is damaged, then two events of the same
# entities are accepted: both must be delivered.  Undamaged events must not be
# lost.

sub harmed {
    my ($what, $harm, $survives) = @_;

    subtest $what => sub {
        $scripts->cmd('FLUSHALL');
        alarm 10;

        my @old = (event('first'), event('second'));
        put($_) for @old;
        $harm->($scripts, map { $_->{id} } @old);

        my $before = eval { drain() };
        is($@, '', 'no script fails');
        ok($before, 'the queue comes to an end');

        my @ids = eval { map { put(event($_)) } qw(first second) };
        is($@, '', 'accept does not fail');

        my $after = eval { drain() };
        is($@, '', 'the scripts after it do not fail');
        ok($after, 'the queue comes to an end again');

        my %came = map { $_ => 1 } @{ $before // [] }, @{ $after // [] };
        ok($came{ $ids[$_] // '' }, "new event $_ was delivered") for 0, 1;
        ok($came{ $old[1]{id} }, 'the old event of the lane was delivered')
            if $survives;

        is($scripts->cmd('ZCARD', '{m}:q'), 0, 'nothing waits');
        is($scripts->cmd('ZCARD', '{m}:f'), 0, 'nothing follows')
            or diag explain $scripts->state;
        alarm 0;
    };

    return;
}


my ($Q, $H, $F, $D) = map { "{m}:$_" } qw(q h f d);
my $lane = md5_hex('lane');
my $first = md5_hex('first');

harmed('an id that has no record', sub {
    my ($s) = @_;
    $s->cmd('ZADD', $Q, 1, md5_hex('orphan'), 2, 'x', 3, '');
}, 1);

harmed('a head without record and fields', sub {
    my ($s, $id) = @_;
    $s->cmd('HDEL', $H, $id, "$id:m");
}, 1);

harmed('a head without fields', sub {
    my ($s, $id) = @_;
    $s->cmd('HDEL', $H, "$id:m");
}, 1);

harmed('a head without record', sub {
    my ($s, $id) = @_;
    $s->cmd('HDEL', $H, $id);
}, 1);

harmed('a head with fields of another version', sub {
    my ($s, $id) = @_;
    $s->cmd('HSET', $H, "$id:m", 'v2 {"epoch":0}');
}, 1);

harmed('a head with one field more', sub {
    my ($s, $id) = @_;
    $s->cmd('HSET', $H, "$id:m", $s->cmd('HGET', $H, "$id:m") . ' 1');
}, 1);

harmed('a head that is not in the queue', sub {
    my ($s, $id) = @_;
    $s->cmd('HDEL', $H, $id, "$id:m", "k:$first");
    $s->cmd('ZREM', $Q, $id);
}, 1);

harmed('a follower without record and fields', sub {
    my ($s, undef, $id) = @_;
    $s->cmd('HDEL', $H, $id, "$id:m");
});

harmed('a follower without record', sub {
    my ($s, undef, $id) = @_;
    $s->cmd('HDEL', $H, $id);
});

harmed('a follower that is not in its list', sub {
    my ($s, undef, $id) = @_;
    $s->cmd('DEL', $F);
    $s->cmd('HDEL', $H, $id, "$id:m");
});

harmed('a lane that names nobody', sub {
    my ($s) = @_;
    $s->cmd('HSET', $H, "l:$lane", '');
}, 1);

harmed('a lane that names somebody unknown', sub {
    my ($s) = @_;
    $s->cmd('HSET', $H, "l:$lane", md5_hex('unknown') . '+');
}, 1);

harmed('an identity that names somebody unknown', sub {
    my ($s) = @_;
    $s->cmd('HSET', $H, "k:$first", md5_hex('unknown'));
}, 1);

harmed('a done marker of another version', sub {
    my ($s) = @_;
    $s->cmd('SET', "{m}:k:$first", 'v2');
    $s->cmd('HDEL', $H, "k:$first");
}, 1);


# replay reads damaged dead letters

subtest 'dead letters without records' => sub {
    $scripts->cmd('FLUSHALL');
    alarm 10;

    my $id = md5_hex('dead');
    $scripts->cmd('ZADD', $D, 1, md5_hex('unknown'), 2, $id, 3, 'x');
    $scripts->cmd('HSET', $H, $id, ',"event":"A"', "$id:m", 'v2');

    my ($skip, $turns) = (0, 0);
    while ($skip >= 0 && $turns++ < 10) {
        ($_, $skip) = @{ $scripts->replay(10, 2, $skip, '*') };
        is($_, 0, 'no dead letter is replayed');
    }

    is($skip, -1, 'replay ends');
    is_deeply($scripts->replay_ids(10, $id, md5_hex('unknown')), [0, -1],
              'none is replayed by id');

    my $event = event('new', lease => 1);
    put($event);
    is_deeply($scripts->dead({ %$event, epoch => 1, spent => 1,
                               reason => 'r' }, 1, 86_400_000),
              [1, 3], 'the maximum drops them');
    is_deeply($scripts->state->{d}, { $event->{id} =>
              $scripts->state->{d}{ $event->{id} } }, 'the newest is kept');
    alarm 0;
};


# the clock of Redis itself, once

subtest 'a lease that ends' => sub {
    $scripts->cmd('FLUSHALL');

    my $event = event('lease', lease => 1);
    is_deeply($scripts->accept(LEASE, $event), [1], 'leased when accepted');
    is(scalar @{ $scripts->claim(1, LEASE) }, 2,
        'no other worker gets the event');
    sleep 1.5 * LEASE / 1000;

    my ($wait, undef, @job) = @{ $scripts->claim(1, 10_000) };
    is_deeply([@job[0, 1, 2, 6]], [$event->{id}, 2, 0, 1],
              'it is claimed again, and the lost lease is counted');
    ok($wait > 9_000 && $wait <= 10_000, "due in $wait ms");
    is_deeply($scripts->ack({ %$event, epoch => 1 }), [0],
        'a late acknowledgement is refused');
    is_deeply($scripts->ack({ %$event, epoch => 2 }), [1], 'taken');

    my ($at) = split / /, $scripts->cmd('GET', "{m}:k:$event->{key}");
    my ($s, $us) = @{ $scripts->cmd('TIME') };
    my $ago = $s * 1000 + $us / 1000 - $at;
    ok($ago > 0 && $ago < 5_000, 'the marker has the time of the delivery');
    ok($scripts->cmd('PTTL', "{m}:k:$event->{key}") > 86_000_000,
       'the marker lives as long as the window');
};

$scripts->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The scripts in redis/ against a model of their promise.  Simulated workers take
# random steps: they crash, come too late, lose replies and send events twice.
# Every reply and all keys must be equal to the model's.  A simulated 1C with a
# register of ids checks the promise itself: no event is lost, one event of a
# lane is in flight at a time, and 1C looked at the entity after every change
# that was dropped as a duplicate.
#
# The scripts use a clock of the test in place of Redis TIME, so that a seed
# repeats a run exactly, hours pass at once and the clock can be set back;
# redis-broken-data.t runs them with the clock of Redis.
#
# BITRIX1C_TEST_SEED     repeats a run
# BITRIX1C_TEST_STEPS    how many steps (20000)
# BITRIX1C_TEST_SCRIPTS  another folder of scripts (redis/)

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use FindBin ();
use List::Util qw(max min shuffle);
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Model ();
use Bitrix1C::Scripts ();

use constant {
    MARGIN    => 2_000,
    CLOCKS    => 900,              # ms that each clock is off, less than half
    ENTITIES  => 20,
    DEAD_MAX  => 6,
    DEAD_AGE  => 600_000,
    NO_TS     => 2 ** 52,
    COMPARE   => 50,
};

my $steps = $ENV{BITRIX1C_TEST_STEPS} || 20_000;
my $seed = $ENV{BITRIX1C_TEST_SEED} || time * 1000 % 1_000_000_007;
diag("BITRIX1C_TEST_SEED=$seed");

my $scripts = Bitrix1C::Scripts->new(clock => 1);
my $model = Bitrix1C::Model->new;

# after other code used random numbers
srand $seed;

my $true = 1_711_111_111_000;      # ms of a clock that is right
my $off = 0;                       # how far Redis's is not
my @portal_off = map { int rand(2 * CLOCKS + 1) - CLOCKS } 1 .. ENTITIES;

my @jobs;                          # of workers that live
my @gone;                          # of those that crashed or were too late
my @said;                          # events, to be said again much later
my %looked;                        # id => when 1C first took it
my %last_look;                     # key => the latest start of an acked look
my %flying;                        # lane => [id, epoch] that may be acked
my %untrue;                        # key => 1: ended since it was said
my %count;
my ($step, $serial, $nack) = (0, 0, 0);

$SIG{ALRM} = sub { die "a script does not come back\n" };


# a wrong step makes all later ones wrong, so the first one ends the run

sub fail_here {
    my ($what, @more) = @_;
    fail("step $step: $what");
    diag("BITRIX1C_TEST_SEED=$seed");
    diag(explain(@more)) if @more;
    no warnings 'exiting';
    last STEP;
}


sub set_clock {
    $model->{now} = $true + $off;
    my $us = int rand 1000;
    $model->{us} = $model->{now} % 1000 * 1000 + $us;
    $scripts->set_clock($model->{now}, $us);
    return;
}


# one call, which is sometimes repeated because its reply is lost; only accept
# replies the same both times, the others find a newer epoch or a renewed lease

sub call {
    my ($name, @args) = @_;

    set_clock();
    my $want = $model->$name(model_args($name, @args));
    my $got = $scripts->$name(@args);
    compare_reply($name, $got, $want, \@args);
    $count{$name}++;

    return $got if rand() > 0.05;

    $true += int rand 3;
    set_clock();
    $want = $model->$name(model_args($name, @args));
    my $again = $scripts->$name(@args);
    compare_reply("repeated $name", $again, $want, \@args);
    $count{repeats}++;

    # the worker knows only the second reply
    return $name eq 'accept' || $name eq 'claim' ? $again : $got;
}


sub model_args {
    my ($name, @args) = @_;

    # the model keeps what it is given
    return map { ref && exists $_->{changes}
                     ? { %$_, changes => [@{ $_->{changes} }] } : $_ } @args
        if $name eq 'accept';
    return @args if $name ne 'replay';

    my ($pause, $look, $skip, $glob) = @args;
    my $pattern = join '.*', map { quotemeta } split /\*/, $glob, -1;
    return ($pause, $look, $skip, qr/^$pattern$/);
}


sub compare_reply {
    my ($what, $got, $want, $args) = @_;
    return if "@$got" eq "@$want";
    fail_here($what, { got => $got, want => $want, args => $args });
    return;
}


sub compare_state {
    my $got = $scripts->state;
    my $want = $model->state;

    for my $part (qw(q h f d k)) {
        my ($g, $w) = ($got->{$part}, $want->{$part});
        my @wrong = grep { text($g->{$_}) ne text($w->{$_}) }
                    keys %{ { %$g, %$w } };
        next if !@wrong;
        fail_here("keys in $part", map { "$_\n  got  " . text($g->{$_})
                                         . "\n  want " . text($w->{$_}) }
                                   sort @wrong);
    }

    return;
}


sub text {
    my ($value) = @_;
    return !defined $value ? '(none)' : ref $value ? "@$value" : $value;
}


# what senders send

sub new_event {
    my $n = int rand ENTITIES;
    my $kind = int rand 100;
    my ($name, $key, $once) =
        $kind < 30 ? ('ONDEALUPDATE', "$n u", 0) :
        $kind < 50 ? ('ONDEALSAVED', "$n s", 0) :
        $kind < 60 ? ('ONDEALADD', "$n a", 1) :
        $kind < 85 ? verb_event($n)
                   : ('ONCALL', "$n " . $serial++, 1);
    my $lane = $n;

    # bitrix1c_lane may put events of one identity in several lanes
    $lane = 'own ' . int rand 3 if $n < 8 && rand() < 0.5;

    # Bitrix may send late, long after the change
    my $change = $true - (rand() < 0.2 ? int rand 20_000 : int rand 100);
    my $ts = int(($change + $portal_off[$n]) / 1000);
    my $id = md5_hex("id $seed " . $serial++);

    return {
        id => $id, lane => md5_hex("lane $lane"),
        ref $key ? (%$key, truth => $n) : (key => md5_hex($key)),
        name => $name, once => $once, lease => rand() < 0.4 ? 1 : 0,
        since => rand() < 0.03 ? NO_TS : rand() < 0.2 ? Bitrix1C::Model::CALL
                 : ($ts + 1) * 1000 + MARGIN,
        record => qq(b1 4 2\nshop/x,"event":"$name","ts":$ts,"n":"$id"),
        changes => [$change],
    };
}


# Of the same entity in few seconds again and again, as of a currency, which is
# called USD however often it is made; bitrix1c_once may turn each into the
# other kind.

sub verb_event {
    my ($n) = @_;
    my $entity = substr md5_hex("entity $n"), 0, 20;
    my $time = sprintf '%08x', 1_711_111_111 + int rand 3;
    my ($verb, $name) = @{ (['add0', 'ONCOINADD'], ['ed17', 'ONCOINUPDATE'],
                            ['de1e', 'ONCOINDELETE'])[rand 3] };
    my $once = rand() < 0.1 ? $verb eq 'ed17' : $verb ne 'ed17';
    my @ends = $verb eq 'add0' ? ('de1e') :
               $verb eq 'de1e' ? ('add0', 'ed17') : ();
    my $zero = '0' x 8;

    $time = $zero if !$once;

    return ($name, { key => "$entity$verb$time",
                     ends => [map { ("$entity$_$time", "$entity$_$zero") }
                              @ends] }, $once || 0);
}


sub step_accept {
    my (@events, %seen);

    for (1 .. 1 + int rand(rand() < 0.3 ? 4 : 1)) {
        my $event = new_event();
        next if $seen{ substr $event->{key}, 0, 20 }++
                || $seen{ $event->{lane} }++;
        push @events, $event;
    }

    accept_events(@events);
    push @said, @events;
    splice @said, 0, @said - 40 if @said > 40;

    return;
}


# the connection was lost for a while: the same event is sent again

sub step_late_repeat {
    my @dead = grep { $model->{dead}{ $_->{id} } } @said;
    my @from = @dead && rand() < 0.3 ? @dead : @said;
    my $event = $from[rand @from] or return;

    accept_events({ %$event, lease => 2 });
    return;
}


sub accept_events {
    my (@events) = @_;
    my $lease = lease();
    my $reply = call('accept', $lease, @events);

    for my $i (0 .. $#events) {
        my ($event, $result) = ($events[$i], $reply->[$i]);

        $count{ 'accept ' . substr $result, 0, 1 }++;
        take_job($event->{id}, 1, @$event{qw(key lane)})
            if $result eq '1';
        check_dropped($event) if $result =~ /^d/ && !$event->{once};
        check_truth($event, $result) if $event->{ends};
    }

    return;
}


# a dropped event is never a lost change: 1C has looked after it

sub check_dropped {
    my ($event) = @_;
    my $looked = $last_look{ $event->{key} } // 0;
    my $change = max(@{ $event->{changes} });

    fail_here('dropped, and 1C never looked after the change',
              { event => $event, looked => $looked, now => $true })
        if $looked <= $change;

    return;
}


# What was dropped, because it had been said, is true: its opposite did not come
# after it was said for the last time.  Beside the model, and simpler.

sub check_truth {
    my ($event, $result) = @_;
    my $key = $event->{key};

    if ($result =~ /^d/) {
        fail_here('dropped, though its opposite was the last that came', $event)
            if $untrue{$key};
        $count{'truth kept'}++;
        return;
    }

    # a late repeat may be known or new, which is not told
    if ($event->{lease} == 2) {
        delete $untrue{$key};
        return;
    }

    $count{'truth ended'} += grep { exists $untrue{$_} && !$untrue{$_} }
                             @{ $event->{ends} };
    $untrue{$_} = 1 for @{ $event->{ends} };
    $untrue{$key} = 0;

    return;
}


# what workers do

sub lease {
    return (5, 50, 3_000)[rand 3];
}


# no other worker may have a valid lease in this lane

sub take_job {
    my ($id, $epoch, $key, $lane) = @_;
    my $other = $flying{$lane};

    fail_here('two of a lane in flight', { new => $id, other => $other })
        if $other && $other->[0] ne $id;

    $flying{$lane} = [$id, $epoch];
    push @jobs, { id => $id, epoch => $epoch, key => $key, lane => $lane,
                  start => $true, worker => int rand 4 };

    # if the same event was claimed again, an earlier worker is too late now
    push @gone, $jobs[-1] if rand() < 0.1;
    splice @gone, 0, @gone - 20 if @gone > 20;

    return;
}


sub step_claim {
    my @names = shuffle(qw(ONDEALUPDATE ONDEALSAVED ONDEALADD ONCALL));
    my @paused = map { { name => $_, pick => int rand 3,
                         wait => 1 + int rand 2_000 } }
                 @names[0 .. (rand() < 0.5 ? -1 : int rand 3)];
    my $reply = call('claim', (1, 3, 100)[rand 3], lease(), @paused);
    my @out = @$reply[2 .. $#$reply];

    $count{'claim, types paused'}++ if @paused && @out;

    while (my ($id, $epoch, undef, $key, $lane) = splice @out, 0, 9) {
        take_job($id, $epoch, $key, $lane);
    }

    return;
}


# 1C looks at an id once; its register answers "known" to a repeat

sub look {
    my ($job) = @_;
    $looked{ $job->{id} } //= $job->{start};
    return;
}


sub step_settle {
    my ($list) = @_;
    return if !@$list;
    my $job = splice @$list, rand @$list, 1;
    my $how = rand;

    look($job) if $how < 0.6 || rand() < 0.5;

    if ($how < 0.6) {
        settle_ack($job, $list);
    } elsif ($how < 0.85) {
        $job->{delay} = int rand(rand() < 0.5 ? 50 : 10_000);
        $job->{spent} = int rand 2;
        $job->{reason} = 'reason ' . $nack++;

        # the worker's node has no location for it

        if (rand() < 0.2) {
            $job->{spent} = -(1 + int rand(rand() < 0.8 ? 5 : 20_000));
            $job->{reason} = 'no location';
        }

        my $reply = call('nack', $job);
        landed($job) if $reply->[0] == 1;

        if ($reply->[0] == 3) {
            $job->{spent} = 1;
            $reply = call('dead', $job, DEAD_MAX, DEAD_AGE);
            landed($job) if $reply->[0];
            $count{trimmed} += $reply->[1];
            $count{'no location'}++;
        }
    } else {
        $job->{spent} = int rand 2;
        $job->{reason} = 'reason ' . $nack++;
        my $reply = call('dead', $job, DEAD_MAX, DEAD_AGE);
        landed($job) if $reply->[0];
        $count{trimmed} += $reply->[1];
    }

    push @gone, $job if rand() < 0.2;

    return;
}


sub settle_ack {
    my ($job, $list) = @_;
    my @batch = ($job);

    push @batch, shift @$list while @$list && rand() < 0.4;

    # a late job and its newer claim are not in one call
    my %seen;
    my @twice = grep { $seen{ $_->{id} }++ } @batch;
    %seen = ();
    @batch = grep { !$seen{ $_->{id} }++ } @batch;
    push @$list, @twice;

    look($_) for @batch;
    my @events = map { $model->owned($_) } @batch;
    my $reply = call('ack', @batch);

    for my $i (grep { $reply->[$_] } 0 .. $#batch) {
        my ($id, $event) = ($batch[$i]{id}, $events[$i]);

        landed($batch[$i]);
        $last_look{ $event->{key} } = max($looked{$id},
                                        $last_look{ $event->{key} } // 0);
        fail_here('1C looked before the change and not after it', $event)
            if $looked{$id} < max(@{ $event->{changes} });
        $count{delivered} += @{ $event->{changes} };
    }

    return;
}


sub landed {
    my ($job) = @_;
    my $flying = delete $flying{ $job->{lane} };

    fail_here('a stale epoch was obeyed', { job => $job, flying => $flying })
        if !$flying || "@$flying" ne "$job->{id} $job->{epoch}";

    return;
}


sub step_extend {
    my @some = grep { rand() < 0.3 } @jobs, @gone;
    call('extend', lease(), @some) if @some;
    return;
}


sub step_crash {
    my $worker = int rand 4;

    push @gone, grep { $_->{worker} == $worker } @jobs;
    @jobs = grep { $_->{worker} != $worker } @jobs;
    splice @gone, 0, @gone - 20 if @gone > 20;

    return;
}


sub step_replay {
    # which says once more what may have ended
    %untrue = ();

    if (rand() < 0.5) {
        my $glob = ('*', 'ON*UPDATE', 'ONCALL', 'oncall', 'ON.*')[rand 5];
        my ($skip, $turns) = (0, 0);

        # all of them, in parts
        while ($skip >= 0) {
            my $reply = call('replay', 10, 4, $skip, uc $glob);
            $skip = $reply->[1];
            fail_here('replay has no end') if $turns++ > DEAD_MAX;
        }

        return;
    }

    my @ids = map { $_->{id} } shuffle($model->dead_letters);
    call('replay_ids', 10, @ids[0 .. min(2, $#ids)], '0' x 32) if @ids;

    return;
}


sub step_delete {
    my ($event) = shuffle($model->dead_letters);
    return if !$event;
    my ($other) = sort keys %{ $model->{live} };

    call('delete', $event->{id}, $other // ());
    return;
}


sub step_expire {
    call('expire', DEAD_AGE);
    return;
}


sub step_hold {
    call('hold', rand() < 0.3 ? 1 : 0);
    return;
}


# the window of a done marker ends

sub step_forget {
    my @keys = sort keys %{ $model->{done} };
    return if !@keys;
    my $key = $keys[rand @keys];

    delete $model->{done}{$key};
    $scripts->cmd('DEL', "{m}:k:$key");

    return;
}


sub step_time {
    $true += int rand(rand() < 0.7 ? 20 : 6_000);
    return;
}


sub step_clock {
    $off = int rand(2 * CLOCKS + 1) - CLOCKS;
    return;
}


my @kinds = (
    [24, \&step_accept], [18, \&step_claim],
    [34, sub { step_settle(\@jobs) }], [4, sub { step_settle(\@gone) }],
    [8.2, \&step_time], [3, \&step_extend], [4, \&step_late_repeat],
    [1, \&step_crash], [0.5, \&step_replay], [1, \&step_forget],
    [0.5, \&step_clock], [0.2, \&drain], [1, \&step_hold],
    [0.3, \&step_delete], [0.3, \&step_expire],
);


sub random_step {
    my $pick = rand 100;

    for my $kind (@kinds) {
        $pick -= $kind->[0];
        return $kind->[1]->() if $pick < 0;
    }

    return;
}


# quiet time: the workers are gone, leases end, all events are delivered

sub drain {
    (@jobs, @gone) = ();
    call('hold', 0);

    for (1 .. 500) {
        $true += 100_000;
        my $reply = call('claim', 100, 1_000);
        my @out = @$reply[2 .. $#$reply];

        return if $reply->[0] == -1;

        while (my ($id, $epoch, undef, $key, $lane) = splice @out, 0, 9) {
            take_job($id, $epoch, $key, $lane);
        }

        settle_ack(shift @jobs, \@jobs) while @jobs;
        @gone = ();
    }

    fail_here('the queue has no end', $model->state);
    return;
}


STEP: {
    while ($step++ < $steps) {
        alarm 10;
        random_step();
        compare_state() if $step % COMPARE == 0;
    }

    drain();
    compare_state();
    alarm 0;

    my $state = $scripts->state;
    is_deeply($state->{q}, {}, 'nothing waits');
    is_deeply($state->{f}, {}, 'nothing follows');
    is_deeply([sort grep { !$state->{d}{substr $_, 0, 32} }
               keys %{ $state->{h} }], [], 'only dead letters have records');

    for my $what ('accept 0', 'accept 1', 'accept c', 'accept d', 'delivered',
                  'trimmed', 'repeats', 'replay', 'replay_ids', 'extend',
                  'delete', 'expire', 'hold', 'truth kept', 'truth ended',
                  'claim, types paused', 'no location')
    {
        ok($count{$what}, "$what: " . ($count{$what} // 0));
    }
}

alarm 0;
$scripts->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Measures how a queue is drained: events are taken while it is held, then the
# configuration is changed and reloaded.
#
#   drain     EVENTS of them, as fast as it goes
#   limit     a fifth of them, with a "rate" of RATE a second
#
# It fails unless every event arrives once, if the memory of nginx's workers
# grows with the number of events, or if the rate is not kept or is exceeded in
# any second.
#
# environment: EVENTS, RATE, and see lib/Bench.pm

use strict;
use warnings;

use FindBin;
use List::Util qw(max min);
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";
use Bench qw($bench $body configure cpu machine prepare read_file redis
             redis_connect start_command start_nginx start_redis stop stop_all
             wait_for wait_for_clients);

# percent; a bucket that is full at the start is a tenth of a second's worth
# more, which comes on top, in one second and in all

use constant { BUCKET => 10, DEVIATION => 2, DEVIATION_OF_SECOND => 5 };

# bytes that a worker may grow by between a tenth of the events and all: hardly
# any while they wait, and while they are delivered what 256 deliveries, the
# most at once, happen to need; an id has 32, a record some hundreds

use constant { HELD_MAY_GROW => 1 << 20, BUSY_MAY_GROW => 8 << 20 };

my $events = $ENV{EVENTS} // 100_000;
my $rate = $ENV{RATE} // 2000;

die "EVENTS of at least 1000 and a RATE of at least 10 are due\n"
    if $events < 1000 || $rate < 10;

main();


sub main {
    print machine(), "\n\n";

    drain($events);
    limit(max(int($events / 5), 2 * $rate));

    return;
}


sub drain {
    my ($n) = @_;
    my $r = measure('drain', $n, '');

    printf "drain of %d waiting events\n", $n;
    printf "  rate    %.0f events/s; the first %.2f s, the last %.2f s after"
        . " the reload\n", $n / ($r->{last} - $r->{begun}),
        $r->{first} - $r->{begun}, $r->{last} - $r->{begun};
    printf "  CPU     us an event: nginx %.1f, Redis %.1f, sink %.1f\n",
        @{ $r->{cpu} }{qw(nginx redis sink)};
    printf "  memory  worker, MB: %.1f at first, %.1f with a tenth, %.1f with"
        . " all waiting;\n          at most %.1f until a tenth, %.1f until all"
        . " were delivered, %.1f after\n\n",
        map { $_ / 1048576 }
            @{$r}{qw(empty tenth full started peak drained)};

    die "drain: the memory of a worker grew with the events that wait\n"
        if $r->{full} - $r->{tenth} > HELD_MAY_GROW
           || $r->{peak} - $r->{started} > BUSY_MAY_GROW;

    return;
}


sub limit {
    my ($n) = @_;
    my $r = measure('limit', $n, "rate ${rate}r/s;");
    my $reached = ($n - 1) / ($r->{last} - $r->{first});
    my $off = percent($reached);
    my ($least, $most) = map { percent($_) } seconds($r->{times});

    printf "drain of %d waiting events with \"rate %dr/s\"\n", $n, $rate;
    printf "  rate    %.1f events/s, off by %+.2f %%;"
        . " in any one second by %+.2f .. %+.2f %%\n",
        $reached, $off, $least, $most;

    # a second with fewer events is due to the machine, and does no harm

    die "limit: the rate was not kept\n"
        if $off < -DEVIATION || $off > DEVIATION + BUCKET * $rate / $n;
    die "limit: too many in one second\n"
        if $most > DEVIATION_OF_SECOND + BUCKET;

    return;
}


sub percent {
    my ($reached) = @_;
    return 100 * ($reached - $rate) / $rate;
}


# the least and the most events of all the seconds that begin at a millisecond
# between the first and the last event

sub seconds {
    my ($times) = @_;
    my @at = map { int(($_ - $times->[0]) * 1000 + 0.5) } @$times;
    my $span = $at[-1];

    die "limit: took less than a second, take more EVENTS\n" if $span < 1000;

    my @until = (0) x ($span + 1);
    $until[$_]++ for @at;
    $until[$_] += $until[$_ - 1] for 1 .. $span;

    my @counts = map { $until[$_ + 999] - ($_ ? $until[$_ - 1] : 0) }
                 0 .. $span - 999;

    return (min(@counts), max(@counts));
}


# accepts n events while the queue is held, resumes it, waits until all are
# delivered

sub measure {
    my ($name, $n, $queue) = @_;
    my ($run, $at) = prepare($name);
    my $log = "$run/sink/access.log";

    my %pid = (redis => start_redis($run, $at),
               sink => start_nginx('sink', "$run/sink", $at, $at->{SINK}));
    my $redis = redis_connect($at->{REDIS});

    $at->{QUEUE} = 'hold on;';
    my $held = start_nginx('gateway', "$run/subject", $at, $at->{PORT});
    wait_for_clients($redis);

    my %r = (empty => memory($held, 'RSS'));
    fill($redis, $at, $n, sub { $r{tenth} //= memory($held, 'RSS') });
    $r{full} = memory($held, 'RSS');

    die "$name: a queue that is held has delivered\n" if -s $log;

    $at->{QUEUE} = $queue;
    configure('gateway', "$run/subject", $at);
    my %cpu = map { $_ => -cpu($pid{$_}) } keys %pid;
    $r{begun} = time;
    my $worker = $pid{nginx} = reload("$run/subject", $held);

    wait_until_received($log, $n, sub {
        $r{started} //= memory($worker, 'HWM');
    });
    @r{qw(drained peak)} = map { memory($worker, $_) } qw(RSS HWM);
    $cpu{$_} += cpu($pid{$_}) for keys %pid;
    $r{cpu} = { map { $_ => $cpu{$_} * 1e6 / $n } keys %cpu };
    $r{times} = received($name, $log, $n);
    @r{qw(first last)} = @{ $r{times} }[0, -1];

    my $left = waiting($redis);
    die "$name: $left events are still in Redis\n" if $left;

    stop_all();

    return \%r;
}


# until exactly n wait; the code is called from when a tenth of them does

sub fill {
    my ($redis, $at, $n, $tenth) = @_;
    my $url = "http://127.0.0.1:$at->{PORT}/bitrix/orders";
    my ($last, $since) = (-1, time);

    my $load = start_command('wrk', '-t', 2, '-c', 64, '-d', '600s', '-s',
                             "$bench/load.lua", $url, '--', $body, $n);

    while ((my $now = waiting($redis)) < $n) {
        ($last, $since) = ($now, time) if $now != $last;

        die "$now of $n events were taken\n" if time - $since > 10;

        $tenth->() if $now >= $n / 10;
        sleep 0.05;
    }

    $tenth->();
    stop($load);

    return;
}


sub waiting {
    my ($redis) = @_;
    return redis($redis, 'ZCARD', '{b1c:orders}:q');
}


# returns the worker that replaces the exiting one

sub reload {
    my ($run, $old) = @_;
    my ($master) = read_file("$run/nginx.pid") =~ /(\d+)/;
    my $new;

    kill 'HUP', $master or die "nginx has gone\n";

    wait_for("nginx's new worker, see $run/error.log", sub {
        my @workers = split ' ',
                      read_file("/proc/$master/task/$master/children");
        ($new) = grep { $_ != $old } @workers;
        return $new;
    });

    return $new;
}


# bytes; RSS is what it has now, HWM the most that it ever had of that

sub memory {
    my ($pid, $which) = @_;
    my ($kb) = read_file("/proc/$pid/status") =~ /^Vm$which:\s+(\d+) kB$/m
        or die "the worker $pid has gone\n";

    return $kb * 1024;
}


# and a little longer, because more might come; the code is called from when a
# tenth of them has

sub wait_until_received {
    my ($log, $n, $tenth) = @_;
    my ($lines, $since) = (0, time);

    open my $fh, '<', $log or die "$log: $!\n";

    while ($lines < $n || time - $since < 0.5) {

        if (sysread $fh, my $text, 1 << 20) {
            $lines += $text =~ tr/\n//;
            $since = time;
            $tenth->() if $lines >= $n / 10;
            next;
        }

        die "$lines of $n events were received\n" if time - $since > 20;

        sleep 0.1;
    }

    return;
}


# when each event came

sub received {
    my ($name, $log, $n) = @_;
    my (@times, %ids);

    for my $line (split /\n/, read_file($log)) {
        my ($time, $id) = split ' ', $line;
        push @times, $time;
        $ids{$id}++;
    }

    my $distinct = keys %ids;
    die "$name: ", scalar @times, " came under $distinct ids, $n are due\n"
        if @times != $n || $distinct != $n;

    return [sort { $a <=> $b } @times];
}

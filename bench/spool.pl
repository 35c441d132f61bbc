#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Measures the gateway without Redis.  The queue is held, so that nothing is
# delivered and only the acceptance of events is measured.
#
#   live      events that Redis accepts
#   spool     events that the spool takes, Redis being stopped
#   other     a request to the same nginx that has nothing to do with either,
#             asked for all the while
#   drain     from the moment Redis is back until the spool is empty
#
# It fails if an event is lost, or the limits below are not kept.
#
# environment: ROUNDS, DURATION, CONNECTIONS, and see lib/Bench.pm

use strict;
use warnings;

use FindBin;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";
use Bench qw($bench $body machine prepare read_file redis redis_connect
             start_nginx start_redis stop stop_all wait_for
             wait_for_clients);

use lib "$FindBin::Bin/../t/lib";
use Bitrix1C::Http qw(http_request percentile);

# events a second, ms, and of the rate of live accepts

use constant { LEAST => 5000, SLOWEST => 50, SHARE => 0.5 };

my $rounds = $ENV{ROUNDS} // 3;
my $duration = $ENV{DURATION} // 6;
my $connections = $ENV{CONNECTIONS} // 64;

main();


sub main {
    my %r;

    print machine(), "\n\n";

    for (1 .. $rounds) {
        my $round = measure();
        push @{ $r{$_} }, $round->{$_} for keys %$round;
    }

    my %m = map { $_ => median(@{ $r{$_} }) } keys %r;

    printf "%d connections, medians of %d rounds of %d s\n", $connections,
        $rounds, $duration;
    printf "  live    %.0f events/s; answer, ms: p50 %.1f, p99 %.1f\n",
        @m{qw(live live50 live99)};
    printf "  spool   %.0f events/s; answer, ms: p50 %.1f, p99 %.1f\n",
        @m{qw(spool spool50 spool99)};
    printf "  other   answer, ms: p50 %.1f, p99 %.1f with Redis;"
        . " p50 %.1f, p99 %.1f without\n",
        @m{qw(liveother50 liveother99 spoolother50 spoolother99)};
    printf "  drain   %.0f events/s, %.2f of live; %.0f events in the spool\n",
        $m{drain}, $m{drain} / $m{live}, $m{events};

    die 'fewer than ', LEAST, " events a second were spooled\n"
        if $m{spool} < LEAST;
    die 'p99 of the answers without Redis is over ', SLOWEST, " ms\n"
        if $m{spool99} >= SLOWEST;
    die 'the drain is slower than ', SHARE, " of live accepts\n"
        if $m{drain} < SHARE * $m{live};

    return;
}


sub median {
    my @sorted = sort { $a <=> $b } @_;
    return $sorted[$#sorted / 2];
}


sub measure {
    my ($run, $at) = prepare('spool');

    $at->{QUEUE} = "hold on; spool $run/subject/spool max=4g;";

    my $pid = start_redis($run, $at);
    start_nginx('gateway', "$run/subject", $at, $at->{PORT});
    my $redis = redis_connect($at->{REDIS});
    wait_for_clients($redis);

    my %r = load('live', $run, $at, 'aaaa');
    my $live = waiting($redis);

    stop($pid);
    my %spool = load('spool', $run, $at, 'bbbb');
    %r = (%r, %spool);

    start_redis($run, $at);
    $redis = redis_connect($at->{REDIS});

    # it has to read its file before it answers
    wait_for('Redis', sub { redis($redis, 'PING') =~ /PONG/ });

    my $count = waiting($redis);
    my ($start, $end);

    while (my @files = glob "$run/subject/spool/*.spool") {
        my $now = waiting($redis);
        $start //= time if $now > $count;
        $end = time;
        die "the drain does not end\n" if $start && $end - $start > 120;
        sleep 0.02;
    }

    my $all = waiting($redis);
    $r{events} = $all - $live;
    $r{drain} = $r{events} / ($end - $start);

    # the last events had no answer, and may be stored
    my $lost = $r{spool_answers} - $r{events};
    die "$lost events were lost\n" if $lost > 0;

    stop_all();

    return \%r;
}


sub waiting {
    my ($redis) = @_;
    return redis($redis, 'ZCARD', '{b1c:orders}:q');
}


# the rate and times of the answers, and those of other requests meanwhile

sub load {
    my ($name, $run, $at, $member) = @_;
    my $from = -s "$run/subject/access.log";
    my $file = "$run/$name.form";
    my $url = "http://127.0.0.1:$at->{PORT}/bitrix/orders";
    my @other;

    # of another portal, otherwise the second load would repeat the first
    my $text = read_file($body) =~ s/(member_id%5D=)\w{4}/$1$member/r;
    write_file($file, $text);

    open my $wrk, '-|', 'wrk', '-t', 2, '-c', $connections, '-d',
        "${duration}s", '-s', "$bench/load.lua", $url, '--', $file
        or die "wrk: $!\n";

    my $end = time + $duration;

    while (time < $end) {
        sleep 0.01;
        my $answer = http_request(port => $at->{PORT},
                                  path => '/bitrix/orders');
        die "another request: $answer->{status}\n" if $answer->{status} != 200;
        push @other, 1000 * $answer->{seconds};
    }

    my $out = join '', <$wrk>;
    close $wrk or die "wrk failed:\n$out\n";
    sleep 0.5;

    my ($p50, $p99, $errors)
        = $out =~ /^result p50=(\d+) p99=(\d+) errors=(\d+)$/m
        or die "wrk did not tell its result:\n$out\n";
    my ($first, $last, $answers) = answers("$run/subject/access.log", $from);

    $answers -= @other;
    die "$name: $errors requests failed\n" if $errors;

    return ($name => $answers / ($last - $first),
            "${name}_answers" => $answers,
            "${name}50" => $p50 / 1000,
            "${name}99" => $p99 / 1000,
            "${name}other50" => percentile(50, @other),
            "${name}other99" => percentile(99, @other));
}


# times of the first and the last answer, and how many were 200; whoever was
# hung up on when the load ended is none of them

sub answers {
    my ($log, $from) = @_;
    my ($first, $last, $n) = (0, 0, 0);

    open my $fh, '<', $log or die "$log: $!\n";
    seek $fh, $from, 0;

    while (<$fh>) {
        my ($time, $status) = split ' ';
        $first ||= $time;
        $last = $time;
        $n++ if $status == 200;
        die "an answer was $status\n" if $status != 200 && $status != 499;
    }

    return ($first, $last, $n);
}


sub write_file {
    my ($file, $text) = @_;

    open my $fh, '>', $file or die "$file: $!\n";
    print {$fh} $text;
    close $fh or die "$file: $!\n";

    return;
}

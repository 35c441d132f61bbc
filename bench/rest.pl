#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Measures the other direction, from 1C to the stand-in Bitrix, whose clock
# runs SCALE times as fast, as does the rate that the gateway keeps.
#
#   distinct  one write of each of PAIRS (product, store) pairs, queued by 1C as
#             fast as it goes
#   rows      ROWS writes of these pairs, every pair again and again
#   reads     calls that pass through, against bare proxy_pass to the same
#             server, in turn; medians of three times ROUNDS: to the stand-in
#             without its limits, and to a server that does nothing, where all
#             the cost shows
#
# It fails unless every write is stored and every pair is written, the portal
# has nothing to refuse, and the goals below are met.
#
# environment: ROWS, PAIRS, SCALE, ROUNDS, DURATION (seconds of reads a round),
# CONNECTIONS, and see lib/Bench.pm

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use List::Util qw(sum0);
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";
use Bench qw($bench cpu machine prepare read_file redis redis_connect
             start_command start_nginx start_redis stop stop_all wait_for
             wait_for_clients);

use lib "$FindBin::Bin/../t/lib";
use Bitrix1C::Http qw(http_request);

# requests a distinct row, and what of bare proxy_pass is left of reads

use constant { REQUESTS => 1 / 40, SHARE => 0.85 };

# of a portal, in requests a second

use constant { RATE => 2, KEY => 'x7k2mq9dn3s8f1aa' };

my $rows = $ENV{ROWS} // 50_000;
my $pairs = $ENV{PAIRS} // 10_000;
my $scale = $ENV{SCALE} // 10;
my $rounds = $ENV{ROUNDS} // 3;
my $duration = $ENV{DURATION} // 6;
my $connections = $ENV{CONNECTIONS} // 64;

die "ROWS of at least PAIRS, and PAIRS of at most 10000, are due\n"
    if $rows < $pairs || $pairs > 10_000;

main();


sub main {
    print machine(), "\n\n";

    my $distinct = writes('distinct', $pairs);
    my $all = writes('rows', $rows);

    die "distinct: $distinct->{hits} requests for $pairs rows\n"
        if $distinct->{hits} > $pairs * REQUESTS;
    die "rows: $all->{hits} requests for $rows rows\n"
        if $all->{hits} >= $rows * REQUESTS;

    reads();

    return;
}


# Queues n writes and waits until all are done.  Returns what the portal tells.

sub writes {
    my ($name, $n) = @_;
    my ($run, $redis, $at, $control) = start("rest-$name");
    my $begun = time;

    my $load = start_command('wrk', '-t', 1, '-c', 32, '-d', '600s', '-s',
        "$bench/rows.lua", "http://127.0.0.1:$at->{PORT}/bitrix/"
                           . 'catalog.storeproduct.update', '--', $pairs, $n);
    my $stored = wait_until_stored("$run/subject/access.log", $n);
    stop($load);

    wait_until_done($redis, $n);
    my $seconds = time - $begun;
    my $stats = ask($control, 'stats');
    my ($portal) = values %{ $stats->{portals} };
    my %r = (%$portal, calls => sum0(values %{ $stats->{calls} }));
    my %written;

    $written{$_}++ for http($control, 'writes')
                       =~ /"row":"storeProducts ([^"]*)"/g;
    die "$name: " . keys(%written) . " of $pairs pairs were written\n"
        if keys %written != $pairs;
    die "$name: the portal refused $r{refused} requests\n" if $r{refused};

    my $done = sum0(values %written);

    printf "%d writes of %d pairs, queued in %.1f s\n", $n, $pairs,
        $stored - $begun;
    printf "  requests  %d, %.1f rows a request, 1/%.0f of one call each\n",
        $r{hits}, $n / $r{hits}, $n / $r{hits};
    printf "  written   %d rows, the others were merged into newer ones\n",
        $done;
    printf "  time      %.1f simulated minutes (%.1f s, the clock %d times as"
        . " fast); one call each: %.1f\n\n", $seconds * $scale / 60, $seconds,
        $scale, ($n - 50) / RATE / 60;

    stop_all();

    return \%r;
}


sub start {
    my ($name) = @_;
    my ($run, $at) = prepare($name);
    my $rate = RATE * $scale;

    start_redis($run, $at);
    start_nginx('answers', "$run/sink", $at, $at->{SINK});

    start_command('sh', '-c', 'exec "$@" > "$0"', "$run/portal.out", $^X,
        "$bench/../t/bitrix.pl", '--control', '127.0.0.1:0', '--key', KEY,
        '--rate', RATE, '--scale', $scale, '--keep', 1_000_000,
        '--default-cost', 0.01);

    wait_for('the stand-in Bitrix', sub {
        return if !-e "$run/portal.out";
        ($at->{PORTAL}) = read_file("$run/portal.out")
                          =~ /^listening on (\S+)$/m;
        ($at->{CONTROL}) = read_file("$run/portal.out")
                           =~ /^control on \S+:(\d+)$/m;
    });

    @$at{qw(KEY RATE)} = (KEY, $rate);
    my $worker = start_nginx('rest', "$run/subject", $at, $at->{PORT});

    my $redis = redis_connect($at->{REDIS});
    wait_for_clients($redis);

    return ($run, $redis, $at, $at->{CONTROL}, $worker);
}


sub http {
    my ($port, $what, $body) = @_;
    my $answer = http_request(port => $port, path => "/_standin/$what",
                              timeout => 60, body => $body);

    die "the stand-in Bitrix: $what: $answer->{status}\n"
        if $answer->{status} != 200;

    return $answer->{body};
}


sub ask {
    my ($port, $what) = @_;
    return JSON::PP->new->utf8->decode(http($port, $what));
}


# when all were answered 202

sub wait_until_stored {
    my ($log, $n) = @_;
    my $until = time + 300;

    while (1) {
        my %statuses;
        $statuses{$_}++ for read_file($log) =~ / (\d+)$/mg;
        my $stored = delete $statuses{202} // 0;

        die "writes were answered ", join(' ', sort keys %statuses), "\n"
            if %statuses;
        return time if $stored == $n;
        die "$stored of $n writes were stored\n" if time > $until;

        sleep 0.2;
    }
}


sub wait_until_done {
    my ($redis, $n) = @_;
    my $until = time + 60 + $n / RATE / $scale;

    while (my $left = redis($redis, 'ZCARD', '{b1c:portal}:q')) {
        die "$left writes are still in Redis\n" if time > $until;
        sleep 0.1;
    }

    my $dead = redis($redis, 'ZCARD', '{b1c:portal}:d');
    die "$dead writes are dead letters\n" if $dead;

    return;
}


sub reads {
    my (undef, undef, $at, $control, $worker) = start('rest-reads');

    http($control, 'settings', '{"rate":1000000,"burst":1000000}');

    my $share = compare($at, $worker, 'the stand-in Bitrix', '-standin');
    compare($at, $worker, 'a server that does nothing', '');

    stop_all();

    die 'reads: less than ' . SHARE . " of bare proxy_pass is left\n"
        if $share < SHARE;

    return;
}


sub compare {
    my ($at, $worker, $title, $suffix) = @_;
    my (%rate, %cpu, @share);

    for (1 .. 3 * $rounds) {
        for my $location (qw(bare read)) {
            my ($rate, $cpu) = read_calls($at, $worker, "$location$suffix");
            push @{ $rate{$location} }, $rate;
            push @{ $cpu{$location} }, $cpu;
        }

        push @share, $rate{read}[-1] / $rate{bare}[-1];
    }

    my $share = median(@share);

    printf "reads of %s, %d connections, medians of %d rounds of %.0f s\n",
        $title, $connections, scalar @share, $duration / 3;
    printf "  %-20s %.0f calls/s, %.1f us of nginx's CPU a call\n", @$_
        for ['bare proxy_pass', map { median(@{ $_->{bare} }) } \%rate, \%cpu],
            ['through the gateway', map { median(@{ $_->{read} }) } \%rate,
             \%cpu];
    printf "  that is %.2f of it (%.2f to %.2f in the rounds)\n\n", $share,
        (sort { $a <=> $b } @share)[0, -1];

    return $share;
}


# calls a second, and microseconds of the worker's CPU a call

sub read_calls {
    my ($at, $worker, $location) = @_;
    my $before = cpu($worker);

    open my $wrk, '-|', 'wrk', '-t', 1, '-c', $connections, '-d',
        sprintf('%.0fs', $duration / 3),
        "http://127.0.0.1:$at->{PORT}/$location/sale.order.get?id=100"
        or die "wrk: $!\n";
    my $out = join '', <$wrk>;
    close $wrk or die "wrk failed:\n$out\n";

    die "$location: requests failed:\n$out\n" if $out =~ /Non-2xx|Socket err/;

    my ($calls) = $out =~ /^\s*(\d+) requests in /m
        or die "wrk did not tell its result:\n$out\n";
    my ($rate) = $out =~ m{^Requests/sec:\s+([\d.]+)$}m;

    return ($rate, (cpu($worker) - $before) * 1e6 / $calls);
}


sub median {
    my @sorted = sort { $a <=> $b } @_;
    return $sorted[$#sorted / 2];
}

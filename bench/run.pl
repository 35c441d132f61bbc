#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Measures, on this machine and in one go, rounds of
#
#   bare      nginx's proxy_pass of a webhook to a server that does nothing
#   gateway   this module: until that server has received every event
#   always    the same with Redis that syncs before it answers
#   lanes     the same with all events in 64 lanes, one at a time in each
#   scraped   the gateway, and its metrics are read every 100 ms
#   text      the same, and the scraper reads a fixed text of their size: what
#             it costs to have a scraper, and what any request takes then
#   peer      the same work in Lua
#
# with one worker of nginx and, but for "always", Redis with appendfsync
# everysec.  A round fails unless all that was answered 200 was received,
# nothing else was, and every id came once.
#
# environment: ROUNDS, DURATION (seconds of load), CONNECTIONS, KINDS (of the
# above), and see lib/Bench.pm

use strict;
use warnings;

use Errno ();
use FindBin;
use IO::Socket::INET ();
use POSIX ();
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";
use Bench qw($bench $body cpu machine prepare read_file redis redis_commands
             redis_connect start_nginx start_redis stop_all wait_for_clients);

my $rounds = $ENV{ROUNDS} // 3;
my $duration = $ENV{DURATION} // 6;
my $connections = $ENV{CONNECTIONS} // 64;
my @kinds = split ' ', $ENV{KINDS}
                       // 'bare gateway always lanes scraped text peer';

my %title = (bare => 'bare proxy_pass', gateway => 'gateway',
             always => '... fsync always', lanes => '... in 64 lanes',
             scraped => '... scraped', text => '... text instead',
             peer => 'Lua peer');

my %scrape = (scraped => '/bitrix1c/metrics', text => '/text');

main();


sub main {
    my %done;

    print machine(),
        ", $connections connections, $duration s of load\n\n";

    for my $round (1 .. $rounds) {
        for my $kind (@kinds) {
            my $r = measure($kind);
            push @{ $done{$kind} }, $r;
            printf "round %d  %-16s %7.0f events/s, %d events\n", $round,
                $title{$kind}, $r->{rate}, $r->{events};
        }
    }

    report(\%done);

    return;
}


# one run of one kind, with servers of its own

sub measure {
    my ($kind) = @_;
    my ($run, $at) = prepare($kind);
    my $conf = $kind =~ /^(?:always|lanes|scraped|text)$/ ? 'gateway' : $kind;

    $at->{LANE} = 'bitrix1c_lane $last_two;' if $kind eq 'lanes';

    my @sync = $kind eq 'always' ? $kind : ();
    my %worker = ($kind eq 'bare' ? ()
                  : (redis => start_redis($run, $at, @sync)),
                  sink => start_nginx('sink', "$run/sink", $at, $at->{SINK}));

    my $redis = $kind eq 'bare' ? undef : redis_connect($at->{REDIS});

    $worker{nginx} = start_nginx($conf, "$run/subject", $at, $at->{PORT});
    wait_for_clients($redis) if $conf eq 'gateway';
    redis($redis, qw(CONFIG RESETSTAT)) if $redis;

    my %cpu = map { $_ => -cpu($worker{$_}) } keys %worker;
    my $scraper = $scrape{$kind}
                  ? start_scraper($at->{PORT}, $scrape{$kind}) : undef;
    my $load = load("http://127.0.0.1:$at->{PORT}/bitrix/orders");
    my @scrapes = $scraper ? stop_scraper($scraper) : ();
    my $done = wait_until_received("$run/subject/access.log",
                                   "$run/sink/access.log");
    $cpu{$_} += cpu($worker{$_}) for keys %worker;
    $cpu{load} = $load->{cpu};

    my %commands = $redis ? redis_commands($redis) : ();

    stop_all();

    check($kind, $load, $done, "$run/sink/access.log");

    return {
        events => $done->{events},
        rate => $done->{events} / $done->{seconds},
        p50 => $load->{p50} / 1000,
        p99 => $load->{p99} / 1000,
        scrapes => \@scrapes,
        cpu => per_event($done->{events}, 1e6, %cpu),
        commands => per_event($done->{events}, 1, %commands),
    };
}


sub per_event {
    my ($events, $unit, %of) = @_;
    return { map { $_ => $of{$_} * $unit / $events } keys %of };
}


sub check {
    my ($kind, $load, $done, $log) = @_;

    die "$title{$kind}: $load->{errors} requests of the load failed\n"
        if $load->{errors};
    die "$title{$kind}: $done->{refused} were not answered 200\n"
        if $done->{refused};

    return if $kind eq 'bare';

    my %ids;
    $ids{(split)[1]}++ for split /\n/, read_file($log);

    my $distinct = keys %ids;
    die "$title{$kind}: $done->{events} came under $distinct ids\n"
        if $distinct != $done->{events};

    return;
}


# the load; its processor time is that of the child that has ended

sub load {
    my ($url) = @_;
    my @before = times;

    open my $wrk, '-|', 'wrk', '-t', 2, '-c', $connections, '-d',
        "${duration}s", '-s', "$bench/load.lua", $url, '--', $body
        or die "wrk: $!\n";
    my $out = join '', <$wrk>;
    close $wrk or die "wrk failed:\n$out\n";

    my @after = times;

    my ($p50, $p99, $errors)
        = $out =~ /^result p50=(\d+) p99=(\d+) errors=(\d+)$/m
        or die "wrk did not tell its result:\n$out\n";

    return { p50 => $p50, p99 => $p99, errors => $errors,
             cpu => $after[2] + $after[3] - $before[2] - $before[3] };
}


# reads the address again and again, in a process of its own

sub start_scraper {
    my ($port, $path) = @_;

    my $pid = open my $out, '-|' // die "fork: $!\n";
    return { pid => $pid, out => $out } if $pid;

    my ($stop, @ms) = (0);
    local $SIG{TERM} = sub { $stop = 1 };
    my $sock = IO::Socket::INET->new("127.0.0.1:$port") or POSIX::_exit(1);

    while (!$stop) {
        my ($start, $in) = (time, '');

        syswrite $sock, "GET $path HTTP/1.1\r\nHost: a\r\n\r\n";

        until ($in =~ /\r\nContent-Length: (\d+)\r\n.*?\r\n\r\n/s
               && length $in >= $+[0] + $1)
        {
            my $n = sysread $sock, $in, 65_536, length $in;
            POSIX::_exit(1) if defined $n ? !$n : !$!{EINTR};
        }

        push @ms, 1000 * (time - $start);
        sleep 0.1;
    }

    syswrite STDOUT, join ' ', map { sprintf '%.2f', $_ } @ms;
    POSIX::_exit(0);
}


# the ms that each scrape took, sorted

sub stop_scraper {
    my ($scraper) = @_;

    kill 'TERM', $scraper->{pid};
    my @ms = sort { $a <=> $b } split ' ', readline($scraper->{out}) // '';
    close $scraper->{out} or die "the scraper failed\n";

    return @ms;
}


# until the second log has a line for every 200 of the first, and both rest;
# when the load ends it hangs up on requests that may have been taken (499)

sub wait_until_received {
    my ($answers, $received) = @_;
    my ($last, $since) = ('', time);

    while (1) {
        my $sent = read_log($answers);
        my $come = read_log($received);
        my $most = $sent->{ok} + $sent->{left};
        my $now = "$sent->{lines} $come->{lines}";

        ($last, $since) = ($now, time) if $now ne $last;

        my $rests = time - $since;

        if ($rests > 0.5 && $sent->{ok} && $come->{lines} >= $sent->{ok}
            && $come->{lines} <= $most)
        {
            return { events => $come->{lines},
                     refused => $sent->{lines} - $most,
                     seconds => $come->{last} - $sent->{first} };
        }

        die "answered 200: $sent->{ok}, hung up: $sent->{left}, ",
            "received: $come->{lines}\n" if $rests > 20;

        sleep 0.1;
    }
}


# how many lines, how many of them of a 200 and a 499, the first and last time

sub read_log {
    my ($file) = @_;
    my ($lines, $ok, $left, $first, $last) = (0, 0, 0, 0, 0);

    open my $fh, '<', $file or return { lines => 0, ok => 0, left => 0 };

    while (my $line = <$fh>) {
        my ($time, $word) = split ' ', $line;

        $lines++;
        $ok++ if $word eq '200';
        $left++ if $word eq '499';
        $first = $time if $lines == 1 || $time < $first;
        $last = $time if $time > $last;
    }

    return { lines => $lines, ok => $ok, left => $left, first => $first,
             last => $last };
}


# the report: the round with the median rate stands for its kind

sub report {
    my ($done) = @_;
    my %median;

    printf "\n%-16s %9s %8s %8s   %-17s  %s\n", '', 'events/s', 'p50 ms',
        'p99 ms', 'Redis commands', 'CPU, us an event';
    printf "%-16s %9s %8s %8s   %-8s %8s  %6s %6s %6s %6s\n", '', '',
        'answer', 'answer', 'sent', 'inside', 'nginx', 'Redis', 'sink', 'load';

    for my $kind (@kinds) {
        my @sorted = sort { $a->{rate} <=> $b->{rate} } @{ $done->{$kind} };
        my $r = $median{$kind} = $sorted[$#sorted / 2];

        printf "%-16s %9.0f %8.2f %8.2f   %-8.2f %8.2f"
            . "  %6.1f %6.1f %6.1f %6.1f\n",
            $title{$kind}, $r->{rate}, $r->{p50}, $r->{p99},
            map({ $_ // 0 } @{ $r->{commands} }{qw(client script)}),
            map({ $_ // 0 } @{ $r->{cpu} }{qw(nginx redis sink load)});
    }

    print "\n";
    ratio($done, qw(gateway bare), 0.35, 0.5);
    ratio($done, qw(gateway peer), 1.2, 2.0);
    ratio($done, qw(peer bare));
    ratio($done, qw(always bare));
    ratio($done, qw(always gateway));
    ratio($done, qw(lanes gateway));
    ratio($done, qw(scraped gateway));
    ratio($done, qw(text gateway));
    ratio($done, qw(scraped text));

    scrapes($done, 'scraped', 'a scrape under this load');
    scrapes($done, 'text', 'a text of the same size');

    return;
}


sub scrapes {
    my ($done, $kind, $title) = @_;
    my @ms = sort { $a <=> $b } map { @{ $_->{scrapes} } }
             @{ $done->{$kind} // [] };

    printf "%-34s p50 %.2f, p99 %.2f ms of %d\n", $title,
        @ms[$#ms * 0.5, $#ms * 0.99], scalar @ms if @ms;

    return;
}


# of each round, because the machine is not the same all the time

sub ratio {
    my ($done, $this, $that, $least, $aim) = @_;
    return if !$done->{$this} || !$done->{$that};

    my @ratios = sort { $a <=> $b }
                 map { $done->{$this}[$_]{rate} / $done->{$that}[$_]{rate} }
                 0 .. $rounds - 1;

    printf "%-34s %.2f  (%.2f .. %.2f)%s\n",
        "$title{$this} / $title{$that}", $ratios[$#ratios / 2], $ratios[0],
        $ratios[-1],
        defined $least ? "  at least $least, aim $aim" : '';

    return;
}

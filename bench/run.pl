#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Measures, on this machine and in one go, rounds of
#
#   bare      nginx's proxy_pass of a webhook to a server that does nothing
#   gateway   this module: until that server has received every event
#   peer      the same work in Lua
#
# with one worker of nginx and Redis with appendfsync everysec.  A round fails
# unless all that was answered 200 was received, nothing else was, and every id
# came once.
#
# environment: NGINX_BINARY, MODULE, ROUNDS, DURATION (seconds of load),
# CONNECTIONS, KINDS (of the above)

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Path qw(make_path remove_tree);
use FindBin;
use IO::Socket::INET;
use IO::Socket::UNIX;
use List::Util qw(sum0);
use POSIX qw(strftime WNOHANG _SC_CLK_TCK sysconf);
use Time::HiRes qw(sleep time);

my $bench = $FindBin::Bin;
my $dir = abs_path("$bench/..") . '/build/bench';
my $body = "$bench/../t/fixtures/webhooks/sale-order-new.seed.form";
my $token = '51856fefc120afa4b628cc82d3935cce';

my $nginx = delete $ENV{NGINX_BINARY} // '/usr/sbin/nginx';
my $module = $ENV{MODULE} // "$bench/../build/ngx_http_bitrix1c_module.so";
my $rounds = $ENV{ROUNDS} // 3;
my $duration = $ENV{DURATION} // 8;
my $connections = $ENV{CONNECTIONS} // 64;
my @kinds = split ' ', $ENV{KINDS} // 'bare gateway peer';

my %title = (bare => 'bare proxy_pass', gateway => 'gateway',
             peer => 'Lua peer');

my $tick = sysconf(_SC_CLK_TCK);
my @pids;

$SIG{INT} = $SIG{TERM} = sub { exit 1 };

main();


END {
    my $status = $?;
    stop($_) for reverse @pids;
    $? = $status;
}


sub main {
    my %done;

    make_path($dir);
    -e $body or die "$body is not there\n";

    machine();

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


sub machine {
    my $cpu = read_file('/proc/cpuinfo') =~ /^model name\s*: (.*)$/m
              ? $1 : 'unknown processor';
    my $cores = () = read_file('/proc/cpuinfo') =~ /^processor\s*:/mg;
    my ($load) = split ' ', read_file('/proc/loadavg');
    my ($version) = `$nginx -v 2>&1` =~ m{(nginx/\S+)};
    my ($redis) = `redis-server --version` =~ /v=(\S+)/;

    print strftime('%Y-%m-%d', localtime), ", $cores cores of $cpu, ",
        "$version, Redis $redis\n",
        "$connections connections, $duration s of load, one worker, ",
        "appendfsync everysec, load average before $load\n\n";

    return;
}


# one run of one kind, with servers of its own

sub measure {
    my ($kind) = @_;
    my $run = "$dir/$kind";

    remove_tree($run);
    make_path("$run/subject/temp", "$run/sink/temp");

    my %at = (MODULE => $module, BENCH => $bench, TOKEN => $token,
              REDIS => "$run/redis.sock");
    @at{qw(PORT SINK)} = free_ports(2);

    my %worker = ($kind eq 'bare' ? () : (redis => start_redis($run, \%at)),
                  sink => start_nginx('sink', "$run/sink", \%at, $at{SINK}));

    my $redis = $kind eq 'bare' ? undef : redis_connect($at{REDIS});

    $worker{nginx} = start_nginx($kind, "$run/subject", \%at, $at{PORT});
    wait_for_clients($redis) if $kind eq 'gateway';
    redis($redis, qw(CONFIG RESETSTAT)) if $redis;

    my %cpu = map { $_ => -cpu($worker{$_}) } keys %worker;
    my $load = load("http://127.0.0.1:$at{PORT}/bitrix/orders");
    my $done = wait_until_received("$run/subject/access.log",
                                   "$run/sink/access.log");
    $cpu{$_} += cpu($worker{$_}) for keys %worker;
    $cpu{load} = $load->{cpu};

    my %commands = $redis ? redis_commands($redis) : ();

    # whatever was started last may still want the others
    stop($_) for reverse @pids;
    @pids = ();

    check($kind, $load, $done, "$run/sink/access.log");

    return {
        events => $done->{events},
        rate => $done->{events} / $done->{seconds},
        p50 => $load->{p50} / 1000,
        p99 => $load->{p99} / 1000,
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


# servers

sub start_redis {
    my ($run, $at) = @_;
    my $conf = read_file("$bench/../redis/redis.conf");

    die "$at->{REDIS} is too long for the path of a Unix socket\n"
        if length $at->{REDIS} > 107;

    $conf =~ s/^dir .*/dir $run/m;
    $conf =~ s/^logfile .*/logfile $run\/redis.log/m;
    $conf =~ s/^pidfile .*/pidfile $run\/redis.pid/m;
    $conf =~ s/^unixsocket .*/unixsocket $at->{REDIS}/m;
    write_file("$run/redis.conf", $conf);

    my $pid = start('redis-server', "$run/redis.conf");
    wait_for("Redis, see $run/redis.log", sub { -S $at->{REDIS} });

    return $pid;
}


# returns the worker, which does the work

sub start_nginx {
    my ($kind, $run, $at, $port) = @_;

    for my $file ('common.conf', 'common-http.conf', "$kind.conf") {
        my $conf = read_file("$bench/$file");
        $conf =~ s/\@(\w+)\@/$1 eq 'DIR' ? $run : $at->{$1}/ge;
        write_file("$run/$file", $conf);
    }

    # root's workers stay root, or they might not reach the folder
    my $user = $> == 0 ? ' user root;' : '';
    my $master = start($nginx, '-p', $run, '-c', "$run/$kind.conf",
                       '-g', "daemon off;$user");
    my $worker;

    wait_for("nginx, see $run/error.log", sub {
        ($worker) = split ' ', read_file("/proc/$master/task/$master/children");
        return $worker && IO::Socket::INET->new("127.0.0.1:$port");
    });

    return $worker;
}


sub start {
    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        @pids = ();
        exec { $_[0] } @_ or POSIX::_exit(1);
    }

    push @pids, $pid;
    return $pid;
}


sub stop {
    my ($pid) = @_;

    kill 'TERM', $pid;

    for (1 .. 100) {
        return if waitpid($pid, WNOHANG) != 0;
        sleep 0.05;
    }

    kill 'KILL', $pid;
    waitpid $pid, 0;

    return;
}


sub wait_for {
    my ($what, $code) = @_;

    for (1 .. 100) {
        return if $code->();
        sleep 0.05;
    }

    die "$what: did not come up\n";
}


sub free_ports {
    my ($n) = @_;
    my @socks = map {
        IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
            or die "listen: $!\n"
    } 1 .. $n;

    return map { $_->sockport } @socks;
}


# seconds of user and system time

sub cpu {
    my ($pid) = @_;
    my ($fields) = read_file("/proc/$pid/stat") =~ /^.*\) (.*)/s;
    my ($utime, $stime) = (split ' ', $fields)[11, 12];

    return ($utime + $stime) / $tick;
}


# Redis

sub redis_connect {
    my ($path) = @_;
    return IO::Socket::UNIX->new(Peer => $path) // die "$path: $!\n";
}


sub redis {
    my ($sock, @args) = @_;

    print {$sock} '*' . @args . "\r\n",
        map { '$' . length($_) . "\r\n$_\r\n" } @args;

    my $line = <$sock> // die "Redis has gone\n";
    return $line if $line !~ /^\$(\d+)/;

    read $sock, my $text, $1 + 2;
    return $text;
}


# the gateway connects by itself, and takes nothing before

sub wait_for_clients {
    my ($sock) = @_;

    wait_for('the connection to Redis', sub {
        my $clients = () = redis($sock, qw(CLIENT LIST)) =~ /^id=/mg;
        return $clients > 1;
    });

    sleep 0.2;
    return;
}


# what clients sent, and what ran inside of scripts; less our own

sub redis_commands {
    my ($sock) = @_;
    my %calls = redis($sock, qw(INFO commandstats))
                =~ /^cmdstat_([^:]+):calls=(\d+)/mg;

    delete @calls{grep { /^(?:config|info|client)/ } keys %calls};

    my @clients = grep { /^(?:eval|evalsha|ping|script|auth|select)/ }
                  keys %calls;
    my $sent = sum0(delete @calls{@clients});

    return (client => $sent, script => sum0(values %calls));
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

    return;
}


# of each round, because the machine is not the same all the time

sub ratio {
    my ($done, $this, $that, $least, $aim) = @_;
    return if !$done->{$this} || !$done->{$that};

    my @ratios = sort { $a <=> $b }
                 map { $done->{$this}[$_]{rate} / $done->{$that}[$_]{rate} }
                 0 .. $rounds - 1;

    printf "%-30s %.2f  (%.2f .. %.2f)%s\n",
        "$title{$this} / $title{$that}", $ratios[$#ratios / 2], $ratios[0],
        $ratios[-1],
        defined $least ? "  at least $least, aim $aim" : '';

    return;
}


sub read_file {
    my ($file) = @_;

    open my $fh, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$fh>;
}


sub write_file {
    my ($file, $text) = @_;

    open my $fh, '>', $file or die "$file: $!\n";
    print {$fh} $text;
    close $fh or die "$file: $!\n";

    return;
}

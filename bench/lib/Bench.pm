package Bench;

# Copyright (C) the ngx_http_bitrix1c_module authors

# What the measurements share: the settings, private servers that end with the
# script, and small tools.
#
# environment: NGINX_BINARY, MODULE, FSYNC (appendfsync of Redis)

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use IO::Socket::UNIX;
use List::Util qw(sum0);
use POSIX qw(strftime WNOHANG _SC_CLK_TCK sysconf);
use Time::HiRes qw(sleep);

our @EXPORT_OK = qw($bench $body configure cpu free_ports machine prepare
                    read_file redis redis_commands redis_connect
                    start_command start_nginx start_redis stop stop_all
                    wait_for wait_for_clients);

our $bench = abs_path(dirname(__FILE__) . '/..');
our $body = "$bench/../t/fixtures/webhooks/sale-order-new.seed.form";

my $dir = abs_path("$bench/..") . '/build/bench';
my $token = '51856fefc120afa4b628cc82d3935cce';

my $nginx = delete $ENV{NGINX_BINARY} // '/usr/sbin/nginx';
my $module = $ENV{MODULE} // "$bench/../build/ngx_http_bitrix1c_module.so";

my $fsync = $ENV{FSYNC} // 'everysec';

my $tick = sysconf(_SC_CLK_TCK);
my @pids;

$SIG{INT} = $SIG{TERM} = sub { exit 1 };
STDOUT->autoflush(1);


END {
    my $status = $?;
    stop_all();
    $? = $status;
}


# two lines of what the numbers depend on

sub machine {
    my $cpu = read_file('/proc/cpuinfo') =~ /^model name\s*: (.*)$/m
              ? $1 : 'unknown processor';
    my $cores = () = read_file('/proc/cpuinfo') =~ /^processor\s*:/mg;
    my ($load) = split ' ', read_file('/proc/loadavg');
    my ($version) = `$nginx -v 2>&1` =~ m{(nginx/\S+)};
    my ($redis) = `redis-server --version` =~ /v=(\S+)/;

    return strftime('%Y-%m-%d', localtime)
           . ", $cores cores of $cpu, $version, Redis $redis\n"
           . "one worker, appendfsync $fsync, load average before $load";
}


# an empty folder for a run, and what its configurations have in their @NAMES@

sub prepare {
    my ($name) = @_;
    my $run = "$dir/$name";

    -e $body or die "$body is not there\n";

    remove_tree($run);
    make_path("$run/subject/temp", "$run/sink/temp");

    my %at = (MODULE => $module, BENCH => $bench, TOKEN => $token,
              REDIS => "$run/redis.sock", QUEUE => '', LANE => '',
              KILOBYTE => 'x' x 1024);
    @at{qw(PORT SINK)} = free_ports(2);

    return ($run, \%at);
}


# servers; the gateway's own redis.conf says "appendfsync always"

sub start_redis {
    my ($run, $at, $sync) = @_;
    my $conf = read_file("$bench/../redis/redis.conf");

    $sync //= $fsync;

    die "$at->{REDIS} is too long for the path of a Unix socket\n"
        if length $at->{REDIS} > 107;

    $conf =~ s/^appendfsync .*/appendfsync $sync/m
        or die "there is no appendfsync in redis.conf\n";
    $conf =~ s/^dir .*/dir $run/m;
    $conf =~ s/^logfile .*/logfile $run\/redis.log/m;
    $conf =~ s/^pidfile .*/pidfile $run\/redis.pid/m;
    $conf =~ s/^unixsocket .*/unixsocket $at->{REDIS}/m;
    write_file("$run/redis.conf", $conf);

    my $pid = start_command('redis-server', "$run/redis.conf");
    wait_for("Redis, see $run/redis.log", sub { -S $at->{REDIS} });

    return $pid;
}


# returns the worker, which does the work

sub start_nginx {
    my ($kind, $run, $at, $port) = @_;

    configure($kind, $run, $at);

    # root's workers stay root, or they might not reach the folder
    my $user = $> == 0 ? ' user root;' : '';
    my $master = start_command($nginx, '-p', $run, '-c', "$run/$kind.conf",
                               '-g', "daemon off;$user");
    my $worker;

    wait_for("nginx, see $run/error.log", sub {
        ($worker) = split ' ', read_file("/proc/$master/task/$master/children");
        return $worker && IO::Socket::INET->new("127.0.0.1:$port");
    });

    return $worker;
}


sub configure {
    my ($kind, $run, $at) = @_;

    for my $file ('common.conf', 'common-http.conf', "$kind.conf") {
        my $conf = read_file("$bench/$file");
        $conf =~ s/\@(\w+)\@/$1 eq 'DIR' ? $run : $at->{$1}/ge;
        write_file("$run/$file", $conf);
    }

    return;
}


sub start_command {
    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        @pids = ();
        open STDOUT, '>', '/dev/null';
        exec { $_[0] } @_ or POSIX::_exit(1);
    }

    push @pids, $pid;
    return $pid;
}


sub stop {
    my ($pid) = @_;

    @pids = grep { $_ != $pid } @pids;
    kill 'TERM', $pid;

    for (1 .. 100) {
        return if waitpid($pid, WNOHANG) != 0;
        sleep 0.05;
    }

    kill 'KILL', $pid;
    waitpid $pid, 0;

    return;
}


# whatever was started last may still want the others

sub stop_all {
    stop($pids[-1]) while @pids;
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
    return $1 if $line =~ /^:(\d+)/;
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


1;

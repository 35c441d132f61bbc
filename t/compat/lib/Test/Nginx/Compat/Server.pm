package Test::Nginx::Compat::Server;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The nginx of one test file: its directory, configuration, start, stop and
# logs.  See Test::Nginx::Socket beside this directory for what it is part of.

use strict;
use warnings;

use Cwd ();
use Fcntl qw(SEEK_SET);
use File::Path qw(make_path remove_tree);
use File::Spec;
use POSIX ();
use Time::HiRes qw(sleep time);

our %Conf = (
    addr               => '127.0.0.1',
    binary             => $ENV{TEST_NGINX_BINARY} || 'nginx',
    env                => [],
    load_modules       => $ENV{TEST_NGINX_LOAD_MODULES} || '',
    log_level          => $ENV{TEST_NGINX_LOG_LEVEL} || 'debug',
    master             => $ENV{TEST_NGINX_MASTER_PROCESS} || 'off',
    port               => $ENV{TEST_NGINX_SERVER_PORT}
                          || $ENV{TEST_NGINX_PORT} || 1984,
    preamble           => '',
    root               => $ENV{TEST_NGINX_SERVROOT}
                          || File::Spec->rel2abs('t/servroot'),
    root_location      => 1,
    server_name        => 'localhost',
    sleep              => $ENV{TEST_NGINX_SLEEP} || 0.015,
    timeout            => $ENV{TEST_NGINX_TIMEOUT} || 3,
    worker_connections => 64,
    workers            => 1,
);

# configurations of test files refer to these two
$ENV{TEST_NGINX_SERVER_ROOT} = $Conf{root};
$ENV{TEST_NGINX_SERVER_PORT} //= $Conf{port};

my %log_pos;


sub path {
    return join '/', $Conf{root}, @_;
}


# $TEST_NGINX_NAME becomes the environment's value; undef stays undef

sub expand {
    my ($text, $where) = @_;

    return $text if !defined $text || ref $text;

    $text =~ s{\$(TEST_NGINX_[_A-Z0-9]+)}{
        $ENV{$1} // die "$where: \$$1 is not in the environment\n"
    }gex;

    return $text;
}


# Only what a former run left is removed, and rmdir refuses anything more, so
# that a mistaken TEST_NGINX_SERVROOT costs nobody his files.

sub make_root {
    my $root = $Conf{root};

    if (-d $root) {
        remove_tree(map({ path($_) } qw(conf html logs cache)),
                    glob("$root/*_temp"), glob("$root/*_cache"));
        rmdir $root
            or die "cannot remove $root: $! (something foreign in it?)\n";
    }

    make_path(map { path($_) } qw(conf html logs));
    write_file(path('html', 'index.html'),
               '<html><head><title>It works!</title></head>'
               . '<body>It works!</body></html>');

    return;
}


sub write_file {
    my ($path, $text) = @_;

    my ($volume, $dir) = File::Spec->splitpath($path);
    make_path($dir) if !-d $dir;

    open my $out, '>:raw', $path or die "cannot write $path: $!\n";
    print {$out} $text;
    close $out or die "cannot write $path: $!\n";

    return;
}


# a string of ">>> name [touch time]" parts or a list of [name, text, time]

sub write_user_files {
    my ($files, $where) = @_;

    return if !defined $files;

    if (!ref $files) {
        my (undef, @parts) = split /^>>> (\S+)(?:[ \t]+(\S+))?[ \t]*\n/m,
                                   $files;
        $files = [];

        while (my ($name, $time, $text) = splice @parts, 0, 3) {
            push @{$files}, [$name, $text, $time];
        }

        @{$files} or die "$where: no \">>> name\" in user_files\n";
    }

    for my $file (@{$files}) {
        my ($name, $text, $time) = @{$file};
        my $path = $name =~ m{^/} ? $name : path('html', $name);

        die "$where: user_files' times are not supported\n" if defined $time;
        write_file($path, expand($text // '', $where));
    }

    return;
}


sub write_config {
    my (%part) = @_;

    my $root = $Conf{root};
    my $modules = join '', map { "load_module $_;\n" }
                           split ' ', $Conf{load_modules};
    my $env = join '', map { "env $_;\n" } @{ $Conf{env} };
    my $temp = join "\n    ", map { "${_}_temp_path $root/${_}_temp;" }
                              qw(client_body proxy fastcgi scgi uwsgi);
    my $user = $> == 0 ? 'user root;' : '';
    my $files = !$Conf{root_location} ? ''
                : "location / { root $root/html; index index.html; }";

    write_file(path('conf', 'nginx.conf'), <<"EOC");
worker_processes $Conf{workers};
daemon on;
master_process $Conf{master};
error_log $root/logs/error.log $part{log_level};
pid $root/logs/nginx.pid;
$user
$env
$modules
$part{main_config}

events {
    accept_mutex off;
    worker_connections $Conf{worker_connections};
}

http {
    access_log $root/logs/access.log;
    $temp
    default_type text/plain;
    keepalive_timeout 68000ms;

$part{http_config}

    server {
        listen $Conf{addr}:$Conf{port};
        server_name '$Conf{server_name}';
        client_max_body_size 30M;

$Conf{preamble}
$part{config}
        $files
    }
}
EOC

    return;
}


# exit status of "nginx -c ...", which is 0 when the daemon runs

sub start {
    my (%opt) = @_;

    my @cmd = ($Conf{binary}, '-e', path('logs', 'error.log'),
               '-p', "$Conf{root}/", '-c', path('conf', 'nginx.conf'));

    %log_pos = ();

    my $pid = fork() // die "fork() failed: $!\n";
    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null' if $opt{quiet};
        no warnings 'exec';
        exec { $cmd[0] } @cmd
            or POSIX::_exit(127);
    }

    waitpid $pid, 0;
    my $status = $?;
    $status >> 8 == 127 and die "cannot execute $Conf{binary}\n";

    wait_pidfile() if $status == 0;

    return $status;
}


# the daemon writes it after the process that was started has exited

sub wait_pidfile {
    my $until = time + $Conf{timeout};

    while (time < $until) {
        return if pid();
        sleep 0.002;
    }

    die "nginx started but wrote no pid file\n";
}


sub pid {
    my $text = slurp(path('logs', 'nginx.pid')) // return;

    return $text =~ /^(\d+)$/m ? $1 : undef;
}


# a zombie that a careless init did not reap is not running

sub running {
    my ($pid) = @_;

    return 0 if !kill 0, $pid;

    my $stat = slurp("/proc/$pid/stat") // return -d '/proc/self' ? 0 : 1;

    return $stat !~ /\)\s+Z\s/;
}


# returns what went wrong, nothing if nginx left on SIGQUIT in time

sub stop {
    my $pid = pid() // return;

    kill 'QUIT', $pid;
    return if wait_gone($pid, $Conf{timeout});

    kill 'TERM', $pid;
    return "nginx did not leave on SIGQUIT in $Conf{timeout} s"
        if wait_gone($pid, 1);

    kill 'KILL', -$pid, $pid;
    wait_gone($pid, 1);

    return 'nginx left neither on SIGQUIT nor on SIGTERM';
}


sub wait_gone {
    my ($pid, $timeout) = @_;

    my $until = time + $timeout;

    while (running($pid)) {
        return 0 if time > $until;
        sleep 0.005;
    }

    return 1;
}


sub slurp {
    my ($path) = @_;

    open my $in, '<:raw', $path or return;
    local $/;

    return scalar readline $in;
}


sub all_lines {
    my ($log) = @_;

    $log_pos{$log} = 0;
    return new_lines($log);
}


# Lines that came since the last call for the same log.  The pause is for what
# nginx writes after it has closed the connection.

sub new_lines {
    my ($log, %opt) = @_;

    sleep $Conf{sleep} * 3 if !$opt{at_once};

    open my $in, '<:raw', path('logs', $log) or return [];
    seek $in, $log_pos{$log} // 0, SEEK_SET;
    my @lines = readline $in;
    $log_pos{$log} = tell $in;

    return \@lines;
}


1;

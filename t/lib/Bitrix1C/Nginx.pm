package Bitrix1C::Nginx;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The nginx of a scenario test: its configuration, its processes and the means
# to harm them.  Part of Bitrix1C::Gateway, where the parameters are told.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

use Bitrix1C::Binary qw(listen_http2 nginx_binary nginx_has);
use Bitrix1C::Http qw(http_request);
use Bitrix1C::Port qw(free_port);
use Bitrix1C::Process qw(wait_until);

use parent -norequire, 'Bitrix1C::Process';

use constant TOKEN => '51856fefc120afa4b628cc82d3935cce';

our $TOP = abs_path(dirname(__FILE__) . '/../../..');


sub new {
    my ($class, %opt) = @_;
    my $self = $class->SUPER::new(workers => 1, %opt, killed => {});

    my $module = "$TOP/build/ngx_http_bitrix1c_module.so";
    $self->{binary} = nginx_binary();
    $self->{modules} = [split ' ', $ENV{TEST_NGINX_LOAD_MODULES} // $module];

    return $self;
}


sub configuration {
    my ($self) = @_;
    my ($dir, $location) = ($self->{dir}, $self->{location} // '');
    my $root = $> == 0 ? 'user nobody nogroup;' : '';
    my $modules = join '', map { "load_module $_;\n" } @{ $self->{modules} };
    my $temp = join '', map { "    ${_}_temp_path $dir/$_;\n" }
               qw(client_body proxy fastcgi uwsgi scgi);
    my $upstream = $self->{upstream} // 'server ONEC; keepalive 16;';
    $upstream =~ s/ONEC/$self->{onec}/g;

    my $defaults = '';
    my @defaults = (proxy_http_version => '1.1', proxy_read_timeout => '60s',
                    'proxy_set_header Connection' => '""');

    while (my ($name, $value) = splice @defaults, 0, 2) {
        $defaults .= "            $name $value;\n"
            if $location !~ /\b\Q$name\E\b/;
    }

    my %part = map { $_ => $self->{$_} // '' }
               qw(main events http server queue redis);
    my $store = $self->{store} // "redis unix:$self->{socket}";
    my $login = $self->redis_login;

    my $status = nginx_has('http_stub_status')
                 ? 'location = /stub_status { stub_status; }' : '';

    # most tests are about single events, and fail them one after the other
    $part{queue} .= ' breaker off;' if $part{queue} !~ /\bbreaker\b/;

    return <<"EOT";
daemon off;
$root
worker_processes $self->{workers};
pid $dir/nginx.pid;
error_log $dir/error.log info;
$modules
$part{main}

events {
    worker_connections 1024;
    $part{events}
}

http {
    access_log $dir/access.log;
$temp
    bitrix1c_queue orders {
        $store $part{redis} $login;
        $part{queue}
    }

    $part{http}

    upstream onec {
        $upstream
    }

    server {
        listen 127.0.0.1:$self->{port};
        @{[ listen_http2("127.0.0.1:$self->{h2_port}") ]}
        $part{server}

        location = /bitrix/orders {
            bitrix1c_webhook orders;
            bitrix1c_token @{[ TOKEN ]};
            proxy_pass http://onec/CompanyName/hs/exchange/;
$defaults
            $location
        }

        $status
    }
}
EOT
}


sub write_configuration {
    my ($self) = @_;

    open my $fh, '>', "$self->{dir}/nginx.conf" or die "nginx.conf: $!";
    print {$fh} $self->configuration;
    close $fh or die "nginx.conf: $!";

    return;
}


# another process may take the port before nginx binds it, hence the tries

sub start_nginx {
    my ($self) = @_;

    for my $try (1 .. 3) {
        @$self{qw(port h2_port)} = (free_port(), free_port());
        $self->write_configuration;

        return if $self->spawn_nginx;

        last if $self->slurp('error.log') !~ /Address already in use/;
        unlink "$self->{dir}/error.log";
    }

    die "nginx does not start:\n" . $self->slurp('error.log')
        . $self->slurp('nginx.out');
}


# true when all workers run; keeps the configuration and the ports

sub spawn_nginx {
    my ($self) = @_;

    $self->{nginx_pid} = $self->spawn('nginx', @{ $self->{nginx_run} // [] },
        $self->{binary},
        '-p', $self->{dir}, '-e', "$self->{dir}/error.log",
        '-c', "$self->{dir}/nginx.conf");

    my $state = wait_until(20, sub {
        return 'up' if $self->workers == $self->{workers};
        return defined $self->reap($self->{nginx_pid}, 0) ? 'dead' : '';
    });

    return $state eq 'up';
}


# pids of all children of the master, by their title

sub children {
    my ($self, $title) = @_;
    my @pids;

    opendir my $proc, '/proc' or die "/proc: $!";

    for my $pid (grep { /^\d+$/ } readdir $proc) {
        open my $fh, '<', "/proc/$pid/stat" or next;
        my $stat = <$fh> // '';
        my ($state, $parent) = $stat =~ /^\d+ \(.*\) (\S) (\d+)/ or next;
        next if $state eq 'Z' || $parent != $self->{nginx_pid};

        open $fh, '<', "/proc/$pid/cmdline" or next;
        local $/;
        push @pids, $pid if (<$fh> // '') =~ $title;
    }

    return @pids;
}


# A title begins with "nginx: " or the name of a derivative of nginx, which may
# put more behind it.

sub workers {
    my ($self) = @_;
    return $self->children(qr/^\w+: worker process(?!.*shutting down)/);
}


# workers, and those that are shutting down

sub all_workers {
    my ($self) = @_;
    return $self->children(qr/^\w+: worker process/);
}


# kills a random worker with SIGKILL; returns its pid

sub kill_worker {
    my ($self, $pid) = @_;
    my @workers = $self->workers;

    $pid //= $workers[rand @workers] or return;
    $self->{killed}{$pid} = 1;
    kill 'KILL', $pid;

    return $pid;
}


# true when the new workers run and the old ones have exited

sub reload {
    my ($self, $seconds) = @_;
    my %old = map { $_ => 1 } $self->workers;

    $self->write_configuration;
    kill 'HUP', $self->{nginx_pid};

    return wait_until($seconds // 20, sub {
        my @now = $self->all_workers;
        return @now == $self->{workers} && !grep { $old{$_} } @now;
    });
}


# QUIT or TERM; returns the exit status of the master, undef if it does not exit

sub stop_nginx {
    my ($self, $signal, $seconds) = @_;
    my $pid = $self->{nginx_pid} or return 0;

    kill $signal // 'QUIT', $pid;
    my $status = $self->reap($pid, $seconds // 20);
    delete $self->{nginx_pid} if defined $status;

    return $status;
}


# What nginx counts itself.  An nginx without stub_status counts nothing, and
# what the kernel knows takes its place: a connection that a worker has open
# counts as one that nginx reads from, and the request that asks counts as well.

sub stub_status {
    my ($self) = @_;

    if (!nginx_has('http_stub_status')) {
        my $open = $self->connections;
        return { 'Active connections' => $open + 1, Reading => $open,
                 Writing => 1, Waiting => 0 };
    }

    my $body = http_request(port => $self->{port}, path => '/stub_status')
               ->{body} // '';

    return { $body =~ /(Active connections|Reading|Writing|Waiting): (\d+)/g };
}


# how many connections of clients the workers have open

sub connections {
    my ($self) = @_;
    my $ports = sprintf '%04X|%04X', @$self{qw(port h2_port)};

    open my $tcp, '<', '/proc/net/tcp' or die "/proc/net/tcp: $!";
    my %inodes = map { $_ => 1 } map {
        my ($local, $inode) = (split)[1, 9];
        $local =~ /:(?:$ports)$/ && !/ 0A / ? "socket:[$inode]" : ();
    } <$tcp>;

    return scalar grep { $inodes{readlink // ''} }
                  map { glob "/proc/$_/fd/*" } $self->all_workers;
}

1;

package Bitrix1C::Torture::Stage;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The servers of a row: a gateway whose nginx can be killed as a whole and
# restarted, whose Redis may have a network of its own and a replica, and whose
# spool may have a small disk of its own.  It accepts events of a portal and
# stores calls to it, each in a queue of its own.
#
# Parameters beside those of Bitrix1C::Gateway
#   spool     true: a spool; "small": on a tmpfs of SPOOL_DISK
#   network   true: Redis in a network namespace, reached by TCP
#   replica   true: two Redis, an accept waits for the second one

use strict;
use warnings;

use POSIX qw(strftime);
use Test::More ();
use Time::HiRes qw(sleep time);

use Bitrix1C::Port qw(free_port);
use Bitrix1C::Gateway ();
use Bitrix1C::Process qw(wait_until);
use Bitrix1C::Torture::Calls qw(call_number CALLS_CONF);
use Bitrix1C::Torture::Load qw(number_of);

use parent 'Bitrix1C::Caller';

# With "everysec" Redis delays writes while the disk is busy with the previous
# sync, and loses them on kill -9.

use constant DURABLE => ('--appendfsync', 'always');

use constant { SPOOL_DISK => '8m', SPOOL_HEADER => 32,
               SPOOL_FRAME => 12, REDIS_PORT => 6379 };

# The limits of the stand-in portal run faster: a day takes minutes, and a
# method that used up its time is available again after a second.

use constant SCALE => 600;


sub new {
    my ($class, %opt) = @_;
    my $queue = delete $opt{queue} // '';

    my $self = $class->SUPER::new(
        workers    => 2,
        events     => 'accept_mutex off;',
        redis      => 'timeout=1s connect_timeout=500ms',
        location   => 'bitrix1c_key $bitrix1c_data_fields_n;'
                      . ' bitrix1c_token_arg token;'
                      . ' proxy_read_timeout 1s; proxy_connect_timeout 1s;',
        onec_args  => ['--keep', 100],
        redis_args => [DURABLE],
        portal     => ['--scale', SCALE, '--keep', 100],
        rest_queue => 'portal',
        methods    => 'crm.deal.* sale.order.* catalog.storeproduct.*',
        rest       => CALLS_CONF . ' proxy_read_timeout 1s;'
                      . ' proxy_connect_timeout 1s; bitrix1c_pace'
                      . ' rate=1000/s burst=1000 overload=500ms;',
        %opt,
    );

    my $both = 'retry ' . '100ms ' x 90 . ';'
        . ' breaker failures=10 pause=200ms;' . $queue;
    $self->{queue} = "concurrency 16; delivery_timeout 2s; $both";
    $self->{master} = $self;
    $self->open_network if $self->{network};
    $self->open_replica if $self->{replica};
    $self->open_spool if $self->{spool};

    $self->{http} = ($self->{http} // '') . 'bitrix1c_queue portal { '
        . ($self->{store} // "redis unix:$self->{socket}")
        . " $self->{redis} " . $self->redis_login . ';'
        . " concurrency 4; $both" . ($self->{spool_conf} // '') . ' }';

    return $self;
}


# checks what the faults need from this machine: an empty text, or what is
# missing

sub missing {
    my (%opt) = @_;
    my $net = "b1ct$$";

    return 'no root, so no network namespace or mount'
        if $> && ($opt{network} || ($opt{spool} // '') eq 'small');

    if ($opt{network}) {
        return 'no network namespaces here'
            if run_quietly('ip', 'netns', 'add', $net);
        run_quietly('ip', 'netns', 'del', $net);
    }

    return 'no tmpfs can be mounted'
        if ($opt{spool} // '') eq 'small'
           && run_quietly('unshare', '-m', 'mount', '-t', 'tmpfs', 'none',
                          '/mnt');

    return '';
}


sub run_quietly {
    my (@command) = @_;

    defined(my $pid = fork) or die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    waitpid $pid, 0;
    return $?;
}


sub run {
    my (@command) = @_;
    system(@command) == 0 or die "@command: failed\n";
    return;
}


# 198.18.0.0/15 is reserved for tests; the number separates runs

sub open_network {
    my ($self) = @_;
    my $name = "b1ct$$";
    my $net = sprintf '198.18.%d.%d', $$ >> 6 & 255, ($$ & 63) << 2;
    my ($near, $far) = map { $net =~ s/(\d+)$/$1 + $_/er } 1, 2;

    @$self{qw(netns host)} = ($name, $far);
    run(qw(ip netns add), $name);
    run(qw(ip link add), "${name}a", qw(type veth peer name), "${name}b",
        'netns', $name);
    run(qw(ip addr add), "$near/30", 'dev', "${name}a");
    run(qw(ip link set), "${name}a", 'up');
    run(qw(ip -n), $name, qw(addr add), "$far/30", 'dev', "${name}b");
    run(qw(ip -n), $name, qw(link set lo up));
    $self->link_up(1);

    $self->{redis_run} = [qw(ip netns exec), $name];
    $self->{store} = "redis $far:" . REDIS_PORT;
    $self->{redis_args} = [$self->tcp_arguments(REDIS_PORT), DURABLE];

    return;
}


# only the far end goes down: the near end does not notice

sub link_up {
    my ($self, $up) = @_;
    run(qw(ip -n), $self->{netns}, qw(link set), "$self->{netns}b",
        $up ? 'up' : 'down');
    return;
}


# bits a second, 0 for no limit

sub link_rate {
    my ($self, $rate) = @_;
    my @dev = ('dev', "$self->{netns}a", 'root');

    run(qw(tc qdisc), $rate ? ('replace', @dev, qw(tbf burst 2k latency 20ms
        rate), "${rate}bit") : ('del', @dev));
    return;
}


sub tcp_arguments {
    my ($self, $port) = @_;
    return ('--port', $port, '--bind', $self->{host} // '127.0.0.1',
            '--protected-mode', 'no');
}


sub open_replica {
    my ($self) = @_;
    my @ports = $self->{network} ? (REDIS_PORT, REDIS_PORT + 1)
                                 : (free_port(), free_port());
    my $host = $self->{host} // '127.0.0.1';
    my $other = Bitrix1C::Gateway->new(redis_run => $self->{redis_run});

    # a promoted replica must not read its old data from the disk
    my @args = (DURABLE, '--repl-diskless-sync-delay', 0);
    $self->{redis_args} = [$self->tcp_arguments($ports[0]), @args];
    $other->{redis_args} = [$self->tcp_arguments($ports[1]), @args];

    @$self{qw(replica_node redis_port)} = ($other, $ports[0]);
    $other->{redis_port} = $ports[1];
    $self->{store} = join ' ', 'redis', map { "$host:$_" } @ports;
    $self->{redis} .= ' wait=1';

    return;
}


sub open_spool {
    my ($self) = @_;
    my $dir = $self->{spool_dir} = "$self->{dir}/spool";

    if ($self->{spool} eq 'small') {
        mkdir $dir or die "$dir: $!";
        run(qw(mount -t tmpfs -o), 'size=' . SPOOL_DISK, 'none', $dir);
        $self->{mounted} = $dir;
    }

    $self->{spool_conf} = " spool $dir;";
    $self->{queue} .= $self->{spool_conf};

    return;
}


# Redis

sub start_redis {
    my ($self) = @_;
    my $replica = $self->{replica_node};

    $self->SUPER::start_redis;

    if ($replica && !$replica->{redis_pid}) {
        $replica->start_redis;
        $self->follow($replica, $self);
    }

    return;
}


# the test's own commands go to the current master

sub redis {
    my ($self, @command) = @_;
    my $master = $self->{master};

    return $master == $self ? $self->SUPER::redis(@command)
                            : $master->redis(@command);
}


sub redis_answers {
    my ($self) = @_;
    return eval { $self->SUPER::redis('PING') eq 'PONG' };
}


# one of the two nodes, whichever is not the master

sub follower {
    my ($self) = @_;
    return $self->{master} == $self ? $self->{replica_node} : $self;
}


sub node_redis {
    my ($self, $node, @command) = @_;
    return $node == $self ? $self->SUPER::redis(@command)
                          : $node->redis(@command);
}


# until the master counts the replica, which begins at its first
# acknowledgement, some time after the link is up

sub follow {
    my ($self, $node, $master) = @_;
    my $host = $self->{host} // '127.0.0.1';

    $self->node_redis($node, 'REPLICAOF', $host, $master->{redis_port});
    wait_until(20, sub {
        my $info = $self->node_redis($node, 'INFO', 'replication');
        return $info =~ /^master_link_status:up/m
               && $self->node_redis($master, 'WAIT', 1, 1000);
    }) or die "the replica does not follow\n";

    return;
}


# as the user whose rights nginx has

sub as_the_gateway {
    my ($self, @command) = @_;
    my $node = Bitrix1C::Redis->new(socket => $self->{master}{socket},
        auth => ['b1c', Bitrix1C::Gateway::PASSWORD]);

    return $node->cmd(@command);
}


# nginx

sub start_nginx {
    my ($self) = @_;

    @$self{qw(port h2_port)} = (free_port(), free_port());
    $self->write_configuration;
    $self->again;

    return;
}


sub again {
    my ($self) = @_;
    $self->spawn_nginx
        or die "nginx does not start:\n" . substr $self->slurp('error.log'),
                                                  -2000;
    return;
}


# Kills the master with SIGKILL; its workers keep running and keep the ports.
# Returns them.

sub kill_master {
    my ($self) = @_;
    my @orphans = $self->all_workers;
    my $pid = delete $self->{nginx_pid};

    $self->{orphans} = \@orphans;
    kill 'KILL', $pid;
    $self->reap($pid, 5);

    return @orphans;
}


sub end_orphans {
    my ($self, $signal) = @_;
    my @orphans = @{ delete $self->{orphans} // [] };

    kill $signal, @orphans;
    wait_until(15, sub { !grep { alive($_) } @orphans })
        or die "the workers of a dead master do not leave\n";

    return;
}


# Another process may reap it late, and one of its threads may close its sockets
# last.

sub alive {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/stat" or return 0;
    my $gone = (<$fh> // '') !~ /^\d+ \(.*\) [^ZX]/;

    return !$gone || (() = glob "/proc/$pid/task/*") > 1;
}


sub kill_all_nginx {
    my ($self) = @_;
    $self->kill_master;
    $self->end_orphans('KILL');
    return;
}


# an instrumented nginx delays the reuse of freed memory

sub sanitized {
    my ($self) = @_;
    my ($pid) = $self->workers;

    return 1 if $ENV{ASAN_OPTIONS};
    open my $maps, '<', "/proc/$pid/maps" or die "/proc/$pid/maps: $!";
    return scalar grep { /libasan|libclang_rt/ } <$maps>;
}


# the spool

sub spool_files {
    my ($self) = @_;
    my $dir = $self->{spool_dir} // return;
    return sort glob "$dir/*.spool";
}


sub fill_disk {
    my ($self) = @_;

    # only the small disk that is made for it
    $self->{mounted} or die "the spool has no disk of its own\n";

    open my $fh, '>', "$self->{spool_dir}/filler" or die "filler: $!";
    1 while syswrite $fh, "\0" x 4096;
    return;
}


sub free_disk {
    my ($self) = @_;
    unlink "$self->{spool_dir}/filler";
    return;
}


# Writes half a record behind the last one, as an interrupted write leaves it: a
# frame of 12 bytes, with the length in the second four, then the payload.

sub tear {
    my ($self) = @_;
    my ($file) = reverse $self->spool_files or return;
    my $record = substr $self->slurp($file =~ s{^\Q$self->{dir}/}{}r),
                        SPOOL_HEADER;

    return if length $record <= SPOOL_FRAME;
    my $length = unpack 'x4 V', $record;

    open my $fh, '>>', $file or die "$file: $!";
    print {$fh} substr $record, 0, SPOOL_FRAME + int rand $length;
    close $fh or die "$file: $!";
    $self->{torn}++;

    return;
}


# all accepted events and calls are settled

sub settled {
    my ($self, $seconds) = @_;

    return wait_until($seconds, sub {
        return if grep { -s } $self->spool_files;
        return eval { $self->depth == 0 && $self->calls_depth == 0 };
    }, 0.1);
}


sub calls_depth {
    my ($self) = @_;
    return $self->redis('ZCARD', '{b1c:portal}:q');
}


# { "lane kind number" => 1 }

sub dead_numbers {
    my ($self) = @_;
    my %dead;

    for my $id (@{ $self->dead_letters }) {
        my @event = number_of($self->redis('HGET', '{b1c:orders}:h', $id)
                              // '');
        $dead{"@event"} = 1 if @event;
    }

    return \%dead;
}


# the same of calls, with the reason

sub dead_calls {
    my ($self) = @_;
    my %dead;

    for my $id (@{ $self->redis('ZRANGE', '{b1c:portal}:d', 0, -1) }) {
        my ($record, $reason) = @{ $self->redis('HMGET', '{b1c:portal}:h',
                                                $id, "$id:r") };
        my @call = call_number($record // '');
        $dead{"@call"} = $reason // '' if @call;
    }

    return \%dead;
}


# the states of these calls at the gateway: { id => state }, "unknown" if it has
# forgotten a call

sub told_of {
    my ($self, @ids) = @_;
    my %told;

    for my $id (@ids) {
        my $r;
        wait_until(15, sub {
            $r = $self->rest_call("bitrix1c/calls/$id");
            return $r->{status} == 200 || $r->{status} == 404;
        }, 0.1);
        $told{$id} = $r->{status} == 404 ? 'unknown'
                     : $r->{json}{result}{state} // "$r->{status} $r->{code}";
    }

    return \%told;
}


# marks in error.log when a fault begins

sub write_down {
    my ($self, $what) = @_;
    open my $fh, '>>', "$self->{dir}/faults" or die "faults: $!";
    printf {$fh} "%s.%03d %s\n", strftime('%Y/%m/%d %H:%M:%S', localtime),
        1000 * (time - int time), $what;
    return;
}


# texts about what a row must not leave behind

sub faults_found {
    my ($self) = @_;
    my @found;
    my $stats = eval { $self->onec_stats } // { violations => {} };

    push @found, map { "1C could not take: $_" }
                 sort keys %{ $stats->{violations} };
    push @found, $self->complaints;
    push @found, map { "the token stands in $_" } $self->leaks;

    return @found;
}


sub stop_all {
    my ($self) = @_;

    for my $node (grep { defined } delete $self->{replica_node}) {
        kill 'CONT', $node->{redis_pid} if $node->{redis_pid};
        $node->stop_all;
    }

    $self->end_orphans('KILL') if $self->{orphans};
    $self->stop_nginx('QUIT', 30);
    run_quietly(qw(umount -l), delete $self->{mounted}) if $self->{mounted};
    run_quietly(qw(ip netns del), delete $self->{netns}) if $self->{netns};

    return $self->SUPER::stop_all;
}


# a row removes all its traces from the system, however it ends

sub DESTROY {
    my ($self) = @_;
    local $?;

    run_quietly(qw(umount -l), $self->{mounted}) if $self->{mounted};
    run_quietly(qw(ip netns del), $self->{netns}) if $self->{netns};

    return;
}

1;

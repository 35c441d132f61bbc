package Bitrix1C::Torture::Stage;

# Copyright (C) the ngx_http_bitrix1c_module authors

# What a fault plays on: a gateway whose nginx can die as a whole and come
# back, whose Redis may sit behind a network of its own, with a replica, and
# whose spool may have a small disk of its own.  It takes events of a portal and
# keeps calls to it, each in a queue of its own.
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

# With "everysec" Redis holds writes back while the disk is still busy with the
# sync before, and loses them with kill -9.

use constant DURABLE => ('--appendfsync', 'always');

use constant { SPOOL_DISK => '8m', SPOOL_HEADER => 32,
               SPOOL_FRAME => 12, REDIS_PORT => 6379 };

# A day of the stand-in portal's limits is over in some minutes; a method that
# has used up its time comes back in a second.

use constant SCALE => 600;


sub new {
    my ($class, %opt) = @_;
    my $queue = delete $opt{queue} // '';

    my $self = $class->SUPER::new(
        workers    => 2,
        events     => 'accept_mutex off;',
        redis      => 'timeout=1s connect_timeout=500ms',
        location   => 'bitrix1c_key $bitrix1c_data_fields_n;'
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
    $self->{queue} = "concurrency 16; $both";
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


# what the faults need of this machine: an empty text, or what is missing

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


# 198.18.0.0/15 is for such things; the number keeps runs apart

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


# the far end alone goes down: nobody near is told anything

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

    # a replica that was promoted must not find its old self on the disk
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


# the test's own questions go to the master of the moment

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


# until the master counts it: it does so from the first acknowledgement on, and
# that may come some time after the link is up

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


# The master dies without a last word; its workers stay, and keep the ports.
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


# Somebody else may be late to reap it, and a thread of it may be the last to
# close its sockets.

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


# an instrumented nginx keeps freed memory back, to find its use

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

    # no disk but the small one that is there for it
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


# Behind the last record stands half of one, as a write that was broken off
# leaves it: a frame of 12 bytes, with the length in the second four, then the
# payload.

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


# all that was taken has been settled

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


# what the gateway tells of these calls: { id => state }, "unknown" of those
# that it has forgotten

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


# for whoever reads error.log later: which fault began when

sub write_down {
    my ($self, $what) = @_;
    open my $fh, '>>', "$self->{dir}/faults" or die "faults: $!";
    printf {$fh} "%s.%03d %s\n", strftime('%Y/%m/%d %H:%M:%S', localtime),
        1000 * (time - int time), $what;
    return;
}


# what no row may leave behind: texts

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


# however a row ends, nothing of it stays in the system

sub DESTROY {
    my ($self) = @_;
    local $?;

    run_quietly(qw(umount -l), $self->{mounted}) if $self->{mounted};
    run_quietly(qw(ip netns del), $self->{netns}) if $self->{netns};

    return;
}

1;

package Bitrix1C::Nodes;

# Copyright (C) the ngx_http_bitrix1c_module authors

# Further Redis servers of a scenario test: replicas, Sentinels, nodes of a
# Cluster.  Each listens on a port of 127.0.0.1, for nginx, and on a socket of
# its own, for the test, and has the configuration and the users of redis/.

use strict;
use warnings;

use Exporter qw(import);
use Test::More ();

use Bitrix1C::Port qw(free_port);
use Bitrix1C::Process qw(wait_until);
use Bitrix1C::Redis ();

our @EXPORT_OK = qw(start_node start_sentinel takes_and_delivers);


# the gateway, a name for its files, arguments of redis-server

sub start_node {
    my ($gw, $name, @args) = @_;
    my $dir = "$gw->{dir}/$name";

    mkdir $dir;

    return bless({ gw => $gw, name => $name, dir => $dir,
                   socket => "$dir/redis.sock", port => free_port(),
                   args => \@args }, __PACKAGE__)->start;
}


sub start {
    my ($self) = @_;

    $self->{pid} = $self->{gw}->spawn_redis($self->{name},
        '--port', $self->{port}, '--bind', '127.0.0.1',
        '--unixsocket', $self->{socket}, '--unixsocketperm', 777,
        '--dir', $self->{dir}, '--repl-diskless-sync-delay', 0,
        @{ $self->{args} });

    return $self->wait_for;
}


sub wait_for {
    my ($self) = @_;

    wait_until(10, sub { eval { $self->cmd('PING') eq 'PONG' } })
        or die "$self->{name} does not start:\n"
               . $self->{gw}->slurp("$self->{name}.out");

    return $self;
}


# a Sentinel of the master node; the others find each other through it

sub start_sentinel {
    my ($gw, $name, $master, $quorum, @lines) = @_;
    my $dir = "$gw->{dir}/$name";
    my $self = bless { gw => $gw, name => $name, dir => $dir,
                       socket => "$dir/redis.sock", port => free_port() },
               __PACKAGE__;

    mkdir $dir;
    open my $fh, '>', "$dir/sentinel.conf" or die "sentinel.conf: $!";
    print {$fh} map { "$_\n" } (
        "port $self->{port}", 'bind 127.0.0.1', "dir $dir",
        "unixsocket $self->{socket}",
        "sentinel monitor orders 127.0.0.1 $master->{port} $quorum",
        'sentinel down-after-milliseconds orders 500',
        'sentinel failover-timeout orders 3000', @lines);
    close $fh or die "sentinel.conf: $!";

    $self->{pid} = $gw->spawn($name, 'redis-server', "$dir/sentinel.conf",
                              '--sentinel');

    return $self->wait_for;
}


# Waits until every worker accepts events, and 1C has those that were answered
# 200.  Events that were not answered may wait until their leases end; the test
# does not wait for them.

my $serial = 500_000;

sub takes_and_delivers {
    my ($gw, $what, $seconds) = @_;
    my @ids;

    Test::More::ok(wait_until($seconds // 20, sub {
        @ids = map { $_->{id} } grep { $_->{status} == 200 }
               map { $gw->post(id => ++$serial) } 1 .. 8;
        return @ids == 8;
    }, 0.1), "$what: events are taken");

    Test::More::ok(wait_until(10, sub {
        my $came = $gw->onec_ids;
        return !grep { !$came->{$_} } @ids;
    }, 0.1), "$what: and delivered");

    return;
}


sub cmd {
    my ($self, @command) = @_;

    $self->{conn} //= Bitrix1C::Redis->new(socket => $self->{socket},
                                           auth => $self->{auth});

    my $reply = eval { $self->{conn}->cmd(@command) };

    if ($@) {
        delete $self->{conn};
        die $@;
    }

    return $reply;
}


sub address {
    my ($self) = @_;
    return "127.0.0.1:$self->{port}";
}


# this node becomes a replica of another, or a master

sub replica_of {
    my ($self, $master) = @_;

    $self->cmd('REPLICAOF', $master ? ('127.0.0.1', $master->{port})
                                    : ('NO', 'ONE'));
    return 1 if !$master;

    # the master counts the replica after its first acknowledgement

    return wait_until(20, sub {
        $master->cmd(@$_) for ['SET', 'probe', 1], ['DEL', 'probe'];
        return $master->cmd('WAIT', 1, 100) >= 1
               && $self->cmd('INFO', 'replication')
                  =~ /^master_link_status:up/m;
    });
}


sub stop {
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} or return;

    delete $self->{conn};
    kill 'CONT', $pid;
    kill $signal // 'KILL', $pid;
    defined $self->{gw}->reap($pid, 10) or die "$self->{name} does not stop\n";

    return;
}


# waits until the gateway polls this node

sub be_seen {
    my ($self) = @_;
    delete $self->{gw}{redis_conn};
    $self->{gw}{socket} = $self->{socket};
    return;
}

1;

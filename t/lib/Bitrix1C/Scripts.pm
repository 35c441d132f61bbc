package Bitrix1C::Scripts;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The scripts in redis/ as Perl calls, on a private Redis: arguments as the
# heads of the scripts have them, events and jobs as hashes.
#
# BITRIX1C_TEST_SCRIPTS  another folder of scripts

use strict;
use warnings;

use File::Path qw(remove_tree);
use FindBin ();

use Bitrix1C::Process qw(wait_until);
use Bitrix1C::Redis ();

use constant WINDOW => 86_400_000;

my ($Q, $H, $F, $D) = map { "{m}:$_" } qw(q h f d);


# clock => 1: the scripts use the time that set_clock() sets

sub new {
    my ($class, %opt) = @_;
    my $self = bless { %opt, process => Bitrix1C::Process->new }, $class;
    my $dir = $self->{process}{dir};
    my $socket = "$dir/redis.sock";

    $self->{process}->spawn('redis', 'redis-server', '--port', 0,
                            '--unixsocket', $socket, '--dir', $dir,
                            '--appendonly', 'no', '--save', '');
    wait_until(10, sub {
        $self->{redis} = eval { Bitrix1C::Redis->new(socket => $socket) };
    }) or die "redis-server does not start:\n"
              . $self->{process}->slurp('redis.out');

    $self->load($_) for qw(accept ack claim dead delete expire extend hold
                             nack replay);

    return $self;
}


# the text of a file in redis/, with what it includes, as redis/embed.sh does

sub text {
    my ($file) = @_;
    my $dir = $ENV{BITRIX1C_TEST_SCRIPTS} || "$FindBin::Bin/../redis";

    open my $fh, '<', "$dir/$file" or die "$dir/$file: $!\n";
    my $text = do { local $/; <$fh> };
    close $fh;

    return $text =~ s/^-- \@include (\S+)$/text($1)/gemr;
}


sub load {
    my ($self, $name) = @_;
    my $text = text("$name.lua");

    if ($self->{clock} && $name ne 'delete') {
        $text =~ s/redis\.call\('TIME'\)/redis.call('MGET', '{m}:s', '{m}:us')/g
            or die "$name.lua does not ask for the time\n";
    }

    $self->{sha1}{$name} = $self->cmd('SCRIPT', 'LOAD', $text);

    return;
}


# Redis may still run, but has no files there

sub finish {
    my ($self) = @_;
    remove_tree($self->{process}{dir});
    return;
}


sub cmd {
    my ($self, @args) = @_;
    return $self->{redis}->cmd(@args);
}


sub eval {
    my ($self, $name, $keys, @args) = @_;
    return $self->cmd('EVALSHA', $self->{sha1}{$name}, scalar @$keys, @$keys,
                      @args);
}


sub set_clock {
    my ($self, $ms, $us) = @_;
    $self->cmd('MSET', '{m}:s', int($ms / 1000),
               '{m}:us', $ms % 1000 * 1000 + $us);
    return;
}


sub accept {
    my ($self, $lease, @events) = @_;
    return $self->eval('accept',
        [$Q, $H, $F, map { "{m}:k:$_->{key}" } @events],
        $lease,
        (map { ("k:$_->{key}", "l:$_->{lane}", "$_->{id}:m") } @events),
        (map { (@$_{qw(id once lease since)},
                "$_->{once} $_->{key} $_->{lane}", $_->{record}) } @events));
}


sub claim {
    my ($self, $max, $lease, @paused) = @_;
    return $self->eval('claim', [$Q, $H, $D], $max, $lease,
                       map { @$_{qw(name pick wait)} } @paused);
}


sub ack {
    my ($self, @jobs) = @_;
    return $self->eval('ack', [$Q, $H, $F, map { "{m}:k:$_->{key}" } @jobs],
        WINDOW,
        (map { ("$_->{id}:m", "k:$_->{key}", "l:$_->{lane}") } @jobs),
        (map { @$_{qw(id epoch)} } @jobs));
}


sub nack {
    my ($self, @jobs) = @_;
    return $self->eval('nack', [$Q, $H],
                       map { @$_{qw(id epoch delay spent reason)} } @jobs);
}


sub dead {
    my ($self, $job, $max, $age) = @_;
    return $self->eval('dead', [$Q, $H, $F, $D, "{m}:k:$job->{key}"],
                       @$job{qw(id epoch key lane spent reason)}, WINDOW,
                       $max, $age);
}


sub extend {
    my ($self, $lease, @jobs) = @_;
    return $self->eval('extend', [$Q, $H], $lease,
                       map { @$_{qw(id epoch)} } @jobs);
}


sub replay {
    my ($self, $pause, @what) = @_;
    return $self->eval('replay', [$Q, $H, $F, $D,
                                  $self->{calls} ? $Q =~ s/q$/k:/r : ()],
                       $pause, @what);
}


sub replay_ids {
    my ($self, $pause, @ids) = @_;
    return $self->replay($pause, @ids);
}


sub delete {
    my ($self, @ids) = @_;
    return $self->eval('delete', [$D, $H], @ids);
}


sub expire {
    my ($self, $age) = @_;
    return $self->eval('expire', [$D, $H], $age);
}


# the time in ms is a part of the state

sub hold {
    my ($self, $on) = @_;
    return $self->eval('hold', [$H], $on);
}


# everything that is stored, in the form of Bitrix1C::Model::state

sub state {
    my ($self) = @_;
    my %state = (
        q => { @{ $self->cmd('ZRANGE', $Q, 0, -1, 'WITHSCORES') } },
        h => { @{ $self->cmd('HGETALL', $H) } },
        d => { @{ $self->cmd('ZRANGE', $D, 0, -1, 'WITHSCORES') } },
        f => {}, k => {},
    );

    for (@{ $self->cmd('ZRANGE', $F, 0, -1) }) {
        my ($lane, undef, $id) = split /:/;
        push @{ $state{f}{$lane} }, $id;
    }

    my @markers = @{ $self->cmd('KEYS', '{m}:k:*') };

    if (@markers) {
        my $values = $self->cmd('MGET', @markers);
        $state{k}{ substr $markers[$_], 6 } = $values->[$_] for 0 .. $#markers;
    }

    return \%state;
}

1;

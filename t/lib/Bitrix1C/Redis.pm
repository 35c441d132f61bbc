package Bitrix1C::Redis;

# Copyright (C) the ngx_http_bitrix1c_module authors

# A blocking Redis client for tests: one unix socket, one command at a time.

use strict;
use warnings;

use IO::Socket::UNIX ();
use Socket qw(SOCK_STREAM);


# socket => path; timeout => seconds of each command (5); auth => [arguments of
# AUTH].  Dies when Redis cannot be reached.

sub new {
    my ($class, %opt) = @_;
    my $self = bless { timeout => 5, in => '', %opt }, $class;

    $self->{sock} = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                          Peer => $self->{socket})
        or die "connect to $self->{socket}: $!\n";

    $self->cmd('AUTH', @{ $self->{auth} }) if $self->{auth};

    return $self;
}


# returns a scalar, undef for nil or an array reference; dies on an error reply

sub cmd {
    my ($self, @args) = @_;
    my $out = sprintf "*%d\r\n", scalar @args;

    $out .= sprintf "\$%d\r\n%s\r\n", length, $_ for @args;

    $self->{deadline} = time + $self->{timeout};
    $self->{sock}->syswrite($out) or die "write to Redis: $!\n";

    my $reply = eval { $self->reply };
    die "redis: $args[0]: $@" if $@;

    return $reply;
}


sub reply {
    my ($self) = @_;
    my ($type, $rest) = $self->line =~ /^(.)(.*)$/s;

    return $rest if $type eq '+' || $type eq ':';
    die "$rest\n" if $type eq '-';

    if ($type eq '$') {
        return $rest < 0 ? undef : $self->bytes($rest);
    }

    die "reply of type \"$type\"\n" if $type ne '*';

    return if $rest < 0;

    # an error inside an array is a value: the rest must still be read
    return [map { my $value = eval { $self->reply }; $@ || $value } 1 .. $rest];
}


sub line {
    my ($self) = @_;

    my $end;

    $self->fill while ($end = index $self->{in}, "\r\n") < 0;

    my $line = substr $self->{in}, 0, $end;
    substr $self->{in}, 0, $end + 2, '';

    return $line;
}


sub bytes {
    my ($self, $n) = @_;

    $self->fill while length $self->{in} < $n + 2;

    my $value = substr $self->{in}, 0, $n;
    substr $self->{in}, 0, $n + 2, '';

    return $value;
}


sub fill {
    my ($self) = @_;
    my $r = '';

    vec($r, fileno $self->{sock}, 1) = 1;
    select $r, undef, undef, $self->{deadline} - time + 0.1
        or die "no reply within $self->{timeout} s\n";
    sysread $self->{sock}, $self->{in}, 65_536, length $self->{in}
        or die "connection lost\n";

    return;
}


# the calls of every command so far, by name in lower case

sub commandstats {
    my ($self) = @_;
    my $text = $self->cmd('INFO', 'commandstats');

    return { $text =~ /^cmdstat_([^:]+):calls=(\d+)/mg };
}

1;

package Bitrix1C::FakeRedis;

# Copyright (C) the ngx_http_bitrix1c_module authors

# One process with many ports of 127.0.0.1, each a server that only resembles
# Redis.  A hash says what a port does:
#   greet    bytes sent at once
#   close    then the connection is closed
#   answer   bytes sent whenever something comes, whatever it is
#   replies  { COMMAND => bytes }; others are answered as a Redis does that
#            has nothing and knows no script; ADDRESS is the port's own; LAYOUT
#            is the script layout.lua, which is answered with OK
# Without any of these it accepts and sends nothing.

use strict;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use POSIX ();

my %REPLIES = (
    AUTH    => "+OK\r\n",
    SELECT  => "+OK\r\n",
    PING    => "+PONG\r\n",
    ROLE    => "*3\r\n\$6\r\nmaster\r\n:0\r\n*0\r\n",
    INFO    => "\$24\r\nredis_version:7.0.15\r\nx:\r\n",
    CONFIG  => "*2\r\n\$11\r\nappendfsync\r\n\$8\r\neverysec\r\n",
    EVALSHA => "-NOSCRIPT No matching script\r\n",
    EVAL    => "-ERR no scripts here\r\n",
    LAYOUT  => "+OK\r\n",
    WAIT    => ":0\r\n",
);


# what => { name => hash }; connections are counted in files of the directory

sub new {
    my ($class, $dir, $what) = @_;
    my $self = bless { dir => $dir, port => {} }, $class;
    my %listen;

    for my $name (keys %$what) {
        my $sock = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64)
            or die "listen: $!";
        $listen{$name} = $sock;
        $self->{port}{$name} = $sock->sockport;
    }

    defined($self->{pid} = fork) or die "fork: $!";
    return $self if $self->{pid};

    local $SIG{PIPE} = 'IGNORE';
    my $parent = getppid;
    serve($dir, $what, \%listen, $parent);
    POSIX::_exit(0);
}


sub address {
    my ($self, $name) = @_;
    return "127.0.0.1:$self->{port}{$name}";
}


# connections so far

sub count {
    my ($self, $name) = @_;
    return -s "$self->{dir}/fake.$name" || 0;
}


sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return;
}


sub serve {
    my ($dir, $what, $listen, $parent) = @_;
    my %name = map { fileno($listen->{$_}) => $_ } keys %$listen;
    my $select = IO::Select->new(values %$listen);
    my %client;

    while (getppid == $parent) {
        for my $sock ($select->can_read(1)) {
            my $fd = fileno $sock;

            if (my $name = $name{$fd}) {
                my $new = $sock->accept or next;
                open my $fh, '>>', "$dir/fake.$name" or die;
                print {$fh} '.';
                close $fh;

                my $how = $what->{$name};
                syswrite $new, $how->{greet} if defined $how->{greet};
                next if $how->{close};
                $select->add($new);
                $client{ fileno $new } = { how => $how, in => '',
                                           port => $sock->sockport };
                next;
            }

            my $c = $client{$fd};

            if (!sysread $sock, $c->{in}, 65_536, length $c->{in}) {
                $select->remove($sock);
                delete $client{$fd};
                close $sock;
                next;
            }

            if (defined $c->{how}{answer}) {
                syswrite $sock, $c->{how}{answer};
                $c->{in} = '';
            }

            converse($sock, $c) if $c->{how}{replies};
        }
    }

    return;
}


sub converse {
    my ($sock, $c) = @_;

    while (my ($n) = $c->{in} =~ /^\*(\d+)\r\n/) {
        my $pos = length($n) + 3;
        my @args;

        for (1 .. $n) {
            substr($c->{in}, $pos) =~ /^\$(\d+)\r\n/ or return;
            $pos += length($1) + 3;
            return if length $c->{in} < $pos + $1 + 2;
            push @args, substr $c->{in}, $pos, $1;
            $pos += $1 + 2;
        }

        substr $c->{in}, 0, $pos, '';
        my $what = uc $args[0];
        $what = 'LAYOUT' if $what =~ /^EVAL/ && $args[3] =~ /\}:v$/;
        my $reply = $c->{how}{replies}{$what} // $REPLIES{$what}
                    // "-ERR unknown command '$args[0]'\r\n";
        $reply =~ s/ADDRESS/127.0.0.1:$c->{port}/g;
        syswrite $sock, $reply;
    }

    return;
}

1;

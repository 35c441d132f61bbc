package Bitrix1C::Standin::Net;

# Copyright (C) the ngx_http_bitrix1c_module authors

# Sockets and timers of the stand-ins.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use Exporter qw(import);
use Socket qw(:DEFAULT inet_aton inet_ntoa IPPROTO_TCP SO_REUSEPORT);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(address_of bound_socket listen_on would_block after
    next_timer due_timer);

my @timers;


sub address_of {
    my ($sock) = @_;
    my ($port, $ip) = sockaddr_in(getsockname $sock);
    return inet_ntoa($ip) . ":$port";
}


# $where is "host:port"

sub bound_socket {
    my ($where, $reuse_port) = @_;
    my ($host, $port) = $where =~ /^([\w.-]+):(\d+)$/
        or die "invalid address \"$where\"\n";

    socket my $sock, PF_INET, SOCK_STREAM, IPPROTO_TCP or die "socket: $!\n";
    setsockopt $sock, SOL_SOCKET, SO_REUSEADDR, 1;
    setsockopt $sock, SOL_SOCKET, SO_REUSEPORT, 1 if $reuse_port;
    bind $sock, sockaddr_in($port, inet_aton($host))
        or die "bind to $where: $!\n";

    return $sock;
}


sub listen_on {
    my ($where, $reuse_port) = @_;
    my $sock = bound_socket($where, $reuse_port);

    listen $sock, 1024 or die "listen on $where: $!\n";
    $sock->blocking(0);

    return $sock;
}


sub would_block {
    return $! == EAGAIN || $! == EINTR || $! == EWOULDBLOCK;
}


# delays are mostly equal, so the place of a new timer is near the end

sub after {
    my ($seconds, $code) = @_;
    my $at = time + $seconds;
    my $i = @timers;

    $i-- while $i && $timers[$i - 1][0] > $at;
    splice @timers, $i, 0, [$at, $code];

    return;
}


# seconds until the next timer, undef if there is none

sub next_timer {
    return if !@timers;

    my $left = $timers[0][0] - time;
    return $left > 0 ? $left : 0;
}


sub due_timer {
    return if !@timers || $timers[0][0] > time;
    return (shift @timers)->[1];
}

1;

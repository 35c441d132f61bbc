package Bitrix1C::Port;

# Copyright (C) the ngx_http_bitrix1c_module authors

# A free port of 127.0.0.1 for a server that is restarted.  It is below the
# ports that systems give to clients (32768 to 60999 on Linux), which a client
# could use while the server is down.  It belongs to this process until it ends:
# an abstract socket of that name reserves it for all tests.

use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::INET ();
use Socket qw(AF_UNIX SOCK_STREAM pack_sockaddr_un);

our @EXPORT_OK = qw(free_port);

my @ours;


sub free_port {
    for (1 .. 1000) {
        my $port = 12_000 + int rand 20_000;

        return $port if reserve($port)
                        && IO::Socket::INET->new(Listen => 1,
                                                 LocalAddr => '127.0.0.1',
                                                 LocalPort => $port);
    }

    die "no free port\n";
}


# an abstract socket of Linux

sub reserve {
    my ($port) = @_;

    socket my $sock, AF_UNIX, SOCK_STREAM, 0 or die "socket: $!\n";
    bind $sock, pack_sockaddr_un("\0bitrix1c-test-port-$port") or return 0;
    push @ours, $sock;

    return 1;
}


1;

package Bitrix1C::Port;

# Copyright (C) the ngx_http_bitrix1c_module authors

# A free port of 127.0.0.1 for a server that is started again and again.  It is
# below those that systems give to clients (32768 to 60999 on Linux): one of
# these could be a client's while the server is down.

use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::INET ();

our @EXPORT_OK = qw(free_port);


sub free_port {
    for (1 .. 1000) {
        my $port = 12_000 + int rand 20_000;

        return $port if IO::Socket::INET->new(Listen => 1,
                                              LocalAddr => '127.0.0.1',
                                              LocalPort => $port);
    }

    die "no free port\n";
}


1;

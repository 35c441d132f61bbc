package Bitrix1C::Standin::Server;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The HTTP server of a stand-in: one process, keepalive, slow answers by timers,
# and a listener that can be closed for a while.  A connection is a hash that
# belongs to the server; the stand-in may set its
#   request   the request in progress, reported when it ends
#   close     CLOSE_OURS: close it after the answer

use strict;
use warnings;

use Exporter qw(import);
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER SO_REUSEPORT TCP_NODELAY
              inet_ntoa sockaddr_in);
use Time::HiRes qw(time);

use Bitrix1C::Standin::Http qw(parse_headers keeps_alive framed);
use Bitrix1C::Standin::Net qw(address_of bound_socket listen_on would_block
                              after next_timer due_timer);

our @EXPORT_OK = qw(CLOSE_OURS);

# why a connection is to be closed after the answer
use constant { CLOSE_ASKED => 1, CLOSE_OURS => 2 };

# answers without an end: head, what follows, seconds between two parts
my %FLOWS = (
    drip    => ["HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", 'x', 0.2],
    endless => ["HTTP/1.1 500 Error\r\nConnection: close\r\n\r\n",
                'x' x 65_536, 0.002],
);

# framings that only the end of the connection ends
my %ENDS = map { $_ => 1 } qw(truncated cutchunk unframed);


# listen       where the stand-in answers, "host:port"; port 0 is a free one
# control      a second address that refuse() does not close, or undef
# on_request   code ($connection, $request) that answers by respond(), at once
#              or later; a request is a hash: n (0), time, method, path, head
#              (request line and fields, each with its CRLF), headers (see
#              parse_headers), body, status (0), mode ("")
# on_end       code ($request): the one in progress is over; sets closed ("" or
#              the side that ended it, "client" or "server") and seconds

sub new {
    my ($class, %opt) = @_;
    my $self = bless { %opt, conn => {}, rvec => '', wvec => '',
                       count => { connections => 0, bad_requests => 0 } },
                     $class;

    $SIG{PIPE} = 'IGNORE';

    $self->open_reserve;
    $self->open_listener;

    if (defined $opt{control}) {
        $self->{control} = listen_on($opt{control}, 0);
        vec($self->{rvec}, fileno $self->{control}, 1) = 1;
    }

    return $self;
}


# says where it is, and serves until a signal ends it

sub run {
    my ($self) = @_;
    my $stopping = 0;

    local $SIG{TERM} = local $SIG{INT} = sub { $stopping = 1 };
    local $| = 1;

    print "listening on $self->{address}\n";
    print 'control on ', address_of($self->{control}), "\n"
        if $self->{control};

    $self->turn until $stopping;

    $self->drop($_, 'server') for values %{ $self->{conn} };

    return;
}


# one turn of the event loop: sockets, then the timers that are due

sub turn {
    my ($self) = @_;
    my ($listener, $control, $conn) = @$self{qw(listener control conn)};
    my $n = select my $r = $self->{rvec}, my $w = $self->{wvec}, undef,
                   next_timer();

    if ($n > 0) {
        $self->accept_all($listener)
            if $listener && vec $r, fileno $listener, 1;
        $self->accept_all($control) if $control && vec $r, fileno $control, 1;

        for my $fd (keys %$conn) {
            my $c = $conn->{$fd} or next;
            $self->write_out($c) if vec $w, $fd, 1;
            $self->read_in($c) if !$c->{gone} && vec $r, $fd, 1;
        }
    }

    while (my $code = due_timer()) {
        $code->();
    }

    return;
}


# A bound socket that never listens keeps the port ours, and refusing, while
# the listener is closed.  The option is set after bind() so that an address
# that somebody else uses is still an error.

sub open_reserve {
    my ($self) = @_;

    $self->{reserve} = bound_socket($self->{listen}, 0);
    setsockopt $self->{reserve}, SOL_SOCKET, SO_REUSEPORT, 1;
    $self->{address} = address_of($self->{reserve});

    return;
}


sub open_listener {
    my ($self) = @_;

    return if $self->{listener};

    $self->{listener} = listen_on($self->{address}, 1);
    vec($self->{rvec}, fileno $self->{listener}, 1) = 1;

    return;
}


# at once; until open_listener() if $seconds is undefined

sub refuse {
    my ($self, $seconds) = @_;
    my $listener = delete $self->{listener};

    if ($listener) {
        vec($self->{rvec}, fileno $listener, 1) = 0;
        close $listener;
    }

    for my $c (grep { !$_->{control} } values %{ $self->{conn} }) {
        $c->{out} eq '' ? $self->drop($c, 'server')
                        : ($c->{close} = CLOSE_OURS);
    }

    after($seconds, sub { $self->open_listener }) if $seconds;

    return;
}


sub accept_all {
    my ($self, $from) = @_;
    my $control = $self->{control} && $from == $self->{control};

    while (my $peer = accept my $sock, $from) {
        my $fd = fileno $sock;
        $sock->blocking(0);
        setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
        vec($self->{rvec}, $fd, 1) = 1;
        vec($self->{wvec}, $fd, 1) = 0;

        $self->{conn}{$fd} = { sock => $sock, fd => $fd, in => '', out => '',
                               control => $control,
                               peer => inet_ntoa((sockaddr_in($peer))[1]) };
        $self->{count}{connections}++;
    }

    return;
}


# connections to the stand-in itself

sub connections {
    my ($self) = @_;
    return grep { !$_->{control} } values %{ $self->{conn} };
}


# $by tells who ended it, for the log line of a request in progress

sub drop {
    my ($self, $c, $by) = @_;

    return if $c->{gone};
    $c->{gone} = 1;
    $self->finish_request($c, $by) if $c->{request};

    vec($self->{rvec}, $c->{fd}, 1) = 0;
    vec($self->{wvec}, $c->{fd}, 1) = 0;
    delete $self->{conn}{$c->{fd}};
    close $c->{sock};

    return;
}


# ends the connection in the way of the mode; false if it is not such a mode

sub harm {
    my ($self, $c, $mode) = @_;

    return 1 if $mode eq 'hang';
    return $self->flow($c, $mode, $FLOWS{$mode}[0]) if $FLOWS{$mode};
    return 0 if $mode ne 'reset' && $mode ne 'close';

    setsockopt $c->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
        if $mode eq 'reset';
    $self->drop($c, 'server');

    return 1;
}


# an answer that does not end before the other side closes the connection

sub flow {
    my ($self, $c, $mode, $text) = @_;
    my (undef, $more, $pause) = @{ $FLOWS{$mode} };

    return 1 if $c->{gone};

    if (!defined syswrite($c->{sock}, $text) && !would_block()) {
        $self->drop($c, 'client');
        return 1;
    }

    after($pause, sub { $self->flow($c, $mode, $more) });

    return 1;
}


# also while a request is in progress, to see that the other side has gone

sub read_in {
    my ($self, $c) = @_;
    my $n = sysread $c->{sock}, $c->{in}, 65_536, length $c->{in};

    if (!$n) {
        return if !defined $n && would_block();
        return $self->drop($c, 'client');
    }

    return $self->parse($c);
}


sub write_out {
    my ($self, $c) = @_;
    my $n = syswrite $c->{sock}, $c->{out};

    return would_block() || $self->drop($c, 'client') if !defined $n;

    substr $c->{out}, 0, $n, '';
    vec($self->{wvec}, $c->{fd}, 1) = $c->{out} eq '' ? 0 : 1;

    return if $c->{out} ne '';

    my $ours = ($c->{close} // 0) == CLOSE_OURS;
    $self->finish_request($c, $ours ? 'server' : '') if $c->{request};
    $c->{busy} = 0;

    return $self->drop($c, 'server') if $c->{close};
    return $self->parse($c);
}


# takes requests one by one; the next one waits until this one is answered

sub parse {
    my ($self, $c) = @_;

    return if $c->{parsing};
    $c->{parsing} = 1;

    while (!$c->{gone} && !$c->{busy} && $c->{in} ne '') {
        last if !$self->parse_one($c);
    }

    $c->{parsing} = 0;

    return;
}


# true when a request was taken

sub parse_one {
    my ($self, $c) = @_;

    my $end = index $c->{in}, "\r\n\r\n";
    return if $end < 0;

    my $head = substr $c->{in}, 0, $end + 2;
    my ($method, $target, $minor)
        = $head =~ m{\A(\S+) (\S+) HTTP/1\.([01])\r\n}
        or return $self->bad_request($c);

    my $headers = parse_headers($head);

    if ($headers->{expect} && !$c->{continued}) {
        $c->{continued} = 1;
        syswrite $c->{sock}, "HTTP/1.1 100 Continue\r\n\r\n";
    }

    my $body = $headers->{'transfer-encoding'}
               ? take_chunks($c, $end + 4)
               : take_bytes($c, $end + 4, $headers->{'content-length'} // 0);
    return if !defined $body;

    $c->{busy} = 1;
    $c->{continued} = 0;
    $c->{close} = CLOSE_ASKED if !keeps_alive($minor, $headers);

    $self->{on_request}->($c, { n => 0, time => time, method => $method,
        path => $target, head => $head, headers => $headers, body => $body,
        status => 0, mode => '' });

    return 1;
}


sub bad_request {
    my ($self, $c) = @_;

    $c->{close} = CLOSE_OURS;
    $self->{count}{bad_requests}++;
    $self->respond($c, 400, '', "Bad Request\n");

    return;
}


# these two cut the request off the input, or return undef when it is not whole

sub take_bytes {
    my ($c, $start, $length) = @_;

    return if length $c->{in} < $start + $length;

    my $body = substr $c->{in}, $start, $length;
    substr $c->{in}, 0, $start + $length, '';

    return $body;
}


sub take_chunks {
    my ($c, $start) = @_;
    my $body = '';

    while (1) {
        pos($c->{in}) = $start;
        $c->{in} =~ /\G([0-9a-fA-F]+)[^\r\n]*\r\n/gc or return;
        my $size = hex $1;
        $start = pos $c->{in};

        return if length $c->{in} < $start + $size + 2;

        if ($size == 0) {
            substr $c->{in}, 0, $start + 2, '';
            return $body;
        }

        $body .= substr $c->{in}, $start, $size;
        $start += $size + 2;
    }
}


# the code runs after the seconds if the request is still in progress

sub later {
    my ($self, $c, $seconds, $code) = @_;
    my $r = $c->{request};

    after($seconds, sub {
        $code->() if $c->{request} && $c->{request} == $r;
    });

    return;
}


# only the modes that break the framing are given here

sub respond {
    my ($self, $c, $status, $headers, $body, $mode) = @_;

    $mode //= '';
    $c->{close} = CLOSE_OURS if $ENDS{$mode};

    $headers .= "Connection: close\r\n" if $c->{close};
    $c->{out} = framed($mode, $status, $headers, $body);

    return $self->write_out($c);
}


sub finish_request {
    my ($self, $c, $by) = @_;
    my $r = delete $c->{request};

    # a client that closes its connection after the whole answer is no fault
    $by = '' if $by eq 'client' && $r->{status} && $c->{out} eq '';
    $r->{closed} = $by;
    $r->{seconds} = time - $r->{time};

    return $self->{on_end}->($r);
}

1;

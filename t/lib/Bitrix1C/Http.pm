package Bitrix1C::Http;

# Copyright (C) the ngx_http_bitrix1c_module authors

# HTTP clients for tests: single requests, and a load of many connections in a
# process of its own, so that the test can cause faults meanwhile.

use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(connect_to http_request request_text start_load
                    finish_load percentile);

my %loads;


sub connect_to {
    my ($port) = @_;
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $port, Proto => 'tcp')
        or return;

    setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
    return $sock;
}


# method, path, headers => {}, body; a body implies Content-Length

sub request_text {
    my (%opt) = @_;
    my $body = $opt{body} // '';
    my %headers = (Host => 'localhost', %{ $opt{headers} // {} });

    if (defined $opt{body}) {
        $headers{'Content-Length'} //= length $body;
        $headers{'Content-Type'} //= 'application/x-www-form-urlencoded';
    }

    my $method = $opt{method} // (defined $opt{body} ? 'POST' : 'GET');

    return "$method $opt{path} HTTP/1.1\r\n"
           . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
           . "\r\n$body";
}


# one request on a connection of its own: { status, headers, body, seconds };
# status is 0 and error says why when no whole answer came within "timeout"

sub http_request {
    my (%opt) = @_;
    my $start = time;
    my $deadline = $start + ($opt{timeout} // 10);
    my $sock = connect_to($opt{port})
        or return { status => 0, error => "connect: $!", seconds => 0 };

    $opt{headers} = { Connection => 'close', %{ $opt{headers} // {} } };
    print {$sock} request_text(%opt);
    $sock->flush;

    my ($in, $answer) = ('');

    while (!($answer = take_answer(\$in))) {
        my $r = '';
        vec($r, fileno $sock, 1) = 1;

        if (!select $r, undef, undef, $deadline - time) {
            return { status => 0, error => 'timeout',
                     seconds => time - $start };
        }

        if (!sysread $sock, $in, 65_536, length $in) {
            return { status => 0, error => 'closed', seconds => time - $start };
        }
    }

    $answer->{seconds} = time - $start;
    return $answer;
}


# removes one answer from the input, undef if it is incomplete

sub take_answer {
    my ($in) = @_;

    my $end = index $$in, "\r\n\r\n";
    return if $end < 0;

    my $head = substr $$in, 0, $end + 2;
    my ($status) = $head =~ m{\AHTTP/1\.1 (\d{3})} or die "no HTTP: $head";
    my ($length) = $head =~ /^content-length:[ ]*(\d+)/mi;

    # no other framing is used here
    defined $length or die "no Content-Length: $head";
    return if length $$in < $end + 4 + $length;

    my $body = substr $$in, $end + 4, $length;
    substr $$in, 0, $end + 4 + $length, '';

    my %headers = map { lc $1 => $2 if /^([^:]+):[ ]*(.*)$/ }
                  grep { /:/ } split /\r\n/, $head;

    return { status => $status, headers => \%headers, body => $body };
}


# Starts a process that posts events over several keepalive connections.
#   port, path, connections (8)   where to
#   next => sub { (key, body) }   the next event, () at the end; path and
#                                 headers {} may follow
#   rate => N                     at most so many a second, all together
#   seconds => N                  no new events after that time
#   retry => 1                    an event without an answer, or with one that
#                                 is not 200, is posted again
#   retry => 'lost'               only one without an answer is
#   retry => sub { (key) }        the same, if that is true
#   answered => sub { (key, { sent, answered, status, result, id }) }
#                                 called in that process, also with status 0
#                                 when a connection was lost
# Returns a handle for finish_load().

sub start_load {
    my (%opt) = @_;

    pipe my $reader, my $writer or die "pipe: $!";
    defined(my $pid = fork) or die "fork: $!";

    if ($pid == 0) {
        close $reader;
        my $result = eval { run_load(%opt) } // { fatal => "$@" };
        print {$writer} JSON::PP->new->encode($result);
        close $writer;
        POSIX::_exit(0);
    }

    close $writer;
    $loads{$pid} = $$;
    return { pid => $pid, reader => $reader };
}


END {
    kill 'KILL', grep { $loads{$_} == $$ } keys %loads;
}


# Waits for the load to end:
#   sent      requests written          errors  connections lost while waiting
#   statuses  { status => answers }     results { result => answers }
#   ok        { key => id } of all events answered 200
#   times     seconds of each answer    elapsed seconds of all

sub finish_load {
    my ($load) = @_;
    my $reader = $load->{reader};
    my $text = do { local $/; <$reader> };

    waitpid $load->{pid}, 0;
    delete $loads{$load->{pid}};
    my $result = JSON::PP->new->decode($text);
    die "load: $result->{fatal}" if $result->{fatal};

    return $result;
}


sub run_load {
    my (%opt) = @_;
    my $start = time;
    my $l = { opt => \%opt, again => [], busy => 0, start => $start,
              stats => { sent => 0, errors => 0, statuses => {},
                         results => {}, ok => {}, times => [] } };

    local $SIG{PIPE} = 'IGNORE';
    my @conns = map { { in => '' } } 1 .. $opt{connections} // 8;

    while (1) {
        my $more = 0;

        for my $c (grep { !$_->{event} } @conns) {
            $more = send_next($l, $c) or last;
        }

        last if !$more && !$l->{busy} && !$l->{later};
        wait_answers($l, \@conns);
    }

    $l->{stats}{elapsed} = time - $start;
    return $l->{stats};
}


# true when an event was sent; $l->{later} says that only the rate forbade it

sub send_next {
    my ($l, $c) = @_;
    my $opt = $l->{opt};
    my $passed = time - $l->{start};

    $l->{later} = 0;

    if ($opt->{rate} && $l->{stats}{sent} >= $passed * $opt->{rate}) {
        $l->{later} = 1;
        return 0;
    }

    my $event = shift @{ $l->{again} };

    if (!$event) {
        return 0 if $opt->{seconds} && $passed > $opt->{seconds};
        my @next = $opt->{next}->() or return 0;
        @$event{qw(key body path headers)} = @next;
    }

    $c->{sock} //= connect_to($opt->{port});

    if (!$c->{sock}) {
        $l->{stats}{errors}++;
        push @{ $l->{again} }, $event;
        $l->{later} = 1;
        return 0;
    }

    $c->{event} = $event;
    $c->{sent} = time;
    $l->{busy}++;
    $l->{stats}{sent}++;
    syswrite $c->{sock}, request_text(path => $event->{path} // $opt->{path},
        headers => $event->{headers}, body => $event->{body});
    return 1;
}


sub wait_answers {
    my ($l, $conns) = @_;
    my $r = '';

    for my $c (@$conns) {
        vec($r, fileno $c->{sock}, 1) = 1 if $c->{event};
    }

    my $n = select $r, undef, undef, $l->{later} ? 0.002 : 30;

    # a timeout of the load is long, and is an error of its own
    die "no answer within 30 s\n" if !$n && !$l->{later};
    return if $n <= 0;

    for my $c (grep { $_->{event} } @$conns) {
        read_answer($l, $c) if vec $r, fileno $c->{sock}, 1;
    }

    return;
}


sub read_answer {
    my ($l, $c) = @_;
    my ($opt, $stats) = @$l{qw(opt stats)};
    my $n = sysread $c->{sock}, $c->{in}, 65_536, length $c->{in};
    my $event = $c->{event};

    if (!$n) {
        $stats->{errors}++;
        push @{ $l->{again} }, $event if posted_again($opt, $event);
        report($l, $c, $event, 0);
        close $c->{sock};
        $l->{busy}--;
        %$c = (in => '');
        return;
    }

    my $answer = take_answer(\$c->{in}) or return;

    $l->{busy}--;
    delete $c->{event};
    $stats->{statuses}{$answer->{status}}++;
    push @{ $stats->{times} }, 0 + sprintf '%.6f', time - $c->{sent};

    my ($result) = $answer->{body} =~ /"(?:result|state)":"(\w+)"/;
    my ($id) = $answer->{body} =~ /"id":"(\w+)"/;
    $stats->{results}{$result // '?'}++;
    report($l, $c, $event, $answer->{status}, $result, $id);

    if ($answer->{status} == 200) {
        $stats->{ok}{$event->{key}} = $id // '';

    } elsif (($opt->{retry} // '') eq '1') {
        push @{ $l->{again} }, $event;
    }

    if (($answer->{headers}{connection} // '') eq 'close') {
        close $c->{sock};
        %$c = (in => '');
    }

    return;
}


# an event whose connection was lost

sub posted_again {
    my ($opt, $event) = @_;
    my $retry = $opt->{retry};

    return ref $retry ? $retry->($event->{key}) : $retry;
}


sub report {
    my ($l, $c, $event, $status, $result, $id) = @_;
    my $code = $l->{opt}{answered} or return;

    $code->($event->{key}, { sent => $c->{sent}, answered => time,
                             status => $status, result => $result // '',
                             id => $id // '' });
    return;
}


sub percentile {
    my ($p, @values) = @_;

    return 0 if !@values;
    @values = sort { $a <=> $b } @values;
    return $values[int($p / 100 * $#values + 0.5)];
}

1;

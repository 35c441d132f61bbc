#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A stand-in for a 1C publication with an HTTP service, for tests and demos.
# One process, core Perl only, keepalive HTTP/1.1, slow answers by timers.
#
#   onec.pl [--listen 127.0.0.1:0] [--control 127.0.0.1:0] [--log FILE]
#           [--path /CompanyName/hs/exchange/]... [--mode N] [--print]
#           [--keep 10000] [--secret TEXT]...
#
# Port 0 picks a free one.  The first lines of the standard output are
#   listening on 127.0.0.1:PORT
#   control on 127.0.0.1:PORT         (only with --control)
# --control is a second address for /_standin/ that no mode ever closes; the
# same requests are served on the first address too.
# --log appends a line of JSON for each request when it is over: n, time,
# seconds (until the answer was out), method, path, headers, body, id, mode,
# status (0: none was sent), closed ("": no, "client": the other side went
# before it had the answer, "server": we closed).
# --print shows a line for each order.  --secret is a text that must never
# arrive.  --keep bounds the requests kept for /_standin/received.
#
# Like 1C's platform it answers 404 outside of --path and 405 to other methods
# than POST.  What 1C could not take is written down as a violation: a request
# without Content-Length or chunked, a wrong content type, a BOM, bad UTF-8,
# control characters (raw or escaped), broken JSON, a Webhook-Id that is absent
# or differs from "id", a secret.
#
# Control address
#
#   POST /_standin/mode      {rule} or [{rule}, ...] replaces all rules; the
#   GET  /_standin/mode?..   same with one rule as query arguments, if any;
#                            answers with the rules in force
#   GET  /_standin/reset     forgets requests, statistics and rules
#   GET  /_standin/stats     counters as JSON, see stats()
#   GET  /_standin/ids       a line "id requests taken" for each Webhook-Id
#   GET  /_standin/received?wait=N&timeout=S&show=requests|bodies|count
#        blocks until N requests (with answered=1: answers) have come, 504 if
#        they have not within S seconds (default 5); a JSON array of requests,
#        or the bodies one a line, or {"count":N}
#
# A rule; the first that applies decides, else the answer is 200:
#   mode      below                  match   regex on the body
#   times     applies N times        head    regex on the request head
#   per       "id": times and skip count for each Webhook-Id
#   skip      lets N requests pass   every   applies to each N-th request only
#   random    probability 0..1       seed    of random
#   delay     seconds before the answer      close  1: Connection: close
#   status, body, headers {}         replace those of the mode
#   retry_after, size, first, then, sessions, user, password, seconds: below
#
# Modes by number or name.  Texts are those of real publications.
#    1 ok             200 JSON           11 version        409 text
#    2 bom            200 BOM, JSON      12 fault          500 HTML
#    3 exception      200 text           13 conflict       500 text
#    4 empty          200, no body       14 commit-close   takes, then closes
#    5 bad            400 text           15 cold           "first" seconds for
#    6 unauthorized   401 with realm        the first answer (12), then "then"
#    7 locked         403 BOM, JSON         (0.05)
#    8 forbidden      403 plain          16 sessions       "sessions" at once
#    9 notfound       404                   (1), else 406
#   10 nosession      406 XML            17 nochunked      411 to chunked
#   18 basic          401 unless "user" and "password" (default Обмен, секрет)
#                     come as UTF-8 Basic
#   19 ibsession      a session by IBSession: start and its cookie, else 400
#   20 chunked        200 chunked JSON
#   hang              never answers      reset       closes with RST
#   truncated         Content-Length 100, 5 bytes, closes
#   cutchunk          chunked without its end, closes
#   unframed          200 without Content-Length, ended by closing
#   big               200 of "size" bytes (3 MB)
#   throttle          429 with Retry-After of "retry_after" (1)
#   refuse            at once: closes the listener and all connections for
#                     "seconds" (default: until mode "listen")
#   200..599          that status; the ones above have their usual text

use strict;
use warnings;

use FindBin ();
use Getopt::Long qw(GetOptions);
use JSON::PP ();
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER SO_REUSEPORT TCP_NODELAY);
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::OneC::Answers qw(prepare_rule choose_rule usual_answer framed);
use Bitrix1C::OneC::Net qw(address_of bound_socket listen_on would_block
                           after next_timer due_timer);
use Bitrix1C::OneC::Request qw(parse_headers violations request_json
                               request_line);

# why a connection is to be closed after the answer
use constant { CLOSE_ASKED => 1, CLOSE_OURS => 2 };

my $json = JSON::PP->new->utf8->canonical;

my %opt = (listen => '127.0.0.1:0', mode => 'ok', keep => 10_000);

my ($listener, $control, $reserve, $address, $log_fd, $stopping);
my ($rvec, $wvec) = ('', '');
my (%conn, @rules, @waiting, @received, %ids, %violations);
my (%total, %answers, $in_progress, $max_in_progress, $cold_done);
my $generation = 0;

main();


sub main {
    GetOptions(\%opt, 'listen=s', 'control=s', 'log=s', 'path=s@', 'mode=s',
               'print', 'keep=i', 'secret=s@')
        && !@ARGV
        or die "usage: see the head of $0\n";

    $opt{path} //= ['/CompanyName/hs/exchange/'];
    $opt{secret} //= [];
    $opt{rule} = { mode => $opt{mode} };
    my $error = prepare_rule($opt{rule});
    die "--mode: $error\n" if $error;

    $SIG{PIPE} = 'IGNORE';
    $SIG{TERM} = $SIG{INT} = sub { $stopping = 1 };

    if (defined $opt{log}) {
        open $log_fd, '>>', $opt{log} or die "open $opt{log}: $!\n";
    }

    reset_all();
    open_reserve();
    open_listener();

    $| = 1;
    print "listening on $address\n";

    if (defined $opt{control}) {
        $control = listen_on($opt{control}, 0);
        vec($rvec, fileno $control, 1) = 1;
        print 'control on ', address_of($control), "\n";
    }

    turn() until $stopping;

    drop($_, 'server') for values %conn;

    return;
}


# one turn of the event loop: sockets, then the timers that are due

sub turn {
    my $n = select my $r = $rvec, my $w = $wvec, undef, next_timer();

    if ($n > 0) {
        accept_all($listener) if $listener && vec $r, fileno $listener, 1;
        accept_all($control) if $control && vec $r, fileno $control, 1;

        for my $fd (keys %conn) {
            my $c = $conn{$fd} or next;
            write_out($c) if vec $w, $fd, 1;
            read_in($c) if !$c->{gone} && vec $r, $fd, 1;
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
    $reserve = bound_socket($opt{listen}, 0);
    setsockopt $reserve, SOL_SOCKET, SO_REUSEPORT, 1;
    $address = address_of($reserve);
    return;
}


sub open_listener {
    return if $listener;

    $listener = listen_on($address, 1);
    vec($rvec, fileno $listener, 1) = 1;

    return;
}


sub refuse {
    my ($seconds) = @_;

    if ($listener) {
        vec($rvec, fileno $listener, 1) = 0;
        close $listener;
        undef $listener;
    }

    for my $c (grep { !$_->{control} } values %conn) {
        $c->{out} eq '' ? drop($c, 'server') : ($c->{close} = CLOSE_OURS);
    }

    after($seconds, \&open_listener) if $seconds;

    return;
}


sub accept_all {
    my ($from) = @_;

    while (accept my $sock, $from) {
        my $fd = fileno $sock;
        $sock->blocking(0);
        setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
        vec($rvec, $fd, 1) = 1;
        vec($wvec, $fd, 1) = 0;

        $conn{$fd} = { sock => $sock, fd => $fd, in => '', out => '',
                       control => $control && $from == $control };
        $total{connections}++;
    }

    return;
}


# $by tells who ended it, for the log line of a request in progress

sub drop {
    my ($c, $by) = @_;

    return if $c->{gone};
    $c->{gone} = 1;
    finish_request($c, $by) if $c->{request};

    vec($rvec, $c->{fd}, 1) = 0;
    vec($wvec, $c->{fd}, 1) = 0;
    delete $conn{$c->{fd}};
    close $c->{sock};

    return;
}


# also while a request is in progress, to see that the other side has gone

sub read_in {
    my ($c) = @_;
    my $n = sysread $c->{sock}, $c->{in}, 65_536, length $c->{in};

    if (!$n) {
        return if !defined $n && would_block();
        return drop($c, 'client');
    }

    return parse($c);
}


sub write_out {
    my ($c) = @_;
    my $n = syswrite $c->{sock}, $c->{out};

    return would_block() || drop($c, 'client') if !defined $n;

    substr $c->{out}, 0, $n, '';
    vec($wvec, $c->{fd}, 1) = $c->{out} eq '' ? 0 : 1;

    return if $c->{out} ne '';

    my $ours = ($c->{close} // 0) == CLOSE_OURS;
    finish_request($c, $ours ? 'server' : '') if $c->{request};
    $c->{busy} = 0;

    return drop($c, 'server') if $c->{close};
    return parse($c);
}


# takes requests one by one; the next one waits until this one is answered

sub parse {
    my ($c) = @_;

    return if $c->{parsing};
    $c->{parsing} = 1;

    while (!$c->{gone} && !$c->{busy} && $c->{in} ne '') {
        last if !parse_one($c);
    }

    $c->{parsing} = 0;

    return;
}


# true when a request was taken

sub parse_one {
    my ($c) = @_;

    my $end = index $c->{in}, "\r\n\r\n";
    return if $end < 0;

    my $head = substr $c->{in}, 0, $end + 2;
    my ($method, $target, $minor)
        = $head =~ m{\A(\S+) (\S+) HTTP/1\.([01])\r\n}
        or return bad_request($c);

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

    if ($target =~ m{^(/_standin/\w*)(?:\?(.*))?$}) {
        control($c, $method, $1, $2 // '', $body);

    } else {
        publication($c, { n => 0, time => time, method => $method,
            path => $target, head => $head, headers => $headers,
            body => $body, status => 0, mode => '' });
    }

    return 1;
}


sub keeps_alive {
    my ($minor, $headers) = @_;
    my $connection = lc($headers->{connection} // '');

    return $minor ? $connection ne 'close' : $connection eq 'keep-alive';
}


sub bad_request {
    my ($c) = @_;

    $c->{close} = CLOSE_OURS;
    $total{bad_requests}++;
    respond($c, 400, '', "Bad Request\n");

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


# what 1C's web extension and then the service's own code would do

sub publication {
    my ($c, $r) = @_;

    if (!grep { index($r->{path}, $_) == 0 } @{ $opt{path} }) {
        $total{not_published}++;
        return respond($c, 404, "Content-Type: text/html\r\n",
                       "<h1>404 Not Found</h1>\n");
    }

    if ($r->{method} ne 'POST') {
        $total{not_allowed}++;
        return respond($c, 405, "Allow: POST\r\n", '');
    }

    receive($c, $r);

    my $rule = choose_rule(\@rules, $r) // $opt{rule};
    my $delay = $rule->{delay} // 0;
    $r->{mode} = $rule->{mode};

    if ($rule->{mode} eq 'cold') {
        $delay += $cold_done++ ? $rule->{then} // 0.05
                               : $rule->{first} // 12;
    }

    return answer($c, $r, $rule) if $delay <= 0;

    after($delay, sub {
        answer($c, $r, $rule) if $c->{request} && $c->{request} == $r;
    });

    return;
}


sub receive {
    my ($c, $r) = @_;

    $r->{id} = $r->{headers}{'webhook-id'} // '';
    $r->{n} = ++$total{received};
    $r->{generation} = $generation;
    $ids{$r->{id}}[0]++;

    push @received, $r;
    shift @received if @received > $opt{keep};

    for my $what (violations($r, @{ $opt{secret} })) {
        $violations{$what}{count}++;
        $violations{$what}{example}
            //= substr "$r->{head}\r\n$r->{body}", 0, 2000;
    }

    $c->{request} = $r;
    $in_progress++;
    $max_in_progress = $in_progress if $in_progress > $max_in_progress;

    wake_waiting() if @waiting;

    return;
}


sub answer {
    my ($c, $r, $rule) = @_;
    my $mode = $rule->{mode};

    return if $mode eq 'hang';

    if ($mode eq 'reset' || $mode eq 'commit-close') {
        $ids{$r->{id}}[1]++ if $mode eq 'commit-close';
        setsockopt $c->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
            if $mode eq 'reset';
        return drop($c, 'server');
    }

    my ($status, $headers, $body) = usual_answer($rule, $r, $in_progress);

    $status = $rule->{status} // $status;
    $body = $rule->{body} // $body;
    $headers .= "Retry-After: $rule->{retry_after}\r\n"
        if defined $rule->{retry_after};

    for my $name (sort keys %{ $rule->{headers} // {} }) {
        $headers .= "$name: $rule->{headers}{$name}\r\n";
    }

    $r->{status} = $status;
    $ids{$r->{id}}[1]++ if $status < 300 && $mode ne 'exception';
    $c->{close} = CLOSE_OURS
        if $rule->{close} || $mode =~ /^(?:truncated|cutchunk|unframed)$/;

    return respond($c, $status, $headers, $body, $mode);
}


# only the modes that break the framing are given here

sub respond {
    my ($c, $status, $headers, $body, $mode) = @_;

    $headers .= "Connection: close\r\n" if $c->{close};
    $c->{out} = framed($mode // '', $status, $headers, $body);

    return write_out($c);
}


sub finish_request {
    my ($c, $by) = @_;
    my $r = delete $c->{request};

    # a client that closes its connection after the whole answer is no fault
    $by = '' if $by eq 'client' && $r->{status} && $c->{out} eq '';
    $r->{closed} = $by;
    $r->{seconds} = time - $r->{time};

    syswrite $log_fd, request_json($r) . "\n" if $log_fd;
    print request_line($r), "\n" if $opt{print};

    $in_progress--;

    # requests from before a reset are not counted
    return if $r->{generation} != $generation;

    $answers{$r->{status}}++;
    $total{answered}++;
    $total{closed_by_client}++ if $by eq 'client';
    wake_waiting() if @waiting;

    return;
}


# the control address

sub control {
    my ($c, $method, $path, $args, $body) = @_;
    my %arg = map { unescape($_) } map { (split(/=/, $_, 2), '')[0, 1] }
              split /&/, $args;

    return control_mode($c, \%arg, $body) if $path eq '/_standin/mode';
    return control_received($c, \%arg) if $path eq '/_standin/received';
    return reply($c, stats()) if $path eq '/_standin/stats';

    if ($path eq '/_standin/reset') {
        reset_all();
        return reply($c, { result => 'ok' });
    }

    if ($path eq '/_standin/ids') {
        return respond($c, 200, "Content-Type: text/plain\r\n",
            join '', map { "$_ " . ($ids{$_}[0] // 0) . ' '
                           . ($ids{$_}[1] // 0) . "\n" } sort keys %ids);
    }

    return respond($c, 404, '', "unknown control address\n");
}


sub unescape {
    my ($text) = @_;
    return $text =~ tr/+/ /r =~ s/%([0-9a-fA-F]{2})/chr hex $1/ger;
}


sub reply {
    my ($c, $data, $status) = @_;
    return respond($c, $status // 200, "Content-Type: application/json\r\n",
                   $json->encode($data) . "\n");
}


sub control_mode {
    my ($c, $arg, $body) = @_;

    return reply($c, shown_rules(@rules)) if $body eq '' && !%$arg;

    my $given = $body eq '' ? $arg : eval { $json->decode($body) };
    my @new = ref $given eq 'ARRAY' ? @$given : ($given);

    for my $rule (@new) {
        my $error = prepare_rule($rule);
        return reply($c, { error => $error }, 400) if $error;
    }

    # refuse and listen act now and are no rules for the requests to come
    @rules = grep { $_->{mode} !~ /^(?:refuse|listen)$/ } @new;
    $cold_done = 0;
    reply($c, shown_rules(@new));

    for my $rule (@new) {
        refuse($rule->{seconds}) if $rule->{mode} eq 'refuse';
        open_listener() if $rule->{mode} eq 'listen';
    }

    return;
}


sub shown_rules {
    my @shown;

    for my $rule (@_) {
        my @keys = grep { !/^_|_re$/ } keys %$rule;
        push @shown, { map { $_ => $rule->{$_} } @keys };
    }

    return \@shown;
}


sub control_received {
    my ($c, $arg) = @_;

    my $want = { c => $c, arg => $arg, n => $arg->{wait} // 0,
                 of => $arg->{answered} ? 'answered' : 'received' };

    return show_received($want, 200) if $total{$want->{of}} >= $want->{n};

    push @waiting, $want;

    after($arg->{timeout} // 5, sub {
        return if !grep { $_ == $want } @waiting;
        @waiting = grep { $_ != $want } @waiting;
        show_received($want, 504);
    });

    return;
}


sub wake_waiting {
    my @due = grep { $total{$_->{of}} >= $_->{n} } @waiting;

    return if !@due;
    @waiting = grep { $total{$_->{of}} < $_->{n} } @waiting;

    # what is in progress may still get its mode and answer in this turn
    after(0, sub { show_received($_, 200) for @due });

    return;
}


sub show_received {
    my ($want, $status) = @_;
    my $c = $want->{c};
    my $show = $want->{arg}{show} // 'requests';

    return if $c->{gone};

    if ($show eq 'count') {
        return reply($c, { count => $total{$want->{of}} }, $status);
    }

    if ($show eq 'bodies') {
        return respond($c, $status, "Content-Type: text/plain\r\n",
                       join '', map { "$_->{body}\n" } @received);
    }

    return respond($c, $status, "Content-Type: application/json\r\n",
        '[' . join(",\n", map { request_json($_) } @received) . "]\n");
}


sub reset_all {
    %total = map { $_ => 0 } qw(received answered connections not_published
        not_allowed bad_requests closed_by_client);
    (@received, @rules) = ();
    (%ids, %answers, %violations) = ();
    $generation++;
    $cold_done = 0;
    $in_progress = grep { $_->{request} } values %conn;
    $max_in_progress = $in_progress;

    return;
}


# now and max: requests in progress at once; duplicates: requests beyond the
# first of each id; taken: ids that 1C has taken; taken_twice: more than once

sub stats {
    my $taken = grep { $_->[1] } values %ids;
    my $twice = grep { ($_->[1] // 0) > 1 } values %ids;
    my $duplicates = 0;
    $duplicates += ($_->[0] // 1) - 1 for values %ids;

    return { %total, now => $in_progress, max => $max_in_progress,
             open => scalar(grep { !$_->{control} } values %conn),
             answers => \%answers, ids => scalar(keys %ids), taken => $taken,
             taken_twice => $twice, duplicates => $duplicates,
             violations => \%violations, listening => $listener ? 1 : 0 };
}

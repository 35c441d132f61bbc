#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Clients disconnect right after sending, over HTTP/1.1 and HTTP/2, also while
# Redis has not answered yet.  Their events are delivered.

use strict;
use warnings;

use FindBin ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Binary qw(nginx_has);
use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(connect_to request_text);

my $gw = Bitrix1C::Gateway->new(
    redis => 'timeout=5s',
    queue => 'concurrency 16; retry 500ms 500ms;',
)->start;

my $n = 0;


# one HTTP/2 request: literal headers, none of them compressed

sub h2_frame {
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1)
           . pack('CCN', $type, $flags, $stream) . $payload;
}


sub h2_text {
    my ($body, $open) = @_;
    my @fields = (':method' => 'POST', ':scheme' => 'http',
                  ':path' => '/bitrix/orders', ':authority' => 'localhost',
                  'content-type' => 'application/x-www-form-urlencoded');
    my $block = '';

    while (my ($name, $value) = splice @fields, 0, 2) {
        $block .= "\0" . pack 'C/a* C/a*', $name, $value;
    }

    return h2_frame(1, 4, 1, $block) . h2_frame(0, $open ? 0 : 1, 1, $body);
}


# sends and reads the settings: closing a socket with unread data would reset
# the connection before nginx reads the request

sub h2_connect {
    my ($port) = @_;
    my $sock = connect_to($port) or die "connect: $!";

    syswrite $sock, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . h2_frame(4, 0, 0, '');
    sysread $sock, my $greeting, 65_536;
    sleep 0.02;
    $sock->blocking(0);
    sysread $sock, $greeting, 65_536;

    return $sock;
}


sub send_and_leave {
    my ($version, $text, $how) = @_;
    my $sock = $version eq 'HTTP/2' ? h2_connect($gw->{h2_port})
                                    : connect_to($gw->{port});

    # nginx reads the request and the disconnect together, or one after the
    # other
    my @at_once = $how =~ /at once/ ? $gw->workers : ();
    kill 'STOP', @at_once;

    syswrite $sock, $text;
    sleep 0.05 if !@at_once;

    syswrite $sock, h2_frame(3, 0, 1, pack 'N', 8) if $how =~ /cancel/;
    setsockopt $sock, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
        if $how eq 'reset';
    close $sock;

    sleep 0.01 if @at_once;
    kill 'CONT', @at_once;

    return;
}


sub text_of {
    my ($version, $id) = @_;
    my $body = $gw->event_body(id => $id);

    return h2_text($body) if $version eq 'HTTP/2';
    return request_text(path => '/bitrix/orders', body => $body);
}


my %ways = ('HTTP/1.1' => ['close', 'close at once', 'reset'],
            'HTTP/2' => ['close', 'close at once', 'reset', 'cancel',
                         'cancel at once']);

if (!nginx_has('http_v2')) {
    note 'HTTP/1.1 alone: this nginx has no http_v2_module';
    delete $ways{'HTTP/2'};
}


sub leave_in_all_ways {
    my ($times) = @_;
    my %expect;

    $gw->onec_ask('reset');
    $gw->onec_mode({ delay => 0.1 });

    for my $version (sort keys %ways) {
        for my $how (@{ $ways{$version} }) {
            for (1 .. $times) {
                send_and_leave($version, text_of($version, ++$n), $how);
                $expect{$n} = "$version, $how";
            }
        }
    }

    return \%expect;
}


sub all_delivered {
    my ($what, $expect) = @_;
    my $count = keys %$expect;

    my %got = map { $_->{json}{entity}{id} => 1 }
              $gw->onec_received($count, 10, 1);

    is join('; ', map { $expect->{$_} } grep { !$got{$_} }
                  sort { $a <=> $b } keys %$expect), '',
        "$what: all $count events are delivered";
    is $gw->onec_stats->{duplicates}, 0, "$what: no event is delivered twice";
    ok $gw->drained(5), "$what: the queue is empty";

    return;
}


all_delivered('while 1C works', leave_in_all_ways(5));

# Redis hangs meanwhile, for less than its timeout

kill 'STOP', $gw->{redis_pid};
my $expect = leave_in_all_ways(2);
kill 'CONT', $gw->{redis_pid};
all_delivered('while Redis does not answer', $expect);

# half a body is no event, even if it can be parsed

$gw->onec_ask('reset');

my $whole = $gw->event_body(id => ++$n) . '&data%5BCOMMENT%5D=' . 'z' x 40;
my $half = substr $whole, 0, -20;
my %half = ('HTTP/1.1' => substr(request_text(path => '/bitrix/orders',
                                              body => $whole), 0, -20),
            'HTTP/2' => h2_text($half, 1));

for my $version (sort keys %ways) {
    send_and_leave($version, $half{$version}, $_) for @{ $ways{$version} };
}

is $gw->post(id => ++$n)->{result}, 'accepted', 'the gateway still works';
my @r = $gw->onec_received(2, 0.5);
is join(' ', map { $_->{json}{entity}{id} } @r), $n,
    'half a request is no event';
is $gw->workers, 1, 'the worker is still running';

# the kernel and nginx agree that no connection is open

my $open = connect_to($gw->{port});
ok wait_until(5, sub { $gw->connections == 1 }), 'an open connection is counted';
close $open;

my $status;
ok wait_until(5, sub {
    $status = $gw->stub_status;
    $status->{'Active connections'} == 1 && $gw->connections == 0;
}), 'no connection is left open';
is $status->{Reading} + $status->{Waiting}, 0,
    'nginx counts no connection as open';

$gw->finish;
done_testing;

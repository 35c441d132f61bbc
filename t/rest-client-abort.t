#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Callers disconnect at any point of their calls, nginx is reloaded while calls
# wait, workers are killed.  No resource leaks, and other callers are served.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Caller ();
use Bitrix1C::Gateway qw(wait_until);

my $gw = Bitrix1C::Caller->new(
    rest => 'bitrix1c_pace rate=5/s burst=4 max_wait=5s;',
    portal => ['--burst', 1000],
)->start;


# sends a call and returns the connection

sub begin {
    my ($what) = @_;
    my $sock = Bitrix1C::Http::connect_to($gw->{port});
    print {$sock} "GET /bitrix/$what HTTP/1.1\r\nHost: a\r\n"
                  . "Connection: close\r\n\r\n";
    $sock->flush;
    return $sock;
}


sub answer { my ($sock) = @_; local $/ = undef; return scalar <$sock> }


# while the portal is slow, while the answer streams, while the next try waits

$gw->portal_mode({ mode => 'slow', delay => 2 });
my $sock = begin('sale.order.get?id=1');
ok wait_until(5, sub { scalar $gw->portal_received }),
    'the portal gets the call';
close $sock;
ok wait_until(5, sub { $gw->slurp('access.log') =~ /" 499 /g }),
    'a caller disconnects before the answer';

$gw->portal_mode({ mode => 'big', size => 900_000 });
for (1 .. 3) {
    $sock = begin('sale.order.get?id=2');
    sysread $sock, my $some, 1000;
    close $sock;
}

$gw->portal_mode({ mode => 'limit' });
$sock = begin('sale.order.get?id=3');
my $n = $gw->portal_received;
ok wait_until(5, sub { $gw->portal_received > $n }),
    'a call over the limit is repeated';
close $sock;
ok wait_until(5, sub {
    (() = $gw->slurp('access.log') =~ /id=3 HTTP\S+ 499 /g) == 1;
}), 'its caller disconnects before the next try';
$n = $gw->portal_received;
sleep 2;
is scalar($gw->portal_received), $n, 'the next try is not made';
$gw->portal_mode();

# a reload while calls wait

my @waiting = map { begin("sale.order.get?id=$_") } 1 .. 10;
sleep 0.2;
my ($old) = $gw->workers;
$gw->reload;
is scalar(grep { answer($_) =~ /^HTTP\S+ 200 .*"result"/s } @waiting), 10,
    'the old worker makes the calls that wait';
ok wait_until(10, sub { !grep { $_ == $old } $gw->all_workers }),
    'the old worker exits then';
is $gw->rest_call('sale.order.get?id=3')->{status}, 200,
    'the new worker serves calls';

# a worker is killed while calls wait

@waiting = map { begin("sale.order.get?id=$_") } 1 .. 10;
sleep 0.2;
$gw->kill_worker;
close $_ for @waiting;
ok wait_until(10, sub { $gw->rest_call('sale.order.get?id=3')->{status}
                        == 200 }), 'other callers are served';

is_deeply [grep { /$_/ } ($gw->slurp('error.log') =~ /(\S+ leak|open socket)/g)],
    [], 'no connection is left open';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A 1C whose answer comes a byte at a time, or never ends: delivery_timeout and
# max_answer_size end the delivery, other events go on, the log tells that all
# slots are in use, and worker_shutdown_timeout ends such deliveries too.

use strict;
use warnings;

use FindBin ();
use IO::Select ();
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

use constant { TIMEOUT => 3, LATE => 2, SIZE => 1 << 20 };

my $listener = IO::Socket::INET->new(Listen => 100, LocalAddr => '127.0.0.1')
    or die "socket: $!";
my $port = $listener->sockport;

my $drip = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
my $chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
my $ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";


# a 1C that does what the name of the event says

sub serve {
    my $select = IO::Select->new($listener);
    my (%how, %out);
    local $SIG{PIPE} = 'IGNORE';

    while (1) {
        for my $s ($select->can_read(0.1)) {
            if ($s == $listener) {
                my $new = $listener->accept or next;
                $new->blocking(0);
                $select->add($new);
                next;
            }

            my $n = sysread $s, my $text, 65536;
            if (!$n) { $select->remove($s); delete $how{$s}; close $s; next }
            next if $text !~ /"event":"ON(\w+)"/;

            $how{$s} = $1;
            syswrite $s, $1 eq 'DRIP' ? $drip : $1 eq 'ENDLESS' ? $chunked
                         : $1 eq 'BADENDLESS' ? $chunked =~ s/200 OK/500 No/r
                         : $1 eq 'SILENT' ? '' : $ok;
            if ($how{$s} eq 'GOOD') { $select->remove($s); close $s }
        }

        for my $s (grep { $how{$_} } $select->handles) {
            syswrite $s, 'x' if $how{$s} eq 'DRIP';
            syswrite $s, "4000\r\n" . 'x' x 16384 . "\r\n" for
                $how{$s} =~ /ENDLESS/ ? 1 .. 8 : ();
        }
    }
}


my $pid = fork // die "fork: $!";
if (!$pid) { serve(); exit }

my $gw = Bitrix1C::Gateway->new(
    workers  => 1,
    main     => 'worker_shutdown_timeout 1s;',
    queue    => 'concurrency 2; retry 1h 1h; max_answer_size 1m;'
                . ' delivery_timeout ' . TIMEOUT . 's;',
    upstream => "server 127.0.0.1:$port;",
);
$gw->start_redis;
$gw->start_nginx;

my ($q, $h) = ('{b1c:orders}:q', '{b1c:orders}:h');
my $n = 0;


sub logged {
    my ($re) = @_;
    return scalar grep { /$re/ } split /\n/, $gw->slurp('error.log');
}


sub delivered {
    my ($id) = @_;
    return !defined $gw->redis('HGET', $h, "$id:m");
}

# a byte at a time, and no byte at all, in all slots: a good event waits

my $start = time;
my @slow = map { $gw->post(id => ++$n, event => $_)->{id} }
           qw(ONDRIP ONSILENT);
my $good = $gw->post(id => ++$n, event => 'ONGOOD')->{id};
sleep 0.5;
ok !delivered($good), 'all slots are in use';
ok wait_until(TIMEOUT + LATE, sub { delivered($good) }),
    'delivery_timeout frees them';
my $took = time - $start;
note sprintf 'after %.2f s', $took;
cmp_ok $took, '>=', TIMEOUT - 0.2, 'not before its time';
is logged(qr/\[warn\].*all 2 slots have been in use for \d+ ms/), 1,
    'the log says that all slots are in use';
ok wait_until(2, sub { $gw->reason($slow[1]) }), 'both have a reason';
like $gw->reason($_), qr/within delivery_timeout/, 'it says so' for @slow;
is((split / /, $gw->redis('HGET', $h, "$_:m"))[1], 1, 'it spent an attempt')
    for @slow;

# an answer that never ends: the status decides

my $endless = $gw->post(id => ++$n, event => 'ONENDLESS')->{id};
ok wait_until(2, sub { delivered($endless) }),
    'a 200 that never ends is delivered';
is logged(qr/\[warn\].*ONENDLESS.*larger than "max_answer_size"/), 1,
    'the log says that the connection is closed';
my $bad = $gw->post(id => ++$n, event => 'ONBADENDLESS')->{id};
ok wait_until(2, sub { $gw->reason($bad) }), 'a 500 that never ends has failed';
like $gw->reason($bad), qr/status 500/, 'the reason has the status';

# the limits of a reload

$gw->{queue} =~ s/delivery_timeout \S+/delivery_timeout 60s;/;
ok $gw->reload, 'a longer timeout';
my @old = $gw->workers;
my $id = $gw->post(id => ++$n, event => 'ONDRIP')->{id};
sleep 0.5;
$start = time;
$gw->{queue} =~ s/delivery_timeout \S+/delivery_timeout 50s;/;
ok $gw->reload, 'a reload while an answer drips';
ok wait_until(4, sub {
    my %now = map { $_ => 1 } $gw->all_workers;
    return !grep { $now{$_} } @old;
}), 'worker_shutdown_timeout ends the old worker';
is((split / /, $gw->redis('HGET', $h, "$id:m") // '')[1], 0,
    'no attempt is spent');

kill 'KILL', $pid;
waitpid $pid, 0;
$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis hangs while the API is used.  A client that waits is answered in time, a
# client that disconnects does no harm, and a worker that has to exit exits.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(api api_error change status_of LOCATION);
use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(connect_to request_text);

use constant { TIMEOUT => 1, MANY => 40 };

my $gw = Bitrix1C::Gateway->new(
    workers => 1,
    server  => LOCATION,
    redis   => 'timeout=' . TIMEOUT . 's',
    main    => 'worker_shutdown_timeout 5s;',
)->start;

my $id = 'a' x 32;
my @paths = ('status', 'metrics', 'dead?queue=orders',
             "dead/$id?queue=orders", 'export?queue=orders');
my @changes = ("dead/replay?queue=orders&id=$id",
               'dead/delete?queue=orders&all=1', 'queue/hold?queue=orders');


# one of the changes may have held the queue

sub works {
    return wait_until(8, sub {
        change($gw, 'queue/resume?queue=orders');
        return (status_of($gw)->{state} // '') eq 'ok';
    }, 0.1);
}


# opens connections, asks, and returns them

sub ask_all {
    return map {
        my $path = $_;
        my $sock = connect_to($gw->{port}) or die "connect: $!";
        my $change = grep { $path eq $_ } @changes;
        print {$sock} request_text(
            path => "/bitrix1c/$path", $change ? (body => '') : (),
            headers => { 'X-Bitrix1c' => 1, Connection => 'close' });
        $sock->flush;
        $sock;
    } @_;
}


ok works(), 'works';
my ($worker) = $gw->workers;
my $before = $gw->descriptors($worker);

# clients that disconnect before and after the answer is known

my @gone = ask_all((@paths, @changes) x 5);
close $_ for @gone;
kill 'STOP', $gw->{redis_pid};
@gone = ask_all((@paths, @changes) x 5);
sleep 0.2;
close $_ for @gone;
sleep 0.2;
kill 'CONT', $gw->{redis_pid};
ok works(), 'the gateway works after clients disconnected';

@gone = ask_all(@paths, @changes);
kill 'STOP', $gw->{redis_pid};
my @late = ask_all(@paths, @changes);
close $_ for @gone;
sleep TIMEOUT + 0.5;
close $_ for @late;
kill 'CONT', $gw->{redis_pid};
ok works(), 'it works after clients whose answer never came disconnected';

# clients that stay

kill 'STOP', $gw->{redis_pid};
my $start = time;
my @socks = ask_all((@paths, @changes) x (MANY / 8));
my %answers;

for my $sock (@socks) {
    my $text = do { local $/; <$sock> } // '';
    my ($status) = $text =~ m{\AHTTP/1.1 (\d+)};
    $answers{ $status // 'none' }++;
    like $text, qr/"code":"Unavailable"/, 'a sentence' if $status == 503;
}

my $took = time - $start;
note sprintf 'all answered within %.2f s', $took;
is_deeply \%answers, { 200 => 2 * MANY / 8, 503 => 6 * MANY / 8 },
    'status and metrics are answered, lists and changes are not';
cmp_ok $took, '<', TIMEOUT + 1, 'the answers come in time';

# while Redis hangs

$start = time;
is status_of($gw)->{state}, 'redis_down', 'status';
cmp_ok time - $start, '<', TIMEOUT + 1, 'the answers come in time';
kill 'CONT', $gw->{redis_pid};
ok works(), 'the gateway works again';
is scalar(grep { $_ == $worker } $gw->workers), 1, 'the worker is the same';
close $_ for @socks;
ok wait_until(3, sub { $gw->descriptors($worker) <= $before + 2 }),
    'no descriptor leaks';

# a body that comes late, and one that never does


for my $body ("x" x 100_000, '') {
    my $sock = connect_to($gw->{port});
    print {$sock} "POST /bitrix1c/queue/resume?queue=orders HTTP/1.1\r\n"
                . "Host: localhost\r\nX-Bitrix1c: 1\r\nContent-Length: 100000\r\n"
                . "Connection: close\r\n\r\n";
    $sock->flush;
    sleep 0.2;
    print {$sock} $body;
    $sock->flush;
    like scalar <$sock>, qr{^HTTP/1.1 200 }, 'a body is discarded';
    close $sock;
}

# the worker exits while requests wait, on SIGQUIT and SIGTERM

kill 'STOP', $gw->{redis_pid};
@socks = ask_all(@paths, @changes);
sleep 0.2;
kill 'HUP', $gw->{nginx_pid};
my @texts = map { do { local $/; <$_> } // '' } @socks;
is scalar(grep { m{\AHTTP/1.1 (?:200|503) } } @texts), 8,
    'reload: the waiting requests are answered';
kill 'CONT', $gw->{redis_pid};
ok wait_until(10, sub { !grep { $_ == $worker } $gw->all_workers }),
    'reload: the old worker exits';
ok works(), 'reload: the new worker works';

kill 'STOP', $gw->{redis_pid};
@socks = ask_all(@paths, @changes);
sleep 0.2;
is $gw->stop_nginx('TERM', 10), 0, 'nginx is stopped in a hurry';
kill 'CONT', $gw->{redis_pid};
$gw->start_nginx;
ok works(), 'nginx is started again';

$gw->finish;
done_testing;

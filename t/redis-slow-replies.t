#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis replies slowly, because the events are large and the line is slow; with
# more events than were requested; or not at all.

use strict;
use warnings;

use FindBin ();
use IO::Select ();
use IO::Socket::UNIX ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::FakeRedis ();
use Bitrix1C::Gateway qw(wait_until);

use constant { SIZE => 600_000, LINE => 300_000 };


# a line to Redis that carries LINE bytes of replies a second

sub slow_line {
    my ($path, $redis) = @_;
    my $listen = IO::Socket::UNIX->new(Local => $path, Listen => 8)
        or die "$path: $!\n";

    chmod 0777, $path;
    defined(my $pid = fork) or die "fork: $!\n";
    return $pid if $pid;

    my $parent = getppid;
    my $select = IO::Select->new($listen);
    my (%to, %slow);

    while (getppid == $parent) {
        for my $sock ($select->can_read(0.05)) {

            if ($sock == $listen) {
                my $client = $listen->accept or next;
                my $server = IO::Socket::UNIX->new(Peer => $redis) or next;
                @to{$client, $server} = ($server, $client);
                $slow{$server} = 1;
                $select->add($client, $server);
                next;
            }

            my $n = sysread $sock, my $bytes, $slow{$sock} ? LINE / 10 : 65_536;
            my $other = $to{$sock} or next;

            if ($n && syswrite $other, $bytes) {
                sleep $n / LINE if $slow{$sock};
                next;
            }

            $select->remove($sock, $other);
            delete @to{$sock, $other};
            close $_ for $sock, $other;
        }
    }

    POSIX::_exit(0);
}


# connections that were made

sub ready {
    my ($gw) = @_;
    my $n = () = $gw->slurp('error.log') =~ /Redis is (?:ready|back)/g;
    return $n;
}


my $gw = Bitrix1C::Gateway->new(
    redis => 'timeout=1s',
    queue => 'concurrency 4; retry 1s; hold on;',
    location => 'client_max_body_size 4m;',
);
$gw->start_redis;

my $line = slow_line("$gw->{dir}/line.sock", $gw->{socket});
$gw->{store} = "redis unix:$gw->{dir}/line.sock";

$gw->start_onec;
$gw->start_nginx;

is $gw->post(id => $_, fields => { A => 'x' x SIZE })->{result}, 'accepted',
    'a large event is taken' for 1 .. 2;

# two of them take four times the timeout of a command

$gw->{queue} = 'concurrency 4; retry 1s;';
ok $gw->reload, 'deliveries begin';
ok $gw->drained(12), 'the gateway waits for a slow reply';
unlike $gw->slurp('error.log'), qr/Redis is lost/, 'the connection stays open';

my $ids = $gw->onec_ids;
is join(' ', map { $_->{requests} } values %$ids), '1 1',
    'each event is delivered once';


# 200 events in reply to a claim of 4 at most

my @event = map { '$' . length($_) . "\r\n$_\r\n" }
            ('0' x 32, 1, 0, 'a' x 32, 'b' x 32, 0, 0, 0, 'x');
my $reply = join '', '*', 2 + 200 * @event, "\r\n:1000\r\n:0\r\n",
            (@event) x 200;

my $fake = Bitrix1C::FakeRedis->new($gw->{dir},
    { many => { replies => { EVALSHA => $reply } } });

$gw->{store} = 'redis ' . $fake->address('many');
ok $gw->reload, 'a Redis that returns too many events';
ok wait_until(10, sub { $gw->slurp('error.log') =~ /became a dead letter/ }),
    'its events are processed';

$gw->{store} = undef;
ok $gw->reload, 'back to the real Redis';
is $gw->post(id => 3)->{result}, 'accepted', 'the real Redis is used';

# Redis stores the result and hangs before it replies: the repeated command
# changes nothing, and no lease is lost

$gw->onec_ask('reset');
$gw->onec_mode({ delay => 0.7 });
my $id = $gw->post(id => 4)->{id};
$gw->onec_received(1, 5);
kill 'STOP', $gw->{redis_pid};
ok wait_until(10, sub { $gw->slurp('error.log') =~ /no reply in time/ }),
    'Redis hangs when the delivery ends';
my $ready = ready($gw);
kill 'CONT', $gw->{redis_pid};
ok $gw->drained(10), 'Redis has stored the result';
ok wait_until(10, sub { ready($gw) > $ready }), 'the gateway is back';
sleep 0.5;
unlike $gw->slurp('error.log'), qr/the lease of event \w+ ended before/,
    'no lost lease is logged';

$fake->stop;
kill 'KILL', $line;
waitpid $line, 0;

$gw->finish;
done_testing;

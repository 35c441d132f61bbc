#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The mark of a queue's layout in Redis: a queue that another version has stored
# in another layout is not touched, and goes on when that was mended.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(api change metrics status_of);
use Bitrix1C::Gateway qw(wait_until);

use constant { LAYOUT => 1, INTERVAL => 30 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    events => 'accept_mutex off;',
    server => Bitrix1C::Api::LOCATION,
    redis  => 'timeout=1s',
    queue  => 'concurrency 2; retry 1s 1s; hold on;',
    location => 'bitrix1c_key $bitrix1c_data_fields_n;',
);
my $mark = '{b1c:orders}:v';
my $other = '{b1c:other}:v';

$gw->{http} = "bitrix1c_queue other { redis unix:$gw->{socket} "
    . "@{[ $gw->redis_login ]}; spool $gw->{dir}/spool; }";
$gw->{server} .= ' location = /bitrix/other { bitrix1c_webhook other;'
    . " bitrix1c_token @{[ Bitrix1C::Gateway::TOKEN ]};"
    . ' proxy_pass http://onec/CompanyName/hs/exchange/; }';


sub lines {
    my ($re) = @_;
    my $n = () = $gw->slurp('error.log') =~ /$re/g;
    return $n;
}


sub refusals {
    return lines(qr/\[error\][^\n]*Redis\ is\ not\ used:\ queue\ "orders"\ has
                    \ layout\ 2,\ this\ version\ needs\ layout\ 1
                    \ \(drain[^\n]*UPGRADING\.md\)/x);
}


# all keys of the queue with their contents

sub dump_all {
    my @keys = sort @{ $gw->redis('KEYS', '{b1c:orders}:*') };
    return join "\n", map { "$_ " . unpack 'H*', $gw->redis('DUMP', $_) } @keys;
}


sub redis_state { return status_of($gw, $_[0])->{redis}{state} // '' }


# connections of nginx; those that are used have run a script

sub connections {
    return grep { /user=b1c/ && /cmd=eval/ }
           split /\n/, $gw->redis('CLIENT', 'LIST');
}


sub drop_connections {
    $gw->redis('CLIENT', 'KILL', 'USER', 'b1c');
    return;
}


$gw->start;
ok wait_until(5, sub { ($gw->redis('GET', $mark) // '') eq LAYOUT }),
    'a new queue gets the mark, before there is an event';
is $gw->redis('TTL', $mark), -1, 'which stays';
is $gw->redis('EXISTS', '{b1c:orders}:h'), 0, 'nothing else is there';

my @ids = map { $gw->post(id => 1, fields => { N => $_ })->{id} } 1 .. 3;
is scalar(grep { defined } @ids), 3, 'events wait, in one lane';

# another version: the queue is left alone

$gw->stop_nginx('QUIT', 10);
$gw->redis('SET', $mark, 2);
my $before = dump_all();

$gw->{queue} = 'concurrency 2; retry 1s 1s;';
$gw->write_configuration;
ok $gw->spawn_nginx, 'nginx starts';
ok wait_until(10, sub { refusals() == 2 }), 'each worker says why, once';
is redis_state('orders'), 'down', 'status: Redis is down';
like status_of($gw)->{redis}{error}, qr/has layout 2.*needs layout 1/,
    'status: and why';
is metrics($gw)->{'bitrix1c_redis_up{queue="orders"}'}, 0, 'so do the metrics';
is redis_state('other'), 'up', 'the other queue is in use';

is $gw->post(id => 2)->{status}, 503, 'an event is refused';
is change($gw, 'queue/hold?queue=orders')->{status}, 503, 'so is a change';
sleep 2.5;
is $gw->onec_stats->{requests} // 0, 0, 'nothing was delivered';
is dump_all(), $before, 'nothing was written';
is refusals(), 2, 'and nothing is said twice';

$gw->redis('SET', $mark, LAYOUT);
ok $gw->drained(10), 'mended: it goes on by itself';
is join(' ', map { $_->{json}{id} } $gw->onec_received(3, 5)), "@ids",
    'every event comes once, in order';
ok wait_until(10, sub { lines(qr/Redis is back/) == 2 }), 'which is told';

# a reconnection looks again, whatever Redis has forgotten

$gw->redis('SCRIPT', 'FLUSH');
$gw->redis('FLUSHALL');
drop_connections();
ok wait_until(5, sub { ($gw->redis('GET', $mark) // '') eq LAYOUT }),
    'a Redis that was emptied gets the mark at the next connection';
is $gw->post(id => 3)->{status}, 200, 'and is used';
ok $gw->drained(5), 'as before';

# a Redis that stores nothing cannot store the mark

$gw->redis('DEL', $mark, $other);
$gw->redis('CONFIG', 'SET', 'maxmemory', 1);
drop_connections();
ok wait_until(5, sub { connections() == 4 }),
    'a Redis without memory is connected to';
is redis_state('orders'), 'up', 'without the mark';
is $gw->redis('EXISTS', $mark), 0, 'which it refuses';
$gw->redis('CONFIG', 'SET', 'maxmemory', 0);
is $gw->post(id => 4)->{status}, 200, 'with memory it takes events';

# while connected: a mark that is missing, and one that is not ours

my $n = refusals();
$gw->redis('SET', $mark, 2);
ok wait_until(INTERVAL + 5, sub { refusals() >= $n + 2 }),
    'another version took the queue over: the connection is given up';
ok wait_until(INTERVAL + 5, sub { ($gw->redis('GET', $other) // '') eq LAYOUT }),
    'a mark that is missing is set again';
is $gw->post(id => 5)->{status}, 503, 'no event is taken';

# with a spool nobody is refused

$gw->redis('SET', $other, 'seven');
drop_connections();
ok wait_until(10, sub {
    lines(qr/queue "other" has layout seven, this version needs layout 1/) >= 2;
}), 'any other mark is refused';
$gw->onec_ask('reset');

my $answer = Bitrix1C::Http::http_request(
    port => $gw->{port}, path => '/bitrix/other', timeout => 30,
    body => $gw->event_body(id => 6));
is $answer->{status}, 200, 'an event is taken';
like $answer->{body}, qr/"result":"spooled"/, 'by the spool';
sleep 1.5;
is $gw->redis('ZCARD', '{b1c:other}:q'), 0, 'and stays there';
$gw->redis('SET', $other, LAYOUT);
is join(' ', map { $_->{json}{entity}{id} } $gw->onec_received(1, 10)), 6,
    'until the mark is ours';
$gw->redis('SET', $mark, LAYOUT);
ok wait_until(5, sub { redis_state('orders') eq 'up' }), 'all is well again';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# With wait=1 an event is answered 200 when a replica has stored it, and 503 if
# none has.  A lost replica does not delay queues that do not wait for it.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load);
use Bitrix1C::Nodes qw(start_node);
use Bitrix1C::Redis ();
use Bitrix1C::Scripts ();

my $gw = Bitrix1C::Gateway->new(
    redis => 'timeout=6s wait=1',
    queue => 'concurrency 4; retry 500ms 500ms 1s;',
    onec_args => ['--keep', 100_000],
);
my ($one, $two) = map { start_node($gw, $_) } qw(one two);
my $n = 0;

ok $two->replica_of($one), 'two follows one';
$one->be_seen;
$gw->{store} = 'redis ' . $one->address;

$gw->start_onec;
$gw->start_nginx;


sub lines {
    my ($re) = @_;
    my $count = () = $gw->slurp('error.log') =~ /$re/g;
    return $count;
}


my $short = qr/\[error\].*Redis has 0 of the 1 replicas that "wait" requires/;
my $again = qr/\[notice\].*Redis has the replicas that "wait" requires again/;

# the scripts are removed meanwhile: they are sent again, each time with a WAIT

my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 8, rate => 300, seconds => 1.5,
                      next => $gw->events(10_000));
for (1 .. 5) {
    select undef, undef, undef, 0.2;
    $one->cmd('SCRIPT', 'FLUSH');
}

my $result = finish_load($load);
is_deeply $result->{statuses}, { 200 => $result->{sent} },
    'events are accepted although the scripts are removed';
cmp_ok $gw->commandstats->{wait} // 0, '>', 0, 'WAIT is sent';
is lines($short), 0, 'no replica was missed';
ok $gw->drained(10), 'all are delivered';
is_deeply $gw->onec_stats->{answers}, { 200 => $result->{sent} },
    'each event is delivered once';

# a replica that has stopped

kill 'STOP', $two->{pid};
my $answer = $gw->post(id => ++$n);
is "$answer->{status} $answer->{result}", '503 unavailable',
    'an event that no replica has is refused';
cmp_ok $answer->{seconds}, '>', 1.6, 'the gateway waits for the replica';
cmp_ok $answer->{seconds}, '<', 5.6, 'it waits less than the timeout';
is lines($short), 1, 'the error log says so';
like $gw->slurp('error.log'),
    qr/refused script "accept": NOREPLICAS 0 of 1 replicas have it/,
    'the error log says why';

my $start = time;
is $gw->post(id => ++$n)->{status}, 503, 'one more' for 1 .. 4;
my $each = (time - $start) / 4;
note sprintf '%.0f ms each', 1000 * $each;
cmp_ok $each, '<', 1, 'later events do not wait for the lost replica';
is lines($short), 1, 'the loss is logged once';

# Redis has stored the events, and they are delivered when their leases end,
# although their senders got 503

kill 'CONT', $two->{pid};
ok wait_until(10, sub { $gw->post(id => ++$n)->{status} == 200 }),
    'the replica is back';
is lines($again), 1, 'the error log says so';
is lines($short), 1, 'each event is delivered once';

my $back = $n;
is $gw->post(id => ++$n)->{status}, 200, 'and more' for 1 .. 5;
ok wait_until(5, sub {
    my %got = map { ($_->{json}{entity}{id} // 0) => 1 } $gw->onec_received;
    return !grep { !$got{$_} } $back .. $n;
}), 'the stored events are delivered';

# an accept is repeated on another connection, because its result is unknown: an
# event that is already stored does not prove that a replica has it

sub accept_alone {
    my $redis = Bitrix1C::Redis->new(socket => $one->{socket});
    my $id = '1' x 32;
    my $key = '2' x 32;

    my $text = Bitrix1C::Scripts::text('accept.lua');

    $redis->cmd('EVAL', $text, 4, (map { "{b1c:alone}:$_" } qw(q h f k:)),
                15_000, "k:$key", "l:$key", "$id:m",
                $id, 1, 0, 0, "1 $key $key", 'record');
    return $redis->cmd('WAIT', 1, 300);
}

kill 'STOP', $two->{pid};
is accept_alone(), 0, 'no replica has the event';
is accept_alone(), 0, 'a repeated accept does not report a replica either';
kill 'CONT', $two->{pid};
ok wait_until(10, sub { accept_alone() == 1 }), 'the replica has the event now';
$one->cmd('DEL', map { "{b1c:alone}:$_" } qw(q h f));

# the connection breaks between a script and its WAIT

kill 'STOP', $two->{pid};
my $body = $gw->event_body(id => ++$n);
$load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                   connections => 4, rate => 40, seconds => 1.5,
                   next => $gw->events(20_000));
for (1 .. 6) {
    select undef, undef, undef, 0.2;
    $one->cmd('CLIENT', 'KILL', 'USER', 'b1c');
}
$result = finish_load($load);
is join(' ', sort keys %{ $result->{statuses} }), '503',
    'connections break: no event is accepted without a replica';
kill 'CONT', $two->{pid};
ok wait_until(10, sub { $gw->post(id => ++$n)->{status} == 200 }),
    'events are accepted again';

# permissions

$one->cmd('ACL', 'SETUSER', 'b1c', '-wait');
$answer = $gw->post(id => ++$n);
is $answer->{status}, 503, 'an event is refused if the user must not use WAIT';
like $gw->slurp('error.log'), qr/refused script "accept": NOPERM.*'?wait/i,
    'the error log says so';

$gw->finish;
$_->stop for $one, $two;
done_testing;

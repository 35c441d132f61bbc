#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# status, metrics and history show what happened, in every worker, also after a
# reload, after the death of a worker, and while Redis is down.

use strict;
use warnings;

use FindBin ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(api metrics status_of LOCATION);
use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(http_request);

my $gw = Bitrix1C::Gateway->new(
    workers  => 2,
    server   => LOCATION,
    redis    => 'timeout=2s',
    queue    => 'concurrency 2; rate 200r/s; retry 60s;',
    location => 'bitrix1c_events ON*;',
)->start;


sub counters {
    my $status = status_of($gw);
    my $c = $status->{counters};
    return join ' ', map { "$_ $c->{$_}" } grep { $c->{$_} } sort keys %$c;
}


sub raw {
    my (%opt) = @_;
    return http_request(port => $gw->{port}, path => '/bitrix/orders', %opt)
           ->{status};
}


# nothing happened yet; a worker that polls for due events uses the concurrency
# for a moment

my $answer;
wait_until(5, sub {
    $answer = api($gw, 'status');
    !$answer->{json}{queues}[0]{in_flight};
});
is $answer->{status}, 200, 'status';
is $answer->{headers}{$_->[0]}, $_->[1], "status: $_->[0]"
    for ['content-type', 'application/json; charset=utf-8'],
        ['cache-control', 'no-store'], ['x-content-type-options', 'nosniff'];
is $answer->{json}{version}, '0.2.0', 'status: version';
like $answer->{json}{nginx}, qr/^\d+\.\d+\.\d+$/, 'status: nginx';
cmp_ok abs($answer->{json}{time} - time), '<', 5, 'status: time';
ok scalar(grep { $_ == $answer->{json}{pid} } $gw->workers), 'status: pid';

my $s = $answer->{json}{queues}[0];
my ($since, $address) = delete @{ $s->{redis} }{qw(seconds address)};
cmp_ok $since, '<', 30, 'Redis has been up for a while';
is $address, "unix:$gw->{socket}", 'status has the address of Redis';

my @zeros = qw(accepted coalesced duplicate spooled ignored malformed forbidden
               refused unavailable received delivered retried dead lost replayed
               deleted dropped_dead spool_replayed spool_torn);
is_deeply $s, {
    name => 'orders', kind => 'events', state => 'ok',
    waiting => 0, due => 0, followers => 0,
    in_flight => 0, dead => 0, oldest_seconds => 0, concurrency => 2,
    slots_used => 0, rate => { limit => 200, delivered => 0, accepted => 0 },
    breaker => { state => 'closed', seconds => 0, failures => 0, paused => 0 },
    hold => { state => 'off', from => '', to => '', held => JSON::PP::false },
    redis => { state => 'up', error => '' },
    spool => { state => 'off', bytes => 0, max => 0 },
    last => undef, last_failure => undef,
    counters => { map { $_ => 0 } @zeros },
}, 'status of an idle queue' or diag explain $s;

# each result of a request

my $ts = int time;
is $gw->post(id => 1, ts => $ts)->{result}, 'accepted', 'accepted';
ok $gw->drained(5), 'the accepted events are delivered';
is $gw->post(id => 1, ts => $ts)->{result}, 'duplicate', 'duplicate';
is $gw->post(id => 1, event => 'FOO')->{result}, 'ignored', 'ignored';
is raw(body => 'a[=1'), 400, 'malformed';
is raw(body => 'event=ONX'), 403, 'forbidden';
is raw(body => '<x/>', headers => { 'Content-Type' => 'text/xml' }), 415,
    'another type';
is raw(method => 'PUT', body => ''), 405, 'another method';
is raw(body => 'a=' . 'x' x 2_000_000), 413, 'too large';
is raw(), 200, 'a GET is no event';

is counters(), 'accepted 1 delivered 1 duplicate 1 forbidden 1 ignored 1 '
             . 'malformed 1 received 8 refused 3', 'all results are counted';

$s = status_of($gw);
my $last = $s->{last};
cmp_ok abs(delete($last->{time}) - time), '<', 10, 'last: time';
cmp_ok delete($last->{seconds}), '<', 5, 'last: seconds';
is_deeply $last, { id => ($gw->onec_received)[0]{id}, status => 200,
                   event => 'ONSALEORDERNEW', verdict => 'delivered',
                   reason => '' }, 'last: the other fields';
is $s->{last_failure}, undef, 'no failure yet';

# concurrency, lanes, retries, dead letters

$gw->onec_mode({ delay => 2 });
$gw->post(id => $_) for 10, 11, 12;
$gw->post(id => 10, event => 'ONSALEORDERDELETE');
ok wait_until(3, sub { status_of($gw)->{in_flight} == 2 }), 'two in flight';
$s = status_of($gw);
is join(' ', @$s{qw(state waiting due followers slots_used)}), 'busy 2 1 1 2',
    'one event waits for the concurrency, one for its lane';
ok wait_until(3, sub { status_of($gw)->{oldest_seconds} > 0.3 }),
    'status has the age of the oldest event';
ok $gw->drained(15), 'they are delivered';

$gw->onec_mode({ mode => '500', match => '"id":"20"' },
               { mode => '422', match => '"id":"21"',
                 body => qq(no "x"\\ \x01 <script>alert(1)</script>) });
my $retried = $gw->post(id => 20)->{id};
ok wait_until(5, sub { counters() =~ / retried 1/ }), 'one event failed';
my $dead = $gw->post(id => 21)->{id};
ok wait_until(5, sub { counters() =~ /dead 1.* retried 1/ }),
    'one event became a dead letter';
$s = status_of($gw);
is join(' ', @$s{qw(waiting due dead)}), '1 0 1',
    'one event waits, none is due';
my ($failure) = grep { $_->{id} eq $dead } @$s{qw(last last_failure)};
is $failure->{verdict}, 'dead', 'the failure has its verdict';
like $failure->{reason}, qr/^1C refused the event, status 422: no "x"/,
    'the failure has its reason';

# the same in the format of Prometheus, from any worker

my $m = metrics($gw);


sub metric {
    my ($name, %more) = @_;
    my $labels = join ',', map { qq($_="$more{$_}") } sort keys %more;
    return $m->{"bitrix1c_$name\{queue=\"orders\"" . ($labels && ",$labels")
                . '}'};
}


is metric('events_total', result => $_->[0]), $_->[1], "events $_->[0]"
    for ['accepted', 7], ['ignored', 1], ['refused', 3], ['spooled', 0];
is metric('deliveries_total', result => $_->[0]), $_->[1], "$_->[0]"
    for ['delivered', 5], ['retried', 1], ['dead', 1], ['lost', 0];
is metric($_->[0]), $_->[1], $_->[0]
    for ['waiting', 1], ['due', 0], ['dead_letters', 1], ['in_flight', 0],
        ['concurrency', 2], ['redis_up', 1], ['held', 0], ['breaker_state', 0],
        ['spool_bytes', 0], ['answer_seconds_count', 14],
        ['delivery_seconds_count', 7], ['event_seconds_count', 5];
is metric('delivery_seconds_bucket', le => '+Inf'), 7, 'the last bucket';
cmp_ok metric('delivery_seconds_bucket', le => '1'), '<=', 4,
    'deliveries of two seconds are not in the bucket of one';
cmp_ok metric('delivery_seconds_sum'), '>', 5.9, 'the sum of delivery times';
cmp_ok metric('event_seconds_sum'), '>', 8, 'the sum of event times';
cmp_ok metric('delivery_seconds_bucket', le => '5'), '>=', 6, 'buckets grow';

my %pids;
ok wait_until(10, sub {
    my $status = api($gw, 'status')->{json};
    $pids{ $status->{pid} }
        = $status->{queues}[0]{counters}{received};
    return keys %pids == 2;
}), 'both workers answer' or diag explain \%pids;
is_deeply [values %pids], [14, 14], 'all workers report the same';

# history: full minutes only

my $h = api($gw, 'history')->{json};
is $h->{step}, 60, 'history: its step';
my $q = $h->{queues}{orders};
is scalar(@{ $q->{$_} }), 60, "history: $_"
    for qw(time accepted delivered failed dead waiting);
is $q->{time}[$_] - $q->{time}[$_ - 1], 60, 'history: minutes' for 1, 59;
cmp_ok $q->{time}[59], '<=', time - 60, 'history: the last one is over';
is $q->{accepted}[0], undef, 'history: nothing where nginx did not run';
is_deeply [keys %{ api($gw, 'history?queue=orders')->{json}{queues} }],
    ['orders'], 'history of one queue';

# counters survive workers

ok $gw->reload, 'reload';
my $before = counters();
like $before, qr/^accepted 7 dead 1 delivered 5 /, 'the counters are unchanged';
$gw->kill_worker;
ok wait_until(10, sub { $gw->workers == 2 }), 'a worker died';
is counters(), $before, 'the counters are unchanged';

# Redis is down

$gw->stop_redis('KILL');
ok wait_until(5, sub { (status_of($gw)->{state} // '') eq 'redis_down' }),
    'Redis is away';
$answer = api($gw, 'status');
is $answer->{status}, 200, 'status is answered without Redis';
$s = $answer->{json}{queues}[0];
is $s->{redis}{state}, 'down', 'status says that Redis is down';
isnt $s->{redis}{error}, '', 'and why: ' . $s->{redis}{error};
cmp_ok $s->{redis}{seconds}, '<', 20, 'status says for how long';
is_deeply [@$s{qw(waiting due followers dead oldest_seconds)}], [(undef) x 5],
    'values that only Redis has are null';
is $s->{counters}{accepted}, 7, 'the counters are still there';
is $gw->post(id => 30)->{status}, 503, 'an event is refused';
like counters(), qr/unavailable 1/, 'the refused event is counted';

$m = metrics($gw);
is metric('redis_up'), 0, 'metrics: Redis is away';
is metric('waiting'), undef, 'metrics: no depth';
is metric('events_total', result => 'unavailable'), 1, 'metrics: counters';

$gw->start_redis;

# each worker reconnects at its own time

ok wait_until(8, sub {
    my %seen;
    for (1 .. 20) {
        my $status = api($gw, 'status')->{json};
        $seen{ $status->{pid} } = $status->{queues}[0]{state};
    }
    return join(' ', values %seen) eq 'ok ok';
}, 0.2), 'Redis is back in every worker';
is status_of($gw)->{waiting}, 1, 'the number of waiting events is back';
is status_of($gw)->{redis}{error}, '', 'status shows no error';
is defined $gw->redis('ZSCORE', '{b1c:orders}:q', $retried), 1,
    'the failed event waits';

$gw->finish;
done_testing;

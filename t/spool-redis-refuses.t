#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis runs but does not store, or does not answer.  The spool stores the
# events, and each reaches 1C once when Redis stores again.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load percentile);

use constant TIMEOUT => 1;

my $gw = Bitrix1C::Gateway->new(
    workers   => 2,
    events    => 'accept_mutex off;',
    redis     => 'timeout=' . TIMEOUT . 's',
    location  => 'bitrix1c_wait 1s;',
    onec_args => ['--keep', 100_000],
);
my $spool = "$gw->{dir}/spool";
$gw->{queue} = "spool $spool; concurrency 4; retry 1s 1s;";
$gw->start;

my $n = 0;
my %ids;


sub post {
    my ($what, $result) = @_;
    my $answer = $gw->post(id => ++$n);

    is "$answer->{status} $answer->{result}", "200 $result", $what;
    $ids{$answer->{id} // ''} = $n;

    return $answer;
}


sub files {
    my @files = glob "$spool/*.spool";
    return @files;
}


# events of several connections, so that both workers have some

sub refused {
    my ($what, $re) = @_;
    my $before = () = $gw->slurp('error.log') =~ /\[error\]/g;

    cmp_ok post($what, 'spooled')->{seconds}, '<', TIMEOUT,
        "$what: answered at once despite bitrix1c_wait";
    post($what, 'spooled') for 1 .. 9;
    sleep 1.3;
    post("$what, still", 'spooled') for 1 .. 2;

    like $gw->slurp('error.log'), $re, "$what: the error log says why";
    my $lines = () = $gw->slurp('error.log') =~ /\[error\]/g;
    cmp_ok $lines - $before, '<=', 3,
        "$what: the log does not repeat it for each event";
    cmp_ok scalar(files()), '<=', 2, "$what: not every try makes a file";

    return;
}


sub back {
    my ($what) = @_;

    ok wait_until(10, sub { !files() }), "$what: the spool is drained";
    ok wait_until(5, sub { $gw->post(id => ++$n)->{result} eq 'accepted' }),
        "$what: events are stored in Redis again";
    ok $gw->drained(10), "$what: delivered";

    return;
}


post('at first', 'accepted');
ok $gw->drained(5), 'delivered';

$gw->redis('CONFIG', 'SET', 'maxmemory', 1);
refused('out of memory', qr/Redis refused script "accept": OOM/);
$gw->redis('CONFIG', 'SET', 'maxmemory', 0);
back('memory again');

$gw->redis('REPLICAOF', '127.0.0.1', 1);
refused('a replica', qr/READONLY/);
$gw->redis('REPLICAOF', 'NO', 'ONE');
back('a master again');

$gw->redis('CONFIG', 'SET', 'min-replicas-to-write', 1);
refused('too few replicas', qr/NOREPLICAS/);
$gw->redis('CONFIG', 'SET', 'min-replicas-to-write', 0);
back('enough of them');

my $stats = $gw->onec_stats;
is $stats->{duplicates}, 0, 'no event is delivered twice';

my $known = $gw->onec_ids;
is join(' ', grep { !$known->{$_} } keys %ids), '', 'no event is missing';

# Redis hangs: it may have stored what was sent, or may store it later; the
# queue is held, otherwise events that were leased for a worker would be
# delivered after 15 s

my $queue = $gw->{queue};
$gw->{location} = '';
$gw->{queue} .= ' hold on;';
ok $gw->reload, 'the queue is held, without bitrix1c_wait';
my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 16, rate => 200, seconds => 4,
                      next => $gw->events(100_000));
sleep 1;
kill 'STOP', $gw->{redis_pid};
sleep 2;
kill 'CONT', $gw->{redis_pid};

my $result = finish_load($load);
is_deeply $result->{statuses}, { 200 => $result->{sent} },
    "Redis hangs: all $result->{sent} are answered 200";
cmp_ok $result->{results}{spooled}, '>', 100, 'many of them are spooled';
note sprintf '%d spooled, slowest answer %.2f s, half within %.0f ms',
    $result->{results}{spooled}, percentile(100, @{ $result->{times} }),
    1000 * percentile(50, @{ $result->{times} });
cmp_ok percentile(100, @{ $result->{times} }), '<', 2 * TIMEOUT,
    'every answer comes within the timeout';
ok wait_until(10, sub { !files() }), 'the spool is drained';
is $gw->depth, $result->{sent}, 'each event is in Redis once';

$gw->{queue} = $queue;
ok $gw->reload, 'the queue is not held any more';
ok $gw->drained(15), 'delivered';

$known = $gw->onec_ids;
is scalar(grep { !$known->{$_} } values %{ $result->{ok} }), 0,
    '1C has all events, with the ids of the answers';
is $gw->onec_stats->{duplicates}, 0, 'no event is delivered twice';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis crashes under load and restarts.  Every sender is answered 200 within
# milliseconds, and every event reaches 1C once and in the order of its lane.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load percentile);
use Bitrix1C::Lanes qw(lane_requests lane_faults);

use constant { LIMIT => 8, LANES => 4, DOWN => 2 };

my $gw = Bitrix1C::Gateway->new(
    workers   => 2,
    events    => 'accept_mutex off;',
    redis     => 'timeout=2s',
    redis_args => ['--appendfsync', 'always'],
    location  => 'bitrix1c_key $bitrix1c_data_fields_n;',
    onec_args => ['--keep', 100_000],
);
my $spool = "$gw->{dir}/spool";
$gw->{queue} = "spool $spool max=32m; concurrency " . LIMIT
               . '; retry 100ms 1s 1s;';
$gw->start;

ok wait_until(5, sub {
    $gw->post(id => 900_000)->{result} eq 'accepted';
}), 'works';
is_deeply [files('spool')], [], 'no file exists while Redis works';
my @before = map { $gw->descriptors($_) } $gw->workers;


sub files {
    my ($suffix) = @_;
    my @files = glob "$spool/*.$suffix";
    return @files;
}


# one sender per lane, which posts the next event after the answer to the last
# one

my @loads;

for my $lane (1 .. LANES) {
    my $number = 0;
    push @loads, start_load(port => $gw->{port}, path => '/bitrix/orders',
        connections => 1, rate => 50, seconds => 2 + DOWN + 2,
        next => sub {
            my $n = "$lane-" . ++$number;
            return ($n, $gw->event_body(id => $lane, fields => { N => $n }));
        });
}

sleep 1.5;
$gw->stop_redis('KILL');
sleep DOWN;
cmp_ok scalar(files('spool')), '>', 0, 'the spool has files';
$gw->start_redis;

my @results = map { finish_load($_) } @loads;
my (%results, %statuses, @times);

for my $r (@results) {
    $statuses{$_} += $r->{statuses}{$_} for keys %{ $r->{statuses} };
    $results{$_} += $r->{results}{$_} for keys %{ $r->{results} };
    push @times, @{ $r->{times} };
}

is join(' ', keys %statuses), '200', 'every answer is 200';
is join(' ', sort keys %results), 'accepted spooled',
    'every event is accepted or spooled';
note "$results{accepted} accepted, $results{spooled} spooled, ",
    sprintf 'answers within %.0f ms, 99 %% within %.0f ms',
    map { 1000 * percentile($_, @times) } 100, 99;
cmp_ok $results{spooled}, '>', LANES * 50 * DOWN * 0.5,
    'many events are spooled';
cmp_ok $results{accepted}, '>', LANES * 50, 'many events are accepted';
cmp_ok percentile(90, @times), '<', 0.2,
    'nearly all are answered within milliseconds';
cmp_ok percentile(100, @times), '<', 2, 'no sender waits for the timeout';

ok wait_until(10, sub { !files('spool') }), 'the files are gone';
ok $gw->drained(30), 'the queue is empty';

my $lanes = lane_requests($gw);
my @faults;

for my $lane (1 .. LANES) {
    my $sent = $results[$lane - 1]{sent};
    push @faults, lane_faults({ 1 => $lanes->{$lane} }, 1, $sent);
}

is join("\n", @faults), '', 'all events reach 1C, in the order of their lanes';

my $stats = $gw->onec_stats;
cmp_ok $stats->{duplicates}, '<=', 2 * LIMIT,
    'only events in flight at the crash are delivered twice';

my @ids = map { values %{ $_->{ok} } } @results;
my $ids = $gw->onec_ids;
is scalar(grep { !$ids->{$_} } @ids), 0, 'they have the ids of the answers';

my $log = $gw->slurp('error.log');
my $began = () = $log =~ /events, they are written to the spool/g;
my $over = () = $log =~ /the spool is empty/g;
is $began, $over, 'one line says when spooling begins, one when it ends';

# the last worker to find Redis again may spool once more
cmp_ok $began, '<=', 3, 'spooling is not logged for each event';
unlike $log, qr/could not store/, 'no lost event is logged';

ok wait_until(5, sub {
    my @now = map { $gw->descriptors($_) } $gw->workers;
    return !grep { $now[$_] > $before[$_] + LIMIT } 0 .. 1;
}), 'no descriptor leaks';

is_deeply [map { s{.*/}{}r } glob "$spool/*"], ['orders.lock'],
    'the folder holds only the lock';

$gw->finish;
done_testing;

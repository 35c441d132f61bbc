#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis crashes under load and comes back: every sender is answered 200 within
# milliseconds, and everything reaches 1C once and in the order of its lane.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load percentile);
use Bitrix1C::Lanes qw(lane_requests lane_faults);

use constant { SLOTS => 8, LANES => 4, DOWN => 2 };

my $gw = Bitrix1C::Gateway->new(
    workers   => 2,
    events    => 'accept_mutex off;',
    redis     => 'timeout=2s',
    redis_args => ['--appendfsync', 'always'],
    location  => 'bitrix1c_key $bitrix1c_data_fields_n;',
    onec_args => ['--keep', 100_000],
);
my $spool = "$gw->{dir}/spool";
$gw->{queue} = "spool $spool max=32m; concurrency " . SLOTS
               . '; retry 100ms 1s 1s;';
$gw->start;

ok wait_until(5, sub {
    $gw->post(id => 900_000)->{result} eq 'accepted';
}), 'works';
is_deeply [files('spool')], [], 'no file while Redis is there';
my @before = map { $gw->descriptors($_) } $gw->workers;


sub files {
    my ($suffix) = @_;
    my @files = glob "$spool/*.$suffix";
    return @files;
}


# one sender a lane, who posts the next event when the last one was answered

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
cmp_ok scalar(files('spool')), '>', 0, 'there are files';
$gw->start_redis;

my @results = map { finish_load($_) } @loads;
my (%results, %statuses, @times);

for my $r (@results) {
    $statuses{$_} += $r->{statuses}{$_} for keys %{ $r->{statuses} };
    $results{$_} += $r->{results}{$_} for keys %{ $r->{results} };
    push @times, @{ $r->{times} };
}

is join(' ', keys %statuses), '200', 'every answer is 200';
is join(' ', sort keys %results), 'accepted spooled', 'accepted or spooled';
note "$results{accepted} accepted, $results{spooled} spooled, ",
    sprintf 'answers within %.0f ms, 99 %% within %.0f ms',
    map { 1000 * percentile($_, @times) } 100, 99;
cmp_ok $results{spooled}, '>', LANES * 50 * DOWN * 0.5, 'many were spooled';
cmp_ok $results{accepted}, '>', LANES * 50, 'and many were not';
cmp_ok percentile(90, @times), '<', 0.2, 'within milliseconds';
cmp_ok percentile(100, @times), '<', 2, 'nobody waited for the timeout';

ok wait_until(10, sub { !files('spool') }), 'the files are gone';
ok $gw->drained(30), 'nothing is left in the queue';

my $lanes = lane_requests($gw);
my @faults;

for my $lane (1 .. LANES) {
    my $sent = $results[$lane - 1]{sent};
    push @faults, lane_faults({ 1 => $lanes->{$lane} }, 1, $sent);
}

is join("\n", @faults), '', 'all came to 1C, in the order of their lanes';

my $stats = $gw->onec_stats;
cmp_ok $stats->{duplicates}, '<=', 2 * SLOTS,
    'twice only what was in flight when Redis crashed';

my @ids = map { values %{ $_->{ok} } } @results;
my $ids = $gw->onec_ids;
is scalar(grep { !$ids->{$_} } @ids), 0, 'under the ids that were answered';

my $log = $gw->slurp('error.log');
my $began = () = $log =~ /events go to the spool/g;
my $over = () = $log =~ /the spool is empty/g;
is $began, $over, 'a line when it began and one when it was over';

# the worker that is the last to find Redis again may begin once more
cmp_ok $began, '<=', 3, 'and not one an event';
unlike $log, qr/could not store/, 'none of an event that was lost';

ok wait_until(5, sub {
    my @now = map { $gw->descriptors($_) } $gw->workers;
    return !grep { $now[$_] > $before[$_] + SLOTS } 0 .. 1;
}), 'no descriptor is left open';

is_deeply [map { s{.*/}{}r } glob "$spool/*"], ['orders.lock'],
    'nothing but the lock is in the folder';

$gw->finish;
done_testing;

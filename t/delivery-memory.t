#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Memory, descriptors and connections do not grow with the number of delivered
# events, waiting events, failures or reloads.
#
# BITRIX1C_TEST_LEAK_EVENTS   events to deliver (40000, 100000 with sanitizers)

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load);
use Bitrix1C::Port qw(free_port);

use constant { WARM => 5_000, WAITING => 5_000, RELOADS => 10 };

my $next = 1;

# 1C is a server of the same nginx here, which is faster than the stand-in; the
# file "closed" decides what it answers

my $gw = Bitrix1C::Gateway->new(
    queue  => 'concurrency 32; retry 1h; window 1s;',
    redis  => 'timeout=20s',
    server => 'keepalive_requests 1000000;',
);
my $sink = free_port();
$gw->{http} = "server { listen 127.0.0.1:$sink; keepalive_requests 1000000;"
              . ' access_log off; location / { if (-f '
              . "$gw->{dir}/closed) { return 503; } return 200 '{}'; } }";
$gw->{upstream} = "server 127.0.0.1:$sink; keepalive 32;";
$gw->{location} = 'access_log off;';
$gw->start_redis;
$gw->{onec} = 'unused';
$gw->start_nginx;


sub post_events {
    my ($count) = @_;
    my $first = $next;
    $next += $count;

    my $result = finish_load(start_load(port => $gw->{port},
        path => '/bitrix/orders', connections => 32,
        next => $gw->events($first, $count)));

    is_deeply $result->{results}, { accepted => $count },
        "$count events accepted";
    note sprintf '%.0f a second', $count / $result->{elapsed};

    return;
}


sub worker {
    my ($pid) = $gw->workers;
    return $pid;
}


# an instrumented build delays the reuse of freed memory, and reports leaks
# itself

my $sanitized = do {
    open my $maps, '<', '/proc/' . worker() . '/maps' or die;
    grep { /libasan|libclang_rt/ } <$maps>;
} || $ENV{ASAN_OPTIONS};


sub flat {
    my ($what, $before, $after, $limit) = @_;
    note "$what: $before kB, then $after kB";
    return if $sanitized;
    cmp_ok $after - $before, '<=', $limit, "$what: memory is flat";
    return;
}


my $events = $ENV{BITRIX1C_TEST_LEAK_EVENTS}
             || ($sanitized ? 100_000 : 40_000);

post_events(WARM);
ok $gw->drained(20), 'delivered';
my $pid = worker();
my ($rss, $fds) = ($gw->rss($pid), $gw->descriptors($pid));

post_events($events);
ok $gw->drained(30), 'delivered';
is worker(), $pid, 'the same worker delivers them';
flat("$events events", $rss, $gw->rss($pid), 512);
is $gw->descriptors($pid), $fds, 'the worker loses no descriptor';

# events that wait are in Redis, not in nginx

open my $fh, '>', "$gw->{dir}/closed" or die;
close $fh;
$rss = $gw->rss($pid);
post_events(WAITING);
ok wait_until(20, sub { !$gw->redis('ZCOUNT', '{b1c:orders}:q', '-inf',
    (time + 600) . '000') }), 'all have failed once';
is $gw->depth, WAITING, 'all of them wait';
flat(WAITING . ' waiting events', $rss, $gw->rss($pid), 512);
unlink "$gw->{dir}/closed";

# reloads

my $master = $gw->{nginx_pid};
ok $gw->reload, 'a first reload';
post_events(500);
my ($master_rss, $master_fds) = ($gw->rss($master), $gw->descriptors($master));
$rss = $gw->rss(worker());

for my $reload (1 .. RELOADS) {
    $gw->reload or fail "reload $reload";
    post_events(500) if $reload % 5 == 0;
}

flat(RELOADS . ' reloads, worker', $rss, $gw->rss(worker()), 512);
flat(RELOADS . ' reloads, master', $master_rss, $gw->rss($master), 512);
is $gw->descriptors($master), $master_fds, 'the master loses no descriptor';

my $status;
ok wait_until(5, sub {
    $status = $gw->stub_status;
    $status->{Reading} == 0 && $status->{Writing} == 1;
}), 'no request but the status request is active';

# "Active" counts the kept connections to the sink, which is nginx itself
cmp_ok $status->{'Active connections'} - $status->{Waiting}, '<=', 1,
    'no connection is left behind';

$gw->finish;
done_testing;

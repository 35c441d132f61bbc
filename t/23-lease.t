#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A delivery that is slower than its lease: the lease is renewed as long as it
# runs, so that the event is delivered once.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

use constant { LEASE => 15, SLOW => 20 };

my $gw = Bitrix1C::Gateway->new(
    workers  => 2,
    queue    => 'concurrency 4; retry 1s;',
    location => 'proxy_read_timeout 60s;',
)->start;

$gw->onec_mode({ mode => 'ok', delay => SLOW });

my $start = time;
my $id = $gw->post(id => 1)->{id};
my ($least, $renewed, $last) = (LEASE, 0, 0);

ok wait_until(SLOW + 3, sub {
    my $end = $gw->redis('ZSCORE', '{b1c:orders}:q', $id);
    return 1 if !defined $end;

    my $left = $end / 1000 - time;
    $least = $left if $left < $least;
    $renewed++ if $last && $end > $last;
    $last = $end;

    return 0;
}, 0.1), 'it is delivered in the end';

note sprintf 'after %.1f s; the lease was renewed %d times, %.1f s were left'
    . ' at least', time - $start, $renewed, $least;
cmp_ok time - $start, '>=', SLOW, 'slowly';
cmp_ok $renewed, '>=', 1, 'the lease was renewed';
cmp_ok $least, '>', LEASE / 4, 'in good time';

my $stats = $gw->onec_stats;
is $stats->{received}, 1, 'delivered once';
is $stats->{closed_by_client}, 0, 'and not broken off';
is $gw->depth, 0, 'nothing is left';

$gw->finish;
done_testing;

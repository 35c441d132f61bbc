#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Deliveries take longer than their lease.  The worker renews the lease while
# the delivery runs, so each event is delivered once, even if Redis hangs when
# the lease has to be renewed.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

use constant { LEASE => 15, RENEWED => 5, SLOW => 20 };


sub slow_delivery {
    my $gw = Bitrix1C::Gateway->new(
        workers  => 2,
        redis    => 'timeout=1s',
        queue    => 'concurrency 4; retry 1s;',
        location => 'proxy_read_timeout 60s;',
    )->start;

    $gw->onec_mode({ mode => 'ok', delay => SLOW });

    return { gw => $gw, start => time, id => $gw->post(id => 1)->{id},
             least => LEASE, renewed => 0, last => 0 };
}


# reads the lease; true when the event is delivered

sub look {
    my ($slow) = @_;
    my $end = $slow->{gw}->redis('ZSCORE', '{b1c:orders}:q', $slow->{id});

    if (!defined $end) {
        $slow->{took} //= time - $slow->{start};
        return 1;
    }

    my $left = $end / 1000 - time;

    # the first event may have waited a moment for its lease

    $slow->{leased} ||= $left > RENEWED;
    return 0 if !$slow->{leased};

    $slow->{least} = $left if $left < $slow->{least};
    $slow->{renewed}++ if $slow->{last} && $end > $slow->{last};
    $slow->{last} = $end;

    return 0;
}


# Redis hangs when the first renewal is due, until its loss is noticed

sub hang {
    my ($slow, @others) = @_;
    my $gw = $slow->{gw};

    look($_) for $slow, @others;
    sleep $slow->{start} + RENEWED - 0.5 - time;
    kill 'STOP', $gw->{redis_pid};
    ok wait_until(10, sub { $gw->slurp('error.log') =~ /no reply in time/ }),
        'Redis hangs when the lease should be renewed';
    kill 'CONT', $gw->{redis_pid};

    my $mended = time;
    ok wait_until(10, sub { look($_) for $slow, @others; $slow->{renewed} }, 0.1),
        'the lease is renewed after all';

    return time - $mended;
}


my ($quiet, $hung) = (slow_delivery(), slow_delivery());
my $late = hang($hung, $quiet);

note sprintf 'renewed %.1f s after Redis was back', $late;
cmp_ok $late, '<', RENEWED * 0.7,
    'the renewal is repeated sooner after a failure';

ok wait_until(SLOW + 10, sub { look($quiet) + look($hung) == 2 }, 0.1),
    'both are delivered in the end';

for my $slow ($quiet, $hung) {
    my $gw = $slow->{gw};

    note sprintf 'after %.1f s; the lease was renewed %d times, %.1f s were'
        . ' left at least', @$slow{qw(took renewed least)};
    cmp_ok $slow->{took}, '>=', SLOW, 'slowly';
    cmp_ok $slow->{renewed}, '>=', 1, 'the lease was renewed';
    cmp_ok $slow->{least}, '>', 0, 'it is renewed before it ends';

    my $stats = $gw->onec_stats;
    is $stats->{received}, 1, 'delivered once';
    is $stats->{closed_by_client}, 0, 'it is not aborted';
    is $gw->depth, 0, 'the queue is empty';

    $gw->finish;
}

done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A short run of "make torture".  Under load nginx, Redis and the network
# between them fail at random.  No promised event is lost, delivered out of
# order or done twice.
#
# BITRIX1C_TEST_SEED     seed of it
# BITRIX1C_TEST_SECONDS  for how long each row goes on at least (4)

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(seed);
use Bitrix1C::Torture qw(start_row finish_row bad_row wrong_with);

my @names = ('kill -9 of nginx as a whole', 'half-open connections',
             'failover to a replica that was frozen', 'torn tail of the spool',
             'portal commits, then closes');

my $seed = seed();
my $seconds = $ENV{BITRIX1C_TEST_SECONDS} || 4;

# they mostly wait until leases end

my @rows = map { start_row(name => $_, seed => $seed, seconds => $seconds,
                           rate => 200) } @names;

for my $r (map { finish_row($_) } @rows) {

    if ($r->{missing}) {
        diag "$r->{name}: not tried, $r->{missing}";
        next;
    }

    is bad_row($r), '', "$r->{name}: nothing lost, nothing out of order"
        or diag join "\n", "BITRIX1C_TEST_SEED=$seed",
                map { @$_ } wrong_with($r);
    cmp_ok $r->{promised}, '>', 100, "$r->{name}: under load";
    cmp_ok $r->{calls}{promised}, '>', 25, "$r->{name}: under load of calls";
    note "$r->{name}: $r->{cycles} times, $r->{events} events,"
        . " $r->{duplicates} duplicates, $r->{unavailable} answered 503,"
        . " $r->{calls}{posted} calls";
}

done_testing;

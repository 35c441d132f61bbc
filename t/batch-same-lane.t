#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# One call of accept.lua stores several events of one lane.  A value that
# coalesces must not overtake another event that joined the lane in the same
# call.
#
# BITRIX1C_TEST_SCRIPTS  another folder of scripts (redis/)

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Model ();
use Bitrix1C::Scripts ();

use constant LEASE => 1_000;

my $scripts = Bitrix1C::Scripts->new;
my $serial = 0;


# a call that writes $value to what $key names

sub value {
    my ($key, $lane, $value) = @_;
    return { id => md5_hex($serial++), key => md5_hex($key),
             lane => md5_hex("lane $lane"), once => 0, lease => 0,
             since => Bitrix1C::Model::CALL, record => $value };
}


sub waiting {
    my ($lane) = @_;
    my $state = $scripts->state;
    $lane = md5_hex("lane $lane");

    return join ' ', map { $state->{h}{$_} }
                     $state->{h}{"l:$lane"} =~ /^(\w+)/,
                     @{ $state->{f}{$lane} // [] };
}


$scripts->accept(LEASE, value('head', 1, 'head'));
$scripts->accept(LEASE, value('stock', 1, 'stock=1'));

my @together = (value('price', 1, 'price=2'), value('stock', 2, 'stock=3'));
is_deeply $scripts->accept(LEASE, @together), [0, "c$together[1]{id}"],
    'an event that must not be coalesced is stored';
is waiting(1), 'head stock=1 price=2', 'the older value stays in its place';
is waiting(2), 'stock=3', 'the newer value is in its own lane';

# the same with values that arrive one after the other in one lane

is_deeply $scripts->accept(LEASE, value('price', 1, 'price=4')),
    ["c$together[0]{id}"], 'the last of its lane takes the newer value';
is waiting(1), 'head stock=1 price=4', 'the newer value takes its place';

$scripts->finish;
done_testing;

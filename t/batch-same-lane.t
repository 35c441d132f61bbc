#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Events that one accept stores together know of each other: a value that
# coalesces must not pass one that joined the same lane in that very call.
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
    'what may not be coalesced is stored';
is waiting(1), 'head stock=1 price=2', 'the older value stays in its place';
is waiting(2), 'stock=3', 'and the newer one in its own lane';

# the same of values that come one after the other in one lane

is_deeply $scripts->accept(LEASE, value('price', 1, 'price=4')),
    ["c$together[0]{id}"], 'the last of its lane takes the newer value';
is waiting(1), 'head stock=1 price=4', 'in its place';

$scripts->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Calls of one entity keep their order, also those of bitrix1c_coalesce, and a
# replayed dead letter does not overwrite a newer value.  The event of a write
# that failed is not taken for an echo, and a result that is too large for its
# location is cut.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(change);
use Bitrix1C::Calls ();
use Bitrix1C::Gateway qw(wait_until);

my $row = 'catalog.storeproduct.update';

my $gw = Bitrix1C::Calls->new(
    server => Bitrix1C::Api::LOCATION,
    kept => 'concurrency 1; retry 1s;',
    rest => 'bitrix1c_async *; bitrix1c_coalesce crm.deal.update id;'
            . " bitrix1c_coalesce $row productId,storeId;"
            . ' bitrix1c_callback /bitrix/orders;',
    methods => '*',
    location => 'client_max_body_size 4k;',
)->start;


sub deal { return { id => 7, fields => { TITLE => $_[0] } } }

# update, another call, update

my $from = $gw->portal_received;
$gw->portal_mode({ mode => 'slow', delay => 0.7, times => 1 });
$gw->keep('sale.order.get', { id => 1 });
$gw->portal_received($from + 1, 10);
$gw->keep('crm.deal.update', deal('a'));
$gw->keep('crm.deal.delete', { id => 7 });
my $last = $gw->keep('crm.deal.update', deal('b'));
my $next = $gw->keep('crm.deal.update', deal('c'));
is $next, $last, 'the last value of a lane takes a newer one';
ok wait_until(10, sub { $gw->portal_received >= $from + 3 }), 'they are sent';

my @order = map { $_->{rest} eq 'batch'
                      ? map { "$_->{method} " . ($_->{query} =~ /TITLE[^=]*=(.)/
                              ? $1 : '') } @{ $_->{commands} }
                      : "$_->{rest} " . ($_->{body} =~ /"TITLE":"(.)/ ? $1 : '') }
            ($gw->portal_received)[$from + 1 .. $from + 2];
is_deeply [@order], ['crm.deal.update a', 'crm.deal.delete '],
    'the newer update waits behind the other call of its deal'
    or diag explain \@order;

# a dead letter of a row, and a newer value that is done

$gw->portal_mode({ mode => 'error', times => 1, method => 'storeproduct' });
my $old = $gw->keep($row, { productId => 5, storeId => 1, amount => 1 });
is $gw->becomes($old, 'dead')->{state}, 'dead', 'an old value is dead';
my $new = $gw->keep($row, { productId => 5, storeId => 1, amount => 2 });
is $gw->becomes($new, 'done')->{state}, 'done', 'a newer one is done';
is change($gw, "dead/replay?queue=portal&id=$old")->{status}, 409,
    'the old value is not replayed';
is change($gw, 'dead/replay?queue=portal&all=1')->{json}{replayed}, 0,
    'nor among all';
like $gw->asked($old)->{reason}, qr/a newer value of its row/, 'the reason';

$gw->portal_mode({ mode => 'error', times => 1, method => 'storeproduct' });
$old = $gw->keep($row, { productId => 6, storeId => 1, amount => 1 });
$gw->becomes($old, 'dead');
is change($gw, "dead/replay?queue=portal&id=$old")->{json}{replayed}, 1,
    'a value that is the newest is replayed';
is $gw->becomes($old, 'done')->{state}, 'done', 'and done';

# a result that is larger than its location allows

my $large = $gw->keep('crm.deal.list', {});
$gw->becomes($large, 'done');
ok wait_until(15, sub { $gw->told->{$large} }), '1C gets a large result'
    and is_deeply $gw->told->{$large}[0]{answer},
                  { too_large => JSON::PP::true() }, 'its answer is cut';

$gw->finish;
done_testing;

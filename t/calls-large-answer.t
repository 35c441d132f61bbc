#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# An answer that is too large to hold is judged all the same: its calls are done
# or dead as Bitrix says, and their results are "too_large".

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Calls ();

my $gw = Bitrix1C::Calls->new(
    kept => 'concurrency 1; retry 1s;',
    rest => 'bitrix1c_async *; bitrix1c_idempotent none;',
    portal => ['--default-cost', 0.01], methods => '*',
)->start;

# crm.deal.add tells no large answer, so reads that must not be repeated

$gw->portal_mode({ mode => 'big', size => 5_000_000, times => 1 });
my $one = $gw->keep('crm.deal.get', { id => 1 });
is_deeply $gw->becomes($one, 'done')->{answer},
    { status => 200, result => undef, too_large => JSON::PP::true() },
    'a call with an answer of 5 MB is done';

$gw->portal_call('crm.deal.update', { id => $_,
    fields => { TITLE => 'x' x 400_000 } }) for 1 .. 15;

my $from = $gw->portal_received;
$gw->portal_mode({ mode => 'slow', delay => 0.7, times => 1 });
$gw->keep('sale.order.get', { id => 1 });
$gw->portal_received($from + 1, 10);
my @ids = map { $gw->keep('crm.deal.get', { id => $_ }) } 1 .. 15;
my $bad = $gw->keep('crm.deal.get', { id => 99999 });

is_deeply [map { $gw->becomes($_, 'done')->{state} } @ids], [('done') x 15],
    'calls of a batch with an answer of 6 MB are done';
is $gw->asked($ids[3])->{answer}{too_large}, JSON::PP::true(),
    'a result is too large';
is $gw->becomes($bad, 'dead')->{state}, 'dead', 'the one that failed is dead';
is_deeply [$gw->batches($from + 1)], [[16], 0], 'it was one batch';

$gw->portal_mode({ mode => 'truncated', times => 1 });
my $cut = $gw->keep('crm.deal.add', { fields => { TITLE => 'c' } });
like $gw->becomes($cut, 'dead')->{reason}, qr/outcome unknown/,
    'an answer that was cut off is still unknown';

$gw->finish;
done_testing;

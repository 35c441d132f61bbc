#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A batch that Bitrix refuses, as a whole or in one command, costs its calls
# nothing; a method without a right waits for it; a batch is as large as its
# time allows.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Calls ();
use Bitrix1C::Gateway qw(wait_until);

my $gw = Bitrix1C::Calls->new(
    kept => 'concurrency 1; retry 1s;',
    rest => 'bitrix1c_async *; bitrix1c_batch max=20 time=30s;',
    methods => '*',
    log_ok => [qr/lacks the right|until the webhook has the right/,
               qr/commands of the batch/],
)->start;


sub deals { return map { ['crm.deal.update',
                          { id => $_, fields => { TITLE => "t$_" } }] } @_ }

# keeps calls while another one is answered; returns their ids and the number
# of the first request after that one

sub together {
    my (@calls) = @_;
    my $from = $gw->portal_received;

    $gw->portal_mode({ mode => 'slow', delay => 0.7, times => 1 });
    $gw->keep('sale.order.get', { id => 1 });
    $gw->portal_received($from + 1, 10);

    return ($from + 1, map { $gw->keep(@$_) } @calls);
}

# one command that must not be in a batch

my ($from, @ids) = together(deals(1 .. 4));
$gw->portal_mode({ mode => 'nested', inside => 1, times => 1,
                   method => 'crm\.deal\.update' });
is_deeply [map { $gw->becomes($_, 'done')->{state} } @ids], [('done') x 4],
    'a command that is not allowed in a batch is done';
is_deeply [map { $_->{attempts} } map { $gw->asked($_) } @ids], [(0) x 4],
    'no attempt is spent';
is_deeply [$gw->batches($from)], [[4], 1], 'that call is sent again alone';

# the whole batch

$gw->portal_mode();
($from, @ids) = together(deals(5 .. 8));
$gw->portal_mode({ mode => 'absent', method => '^batch$', times => 1 });
is_deeply [map { $gw->becomes($_, 'done')->{state} } @ids], [('done') x 4],
    'calls of a batch that is refused are done';
is_deeply [map { $_->{attempts} } map { $gw->asked($_) } @ids], [(0) x 4],
    'no attempt is spent';
is_deeply [$gw->batches($from)], [[4], 4], 'they are sent alone';

# a batch of the caller with a command that fails

$gw->portal_mode();
my $own = $gw->keep('batch', { cmd => ['crm.deal.get?id=1',
                                       'crm.deal.get?id=999999'] });
my $got = $gw->becomes($own, 'done');
is $got->{answer}{failed}, 1, 'a kept batch tells that a command failed';
$own = $gw->keep('batch', { cmd => ['crm.deal.get?id=1'] });
is $gw->becomes($own, 'done')->{answer}{failed}, undef, 'or that none did';

# the number of commands

($from, @ids) = together(deals(1 .. 45));
$gw->becomes($_, 'done') for @ids;
my ($sizes) = $gw->batches($from);
is_deeply [grep { $_ > 20 } @$sizes], [], "no batch is larger than max: @$sizes";

# their time

$gw->portal_set(cost => { 'crm.deal.update' => 6 });
($from, @ids) = together(deals(1));
$gw->becomes($_, 'done') for @ids;
($from, @ids) = together(deals(1 .. 15));
$gw->becomes($_, 'done') for @ids;
($sizes) = $gw->batches($from);
is_deeply [grep { $_ > 5 } @$sizes], [], "30 s are 5 commands: @$sizes";
$gw->portal_set(cost => {});

# a right that the webhook lacks

for my $what (['scope', scope => ['sale', 'catalog'], ['sale', 'catalog', 'crm']],
              ['method', without => ['crm.deal.update'], []])
{
    my ($name, $set, $bad, $good) = @$what;

    $gw->portal_set($set => $bad);
    ($from, @ids) = together(deals(10, 11),
        ['sale.order.update', { id => 3, fields => { comments => $name } }]);
    is $gw->becomes($ids[2], 'done')->{state}, 'done',
        "$name: another method is done";
    ok wait_until(10, sub { $gw->asked($ids[0])->{reason} ne '' }),
        "$name: a call has a reason";
    $got = $gw->asked($ids[0]);
    like $got->{reason}, qr/lacks the right "crm"/, "$name: it names the right";
    is $got->{state}, 'waiting', "$name: it waits" or diag explain $got;

    $gw->portal_set($set => $good);
    is_deeply [map { $gw->becomes($_, 'done', 20)->{state} } @ids],
        [('done') x 3], "$name: all are done when the right is given";
    is $gw->asked($ids[0])->{attempts}, 0, "$name: no attempt is spent";
}

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Kept calls lose their leases while their request waits behind a slow one.
# Another worker owns them by then, so the request leaves them out.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Calls ();
use Bitrix1C::Gateway qw(wait_until);

use constant { RENEWED => 5, SLOW => 9 };

my $entity = 0;    # its lane is held as long as a lease is another's
my $gw = Bitrix1C::Calls->new(
    kept => 'concurrency 1; retry 1s 1s;',
    rest => 'bitrix1c_async crm.deal.update sale.order.update batch;',
)->start;


sub deal {
    my ($id, $title) = @_;
    return $gw->keep('crm.deal.update',
                     { id => $id, fields => { TITLE => $title } });
}


sub written {
    my ($title) = @_;
    return scalar grep { ($_->{set}{TITLE} // '') eq $title }
                  $gw->portal_writes;
}


# another worker has claimed it: its epoch and its lease are newer

sub lose {
    my ($id) = @_;
    my ($q, $h) = map { "{b1c:portal}:$_" } qw(q h);
    my $meta = $gw->redis('HGET', $h, "$id:m");

    $meta =~ s/^(\d+)/$1 + 1/e;
    $gw->redis('HSET', $h, "$id:m", $meta);
    $gw->redis('ZADD', $q, 4e12, $id);

    return;
}


# a call uses the whole concurrency, so that the calls behind it are claimed
# together; of these a batch is sent first, slowly, as a request of its own

sub taken_together {
    my (@titles) = @_;

    $gw->portal_mode({ mode => 'slow', delay => 1, times => 1 },
                     { mode => 'slow', delay => SLOW, times => 1 });
    my $n = $gw->portal_received;
    $gw->keep('sale.order.update', { id => 1, fields => {} });
    $gw->portal_received($n + 1, 10);

    $gw->keep('batch', { cmd => { a => 'sale.order.get?id=1' } });
    my @ids = map { deal(++$entity, $_) } @titles;
    $gw->portal_received($n + 2, 10);
    is $gw->asked($ids[-1])->{state}, 'in_flight', 'a request waits';

    return @ids;
}


sub lost_lines {
    my $count = () = $gw->slurp('error.log') =~ /was lost, its delivery/g;
    return $count;
}


my ($lost, $kept) = taken_together('lost', 'kept');
lose($lost);
ok wait_until(RENEWED + 3, sub { lost_lines() == 1 }),
    'the lease of one of its calls is lost';
is $gw->becomes($kept, 'done')->{state}, 'done',
    'the other call of the batch is done';
is written('kept'), 1, 'the other call is written';
is written('lost'), 0, 'the call that lost its lease is not written';

my @all = taken_together('one', 'two');
lose($_) for @all;
ok wait_until(RENEWED + 3, sub { lost_lines() == 3 }),
    'the leases of all its calls are lost';
my $after = deal(++$entity, 'after');
is $gw->becomes($after, 'done', 20)->{state}, 'done',
    'the calls behind it are done';
is written($_), 0, 'it is not sent' for 'one', 'two';

$gw->finish;
done_testing;

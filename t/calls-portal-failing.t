#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Kept calls of 1C when the portal fails: what may have been done is not done
# again unless that does no harm, what was not done is, and whatever is about
# the portal spends no attempt of a call.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(status_of);
use Bitrix1C::Calls ();
use Bitrix1C::Gateway qw(wait_until);

my $gw = Bitrix1C::Calls->new(
    workers => 2, events => 'accept_mutex off;',
    server => Bitrix1C::Api::LOCATION,
    kept => 'concurrency 1; retry 400ms 400ms; breaker failures=3 pause=500ms;',
    rest => 'bitrix1c_async crm.deal.* catalog.storeproduct.update;'
            . ' bitrix1c_callback /bitrix/orders; proxy_read_timeout 1s;',
)->start;

# so that each test is judged by itself
my $serial = 0;

sub add { return $gw->keep('crm.deal.add',
                           { fields => { TITLE => 'n' . ++$serial } }) }
sub update { return $gw->keep('crm.deal.update',
                              { id => $_[0] // ++$serial,
                                fields => { TITLE => 'n' . ++$serial } }) }
sub written { my ($n) = @_; return scalar grep {
                  ($_->{set}{TITLE} // '') eq "n$n" } $gw->portal_writes }
# whether it waits with this reason and no attempt was spent
sub spared {
    my ($id, $reason) = @_;
    my $got;
    wait_until(10, sub { ($got = $gw->asked($id))->{reason} =~ $reason });
    return like "$got->{attempts} $got->{reason}", qr/^0 .*$reason/,
        'it spends no attempt';
}

sub requests { return scalar $gw->portal_received }
sub logged { return scalar(() = $gw->slurp('error.log') =~ /$_[0]/g) }


# a breaker that opened closes by a call that succeeds

sub well {
    $gw->portal_mode();
    my $id = $gw->keep('crm.deal.get', { id => 1 });
    is $gw->becomes($id, 'done')->{state}, 'done', 'it goes on';
    return;
}

# done, but nobody knows

for my $mode (qw(commit-close truncated html commit-hang)) {
    $gw->portal_mode({ mode => $mode, times => 1 });
    my $id = add();
    my $got = $gw->becomes($id, 'dead');
    is $got->{state}, 'dead', "$mode: an addition is not repeated";
    like $got->{reason}, qr/outcome unknown/, 'says why';
    is written($serial), $mode eq 'html' ? 0 : 1, 'written at most once';
    well();
}

$gw->portal_mode({ mode => 'commit-close', times => 1 });
my $id = update();
my $got = $gw->becomes($id, 'done');
is $got->{state}, 'done', 'an update is repeated';
is written($serial), 2, 'since that does no harm';

# nothing of it was sent

$gw->portal_mode({ mode => 'refuse' });
$id = add();
ok wait_until(10, sub { $gw->asked($id)->{attempts} == 1 }), 'refused';
$gw->portal_mode({ mode => 'listen' });
is $gw->becomes($id, 'done')->{state}, 'done',
    'what was never sent is sent again';
is written($serial), 1, 'and done once';

# the same in a batch: each call by itself

sub busy {
    my $before = requests();
    $gw->portal_mode({ mode => 'slow', delay => 0.7, times => 1 }, @_);
    $gw->prefer('sale.order.get', { id => 9 });
    $gw->portal_received($before + 1, 10);
    return;
}

busy({ mode => 'commit-close', times => 1 });
my @batch = (add(), update(), add());
is_deeply [map { $gw->becomes($batch[$_], $_ == 1 ? 'done' : 'dead')->{state} }
           0 .. 2], [qw(dead done dead)], 'a batch whose answer was lost';
well();

# a batch that is refused as a whole was not carried out

busy({ mode => 'scope', method => '^batch$', times => 1 });
@batch = (add(), add());
is_deeply [map { $gw->becomes($_, 'done')->{state} } @batch],
    [qw(done done)], 'a batch that was refused goes again';

# over the limit

$gw->portal_mode({ mode => 'limit', times => 1 });
$id = add();
spared($id, qr/fewer requests.*QUERY_LIMIT_EXCEEDED/);
is $gw->becomes($id, 'done')->{state}, 'done', 'over the limit, it goes again';
is written($serial), 1, 'and is done once';

# the time of one method

$gw->portal_set(spend => { 'crm.deal.update' => 479.99 }, scale => 600,
                cost => { 'crm.deal.update' => 1 });
my @used = map { update() } 1 .. 2;
ok wait_until(15, sub {
    grep { $gw->asked($_)->{reason} =~ /OPERATION|used up its time/ } @used;
}), 'a method has used up its time' or diag explain [map { $gw->asked($_) }
                                                     @used];
is $gw->becomes(add(), 'done')->{state}, 'done', 'others go on';
is_deeply [map { $gw->becomes($_, 'done', 20)->{state} } @used],
    ['done', 'done'], 'and it does when its time has come';
$gw->portal_set(scale => 1, cost => { 'crm.deal.update' => 0.03 });

busy({ mode => 'operation', inside => 1, method => 'catalog\.product\.update',
       times => 1 });
$id = $gw->prefer('catalog.product.update', { id => 3,
                                              fields => { name => 'x' } });
@batch = map { add() } 1 .. 2;
is_deeply [map { $gw->becomes($_, 'done')->{state} } @batch],
    [qw(done done)], 'a method out of time does not hold up its batch';
spared($id, qr/used up its time.*OPERATION_TIME_LIMIT/);
is $gw->asked($id)->{state}, 'waiting', 'it waits';

# blocked by hand

$gw->portal_mode({ mode => 'overload', times => 1 });
$id = add();
spared($id, qr/blocked this address.*OVERLOAD_LIMIT/);
my ($before, $later) = (requests(), add());
is $gw->asked($later)->{state}, 'waiting', 'calls wait';
is_deeply [map { $gw->becomes($_, 'done')->{state} } $id, $later],
    [qw(done done)], 'they are tried again later';
cmp_ok requests() - $before, '<=', 2, 'and was left alone meanwhile';

# a webhook that was withdrawn

$before = requests();
$gw->portal_mode({ mode => 'credentials' });
my @kept = map { update(20) } 1 .. 3;
push @kept, map { update() } 1 .. 20;
ok wait_until(10, sub { logged(qr/"portal": deliveries pause .*the webhook/) }),
    'a wrong key opens the breaker';
is status_of($gw, 'portal')->{state}, 'open', 'as the status says';
ok wait_until(10, sub { requests() - $before >= 3 }), 'which tries again';
cmp_ok requests() - $before, '<=', 8, 'but not much';
$gw->portal_mode();
is_deeply [map { $gw->becomes($_, 'done')->{state} } @kept],
    [('done') x @kept], 'nothing is lost';
is logged(qr/"portal": Bitrix is back, deliveries go on/) > 0, 1,
    'which the log tells';

# on and on

$gw->portal_mode({ mode => 'noorder', method => 'sale\.order\.update' },
                 { mode => '500', method => 'catalog\.price\.update' });
my $refused = $gw->prefer('sale.order.update', { id => 777, fields => {} });
$got = $gw->becomes($refused, 'dead');
like $got->{reason}, qr/refused the call.* order does not exist/,
    'what Bitrix refuses is a dead letter';
is $got->{attempts}, 1, 'after one attempt';
$id = $gw->prefer('catalog.price.update', { id => 1, fields => {} });
ok wait_until(10, sub { $gw->asked($id)->{attempts} >= 1 }),
    'a portal that fails is tried again';
$gw->portal_mode();
is $gw->becomes($id, 'done')->{state}, 'done', 'until it is done';

# what stands in the counters

my $status = status_of($gw, 'portal');
is $status->{in_flight}, 0, 'nothing is in flight';
my $counted = $status->{counters};
is $counted->{dead}, scalar @{ $gw->kept_dead }, 'dead letters are counted'
    or diag explain $status;
ok wait_until(10, sub {
    my $told = $gw->told;
    @{ $gw->kept_dead } == grep { $_->[0]{answer}{error} } values %$told;
}), 'and told to 1C';

$gw->finish;
done_testing;

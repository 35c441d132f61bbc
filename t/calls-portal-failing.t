#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The portal fails while kept calls are sent.  A call that may have been done is
# repeated only if it is idempotent, a call that was not done is repeated, and a
# failure of the portal itself spends no attempt of a call.

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

# so that no test affects the next one
my $serial = 0;

sub add { return $gw->keep('crm.deal.add',
                           { fields => { TITLE => 'n' . ++$serial } }) }
sub update { return $gw->keep('crm.deal.update',
                              { id => $_[0] // ++$serial,
                                fields => { TITLE => 'n' . ++$serial } }) }
sub written { my ($n) = @_; return scalar grep {
                  ($_->{set}{TITLE} // '') eq "n$n" } $gw->portal_writes }
# whether it waits with this reason and no attempt was spent
sub free_retry {
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
    is $gw->becomes($id, 'done')->{state}, 'done', 'the breaker closes';
    return;
}

# done, but the answer is lost

for my $mode (qw(commit-close truncated html commit-hang)) {
    $gw->portal_mode({ mode => $mode, times => 1 });
    my $id = add();
    my $got = $gw->becomes($id, 'dead');
    is $got->{state}, 'dead', "$mode: an addition is not repeated";
    like $got->{reason}, qr/outcome unknown/, 'the reason says why';
    is written($serial), $mode eq 'html' ? 0 : 1, 'it is written at most once';
    well();
}

$gw->portal_mode({ mode => 'commit-close', times => 1 });
my $id = update();
my $got = $gw->becomes($id, 'done');
is $got->{state}, 'done', 'an update is repeated';
is written($serial), 2, 'it is written twice';

# nothing of the call was sent

$gw->portal_mode({ mode => 'refuse' });
$id = add();
ok wait_until(10, sub { $gw->asked($id)->{attempts} == 1 }), 'refused';
$gw->portal_mode({ mode => 'listen' });
is $gw->becomes($id, 'done')->{state}, 'done',
    'a call that was never sent is repeated';
is written($serial), 1, 'it is done once';

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

# no command of a batch that is refused as a whole was done

busy({ mode => 'scope', method => '^batch$', times => 1 });
@batch = (add(), add());
is_deeply [map { $gw->becomes($_, 'done')->{state} } @batch],
    [qw(done done)], 'a batch that was refused is repeated';

# over the rate limit

$gw->portal_mode({ mode => 'limit', times => 1 });
$id = add();
free_retry($id, qr/limits the rate.*QUERY_LIMIT_EXCEEDED/);
is $gw->becomes($id, 'done')->{state}, 'done',
    'a call over the limit is repeated';
is written($serial), 1, 'it is done once';

# one method has used up its time

$gw->portal_set(spend => { 'crm.deal.update' => 479.99 }, scale => 600,
                cost => { 'crm.deal.update' => 1 });
my @used = map { update() } 1 .. 2;
ok wait_until(15, sub {
    grep { $gw->asked($_)->{reason} =~ /OPERATION|used up its exec/ } @used;
}), 'a method has used up its time' or diag explain [map { $gw->asked($_) }
                                                     @used];
is $gw->becomes(add(), 'done')->{state}, 'done', 'other methods are called';
is_deeply [map { $gw->becomes($_, 'done', 20)->{state} } @used],
    ['done', 'done'], 'the method is called when its time has come';
$gw->portal_set(scale => 1, cost => { 'crm.deal.update' => 0.03 });

busy({ mode => 'operation', inside => 1, method => 'catalog\.product\.update',
       times => 1 });
$id = $gw->prefer('catalog.product.update', { id => 3,
                                              fields => { name => 'x' } });
@batch = map { add() } 1 .. 2;
is_deeply [map { $gw->becomes($_, 'done')->{state} } @batch],
    [qw(done done)], 'a method out of time does not hold up its batch';
free_retry($id, qr/used up its execution time.*OPERATION_TIME_LIMIT/);
is $gw->asked($id)->{state}, 'waiting', 'the call of that method waits';

# the portal is blocked by an administrator

$gw->portal_mode({ mode => 'overload', times => 1 });
$id = add();
free_retry($id, qr/blocked this address.*OVERLOAD_LIMIT/);
my ($before, $later) = (requests(), add());
is $gw->asked($later)->{state}, 'waiting', 'calls wait';
is_deeply [map { $gw->becomes($_, 'done')->{state} } $id, $later],
    [qw(done done)], 'they are done later';
cmp_ok requests() - $before, '<=', 2,
    'the portal gets almost no call meanwhile';

# a webhook that was deleted

$before = requests();
$gw->portal_mode({ mode => 'credentials' });
my @kept = map { update(20) } 1 .. 3;
push @kept, map { update() } 1 .. 20;
ok wait_until(10, sub { logged(qr/"portal": deliveries are paused .*the webhook/) }),
    'a wrong key opens the breaker';
is status_of($gw, 'portal')->{state}, 'open', 'the status shows it';
ok wait_until(10, sub { requests() - $before >= 3 }),
    'the breaker sends probes';
cmp_ok requests() - $before, '<=', 8, 'the breaker sends few probes';
$gw->portal_mode();
is_deeply [map { $gw->becomes($_, 'done')->{state} } @kept],
    [('done') x @kept], 'no call is lost';
is logged(qr/"portal": Bitrix is available again, deliveries/) > 0, 1,
    'the log says so';

# refusals and failures

$gw->portal_mode({ mode => 'noorder', method => 'sale\.order\.update' },
                 { mode => '500', method => 'catalog\.price\.update' });
my $refused = $gw->prefer('sale.order.update', { id => 777, fields => {} });
$got = $gw->becomes($refused, 'dead');
like $got->{reason}, qr/refused the call.* order does not exist/,
    'a call that Bitrix refuses is a dead letter';
is $got->{attempts}, 1, 'it has spent one attempt';
$id = $gw->prefer('catalog.price.update', { id => 1, fields => {} });
ok wait_until(10, sub { $gw->asked($id)->{attempts} >= 1 }),
    'a call is repeated after a failure of the portal';
$gw->portal_mode();
is $gw->becomes($id, 'done')->{state}, 'done', 'the call is done in the end';

# the counters

my $status = status_of($gw, 'portal');
is $status->{in_flight}, 0, 'no call is in flight';
my $counted = $status->{counters};
is $counted->{dead}, scalar @{ $gw->kept_dead }, 'dead letters are counted'
    or diag explain $status;
ok wait_until(10, sub {
    my $told = $gw->told;
    @{ $gw->kept_dead } == grep { $_->[0]{answer}{error} } values %$told;
}), '1C gets the results';

$gw->finish;
done_testing;

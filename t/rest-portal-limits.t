#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The portal refuses calls although the rate was kept.  The gateway repeats a
# call that exceeded the limit, does not call a method that used up its time,
# and does not call a blocked portal at all; this holds on all nodes.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Caller ();
use Bitrix1C::Gateway qw(wait_until);

my %part = (workers => 2, events => 'accept_mutex off;',
            rest => 'bitrix1c_pace max_wait=4s overload=2s;');

my $gw = Bitrix1C::Caller->new(%part)->start;
my $two = Bitrix1C::Caller->new(%part);
$two->{$_} = $gw->{$_} for qw(socket onec bitrix);
$two->{server} = $two->rest_location;
$two->start_nginx;


sub logged { return scalar(() = $gw->slurp('error.log') =~ /$_[0]/g) }
sub hits { return scalar $gw->portal_received }


sub answers {
    my ($answer, $status, $code, $name) = @_;
    is "$answer->{status} $answer->{code}", "$status $code", $name;
    return $answer->{headers}{'retry-after'} // 0;
}


# over the limit: another client calls the portal from this address

$gw->portal_mode({ mode => 'limit', times => 2 });
my $answer = $gw->rest_call('sale.order.update',
                            { id => 3, fields => { statusId => 'F' } });
answers($answer, 200, '', 'a call over the limit succeeds');
is hits(), 3, 'it succeeds at the third try';
is scalar($gw->portal_writes), 1, 'it is done once';
cmp_ok $answer->{seconds}, '>=', 2, 'each try waits';

$gw->portal_mode({ mode => 'limit' });
$answer = $gw->rest_call('sale.order.get?id=3');
cmp_ok answers($answer, 503, 'QUERY_LIMIT_EXCEEDED',
    'it is not repeated forever'), '>', 0,
    'the answer has Retry-After';
cmp_ok $answer->{seconds}, '<', 8, 'the answer comes after max_wait';
is logged(qr/\[warn\].*the portal refuses calls with QUERY_LIMIT/), 1,
    'the log says so once';
$gw->portal_mode();

# a method uses up its time

my $update = { id => 4, fields => { comments => 'x' } };

$gw->redis('DEL', '{b1c:orders}:p:127.0.0.1');
$gw->portal_set(spend => { 'sale.order.update' => 479.99 }, scale => 120,
                cost => { 'sale.order.update' => 1 });
$gw->rest_call('sale.order.update', $update);
my $before = hits();
$answer = $gw->rest_call('sale.order.update', $update);
my $after = answers($answer, 429, 'OPERATION_TIME_LIMIT',
                    'the time is used up');
cmp_ok $after, '>', 0, 'the answer has the time to wait';
cmp_ok $after, '<=', 60, 'the time is at most one period';
is hits(), $before + 1, 'the portal refused it once';

for my $node ($gw, $two) {
    ok wait_until(5, sub {
        $node->rest_call('sale.order.get?id=1');
        $node->rest_call('SALE.order.update', $update)
             ->{status} == 429;
    }), 'another call of the method, in any case, is answered by the gateway';
}

$before = hits();
$answer = $two->rest_call('sale.order.update', $update);
answers($answer, 429, 'OPERATION_TIME_LIMIT',
    'another node answers it as well');
is hits(), $before, 'the portal gets no call';
is $gw->rest_call('sale.order.get?id=3')->{status}, 200,
    'other methods are called';
is logged(qr/\[warn\].*sale\.order\.update has used up its/), 1,
    'the log says so once';

ok wait_until($after + 10, sub {
    $gw->rest_call('sale.order.update', $update)->{status}
        == 200;
}, 0.5), 'the method is called again when the time is over';

# the same within a batch that succeeds as a whole

$gw->portal_mode({ mode => 'operation', inside => 1,
                   method => 'catalog\.product\.update' });
$answer = $gw->rest_call('batch', { cmd => {
    a => 'sale.order.get?id=3', b => 'catalog.product.update?id=1' } });
is $answer->{json}{result}{result_error}{b}{error}, 'OPERATION_TIME_LIMIT',
    'a command is refused';
answers($gw->rest_call('catalog.product.update', { id => 1 }), 429,
    'OPERATION_TIME_LIMIT', 'the method of that command is not called');
$gw->portal_mode();

# the portal is blocked by an administrator

$gw->portal_mode({ mode => 'overload', times => 1 });
cmp_ok answers($gw->rest_call('sale.order.get?id=3'), 503, 'OVERLOAD_LIMIT',
    'the portal was blocked'), '>', 0, 'the answer has Retry-After';
$before = hits();
answers($gw->rest_call('crm.deal.list'), 503, 'OVERLOAD_LIMIT',
    'other methods are refused as well');
is hits(), $before, 'the portal gets no call';
is logged(qr/\[error\].*all calls are stopped for 2000 ms.*OVERLOAD_LIMIT/), 1,
    'the log says so once';
ok wait_until(8, sub { $gw->rest_call('crm.deal.list')->{status} == 200 }, 0.3),
    'the portal is called again later';

is $two->stop_nginx('QUIT', 20), 0, 'the other node exits';
is join("\n", $two->complaints), '', 'the other node logs no error';
$two->stop_all;

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Kept calls of 1C are stored, coalesced, sent in batches and settled one by
# one.  1C can ask for the results, and the gateway sends them to 1C.

use strict;
use warnings;
use utf8;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(change);
use Bitrix1C::Calls ();
use Bitrix1C::Gateway qw(wait_until);

my $update = 'catalog.storeproduct.update';

my $gw = Bitrix1C::Calls->new(
    workers => 2, events => 'accept_mutex off;',
    server => Bitrix1C::Api::LOCATION,
    kept => 'concurrency 1; retry 1s 1s;',
    rest => 'bitrix1c_async crm.deal.update crm.deal.add'
            . ' catalog.storeproduct.*;'
            . " bitrix1c_coalesce $update productId,storeId;"
            . ' bitrix1c_callback /bitrix/orders;'
            . ' client_max_body_size 20k;',
)->start;


sub requests { return scalar $gw->portal_received }

sub writes_of { return map { $_->{set} } grep { $_->{row} eq $_[0] }
                       $gw->portal_writes }

sub amount { return { productId => $_[0], storeId => $_[1],
                      amount => $_[2] } }


# makes the next request slow, so that calls that are stored meanwhile wait;
# returns when the portal has it

sub busy {
    my ($seconds) = @_;
    my $before = requests();

    $gw->portal_mode({ mode => 'slow', delay => $seconds, times => 1 });
    my $id = $gw->prefer('sale.order.update',
                         { id => 99, fields => { comments => "b$before" } });
    $gw->portal_received($before + 1, 10);

    return $id;
}

# stored, done, and the result is there

my $r = $gw->rest_call('crm.deal.update', { id => 7,
                                            fields => { TITLE => 'Сделка' } });
is $r->{status}, 202, 'a method of bitrix1c_async is stored';
is $r->{headers}{'preference-applied'}, 'respond-async',
    'the answer has Preference-Applied';
is $r->{json}{result}{state}, 'accepted', 'the answer has the state';

my $first = $r->{json}{result}{id};
like $first, qr/^[0-9a-f]{32}$/, 'the answer has the id';
like $r->{headers}{location}, qr{^(?:http://[^/]+)?/bitrix/bitrix1c/calls/
                                 $first$}x,
                                 'the answer has the address of the result';

my $got = $gw->becomes($first, 'done');
is_deeply $got, { id => $first, state => 'done', attempts => 0, reason => '',
                  answer => { status => 200, result => JSON::PP::true() } },
    'it is done' or diag explain $got;
is $gw->portal_rows('deals')->{7}{TITLE}, 'Сделка', 'the portal has the value';

$r = $gw->rest_call('sale.order.update',
                    { id => 5, fields => { comments => 'now' } });
is $r->{status}, 200, 'other methods are answered by the portal';

for my $prefer ('respond-async', 'wait=5, Respond-Async', 'respond-async;a') {
    my $id = $gw->keep('sale.order.get', { id => 5 },
                       headers => { Prefer => $prefer });
    is $gw->becomes($id, 'done')->{answer}{result}{order}{id}, 5,
        "Prefer: $prefer";
}

for my $prefer ('wait=5', 'respond-asynchronously', 'x="respond-async"') {
    is $gw->rest_call('sale.order.get', { id => 5 },
        headers => { Prefer => $prefer })->{status}, 200, "Prefer: $prefer";
}

my $get = $gw->rest_call('sale.order.list?filter[id]=6&select[]=id', undef,
                         headers => { Prefer => 'respond-async' });
is $gw->becomes($get->{json}{result}{id}, 'done')
      ->{answer}{result}{orders}[0]{id}, 6, 'a GET is stored as well';

# the caller's own key

my @ids = map { $gw->keep('crm.deal.add', { fields => { TITLE => 'k' } },
    headers => { 'Idempotency-Key' => 'order-17' }) } 1 .. 3;
$gw->becomes($ids[0], 'done');
push @ids, $gw->keep('crm.deal.add', { fields => { TITLE => 'k' } },
    headers => { 'Idempotency-Key' => 'order-17' });
is_deeply [grep { $_ ne $ids[0] } @ids], [],
    'an Idempotency-Key means one call, also after it is done';
is scalar(grep { ($_->{set}{TITLE} // '') eq 'k' } $gw->portal_writes), 1,
    'it is written once';
is $gw->rest_call('crm.deal.add', {}, headers => {
    'Idempotency-Key' => 'x' x 256 })->{status}, 400,
        'a key of 256 bytes is refused';

# the newest value of a row

busy(0.7);
my $from = requests();
my @row = map { $gw->keep($update, amount(3, 1, $_)) } 1 .. 5;
$gw->keep($update, amount(3, 2, 77));
$gw->keep($update, amount(31, 1, 78));
is_deeply [grep { $_ ne $row[0] } @row], [], 'newer values take its place';
ok $gw->all_done, 'all are done';
is_deeply [map { $_->{amount} } writes_of('storeProducts 3/1')], [5],
    'only the newest was written';
is_deeply [map { $_->{amount} } writes_of('storeProducts 3/2'),
           writes_of('storeProducts 31/1')], [77, 78],
           'other rows are not affected';

$gw->keep($update, amount(3, 1, 5));
ok $gw->all_done, 'the same value once more is done';
is scalar(writes_of('storeProducts 3/1')), 2, 'it is written again';

# but it never overtakes a call with a key, which is never coalesced

busy(0.7);
$gw->keep($update, amount(4, 1, 1));
$gw->keep($update, amount(4, 1, 2), headers => { 'Idempotency-Key' => 'own' });
$gw->keep($update, amount(4, 1, 3));
$gw->keep($update, amount(4, 1, 4));
ok $gw->all_done, 'a call with a key among others of its row is done';
is_deeply [map { $_->{amount} } writes_of('storeProducts 4/1')], [1, 2, 4],
    'a newer value is written after it';

# many at once

busy(1.2);
$from = requests();
$gw->keep($update, amount($_, 1, $_)) for 100 .. 204;
$gw->keep('crm.deal.update', { id => 9, fields => { TITLE => "t$_" } })
    for 1 .. 5;
$gw->prefer('sale.order.update', { id => $_, fields => { comments => 'm' } })
    for 10 .. 24;
ok $gw->all_done(20), '125 calls are done';

my ($sizes, $single) = $gw->batches($from);
note "batches of @$sizes, $single alone";
is scalar(grep { $_ > 50 } @$sizes), 0, 'no batch has more than 50 commands';
cmp_ok @$sizes + $single, '<=', 9, 'few requests are sent';
my $rows = $gw->portal_rows_written;
is_deeply [grep { ($rows->{"storeProducts $_/1"} // 0) != 1 } 100 .. 204], [],
    'each call is done once';
is_deeply [map { $_->{TITLE} } writes_of('deals 9')],
    [map { "t$_" } 1 .. 5], 'calls of one deal keep their order';

# one of many fails

$gw->portal_mode();
busy(0.7);
$gw->portal_mode({ mode => 'number', inside => 1, times => 1,
                   method => 'crm\.deal\.update' });
my @good = map { $gw->keep($update, amount($_, 4, 1)) } 300 .. 305;
my $bad = $gw->keep('crm.deal.update', { id => 8,
                                         fields => { TITLE => 'no' } });
$got = $gw->becomes($bad, 'dead');
is $got->{state}, 'dead', 'a command that fails is a dead letter';
like $got->{reason}, qr/Bitrix refused the call.*200040300020 Access Denied/,
    'the reason has the text of Bitrix';
is_deeply $got->{answer}{error}, '200040300020', '1C can read the error';
is_deeply [map { $gw->becomes($_, 'done')->{state} } @good],
    [('done') x @good], 'the other calls are done';
$gw->portal_mode();

# values that a query string cannot hold

busy(0.7);
$from = requests();
my @odd = map { $gw->prefer('sale.order.update', { id => $_->[0],
                                                   fields => $_->[1] }) }
    [40, { comments => undef }], [41, { comments => 'a', properties => [] }],
    [42, { comments => 'b' }], [43, { comments => 'c' }];
$gw->becomes($_, 'done') for @odd;
is_deeply [map { $gw->asked($_)->{state} } @odd], [('done') x 4],
    'null and empty lists are done';
($sizes, $single) = $gw->batches($from);
is_deeply [$sizes, $single], [[2], 2],
    'they are sent alone, the others in a batch';
is_deeply [writes_of('orders 40')], [{ comments => undef }],
    'null arrives as null';

# more than client_max_body_size of the location allows

busy(0.7);
$from = requests();
my @large = map { $gw->prefer('sale.order.update', { id => $_,
    fields => { comments => 'ы' x 1500 } }) } 50 .. 57;
is_deeply [map { $gw->becomes($_, 'done')->{state} } @large],
    [('done') x @large], 'a large batch is sent in parts';
($sizes) = $gw->batches($from);
cmp_ok scalar(@$sizes), '>', 1, "the parts have @$sizes commands";

# results that do not exist

sub refusal {
    my ($what, $status, $code, @args) = @_;
    my $r = $gw->rest_call("bitrix1c/calls/$what", @args);
    is "$r->{status} $r->{code}", "$status $code", "calls/$what";
    return;
}

refusal('f' x 32, 404, 'BITRIX1C_NO_CALL');
refusal($_, 400, 'BITRIX1C_BAD_REQUEST')
    for '', 'abc', 'g' x 32, 'f' x 33, "$first/x";
refusal($first, 405, 'BITRIX1C_GET_OR_POST', { a => 'x' x 9000 });
is $gw->rest_call('crm.deal.update', undef, method => 'POST', body => '{"a"')
    ->{status}, 400, 'a body that is not JSON is not stored';
is $gw->rest_call('user.get', {}, headers => { Prefer => 'respond-async' })
    ->{status}, 403, 'a method that is not allowed is not stored';

# 1C gets the results

my $told;
ok wait_until(15, sub {
    $told = $gw->told;
    $told->{$bad} && !grep { !$told->{$_} } $first, @good;
}), '1C gets the result of each call';
is_deeply $told->{$first}, [{ method => 'crm.deal.update',
    params => { id => '7', fields => { TITLE => 'Сделка' } },
    answer => { status => 200, result => JSON::PP::true() } }],
    'what was asked and answered' or diag explain $told->{$first};
is $told->{$bad}[0]{answer}{error}, '200040300020',
    '1C gets the error of the failed call';
is_deeply [grep { @{ $told->{$_} } != 1 } keys %$told], [], 'once';

is change($gw, "dead/replay?queue=portal&id=$bad")->{json}{replayed}, 1,
    'replayed';
is $gw->becomes($bad, 'done')->{state}, 'done', 'a dead letter is done';
ok wait_until(15, sub { @{ $gw->told->{$bad} } == 2 }),
    '1C gets the new result';

# another portal of the same queue

my $server = $gw->{server};
$gw->{server} .= 'location /other/ { bitrix1c_rest portal;'
    . ' bitrix1c_methods *; bitrix1c_async *;'
    . " bitrix1c_coalesce $update productId,storeId;"
    . ' bitrix1c_pace rate=1000/s burst=1000 portal=other;'
    . ' proxy_pass ' . $gw->portal_url . '; }';
ok $gw->reload, 'a location for another portal';

my @same = map { my $path = $_; change($gw, 'queue/hold?queue=portal');
    [$gw->keep($update, amount(900, 1, 1), path => "/$path/$update"),
     $gw->keep('crm.deal.add', {}, path => "/$path/crm.deal.add",
        headers => { 'Idempotency-Key' => 'same' })] } qw(bitrix other);
isnt $same[0][$_], $same[1][$_], 'its calls are its own' for 0, 1;

$gw->{server} = $server;
ok $gw->reload, 'the location is removed';
change($gw, 'queue/resume?queue=portal');
is $gw->becomes($same[0][0], 'done')->{state}, 'done',
    'calls of this portal are done';
ok wait_until(10, sub { $gw->asked($same[1][0])->{reason}
                        =~ /no location with bitrix1c_rest/ }),
    'calls of the other portal are not done';
is scalar(writes_of('storeProducts 900/1')), 1, 'this portal does not get them';

$gw->finish;
done_testing;

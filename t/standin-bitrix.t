#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The stand-in Bitrix must be as strict as Bitrix and able to fail in all its
# modes.  Otherwise the tests of REST calls would prove nothing.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(connect_to http_request request_text);

# no test below reaches a limit by chance
use constant WIDE => (rate => 1000, burst => 1000, operating => 480,
                      scale => 1, cost => {}, without => [], counters => 1,
                      error_time => 0, work => 0,
                      scope => [qw(sale catalog crm)]);

use constant STOCK => 'catalog.storeproduct.update';

my $gw = Bitrix1C::Gateway->new;
$gw->start_portal;
my ($port) = $gw->{bitrix} =~ /:(\d+)$/;


sub fresh {
    my (%set) = @_;
    $gw->portal_ask('reset');
    return $gw->portal_set(WIDE, %set);
}


sub call {
    return $gw->portal_call(@_);
}


# a GET: the query is sent unchanged

sub get {
    my ($method, $query) = @_;
    return call("$method?$query");
}


sub form {
    my ($method, $body) = @_;
    return call($method, {}, body => $body, headers =>
        { 'Content-Type' => 'application/x-www-form-urlencoded' });
}


sub error_of {
    my ($answer) = @_;
    return "$answer->{status} " . ($answer->{json}{error} // 'no error');
}


sub batch {
    my ($cmd, %more) = @_;
    return call('batch', { cmd => $cmd, %more })->{json}{result};
}


# typical first calls of integrators: the amount, the list with filter and
# select in the wrong case, the status of an order

fresh();
my $answer = call(STOCK, { fields => { productId => 7, storeId => 2,
                                       amount => 15 } });
is $answer->{status}, 200, 'an amount is set';
is $answer->{json}{result}{storeProduct}{amount}, 15,
    'the answer has the amount';
is_deeply [sort keys %{ $answer->{json}{time} }], [qw(date_finish date_start
    duration finish operating operating_reset_at processing start)], 'time';
like $answer->{json}{time}{date_start}, qr/^\d{4}-.*T.*[+-]\d\d:\d\d$/, 'date';

$answer = get('sale.order.list', 'filter[STATUS_ID]=N&'
              . 'filter[%3E%3DDATE_INSERT]=2024-03-01&select[]=ID');
is $answer->{json}{total}, 120, 'a filter in the wrong case is ignored';
cmp_ok scalar(keys %{ $answer->{json}{result}{orders}[0] }), '>', 30,
    'a select in the wrong case is ignored';

$answer = call('sale.order.update', { id => 5, fields => {
    statusId => 'F', STATUS_ID => 'X', id1c => "\x{2116} \"5\"" } });
is $answer->{json}{result}{order}{statusId}, 'F', 'a status is set';
is $answer->{json}{result}{order}{id1c}, "\x{2116} \"5\"", 'UTF-8';
is $gw->portal_stats->{ignored}, 4, 'ignored names are counted';
is call('sale.order.get', { id => 5 })->{json}{result}{order}{version}, 1,
    'the order has changed';

# lists

$answer = get('sale.order.list', 'filter%5BstatusId%5D=N&select[]=id');
is $answer->{json}{total}, 40, 'a right filter';
is_deeply $answer->{json}{result}{orders}[0], { id => 3 }, 'a right select';
is get('sale.order.list', 'filter[statusId]=N&filter[>=dateInsert]=2024-03-05')
    ->{json}{total}, 40, 'PHP does not parse an unescaped ">="';
is get('sale.order.list', 'filter[%3E%3DdateInsert]=2024-03-05')->{json}{total},
    35, 'PHP parses an escaped ">="';
ok !exists $answer->{json}{next}, 'a single page has no next';

my @pages;

for (my $start = 0; defined $start; $start = $answer->{json}{next}) {
    $answer = call('sale.order.list', { start => $start, select => ['id'],
        order => { id => 'desc' } });
    push @pages, [map { $_->{id} } @{ $answer->{json}{result}{orders} }];
}

is join(' ', map { scalar @$_ } @pages), '50 50 20', 'pages';
is join(' ', map { $_->[0] } @pages), '120 70 20', 'in order';

$answer = call('sale.order.list', { start => -1, select => ['id'],
    filter => { '>id' => 50, '<=id' => 53, '!id' => 52, '@lid' => ['s1'] } });
is_deeply [map { $_->{id} } @{ $answer->{json}{result}{orders} }],
    [51, 53], 'operators';
ok !exists $answer->{json}{total}, 'start=-1 counts nothing';

$answer = call('crm.deal.list', { filter => { '%TITLE' => '7' },
    order => { OPPORTUNITY => 'ASC' }, select => ['ID', 'OPPORTUNITY'] });
is_deeply $answer->{json}{result}, [map { { ID => "$_",
    OPPORTUNITY => "${_}00.00" } } 17, 27, 37, 47, 57, 7],
    'CRM has strings, and names in upper case';

# other writes, in all forms of a request

is form('crm.deal.update.json', 'id=3&fields[TITLE]=a+b%26')->{json}{result}, 1,
    'a form';
is $gw->portal_rows('deals')->{3}{TITLE}, 'a b&', 'its value';
is get('catalog.price.update', 'id=4&fields%5Bprice%5D=12.50')
    ->{json}{result}{price}{price}, 12.5, 'a query';
is call('catalog.product.update', { id => 4, fields => { quantity => 3 } })
    ->{json}{result}{element}{quantity}, 3, 'JSON';
is call('crm.deal.add', { fields => { TITLE => 'new' } })->{json}{result}, 61,
    'a deal';
is call('sale.order.add', { fields => { lid => 's1', personTypeId => 3,
    currency => 'RUB' } })->{json}{result}{order}{id}, 121, 'an order';

my @writes = $gw->portal_writes(7);
is join(', ', map { $_->{row} } @writes), 'storeProducts 7/2, orders 5, '
    . 'deals 3, prices 4, products 4, deals 61, orders 121',
    'every write is recorded';
is_deeply [@{ $writes[4] }{qw(method command set)}],
    ['catalog.product.update', '', { quantity => 3 }],
    'the last write is recorded in full';
is $gw->portal_rows_written->{'deals 3'}, 1, 'the number of writes is recorded';

{
    my $before = $gw->portal_stats->{received};
    my $sock = connect_to($port);
    my $path = '/rest/1/' . Bitrix1C::Portal::KEY . '/crm.deal.get';

    for my $chunk ("5\r\n{\"id\"\r\n3\r\n:9}\r\n0\r\n\r\n") {
        print {$sock} "POST $path HTTP/1.1\r\nHost: b.bitrix24.ru\r\n"
            . "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
            . "\r\n$chunk" for 1 .. 2;
    }

    my @requests = $gw->portal_received($before + 2, 5, 1);
    is_deeply [map { @$_{qw(rest portal body status)} } @requests[-2, -1]],
        [('crm.deal.get', 'b.bitrix24.ru', '{"id":9}', 200) x 2],
        'chunked bodies, keepalive';
}

# errors

my @errors = (
    ['200540400001', 400, 'sale.order.get', { id => 999 }],
    ['200540400001', 400, 'sale.order.update', { id => 999, fields => {} }],
    ['100', 400, 'sale.order.update', { fields => {} }],
    ['100', 400, 'sale.order.update', { id => 5 }],
    ['0', 400, STOCK, { fields => { PRODUCT_ID => 1, amount => 1 } }],
    ['0', 400, STOCK, { fields => { productId => 5000, storeId => 1,
                                    amount => 1 } }],
    ['', 400, 'crm.deal.get', { id => 999 }],
    ['ERROR_METHOD_NOT_FOUND', 404, 'catalog.nothing.update', {}],
    ['insufficient_scope', 403, 'user.current', {}],
);

for my $case (@errors) {
    my ($code, $status, $method, $params) = @$case;
    is error_of(call($method, $params)), "$status $code", "$method: \"$code\"";
}

like call(STOCK, { fields => { PRODUCT_ID => 1, amount => 1 } })
    ->{json}{error_description}, qr/^Required fields: productId, storeId$/,
    'required fields are named';
is error_of(call('crm.deal.list', {}, key => 'wrong')),
    '401 INVALID_CREDENTIALS', 'a wrong key';
is error_of(call('../../crm.deal.list', {})), '404 no error', 'no such path';
is error_of(call('crm.deal.get', {}, body => '{"id":1')), '400 ',
    'broken JSON has no parameters';
is error_of({ %{ http_request(port => $port, path => '/rest/crm.deal.list') },
              json => {} }), '401 no error', 'no key';
ok !exists call('sale.order.get', { id => 999 })->{json}{time},
    'an error has no time';

# settings of a newer portal

fresh(without => [STOCK], scope => ['catalog'], error_time => 1);
is error_of(call(STOCK, {})), '404 ERROR_METHOD_NOT_FOUND',
    'a method that the portal does not have';
$answer = call('sale.order.list', {});
is error_of($answer), '403 insufficient_scope', 'a method outside the scope';
ok $answer->{json}{time}, 'errors have a time if the setting asks for it';
ok !eval { $gw->portal_set(nothing => 1) }, 'a wrong setting is an error';
ok !eval { $gw->portal_set(scale => 0) }, 'a wrong value is an error';
$gw->portal_set(scope => ['user']);
is call('user.current')->{json}{result}{ID}, 1, 'another scope';

# batch

fresh();
my $result = batch({ b => 'no.such' });
is_deeply [@$result{qw(result result_total result_next result_time)}],
    [[], [], [], []], 'empty objects are lists';
is $result->{result_error}{b}{error}, 'ERROR_METHOD_NOT_FOUND', 'an error';

$answer = call('batch', {}, body => '{"halt":0,"cmd":{"z":"crm.deal.list?'
    . 'filter[ID][]=8&select[]=ID","a":"crm.deal.update?id=$result[z][0][ID]&'
    . 'fields[TITLE]=deal%20$result[z][0][ID]%26","l":"crm.deal.list"}}');
$result = $answer->{json}{result};
is_deeply $result->{result}{z}, [{ ID => '8' }], 'a list';
is $result->{result}{a}, 1, 'a write';
is_deeply [sort keys %{ $result->{result_time} }], [qw(a l z)], 'times';
is_deeply $result->{result_total}, { z => 1, l => 60 }, 'totals';
is_deeply $result->{result_next}, { l => 50 }, 'next';
is $gw->portal_rows('deals')->{8}{TITLE}, 'deal 8',
    'references, up to the next space';
is +($gw->portal_writes(1))[0]{command}, 'a', 'the command that wrote';

my ($r) = grep { $_->{body} =~ /halt/ } $gw->portal_received;
is_deeply [map { $_->{key} } @{ $r->{commands} }], [qw(z a l)],
    'commands keep their order';

$answer = form('batch', join '&', map { "cmd[]=crm.deal.get%3FID%3D$_" } 1, 2);
is_deeply [map { $_->{ID} } @{ $answer->{json}{result}{result} }], [1, 2],
    'a form, and keys 0, 1 are a list';

$result = batch({ map { ("c$_", 'crm.deal.get?id=1') } 1 .. 51 });
is scalar(keys %{ $result->{result} }), 50, '50 commands are done';
is_deeply [map { $_->{error} } values %{ $result->{result_error} }],
    ['ERROR_BATCH_LENGTH_EXCEEDED'], 'the 51st is not';
is batch({ a => 'batch?cmd[a]=x' })->{result_error}{a}{error},
    'ERROR_BATCH_METHOD_NOT_ALLOWED', 'no batch in a batch';

$result = call('batch', { halt => 1, cmd => ['crm.deal.get?id=1', 'no.such',
    'crm.deal.get?id=2'] })->{json}{result};
is_deeply [scalar @{ $result->{result} }, keys %{ $result->{result_error} }],
    [1, 1], 'halt';

$gw->portal_mode({ inside => 1, method => '^crm\.deal\.get$', skip => 1,
    times => 1, mode => 'operation' });
$result = batch([map { "crm.deal.get?id=$_" } 1 .. 3]);
is_deeply [map { [sort keys %{ $result->{$_} }] } qw(result result_error)],
    [[0, 2], [1]], 'a rule for a command';

# the bucket

fresh(rate => 0.1, burst => 5);
my @codes = map { error_of(call('crm.deal.get', { id => 1 })) } 1 .. 6;
is_deeply \@codes, [('200 no error') x 5, '503 QUERY_LIMIT_EXCEEDED'],
    'the bucket is full after five calls';
is call('crm.deal.get', { id => 1 }, headers => { Host => 'other.ru' })
    ->{status}, 200, 'the bucket of another portal is not full';
$gw->portal_set(scale => 600);
ok wait_until(5, sub {
    call('crm.deal.get', { id => 1 })->{status} == 200 }), 'the bucket leaks';
$gw->portal_ask('reset');
$gw->portal_set(scale => 1);
$answer = call('batch', { cmd => [('crm.deal.get?id=1') x 40] });
my ($bucket) = values %{ $gw->portal_stats->{portals} };
is_deeply [@$bucket{qw(hits refused)}], [1, 0], 'a batch is one request';

$gw->portal_ask('reset');
$gw->portal_set(scale => 600);
my $start = time;
call('crm.deal.get', { id => 1 });
select undef, undef, undef, 0.2;
call('crm.deal.get', { id => 1 });
my $minutes = (time - $start) * 10;
($bucket) = values %{ $gw->portal_stats->{portals} };
cmp_ok $bucket->{minutes}, '>=', 2, 'simulated minutes';
cmp_ok $bucket->{minutes}, '<=', $minutes,
    'no more simulated minutes than real time allows';

# the operating limit

fresh(operating => 4, cost => { 'crm.deal.get' => 2 }, scale => 300);
$answer = call('batch', { cmd => [('crm.deal.get?id=1') x 3] });
$result = $answer->{json}{result};
is_deeply [map { $_->{operating} } @{ $result->{result_time} }], [2, 4],
    'commands cost as calls do';
is $result->{result_error}{2}{error}, 'OPERATION_TIME_LIMIT', 'the limit';
is error_of(call('crm.deal.get', { id => 1 })), '429 OPERATION_TIME_LIMIT',
    'the method is blocked';
is call('crm.deal.list', {})->{status}, 200, 'other methods are not blocked';

my $left = $result->{result_time}[1]{operating_reset_at} - time;
cmp_ok $left, '<=', 3.2, 'operating_reset_at is in real time';
ok wait_until(10, sub { call('crm.deal.get', { id => 1 })->{status} == 200 }),
    'the method works after it';

$gw->portal_set(scale => 1, counters => 0, spend => { 'crm.deal.list' => 9 });
is error_of(call('crm.deal.list', {})), '429 OPERATION_TIME_LIMIT', 'spend';
ok !exists call('crm.deal.add', { fields => {} })->{json}{time}{operating},
    'no counters';

$gw->portal_set(work => 1, cost => { 'crm.deal.update' => 0.2 });
cmp_ok call('crm.deal.update', { id => 1, fields => {} })->{seconds}, '>=', 0.2,
    'an answer takes what it costs';

# modes

fresh();

my @modes = (
    [limit => '503 QUERY_LIMIT_EXCEEDED'], [overload => '503 OVERLOAD_LIMIT'],
    [operation => '429 OPERATION_TIME_LIMIT'], [error => '200 ERROR_CORE'],
    [500 => '500 INTERNAL_SERVER_ERROR'], [number => '200 200040300020'],
    [html => '200 no error', qr/<!DOCTYPE html>/], [empty => '200 no error'],
    [502 => '502 no error', qr/<h1>502/], [nojson => '200 no error', qr/null/],
    [echo => '200 ERROR_UNEXPECTED_ANSWER', qr{/rest/1/x7k2mq}],
    [big => '200 no error', qr/x{1000}/], [plan => '403 ACCESS_DENIED'],
);

for my $case (@modes) {
    my ($mode, $error, $body) = @$case;

    $gw->portal_mode({ mode => $mode, size => 5000 });
    $answer = call('crm.deal.add', { fields => {} });
    is error_of($answer), $error, "mode $mode";
    like $answer->{body}, $body, "mode $mode: body" if $body;
}

$gw->portal_mode({ mode => 'redirect' });
$answer = call('crm.deal.add', { fields => {} });
is $answer->{status}, 302, 'mode redirect';
like $answer->{headers}{location}, qr{/auth/.*/rest/1/x7k2mq},
    'the redirect has the key';
is scalar($gw->portal_writes), 0, 'none of these modes writes';

for my $mode (qw(close reset hang commit-close commit-reset commit-hang
                 truncated cutchunk)) {
    $gw->portal_mode({ mode => $mode });
    $answer = eval { call('crm.deal.add', { fields => { TITLE => $mode } },
                          timeout => 0.3) } // { status => 0 };
    is $answer->{status}, 0, "mode $mode: no whole answer";
}

is join(' ', map { $_->{set}{TITLE} } $gw->portal_writes),
    'commit-close commit-reset commit-hang truncated cutchunk',
    'the modes that commit have written';

$gw->portal_mode({ mode => 'slow', delay => 0.5, method => 'add$' });
cmp_ok call('crm.deal.add', { fields => {} })->{seconds}, '>=', 0.5, 'slow';
cmp_ok call('crm.deal.get', { id => 1 })->{seconds}, '<', 0.5,
    'other methods are not affected';

$gw->portal_mode({ mode => 'refuse', seconds => 0.3 });
is call('crm.deal.get', { id => 1 })->{status}, 0, 'refuse';
ok wait_until(5, sub { call('crm.deal.get', { id => 1 })->{status} }), 'back';

# the checks at the end of a scenario find the key

open my $log, '>', "$gw->{dir}/access.log" or die;
print {$log} "GET /rest/1/" . Bitrix1C::Portal::KEY . "/crm.deal.list\n";
close $log;
is join(' ', $gw->leaks), 'access.log', 'a logged key is found';
unlink "$gw->{dir}/access.log";

$gw->finish;
done_testing;

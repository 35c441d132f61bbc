#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# 1C calls the portal.  The three calls of the documentation work, every form of
# a call that Bitrix accepts works, answers are not changed, and a Warning names
# a parameter that Bitrix silently ignores.

use strict;
use warnings;

use FindBin ();
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Binary qw(nginx_has);
use Bitrix1C::Caller ();
use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(http_request);

my $gw = Bitrix1C::Caller->new(
    portal => ['--no-counters'],
    http   => 'log_format short "$request_method $bitrix1c_method $status '
              . '$upstream_status";',
    server => "access_log DIR/rest.log short;\n",
);
$gw->{server} =~ s/DIR/$gw->{dir}/;
$gw->start;


sub same_as_portal {
    my ($name, $method, $params) = @_;
    my @post = (method => 'POST', body => JSON::PP->new->encode($params));
    my $direct = $gw->portal_call($method, undef, @post);
    my $answer = $gw->rest_call($method, undef, @post);

    # the last member is the time of the call, which differs
    s/"(?:result_)?time":.*//s for $direct->{body}, $answer->{body};

    is $answer->{status}, $direct->{status}, "$name: status";
    is $answer->{body}, $direct->{body}, "$name: body";
    is $answer->{headers}{'content-type'}, $direct->{headers}{'content-type'},
        "$name: type";

    return $answer;
}


# the calls of the documentation, word for word

my $answer = $gw->rest_call('catalog.storeproduct.update',
    { productId => 7, storeId => 1, amount => 12 });
is $answer->{status}, 200, 'catalog.storeproduct.update';
my ($write) = $gw->portal_writes(1);
is_deeply $write->{set}, { amount => 12 }, 'the call sets the amount';

my $path = 'sale.order.list?filter[STATUS_ID]=N'
           . '&filter[>=DATE_INSERT]=2024-03-01&select[]=ID';
$answer = $gw->rest_call($path);
is $answer->{status}, 200, 'sale.order.list';
like $answer->{headers}{warning},
    qr/^299 bitrix1c "sale\.order\.list .*STATUS_ID in filter.*not filtered/,
    'a Warning says that Bitrix does not know such names';
is_deeply [map { s/[?].*//r } map { $_->{rest} // () }
           ($gw->portal_received(2))[-1]], ['sale.order.list'], 'is asked';
like +($gw->portal_received)[-1]{path}, qr/filter\[%3E%3DDATE_INSERT\]=/,
    'a name that PHP would truncate arrives complete';

$answer = $gw->rest_call('sale.order.update',
    { id => 3, fields => { statusId => 'F' } });
is $answer->{json}{result}{order}{statusId}, 'F', 'sale.order.update';
is $answer->{headers}{warning}, undef, 'a right call has no Warning';

# forms

is $gw->rest_call('sale.order.get', undef, method => 'POST', body => 'id=3',
    headers => { 'Content-Type' => 'application/x-www-form-urlencoded' })
    ->{json}{result}{order}{id}, 3, 'a form';
is $gw->rest_call('sale.order.get.json?id=4')->{json}{result}{order}{id}, 4,
    'a query string, and .json';
is $gw->rest_call('sale.order.get', undef, method => 'POST', body => '{"id":5}',
    headers => { 'Content-Type' => 'application/json; charset=utf-8' })
    ->{json}{result}{order}{id}, 5, 'JSON with a charset';

my $sock = Bitrix1C::Http::connect_to($gw->{port});
print {$sock} "POST /bitrix/sale.order.get HTTP/1.1\r\nHost: a\r\n"
              . "Connection: close\r\nContent-Length: 8\r\n\r\n{\"id\":6}";
$sock->flush;
like do { local $/ = undef; scalar <$sock> }, qr/"id":6,/,
    'JSON without a type, as 1C sends it by default';

$sock = Bitrix1C::Http::connect_to($gw->{port});
print {$sock} "POST /bitrix/sale.order.get HTTP/1.1\r\nHost: a\r\n"
              . "Content-Type: application/json\r\nConnection: close\r\n"
              . "Transfer-Encoding: chunked\r\n\r\n"
              . "4\r\n{\"id\r\n4\r\n\":7}\r\n0\r\n\r\n";
$sock->flush;
like do { local $/ = undef; scalar <$sock> }, qr/"id":7,/, 'a chunked body';

# answers are not changed

same_as_portal('a list', 'sale.order.list', { filter => { '<id' => 30 } });
same_as_portal('an error with a number beyond 32 bits', 'sale.order.get',
    { id => 1_000_000 });
same_as_portal('a batch', 'batch', { halt => 0, cmd => {
    get => 'sale.order.get?id=3', again => 'sale.order.get?id=$result[get]'
           . '[order][id]', no => 'sale.order.get?id=1000000' } });
same_as_portal('a batch with empty objects', 'batch',
    { cmd => { no => 'sale.order.get?id=1000000' } });

for my $size (100, 65_000, 1_000_000) {
    $gw->portal_mode({ mode => 'big', size => $size, times => 1 });
    $answer = $gw->rest_call('sale.order.list');
    is length $answer->{body}, $size, "$size bytes: length";
    ok $answer->{body} =~ /\A\{"result":"x*"\}\z/, "$size bytes: body";
}

$gw->portal_mode({ mode => 'chunked', times => 1 });
$sock = Bitrix1C::Http::connect_to($gw->{port});
print {$sock} "GET /bitrix/sale.order.get?id=8 HTTP/1.1\r\nHost: a\r\n"
              . "Connection: close\r\n\r\n";
$sock->flush;
like do { local $/ = undef; scalar <$sock> },
    qr/\r\ntransfer-encoding: chunked\r\n.*"id":8,.*\r\n0\r\n\r\n\z/is,
    'a chunked answer';

$gw->portal_mode({ mode => 'truncated', times => 1 });
is $gw->rest_call('sale.order.get', { id => 3 })->{error}, 'closed',
    'a truncated answer is not completed';

$gw->portal_mode({ mode => 'empty', times => 1 });
$answer = $gw->rest_call('sale.order.get', { id => 3 });
is "$answer->{status} $answer->{body}", '200 ', 'no body';

# several on one connection

$sock = Bitrix1C::Http::connect_to($gw->{port});
print {$sock} join '', map { "GET /bitrix/sale.order.get?id=$_ HTTP/1.1\r\n"
    . "Host: a\r\nConnection: " . ($_ < 12 ? 'keep-alive' : 'close')
    . "\r\n\r\n" } 10 .. 12;
$sock->flush;
my $all = do { local $/ = undef; scalar <$sock> };
is join(' ', $all =~ /"order":\{"accountNumber":"(\d+)"/g), '10 11 12',
    'pipelined calls, in their order';
close $sock;

# HTTP/2

SKIP: {
    skip 'this nginx has no http_v2_module', 1 if !nginx_has('http_v2');

    my $out = `curl -s --http2-prior-knowledge -m 10 -d '{"id":13}' \\
               -H 'Content-Type: application/json' \\
               http://127.0.0.1:$gw->{h2_port}/bitrix/sale.order.get 2>&1`;
    like $out, qr/"id":13,/, 'HTTP/2';
}

# a method that many integrators call and Bitrix does not have

$gw->portal_set(without => ['catalog.storeproduct.update']);
$answer = $gw->rest_call('catalog.storeproduct.update', { id => 1 });
is "$answer->{status} $answer->{code}", '404 ERROR_METHOD_NOT_FOUND',
    'a method that the portal does not have';
like $answer->{headers}{warning},
    qr/"catalog\.storeproduct\.\* only shows the stock/,
    'the warning says what to do instead';
$gw->rest_call('catalog.storeproduct.update', { id => 1 });
$gw->rest_call($path);
my $log = $gw->slurp('error.log');
is scalar(() = $log =~ /\[warn\].*only shows the stock/g), 1,
    'the log has the first warning once';
is scalar(() = $log =~ /\[warn\].*STATUS_ID in filter/g), 1,
    'the log has the warning about names in capitals once';

like $gw->slurp('rest.log'), qr/^POST catalog\.storeproduct\.update 404 404$/m,
    'a log without addresses';

$gw->finish;
done_testing;

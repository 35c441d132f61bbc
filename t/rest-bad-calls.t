#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Bad calls and bad portals.  The answer is a clear error in Bitrix's own form,
# no call that is not allowed reaches the portal, and the key of the webhook is
# in no answer and no log.

use strict;
use warnings;

use FindBin ();
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Caller ();
use Bitrix1C::Portal ();

use constant FORM => 'application/x-www-form-urlencoded';

my $gw = Bitrix1C::Caller->new(
    methods => 'sale.order.* catalog.*',
    portal  => ['--burst', 1000],
    http    => 'log_format short "$request_method $bitrix1c_method $status";',
    server  => 'location /bitrix/mirrored { mirror /bitrix/sale.order.list; '
               . 'return 200; } location /ssi/ { ssi on; } ',
    rest    => 'client_max_body_size 4k; proxy_read_timeout 300ms; '
               . 'bitrix1c_pace burst=1000;',
)->start;

# a key that is not the portal's, in the address that a caller uses
my $key = 'abcdef0123456789';
my $hits = 0;


sub refused {
    my ($name, $status, $code, @call) = @_;
    my $answer = $gw->rest_call(@call);

    is "$answer->{status} $answer->{code}", "$status $code", $name;
    ok length $answer->{json}{error_description}, "$name: says why";
    unlike $answer->{body}, qr/$key/, "$name: the answer has no key";
    like $answer->{headers}{'content-type'}, qr{^application/json\b},
        "$name: JSON";

    return $answer;
}


sub form { return (undef, method => 'POST', body => $_[0],
                   headers => { 'Content-Type' => FORM }) }
sub json { return (undef, method => 'POST', body => $_[0]) }


# methods

for my $path ('crm.deal.list', 'user.current', 'sale.basketitem.list',
              'catalog', 'xsale.order.list') {
    refused($path, 403, 'BITRIX1C_METHOD_FORBIDDEN', $path, {});
}

for my $path ('', "1/$key/sale.order.list",
              'x%2Fsale.order.list', 'x%5csale.order.list',
              'sale.order%2elist', 'x/../sale.order.list', './sale.order.list',
              'x%2f..%2fsale.order.list', 'sale..order',
              'sale.order.list;x', '.json', 'a' x 200, '%D0%B0') {
    refused("\"$path\"", 400, 'BITRIX1C_BAD_METHOD', $path, {});
}

for my $method (qw(PUT DELETE HEAD PATCH OPTIONS)) {
    my $answer = $gw->rest_call('sale.order.list', undef, method => $method);
    is $answer->{status} || $answer->{error}, $method eq 'HEAD' ? 'timeout'
        : 405, $method if $method ne 'HEAD';
    is $answer->{headers}{allow}, 'GET, POST', "$method: Allow"
        if $method ne 'HEAD';
}

# bodies

for my $body ('{', '{"id":}', '[1', '"x"', '{"id":1}}', "{\"a\":\"\xff\"}",
              '{"a":1,"a":2}', 'id=3') {
    refused("JSON $body", 400, 'BITRIX1C_BAD_REQUEST', 'sale.order.get',
            json($body));
}

refused('JSON as a form', 400, 'BITRIX1C_BAD_REQUEST', 'sale.order.get',
        form('{"id":3}'));
refused('a broken form', 400, 'BITRIX1C_BAD_REQUEST', 'sale.order.get',
        form('id=%zz'));
refused('a broken query string', 400, 'BITRIX1C_BAD_REQUEST',
        'sale.order.get?id[=3');
refused('another type', 415, 'BITRIX1C_BAD_TYPE', 'sale.order.get', undef,
        method => 'POST', body => '<a/>',
        headers => { 'Content-Type' => 'text/xml' });
refused('two types', 400, 'BITRIX1C_BAD_REQUEST', 'sale.order.get', undef,
        method => 'POST', body => '{"id":3}',
        headers => { 'Content-type' => FORM });
refused('too large', 413, 'BITRIX1C_TOO_LARGE', 'sale.order.update',
        { id => 3, fields => { comments => 'x' x 5000 } });

my $sock = Bitrix1C::Http::connect_to($gw->{port});
print {$sock} "POST /bitrix/sale.order.get HTTP/1.1\r\nHost: a\r\n"
              . "Content-Type: application/json\r\nConnection: close\r\n"
              . "Transfer-Encoding: chunked\r\n\r\n"
              . sprintf("%x\r\n%s\r\n0\r\n\r\n", 5000, ' ' x 5000);
$sock->flush;
like do { local $/ = undef; scalar <$sock> },
    qr/^HTTP\S+ 413 .*"error":"BITRIX1C_TOO_LARGE"/s, 'too large, in chunks';
close $sock;

# batches

my %fifty = map { ("c$_" => 'sale.order.get?id=3') } 1 .. 50;

refused('51 commands', 400, 'ERROR_BATCH_LENGTH_EXCEEDED', 'batch',
        { cmd => { %fifty, c51 => 'sale.order.list' } });
refused('a nested batch', 405, 'ERROR_BATCH_METHOD_NOT_ALLOWED', 'batch',
        { cmd => { a => 'batch?cmd[x]=sale.order.list' } });
refused('a nested batch in capitals', 405, 'ERROR_BATCH_METHOD_NOT_ALLOWED',
        'BATCH.json', form('cmd[a]=Batch.JSON'));
refused('no commands', 400, 'BITRIX1C_BAD_REQUEST', 'batch', {});
refused('a key in a command', 400, 'BITRIX1C_BAD_REQUEST', 'batch',
        { cmd => ["1/$key/sale.order.list"] });

for my $case (
    ['JSON', { cmd => { a => 'sale.order.list', b => 'crm.deal.list' } }],
    ['a list', { cmd => ['crm.deal.list'] }],
    ['a form', form('cmd[a]=sale.order.list&cmd[b]=crm.deal.list')],
    ['a suffix', form('cmd[a]=crm.deal.list.json%3Fselect[]=ID')],
) {
    my ($name, @call) = @$case;
    refused("a forbidden command: $name", 403, 'BITRIX1C_METHOD_FORBIDDEN',
            'batch', @call);
}

refused('two spellings of cmd', 400, 'BITRIX1C_BAD_REQUEST', 'batch',
        { CMD => { b => 'crm.deal.list' }, cmd => { a => 'sale.order.list' } });

is_deeply [$gw->portal_received], [], 'none of these calls reached the portal';

is $gw->rest_call('batch', { cmd => \%fifty })->{status}, 200,
    '50 commands are accepted';
is $gw->rest_call('SALE.Order.get?id=3')->{status}, 200,
    'a method in another case is accepted';
is_deeply $gw->rest_call('batch?cmd[a]=crm.deal.list',
                         { cmd => { b => 'sale.order.get?id=3' } })
          ->{json}{result}{result_error}, [],
    'the commands of the body replace those of the query string';

# portals

sub portal {
    my ($mode, $status, $code, %more) = @_;

    $gw->portal_mode({ mode => $mode, times => 1, %more });
    my $answer = $gw->rest_call('sale.order.get', { id => 3 });
    is "$answer->{status} $answer->{code}", "$status $code",
        "the portal: $mode";
    ok length $answer->{json}{error_description}, "$mode: says what it is";
    is join(', ', grep { /x7k2|\/auth\// } %{ $answer->{headers} }), '',
        "$mode: no address in a header";
    unlike $answer->{body}, qr/x7k2mq/, "$mode: no address in the body";

    return $answer;
}


portal('html', 502, 'BITRIX1C_HTML');
portal('403', 403, 'BITRIX1C_HTML');
portal('502', 502, 'BITRIX1C_HTML');
portal('redirect', 502, 'BITRIX1C_REDIRECT');
portal('close', 502, 'BITRIX1C_NO_ANSWER');
portal('reset', 502, 'BITRIX1C_NO_ANSWER');
portal('commit-close', 502, 'BITRIX1C_NO_ANSWER');
like portal('hang', 504, 'BITRIX1C_TIMEOUT')->{json}{error_description},
    qr/is unknown/, 'the answer says that the outcome is unknown';
portal('internal', 500, 'INTERNAL_SERVER_ERROR');
portal('credentials', 401, 'INVALID_CREDENTIALS');
like portal('echo', 200, 'ERROR_UNEXPECTED_ANSWER')->{body},
    qr{/rest/1/\*{16}/sale\.order\.get}, 'an address in an error is redacted';

$gw->stop_portal;
portal_gone();
$gw->start_portal('--listen', $gw->{bitrix});


sub portal_gone {
    my $answer = $gw->rest_call('sale.order.get', { id => 3 });
    is "$answer->{status} $answer->{code}", '502 BITRIX1C_NOT_REACHED',
        'no portal';
}


# the key in a list, wherever nginx splits the answer

my $secret = Bitrix1C::Portal::KEY;
my $url = "https://myshop.ru/rest/1/$secret/download/";

is $gw->portal_call('sale.order.update', { id => 9,
    fields => { comments => $url x 100 } })->{status}, 200, 'a comment';
my $answer = $gw->rest_call('sale.order.get', { id => 9 });
my $found = () = $answer->{body} =~ m{/1\\?/\w{0,7}\*{9,16}\\?/download}g;
is $found, 100,
    'the key is redacted, except seven bytes that were already sent';

# other addresses do not bypass the check

for my $path ('/bitrix/mirrored') {
    $gw->portal_ask('reset', '');
    Bitrix1C::Http::http_request(port => $gw->{port}, path => $path);
    is_deeply [$gw->portal_received(1, 0.3)], [], "$path: no call is made";
}

my $log = $gw->slurp('error.log');
unlike $log, qr/$key|$secret/, 'no key in the error log';
like $log, qr{upstream: "http://[\d.:]+/rest/1/\*{16}/sale\.order\.get"},
    'the key is redacted where nginx prints the upstream';
like $log, qr{request: "POST /bitrix/1/\*{16}/},
    'the key is redacted where nginx prints the request';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# What programs for Bitrix24 send to a portal they may send to the gateway, and
# it means the same: addresses of every form, parameters of every type, a
# location that looks like a webhook, over TLS.

use strict;
use warnings;

use FindBin ();
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Calls ();
use Bitrix1C::Http ();
use Bitrix1C::Port qw(free_port);
use Bitrix1C::RawPortal ();

my $form = 'application/x-www-form-urlencoded';
my $gw = Bitrix1C::Calls->new(
    methods => 'catalog.* sale.* crm.* task.* tasks.* batch',
    kept    => 'concurrency 1; retry 100ms 100ms; breaker off;',
);

my $raw = Bitrix1C::RawPortal->new($gw->{dir});
my $tls = free_port();
my $crt = "$gw->{dir}/gate";

system("openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=gate -days 1"
       . " -keyout $crt.key -out $crt.crt 2>/dev/null") == 0
    or die 'openssl failed';

$gw->{rest} .= ' proxy_pass ' . $raw->url . ';';
$gw->{bitrix} = 'raw';
$gw->{http} .= " server { listen 127.0.0.1:$tls ssl; ssl_certificate $crt.crt;"
    . ' large_client_header_buffers 4 64k;'
    . " ssl_certificate_key $crt.key; location /rest/1/gate/ {"
    . ' bitrix1c_rest portal; bitrix1c_methods crm.*; bitrix1c_pace'
    . ' rate=1000/s burst=1000 overload=1s; proxy_http_version 1.1;'
    . ' proxy_pass ' . $raw->url . '; } }';
$gw->{server} = 'error_page 414 /too_long; location = /too_long {'
    . ' internal; default_type application/json; return 414'
    . q( '{"error":"URI_TOO_LARGE","error_description":"use POST"}'; } );
$gw->start_redis;
$gw->start_onec;
$gw->{server} .= $gw->rest_location;
$gw->start_nginx;

my $seen = 0;


# the request line that the portal gets, and the body

sub sent {
    my ($path, %opt) = @_;
    my $type = delete $opt{type};
    my $answer = $gw->rest_call($path, undef, %opt,
        headers => { 'Content-Type' => $type // '' });
    my @lines = $raw->received;
    my @bodies = split /\n/, $raw->bodies, -1;

    return "$answer->{status} $answer->{body}" if @lines == $seen;
    $seen = @lines;
    return "$lines[-1] $bodies[$#lines]";
}


sub post {
    my ($path, $type, $body) = @_;
    return sent($path, method => 'POST', type => $type, body => $body);
}


# addresses

for my $path ('crm.deal.list', 'crm.deal.list/', '/crm.deal.list/',
              '//crm.deal.list//') {
    is sent($path), 'GET crm.deal.list ', "the address $path";
}

is sent('crm.deal.list.json/?start=5'), 'GET crm.deal.list.json?start=5 ',
    'a suffix, a slash and a query string';
is sent('tasks.flow.Flow.create?id=1'), 'GET tasks.flow.Flow.create?id=1 ',
    'capitals stay, some methods have them';
like sent('crm.deal.list/x'), qr/\A400 .*BITRIX1C_BAD_METHOD/, 'not two names';

# query strings

is sent('crm.deal.list?filter[%title]=abc'),
    'GET crm.deal.list?filter[%25title]=abc ', 'a raw % in brackets';
is sent('crm.deal.list?filter[>=ID]=1'),
    'GET crm.deal.list?filter[%3E%3DID]=1 ', 'a raw = in brackets';
is sent('crm.deal.get?id=1&auth=x&access_token=y&access.token=z&ap=1'),
    'GET crm.deal.get?id=1 ', 'only the webhook says who calls';
like sent('crm.deal.get?token=x'), qr/\A400 .*token/, 'a token';

# JSON

is post('crm.deal.list/', 'application/json', '[]'), 'POST crm.deal.list []',
    'no parameters, as PHP writes them';
is post('task.elapseditem.getlist', 'application/json',
        '[{"ID":"desc"},{">=ID":1}]'),
    'POST task.elapseditem.getlist [{"ID":"desc"},{">=ID":1}]',
    'a list of positional parameters';

for my $type ('text/plain', '', 'Application/JSON', 'application/json x',
              'text/plain;charset=UTF-8') {
    is post('crm.deal.get', $type, '{"id":3}'), 'POST crm.deal.get {"id":3}',
        "JSON as \"$type\"";
}

is post('crm.deal.get', 'application/json', "\xef\xbb\xbf{\"id\":3}"),
    'POST crm.deal.get {"id":3}', 'less a BOM';
is post('crm.deal.add', 'application/json', "{\"a\":\"x\ty\",\"b\":[1.5]}"),
    'POST crm.deal.add {"a":"x\\ty","b":[1.5]}',
    'a raw control character is escaped';
is post('crm.deal.get', 'application/json',
        '{"auth":"x","id":12345678901234567890,"sessid":1}'),
    'POST crm.deal.get {"id":"12345678901234567890"}',
    'only the webhook says who calls: JSON';
like post('crm.deal.get', $form, " \n{\"id\":3}"), qr/\A400 .*looks like JSON/,
    'JSON that is said to be a form';
like sent('crm.deal.get', method => 'GET', type => 'application/json',
          body => '{"id":3}'), qr/\A400 .*GET has a body/, 'a GET with a body';

# forms

is post('crm.deal.get', $form, 'id=3&x.y=1&filter[>=ID]=5'),
    'POST crm.deal.get id=3&x_y=1&filter[%3E%3DID]=5', 'a form';
is post('crm.deal.get', 'text/plain', "id=3\r\n"), 'POST crm.deal.get id=3',
    'a form that is not said to be one';
like post('crm.deal.add', $form, join '&', map { "a[$_]=1" } 0 .. 1000),
    qr/\APOST crm\.deal\.add \{"a":\["1",(?:"1",){999}"1"\]\}\z/,
    'a form that PHP would cut goes on as JSON';

my $parts = join "\r\n", '--b', 'Content-Disposition: form-data; name="id"',
    '', '3', '--b', 'Content-Disposition: form-data; name="a[b c]"', '',
    'x&y', '--b--', '';
is post('crm.deal.get', 'multipart/form-data; boundary=b', $parts),
    'POST crm.deal.get id=3&a[b+c]=x%26y', 'multipart/form-data';
like post('crm.deal.get', 'multipart/form-data; boundary=c', $parts),
    qr/\A400 .*boundary/, 'with another boundary';

# batches

is sent('batch?cmd[a]=crm.deal.get%3Fid%3D1&cmd[b]=crm.deal.list&halt=1'),
    'POST batch {"cmd":{"a":"crm.deal.get?id=1","b":"crm.deal.list"},'
    . '"halt":"1"}', 'a batch by GET';
is post('batch', 'application/json', '{"CMD":["crm.deal.get.json?id=1#x"],'
        . '"x":"&cmd[b]=user.add"}'),
    'POST batch {"cmd":["crm.deal.get?id=1%23x"]}',
    'a batch holds its commands and nothing else';

# addresses that are too long for nginx

my $long = 'batch?' . join '&', map { "cmd[$_]=crm.deal.get%3Fid%3D"
                                      . 'x' x 300 } 1 .. 40;
my $answer = $gw->rest_call($long);
is "$answer->{status} $answer->{code}", '414 URI_TOO_LARGE',
    'more than nginx takes, answered with JSON';

qx{curl -gsk -m 5 'https://127.0.0.1:$tls/rest/1/gate/$long'};
like +(split /\n/, $raw->bodies)[-1],
    qr/\A\{"cmd":\{"1":"crm\.deal\.get\?id=x{300}"/,
    'large_client_header_buffers lets a batch in';

# a webhook's address and TLS

is +(qx{curl -sk -m 5 https://127.0.0.1:$tls/rest/1/gate/crm.deal.get/ \\
        -d id=7}, ($raw->received)[-1])[1], 'POST crm.deal.get',
    'an address like that of a webhook';

# kept calls

my @ids = map { $gw->prefer(@$_) } (
    ['crm.deal.add', { fields => { a => 1 } }],
    ['task.item.update?bx24_request_id=1', [13, { TITLE => 'x' }]],
);
$gw->becomes($_, 'done') for @ids;
like $raw->bodies, qr/"0":13,"1":\{"TITLE":"x"\}/,
    'positional parameters are kept, without the number of the request';

$gw->finish;
done_testing;

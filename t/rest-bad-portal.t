#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Portals that send invalid answers.  The gateway serves no content of its own
# host instead, stores no key that an answer contains, and sends no write twice,
# by any HTTP method.

use strict;
use warnings;

use FindBin ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Binary qw(nginx_has nginx_since);
use Bitrix1C::Calls ();
use Bitrix1C::Http ();
use Bitrix1C::RawPortal ();


my $key = Bitrix1C::RawPortal::KEY;


sub said {
    my ($body, @headers) = @_;

    return ["HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            . join('', map { "$_\r\n" } @headers) . "\r\n$body"];
}


sub failed {
    my ($status, $body, @headers) = @_;
    my $said = said($body, @headers);

    $said->[0] =~ s/200 OK/$status No/;
    return $said;
}


my $gw = Bitrix1C::Calls->new(
    rest   => 'bitrix1c_callback /bitrix/orders; RAW'
              . ' bitrix1c_pace rate=1000/s burst=1000 max_wait=0;',
    server => 'location /private/ { internal; return 200 private; } ',
    kept   => 'concurrency 2; retry 100ms 100ms 100ms 100ms; breaker off;',
);

my $raw = Bitrix1C::RawPortal->new($gw->{dir},
    'sale.away'   => said('{"result":1}', 'X-Accel-Redirect: /private/x'),
    'sale.named'  => said('{"result":1}', 'X-Accel-Redirect: @private'),
    'sale.hint'   => ["HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
                      @{ said('{"result":1}') }],
    'sale.old'    => ["{\"result\":1}"],
    'sale.url'    => said('{"result":{"url":"https:\/\/x\/rest\/1\/KEY\/f"}}'),
    'sale.refuse' => failed(400, '{"error":"NO_KEY","error_description":'
                                 . '"not at https://x/rest/1/KEY/sale"}'),
    'sale.control' => said('{"result":{"a":"x\u000b' . "\x01" . 'y"}}'),
    'sale.broken' => said('{"result":[1,2}}'),
    'sale.silent' => failed(502, ''),
    'sale.zip'    => said("\x1f\x8b\x08\x00x", 'Content-Encoding: gzip',
                          'Content-Length: 5'),
    'sale.dated'  => said('{"result":1}', 'ETag: "x"', 'Content-Length: 12'),
    'sale.limit'  => failed(503, '{"error":"QUERY_LIMIT_EXCEEDED"}',
                            'Retry-After: 99999999999'),
    'sale.cors'   => said('{"result":1}', 'Access-Control-Allow-Origin: *',
                          'access-control-allow-headers: *', 'X-Other: 1'),
    'sale.head'   => failed(401, '{"error":"expired_token"}',
                            'WWW-Authenticate: x realm="/rest/1/KEY/"',
                            'Set-Cookie: k=KEY', 'Refresh: 1; /rest/1/KEY/'),
    map { $_ => [] } qw(sale.order.add sale.order.update sale.order.get batch),
);

# not every nginx has gunzip

my $gunzip = nginx_has('http_gunzip') ? 'gunzip on;' : '';

my $servers = "server 127.0.0.1:$raw->{port} max_fails=0;" x 3;
$gw->{http} .= " $gunzip upstream raw { $servers }";
$gw->{rest} =~ s{RAW}{"proxy_pass " . $raw->url =~ s/127\.0\.0\.1:\d+/raw/r
                      . ';'}e;
$gw->{bitrix} = 'raw';
$gw->start_redis;
$gw->start_onec;
$gw->{server} .= $gw->rest_location;
$gw->start_nginx;


sub counted {
    my ($request) = @_;
    return scalar grep { /\A\Q$request\E(?:\?|\z)/ } $raw->received;
}


sub whole {
    my ($name, $header) = @_;
    my $sock = Bitrix1C::Http::connect_to($gw->{port});

    print {$sock} "GET /bitrix/$name HTTP/1.1\r\nHost: a\r\n"
                  . (defined $header ? "$header\r\n" : '')
                  . "Connection: close\r\n\r\n";
    $sock->flush;

    return do { local $/ = undef; scalar <$sock> } // '';
}


# answers that redirect, and answers that are not HTTP

for my $name (qw(sale.away sale.named)) {
    my $answer = whole($name);

    like $answer, qr/"result":1/, "$name: the portal's own answer";
    unlike $answer, qr/private/, "$name: no content of this server";
}

# nginx before 1.29 takes a 103 for the answer, a later nginx skips it

like whole('sale.hint'),
    nginx_since('1.29.0') ? qr/\AHTTP\S+ 200 .*\n\{"result":1\}/s
                          : qr/\AHTTP\S+ 409 .*"BITRIX1C_OUTCOME_UNKNOWN"/s,
    'a 103 before the answer';
like whole('sale.old'), qr/\AHTTP\S+ 409 .*"BITRIX1C_OUTCOME_UNKNOWN"/s,
    'bytes that are not HTTP';

like whole('sale.silent'), qr/\AHTTP\S+ 409 .*"BITRIX1C_OUTCOME_UNKNOWN"/s,
    'an error without a body';
like whole('sale.zip'), qr/\ncontent-encoding: gzip\r\n.*\n\x1f\x8b.{3}\z/is,
    'gunzip does not swallow what the portal compressed unasked';
like whole('sale.dated', 'If-None-Match: "x"'),
    qr/\AHTTP\S+ 200 .*\r\n\r\n\{"result":1\}\z/s,
    'no body behind a 304 of nginx';

# headers

my $answer = whole('sale.head');
like $answer, qr/\AHTTP\S+ 401 .*"expired_token"/s, 'an error';
unlike $answer, qr/$key/, 'no header has the key';

# browsers

$answer = whole('sale.cors');
like $answer, qr/\nx-other: 1\r/i, 'headers are passed on';
unlike $answer, qr/access-control/i,
    'headers that let any page read the answer are removed';

for my $case ([200], [200, 'Sec-Fetch-Site: none'],
              [200, "Origin: http://a\r\nSec-Fetch-Site: same-origin"],
              [200, 'Origin: http://A'], [403, 'Origin: http://b'],
              [403, 'Origin: null'], [403, 'Origin: http://a:81'],
              [403, 'Sec-Fetch-Site: cross-site'],
              [403, 'Sec-Fetch-Site: same-site'])
{
    my ($status, $header) = @$case;
    my ($code) = whole('sale.a?id=1', $header) =~ /\AHTTP\S+ (\d+) /;

    is $code, $status, $header // 'no browser';
}

is_deeply [$gw->rest_call('sale.a', {}, headers => { Origin => 'http://b' })
           ->{code}], ['BITRIX1C_CROSS_SITE'], 'a page of another site: POST';

# a write whose answer is lost is sent once, although there are three servers

for my $name (qw(sale.order.add sale.order.update batch)) {
    my $cmd = $name eq 'batch' ? '?cmd[a]=sale.order.add' : '?id=1';

    my $status = $name eq 'sale.order.update' ? 502 : 409;

    like whole("$name$cmd"), qr/\AHTTP\S+ $status .*is unknown/s,
        "GET $name";

    # a batch goes on as a POST, whichever way it came

    is counted($name eq 'batch' ? 'POST batch' : "GET $name"), 1,
        "GET $name: once";

    $gw->rest_call($name, $name eq 'batch'
                          ? { cmd => { a => 'sale.order.add' } } : { id => 1 });
    is counted("POST $name"), $name eq 'batch' ? 2 : 1, "POST $name: once";
}

whole('sale.order.get?id=1');
is counted('GET sale.order.get'), 3, 'a read may be repeated at another server';

# the bucket is full from here on

$answer = whole('sale.limit');
is_deeply [$answer =~ /^retry-after: (\d+)/gim], [1], 'one Retry-After';

# kept calls

my $url = $gw->becomes($gw->prefer('sale.url', { id => 1 }), 'done');
is $url->{answer}{result}{url}, 'https://x/rest/1/' . '*' x 16 . '/f',
    'the key in a stored answer is redacted';

my $refused = $gw->becomes($gw->prefer('sale.refuse', { id => 2 }), 'dead');
like $refused->{reason}, qr{not at https://x/rest/1/\*{16}/sale},
    'the key in a reason is redacted';
like $refused->{answer}{error_description}, qr{/rest/1/\*{16}/sale},
    'the key in an error is redacted';

is_deeply [map { $_->{state} } map { $gw->becomes($_, 'done') }
           map { $gw->prefer($_, { id => 3 }) } 'sale.away'], ['done'],
    'a kept call does not follow X-Accel-Redirect';

my $control = $gw->becomes($gw->prefer('sale.control', { id => 4 }), 'done');
is $control->{answer}{result}{a}, 'xy',
    'characters that 1C cannot read are removed';

my $broken = $gw->becomes($gw->prefer('sale.broken', { id => 5 }), 'done');
is_deeply $broken->{answer}, { status => 200, result => undef,
                               broken => JSON::PP::true() },
    'a result that is not JSON is not passed on';

$gw->onec_received(5, 10);
unlike $gw->onec_ask('received?show=bodies'), qr/$key/,
    'the key is not sent to 1C';

# what 1C sends

my $bom = "\xef\xbb\xbf";

for my $case (['one piece', "$bom\{\"a\":1}"], ['a piece of its own', $bom,
               '{"a":1}'], ['two pieces', "\xef", "\xbb\xbf{\"a\":1}"]) {
    my ($name, @pieces) = @$case;
    my $sock = Bitrix1C::Http::connect_to($gw->{port});
    my $n = () = $raw->bodies =~ /^\{"a":1}$/mg;

    print {$sock} "POST /bitrix/sale.a HTTP/1.1\r\nHost: a\r\n"
                  . "Connection: close\r\nContent-Length: 10\r\n\r\n";

    for my $piece (@pieces) {
        print {$sock} $piece;
        $sock->flush;
        sleep 0.1;
    }

    like do { local $/ = undef; scalar <$sock> }, qr/\AHTTP\S+ 200 /,
        "a BOM in $name: the call succeeds";
    is scalar(() = $raw->bodies =~ /^\{"a":1}$/mg), $n + 1,
        "a BOM in $name: the portal does not get the BOM";
}

my $deep = $gw->rest_call('sale.a', undef, method => 'POST',
                          body => '{"a":' . '[' x 70 . ']' x 70 . '}');
is "$deep->{status} $deep->{json}{error_description}",
    '400 the body: too deep, at byte 69',
    'a body that is too deep is refused, without naming a directive';

# preferences and keys

my $sock = Bitrix1C::Http::connect_to($gw->{port});
print {$sock} "GET /bitrix/sale.a HTTP/1.1\r\nHost: a\r\nPrefer: wait=5\r\n"
              . "Prefer: x, respond-async\r\nConnection: close\r\n\r\n";
$sock->flush;
like do { local $/ = undef; scalar <$sock> }, qr/\AHTTP\S+ 202 /,
    'the second of two headers';

for my $case (['none', ''], ['256 bytes', 'x' x 256],
              ['two', "a\r\nIdempotency-Key: b"]) {
    my ($name, $key) = @$case;
    my $r = $gw->rest_call('sale.a', {}, headers => {
        Prefer => 'respond-async', 'Idempotency-Key' => $key });

    is "$r->{status} $r->{code}", '400 BITRIX1C_BAD_REQUEST',
        "Idempotency-Key: $name";
}

my $post = $gw->rest_call('bitrix1c/calls/' . '0' x 32, {});
is "$post->{status} $post->{headers}{allow}", '405 GET',
    'the result of a call is requested with GET only';

delete $gw->{bitrix};
$raw->stop;
$gw->{bitrix} = 'raw';
$gw->finish;
done_testing;

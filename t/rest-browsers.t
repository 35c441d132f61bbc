#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A page of another site, in the browser of somebody who may reach the gateway
# over plain http: it can neither write by an image nor, through a name of its
# own that leads here, read.  Nothing that a portal says of its key gets out.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Browser ();
use Bitrix1C::Calls ();
use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http ();
use Bitrix1C::RawPortal ();

my $key = Bitrix1C::RawPortal::KEY;
my $json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

my $gw = Bitrix1C::Calls->new(
    names  => 'gate.lan *.shop.ru',
    server => 'server_name gateway.local *.wild.ru ~^re\d+\.ru$;'
              . ' location /open/ { bitrix1c_api open; }'
              . ' location /page { default_type text/html; return 200'
              . ' "<img src=$arg_src><p>page"; } ',
    kept   => 'concurrency 2; retry 100ms 100ms; breaker off;',
);

my $raw = Bitrix1C::RawPortal->new($gw->{dir},
    'sale.reason'  => ["HTTP/1.1 400 no KEY here\r\n"
                       . "Content-Type: application/json\r\n\r\n"
                       . '{"error":"X","error_description":"y"}'],
    'sale.type'    => ["HTTP/1.1 200 OK\r\nContent-Type: x/KEY\r\n\r\n"
                       . '{"result":1}'],
    'sale.name'    => ["${json}X-KEY: 1\r\nx-other: 1\r\n\r\n{\"result\":1}"],
    'sale.invalid' => ["${json}X-KEY\x01: KEY /rest/1/KEY/\r\n\r\n"],
);

$gw->{rest} .= ' proxy_pass ' . $raw->url . ';';
$gw->{bitrix} = 'raw';
$gw->start_redis;
$gw->start_onec;
$gw->{server} .= $gw->rest_location;
$gw->start_nginx;


sub whole {
    my ($path, @headers) = @_;
    my $sock = Bitrix1C::Http::connect_to($gw->{port});

    unshift @headers, 'Host: 127.0.0.1' if !grep { /\AHost:/ } @headers;
    print {$sock} "GET $path HTTP/1.1\r\n" . join('', map { "$_\r\n" } @headers)
                  . "Connection: close\r\n\r\n";
    $sock->flush;

    return do { local $/ = undef; scalar <$sock> } // '';
}


sub code {
    return whole(@_) =~ /\AHTTP\S+ (\d+) / ? $1 : 0;
}


# writes by GET

my $mozilla = 'User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0';
my $write = '/bitrix/crm.deal.delete?id=300';

for my $case (
    [403, 'an image, over http', $mozilla, 'Accept: image/avif,*/*',
        'Referer: http://evil.example/'],
    [403, 'without a referrer', $mozilla],
    [403, 'a referrer that begins alike', $mozilla,
        'Referer: http://127.0.0.1.evil.example/'],
    [403, 'an image, over https', $mozilla, 'Sec-Fetch-Site: cross-site'],
    [403, 'another program with a referrer', 'Referer: http://evil.example/'],
    [200, 'a page of this site', $mozilla, 'Referer: http://127.0.0.1/a'],
    [200, 'the same, over https', $mozilla, 'Sec-Fetch-Site: same-origin'],
    [200, '1C', 'User-Agent: 1C+Enterprise/8.3'],
    [200, 'no browser'],
) {
    my ($status, $name, @headers) = @$case;
    is code($write, @headers), $status, "a write by GET: $name";
}

is code('/bitrix/crm.deal.get?id=300', $mozilla), 200, 'a read by GET';
is code('/bitrix/batch?cmd[a]=crm.deal.get', $mozilla), 200,
    'a batch of reads by GET';
is code('/bitrix/batch?cmd[a]=crm.deal.get&cmd[b]=crm.deal.add', $mozilla),
    403, 'a batch with a write by GET';
is code('/bitrix/crm.country.add?id=1', $mozilla), 403,
    'a write whose name has a verb of reading in it';
like whole($write, $mozilla), qr/"BITRIX1C_CROSS_SITE".*by POST/,
    'says what to do';

# names

for my $path ('/bitrix/crm.deal.get?id=3', '/bitrix/bitrix1c/calls/' . 'a' x 32,
              '/open/status')
{
    for my $case (
        ['evil.example', 1], ['127.0.0.1.evil.example', 1],
        ['xgateway.local', 1], ['wild.ru', 1], ['re.ru', 1],
        ['127.0.0.1', 0], ["127.0.0.1:$gw->{port}", 0], ['[::1]', 0],
        ['localhost', 0], ['gateway.local', 0], ['GATEWAY.local', 0],
        ['a.wild.ru', 0], ['re2.ru', 0],
        ['gate.lan', $path =~ /open/], ['a.shop.ru', $path =~ /open/],
    ) {
        my ($host, $refused) = @$case;
        my $got = code($path, "Host: $host");

        is $got == 403 ? 1 : 0, $refused ? 1 : 0, "$path at $host";
    }
}

like whole('/bitrix/crm.deal.get?id=3', 'Host: evil.example'),
    qr/"BITRIX1C_UNKNOWN_NAME".*server_name/, 'says what to do';

# Chromium, at names that lead here

my $browser = Bitrix1C::Browser->new(process => $gw, args => [
    'host-resolver-rules=MAP *.example 127.0.0.1, MAP gate.lan 127.0.0.1']);

# whether an image of a page at this name has the call made

sub image_calls {
    my ($page, $method) = @_;
    my $before = () = $raw->received;

    $browser->open("http://$page:$gw->{port}/page?src=http://gate.lan:"
                   . "$gw->{port}/bitrix/$method?id=300");
    wait_until(5, sub { $browser->run(
        'return document.images[0].complete') });

    my @calls = $raw->received;

    return grep { /$method/ } splice @calls, $before;
}


ok !image_calls('evil.example', 'crm.deal.delete'),
    'an image of another site deletes nothing';
ok scalar image_calls('gate.lan', 'crm.deal.add'),
    'one of this site is served';

for my $case (['evil.example', 403], ['gate.lan', 200]) {
    my ($name, $status) = @$case;

    $browser->open("http://$name:$gw->{port}/page?src=x");
    is $browser->run('const r = new XMLHttpRequest(); r.open("GET",'
        . ' "/bitrix/crm.deal.get?id=3", false); r.send(); return r.status'),
        $status, "a page at $name reads an answer, or does not";
}


$browser->quit;


# the key

for my $name (qw(reason type name invalid)) {
    my $answer = whole("/bitrix/sale.$name");

    like $answer, qr/\AHTTP\S+ \d+ /, "the key in the $name: an answer";
    unlike $answer, qr/$key/i, "the key in the $name: is masked";
}

like whole('/bitrix/sale.name'), qr/\nx-other: 1\r/i, 'others pass';
like whole('/bitrix/sale.reason'), qr/\AHTTP\S+ 400 .*"X"/s,
    'the error passes';

my $id = $gw->prefer('sale.invalid', {});
$gw->becomes($id, 'dead', 10);

my $log = $gw->slurp('error.log');
like $log, qr/sent invalid header: "X-\*{16}\\x01/, 'the log tells of it';
unlike $log, qr/$key/i, 'without the key';

$gw->finish;
done_testing;

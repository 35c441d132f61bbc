#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The API answers every request with JSON, a sentence and the right status, and
# only authorized requests change anything.

use strict;
use warnings;

use FindBin ();
use IO::Socket::UNIX ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(api api_error change status_of);
use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(http_request);

my $id = '0' x 32;
my $gw = Bitrix1C::Gateway->new(
    http   => 'server { listen unix:DIR/api.sock;'
            . ' location /bitrix1c/ { bitrix1c_api; } }',
    server => <<'EOT',
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Real-IP;
        location /bitrix1c/ { bitrix1c_api; }
        location /open/ { bitrix1c_api open; }
        location /read/ {
            bitrix1c_api open;
            limit_except GET { deny all; }
        }
EOT
);
$gw->{http} =~ s/DIR/$gw->{dir}/;
$gw->start;


sub ask {
    my ($path, %opt) = @_;
    return api_error(api($gw, $path, %opt));
}


# paths

for my $path ('x', 'status/', 'Status', 'dead/', "dead/$id/x", 'queue',
              'queue/', 'queue/stop', 'app.jsx', 'app.js/', 'index.html',
              'dead/replay/x', "dead/$id%2F", 'status%2f', '<script>',
              'x%22y', '%FF', 'a%0Ab')
{
    like ask($path . '?queue=orders'), qr/^404 NotFound: there is no ".*export/s,
        "path $path";
}

like ask('a' x 3000), qr/^404 NotFound: /, 'a long path is not found';
like ask("dead%2F$id?queue=orders"), qr/^404 NotFound: there is no dead letter/,
    'an encoded slash is decoded';
is api($gw, '../bitrix1c/x/../status')->{status}, 200,
    'dot segments are removed';
is http_request(port => $gw->{port}, path => '/bitrix1c')->{status}, 301,
    'an address without the slash redirects to the page';

# methods

like ask($_, method => 'POST', body => ''),
    qr/^405 MethodNotAllowed: .* not allowed here: expected GET, HEAD/, "POST to $_"
    for '', 'app.js', 'status', 'metrics', 'history', 'dead', "dead/$id",
        'export';
like ask($_), qr/^405 MethodNotAllowed: .* not allowed here: expected POST/, "GET of $_"
    for 'dead/replay', 'dead/delete', 'queue/hold', 'queue/resume';
is api($gw, 'queue/hold')->{headers}{allow}, 'POST', 'Allow of a change';
is api($gw, 'status', method => 'PUT', body => '')->{headers}{allow},
    'GET, HEAD', 'Allow of the others';
like ask('status', method => 'DELETE'), qr/^405 /, 'DELETE';

# arguments

my %bad = (
    'dead'                        => 'an argument is missing: expected queue=name',
    'dead?queue='                 => 'an argument is missing: expected queue=name',
    'dead?queue=orders&portl=x'   => 'unknown argument "portl", known arguments: queue',
    'status?x=1'                  => 'unknown argument "x", known arguments: none',
    'history?id=1'                => 'unknown argument "id", known arguments: queue',
    'dead?queue=orders&limit=0'   => 'invalid value "0" of argument "limit"',
    'dead?queue=orders&limit=201' => 'invalid value "201"',
    'dead?queue=orders&limit=1e1' => 'invalid value "1e1"',
    'dead?queue=orders&limit=-1'  => 'invalid value "-1"',
    'dead?queue=orders&from=now'  => 'invalid value "now" of argument "from"',
    'dead?queue=orders&to=1.2.3'  => 'invalid value "1.2.3"',
    'dead?queue=orders&event=a&event=b' => 'argument "event" is given twice',
    'dead?queue=orders&queue=orders'    => 'argument "queue" is given twice',
    'dead?queue=orders&event=' . 'a' x 300 => 'at most 256 bytes',
    'dead?queue=orders&id=1'      => 'unknown argument "id"',
    'dead/x?queue=orders'         => 'invalid id "x": expected 32 hexadecimal digits',
    'dead/' . 'G' x 32 . '?queue=orders' => 'invalid id',
    'dead/' . 'A' x 32 . '?queue=orders' => 'invalid id',
    'export?queue=orders&what=x'  => 'invalid value "x" of argument "what"',
    'dead?queue=orders&%3Cb%3E=1' => 'unknown argument "<b>"',
    'dead?queue=orders&limit=%FF' => "invalid value \"\x{fffd}\"",
    'dead?queue=orders&=1'        => 'unknown argument ""',
    map({ ("dead?queue=orders&cursor=$_" => 'of argument "cursor"',
           "export?queue=orders&cursor=$_" => 'of argument "cursor"') }
        'x', 'd_', 'd_1', "d_x_$id", "d_1_G$id", "d__$id", "a_1_$id", '_',
        "d_-1_$id", "d_+inf_$id", "d_nan_$id", 'd_1_' . 'a' x 200, "q_1_$id",
        'd_' . '1' x 41 . "_$id", "d_1_$id%00", "d_1_%0D%0A"),
);

for my $path (sort keys %bad) {
    my $error = ask($path);
    like $error, qr/^400 BadRequest: .*\Q$bad{$path}\E/s, "GET $path";
}

is api($gw, 'dead?queue=orders&&event=&portal=&limit=')->{status}, 200,
    'an empty argument is no condition';
like ask($_), qr/^404 NotFound: unknown queue "x", known queues: orders$/, $_
    for 'dead?queue=x', 'export?queue=x', 'history?queue=x';
is api($gw, '?lang=ru')->{status}, 200, 'the page may have arguments';

my %change = (
    'dead/replay?queue=orders' => 'not clear what must be replayed',
    'dead/delete?queue=orders' => 'not clear what must be deleted',
    "dead/delete?queue=orders&all=1&event=a" => 'it is not clear',
    "dead/replay?queue=orders&id=$id&all=1" => 'it is not clear',
    "dead/delete?queue=orders&id=$id&reason=x" => 'it is not clear',
    'dead/delete?queue=orders&all=0' => 'of argument "all": expected 1',
    'dead/delete?queue=orders&all=yes' => 'of argument "all": expected 1',
    'dead/delete?queue=orders&id=*' => 'invalid value "*" of argument "id"',
    'dead/delete?queue=orders&event=' => 'it is not clear',
    'dead/delete?all=1' => 'an argument is missing',
    'queue/hold' => 'an argument is missing',
    'queue/hold?queue=orders&id=1' => 'unknown argument "id"',
    "dead/delete?queue=orders&all=1&cursor=d_1_$id" => 'argument "cursor"',
);

like api_error(change($gw, $_)), qr/^400 BadRequest: .*\Q$change{$_}\E/,
    "POST $_" for sort keys %change;
like api_error(change($gw, 'queue/hold?queue=x')), qr/^404 NotFound: /,
    'hold of an unknown queue';

# changes that pages of other sites try to make

my $hold = 'queue/hold?queue=orders';
like ask($hold, method => 'POST', body => ''),
    qr/^403 Forbidden: the header "X-Bitrix1c: 1" is missing/,
    'a form of another site';
like api_error(change($gw, $hold, 'Sec-Fetch-Site' => $_)),
    qr/^403 Forbidden: the request comes from another site/, "from $_"
    for qw(cross-site same-site x same-origin1);
is status_of($gw)->{hold}{state}, 'off', 'none of the changes was made';
is change($gw, $hold, 'Sec-Fetch-Site' => $_)->{status}, 200, "from $_"
    for qw(same-origin none);
is change($gw, 'queue/resume?queue=orders')->{status}, 200,
    'a change with the header is made';
is api($gw, 'queue/resume?queue=orders', body => '{"queue":"x"',
       headers => { 'X-Bitrix1c' => 1, 'Content-Type' => 'application/json' })
   ->{status}, 200, 'a body is ignored';

# a foreign name that resolves to this host makes a foreign page same-origin

for my $host ('evil.example', 'localhost.evil.example', '127.0.0.1.evil.example',
              'x') {
    like ask('status', headers => { Host => $host }),
        qr/^403 Forbidden: the name in the address/, "to $host";
}

for my $host (qw(localhost LOCALHOST:8088 127.0.0.1 127.0.0.1:8088 [::1])) {
    is api($gw, 'status', headers => { Host => $host })->{status}, 200,
        "to $host";
}

# who is served

sub from {
    my ($address, $path) = @_;
    return http_request(port => $gw->{port}, path => $path,
                        headers => { 'X-Real-IP' => $address });
}

is from($_, '/bitrix1c/status')->{status}, 200, "$_ is served"
    for '127.0.0.1', '127.9.8.7', '::1', '::ffff:127.0.0.1';

for my $address ('192.0.2.1', '128.0.0.1', '126.255.255.255', '::2',
                 '::ffff:10.0.0.1', '2001:db8::1')
{
    for my $path ('', 'status', 'app.js', 'x', 'dead') {
        is from($address, "/bitrix1c/$path")->{status}, 403,
            "$address: /bitrix1c/$path";
    }

    is from($address, '/open/status')->{status}, 200, "$address: open";
}

like from('192.0.2.1', '/bitrix1c/status')->{body},
    qr/"code":"Forbidden","text":"access is allowed only from this machine/,
    'the answer says why';
is http_request(port => $gw->{port}, path => '/read/status')->{status}, 200,
    'other machines can read only';
is http_request(port => $gw->{port}, path => '/read/queue/hold?queue=orders',
                body => '', headers => { 'X-Bitrix1c' => 1 })->{status}, 403,
    'nginx can forbid the changes';

my $sock = IO::Socket::UNIX->new(Peer => "$gw->{dir}/api.sock");
print {$sock} "GET /bitrix1c/status HTTP/1.0\r\n\r\n";
like join('', <$sock>), qr{^HTTP/1.1 200 }, 'a unix socket is served';

# the page and its parts

my $csp = "default-src 'none'; script-src 'self'; style-src 'self'; "
        . "connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
        . "form-action 'none'; frame-ancestors 'none'";

for (['', 'text/html', 'index.html'], ['app.js', 'text/javascript', 'app.js'],
     ['app.css', 'text/css', 'app.css'])
{
    my ($path, $type, $file) = @$_;
    my $answer = api($gw, $path);
    open my $fh, '<', "$FindBin::Bin/../page/$file" or die "$file: $!";
    is $answer->{body}, do { local $/; <$fh> }, "$file is served unchanged";
    is $answer->{headers}{'content-type'}, "$type; charset=utf-8",
        'the Content-Type is right';
    is $answer->{headers}{'content-security-policy'}, $csp,
        'the Content-Security-Policy is right';
}

# HEAD

$sock = IO::Socket::INET->new("127.0.0.1:$gw->{port}");
print {$sock} "HEAD /bitrix1c/status HTTP/1.1\r\nHost: localhost\r\n"
            . "Connection: close\r\n\r\n";
my $head = join '', <$sock>;
like $head, qr{^HTTP/1.1 200 .*\r\nContent-Length: [1-9]\d*\r\n.*\r\n\r\n\z}s,
    'HEAD has no body';

$gw->finish;
done_testing;

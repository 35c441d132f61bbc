#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Whatever directive of nginx gives a request another configuration or another
# location, in either direction: no worker dies, and no call or event comes past
# the checks.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Calls ();
use Bitrix1C::Http qw(http_request);

my $gw = Bitrix1C::Calls->new(
    portal => ['--no-counters'],
    kept   => 'concurrency 2; retry 100ms 100ms; breaker off;',
);

$gw->start_redis;
$gw->start_onec;
$gw->start_portal(@{ $gw->{portal} });

my $rest_before = $gw->{rest};
my $n = 0;


# What a GET, a POST, a POST of a browser and a kept call are answered, then an
# event.  0 is no answer at all.

sub tried {
    my ($what, $expected, %part) = @_;
    my $rest = $part{rest} // '';

    $gw->{location} = $part{webhook} // '';
    $gw->{rest} = "$rest_before $rest";
    $gw->{server} = ($part{server} // '') . ' location = /no { return 403; }'
        . ' location = /yes { return 204; } location = /fine'
        . ' { return 200 "{}"; } location @fine { return 200 "{}"; }'
        . $gw->rest_location;

    $gw->{nginx_pid} ? $gw->reload : $gw->start_nginx;

    my @workers = $gw->workers;
    my @got;

    for my $call (
        ['sale.order.get?id=3'],
        ['sale.order.get', { id => 3 }],
        ['sale.order.get', { id => 3 },
            headers => { 'User-Agent' => 'Mozilla/5.0' }],
        ['sale.order.get', { id => 3 }, headers => { Prefer =>
            'respond-async', 'User-Agent' => 'Mozilla/5.0' }],
    ) {
        push @got, $gw->rest_call(@$call)->{status} || 0;
    }

    my $event = http_request(port => $gw->{port}, path => '/bitrix/orders',
        body => $gw->event_body(id => ++$n),
        headers => { 'User-Agent' => 'Mozilla/5.0' });
    push @got, $event->{status} || 0;

    is "@got", $expected, "$what: answers";
    $gw->drained(5);
    $gw->all_done(5);
    is join(' ', $gw->workers), "@workers", "$what: no worker has died";

    return;
}


my $all = '200 200 200 202 200';

tried('nothing else', $all);

for my $block ('set $g 2;', 'add_header X-A b;', '',
               'proxy_read_timeout 5s;', 'return 418;') {
    my ($browsers, $kept) = $block =~ /418/ ? (418, 418) : (200, 202);
    next if $block =~ /read_timeout/;

    tried("if { $block }", "200 200 $browsers $kept 200",
        rest => "if (\$http_user_agent ~ Mozilla) { $block }");
    tried("if { $block } of a webhook", '200 200 200 202 '
        . ($block =~ /418/ ? 418 : 200),
        webhook => "if (\$http_user_agent ~ Mozilla) { $block }");
}

tried('if with a capture', $all,
    rest => 'if ($uri ~ ^/bitrix/(.*)$) { set $g $1; }',
    webhook => 'if ($uri ~ ^/bitrix/(.*)$) { set $g $1; }');
tried('if { rewrite break }', '200 200 200 202 200',
    rest => 'if ($http_x_none) { rewrite ^ /fine break; }');
tried('if { proxy_pass }', '200 200 502 202 200', rest => 'proxy_pass'
    . ' PORTAL; if ($http_user_agent ~ Mozilla) { proxy_pass'
    . ' http://127.0.0.1:1; }');

for my $limit ('GET', 'POST') {
    my ($get, $post) = $limit eq 'GET' ? (200, 403) : (403, 200);

    tried("limit_except $limit", "$get $post $post "
        . ($post == 200 ? 202 : 403) . ' 200',
        rest => "limit_except $limit { deny all; }");
}

tried('limit_except of a webhook', '200 200 200 202 403',
    webhook => 'limit_except GET { deny all; }');
tried('limit_except that allows', $all,
    rest => 'limit_except GET { allow all; }',
    webhook => 'limit_except GET { allow all; }');
tried('limit_except and if', $all, rest => 'limit_except GET { allow all; }'
    . ' if ($http_user_agent) { set $g 2; }');

tried('error_page', '200 200 200 202 200', rest => 'proxy_intercept_errors on;'
    . ' error_page 404 500 502 =200 /fine;', webhook =>
    'proxy_intercept_errors on; error_page 404 500 502 =200 /fine;');
tried('error_page by name', $all, rest => 'proxy_intercept_errors on;'
    . ' recursive_error_pages on; error_page 400 404 502 = @fine;', webhook =>
    'proxy_intercept_errors on; error_page 400 404 502 = @fine;');

tried('satisfy', $all, rest => 'satisfy any; allow 127.0.0.1; deny all;'
    . ' auth_request /no;', webhook => 'satisfy any; allow 127.0.0.1;'
    . ' deny all; auth_request /no;');
tried('satisfy all', '403 403 403 403 403', rest => 'satisfy all;'
    . ' allow 127.0.0.1; auth_request /no;', webhook => 'satisfy all;'
    . ' allow 127.0.0.1; auth_request /no;');
tried('auth_request', $all, rest => 'auth_request /yes;',
    webhook => 'auth_request /yes;');
tried('auth_request to the other direction', '403 403 403 403 403',
    rest => 'auth_request /bitrix/orders;',
    webhook => 'auth_request /bitrix/sale.order.get;');

tried('rewrite last', '200 200 200 202 200', server =>
    'rewrite ^/bitrix/(.*)\.old$ /bitrix/$1 last;');
tried('rewrite last in the location', '200 200 200 202 200',
    rest => 'rewrite ^/bitrix/(.*)\.old$ /bitrix/$1 last;');
tried('rewrite last to another location', '200 200 200 200 200',
    rest => 'rewrite ^ /fine last;');

for my $inner (
    'location ~ ^/bitrix/sale { return 403; }',
    'location ~ ^/bitrix/sale { proxy_pass http://127.0.0.1:1; }',
) {
    tried("a regex inside: $inner", ($inner =~ /403/ ? '403 403 403 403 200'
                                                     : '502 502 502 502 200'),
        rest => "proxy_pass PORTAL; $inner");
}

tried('mirror of another location', $all, server =>
    'location /m/ { mirror /bitrix/sale.order.get; mirror /bitrix/orders;'
    . ' proxy_pass http://127.0.0.1:1; }');

http_request(port => $gw->{port}, path => '/m/');

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The configuration changes while events wait, or one of several similar servers
# accepted them.  An event is delivered by the location that accepted it, or not
# at all: a 200 of another location would lose the event.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(http_request);
use Bitrix1C::Port qw(free_port);

my $gw = Bitrix1C::Gateway->new(
    queue => 'concurrency 4; retry 100ms 300ms 300ms 300ms 300ms 300ms;',
);
$gw->start_redis;
$gw->start_onec;
$gw->{second} = free_port();

my $token = Bitrix1C::Gateway::TOKEN;


# a server with its own port and no name

sub server {
    my ($prefix) = @_;

    return "server { listen 127.0.0.1:$gw->{second};"
           . " location / { access_log $gw->{dir}/site.log; return 200; }"
           . " location $prefix { bitrix1c_webhook orders;"
           . " bitrix1c_token $token; proxy_http_version 1.1;"
           . " proxy_set_header Connection ''; proxy_pass"
           . " http://onec/CompanyName/hs/exchange/; } }";
}


sub post {
    my ($port, $path, $id) = @_;
    my $answer = http_request(port => $port, path => $path,
                              body => $gw->event_body(id => $id));

    return $answer->{body} =~ /"accepted","id":"(\w+)"/ ? $1 : '';
}


# two servers without a name

$gw->{http} = server('/second/');
$gw->{server} = "location / { return 200; } location /first/ {"
    . " bitrix1c_webhook orders; bitrix1c_token $token;"
    . " proxy_pass http://onec/CompanyName/hs/exchange/; }"
    . " location ~ ^/any/(first)\$ { bitrix1c_webhook orders;"
    . " bitrix1c_token $token; set \$to exchange;"
    . " proxy_pass http://onec/CompanyName/hs/\$to/; }";
$gw->start_nginx;

$gw->onec_mode({ mode => '500', times => 1, per => 'id' });

my %from = (
    post($gw->{port}, '/first/a', 1)     => 'a prefix in the first server',
    post($gw->{second}, '/second/a', 2)  => 'a prefix in the second one',
    post($gw->{port}, '/any/first', 3)   => 'an expression',
    post($gw->{port}, '/bitrix/orders', 4) => 'an exact location',
);

is scalar(grep { $_ } keys %from), 4, 'all are accepted';
ok $gw->drained(10), 'the queue is empty';

my $ids = $gw->onec_ids;

is $ids->{$_}{requests} // 0, 2, "$from{$_}: tried twice at 1C"
    for sort { $from{$a} cmp $from{$b} } keys %from;

is_deeply $gw->dead_letters, [], 'there is no dead letter';

# events wait, and meanwhile their address becomes one of the site

my $n = 4;
my $site = "http://127.0.0.1:$gw->{second}";
my $hook = "location /first/ { bitrix1c_webhook orders;"
    . " bitrix1c_token $token;"
    . " proxy_pass http://onec/CompanyName/hs/exchange/; }";

# another node may have the location, until it was missing for an hour

sub an_hour_later {
    my ($id) = @_;
    my $h = '{b1c:orders}:h';

    ok wait_until(5, sub { $gw->reason($id) =~ / \(since \d+\)$/ }),
        'the event waits for a node with its location';
    my ($attempts) = $gw->redis('HGET', $h, "$id:m") =~ /^\d+ (\d+) /;
    is $attempts, 0, 'it spends no attempt';
    $gw->redis('HSET', $h, "$id:r", $gw->reason($id)
               =~ s/since \K(\d+)/$1 - 3_700_000/er);

    return;
}

sub moved {
    my ($what, $server, $reason) = @_;

    @$gw{qw(queue server)} = ('hold on; retry 100ms;', $hook);
    $gw->{http} = '';
    ok $gw->reload, "$what: the queue is held";
    my $id = post($gw->{port}, '/first/b', ++$n);

    @$gw{qw(queue server)} = ('retry 100ms;', $server);
    $gw->{http} = server('/second/');
    ok $gw->reload, 'the configuration has changed';
    an_hour_later($id) if $what eq 'no location';
    ok $gw->drained(10), 'the event does not wait any more';
    like $gw->reason($id), $reason, 'it is a dead letter';
    is $gw->slurp('site.log'), '', 'no event is sent to the site';

    return;
}

moved('no location', "location / { proxy_pass $site; }",
    qr/has no location with bitrix1c_webhook for the event's address/);
moved('a nearer location', "$hook location /first/b { proxy_pass $site; }",
    qr/nginx itself answered.*status 404/);
moved('an expression', "$hook location ~ b\$ { proxy_pass $site; }",
    qr/nginx itself answered.*status 404/);

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Calls that 1C leaves with the gateway: stored, packed, judged one by one, and
# their results there to be asked for.

use strict;
use warnings;

use FindBin ();
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until TOKEN);
use Bitrix1C::Http qw(http_request);

my $json = JSON::PP->new->utf8->canonical;
my $gw = Bitrix1C::Gateway->new(workers => 2);

$gw->start_redis;
$gw->start_onec;
$gw->start_portal;

$gw->{http} = "bitrix1c_queue portal { redis unix:$gw->{socket};"
              . ' concurrency 2; retry 1s 1s; }';
$gw->{server} = 'location /bitrix/ { bitrix1c_rest portal;'
    . ' bitrix1c_methods catalog.* sale.* crm.* batch;'
    . ' bitrix1c_async crm.deal.update catalog.storeproduct.*;'
    . ' bitrix1c_coalesce catalog.storeproduct.update productId,storeId;'
    . ' bitrix1c_callback /bitrix/orders;'
    . ' bitrix1c_pace rate=1000/s burst=1000;'
    . ' proxy_pass ' . $gw->portal_url . '; }';
$gw->start_nginx;


sub call {
    my ($method, $params, %headers) = @_;

    my $r = http_request(port => $gw->{port}, method => 'POST',
        path => "/bitrix/$method", body => $json->encode($params),
        headers => { 'Content-Type' => 'application/json', %headers });

    return $r;
}


sub asked {
    my ($id) = @_;
    my $r = http_request(port => $gw->{port}, method => 'GET',
        path => "/bitrix/bitrix1c/calls/$id");

    return eval { $json->decode($r->{body}) } // { bad => $r };
}


sub done {
    my ($id, $state) = @_;
    my $got;

    wait_until(10, sub {
        $got = asked($id);
        ($got->{result}{state} // '') eq $state;
    });

    return $got->{result};
}

my $r = call('crm.deal.update', { id => 7, fields => { TITLE => 'x' } });
is $r->{status}, 202, 'a method of bitrix1c_async is stored';
is $r->{headers}{'preference-applied'}, 'respond-async', 'and says so';

my $id = $json->decode($r->{body})->{result}{id};
like $id, qr/^[0-9a-f]{32}$/, 'its id';
like $r->{headers}{location}, qr{/bitrix/bitrix1c/calls/$id$}, 'where to ask';

my $got = done($id, 'done');
is $got->{state}, 'done', 'it is done' or diag explain asked($id);
note explain $got;

$gw->finish;
done_testing;

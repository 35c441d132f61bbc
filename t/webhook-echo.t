#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# What 1C has written itself comes back as an event and is ignored, whichever of
# its names the object has there; a robot that runs on the same object is no
# echo, but a command.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Calls ();
use Bitrix1C::Gateway qw(TOKEN);
use Bitrix1C::Http qw(http_request);

my $gw = Bitrix1C::Calls->new(
    rest => 'bitrix1c_async crm.deal.add;',
    location => 'bitrix1c_echo 10m; bitrix1c_token_arg token;',
)->start;


sub event {
    my ($event, $id) = @_;
    return $gw->post(event => $event, id => $id,
                     domain => '127.0.0.1')->{result};
}


sub robot {
    my ($document) = @_;
    my $answer = http_request(port => $gw->{port}, timeout => 30,
        path => '/bitrix/orders?token=' . TOKEN,
        body => 'document_id[0]=crm&document_id[1]=D&document_id[2]='
                . "$document&auth[domain]=127.0.0.1");
    return $answer->{body} =~ /"result":"(\w+)"/ ? $1 : $answer->{status};
}


sub writes {
    my ($method, $id) = @_;
    return $gw->rest_call($method, { id => $id, fields => {} })->{status};
}

is writes('crm.deal.update', 7), 200, 'a deal is written';
is event('ONCRMDEALUPDATE', 7), 'ignored', 'its event is ignored';
is robot('DEAL_7'), 'accepted', 'a robot of it is not';
is robot('DEAL_7'), 'accepted', 'however often it runs';

is writes('sale.order.update', 8), 200, 'an order is written';
is event('ONSALEORDERSAVED', 8), 'ignored', 'its event is ignored';
is event('ONORDERENTITYSAVED', 8), 'ignored', 'under its other name as well';
is robot('ORDER_8'), 'accepted', 'a robot of it is not';
is event('ONORDERENTITYSAVED', 9), 'accepted', 'nor is another order';

is scalar $gw->onec_received(4, 10, 1), 4, 'all that came';
$gw->finish;
done_testing;

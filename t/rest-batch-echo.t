#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# bitrix1c_echo ignores the event of a write of 1C, but not that of a write that
# failed inside a batch.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Calls ();
use Bitrix1C::Gateway qw(wait_until);

my $gw = Bitrix1C::Calls->new(
    location => 'bitrix1c_echo 60s;', methods => '*',
)->start;


sub event {
    my ($id) = @_;
    return $gw->post(id => $id, event => 'ONCRMDEALUPDATE',
                     domain => '127.0.0.1')->{result};
}

for my $cmd ({ good => 'crm.deal.update?id=3&fields[TITLE]=a',
               bad => 'crm.deal.update?id=999999&fields[TITLE]=a' },
             ['crm.deal.update?id=4&fields[TITLE]=a',
              'crm.deal.update?id=888888&fields[TITLE]=a'])
{
    my ($good, $bad) = ref $cmd eq 'HASH' ? (3, 999999) : (4, 888888);

    is $gw->rest_call('batch', { halt => 0, cmd => $cmd })->{status}, 200,
        'a batch of two writes';
    is event($good), 'ignored', 'the event of the write is ignored';
    is event($bad), 'accepted', 'the event of the one that failed is not';
}

$gw->finish;
done_testing;

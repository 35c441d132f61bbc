#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A write that the portal may have executed without a valid answer is answered
# with 409, which no library of Bitrix repeats; reads and idempotent writes keep
# 502 and 504.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Calls ();

my $gw = Bitrix1C::Calls->new(
    rest => 'bitrix1c_idempotent *.update; proxy_read_timeout 1s;',
    methods => '*', log_ok => [qr/the outcome of|upstream/],
)->start;

my %add = (fields => { TITLE => 'a' });
my @calls = (
    ['crm.deal.add', \%add, 409],
    ['crm.deal.list', {}, 502],
    ['crm.deal.update', { id => 1, fields => { TITLE => 'u' } }, 502],
    ['batch', { cmd => { a => 'crm.deal.add?fields[TITLE]=b' } }, 409],
    ['batch', { cmd => { a => 'crm.deal.get?id=1', b => 'crm.deal.list' } },
     502],
);

for my $mode ('html', 'commit-close', 'commit-hang', '502') {
    for my $call (@calls) {
        my ($method, $params, $status) = @$call;

        $status = 504 if $status == 502 && $mode eq 'commit-hang';
        $gw->portal_mode({ mode => $mode, times => 1 });

        my $r = $gw->rest_call($method, $params);
        is $r->{status} // $r->{error}, $status, "$mode: $method" or next;
        is $r->{code}, 'BITRIX1C_OUTCOME_UNKNOWN', "$mode: $method: the code"
            if $status == 409;
        is $r->{headers}{'retry-after'}, undef, 'no Retry-After';
    }
}

# what was not executed

for my $mode ('503', '404', 'redirect') {
    $gw->portal_mode({ mode => $mode, times => 1 });
    isnt $gw->rest_call('crm.deal.add', \%add)->{status}, 409, $mode;
    $gw->portal_mode();
}

$gw->stop_portal('KILL');
is $gw->rest_call('crm.deal.add', \%add)->{status}, 502, 'no connection';

$gw->finish;
done_testing;

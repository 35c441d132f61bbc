#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# With wait=1 a kept call is sent only after a replica has stored its lease.
# Otherwise the call would still wait after a failover, and an addition would be
# done twice.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Torture::Stage ();

my $gw = Bitrix1C::Torture::Stage->new(replica => 1);
my ($old, $new) = ($gw, $gw->{replica_node});

$gw->start;

# a call that both have stored waits until the replica stops answering

$gw->redis('HSET', '{b1c:portal}:h', 'hold', 1);
my $answer = $gw->rest_call('crm.deal.add', { fields => { TITLE => 'once' } });
my $id = $answer->{json}{result}{id};
is "$answer->{status} $answer->{json}{result}{state}", '202 accepted',
    'a call is kept' or diag explain $answer;
kill 'STOP', $new->{redis_pid};
$gw->redis('HDEL', '{b1c:portal}:h', 'hold');


sub asked {
    return $gw->rest_call("bitrix1c/calls/$id")->{json}{result} // {};
}


sub written {
    return scalar grep { ($_->{set}{TITLE} // '') eq 'once' }
                  $gw->portal_writes;
}

ok wait_until(20, sub { (asked()->{reason} // '') =~ /lacks the replicas/ }),
    'its lease reached no replica';
is asked()->{attempts}, 0, 'no attempt is spent';
is written(), 0, 'it was not sent';

$old->stop_redis('KILL');
kill 'CONT', $new->{redis_pid};
$gw->node_redis($new, qw(REPLICAOF NO ONE));
$gw->{master} = $new;
$old->start_redis;
$gw->follow($old, $new);

ok wait_until(30, sub { (asked()->{state} // '') eq 'done' }),
    'after the failover it is done' or diag explain asked();
is written(), 1, 'once';

is join("\n", $gw->faults_found), '', 'no unexpected line is logged';
$gw->stop_all;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The gateway fails while kept calls are sent: its worker is killed or has to
# exit, or Redis is down.  bitrix1c_echo ignores the events that the gateway's
# own writes cause.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(status_of);
use Bitrix1C::Calls ();
use Bitrix1C::Gateway qw(wait_until);

my $gw = Bitrix1C::Calls->new(
    main => 'worker_shutdown_timeout 1s;',
    server => Bitrix1C::Api::LOCATION,
    kept => 'concurrency 2; retry 1s 1s;',
    rest => 'bitrix1c_async crm.deal.add crm.deal.update;'
            . ' bitrix1c_callback /bitrix/orders;',
    location => 'bitrix1c_echo 10m;',
)->start;


sub call {
    my ($verb, $id, $title) = @_;
    return $gw->keep("crm.deal.$verb",
                     { id => $id, fields => { TITLE => $title } });
}


sub written { my ($title) = @_; return scalar grep {
                  ($_->{set}{TITLE} // '') eq $title } $gw->portal_writes }

# the worker is killed during two calls that were done; their leases end while
# the rest of the test runs

$gw->portal_mode({ mode => 'commit-hang', method => 'crm\.deal\.(add|update)',
                   times => 2 });
my $added = call('add', 1, 'killed add');
ok wait_until(10, sub { written('killed add') }), 'a call runs';
my $updated = call('update', 2, 'killed update');
ok wait_until(10, sub { written('killed update') }), 'another call runs';
is $gw->asked($added)->{state}, 'in_flight',
    'the state of the call is in_flight';
$gw->kill_worker;
$gw->portal_mode();
ok wait_until(15, sub { $gw->asked($added)->{state} eq 'in_flight' }),
    'the worker of both calls is killed';

# echoes

sub event {
    my ($id, $event) = @_;
    return $gw->post(id => $id, event => $event // 'ONCRMDEALUPDATE',
                     domain => '127.0.0.1')->{result};
}

sub deal { return { id => $_[0], fields => { TITLE => 'echo' } } }

my $id = call('update', 10, 'queued');
is $gw->becomes($id, 'done')->{state}, 'done', 'a kept write';
is event(10), 'ignored', 'the event of that write is ignored';
is event(11), 'accepted', 'the event of another entity is accepted';
is $gw->rest_call('crm.deal.get', { id => 12 })->{status}, 200, 'a read';
is event(12), 'accepted', 'the event of a row that was only read is accepted';
is $gw->rest_call('crm.deal.update', deal(13), headers => { Prefer => 'x' })
      ->{status}, 202, 'a read with respond-async is stored';
is $gw->rest_call('sale.order.update', { id => 14, fields => {} })->{status},
    200, 'a write that passes through';
is event(14, 'ONSALEORDERSAVED'), 'ignored',
    'the event of that write is ignored';
is $gw->rest_call('batch', { cmd => {
    a => 'sale.order.update?id=15&fields[comments]=x',
    b => 'sale.order.get?id=16' } })->{status}, 200, 'a batch';
is event(15, 'ONSALEORDERSAVED'), 'ignored',
    'the event of its write is ignored';
is event(16, 'ONSALEORDERSAVED'), 'accepted',
    'the event of its read is accepted';

$gw->portal_mode({ mode => 'error' });
is $gw->rest_call('sale.order.update', { id => 17, fields => {} })
      ->{code}, 'ERROR_CORE', 'a write that fails';
is event(17, 'ONSALEORDERSAVED'), 'accepted',
    'the event after a failed write is accepted';
$id = call('update', 18, 'fails');
is $gw->becomes($id, 'dead')->{state}, 'dead', 'a kept one that fails';
is event(18), 'accepted', 'neither';
$gw->portal_mode();
is status_of($gw)->{counters}{ignored}, 3, 'ignored events are counted';

# the worker has to exit while a batch runs

sub busy {
    my ($seconds) = @_;
    my $n = $gw->portal_received;

    # the whole concurrency

    $gw->portal_mode({ mode => 'slow', delay => 1.2, times => 2 },
                     { mode => 'slow', delay => $seconds, times => 1 });
    $gw->prefer('sale.order.get', { id => $_ }) , $gw->portal_received(++$n, 9)
        for 1 .. 2;
    return $n;
}

my $n = busy(30);
my @left = (call('add', 3, 'left add'), call('update', 4, 'left update'));
$gw->portal_received($n + 1, 10);
is written('left add'), 1, 'a batch runs';
ok $gw->reload, 'its worker has to exit';
$gw->portal_mode();
my $got = $gw->becomes($left[0], 'dead');
is $got->{state}, 'dead', 'a call that must not be repeated is a dead letter';
like $got->{reason}, qr/outcome unknown, the worker had to exit/,
    'the reason says why';
is $gw->becomes($left[1], 'done')->{state}, 'done',
    'an idempotent call is repeated';
is_deeply [map { written($_) } 'left add', 'left update'], [1, 2],
    'only the idempotent call is done twice';

# Redis is down

$gw->stop_redis('TERM');
my $r = $gw->rest_call('crm.deal.update', deal(20));
is "$r->{status} $r->{code}", '503 BITRIX1C_UNAVAILABLE',
    'without Redis no call is stored';
$r = $gw->rest_call("bitrix1c/calls/$id");
is "$r->{status} $r->{code}", '503 BITRIX1C_UNAVAILABLE',
    'without Redis no result is shown';
is $gw->rest_call('sale.order.get', { id => 1 })->{status}, 200,
    'without Redis a direct call works';

$gw->start_redis;
mkdir "$gw->{dir}/spool" or die "spool: $!";
chmod 0777, "$gw->{dir}/spool";
$gw->{http} =~ s/(retry 1s 1s;)/$1 spool $gw->{dir}\/spool max=16m;/;
ok $gw->reload, 'nginx is reloaded with a spool';
ok wait_until(10, sub { $gw->asked($id)->{state} eq 'dead' }), 'Redis is back';
$gw->stop_redis('TERM');
$r = $gw->rest_call('crm.deal.add', { fields => { TITLE => 'spooled' } });
is "$r->{status} $r->{json}{result}{state}", '202 spooled',
    'without Redis a call is stored in the spool';
$gw->start_redis;
is $gw->becomes($r->{json}{result}{id}, 'done', 20)->{state}, 'done',
    'the call is done when Redis is back';
is written('spooled'), 1, 'once';

# the leases of the killed worker have ended

$got = $gw->becomes($added, 'dead', 30);
is $got->{state}, 'dead', 'a call whose worker was killed is a dead letter';
like $got->{reason}, qr/outcome unknown, its worker died/,
    'the reason says why';
is $gw->becomes($updated, 'done', 30)->{state}, 'done',
    'an idempotent call is repeated';
is_deeply [map { written($_) } 'killed add', 'killed update'], [1, 2],
    'only the idempotent call is done twice';

my @dead = ($added, $left[0], $id);
ok wait_until(15, sub {
    my $told = $gw->told;
    @dead == grep { ($told->{$_}[0]{answer}{error} // '') ne '' } @dead;
}), '1C is told of all dead letters' or diag explain $gw->told;
like $gw->told->{$added}[0]{answer}{error_description}, qr/its worker died/,
    'the log says why';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis stores an event and its reply is lost, so the spool sends the event
# again.  By then another nginx may have delivered this event and a newer one of
# the same entity.  Redis holds no trace of it, but 1C knows its id and ignores
# a repeat: a later change must have an id that is new to 1C.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load);
use Bitrix1C::Model ();

use constant OTHERS => 1_100;            # more than one read of the spool

my $gw = Bitrix1C::Gateway->new(redis => 'timeout=500ms');
my $spool = "$gw->{dir}/spool";

$gw->{queue} = "spool $spool; retry 100ms;";
$gw->start;


sub deal {
    my ($id) = @_;
    return $gw->post(event => 'ONCRMDEALUPDATE', id => $id);
}


# [id, flags] of each

sub spooled {
    my ($file) = glob "$spool/*.spool" or return;
    my $bytes = $gw->slurp($file =~ s{^\Q$gw->{dir}/}{}r);
    return [$bytes =~ /1 (\w{32} \d) \d+ \w{32} \w{32}\n/g];
}


sub meta {
    my ($id) = @_;
    return split / /, $gw->redis('HGET', '{b1c:orders}:h', "$id:m") // '';
}


# Redis may or may not have stored the first event; the second was not sent

ok wait_until(5, sub { deal(1)->{result} =~ /accepted|coalesced/ }), 'works';
ok $gw->drained(5), 'Redis works again and events are delivered';

kill 'STOP', $gw->{redis_pid};
my @ids = map { deal($_)->{id} } 7, 8;
is_deeply spooled(), ["$ids[0] 2", "$ids[1] 0"],
    'the spool marks the event that Redis may have accepted';

my $others = finish_load(start_load(port => $gw->{port},
    path => '/bitrix/orders', next => $gw->events(1_000, OTHERS)));
is $others->{results}{spooled}, OTHERS,
    'many more events are spooled behind them';

# so many deliveries happened that Redis holds no trace of it

$gw->stop_nginx;
$gw->stop_redis('KILL');
$gw->start_redis;
$gw->redis('FLUSHALL');
$gw->redis('HSET', '{b1c:orders}:h', 'hold', 1);
$gw->start_nginx;

ok wait_until(10, sub {
    $gw->redis('ZCARD', '{b1c:orders}:q') == 2 + OTHERS;
}),
    'all events of the spool are accepted';

# the second one as well: an earlier worker may have sent it before it was
# killed

cmp_ok((meta($_))[0], '>', Bitrix1C::Model::EPOCHS,
       'no earlier worker holds its epoch') for @ids;

my %h = @{ $gw->redis('HGETALL', '{b1c:orders}:h') };
my $new = grep { /:m$/ && $h{$_} =~ /^0 / } keys %h;
cmp_ok $new, '>', 0, 'the last ones were never sent before';

my $newer = deal(7);
is $newer->{result}, 'coalesced', 'a newer event takes the place';
is_deeply [meta($ids[0])], [], 'the old id is gone';
is((meta($newer->{id}))[0], 0, 'the newer event has its own id');

$gw->redis('HDEL', '{b1c:orders}:h', 'hold');
ok $gw->drained(30), 'the queue is empty';
is scalar(grep { $_->{id} eq $newer->{id} } $gw->onec_received), 1,
    '1C gets the change with the new id';
is scalar(grep { $_->{id} eq $ids[0] } $gw->onec_received), 0,
    '1C does not get it with the old id';

is join("\n", $gw->complaints), '', 'no error is logged';
$gw->stop_all;
done_testing;

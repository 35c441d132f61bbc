#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis takes an event and its reply is lost, so the event is said again out of
# the spool.  By then another nginx may have delivered it and a newer one of the
# same entity, and nothing in Redis tells of it, but 1C knows its id and would
# not look again: what changes now must come under an id that is new to 1C.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load);
use Bitrix1C::Model ();

use constant OTHERS => 1_100;            # more than a replay reads at once

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


# of the first one nobody knows whether Redis has it, the second was not sent

ok wait_until(5, sub { deal(1)->{result} =~ /accepted|coalesced/ }), 'works';
ok $gw->drained(5), 'and delivers';

kill 'STOP', $gw->{redis_pid};
my @ids = map { deal($_)->{id} } 7, 8;
is_deeply spooled(), ["$ids[0] 2", "$ids[1] 0"],
    'the spool tells which one may have been accepted';

my $others = finish_load(start_load(port => $gw->{port},
    path => '/bitrix/orders', next => $gw->events(1_000, OTHERS)));
is $others->{results}{spooled}, OTHERS, 'many more come behind them';

# so much has happened to it that Redis has forgotten it

$gw->stop_nginx;
$gw->stop_redis('KILL');
$gw->start_redis;
$gw->redis('FLUSHALL');
$gw->redis('HSET', '{b1c:orders}:h', 'hold', 1);
$gw->start_nginx;

ok wait_until(10, sub {
    $gw->redis('ZCARD', '{b1c:orders}:q') == 2 + OTHERS;
}),
    'all are accepted out of the spool';

# the second one too: who replayed before may have got so far, and been killed

cmp_ok((meta($_))[0], '>', Bitrix1C::Model::EPOCHS,
       'no worker of then holds its epoch') for @ids;

my %h = @{ $gw->redis('HGETALL', '{b1c:orders}:h') };
my $new = grep { /:m$/ && $h{$_} =~ /^0 / } keys %h;
cmp_ok $new, '>', 0, 'but nobody can have got to the last ones';

my $newer = deal(7);
is $newer->{result}, 'coalesced', 'a newer one takes the place';
is_deeply [meta($ids[0])], [], 'of the old id';
is((meta($newer->{id}))[0], 0, 'under its own');

$gw->redis('HDEL', '{b1c:orders}:h', 'hold');
ok $gw->drained(30), 'all is delivered';
is scalar(grep { $_->{id} eq $newer->{id} } $gw->onec_received), 1,
    'what changed is told of under the new id';
is scalar(grep { $_->{id} eq $ids[0] } $gw->onec_received), 0,
    'and not under the old one';

is join("\n", $gw->complaints), '', 'nothing was said that should not be';
$gw->stop_all;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A failing event blocks its own lane and no other.  The events behind it wait,
# other lanes continue, and a dead letter releases the lane at once.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();

use constant { RETRY => 1, EARLY => 0.005, SOON => 0.3,
               OTHER => 'b223c6b3710f85df22e9377d6c4f7553' };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    events  => 'accept_mutex off;',
    queue   => 'concurrency 8; retry 1s 1s;',
)->start;

my %event = (new => 'ONSALEORDERNEW', saved => 'ONSALEORDERSAVED',
             delete => 'ONSALEORDERDELETE');


# "new 1": that event of that entity

sub post {
    my ($what, %opt) = @_;
    my ($verb, $id) = split / /, $what;
    my $answer = $gw->post(event => $event{$verb}, id => $id, %opt);
    is $answer->{result}, 'accepted', "$what is accepted";
    return;
}


# the requests, and all of them as one text

sub requests {
    my ($n) = @_;
    my @r = $gw->onec_received($n, 8, 1);
    my %verb = reverse %event;

    $_->{what} = "$verb{$_->{json}{event}} $_->{json}{entity}{id}" for @r;

    return (\@r, join ', ', map { "$_->{what} $_->{status}" } @r);
}


sub gap {
    my ($r, $i) = @_;
    return $r->[$i]{time} - $r->[$i - 1]{time} - $r->[$i - 1]{seconds};
}


# lanes by entity: another type or another number is another lane

$gw->onec_mode({ mode => '500', times => 2,
                 match => '"event":"ONSALEORDERNEW".*"id":"1"' });
post('new 1');
$gw->onec_received(1, 5, 1);
my $start = time;
post($_) for 'saved 1', 'delete 1', 'new 2', 'saved 2';
my ($r, $text) = requests(3);
cmp_ok time - $start, '<', RETRY * 0.7, 'another lane continues';
($r, $text) = requests(7);

# entity 2 is done before entity 1 goes on

is $text, 'new 1 500, new 2 200, saved 2 200, new 1 500, new 1 200,'
    . ' saved 1 200, delete 1 200', 'a lane waits for its head'
    or diag $text;
cmp_ok gap($r, $_), '<', SOON, "$r->[$_]{what} does not wait for a timer"
    for 5, 6;
ok $gw->drained(2), 'the queue is empty';

# a dead letter releases its lane

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '422', delay => 0.3,
                 match => '"event":"ONSALEORDERNEW".*"id":"3"' });
post($_) for 'new 3', 'saved 3', 'delete 3';
($r, $text) = requests(3);
is $text, 'new 3 422, saved 3 200, delete 3 200',
    'a dead letter releases its lane';
cmp_ok gap($r, 1), '<', SOON, 'it releases the lane at once';
is scalar(@{ $gw->dead_letters }), 1, 'it stays a dead letter';
ok $gw->drained(2), 'the queue is empty';

# an event that has spent all its attempts releases it as well

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', match => '"event":"ONSALEORDERNEW"' });
post($_) for 'new 4', 'saved 4';
($r, $text) = requests(4);
is $text, 'new 4 500, new 4 500, new 4 500, saved 4 200',
    'all attempts are spent before the next event is delivered';
cmp_ok gap($r, 3), '<', SOON, 'the next event is then delivered at once';
ok $gw->drained(2), 'the queue is empty';

# bitrix1c_lane: all events of a portal in one lane

$gw->{location} = 'bitrix1c_lane $bitrix1c_member_id;';
ok $gw->reload, 'bitrix1c_lane $bitrix1c_member_id';
$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', times => 1, match => '"id":"10"' });
post('new 10');
$gw->onec_received(1, 5, 1);
post($_) for 'new 11', 'saved 12';
post('new 20', member => OTHER);
($r, $text) = requests(5);
is $text, 'new 10 500, new 20 200, new 10 200, new 11 200, saved 12 200',
    'the head blocks the events of its portal and no others';
cmp_ok $r->[2]{time} - $r->[0]{time}, '>=', RETRY * 0.8 - EARLY,
    'the head is retried by its schedule';
ok $gw->drained(2), 'the queue is empty';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# An event that fails holds its lane and nobody else: what follows it waits,
# other lanes go on, and a dead letter frees it at once.

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


# by the entity; the type has to differ for another lane, or the number

$gw->onec_mode({ mode => '500', times => 2,
                 match => '"event":"ONSALEORDERNEW".*"id":"1"' });
post('new 1');
$gw->onec_received(1, 5, 1);
my $start = time;
post($_) for 'saved 1', 'delete 1', 'new 2', 'saved 2';
my ($r, $text) = requests(3);
cmp_ok time - $start, '<', RETRY * 0.7, 'another lane goes on';
($r, $text) = requests(7);

# entity 2 is done before entity 1 goes on

is $text, 'new 1 500, new 2 200, saved 2 200, new 1 500, new 1 200,'
    . ' saved 1 200, delete 1 200', 'a lane waits for its head'
    or diag $text;
cmp_ok gap($r, $_), '<', SOON, "$r->[$_]{what} does not wait for a timer"
    for 5, 6;
ok $gw->drained(2), 'nothing is left';

# a dead letter frees its lane

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '422', delay => 0.3,
                 match => '"event":"ONSALEORDERNEW".*"id":"3"' });
post($_) for 'new 3', 'saved 3', 'delete 3';
($r, $text) = requests(3);
is $text, 'new 3 422, saved 3 200, delete 3 200',
    'a dead letter frees its lane';
cmp_ok gap($r, 1), '<', SOON, 'at once';
is scalar(@{ $gw->dead_letters }), 1, 'and stays one';
ok $gw->drained(2), 'nothing is left';

# so does one that has spent all its attempts

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', match => '"event":"ONSALEORDERNEW"' });
post($_) for 'new 4', 'saved 4';
($r, $text) = requests(4);
is $text, 'new 4 500, new 4 500, new 4 500, saved 4 200',
    'all attempts are spent before the next one goes';
cmp_ok gap($r, 3), '<', SOON, 'and then it goes at once';
ok $gw->drained(2), 'nothing is left';

# lanes of one's own: all events of a portal one after the other

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
    'the head holds all of its portal, and no other';
cmp_ok $r->[2]{time} - $r->[0]{time}, '>=', RETRY * 0.8 - EARLY,
    'by its schedule';
ok $gw->drained(2), 'nothing is left';

$gw->finish;
done_testing;

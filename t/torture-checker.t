#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The checker of the torture must be able to fail.  It reads made-up histories:
# correct ones, and some with one fault each.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Torture::Calls qw(call_number);
use Bitrix1C::Torture::CallsChecker qw(check_calls);
use Bitrix1C::Torture::Checker qw(check_history check_late);
use Bitrix1C::Torture::Load qw(number_of);


# "N 1 accepted", posted one after the other, a second each; "503" and "lost"
# are answers too; all of lane 7

sub posts {
    my $time = 1000;

    return [map {
        my ($kind, $number, $result) = split / /;
        my %status = (503 => 503, lost => 0);
        { lane => 7, kind => $kind, number => $number, ts => int $time,
          sent => $time++, answered => $time - 0.9,
          status => $status{$result} // 200, result => $result };
    } @_];
}


# "N 1 taken", one after the other, a tenth of a second each; "failed" and
# "dropped" (1C acted, its answer was incomplete) are possible as well.  A
# number behind it is the time of arrival, "x2" is its id.

sub requests {
    my $n = 0;
    my $time = 1000.2;

    return [map {
        my ($kind, $number, $what, $at, $id) = split / /;
        $time = $at // $time + 0.2;
        { n => ++$n, lane => 7, kind => $kind, number => $number,
          time => $time, end => $time + 0.1, id => $id // "$kind$number",
          taken => $what eq 'taken', acted => $what ne 'failed' };
    } @_];
}


# posts are answered at 1000.1, 1001.1, ...

sub late {
    my ($posts, $requests, $good, $texts, $name) = @_;
    is_deeply [check_late(posts(@$posts), requests(@$requests), 5, $good)],
        $texts, $name;
    return;
}


# the numbers of lost events, of events out of order and of duplicates

sub finds {
    my ($posts, $requests, $dead, $lost, $disorder, $duplicates, $name) = @_;
    my $r = check_history(posts(@$posts), requests(@$requests),
                          { map { ("7 $_" => 1) } @$dead });

    is_deeply [map { scalar @{ $r->{$_} } } qw(lost disorder)],
        [$lost, $disorder], $name
        or diag explain $r;
    is $r->{duplicates}, $duplicates, "$name: duplicates";

    return $r;
}


# events that have to arrive

my $r = finds(['N 1 accepted', 'N 2 spooled', 'N 3 accepted'],
              ['N 1 taken', 'N 2 failed', 'N 2 taken', 'N 3 taken'], [],
              0, 0, 0, 'sound');
is $r->{events}, 3, 'events';
is $r->{promised}, 3, 'promised';
is $r->{results}{spooled}, 1, 'spooled';
is sprintf('%.1f', $r->{worst}), '0.1', 'the slowest answer';

finds([], [], [], 0, 0, 0, 'nothing');
finds(['N 1 accepted', 'N 2 accepted'], ['N 1 taken'], [], 1, 0, 0,
      'an event never arrives');
finds(['N 1 accepted', 'N 2 spooled'], ['N 1 taken', 'N 2 failed'], [],
      1, 0, 0, 'an event arrives and is not taken');
finds(['N 1 spooled'], ['N 1 dropped'], [], 1, 0, 0,
      'an event arrives, the answer is incomplete');
finds(['N 1 accepted'], ['N 1 dropped', 'N 1 taken'], [], 0, 0, 1,
      '1C acts twice');
finds(['N 1 accepted'], ['N 1 taken', 'N 1 taken'], [], 0, 0, 1,
      '1C takes an event twice');
finds(['N 1 lost', 'N 1 accepted'], ['N 1 taken 1000 a', 'N 1 taken 1001 b'],
      [], 0, 0, 0, 'posted twice is no duplicate');
finds(['N 1 duplicate'], [], [], 1, 0, 0, 'a duplicate of nothing');
finds(['N 1 accepted'], ['N 1 failed'], ['N 1'], 0, 0, 0, 'a dead letter');

# a lane

finds(['N 1 accepted', 'N 2 accepted'], ['N 2 taken', 'N 1 taken'], [],
      0, 1, 0, 'the second event arrives first');
finds(['N 1 accepted', 'N 2 accepted'],
      ['N 1 failed', 'N 2 taken', 'N 1 taken'], [], 0, 1, 0,
      'the second event arrives before the first is taken');
finds(['N 1 accepted', 'N 2 accepted'],
      ['N 1 taken 1000', 'N 2 taken 1000.05'], [], 0, 1, 0,
      'both events arrive at once');
finds(['N 1 accepted', 'N 2 accepted', 'N 3 accepted'],
      ['N 2 taken', 'N 3 taken', 'N 1 taken'], [], 0, 2, 0,
      'each early event counts');
finds(['N 1 accepted', 'N 2 accepted'],
      ['N 1 failed', 'N 2 taken'], ['N 1'], 0, 0, 0,
      'a dead letter releases its lane');
finds(['N 1 503', 'N 2 accepted'], ['N 2 taken', 'N 1 taken'], [],
      0, 0, 0, 'a 503 promises nothing');
finds(['N 1 accepted', 'N 2 accepted'],
      ['N 1 taken', 'N 2 taken', 'N 1 taken'], [], 0, 0, 1,
      'the order is that of the first arrivals');

# no answer, another answer

$r = finds(['N 1 lost', 'N 2 503', 'N 3 malformed'], [], [], 0, 0, 0,
           'an unanswered event is no promise');
is_deeply [@$r{qw(events promised unknown unavailable other)}],
    [3, 0, 1, 1, 1], 'unanswered events are counted';

# states of an entity

finds(['S 1 accepted', 'S 2 coalesced'], ['S 2 taken'], [], 0, 0, 0,
      'a newer event takes its place');
finds(['S 1 accepted', 'S 2 coalesced'], ['S 1 taken 1009'], [], 1, 0, 0,
      'the newest event never arrives, the other arrives late');
finds(['S 1 accepted', 'S 2 duplicate'], ['S 1 taken 1002.1'], [], 0, 0, 0,
      'a duplicate of a delivery that began when its second was over');
finds(['S 1 accepted', 'S 2 duplicate'], ['S 1 taken 1001.9'], [], 1, 0, 0,
      'a duplicate of one that began before');
finds(['S 1 accepted', 'S 2 spooled'], ['S 1 taken 1001.5'], [], 1, 0, 0,
      'a spooled event never arrives');
finds(['S 1 accepted', 'S 2 coalesced'], ['S 2 taken', 'S 1 taken 1009'], [],
      0, 0, 0, 'the newest event arrives, then an old one again');
finds(['S 1 accepted', 'N 1 accepted'], ['N 1 taken', 'S 1 taken'], [],
      0, 1, 0, 'a state keeps its place in the lane');
finds(['S 1 accepted', 'N 1 accepted', 'S 2 coalesced'],
      ['S 2 taken', 'N 1 taken'], [], 0, 0, 0,
      'it keeps its place with a newer body');
finds(['N 1 accepted', 'S 1 accepted', 'S 2 coalesced'],
      ['S 2 taken', 'N 1 taken'], [], 0, 1, 0,
      'the newer body must not overtake events before the older one');
finds(['N 1 accepted', 'S 1 accepted'], ['S 1 taken', 'N 1 taken'], [],
      0, 1, 0, 'a new state must not overtake events before it');
finds(['N 1 accepted', 'S 1 accepted'],
      ['S 1 taken 1000 a', 'N 1 taken', 'S 1 taken 1003 b'], [], 0, 0, 0,
      'it may have arrived earlier, in the place of another');
finds(['N 1 accepted', 'S 1 lost', 'S 1 accepted'],
      ['S 1 taken 1000 a', 'N 1 taken', 'S 1 taken 1003 b'], [], 0, 0, 0,
      'it may also do so when its sender lost an answer');

# robots, once-events and what has no order

finds(["$_ 1 accepted", "$_ 2 accepted"], ["$_ 1 taken"], [], 1, 0, 0,
      "$_, the second one did not come") for qw(R O B A D);
finds(["$_ 1 accepted", "$_ 2 coalesced"], ["$_ 2 taken"], [], 1, 0, 0,
      "$_, none takes the place of another") for qw(R O B A D);
finds(["$_ 1 accepted", "$_ 2 accepted"], ["$_ 2 taken", "$_ 1 taken"], [],
      0, 1, 0, "$_, the second one first") for qw(R O B A);
finds(['S 1 accepted', "$_ 1 accepted"], ["$_ 1 taken", 'S 1 taken'], [],
      0, 1, 0, "$_, before the state it is behind") for qw(R O B A);
finds(['D 1 accepted', 'N 1 accepted', 'D 2 accepted'],
      ['D 2 taken', 'N 1 taken', 'D 1 taken'], [], 0, 0, 0,
      'D, in any order');
finds(['R 1 lost', 'R 1 accepted', 'N 1 accepted'],
      ['R 1 taken 1000 a', 'N 1 taken 1002', 'R 1 taken 1003 b'], [], 0, 0, 0,
      'R, twice, because it was posted twice');

# what is read in records of events

is join(' ', number_of($_->[0])), $_->[1], "read in $_->[0]" for
    ['"data":{"FIELDS":{"ID":"7","N":"7-12"}}' => '7 N 12'],
    ['{\"properties\":{\"R\":\"8-3\"}}' => '8 R 3'],
    ['"entity":{"type":"X","id":"8-3"},"data":"8-3"}' => '8 D 3'],
    ['"data":{"FIELDS":{"ID":"7"}}' => ''];

# calls of 1C: "A 1 accepted" without a key, "A 1 key accepted" with one

sub calls {
    my $time = 1000;

    return [map {
        my ($kind, $number, $keyed, $result)
            = /^(\w) (\d+) (key )?(\w+)$/ or die;
        my %status = (503 => 503, lost => 0);
        { lane => 7, kind => $kind, number => $number, keyed => $keyed,
          sent => $time++, answered => $time - 0.9,
          status => $status{$result} // 202, result => $result,
          id => "$kind$number" };
    } @_];
}


# returns what is wrong: "twice, wrong"; writes are "A 1", dead letters the same
# with the reason behind

sub finds_calls {
    my ($posts, $written, $dead, $expected, $name, %opt) = @_;
    my @writes = map {
        my ($kind, $number) = split / /;
        { lane => 7, kind => $kind, number => $number, text => $_ };
    } @$written;
    my %dead = map { my ($call, $why) = /^(\w \d+) ?(.*)$/; ("7 $call", $why) }
               @$dead;
    my $r = check_calls(calls(@$posts), \@writes, \%dead, %opt);
    my $found = join ', ', map { ($_) x @{ $r->{$_} } }
                qw(lost twice disorder wrong);

    is $found, $expected, "calls: $name" or diag explain $r;
    return $r;
}

my $unknown = 'outcome unknown, its worker died';

$r = finds_calls(['A 1 accepted', 'U 1 spooled', 'C 1 accepted', 'A 2 503',
                  'A 3 accepted'],
                 ['A 1', 'U 1', 'U 1', 'C 1'], ["A 3 $unknown"], '', 'sound');
is_deeply [@$r{qw(posted promised unavailable done dead repeated)}],
    [5, 4, 1, 3, 1, 1], 'calls: counted';
is $r->{results}{spooled}, 1, 'calls: spooled';
is sprintf('%.1f', $r->{worst}), '0.1', 'calls: the slowest answer';

finds_calls([], [], [], '', 'nothing');
finds_calls(["$_ 1 accepted"], [], [], 'lost', "$_, the call is never written")
    for qw(A U C);
finds_calls(['U 1 accepted', 'U 2 accepted'], ['U 2'], [], 'lost',
            'an update is not replaced by the next one');
finds_calls(['C 1 accepted', 'C 2 coalesced'], ['C 2'], [], '',
            'a value is replaced by the next one');
finds_calls(['C 1 accepted', 'C 2 coalesced'], ['C 1'], [], 'lost',
            'a value is not replaced by an older one');
finds_calls(['C 1 accepted', 'C 2 coalesced'], [], ["C 2 $unknown"], '',
            'a dead letter has taken its place');
finds_calls(['A 1 duplicate'], [], [], 'lost', 'a duplicate of nothing');

# additions

finds_calls(['A 1 accepted'], ['A 1', 'A 1'], [], 'twice',
            'an addition is done twice');
finds_calls(['A 1 lost'], ['A 1', 'A 1'], [], 'twice',
            'an addition that was never promised is done twice');
finds_calls(['A 1 503', 'A 2 lost'], ['A 1', 'A 2'], [], '',
            'a call that was not promised may be done');
finds_calls(['A 1 key lost', 'A 1 key accepted', 'A 1 key duplicate'],
            ['A 1'], [], '', 'a key means one call');
finds_calls(['A 1 key lost', 'A 1 key accepted'], ['A 1', 'A 1'], [],
            'twice', 'a key does not mean two calls');
finds_calls(['A 1 key accepted', 'A 1 key 503'], [], [], 'lost',
            'a key means one call, whatever a repeat is answered');
finds_calls(['A 1 accepted'], ['A 1', 'A 1'], ["A 1 $unknown"], 'twice',
            'a dead letter that was done twice');
finds_calls(['A 1 accepted'], ['A 1'], ["A 1 $unknown"], '',
            'a dead letter with an unknown outcome may be done');
finds_calls(['A 1 accepted'], ['A 1'], ['A 1 Bitrix refused the call'],
            'wrong', 'a dead letter that claims the opposite');

# order

finds_calls(["$_ 1 accepted", "$_ 2 accepted"], ["$_ 2", "$_ 1"], [],
            'disorder', "$_, the older one last") for qw(U C);
finds_calls(["$_ 1 accepted", "$_ 2 accepted", "$_ 3 accepted"],
            ["$_ 2", "$_ 1", "$_ 3"], [], 'disorder',
            "$_, even if a newer one follows") for qw(U C);
finds_calls(['U 1 accepted', 'U 2 accepted'], ['U 1', 'U 2', 'U 1', 'U 2'],
            [], '', 'Redis has forgotten both', reruns => 1);
finds_calls(['U 1 accepted', 'U 2 accepted'], ['U 1', 'U 2', 'U 1'], [],
            'disorder', 'the newest must be the last', reruns => 1);
finds_calls(['U 1 accepted', 'U 2 accepted'], ['U 1', 'U 1', 'U 2'], [], '',
            'a repeat before the next call');
finds_calls(['U 1 accepted', 'U 2 accepted'], ['U 2'], ["U 1 $unknown"], '',
            'a dead letter releases its lane');
finds_calls(['A 1 accepted', 'A 2 accepted'], ['A 2', 'A 1'], [], '',
            'additions have no order');
finds_calls(['U 1 lost', 'U 1 accepted', 'U 2 accepted'],
            ['U 1', 'U 2', 'U 1'], [], '',
            'a copy that the sender does not know');
finds_calls(['U 1 key lost', 'U 1 key accepted', 'U 2 accepted'],
            ['U 1', 'U 2', 'U 1'], [], 'disorder', 'a key has no copies');
finds_calls(['U 1 503', 'U 2 accepted'], ['U 2', 'U 1'], [], '',
            'a call that was not promised has no order');

# writes and results

finds_calls(['A 1 accepted'], ['A 1', 'A 2'], [], 'wrong',
            'a write that nobody posted');
finds_calls(['A 1 accepted'], ['A 1'], [], '', '1C is told that it is done',
            told => { A1 => 'done' });
finds_calls(['A 1 accepted'], [], ["A 1 $unknown"], '',
            '1C is told that it is a dead letter',
            told => { A1 => 'dead' });
finds_calls(['A 1 accepted'], ['A 1'], [], 'wrong', "1C is told that it is $_",
            told => { A1 => $_ }) for qw(dead waiting in_flight unknown);
finds_calls(['A 1 accepted'], [], ["A 1 $unknown"], 'wrong',
            'a dead letter is told to be done', told => { A1 => 'done' });
finds_calls(['A 1 spooled'], ['A 1'], [], '', 'a spooled one has another id',
            told => { A1 => 'unknown' });
finds_calls(['A 1 accepted'], ['A 1'], [], '',
            'Redis does not know the call any more',
            told => { A1 => 'unknown' }, reruns => 1);
finds_calls(['A 1 accepted'], ['A 1'], [], '',
            'Redis does not know the result any more',
            told => { A1 => 'unknown' }, forgets => 1);
finds_calls(['C 1 accepted', 'C 2 accepted'], ['C 2', 'C 1', 'C 2'], [],
            'disorder', 'forgotten results do not excuse a wrong order',
            forgets => 1);

# records and the portal's history are parsed

my @texts = (
    '{"row":"deals 61","set":{"STAGE_ID":"NEW","TITLE":"A-7-12"}}' => '7 A 12',
    '{"row":"orders 8","set":{"comments":"U-8-3"}}' => '8 U 3',
    '{"row":"storeProducts 40/1","set":{"amount":17}}' => '40 C 17',
    '{"data":{"amount":17,"productId":40,"storeId":1}}' => '40 C 17',
    '{"data":{"productId":"4","storeId":"1","amount":"1"}}' => '4 C 1',
    '{"row":"orders 8","set":{"comments":"by hand"}}' => '',
);

while (my ($text, $call) = splice @texts, 0, 2) {
    is join(' ', call_number($text)), $call, "read in $text";
}

# events that are late

my $all = sub { 1 };
late(['N 1 accepted'], ['N 1 taken 1005'], $all, [], 'in time');
late(['N 1 accepted'], ['N 1 failed 1001', 'N 1 taken 1004'], $all, [],
     'in time after a failure');
late(['N 1 accepted'], ['N 1 taken 1006'], $all,
     ['lane 7: N 1 came after 6.0 s'], 'late');
late(['N 1 accepted'], ['N 1 failed 1001'], $all, ['lane 7: N 1 came never'],
     'never');
late(['S 1 accepted'], ['S 2 taken 1002'], $all, [], 'by a newer state');
late(['S 2 accepted'], ['S 1 taken 1002'], $all, ['lane 7: S 2 came never'],
     'not by an older state');
late(['N 1 accepted'], ['S 1 taken 1002'], $all, ['lane 7: N 1 came never'],
     'not by another kind');
late(['N 1 accepted'], ['N 1 taken 1009'], sub { 0 }, [], 'of bad events none');
late(['N 1 503'], [], $all, [], 'nothing was promised');

done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The checker of the torture must be able to fail: made-up histories, sound
# ones and such in which one thing is wrong.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Torture::Checker qw(check_history);


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


# "N 1 taken", one after the other, a tenth of a second each; what else it can
# be than "taken": "failed", "dropped" (1C acted, its answer was not whole).
# A number behind it is the time at which it came, and "x2" its id.

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


# how many are lost, out of order and duplicates

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


# what has to arrive itself

my $r = finds(['N 1 accepted', 'N 2 spooled', 'N 3 accepted'],
              ['N 1 taken', 'N 2 failed', 'N 2 taken', 'N 3 taken'], [],
              0, 0, 0, 'sound');
is $r->{events}, 3, 'events';
is $r->{promised}, 3, 'promised';
is $r->{results}{spooled}, 1, 'spooled';
is sprintf('%.1f', $r->{worst}), '0.1', 'the slowest answer';

finds([], [], [], 0, 0, 0, 'nothing');
finds(['N 1 accepted', 'N 2 accepted'], ['N 1 taken'], [], 1, 0, 0,
      'never came');
finds(['N 1 accepted', 'N 2 spooled'], ['N 1 taken', 'N 2 failed'], [],
      1, 0, 0, 'came, and was not taken');
finds(['N 1 spooled'], ['N 1 dropped'], [], 1, 0, 0,
      'came, but the answer was not whole');
finds(['N 1 accepted'], ['N 1 dropped', 'N 1 taken'], [], 0, 0, 1,
      'acted on twice');
finds(['N 1 accepted'], ['N 1 taken', 'N 1 taken'], [], 0, 0, 1,
      'taken twice');
finds(['N 1 lost', 'N 1 accepted'], ['N 1 taken 1000 a', 'N 1 taken 1001 b'],
      [], 0, 0, 0, 'posted twice is no duplicate');
finds(['N 1 duplicate'], [], [], 1, 0, 0, 'a duplicate of nothing');
finds(['N 1 accepted'], ['N 1 failed'], ['N 1'], 0, 0, 0, 'a dead letter');

# a lane

finds(['N 1 accepted', 'N 2 accepted'], ['N 2 taken', 'N 1 taken'], [],
      0, 1, 0, 'the second one first');
finds(['N 1 accepted', 'N 2 accepted'],
      ['N 1 failed', 'N 2 taken', 'N 1 taken'], [], 0, 1, 0,
      'the second one before the first was taken');
finds(['N 1 accepted', 'N 2 accepted'],
      ['N 1 taken 1000', 'N 2 taken 1000.05'], [], 0, 1, 0, 'both at once');
finds(['N 1 accepted', 'N 2 accepted', 'N 3 accepted'],
      ['N 2 taken', 'N 3 taken', 'N 1 taken'], [], 0, 2, 0,
      'each that was too early counts');
finds(['N 1 accepted', 'N 2 accepted'],
      ['N 1 failed', 'N 2 taken'], ['N 1'], 0, 0, 0,
      'a dead letter frees its lane');
finds(['N 1 503', 'N 2 accepted'], ['N 2 taken', 'N 1 taken'], [],
      0, 0, 0, 'a 503 promises nothing');
finds(['N 1 accepted', 'N 2 accepted'],
      ['N 1 taken', 'N 2 taken', 'N 1 taken'], [], 0, 0, 1,
      'the order is that of the first ones');

# no answer, another answer

$r = finds(['N 1 lost', 'N 2 503', 'N 3 malformed'], [], [], 0, 0, 0,
           'no promise');
is_deeply [@$r{qw(events promised unknown unavailable other)}],
    [3, 0, 1, 1, 1], 'but counted';

# states of an entity

finds(['S 1 accepted', 'S 2 coalesced'], ['S 2 taken'], [], 0, 0, 0,
      'a newer one takes its place');
finds(['S 1 accepted', 'S 2 coalesced'], ['S 1 taken 1009'], [], 1, 0, 0,
      'the newest was never told, however late the other one came');
finds(['S 1 accepted', 'S 2 duplicate'], ['S 1 taken 1002.1'], [], 0, 0, 0,
      'a duplicate of a delivery that began when its second was over');
finds(['S 1 accepted', 'S 2 duplicate'], ['S 1 taken 1001.9'], [], 1, 0, 0,
      'a duplicate of one that began before');
finds(['S 1 accepted', 'S 2 spooled'], ['S 1 taken 1001.5'], [], 1, 0, 0,
      'spooled, and never told');
finds(['S 1 accepted', 'S 2 coalesced'], ['S 2 taken', 'S 1 taken 1009'], [],
      0, 0, 0, 'the newest one and then an old one again');
finds(['S 1 accepted', 'N 1 accepted'], ['N 1 taken', 'S 1 taken'], [],
      0, 1, 0, 'a state keeps its place in the lane');
finds(['S 1 accepted', 'N 1 accepted', 'S 2 coalesced'],
      ['S 2 taken', 'N 1 taken'], [], 0, 0, 0,
      'also with a newer body');
finds(['N 1 accepted', 'S 1 accepted', 'S 2 coalesced'],
      ['S 2 taken', 'N 1 taken'], [], 0, 1, 0,
      'nor may the newer body come before what the older one was behind');
finds(['N 1 accepted', 'S 1 accepted'], ['S 1 taken', 'N 1 taken'], [],
      0, 1, 0, 'nor a fresh state before what it is behind');
finds(['N 1 accepted', 'S 1 accepted'],
      ['S 1 taken 1000 a', 'N 1 taken', 'S 1 taken 1003 b'], [], 0, 0, 0,
      'but it may have been told before, in the place of another');
finds(['N 1 accepted', 'S 1 lost', 'S 1 accepted'],
      ['S 1 taken 1000 a', 'N 1 taken', 'S 1 taken 1003 b'], [], 0, 0, 0,
      'also when its sender has lost an answer');

done_testing;

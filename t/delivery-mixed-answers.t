#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# 1C gives all kinds of answers at the same time.  An event that it took is
# never sent again, an event that failed temporarily is sent a second time, and
# an event that it refused becomes a dead letter with its reason.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();

my $gw = Bitrix1C::Gateway->new(
    queue    => 'concurrency 64; retry 300ms 300ms;',
    location => 'proxy_read_timeout 1s;',
)->start;

my %taken = (
    '200 JSON' => { mode => 'ok' },
    '200 with BOM' => { mode => 'bom' },
    '200 empty' => { mode => 'empty' },
    '200 of 3 MB' => { mode => 'big' },
    '200 chunked' => { mode => 'chunked' },
    '200 ended by closing' => { mode => 'unframed' },
    '200 closing the connection' => { mode => 'ok', close => 1 },
    '201' => { mode => '201' },
    '202' => { mode => '202' },
    '204' => { mode => '204' },
    'slow' => { mode => 'ok', delay => 0.7 },
    'chunks refused' => { mode => 'nochunked' },
);

my %again = (
    '401' => { mode => '401' },
    '403 plain' => { mode => 'forbidden' },
    '403 without a word' => { mode => '403', body => '' },
    '403 of one letter' => { mode => '403', body => 'x' },
    '500 without a word' => { mode => '500', body => '' },
    '404' => { mode => '404' },
    '406 no session' => { mode => '406' },
    '408' => { mode => '408' },
    '409 versions' => { mode => '409' },
    '425' => { mode => '425' },
    '429' => { mode => '429' },
    '500 HTML' => { mode => 'fault' },
    '500 text' => { mode => 'conflict' },
    '502' => { mode => '502' },
    '503' => { mode => '503' },
    '504' => { mode => '504' },
    'taken, then closed' => { mode => 'commit-close' },
    'reset' => { mode => 'reset' },
    'no answer in time' => { mode => 'hang' },
    '200 truncated' => { mode => 'truncated' },
    '200 chunked without end' => { mode => 'cutchunk' },
    '500 truncated' => { mode => 'truncated', status => 500 },
);

my %dead = (
    '400' => { mode => '400', reason => qr/400.*Не удалось разобрать/ },
    '410' => { mode => '410', reason => qr/410/ },
    '413' => { mode => '413', reason => qr/413/ },
    '415' => { mode => '415', reason => qr/415/ },
    '422' => { mode => '422', reason => qr/422/ },
    '422 of 3 MB' => { mode => 'big', status => 422, reason => qr/422/ },
    'text of an exception' => { mode => 'exception',
                                reason => qr/HTTPСервис\.exchange/ },
    'BOM and text of an exception' => { mode => 'bom',
        body => "\x{FEFF}{HTTP\x{421}\x{435}\x{440}\x{432}\x{438}\x{441}.a",
        reason => qr/HTTPСервис\.a/ },
);

my $n = 100;
my (@rules, %case);

for my $set (\%taken, \%again, \%dead) {
    for my $name (sort keys %$set) {
        my $rule = $set->{$name};
        my $id = ++$n;

        $rule->{match} = "\"entity\":\\{\"type\":\"SALEORDER\",\"id\":\"$id\"";
        $rule->{times} = 1 if $set == \%again;
        $case{$id} = { name => $name, reason => delete $rule->{reason},
                       expect => $set == \%again ? 2 : 1,
                       dead => $set == \%dead };
        push @rules, $rule;
    }
}

$gw->onec_mode(@rules);

for my $id (sort keys %case) {
    my $answer = $gw->post(id => $id);
    $case{$id}{hook} = $answer->{id};
    is "$answer->{status} $answer->{result}", '200 accepted',
        "$case{$id}{name}: the sender's answer";
}

ok $gw->drained(15), 'the queue is empty';

my %got;

for my $r ($gw->onec_received) {
    push @{ $got{$r->{json}{entity}{id}} }, $r;
}

my %dead_letter = map { $_ => 1 } @{ $gw->dead_letters };

for my $id (sort keys %case) {
    my $case = $case{$id};
    my @r = @{ $got{$id} // [] };

    is join(' ', map { $_->{headers}{'x-bitrix1c-attempt'} // '-' } @r),
        join(' ', 1 .. $case->{expect}), "$case->{name}: attempts";
    is scalar(grep { $_->{id} ne $case->{hook} } @r), 0,
        "$case->{name}: every attempt has the id of the answer";
    is $dead_letter{$case->{hook}} // 0, $case->{dead} ? 1 : 0,
        "$case->{name}: " . ($case->{dead} ? 'dead' : 'not dead');
    like $gw->reason($case->{hook}), $case->{reason},
        "$case->{name}: the reason" if $case->{dead};
}

is scalar(keys %dead_letter), scalar(keys %dead),
    'there are no other dead letters';

my $hooks = () = $gw->slurp('error.log') =~ /became a dead letter/g;
is $hooks, scalar(keys %dead), 'the error log names each of them';

$gw->finish;
done_testing;

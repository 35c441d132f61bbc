#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Every event of events/events.tsv through a gateway, with a body that is built
# from its line: which entity it has, in which lane it waits, and whether a newer
# one takes its place.  The outcome is compared with a table, so that a change of
# the rules shows every event that it changes.
#
# BITRIX1C_TEST_WRITE  writes the table instead

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(TOKEN);
use Bitrix1C::Http qw(http_request);

my $table = "$FindBin::Bin/../events/events.tsv";
my $expected = "$FindBin::Bin/fixtures/events/outcome.tsv";

my $gw = Bitrix1C::Gateway->new;
$gw->start;
$gw->redis('HSET', '{b1c:orders}:h', 'hold', 1);

open my $in, '<', $table or die "$table: $!\n";
my @rows = map { chomp; [split /\t/] } grep { !/^(?:#.*)?$/ } <$in>;
close $in;

cmp_ok scalar @rows, '>=', 217, 'events of the table';
is join("\n", map { $_->[0] } @rows),
   join("\n", sort map { $_->[0] } @rows), 'in order';

my (@cases, %lanes);

for my $row (@rows) {
    my ($event, $type, $path) = @$row;
    my @alternatives = $path eq '-' ? ('') : split /\|/, $path;

    push @cases, map { try($event, $type, $_) } @alternatives;
}

# lanes have hashes for names; here it is all that waits in them

my %names;

for my $case (grep { $_->{lane} } @cases) {
    $names{ $case->{lane} }{ $case->{type} } = 1;
}

my @lines = map { line($_) } @cases;

if ($ENV{BITRIX1C_TEST_WRITE}) {
    open my $out, '>', $expected or die "$expected: $!\n";
    print {$out} map { "$_\n" } @lines;
    close $out;
}

open my $want, '<', $expected or die "$expected: $!\n";
my @want = map { chomp; $_ } <$want>;
close $want;

is_deeply \@lines, \@want, 'entities, lanes and kinds of all events'
    or diag 'the table is t/fixtures/events/outcome.tsv';

# what the table says of the types is what the names make of them

for my $case (grep { $_->{result} eq 'accepted' } @cases) {
    is $case->{got}, $case->{type}, "$case->{event}: type";
}

# what must not be told apart

is lane_of('ONORDERENTITYSAVED'), lane_of('ONSALEBEFOREORDERDELETE'),
   'one order has one lane';
is lane_of('ONEXTERNALCALLSTART'), lane_of('ONVOXIMPLANTCALLEND'),
   'one call has one lane';
isnt lane_of('ONCRMDEALADD'), lane_of('ONCRMLEADADD'), 'a deal is no lead';

for my $case (grep { ($_->{id} // 'null') ne 'null' } @cases) {
    my ($same) = grep { $_->{type} eq $case->{type} && $_->{id} eq $case->{id} }
                 @cases;
    is $case->{lane}, $same->{lane}, "$case->{event}: the lane of its entity";
}

$gw->redis('HDEL', '{b1c:orders}:h', 'hold');
ok $gw->drained(60), 'all are delivered';
$gw->finish;
done_testing;


# twice, the second time later, and then that once more

sub try {
    my ($event, $type, $path) = @_;
    my %data = map { $_ => 40 + length } split /\+/, $path;

    while ($type =~ s/\{([\w.]+)\}/31/) {
        $data{$1} = 31;
    }

    my @answers = map { post($event, \%data, $_) } 1000, 2000, 2000;
    my $case = { event => $event, type => $type, path => $path || '-',
                 result => $answers[0]{result},
                 kind => "$answers[1]{result}, $answers[2]{result}" };

    return $case if $case->{result} ne 'accepted';

    my ($record, $meta) = @{ $gw->redis('HMGET', '{b1c:orders}:h',
                                        $answers[0]{id}, "$answers[0]{id}:m") };
    ($case->{got}, my $id) = $record
        =~ /"entity":\{"type":"([^"]*)","id":(null|"[^"]*")\}/ or die $record;
    $id =~ tr/"//d;

    return { %$case, id => $id, lane => (split / /, $meta)[-1] };
}


sub post {
    my ($event, $data, $ts) = @_;

    my $body = join '&', "event=$event",
        (map { my $name = $_ eq '.' ? '' : "[$_]";
               $name =~ s/\./][/g;
               "data$name=$data->{$_}" } sort keys %$data),
        "ts=$ts", 'auth[domain]=myshop.ru', 'auth[member_id]=m',
        'auth[application_token]=' . TOKEN;
    my $answer = http_request(port => $gw->{port}, path => '/bitrix/orders',
                              body => $body, timeout => 30);

    ($answer->{result}) = $answer->{body} =~ /"result":"(\w+)"/;
    ($answer->{id}) = $answer->{body} =~ /"id":"(\w+)"/;

    return $answer;
}


sub line {
    my ($case) = @_;

    return join "\t", @$case{qw(event path)}, 'refused'
        if !$case->{lane};

    my $lane = $case->{id} eq 'null' ? 'its own'
               : join('=', sort keys %{ $names{ $case->{lane} } })
                 . "/$case->{id}";

    return join "\t", @$case{qw(event path type id)}, $lane, $case->{kind};
}


sub lane_of {
    my ($event) = @_;
    my ($case) = grep { $_->{event} eq $event } @cases;
    return $case->{lane};
}

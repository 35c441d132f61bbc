#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A kept call means the same in a batch as alone: what a batch would change or
# lose is sent alone.

use strict;
use warnings;
use utf8;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Calls ();

my $gw = Bitrix1C::Calls->new(
    kept => 'concurrency 1; retry 1s 1s;',
    rest => 'bitrix1c_async *; client_max_body_size 1m;',
)->start;


sub deal { return { id => $_[0], fields => $_[1] } }

# calls that are stored while the first one waits for its answer

sub together {
    my ($what, @calls) = @_;
    my $from = $gw->portal_received;

    $gw->portal_mode({ mode => 'slow', delay => 0.7, times => 1 });
    $gw->keep('sale.order.get', { id => 1 });
    $gw->portal_received($from + 1, 10);

    my @ids = map { $gw->keep(@$_) } @calls;
    is_deeply [map { $gw->becomes($_, 'done')->{state} } @ids],
        [('done') x @ids], "$what: all are done";

    my ($sizes, $single) = $gw->batches($from + 1);
    return ($sizes, $single);
}

# a value that refers to what another command has answered

my @texts = ('pay $result[c0][COMMENTS]', '$result[c0]', '$result[zz][P]',
             'US$total[c1]', '$next[1]', '$time[c0][start]', '$ERROR[x]',
             '$resultant[c0]', 'plain $5', '${x} $ result[c0]');
my @deals = map { ['crm.deal.update', deal($_ + 10, { TITLE => $texts[$_] })] }
            0 .. $#texts;
my ($sizes, $single) = together('references',
    ['crm.deal.list', { filter => { '>ID' => 1 } }], ['crm.deal.get', { id => 9 }],
    @deals);
is_deeply [$sizes, $single], [[4], 8], 'references are sent alone';

my $rows = $gw->portal_rows('deals');
is $rows->{$_ + 10}{TITLE}, $texts[$_], "$texts[$_] arrives as it is"
    for 0 .. $#texts;

# more values than PHP reads

my %many = map { ("UF_$_" => $_) } 1 .. 1100;
($sizes, $single) = together('1100 values',
    ['crm.deal.update', deal(30, { %many, TITLE => 'last' })],
    map { ['crm.deal.update', deal($_, { TITLE => 'few' })] } 31, 32);
is_deeply [$sizes, $single], [[2], 1], 'a call of 1100 values is sent alone';
is $gw->portal_rows('deals')->{30}{TITLE}, 'last', 'no value is lost';

# names that PHP changes

my @names = ('a.b', 'c d', ' e', 'f[g', 'x]y', '5');
($sizes, $single) = together('names',
    (map { ['crm.deal.update', { %{ deal(40, { TITLE => 'n' }) }, $_ => 1 }] }
         @names),
    map { ['crm.deal.update', deal($_, { TITLE => 'n#=&?' })] } 41, 42);
is $single, @names, 'names that PHP changes are sent alone';
is $gw->portal_rows('deals')->{42}{TITLE}, 'n#=&?', 'other signs are kept';

$gw->finish;
done_testing;

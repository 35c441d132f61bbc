#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Causes every known fault while the gateway is under load, each alone and then
# all at random, and checks that nothing that was promised to the portal or to
# 1C is lost, out of order or done twice.  Prints a table; the exit code is 1 if
# anything was lost or wrong, 2 if a fault could not be tried on this machine.
#
#   torture.pl [--events=200000] [--minutes=N] [--faults=REGEX] [--seed=N]
#              [--rate=600] [--jobs=2] [--list]
#
# --events    in all rows together
# --minutes   go on for so long in all, instead of a number of events
# --faults    only those whose name has this
# --rate      events a second of each row, at most
# --jobs      rows at a time
#
# It uses the module in build/ and the nginx in PATH; see Bitrix1C::Gateway for
# the environment that changes that.

use strict;
use warnings;

use FindBin ();
use Getopt::Long qw(GetOptions);
use JSON::PP ();
use List::Util qw(sum0);
use POSIX qw(strftime);

use lib "$FindBin::Bin/../t/lib";

use Bitrix1C::Torture qw(row_names start_row finish_row run_row bad_row
                         wrong_with table_head table_line);

my %opt = (rate => 600, jobs => 2, seed => time % 1_000_000_007);

GetOptions(\%opt, 'events=i', 'minutes=f', 'faults=s', 'seed=i', 'rate=i',
           'jobs=i', 'list', 'row', 'name=s', 'seconds=f') && !@ARGV
    or die "usage: see the head of $0\n";

# a row is started by this same program

if ($opt{row}) {
    my $result = run_row(%opt);
    print JSON::PP->new->utf8->canonical->encode($result);
    exit 0;
}

my @names = grep { !defined $opt{faults} || /$opt{faults}/i } row_names();

@names or die "no fault has \"$opt{faults}\" in its name, see --list\n";

if ($opt{list}) {
    print map { "$_\n" } @names;
    exit 0;
}

$opt{events} = 200_000 if !defined $opt{minutes} && !defined $opt{events};
exit main();


sub main {
    my %row = (rate => $opt{rate});
    my (@running, @results);
    my $seed = $opt{seed};

    $row{events} = int($opt{events} / @names) + 1 if defined $opt{events};
    $row{seconds} = $opt{minutes} * 60 * $opt{jobs} / @names
        if defined $opt{minutes};

    $| = 1;
    print strftime('%Y-%m-%d', localtime), ", seed $opt{seed}\n\n",
        table_head();

    while (@names || @running) {
        push @running, start_row(%row, name => shift @names, seed => $seed++)
            while @names && @running < $opt{jobs};

        my $result = finish_row(shift @running);
        push @results, $result;
        print table_line($result);
    }

    return summary(@results);
}


sub summary {
    my (@results) = @_;

    my @calls = map { $_->{calls} // {} } @results;

    printf "\n%d events, %d lost, %d out of order\n",
        count('events', @results),
        map { count($_, @results) } qw(lost disorder);
    printf "%d calls, %d done, %d dead letters, %d lost, %d done twice,"
           . " %d out of order, %d otherwise wrong; %d writes repeated\n",
        map { count($_, @calls) } qw(posted done dead lost twice disorder
                                     wrong repeated);

    for my $r (@results) {
        print map { "$r->{name}: $_\n" } @{ $r->{notes} // [] };
    }

    for my $r (grep { bad_row($_) } @results) {
        print "\n$r->{name}, seed $r->{seed}:\n";
        print "    not tried: $r->{missing}\n" if $r->{missing};
        print map { "    $_\n" } map { first_of(@$_) } wrong_with($r);
        print "    kept: $r->{kept}\n" if $r->{kept};
    }

    my %bad = map { bad_row($_) => 1 } @results;
    delete $bad{''};
    my $missing = delete $bad{missing};

    return %bad ? 1 : $missing ? 2 : 0;
}


# numbers, or lengths of lists

sub count {
    my ($what, @results) = @_;

    return sum0(map { ref $_->{$what} ? scalar @{ $_->{$what} }
                                      : $_->{$what} // 0 } @results);
}


sub first_of {
    my (@texts) = @_;
    return @texts if @texts <= 10;
    return (@texts[0 .. 9], '… and ' . (@texts - 10) . ' more');
}

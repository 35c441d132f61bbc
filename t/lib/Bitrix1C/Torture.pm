package Bitrix1C::Torture;

# Copyright (C) the ngx_http_bitrix1c_module authors

# A row of the torture: a gateway of its own is under load while one fault, or
# all of them at random, is repeated; then the load and the fault end, and the
# whole history is checked against the promise.  Each row is a process, because
# it must clean up in every case.

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use JSON::PP ();
use List::Util qw(max min shuffle);
use Time::HiRes qw(sleep time);

use Bitrix1C::Torture::Calls qw(begin_calls calls_posted end_calls call_posts
                                call_writes);
use Bitrix1C::Torture::CallsChecker qw(check_calls);
use Bitrix1C::Torture::Checker qw(check_history check_late);
use Bitrix1C::Torture::Faults qw(faults all_at_random);
use Bitrix1C::Torture::Load qw(begin_load posted end_load posts requests);
use Bitrix1C::Torture::Stage ();

our @EXPORT_OK = qw(row_names start_row finish_row run_row bad_row wrong_with
                    table_head table_line);

use constant { LANES => 48, CONNECTIONS => 16, DELAY => 0.005 };

# seconds in which 1C takes a good event, whatever the bad ones do
use constant LATE => 5;

# the portal is slow enough that calls can be aborted

use constant PORTAL_DELAY => 0.02;

# one call for so many events, and the number of calls whose result is requested
use constant { CALLS_PART => 4, CALLS_CONNECTIONS => 8, ASKED => 60 };

my $program = dirname(__FILE__) . '/../../../tools/torture.pl';
my $json = JSON::PP->new->utf8->canonical;


sub row_names {
    return map { $_->{name} } faults(), all_at_random(\&why_not);
}


sub why_not {
    my ($fault) = @_;
    return Bitrix1C::Torture::Stage::missing(%{ $fault->{stage} // {} });
}


sub find_fault {
    my ($name) = @_;
    my ($fault) = grep { $_->{name} eq $name }
                  faults(), all_at_random(\&why_not);

    return $fault // die "no fault \"$name\"\n";
}


# A row in a process of its own; name, and what run_row() takes.

sub start_row {
    my (%opt) = @_;
    my @command = ($^X, $program, '--row',
                   map { defined $opt{$_} ? "--$_=$opt{$_}" : () }
                   qw(name seed seconds events rate));

    my $pid = open my $out, '-|', @command or die "fork: $!";

    return { pid => $pid, out => $out, name => $opt{name},
             seed => $opt{seed} };
}


# waits for its end; returns the result, in which "error" has other faults

sub finish_row {
    my ($row) = @_;
    my $out = $row->{out};
    my $text = do { local $/; <$out> };

    close $out;
    my $result = eval { $json->decode($text) }
                 // { error => ["the row broke off: $text"] };

    return { %$result, name => $row->{name}, seed => $row->{seed} };
}


# name, seed; the load is kept up for "seconds" and until "events" were posted,
# at "rate" a second at most.  Returns a hash as check_history() does, with
#   calls     a hash as check_calls() does
#   missing   why the fault is not possible on this machine, nothing was done
#   error     [texts]: what else is wrong
#   notes     [texts]: what else is worth telling
#   cycles    how often the fault came, 0 if it was there all the time
#   kept      the directory, if it was not removed

sub run_row {
    my (%opt) = @_;

    srand $opt{seed};
    my $fault = find_fault($opt{name});
    my $missing = why_not($fault);
    return { missing => $missing } if $missing;

    my $stage = Bitrix1C::Torture::Stage->new(%{ $fault->{stage} // {} });
    my $r = eval { act($stage, $fault, %opt) } // { error => ["$@"] };

    $stage->{keep} = bad_row($r);
    push @{ $r->{error} }, $stage->faults_found;
    $stage->{keep} = bad_row($r) || $ENV{BITRIX1C_TEST_KEEP};
    $r->{kept} = $stage->{dir} if $stage->{keep};
    local $ENV{BITRIX1C_TEST_KEEP} = $stage->{keep};
    $stage->stop_all;

    return $r;
}


sub act {
    my ($stage, $fault, %opt) = @_;
    my @usual = ({ delay => DELAY });
    my @portal = ({ delay => PORTAL_DELAY });

    $stage->{rules} = [@{ $fault->{rules} // [] }, @usual];
    $stage->{portal_rules} = [@{ $fault->{portal} // [] }, @portal];
    $stage->start;
    $fault->{begin}->($stage) if $fault->{begin};
    $stage->onec_mode(@{ $stage->{rules} });
    $stage->portal_mode(@{ $stage->{portal_rules} });

    my $load = begin_load($stage, lanes => LANES, connections => CONNECTIONS,
                          rate => $opt{rate});
    my $calls = begin_calls($stage, lanes => LANES,
                            connections => CALLS_CONNECTIONS,
                            rate => $opt{rate} / CALLS_PART);
    my $cycles = torment($stage, $fault, $load, %opt);
    my $sent = end_load($load);
    end_calls($calls);

    $stage->onec_mode(@usual);
    $stage->portal_mode(@portal);
    my @error;
    push @error, 'not all that was taken was settled in 90 s'
        if !$stage->settled(90);
    sleep 0.3;
    push @error, $fault->{after}->($stage) if $fault->{after};

    my $requests = requests($stage);
    my $r = check_history(posts($stage), $requests, $stage->dead_numbers);
    my @late = $fault->{good} ? check_late(posts($stage), $requests,
                                           LATE, $fault->{good}) : ();
    push @error, @late . ' good events were late', @late[0 .. min(4, $#late)]
        if @late;
    $r->{calls} = calls($stage, $fault);
    push @error, 'the fault was not felt'
        if $fault->{bitten} && !$fault->{bitten}->($stage, $r, $requests);

    return { %$r, cycles => $cycles, elapsed => $sent->{elapsed},
             error => \@error,
             notes => [map { @{ $_->{notes} // [] } } $fault, $stage] };
}


# the results of the calls

sub calls {
    my ($stage, $fault) = @_;
    my $posts = call_posts($stage);
    my %ids = map { $_->{id} => 1 } grep { $_->{kind} ne 'C' } @$posts;
    my @asked = (shuffle grep { $_ ne '-' } sort keys %ids);

    splice @asked, ASKED if @asked > ASKED;

    return check_calls($posts, call_writes($stage), $stage->dead_calls,
        told => $stage->told_of(@asked),
        map { $_ => $fault->{$_} } qw(reruns forgets));
}


# until there was enough of it

sub torment {
    my ($stage, $fault, $load, %opt) = @_;
    my $start = time;
    my $cycles = 0;

    while (1) {
        if ($fault->{cycle}) {
            $fault->{cycle}->($stage);
            $cycles++;

        } else {
            sleep 0.2;
        }

        last if time - $start >= ($opt{seconds} // 0)
                && $cycles >= ($fault->{least} // 0)
                && posted($load) >= ($opt{events} // 0);
    }

    return $cycles;
}


# the first fault of a row, '' if there is none

sub bad_row {
    my ($r) = @_;

    return 'missing' if $r->{missing};
    return 'error' if @{ $r->{error} // [] };
    return 'lost' if @{ $r->{lost} // [] };
    return 'disorder' if @{ $r->{disorder} // [] };

    for my $what (qw(lost twice disorder wrong)) {
        return "calls, $what" if @{ $r->{calls}{$what} // [] };
    }

    return '';
}


# [texts] of all faults of a row

sub wrong_with {
    my ($r) = @_;

    return grep { @$_ } map { $_ // [] } @$r{qw(error lost disorder)},
        @{ $r->{calls} // {} }{qw(lost twice disorder wrong)};
}


# Markdown

my @COLUMNS = (
    [40, 'fault'], [5, 'times'], [6, 'events'], [4, 'lost'],
    [12, 'out of order'], [10, 'duplicates'], [4, 'dead'], [5, '503s'],
    [7, 'spooled'], [6, 'calls'], [6, 'done'], [5, 'dead'], [4, 'lost'],
    [5, 'twice'], [12, 'out of order'], [9, 'worst, ms'], [9, 'seed'],
);


sub table_head {
    return line(map { $_->[1] } @COLUMNS)
           . '|' . '---|' x @COLUMNS . "\n";
}


sub table_line {
    my ($r) = @_;

    my $why = $r->{missing} ? "not tried, $r->{missing}" : 'broke off';

    return line("$r->{name}: $why", ('-') x (@COLUMNS - 2), $r->{seed})
        if !defined $r->{events};

    my $c = $r->{calls};

    return line($r->{name}, $r->{cycles} || '-', $r->{events},
        scalar @{ $r->{lost} }, scalar @{ $r->{disorder} }, $r->{duplicates},
        $r->{dead}, map({ $r->{$_} + $c->{$_} } 'unavailable'),
        map({ ($r->{results}{$_} // 0) + ($c->{results}{$_} // 0) } 'spooled'),
        @$c{qw(posted done dead)},
        map({ scalar @{ $c->{$_} } } qw(lost twice disorder)),
        sprintf('%.0f', 1000 * max($r->{worst}, $c->{worst})), $r->{seed});
}


sub line {
    my (@cells) = @_;
    my $i = 0;

    return '|' . join('|', map { sprintf " %-$COLUMNS[$i++][0]s ", $_ } @cells)
           . "|\n";
}

1;

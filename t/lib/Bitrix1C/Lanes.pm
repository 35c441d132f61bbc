package Bitrix1C::Lanes;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The lanes as 1C saw them, for tests of their order: events whose data has
# FIELDS[N] = "LANE-NUMBER", with numbers that rise in the order of acceptance.

use strict;
use warnings;

use Exporter qw(import);
use Test::More ();

our @EXPORT_OK = qw(lane_requests lane_faults second_node);


# lane => [requests: n, time, end, number, status, id], by time, from the log of
# the stand-in, which is faster than its control address

sub lane_requests {
    my ($gw) = @_;
    my %lanes;

    for my $line (split /\n/, $gw->slurp('onec.log')) {
        my ($n, $time, $seconds) = $line
            =~ /^\{"n":(\d+),"time":([\d.]+),"seconds":([\d.]+)/ or next;
        my ($lane, $number) = $line =~ /\\"N\\":\\"(\d+)-(\d+)\\"/ or next;
        my ($id, $status) = $line =~ /"id":"(\w+)","mode".*"status":(\d+)/;

        push @{ $lanes{$lane} }, { n => $n, time => $time, number => $number,
            end => $time + $seconds, status => $status, id => $id };
    }

    @$_ = sort { $a->{n} <=> $b->{n} } @$_ for values %lanes;

    return \%lanes;
}


# texts that say where a lane is out of order, has two in flight, or is
# incomplete

sub lane_faults {
    my ($lanes, $count, $events) = @_;
    my @faults;

    for my $lane (1 .. $count) {
        my ($last, $end, %taken) = (0, 0);

        for my $r (@{ $lanes->{$lane} // [] }) {
            push @faults, "lane $lane: $r->{number} after $last"
                if $r->{number} < $last;
            push @faults, "lane $lane: $r->{number} before $last was taken"
                if $r->{number} > $last && $last && !$taken{$last};
            push @faults, "lane $lane: $r->{number} beside $last"
                if $r->{time} < $end;

            $last = $r->{number};
            $end = $r->{end};
            $taken{$last}++ if $r->{status} == 200;
        }

        my @absent = grep { !$taken{$_} } 1 .. $events;
        push @faults, "lane $lane: never taken: @absent" if @absent;
    }

    return @faults;
}


# another nginx with a directory of its own, on the Redis and 1C of the first

sub second_node {
    my ($gw, %opt) = @_;
    my $other = ref($gw)->new(%opt);

    @$other{qw(socket onec)} = @$gw{qw(socket onec)};
    $other->start_nginx;

    return $other;
}

1;

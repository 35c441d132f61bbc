package Bitrix1C::Portal::Limits;

# Copyright (C) the ngx_http_bitrix1c_module authors

# Bitrix24's limits, on a clock that may run faster than the real one:
# - requests fill a leaky bucket; above its height they are refused, and
#   refused ones do not fill it
# - the time that calls of a method cost, summed up over ten baskets of a
#   minute, blocks the method from OPERATING seconds on until the oldest basket
#   is ten minutes old; calls below 0.1 s are not counted

use strict;
use warnings;

use Time::HiRes qw(time);

use constant { WINDOW => 600, BASKET => 60, COUNTED => 0.1 };


# rate, burst, scale (simulated seconds in a second), operating

sub new {
    my ($class, %opt) = @_;
    my $real = time;

    return bless { %opt, real => $real, simulated => $real, buckets => {},
                   spent => {} }, $class;
}


sub forget {
    my ($self) = @_;
    @$self{qw(buckets spent)} = ({}, {});
    return;
}


# seconds of the clock that the limits run by

sub now {
    my ($self) = @_;
    return $self->{simulated} + (time - $self->{real}) * $self->{scale};
}


sub change_scale {
    my ($self, $scale) = @_;

    @$self{qw(simulated real scale)} = ($self->now, time, $scale);
    return;
}


# true when the request is within the limit of the bucket

sub hit {
    my ($self, $key) = @_;
    my $now = $self->now;
    my $bucket = $self->{buckets}{$key}
        //= { level => 0, at => $now, first => $now, hits => 0, refused => 0,
              highest => 0 };

    $bucket->{level} -= ($now - $bucket->{at}) * $self->{rate};
    $bucket->{level} = 0 if $bucket->{level} < 0;
    $bucket->{at} = $now;

    if ($bucket->{level} + 1 > $self->{burst}) {
        $bucket->{refused}++;
        return 0;
    }

    $bucket->{level}++;
    $bucket->{hits}++;
    $bucket->{highest} = $bucket->{level}
        if $bucket->{level} > $bucket->{highest};

    return 1;
}


# key => { hits, refused, highest, minutes: simulated ones between the first
# request and the last one }

sub usage {
    my ($self) = @_;
    my %usage;

    for my $key (keys %{ $self->{buckets} }) {
        my $bucket = $self->{buckets}{$key};
        $usage{$key} = { hits => $bucket->{hits},
            refused => $bucket->{refused},
            highest => 0 + sprintf('%.3f', $bucket->{highest}),
            minutes => 0 + sprintf('%.3f',
                                   ($bucket->{at} - $bucket->{first}) / 60) };
    }

    return \%usage;
}


# baskets of the last ten minutes: [start, seconds]

sub baskets {
    my ($self, $method) = @_;
    my $baskets = $self->{spent}{$method} or return [];
    my $oldest = $self->now - WINDOW;

    shift @$baskets while @$baskets && $baskets->[0][0] <= $oldest;

    return $baskets;
}


sub operating {
    my ($self, $method) = @_;
    my $sum = 0;

    return 0 if !$self->{spent}{$method};

    $sum += $_->[1] for @{ $self->baskets($method) };
    return 0 + sprintf '%.6f', $sum;
}


sub blocked {
    my ($self, $method) = @_;

    return $self->operating($method) >= $self->{operating};
}


sub spend {
    my ($self, $method, $seconds) = @_;

    return if $seconds < COUNTED;

    my $now = $self->now;
    my $baskets = $self->{spent}{$method} //= [];

    push @$baskets, [$now, 0]
        if !@$baskets || $now - $baskets->[-1][0] >= BASKET;
    $baskets->[-1][1] += $seconds;

    return;
}


# when the oldest basket leaves, as a time of the real clock: callers compare
# it with their own

sub reset_at {
    my ($self, $method) = @_;
    my $oldest = $self->baskets($method)->[0];
    my $left = $oldest ? $oldest->[0] + WINDOW - $self->now : WINDOW;

    return int(time + $left / $self->{scale}) + 1;
}

1;

package Bitrix1C::Portal::Rest;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The REST of the stand-in portal: a call with its limits, a batch of calls,
# and the answers' shapes, which are PHP's: an empty array is [] whatever it
# would have held, and one with the keys 0, 1, ... is a list.

use strict;
use warnings;

use POSIX qw(strftime);
use Time::HiRes qw(time);

use Bitrix1C::Portal::Answers qw(error error_json);
use Bitrix1C::Portal::Limits ();
use Bitrix1C::Portal::Methods qw(method_code);
use Bitrix1C::Portal::Params qw(keys_of from_form from_json each_value);
use Bitrix1C::Portal::Store ();
use Bitrix1C::Standin::Request qw(quote);

use constant BATCH => 50;

# what no batch may have
my %NESTED = map { $_ => 1 } qw(batch download upload);

my %DEFAULT = (rate => 2, burst => 50, scale => 1, operating => 480,
               cost => {}, default_cost => 0.03, without => [],
               scope => ['sale', 'catalog', 'crm'], counters => 1,
               error_time => 0, work => 0, key => 'x7k2mq9dn3s8f1aa');

my ($zone_at, $zone) = (0, '');


# Settings are described in bitrix.pl.  "inside" is code ($r, $method, $query)
# that tells the error of a command in a batch, undef if it is to be done.
# There is no row before forget() has made them.

sub new {
    my ($class, %opt) = @_;
    my $self = bless { inside => $opt{inside}, time_about => '', %DEFAULT },
                     $class;

    $self->{store} = Bitrix1C::Portal::Store->new(
        map { $_ => $opt{$_} } qw(products orders deals));
    $self->{limits} = Bitrix1C::Portal::Limits->new(
        map { $_ => $DEFAULT{$_} } qw(rate burst scale operating));

    return $self;
}


sub forget {
    my ($self) = @_;

    $self->{limits}->forget;
    $self->{store}->reset_all;
    @$self{qw(calls errors)} = ({}, {});
    $self->{commands} = 0;

    return;
}


# an error text if the settings cannot be; none is changed then

sub change {
    my ($self, $new) = @_;
    my %new = %{ $new // {} };
    my $spend = delete $new{spend};
    my $limits = $self->{limits};

    for my $name (keys %new) {
        return "unknown setting \"$name\"" if !exists $DEFAULT{$name};
        return "invalid value of \"$name\""
            if ref $new{$name} ne ref $DEFAULT{$name}
               || $name =~ /^(?:rate|burst|scale|operating)$/
                  && $new{$name} !~ /^(?=.*[1-9])\d*\.?\d+$/;
    }

    @$self{keys %new} = values %new;
    $self->{cost} = { map { lc, $self->{cost}{$_} } keys %{ $self->{cost} } };
    $self->{no} = { map { lc, 1 } @{ $self->{without} } };
    $self->{may} = { map { $_ => 1 } @{ $self->{scope} } };

    $limits->change_scale($new{scale}) if $new{scale};
    $limits->{$_} = $self->{$_} for qw(rate burst operating);
    $limits->spend(lc, $spend->{$_}) for keys %{ $spend // {} };

    return;
}


sub settings {
    my ($self) = @_;
    return { map { $_ => $self->{$_} } keys %DEFAULT };
}


sub stats {
    my ($self) = @_;

    return (portals => $self->{limits}->usage, calls => $self->{calls},
            errors => $self->{errors}, commands => $self->{commands},
            ignored => $self->{store}{ignored});
}


# (status, body, seconds that it costs) of a request that may be answered; $r
# gets error, the code of one

sub answer {
    my ($self, $r, $key, $params) = @_;
    my $start = time;

    if (!defined $key || $key ne $self->{key}) {
        my $error = defined $key ? 'credentials' : 'noauth';

        $self->count_error($error);
        return $self->failed($r, $error, $start, 0);
    }

    $self->{store}{by} = { n => $r->{n}, method => $r->{rest}, command => '' };

    if ($r->{rest} eq 'batch') {
        my ($json, $cost) = $self->batch($r, $params, $start);
        return (200, "{\"result\":$json,\"time\":"
                     . $self->time_json($start, $cost) . '}', $cost);
    }

    my ($outcome, $cost) = $self->call($r->{rest}, $params);

    if ($outcome->{error}) {
        return $self->failed($r, $outcome->{error}, $start, $cost);
    }

    my $json = "{\"result\":$outcome->{json}";
    $json .= ",\"next\":$outcome->{next}" if defined $outcome->{next};
    $json .= ",\"total\":$outcome->{total}" if defined $outcome->{total};

    return (200, "$json,\"time\":"
                 . $self->time_json($start, $cost, $r->{rest}) . '}', $cost);
}


sub failed {
    my ($self, $r, $error, $start, $cost) = @_;
    my ($status, $code) = error($error);
    my $more = $self->{error_time}
               ? ',"time":' . $self->time_json($start, $cost, $r->{rest}) : '';

    $r->{error} = $code =~ tr/"//dr;

    return ($status, error_json($error, $more), $cost);
}


# (what the method returns, what it cost)

sub call {
    my ($self, $method, $params) = @_;
    my ($code, $spec, $scope) = $self->{no}{$method} ? ()
                                                     : method_code($method);
    my $outcome;

    $self->{calls}{$method}++;

    if (!$code) {
        $outcome = { error => 'nomethod' };

    } elsif (!$self->{may}{$scope}) {
        $outcome = { error => 'scope' };

    } elsif ($self->{limits}->blocked($method)) {
        $outcome = { error => 'operation' };
    }

    if ($outcome) {
        $self->count_error($outcome->{error});
        return ($outcome, 0);
    }

    my $cost = $self->{cost}{$method} // $self->{default_cost};

    $outcome = $code->($self->{store}, $spec, $params);
    $self->{limits}->spend($method, $cost);
    $self->count_error($outcome->{error}) if $outcome->{error};

    return ($outcome, $cost);
}


sub count_error {
    my ($self, $error) = @_;
    my (undef, $code) = error($error);

    $code =~ tr/"//d;
    $self->{errors}{$code}++;

    return;
}


# (result in JSON, what it cost)

sub batch {
    my ($self, $r, $params, $start) = @_;
    my $cmd = $params->{cmd};
    my $halt = $params->{halt};
    my (%part, @done);
    my ($n, $sum) = (0, 0);

    for my $key (keys_of($cmd)) {
        # parse_url() knows a fragment
        my ($method, $query) = split /\?/, ($cmd->{$key} // '') =~ s/#.*//sr, 2;
        $method = lc($method // '');
        my ($outcome, $cost) = $n++ < BATCH
            ? $self->command($r, $key, $method, $query // '',
                             sub { maps_of(\@done, $start) })
            : ({ error => 'length' }, 0);

        $sum += $cost;

        if ($outcome->{error}) {
            push @{ $part{result_error} },
                 [$key, error_json($outcome->{error})];
            last if $halt;
            next;
        }

        push @done, [$key, $outcome];
        push @{ $part{result} }, [$key, $outcome->{json}];
        push @{ $part{result_total} }, [$key, $outcome->{total}]
            if defined $outcome->{total};
        push @{ $part{result_next} }, [$key, $outcome->{next}]
            if defined $outcome->{next};
        push @{ $part{result_time} },
             [$key, $self->time_json($start, $cost, $method)];
    }

    return ('{' . join(',', map { "\"$_\":" . php_json($part{$_} // []) }
                qw(result result_error result_total result_next result_time))
            . '}', $sum);
}


sub command {
    my ($self, $r, $key, $method, $query, $maps) = @_;

    $self->{commands}++;

    my $error = $NESTED{$method} ? 'nested'
                                   : $self->{inside}->($r, $method, $query);

    if ($error) {
        $self->count_error($error);
        return ({ error => $error }, 0);
    }

    my $params = from_form($query);

    if ($query =~ /\$|%24/) {
        my $known = $maps->();
        each_value($params, sub { referred($_[0], $known) });
    }

    @{ $self->{store}{by} }{qw(method command)} = ($method, $key);

    return $self->call($method, $params);
}


# Whatever stands in a value of a command from "$" and the name of a map up to
# the next space, if it has keys in brackets: the map is walked by them as far
# as it goes.  A value that is nothing else becomes what was found, also an
# array; within a text only a string or a number takes its place.

sub referred {
    my ($value, $maps) = @_;

    return $value if !defined $value || index($value, '$') < 0;

    my @found = $value =~ /\$((?i:result|next|total|time|error))(\S*)/g;

    while (my ($map, $rest) = splice @found, 0, 2) {
        my @keys = $rest =~ /\[([^\]]+)\]/g or next;
        my $whole = "\$$map$rest";
        my $at = $maps->{$map};

        for my $key (@keys) {
            last if !ref $at || !exists $at->{$key};
            $at = $at->{$key};
        }

        return $at if $value eq $whole;
        $value =~ s/\Q$whole\E/$at/g if defined $at && !ref $at;
    }

    return $value;
}


# of the commands that are done: $done has [key, outcome] of each

sub maps_of {
    my ($done, $start) = @_;
    my %maps = map { $_ => {} } qw(result next total time error);

    for my $pair (@$done) {
        my ($key, $outcome) = @$pair;

        $maps{result}{$key} = $outcome->{data} //= from_json($outcome->{json});
        $maps{total}{$key} = $outcome->{total} if defined $outcome->{total};
        $maps{next}{$key} = $outcome->{next} if defined $outcome->{next};
        $maps{time}{$key} = { start => $start };
    }

    return \%maps;
}


# as PHP writes an array: [[key, json], ...]

sub php_json {
    my ($pairs) = @_;
    my $n = 0;

    if (!grep { $_->[0] ne $n++ } @$pairs) {
        return '[' . join(',', map { $_->[1] } @$pairs) . ']';
    }

    return '{' . join(',', map { quote($_->[0]) . ":$_->[1]" } @$pairs) . '}';
}


# the block "time"; times are real ones, costs are simulated

sub time_json {
    my ($self, $start, $cost, $method) = @_;
    my $about = "$start $cost";

    # the commands of a batch begin together and mostly cost the same
    if ($about ne $self->{time_about}) {
        my $finish = $start + $cost;

        $self->{time_about} = $about;
        $self->{counters_of} = {};
        $self->{time_json} = sprintf '{"start":%.6f,"finish":%.6f,"duration":'
            . '%.6f,"processing":%.6f,"date_start":"%s","date_finish":"%s"',
            $start, $finish, $cost, $cost, date($start), date($finish);
    }

    return "$self->{time_json}}" if !defined $method || !$self->{counters};

    return $self->{time_json}
           . ($self->{counters_of}{$method} // $self->counters($method));
}


sub counters {
    my ($self, $method) = @_;
    my $limits = $self->{limits};
    my $operating = $limits->operating($method);
    my $json = ',"operating_reset_at":' . $limits->reset_at($method)
               . ",\"operating\":$operating}";

    # they are always the same for what is not counted
    $self->{counters_of}{$method} = $json if !$operating;

    return $json;
}


sub date {
    my ($time) = @_;
    my $second = int $time;

    if ($second != $zone_at) {
        $zone = strftime('%Y-%m-%dT%H:%M:%S%z', localtime $second);
        $zone =~ s/(\d\d)$/:$1/;
        $zone_at = $second;
    }

    return $zone;
}

1;

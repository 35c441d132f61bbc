package Bitrix1C::Standin::Rules;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The rules that tell a stand-in how to misbehave, described in onec.pl.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(prepare_rule choose_rule ruled_answer);


# Makes a rule from JSON or arguments ready for use; returns an error text.
# $mode_name gives the name of a mode in a rule, undef if there is no such mode.

sub prepare_rule {
    my ($rule, $mode_name) = @_;

    return 'a rule is not an object' if ref $rule ne 'HASH';

    my $mode = $mode_name->($rule->{mode} // $rule->{status} // 'ok', $rule);

    return 'unknown mode' if !defined $mode;
    $rule->{mode} = $mode;

    # everything is compared with bytes and sent as bytes
    for (values %$rule, values %{ $rule->{headers} // {} }) {
        utf8::encode($_) if defined && !ref && utf8::is_utf8($_);
    }

    for my $key (qw(match head method)) {
        next if !defined $rule->{$key};
        eval { $rule->{"${key}_re"} = qr/$rule->{$key}/mi; 1 }
            or return "bad regex in $key";
    }

    return;
}


# the first rule that applies to the request, or undef

sub choose_rule {
    my ($rules, $r) = @_;

    for my $rule (@$rules) {
        next if ($rule->{inside} // 0) != ($r->{inside} // 0);
        next if $rule->{match_re} && $r->{body} !~ $rule->{match_re};
        next if $rule->{head_re} && $r->{head} !~ $rule->{head_re};
        next if $rule->{method_re} && $r->{rest} !~ $rule->{method_re};

        my $whose = $rule->{per} ? $r->{$rule->{per}} // '' : '';
        my $seen = $rule->{_seen}{$whose} //= { passed => 0, used => 0 };

        next if $seen->{passed}++ < ($rule->{skip} // 0);
        next if $rule->{every} && $rule->{_turn}++ % $rule->{every};
        next if defined $rule->{random} && chance($rule) >= $rule->{random};
        next if defined $rule->{times} && $seen->{used} >= $rule->{times};

        $seen->{used}++;
        return $rule;
    }

    return;
}


# a generator of its own for each rule, so that a seed repeats the run

sub chance {
    my ($rule) = @_;
    my $state = $rule->{_state} // $rule->{seed} // 1;

    $rule->{_state} = ($state * 1_103_515_245 + 12_345) & 0x7fffffff;
    return ($rule->{_state} >> 8) / 0x800000;
}


# the answer, status, header lines and body, with what the rule replaces

sub ruled_answer {
    my ($rule, $status, $headers, $body) = @_;

    $status = $rule->{status} // $status;
    $body = $rule->{body} // $body;
    $headers .= "Retry-After: $rule->{retry_after}\r\n"
        if defined $rule->{retry_after};

    for my $name ($rule->{headers} ? sort keys %{ $rule->{headers} } : ()) {
        $headers .= "$name: $rule->{headers}{$name}\r\n";
    }

    return ($status, $headers, $body);
}

1;

package Bitrix1C::Torture::Checker;

# Copyright (C) the ngx_http_bitrix1c_module authors

# Holds a whole history against the promise: what was answered 200 reached 1C,
# in order in every lane, and no state of an entity stays behind the last one
# that was promised.  Pure, so that its own test can show that it finds what
# it is there for.
#
# A post, in the order in which its lane was posted:
#   lane, number    its place; numbers of a lane and kind only rise, an event
#                   that is posted again because no answer came keeps its own
#   kind            "S": a state, which a newer one of its lane may replace; all
#                   others have to arrive themselves: "R" is a robot, of which
#                   1C may get two when its sender has lost an answer, and "D"
#                   is something else that has no order
#   ts              the second that the sender says the change was made in
#   sent, answered  seconds; status (0: no answer), result
# A request that came to 1C:
#   n               its place among all of them; time and end, seconds
#   lane, kind, number, id
#   acted           1C did what it was told
#   taken           and its whole answer went out

use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max);

our @EXPORT_OK = qw(check_history check_late);

use constant PROMISED => qr/^(?:accepted|spooled|coalesced|duplicate)$/;


# posts, requests: as above; dead: { "lane kind number" => 1 }.  Returns
#   events       posted and answered, or never answered, each counted once
#   promised, unavailable (503), unknown (no answer), other: of these
#   lost         [texts]: neither taken by 1C nor a dead letter, or a state
#                that 1C was never told to look at again
#   disorder     [texts]: came before one of its lane that was to come first
#   duplicates   requests that 1C acted on beyond the first of each id
#   dead         promised ones among the dead letters
#   worst        seconds of the slowest answer
#   results      { result => how many }

sub check_history {
    my ($posts, $requests, $dead) = @_;
    my %r = map { $_ => 0 } qw(events promised unavailable unknown other dead
                               duplicates worst);
    $r{$_} = [] for qw(lost disorder);

    my $last = last_answers($posts, \%r);
    my $came = arrivals($requests, \%r);
    my %lanes;

    push @{ $lanes{$_->{lane}} }, $_ for grep { promised($_) } @$last;

    for my $lane (sort keys %lanes) {
        check_lane(\%r, $lane, $lanes{$lane}, $came->{$lane} // {}, $dead);
    }

    return \%r;
}


# Texts of promised events that 1C had not taken "seconds" after their answer,
# among those for which good returns true.  A newer state says what an older one
# of its lane says.

sub check_late {
    my ($posts, $requests, $seconds, $good) = @_;
    my (%taken, @late);

    push @{ $taken{"$_->{lane} $_->{kind}"} }, $_ for grep { $_->{taken} }
                                                     @$requests;

    for my $p (grep { promised($_) && $good->($_) } @$posts) {
        my ($first) = sort { $a <=> $b } map { $_->{end} } grep {
            $p->{kind} eq 'S' ? $_->{number} >= $p->{number}
                              : $_->{number} == $p->{number}
        } @{ $taken{"$p->{lane} $p->{kind}"} // [] };

        push @late, sprintf 'lane %s: %s %s came %s', @$p{qw(lane kind number)},
            defined $first ? sprintf('after %.1f s', $first - $p->{answered})
                           : 'never'
            if !defined $first || $first - $p->{answered} > $seconds;
    }

    return @late;
}


sub promised {
    my ($post) = @_;
    return $post->{status} == 200 && $post->{result} =~ PROMISED;
}


# the final state of each event, in the order of posting

sub last_answers {
    my ($posts, $r) = @_;
    my (%seen, @last);

    for my $p (@$posts) {
        my $key = "$p->{lane} $p->{kind} $p->{number}";
        $r->{worst} = max($r->{worst}, $p->{answered} - $p->{sent})
            if $p->{status};

        if (defined $seen{$key}) {
            $last[$seen{$key}] = $p;
            next;
        }

        $seen{$key} = @last;
        push @last, $p;
    }

    for my $p (@last) {
        $r->{events}++;
        $r->{results}{$p->{result}}++ if promised($p);
        $r->{promised($p)          ? 'promised'
            : $p->{status} == 503  ? 'unavailable'
            : $p->{status} == 0    ? 'unknown'
            :                        'other'}++;
    }

    return \@last;
}


# lane => { kind => { number => { first, last, taken } } }, where "first" and
# "last" are when it came and "taken" when 1C's first whole answer was out

sub arrivals {
    my ($requests, $r) = @_;
    my (%came, %acted);

    for my $q (sort { $a->{n} <=> $b->{n} } @$requests) {
        my $a = $came{$q->{lane}}{$q->{kind}}{$q->{number}}
            //= { first => $q->{time}, begun => [] };

        $a->{last} = $q->{time};
        $r->{duplicates}++ if $q->{acted} && $acted{$q->{id}}++;
        next if !$q->{taken};
        $a->{taken} //= $q->{end};
        push @{ $a->{begun} }, $q->{time};
    }

    return \%came;
}


sub check_lane {
    my ($r, $lane, $posts, $came, $dead) = @_;
    my $states = taken_states($came->{S} // {});
    my ($free, $before) = (0, '');

    for my $p (@$posts) {
        my $name = "lane $lane: $p->{kind} $p->{number}";
        my $a = $came->{$p->{kind}}{$p->{number}} // {};
        my $state = $p->{kind} eq 'S';
        my $done = $state ? state_taken($p, $states) : $a->{taken};
        my $at = $state ? state_came($p, $came->{S}) : $a->{first};

        if ($dead->{"$lane $p->{kind} $p->{number}"}) {
            $r->{dead}++;
            next;
        }

        push @{ $r->{disorder} }, "$name came before $before was taken"
            if has_place($p) && defined $at && $at < $free;

        push @{ $r->{lost} }, "$name ($p->{result}) was never taken"
            if !defined $done;

        # a repeat may be the duplicate of a delivery that began before others
        # of the lane were posted; it proves nothing about their order

        next if !defined $done || $p->{kind} eq 'D'
                || $state && $p->{result} !~ /^(?:accepted|coalesced)$/;

        ($free, $before) = ($done, "$p->{kind} $p->{number}")
            if $done > $free;
    }

    return;
}


# An event that was answered "accepted" is behind all that were posted before
# it; an event that was coalesced has the place of the waiting one.

sub has_place {
    my ($post) = @_;
    return $post->{result} eq 'accepted' if $post->{kind} eq 'S';
    return $post->{kind} ne 'D';
}


# When the state came, or a newer one in its place, for the last time: if the
# answer to it was lost, the sender's or the gateway's own from Redis, then it
# may also have been merged, and so have come earlier.

sub state_came {
    my ($post, $came) = @_;
    return max(map { $came->{$_}{last} } grep { $_ >= $post->{number} }
               keys %{ $came // {} });
}


# [number, when it was taken, when the last request that took it began], each
# number only as late as any newer one

sub taken_states {
    my ($states) = @_;
    my @taken;

    for my $number (sort { $b <=> $a } keys %$states) {
        my $a = $states->{$number};
        next if !defined $a->{taken};
        push @taken, [$number, $a->{taken}, max(@{ $a->{begun} })];
    }

    return \@taken;
}


# When the state was first taken, or a newer one in its place.  What was not
# stored as an event of its own is also served by a delivery that began when
# its second was over, because 1C then looked at the entity as it was.

sub state_taken {
    my ($post, $states) = @_;
    my ($first, $looked);

    for my $s (@$states) {
        my ($number, $taken, $begun) = @$s;

        if ($number >= $post->{number}) {
            $first = $taken if !defined $first || $taken < $first;
        }

        $looked = 1 if $begun > $post->{ts} + 1;
    }

    return $first if defined $first;
    return 0 if $looked && $post->{result} !~ /^(?:accepted|coalesced)$/;
    return;
}

1;

package Bitrix1C::Torture::CallsChecker;

# Copyright (C) the ngx_http_bitrix1c_module authors

# Holds the history of 1C's kept calls against the promise: what was answered
# 202 was written by the portal, or is a dead letter; what must not be repeated
# was written once; and no older value stands where a newer one was promised.
# Pure, so that its own test can show that it finds what it is there for.
#
# A post, in the order in which its lane was posted:
#   lane, kind, number   its place; numbers of a lane and kind only rise, a call
#                        that is posted again keeps its own
#   kind                 "A": an addition; "U": an update, which has to be
#                        written itself; "C": a value that a newer one replaces
#   keyed                it had an Idempotency-Key
#   sent, answered       seconds; status (0: no answer), result, id
# A write of the portal, in its order: lane, kind, number; text to be shown

use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max);

our @EXPORT_OK = qw(check_calls);

# a dead letter of an addition that may have been written all the same
use constant UNKNOWN => qr/outcome unknown/;


# posts, writes: as above
# dead     { "lane kind number" => reason }
# told     { id => state that the gateway tells }
# reruns   true: Redis may have forgotten what was done
# forgets  true: it may have forgotten only what is told
# Returns
#   posted     calls, those posted again counted once
#   promised, unavailable: of these
#   done       promised ones that the portal has, or something newer instead
#   dead       promised ones among the dead letters
#   repeated   writes beyond the first of what may be repeated
#   lost       [texts]: neither written nor a dead letter
#   twice      [texts]: additions that were written more than once
#   disorder   [texts]: an older value was written after a newer one
#   wrong      [texts]: written though nobody posted it, or though its dead
#              letter says that it was not; told otherwise than it is
#   worst      seconds of the slowest answer
#   results    { result => how many }

sub check_calls {
    my ($posts, $writes, $dead, %opt) = @_;
    my %r = (map { $_ => 0 } qw(posted promised unavailable done dead repeated
                                worst));
    @r{qw(lost twice disorder wrong results)} = ([], [], [], [], {});

    my $calls = calls($posts, \%r);
    my $rows = rows($writes, $calls, \%r);

    for my $row (sort keys %$calls) {
        my $call = $calls->{$row};
        my $written = $rows->{$row} // [];
        my %row = (row => $row, calls => $call, written => $written,
                   dead => { map { $_ => $dead->{"$row $_"} }
                             grep { defined $dead->{"$row $_"} }
                             keys %$call });

        check_settled(\%r, \%row);
        $row =~ /A$/ ? check_additions(\%r, \%row)
                     : check_order(\%r, \%row, $opt{reruns});
    }

    check_told(\%r, $posts, $dead, $opt{told} // {},
               $opt{reruns} || $opt{forgets});

    return \%r;
}


# "lane kind" => { number => { promised, posts, keyed } }

sub calls {
    my ($posts, $r) = @_;
    my %calls;

    for my $p (@$posts) {
        my $call = $calls{"$p->{lane} $p->{kind}"}{$p->{number}} //= {};

        $call->{posts}++;
        $call->{keyed} = $p->{keyed};
        $call->{status} = $p->{status};
        $call->{promised} ||= $p->{status} == 202;
        $r->{results}{$p->{result}}++ if $p->{status} == 202;
        $r->{worst} = max($r->{worst}, $p->{answered} - $p->{sent})
            if $p->{status};
    }

    for my $call (map { values %$_ } values %calls) {
        $r->{posted}++;
        $r->{promised}++ if $call->{promised};
        $r->{unavailable}++ if !$call->{promised} && $call->{status} == 503;
    }

    return \%calls;
}


# "lane kind" => [numbers, in the order of their writes]

sub rows {
    my ($writes, $calls, $r) = @_;
    my %rows;

    for my $w (@$writes) {
        my $row = defined $w->{lane} ? "$w->{lane} $w->{kind}" : '';

        if (!$calls->{$row} || !$calls->{$row}{$w->{number}}) {
            push @{ $r->{wrong} }, "nobody posted $w->{text}";
            next;
        }

        push @{ $rows{$row} }, $w->{number};
    }

    return \%rows;
}


sub check_settled {
    my ($r, $row) = @_;
    my ($calls, $written) = @$row{qw(calls written)};
    my $last = max(@$written, keys %{ $row->{dead} }) // 0;
    my %has = map { $_ => 1 } @$written;

    for my $number (grep { $calls->{$_}{promised} } sort { $a <=> $b }
                    keys %$calls)
    {
        if (exists $row->{dead}{$number}) {
            $r->{dead}++;

        } elsif ($has{$number} || $row->{row} =~ /C$/ && $last > $number) {
            $r->{done}++;

        } else {
            push @{ $r->{lost} }, "call $row->{row} $number was never written";
        }
    }

    return;
}


sub check_additions {
    my ($r, $row) = @_;
    my %times;

    $times{$_}++ for @{ $row->{written} };

    for my $number (sort { $a <=> $b } keys %times) {
        my $reason = $row->{dead}{$number};

        push @{ $r->{twice} },
            "call $row->{row} $number was written $times{$number} times"
            if $times{$number} > 1;
        push @{ $r->{wrong} },
            "call $row->{row} $number was written, its dead letter: $reason"
            if defined $reason && $reason !~ UNKNOWN;
    }

    return;
}


# Nobody knows when a copy of a call without a key arrives whose answer was
# lost, nor when a call arrives that was never promised, so these prove nothing
# about the order.

sub check_order {
    my ($r, $row, $reruns) = @_;
    my ($calls, $written) = @$row{qw(calls written)};
    my (%times, @after);
    my $newest = 0;

    for my $number (@$written) {
        my $call = $calls->{$number};
        $r->{repeated}++ if $times{$number}++;

        next if !$call->{promised}
                || !$call->{keyed} && $call->{posts} > 1;
        push @after, "call $row->{row} $number was written after $newest"
            if $number < $newest;
        @after = () if $reruns && $number >= $newest;
        $newest = max($newest, $number);
    }

    push @{ $r->{disorder} }, @after;

    return;
}


# what the gateway says about single calls

sub check_told {
    my ($r, $posts, $dead, $told, $forgets) = @_;

    for my $p (grep { $_->{status} == 202 } @$posts) {
        my $state = $told->{$p->{id}} // next;
        my $name = "$p->{lane} $p->{kind} $p->{number}";
        my $is = defined $dead->{$name} ? 'dead' : 'done';

        # a spooled call may have been merged into another, and Redis may forget
        # answers when it is full or fails over

        next if $state eq $is || $state eq 'unknown'
                && ($forgets || $p->{result} eq 'spooled');
        push @{ $r->{wrong} }, "call $name is $is, the gateway says $state";
    }

    return;
}

1;

package Bitrix1C::Torture::Load;

# Copyright (C) the ngx_http_bitrix1c_module authors

# Numbered changes of many entities, posted until told to stop, the next one of
# an entity only when the one before was answered; and the history of it, in a
# file, as well as that of 1C, for the checker.

use strict;
use warnings;

use Exporter qw(import);
use Time::HiRes qw(time);

use Bitrix1C::Http qw(start_load finish_load);

our @EXPORT_OK = qw(begin_load posted end_load posts requests number_of);

# one event of this many is a state of its entity: it may be replaced
use constant STATES => 4;


# lanes, connections (fewer than lanes), rate; posts into the gateway

sub begin_load {
    my ($gw, %opt) = @_;
    my ($stop, $file) = map { "$gw->{dir}/$_" } qw(stop posts);

    open my $out, '>>', $file or die "$file: $!";
    unlink $stop;

    my %numbers;
    my @free = 1 .. $opt{lanes};

    my $load = start_load(
        port => $gw->{port}, path => '/bitrix/orders', retry => 'lost',
        connections => $opt{connections}, rate => $opt{rate},
        next => sub {
            return if -e $stop;
            my $lane = splice @free, rand @free, 1;
            my $kind = int(rand STATES) ? 'N' : 'S';
            return event($gw, $lane, $kind, ++$numbers{$lane}{$kind});
        },
        answered => sub {
            my ($key, $answer) = @_;
            my ($lane) = $key =~ /^(\d+)/;
            push @free, $lane if $answer->{status};
            print {$out} join(' ', $key, @$answer{qw(sent answered status)},
                              $answer->{result} || '-'), "\n";
            $out->flush;
        },
    );

    return { gw => $gw, load => $load, stop => $stop, file => $file };
}


# key and body; the key is what posts() takes apart

sub event {
    my ($gw, $lane, $kind, $number) = @_;
    my $ts = int time;

    # what has to arrive itself gets an identity of its own by bitrix1c_key
    return ("$lane $kind $number $ts", $gw->event_body(id => $lane, ts => $ts,
        event => $kind eq 'N' ? 'ONCRMDEALADD' : 'ONCRMDEALUPDATE',
        fields => { $kind => "$lane-$number" }));
}


# about how many were answered so far

sub posted {
    my ($self) = @_;
    open my $in, '<', $self->{file} or return 0;
    my $n = 0;
    $n += $_ =~ tr/\n// while read $in, $_, 1 << 16;
    return $n;
}


sub end_load {
    my ($self) = @_;
    open my $stop, '>', $self->{stop} or die "$self->{stop}: $!";
    return finish_load($self->{load});
}


sub posts {
    my ($gw) = @_;
    my @posts;

    for my $line (split /\n/, $gw->slurp('posts')) {
        my %p;
        @p{qw(lane kind number ts sent answered status result)}
            = split / /, $line;
        push @posts, \%p;
    }

    return \@posts;
}


# (lane, kind, number) of a text in which the event's JSON stands, whatever it
# is quoted in

sub number_of {
    my ($text) = @_;
    my ($kind, $lane, $number)
        = $text =~ /\\?"([NS])\\?":\\?"(\d+)-(\d+)\\?"/ or return;
    return ($lane, $kind, $number);
}


# from the log of the stand-in

sub requests {
    my ($gw) = @_;
    my @requests;

    open my $in, '<', "$gw->{dir}/onec.log" or die "onec.log: $!";

    while (my $line = <$in>) {
        my ($n, $time, $seconds) = $line
            =~ /^\{"n":(\d+),"time":([\d.]+),"seconds":([\d.]+)/ or next;
        my ($lane, $kind, $number) = number_of($line) or next;
        my ($id, $mode, $status, $closed) = $line =~ /"id":"(\w+)",
            "mode":"([^"]*)","status":(\d+),"closed":"(\w*)"\}$/x;

        push @requests, { n => $n, time => $time, end => $time + $seconds,
            lane => $lane, kind => $kind, number => $number, id => $id,
            mode => $mode, status => $status,
            acted => $status =~ /^2/ || $mode eq 'commit-close',
            taken => $status =~ /^2/ && $closed ne 'client'
                     && $mode !~ /^(?:truncated|cutchunk)$/ };
    }

    return \@requests;
}

1;

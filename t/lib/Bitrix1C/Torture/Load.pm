package Bitrix1C::Torture::Load;

# Copyright (C) the ngx_http_bitrix1c_module authors

# Numbered changes of many entities, posted until told to stop, the next one of
# an entity only when the one before was answered; and the history of it, in a
# file, as well as that of 1C, for the checker.
#
# Lanes have entities of three kinds: deals, which robots run on as well; orders
# of the shop, whose events have two names for them; and currencies, which are
# added again under the id that they had before they were deleted.

use strict;
use warnings;

use Exporter qw(import);
use Time::HiRes qw(time);

use Bitrix1C::Gateway ();
use Bitrix1C::Http qw(start_load finish_load);
use Bitrix1C::Nginx ();

our @EXPORT_OK = qw(begin_load posted end_load posts requests number_of);

# what is told of a lane, each as often as it stands here; its kind for the
# checker and its event
my @DEALS = (['N', 'ONCRMDEALADD'], ['N', 'ONCRMDEALADD'],
             ['S', 'ONCRMDEALUPDATE'], ['S', 'ONCRMDEALUPDATE'],
             ['O', 'ONCRMDEALMOVETOCATEGORY'], ['R', 'ROBOT'], ['R', 'ROBOT'],
             ['D', 'ONIMCONNECTORLINEDELETE']);
my @ORDERS = (['S', 'ONORDERENTITYSAVED'], ['B', 'ONSALEBEFOREORDERDELETE'],
              ['B', 'ONSALEBEFOREORDERDELETE']);
my @CURRENCIES = (['S', 'ONCRMCURRENCYUPDATE'], ['A', 'ONCRMCURRENCYADD'],
                  ['A', 'ONCRMCURRENCYADD']);

use constant { PATH => '/bitrix/orders?token=' . Bitrix1C::Nginx::TOKEN };


# lanes, connections (fewer than lanes), rate; posts into the gateway

sub begin_load {
    my ($gw, %opt) = @_;
    my ($stop, $file) = map { "$gw->{dir}/$_" } qw(stop posts);

    open my $out, '>>', $file or die "$file: $!";
    unlink $stop;

    my (%numbers, %exists, %later);
    my @free = 1 .. $opt{lanes};

    my $load = start_load(
        port => $gw->{port}, path => PATH, retry => 'lost',
        connections => $opt{connections}, rate => $opt{rate},
        next => sub {
            return if -e $stop;
            my $lane = splice @free, rand @free, 1;
            my ($kind, $event) = choose($lane, $exists{$lane});
            return event($gw, $lane, $kind, ++$numbers{$lane}{$kind}, $event,
                         $kind eq 'A' ? $later{$lane} : 0);
        },
        answered => sub {
            my ($key, $answer) = @_;
            my ($lane, $kind) = $key =~ /^(\d+) (\w)/;
            push @free, $lane if $answer->{status};

            # what was lost is said again; what was refused may be so none the
            # less, and would be repeated if it were said of the same second
            if ($kind eq 'A' && $answer->{status} == 200) {
                $exists{$lane} = !$exists{$lane};

            } elsif ($answer->{status}) {
                $later{$lane}++;
            }
            print {$out} join(' ', $key, @$answer{qw(sent answered status)},
                              $answer->{result} || '-'), "\n";
            $out->flush;
        },
    );

    return { gw => $gw, load => $load, stop => $stop, file => $file };
}


# kind and event of what is told next; a currency is added and deleted in turn

sub choose {
    my ($lane, $exists) = @_;
    my $kinds = (\@DEALS, \@DEALS, \@ORDERS, \@CURRENCIES)[$lane % 4];
    my ($kind, $event) = @{ $kinds->[rand @$kinds] };

    $event = 'ONCRMCURRENCYDELETE' if $kind eq 'A' && $exists;

    return ($kind, $event);
}


# key and body; the key is what posts() takes apart

sub event {
    my ($gw, $lane, $kind, $number, $event, $later) = @_;
    my $ts = int(time) + ($later // 0);
    my $key = "$lane $kind $number $ts";
    my $said = "$lane-$number";

    return ($key, robot($lane, $said)) if $kind eq 'R';

    # what has to arrive itself gets an identity of its own by bitrix1c_key, by
    # its content or by its verb
    my $body = $gw->event_body(id => $lane, ts => $ts, event => $event,
                               fields => { $kind => $said });

    $body =~ s/&data\b.*?(?=&ts=)/&data=$said/ if $kind eq 'D';

    return ($key, $body);
}


# as the robot "Webhook" of Bitrix24 sends it: nothing but a document, and who
# the portal is; what it says stands in its address there

sub robot {
    my ($lane, $said) = @_;

    return "document_id[0]=crm&document_id[1]=CCrmDocumentDeal"
           . "&document_id[2]=DEAL_$lane&properties[R]=$said"
           . '&auth[domain]=myshop.ru&auth[member_id]='
           . Bitrix1C::Gateway::MEMBER();
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
        = $text =~ /\\?"([NSOBAR]|data)\\?":\\?"(\d+)-(\d+)\\?"/ or return;
    return ($lane, $kind eq 'data' ? 'D' : $kind, $number);
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

package Bitrix1C::Torture::Calls;

# Copyright (C) the ngx_http_bitrix1c_module authors

# Numbered writes that 1C leaves with the gateway, posted until told to stop,
# the next one of a kind and lane only when the one before was answered; and
# the history of it, in a file, as well as that of the portal, for the checker.
#
# Three kinds, each with an entity of every lane:
#   A  an addition, which must not be repeated
#   U  an update, in the order of its lane
#   C  an amount in stock, of which the newest counts (bitrix1c_coalesce)
# Some have an Idempotency-Key: those are posted again when no answer came, and
# now and then when one did.  Of those without, additions are not.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();

use Bitrix1C::Http qw(start_load finish_load);

our @EXPORT_OK = qw(begin_calls calls_posted end_calls call_posts call_writes
                    call_number CALLS_CONF);

use constant CALLS_CONF => 'bitrix1c_async crm.deal.* sale.order.*'
    . ' catalog.storeproduct.*; bitrix1c_coalesce'
    . ' catalog.storeproduct.update productId,storeId;';

# one of so many has a key, and so many of those are posted once more
use constant { KEYED => 4, REPEATED => 3 };

my $json = JSON::PP->new->utf8->canonical;


# lanes, connections (fewer than lanes), rate; a second load goes on with
# numbers that are higher

sub begin_calls {
    my ($gw, %opt) = @_;
    my ($stop, $file) = map { "$gw->{dir}/$_" } qw(stop-calls calls);

    open my $out, '>>', $file or die "$file: $!";
    unlink $stop;

    my $from = 1_000_000 * $gw->{call_loads}++;
    my (%numbers, @again);
    my @free = 1 .. $opt{lanes};

    my $load = start_load(
        port => $gw->{port}, connections => $opt{connections},
        rate => $opt{rate}, retry => \&is_repeated,
        next => sub {
            return call(shift @again) if @again;
            return if -e $stop;
            my $lane = splice @free, rand @free, 1;
            my $kind = (qw(A U C))[rand 3];
            my $number = $from + ++$numbers{$lane}{$kind};
            return call(join ' ', $lane, $kind, $number,
                        int(rand KEYED) ? '-' : 'key');
        },
        answered => sub {
            my ($key, $answer) = @_;
            my $first = $answer->{result} !~ /^(?:duplicate)?$/;

            print {$out} join(' ', $key, @$answer{qw(sent answered status)},
                              map { $_ || '-' } @$answer{qw(result id)}), "\n";
            $out->flush;

            return if !$answer->{status} && is_repeated($key);
            return push @again, $key
                if $first && $key =~ /key$/ && !int rand REPEATED;
            push @free, (split / /, $key)[0];
        },
    );

    return { gw => $gw, load => $load, stop => $stop, file => $file };
}


# whether it is repeated if it was not answered

sub is_repeated {
    my ($key) = @_;
    return $key !~ / A \d+ -$/;
}


# key, body, path and headers

sub call {
    my ($key) = @_;
    my ($lane, $kind, $number, $keyed) = split / /, $key;
    my ($method, $params) = written($lane, $kind, $number);
    my %headers = ('Content-Type' => 'application/json');

    $headers{'Idempotency-Key'} = "$lane-$kind-$number" if $keyed eq 'key';

    return ($key, $json->encode($params), "/bitrix/$method", \%headers);
}


# method and parameters; deals in one half of the lanes, orders in the other

sub written {
    my ($lane, $kind, $number) = @_;
    my $text = "$kind-$lane-$number";

    return ('catalog.storeproduct.update', { productId => $lane,
            storeId => 1, amount => 0 + $number }) if $kind eq 'C';

    my ($of, $fields) = $lane % 2
        ? ('crm.deal', { TITLE => $text })
        : ('sale.order', { comments => $text });

    return ("$of.update", { id => 0 + $lane, fields => $fields })
        if $kind eq 'U';

    return ("$of.add", { fields => { %$fields, lid => 's1',
                         personTypeId => 3, currency => 'RUB' } });
}


# about how many were answered so far

sub calls_posted {
    my ($self) = @_;
    open my $in, '<', $self->{file} or return 0;
    my $n = 0;
    $n += $_ =~ tr/\n// while read $in, $_, 1 << 16;
    return $n;
}


sub end_calls {
    my ($self) = @_;
    open my $stop, '>', $self->{stop} or die "$self->{stop}: $!";
    return finish_load($self->{load});
}


sub call_posts {
    my ($gw) = @_;
    my @posts;

    for my $line (split /\n/, $gw->slurp('calls')) {
        my %p;
        @p{qw(lane kind number keyed sent answered status result id)}
            = split / /, $line;
        $p{keyed} = $p{keyed} eq 'key';
        push @posts, \%p;
    }

    return \@posts;
}


# the writes of the portal, in their order

sub call_writes {
    my ($gw) = @_;
    my @writes;

    for my $line (split /\n/, $gw->portal_ask('writes')) {
        my %w = (text => $line);
        @w{qw(lane kind number)} = call_number($line);
        push @writes, \%w;
    }

    return \@writes;
}


# (lane, kind, number) of a text in which the call's JSON or that of its write
# stands; () if it is none of these

sub call_number {
    my ($text) = @_;

    return ($2, $1, $3)
        if $text =~ /"(?:TITLE|comments)":"([AU])-(\d+)-(\d+)"/;

    my ($lane) = $text =~ m{"(?:row":"storeProducts |productId":"?)(\d+)};
    my ($number) = $text =~ /"amount":"?(\d+)/;

    return defined $lane && defined $number ? ($lane, 'C', $number) : ();
}

1;

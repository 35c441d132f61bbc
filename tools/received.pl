#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# usage: received.pl EVENT < requests.json
#
# Shows what the stand-in of 1C received, from its answer to
# /_standin/received, and fails unless EVENT was among it.

use strict;
use warnings;

use JSON::PP ();

my ($wanted) = @ARGV;

my $requests = JSON::PP->new->utf8->decode(join '', <STDIN>);
my $found = 0;

binmode STDOUT, ':encoding(UTF-8)';

for my $r (@$requests) {
    print "$r->{method} $r->{path}\n";
    print "$_: $r->{headers}{$_}\n" for sort keys %{ $r->{headers} };
    print "\n", indented($r->{body}), "\n";

    my $body = eval { JSON::PP->new->decode($r->{body}) };
    $found ||= ref $body eq 'HASH' && ($body->{event} // '') eq $wanted;
}

exit !$found;


# the text as it came, only with the white space that people like

sub indented {
    my ($text) = @_;
    my ($out, $depth) = ('', 0);

    while ($text =~ /\G("(?:[^"\\]|\\.)*"|[^"])/gs) {
        my $token = $1;

        if ($token =~ /^[{[]/) {
            $depth++;
            $out .= $token . newline($depth);

        } elsif ($token =~ /^[}\]]/) {
            $depth--;
            $out .= newline($depth) . $token;

        } elsif ($token eq ',') {
            $out .= $token . newline($depth);

        } elsif ($token eq ':') {
            $out .= "$token ";

        } else {
            $out .= $token;
        }
    }

    return $out;
}


sub newline {
    my ($depth) = @_;
    return "\n" . '  ' x $depth;
}

package Bitrix1C::Standin::Request;

# Copyright (C) the ngx_http_bitrix1c_module authors

# How a request to a stand-in looks in its log.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(quote request_json);

my %ESCAPE = ("\n" => '\n', "\r" => '\r', "\t" => '\t');


# bytes that are not UTF-8 are shown as the characters of their values

sub quote {
    my ($text) = @_;

    if ($text =~ tr/\x80-\xff//) {
        my $copy = $text;
        utf8::encode($text) if !utf8::decode($copy);
    }

    $text =~ s/(["\\])/\\$1/g if $text =~ tr/"\\//;
    $text =~ s{([\x00-\x1f])}{$ESCAPE{$1} // sprintf '\u%04x', ord $1}ge
        if $text =~ tr/\x00-\x1f//;

    return "\"$text\"";
}


# one line of JSON; $more is what the stand-in itself knows, as members of JSON

sub request_json {
    my ($r, $more) = @_;
    my $h = $r->{headers};

    return sprintf '{"n":%d,"time":%.6f,"seconds":%.6f,"method":%s,"path":%s,'
        . '"headers":{%s},"body":%s,%s,"mode":"%s","status":%d,"closed":"%s"}',
        $r->{n}, $r->{time}, $r->{seconds} // 0, quote($r->{method}),
        quote($r->{path}),
        join(',', map { quote($_) . ':' . quote($h->{$_}) } sort keys %$h),
        quote($r->{body}), $more, $r->{mode}, $r->{status},
        $r->{closed} // '';
}

1;

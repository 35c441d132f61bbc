package Bitrix1C::Portal::View;

# Copyright (C) the ngx_http_bitrix1c_module authors

# How a call of the stand-in portal looks in its log and to people.

use strict;
use warnings;

use Exporter qw(import);
use POSIX qw(strftime);

use Bitrix1C::Portal::Params qw(from_request keys_of);
use Bitrix1C::Standin::Http qw(unescape);
use Bitrix1C::Standin::Request qw(quote request_json);

our @EXPORT_OK = qw(call_json call_line);


# [key, method, query] of each command of a batch

sub commands {
    my ($r) = @_;

    return if $r->{rest} ne 'batch';

    my ($query) = $r->{path} =~ /\?(.*)/s;
    my $cmd = from_request($r, $query)->{cmd};

    return map { [$_, (split(/\?/, $cmd->{$_} // '', 2), '', '')[0, 1]] }
           keys_of($cmd);
}


# one line of JSON

sub call_json {
    my ($r) = @_;

    my $commands = join ',', map {
        '[' . join(',', map { quote($_) } @$_) . ']'
    } commands($r);

    return request_json($r, sprintf '"rest":%s,"portal":%s,"error":%s,'
        . '"commands":[%s]', quote($r->{rest}), quote($r->{portal}),
        quote($r->{error} // ''), $commands);
}


# the call, and below it the commands of a batch

sub call_line {
    my ($r) = @_;
    my ($query) = $r->{path} =~ /\?(.*)/s;
    my @commands = commands($r);
    my $given = join ' ', grep { defined && $_ ne '' } $query, $r->{body};

    my $line = sprintf '%s  %s %s  %s  -> %s',
        strftime('%H:%M:%S', localtime $r->{time}), $r->{method}, $r->{rest},
        @commands ? @commands . ' commands' : shown($given),
        $r->{status} || 'no answer';

    $line .= " $r->{error}" if defined $r->{error};
    $line .= "\n          $_->[0]: $_->[1]  " . shown($_->[2])
        for @commands;

    return $line;
}


sub shown {
    my ($text) = @_;

    $text = unescape($text);
    $text =~ s/[\x00-\x1f]/ /g;

    return length $text > 200 ? substr($text, 0, 200) . '...' : $text;
}

1;

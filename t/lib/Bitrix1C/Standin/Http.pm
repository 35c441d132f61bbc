package Bitrix1C::Standin::Http;

# Copyright (C) the ngx_http_bitrix1c_module authors

# What HTTP/1.1 looks like, for the stand-ins: requests taken apart, answers
# put together, in all the wrong ways too.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(parse_headers keeps_alive unescape framed);

my %REASON = (200 => 'OK', 201 => 'Created', 202 => 'Accepted',
    204 => 'No Content', 301 => 'Moved Permanently', 302 => 'Found',
    400 => 'Bad Request', 401 => 'Unauthorized',
    403 => 'Forbidden', 404 => 'Not Found', 405 => 'Method Not Allowed',
    406 => 'Not Acceptable', 408 => 'Request Timeout', 409 => 'Conflict',
    410 => 'Gone', 411 => 'Length Required', 413 => 'Payload Too Large',
    415 => 'Unsupported Media Type', 422 => 'Unprocessable Entity',
    425 => 'Too Early', 429 => 'Too Many Requests',
    500 => 'Internal Server Error', 502 => 'Bad Gateway',
    503 => 'Service Unavailable', 504 => 'Gateway Timeout');


# names in lower case, repeated fields joined by commas

sub parse_headers {
    my ($head) = @_;
    my (undef, @fields) = split /\r\n/, $head;
    my %headers;

    for my $field (@fields) {
        my ($name, $value) = $field =~ /^([^:]+):[ \t]*(.*?)[ \t]*$/ or next;
        $name = lc $name;
        $headers{$name} = exists $headers{$name}
                          ? "$headers{$name}, $value" : $value;
    }

    return \%headers;
}


sub keeps_alive {
    my ($minor, $headers) = @_;
    my $connection = lc($headers->{connection} // '');

    return $minor ? $connection ne 'close' : $connection eq 'keep-alive';
}


sub unescape {
    my ($text) = @_;

    $text =~ tr/+/ /;
    $text =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge if index($text, '%') >= 0;

    return $text;
}


# the bytes of an answer; some modes frame it in their own way, or wrongly

sub framed {
    my ($mode, $status, $headers, $body) = @_;

    if ($mode eq 'truncated') {
        $headers .= "Content-Length: 100\r\n";
        $body = substr $body, 0, 5;

    } elsif ($mode eq 'chunked' || $mode eq 'cutchunk') {
        my $half = int(length($body) / 2);
        $headers .= "Transfer-Encoding: chunked\r\n";
        $body = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
                grep { $_ ne '' } substr($body, 0, $half),
                                  substr($body, $half);
        $body .= "0\r\n\r\n" if $mode eq 'chunked';

    } elsif ($mode ne 'unframed' && $status != 204) {
        $headers .= 'Content-Length: ' . length($body) . "\r\n";
    }

    return "HTTP/1.1 $status " . ($REASON{$status} // 'Unknown')
           . "\r\n$headers\r\n$body";
}

1;

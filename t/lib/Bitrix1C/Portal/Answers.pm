package Bitrix1C::Portal::Answers;

# Copyright (C) the ngx_http_bitrix1c_module authors

# Bitrix's errors, and the modes of the stand-in portal, described in bitrix.pl.

use strict;
use warnings;

use Exporter qw(import);

use Bitrix1C::Standin::Request qw(quote);

our @EXPORT_OK = qw(JSON mode_name error error_json misbehaviour does_nothing);

use constant JSON => "Content-Type: application/json; charset=utf-8\r\n";
use constant HTML => "Content-Type: text/html; charset=UTF-8\r\n";

# status, code as it is in JSON, description
my %ERROR = (
    limit => [503, '"QUERY_LIMIT_EXCEEDED"', 'Too many requests'],
    operation => [429, '"OPERATION_TIME_LIMIT"',
        'Method is blocked due to operation time limit.'],
    overload => [503, '"OVERLOAD_LIMIT"',
        'REST API is blocked due to overload.'],
    nomethod => [404, '"ERROR_METHOD_NOT_FOUND"', 'Method not found!'],
    noauth => [401, '"NO_AUTH_FOUND"', 'Wrong authorization data'],
    credentials => [401, '"INVALID_CREDENTIALS"',
        'Invalid request credentials'],
    scope => [403, '"insufficient_scope"', 'The request requires higher'
        . ' privileges than provided by the webhook token'],
    plan => [403, '"ACCESS_DENIED"',
        'REST is available only on commercial plans.'],
    deleted => [500, '"PORTAL_DELETED"', 'Portal was deleted'],
    internal => [500, '"INTERNAL_SERVER_ERROR"', 'Internal server error'],
    length => [400, '"ERROR_BATCH_LENGTH_EXCEEDED"',
        'Max batch length exceeded'],
    nested => [405, '"ERROR_BATCH_METHOD_NOT_ALLOWED"',
        'Method is not allowed for batch usage'],
    noorder => [400, '200540400001', 'order does not exist'],
    absent => [400, '""', 'Not found'],
    badid => [400, '""', 'ID is not defined or invalid.'],
    error => [200, '"ERROR_CORE"', 'Internal error'],
    number => [200, '200040300020', 'Access Denied'],
);

# those that are an answer of their own, whatever is asked
my @ANSWERS = qw(html empty nojson redirect echo big);

# the call is done, and then
my @FRAMED = qw(ok slow chunked truncated cutchunk unframed);
my @LOST = qw(commit-close commit-reset commit-hang);

my @OTHERS = qw(close reset hang refuse listen);

my %MODE = map { $_ => 1 } keys %ERROR, @ANSWERS, @FRAMED, @LOST, @OTHERS;
my %DOES = map { $_ => 1 } @FRAMED, @LOST;


# undef if there is none; a command in a batch has errors only

sub mode_name {
    my ($mode, $rule) = @_;

    $mode = 'internal' if $mode eq '500';

    return $ERROR{$mode} ? $mode : undef if $rule->{inside};
    return $mode if $MODE{$mode} || $mode =~ /^[2-5]\d\d$/;
    return;
}


sub does_nothing {
    my ($mode) = @_;
    return !$DOES{$mode};
}


# a name of the table, or [status, code, description] as it is

sub error {
    my ($error) = @_;
    return ref $error ? @$error : @{ $ERROR{$error} };
}


# an object in JSON; $more are further members of it

sub error_json {
    my ($error, $more) = @_;
    my (undef, $code, $description) = error($error);

    return "{\"error\":$code,\"error_description\":" . quote($description)
           . ($more // '') . '}';
}


# status, header lines and body of a mode that does nothing

sub misbehaviour {
    my ($rule, $r) = @_;
    my $mode = $rule->{mode};
    my $host = $r->{headers}{host} // 'localhost';

    if ($ERROR{$mode}) {
        return ((error($mode))[0], JSON, error_json($mode));
    }

    if ($mode eq 'html') {
        return (200, HTML, '<!DOCTYPE html><html><head><title>Bitrix24</title>'
                           . '</head><body>Сервис временно недоступен'
                           . "</body></html>\n");
    }

    # PHP's own, and nginx's in front of it, name the address
    if ($mode eq 'echo') {
        return (200, JSON, '{"error":"ERROR_UNEXPECTED_ANSWER",'
            . '"error_description":' . quote("Server returned an unexpected"
            . " response: https://$host$r->{path}") . '}');
    }

    if ($mode eq 'redirect') {
        return (302, HTML
                . "Location: https://$host/auth/?backurl=$r->{path}\r\n", '');
    }

    if ($mode eq 'big') {
        my $size = $rule->{size} // 3 * 1024 * 1024;
        return (200, JSON, '{"result":"' . 'x' x ($size - 13) . '"}');
    }

    return (200, JSON, 'null') if $mode eq 'nojson';
    return (200, JSON, '') if $mode eq 'empty';
    return ($mode, HTML, $mode == 204 ? '' : "<h1>$mode</h1>\n");
}

1;

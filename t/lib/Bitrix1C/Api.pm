package Bitrix1C::Api;

# Copyright (C) the ngx_http_bitrix1c_module authors

# bitrix1c_api of a Bitrix1C::Gateway, in /bitrix1c/.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();

use Bitrix1C::Http qw(http_request);

our @EXPORT_OK = qw(api api_error change metrics status_of LOCATION);

use constant LOCATION => 'location /bitrix1c/ { bitrix1c_api; }';


# { status, headers, body, json }; parameters are those of http_request()

sub api {
    my ($gw, $path, %opt) = @_;
    my $answer = http_request(port => $gw->{port}, path => "/bitrix1c/$path",
                              %opt);
    my $type = $answer->{headers}{'content-type'} // '';

    $answer->{json} = eval { JSON::PP->new->utf8->decode($answer->{body}) }
        if $type eq 'application/json; charset=utf-8';

    return $answer;
}


# a POST with the header that a form of another site cannot set

sub change {
    my ($gw, $path, %headers) = @_;
    return api($gw, $path, method => 'POST', body => '',
               headers => { 'X-Bitrix1c' => 1, %headers });
}


# "404 NotFound: text", or what is wrong with the answer

sub api_error {
    my ($answer) = @_;
    my $error = ($answer->{json} // {})->{error}
        or return "$answer->{status} without an error: "
                  . ($answer->{body} // $answer->{error} // '');

    return "status $error->{status} in $answer->{status}"
        if $error->{status} != $answer->{status};

    return "$error->{status} $error->{code}: $error->{text}";
}


# the part of "status" about one queue

sub status_of {
    my ($gw, $queue) = @_;
    my $answer = api($gw, 'status');
    my ($found) = grep { $_->{name} eq ($queue // 'orders') }
                  @{ ($answer->{json} // {})->{queues} // [] };

    return $found // {};
}


# name and labels => value, dies if the text is not in the format 0.0.4

sub metrics {
    my ($gw) = @_;
    my $answer = api($gw, 'metrics');
    my (%value, %type, %help, $family);

    die "metrics: $answer->{status}\n" if $answer->{status} != 200;

    for my $line (split /\n/, $answer->{body}) {
        if ($line =~ /^# HELP (bitrix1c_\w+) \S/) {
            die "$1 has two HELP\n" if $help{$1}++;
            next;
        }

        if ($line =~ /^# TYPE (bitrix1c_\w+) (counter|gauge|histogram)$/) {
            die "$1 has two TYPE or no HELP\n" if $type{$1} || !$help{$1};
            ($family, $type{$1}) = ($1, $2);
            next;
        }

        $line =~ /^((bitrix1c_\w+)\{\w+="[^"]*"(?:,\w+="[^"]*")*\})\ 
                  (\d+(?:\.\d+)?)$/x
            or die "no sample: $line\n";

        my ($sample, $name, $value) = ($1, $2, $3);

        $name =~ s/_(?:bucket|sum|count)$//
            if ($type{$family} // '') eq 'histogram';
        die "$sample stands under $family\n" if $name ne $family;
        die "$sample comes twice\n" if exists $value{$sample};
        $value{$sample} = $value;
    }

    return \%value;
}

1;

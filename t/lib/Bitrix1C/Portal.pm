package Bitrix1C::Portal;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The stand-in Bitrix of a scenario test, see t/bitrix.pl.  Part of
# Bitrix1C::Gateway, which has its address in {bitrix}; if it was started,
# finish() checks that neither logs nor Redis have the webhook's key.

use strict;
use warnings;

use JSON::PP ();

use Bitrix1C::Http qw(http_request);

use parent -norequire, 'Bitrix1C::Standin';

use constant KEY => 'x7k2mq9dn3s8f1aa';

my $json = JSON::PP->new->utf8;


# @args are options of bitrix.pl; give --listen to come back at an old address

sub start_portal {
    my ($self, @args) = @_;
    return $self->start_standin('bitrix', '--key', KEY, @args);
}


# KILL is a crash, with all its rows

sub stop_portal {
    my ($self, $signal) = @_;
    return $self->stop_standin('bitrix', $signal);
}


# the address for proxy_pass, which ends in a slash

sub portal_url {
    my ($self) = @_;
    return "http://$self->{bitrix}/rest/1/" . KEY . '/';
}


sub portal_ask {
    my ($self, $what, $body) = @_;
    return $self->ask_standin('bitrix', $what, $body);
}


sub portal_mode {
    my ($self, @rules) = @_;
    return $self->standin_mode('bitrix', @rules);
}


sub portal_stats {
    my ($self) = @_;
    return $self->standin_stats('bitrix');
}


# setting => value, ...; returns all settings

sub portal_set {
    my ($self, %set) = @_;
    return $json->decode($self->portal_ask('settings', $json->encode(\%set)));
}


# see standin_received(); commands are hashes: key, method, query

sub portal_received {
    my ($self, $n, $seconds, $answered) = @_;
    my @requests = $self->standin_received('bitrix', $n, $seconds, $answered);

    for my $r (@requests) {
        for my $command (@{ $r->{commands} }) {
            my %command;
            @command{qw(key method query)} = @$command;
            $command = \%command;
        }
    }

    return @requests;
}


# the writes as hashes, when at least $n were done or the seconds are over

sub portal_writes {
    my ($self, $n, $seconds) = @_;
    my $text = $self->portal_ask(sprintf 'writes?wait=%d&timeout=%s',
                                 $n // 0, $seconds // 5);

    return map { $json->decode($_) } split /\n/, $text;
}


# row => number of writes, without parsing JSON

sub portal_rows_written {
    my ($self) = @_;
    my %rows;

    $rows{$_}++ for $self->portal_ask('writes') =~ /"row":"([^"]*)"/g;
    return \%rows;
}


# id => row, as Bitrix shows it

sub portal_rows {
    my ($self, $table) = @_;
    my @rows = map { $json->decode($_) }
               split /\n/, $self->portal_ask("rows?table=$table");

    return { map { ($_->{id} // $_->{ID}) => $_ } @rows };
}


# Calls the portal directly, without the gateway: $params is data for JSON,
# undef for a GET.  Returns the answer of http_request() with its data in json.

sub portal_call {
    my ($self, $method, $params, %opt) = @_;
    my ($port) = $self->{bitrix} =~ /:(\d+)$/;
    my $key = $opt{key} // KEY;

    my $answer = http_request(port => $port, path => "/rest/1/$key/$method",
        defined $params ? (body => $json->encode($params)) : (), %opt,
        headers => { 'Content-Type' => 'application/json',
                     %{ $opt{headers} // {} } });

    $answer->{json} = eval { $json->decode($answer->{body}) };

    return $answer;
}

1;

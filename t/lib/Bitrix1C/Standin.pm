package Bitrix1C::Standin;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The stand-ins of a scenario test, as processes that are started, asked and
# told what to do.  Part of Bitrix1C::Gateway, which keeps of the stand-in NAME
#   NAME           its address        NAME_pid       its process
#   NAME_control   the port of its control address

use strict;
use warnings;

use JSON::PP ();

use Bitrix1C::Http qw(http_request);
use Bitrix1C::Nginx ();
use Bitrix1C::Process qw(wait_until);


# t/NAME.pl with @args; it logs to NAME.log

sub start_standin {
    my ($self, $name, @args) = @_;
    my $dir = $self->{dir};

    unlink "$dir/$name.out";
    $self->{"${name}_pid"} = $self->spawn($name, $^X,
        "$Bitrix1C::Nginx::TOP/t/$name.pl", '--control', '127.0.0.1:0',
        '--log', "$dir/$name.log", @args);

    wait_until(10, sub {
        my $out = $self->slurp("$name.out");
        ($self->{$name}) = $out =~ /^listening on (\S+)$/m;
        ($self->{"${name}_control"}) = $out =~ /^control on \S+:(\d+)$/m;
    }) or die "$name.pl does not start:\n" . $self->slurp("$name.out");

    return;
}


sub stop_standin {
    my ($self, $name, $signal) = @_;
    my $pid = delete $self->{"${name}_pid"} or return;

    kill $signal // 'TERM', $pid;
    defined $self->reap($pid, 10) or die "$name.pl does not stop\n";

    return;
}


# the body of the answer to /_standin/$what; $body is posted

sub ask_standin {
    my ($self, $name, $what, $body) = @_;
    my $answer = http_request(port => $self->{"${name}_control"},
                              timeout => 120, path => "/_standin/$what",
                              body => $body);

    # 504: less came than was waited for, the caller sees how much
    $answer->{status} == 200 || $answer->{status} == 504
        or die "$name.pl: $what: $answer->{status} "
               . ($answer->{error} // $answer->{body}) . "\n";

    return $answer->{body};
}


sub standin_mode {
    my ($self, $name, @rules) = @_;
    return $self->ask_standin($name, 'mode',
                              JSON::PP->new->utf8->encode(\@rules));
}


sub standin_stats {
    my ($self, $name) = @_;
    return JSON::PP->new->utf8->decode($self->ask_standin($name, 'stats'));
}


# the requests as hashes, when at least $n have come or the seconds are over

sub standin_received {
    my ($self, $name, $n, $seconds, $answered) = @_;
    my $text = $self->ask_standin($name, sprintf
                   'received?wait=%d&timeout=%s%s', $n // 0, $seconds // 5,
                   $answered ? '&answered=1' : '');

    return @{ JSON::PP->new->utf8->decode($text) };
}

1;

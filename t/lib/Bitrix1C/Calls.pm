package Bitrix1C::Calls;

# Copyright (C) the ngx_http_bitrix1c_module authors

# A gateway of a scenario test that keeps calls of 1C, in the queue "portal".
#   kept       put into that queue ("concurrency 2; retry 1s 1s 1s;")
#   rest       of Bitrix1C::Caller; with a rate that delays no call

use strict;
use warnings;

use JSON::PP ();

use Bitrix1C::Gateway qw(wait_until);

use parent -norequire, 'Bitrix1C::Caller';

require Bitrix1C::Caller;

use constant RATE => 'bitrix1c_pace rate=1000/s burst=1000 overload=1s;';

my $json = JSON::PP->new->utf8->canonical;


sub new {
    my ($class, %opt) = @_;
    my $rest = $opt{rest} // '';

    $rest = RATE . " $rest" if $rest !~ /\bbitrix1c_pace\b/;

    my $self = $class->SUPER::new(
        methods => 'catalog.* sale.* crm.* batch', %opt,
        rest_queue => 'portal', rest => $rest,
        portal => ['--rate', 1000, '--burst', 1000, @{ $opt{portal} // [] }],
    );

    my $kept = $self->{kept} // 'concurrency 2; retry 1s 1s 1s;';
    my $login = $self->redis_login;

    $self->{http} = ($self->{http} // '') . " bitrix1c_queue portal {"
        . " redis unix:$self->{socket} $login timeout=1s; $kept }";

    return $self;
}


# Makes a call that must be stored; returns its id.  Options are those of
# rest_call().

sub keep {
    my ($self, $method, $params, %opt) = @_;
    my $r = $self->rest_call($method, $params, %opt);

    $r->{status} == 202 or die "$method: $r->{status} "
                               . ($r->{body} // $r->{error} // '') . "\n";

    return $r->{json}{result}{id};
}


# the same for a method that is not in bitrix1c_async

sub prefer {
    my ($self, $method, $params, %opt) = @_;

    return $self->keep($method, $params, %opt,
        headers => { Prefer => 'respond-async', %{ $opt{headers} // {} } });
}


# the result of a call: { state, attempts, reason, answer }

sub asked {
    my ($self, $id) = @_;
    my $r = $self->rest_call("bitrix1c/calls/$id");

    return $r->{json}{result} // { state => "$r->{status} $r->{code}" };
}


# the same, as soon as its state is the given one, or after the seconds

sub becomes {
    my ($self, $id, $state, $seconds) = @_;
    my $got;

    wait_until($seconds // 15, sub {
        $got = $self->asked($id);
        $got->{state} eq $state;
    });

    return $got;
}


sub kept_depth {
    my ($self) = @_;
    return $self->redis('ZCARD', '{b1c:portal}:q');
}


sub kept_dead {
    my ($self) = @_;
    return $self->redis('ZRANGE', '{b1c:portal}:d', 0, -1);
}


sub all_done {
    my ($self, $seconds) = @_;
    return wait_until($seconds // 15, sub { $self->kept_depth == 0 }, 0.05);
}


# the numbers of commands of the batches among the requests from $from on, and
# the number of other requests

sub batches {
    my ($self, $from) = @_;
    my @requests = $self->portal_received;
    my @sizes;

    splice @requests, 0, $from;

    push @sizes, scalar @{ $_->{commands} }
        for grep { $_->{rest} eq 'batch' } @requests;

    return (\@sizes, @requests - @sizes);
}


# the results that 1C got: id => [data, ...]

sub told {
    my ($self) = @_;
    my %told;

    for my $r ($self->onec_received(0, 0)) {
        my $event = $r->{json} or next;
        push @{ $told{ $event->{entity}{id} } }, $event->{data}
            if $event->{event} eq 'BITRIX1CCALL';
    }

    return \%told;
}

1;

package Bitrix1C::Caller;

# Copyright (C) the ngx_http_bitrix1c_module authors

# A gateway of a scenario test through which 1C calls a portal: with a stand-in
# Bitrix and the location /bitrix/.  The test plays 1C.
#   methods    patterns of bitrix1c_methods ("catalog.* sale.* crm.deal.*")
#   rest       put into that location; may have a proxy_pass with PORTAL
#   portal     [options of bitrix.pl]
#   rest_queue name of the queue ("orders")
#   names      that callers use, for bitrix1c_rest ("a")

use strict;
use warnings;

use JSON::PP ();

use Bitrix1C::Gateway ();
use Bitrix1C::Http qw(http_request);

use parent -norequire, 'Bitrix1C::Gateway';

my $json = JSON::PP->new->utf8->canonical;


sub start {
    my ($self) = @_;

    $self->start_redis;
    $self->start_onec;
    $self->start_portal(@{ $self->{portal} // [] });
    $self->{server} = ($self->{server} // '') . $self->rest_location;
    $self->start_nginx;

    return $self;
}


sub rest_location {
    my ($self) = @_;
    my $rest = $self->{rest} // '';
    my $methods = $self->{methods} // 'catalog.* sale.* crm.deal.*';

    $rest = "proxy_pass PORTAL; $rest" if $rest !~ /\bproxy_pass\b/;
    $rest =~ s/PORTAL/$self->portal_url/ge;

    return <<"EOT";
        location /bitrix/ {
            bitrix1c_rest @{[ $self->{rest_queue} // 'orders' ]}
                @{[ $self->{names} // 'a' ]};
            bitrix1c_methods $methods;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            $rest
        }
EOT
}


# One call: params is data for JSON, undef for a GET; everything else is as in
# http_request().  The data of the answer is in json.

sub rest_call {
    my ($self, $method, $params, %opt) = @_;

    my $answer = http_request(port => $self->{port},
        path => "/bitrix/$method", timeout => 30,
        defined $params ? (body => $json->encode($params)) : (), %opt,
        headers => { 'Content-Type' => 'application/json',
                     %{ $opt{headers} // {} } });

    $answer->{json} = eval { $json->decode($answer->{body}) } // {};
    $answer->{code} = ref $answer->{json} eq 'HASH'
                      ? $answer->{json}{error} // '' : '';

    return $answer;
}


# many at once, each [method, params, option => value...]; in their order

sub rest_calls {
    my ($self, @calls) = @_;
    my @pipes;

    for my $call (@calls) {
        my $pid = open my $pipe, '-|';
        defined $pid or die "fork: $!";

        if (!$pid) {
            print $json->encode($self->rest_call(@$call));
            close STDOUT;
            require POSIX;
            POSIX::_exit(0);
        }

        push @pipes, $pipe;
    }

    return map { local $/; $json->decode(scalar readline $_) } @pipes;
}

1;

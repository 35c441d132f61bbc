package Bitrix1C::Standin::Control;

# Copyright (C) the ngx_http_bitrix1c_module authors

# What a test sees of a stand-in and tells it: the requests so far, counters
# and rules, under /_standin/ (described in onec.pl), and the log.

use strict;
use warnings;

use JSON::PP ();
use Time::HiRes qw(time);

use Bitrix1C::Standin::Http qw(unescape);
use Bitrix1C::Standin::Net qw(after);
use Bitrix1C::Standin::Rules qw(prepare_rule choose_rule);

my $json = JSON::PP->new->utf8->canonical;


# server      the Bitrix1C::Standin::Server
# mode        the mode when no rule applies
# mode_name   code ($mode, $rule): its name, undef if there is none
# json, line  code ($request): a line of JSON, or one for people
# counters    [names of the stand-in's own counters in {total}]
# on_reset    code: forget what the stand-in itself knows
# on_rules    code: the rules are new ones
# stats       code: a hash that is added to the common statistics
# more        { name => code ($connection, \%arguments, $body) } what else is
#             under /_standin/
# log, print, keep   as the options of onec.pl

sub new {
    my ($class, %opt) = @_;
    my $self = bless { %opt, rules => [], waiting => [], received => [],
                       generation => 0, rule => { mode => $opt{mode} } },
                     $class;

    my $error = prepare_rule($self->{rule}, $self->{mode_name});
    die "--mode: $error\n" if $error;

    if (defined $opt{log}) {
        open $self->{log_fd}, '>>', $opt{log} or die "open $opt{log}: $!\n";
    }

    $self->reset_all;

    return $self;
}


# a request that counts has come

sub receive {
    my ($self, $c, $r) = @_;
    my $received = $self->{received};

    $r->{n} = ++$self->{total}{received};
    $r->{generation} = $self->{generation};

    push @$received, $r;
    shift @$received if @$received > $self->{keep};

    $c->{request} = $r;
    $self->{now}++;
    $self->{max} = $self->{now} if $self->{now} > $self->{max};

    $self->wake_waiting if @{ $self->{waiting} };

    return;
}


# and is over

sub finished {
    my ($self, $r) = @_;

    syswrite $self->{log_fd}, $self->{json}->($r) . "\n" if $self->{log_fd};
    print $self->{line}->($r), "\n" if $self->{print};

    $self->{now}--;

    # requests from before a reset are not counted
    return if $r->{generation} != $self->{generation};

    $self->{answers}{$r->{status}}++;
    $self->{total}{answered}++;
    $self->{total}{closed_by_client}++ if $r->{closed} eq 'client';
    $self->wake_waiting if @{ $self->{waiting} };

    return;
}


sub rule_for {
    my ($self, $r) = @_;
    return choose_rule($self->{rules}, $r) // $self->{rule};
}


# the rule for a part of the request, undef if none applies

sub inside_rule_for {
    my ($self, $r, %part) = @_;

    return if !grep { $_->{inside} } @{ $self->{rules} };
    return choose_rule($self->{rules}, { %$r, inside => 1, %part });
}


# answers a request for the stand-in's own address; false if it is none

sub takes {
    my ($self, $c, $r) = @_;
    my ($what, $args) = $r->{path} =~ m{^/_standin/(\w*)(?:\?(.*))?$}
        or return 0;

    my %arg = map { unescape($_) } map { (split(/=/, $_, 2), '')[0, 1] }
              split /&/, $args // '';

    if ($what eq 'mode') {
        $self->change_rules($c, \%arg, $r->{body});

    } elsif ($what eq 'received') {
        $self->when_there($c, \%arg,
                          $arg{answered} ? 'answered' : 'received',
                          sub { $self->show_received($c, \%arg, @_) });

    } elsif ($what eq 'stats') {
        $self->reply($c, $self->stats);

    } elsif ($what eq 'reset') {
        $self->reset_all;
        $self->reply($c, { result => 'ok' });

    } elsif ($self->{more}{$what}) {
        $self->{more}{$what}->($c, \%arg, $r->{body});

    } else {
        $self->{server}->respond($c, 404, '', "unknown control address\n");
    }

    return 1;
}


sub reply {
    my ($self, $c, $data, $status) = @_;

    return $self->{server}->respond($c, $status // 200,
                                    "Content-Type: application/json\r\n",
                                    $json->encode($data) . "\n");
}


sub reply_text {
    my ($self, $c, $text, $status) = @_;

    return $self->{server}->respond($c, $status // 200,
                                    "Content-Type: text/plain\r\n", $text);
}


sub change_rules {
    my ($self, $c, $arg, $body) = @_;
    my $server = $self->{server};

    if ($body eq '' && !%$arg) {
        return $self->reply($c, shown_rules(@{ $self->{rules} }));
    }

    my $given = $body eq '' ? $arg : eval { $json->decode($body) };
    my @new = ref $given eq 'ARRAY' ? @$given : ($given);

    for my $rule (@new) {
        my $error = prepare_rule($rule, $self->{mode_name});
        return $self->reply($c, { error => $error }, 400) if $error;
    }

    # refuse and listen act now and are no rules for the requests to come
    $self->{rules} = [grep { $_->{mode} !~ /^(?:refuse|listen)$/ } @new];
    $self->{on_rules}->() if $self->{on_rules};
    $self->reply($c, shown_rules(@new));

    for my $rule (@new) {
        $server->refuse($rule->{seconds}) if $rule->{mode} eq 'refuse';
        $server->open_listener if $rule->{mode} eq 'listen';
    }

    return;
}


sub shown_rules {
    my @shown;

    for my $rule (@_) {
        my @keys = grep { !/^_|_re$/ } keys %$rule;
        push @shown, { map { $_ => $rule->{$_} } @keys };
    }

    return \@shown;
}


# $code gets the status to answer with: 200 as soon as the counter $of has
# reached the argument "wait", 504 after "timeout" seconds

sub when_there {
    my ($self, $c, $arg, $of, $code) = @_;
    my $want = { n => $arg->{wait} // 0, of => $of,
                 code => sub { $code->(@_) if !$c->{gone} } };

    return $want->{code}->(200) if $self->{total}{$of} >= $want->{n};

    push @{ $self->{waiting} }, $want;

    after($arg->{timeout} // 5, sub {
        my $waiting = $self->{waiting};
        return if !grep { $_ == $want } @$waiting;
        @$waiting = grep { $_ != $want } @$waiting;
        $want->{code}->(504);
    });

    return;
}


sub wake_waiting {
    my ($self) = @_;
    my ($waiting, $total) = @$self{qw(waiting total)};
    my @due = grep { $total->{$_->{of}} >= $_->{n} } @$waiting;

    return if !@due;
    @$waiting = grep { $total->{$_->{of}} < $_->{n} } @$waiting;

    # what is in progress may still get its mode and answer in this turn
    after(0, sub { $_->{code}->(200) for @due });

    return;
}


sub show_received {
    my ($self, $c, $arg, $status) = @_;
    my $show = $arg->{show} // 'requests';
    my $received = $self->{received};

    if ($show eq 'count') {
        my $of = $arg->{answered} ? 'answered' : 'received';
        return $self->reply($c, { count => $self->{total}{$of} }, $status);
    }

    if ($show eq 'bodies') {
        return $self->reply_text($c, join('', map { "$_->{body}\n" }
                                              @$received), $status);
    }

    return $self->{server}->respond($c, $status,
        "Content-Type: application/json\r\n",
        '[' . join(",\n", map { $self->{json}->($_) } @$received) . "]\n");
}


sub reset_all {
    my ($self) = @_;

    $self->{total} = { map { $_ => 0 } @{ $self->{counters} },
                       qw(received answered closed_by_client) };
    $_ = 0 for values %{ $self->{server}{count} };
    @$self{qw(rules received)} = ([], []);
    $self->{answers} = {};
    $self->{generation}++;
    $self->{max} = $self->{now} = grep { $_->{request} }
                                  $self->{server}->connections;
    $self->{on_reset}->() if $self->{on_reset};

    return;
}


# now and max: requests in progress at once; open: connections

sub stats {
    my ($self) = @_;
    my $server = $self->{server};

    return { %{ $self->{total} }, %{ $server->{count} },
             now => $self->{now}, max => $self->{max},
             open => scalar($server->connections), answers => $self->{answers},
             listening => $server->{listener} ? 1 : 0, $self->{stats}->() };
}

1;

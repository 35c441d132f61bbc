package Bitrix1C::Model;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The promise of the scripts in redis/, written once more without Redis: plain
# lists and hashes, one event at a time, without regard to speed.  Every method
# returns what the script of its name must reply.
#
# An event is { id, key, lane, once, lease, since, record } as accept.lua takes
# it, "changes", the times of what it tells 1C to look at, and of a verb that
# has an opposite "ends", the keys of all that is true no more; the model adds
# epoch, attempts, at (when it was leased, 0 while it waits), lost, created,
# due (only of lane heads) and reason.

use strict;
use warnings;

use List::Util qw(max min);

# "since" of a call to Bitrix; above any epoch of an id that is sent once
use constant { CALL => 1 << 53, EPOCHS => 10 ** 12 };

# events of paused types that claim looks at beyond its maximum
use constant LOOK => 100;


# now is the clock in ms, to be set before every call

sub new {
    my ($class) = @_;
    return bless {
        now => 0,
        live => {}, newest => {}, lanes => {}, dead => {}, done => {},
    }, $class;
}


sub accept {
    my ($self, $lease, @events) = @_;
    return [map { $self->accept_one($lease, $_) } @events];
}


sub accept_one {
    my ($self, $lease, $event) = @_;
    my ($id, $key) = @$event{qw(id key)};
    my $done = $self->{done}{$key};
    my $other = $self->{newest}{$key};

    return 0 if $self->knows($event);

    if ($other) {
        return "d$other->{id}" if $event->{once};

        my $merged = $self->coalesce($other, $event);
        return "c$merged" if $merged;

    } elsif ($done && ($event->{once} || $done->{at} > $event->{since})) {
        return "d$done->{id}";
    }

    my $leased = !$other && $event->{lease} == 1 && !$self->{held}
                 && !@{ $self->{lanes}{ $event->{lane} } // [] };

    $self->add({
        %$event,
        epoch   => $leased ? 1 : is_again($event) ? $self->{now} : 0,
        attempts => 0,
        at      => $leased ? $self->{now} : 0,
        lost    => 0,
        created => $self->{now},
    }, $self->{now} + ($leased ? $lease : 0));

    # 1C may have known it before its opposite came
    $self->{newest}{$key} = $self->{live}{$id}
        if !@{ $event->{ends} // [] } || !is_again($event);

    delete @{ $self->{$_} }{ @{ $event->{ends} // [] } } for qw(newest done);

    return "c$id" if $other;
    return $leased ? 1 : 0;
}


# The event was sent before, so 1C may know its id even if Redis does not: the
# epochs of such an id begin above those of any earlier worker, see EPOCHS.

sub is_again {
    my ($event) = @_;
    return $event->{lease} == 2;
}


# by its id: it is stored, or the last delivered event of its identity

sub knows {
    my ($self, $event) = @_;
    my $id = $event->{id};
    my $done = $self->{done}{ $event->{key} };

    return $self->{live}{$id} || $self->{dead}{$id}
           || $done && $done->{id} eq $id;
}


# A waiting event is replaced, in its place; a call only if it is the last of
# its lane.  1C may know an id that was leased before, and would ignore a
# repeat, so then the new id takes the place.

sub coalesce {
    my ($self, $old, $event) = @_;

    my $lane = $self->{lanes}{ $old->{lane} };

    return if $old->{at};
    return if $event->{since} >= CALL && $lane->[-1] != $old;

    if ($old->{epoch} == 0) {
        $old->{record} = $event->{record};
        push @{ $old->{changes} }, @{ $event->{changes} };
        return $old->{id};
    }

    return if $lane->[0] != $old || is_again($event);

    delete $self->{live}{ $old->{id} };
    delete $old->{reason};
    push @{ $old->{changes} }, @{ $event->{changes} };
    $old = $lane->[0] = $self->{newest}{ $old->{key} } = {
        %$old,
        id => $event->{id}, record => $event->{record},
        epoch => 0, attempts => 0,
    };
    $self->{live}{ $event->{id} } = $old;

    return $event->{id};
}


# to the end of its lane; only the head of a lane may be claimed

sub add {
    my ($self, $event, $due) = @_;
    my $lane = $self->{lanes}{ $event->{lane} } //= [];

    push @$lane, $event;
    $event->{due} = $due if @$lane == 1;
    $self->{live}{ $event->{id} } = $event;

    return;
}


# removes it from its lane; returns 2 if a follower is due then, else 1

sub remove {
    my ($self, $event) = @_;
    my $lane = $self->{lanes}{ $event->{lane} };

    delete $self->{live}{ $event->{id} };
    delete $self->{newest}{ $event->{key} } if $self->is_newest($event);
    shift @$lane;

    if (@$lane) {
        $lane->[0]{due} = $self->{now};
        return 2;
    }

    delete $self->{lanes}{ $event->{lane} };
    return 1;
}


sub is_newest {
    my ($self, $event) = @_;
    my $newest = $self->{newest}{ $event->{key} };
    return $newest && $newest == $event;
}


# the heads of all lanes, the earliest first

sub heads {
    my ($self) = @_;
    return sort { $a->{due} <=> $b->{due} || $a->{id} cmp $b->{id} }
           map { $_->[0] } values %{ $self->{lanes} };
}


sub claim {
    my ($self, $max, $lease, @paused) = @_;
    my @heads = $self->heads;
    my @due = grep { $_->{due} <= $self->{now} } @heads;
    my ($wait, @out);

    return [0, -1] if @heads && $self->{held};

    if (@paused) {
        splice @due, $max + LOOK if @due > $max + LOOK;
        ($wait, @due) = $self->choose($max, \@due, @paused);
    }

    splice @due, $max if @due > $max;

    for my $event (@due) {
        $event->{lost}++ if $event->{at};
        $event->{epoch}++;
        $event->{at} = $self->{now};
        $event->{due} = $self->{now} + $lease;
        push @out, @$event{qw(id epoch attempts key lane once lost)},
                   max(0, $self->{now} - $event->{created}), $event->{record};
    }

    my ($next) = $self->heads;
    $wait //= !$next ? -1 : $next->{due} < $self->{now} ? 0
                                            : $next->{due} - $self->{now};
    return [$wait, 0, @out];
}


# While types of events are paused: those that may be claimed, and ms until
# another of them can be, undef if the queue tells.  us is the clock's rest.

sub choose {
    my ($self, $max, $due, @paused) = @_;
    my %paused = map { $_->{name} => { %$_, fresh => [], tried => [] } }
                 @paused;
    my (@chosen, @left, $wait);

    for my $event (@$due) {
        my $kind = $paused{ $event->{name} };

        if ($kind) {
            my $fresh = !$event->{attempts}
                        && (!$event->{epoch} || $event->{epoch} >= EPOCHS);
            push @{ $kind->{ $fresh ? 'fresh' : 'tried' } }, $event;
        } elsif (@chosen < $max) {
            push @chosen, $event;
        } else {
            $wait = 0;
        }
    }

    for my $kind (map { $paused{ $_->{name} } } @paused) {
        my @list = @{ $kind->{fresh} } ? @{ $kind->{fresh} }
                                       : @{ $kind->{tried} };
        next if !$kind->{pick} || !@list || @chosen >= $max;
        my ($oldest) = sort { $list[$a]{created} <=> $list[$b]{created}
                              || $a <=> $b } 0 .. $#list;
        push @chosen, $list[$kind->{pick} == 2 ? $self->{us} % @list : $oldest];
    }

    my %chosen = map { $_->{id} => 1 } @chosen;
    @left = grep { $paused{ $_->{name} } && !$chosen{ $_->{id} } } @$due;
    $wait = min($wait // (), map { $paused{ $_->{name} }{wait} } @left);

    if (@left && @$due == $max + LOOK) {
        $_->{due} = $self->{now} + $paused{ $_->{name} }{wait} for @left;
        $wait = undef;
    } elsif (defined $wait) {
        my ($next) = grep { $_->{due} > $self->{now} } $self->heads;
        $wait = min($wait, $next ? $next->{due} - $self->{now} : ());
    }

    return ($wait, @chosen);
}


# the event that a job still owns, undef if its lease was lost

sub owned {
    my ($self, $job) = @_;
    my $event = $self->{live}{ $job->{id} };
    return $event && $event->{epoch} == $job->{epoch} ? $event : undef;
}


# 1C may have looked at an id when it was leased before, and not again since; at
# an id that was sent before, even before it was stored.

sub ack {
    my ($self, @jobs) = @_;
    my @reply;

    for my $job (@jobs) {
        my $event = $self->owned($job);

        if ($event && !$self->is_ended($event)) {
            $self->{done}{ $event->{key} } = {
                id => $event->{id},
                at => $event->{epoch} == 1 ? $event->{at}
                      : $event->{epoch} < EPOCHS ? $event->{created} : 0,
            };
        }

        push @reply, $event ? $self->remove($event) : 0;
    }

    return \@reply;
}


# its opposite came after it, so that it is not to be remembered

sub is_ended {
    my ($self, $event) = @_;
    return $event->{ends} && !$self->{newest}{ $event->{key} };
}


sub nack {
    my ($self, @jobs) = @_;
    my @reply;

    for my $job (@jobs) {
        my $event = $self->owned($job);
        my ($delay, $reason) = @$job{qw(delay reason)};

        # no node has a location: the reason has the time since when

        if ($event && $job->{spent} < 0) {
            my ($since) = ($event->{reason} // '')
                          =~ /^\Q$reason\E.* \(since (\d+)\)$/;
            $since = min($since // (), $self->{now});
            my $passed = $self->{now} - $since;

            if ($passed > -$job->{spent}) {
                push @reply, 3;
                next;
            }

            $delay = max($delay, min($passed / 4, 30_000));
            $reason .= " (since $since)";
        }

        push @reply, $event ? 1 : 0;
        next if !$event;

        $event->{epoch}++;
        $event->{attempts} += max($job->{spent}, 0);
        $event->{at} = $event->{lost} = 0;
        $event->{due} = sprintf '%.0f', $self->{now} + $delay;
        $event->{reason} = $reason;
    }

    return \@reply;
}


sub dead {
    my ($self, $job, $max, $age) = @_;
    my $event = $self->owned($job) or return [0, 0];

    if ($event->{once} && $self->is_newest($event)) {
        $self->{done}{ $event->{key} } = { id => $event->{id},
                                           at => $event->{at} };
    }

    my $result = $self->remove($event);

    $event->{epoch}++;
    $event->{attempts} += $job->{spent};
    $event->{at} = 0;
    $event->{reason} = $job->{reason};
    $event->{died} = $self->{now};
    $self->{dead}{ $event->{id} } = $event;

    return [$result, $self->trim($max, $age)];
}


sub dead_letters {
    my ($self) = @_;
    return sort { $a->{died} <=> $b->{died} || $a->{id} cmp $b->{id} }
           values %{ $self->{dead} };
}


sub trim {
    my ($self, $max, $age) = @_;
    my @all = $self->dead_letters;
    my @old = grep { $_->{died} <= $self->{now} - $age } @all;

    @old = @all[0 .. @all - $max - 1] if !@old && @all > $max;
    splice @old, 100 if @old > 100;
    $self->forget($_->{id}) for @old;

    return scalar @old;
}


sub extend {
    my ($self, $lease, @jobs) = @_;
    my @reply;

    for my $job (@jobs) {
        my $event = $self->owned($job);
        push @reply, $event ? 1 : 0;
        $event->{due} = $self->{now} + $lease if $event;
    }

    return \@reply;
}


# pattern is a regex of event names

sub replay {
    my ($self, $pause, $look, $skip, $pattern) = @_;
    my @all = $self->dead_letters;
    my @ids = splice @all, min($skip, scalar @all), $look;
    my $n = $self->replay_these($pause, grep { $_->{name} =~ $pattern } @ids);

    return [$n, @ids == $look ? $skip + $look - $n : -1];
}


sub replay_ids {
    my ($self, $pause, @ids) = @_;
    my @found = grep { $_ } map { $self->{dead}{$_} } @ids;
    return [$self->replay_these($pause, @found), -1];
}


sub delete {
    my ($self, @ids) = @_;
    return [scalar grep { $self->forget($_) } @ids];
}


# a dead letter that is gone has no marker, so that its repeat is a new event

sub forget {
    my ($self, $id) = @_;
    my $event = delete $self->{dead}{$id} or return 0;
    my $done = $self->{done}{ $event->{key} };

    delete $self->{done}{ $event->{key} } if $done && $done->{id} eq $id;

    return 1;
}


sub expire {
    my ($self, $age) = @_;
    my @old = grep { $_->{died} <= $self->{now} - $age } $self->dead_letters;

    splice @old, 100 if @old > 100;
    return [scalar grep { $self->forget($_->{id}) } @old];
}


# while the queue is held nothing is leased; existing leases remain

sub hold {
    my ($self, $on) = @_;
    my $was = $self->{held};

    $self->{held} = $on ? $was // $self->{now} : undef;

    return [defined $was == !!$on ? 0 : 1];
}


sub replay_these {
    my ($self, $pause, @events) = @_;
    my $n = 0;

    for my $event (@events) {
        delete $self->{dead}{ $event->{id} };
        delete @$event{qw(reason died due)};
        $event->{epoch}++;
        $event->{attempts} = $event->{lost} = 0;
        $self->{newest}{ $event->{key} } //= $event;
        $self->add($event, $self->{now} + $n++ * $pause);
    }

    return $n;
}


# all keys as they must be in Redis, see the head of accept.lua; followers as {
# lane => [ids] }, done markers as { key => text }

sub state {
    my ($self) = @_;
    my %state = (
        q => { map { $_->[0]{id} => $_->[0]{due} } values %{ $self->{lanes} } },
        d => { map { $_->{id} => $_->{died} } values %{ $self->{dead} } },
        f => {}, h => {},
        k => { map { $_ => "$self->{done}{$_}{at} $self->{done}{$_}{id}" }
               keys %{ $self->{done} } },
    );
    my $h = $state{h};

    for my $event (values %{ $self->{live} }, values %{ $self->{dead} }) {
        $h->{ $event->{id} } = $event->{record};
        $h->{"$event->{id}:m"} = join ' ', @$event{qw(epoch attempts at lost
            created once key lane)};
        $h->{"$event->{id}:r"} = $event->{reason} if defined $event->{reason};
    }

    $h->{hold} = $self->{held} if defined $self->{held};
    $h->{"k:$_"} = $self->{newest}{$_}{id} for keys %{ $self->{newest} };

    for my $lane (keys %{ $self->{lanes} }) {
        my ($head, @others) = map { $_->{id} } @{ $self->{lanes}{$lane} };
        $h->{"l:$lane"} = $head . (@others ? '+' : '');
        $state{f}{$lane} = \@others if @others;
    }

    return \%state;
}

1;

package Bitrix1C::Torture::Faults;

# Copyright (C) the ngx_http_bitrix1c_module authors

# What can go wrong, one entry each.  "cycle" does the harm once and mends it,
# in a few seconds at most; it is run again and again while the load goes on.
#
#   name      as the table shows it
#   stage     parameters of Bitrix1C::Torture::Stage that it needs
#   rules     of the stand-in 1C, all the time; portal: of the stand-in Bitrix
#   notes     [texts] to be shown with the result
#   begin     sub (stage), before the load
#   cycle     sub (stage); without it the rules are the fault
#   after     sub (stage), when all has settled: texts of what is wrong
#   bitten    sub (stage, check, requests): true if it was felt at all
#   reruns    true: Redis may forget what has been done; forgets: its results
#   alone     true: not among those drawn at random

use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(sum0);
use Time::HiRes qw(sleep time);

use Bitrix1C::Http qw(start_load finish_load);
use Bitrix1C::Process qw(wait_until);
use Bitrix1C::Torture::Calls qw(begin_calls end_calls);

our @EXPORT_OK = qw(faults all_at_random);

# how much the workers may grow, in kB: a thread that reads a spool for the
# first time allocates 256 KB from an arena of its own
use constant { LEASE => 15, DELAY => 0.005, MAY_GROW => 2048 };

my @FAULTS = (
    { name => 'none', alone => 1 },

    { name => 'kill -9 of a worker', cycle => \&worker_killed,
      bitten => sub { %{ $_[0]{killed} } } },
    { name => 'kill -9 of the master', cycle => \&master_killed },
    { name => 'kill -9 of nginx as a whole', cycle => \&nginx_killed },
    { name => 'reload', cycle => \&reloaded },
    { name => 'quit and start', cycle => sub { stopped($_[0], 'QUIT') } },
    { name => 'terminate and start',
      cycle => sub { stopped($_[0], 'TERM') } },

    { name => 'kill -9 of Redis, restart', cycle => \&redis_killed,
      stage => { spool => 1 } },
    { name => 'a minute without Redis', cycle => \&minute_without,
      begin => \&note_size, after => \&same_size, alone => 1,
      stage => { spool => 1, upstream => 'server ONEC;' } },
    { name => 'Redis frozen for moments', stage => { spool => 1 },
      cycle => sub { redis_frozen($_[0], 0.3 + rand 2) } },
    { name => 'Redis frozen past the lease', alone => 1,
      stage => { spool => 1 },
      cycle => sub { redis_frozen($_[0], LEASE + 2) } },
    { name => 'SCRIPT FLUSH', cycle => \&scripts_flushed },
    { name => 'FLUSHALL, refused by the ACL', cycle => \&flush_refused },
    { name => 'maxmemory reached', cycle => \&memory_full, forgets => 1,
      stage => { spool => 1 } },
    { name => 'CLIENT KILL', cycle => \&clients_killed,
      stage => { spool => 1 } },
    { name => 'failover to a replica that was frozen', cycle => \&failed_over,
      reruns => 1, stage => { spool => 1, replica => 1 } },

    { name => 'half-open connections', cycle => \&half_open,
      stage => { spool => 1, network => 1 } },
    { name => 'network partition', cycle => \&partitioned,
      stage => { spool => 1, network => 1 } },
    { name => 'network of 64 kbit/s', cycle => \&slow_link,
      stage => { spool => 1, network => 1 } },

    { name => 'disk of the spool full', cycle => \&disk_full,
      stage => { spool => 'small' } },
    { name => 'torn tail of the spool', cycle => \&torn_tail,
      stage => { spool => 1 }, bitten => sub { $_[0]{torn} } },

    { name => '1C refuses connections', cycle => \&onec_refuses },
    map({ one_in(@$_) }
        ['1C hangs', 'hang', 0.02],
        ['1C drips', 'drip', 0.01],
        ['1C does not end its answer', 'endless', 0.01],
        ['1C resets', 'reset', 0.15],
        ['1C truncates its answer', 'truncated', 0.15],
        ['1C ends chunks too early', 'cutchunk', 0.15],
        ['1C answers 300 KB', 'big', 0.1, size => 300_000],
        ['1C commits, then drops', 'commit-close', 0.15],
        ['1C answers 500', 'fault', 0.3],
        ['1C has no session', 'nosession', 0.3]),
    { name => 'some entities that 1C refuses', alone => 1,
      rules => [{ mode => 'fault', match => '"N":"\\d*[05]-',
                  delay => DELAY }],
      good => sub { $_[0]{lane} !~ /[05]$/ },
      bitten => sub { grep { $_->{mode} eq 'fault' } @{ $_[2] } } },
    { name => '1C answers the first late', cycle => \&onec_cold },

    { name => 'portal refuses connections', cycle => \&portal_refuses },
    map({ portal_one_in(@$_) }
        ['portal hangs', 'hang', 0.05],
        ['portal closes', 'close', 0.15],
        ['portal resets', 'reset', 0.15],
        ['portal commits, then closes', 'commit-close', 0.15],
        ['portal commits, then resets', 'commit-reset', 0.15],
        ['portal commits, then hangs', 'commit-hang', 0.05],
        ['portal truncates its answer', 'truncated', 0.15],
        ['portal answers HTML', 'html', 0.15],
        ['portal answers 500', 'internal', 0.15],
        ['QUERY_LIMIT_EXCEEDED', 'limit', 0.15],
        ['OVERLOAD_LIMIT', 'overload', 0.05],
        ['a batch is refused', 'scope', 0.15, method => '^batch$'],
        ['errors in a batch', 'error', 0.1, inside => 1]),
    { name => 'OPERATION_TIME_LIMIT', cycle => \&method_used_up,
      bitten => sub {
          $_[0]->portal_stats->{errors}{OPERATION_TIME_LIMIT};
      } },
);


sub faults {
    return @FAULTS;
}


sub one_in {
    my ($name, $mode, $part, %more) = @_;

    return { name => $name, rules => [{ mode => $mode, random => $part,
                 seed => int rand 1 << 30, delay => DELAY, %more }],
             bitten => sub {
                 my (undef, undef, $requests) = @_;
                 return grep { $_->{mode} eq $mode } @$requests;
             } };
}


# the same of the portal

sub portal_one_in {
    my ($name, $mode, $part, %more) = @_;
    my $inside = $more{inside};

    return { name => $name,
             portal => [{ mode => $mode, random => $part,
                          seed => int rand 1 << 30, %more }],
             bitten => sub {
                 my ($stage) = @_;
                 return $inside
                     ? %{ $stage->dead_calls }
                     : $stage->slurp('bitrix.log') =~ /"mode":"\Q$mode\E"/;
             } };
}


# every fault that may be combined, in random order, while 1C and the portal
# fail as much as they can

sub all_at_random {
    my ($why_not) = @_;
    my (@able, @notes, @left);

    for my $fault (grep { !$_->{alone} } @FAULTS) {
        my $why = $why_not->($fault);
        push @notes, "without \"$fault->{name}\", $why" if $why;
        push @able, $fault if !$why;
    }

    my @draw = grep { $_->{cycle} } @able;

    return {
        name  => 'all of these at random',
        stage => all_needs(@able),
        notes => \@notes,
        reruns => 1,
        map({
            my $whose = $_;
            $whose => [map { { %$_, random => $_->{random} / 5 } }
                       map { @{ $_->{$whose} // [] } } @able];
        } qw(rules portal)),
        least => scalar @draw,
        cycle => sub {
            my ($stage) = @_;
            @left = map { $_->[1] } sort { $a->[0] <=> $b->[0] }
                    map { [rand, $_] } @draw if !@left;
            my $fault = shift @left;
            $stage->write_down($fault->{name});
            $fault->{cycle}->($stage);
            sleep rand 0.5;
        },
    };
}


sub all_needs {
    my %stage;

    for my $needs (map { $_->{stage} // () } @_) {
        $stage{$_} = $needs->{$_} for grep { ($stage{$_} // '') ne 'small' }
                                      keys %$needs;
    }

    return \%stage;
}


# nginx

sub worker_killed {
    my ($stage) = @_;
    sleep 0.2 + rand;
    $stage->kill_worker;
    return;
}


sub master_killed {
    my ($stage) = @_;
    sleep 0.5 + rand;
    $stage->kill_master;
    sleep rand;
    $stage->end_orphans(rand > 0.5 ? 'QUIT' : 'KILL');
    $stage->again;
    return;
}


sub nginx_killed {
    my ($stage) = @_;
    sleep 0.5 + rand;
    $stage->kill_all_nginx;
    $stage->again;
    return;
}


sub reloaded {
    my ($stage) = @_;
    sleep 0.2 + rand 0.5;
    $stage->reload or die "the old workers stay\n";
    return;
}


sub stopped {
    my ($stage, $signal) = @_;
    sleep 0.3 + rand;
    my $status = $stage->stop_nginx($signal, 30);
    die 'nginx stays, or leaves with ' . ($status // 'nothing') . "\n"
        if !defined $status || $status;
    $stage->again;
    return;
}


# Redis

sub redis_killed {
    my ($stage) = @_;
    sleep 0.3 + rand;
    my $node = $stage->{master};
    $node->stop_redis('KILL');
    sleep rand 1.5;
    $node->start_redis;
    $stage->follow($stage->follower, $node) if $stage->{replica};
    return;
}


sub minute_without {
    my ($stage) = @_;
    sleep 1;
    $stage->stop_redis('KILL');
    sleep 60;
    $stage->start_redis;
    return;
}


# of all workers, when there is nothing to do: descriptors, and kB of memory.
# They are first as large as they are after a moment without Redis.

sub note_size {
    my ($stage) = @_;

    for my $number (1 .. 2) {
        my $load = start_load(port => $stage->{port}, connections => 16,
            path => '/bitrix/orders', rate => 600, seconds => 3,
            next => $stage->events($number * 1_000_000));
        my $calls = begin_calls($stage, lanes => 40, connections => 8,
                                rate => 150);
        sleep 1;
        $stage->stop_redis('KILL');
        sleep 1;
        $stage->start_redis;
        end_calls($calls);
        finish_load($load);
        $stage->settled(60);
    }

    $stage->{size} = size($stage);
    return;
}


sub size {
    my ($stage) = @_;
    my @workers = $stage->workers;
    sleep 1;

    return [sum0(map { $stage->descriptors($_) } @workers),
            sum0(map { $stage->rss($_) } @workers)];
}


sub same_size {
    my ($stage) = @_;
    my ($before, $after) = ($stage->{size}, size($stage));
    my @found;

    push @{ $stage->{notes} }, 'before and after, descriptors and MB of all'
        . sprintf ' workers: %d, %.1f; %d, %.1f',
          map { $_->[0], $_->[1] / 1024 } $before, $after;

    push @found, 'more descriptors than before' if $after->[0] > $before->[0];
    push @found, 'more memory than before'
        if $after->[1] > $before->[1] + MAY_GROW && !$stage->sanitized;

    return @found;
}


sub redis_frozen {
    my ($stage, $seconds) = @_;
    my $pid = $stage->{master}{redis_pid};
    sleep 0.3 + rand;
    kill 'STOP', $pid;
    sleep $seconds;
    kill 'CONT', $pid;
    sleep 0.5;
    return;
}


sub scripts_flushed {
    my ($stage) = @_;
    sleep 0.05 + rand 0.2;
    $stage->redis('SCRIPT', 'FLUSH');
    return;
}


sub flush_refused {
    my ($stage) = @_;
    my $node = $stage->{master};

    sleep 0.1 + rand 0.3;

    for my $command (qw(FLUSHALL FLUSHDB)) {
        my $refused = eval { $stage->as_the_gateway($command); 0 } // $@;
        die "the gateway's user may do $command\n"
            if $refused !~ /NOPERM/;
    }

    return;
}


sub memory_full {
    my ($stage) = @_;
    sleep 0.3 + rand;
    $stage->redis(qw(CONFIG SET maxmemory 1mb));
    sleep 0.3 + rand;
    $stage->redis(qw(CONFIG SET maxmemory 1gb));
    return;
}


sub clients_killed {
    my ($stage) = @_;
    sleep 0.1 + rand 0.4;
    $stage->redis(qw(CLIENT KILL TYPE normal SKIPME yes));
    return;
}


# the writes of the master while the replica was frozen are lost with it

sub failed_over {
    my ($stage) = @_;
    my ($old, $new) = ($stage->{master}, $stage->follower);

    sleep 0.3 + rand;
    kill 'STOP', $new->{redis_pid};
    sleep 0.2 + rand;
    $old->stop_redis('KILL');
    kill 'CONT', $new->{redis_pid};
    $stage->node_redis($new, qw(REPLICAOF NO ONE));
    $stage->{master} = $new;
    sleep rand;
    $old->start_redis;
    $stage->follow($old, $new);

    return;
}


# the network between nginx and Redis

sub half_open {
    my ($stage) = @_;
    my $node = $stage->{master};

    sleep 0.3 + rand;
    $stage->link_up(0);
    $node->stop_redis('KILL');
    sleep rand;
    $node->start_redis;
    $stage->link_up(1);
    sleep 0.5;
    $stage->follow($stage->follower, $node) if $stage->{replica};

    return;
}


sub partitioned {
    my ($stage) = @_;
    sleep 0.3 + rand;
    $stage->link_up(0);
    sleep 0.5 + rand 3;
    $stage->link_up(1);
    sleep 0.3;
    return;
}


sub slow_link {
    my ($stage) = @_;
    sleep 0.3 + rand;
    $stage->link_rate(64_000);
    sleep 1 + rand;
    $stage->link_rate(0);
    return;
}


# the spool

sub disk_full {
    my ($stage) = @_;
    my $node = $stage->{master};

    sleep 0.3 + rand;
    $node->stop_redis('KILL');
    sleep 0.5;
    $stage->fill_disk;
    sleep 0.5 + rand 0.5;
    $stage->free_disk;
    sleep 0.5;
    $node->start_redis;
    $stage->follow($stage->follower, $node) if $stage->{replica};

    return;
}


# An incomplete record follows the complete ones: its sender got no 200.

sub torn_tail {
    my ($stage) = @_;
    my $node = $stage->{master};

    sleep 0.3 + rand;
    $node->stop_redis('KILL');
    my $begun = wait_until(3, sub { grep { -s $_ > 1000 }
                                    $stage->spool_files });
    sleep rand 0.5;
    $stage->kill_all_nginx;
    $stage->tear if $begun;
    $stage->again;
    sleep rand 0.5;
    $node->start_redis;
    $stage->follow($stage->follower, $node) if $stage->{replica};

    return;
}


# 1C

sub onec_refuses {
    my ($stage) = @_;
    sleep 0.2 + rand;
    $stage->onec_mode({ mode => 'refuse' });
    sleep 0.3 + rand;
    $stage->onec_mode({ mode => 'listen' }, @{ $stage->{rules} });
    return;
}


sub onec_cold {
    my ($stage) = @_;
    sleep 0.1;
    $stage->onec_mode({ mode => 'cold', first => 0.9, then => DELAY });
    sleep 1 + rand;
    $stage->onec_mode(@{ $stage->{rules} });
    return;
}


# the portal

sub portal_refuses {
    my ($stage) = @_;
    sleep 0.2 + rand;
    $stage->portal_mode({ mode => 'refuse' });
    sleep 0.3 + rand;
    $stage->portal_mode({ mode => 'listen' }, @{ $stage->{portal_rules} });
    return;
}


sub method_used_up {
    my ($stage) = @_;
    my @methods = qw(crm.deal.add crm.deal.update sale.order.update
                     catalog.storeproduct.update);
    my $method = $methods[rand @methods];

    sleep 0.2 + rand;
    $stage->portal_set(spend => { $method => 479.99 },
                       cost => { $method => 1 });
    sleep 0.5 + rand;
    $stage->portal_set(cost => { $method => 0.03 });

    return;
}

1;

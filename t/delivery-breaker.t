#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# 1C fails repeatedly.  The breaker opens, one event at a time checks whether 1C
# works again, no event spends an attempt meanwhile, and the log says so once.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

use constant { PAUSE => 1, EARLY => 0.03, LATE => 0.4 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    events  => 'accept_mutex off;',
    queue   => 'concurrency 4; retry 60s 60s; breaker failures=3 pause=1s;',
)->start;


sub attempts {
    my ($id) = @_;
    my $meta = $gw->redis('HGET', '{b1c:orders}:h', "$id:m") // '';
    return (split / /, $meta)[1];
}


# posts events one by one, each after 1C has answered the previous one

sub post_each {
    my (@ids) = @_;
    my $answered = $gw->onec_stats->{answered};

    return map {
        my $hook = $gw->post(id => $_)->{id};
        $gw->onec_received(++$answered, 5, 1);
        $hook;
    } @ids;
}


sub due_now {
    my (@ids) = @_;
    $gw->redis('ZADD', '{b1c:orders}:q', 'XX', 1, $_) for @ids;
    return;
}


sub logged {
    my ($re) = @_;
    return scalar grep { /$re/ } split /\n/, $gw->slurp('error.log');
}


sub opened { return logged(qr/\[error\].*deliveries are paused for 1000 ms/) }
sub recovered { return logged(qr/\[notice\].*1C is available again/) }


# consecutive failures count, not their total

$gw->onec_mode({ mode => '500', match => '"id":"[1245]"' });
my @failed = post_each(1 .. 5);
is opened(), 0, 'two failures, a success, two failures do not open the breaker';

@failed = (@failed[0, 1, 3, 4], post_each(6, 7));
is opened(), 0, 'successes do not open it';

$gw->onec_mode({ mode => '500' });
push @failed, post_each(8, 9);
is opened(), 0, 'two failures do not open it';
push @failed, post_each(10);
splice @failed, 4, 2;
ok wait_until(2, \&opened), 'the third one in a row opens it';
is join(' ', map { attempts($_) } @failed), join(' ', (1) x @failed),
    'each of the failed events has spent one attempt';

# one probe at a time, even if it is slow

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', delay => 0.3 });
my @waiting = map { $gw->post(id => $_)->{id} } 20 .. 27;
my @r = $gw->onec_received(3, 10, 1);

is scalar(@r), 3, 'the open breaker lets probes through'
    or BAIL_OUT('no probe');
is $gw->onec_stats->{max}, 1, 'the two workers send one probe at a time';

for my $i (1, 2) {
    my $gap = $r[$i]{time} - $r[$i - 1]{time} - $r[$i - 1]{seconds};
    note sprintf '%.3f s between two probes', $gap;
    cmp_ok $gap, '>=', PAUSE - EARLY, "probe $i comes after the pause";
    cmp_ok $gap, '<=', PAUSE + LATE, "probe $i comes in time";
}

is join(' ', map { attempts($_) } @waiting), join(' ', (0) x @waiting),
    'no event spends an attempt while it is open';
is opened(), 1, 'the log says once that it opened';
is recovered(), 0, 'the log mentions no recovery yet';

# 1C works again

$gw->onec_mode({ delay => 0.05 });
due_now(@waiting);
ok wait_until(5, sub { $gw->depth == @failed }),
    'all events are delivered when 1C is back';
is recovered(), 1, 'the log says that 1C is back';
is opened(), 1, 'the log says each once';

my %first = map { $_->{id} => $_->{headers}{'x-bitrix1c-attempt'} }
            grep { $_->{status} == 200 } $gw->onec_received;
is join(' ', map { $first{$_} // '-' } @waiting), join(' ', (1) x @waiting),
    'the events that waited arrive as first attempts';

due_now(@failed);
ok $gw->drained(5), 'the queue is empty';

# an error that an administrator has to repair opens the breaker at once

my %hint = (401 => 'does not know the user, check proxy_set_header Authorization',
            forbidden => 'no right to use the HTTP service',
            404 => 'no such HTTP service, check proxy_pass');
my $times = 1;

for my $mode (sort keys %hint) {
    $gw->onec_ask('reset');
    $gw->onec_mode({ mode => $mode });
    my ($hook) = post_each(++$times * 100);

    ok wait_until(2, sub { opened() == $times }),
        "$mode: the breaker opens at once";
    my ($next) = $gw->post(id => $times * 100 + 1)->{id};
    is logged(qr/\[error\].*deliveries are paused.*\Q$hint{$mode}\E/), 1,
        "$mode: the log says what to repair";
    like $gw->reason($hook), qr/\Q$hint{$mode}\E/,
        "$mode: the reason says it as well";
    is scalar($gw->onec_received(2, 0.6)), 1,
        "$mode: no event is delivered meanwhile";

    $gw->onec_mode();
    ok wait_until(4, sub { !defined attempts($next) }), "$mode: 1C is back";
    due_now($hook);
    ok $gw->drained(4), "$mode: the queue is empty";
    is recovered(), $times, "$mode: the log says that 1C is back";
}

is_deeply $gw->dead_letters, [], 'there is no dead letter';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# 1C fails and fails: the breaker opens, one event at a time looks whether 1C is
# back, no event spends its attempts meanwhile, and the log tells it once.

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


# posts events one by one, each when 1C has answered the one before

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


sub opened { return logged(qr/\[error\].*deliveries pause for 1000 ms/) }
sub recovered { return logged(qr/\[notice\].*1C is back/) }


# failures in a row, not in all

$gw->onec_mode({ mode => '500', match => '"id":"[1245]"' });
my @failed = post_each(1 .. 5);
is opened(), 0, 'two failures, a success, two failures: it stays closed';

@failed = (@failed[0, 1, 3, 4], post_each(6, 7));
is opened(), 0, 'successes do no harm';

$gw->onec_mode({ mode => '500' });
push @failed, post_each(8, 9);
is opened(), 0, 'nor do two failures';
push @failed, post_each(10);
splice @failed, 4, 2;
ok wait_until(2, \&opened), 'the third one in a row opens it';
is join(' ', map { attempts($_) } @failed), join(' ', (1) x @failed),
    'those that failed before have spent one attempt each';

# one probe at a time, as slow as it may be

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', delay => 0.3 });
my @waiting = map { $gw->post(id => $_)->{id} } 20 .. 27;
my @r = $gw->onec_received(3, 10, 1);

is scalar(@r), 3, 'it lets probes through' or BAIL_OUT('no probe');
is $gw->onec_stats->{max}, 1, 'one at a time, though there are two workers';

for my $i (1, 2) {
    my $gap = $r[$i]{time} - $r[$i - 1]{time} - $r[$i - 1]{seconds};
    note sprintf '%.3f s between two probes', $gap;
    cmp_ok $gap, '>=', PAUSE - EARLY, "probe $i comes after the pause";
    cmp_ok $gap, '<=', PAUSE + LATE, "probe $i comes in time";
}

is join(' ', map { attempts($_) } @waiting), join(' ', (0) x @waiting),
    'no event spends an attempt while it is open';
is opened(), 1, 'the log has told it once';
is recovered(), 0, 'and nothing of a recovery';

# and back

$gw->onec_mode({ delay => 0.05 });
due_now(@waiting);
ok wait_until(5, sub { $gw->depth == @failed }), 'all go when 1C is back';
is recovered(), 1, 'the log tells that, too';
is opened(), 1, 'once each';

my %first = map { $_->{id} => $_->{headers}{'x-bitrix1c-attempt'} }
            grep { $_->{status} == 200 } $gw->onec_received;
is join(' ', map { $first{$_} // '-' } @waiting), join(' ', (1) x @waiting),
    '1C sees their first attempt';

due_now(@failed);
ok $gw->drained(5), 'nothing is left';

# what an administrator has to mend is no matter of luck

my %hint = (401 => 'does not know the user, see proxy_set_header Authorization',
            forbidden => 'no right to use the HTTP service',
            404 => 'no such HTTP service, see proxy_pass');
my $times = 1;

for my $mode (sort keys %hint) {
    $gw->onec_ask('reset');
    $gw->onec_mode({ mode => $mode });
    my ($hook) = post_each(++$times * 100);

    ok wait_until(2, sub { opened() == $times }), "$mode: opens at once";
    my ($next) = $gw->post(id => $times * 100 + 1)->{id};
    is logged(qr/\[error\].*deliveries pause.*\Q$hint{$mode}\E/), 1,
        "$mode: the log says what to mend";
    like $gw->reason($hook), qr/\Q$hint{$mode}\E/, "$mode: so does the reason";
    is scalar($gw->onec_received(2, 0.6)), 1, "$mode: nothing goes meanwhile";

    $gw->onec_mode();
    ok wait_until(4, sub { !defined attempts($next) }), "$mode: 1C is back";
    due_now($hook);
    ok $gw->drained(4), "$mode: nothing is left";
    is recovered(), $times, "$mode: and the log says so";
}

is_deeply $gw->dead_letters, [], 'no dead letter';

$gw->finish;
done_testing;

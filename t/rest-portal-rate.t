#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The pace of a portal: all workers and all nodes together keep to its bucket,
# who has to wait waits, who would wait too long is told when to come back, and
# without Redis each nginx keeps the pace alone.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Caller ();
use Bitrix1C::Gateway qw(wait_until);

use constant { RATE => 10, BURST => 20 };

my %part = (
    workers => 2,
    events  => 'accept_mutex off;',
    redis   => 'timeout=1s',
    rest    => 'bitrix1c_pace rate=' . RATE . '/s burst=' . BURST
               . ' max_wait=2s;',
);
my $gw = Bitrix1C::Caller->new(%part,
    portal => ['--rate', RATE, '--burst', BURST])->start;

# a second node on the same Redis, in front of the same portal

my $two = Bitrix1C::Caller->new(%part);
$two->{$_} = $gw->{$_} for qw(socket onec bitrix);
$two->{server} = $two->rest_location;
$two->start_nginx;


sub bucket { return $gw->redis('HGET', '{b1c:orders}:p:127.0.0.1', 'full') }


# calls of both nodes at once: [status, seconds], the status 0 for none

sub calls {
    my ($n) = @_;
    my $start = time;
    my @answers = $gw->rest_calls(map { ["sale.order.get?id=$_", undef,
        port => $_ % 2 ? $gw->{port} : $two->{port}] } 1 .. $n);

    return (time - $start, @answers);
}


ok wait_until(5, sub { $gw->rest_call('sale.order.get?id=1')->{status} == 200
                       && defined bucket() }), 'works, and Redis knows it';
sleep 0.3;

# more than the bucket holds, and what leaks out meanwhile

my $n = BURST + 12;
my ($seconds, @answers) = calls($n);
is scalar(grep { $_->{status} == 200 } @answers), $n, 'all are answered';
note sprintf '%d calls in %.2f s', $n, $seconds;
cmp_ok $seconds, '>=', ($n - BURST) / RATE - 0.6, 'those over it wait';

# two nodes that begin in one moment do not know of each other's calls yet that
# went without asking, a quarter of the bucket at most; they are made again

sub refused {
    my $errors = $gw->portal_stats->{errors} // {};
    is join(' ', grep { $_ ne 'QUERY_LIMIT_EXCEEDED' } keys %$errors), '',
        'no other error';
    return $errors->{QUERY_LIMIT_EXCEEDED} // 0;
}

my $refused = refused();
cmp_ok $refused, '<=', BURST / 4, 'the portal had next to nothing to refuse';

# more than would come in time

($seconds, @answers) = calls(60);
my @ok = grep { $_->{status} == 200 } @answers;
my @late = grep { $_->{status} == 503 } @answers;
is @ok + @late, 60, 'the others are told';
cmp_ok scalar(@late), '>', 10, 'those whose turn is too far off';
is scalar(grep { $_->{code} ne 'QUERY_LIMIT_EXCEEDED' } @late), 0,
    'as Bitrix would';
is scalar(grep { ($_->{headers}{'retry-after'} // 0) !~ /^[1-9]\d?$/ } @late),
    0, 'and when to come back';
is scalar(grep { $_->{seconds} > 3.5 } @late), 0, 'at once';
is refused(), $refused, 'nothing was refused here';

# who hangs up while it waits leaves its turn to those behind it

calls(BURST);
my $before = scalar $gw->portal_received;
my @gone;

for (1 .. 15) {
    push @gone, Bitrix1C::Http::connect_to($gw->{port});
    print { $gone[-1] } "GET /bitrix/sale.order.get?id=5 HTTP/1.1\r\n"
                        . "Host: a\r\n\r\n";
    $gone[-1]->flush;
}

sleep 0.1;
close $_ for @gone;
sleep 2;
my $hung = () = $gw->slurp('access.log') =~ /" 499 /g;
note "$hung hung up";
cmp_ok $hung, '>', 0, 'that a caller hangs up is noticed';
is $gw->portal_received - $before, 15 - $hung, 'and its call is not made';

# the clock of Redis was an hour ahead, and is set right

my $script = do {
    open my $fh, '<', "$FindBin::Bin/../redis/pace.lua" or die "pace.lua: $!";
    local $/ = undef;
    scalar <$fh>;
};
my $ahead = int(time * 1000) + 3_600_000;

$gw->redis('HSET', 'clock', 'at', $ahead, 'stop', $ahead + 5000,
           'm:a', $ahead + 9000, 'm:b', $ahead - 1,
           'full', ($ahead + 2000) * 1000);

for (1 .. 2) {
    my ($full, $stop, @methods) = @{ $gw->redis('EVAL', $script, 1, 'clock',
        500_000, 4, 0, 0, 0, 0) };

    ok $full > 1_000_000 && $full <= 2_000_000 && $stop > 4000 && $stop <= 5000
        && "@methods" =~ /^a (\d+)$/ && $1 > 8000 && $1 <= 9000,
        'what is left of any time is as much as it was'
        or diag "$full $stop @methods";
}

# without Redis

$gw->stop_redis('KILL');
ok wait_until(8, sub { $gw->rest_call('sale.order.get?id=1')->{status}
                       == 200 }), 'calls go on without Redis';
sleep 2.5;
my $log = $gw->slurp('error.log');
($seconds, @answers) = (time);
@answers = $gw->rest_calls(map { ["sale.order.get?id=$_"] } 1 .. BURST + 8);
$seconds = time - $seconds;
is scalar(grep { $_->{status} == 200 } @answers), BURST + 8, 'all of them';
cmp_ok $seconds, '>=', 0.4, 'at the pace of this nginx';
is scalar(() = $gw->slurp('error.log')
          =~ /\[warn\].*Redis is away, this nginx keeps the pace alone/g), 1,
    'which the log tells once';

$gw->start_redis;
ok wait_until(10, sub {
    $gw->rest_call('sale.order.get?id=1');
    $gw->slurp('error.log') =~ /\[notice\].*kept by Redis again/;
}), 'and when Redis is back';
ok defined bucket(), 'it knows the portal again';

is $two->stop_nginx('QUIT', 20), 0, 'the other node leaves';
is join("\n", $two->complaints), '', 'without a complaint';
$two->stop_all;

$gw->finish;
done_testing;

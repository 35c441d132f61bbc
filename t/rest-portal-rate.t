#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The rate of a portal.  All workers and all nodes together stay within its
# bucket, calls that have to wait are delayed, a call that would wait too long
# is told when to retry, and without Redis each nginx limits the rate alone.

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
                       && defined bucket() }),
                       'calls work, and Redis has the bucket';
sleep 0.3;

# more calls than the bucket holds and leaks meanwhile

my $n = BURST + 12;
my ($seconds, @answers) = calls($n);
is scalar(grep { $_->{status} == 200 } @answers), $n,
    'all calls are answered 200';
note sprintf '%d calls in %.2f s', $n, $seconds;
cmp_ok $seconds, '>=', ($n - BURST) / RATE - 0.6, 'calls above the bucket wait';

# two nodes that start at the same moment do not know each other's first calls,
# which are sent without asking Redis, a quarter of the bucket at most; refused
# ones are repeated

sub refused {
    my $errors = $gw->portal_stats->{errors} // {};
    is join(' ', grep { $_ ne 'QUERY_LIMIT_EXCEEDED' } keys %$errors), '',
        'no other error';
    return $errors->{QUERY_LIMIT_EXCEEDED} // 0;
}

my $refused = refused();
cmp_ok $refused, '<=', BURST / 4, 'the portal refuses almost nothing';

# more calls than max_wait allows

($seconds, @answers) = calls(60);
my @ok = grep { $_->{status} == 200 } @answers;
my @late = grep { $_->{status} == 503 } @answers;
is @ok + @late, 60, 'all calls are answered';
cmp_ok scalar(@late), '>', 10, 'calls that would wait too long are refused';
is scalar(grep { $_->{code} ne 'QUERY_LIMIT_EXCEEDED' } @late), 0,
    'they get the error of Bitrix';
is scalar(grep { ($_->{headers}{'retry-after'} // 0) !~ /^[1-9]\d?$/ } @late),
    0, 'they get Retry-After';
is scalar(grep { $_->{seconds} > 3.5 } @late), 0, 'they are refused at once';
is refused(), $refused, 'the portal refused none of them';

# a caller that disconnects while it waits gives its permit to the calls behind
# it

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
cmp_ok $hung, '>', 0, 'disconnected callers are noticed';
is $gw->portal_received - $before, 15 - $hung, 'their calls are not made';

# the clock of Redis was an hour ahead and is corrected

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
                       == 200 }), 'calls work without Redis';
sleep 2.5;
my $log = $gw->slurp('error.log');
($seconds, @answers) = (time);
@answers = $gw->rest_calls(map { ["sale.order.get?id=$_"] } 1 .. BURST + 8);
$seconds = time - $seconds;
is scalar(grep { $_->{status} == 200 } @answers), BURST + 8,
    'all of them succeed';
cmp_ok $seconds, '>=', 0.4, 'this nginx limits the rate alone';
is scalar(() = $gw->slurp('error.log')
          =~ /\[warn\].*Redis is not available, this nginx limits the rate/g), 1,
    'the log says so once';

$gw->start_redis;
ok wait_until(10, sub {
    $gw->rest_call('sale.order.get?id=1');
    $gw->slurp('error.log') =~ /\[notice\].*limited through Redis again/;
}), 'calls work when Redis is back';
ok defined bucket(), 'Redis has the bucket again';

is $two->stop_nginx('QUIT', 20), 0, 'the other node exits';
is join("\n", $two->complaints), '', 'the other node logs no error';
$two->stop_all;

$gw->finish;
done_testing;

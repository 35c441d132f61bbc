#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The spool reaches its max, its disk is full, its folder disappears.  The
# answer is 503, the error log has one line, and the spool recovers by itself.
# A reload and a quit lose no event and leave no file open.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(connect_to request_text start_load finish_load);

my $gw = Bitrix1C::Gateway->new(
    workers   => 2,
    events    => 'accept_mutex off;',
    redis     => 'timeout=1s',
    redis_args => ['--appendfsync', 'always'],
    onec_args => ['--keep', 100_000],
);
my $spool = "$gw->{dir}/spool";
my @rest = ('concurrency 16; retry 100ms 1s;');
$gw->{queue} = "spool $spool max=64k; @rest";
$gw->start;

my ($n, $mounted, %taken) = (0);


sub post {
    my $answer = $gw->post(id => ++$n);
    $taken{ $answer->{id} } = 1 if $answer->{status} == 200;
    return "$answer->{status} $answer->{result}";
}


sub files {
    my @files = glob "$spool/*.spool";
    return @files;
}


sub lines {
    my ($re) = @_;
    my @lines = grep { /$re/ } split /\n/, $gw->slurp('error.log');
    return scalar @lines;
}


# posts until an event is refused; returns the number of accepted events

sub fill {
    my ($what) = @_;
    my ($count, $answer) = (0);

    $count++ while ($answer = post()) eq '200 spooled' && $count < 5000;
    is $answer, '503 unavailable',
        "$what: an event is refused after $count events";
    is post(), '503 unavailable', "$what: and so are others" for 1 .. 5;

    return $count;
}


sub back {
    my ($what) = @_;

    $gw->start_redis;
    ok wait_until(10, sub { !files() }), "$what: the spool is drained";
    ok wait_until(5, sub { post() eq '200 accepted' }),
        "$what: events are stored in Redis again";
    ok $gw->drained(10), "$what: delivered";

    return;
}


ok wait_until(5, sub { post() eq '200 accepted' }), 'works';
ok $gw->drained(5), 'delivered';
my @before = map { $gw->descriptors($_) } $gw->workers;

# the spool reaches its max

$gw->stop_redis('KILL');
my $count = fill('max');
cmp_ok $count, '>', 50, 'max: the spool holds many events';
cmp_ok -s (files())[0], '<=', 65_536, 'max: the file is not larger than max';
is lines(qr/"spool $spool max=65536" is full/), 1,
    'max: one line of the log says so';
back('max');

$gw->stop_redis('KILL');
ok wait_until(5, sub { post() eq '200 spooled' }),
    'the spool accepts events again';

# the folder disappears while workers have files open

rename $spool, "$spool.away";
is post(), '503 unavailable', 'the folder is gone' for 1 .. 6;
is lines(qr/open\(\) failed in the folder "$spool".*No such file/), 1,
    'one line of the log says so';
rename "$spool.away", $spool;
ok wait_until(5, sub { post() eq '200 spooled' }),
    'the spool accepts events again';
is lines(qr/"spool" accepts events again/), 1, 'one line of the log says so';

# a reload

my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 8, rate => 200, seconds => 1.5,
                      next => $gw->events(100_000));
$gw->{queue} = "spool $spool max=8m; @rest";
sleep 0.3;
ok $gw->reload, 'nginx is reloaded while it spools';
my $result = finish_load($load);
is join(' ', keys %{ $result->{statuses} }), '200', 'no event is refused';
$taken{$_} = 1 for values %{ $result->{ok} };

# a quit while senders are sending

my @senders;

for my $id (1 .. 8) {
    my $text = request_text(path => '/bitrix/orders',
                            body => $gw->event_body(id => 200_000 + $id));
    my $sock = connect_to($gw->{port});
    syswrite $sock, substr $text, 0, -10;
    push @senders, [$sock, substr $text, -10];
}

sleep 0.3;
kill 'QUIT', $gw->{nginx_pid};
sleep 0.3;
syswrite $_->[0], $_->[1] for @senders;

for my $sender (@senders) {
    my $sock = $sender->[0];
    my $answer = do { local $/; <$sock> };
    close $sock;
    like $answer, qr/ 200 .*"result":"spooled"/s, 'a sender is answered';
    $taken{$1} = 1 if $answer =~ /"id":"(\w+)"/;
}

is $gw->stop_nginx('QUIT', 10), 0, 'nginx exits while it spools';
cmp_ok scalar(files()), '>', 0, 'the files remain';

$gw->start_nginx;
back('nginx is back, then Redis');

ok wait_until(5, sub {
    my @now = map { $gw->descriptors($_) } $gw->workers;
    return !grep { $now[$_] > $before[$_] + 16 } 0 .. 1;
}), 'no descriptor leaks';

# the disk is full

SKIP: {
    my $disk = "$gw->{dir}/disk";
    mkdir $disk;

    skip 'a file system cannot be mounted', 18
        if $> != 0 || system("mount -t tmpfs -o size=128k,mode=777 tmpfs $disk"
                             . ' 2> /dev/null') != 0;
    $mounted = $disk;

    $gw->{queue} = "spool $disk max=8m; @rest";
    ok $gw->reload, 'another folder';
    $spool = $disk;
    ok wait_until(5, sub { post() eq '200 accepted' }), 'works';

    $gw->stop_redis('KILL');
    ok fill('a full disk') > 50, 'a full disk: the spool holds many events';
    is lines(qr/write\(\) failed in the folder "$disk".*No space/), 1,
        'a full disk: one line of the log says so';

    # draining the spool frees the space
    back('a full disk');
    $gw->stop_redis('KILL');
    ok wait_until(5, sub { post() eq '200 spooled' }), 'a disk with space';
    back('a disk with space');
    is lines(qr/is damaged/), 0, 'no record is damaged';
}

ok $gw->drained(20), 'the queue is empty';
my $known = $gw->onec_ids;
is scalar(grep { !$known->{$_} } keys %taken), 0,
    'all that was answered 200 is at 1C: ' . keys %taken;

unmount();
$gw->finish;
done_testing;


sub unmount {
    system "umount -l $mounted" if $mounted;
    undef $mounted;
    return;
}


END {
    my $status = $?;
    unmount();
    $? = $status;
}

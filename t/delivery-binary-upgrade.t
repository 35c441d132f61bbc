#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A new nginx binary takes over under load (USR2, WINCH) and is removed again
# (HUP to the old master, QUIT to the new one).  No event is lost or delivered
# twice, and no error is logged.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load);
use Bitrix1C::Port qw(free_port);

use constant { RATE => 100, SECONDS => 6 };

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency 4; retry 1s 1s;',
);

# a binary must know its own path to start another

if ($gw->{binary} !~ m{/}) {
    ($gw->{binary}) = grep { -x } map { "$_/$gw->{binary}" }
                      split(/:/, $ENV{PATH}), '/usr/sbin';
}

# nginx can be upgraded only after it has detached from its parent

$gw->start_redis;
$gw->start_onec;
@$gw{qw(port h2_port)} = map { free_port() } 1, 2;
$gw->write_configuration;

my $conf = $gw->slurp('nginx.conf');
$conf =~ s/^daemon off;/daemon on;/m or die 'no "daemon off"';
open my $fh, '>', "$gw->{dir}/nginx.conf" or die "nginx.conf: $!";
print {$fh} $conf;
close $fh or die "nginx.conf: $!";

system($gw->{binary}, '-p', $gw->{dir}, '-e', "$gw->{dir}/error.log", '-c',
       "$gw->{dir}/nginx.conf") == 0 or die 'nginx does not start';

$gw->onec_mode({ delay => 0.02 });


sub pid_of {
    my ($file) = @_;
    my $pid = -e "$gw->{dir}/$file" ? $gw->slurp($file) : '';
    return $pid =~ /^(\d+)$/m ? $1 : 0;
}


ok wait_until(10, sub { $gw->{nginx_pid} = pid_of('nginx.pid') }),
    'nginx runs';
# nobody else would stop it if this test is interrupted

END {
    my $status = $?;
    kill 'TERM', grep { $_ } map { pid_of($_) } qw(nginx.pid nginx.pid.oldbin);
    $? = $status;
}

my $old = $gw->{nginx_pid};
ok wait_until(10, sub { $gw->workers == 2 }), 'its workers run';

my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 8, retry => 1, rate => RATE,
                      seconds => SECONDS, next => $gw->events(1));

sleep 1;
kill 'USR2', $old;
ok wait_until(10, sub { pid_of('nginx.pid.oldbin') == $old
                        && pid_of('nginx.pid') > 1
                        && pid_of('nginx.pid') != $old }),
    'the new binary runs beside the old one';
my $new = pid_of('nginx.pid');

sleep 0.5;
kill 'WINCH', $old;
ok wait_until(10, sub { !$gw->all_workers }), 'the old workers exit';

sleep 1;
kill 'HUP', $old;
ok wait_until(10, sub { $gw->workers == 2 }), 'the old workers run again';

kill 'QUIT', $new;
ok wait_until(10, sub { !kill 0, $new }), 'the new binary exits';

my $result = finish_load($load);
my $events = keys %{ $result->{ok} };

is join(' ', keys %{ $result->{statuses} }), '200', 'all answered 200';
cmp_ok $events, '>', RATE * SECONDS / 2, "$events events";

ok $gw->drained(20), 'the queue is empty';
is_deeply $gw->dead_letters, [], 'there is no dead letter';

my $ids = $gw->onec_ids;
is scalar(grep { !$ids->{$_} } values %{ $result->{ok} }), 0,
    '1C has all events';
is $gw->onec_stats->{duplicates}, 0, 'no event is delivered twice';

kill 'QUIT', $old;
ok wait_until(10, sub { !kill 0, $old }), 'the old binary exits';
delete $gw->{nginx_pid};

$gw->finish;
done_testing;

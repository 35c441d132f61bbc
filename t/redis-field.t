#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis as administrators run it: its name is not in DNS when nginx starts, it
# closes idle connections, and CONFIG is renamed.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Port qw(free_port);

my $NAME = 'redis.b1c-test.invalid';


sub spew {
    my ($file, $text) = @_;
    open my $fh, '>', $file or die "$file: $!";
    print {$fh} $text;
    close $fh or die "$file: $!";
    return;
}


# the name is unknown when nginx starts; nginx has a file of hosts of its own

my $port = free_port();
my $gw = Bitrix1C::Gateway->new(
    workers    => 2,
    store      => "redis $NAME:$port",
    queue      => 'concurrency 4; retry 1s;',
    redis_args => ['--port', $port, '--bind', '127.0.0.1'],
);

my $hosts = "$gw->{dir}/hosts";
spew($hosts, "127.0.0.1 localhost\n");
chmod 0644, $hosts;

$gw->{nginx_run} = ['unshare', $> == 0 ? '-m' : '-rm', 'sh', '-c',
    "mount --bind '$hosts' /etc/hosts && exec \"\$0\" \"\$@\""];

$gw->start_redis;
$gw->start_onec;
$gw->start_nginx;

like $gw->slurp('nginx.out') . $gw->slurp('error.log'),
    qr/\[warn\] .*host not found: "\Q$NAME:$port\E" in "redis" of "bitrix1c_queue" "orders".* check the name and DNS/,
    'nginx starts and says which name is unknown';

my $answer = $gw->post(id => 1);
is "$answer->{status} $answer->{result}", '503 unavailable',
    'an event is refused while the name is unknown';
like $gw->slurp('error.log'),
    qr/\[error\] .*Redis is not available: host not found \(check the name and DNS\) while looking up Redis, redis: "\Q$NAME\E/,
    'the error log says why';

my $lines = () = $gw->slurp('error.log') =~ /\[error\].*host not found/g;
sleep 2.5;
my $later = () = $gw->slurp('error.log') =~ /\[error\].*host not found/g;
is $later, $lines, 'the outage is one line a worker, not one an attempt';

spew($hosts, "127.0.0.1 localhost $NAME\n");

ok wait_until(15, sub { ($gw->post(id => 2)->{result} // '') =~ /accepted/ }),
    'events are accepted once the name is known, without a restart';
ok wait_until(10, sub { $gw->onec_received >= 1 }), 'and delivered';

ok wait_until(15, sub {
    my $ok = 0;
    $ok += $gw->post(id => $_)->{status} == 200 for 100 .. 119;
    return $ok == 20;
}), 'every worker has found it';

$gw->finish;


# Redis closes idle connections: not an outage

$gw = Bitrix1C::Gateway->new(
    workers    => 2,
    queue      => 'concurrency 4; retry 1s;',
    redis_args => ['--timeout', 1],
)->start;

$gw->post(id => $_) for 1 .. 4;
sleep 5;
$gw->post(id => $_) for 5 .. 8;
delete $gw->{redis_conn};      # that of the test is closed, too
ok $gw->drained(5), 'events are delivered after an idle time';

unlike $gw->slurp('error.log'), qr/\[(?:error|warn|notice)\].*Redis is (?:lost|back)/,
    'an idle connection that Redis closed is no outage';
like $gw->slurp('error.log'), qr/\[info\].*Redis has closed an idle connection/,
    'it is told at level info';

# a Redis that is killed while the connection is idle is an outage

sleep 1.2;
$gw->stop_redis('KILL');
ok wait_until(5, sub {
    $gw->slurp('error.log') =~ /\[error\].*Redis is (?:lost|not available)/
}), 'a Redis that is gone is an outage';
$gw->start_redis;
ok wait_until(10, sub { $gw->post(id => 9)->{status} == 200 }),
    'events are accepted again';

delete $gw->{redis_conn};
$gw->finish;


# CONFIG is renamed

$gw = Bitrix1C::Gateway->new(
    queue      => 'concurrency 4; retry 1s;',
    redis_args => ['--rename-command', 'CONFIG', ''],
)->start;

is $gw->post(id => 1)->{status}, 200, 'events are accepted without CONFIG';
ok $gw->drained(5), 'and delivered';

like $gw->slurp('error.log'),
    qr/\[warn\] .*CONFIG GET was refused, .*: check it in the configuration of Redis, which removes CONFIG by "rename-command"/,
    'the advice fits a Redis without CONFIG';
unlike $gw->slurp('error.log'), qr/\+config\|get/, 'and does not name the ACL';

$gw->finish;
done_testing;

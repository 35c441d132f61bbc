#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Unsafe settings of Redis are logged once, by the name of the setting.  The
# permissions in redis/users.acl are exactly those that the gateway uses.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Redis ();

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    redis   => 'timeout=1s',
    queue   => 'concurrency 4; retry 500ms 500ms 1s;',
)->start;
my $n = 0;


sub lines {
    my ($re) = @_;
    my $count = () = $gw->slurp('error.log') =~ /$re/g;
    return $count;
}


# the configuration in redis/ causes no warning

my $warn = qr/\[warn\].*Redis/;

is $gw->post(id => ++$n)->{status}, 200, 'the gateway works';
sleep 0.3;
is lines($warn), 0, 'redis.conf and users.acl are as they should be';

# permissions: exactly the commands in use are allowed

my ($allowed) = $gw->slurp('users.acl') =~ /^user b1c (.*)$/m;
my %allowed = map { $_ => 1 } $allowed =~ / \+(\S+)/g;
my %used = map { $_ => 1 } qw(eval evalsha wait ping select role info
                              config|get);

for my $file (glob "$FindBin::Bin/../redis/{,lib/}*.lua") {
    open my $fh, '<', $file or die "$file: $!";
    local $/;
    $used{ lc $_ } = 1 for <$fh> =~ /redis\.p?call\('(\w+)'/g;
}

is join(' ', sort grep { !$allowed{$_} } keys %used), '',
    'users.acl allows every command that is used';
is join(' ', sort grep { !$used{$_} } keys %allowed), '',
    'users.acl allows no other command';

my $b1c = Bitrix1C::Redis->new(socket => $gw->{socket},
                               auth => ['b1c', Bitrix1C::Gateway::PASSWORD]);

for my $command ('FLUSHALL', 'FLUSHDB', 'KEYS *', 'CONFIG SET maxmemory 1',
                 'SHUTDOWN', 'DEL {b1c:orders}:q', 'SCRIPT FLUSH', 'SAVE',
                 'ACL LIST', 'REPLICAOF NO ONE', 'CLIENT LIST', 'MONITOR',
                 'GET other', 'EVAL return{} 1 other', 'HGETALL other')
{
    ok !eval { $b1c->cmd(split / /, $command); 1 }
        && $@ =~ /NOPERM/, "b1c may not $command" or diag $@;
}

# an unsafe setting is logged once, by its name

my @wrong = (
    [appendonly => 'no',
     qr/aof_enabled "0": it loses events .* set "appendonly yes"/],
    ['maxmemory-policy' => 'allkeys-lru',
     qr/maxmemory_policy "allkeys-lru": .*"maxmemory-policy noeviction"/],
    [appendfsync => 'no',
     qr/appendfsync "no": .* set "appendfsync everysec"/],
);

$gw->redis('CONFIG', 'SET', @$_[0, 1]) for @wrong;
$gw->redis('CLIENT', 'KILL', 'USER', 'b1c');

for my $wrong (@wrong) {
    ok wait_until(10, sub { lines($wrong->[2]) == 1 }), "$wrong->[0] is logged";
}

for (1 .. 3) {
    $gw->redis('CLIENT', 'KILL', 'USER', 'b1c');
    sleep 0.3;
}

ok wait_until(10, sub { $gw->post(id => ++$n)->{status} == 200 }),
    'the gateway works with unsafe settings';
is lines($warn), scalar @wrong, 'each setting is logged once';

# a setting that is unsafe again is logged again

my %right = (appendonly => 'yes', 'maxmemory-policy' => 'noeviction',
             appendfsync => 'everysec');

$gw->redis('CONFIG', 'SET', $_, $right{$_}) for sort keys %right;
$gw->redis('CLIENT', 'KILL', 'USER', 'b1c');
ok wait_until(10, sub {
    $gw->post(id => ++$n)->{status} == 200
        && $gw->redis('CLIENT', 'LIST') =~ /user=b1c(?s:.*)user=b1c/;
}), 'mended';
sleep 0.5;
$gw->redis('CONFIG', 'SET', 'appendfsync', 'no');
$gw->redis('CLIENT', 'KILL', 'USER', 'b1c');
ok wait_until(10, sub { lines($wrong[2][2]) == 2 }),
    'a setting that breaks again is logged again';
$gw->redis('CONFIG', 'SET', 'appendfsync', 'everysec');

# a user without the right to read settings

$gw->redis('ACL', 'SETUSER', 'b1c', '-config|get');
$gw->redis('CLIENT', 'KILL', 'USER', 'b1c');
ok wait_until(10, sub {
    lines(qr/CONFIG GET was refused.* allow "\+config\|get"/) == 1;
}), 'the log says that CONFIG is denied';

$gw->redis('ACL', 'SETUSER', 'b1c', '-info', '-ping');
$gw->redis('CLIENT', 'KILL', 'USER', 'b1c');
ok wait_until(10, sub {
    lines(qr/INFO was refused.* allow "\+info"/) == 1;
}), 'the log says that INFO is denied';
ok wait_until(10, sub { $gw->post(id => ++$n)->{status} == 200 }),
    'the gateway works without these rights';
$gw->redis('ACL', 'SETUSER', 'b1c', '+info', '+ping', '+config|get');

# a replica, and persistence that has failed

$gw->redis('REPLICAOF', '127.0.0.1', 1);
$gw->redis('CLIENT', 'KILL', 'USER', 'b1c');
ok wait_until(10, sub {
    lines(qr/role "slave": it is a replica and accepts no events/) == 1;
}), 'a replica is logged';
$gw->redis('REPLICAOF', 'NO', 'ONE');

$gw->redis('CONFIG', 'SET', 'appendonly', 'no');
mkdir "$gw->{dir}/bitrix1c.rdb" or die "bitrix1c.rdb: $!";
$gw->redis('BGSAVE');
ok wait_until(10, sub {
    $gw->redis('INFO', 'persistence') =~ /^rdb_last_bgsave_status:err/m;
}), 'a snapshot fails';
$gw->redis('CLIENT', 'KILL', 'USER', 'b1c');
ok wait_until(10, sub {
    lines(qr/rdb_last_bgsave_status "err": it could not save its snapshot/) == 1;
}), 'the failed snapshot is logged';

ok wait_until(10, sub { $gw->post(id => ++$n)->{status} == 200 }),
    'the gateway works in the end';

$gw->finish;
done_testing;

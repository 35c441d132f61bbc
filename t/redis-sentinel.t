#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis Sentinel.  The gateway asks it for the master, follows a failover, and
# logs what is wrong with a Sentinel that does not help.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(start_load finish_load);
use Bitrix1C::Nodes qw(start_node start_sentinel
                        takes_and_delivers);

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    redis   => 'timeout=1s connect_timeout=500ms',
    queue   => 'concurrency 4; retry 500ms 500ms 1s 1s 1s;',
    onec_args => ['--keep', 100_000],
);
my $secret = 'password-of-the-sentinels';
my ($one, $two) = map { start_node($gw, $_) } qw(one two);
my $n = 0;

ok $two->replica_of($one), 'two follows one';
$one->be_seen;

my @watchers = map { start_sentinel($gw, "sentinel$_", $one, 2) } 1 .. 3;

ok wait_until(15, sub {
    @watchers == grep {
        my %state = @{ $_->cmd('SENTINEL', 'MASTER', 'orders') };
        $state{'num-other-sentinels'} == 2 && $state{'num-slaves'} == 1;
    } @watchers;
}), 'the Sentinels know each other';

# the first one is dead, and the third one does not know the user

$watchers[0]->stop;
$watchers[1]->cmd('ACL', 'SETUSER', 'gate', 'on', ">$secret",
                  '+sentinel|get-master-addr-by-name');

open my $fh, '>', "$gw->{dir}/sentinel.password" or die $!;
print {$fh} "$secret\n";
close $fh;
chmod 0600, "$gw->{dir}/sentinel.password";

my $addresses = join ' ', map { $_->address } @watchers;
$gw->{store} = "sentinel orders $addresses sentinel_user=gate"
               . " sentinel_password_file=$gw->{dir}/sentinel.password";

$gw->start_onec;
$gw->start_nginx;


sub works {
    my ($what) = @_;
    return takes_and_delivers($gw, $what);
}


sub told {
    my ($what, $re) = @_;
    ok wait_until(10, sub { $gw->slurp('error.log') =~ $re }),
        "$what: the error log says why";
    return;
}


works('the master is known from Sentinels');
told('a dead Sentinel', qr/Sentinel is not available: Connection refused/);

# without WAIT an event may be lost with its master, so the master dies between
# two events

my $load = start_load(port => $gw->{port}, path => '/bitrix/orders',
                      connections => 4, rate => 100, seconds => 1,
                      next => $gw->events(10_000));
my $result = finish_load($load);
is_deeply $result->{statuses}, { 200 => $result->{sent} },
    'the gateway accepts events';
ok $gw->drained(10), 'the gateway delivers them';
ok wait_until(5, sub { $two->cmd('DBSIZE') == $one->cmd('DBSIZE') }),
    'the replica has all data';

my $start = time;
$one->stop;
$two->be_seen;
works('after a failover');
note sprintf 'which took %.1f s', time - $start;

my $log = $gw->slurp('error.log');
my $lines = () = $log =~ /\[error\].*(?:Redis|Sentinel) is/g;
cmp_ok $lines, '<=', 2 * 8, "an outage is a few lines ($lines)";
like $log, qr/Sentinel\ is\ not\ available:\ AUTH\ refused:\ WRONGPASS
    \ \(check\ "sentinel_user"/x,
    'the log names a Sentinel that does not know the user';
like $log, qr/Redis is back, redis: "\Q@{[ $two->address ]}\E"/,
    'the log says which master is used';

# the old node restarts as a master, and no worker connects to it

$one->start;
works('with the old master back');
is scalar(grep { /user=b1c/ } split /\n/, $one->cmd('CLIENT', 'LIST')), 0,
    'no worker is connected to the old master';

# a name that no Sentinel knows

my $good = $gw->{store};
$gw->{store} =~ s/sentinel orders/sentinel others/;
ok $gw->reload, 'another name';
is $gw->post(id => ++$n)->{status}, 503, 'no event is accepted';
told('an unknown name', qr/Sentinel\ is\ not\ available:\ it\ knows\ no\ master
     \ "others"\ \(check\ the\ name\ in\ "sentinel"\)/x);

# a Redis in place of a Sentinel, and a Sentinel in place of a Redis

$gw->{store} = 'sentinel orders ' . $two->address;
ok $gw->reload, 'a Redis in place of a Sentinel';
is $gw->post(id => ++$n)->{status}, 503,
    'no event is accepted with a Redis in place of a Sentinel';
told('a Redis', qr/SENTINEL refused: ERR unknown command.*it is not a Sentinel/);

@$gw{qw(store login)} = ('redis ' . $watchers[2]->address, '');
ok $gw->reload, 'a Sentinel in place of a Redis';
is $gw->post(id => ++$n)->{status}, 503,
    'no event is accepted with a Sentinel in place of a Redis';
told('a Sentinel', qr/Redis has redis_mode "sentinel": it is a Sentinel/);
unlike $gw->slurp('error.log'), qr/\Q$secret\E/, 'no password in the log';
delete $gw->{login};

$gw->{store} = $good;
ok $gw->reload, 'all is right again';
works('all is right again');

is_deeply $gw->dead_letters, [], 'there is no dead letter';

$gw->finish;
$_->stop for $one, $two, @watchers;
done_testing;

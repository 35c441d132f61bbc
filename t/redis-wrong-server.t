#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The server at the address is not Redis, or sends garbage, as a Redis, a
# Sentinel or a node of a Cluster.  The error log has a line with advice, no
# worker crashes or loops, no event is accepted, and other queues are not
# affected.

use strict;
use warnings;

use FindBin ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::FakeRedis ();
use Bitrix1C::Gateway qw(wait_until TOKEN);
use Bitrix1C::Http qw(http_request);
use Bitrix1C::Nodes qw(start_node);


# replies to a command

sub says {
    my ($command, @lines) = @_;
    return { replies => { $command => join '', map { "$_\r\n" } @lines } };
}


sub sentinel { return says('SENTINEL', @_) }
sub script { return says('EVALSHA', @_) }


my $no = qr/\[error\].*Redis is not available: /;
my $sentinel = qr/\[error\].*Sentinel is not available: /;
my $strange = qr/Protocol error/;
my $is_it = qr/\(check that Redis listens there/;

# name => what it does, what the error log says

my %fakes = (
    closes  => [{ close => 1 }, qr/$no.*$is_it/],
    silent  => [{}, qr/$no.*no answer to the login in time $is_it/],
    http    => [{ answer => "HTTP/1.1 400 Bad Request\r\n\r\n" },
                qr/$no$strange.*$is_it, without TLS\)/],
    smtp    => [{ greet => "220 mail ESMTP\r\n" }, qr/$no$strange.*$is_it/],
    crowd   => [{ greet => "-ERR max number of clients reached\r\n",
                  close => 1 }, qr/$no.*max number of clients/],
    talks   => [{ greet => "+hello\r\n" }, qr/$no.*$strange/],
    pang    => [says(PING => '+PANG'), qr/$no$strange/],
    array   => [says(PING => '*1', '*1', '*1', ':1'), qr/$no$strange/],
    endless => [says(PING => '$500000000'), qr/$no.*in time/],
    twice   => [says(PING => '+PONG', '+PONG'), qr/$strange/],
    auth    => [says(AUTH => "-ERR unknown command 'AUTH', with args 'b1c'"),
                qr/${no}AUTH refused/],
    binary  => [{ answer => join '', map { chr } 0 .. 255 }, qr/$no$strange/],

    old     => [says(INFO => '$24', "redis_version:4.0.14\r\nx:"),
                qr/redis_version "4\.0\.14": the scripts require 5\.0/],
    dumb    => [{ replies => { INFO => "*2\r\n:1\r\n:2\r\n",
                               CONFIG => ":1\r\n" } },
                qr/INFO was refused/],

    lost    => [script('-MOVED'), qr/refused script "claim": MOVED/],
    lost2   => [script('-MOVED 1'), qr/\[error\].*Redis is lost: MOVED 1/],
    name    => [script('-MOVED 1 redis.example.org:6379'),
                qr/lost: MOVED.*\(an IP address is required: set "cluster-preferred-/],
    noport  => [script('-MOVED 1 127.0.0.1:99999'),
                qr/\[error\].*Redis is lost: MOVED/],
    loop    => [script('-MOVED 1 ADDRESS'),
                qr/\[error\].*Redis is lost: a loop of redirections/],
    loop2   => [script('-MOVED 1 :0'), qr/\[error\].*Redis is lost: MOVED/],
    ask     => [script('-ASK 1 127.0.0.1:1'), qr/refused script "claim": ASK/],
    down    => [script('-CLUSTERDOWN The cluster is down'),
                qr/refused script "claim": CLUSTERDOWN/],
    again   => [script('-TRYAGAIN'), qr/refused script "claim": TRYAGAIN/],
    readonly => [script('-READONLY You can\'t write'),
                 qr/refused script "accept": READONLY/],
    waits   => [{ replies => { EVALSHA => "*1\r\n:1\r\n", WAIT => "+OK\r\n" } },
                qr/\[error\].*Redis is lost: $strange/],

    s_nil   => [sentinel('*-1'),
                qr/${sentinel}it knows no master "m" \(check the name/],
    s_name  => [sentinel('*2', '$5', 'redis', '$4', '6379'),
                qr/${sentinel}.*"redis:6379" \(an IP address is required: set "sentinel/],
    s_port  => [sentinel('*2', '$9', '127.0.0.1', '$2', '-1'),
                qr/${sentinel}the master's address is "127\.0\.0\.1:-1"/],
    s_int   => [sentinel(':5'), qr/$sentinel$strange/],
    s_one   => [sentinel('*1', '$1', 'x'), qr/$sentinel$strange/],
    s_ints  => [sentinel('*2', ':1', ':2'), qr/$sentinel$strange/],
    s_zero  => [sentinel('*0'), qr/$sentinel$strange/],
    s_error => [sentinel('-IDONTKNOW'), qr/${sentinel}SENTINEL refused/],
    s_dead  => [sentinel('*2', '$9', '127.0.0.1', '$1', '1'),
                qr/$no.*Connection refused.*redis: "127\.0\.0\.1:1"/],
    s_none  => [{ replies => {} },
                qr/${sentinel}.*\(it is not a Sentinel: Sentinels listen/],
    s_close => [{ close => 1 }, qr/$sentinel.*\(check that Sentinel listens/],
    s_still => [{}, qr/$sentinel.*no answer to the login in time/],
);

my $gw = Bitrix1C::Gateway->new(redis => 'timeout=1s',
                                queue => 'concurrency 4; retry 1s;',
                                events => 'accept_mutex off;');
my $dir = $gw->{dir};

# the master that two of the Sentinels name

my $other = Bitrix1C::FakeRedis->new($dir, {
    replica => says(ROLE => '*2', '$5', 'slave', '*0'),
    watcher => says(ROLE => '*2', '$8', 'sentinel', '*0'),
});

for my $name (qw(replica watcher)) {
    my $port = $other->{port}{$name};
    $fakes{"s_$name"}[0] = sentinel('*2', '$9', '127.0.0.1',
                                    '$' . length $port, $port);
}

$fakes{s_replica}[1] = qr/${no}it is a replica/;
$fakes{s_watcher}[1] = qr/$no$strange, strange reply/;

my $fake = Bitrix1C::FakeRedis->new($dir, {
    map { $_ => $fakes{$_}[0] } keys %fakes
});

# real servers: one with a TLS port only, one with few databases

system "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=redis"
       . " -keyout $dir/redis.key -out $dir/redis.pem 2> /dev/null";
my $tls = start_node($gw, 'tls', '--tls-cert-file', "$dir/redis.pem",
                     '--tls-key-file', "$dir/redis.key", '--tls-auth-clients',
                     'no', '--tls-port', my $tls_port
                         = Bitrix1C::Port::free_port());

my %stores = map {
    $_ => (/^s_/ ? 'sentinel m ' : 'redis ') . $fake->address($_)
} keys %fakes;

$stores{waits} .= ' wait=1';
$stores{tls} = "redis 127.0.0.1:$tls_port";
$stores{db} = 'redis ' . $tls->address . ' db=99';

my %told = map { $_ => $fakes{$_}[1] } keys %fakes;
$told{tls} = qr/$no.*without TLS/;
$told{db} = qr/${no}SELECT refused: ERR DB index is out of range \(check "db"/;
$stores{auth} .= " user=b1c password_file=$dir/b1c.password";

my @names = sort keys %stores;

$gw->{http} = join "\n", map {
    "bitrix1c_queue $_ { $stores{$_} timeout=1s connect_timeout=1s; }"
} @names;
$gw->{server} = join "\n", map {
    "location = /bitrix/$_ { bitrix1c_webhook $_; bitrix1c_token "
    . TOKEN . '; proxy_pass http://onec/CompanyName/hs/exchange/;'
    . ' proxy_http_version 1.1; proxy_set_header Connection ""; }'
} @names;

$gw->start;
ok wait_until(5, sub { $gw->post(id => 1)->{status} == 200 }),
    'the gateway works';

my %refused;

for my $name (@names) {
    defined(my $pid = fork) or die "fork: $!";
    if ($pid == 0) {
        my $answer = http_request(port => $gw->{port}, timeout => 10,
            path => "/bitrix/$name", body => $gw->event_body(id => 1));
        POSIX::_exit($answer->{status} == 503 ? 0 : 1);
    }
    $refused{$pid} = $name;
}

for my $pid (keys %refused) {
    waitpid $pid, 0;
    is $?, 0, "$refused{$pid}: no event is accepted";
}

sleep 1;
my ($worker) = $gw->workers;
my %before = map { $_ => $fake->count($_) } keys %fakes;
my $start = time;
sleep 3;
my $seconds = time - $start;

my @log = split /\n/, $gw->slurp('error.log');

for my $name (@names) {
    my ($address) = $stores{$name} =~ /(127\.0\.0\.1:\d+)/;
    $address = $other->address($1) if $name =~ /^s_(replica|watcher)/;
    $address = '127.0.0.1:1' if $name eq 's_dead';

    my @lines = grep { /"\Q$address\E"|"bitrix1c_queue" "$name"|queue "$name"/ }
                @log;
    my @errors = grep { /\[error\]/ && !/refused script "/ } @lines;

    like join("\n", @lines), $told{$name}, "$name: the error log says why";
    cmp_ok scalar @errors, '<=', 3, "$name: the log is not flooded"
        or diag join "\n", splice @errors, 0, 5;

    next if !$fakes{$name};
    my $count = $fake->count($name) - $before{$name};
    cmp_ok $count / $seconds, '<=', 3,
        "$name: the worker does not reconnect in a busy loop";
}

is join(' ', $gw->workers), $worker, 'the worker is still running';
is $gw->post(id => 2)->{status}, 200, 'other queues accept events';
ok $gw->drained(5), 'other queues deliver events';

$gw->finish;
$_->stop for $fake, $other, $tls;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Redis runs but does not store the event: wrong password, wrong permissions of
# the socket, out of memory, a replica.  The answer is never a 200, and the
# error log names the reason, without the password.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

my $secret = 'right-password-of-the-test';

my $gw = Bitrix1C::Gateway->new(
    redis_args => ['--requirepass', $secret],
    redis_auth => [$secret],
    queue      => 'concurrency 4; retry 1s;',
);
my $file = "$gw->{dir}/password";
$gw->{redis} = "timeout=1s password_file=$file";
my $n = 0;


sub password {
    my ($text) = @_;
    open my $fh, '>', $file or die "$file: $!";
    print {$fh} "$text\n";
    close $fh;
    return;
}


sub refused {
    my ($what) = @_;
    my $answer = $gw->post(id => ++$n);

    is "$answer->{status} $answer->{result}", '503 unavailable', $what;
    is $gw->redis('EXISTS', '{b1c:orders}:q', '{b1c:orders}:h'), 0,
        "$what: nothing is half stored" if $gw->{redis_pid};

    return;
}


sub works {
    my ($what) = @_;

    ok wait_until(10, sub { $gw->post(id => ++$n)->{status} == 200 }), $what;
    ok $gw->drained(5), "$what: delivered";
    $gw->redis('FLUSHDB');

    return;
}


sub told {
    my ($what, $re) = @_;
    ok wait_until(5, sub { $gw->slurp('error.log') =~ $re }),
        "$what: the error log says why";
    return;
}


password('wrong-password-of-the-test');
$gw->start;
refused('a wrong password');
told('a wrong password', qr/WRONGPASS|invalid password|NOAUTH/i);

password($secret);
ok $gw->reload, 'the password is corrected';
works('the right password');

SKIP: {
    skip 'the workers run as the user who starts them', 5 if $> != 0;

    chmod 0700, $gw->{socket};
    ok $gw->reload, 'the socket becomes unreachable';
    refused('wrong rights of the socket');
    told('wrong rights of the socket', qr/Permission denied/);
    chmod 0777, $gw->{socket};
    works('right ones');
}

$gw->redis('CONFIG', 'SET', 'maxmemory', 1);
refused('out of memory');
told('out of memory', qr/OOM/);
$gw->redis('CONFIG', 'SET', 'maxmemory', 0);
works('memory again');

$gw->redis('REPLICAOF', '127.0.0.1', 1);
refused('a replica');
told('a replica', qr/READONLY/);
$gw->redis('REPLICAOF', 'NO', 'ONE');
works('a master again');

$gw->redis('SET', '{b1c:orders}:q', 'not a sorted set');
is $gw->post(id => ++$n)->{status}, 503, 'keys of a wrong type';
$gw->redis('FLUSHDB');
works('keys of the right type');

my $log = $gw->slurp('error.log') . $gw->slurp('nginx.out');
unlike $log, qr/\w+-password-of-the-test/, 'no password in the log';

my %known = map { $_->{json}{entity}{id} => 1 } $gw->onec_received;
ok !$known{1}, 'the refused event is not delivered';

$gw->finish;
done_testing;

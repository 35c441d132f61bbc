#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A file of the spool that another version has written is left alone, and holds
# up nothing; the version that can read it delivers it.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

my $gw = Bitrix1C::Gateway->new(
    workers  => 2,
    events   => 'accept_mutex off;',
    location => 'bitrix1c_key $bitrix1c_data_fields_n;',
);
my $spool = "$gw->{dir}/spool";
my $file = "$spool/orders.1795870189761.spool";
my $sample = Bitrix1C::Gateway::slurp_file(
    "$FindBin::Bin/fixtures/0.1.0/orders.spool");

$gw->{queue} = "concurrency 4; retry 1s 1s; spool $spool;";


# a spool in which that file begins with this version

sub put_file {
    my ($version) = @_;
    my @owner = $> == 0 ? ((getpwnam 'nobody')[2], (getgrnam 'nogroup')[2]) : ();

    mkdir $spool;
    Bitrix1C::Gateway::spew_file($file,
        $sample =~ s/\Ab1c spool 1\n/b1c spool $version\n/r);
    chown @owner, $spool, $file if @owner;

    return;
}


sub lines {
    my $n = () = $gw->slurp('error.log')
        =~ /\[error\][^\n]*"\Q$file\E"[^\n]*another version[^\n]*UPGRADING/g;
    return $n;
}


put_file(2);
my $before = Bitrix1C::Gateway::slurp_file($file);
$gw->start;

ok wait_until(10, sub { lines() == 1 }), 'the file is named, with a remedy';
is $gw->post(id => 1, fields => { N => 1 })->{result}, 'accepted',
    'events are accepted';
ok $gw->drained(5), 'and delivered';

# a spool of this version beside it is drained

$gw->stop_redis('KILL');
is $gw->post(id => 2, fields => { N => 2 })->{result}, 'spooled',
    'an event goes to the spool';
$gw->start_redis;
ok wait_until(15, sub { $gw->onec_received >= 2 && $gw->depth == 0 }),
    'it is delivered';
is join(' ', map { $_->{json}{entity}{id} } $gw->onec_received), '1 2',
    'and nothing else';
is_deeply [glob "$spool/*.spool"], [$file], 'the file is there';
is Bitrix1C::Gateway::slurp_file($file), $before, 'as it was';
is lines(), 1, 'it is not told again';

# with a version that can read it

$gw->stop_nginx('QUIT', 10);
put_file(1);
ok $gw->spawn_nginx, 'nginx starts again';
is join(' ', map { $_->{json}{data}{FIELDS}{N} } $gw->onec_received(5, 15)),
    '1 2 800-1 800-2 800-3', 'its events are delivered in order';
ok wait_until(5, sub { !-e $file }), 'and the file is removed';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Names and forms of 0.1.0 still work: "bitrix1c_repeatable" with a warning that
# names the new directive; a rate in either spelling, without any.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use FindBin ();
use Test::More;

my $dir = tempdir(CLEANUP => 1);
my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx';
my $module = $ENV{TEST_NGINX_LOAD_MODULES}
             // abs_path("$FindBin::Bin/../build/ngx_http_bitrix1c_module.so");

my $paths = join '', map { "    ${_}_temp_path $dir/$_;\n" }
                     qw(client_body proxy fastcgi uwsgi scgi);


# the exit status of "nginx -t", and its lines of level warn and above

sub tested {
    my ($queue, $location) = @_;

    open my $fh, '>', "$dir/nginx.conf" or die "nginx.conf: $!";
    print {$fh} <<"END";
load_module $module;
pid $dir/nginx.pid;
error_log stderr;
events { }
http {
    access_log off;
$paths
    bitrix1c_queue orders {
        redis unix:$dir/redis.sock;
        $queue
    }
    server {
        listen unix:$dir/sock;
        location /bitrix/ {
            bitrix1c_rest    orders;
            bitrix1c_methods *;
            $location
            proxy_pass       http://127.0.0.1:1/rest/1/KEY/;
        }
    }
}
END
    close $fh or die "nginx.conf: $!";

    my $said = `$nginx -t -p $dir/ -c $dir/nginx.conf 2>&1`;
    my $status = $? >> 8;

    return ($status, join '', grep { /\[(?:warn|error|emerg|alert)\]/ }
                              split /^/, $said);
}


my ($status, $said) = tested('', 'bitrix1c_idempotent *.update *.set;');

is($status, 0, 'bitrix1c_idempotent is taken');
is($said, '', 'without a word');


($status, $said) = tested('', 'bitrix1c_repeatable *.update *.set;');

is($status, 0, 'bitrix1c_repeatable is still taken');
like($said, qr/\[warn\] .*"bitrix1c_repeatable".*"bitrix1c_idempotent"/,
    'with a warning that names the new directive');
like($said, qr/ in \S+nginx\.conf:\d+$/, 'and the line');


($status, $said) = tested('', 'bitrix1c_repeatable "";');

is($status, 1, 'a wrong value of bitrix1c_repeatable is refused');


for my $rate (qw(20r/s 20/s 30r/m 30/m 1/m 1000000/s)) {
    ($status, $said) = tested("rate $rate;", "bitrix1c_pace rate=$rate;");

    is($status, 0, "a rate of $rate is taken by a queue and by a pace");
    is($said, '', 'without a word');
}


for my $rate (qw(20 /s r/s 20r 20s 20r/h 0r/s 0/s -1/s 1000001/s 20rr/s)) {
    ($status, $said) = tested("rate $rate;", '');

    is($status, 1, "a rate of $rate is refused by a queue");
    like($said, qr/"\Q$rate\E"/, 'and quoted');

    ($status, $said) = tested('', "bitrix1c_pace rate=$rate;");

    is($status, 1, "a rate of $rate is refused by a pace");
    like($said, qr/\Q$rate\E/, 'and quoted');
}

done_testing();

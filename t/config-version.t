#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The version of the module: in the error log at the start, in the metrics and
# in the status.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(api metrics);
use Bitrix1C::Gateway ();

my $gw = Bitrix1C::Gateway->new(workers => 2,
                                server => Bitrix1C::Api::LOCATION);

my $header = Bitrix1C::Gateway::slurp_file("$Bitrix1C::Nginx::TOP/"
    . 'ngx_http_bitrix1c_module/base/b1c_version.h');
my ($version) = $header =~ /NGX_B1C_VERSION\s+"(\d+\.\d+\.\d+)"/;
like $version // '', qr/./, 'the version stands in one header';


# lines about the version in the error log

sub lines {
    my $n = () = $gw->slurp('error.log')
        =~ /\[notice\] \d+#\d+: ngx_http_bitrix1c_module \Q$version\E$/mg;
    return $n;
}


sub lines_at_all {
    my $n = () = $gw->slurp('error.log') =~ /: ngx_http_bitrix1c_module /g;
    return $n;
}


$gw->start;
is lines(), 1, 'one line when nginx starts, not one of every worker';

my $nginx = api($gw, 'status')->{json}{nginx};
is api($gw, 'status')->{json}{version}, $version, 'the status has it';
is metrics($gw)->{qq(bitrix1c_info{version="$version",nginx="$nginx"})}, 1,
    'the metrics have it';

ok $gw->reload, 'a reload';
is lines(), 2, 'one line for the new configuration';

system("$gw->{binary} -t -p $gw->{dir} -e $gw->{dir}/error.log"
       . " -c $gw->{dir}/nginx.conf > $gw->{dir}/test.out 2>&1");
like $gw->slurp('test.out'), qr/test is successful/, 'nginx -t';
unlike $gw->slurp('test.out'), qr/: ngx_http_bitrix1c_module /,
    'a test of the configuration is no start';
is lines_at_all(), 2, 'nor is it in the error log';

# a configuration that only loads the module

my $conf = "error_log $gw->{dir}/bare.log info; pid $gw->{dir}/bare.pid;"
    . join('', map { "load_module $_;" } @{ $gw->{modules} })
    . 'events { } http { server { listen unix:' . "$gw->{dir}/bare.sock; } }";
Bitrix1C::Gateway::spew_file("$gw->{dir}/bare.conf", $conf);

is system($gw->{binary}, '-p', $gw->{dir}, '-e', "$gw->{dir}/bare.log", '-c',
          "$gw->{dir}/bare.conf"), 0, 'nginx without a queue starts';
system($gw->{binary}, '-p', $gw->{dir}, '-e', "$gw->{dir}/bare.log", '-c',
       "$gw->{dir}/bare.conf", '-s', 'stop');
unlike $gw->slurp('bare.log'), qr/: ngx_http_bitrix1c_module /,
    'and says nothing of the module';

$gw->finish;
done_testing;

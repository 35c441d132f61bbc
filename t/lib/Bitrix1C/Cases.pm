package Bitrix1C::Cases;

# Copyright (C) the ngx_http_bitrix1c_module authors

# Tests of tests: a perl of its own runs a part of a data-driven test file
# against stock nginx, and it must pass or must fail.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Test::More;

use Bitrix1C::Port qw(free_port);

our @EXPORT_OK = qw(fails passes);

# the first lines of all files
our $Before = '';

my $dir = tempdir('cases-XXXXXX', TMPDIR => 1, CLEANUP => 1);


# name, blocks, and code that stands before run_tests()

sub passes {
    my ($name, $blocks, $code) = @_;

    my ($status, $output) = run_file($blocks, $code);
    ok($status == 0 && $output =~ /^ok 1/m && $output !~ /^not ok/m,
       "$name: passes")
        or diag("status $status\n$output");

    return;
}


# the same; the third argument is what the output must say

sub fails {
    my ($name, $blocks, $re, $code) = @_;

    my ($status, $output) = run_file($blocks, $code);
    my $why = join "\n", grep { !/^ok / } split /\n/, $output;
    ok(($status != 0 || $output =~ /^not ok/m) && $why =~ $re, "$name: fails")
        or diag("status $status, expected $re in\n$output");

    return;
}


sub run_file {
    my ($blocks, $code) = @_;

    my $file = "$dir/case.t";
    $code //= '';

    open my $out, '>', $file or die "$file: $!\n";
    print {$out} "$Before\nuse Test::Nginx::Socket;\nno_shuffle();\n"
                 . "plan('no_plan');\n$code\nrun_tests();\n"
                 . "__DATA__\n$blocks";
    close $out or die "$file: $!\n";

    my $mute = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')
        or die "cannot listen: $!\n";
    local $ENV{TEST_NGINX_MUTE_PORT} = $mute->sockport;
    local $ENV{TEST_NGINX_HARNESS} = 'something';
    local $ENV{TEST_NGINX_LOAD_MODULES} = '';
    local $ENV{TEST_NGINX_SERVROOT} = "$dir/servroot";
    local $ENV{TEST_NGINX_PORT} = free_port();
    local $ENV{PERL5LIB} = join ':', map { abs_path($_) // () }
                                     grep { !ref } @INC;
    delete local $ENV{TEST_NGINX_SERVER_PORT};

    my $output = qx{cd '$dir' && '$^X' case.t 2>&1};

    return $?, $output;
}


1;

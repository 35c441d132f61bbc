package Bitrix1C::Binary;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The nginx that is tested, and what it was built with: not every nginx has the
# modules and the paths of Debian's.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(listen_http2 nginx_binary nginx_has nginx_since);

my $version;


sub nginx_binary {
    return $ENV{TEST_NGINX_BINARY} || 'nginx';
}


sub version {
    my $binary = nginx_binary();

    $version //= qx{$binary -V 2>&1};
    die "$binary -V prints no version\n" if $version !~ /version/;

    return $version;
}


# a module of nginx by the name that configure gives it, such as http_v2

sub nginx_has {
    my ($module) = @_;
    return version() =~ /--with-\Q$module\E_module\b/;
}


# true if nginx has that version or a later one

sub nginx_since {
    my @since = split /[.]/, shift;
    my @is = version() =~ m{ nginx/(\d+)[.](\d+)[.](\d+)} or return 0;

    return sprintf('%03d' x 3, @is) ge sprintf('%03d' x 3, @since);
}


# the directives of a server that takes HTTP/2 at an address, of one that takes
# HTTP/1.1 alone if nginx knows no HTTP/2

sub listen_http2 {
    my ($address) = @_;

    return "listen $address;" if !nginx_has('http_v2');
    return "listen $address; http2 on;" if nginx_since('1.25.1');
    return "listen $address http2;";
}


1;

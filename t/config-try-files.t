#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# "try_files" would send deliveries out of their location: nginx does not start.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

add_block_preprocessor(sub { $_[0]->set_value(must_die => '') });

plan 'no_plan';
run_tests();

__DATA__

=== TEST 1: calls
--- config
location /b/ { bitrix1c_rest orders; bitrix1c_methods *; proxy_pass http://127.0.0.1:1/; try_files $uri @other; }
location @other { return 200; }
--- error_log
"try_files" is in the location of "bitrix1c_rest" in
remove it and leave "proxy_pass" alone there


=== TEST 2: events
--- location: try_files $uri @other;
--- error_log
"try_files" is in the location of "bitrix1c_webhook" in
deliveries would leave the location

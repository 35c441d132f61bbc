#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The language of the data-driven tests must be able to fail: each case is a
# test file of its own, which a perl of its own runs against stock nginx.  The
# cases hold for CPAN's Test::Nginx::Socket as well, except those in which
# t/compat is stricter.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Cases qw(fails passes);
use Test::Nginx::Socket ();

my $compat = $INC{'Test/Nginx/Socket.pm'} =~ m{compat/lib};

# name, blocks, then what the output must match; "not ok" cases must fail
my $ok = <<'EOB';
=== TEST 1: sound
--- config
location = /a { add_header X-A b; return 200 "hi $arg_n\n"; }
location = /b { error_log logs/error.log debug; rewrite_log on;
                rewrite ^ /a?n=9; }
--- request
GET /a?n=1
EOB

passes('everything as expected', $ok . <<'EOB');
--- error_code: 200
--- response_body
hi 1
--- response_headers
X-A: b
Content-Type: text/plain
! X-B
--- no_error_log
[error]
--- access_log
GET /a?n=1
--- no_access_log
POST
--- no_shutdown_error_log
[alert]
EOB

fails('wrong status', "$ok--- error_code: 201\n", qr/201/);
fails('status is 200 unless told', <<'EOB', qr/404/);
=== TEST 1: not found
--- config
location = /a { return 404; }
--- request
GET /a
EOB
fails('wrong body', "$ok--- response_body\nhi\n", qr/response_body/);
fails('body with more', "$ok--- response_body eval\n\"hi 1\"\n", qr/body/);
fails('unlike body', "$ok--- response_body_like: ^ho\n", qr/like/);
fails('unwanted body', "$ok--- response_body_unlike: ^hi\n", qr/unlike/);
fails('wrong header', "$ok--- response_headers\nX-A: c\n", qr/X-A/);
fails('absent header', "$ok--- response_headers\nX-B: c\n", qr/X-B/);
fails('unwanted header', "$ok--- response_headers\n!X-A\n", qr/X-A/);
fails('unlike header', "$ok--- response_headers_like\nX-A: [c-f]\n", qr/X-A/);
fails('unlike raw headers', "$ok--- raw_response_headers_like: X-C\n",
      qr/raw/);
fails('unwanted raw headers', "$ok--- raw_response_headers_unlike: X-A\n",
      qr/raw/);
fails('nothing in error.log', "$ok--- error_log\nrewritten\n", qr/rewritten/);
fails('nothing like it in error.log', "$ok--- error_log eval\nqr/[q]uux/\n",
      qr/\[q\]uux/);
fails('one of two in error.log', <<'EOB', qr/unwritten/);
=== TEST 1: log
--- config
location = /a { rewrite_log on; rewrite ^ /b; }
location = /b { return 200; }
--- request
GET /a
--- error_log
rewritten
unwritten
EOB
fails('unwanted in error.log', <<'EOB', qr/rewritten/);
=== TEST 1: log
--- config
location = /a { rewrite_log on; rewrite ^ /b; }
location = /b { return 200; }
--- request
GET /a
--- no_error_log
[crit]
rewritten
EOB
passes('matches in error.log', <<'EOB');
=== TEST 1: log
--- log_level: notice
--- config
location = /a { rewrite_log on; rewrite ^ /b?$arg_n; }
location = /b { return 200; }
--- request eval
["GET /a?n=1", "GET /a?n=2"]
--- error_log
rewritten
--- grep_error_log eval
qr/rewritten data: "[^,]+/
--- grep_error_log_out
rewritten data: "/b"
EOB
fails('other matches in error.log', <<'EOB', qr/grep_error_log_out/);
=== TEST 1: log
--- log_level: notice
--- config
location = /a { rewrite_log on; rewrite ^ /b; rewrite ^ /c; }
location = /c { return 200; }
--- request
GET /a
--- grep_error_log eval
qr/rewritten data: "[^,]+/
--- grep_error_log_out
rewritten data: "/b"
EOB
fails('nothing in access.log', "$ok--- access_log\nGET /b\n", qr/access/);
fails('unwanted in access.log', "$ok--- no_access_log\nGET /a\n", qr/access/);
fails('unwanted at the end', <<'EOB', qr/SIGQUIT/);
=== TEST 1: end
--- config
location = /a { return 200; }
--- request
GET /a
--- no_shutdown_error_log
SIGQUIT
EOB
fails('nothing at the end, not the last block', <<'EOB', qr/gratefully/);
=== TEST 1: end
--- config
location = /a { return 200; }
--- request
GET /a
--- shutdown_error_log
gratefully
=== TEST 2: sound
--- config
location = /a { return 200; }
--- request
GET /a
EOB

passes('lists', <<'EOB');
=== TEST 1: lists
--- config
location = /a { return 200 "hi $arg_n $content_length $http_x\n"; }
--- more_headers eval
["X: 1", "X: 2"]
--- request eval
["GET /a?n=1", "POST /a?n=2\nabc"]
--- response_body eval
["hi 1  1\n", "hi 2 3 2\n"]
=== TEST 2: pipelined
--- config
location = /a { return 200 "hi $arg_n\n"; }
--- pipelined_requests eval
["GET /a?n=1", "POST /a?n=2\nabc", "GET /b"]
--- error_code eval
[200, 200, 404]
--- response_body eval
["hi 1\n", "hi 2\n", qr/404/]
EOB
fails('the second of a list', <<'EOB', qr/hi 2/);
=== TEST 1: lists
--- config
location = /a { return 200 "hi $arg_n\n"; }
--- request eval
["GET /a?n=1", "GET /a?n=2"]
--- response_body eval
["hi 1\n", "hi 1\n"]
EOB
fails('expected values that are no list', <<'EOB', qr/lists|arrays/);
=== TEST 1: lists
--- config
location = /a { return 200; }
--- request eval
["GET /a", "GET /a"]
--- error_code: 200
EOB

passes('files, environment, code, packets', <<'EOB');
=== TEST 1: files
--- http_config
map $arg_n $m { default "$TEST_NGINX_HARNESS"; }
--- user_files
>>> a/b.txt
port $TEST_NGINX_SERVER_PORT
>>> c.txt
c
--- init: $ENV{TEST_NGINX_SEEN} = 1;
--- config
location = /m { return 200 $m; }
--- request eval
["GET /a/b.txt", "GET /c.txt", "GET /m"]
--- response_body eval
["port $ENV{TEST_NGINX_PORT}\n", "c\n", "something"]
=== TEST 2: packets
--- config
location = /a { return 200 "ok\n"; }
--- raw_request eval
["GET /a HTTP/1.1\r\nHost: a\r\n", "Connection: close\r\n\r\n"]
--- raw_request_middle_delay: 0.1
--- response_body
ok
EOB
fails('code that dies', "$ok--- init: die 'of the code'\n", qr/of the code/);

passes('nginx that must not start', <<'EOB');
=== TEST 1: must die
--- config
no_such_directive;
--- must_die
--- suppress_stderr
--- error_log
unknown directive "no_such_directive"
--- no_error_log
[alert]
EOB
fails('nginx starts but must not', <<'EOB', qr/die/);
=== TEST 1: must die
--- config
location = /a { return 200; }
--- must_die
EOB
fails('nginx dies of something else', <<'EOB', qr/another_directive/);
=== TEST 1: must die
--- config
no_such_directive;
--- must_die
--- suppress_stderr
--- error_log
another_directive
EOB

fails('no answer in time', <<'EOB', qr/timed out|no answer/);
=== TEST 1: timeout
--- config
location = /a { proxy_pass http://127.0.0.1:$TEST_NGINX_MUTE_PORT; }
--- timeout: 0.3
--- request
GET /a
--- error_code:
EOB
passes('aborted', <<'EOB');
=== TEST 1: abort
--- config
location = /a { proxy_pass http://127.0.0.1:$TEST_NGINX_MUTE_PORT; }
--- timeout: 300ms
--- abort
--- ignore_response
--- request
GET /a
--- no_error_log
[error]
EOB

passes('own checks', <<'EOB', <<'EOC');
=== TEST 1: own checks
--- config
location = /a { return 200 "ok\n"; }
--- request
GET /a
EOB
push @Test::Nginx::Socket::CustomSections, 'own';
add_block_preprocessor(sub { $_[0]->set_value(own => "ok\n") });
add_response_body_check(sub {
    my ($block, $body, $n, $round) = @_;
    is($body, $block->own, "own body check $n $round");
});
add_test_cleanup_handler(sub { ok($_[0]->own, 'own check after the block') });
EOC
fails('own check fails', <<'EOB', qr/own body check/, <<'EOC');
=== TEST 1: own checks
--- config
location = /a { return 200 "ok\n"; }
--- request
GET /a
EOB
add_response_body_check(sub { is($_[1], 'ko', 'own body check') });
EOC

SKIP: {
    skip 'the stand-in alone is so strict', 6 if !$compat;

    fails('misspelt section', "$ok--- response_bdy\nhi\n",
          qr/unknown section "response_bdy"/);
    fails('misspelt section in the last block', <<'EOB', qr/error_logs/);
=== TEST 1: sound
--- config
location = /a { return 200; }
--- request
GET /a
=== TEST 2: misspelt
--- config
location = /a { return 200; }
--- request
GET /a
--- error_logs: a
EOB
    fails('eval that fails', "$ok--- response_body eval\n\"hi\n",
          qr/find string/);
    fails('block that asks nothing', <<'EOB', qr/neither request nor/);
=== TEST 1: nothing
--- config
location = /a { return 200; }
EOB
    fails('unset variable', <<'EOB', qr/TEST_NGINX_NOT_SET/);
=== TEST 1: environment
--- config
location = /a { return 200 "$TEST_NGINX_NOT_SET"; }
--- request
GET /a
EOB
    fails('broken configuration', <<'EOB', qr/no_such_directive/);
=== TEST 1: broken
--- config
no_such_directive;
--- request
GET /a
EOB

    responses();
}

done_testing();


# responses as bytes: incomplete ones must be recognized

sub responses {
    my $parse = \&Test::Nginx::Compat::Client::parse_response;
    my $head = "HTTP/1.1 200 OK\r\n";

    my $res = $parse->("${head}Content-Length: 5\r\n\r\nabcde");
    is("$res->{content}|$res->{left}|$res->{error}", 'abcde||', 'whole body');

    $res = $parse->("${head}Content-Length: 5\r\n\r\nabcdefg");
    is("$res->{content}|$res->{left}", 'abcde|fg', 'more than the body');

    $res = $parse->("${head}Content-Length: 5\r\n\r\nabc");
    like($res->{error}, qr/truncated: 3 of 5/, 'less than the body');

    $res = $parse->("${head}Content-Length: 5\r\n\r\n", 1);
    is($res->{error}, '', 'HEAD');

    my $chunked = "${head}Transfer-Encoding: chunked\r\n\r\n";
    $res = $parse->("${chunked}3\r\nabc\r\n02\r\nde\r\n0\r\n\r\nX");
    is("$res->{content}|$res->{left}|$res->{error}", 'abcde|X|', 'chunks');

    for my $bad ("3\r\nabc\r\n", "3\r\nab", "3\r\nabcd\r\n0\r\n\r\n", 'zz', '',
                 "0\r\n")
    {
        $res = $parse->("$chunked$bad");
        like($res->{error}, qr/chunked/, 'broken chunks: ' . length $bad);
    }

    like($parse->('')->{error}, qr/empty/, 'no response');
    like($parse->("HTTP/1.1 200 OK\r\nA: b")->{error}, qr/no complete header/,
         'half a header');
    is($parse->("HTTP/1.1 100 Continue\r\n\r\n$head\r\n")->{code}, 100,
       'an interim response is a response');

    my $built = Test::Nginx::Compat::Client::build_request(
        "POST /a\n body \n", "X: 1\n# no\n", { Host => 'h',
                                               Connection => 'close' });
    is($built, "POST /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX: 1\r\n"
               . "Content-Length: 4\r\n\r\nbody", 'request');

    $built = Test::Nginx::Compat::Client::build_request(
        "POST /a HTTP/1.0\n2\r\nab\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\nHost: b", { Connection => 'close' });
    is($built, "POST /a HTTP/1.0\r\nConnection: close\r\n"
               . "Transfer-Encoding: chunked\r\nHost: b\r\n\r\n"
               . "2\r\nab\r\n0\r\n\r\n", 'chunked request');

    return;
}

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A body arrives in memory, in a temporary file, in chunks, in small packets or
# after "100 Continue".  1C gets the same JSON in every case.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

our $body = do {
    my (undef, $text) = split /\n/, fixture('user-add.app.docs.form'), 2;
    $text;
};

our $long = 'x' x 20_000;

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(response_body_like =>
                      '"result":"accepted","id":"[0-9a-f]{32}"\}\n')
        if !defined $block->response_body_like;
    $block->set_value(onec => <<'EOJ') if !defined $block->onec;
{"id":"ID","event":"ONUSERADD","ts":1712304000,"received":NOW,"source":{"domain":"some-domain.bitrix24.com","member_id":"a223c6b3710f85df22e9377d6c4f7553"},"entity":{"type":"USER","id":"123"},"data":{"ID":"123","ACTIVE":"Y","EMAIL":"user@example.com","NAME":"Анна","LAST_NAME":"Weber","UF_DEPARTMENT":["1","2"]}}
EOJ
});

plan 'no_plan';
run_tests();


# in chunks of one size

sub chunked {
    my ($text, $size) = @_;

    return join '', map({ sprintf "%x\r\n%s\r\n", length, $_ }
                        $text =~ /.{1,$size}/gs), "0\r\n\r\n";
}


# in packets of one size, sent one after the other

sub packets {
    my ($text, $size) = @_;

    return [$text =~ /.{1,$size}/gs];
}


sub head {
    return join "\r\n", 'POST /bitrix/orders HTTP/1.1', 'Host: localhost',
                'Connection: close',
                'Content-Type: application/x-www-form-urlencoded', @_, '', '';
}

__DATA__

=== TEST 1: in memory
--- request eval
"POST /bitrix/orders\n$main::body"


=== TEST 2: body in a file only
--- location: client_body_in_file_only on;
--- request eval
"POST /bitrix/orders\n$main::body"


=== TEST 3: body in a file that is cleaned
--- location: client_body_in_file_only clean;
--- request eval
"POST /bitrix/orders\n$main::body"


=== TEST 4: body in one buffer
--- location: client_body_in_single_buffer on;
--- request eval
"POST /bitrix/orders\n$main::body"


=== TEST 5: body larger than its buffer goes to a file
--- location
client_body_buffer_size 1k;
--- request eval
"POST /bitrix/orders\n$main::body&data[X]=$main::long"
--- onec eval
'{"id":"ID","event":"ONUSERADD","ts":1712304000,"received":NOW,"source":{"domain":"some-domain.bitrix24.com","member_id":"a223c6b3710f85df22e9377d6c4f7553"},"entity":{"type":"USER","id":"123"},"data":{"ID":"123","ACTIVE":"Y","EMAIL":"user@example.com","NAME":"Анна","LAST_NAME":"Weber","UF_DEPARTMENT":["1","2"],"X":"' . $main::long . '"}}'


=== TEST 6: body in several buffers, header and body in one packet
--- location
client_body_buffer_size 128;
--- raw_request eval
main::head('Content-Length: ' . length $main::body) . $main::body


=== TEST 7: in packets of 100 bytes
--- raw_request eval
main::packets(main::head('Content-Length: ' . length $main::body)
              . $main::body, 100)
--- raw_request_middle_delay: 0.01


=== TEST 8: chunked
--- raw_request eval
main::head('Transfer-Encoding: chunked') . main::chunked($main::body, 1000)


=== TEST 9: chunked in chunks of 3 bytes
--- raw_request eval
main::head('Transfer-Encoding: chunked') . main::chunked($main::body, 3)


=== TEST 10: chunked in packets that cut chunks
--- raw_request eval
main::packets(main::head('Transfer-Encoding: chunked')
              . main::chunked($main::body, 50), 77)
--- raw_request_middle_delay: 0.01


=== TEST 11: chunked into a file
--- location
client_body_buffer_size 1k;
--- raw_request eval
main::head('Transfer-Encoding: chunked')
. main::chunked("$main::body&data[X]=$main::long", 999)
--- onec eval
'{"id":"ID","event":"ONUSERADD","ts":1712304000,"received":NOW,"source":{"domain":"some-domain.bitrix24.com","member_id":"a223c6b3710f85df22e9377d6c4f7553"},"entity":{"type":"USER","id":"123"},"data":{"ID":"123","ACTIVE":"Y","EMAIL":"user@example.com","NAME":"Анна","LAST_NAME":"Weber","UF_DEPARTMENT":["1","2"],"X":"' . $main::long . '"}}'


=== TEST 12: chunked, in a file only
--- location: client_body_in_file_only clean;
--- raw_request eval
main::head('Transfer-Encoding: chunked') . main::chunked($main::body, 100)


=== TEST 13: 100-continue
--- raw_request eval
main::packets(main::head('Content-Length: ' . length $main::body,
                         'Expect: 100-continue') . $main::body, 300)
--- raw_request_middle_delay: 0.05
--- error_code: 100
--- response_body_like: ^HTTP/1\.1 200 OK\r\n.*\r\n\r\n\{"result":"accepted"


=== TEST 14: 100-continue and chunked, into a file
--- location: client_body_in_file_only clean;
--- raw_request eval
main::packets(main::head('Transfer-Encoding: chunked', 'Expect: 100-continue')
              . main::chunked($main::body, 300), 300)
--- raw_request_middle_delay: 0.05
--- error_code: 100
--- response_body_like: ^HTTP/1\.1 200 OK\r\n.*\r\n\r\n\{"result":"accepted"


=== TEST 15: HTTP/1.0
--- raw_request eval
my $head = main::head('Content-Length: ' . length $main::body) . $main::body;
$head =~ s{HTTP/1.1}{HTTP/1.0};
$head


=== TEST 16: the client disconnects in the middle of the body, no event is accepted
--- raw_request eval
main::head('Content-Length: ' . (length($main::body) + 100)) . $main::body
--- timeout: 0.3
--- abort
--- ignore_response
--- onec


=== TEST 17: invalid chunks
--- raw_request eval
main::head('Transfer-Encoding: chunked') . "zz\r\n$main::body"
--- error_code: 400
--- response_body_like: 400 Bad Request
--- onec

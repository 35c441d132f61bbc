#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The checks that t/lib/Bitrix1C/Blocks.pm adds to every block must be able to
# fail.  Stock nginx plays the gateway here, and its headers are set by hand.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Cases qw(fails passes);

$Bitrix1C::Cases::Before = <<"EOC";
use lib '$FindBin::Bin/lib';
use Bitrix1C::Blocks;

\$Bitrix1C::Blocks::WAIT = 0.3;
Test::Nginx::Socket::add_block_preprocessor(sub {
    \$_[0]->set_value(http_config => '# no bitrix1c_queue');
    \$_[0]->set_value(at_once => 1);
});
EOC

my $id = '0123456789abcdef' x 2;
my $now = time;
my $body = qq({"id":"$id","event":"ONX","ts":1,"received":$now,)
           . q("source":{"domain":"myshop.ru",)
           . q("member_id":"a223c6b3710f85df22e9377d6c4f7553"},)
           . q("entity":{"type":"X","id":"1"},"data":{"ID":"1"}});

my %headers = (
    'Content-Type'       => 'application/json',
    'Idempotency-Key'    => $id,
    'Webhook-Id'         => $id,
    'Webhook-Timestamp'  => $now,
    'X-Bitrix-Event'     => 'ONX',
    'X-Bitrix1c-Attempt' => 1,
);

my $expected = "--- onec expect\nONX 1 X 1 {\"ID\":\"1\"}\n";

passes('a sound delivery', block() . $expected);
passes('its id in the answer', block(answer => accepted($id)) . $expected);

fails('another body', block() . "--- onec expect\nONX 2 X 1 {\"ID\":\"1\"}\n",
      qr/1C received just that/);
fails('nothing was due', block() . "--- onec\n", qr/1C received just that/);
fails('two were due', block() . $expected . "ONX 1 X 2 {\"ID\":\"1\"}\n",
      qr/1C received just that/);
fails('an id that 1C never saw',
      block(answer => accepted('f' x 32)) . $expected,
      qr/answered but not delivered.*f{32}/s);

for my $name (sort keys %headers) {
    fails("wrong $name", block($name => 'wrong') . $expected,
          qr/headers of the deliveries.*\Q@{[lc $name]}\E/s);
}

fails('what 1C cannot take', block(text => '{"id":"","event":"ONX"'),
      qr/1C could take all it received.*invalid JSON/s);
fails('a token for 1C', block('X-Token' => '51856fefc120afa4b628cc82d3935cce'),
      qr/1C could take all it received.*secret/s);
fails('a token in a log', <<'EOB', qr/where a token was found.*access\.log/s);
=== TEST 1: log
--- config
location = /a { return 200; }
--- request
GET /a?51856fefc120afa4b628cc82d3935cce
EOB
fails('a token in Redis', <<'EOB', qr/where a token was found.*some key/s);
=== TEST 1: Redis
--- config
location = /a { return 200; }
--- init
Bitrix1C::Blocks::redis('HSET', 'some key', a => "x $Bitrix1C::Blocks::TOKEN");
--- request
GET /a
EOB
fails('another value in Redis', <<'EOB', qr/redis: GET some/);
=== TEST 1: Redis
--- config
location = /a { return 200; }
--- init
Bitrix1C::Blocks::redis('SET', 'some', 'a');
--- request
GET /a
--- redis
GET some = b
EOB
passes('that value in Redis', <<'EOB');
=== TEST 1: Redis
--- config
location = /a { return 200; }
--- init
Bitrix1C::Blocks::redis('SET', 'some', 'a');
--- request
GET /a
--- redis
GET some = a
GET other = nil
EOB
fails('an event left in Redis', <<'EOB', qr/redis: HLEN/);
=== TEST 1: Redis
--- config
location = /a { return 200; }
--- init
Bitrix1C::Blocks::redis('HSET', '{b1c:orders}:h', 'some', 'a');
--- request
GET /a
--- onec
EOB
fails('a refusal that no line tells', <<'EOB', qr/a line of error\.log/);
=== TEST 1: refusal
--- config
location = /a { return 200 '{"result":"forbidden"}\n'; }
--- request
GET /a
EOB
fails('a secret in error.log', <<'EOB', qr/CONFIDE/);
=== TEST 1: secret
--- config
location = /a { return 404; }
location = /b { limit_except POST { deny all; } }
--- request
GET /b?CONFIDENTIAL
--- error_code: 403
EOB
fails('an alert', <<'EOB', qr/\[alert\]/);
=== TEST 1: alert
--- init
open my $log, '>>', "$ENV{TEST_NGINX_SERVER_ROOT}/logs/error.log" or die;
print {$log} "0 [alert] 1#1: *1 open socket #3 left\n";
close $log;
--- config
location = /a { return 200; }
--- request
GET /a
EOB

done_testing();


sub accepted {
    return qq({"result":"accepted","id":"$_[0]"}\n);
}


# a block whose request reaches 1C with these headers and this body

sub block {
    my (%opt) = @_;

    my $answer = delete $opt{answer} // '';
    my $text = delete $opt{text} // $body;
    my %set = (%headers, %opt);
    my $lines = join "\n", map { "proxy_set_header $_ \"$set{$_}\";" }
                               sort keys %set;
    my $second = $answer eq '' ? '' : ', "GET /answer"';

    $answer =~ s/\n/\\n/;

    return <<"EOB";
=== TEST 1: delivery
--- config
location = /answer { return 200 '$answer'; }
location = /a {
    proxy_pass http://127.0.0.1:\$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
$lines
}
--- request eval
["POST /a\\n" . '$text'$second, "GET /onec/received?wait=1&show=count"]
--- error_code_like eval
[map { '200' } 1 .. 3]
EOB
}

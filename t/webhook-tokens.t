#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Only a token of this location is accepted, and only for its own portal.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

my $dir = tempdir(CLEANUP => 1);
$ENV{TEST_NGINX_OPEN_FILE} = "$dir/tokens";

open my $out, '>', "$dir/tokens" or die "$dir/tokens: $!\n";
print {$out} "* token-of-file\n";
close $out or die "$dir/tokens: $!\n";
chmod 0755, $dir;
chmod 0644, "$dir/tokens";

plan 'no_plan';
run_tests();


sub with_token {
    my ($token, @pairs) = @_;

    return post_bare(join "\n", 'event=ONSALEORDERNEW', 'ts=1',
                     'data[FIELDS][ID]=1', @pairs,
                     "auth[application_token]=$token");
}


# the statuses of requests with these tokens are enough

sub codes {
    return [map { with_token($_) } @_];
}

__DATA__

=== TEST 1: the second of several tokens
--- location
bitrix1c_token another1 $TEST_NGINX_TOKEN;
--- request post
event=ONSALEORDERNEW
data[FIELDS][ID]=1
ts=1
--- response_body_like: "accepted"
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 2: a second directive adds tokens
--- location
bitrix1c_token another1;
bitrix1c_token another2 another3;
--- request eval
main::codes('another1', 'another2', 'another3', 'another4')
--- error_code eval
[200, 200, 200, 403]


=== TEST 3: near misses
--- request eval
my $t = $Bitrix1C::Blocks::TOKEN;
main::codes('', substr($t, 0, 31), "${t}0", " $t", "$t%20", uc $t, "${t}0" x 9,
            "%00$t", 0)
--- error_code eval
[403, 403, 403, 403, 403, 403, 403, 400, 403]
--- response_body_like eval
[('forbidden') x 7, 'malformed', 'forbidden']
--- onec


=== TEST 4: no auth at all
--- request post_bare
event=ONSALEORDERNEW
data[FIELDS][ID]=1
--- error_code: 403
--- response_body
{"result":"forbidden"}
--- onec


=== TEST 5: auth is a scalar
--- request post_bare
event=ONSALEORDERNEW
data[FIELDS][ID]=1
auth=51856fefc120afa4b628cc82d3935cce
--- error_code: 403
--- response_body
{"result":"forbidden"}
--- onec


=== TEST 6: the token is a map
--- request post_bare
event=ONSALEORDERNEW
data[FIELDS][ID]=1
auth[application_token][0]=51856fefc120afa4b628cc82d3935cce
--- error_code: 403
--- response_body
{"result":"forbidden"}
--- onec


=== TEST 7: the token is in another key
--- request post_bare
event=ONSALEORDERNEW
data[FIELDS][ID]=1
application_token=51856fefc120afa4b628cc82d3935cce
data[auth][application_token]=51856fefc120afa4b628cc82d3935cce
--- error_code: 403
--- response_body
{"result":"forbidden"}
--- onec


=== TEST 8: the token is in the query
--- request
POST /bitrix/orders?auth[application_token]=another1
event=ONSALEORDERNEW&data[FIELDS][ID]=1
--- error_code: 403
--- response_body
{"result":"forbidden"}
--- location: bitrix1c_token another1;
--- onec


=== TEST 9: brackets encoded, hex in lower case
--- request post_bare
event=ONSALEORDERNEW
data%5bFIELDS%5d%5bID%5d=1
ts=1
auth%5bdomain%5d=myshop.ru
auth%5bmember_id%5d=a223c6b3710f85df22e9377d6c4f7553
auth%5bapplication_token%5d=51856fefc120afa4b628cc82d3935cce
--- response_body_like: "accepted"
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 10: token file: portals, comments, CRLF, several per portal
--- user_files eval
[['tokens', "# portals\n\n"
            . "a223c6b3710f85df22e9377d6c4f7553 token-of-member\n"
            . "myshop.ru\ttoken-of-domain\r\n"
            . "MyShop.ru token-of-domain-2\n"
            . "*            token-of-anybody\n"
            . "other.ru     token-of-other\n"]]
--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- request eval
[(map { main::with_token("token-of-$_",
                         'auth[member_id]=a223c6b3710f85df22e9377d6c4f7553',
                         'auth[domain]=myshop.ru') }
      qw(member domain anybody other)),
 main::with_token('token-of-member', 'auth[domain]=myshop.ru'),
 main::with_token('token-of-member',
                  'auth[member_id]=A223C6B3710F85DF22E9377D6C4F7553'),
 main::with_token('token-of-domain', 'auth[domain]=MYSHOP.RU'),
 main::with_token('token-of-domain', 'auth[domain]=sub.myshop.ru'),
 main::with_token('token-of-domain'),
 main::with_token('token-of-anybody'),
 main::with_token('token-of-other', 'auth[domain]=other.ru'),
 main::with_token('token-of-anybody', 'auth[domain]=*'),
 main::with_token('token-of-other', 'auth[domain]=*')]
--- error_code eval
[403, 403, 200, 403, 403, 200, 200, 403, 403, 200, 200, 200, 403]


=== TEST 11: token file and token together, path relative to nginx.conf
--- user_files
>>> tokens
other.ru token-of-other
--- location
bitrix1c_token_file  ../html/tokens;
bitrix1c_token       token-of-all;
--- request eval
[main::with_token('token-of-all'), main::with_token('token-of-other'),
 main::with_token('token-of-other', 'auth[domain]=other.ru')]
--- error_code eval
[200, 403, 200]


=== TEST 12: inherited from the server, replaced in the location
--- config
bitrix1c_token token-of-server;
location = /bitrix/orders {
    bitrix1c_webhook  orders;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
}
location = /own {
    bitrix1c_webhook  orders;
    bitrix1c_token    token-of-location;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
}
--- request eval
[main::with_token('token-of-server'), main::with_token('token-of-location'),
 map { my $r = main::with_token($_); $r =~ s{/bitrix/orders}{/own}; $r }
     'token-of-server', 'token-of-location']
--- error_code eval
[200, 403, 403, 200]


=== TEST 13: inherited from http
--- http_config
bitrix1c_token token-of-http;
--- config
location = /bitrix/orders {
    bitrix1c_webhook  orders;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
}
--- request eval
main::codes('token-of-http', 'token-of-https')
--- error_code eval
[200, 403]


=== TEST 14: the file is read again on reload
--- user_files
>>> tokens
* token-of-old
--- init
my $root = $ENV{TEST_NGINX_SERVER_ROOT};
open my $out, '>', "$root/html/tokens" or die "tokens: $!\n";
print {$out} "* token-of-new\n";
close $out or die "tokens: $!\n";
Bitrix1C::Blocks::reload();
--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- request eval
main::codes('token-of-old', 'token-of-new')
--- error_code eval
[403, 200]
--- no_error_log
token-of


=== TEST 15: a token of the wrong portal is logged without the token
--- user_files
>>> tokens
other.ru token-of-other
--- location: bitrix1c_token_file $TEST_NGINX_SERVER_ROOT/html/tokens;
--- request eval
main::with_token('token-of-other', 'auth[domain]=myshop.ru')
--- error_code: 403
--- response_body
{"result":"forbidden"}
--- no_error_log
token-of-other
--- onec


=== TEST 16: JSON body
--- more_headers
Content-Type: application/json
--- request post_json
{"event":"ONSALEORDERNEW","ts":1,"data":{"FIELDS":{"ID":1}},
 "auth":{"application_token":"51856fefc120afa4b628cc82d3935ccX"}}
--- error_code: 403
--- response_body
{"result":"forbidden"}
--- onec


=== TEST 17: JSON body, the token is a number, auth a list, null
--- more_headers
Content-Type: application/json
--- location: bitrix1c_token 1234567890;
--- request eval
["POST /bitrix/orders\n" . '{"event":"A","auth":{"application_token":1234567890}}',
 "POST /bitrix/orders\n" . '{"event":"A","auth":["1234567890"]}',
 "POST /bitrix/orders\n" . '{"event":"A","auth":null}',
 "POST /bitrix/orders\n" . '{"event":"A","ts":1,"auth":{"application_token":"1234567890"}}']
--- error_code eval
[403, 403, 403, 200]


=== TEST 18: a file that everybody can read is logged
--- location: bitrix1c_token_file $TEST_NGINX_OPEN_FILE;
--- suppress_stderr
--- request eval
main::with_token('token-of-file')
--- error_log eval
qr/\[warn\] .*can be read by every user/
--- no_error_log
token-of-file

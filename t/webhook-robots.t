#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Robots that have no token of their own: who gets in by a secret in the
# address, that the secret stands nowhere afterwards, what cannot be told apart
# from a repetition and is delivered, and what a waiting workflow needs.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(TOKEN wait_until);
use Bitrix1C::Http qw(http_request);

use constant {
    OTHER => 'token-of-another-portal-1b',
    SECOND => 'second-token-of-the-first-2c',
    EVENT_TOKEN => 'w.1|A51_82|hsyUws1j4XiwqPqN45eH66.47dd5d888e8e549d2c98',
};

my $log = q{'$request_uri|$args|$arg_token|$query_string|$request'}
          . q{ '|$bitrix1c_event|$bitrix1c_result|$bitrix1c_data_event_token'};

# the log of nginx itself stays, with $request in it

my $gw = Bitrix1C::Gateway->new(
    http => "log_format all $log;",
    location => 'bitrix1c_token ' . SECOND . ';'
                . ' bitrix1c_token_arg token; access_log DIR/all.log all;'
                . ' access_log DIR/access.log;',
    server => '
        location = /bitrix/portals {
            bitrix1c_webhook     orders;
            bitrix1c_token_file  DIR/tokens;
            bitrix1c_token_arg   key;
            bitrix1c_event_token on;
            bitrix1c_key         all;
            access_log           DIR/all.log all;
            proxy_pass           http://onec/CompanyName/hs/exchange/;
        }
        location = /bitrix/plain {
            bitrix1c_webhook     orders;
            bitrix1c_token       ' . SECOND . ';
            proxy_pass           http://onec/CompanyName/hs/exchange/;
        }');

s/\bDIR\b/$gw->{dir}/g for @$gw{qw(location server)};

open my $tokens, '>', "$gw->{dir}/tokens" or die "tokens: $!";
chmod 0600, $tokens;
print {$tokens} "portal-one @{[ OTHER ]}\n";
close $tokens;

$gw->start;

my $document = 'document_id[0]=crm&document_id[1]=CCrmDocumentDeal'
               . '&document_id[2]=DEAL_759';
my $robot = "$document&auth[domain]=myshop.ru&auth[member_id]=portal-one";
my $seen = 0;


sub ask {
    my ($path, $body, %opt) = @_;
    my $answer = http_request(port => $gw->{port}, path => $path,
                              body => $body, timeout => 30, %opt);
    my ($result) = ($answer->{body} // '') =~ /"result":"(\w+)"/;

    return "$answer->{status} " . ($result // '-');
}


# data of what came since the last time

sub came {
    my ($n) = @_;
    $gw->drained(20);
    my @all = $gw->onec_received($seen + $n, 10, 1);
    splice @all, 0, $seen;
    $seen += @all;
    return map { $_->{json} } @all;
}

# HTTP/2, where nginx puts the request line together itself

sub ask_h2 {
    my ($path, $body) = @_;
    open my $curl, '-|', 'curl', '-s', '--http2-prior-knowledge', '-d', $body,
        "http://127.0.0.1:$gw->{h2_port}$path" or die "curl: $!";
    my $answer = do { local $/; <$curl> };
    return $answer =~ /"result":"(\w+)"/ ? $1 : $answer;
}

# who gets in

my $ok = '200 accepted';
my $no = '403 forbidden';
my $path = '/bitrix/orders?token=';
my $encoded = join '', map { sprintf '%%%02x', ord } split //, TOKEN;
my $with = $robot . '&auth[application_token]=';

is ask($path . TOKEN, $robot), $ok, 'the secret';
is ask($path . SECOND, $robot), $ok, 'another one';
is ask($path . TOKEN, $robot), $ok, 'the same bytes again are another run';
is ask_h2($path . TOKEN, $robot), 'accepted', 'by HTTP/2';
is ask_h2("${path}x", $robot), 'forbidden', 'but not without it';
is ask("$path$encoded&a=1", $robot), $ok, 'encoded';
is ask("/bitrix/orders?b=2&token=@{[ TOKEN ]}&c=50%", $robot), $ok,
    'behind others';
is ask($path . TOKEN . '&token=x', $robot), $ok, 'the first one counts';
is ask("${path}x&token=" . TOKEN, $robot), $no, 'and no other';
is ask($path, $robot), $no, 'an empty one';
is ask('/bitrix/orders?token', $robot), $no, 'one without a value';
is ask('/bitrix/orders', $robot), $no, 'none';
is ask($path . substr(TOKEN, 0, -1), $robot), $no, 'less its end';
is ask($path . TOKEN . 'x', $robot), $no, 'more than it';
is ask('/bitrix/orders?Token=' . SECOND, $robot), $no, 'another name';
is ask('/bitrix/plain?token=' . SECOND, $robot), $no, 'where it is not allowed';

# a token in the body counts, whatever stands in the address

is ask($path . TOKEN, $with . 'wrong-token'), $no, 'a wrong one in the body';
is ask("${path}wrong-token", $with . TOKEN), $ok, 'a right one in the body';
is ask($path . TOKEN, $with), $no, 'an empty one in the body';
is ask($path . TOKEN, 'event=ONAPPPAYMENT&data[CODE]=a.b&ts=5'), $ok,
    'an event that has none';

# a token of one portal is none for another one

my $portals = '/bitrix/portals?key=' . OTHER;
is ask($portals, $robot), $ok, 'of its portal';
is ask($portals, $robot =~ s/portal-one/portal-two/r), $no, 'of another one';
is ask($portals, $robot), $ok, 'bitrix1c_key is not for robots';

my @came = came(11);
is scalar @came, 11, 'those came';
is_deeply [map { [sort keys %{ $_->{data} }] } @came],
    [map { [sort @$_] } (['document_id']) x 4, ['document_id', 'a'],
     ['document_id', 'b', 'c'], (['document_id']) x 2, ['CODE'],
     (['document_id']) x 2], 'without the secret';

# a robot whose body a redirect has taken

my $bad = '405 not_allowed';
is ask("$path@{[ TOKEN ]}", undef), '200 ready', 'GET, a look at the address';
is ask('/bitrix/orders', undef), '200 ready', 'without arguments';
is ask("$path@{[ TOKEN ]}&document_id=5", undef), $bad, 'GET of a robot';
is ask('/bitrix/orders?stage=5', undef), $bad, 'of another one';
is ask('/bitrix/plain?token=' . SECOND, undef), $bad,
    'where the secret is an argument as any other';
like $gw->slurp('error.log'), qr/GET with arguments; if it is a robot/,
    'the log says what to do';

# event_token: a run that names itself, and for what 1C needs it

my $waits = "$robot&code=ship&event_token=@{[ EVENT_TOKEN ]}&use_subscription=Y";

is ask($path . TOKEN, $waits), $ok, 'a robot that waits';
is ask($path . TOKEN, $waits), '200 duplicate', 'and says so twice';
is ask($path . TOKEN, $waits =~ s/hsy/xyz/r), $ok, 'another run of it';
is_deeply [map { exists $_->{data}{event_token} } came(2)], ['', ''],
    'is not told of it';

# the stand-in of 1C would take the token for a leak

$gw->redis('HSET', '{b1c:orders}:h', 'hold', 1);
is ask($portals, $waits), $ok, 'a robot that waits, where it is handed on';

my ($id) = @{ $gw->redis('ZRANGE', '{b1c:orders}:q', 0, -1) };
like $gw->redis('HGET', '{b1c:orders}:h', $id),
    qr/"event_token":"\Q@{[ EVENT_TOKEN ]}\E"\}\}$/, 'is told of it';
$gw->redis('DEL', map { "{b1c:orders}:$_" } qw(q h));

my ($events) = $gw->slurp('all.log') =~ tr/\n//;
ok $events, 'requests are logged';
unlike $gw->slurp('all.log'), qr/\Q@{[ EVENT_TOKEN ]}\E|@{[ OTHER ]}/,
    'without an event_token';
unlike $gw->slurp('error.log'), qr/\Q@{[ EVENT_TOKEN ]}\E|@{[ OTHER ]}/,
    'nor is it in the error log';
unlike $gw->slurp('all.log'), qr/@{[ TOKEN ]}|$encoded/i,
    'no secret of the address in a variable';
like $gw->slurp('all.log'), qr/\?b=2&token=\*{32}&c=50% HTTP/,
    'but all the rest of it';
like $gw->slurp('error.log'), qr/\?token=\*+ HTTP/, 'also in the error log';

# messages of a provider of an application

my $message = 'module_id=crm&type=SMS&code=p&message_id=8b5a&message_to=1&ts=5'
              . '&auth[member_id]=portal-one';
is ask($path . TOKEN, $message), $ok, 'a message';
is ask($path . TOKEN, $message), '200 duplicate', 'is itself';
is ask($path . TOKEN, $message =~ s/8b5a/8b5b/r), $ok, 'another one';
is_deeply [map { "$_->{entity}{type} $_->{entity}{id}" } came(2)],
    ['MESSAGE 8b5a', 'MESSAGE 8b5b'], 'came';

is scalar @{ $gw->dead_letters }, 0, 'no dead letters';
$gw->finish;
done_testing;

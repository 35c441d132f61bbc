#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The tools of the scenario tests must be able to fail.  The stand-in 1C answers
# in every mode and finds what 1C could not read, and the checks that end each
# scenario find crashes and leaked secrets.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until TOKEN);
use Bitrix1C::Http qw(connect_to http_request request_text);

my $gw = Bitrix1C::Gateway->new;
$gw->start_onec;

my ($port) = $gw->{onec} =~ /:(\d+)$/;
my $path = '/CompanyName/hs/exchange/';
my $n = 0;


sub order {
    my (%opt) = @_;
    my $id = $opt{id} // sprintf '%032x', ++$n;
    my $body = $opt{body} // qq({"id":"$id","data":{"NAME":"Анна"}});

    return (port => $port, path => $opt{path} // $path, body => $body,
            timeout => $opt{timeout} // 5, method => $opt{method} // 'POST',
            headers => { 'Content-Type' => 'application/json',
                         'Webhook-Id' => $id, %{ $opt{headers} // {} } });
}


sub ask {
    return http_request(order(@_));
}


# answers by number, with their distinguishing mark

my @ways = (
    [1 => 200, qr/^\{"result":"ok"\}$/],
    [2 => 200, qr/^\xEF\xBB\xBF\{/],
    [3 => 200, qr/^\{HTTPСервис\./],
    [4 => 200, qr/^$/],
    [5 => 400, qr/разобрать/],
    [6 => 401, qr/401/],
    [7 => 403, qr/^\xEF\xBB\xBF.*Начало сеанса с информационной базой запр/],
    [8 => 403, qr/Forbidden/],
    [9 => 404, qr/Not Found/],
    [10 => 406, qr/reason="406"/],
    [11 => 409, qr/Различаются версии/],
    [12 => 500, qr/by reason/],
    [13 => 500, qr/Конфликт блокировок/],
    [16 => 200, qr/ok/],
    [17 => 200, qr/ok/],
    [18 => 401, qr/401/],
    [19 => 400, qr/заголовок управления сеансами/],
    ['big' => 200, qr/^"x{100}/],
    ['throttle' => 429, qr/^$/],
    ['503' => 503, qr/503/],
);

for my $way (@ways) {
    my ($mode, $status, $body) = @$way;

    $gw->onec_mode({ mode => $mode });
    my $answer = ask();
    is $answer->{status}, $status, "mode $mode";
    like $answer->{body}, $body, "mode $mode: body";
}

# the other modes, where the connection or the framing matters

for my $mode (14, 'reset', 'truncated', 'cutchunk') {
    $gw->onec_mode({ mode => $mode });
    my $answer = eval { ask() } // { status => 0 };
    is $answer->{status}, 0, "mode $mode: no whole answer";
}

$gw->onec_mode({ mode => 'hang' });
is ask(timeout => 0.3)->{error}, 'timeout', 'mode hang';

$gw->onec_mode({ mode => 15, first => 0.4, then => 0.05 });
my ($slow, $fast) = (ask(), ask());
cmp_ok $slow->{seconds}, '>=', 0.4, 'mode 15: the first answer is slow';
cmp_ok $fast->{seconds}, '<', 0.4, 'mode 15: the second is not';

for my $mode (20, 'unframed', '204') {
    $gw->onec_mode({ mode => $mode });
    my $sock = connect_to($port);
    my %order = order();
    print {$sock} request_text(%order, headers => { %{ $order{headers} },
                                                   Connection => 'close' });
    local $/;
    my $answer = <$sock>;
    my $sign = { 20 => qr/Transfer-Encoding: chunked.*\r\n0\r\n\r\n\z/s,
                 unframed => qr/\A(?!.*Content-Length).*\}\z/s,
                 204 => qr/ 204 (?!.*Content-Length).*\r\n\r\n\z/s };
    like $answer, $sign->{$mode}, "mode $mode: framing";
}

$gw->onec_mode({ mode => 18 });
is ask(headers => { Authorization => 'Basic 0J7QsdC80LXQvTrRgdC10LrRgNC10YI='
    })->{status}, 200, 'mode 18: the right password in UTF-8';

$gw->onec_mode({ mode => 19 });
my $start = ask(headers => { IBSession => 'start' });
my ($cookie) = ($start->{headers}{'set-cookie'} // '') =~ /(ibsession=\w+)/;
is ask(headers => { Cookie => $cookie })->{status}, 200, 'mode 19: a session';

is ask(path => '/CompanyName/hs/other/')->{status}, 404, 'not published';
is ask(method => 'PUT')->{status}, 405, 'only POST';

# rules

$gw->onec_mode({ mode => 500, times => 2 }, { mode => 503, match => 'NAME' });
is join(' ', map { ask()->{status} } 1 .. 3), '500 500 503', 'times, match';

$gw->onec_mode({ mode => 500, per => 'id', times => 1 });
is join(' ', map { ask(id => $_)->{status} } qw(a b a b)), '500 500 200 200',
    'times for each id';

$gw->onec_mode({ mode => 500, skip => 1, every => 2 });
is join(' ', map { ask()->{status} } 1 .. 5), '200 500 200 500 200',
    'skip, every';

my @runs = map {
    $gw->onec_mode({ mode => 500, random => 0.5, seed => 7 });
    join ' ', map { ask()->{status} } 1 .. 20;
} 1, 2;
is $runs[0], $runs[1], 'a seed repeats the run';
like $runs[0], qr/500.*200|200.*500/, 'the run is a mixture';

$gw->onec_mode({ mode => 'refuse', seconds => 0.5 });
is ask()->{status}, 0, 'refuse';
ok wait_until(5, sub { ask()->{status} == 200 }), '1C is up again';

# requests that 1C could not read

my %bad = (
    'BOM, invalid JSON' => { body => "\xEF\xBB\xBF{\"id\":\"x\"}", id => 'x' },
    'invalid JSON' => { body => '{"id":"x",}', id => 'x' },
    'invalid UTF-8' => { body => "{\"id\":\"x\",\"a\":\"\xED\xA0\x80\"}",
                         id => 'x' },
    'control character' => { body => '{"id":"x","a":"\u0007"}', id => 'x' },
    'Webhook-Id is not the id' => { body => '{"id":"y"}', id => 'x' },
    'no Webhook-Id' => { body => '{"id":""}', id => '' },
    'secret key' => { body => '{"id":"x","data":{"access_token":"1"}}',
                      id => 'x' },
    'secret' => { body => '{"id":"x","a":"' . TOKEN . '"}', id => 'x' },
    'content type is not JSON' => { headers => { 'Content-Type' => 'text/x' } },
);

for my $what (sort keys %bad) {
    $gw->onec_ask('reset');
    is ask(%{ $bad{$what} })->{status}, 200, "$what: answered";
    is join(', ', sort keys %{ $gw->onec_stats->{violations} }), $what,
        "$what: found";
}

for my $good ('{"id":"x","a":"\\\\u0007\u0009\n"}', '{"id":"x","a":[1.5e3,-0,'
              . 'true,null,{},[]]}', '{"id":"x","a":"\ud83d\ude00 Ё"}') {
    $gw->onec_ask('reset');
    ask(body => $good, id => 'x');
    is_deeply $gw->onec_stats->{violations}, {}, "no violation: $good";
}

{
    $gw->onec_ask('reset');
    my $sock = connect_to($port);
    print {$sock} "POST $path HTTP/1.1\r\nHost: x\r\nWebhook-Id: x\r\n"
        . "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
        . "\r\n4\r\n{\"id\r\n6\r\n\":\"x\"}\r\n0\r\n\r\n";
    my ($r) = $gw->onec_received(1);
    is $r->{body}, '{"id":"x"}', 'a chunked body is read';
    is join(', ', sort keys %{ $gw->onec_stats->{violations} }),
        'chunked request, no Content-Length', 'chunked request: found';
}

# counters

$gw->onec_ask('reset');
$gw->onec_mode({ delay => 0.3 });
my @socks = map { my $s = connect_to($port);
                  print {$s} request_text(order(id => $_)); $s } qw(a b a);
$gw->onec_received(3, 5, 1);
my $stats = $gw->onec_stats;
is_deeply [@$stats{qw(max now ids duplicates taken taken_twice)}],
    [3, 0, 2, 1, 2, 1], 'concurrency, ids, duplicates';
is_deeply $gw->onec_ids, { a => { requests => 2, taken => 2 },
    b => { requests => 1, taken => 1 } }, 'requests of each id';
is scalar($gw->onec_received(4, 0.2)), 3, 'waiting for too many requests ends';

my $line = (split /\n/, $gw->slurp('onec.log'))[-1];
like $line, qr/^\{"n":3,.*"mode":"ok","status":200,"closed":""\}$/, 'log';

# the checks at the end of every scenario

sub found_in {
    my ($name, $text) = @_;
    open my $fh, '>', "$gw->{dir}/$name" or die;
    print {$fh} $text;
    close $fh;
    return scalar $gw->complaints + $gw->leaks;
}

$gw->{killed}{7} = 1;
is found_in('error.log', "a [error] b\n"), 0, 'an [error] is no complaint';
is found_in('error.log', "[alert] worker process 7 exited on signal 9\n"), 0,
    'a kill by the test is no complaint';
is found_in('error.log', "[alert] worker process 8 exited on signal 9\n"), 1,
    'another kill is a complaint';
my $locked = '[alert] shared memory zone "a_1" was locked by';
is found_in('error.log', "$locked 7\n"), 0,
    'a zone that a killed worker locked is no complaint';
is found_in('error.log', "$locked 8\n"), 1,
    'a zone that another worker locked is a complaint';
is found_in('error.log', "worker process 7 exited on signal 11\n"), 1, 'SEGV';
is found_in('error.log', "==1==ERROR: AddressSanitizer: x\n"), 1, 'ASan';
is found_in('error.log', "a.c:1:2: runtime error: x\n"), 1, 'UBSan';
is found_in('error.log', "client said " . TOKEN . "\n"), 1, 'a logged token';
unlink "$gw->{dir}/error.log";

$gw->onec_ask('reset');
$gw->finish;
done_testing;

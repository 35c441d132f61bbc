#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# An operator uses the dashboard.  1C refuses an order, the order appears among
# the dead letters with the customer's text as text, a click replays it, and it
# is delivered.  Deliveries are held and resumed; dead letters are found and
# deleted.

use strict;
use utf8;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Browser ();
use Bitrix1C::Gateway qw(wait_until);

use constant EVIL => '<script>window.evil=1;alert(1)</script>';
use constant EVIL_FORM => '%3Cscript%3Ewindow.evil%3D1%3Balert%281%29%3C'
    . '%2Fscript%3E';

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency 2; retry 1s;',
    server  => 'location /bitrix1c/ { bitrix1c_api; }',
)->start;
my $browser = Bitrix1C::Browser->new(process => $gw);


sub received {
    my ($n, $seconds) = @_;
    return $gw->onec_received($n, $seconds // 20, 1);
}


sub confirm {
    my ($re, $answer, $name) = @_;

    $browser->shows('#confirm', $re, $name);
    $browser->click("#confirm [value=$answer]");
    return;
}


$browser->open("http://127.0.0.1:$gw->{port}/bitrix1c/");
$browser->shows('#verdict h2', qr/^Events reach 1C$/, 'the page is shown');
$browser->shows('#dead .empty', qr/^None/, 'there is no dead letter');

# a dead letter appears, with text that a customer may type

$gw->onec_mode({ mode => '422', body => 'no such ' . EVIL });
my $id = $gw->post(id => 4711, fields => { COMMENTS => EVIL_FORM })->{id};
$browser->shows('#dead tbody', qr/ONSALEORDERNEW\s+SALEORDER\ 4711.*myshop\.ru
                                  .*refused.*\s422.*no\ such/sx,
                'a dead letter appears by itself');
$browser->shows('#failure', qr/Dead letter · status 422/,
                'the failure appears by itself');
$browser->click('#dead tbody .link');
$browser->shows('#letter pre', qr/"COMMENTS": "\Q@{[ EVIL ]}\E"/,
                'the body is shown, a script in it is text');
$browser->shows('#letter', qr/$id/, 'the body has its id');
is $browser->run('return typeof window.evil'), 'undefined',
    'the script did not run';
ok !eval { $browser->ask(GET => '/alert/text') }, 'the script opened no dialog';

# it is replayed and delivered

$gw->onec_mode();
$browser->click('#letter [value=replay]');
$browser->shows('#toasts', qr/^1 event will be sent to 1C again/, 'it is replayed');
my @r = received(2);
is join(' ', map { "$_->{id} $_->{status}" } @r), "$id 422 $id 200",
    '1C has taken it, with its id';
$browser->shows('#dead .empty', qr/^None/, 'it is no dead letter any more');
is_deeply $gw->dead_letters, [], 'Redis has no dead letter';
$browser->shows('#last', qr/Delivered · status 200/, 'the last answer is good');

# deliveries are held

$browser->click('#hold');
confirm(qr/Pause deliveries of .orders/, 'no', 'holding asks first');
$browser->click('#hold');
confirm(qr/Pause/, 'yes', 'holding asks again');
$browser->shows('#queues .pill', qr/^Paused$/, 'yes: on hold');
$gw->post(id => 4712);
$browser->look;
$browser->shows('#queues [data-f=waiting]', qr/^1$/, 'an event waits');
is scalar(received(3, 0.5)), 2, '1C does not get it';
$browser->click('#resume');
confirm(qr/Resume deliveries/, 'yes', 'resuming asks first');
is scalar(received(3)), 3, 'the event is delivered';
$browser->shows('#queues .pill', qr/^OK$/, 'the page says OK');

# several dead letters are filtered, selected, deleted, replayed

$gw->onec_mode({ mode => '422' });

# one after the other, since two at once die in either order

for my $n (1 .. 30) {
    $gw->post(id => $n, event => $n % 2 ? 'ONCRMDEALUPDATE'
                                        : 'ONSALEORDERSAVED');
    wait_until(20, sub { @{ $gw->dead_letters } == $n });
}

$browser->look;
$browser->shows('#dead .count', qr/^30$/, 'thirty dead letters');
$browser->shows('#shown', qr/^1–25$/, 'the first page');
$browser->click('#older');
$browser->shows('#shown', qr/^26–30$/, 'the second page');
$browser->counts('#dead tbody tr', 5, 'the second page has the oldest');
$browser->shows('#dead tbody', qr/SALEORDER 2 .*CRMDEAL 1 /s,
                'they are in order');
$browser->click('#newer');
$browser->shows('#shown', qr/^1–25$/, 'the first page again');

$browser->devtools('Browser.setDownloadBehavior', behavior => 'allow',
                   downloadPath => $gw->{dir});
$browser->click('#export');
$browser->shows('#toasts', qr/^30 dead letters were saved/m, 'all are exported');
ok wait_until(20, sub {
    my @lines = split /\n/, $gw->slurp('orders-dead.ndjson');
    return @lines == 30 && !grep { !/^\{"id":.*"body":\{.*\}$/ } @lines;
}), 'to a file of JSON lines' or diag $gw->slurp('orders-dead.ndjson');

$browser->type('#filter [name=event]', 'ONCRM*');
$browser->click('#filter [type=submit]');
$browser->shows('#replay', qr/that match/, 'the filter works');
$browser->counts('#dead tbody tr', 15, 'the filter finds half of them');
$browser->click('#dead tbody tr:nth-child(2) input');
$browser->click('#delete');
confirm(qr/Delete 1 dead letter\?/, 'yes', 'deleting asks first');
$browser->shows('#dead .count', qr/^29$/, 'the deleted letter is gone');
$browser->click('#delete');
confirm(qr/Delete all .* that match/, 'no', 'all that match: no');
$browser->click('#delete');
confirm(qr/cannot be undone/, 'yes', 'all that match: yes');
$browser->shows('#dead .empty', qr/matches the filter/, 'the letters are gone');
$browser->click('#filter [type=reset]');
$browser->shows('#dead .count', qr/^15$/, 'the other letters remain');

$gw->onec_mode();
$browser->click('#all');
$browser->shows('#picked', qr/^15 selected/,
                'all letters of a page are selected');
$browser->click('#replay');
$browser->shows('#toasts', qr/15 events will be sent to 1C again/,
                'the selected letters are replayed');
$browser->shows('#dead .empty', qr/^None/, 'the letters are gone');
ok $gw->drained(20), '1C has them';

$browser->click('[data-lang=ru]');
$browser->shows('#verdict h2', qr/^События доходят до 1С$/,
                'the page is in Russian');
$browser->gives('return document.documentElement.lang', 'ru',
                'the document says that it is in Russian');

is_deeply [$browser->complaints], [],
    'no error, no violation of the Content-Security-Policy';

$browser->screenshot("$FindBin::Bin/../build/dashboard.png", 1);
$browser->quit;
$gw->finish;
done_testing;

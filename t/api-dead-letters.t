#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Dead letters through the API: pages, filters, one letter with its body,
# replay, deletion and export, with any text that customers type and with
# changes between two requests.

use strict;
use warnings;

use FindBin ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(api api_error change status_of LOCATION);
use Bitrix1C::Gateway qw(wait_until TOKEN);

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    server  => LOCATION,
    # letters below died long ago
    queue   => 'concurrency 4; retry 60s; dead_letters 100000 age=36500d;',
)->start;

my ($h, $d) = map { "{b1c:orders}:$_" } qw(h d);
my $unknown = 'f' x 32;


sub dead {
    my (%args) = @_;
    return api($gw, join '&', 'dead?queue=orders',
               map { "$_=$args{$_}" } sort keys %args);
}


sub ids {
    my ($answer) = @_;
    return join ' ', map { $_->{id} } @{ ($answer->{json} // {})->{items} // [] };
}


# all pages: the ids, and how many pages there were

sub pages {
    my (%args) = @_;
    my ($cursor, @ids);
    my $pages = 0;

    do {
        my $answer = dead(%args, $cursor ? (cursor => $cursor) : ());
        is $answer->{status}, 200, 'a page' or return;
        push @ids, map { $_->{id} } @{ $answer->{json}{items} };
        $cursor = $answer->{json}{cursor};
        $pages++;
    } while ($cursor && $pages < 20);

    return ($pages, @ids);
}


# replays or deletes, until the answer has no cursor

sub change_all {
    my ($what, $how) = @_;
    my ($cursor, $sum) = ('', 0);

    for (1 .. 20) {
        my $json = change($gw, "dead/$what?queue=orders&$how"
                          . ($cursor && "&cursor=$cursor"))->{json};
        $sum += $json->{ $what eq 'replay' ? 'replayed' : 'deleted' };
        $cursor = $json->{cursor} or return $sum;
    }

    return 'no end';
}


# what customers type

my $typed = qq(<script>alert("1")</script>\\ ' &amp; %00 \x{1f600} \x{2028});
my $encoded = $typed;
utf8::encode($encoded);
$encoded =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;

$gw->onec_mode({ mode => '422', body => qq(it is <b>"bad"</b>\n) });
my $hostile = $gw->post(id => 1, fields => { NAME => $encoded })->{id};
ok wait_until(5, sub { @{ $gw->dead_letters } == 1 }), 'a dead letter';

my $answer = dead();
is $answer->{json}{total}, 1, 'total';
is $answer->{json}{cursor}, undef, 'there is one page';
my $item = $answer->{json}{items}[0];
cmp_ok abs($item->{$_} - time), '<', 10, "list: $_" for qw(created died);
is_deeply { map { $_ => $item->{$_} } grep { !/created|died|size/ }
            keys %$item },
    { id => $hostile, event => 'ONSALEORDERNEW', portal => 'myshop.ru',
      entity => { type => 'SALEORDER', id => '1' }, attempts => 1,
      reason => $gw->reason($hostile) }, 'the letter has the other fields';
like $item->{reason}, qr/status 422/, 'the letter has its reason';

$answer = api($gw, "dead/$hostile?queue=orders");
is $answer->{json}{body}{data}{FIELDS}{NAME}, $typed, 'the body is unchanged';
is $answer->{json}{body}{id}, $hostile, 'the body has its id';
is $answer->{headers}{'x-content-type-options'}, 'nosniff',
    'the answer cannot be taken for HTML';
is index($answer->{body}, TOKEN), -1, 'the answer has no token';
is $gw->redis('STRLEN', 'none') + $answer->{json}{size},
    length $gw->redis('HGET', $h, $hostile), 'the letter has its size';

# the answer is valid JSON, whatever Redis holds

$gw->redis('HSET', $h, "$hostile:r", qq(\xff\xfe <b>"\\ \x00\x01\n\xd0));
$answer = dead();
is $answer->{json}{items}[0]{reason},
    qq(\x{fffd}\x{fffd} <b>"\\ \x00\x01\n\x{fffd}),
    'a reason of any bytes is valid JSON';

for my $record ("\xff", '', 'b1 5 7', "b1 1 1\nab,\"event\":\"\xff",
                "b1 999999999999 1\nx", "b9 1 1\n{}", "b1 0 1\n/,\"event\":1}")
{
    $gw->redis('HSET', $h, $hostile, $record);
    my $list = dead();
    is ids($list), $hostile, 'a broken record is listed' or diag $list->{body};
    my $shown = api($gw, "dead/$hostile?queue=orders");
    is ref $shown->{json}, 'HASH', 'and shown' or diag $shown->{body};
}

$gw->redis('HDEL', $h, $hostile, "$hostile:m", "$hostile:r");
is ids(dead()), $hostile, 'a letter without its fields is listed';
like api_error(change($gw, "dead/replay?queue=orders&id=$hostile")),
    qr/^409 Conflict: .*cannot be replayed/,
    'a letter without its fields is not replayed';
is_deeply change($gw, "dead/delete?queue=orders&id=$hostile")->{json},
    { deleted => 1, cursor => undef }, 'a letter without its fields is deleted';

# pages and filters

my @made;

for my $n (1 .. 25) {
    my $id = sprintf '%032x', $n;
    my ($event, $domain, $member) = $n % 2 ? ('ONCRMDEALUPDATE', 'a.ru', 'Mx')
                                           : ('ONSALEORDERNEW', 'b.by', 'My');
    my $body = qq(,"event":"$event","ts":1,"received":1,"source":{"domain":)
             . qq("$domain","member_id":"$member"},"entity":{"type":"T",)
             . qq("id":null},"data":{"N":"$n"}});
    my ($key, $lane) = ($id, sprintf '%032x', 1000 + $n % 3);

    # three with the same time of death
    $gw->redis('ZADD', $d, 1000 * int($n / 3) + 1_700_000_000_000, $id);
    $gw->redis('HSET', $h, $id, "b1 0 14\n/bitrix/orders$body", "$id:m",
               "3 2 0 0 1699999999000 0 $key $lane", "$id:r",
               $n % 5 ? 'Refused it' : 'was CLOSED');
    unshift @made, $id;
}

my ($pages, @ids) = pages(limit => 7);
is "$pages @ids", "4 @made", 'pages: the newest first';
($pages, @ids) = pages(limit => 25);
is "$pages @ids", "1 @made", 'one page of all';
($pages, @ids) = pages(limit => 1);
is "$pages", 20, 'pages of one';
is ids(dead(limit => 2, event => 'oncrm*')), "@made[0, 2]", 'filter by event';
($pages, @ids) = pages(limit => 3, event => '*order*');
is "$pages @ids", "5 @made[map { 2 * $_ + 1 } 0 .. 11]",
    'filter in pages; the last one is empty';
is ids(dead(portal => 'B.B', limit => 2)), "@made[1, 3]", 'filter by domain';
is ids(dead(portal => 'mx', limit => 2)), "@made[0, 2]", 'filter by member';
is ids(dead(reason => 'closed')), "@made[0, 5, 10, 15, 20]", 'filter by reason';
is ids(dead(reason => 'was+CLOSED', event => '*deal*')), "@made[0, 10, 20]",
    'filter by two conditions';
is ids(dead(from => 1_700_000_008)), "@made[0, 1]", 'from';
is ids(dead(to => '1700000000.999')), "@made[23, 24]", 'to';
is ids(dead(from => 1_700_000_003, to => 1_700_000_003)), "@made[14 .. 16]",
    'filter by time';
is ids(dead(from => 5, to => 4)), '', 'none';
is ids(dead(event => 'X')), '', 'a filter that matches nothing';
is dead(event => 'X')->{json}{total}, 25, 'the total counts all letters';

# letters that are deleted between two pages

my $page = dead(limit => 8)->{json};
my $at = $page->{items}[7]{id};
is $at, $made[7], 'a page';
is change($gw, "dead/delete?queue=orders&id=$at")->{json}{deleted}, 1,
    'the last letter of the page is deleted';
is ids(dead(limit => 2, cursor => $page->{cursor})), "@made[8, 9]",
    'the next page begins where it should';
like api_error(change($gw, "dead/delete?queue=orders&id=$at")),
    qr/^404 NotFound: /, 'a deleted letter cannot be deleted';
like api_error(change($gw, "dead/replay?queue=orders&id=$at")),
    qr/^404 NotFound: /, 'a deleted letter cannot be replayed';
like api_error(api($gw, "dead/$at?queue=orders")), qr/^404 NotFound: /,
    'a deleted letter cannot be shown';
splice @made, 7, 1;

# export, page by page

sub export {
    my ($what, $limit) = @_;
    my ($cursor, @lines) = ('');

    for (1 .. 30) {
        my $a = api($gw, "export?queue=orders&what=$what&limit=$limit$cursor");
        is $a->{status}, 200, "export of $what";
        is $a->{headers}{'content-type'}, 'application/x-ndjson',
            'the export has its type';
        push @lines, map { JSON::PP->new->utf8->decode($_) }
                     split /\n/, $a->{body};
        my $next = $a->{headers}{'x-cursor'} // return @lines;
        $cursor = "&cursor=$next";
    }

    return;
}

my @lines = export('dead', 10);
is join(' ', map { $_->{id} } @lines), join(' ', reverse @made),
    'export: the oldest first';
is join(' ', map { $_->{body}{data}{N} } @lines),
    join(' ', 1 .. 17, 19 .. 25), 'export: every letter has its body';

# replay and deletion by filter, in the order of their death

is change_all('delete', 'reason=closed'), 5, 'deleted by reason';
my @left = grep { hex(substr $_, -8) % 5 } @made;
is ids(dead(limit => 100)), "@left", 'the other letters remain';
is $gw->redis('HLEN', $h), 3 * @left, 'Redis holds nothing of the deleted ones';

$gw->onec_ask('reset');
$gw->onec_mode();
is change_all('replay', 'event=ONCRM*'), 10, 'replayed by event';
my @r = $gw->onec_received(10, 10, 1);
is scalar(@r), 10, 'they reach 1C';
ok $gw->drained(5), 'all of them are taken';
my %lane;
push @{ $lane{ hex(substr $_->{id}, -8) % 3 } }, $_->{id} for @r;
is "@{ $lane{$_} }", join(' ', sort @{ $lane{$_} }), "lane $_ in order"
    for sort keys %lane;

# a waiting event is no dead letter

change($gw, 'queue/hold?queue=orders');
is change_all('replay', 'all=1'), @left - 10, 'all other letters are replayed';
my $living = $left[0];
like api_error(change($gw, "dead/replay?queue=orders&id=$living")),
    qr/^409 Conflict: .*waits or is being delivered/,
    'a waiting event cannot be replayed';
like api_error(change($gw, "dead/delete?queue=orders&id=$living")),
    qr/^409 Conflict: /, 'a waiting event cannot be deleted';
@lines = export('waiting', 3);
is join(' ', sort map { $_->{id} } @lines),
    join(' ', sort grep { !(hex(substr $_, -8) % 2) } @left),
    'waiting events can be exported';
is scalar(grep { exists $_->{died} } @lines), 0,
    'a waiting event has no time of death';
my $s = status_of($gw);
is "$s->{waiting} $s->{followers}", (@left - 10) . ' ' . (@left - 13),
    'every event is exported';
change($gw, 'queue/resume?queue=orders');
ok $gw->drained(5), 'they are delivered';
is_deeply $gw->dead_letters, [], 'no dead letter is left';
is join(' ', @{ status_of($gw)->{counters} }{qw(replayed deleted)}), '19 7',
    'the counters are right';

# more letters than one request examines

$gw->redis('EVAL', <<'E', 2, $d, $h);
for i = 1, 2500 do
    local id = string.format('%032x', i)
    redis.call('ZADD', KEYS[1], i, id)
    redis.call('HSET', KEYS[2], id, 'b1 0 1\n/,"event":"ONX","data":{}}',
               id .. ':m', '1 0 0 0 1 0 ' .. id .. ' ' .. id)
end
E

$answer = dead(event => 'NO');
is ids($answer), '', 'a page without a match';
isnt $answer->{json}{cursor}, undef, 'it has a cursor';
($pages, @ids) = pages(event => 'NO');
is "$pages @ids", '3 ', 'the cursor leads to the end';
$answer = change($gw, 'dead/delete?queue=orders&all=1');
is $answer->{json}{deleted}, 1000, 'a bounded number is deleted';
is change_all('delete', 'all=1'), 1500, 'then the other letters are deleted';
is $gw->redis('HLEN', $h), 0, 'the queue is empty';

# Redis is down

$gw->stop_redis('KILL');
ok wait_until(5, sub { dead()->{status} == 503 }), 'Redis is away';
like api_error($_), qr/^503 Unavailable: Redis of queue "orders" is not available: ./,
    'said so'
    for dead(), api($gw, "dead/$unknown?queue=orders"),
        api($gw, 'export?queue=orders'),
        change($gw, "dead/replay?queue=orders&id=$unknown"),
        change($gw, 'dead/delete?queue=orders&all=1'),
        change($gw, 'queue/hold?queue=orders'),
        change($gw, 'queue/resume?queue=orders');

$gw->finish;
done_testing;

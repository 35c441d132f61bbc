#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Several queues in one nginx, two of them in one Redis.  Each has its own
# events, limits and schedule, and a queue without Redis does not stop the
# others.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until TOKEN);
use Bitrix1C::Http qw(http_request percentile);

# how long the events that fill a queue take, s
use constant DELAY => 1;

my $gw = Bitrix1C::Gateway->new(
    workers => 2,
    queue   => 'concurrency 1; retry 1s;',
);
my $dir = $gw->{dir};

$gw->{http} = "bitrix1c_queue crm { redis unix:$gw->{socket} timeout=1s;"
              . ' concurrency 2; retry 300ms; }'
              . " bitrix1c_queue lost { redis unix:$dir/nowhere.sock"
              . ' timeout=1s; }';
$gw->{server} = join '', map {
    "location = /bitrix/$_ { bitrix1c_webhook $_; bitrix1c_token "
    . TOKEN . '; proxy_pass http://onec/CompanyName/hs/exchange/' . "$_;"
    . ' proxy_http_version 1.1; proxy_set_header Connection ""; }'
} qw(crm lost);
$gw->start;


sub post_to {
    my ($where, %opt) = @_;
    my $answer = http_request(port => $gw->{port}, path => "/bitrix/$where",
                              body => $gw->event_body(%opt));
    my ($result) = ($answer->{body} // '') =~ /"result":"(\w+)"/;
    return "$answer->{status} " . ($result // $answer->{error} // '');
}


sub depth_of {
    my ($queue) = @_;
    return $gw->redis('ZCARD', "{b1c:$queue}:q");
}


# the same order in two queues is two events

is post_to(orders => id => 1), '200 accepted',
    'an order in one queue is accepted';
is post_to(crm => id => 1), '200 accepted',
    'the same order in another queue is accepted';
is post_to(orders => id => 1), '200 duplicate',
    'a repeat in the first queue is a duplicate';
is post_to(crm => id => 1), '200 duplicate',
    'a repeat in the other queue is a duplicate';
my @r = $gw->onec_received(2, 5, 1);
is join(' ', sort map { $_->{path} } @r), '/CompanyName/hs/exchange/'
    . ' /CompanyName/hs/exchange/crm',
    'each queue delivers by its own location';

# a full queue does not delay the other

$gw->onec_ask('reset');
$gw->onec_mode({ delay => DELAY, match => '"id":"1\d"' });
post_to(orders => id => $_) for 10, 11;
$gw->onec_received(1);

my @late;

for my $i (0 .. 2) {
    my $start = time;
    post_to(crm => id => 20 + $i);
    @r = $gw->onec_received(2 + $i, 5);
    is $r[-1]{json}{entity}{id}, 20 + $i,
        'the other queue has its own concurrency';
    push @late, $r[-1]{time} - $start;
}

cmp_ok percentile(50, @late), '<', 0.3, 'the other queue does not wait';
cmp_ok percentile(100, @late), '<', DELAY * 0.7, 'no event of it waits';
is depth_of('orders'), 2, 'the first is busy';
ok wait_until(5, sub { !depth_of('orders') && !depth_of('crm') }), 'all done';

# schedules and dead letters

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', match => '"id":"3\d"' });
post_to(crm => id => 30);
ok wait_until(3, sub { $gw->redis('ZCARD', '{b1c:crm}:d') == 1 }),
    'one queue has a dead letter';
is $gw->redis('ZCARD', '{b1c:orders}:d'), 0, 'the other queue has none';
is $gw->onec_stats->{received}, 2, 'the queue uses its own schedule';

# one queue has no Redis

$gw->onec_ask('reset');
is post_to(lost => id => 40), '503 unavailable', 'a queue without Redis';
is post_to(orders => id => 40), '200 accepted', 'the first other queue works';
is post_to(crm => id => 40), '200 accepted', 'the second other queue works';
is scalar($gw->onec_received(2, 5)), 2, 'both deliver';

# names that would be equal without a separator

$gw->{http} = join ' ', map {
    "bitrix1c_queue $_ { redis unix:$gw->{socket}; }"
} qw(a a_b);
$gw->{server} = 'location /bitrix24/ { return 200 "{\"result\":1}"; }'
    . join '', map {
        my ($queue, $portal) = split /:/;
        "location /$queue/ { bitrix1c_rest $queue; bitrix1c_methods *;"
        . " bitrix1c_pace portal=$portal;"
        . " proxy_pass http://127.0.0.1:$gw->{port}/bitrix24/; }"
    } qw(a:b_c a_b:c);
ok $gw->reload, 'two queues with a portal each';
is http_request(port => $gw->{port}, path => "/$_/app.info")->{status}, 200,
    "a call by queue $_" for qw(a a_b);

$gw->finish;
done_testing;

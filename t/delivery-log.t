#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The log format in the documentation writes one line per delivery, whatever
# text a customer typed and however the delivery ended.  The error log says when
# an outage begins and ends; it does not repeat it for each event.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(status_of LOCATION);
use Bitrix1C::Gateway qw(wait_until TOKEN);

use constant EVENTS => 15;

open my $readme, '<', "$FindBin::Bin/../README.md" or die "README.md: $!";
my ($format) = do { local $/; <$readme> }
               =~ /^(log_format bitrix1c_deliveries .*?;)$/ms;
ok $format, 'the documentation has the format' or BAIL_OUT('no format');

my $gw = Bitrix1C::Gateway->new(
    workers  => 1,
    http     => $format,
    server   => LOCATION,
    redis    => 'timeout=1s',
    queue    => 'concurrency 4; retry 300ms 60s;',
    location => 'log_subrequest on; bitrix1c_permanent 422; access_log DIR/'
                . 'deliveries.log bitrix1c_deliveries if=$bitrix1c_attempt;',
);
$gw->{location} =~ s/DIR/$gw->{dir}/;
$gw->start;


sub lines {
    my ($id) = @_;
    return grep { /\bid=$id\b/ } split /\n/, $gw->slurp('deliveries.log');
}


sub logged {
    my ($re) = @_;
    return scalar grep { /$re/ } split /\n/, $gw->slurp('error.log');
}


my $WORD = qr/(?:[^"\\\s]|\\x[0-9A-F]{2})*/;
my $TEXT = qr/(?:[^"\\]|\\x[0-9A-F]{2})*/;


sub is_line {
    my ($line, $what, %want) = @_;
    my $time = '\d+-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d';

    ok $line =~ /^$time\ id=(?<id>$WORD)\ event=(?<event>$WORD)
                 \ portal="(?<portal>$TEXT)"\ entity="(?<entity>$TEXT)"
                 \ attempt=(?<attempt>\d+)\ status=(?<status>\S+)
                 \ seconds=(?<seconds>\S+)\ verdict=(?<verdict>\w+)
                 \ reason="(?<reason>$TEXT)"$/x, "$what: a line in the format"
        or diag $line;
    my %got = %+;
    is $got{$_}, $want{$_}, "$what: $_" for sort keys %want;

    return;
}


# a slow delivery that loses its lease, which is noticed after a while

$gw->onec_mode({ delay => 30, times => 1 });
my $lost = $gw->post(id => 3)->{id};
ok $gw->onec_received(1, 5), 'a long delivery';
my ($meta) = $gw->redis('HGET', '{b1c:orders}:h', "$lost:m") =~ /^\S+ (.*)/;
$gw->redis('HSET', '{b1c:orders}:h', "$lost:m", "7 $meta");

# one event is taken, one retried, one refused

my $id = $gw->post(id => 1)->{id};
ok wait_until(5, sub { lines($id) == 1 }), 'delivered';
is_line((lines($id))[0], 'delivered', event => 'ONSALEORDERNEW',
        portal => 'myshop.ru', entity => 'SALEORDER/1', attempt => 1,
        status => 200, verdict => 'delivered', reason => '-');

$gw->onec_mode({ mode => '503', times => 1 });
$id = $gw->post(id => 2)->{id};
ok wait_until(5, sub { lines($id) == 2 }), 'again';
is_line((lines($id))[0], 'first', attempt => 1, status => 503,
        verdict => 'retry');
is_line((lines($id))[1], 'second', attempt => 2, status => 200,
        verdict => 'delivered');

my $evil = '%22%0D%0A2024+id%3Dfake+%22%5C%3Cscript%3E%00'
           =~ s/%0D%0A|%00//gr;
$gw->onec_mode({ mode => '422',
                 body => qq(say "no" \\ \r\n\x1b[31m id=fake\n) });
$id = $gw->post(id => $evil, domain => 'a%22b+c.ru')->{id};
ok wait_until(5, sub { lines($id) == 1 }),
    'an event with hostile text has one line';
is_line((lines($id))[0], 'hostile', status => 422, verdict => 'dead',
        portal => 'a\\x22b c.ru',
        entity => 'SALEORDER/\\x222024 id=fake \\x22\\x5C<script>');
is scalar(grep { !/^\d{4}-/ } split /\n/, $gw->slurp('deliveries.log')), 0,
    'every line begins as the format does';
is index($gw->slurp('deliveries.log'), TOKEN), -1,
    'the token is not in the log';

# outages

is logged(qr/\[warn\].*will be retried in .* further failures are logged at/), 1,
    'the first failure of a series is a warning';
is logged(qr/\[notice\].*1C accepts events again after 1 failed attempts/),
    1, 'the end of the series is logged';
is logged(qr/\[error\].*became a dead letter/), 1,
    'a dead letter is logged as an error';

$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500' });
my @ids = map { $gw->post(id => 100 + $_)->{id} } 1 .. EVENTS;
ok wait_until(15, sub { $gw->onec_stats->{answered} >= 2 * EVENTS }),
    'an outage: each event fails twice';
ok wait_until(5, sub {
    logged(qr/\[info\].*will be retried in/) == 2 * EVENTS
}), 'each failure is logged at level info';
is logged(qr/\[warn\].*will be retried in/), 1,
    'no second warning is logged within a minute';

$gw->onec_mode({ mode => '422' });
$gw->redis('ZADD', '{b1c:orders}:q', 'XX', 1, $_) for @ids;
ok wait_until(15, sub { $gw->depth == 1 }), 'then all become dead letters';
is logged(qr/\[error\].*became a dead letter/), 1,
    'the error is not logged for each of them';
is logged(qr/became a dead letter/), 1 + EVENTS,
    'each of them is logged at level info';

# the delivery that lost its lease

ok wait_until(12, sub { lines($lost) == 1 }),
    'the delivery that lost its lease has one line';
is_line((lines($lost))[0], 'lost', verdict => 'lost', status => '-');
is logged(qr/\[warn\].*the lease of event $lost was lost/), 1,
    'the lost lease is logged as a warning';
is status_of($gw)->{counters}{lost}, 1, 'the lost lease is counted';
$gw->onec_mode();
$gw->redis('ZADD', '{b1c:orders}:q', 'XX', 1, $lost);
ok $gw->drained(10), 'another delivery succeeds';
ok wait_until(5, sub {
    split(/\n/, $gw->slurp('deliveries.log')) == 3 * EVENTS + 6
}), 'each delivery has its line';

# Redis

$gw->stop_redis('KILL');
ok wait_until(5, sub { logged(qr/\[error\].*Redis is lost/) == 1 }),
    'one line says that Redis is down';
my @refused = map { $gw->post(id => 200 + $_)->{status} } 1 .. 2;
is "@refused", '503 503', 'two events are refused';
is logged(qr/\[error\].*could not store event/), 1,
    'one error is logged for both';
is logged(qr/\[info\].*could not store event/), 1,
    'the other one is logged at level info';
$gw->start_redis;
ok wait_until(5, sub { logged(qr/\[notice\].*Redis is back/) == 1 }),
    'one line says that Redis is back';

$gw->finish;
done_testing;

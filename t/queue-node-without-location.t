#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Two nginx nodes share a queue, and only one of them has the location of its
# events.  The other one spends no attempts of them: it gives them back, without
# passing them to and fro.  If no node has the location, they become dead
# letters after an hour.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until TOKEN);
use Bitrix1C::Http qw(http_request);
use Bitrix1C::Lanes qw(second_node);

use constant EVENTS => 40;

my %conf = (workers => 1, queue => 'concurrency 4; retry 300ms 300ms;');
my $token = TOKEN;
my $here = "location /here { bitrix1c_webhook orders; bitrix1c_token $token;"
    . ' proxy_pass http://onec/CompanyName/hs/exchange/;'
    . ' proxy_http_version 1.1; proxy_set_header Connection ""; }';

my $gw = Bitrix1C::Gateway->new(%conf, server => $here)->start;
my $other = second_node($gw, %conf, queue => "$conf{queue} hold on;");
my $h = '{b1c:orders}:h';


sub post_here {
    my ($id) = @_;
    my $answer = http_request(port => $gw->{port}, path => '/here',
                              body => $gw->event_body(id => $id));
    return $answer->{body} =~ /"id":"(\w+)"/ ? $1 : '';
}


sub attempts {
    my ($id) = @_;
    my $meta = $gw->redis('HGET', $h, "$id:m") // '';
    return (split / /, $meta)[1] // 0;
}

# both nodes look for what is due, and only the first one can deliver it

$gw->onec_mode({ mode => '500', times => 1, per => 'id' });
my @ids = map { post_here($_) } 1 .. EVENTS;
$other->{queue} = $conf{queue};
ok $other->reload, 'the second node begins to deliver';
ok $gw->drained(40), 'all events are delivered by the node that can';
is_deeply $gw->dead_letters, [], 'there is no dead letter';
my $known = $gw->onec_ids;
is scalar(grep { ($known->{$_}{requests} // 0) == 2 } @ids), EVENTS,
    'each one in its second attempt';

# only the node without the location runs

$gw->{queue} = "$conf{queue} hold on;";
ok $gw->reload, 'the first node stops to deliver';
my $id = post_here(1000);
ok wait_until(10, sub { $gw->reason($id) =~ /no location.*\(since \d+\)$/ }),
    'the second one says that it has no location';
my $epoch = ($gw->redis('HGET', $h, "$id:m") =~ /^(\d+)/)[0];
sleep 5;
cmp_ok +($gw->redis('HGET', $h, "$id:m") =~ /^(\d+)/)[0] - $epoch, '<=', 8,
    'it does not try it again and again';
is attempts($id), 0, 'no attempt is spent';
is_deeply $gw->dead_letters, [], 'it is no dead letter yet';

# an hour later

$gw->redis('HSET', $h, "$id:r",
           $gw->reason($id) =~ s/since \K(\d+)/$1 - 3_600_000/er);
ok wait_until(10, sub { @{ $gw->dead_letters } }),
    'after an hour it is a dead letter';
like $gw->reason($id), qr/no location/, 'the reason is kept';
like $other->slurp('error.log'), qr/\[error\].*$id.*dead letter.*no location/,
    'the log says so';

$other->finish;
$gw->finish;
done_testing;

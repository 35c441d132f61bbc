#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A dead letter that is gone is forgotten: its repeat is a new event.  Dead
# letters go when they are too old, also if no other one dies.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(http_request);

my $gw = Bitrix1C::Gateway->new(
    queue  => 'dead_letters 2 age=30d;',
    server => 'location /api/ { bitrix1c_api; }',
);
$gw->start;
$gw->onec_mode({ mode => '422' });


# posts an event that 1C refuses, and waits for its death

sub dies {
    my ($id, $n) = @_;
    my $posted = $gw->post(id => $id, ts => 1);

    ok wait_until(10, sub { grep { $_ eq $posted->{id} }
                            @{ $gw->dead_letters } }),
        "event $id is a dead letter";

    return $posted->{id};
}


my $first = dies(1);
is $gw->post(id => 1, ts => 1)->{result}, 'duplicate',
    'its repeat is a duplicate while it is kept';

my $deleted = http_request(port => $gw->{port},
    path => "/api/dead/delete?queue=orders&id=$first", body => '',
    headers => { 'X-Bitrix1c' => 1 }, timeout => 10);
is $deleted->{status}, 200, 'it is deleted' or diag $deleted->{body};

my $again = $gw->post(id => 1, ts => 1);
is $again->{result}, 'accepted', 'its repeat is a new event then';
ok wait_until(10, sub { @{ $gw->dead_letters } == 1 }), 'which dies';

dies($_) for 2, 3;
is scalar @{ $gw->dead_letters }, 2, 'the oldest is dropped';
is $gw->post(id => 1, ts => 1)->{result}, 'accepted',
    'its repeat is a new event too';
is $gw->post(id => 3, ts => 1)->{result}, 'duplicate',
    'the repeat of a kept one is not';
ok $gw->drained(10), 'the queue is empty';

$gw->{queue} = 'dead_letters 2 age=1s;';
ok $gw->reload, 'a short age';
ok wait_until(30, sub { @{ $gw->dead_letters } == 0 }),
    'the dead letters go without another one that dies';
is $gw->post(id => 3, ts => 1)->{result}, 'accepted',
    'and their repeats are new events';
ok $gw->drained(10), 'the queue is empty again';

like $gw->slurp('error.log'), qr/\[warn\].*older than "age" of "dead_letters"/,
    'it is logged';

my @fields = grep { !/:/ } @{ $gw->redis('HKEYS', '{b1c:orders}:h') };
cmp_ok scalar @fields, '<=', 1, 'no record is left behind';

$gw->finish;
done_testing;

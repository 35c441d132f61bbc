#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Requests of fixtures/field, which public reports describe: robots without a
# token, told apart by nothing but their address or properties, two names of one
# order, texts of customers in an address, events without FIELDS[ID].  Each is
# taken, reaches 1C, and in order.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(TOKEN);
use Bitrix1C::Http qw(http_request);

my $gw = Bitrix1C::Gateway->new(queue => 'retry 1s;',
                                location => 'bitrix1c_token_arg token;');
$gw->start;
my $seen = 0;


# the answer's result, or its status if it has none

sub post {
    my ($name) = @_;
    my $file = "$FindBin::Bin/fixtures/field/$name";

    open my $in, '<', $file or die "$file: $!\n";
    my $text = do { local $/; <$in> };
    close $in;

    my ($args) = $text =~ s/^POST \S+\?(\S*)\n// ? $1 : '';
    $text =~ s/\n\z//;
    $args .= ($args ? '&' : '') . 'token=' . TOKEN
        if $text !~ /application_token/;

    my $answer = http_request(port => $gw->{port}, timeout => 30,
        path => '/bitrix/orders' . ($args ? "?$args" : ''), body => $text,
        headers => { 'Content-Type' => $name =~ /json$/ ? 'application/json'
                     : 'application/x-www-form-urlencoded' });

    return $answer->{body} =~ /"result":"(\w+)"/ ? $1 : $answer->{status};
}


# posts these, waits, and compares what came: "event entity-type/id data"

sub arrives {
    my ($what, $files, $came, @rules) = @_;
    $gw->onec_mode(@rules);
    is_deeply [map { post($_) } @$files], [('accepted') x @$files],
        "$what: taken";

    ok $gw->drained(20), "$what: delivered";
    my @all = $gw->onec_received($seen + @$came, 10, 1);
    splice @all, 0, $seen;
    $seen += @all;

    is_deeply [map { "$_->{json}{event} $_->{json}{entity}{type}/"
                     . ($_->{json}{entity}{id} // 'null') } @all], $came,
        "$what: came";

    return map { $_->{json}{data} } @all;
}

my $fails_once = { mode => '500', times => 1 };

my ($data) = arrives('robot without a token', ['robot-webhook-no-token.form'],
                     ['ROBOT CRMDEAL/759']);
is_deeply $data, { document_id => ['crm', 'CCrmDocumentDeal', 'DEAL_759'] },
    'robot without a token: the secret of the address is not in data';

my @data = arrives('robots by their address',
                   [map { "robot-stage-$_.form" } 1 .. 3],
                   [('ROBOT CRMLEAD/31') x 4], $fails_once);
is_deeply [map { $_->{etapa} } @data], [qw(nuevo nuevo contactado ganado)],
    'robots by their address: each, in order';

arrives('the same robots once more', [map { "robot-stage-$_.form" } 1 .. 3],
        [('ROBOT CRMLEAD/31') x 3]);

@data = arrives('robots of an application',
                ['robot-rest-1.form', 'robot-rest-2.form'],
                [('ROBOT CRMDEAL/902') x 3], $fails_once);
is_deeply [map { $_->{code} } @data], [qw(invoice invoice ship)],
    'robots of an application: each, in order';
is post('robot-rest-1.form'), 'duplicate',
    'robots of an application: the same event_token is the same run';

($data) = arrives('percent in the address', ['robot-query-percent.form'],
                  ['ROBOT CRMDEAL/1']);
is $data->{discount}, '50%', 'percent in the address: literal';

($data) = arrives('data is a number', ['imconnector-line-delete.form'],
                  ['ONIMCONNECTORLINEDELETE IMCONNECTORLINE/107']);
is $data, '107', 'data is a number: as it is';

arrives('two names of one order',
        ['order-1-entity-saved.form', 'order-2-before-delete.form'],
        ['ONORDERENTITYSAVED ORDER/88001', 'ONORDERENTITYSAVED ORDER/88001',
         'ONSALEBEFOREORDERDELETE SALEORDER/88001'], $fails_once);

@data = arrives('another deal each time',
                ['recurring-expose-1.form', 'recurring-expose-2.form'],
                [('ONCRMDEALRECURRINGEXPOSE CRMDEALRECURRING/9') x 3],
                $fails_once);
is_deeply [map { $_->{FIELDS}{DEAL_ID} } @data], [6799, 6799, 6803],
    'another deal each time: each, in order';

arrives('addresses', ['address-1-register.form', 'address-2-unregister.form'],
        ['ONCRMADDRESSREGISTER CRMADDRESS/8,1,1',
         'ONCRMADDRESSREGISTER CRMADDRESS/8,1,1',
         'ONCRMADDRESSUNREGISTER CRMADDRESS/8,1,1'], $fails_once);

arrives('sessions', ['session-1-start.form', 'session-2-finish.form'],
        ['ONSESSIONSTART SESSION/42', 'ONSESSIONSTART SESSION/42',
         'ONSESSIONFINISH SESSION/42'], $fails_once);

arrives('deleted, restored, deleted',
        ['task-delete-1.form', 'task-delete-2-after-restore.form'],
        [('ONTASKDELETE TASK/4711') x 2]);
is post('task-delete-1.form'), 'duplicate',
    'deleted, restored, deleted: a repetition stays one';

arrives('payment without a token', ['app-payment-no-token.form'],
        ['ONAPPPAYMENT APPPAYMENT/x.y']);
arrives('brackets in JSON', ['flat-brackets.json'],
        ['ONCRMCONTACTUPDATE CRMCONTACT/50004']);

# once: what is added anew after it was deleted, in the same second too

$gw->onec_mode;
my @currency = ([ADD => 5], [DELETE => 5], [ADD => 5], [ADD => 5], [DELETE => 6],
                [ADD => 7]);

is_deeply [map { $gw->post(event => "ONCRMCURRENCY$_->[0]", id => 'BYN',
                           ts => $_->[1])->{result} } @currency],
    [qw(accepted accepted accepted duplicate accepted accepted)],
    'a currency that is added, deleted and added again';
ok $gw->drained(20), 'all of it is delivered';
is $gw->post(event => 'ONCRMCURRENCYADD', id => 'BYN', ts => 7)->{result},
    'duplicate', 'and is known';

# a state that waits is not merged into one before its entity was deleted

$gw->redis('HSET', '{b1c:orders}:h', 'hold', 1);
is_deeply [map { $gw->post(event => "ONCRMDEAL$_->[0]", id => 77,
                           ts => $_->[1])->{result} }
           [UPDATE => 5], [UPDATE => 6], [DELETE => 7], [UPDATE => 8],
           [UPDATE => 9]],
    [qw(accepted coalesced accepted accepted coalesced)],
    'a deal that is deleted and restored';
$gw->redis('HDEL', '{b1c:orders}:h', 'hold');
ok $gw->drained(20), 'and delivered';

# what is nothing but an id may be merged, anything else may not

$gw->redis('HSET', '{b1c:orders}:h', 'hold', 1);
is_deeply [map { $gw->post(event => 'ONOURTHINGCHANGED', id => 5,
                           fields => $_, ts => 5)->{result} }
           {}, {}, { N => 1 }, { N => 2 }, { N => 2 }],
    [qw(accepted coalesced accepted accepted duplicate)],
    'an event of which nobody knows';
$gw->redis('HDEL', '{b1c:orders}:h', 'hold');
ok $gw->drained(20), 'and delivered';

is scalar @{ $gw->dead_letters }, 0, 'no dead letters';
$gw->finish;
done_testing;

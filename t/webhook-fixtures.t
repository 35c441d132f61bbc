#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Every body in t/fixtures/webhooks/ reaches 1C as JSON with the right entity,
# without any secret, and with the headers that t/lib/Bitrix1C/Blocks.pm checks.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

plan 'no_plan';

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(response_body_like =>
                      '^\{"result":"accepted","id":"[0-9a-f]{32}"\}\n\z');
    $block->set_value(response_headers_like =>
                      "Content-Type: application/json\nContent-Length: \\d+");
});

open my $self, '<', $0 or die "$0: $!\n";
my %tested = map { /^(\S+\.form)$/ ? ($1 => 1) : () } readline $self;
my @untested = grep { !$tested{$_} } map { m{([^/]+)\z} }
               glob "$FindBin::Bin/fixtures/webhooks/*.form";

is("@untested", '', 'fixtures without a test');
run_tests();

__DATA__

=== TEST 1: contact added, application
--- request fixture
crm-contact-add.app.2024.form
--- onec
{"id":"ID","event":"ONCRMCONTACTADD","ts":1727018926,"received":NOW,"source":{"domain":"bitrix24-php-sdk-playground.bitrix24.com","member_id":"010b6886ebc205e43ae65000ee00addb"},"entity":{"type":"CRMCONTACT","id":"134806"},"data":{"FIELDS":{"ID":"134806"}}}


=== TEST 2: contact changed, webhook
--- request fixture
crm-contact-update.webhook.2024.form
--- onec
{"id":"ID","event":"ONCRMCONTACTUPDATE","ts":1718849644,"received":NOW,"source":{"domain":"b24-tgz7td.bitrix24.es","member_id":"4bbd6c4c5d1b41e2a0a1f7d0a2b3c4d5"},"entity":{"type":"CRMCONTACT","id":"2"},"data":{"FIELDS":{"ID":"2"}}}


=== TEST 3: smart process item changed, the type carries its number
--- request fixture
crm-dynamic-item-update.webhook.2025.form
--- onec
{"id":"ID","event":"ONCRMDYNAMICITEMUPDATE","ts":1739049397,"received":NOW,"source":{"domain":"konsultatsiyatest.bitrix24.ru","member_id":"995c2cbaf3edb993c1d640820f802149"},"entity":{"type":"CRMDYNAMICITEM_1032","id":"21"},"data":{"FIELDS":{"ID":"21","ENTITY_TYPE_ID":"1032"}}}


=== TEST 4: lead added, without a handler's id
--- request fixture
crm-lead-add.webhook.2018.form
--- onec
{"id":"ID","event":"ONCRMLEADADD","ts":1545851621,"received":NOW,"source":{"domain":"b24-46hovy.bitrix24.ru","member_id":"1b87798bc2d16c4b7f2a604e0c899a34"},"entity":{"type":"CRMLEAD","id":"365"},"data":{"FIELDS":{"ID":"365"}}}


=== TEST 5: new order
--- request fixture
sale-order-new.seed.form
--- onec
{"id":"ID","event":"ONSALEORDERNEW","ts":1710460800,"received":NOW,"source":{"domain":"myshop.ru","member_id":"a223c6b3710f85df22e9377d6c4f7553"},"entity":{"type":"SALEORDER","id":"123"},"data":{"FIELDS":{"ID":"123"}}}


=== TEST 6: saved order, the empty field stays
--- request fixture
sale-order-saved.docs.form
--- onec
{"id":"ID","event":"ONSALEORDERSAVED","ts":1714649632,"received":NOW,"source":{"domain":"some-domain.bitrix24.com","member_id":"a223c6b3710f85df22e9377d6c4f7553"},"entity":{"type":"SALEORDER","id":"300"},"data":{"FIELDS":{"ID":"300","XML_ID":"","ACTION":"save"}}}


=== TEST 7: task added, "undefined" is no entity but stays in data
--- request fixture
task-add.docs.form
--- onec
{"id":"ID","event":"ONTASKADD","ts":1466439714,"received":NOW,"source":{"domain":"some-domain.bitrix24.com","member_id":"a223c6b3710f85df22e9377d6c4f7553"},"entity":{"type":"TASK","id":"123"},"data":{"FIELDS_BEFORE":"undefined","FIELDS_AFTER":{"ID":"123"},"IS_ACCESSIBLE_BEFORE":"N","IS_ACCESSIBLE_AFTER":"undefined"}}


=== TEST 8: user added, flat data, a list, Cyrillic
--- request fixture
user-add.app.docs.form
--- onec
{"id":"ID","event":"ONUSERADD","ts":1712304000,"received":NOW,"source":{"domain":"some-domain.bitrix24.com","member_id":"a223c6b3710f85df22e9377d6c4f7553"},"entity":{"type":"USER","id":"123"},"data":{"ID":"123","ACTIVE":"Y","EMAIL":"user@example.com","NAME":"Анна","LAST_NAME":"Weber","UF_DEPARTMENT":["1","2"]}}


=== TEST 9: call started, known by CALL_ID
--- request fixture
voximplant-call-start.docs.form
--- onec
{"id":"ID","event":"ONVOXIMPLANTCALLSTART","ts":1773239326,"received":NOW,"source":{"domain":"some-domain.bitrix24.com","member_id":"a223c6b3710f85df22e9377d6c4f7553"},"entity":{"type":"VOXIMPLANTCALL","id":"externalCall.7b0c7de811455ef32b18dc5917e4306a.1773239327"},"data":{"CALL_ID":"externalCall.7b0c7de811455ef32b18dc5917e4306a.1773239327","USER_ID":"1269"}}

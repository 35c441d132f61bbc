#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The gateway converts an event of Bitrix to JSON for 1C: entities and their
# types, lists and maps, text, secrets inside the data, JSON bodies, robots,
# charsets, patterns, limits.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Bitrix1C::Blocks;
use Test::Nginx::Socket;

plan 'no_plan';
run_tests();

__DATA__

=== TEST 1: types of entities: without the verb, the same for delete and save
--- request eval
[map { main::event($_, 1, 'ts=1') }
     qw(ONSALEORDERSAVED ONSALEBEFOREORDERDELETE ONORDERENTITYSAVED
        ONORDERDELETED ONPAYMENTENTITYSAVED CATALOG.PRODUCT.ON.UPDATE
        CATALOG.PRICE.TYPE.ON.ADD ONCRMDYNAMICITEMADD_147 onCrmAddressRegister
        ONCRMDEALUSERFIELDSETENUMVALUES ONTASKCOMMENTADD ADD ON)]
--- error_code eval
[(200) x 13]
--- onec expect
ONSALEORDERSAVED 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}
ONSALEBEFOREORDERDELETE 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}
ONORDERENTITYSAVED 1 ORDER 1 {"FIELDS":{"ID":"1"}}
ONORDERDELETED 1 ORDER 1 {"FIELDS":{"ID":"1"}}
ONPAYMENTENTITYSAVED 1 PAYMENT 1 {"FIELDS":{"ID":"1"}}
CATALOG.PRODUCT.ON.UPDATE 1 CATALOG.PRODUCT 1 {"FIELDS":{"ID":"1"}}
CATALOG.PRICE.TYPE.ON.ADD 1 CATALOG.PRICE.TYPE 1 {"FIELDS":{"ID":"1"}}
ONCRMDYNAMICITEMADD_147 1 CRMDYNAMICITEM_147 1 {"FIELDS":{"ID":"1"}}
ONCRMADDRESSREGISTER 1 CRMADDRESS 1 {"FIELDS":{"ID":"1"}}
ONCRMDEALUSERFIELDSETENUMVALUES 1 CRMDEALUSERFIELD 1 {"FIELDS":{"ID":"1"}}
ONTASKCOMMENTADD 1 TASKCOMMENT 1 {"FIELDS":{"ID":"1"}}
ADD 1 ADD 1 {"FIELDS":{"ID":"1"}}
ON 1 ON 1 {"FIELDS":{"ID":"1"}}


=== TEST 2: smart processes: one type in every form
--- request eval
[main::event('ONCRMDYNAMICITEMUPDATE', 5, 'ts=1',
             'data[FIELDS][ENTITY_TYPE_ID]=147'),
 main::event('ONCRMDYNAMICITEMDELETE_147', 5, 'ts=1')]
--- error_code eval
[200, 200]
--- onec expect
ONCRMDYNAMICITEMUPDATE 1 CRMDYNAMICITEM_147 5 {"FIELDS":{"ID":"5","ENTITY_TYPE_ID":"147"}}
ONCRMDYNAMICITEMDELETE_147 1 CRMDYNAMICITEM_147 5 {"FIELDS":{"ID":"5"}}


=== TEST 3: task comment of the new card: ID is 0, the message counts
--- request post
event=ONTASKCOMMENTADD
data[FIELDS_BEFORE]=undefined
data[FIELDS_AFTER][ID]=0
data[FIELDS_AFTER][MESSAGE_ID]=12928
data[FIELDS_AFTER][TASK_ID]=1102
ts=1
--- onec expect
ONTASKCOMMENTADD 1 TASKCOMMENT 12928 {"FIELDS_BEFORE":"undefined","FIELDS_AFTER":{"ID":"0","MESSAGE_ID":"12928","TASK_ID":"1102"}}


=== TEST 4: task deleted: only the previous state has an id
--- request post
event=ONTASKDELETE
data[FIELDS_BEFORE][ID]=123
data[FIELDS_AFTER]=undefined
data[IS_ACCESSIBLE_BEFORE]=undefined
data[IS_ACCESSIBLE_AFTER]=N
ts=1
--- onec expect
ONTASKDELETE 1 TASK 123 {"FIELDS_BEFORE":{"ID":"123"},"FIELDS_AFTER":"undefined","IS_ACCESSIBLE_BEFORE":"undefined","IS_ACCESSIBLE_AFTER":"N"}


=== TEST 5: other places of the id
--- request eval
[main::post("event=ONLIVEFEEDPOSTADD\ndata[FIELDS][POST_ID]=209\nts=1"),
 main::post("event=ONCALENDARENTRYADD\ndata[id]=1414\nts=1"),
 main::post("event=ONCRMCURRENCYUPDATE\ndata[FIELDS][ID]=CHE\nts=1"),
 main::post("event=ONUSERADD\ndata[ID]=27\ndata[id]=28\nts=1"),
 main::post("event=ONUSERADD\ndata[FIELDS][ID]=\ndata[ID]=29\nts=1"),
 main::post("event=ONUSERADD\ndata[FIELDS][ID]=undefined\ndata[ID]=30\nts=1")]
--- error_code eval
[(200) x 6]
--- onec expect
ONLIVEFEEDPOSTADD 1 LIVEFEEDPOST 209 {"FIELDS":{"POST_ID":"209"}}
ONCALENDARENTRYADD 1 CALENDARENTRY 1414 {"id":"1414"}
ONCRMCURRENCYUPDATE 1 CRMCURRENCY CHE {"FIELDS":{"ID":"CHE"}}
ONUSERADD 1 USER 27 {"ID":"27","id":"28"}
ONUSERADD 1 USER 29 {"FIELDS":{"ID":""},"ID":"29"}
ONUSERADD 1 USER 30 {"FIELDS":{"ID":"undefined"},"ID":"30"}


=== TEST 6: no entity, no data
--- request eval
[main::post("event=ONOFFLINEEVENT\nts=1"),
 main::post("event=ONAPPUPDATE\nts=1\ndata[VERSION]=2")]
--- error_code eval
[200, 200]
--- onec expect
ONOFFLINEEVENT 1 OFFLINEEVENT null {}
ONAPPUPDATE 1 APP null {"VERSION":"2"}


=== TEST 7: missing ts: the time of receipt is used
--- request post
event=ONSALEORDERNEW
data[FIELDS][ID]=1
--- onec expect
ONSALEORDERNEW NOW SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 8: keys other than event, data, ts and auth are not sent
--- request post
event=ONSALEORDERNEW
event_handler_id=975
eventId=1
data[FIELDS][ID]=1
ts=1
other[a]=b
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 9: lists, sparse keys, appended values, lists of lists
--- request post
event=ONX
ts=1
data[ID]=1
data[LIST][0]=a
data[LIST][1]=b
data[BOT][15010][ID]=c
data[APPEND][]=d
data[APPEND][]=e
data[FROM1][1]=f
data[GRID][0][0]=g
data[GRID][0][1]=h
data[GRID][1][0]=i
data[MIXED][0]=j
data[MIXED][k]=l
data[BACK][1]=n
data[BACK][0]=m
data[ZERO][00]=o
--- onec expect
ONX 1 X 1 {"ID":"1","LIST":["a","b"],"BOT":{"15010":{"ID":"c"}},"APPEND":["d","e"],"FROM1":{"1":"f"},"GRID":[["g","h"],["i"]],"MIXED":{"0":"j","k":"l"},"BACK":["m","n"],"ZERO":{"00":"o"}}


=== TEST 10: text: plus, percent, quotes, backslash, slash, controls, emoji
--- request post
event=ONX
ts=1
data[ID]=1
data[PLUS]=a+b%2Bc
data[QUOTES]="\%22%5C%2F
data[KEPT]=a%09b%0Ac%0Dd
data[DROPPED]=a%01%08%0B%0C%1F%7Fb
data[HTML]=<b>%26amp;</b>
data[YO]=%D1%91%20Ё
data[EMOJI]=%F0%9F%98%80
data[EMPTY]=
data[NOTHING]
data[EQUALS]=a=b=c
--- onec expect
ONX 1 X 1 {"ID":"1","PLUS":"a b+c","QUOTES":"\"\\\"\\/","KEPT":"a\tb\nc\rd","DROPPED":"ab","HTML":"<b>&amp;</b>","YO":"ё Ё","EMOJI":"😀","EMPTY":"","NOTHING":"","EQUALS":"a=b=c"}


=== TEST 11: keys encoded, with spaces, dots, Cyrillic
--- request post
event=ONX
ts=1
data%5BID%5D=1
data[A%20B]=a
data[C+D]=b
data[E.F]=c
data[%D0%98%D0%BC%D1%8F]=d
data["]=e
--- onec expect
ONX 1 X 1 {"ID":"1","A B":"a","C D":"b","E.F":"c","Имя":"d","\"":"e"}


=== TEST 12: secrets inside data are removed at any depth, in any case
--- request post
event=ONIMBOTMESSAGEADD
ts=1
data[BOT][567][access_token]=CONFIDENTIAL
data[BOT][567][refresh_token]=CONFIDENTIAL
data[BOT][567][client_id]=CONFIDENTIAL
data[BOT][567][application_token]=CONFIDENTIAL
data[BOT][567][AUTH][access_token]=CONFIDENTIAL
data[BOT][567][AUTH][member_id]=a
data[BOT][567][AUTH][CLIENT_SECRET]=CONFIDENTIAL
data[BOT][567][BOT_ID]=567
data[LIST][0][Event_Token]=CONFIDENTIAL
data[LIST][1][a]=b
data[access_token][nested]=CONFIDENTIAL
data[PARAMS][MESSAGE]=Hello
--- onec expect
ONIMBOTMESSAGEADD 1 IMBOTMESSAGE null {"BOT":{"567":{"AUTH":{"member_id":"a"},"BOT_ID":"567"}},"LIST":[{},{"a":"b"}],"PARAMS":{"MESSAGE":"Hello"}}


=== TEST 13: connector message: a list of maps
--- request post
event=ONIMCONNECTORMESSAGEADD
ts=1773759161
data[CONNECTOR]=myconnector
data[LINE]=107
data[MESSAGES][0][im][chat_id]=1807
data[MESSAGES][0][im][message_id]=86497
data[MESSAGES][0][message][text]=[b]Klaus:[/b]+[br]Tag!
--- onec expect
ONIMCONNECTORMESSAGEADD 1773759161 IMCONNECTORMESSAGE 86497 {"CONNECTOR":"myconnector","LINE":"107","MESSAGES":[{"im":{"chat_id":"1807","message_id":"86497"},"message":{"text":"[b]Klaus:[/b] [br]Tag!"}}]}


=== TEST 14: JSON body: strings, numbers, lists, null, booleans, escapes
--- more_headers
Content-Type: application/json; charset=utf-8
--- request post_json
{"event": "OnSaleOrderSaved", "event_handler_id": 1,
 "data": {"FIELDS": {"ID": 300, "XML_ID": "", "SUM": 12.5, "BIG": 1152921504606846976,
                     "EXP": 1e3, "ERR": 200540400001, "NEG": -7},
          "LIST": [1, "2", [], {}], "NOTHING": null, "YES": true,
          "TEXT": "\u0410\ud83d\ude00\/\"\\\n\u0001",
          "client_id": "CONFIDENTIAL"},
 "ts": 1714649632,
 "auth": {"domain": "myshop.ru", "member_id": "a223c6b3710f85df22e9377d6c4f7553",
          "application_token": "TOKEN"}}
--- onec expect
ONSALEORDERSAVED 1714649632 SALEORDER 300 {"FIELDS":{"ID":300,"XML_ID":"","SUM":12.5,"BIG":"1152921504606846976","EXP":"1e3","ERR":200540400001,"NEG":-7},"LIST":[1,"2",[],{}],"NOTHING":null,"YES":true,"TEXT":"А😀/\"\\\n"}


=== TEST 15: JSON body: ts as text, data empty as PHP writes it, BOM
--- more_headers
Content-Type: application/json
--- request eval
main::post_json("\xef\xbb\xbf" . '{"event":"ONOFFLINEEVENT","data":[],"ts":"1466439714","auth":{"domain":"myshop.ru","member_id":"a223c6b3710f85df22e9377d6c4f7553","application_token":"TOKEN"}}')
--- onec expect
ONOFFLINEEVENT 1466439714 OFFLINEEVENT null {}


=== TEST 16: robot: document as entity, fields and query in data
--- request eval
my $r = main::post(CORE::join "\n", 'workflow_id=W', 'code=C', 'document_id[0]=crm',
                   'document_id[1]=CCrmDocumentDeal',
                   'document_id[2]=DEAL_123', 'event_token=CONFIDENTIAL',
                   'properties[field]=6', 'ts=1758016282');
$r =~ s{/bitrix/orders}{/bitrix/orders?id=9&code=other&access_token=CONFIDENTIAL};
$r
--- location: access_log off;
--- onec expect
ROBOT 1758016282 CRMDEAL 123 {"workflow_id":"W","code":"C","document_id":["crm","CCrmDocumentDeal","DEAL_123"],"properties":{"field":"6"},"id":"9"}


=== TEST 17: robot of a box: a class with backslashes
--- request post
document_id[0]=tasks
document_id[1]=Bitrix\Tasks\Integration\Bizproc\Document\Task
document_id[2]=49728
ts=1
--- onec expect
ROBOT 1 TASK 49728 {"document_id":["tasks","Bitrix\\Tasks\\Integration\\Bizproc\\Document\\Task","49728"]}


=== TEST 18: robot without auth in the body is forbidden, not malformed
--- request post_bare
document_id[0]=crm
document_id[1]=CCrmDocumentDeal
document_id[2]=DEAL_123
--- error_code: 403
--- response_body
{"result":"forbidden"}
--- onec


=== TEST 19: the query of an ordinary event is ignored
--- request eval
my $r = main::event('ONSALEORDERNEW', 1, 'ts=1');
$r =~ s{/bitrix/orders}{/bitrix/orders?%zz&key=[[}; $r
--- onec expect
ONSALEORDERNEW 1 SALEORDER 1 {"FIELDS":{"ID":"1"}}


=== TEST 20: windows-1251
--- location: bitrix1c_charset windows-1251;
--- request post
event=ONUSERADD
ts=1
data[ID]=1
data[NAME]=%C0%ED%ED%E0+%A8
data[%C8%EC%FF]=%e0
--- onec expect
ONUSERADD 1 USER 1 {"ID":"1","NAME":"Анна Ё","Имя":"а"}


=== TEST 21: windows-1251 raw bytes, and a byte that it does not have
--- location: bitrix1c_charset windows-1251;
--- request eval
[main::post("event=ONUSERADD\nts=1\ndata[ID]=1\ndata[NAME]=\xC0\xED\xED\xE0"),
 main::post("event=ONUSERADD\nts=1\ndata[ID]=1\ndata[NAME]=a%98b")]
--- error_code eval
[200, 400]
--- response_body_like eval
['accepted',
 '"malformed","error":"not valid in the charset \(bitrix1c_charset\)","where":32']
--- onec expect
ONUSERADD 1 USER 1 {"ID":"1","NAME":"Анна"}


=== TEST 22: charset UTF-8 by name
--- location: bitrix1c_charset UTF-8;
--- request post
event=ONUSERADD
ts=1
data[ID]=1
data[NAME]=%D0%90
--- onec expect
ONUSERADD 1 USER 1 {"ID":"1","NAME":"А"}


=== TEST 23: a charset of one location does not affect another
--- config
location = /bitrix/orders {
    bitrix1c_webhook  orders;
    bitrix1c_token    $TEST_NGINX_TOKEN;
    bitrix1c_charset  koi8-r;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
}
location = /other {
    bitrix1c_webhook  orders;
    bitrix1c_token    $TEST_NGINX_TOKEN;
    proxy_pass        http://127.0.0.1:$TEST_NGINX_ONEC_PORT/CompanyName/hs/exchange/;
}
--- request eval
my $utf8 = main::post("event=ONUSERADD\nts=1\ndata[ID]=2\ndata[NAME]=%D0%90");
$utf8 =~ s{/bitrix/orders}{/other};
[main::post("event=ONUSERADD\nts=1\ndata[ID]=1\ndata[NAME]=%E1"), $utf8]
--- error_code eval
[200, 200]
--- onec expect
ONUSERADD 1 USER 1 {"ID":"1","NAME":"А"}
ONUSERADD 1 USER 2 {"ID":"2","NAME":"А"}


=== TEST 24: patterns: case, wildcards at both ends, in the middle, several
--- location
bitrix1c_events onsaleorder* *DEALADD;
bitrix1c_events ONCRM*UPDATE ONUSERADD;
--- request eval
[map { main::event($_, 1, 'ts=1') }
     qw(ONSALEORDERNEW OnSaleOrderSaved ONSALEORDER ONCRMDEALADD DEALADD
        ONCRMLEADUPDATE ONCRMUPDATE ONUSERADD
        ONSALE XONSALEORDERNEW ONCRMDEALADDED ONCRMLEADUPDATED ONUSERADD2
        USERADD)]
--- error_code eval
[(200) x 14]
--- response_body_like eval
[('accepted') x 8, ('^\{"result":"ignored"\}\n\z') x 6]


=== TEST 25: a pattern of a star only
--- location: bitrix1c_events *;
--- request eval
[main::event('ONSALEORDERNEW', 1), main::post_bare('event=A')]
--- error_code eval
[200, 403]


=== TEST 26: ignored events need a token as well
--- location: bitrix1c_events ONCRM*;
--- request post_bare
event=ONSALEORDERNEW
data[FIELDS][ID]=1
--- error_code: 403
--- response_body
{"result":"forbidden"}
--- onec


=== TEST 27: limits: exactly as many are accepted
--- location: bitrix1c_limits pairs=7 depth=3 key=23;
--- request eval
[main::event('ONX', 1, 'ts=1', 'data[A][B][C]=2'),
 main::event('ONX', 1, 'ts=1', 'data[A]=2', 'data[B]=3')]
--- error_code eval
[200, 400]
--- response_body_like eval
['accepted', 'too many pairs']
--- onec expect
ONX 1 X 1 {"FIELDS":{"ID":"1"},"A":{"B":{"C":"2"}}}


=== TEST 28: limits: 1,000 pairs by default
--- request eval
[main::event('ONX', 1, 'ts=1', map { "data[k$_]=" } 1 .. 994),
 main::event('ONX', 1, 'ts=1', map { "data[k$_]=" } 1 .. 995)]
--- error_code eval
[200, 400]


=== TEST 29: limits: many pairs where they are allowed
--- location: bitrix1c_limits pairs=100000;
--- request eval
main::event('ONX', 1, 'ts=1', map { "data[L][$_]=$_" } 0 .. 49_999)
--- onec eval expect
'ONX 1 X 1 {"FIELDS":{"ID":"1"},"L":[' . CORE::join(',', map { qq("$_") } 0 .. 49_999) . ']}'


=== TEST 30: skew: the time of an event that is too far off
--- location: bitrix1c_skew 10m;
--- request eval
my $now = time;
[map { main::event('ONX', $_, "ts=" . ($now + $_)) } 0, -300, 300, -900, 900]
--- error_code eval
[200, 200, 200, 403, 403]
--- response_body_like eval
[('accepted') x 3, ('^\{"result":"forbidden"\}\n\z') x 2]


=== TEST 31: skew: an event without ts is refused
--- location: bitrix1c_skew 5m;
--- request eval
main::event('ONX', 1)
--- error_code: 403
--- response_body
{"result":"forbidden"}
--- onec


=== TEST 32: no skew by default
--- request eval
[main::event('ONX', 1, 'ts=1'), main::event('ONX', 2, 'ts=253402300799')]
--- error_code eval
[200, 200]
--- onec expect
ONX 1 X 1 {"FIELDS":{"ID":"1"}}
ONX 253402300799 X 2 {"FIELDS":{"ID":"2"}}


=== TEST 33: a large event, larger than any one buffer
--- request eval
main::event('ONX', 1, 'ts=1', 'data[BIG]=' . 'x' x 900_000)
--- onec eval expect
'ONX 1 X 1 {"FIELDS":{"ID":"1"},"BIG":"' . 'x' x 900_000 . '"}'

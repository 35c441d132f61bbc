#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A token speaks for the portal of its line only.  Whatever else the sender says
# of itself is refused or left out, and takes no event of another portal away.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();
use Bitrix1C::Http qw(http_request);

my %token = map { $_ => "token-of-portal-$_" } qw(a b c d);

my $gw = Bitrix1C::Gateway->new;

Bitrix1C::Gateway::spew_file("$gw->{dir}/tokens",
    "a.bitrix24.ru $token{a}\nmemberB $token{b}\n"
    . "c.bitrix24.ru/memberC $token{c}\n* $token{d}\n");

$gw->{server} = <<"EOT";
location = /file {
    bitrix1c_webhook orders;
    bitrix1c_token_file $gw->{dir}/tokens;
    proxy_pass http://onec/CompanyName/hs/exchange/;
}
EOT

$gw->start;


# posts to the location with the file: "status result"

sub from {
    my ($token, $domain, $member, $id) = @_;

    my $body = $gw->event_body(id => $id, domain => $domain,
                               member => $member);
    $body =~ s/application_token%5D=\w+/application_token%5D=$token{$token}/;

    my $answer = http_request(port => $gw->{port}, path => '/file',
                              body => $body, timeout => 10);
    my ($result) = $answer->{body} =~ /"result":"(\w+)"/;

    return "$answer->{status} $result";
}


is from('a', 'a.bitrix24.ru', 'memberB', 1), '403 forbidden',
    'the member_id of another line';
is from('b', 'a.bitrix24.ru', 'memberB', 1), '403 forbidden',
    'the domain of another line';
is from('c', 'a.bitrix24.ru', 'memberC', 1), '403 forbidden',
    'the domain of another line than that of the pair';
is from('a', 'c.bitrix24.ru', 'memberC', 1), '403 forbidden',
    'the token of another line than that of the pair';
like $gw->slurp('error.log'), qr/\[warn\].*have different tokens/,
    'a contradiction is logged';

is from('b', 'b.bitrix24.ru', 'memberB', 1), '200 accepted',
    'the event of the portal itself is no duplicate';

# a name that no line has is not proven: it takes no identity

is from('a', 'a.bitrix24.ru', 'memberE', 2), '200 accepted',
    'a member_id that no line has';
is from('d', 'e.bitrix24.ru', 'memberE', 2), '200 accepted',
    'the event of that member_id is no duplicate';
is from('c', 'c.bitrix24.ru', 'memberC', 3), '200 accepted', 'a pair';
is from('c', 'c.bitrix24.ru', 'memberC', 3), '200 duplicate',
    'and its repetition';
is from('c', 'C.Bitrix24.ru', 'MEMBERc', 4), '200 accepted',
    'in other letters';

my @sources = map { my $s = $_->{json}{source};
                    "$_->{json}{entity}{id} $s->{domain} $s->{member_id}" }
              $gw->onec_received(5, 10, 5);

is join('; ', sort @sources),
    '1  memberB; 2 a.bitrix24.ru ; 2 e.bitrix24.ru memberE;'
    . ' 3 c.bitrix24.ru memberC; 4 C.Bitrix24.ru MEMBERc',
    '1C is told what the token proves';

# lines that could never match

for my $line ('a.bitrix24.ru/', '/memberA', '*/memberA', 'https://a.ru',
              'a.ru/rest/')
{
    Bitrix1C::Gateway::spew_file("$gw->{dir}/bad", "$line $token{a}\n");
    my $conf = $gw->configuration;
    $conf =~ s{$gw->{dir}/tokens}{$gw->{dir}/bad};
    Bitrix1C::Gateway::spew_file("$gw->{dir}/bad.conf", $conf);

    my $out = `$gw->{binary} -t -c $gw->{dir}/bad.conf -e stderr 2>&1`;
    like $out, qr{both as "domain/member_id"}, "nginx -t refuses \"$line\"";
}

$gw->finish;
done_testing;

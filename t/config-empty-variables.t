#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# nginx -t refuses a proxy_pass that would lead a delivery to another address,
# because it uses a value of the sender's request that a delivery does not have.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();

my $gw = Bitrix1C::Gateway->new;
my $token = Bitrix1C::Gateway::TOKEN;

$gw->start;

my $webhook = "bitrix1c_webhook orders; bitrix1c_token $token;";
my $onec = "http://$gw->{onec}";


# what nginx -t says of a location

sub tested {
    my ($location, $name) = @_;

    $gw->{http} = "server { listen 127.0.0.1:$gw->{port}; server_name "
                  . ($name // 'one') . ";\n $location\n}";
    Bitrix1C::Gateway::spew_file("$gw->{dir}/test.conf", $gw->configuration);

    return scalar `$gw->{binary} -t -c $gw->{dir}/test.conf -e stderr 2>&1`;
}


sub refused {
    my ($what, @args) = @_;

    my $said = tested(@args);
    like $said, qr/"proxy_pass\ .*uses\ an\ argument\ of\ the\ request\ or\ a
                   \ capture\ of\ "server_name"/x, "refused: $what";
    return;
}


sub allowed {
    my ($what, @args) = @_;

    my $said = tested(@args);
    like $said, qr/test is successful/, "allowed: $what";
    return;
}


refused('an argument',
    "location /a { $webhook proxy_pass $onec/\$arg_base/hs/; }");
refused('in braces, before the directive',
    "location /a {\n proxy_pass \"$onec/\${arg_base}/hs/\";\n $webhook\n}");
refused('through set, in any order', "location /a { $webhook\n"
    . " proxy_pass $onec/\$b/hs/; set \$b \$c; set \$c x\$arg_base; }");
refused('set in an if', "location /a {\n $webhook set \$b main;\n"
    . " if (\$arg_base) { set \$b \$arg_base; }\n"
    . " proxy_pass $onec/\$b/hs/;\n}");
refused('a capture of server_name',
    "location /a { $webhook proxy_pass $onec/\$base/hs/; }",
    '"~^(?<base>\w+)\.gate\.ru$"');
refused('the second of two locations', "location /a { $webhook"
    . " proxy_pass $onec/hs/; }\nlocation /b {\n$webhook\n"
    . " proxy_pass $onec/\$arg_base/;\n}");

allowed('an argument of the lane and the log', "location /a {\n $webhook\n"
    . " set \$lane \$arg_lane; bitrix1c_lane \$lane;\n"
    . " proxy_set_header X-Base \$arg_base; proxy_pass $onec/hs/;\n}");
allowed('an argument of another location', "location /a { $webhook"
    . " proxy_pass $onec/hs/; }\nlocation /b { proxy_pass $onec/\$arg_base; }");
allowed('a capture of the location', "location ~ ^/a/(?<base>\\w+)\$ {"
    . " $webhook proxy_pass $onec/\$base/hs/; }");
allowed('a capture of server_name that is not used', "location /a {\n"
    . " # proxy_pass $onec/\$base;\n $webhook proxy_pass $onec/hs/; }",
    '"~^(?<base>\w+)\.gate\.ru$"');

# captures of a location are those of the delivery

delete $gw->{http};
$gw->{server} = "location ~ ^/hook/(?<base>\\w+)/(\\w+)\$ { $webhook"
                . " proxy_pass $onec/\$base/hs/\$2/; }";
ok $gw->reload, 'a location with captures';

my $answer = Bitrix1C::Http::http_request(port => $gw->{port},
    path => '/hook/CompanyName/exchange', body => $gw->event_body, timeout => 10);
is $answer->{status}, 200, 'an event is accepted';

$gw->onec_received(1, 10, 1);
ok $gw->drained(5), 'its delivery has the captures of the location';

$gw->finish;
done_testing;

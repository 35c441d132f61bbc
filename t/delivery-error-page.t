#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Directives of the location that would take the place of 1C's answer or of
# proxy_pass change nothing in a delivery, and no address forges a log line.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(http_request);

my $gw = Bitrix1C::Gateway->new(
    queue    => 'retry 1h; breaker off;',
    allow    => qr/%20\[emerg\]%20forged/,
    location => 'proxy_intercept_errors on; error_page 403 422 500 =200 /fine;',
    server   => <<'EOT');
location = /fine { return 200 "fine"; }
location /hook/ {
    bitrix1c_webhook orders;
    bitrix1c_token 51856fefc120afa4b628cc82d3935cce;
    proxy_pass http://onec/CompanyName/hs/exchange/;
}
EOT

$gw->start;
$gw->onec_mode({ mode => 'conflict' });

my $failed = $gw->post(id => 1)->{id};
ok wait_until(10, sub { $gw->reason($failed) ne '' }), 'a failure';
like $gw->reason($failed), qr/status 500: .*Конфликт блокировок/,
    'its reason has the text of 1C';

# the address of a delivery that fails

$gw->onec_mode({ mode => 'reset' });

my $path = '/hook/x%0a2026/11/28%2000:00:00%20%5bemerg%5d%20forged%0d%0ay%22';
my $posted = http_request(port => $gw->{port}, path => $path,
                          body => $gw->event_body(id => 3), timeout => 10);
like $posted->{body}, qr/"accepted"/, 'an address with line breaks';

my ($id) = $posted->{body} =~ /"id":"(\w+)"/;
ok wait_until(10, sub { $gw->reason($id) ne ''
    && $gw->slurp('error.log') =~ /reset by peer|prematurely closed/ }),
    'its delivery fails';

my @forged = grep { !m{^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\w+\] \d+#}
                    || /^.{20}\[emerg\]/ }
             split /[\r\n]+/, $gw->slurp('error.log');
is "@forged", '', 'no line of error.log is forged';
like $gw->slurp('error.log'), qr{subrequest:\ "/hook/x%0A2026/11/28%20}x,
    'the address is logged escaped';

# the answer of maintenance is an answer of 403 with a text

$gw->onec_mode({ mode => 'locked' });
$gw->post(id => 2);
ok wait_until(10, sub { $gw->slurp('error.log') =~ /maintenance/ }),
    'the answer of maintenance is recognised'
    or diag $gw->slurp('error.log');

$gw->finish;
done_testing;

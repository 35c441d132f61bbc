#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Other modules in the location of a webhook, and for the whole server, whichever
# is loaded first: a delivery runs and its outcome is that of 1C's answer.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();

my $MODULES = '/usr/share/nginx/modules';

my %cases = (
    lua => {
        modules => ['ndk_http_module', 'ngx_http_lua_module'],
        http => 'header_filter_by_lua_block { ngx.header["X-A"] ='
            . ' ngx.var.uri; ngx.status = 200 }'
            . ' body_filter_by_lua_block { ngx.arg[1] = "nothing" }'
            . ' log_by_lua_block { local a = ngx.var.status }',
        location => 'log_subrequest on; set_by_lua_block $who {'
            . ' return ngx.var.uri }'
            . ' rewrite_by_lua_block { ngx.var.who = ngx.var.bitrix1c_event;'
            . ' ngx.req.set_header("X-B", "b"); ngx.sleep(0.01) }'
            . ' access_by_lua_block { ngx.ctx.a = 1 }'
            . ' lua_check_client_abort on;'
            . ' proxy_set_header X-Who $who;',
        header => [who => 'ONSALEORDERNEW'],
    },
    'lua with an error in a filter' => {
        modules => ['ndk_http_module', 'ngx_http_lua_module'],
        location => 'header_filter_by_lua_block {'
            . ' if ngx.req.get_method() == "POST" and ngx.is_subrequest then'
            . ' error("broken") end }'
            . ' body_filter_by_lua_block {'
            . ' if ngx.is_subrequest then error("broken") end }',
    },
    njs => {
        modules => ['ngx_http_js_module'],
        http => 'js_import a from a.js; js_set $who a.who;',
        location => 'js_header_filter a.head; js_body_filter a.body;'
            . ' proxy_set_header X-Who $who;',
        header => [who => '/bitrix/orders'],
    },
    perl => {
        modules => ['ngx_http_perl_module'],
        http => 'perl_set $who "sub { return shift->uri }";',
        location => 'proxy_set_header X-Who $who;',
        header => [who => '/bitrix/orders'],
    },
    'headers-more' => {
        modules => ['ngx_http_headers_more_filter_module'],
        http => 'more_set_headers "X-A: $uri" "Server: none";',
        location => 'more_set_headers -s 500 "Retry-After: 3600";'
            . ' more_set_input_headers "X-Who: input";'
            . ' more_clear_headers Content-Type;',
    },
    'subs-filter' => {
        modules => ['ngx_http_subs_filter_module'],
        http => 'subs_filter_types *; subs_filter 1C nothing r;'
            . ' subs_filter . x r;',
    },
    echo => {
        modules => ['ndk_http_module', 'ngx_http_echo_module'],
        location => 'echo_before_body before; echo_after_body after;',
    },
);

my $n = 0;


# filters may change the answer to the sender, so only curl reads it

sub post {
    my ($gw, $id) = @_;
    my $body = $gw->event_body(id => $id);

    system('curl', '-s', '-m', 5, '-H', 'Connection: close',
           '-o', '/dev/null', '-d', $body,
           "http://127.0.0.1:$gw->{port}/bitrix/orders");

    return;
}


sub check {
    my ($gw, $what, $case) = @_;

    $gw->{$_} = $case->{$_} for qw(http location);
    $gw->{location} .= ' add_header X-C c always;';
    ok $gw->reload, "$what: nginx runs";

    $gw->onec_ask('reset');
    my ($good, $failed, $wrong) = map { ++$n } 1 .. 3;
    $gw->onec_mode({ mode => '500', match => "\"id\":\"$failed\"", times => 1 },
                   { mode => 'exception', match => "\"id\":\"$wrong\"" });

    post($gw, $_) for $good, $failed, $wrong;
    ok $gw->drained(15), "$what: nothing is left in the queue";

    my $entities = $gw->onec_entities;
    my @requests = map { my $e = $entities->{$_} // {};
                         my ($times) = values %$e; $times // 0 }
                   $good, $failed, $wrong;

    is "@requests", '1 2 1', "$what: each answer is seen as 1C gave it";

    my %dead = map { $gw->redis('HGET', '{b1c:orders}:h', $_)
                     =~ /"entity":\{"type":"\w*","id":"(\w+)"/ ? ($1 => 1) : () }
               @{ $gw->dead_letters };

    ok $dead{$wrong}, "$what: 1C's refusal is a dead letter";
    ok !$dead{$good} && !$dead{$failed}, "$what: nothing else is one";

    if ($case->{header}) {
        my ($name, $value) = @{ $case->{header} };
        my ($r) = $gw->onec_received(1, 5);
        is $r->{headers}{"x-$name"} // '', $value,
            "$what: it sees the delivery";
    }

    return;
}


for my $order ('before', 'after') {
    my $gw = Bitrix1C::Gateway->new(queue => 'retry 300ms 300ms;',
                                    allow => qr/failed to run \w+_filter_by/);
    my ($own) = @{ $gw->{modules} };

    Bitrix1C::Gateway::spew_file("$gw->{dir}/a.js", <<'EOT');
function who(r) { return r.uri; }
function head(r) { r.headersOut['X-A'] = 'a'; delete r.headersOut['Content-Length']; }
function body(r, data, flags) { r.sendBuffer('nothing', flags); }
export default { who, head, body };
EOT
    chmod 0644, "$gw->{dir}/a.js";

    my %seen;
    my @others = map { "$MODULES/$_.so" } grep { !$seen{$_}++ }
                 map { @{ $cases{$_}{modules} } } sort keys %cases;

    for my $file (@others) {
        -e $file or die "$file is missing: make deps-test\n";
    }

    $gw->{modules} = $order eq 'before' ? [$own, @others] : [@others, $own];
    $gw->start;

    check($gw, "$order $_", $cases{$_}) for sort keys %cases;
    $gw->finish;
}

done_testing;

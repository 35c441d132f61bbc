#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Deliveries run through the webhook's own location, without a client.  No
# directive that an operator may write there crashes them or changes their
# outcome.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();

my $gw = Bitrix1C::Gateway->new(
    http  => 'limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;'
             . ' limit_conn_zone $binary_remote_addr zone=two:1m;'
             . ' limit_req_zone $request_uri zone=three:1m rate=1r/m;'
             . ' limit_conn_zone $request_uri zone=four:1m;'
             . ' map $remote_addr $who { default a; 127.0.0.1 b; }'
             . ' geo $far { default 1; 127.0.0.0/8 0; }'
             . ' split_clients $remote_addr $half { 50% a; * b; }'
             . ' log_format full "$remote_addr $binary_remote_addr'
             . ' $realip_remote_addr $remote_port $server_addr $server_port'
             . ' $connection $connection_requests $tcpinfo_rtt $pipe'
             . ' $request_time $bytes_sent $http_user_agent $who $far $half'
             . ' $request_id $request_length $host $scheme $https $msec";',
    queue => 'concurrency 16; retry 300ms 300ms;',
);
$gw->start_redis;
$gw->start_onec;

my %dead_before;
my $n = 0;


# checks the outcome of every kind of answer under these directives

sub location {
    my ($what, %opt) = @_;

    $gw->{location} = 'proxy_read_timeout 1s; ' . ($opt{location} // '');
    $gw->{upstream} = $opt{upstream};
    $gw->{server} = $opt{server};
    $gw->{nginx_pid} ? $gw->reload : $gw->start_nginx;

    my %ways = (
        'a good answer' => [{ mode => 'ok' }, 1, 0],
        'a big answer' => [{ mode => 'big' }, 1, 0],
        'a chunked answer' => [{ mode => 'chunked' }, 1, 0],
        'an empty answer' => [{ mode => '204' }, 1, 0],
        'an answer ended by closing' => [{ mode => 'unframed' }, 1, 0],
        'a failure' => [{ mode => '500', times => 1 }, 2, 0],
        'no service' => [{ mode => '404', times => 1 }, 2, 0],
        'a truncated answer' => [{ mode => 'truncated', times => 1 }, 2, 0],
        'chunks without end' => [{ mode => 'cutchunk', times => 1 }, 2, 0],
        'a reset' => [{ mode => 'reset', times => 1 }, 2, 0],
        'no answer' => [{ mode => 'hang', times => 1 }, 2, 0],
        'a refusal' => [{ mode => '422' }, 1, 1],
        'text of an exception' => [{ mode => 'exception' }, 1, 1],
    );

    delete @ways{ @{ $opt{without} // [] } };

    my (%id, @rules);
    $gw->onec_ask('reset');

    for my $way (sort keys %ways) {
        $id{$way} = ++$n;
        push @rules, { %{ $ways{$way}[0] }, match => "\"id\":\"$n\"" };
    }

    $gw->onec_mode(@rules);
    my %hook = map { $_ => $gw->post(id => $id{$_})->{id} // '?' } keys %id;
    ok $gw->drained(12), "$what: nothing is left in the queue";

    my $ids = $gw->onec_ids;
    my %dead = map { $_ => 1 } @{ $gw->dead_letters };

    for my $way (sort keys %ways) {
        my (undef, $requests, $dead) = @{ $ways{$way} };
        my $got = $ids->{$hook{$way}}{requests} // 0;

        is "$got " . ($dead{$hook{$way}} // 0), "$requests $dead",
            "$what: $way";
    }

    return;
}


location('nothing else');
location('proxy_buffering off', location => 'proxy_buffering off;');

location('ip_hash and realip', upstream => 'ip_hash; server ONEC;'
    . ' keepalive 4;', location => 'set_real_ip_from 0.0.0.0/0;'
    . ' set_real_ip_from unix:; real_ip_header X-Forwarded-For;'
    . ' real_ip_recursive on; proxy_set_header X-Forwarded-For'
    . ' $proxy_add_x_forwarded_for; proxy_set_header X-Real-IP $remote_addr;');

location('error pages', location => 'proxy_intercept_errors on;'
    . ' error_page 404 422 500 502 503 504 =200 /fine;',
    server => 'location = /fine { return 200 "fine"; }');

location('a named error page', location => 'proxy_intercept_errors on;'
    . ' recursive_error_pages on; error_page 404 422 500 502 504 = @fine;',
    server => 'location @fine { return 204; }');

location('logs and variables', location => "access_log $gw->{dir}/full.log"
    . ' full; log_subrequest on; proxy_set_header X-Who "$who $far $half'
    . ' $remote_addr $remote_port $server_addr $connection_requests'
    . ' $request_id $http_cookie $cookie_a $arg_a $https $ssl_protocol";'
    . ' add_header X-A $who always; expires 1h; gzip on; gzip_types *;'
    . ' gzip_min_length 1; keepalive_timeout 0; lingering_close always;'
    . ' tcp_nopush on; sendfile on; output_buffers 1 1k; postpone_output 0;'
    . ' limit_rate 1k; proxy_ignore_client_abort off; etag on;'
    . ' if_modified_since before; send_timeout 1s;'
    . ' reset_timedout_connection on;');

location('a second server', upstream => 'server 127.0.0.1:1; server ONEC'
    . ' max_fails=0;', location => 'proxy_next_upstream error;');

location('requests and clients limited', location => 'limit_req zone=one'
    . ' burst=13; limit_req_status 429; limit_req_dry_run on; limit_conn two'
    . ' 1; allow 127.0.0.1; deny all; satisfy all;');

# a thread reads the answer from a file too late for the module to see it

location('answers that threads write and read', location => 'aio threads;'
    . " aio_write on; proxy_store $gw->{dir}/answer-\$bitrix1c_id;",
    without => ['text of an exception']);

location('requests and clients of an address limited', location =>
    'limit_req zone=three burst=13 nodelay; limit_conn four 1;');

# limit_req and allow do not apply to deliveries and retries

$gw->{location} = 'limit_req zone=one burst=2 nodelay; allow 127.0.0.1;'
                  . ' deny all;';
$gw->{http} =~ s/zone=one:1m rate/zone=fresh:1m rate/;
$gw->{location} =~ s/zone=one/zone=fresh/;
@$gw{qw(server upstream)} = ();
ok $gw->reload, 'limit_req with a burst of 2';
$gw->onec_ask('reset');
$gw->onec_mode({ mode => '500', per => 'id', times => 1 });
my @status = map { $gw->post(id => ++$n)->{status} } 1 .. 4;
is "@status", '200 200 200 503', 'limit_req counts requests of senders';
ok $gw->drained(5), 'limit_req does not count deliveries';
is $gw->onec_stats->{received}, 6, 'limit_req does not count retries';

# the body fits, its JSON does not: every delivery would fail

$gw->{location} = 'client_max_body_size 1600;';
ok $gw->reload, 'client_max_body_size';
$gw->onec_ask('reset');
my $fits = $gw->post(id => ++$n, fields => { A => '"' x 400 });
my $large = $gw->post(id => ++$n, fields => { A => '"' x 1000 });
is $fits->{status}, 200, 'JSON within client_max_body_size is accepted';
is "$large->{status} $large->{result}", '413 too_large',
    'JSON above client_max_body_size is refused when it arrives';
ok $gw->drained(5), 'the queue is empty';
is $gw->onec_stats->{received}, 1, 'only the accepted event is delivered';

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# What 0.1.0 has left behind in Redis and in the spool is delivered by this
# version, and its configuration is accepted.  The samples were made with 0.1.0
# by t/fixtures/0.1.0/make.pl.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Api qw(api change metrics status_of);
use Bitrix1C::Calls ();
use Bitrix1C::Gateway qw(wait_until);

my $samples = "$FindBin::Bin/fixtures/0.1.0";
my $gw = Bitrix1C::Calls->new(
    workers  => 2,
    events   => 'accept_mutex off;',
    server   => Bitrix1C::Api::LOCATION,
    location => 'bitrix1c_key $bitrix1c_data_fields_n;',
    rest     => 'bitrix1c_async crm.deal.update;',
);
my $spool = "$gw->{dir}/spool";
$gw->{queue} = "concurrency 4; retry 1s 1s; spool $spool;";


# Times are in ms, and in the members of followers in us.  The events keep
# their distances; that which waits for its retry has a few seconds to go.

sub moved {
    my ($delta, @words) = @_;

    return @words if $words[1] =~ /:r:/ || $words[2] =~ /^[0-9a-f]{32}(?::r)?$/;
    s/\b(1[67]\d{11})(\d{3})?\b/sprintf '%.0f%s', $1 + $delta, $2 \/\/ ''/ge
        for @words[2 .. $#words];
    return @words;
}


# like redis-cli < queue.redis

sub load {
    my ($stored, @lines) = split /\n/,
        Bitrix1C::Gateway::slurp_file("$samples/queue.redis");
    $stored =~ /^# stored by 0\.1\.0 at (\d+)$/ or die "first line: $stored\n";
    my $delta = time * 1000 - $1 - 60_000;

    for my $line (@lines) {
        my @words = $line =~ /"((?:[^"\\]|\\.)*)"/g;
        s/\\(?:x([0-9a-f]{2})|(.))/defined $1 ? chr hex $1 : $2/ge for @words;
        $gw->redis(moved($delta, @words));
    }

    return scalar @lines;
}


sub put_spool {
    my @owner = $> == 0 ? ((getpwnam 'nobody')[2], (getgrnam 'nogroup')[2]) : ();
    my $file = "$spool/orders.1795870189761.spool";

    mkdir $spool or die "$spool: $!\n";
    Bitrix1C::Gateway::spew_file($file,
        Bitrix1C::Gateway::slurp_file("$samples/orders.spool"));
    chown @owner, $spool, $file if @owner;

    return;
}


$gw->start_redis;
cmp_ok load(), '>', 40, 'a queue of 0.1.0';
is $gw->redis('EXISTS', '{b1c:orders}:v'), 0, 'has no mark';
my ($dead) = @{ $gw->dead_letters };
my ($call) = @{ $gw->redis('ZRANGE', '{b1c:portal}:q', 0, -1) };
my ($done) = map { /:r:(\w+)$/ } @{ $gw->redis('KEYS', '{b1c:portal}:r:*') };
my ($marker) = @{ $gw->redis('KEYS', '{b1c:orders}:k:*') };
my ($delivered) = $gw->redis('GET', $marker) =~ / (\w{32})$/;
put_spool();

$gw->start_onec;
$gw->start_portal('--rate', 1000, '--burst', 1000);
$gw->{server} .= $gw->rest_location;
$gw->start_nginx;

ok wait_until(10, sub { !glob "$spool/*.spool" }), 'its spool is drained';
is $gw->redis('GET', "{b1c:$_}:v"), 1, "$_ has the mark" for qw(orders portal);

# what an operator sees; nothing is delivered, since the queues are held

my $status = status_of($gw);
is $status->{hold}{state}, 'operator', 'the hold is known';
is $status->{waiting}, 11, 'all events are there';
is $status->{dead}, 1, 'and the dead letter';
is status_of($gw, 'portal')->{waiting}, 1, 'and the call';

my $page = api($gw, 'dead?queue=orders')->{json};
is join(' ', map { $_->{id} } @{ $page->{items} }), $dead, 'it is shown';
is $page->{items}[0]{reason}, '1C refused the event, status 422: no such item',
    'with its reason';
is $gw->asked($done)->{state}, 'done', 'the result of a call is there';
is $gw->asked($call)->{state}, 'waiting', 'so is a call that waits';

my $repeat = $gw->post(event => 'ONCRMDEALADD', id => 900,
                       fields => { N => '900-0' });
is "$repeat->{result} $repeat->{id}", "duplicate $delivered",
    'a repeat of what 0.1.0 had delivered is a duplicate';
is $gw->onec_stats->{requests} // 0, 0, 'nothing was delivered yet';

# it goes on

change($gw, "queue/resume?queue=$_") for qw(orders portal);
my $later = $gw->post(event => 'ONSALEORDERSAVED', id => 100,
                      fields => { N => '100-4' });
is $later->{result}, 'accepted', 'an event of today, in a lane of 0.1.0';

ok $gw->drained(15), 'the queue is drained';
ok $gw->all_done(10), 'and that of calls';

my %lanes;

for my $r ($gw->onec_received(12, 5)) {
    push @{ $lanes{ $r->{json}{entity}{id} } }, $r->{json}{data}{FIELDS}{N};
}

is_deeply \%lanes, {
    100 => [qw(100-1 100-2 100-3 100-4)], 200 => ['200-1'], 300 => ['300-1'],
    500 => [qw(500-1 500-2 500-3)], 800 => [qw(800-1 800-2 800-3)],
}, 'every event came once and in the order of its lane';

is $gw->becomes($call, 'done', 10)->{state}, 'done', 'the call is done';
is join(' ', map { "$_->{rest}" } $gw->portal_received(1, 5)),
    'crm.deal.update', 'the portal got it once';

is change($gw, "dead/replay?queue=orders&id=$dead")->{status}, 200,
    'the dead letter is replayed';
is(($gw->onec_received(13, 10))[-1]{json}{id}, $dead, 'and delivered');
ok $gw->drained(10), 'the queue is empty';
is $gw->redis('HLEN', '{b1c:orders}:h'), 0, 'nothing of it is left';
is $gw->redis('HLEN', '{b1c:portal}:h'), 0, 'nor of the calls';
is_deeply $gw->dead_letters, [], 'no dead letter';
unlike $gw->slurp('error.log'), qr/\[(?:error|crit)\]/, 'nothing went wrong';

# the configurations: nginx takes them without a word, or with a warning that an
# old spelling will go

my $dir = $gw->{dir};
my $module = join '', map { "load_module $_;\n" } @{ $gw->{modules} };
my $temp = join '', map { "    ${_}_temp_path $dir/$_;\n" }
                    qw(client_body proxy fastcgi uwsgi scgi);


sub tested {
    my ($file) = @_;
    my $conf = Bitrix1C::Gateway::slurp_file("$samples/$file");

    # only what another machine has not: paths, ports, names to look up

    $conf =~ s/^load_module .*\n/$module/m;
    $conf =~ s{/etc/(?:nginx|ssl)/}{$dir/}g;
    $conf =~ s{/var/(?:lib|log)/nginx/}{$dir/}g;
    $conf =~ s{listen\s+443}{listen unix:$dir/tls}g;
    $conf =~ s{listen\s+127\.0\.0\.1:\d+}{listen unix:$dir/local}g;
    $conf =~ s{https://myshop\.bitrix24\.ru/}{https://127.0.0.1/}g;
    $conf =~ s/^http \{\n/http {\n    access_log off;\n$temp/m;

    Bitrix1C::Gateway::spew_file("$dir/old.conf",
        "pid $dir/old.pid;\nerror_log stderr;\n$conf");

    my $said = `$gw->{binary} -t -p $dir/ -c $dir/old.conf 2>&1`;

    return "status $?: $said" if $?;
    return join '', grep { /\[(?:warn|emerg|alert|error)\]/ } split /^/, $said;
}


system "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=gate"
       . " -keyout $dir/gate.myshop.ru.key -out $dir/gate.myshop.ru.pem"
       . ' > /dev/null 2>&1';
Bitrix1C::Gateway::spew_file("$dir/bitrix1c.tokens",
    "myshop.bitrix24.ru 51856fefc120afa4b628cc82d3935cce\n");
Bitrix1C::Gateway::spew_file("$dir/secret", 'whsec_' . 'QUJD' x 8 . "\n");

is tested('readme.conf'), '', 'nginx -t takes the configuration of the README';

my @warnings = grep { !/\[warn\].*"bitrix1c_repeatable"/ }
               split /^/, tested('all.conf');
is join('', @warnings), '', 'and one with every directive';

unlink "$dir/bitrix1c.tokens", "$dir/old.conf", "$dir/secret";
$gw->finish;
done_testing;

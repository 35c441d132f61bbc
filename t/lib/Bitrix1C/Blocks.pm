package Bitrix1C::Blocks;

# Copyright (C) the ngx_http_bitrix1c_module authors

=head1 NAME

Bitrix1C::Blocks - what all data-driven test files share

=head1 SYNOPSIS

    use FindBin;
    use lib "$FindBin::Bin/lib";
    use Bitrix1C::Blocks;
    use Test::Nginx::Socket;

    plan 'no_plan';
    run_tests();

=head1 DESCRIPTION

Starts a private Redis and the stand-in 1C (F<t/onec.pl>) for the test file,
puts TEST_NGINX_REDIS_SOCKET, TEST_NGINX_ONEC_PORT and TEST_NGINX_H2_PORT (free,
for a second server) into the environment, and stops both at the end.  Both are
emptied between the old nginx and the new one of each block.  Must be loaded
before Test::Nginx::Socket, which reads its environment when it is loaded.

A block needs no C<config> and no C<http_config>: it gets the queue C<orders>
and a location C</bitrix/orders> that delivers to the stand-in.  Every server
has C</onec/>, the stand-in's control address, so that a request of a list can
wait for what 1C gets: C<GET /onec/received?wait=1&show=count>.

Sections beside those of Test::Nginx (which ignores what it does not know):

=over

=item queue, location

Directives for the default queue and the default location; one that is among
the defaults takes the default's place.

=item rules

A rule of the stand-in, or a list of rules, as JSON: how 1C answers.

=item onec

What 1C received in all, one JSON text a line, in any order, byte by byte,
except that ID stands for 32 hex digits, and NOW for the present time.  No
event may be left in Redis afterwards, unless there is a C<redis> section.

=item at_once

The request is sent though nginx may not have reached Redis yet.

=item error

C<reason at offset>: the request is malformed, is answered so, and goes nowhere.

=item redis

Lines C<COMMAND key ... = value>, each waited for.

=back

Every block is checked for: no [alert], no [emerg], no report of a sanitizer and
nothing that is CONFIDENTIAL in error.log, also while nginx leaves; no token in
error.log, in access.log and in Redis; nothing that 1C could not take; headers
of every delivery that agree with its body; every id of an answer delivered, if
C<onec> is there; a line of error.log for every refused request, with client and
reason.  With C<must_die> an [emerg] must be there instead.

=cut

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Spec;
use File::Temp qw(tempdir);
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep time);

use lib dirname(dirname(__FILE__));
use Bitrix1C::Http qw(http_request);
use Bitrix1C::Port qw(free_port);
use Bitrix1C::Redis;

our $TOKEN;

# seconds that anything may take before it is taken for lost
our $WAIT = 10;

my ($dir, $root, $owner, @children);

# Defined before Test::Nginx::Socket is loaded, hence run after its own END:
# nginx leaves before its Redis does.

END {
    if (defined $owner && $owner == $$) {
        local $?;
        kill 'TERM', @children;
        waitpid $_, 0 for @children;
    }
}

BEGIN {
    # what a block writes may be a secret, and nginx warns if all can read it
    umask 0077;

    $TOKEN = '51856fefc120afa4b628cc82d3935cce';
    $owner = $$;
    $root = abs_path(dirname(__FILE__) . '/../../..');
    $dir = tempdir('bitrix1c-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    my $module = "$root/build/ngx_http_bitrix1c_module.so";

    $ENV{TEST_NGINX_LOAD_MODULES} //= $module;
    $ENV{TEST_NGINX_H2_PORT} //= free_port();
    $ENV{TEST_NGINX_PORT} //= free_port();
    $ENV{TEST_NGINX_SERVROOT} //= "$dir/servroot";
    $ENV{TEST_NGINX_ROOT} = $root;
    $ENV{TEST_NGINX_TOKEN} = $TOKEN;
}

use Test::Nginx::Socket ();
use Test::More ();

my %queue = (
    redis       => 'unix:$TEST_NGINX_REDIS_SOCKET db=0 timeout=10s',
    concurrency => '4',
    retry       => '200ms 400ms',
    window      => '1h',
    breaker     => 'off',
    breaker     => 'off',
);

my %location = (
    bitrix1c_webhook => 'orders',
    bitrix1c_token   => '$TEST_NGINX_TOKEN',
    proxy_pass       => 'http://127.0.0.1:$TEST_NGINX_ONEC_PORT'
                        . '/CompanyName/hs/exchange/',
);

my $json = JSON::PP->new->utf8;
my (@answers, $redis, $rules);


sub import {
    my $caller = caller;

    no strict 'refs';
    *{"${caller}::$_"} = \&{$_} for qw(post post_bare post_json event fixture
                                               expect);

    return;
}


# Filters, and functions for lists of requests (main::post in an eval section,
# which is another package).  Pairs stand one a line.

sub post_bare {
    my ($pairs) = @_;

    return "POST /bitrix/orders\n" . join '&', grep { $_ ne '' }
                                               split /\n/, $pairs;
}


sub post {
    my ($pairs) = @_;

    return post_bare(join "\n", $pairs, 'auth[domain]=myshop.ru',
                     'auth[member_id]=a223c6b3710f85df22e9377d6c4f7553',
                     "auth[application_token]=$TOKEN");
}


sub event {
    my ($event, $id, @pairs) = @_;

    return post(join "\n", "event=$event", "data[FIELDS][ID]=$id", @pairs);
}


sub post_json {
    my ($text) = @_;

    $text =~ s/\bTOKEN\b/$TOKEN/g;
    return "POST /bitrix/orders\n$text";
}


sub fixture {
    my ($name) = @_;

    $name =~ s/\s+\z//;
    return "POST /bitrix/orders\n"
           . (slurp("$root/t/fixtures/webhooks/$name")
              // die "no fixture $name\n");
}


# "EVENT ts ENTITY-TYPE id data" lines become the JSON of the "onec" section

sub expect {
    my ($text) = @_;

    my @lines;

    for my $line (split /\n/, $text) {
        my ($event, $ts, $type, $id, $data) = split ' ', $line, 5;

        $id = "\"$id\"" if $id ne 'null';
        push @lines, qq({"id":"ID","event":"$event","ts":$ts,"received":NOW,)
            . q("source":{"domain":"myshop.ru",)
            . q("member_id":"a223c6b3710f85df22e9377d6c4f7553"},)
            . qq("entity":{"type":"$type","id":$id},"data":$data}\n);
    }

    return join '', @lines;
}


sub slurp {
    my ($path) = @_;

    open my $in, '<:raw', $path or return;
    local $/;

    return scalar readline $in;
}


sub spawn {
    my (@cmd) = @_;

    my $pid = fork() // die "fork() failed: $!\n";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        no warnings 'exec';
        exec { $cmd[0] } @cmd
            or warn "cannot execute $cmd[0]: $!\n";
        POSIX::_exit(127);
    }

    push @children, $pid;
    return $pid;
}


sub wait_for {
    my ($what, $timeout, $code) = @_;

    my $until = time + $timeout;

    while (1) {
        my $got = $code->();
        return $got if $got || time > $until;
        waitpid($_, POSIX::WNOHANG()) == $_ && die "$what is gone\n"
            for @children;
        sleep 0.01;
    }
}


sub start_servers {
    my $socket = "$dir/redis.sock";
    my $onec_port = free_port();
    my $control_port = free_port();

    spawn('redis-server', '--port', 0, '--unixsocket', $socket,
          '--dir', $dir, '--appendonly', 'yes', '--appendfsync', 'everysec',
          '--save', '', '--logfile', "$dir/redis.log", '--daemonize', 'no');
    spawn($^X, "$root/t/onec.pl", '--listen', "127.0.0.1:$onec_port",
          '--control', "127.0.0.1:$control_port", '--secret', $TOKEN);

    $ENV{TEST_NGINX_REDIS_SOCKET} = $socket;
    $ENV{TEST_NGINX_ONEC_PORT} = $onec_port;
    $ENV{TEST_NGINX_ONEC_CONTROL} = $control_port;

    wait_for('redis-server', 20, sub { eval { redis('PING') } })
        or die "redis-server does not answer\n";
    wait_for('onec.pl', 20, sub { eval { onec('stats') } })
        or die "onec.pl does not answer\n";

    return;
}


# one request to the stand-in's control address; the body of its answer

sub onec {
    my ($what, $body) = @_;

    my $answer = http_request(port => $ENV{TEST_NGINX_ONEC_CONTROL},
                              path => "/_standin/$what", timeout => 60,
                              body => $body,
                              method => defined $body ? 'POST' : 'GET');

    # 504: what was waited for has not come
    die "the stand-in 1C answers $answer->{status}\n"
        if $answer->{status} != 200 && $answer->{status} != 504;

    return $answer->{body};
}


sub redis {
    my (@argv) = @_;

    $redis //= Bitrix1C::Redis->new(socket => $ENV{TEST_NGINX_REDIS_SOCKET});

    return $redis->cmd(@argv);
}


# runs when the former block's nginx is gone and this one's is not yet there

sub fresh {
    redis('FLUSHALL');
    onec('reset');
    onec('mode', $rules) if defined $rules;
    @answers = ();

    return;
}


# Runs when nginx was started: a request that comes before the worker has
# greeted Redis waits for that, which is a case of its own.

sub ready {
    my $until = time + 1;

    while (time < $until) {
        my @greeted = grep { !/ cmd=(?:client|NULL)/ }
                           split /\n/, redis('CLIENT', 'LIST');
        last if @greeted;
        sleep 0.005;
    }

    sleep 0.005;
    return;
}


# for "init": SIGHUP, and back when the old workers have left

sub reload {
    my $root = Test::Nginx::Socket::server_root();
    my ($pid) = slurp("$root/logs/nginx.pid") =~ /(\d+)/;
    my $told = sub { slurp("$root/logs/error.log") =~ $_[0] };

    # nginx loses a signal that comes before its master waits for one
    wait_for('nginx', 5, sub { $told->(qr/ start worker process \d/) })
        or die "nginx did not start a worker\n";
    kill 'HUP', $pid or die "SIGHUP: $!\n";
    wait_for('nginx', 5, sub { $told->(qr/ worker process \d+ exited/) })
        or die "no old worker has left\n";

    return;
}


sub lines {
    my ($default, $given) = @_;

    $given //= '';
    my %default = %{$default};
    delete $default{bitrix1c_token} if $given =~ /bitrix1c_token_file/;

    return join "\n", map({ "        $_ $default{$_};" }
                          grep { $given !~ /^\s*\Q$_\E\b/m }
                               sort keys %default),
                      $given;
}


sub prepare {
    my ($block) = @_;

    prepare_error($block) if defined $block->error;

    my $http = $block->http_config // '';

    $http = "    bitrix1c_queue orders {\n"
            . lines(\%queue, scalar $block->queue) . "\n    }\n$http"
        if $http !~ /bitrix1c_queue/;
    $block->set_value(http_config => $http);

    $block->set_value(config => "    location = /bitrix/orders {\n"
                                . lines(\%location, scalar $block->location)
                                . "\n    }\n")
        if !defined $block->config;

    $block->set_value(more_headers =>
                      'Content-Type: application/x-www-form-urlencoded')
        if !defined $block->more_headers;

    $rules = $block->rules;
    $block->set_value(post_setup_server_root => 'Bitrix1C::Blocks::fresh()');

    $block->set_value(init => 'Bitrix1C::Blocks::ready(); '
                              . ($block->init // ''))
        if !defined $block->must_die && !defined $block->at_once;

    my @never = ('[alert]', 'Sanitizer', 'runtime error:', 'CONFIDE');

    if (defined $block->must_die) {
        $block->set_value(suppress_stderr => '');
        $block->set_value(error_log => "[emerg]\n" . $block->error_log);
    } else {
        push @never, '[emerg]';
    }

    $block->set_value(no_shutdown_error_log => \@never);
    $block->set_value(no_error_log =>
                      [patterns(scalar $block->no_error_log), @never]);

    return;
}


# the "error" section: all that follows from it

sub prepare_error {
    my ($block) = @_;

    my ($what, $where) = $block->error =~ /^(.+) at (\d+)$/
        or die $block->name . ": no offset\n";

    $block->set_value(error_code => 400);
    $block->set_value(response_headers => 'Content-Type: application/json');
    $block->set_value(response_body =>
                      qq({"result":"malformed","error":"$what",)
                      . qq("where":$where}\n));
    $block->set_value(onec => '');

    return;
}


sub patterns {
    my ($value) = @_;

    return () if !defined $value;
    return @{$value} if ref $value eq 'ARRAY';
    return ref $value ? $value : split /\n/, $value;
}


sub keep_answer {
    my ($block, $body) = @_;

    push @answers, $json->decode($body) if $body =~ /\A\{"result":.*\}\n\z/s;

    return;
}


sub check_block {
    my ($block) = @_;

    return if defined $block->must_die;

    my $name = $block->name;

    check_redis($name, $_) for patterns(scalar $block->redis);
    check_onec($name, $block);
    check_refusals($name);
    check_secrets($name);

    return;
}


sub check_redis {
    my ($name, $line) = @_;

    my ($command, $expected) = $line =~ /^(.*?)\s+=\s*(.*?)\s*$/
        or die "$name: no \"=\" in the redis section's \"$line\"\n";
    my $got;

    wait_for($command, $WAIT, sub {
        $got = redis(split ' ', $command);
        $got = join ' ', map { $_ // 'nil' } @{$got} if ref $got;
        return ($got // 'nil') eq $expected;
    });
    Test::More::is($got // 'nil', $expected, "$name - redis: $command");

    return;
}


sub check_onec {
    my ($name, $block) = @_;

    my $section = $block->onec;
    my @expected = defined $section ? split /\n/, $section : ();
    my $n = @expected;

    onec("received?wait=$n&timeout=$WAIT&show=count") if $n;
    check_redis($name, 'HLEN {b1c:orders}:h = 0')
        if defined $section && !defined $block->redis;

    my $received = $json->decode(onec('received'));
    my $stats = $json->decode(onec('stats'));

    # the stand-in knows no AUTH but the one that must not leave
    delete $stats->{violations}{'secret key'} if ($section // '') =~ /"AUTH":/;

    my @bad = map { delivery_faults($_) } @{$received};

    Test::More::is_deeply([sort map { normal($_->{body}) } @{$received}],
                          [sort @expected], "$name - 1C received just that")
        if defined $section;
    Test::More::is_deeply($stats->{violations}, {},
                          "$name - 1C could take all it received");
    Test::More::is("@bad", '', "$name - headers of the deliveries");

    return if !defined $section;

    my %got = map { $_->{id} => 1 } @{$received};
    my @lost = grep { !$got{$_} } map { $_->{id} // () } @answers;
    Test::More::is("@lost", '', "$name - ids answered but not delivered");

    return;
}


sub normal {
    my ($body) = @_;

    utf8::encode($body);
    $body =~ s/^\{"id":"[0-9a-f]{32}"/{"id":"ID"/;

    my ($received) = $body =~ /"received":(\d+)/ or return $body;
    if (abs($received - time) < 120) {
        $body =~ s/"received":$received/"received":NOW/;
        $body =~ s/"ts":$received\b/"ts":NOW/;
    }

    return $body;
}


sub delivery_faults {
    my ($request) = @_;

    my $h = $request->{headers};
    my $text = $request->{body};
    utf8::encode($text);
    my $body = eval { $json->decode($text) } // return 'body';

    my %expected = (
        'content-length'  => length $text,
        'content-type'    => 'application/json',
        'idempotency-key' => $body->{id},
        'webhook-id'      => $body->{id},
        'x-bitrix-event'  => $body->{event},
    );
    my @faults = grep { ($h->{$_} // '') ne $expected{$_} } keys %expected;

    push @faults, 'method' if $request->{method} ne 'POST';
    push @faults, 'webhook-timestamp'
        if ($h->{'webhook-timestamp'} // '') !~ /^\d{10}$/
           || abs($h->{'webhook-timestamp'} - time) > 120;
    push @faults, 'x-bitrix1c-attempt'
        if ($h->{'x-bitrix1c-attempt'} // '') !~ /^[1-9]\d*$/;
    push @faults, grep { exists $h->{$_} } qw(transfer-encoding expect);

    return @faults;
}


# a refused request has its line, and a malformed one its reason in it

sub check_refusals {
    my ($name) = @_;

    my @refused = grep {
        $_->{result} =~ /^(?:malformed|forbidden|too_large|unsupported)$/
    } @answers;
    return if !@refused;

    my $log = slurp(Test::Nginx::Socket::server_root() . '/logs/error.log');
    my @lines = grep { /\ \[info\]\ .*\ bitrix1c\ refused\ a\ request:
                        |\ client\ intended\ to\ send\ too\ large\ /x }
                     split /\n/, $log;

    Test::More::is(scalar @lines, scalar @refused,
                   "$name - a line of error.log for each refusal");
    Test::More::is(scalar(grep { !/, client: 127\.0\.0\.1,/ } @lines), 0,
                   "$name - each tells the client")
        or Test::More::diag(join "\n", @lines);

    for my $reason (map { $_->{error} // () } @refused) {
        Test::More::ok((grep { /: \Q$reason\E at byte/ } @lines) > 0,
                       "$name - error.log tells the reason: $reason");
    }

    return;
}


sub check_secrets {
    my ($name) = @_;

    my @places;
    my $logs = Test::Nginx::Socket::server_root() . '/logs';

    for my $log ("$logs/error.log", "$logs/access.log") {
        push @places, $log if index(slurp($log) // '', $TOKEN) >= 0;
    }

    for my $key (@{ redis('KEYS', '*') }) {
        my %how = (zset => ['ZRANGE', $key, 0, -1], hash => ['HGETALL', $key],
                   string => ['GET', $key], list => ['LRANGE', $key, 0, -1],
                   set => ['SMEMBERS', $key]);
        my $value = redis(@{ $how{ redis('TYPE', $key) } // ['GET', $key] });
        my $text = join ' ', $key, map { $_ // '' }
                                       ref $value ? @{$value} : $value;
        push @places, $key
            if $text =~ /\Q$TOKEN\E|(?:access|refresh|application)_token/;
    }

    Test::More::is("@places", '', "$name - where a token was found");

    return;
}


# whatever ends the test, END must run
$SIG{HUP} = $SIG{INT} = $SIG{TERM} = sub { exit 1 };
$SIG{PIPE} = 'IGNORE';

start_servers();

@Test::Nginx::Socket::CustomSections = qw(at_once error location onec queue
                                          redis rules);

Test::Nginx::Socket::add_block_preprocessor(\&prepare);
Test::Nginx::Socket::add_response_body_check(\&keep_answer);
Test::Nginx::Socket::add_test_cleanup_handler(\&check_block);
Test::Nginx::Socket::config_preamble(<<"EOC");
        location /onec/ {
            proxy_pass http://127.0.0.1:$ENV{TEST_NGINX_ONEC_CONTROL}/_standin/;
        }
EOC
Test::Nginx::Socket::log_level('info');
Test::Nginx::Socket::master_on();


1;

package Test::Nginx::Socket;

# Copyright (C) the ngx_http_bitrix1c_module authors

=head1 NAME

Test::Nginx::Socket - a small stand-in for CPAN's module of this name

=head1 DESCRIPTION

Runs this project's data-driven F<t/*.t> where CPAN's Test::Nginx is not
installed, which no Debian package brings.  Needs Perl's core and Debian's
libtest-base-perl.  The files run unchanged under the real module:
C<prove t/> with it installed, else C<prove -It/compat/lib t/>.  That it fails
where it should is shown by F<t/harness-language.t>, for both.

=head1 LIMITS

=over

=item *

Only the sections in C<%known> below are there.  Any other is an error, never
ignored, unless a test library has put its name into
C<@Test::Nginx::Socket::CustomSections> (of which the real module knows
nothing, and it ignores what it does not know).

=item *

Functions: those in C<@EXPORT>, and what Test::Base brings.

=item *

nginx is stopped and started for each block.  No HUP mode, no valgrind, no
SystemTap, no leak check, no benchmark, no HTTP/2 and HTTP/3, no random ports,
no embedded TCP and UDP servers, no C<dry_run>, no C<skip_*>, no C<todo>.

=item *

C<request> is text or a list of texts; packets with delays are C<raw_request>
lists with C<raw_request_middle_delay>.  Only C<more_headers> and the expected
values may be lists beside a list of requests.

=item *

Stricter than the real one: a truncated response, a section whose C<eval>
failed, and an nginx that does not leave on SIGQUIT are failures.

=back

Environment: TEST_NGINX_BINARY, TEST_NGINX_LOAD_MODULES, TEST_NGINX_SERVROOT,
TEST_NGINX_PORT, TEST_NGINX_SERVER_PORT, TEST_NGINX_TIMEOUT, TEST_NGINX_SLEEP,
TEST_NGINX_LOG_LEVEL, TEST_NGINX_MASTER_PROCESS, TEST_NGINX_NO_CLEAN,
TEST_NGINX_NO_SHUFFLE; and, in this stand-in only, TEST_NGINX_SEED to repeat
an order of blocks.

=cut

use strict;
use warnings;

use List::Util qw(shuffle);
use Test::Base ();
use Test::More ();
use Time::HiRes qw(sleep);

use Test::Nginx::Compat::Client;
use Test::Nginx::Compat::Server;

our @ISA = ('Test::Base');

our @EXPORT = qw(
    add_block_preprocessor add_cleanup_handler add_response_body_check
    add_test_cleanup_handler bail_out config_preamble env_to_nginx html_dir
    log_level master_off master_on no_long_string no_root_location no_shuffle
    repeat_each run_tests server_name server_port server_root timeout
    worker_connections workers
);

our @CustomSections;

my %known = map { $_ => 1 } qw(
    ONLY SKIP LAST
    config http_config main_config user_files log_level init
    post_setup_server_root must_die suppress_stderr
    request raw_request raw_request_middle_delay pipelined_requests
    more_headers timeout wait abort ignore_response
    error_code error_code_like response_body response_body_like
    response_body_unlike response_headers response_headers_like
    raw_response_headers_like raw_response_headers_unlike
    error_log no_error_log grep_error_log grep_error_log_out access_log
    no_access_log shutdown_error_log no_shutdown_error_log
);

my $Conf = \%Test::Nginx::Compat::Server::Conf;

my (@body_checks, @cleanup, @preprocessors, @test_cleanup);
my ($prev_block, $prev_name);
my $no_shuffle = $ENV{TEST_NGINX_NO_SHUFFLE};
my $owner = $$;
my $repeat_each = 1;


sub add_block_preprocessor(&)   { unshift @preprocessors, $_[0]; return }
sub add_cleanup_handler($)      { unshift @cleanup, $_[0]; return }
sub add_response_body_check($)  { push @body_checks, $_[0]; return }
sub add_test_cleanup_handler($) { unshift @test_cleanup, $_[0]; return }
sub config_preamble($)          { $Conf->{preamble} = $_[0]; return }
sub env_to_nginx(@)             { push @{ $Conf->{env} }, @_; return }
sub html_dir()                  { return "$Conf->{root}/html" }
sub master_off()                { $Conf->{master} = 'off'; return }
sub master_on()                 { $Conf->{master} = 'on'; return }
sub no_long_string()            { return }
sub no_root_location()          { $Conf->{root_location} = 0; return }
sub no_shuffle()                { $no_shuffle = 1; return }
sub server_root()               { return $Conf->{root} }

sub log_level(@)          { return setting('log_level', @_) }
sub server_name(@)        { return setting('server_name', @_) }
sub server_port(@)        { return setting('port', @_) }
sub timeout(@)            { return setting('timeout', @_) }
sub worker_connections(@) { return setting('worker_connections', @_) }
sub workers(@)            { return setting('workers', @_) }


sub setting {
    my ($name, @value) = @_;

    $Conf->{$name} = $value[0] if @value;
    return $Conf->{$name};
}


sub repeat_each(@) {
    $repeat_each = $_[0] if @_;
    return $repeat_each;
}


sub bail_out(@) {
    clean_up();
    Test::More::BAIL_OUT(@_);
    return;
}


# Every block of the file is looked at before the first one runs, so that a
# misspelt section is found even if a block before it hangs.

sub run_tests() {
    my @blocks = Test::Base::blocks();

    check_sections($_) for @blocks;

    if (!$no_shuffle) {
        my $seed = $ENV{TEST_NGINX_SEED} || int rand 1_000_000;
        srand $seed;
        Test::More::note("blocks shuffled with TEST_NGINX_SEED=$seed");
        @blocks = shuffle(@blocks);
    }

    for my $block (@blocks) {
        $_->($block) for @preprocessors;

        my $name = "$0 " . $block->name;
        $block->set_value(name => $name);
        run_block($block, $name);
        $_->($block) for @test_cleanup;
    }

    stop_nginx();
    clean_up();

    return;
}


sub check_sections {
    my ($block) = @_;

    my %custom = map { $_ => 1 } @CustomSections;
    my $name = $block->name;

    for my $section (@{ $block->{_section_order}[0] }) {
        die "$name: unknown section \"$section\"; known to this stand-in: "
            . join(' ', sort keys %known, keys %custom) . "\n"
            if !$known{$section} && !$custom{$section};

        # Test::Base's eval filter returns the error as if it were the value
        my $value = $block->$section;
        die "$name: section \"$section\": $value"
            if defined $value && !ref $value
               && $value =~ / at \(eval \d+\) line \d+/;
    }

    return;
}


sub run_block {
    my ($block, $name) = @_;

    defined $block->config or die "$name: no config\n";
    die "$name: neither request nor must_die\n"
        if !grep { defined $block->$_ }
                 qw(request raw_request pipelined_requests must_die);
    stop_nginx();

    Test::Nginx::Compat::Server::make_root();
    run_code($block, $name, 'post_setup_server_root');
    Test::Nginx::Compat::Server::write_user_files(scalar $block->user_files,
                                                   $name);
    Test::Nginx::Compat::Server::write_config(
        log_level => $block->log_level || $Conf->{log_level},
        map { $_ => Test::Nginx::Compat::Server::expand($block->$_ // '',
                                                        $name) }
            qw(main_config http_config config)
    );

    my $status = Test::Nginx::Compat::Server::start(
        quiet => defined $block->suppress_stderr);

    ($prev_block, $prev_name) = ($block, $name);
    return check_death($block, $name, $status) if defined $block->must_die;

    if ($status != 0) {
        Test::More::fail("$name - nginx started");
        Test::More::diag(@{ Test::Nginx::Compat::Server::new_lines(
                                'error.log') });
        return;
    }

    run_code($block, $name, 'init');
    run_requests($block, $name, $_) for 0 .. $repeat_each - 1;

    return;
}


sub run_code {
    my ($block, $name, $section) = @_;

    my $code = $block->$section // return;

    ## no critic (ProhibitStringyEval): the language has code in sections
    eval "package Test::Nginx::Util; $code; 1"
        or die "$name - $section failed: $@";

    return;
}


sub check_death {
    my ($block, $name, $status) = @_;

    my $expected = $block->must_die;

    if ($status & 127) {
        Test::More::fail("$name - nginx was killed by a signal: $status");
    } elsif ($expected =~ /^\d+$/) {
        Test::More::is($status >> 8, $expected,
                       "$name - die with the expected exit code");
    } else {
        Test::More::isnt($status, 0, "$name - die as expected");
    }

    check_error_log($block, $name, 0);

    return;
}


sub run_requests {
    my ($block, $name, $round) = @_;

    my @packets = requests_of($block, $name);
    my $pipelined = $block->pipelined_requests;
    my $total = $pipelined ? @{$pipelined} : @packets;
    my $left = '';

    for my $n (0 .. $total - 1) {
        if (!$pipelined || $n == 0) {
            $left = send_request($block, $name, $packets[$n]);
        }

        my $head = join('', @{ $packets[$pipelined ? 0 : $n] }) =~ /^HEAD /;
        my $res = Test::Nginx::Compat::Client::parse_response($left, $head);
        $left = $res->{left};

        Test::More::fail("$name - extra bytes after the response")
            if $left ne '' && (!$pipelined || $n == $total - 1);

        if (!defined $block->ignore_response) {
            my $pick = sub { pick($name, $_[0], $n, $total) };
            check_response($block, $name, $res, $pick);
            $_->($block, $res->{content}, $n, $round, 0) for @body_checks;
        }

        sleep $block->wait if $block->wait;
        check_error_log($block, $name, $round);
        check_log($block, $name, 'access', '', undef)
            if !defined $block->ignore_response;
    }

    return;
}


# lists of packets, one list a connection

sub requests_of {
    my ($block, $name) = @_;

    if (defined $block->raw_request) {
        my $raw = $block->raw_request;
        return [ref $raw ? @{$raw} : $raw];
    }

    my $pipelined = $block->pipelined_requests;
    my $request = $pipelined || $block->request;
    my @texts = ref $request ? @{$request} : ($request);
    my @built;

    for my $n (0 .. $#texts) {
        my $text = $texts[$n];
        die "$name: a request of packets is not supported\n" if ref $text;

        if ($pipelined) {
            $text = Test::Nginx::Compat::Server::expand($text, $name);
        } elsif (!ref $request) {
            1 while $text =~ s/\A\s*#[^\n]+\s+|\A\s+//;
        }

        my $headers = $block->more_headers || '';
        $headers = $headers->[$n] // die "$name: more_headers lack No $n\n"
            if ref $headers;

        my $keep = $pipelined && $n < $#texts;
        push @built, Test::Nginx::Compat::Client::build_request(
            $text, $headers,
            { Host => $Conf->{server_name},
              Connection => $keep ? 'keep-alive' : 'close' });
    }

    return $pipelined ? [join '', @built] : map { [$_] } @built;
}


sub send_request {
    my ($block, $name, $packets) = @_;

    my $timeout = $block->timeout || $Conf->{timeout};
    $timeout =~ s/(\d)(m?)s\z/$2 ? $1 . 'e-3' : $1/e;

    my ($raw, $why) = Test::Nginx::Compat::Client::exchange(
        $Conf->{addr}, $Conf->{port}, $packets,
        timeout => $timeout,
        delay   => scalar $block->raw_request_middle_delay);

    if ($why eq 'timeout') {
        Test::More::fail("$name - no answer in $timeout s")
            if !defined $block->abort;
    } elsif ($why ne '') {
        Test::More::fail("$name - $why");
    }

    return $raw;
}


# with several requests every expected value is a list, one element each

sub pick {
    my ($name, $value, $n, $total) = @_;

    return ref $value eq 'ARRAY' ? $value->[$n] : $value
        if $total == 1 || ref $value eq 'ARRAY';
    die "$name: several requests, so the expected values must be lists\n";
}


sub check_response {
    my ($block, $name, $res, $pick) = @_;

    Test::More::fail("$name - $res->{error}")
        if $res->{error} ne '' && !defined $block->abort;

    if (defined $block->error_code_like) {
        my $re = $pick->($block->error_code_like);
        Test::More::like($res->{code}, qr/$re/sm, "$name - status code ok");
    } else {
        my $code = defined $block->error_code ? $pick->($block->error_code)
                                              : 200;
        Test::More::is($res->{code}, $code, "$name - status code ok");
    }

    check_headers($block, $name, $res, $pick);
    check_body($block, $name, $res, $pick);

    return;
}


sub check_headers {
    my ($block, $name, $res, $pick) = @_;

    if (defined(my $re = $block->raw_response_headers_like)) {
        $re = $pick->($re);
        Test::More::like($res->{raw_headers}, qr/$re/s,
                         "$name - raw resp headers like");
    }

    if (defined(my $re = $block->raw_response_headers_unlike)) {
        $re = $pick->($re);
        Test::More::unlike($res->{raw_headers}, qr/$re/s,
                           "$name - raw resp headers unlike");
    }

    my $like = !defined $block->response_headers;
    my $lines = $block->response_headers // $block->response_headers_like
                // return;

    for my $line (split /\n/, $pick->($lines)) {
        $line =~ s/^\s+|\s+$//g;

        if ($line =~ s/^!\s*//) {
            Test::More::unlike($res->{raw_headers}, qr/^\s*\Q$line\E\s*:/m,
                               "$name - header $line not present");
            next;
        }

        my ($key, $expected) = split /\s*:\s*/, $line, 2;
        my $got = Test::Nginx::Compat::Client::header($res, $key) // '';

        if ($like) {
            Test::More::like($got, qr/^$expected$/, "$name - header $key");
        } else {
            Test::More::is($got, $expected, "$name - header $key ok");
        }
    }

    return;
}


sub check_body {
    my ($block, $name, $res, $pick) = @_;

    my $got = $res->{content};

    if (defined $block->response_body) {
        my $expected = Test::Nginx::Compat::Server::expand(
            $pick->($block->response_body), $name);

        if (ref $expected) {
            Test::More::like($got, $expected, "$name - response_body");
        } else {
            Test::More::is($got, $expected, "$name - response_body");
        }

    } elsif (defined $block->response_body_like) {
        my $re = $pick->($block->response_body_like);
        Test::More::like($got, qr/$re/s, "$name - response_body_like");

    } elsif (defined $block->response_body_unlike) {
        my $re = $pick->($block->response_body_unlike);
        Test::More::unlike($got, qr/$re/s, "$name - response_body_unlike");
    }

    return;
}


sub check_error_log {
    my ($block, $name, $round) = @_;

    my $lines = Test::Nginx::Compat::Server::new_lines('error.log');

    if (defined $block->grep_error_log) {
        my $re = $block->grep_error_log;
        $re = qr/\Q$re\E/ if !ref $re;
        my $got = join '', map { /($re)/ && $1 !~ /\n/ ? "$1\n" : () }
                               @{$lines};
        my $expected = $block->grep_error_log_out
                       // die "$name: no grep_error_log_out\n";

        $expected = $expected->[$round] if ref $expected eq 'ARRAY';
        Test::More::is($got, Test::Nginx::Compat::Server::expand($expected,
                                                                 $name),
                       "$name - grep_error_log_out");
    }

    check_log($block, $name, 'error', '', $lines);

    Test::More::fail("$name - $_")
        for grep { /\bAssertion .*?failed\b/ } @{$lines};

    return;
}


# "<log>_log" and "no_<log>_log": each pattern is found in one line or in none

sub check_log {
    my ($block, $name, $log, $prefix, $lines) = @_;

    my $section = "$prefix${log}_log";
    my $no_section = "no_$section";

    for my $pattern (patterns($block->$section)) {
        $lines //= Test::Nginx::Compat::Server::all_lines("$log.log");
        my @found = grep { ref $pattern ? /$pattern/ : /\Q$pattern\E/ }
                         @{$lines};

        Test::More::ok(@found > 0, "$name - \"$pattern\" in $section")
            or Test::More::diag('not among these lines: ',
                                grep { !/ \[debug\] / } @{$lines});
    }

    for my $pattern (patterns($block->$no_section)) {
        $lines //= Test::Nginx::Compat::Server::all_lines("$log.log");
        my @found = grep { ref $pattern ? $lines->[$_] =~ $pattern
                                        : index($lines->[$_], $pattern) >= 0 }
                         0 .. $#{$lines};
        my $ok = Test::More::ok(@found == 0,
                                "$name - \"$pattern\" not in $section");

        # a sanitizer tells most in the lines that follow
        Test::More::diag(grep { defined } @{$lines}[$_ .. $_ + 40])
            for $ok ? () : $found[0];
    }

    return;
}


sub patterns {
    my ($value) = @_;

    return if !defined $value;
    return grep { defined } @{$value} if ref $value eq 'ARRAY';
    return $value if ref $value;
    return grep { $_ ne '' } split /\n/, $value;
}


# what the last block's nginx wrote while it left belongs to that block

sub stop_nginx {
    my $problem = Test::Nginx::Compat::Server::stop();

    Test::More::fail("$prev_name - $problem") if $problem && $prev_name;

    if ($prev_block) {
        my $lines = Test::Nginx::Compat::Server::new_lines('error.log',
                                                           at_once => 1);
        check_log($prev_block, $prev_name, 'error', 'shutdown_', $lines);
        undef $prev_block;
    }

    return;
}


sub clean_up {
    $_->() for splice @cleanup;
    return;
}


# also after die() in a test file; $? must stay what it was

END {
    if ($$ == $owner) {
        local $?;
        Test::Nginx::Compat::Server::stop() if !$ENV{TEST_NGINX_NO_CLEAN};
        clean_up();
    }
}


1;

package Bitrix1C::Browser;

# Copyright (C) the ngx_http_bitrix1c_module authors

# A headless Chromium, driven through chromedriver by the WebDriver protocol,
# which is JSON over HTTP.  It lives in the directory of a Bitrix1C::Process and
# ends with the test.

use strict;
use warnings;

use File::Path qw(make_path);
use HTTP::Tiny ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use Test::More ();

use Bitrix1C::Process qw(wait_until);

# the key of an element in the JSON of W3C's WebDriver
use constant ELEMENT => 'element-6066-11e4-a52e-4f735466cecf';

# seconds that anything may take on a slow machine
use constant PATIENCE => 30;

my $JSON = JSON::PP->new->utf8->canonical->allow_nonref;


# process: whose directory is used; width, height (1280, 900), lang (en-US),
# args: [more of Chromium's own]

sub new {
    my ($class, %opt) = @_;
    my $self = bless { width => 1280, height => 900, lang => 'en-US', %opt },
               $class;
    my $process = $self->{process};

    $self->{dir} = "$process->{dir}/browser";
    make_path($self->{dir});
    $self->{http} = HTTP::Tiny->new(timeout => 2 * PATIENCE,
                                    keep_alive => 1);

    # crash reports, caches and other files stay in the directory
    local @ENV{qw(HOME XDG_CONFIG_HOME XDG_CACHE_HOME TMPDIR LANGUAGE)}
        = (($self->{dir}) x 4, $self->{lang} =~ s/-/_/r);
    $self->{pid} = $process->spawn('chromedriver', 'chromedriver', '--port=0');

    wait_until(PATIENCE, sub {
        ($self->{port}) = $process->slurp('chromedriver.out')
                          =~ /started successfully on port (\d+)/;
    }) or die "chromedriver does not start:\n"
              . $process->slurp('chromedriver.out');

    $self->{session} = $self->open_session->{sessionId};

    return $self;
}


sub open_session {
    my ($self) = @_;
    my @args = ('headless=new', "user-data-dir=$self->{dir}/profile",
        "window-size=$self->{width},$self->{height}", "lang=$self->{lang}",
        qw(no-first-run disable-gpu disable-dev-shm-usage hide-scrollbars
           disable-background-networking disable-component-update
           disable-lcd-text force-color-profile=srgb));

    push @args, @{ $self->{args} // [] };

    # Chromium's own sandbox does not work for root
    push @args, 'no-sandbox' if $> == 0;

    return $self->call(POST => '/session', { capabilities => { alwaysMatch => {
        browserName => 'chrome',
        'goog:loggingPrefs' => { browser => 'ALL' },
        'goog:chromeOptions' => {
            args => \@args,
            prefs => { 'intl.accept_languages' => $self->{lang} },
        },
    } } });
}


# the value of the answer; dies with the driver's error

sub call {
    my ($self, $method, $path, $json) = @_;
    my $answer = $self->{http}->request($method,
        "http://127.0.0.1:$self->{port}$path",
        $method eq 'POST' ? { content => $JSON->encode($json // {}) } : {});
    my $value = eval { $JSON->decode($answer->{content})->{value} };

    $answer->{success}
        or die "$method $path: ", ref $value ? $value->{message}
                                             : $answer->{content}, "\n";
    return $value;
}


sub ask {
    my ($self, $method, $path, $json) = @_;
    return $self->call($method, "/session/$self->{session}$path", $json);
}


sub open {
    my ($self, $url) = @_;
    $self->ask(POST => '/url', { url => $url });
    return;
}


sub run {
    my ($self, $script, @args) = @_;
    return $self->ask(POST => '/execute/sync',
                      { script => $script, args => \@args });
}


# the visible text of the first element that matches, '' if there is none

sub text {
    my ($self, $css) = @_;
    return $self->run('return document.querySelector(arguments[0])?.innerText'
                      . ' ?? ""', $css);
}


# how many visible elements match

sub count {
    my ($self, $css) = @_;
    return $self->run('return [...document.querySelectorAll(arguments[0])]'
                      . '.filter((e) => e.checkVisibility()).length', $css);
}


sub element {
    my ($self, $css) = @_;
    my $found = $self->ask(POST => '/element',
                           { using => 'css selector', value => $css });

    return "/element/$found->{+ELEMENT}";
}


# as a person does: fails if the element is covered, disabled or invisible

sub click {
    my ($self, $css) = @_;
    $self->ask(POST => $self->element($css) . '/click');
    return;
}


sub type {
    my ($self, $css, $text) = @_;
    $self->ask(POST => $self->element($css) . '/value', { text => $text });
    return;
}


# keys for whatever has the focus, in WebDriver's codes, e.g. "\x{e004}" for Tab

sub keys {
    my ($self, @keys) = @_;

    $self->ask(POST => '/actions', { actions => [{ type => 'key', id => 'keys',
        actions => [map { ({ type => 'keyDown', value => $_ },
                           { type => 'keyUp', value => $_ }) } @keys] }] });
    return;
}


# a test that waits until the text of CSS matches RE

sub shows {
    my ($self, $css, $re, $name) = @_;
    my $text = '';
    my $found = wait_until(PATIENCE, sub {
        $text = $self->text($css);
        return $text =~ $re;
    }, 0.05);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok($found, $name) or Test::More::diag("$css: $text");

    return $found;
}


# Tests that wait, because a page often changes after a click: on a toggle, an
# answer, the next frame.  They wait until SCRIPT returns VALUE, or until so
# many visible elements match CSS.

sub gives {
    my ($self, $script, $value, $name) = @_;
    return becomes(sub { $self->run($script) }, $value, $name);
}


sub counts {
    my ($self, $css, $value, $name) = @_;
    return becomes(sub { $self->count($css) }, $value, $name);
}


sub becomes {
    my ($look, $value, $name) = @_;
    my $got;

    wait_until(PATIENCE, sub { ($got = $look->()) eq $value }, 0.05);

    local $Test::Builder::Level = $Test::Builder::Level + 2;
    return Test::More::is($got, $value, $name);
}


# makes the dashboard ask at once, as it does when its tab is shown again

sub look {
    my ($self) = @_;
    $self->run('document.dispatchEvent(new Event("visibilitychange"))');
    return;
}


# a Chrome DevTools command, e.g. to be a phone or to prefer dark colours

sub devtools {
    my ($self, $command, %args) = @_;
    return $self->ask(POST => '/goog/cdp/execute',
                      { cmd => $command, params => \%args });
}


sub size {
    my ($self, $width, $height, %more) = @_;
    $self->devtools('Emulation.setDeviceMetricsOverride', width => $width,
        height => $height, deviceScaleFactor => 1,
        mobile => JSON::PP::false, %more);
    return;
}


sub colors {
    my ($self, $scheme) = @_;
    $self->devtools('Emulation.setEmulatedMedia', features => [
        { name => 'prefers-color-scheme', value => $scheme }]);
    return;
}


# a PNG of the window, or of the whole page however long it is

sub screenshot {
    my ($self, $file, $whole) = @_;
    my $png = $whole
        ? $self->devtools('Page.captureScreenshot',
                          captureBeyondViewport => JSON::PP::true)->{data}
        : $self->ask(GET => '/screenshot');

    CORE::open my $fh, '>:raw', $file or die "$file: $!";
    print {$fh} decode_base64($png);
    close $fh or die "$file: $!";

    return;
}


# what the browser reported since the last call: errors of scripts, violations
# of the Content-Security-Policy, failed requests

sub complaints {
    my ($self) = @_;
    my $log = $self->ask(POST => '/se/log', { type => 'browser' });

    return map { $_->{message} }
           grep { $_->{level} =~ /SEVERE|WARNING/ } @$log;
}


sub quit {
    my ($self) = @_;

    eval { $self->ask(DELETE => ''); 1 } or Test::More::diag($@);
    kill 'TERM', $self->{pid};
    $self->{process}->reap($self->{pid}, 10);

    return;
}

1;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Bitrix is PHP: requests of every shape go through the gateway to a portal that
# reads them by PHP's own rules.  What it reads is what the gateway has read, or
# the gateway refuses; and no hostile request has a method run that is not
# allowed.
#
# environment: BITRIX1C_REQUESTS, how many requests of the first kind (20000),
# there are half as many of the second; BITRIX1C_SEED

use strict;
use warnings;

use FindBin ();
use IO::Socket::INET ();
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Caller ();
use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http ();
use Bitrix1C::Port qw(free_port);

use constant KEY => 'x7k2mq9dn3s8f1aa';

my $requests = $ENV{BITRIX1C_REQUESTS} // 20_000;
my $seed = $ENV{BITRIX1C_SEED} // time;
my $viewer = $ENV{VIEW_DOOR} // 'build/release/unit/view_door';

srand $seed;
diag "BITRIX1C_SEED=$seed";

my $php = free_port();
my $gw = Bitrix1C::Caller->new(
    methods => 'crm.* sale.* task.* tasks.flow.*',
    rest    => "proxy_pass http://127.0.0.1:$php/rest/1/@{[ KEY ]}/;"
               . ' bitrix1c_pace rate=1000000/s burst=1000000;'
               . ' client_max_body_size 10m;',
    main    => 'worker_rlimit_nofile 4096;',
    http    => 'keepalive_requests 1000000; large_client_header_buffers 4 64k;',
    server  => "location /strict/ { bitrix1c_rest orders; bitrix1c_methods"
               . ' crm.deal.list crm.deal.get; proxy_pass'
               . " http://127.0.0.1:$php/rest/1/@{[ KEY ]}/;"
               . ' bitrix1c_pace rate=1000000/s burst=1000000; }',
);

my $views = "$gw->{dir}/views";
my $php_pid = fork // die "fork: $!";

if (!$php_pid) {
    $ENV{VIEWS} = $views;
    open STDOUT, '>', "$gw->{dir}/php.log";
    open STDERR, '>&', \*STDOUT;
    exec 'php', '-q', '-d', 'max_input_vars=1000', '-d',
        'display_errors=0', '-d', 'opcache.enable_cli=1', '-S',
        "127.0.0.1:$php", "$FindBin::Bin/lib/php/portal.php";
}

END {
    local $?;
    kill 'KILL', $php_pid if $php_pid;
}

wait_until(10, sub { IO::Socket::INET->new("127.0.0.1:$php") })
    or die 'php does not listen';

$gw->start_redis;
$gw->start_onec;
$gw->{bitrix} = 'php';
$gw->{server} .= $gw->rest_location;
$gw->start_nginx;

my $sock;


# the status, and the body

sub asked {
    my ($r, $location, @headers) = @_;

    for my $try (1, 2) {
        $sock //= Bitrix1C::Http::connect_to($gw->{port});

        my $body = $r->{body};
        my $query = length $r->{args} ? "?$r->{args}" : '';

        print {$sock} "$r->{http} $location$r->{path}$query HTTP/1.1\r\n",
            "Host: 127.0.0.1\r\n", (map { "$_\r\n" } @headers,
            @{ $r->{headers} }), length $r->{type}
            ? "Content-Type: $r->{type}\r\n" : (), length $body
            ? 'Content-Length: ' . length($body) . "\r\n" : (), "\r\n", $body;
        $sock->flush;

        my $status = readline $sock;

        if (defined $status) {
            my ($code) = $status =~ /\AHTTP\S+ (\d+)/ or die $status;
            my (%head, $line);

            while (defined($line = readline $sock) && $line ne "\r\n") {
                $head{lc $1} = $2 if $line =~ /\A([\w-]+): (.*?)\r\n/;
            }

            my $text = '';

            if (($head{'transfer-encoding'} // '') eq 'chunked') {
                while ((my $size = hex((readline($sock) // 0)
                                      =~ s/[^0-9a-f]//gir)) > 0) {
                    read $sock, $text, $size, length $text;
                    readline $sock;
                }

                readline $sock;

            } else {
                read $sock, $text, $head{'content-length'} // 0;
            }

            undef $sock if ($head{connection} // '') eq 'close';
            return ($code, $text);
        }

        undef $sock;
    }

    return (0, '');
}


sub any { return $_[rand @_] }
sub times_of { my ($n, $sub) = @_; return map { $sub->() } 1 .. $n }


sub encoded {
    my ($text) = @_;
    my $how = rand;

    return $text if $how < 0.3;
    $text =~ s/([^\w.\[\]-])/sprintf '%%%02X', ord $1/ge if $how < 0.8;
    $text =~ s/([^\w.-])/sprintf '%%%02x', ord $1/ge if $how >= 0.8;
    return $text;
}


# names and values, most of them ordinary

sub name {
    my $name = any(qw(id ID fields filter select order start cmd halt auth
        access_token method params entityTypeId 0 1 7 -1 a.b a_b), 'a b', ' id',
        'x]y', 'e[f', 'auth ', 'token.x', "\xd0\xb0", 'bx24_request_id', 'Id',
        '', '01', '12345678901', 'state', "c\tmd", "\xef\xbb\xbfid");

    $name = any(qw(id fields filter select order)) if rand() < 0.6;

    my $depth = any(0, 0, 1, 1, 1, 2, 3);
    $name .= '[' . any(qw(ID TITLE >=DATE %title 0 1 2 5 -5 x.y 01),
        '', '', 'a b', "\xd0\xb1", '!@ID', '1234567890', '><D', '=X', '[', 'x]')
        . ']' for 1 .. $depth;
    $name .= any('x', '[', ']', '[a') if rand() < 0.02;

    return $name;
}


sub value {
    return any('1', '300', ' 300', 'text', '', "\xd0\x90\xd0\xb1", 'a b', 'a+b',
        'x=y', 'a&b', '<b>"x"</b>', "two\nlines", "tab\there", '%zz', '100%',
        '$result[a][b]', '[1]', '{"a":1}', 'https://x.ru/?a=1#b', 'N', 'null',
        "\x01x", "\xc2\x85y", "\xff", 'true');
}


sub form {
    my ($n) = @_;
    my $text = join '&', times_of($n, sub {
        my $pair = encoded(name());
        return $pair if rand() < 0.03;
        my $value = value();
        $value = rand() < 0.7 ? encoded($value) =~ s/([&#])/sprintf '%%%02X',
                                                             ord $1/ger : $value;
        return "$pair=$value";
    });

    $text =~ s/ /any('+', '%20')/ge;
    return $text;
}


# a query string has none of these in a line of HTTP

sub query {
    my $text = form(any(0, 0, 1, 2, 3));
    $text =~ s/([\x00-\x20\x7f#])/sprintf '%%%02X', ord $1/ge;
    return $text;
}


sub json_string {
    my ($text) = @_;
    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/\n/any('\\n', '\\n', "\n")/ge;
    $text =~ s/([\x00-\x09\x0b-\x1f])/any(sprintf('\\u%04x', ord $1), $1)/ge;
    $text =~ s/([a-z])/rand() < 0.02 ? sprintf('\\u%04x', ord $1) : $1/ge;
    $text = any('\\ud83d\\ude00', '\\ud800', '\\u0000', '\\ufffe')
        if rand() < 0.01;
    return "\"$text\"";
}


sub json {
    my ($depth) = @_;
    my $kind = rand;

    return json_string(value()) if $kind < 0.35;
    return any(qw(1 0 -1 300 1.5 0.1 1e3 12345678901234567890 1.0 -0 true false
                  null 0.00001 1234567890123456 01 TRUE NaN))
        if $kind < 0.6 || $depth > 3;

    my $space = any('', '', ' ', "\n  ", "\t");

    return '[' . join(",$space", times_of(any(0, 1, 2, 3), sub {
        json($depth + 1) })) . ']' if $kind < 0.75;

    return json_object($depth + 1);
}


sub json_object {
    my ($depth) = @_;
    my $space = any('', '', ' ', "\n");
    my %seen;

    return "{$space" . join(",$space", times_of(any(0, 1, 2, 3, 4), sub {
        my $name = name() =~ s/[\[\]]//gr;
        return () if $seen{$name}++ && rand() < 0.9;
        return json_string($name) . ":$space" . json($depth);
    })) . "$space}";
}


sub multipart {
    my ($boundary) = @_;

    return join('', times_of(any(0, 1, 2, 3), sub {
        my $file = rand() < 0.3;
        my $name = name() =~ s/["\\]//gr;

        return "--$boundary\r\nContent-Disposition: form-data; name=\"$name\""
            . ($file ? '; filename="' . any('a.txt', '', 'x y') . '"' : '')
            . "\r\n" . (rand() < 0.4 ? "Content-Type: text/plain\r\n" : '')
            . (rand() < 0.03 ? "X-Y: 1\nContent-Disposition: form-data;"
                               . " name=\"evil\"\r\n" : '')
            . "\r\n" . value() . "\r\n";
    })) . (rand() < 0.95 ? "--$boundary--\r\n" : '');
}


my @forms = ('application/x-www-form-urlencoded',
    'application/x-www-form-urlencoded; charset=UTF-8',
    'Application/X-WWW-Form-Urlencoded');
my @jsons = ('application/json', 'application/json; charset=utf-8',
    'Application/JSON', 'application/json x', 'application/json, y', '',
    'text/plain', 'text/json', 'application/vnd.x+json', 'application/json;');


sub payload {
    my ($what) = @_;
    my $kind = rand;

    return ('', any('', @jsons, @forms)) if $kind < 0.05;

    if ($kind < 0.4) {
        my $body = $what ? $what->('form') : form(any(1, 1, 2, 3, 5, 8));
        $body = join '&', times_of(any(999, 1000, 1001, 1500), sub {
            'fields[' . int(rand 2000) . ']=1' }) if rand() < 0.003;
        $body = any("\xef\xbb\xbf", ' ', "\n") . $body if rand() < 0.05;
        return ($body, any(@forms, @forms, @forms, any(@jsons)));
    }

    if ($kind < 0.9) {
        my $body = $what ? $what->('json') : rand() < 0.1 ? '[' . join(',',
            times_of(any(0, 1, 2), sub { json(1) })) . ']' : json_object(0);
        $body = any("\xef\xbb\xbf", ' ', "\r\n\t", "\0", "\x0b") . $body
            if rand() < 0.05;
        $body .= any("\n", ' ', "\0", 'x', '}') if rand() < 0.05;
        return ($body, any(@jsons, @jsons, any(@forms)));
    }

    my $boundary = any('xYz', '----WebKitFormBoundaryA1b2', "a'b", 'a b');
    return (multipart($boundary), 'multipart/form-data; boundary='
        . any($boundary, $boundary, "\"$boundary\""));
}


sub any_case {
    my ($name) = @_;
    return $name if rand() < 0.7;
    return join '', map { rand() < 0.5 ? uc : $_ } split //, $name;
}


sub request {
    my $name = rand() < 0.1 ? 'batch' : any(qw(crm.deal.list crm.item.update
        sale.order.add task.item.update tasks.flow.Flow.create));
    my $batch = $name eq 'batch';
    my $get = rand() < 0.3;
    my ($body, $type) = $get && rand() < 0.9 ? ('', '')
        : payload($batch && rand() < 0.8 ? \&commands : undef);

    return {
        name => lc $name, batch => $batch, http => $get ? 'GET' : 'POST',
        path => any('', '', '', '/') . any_case($name)
                . any('', '', '', '.json', '.JSON', '.xml')
                . any('', '', '/', '//'),
        args => $batch && $get ? commands('query') : query(),
        body => $body, type => $type, headers => [
            rand() < 0.05 ? 'Authorization: Bearer abc' : ()],
    };
}


# those of a batch, of allowed methods or of these

sub commands {
    my ($how, @methods) = @_;
    my $hostile = @methods;
    @methods = qw(crm.deal.get crm.deal.list) if !@methods;

    my @commands = times_of(any(1, 1, 2, 3), sub {
        my $command = any(@methods);
        $command .= any('?', '') . form(any(0, 1, 2)) if rand() < 0.7;
        return $command;
    });

    my $cmd = any('cmd', 'cmd', 'cmd', 'CMD', 'Cmd');
    $cmd = any(' cmd', 'cmd ', 'c.md', 'cmd.', 'cmd[', "cmd\0x", 'cm%64')
        if $hostile && rand() < 0.2;
    my $n = 0;

    if ($how eq 'json') {
        my $list = rand() < 0.5;
        my @members = map {
            my $text = json_string($_);
            $text = any("[$text]", "{\"a\":$text}", '1', 'null')
                if $hostile && rand() < 0.05;
            $list ? $text : '"' . any("c$n", $n, 'a') . $n++ . "\":$text"
        } @commands;
        my $members = join ',', @members;

        $members = $list ? "[$members]" : "{$members}";
        my $halt = any('', '"halt":0,', '"HALT":true,', '"x":"&cmd[b]=user.add'
                                                         . '?EMAIL=e&y=",');
        my $more = $hostile && rand() < 0.15
                   ? ",\"" . any('cmd', 'CMD', 'cMd') . "\":[\"user.add\"]" : '';
        $cmd = json_string($cmd);
        return "{$halt$cmd:$members$more}";
    }

    my @pairs = map {
        my $text = $_;
        $text =~ s/([^\w.])/sprintf '%%%02X', ord $1/ge;
        my $name = $cmd . any('[]', "[a$n]", "[$n]",
                              ($hostile ? ('', '[a][b]', '[a]x') : '[x]'));
        $n++;
        encoded($name) . "=$text"
    } @commands;

    push @pairs, any('halt=0', 'HALT=1', 'x=1') if rand() < 0.3;
    my $text = join '&', @pairs;
    $text =~ s/([\x00-\x20\x7f])/sprintf '%%%02X', ord $1/ge if $how eq 'query';
    return $text;
}


# one batch of requests at a time, so that the viewer reads many

sub views_of {
    my (@requests) = @_;
    my $in = "$gw->{dir}/requests";

    open my $out, '>:raw', $in or die "$in: $!";

    for my $r (@requests) {
        print {$out} join(' ', $r->{http} eq 'POST' ? 1 : 0,
            $r->{batch} ? 1 : 0, length $r->{args}, length $r->{type},
            length $r->{body}), "\n", $r->{args}, $r->{type}, $r->{body};
    }

    close $out;
    system("$viewer < $in > $views") == 0 or die "$viewer failed";

    open my $fh, '<:raw', $views or die "$views: $!";
    my $offset = 0;

    for my $r (@requests) {
        my $line = readline $fh;
        @$r{qw(offset length view)} = ($offset, length($line) - 1, $line);
        $offset += length $line;
    }

    return;
}


sub shown {
    my ($r) = @_;
    return "$r->{http} $r->{path}?$r->{args} [$r->{type}] "
        . substr($r->{body}, 0, 300) =~ s/([^\x20-\x7e])/sprintf '\\x%02x',
                                                           ord $1/ger;
}


my (@different, %count);

for my $round (1 .. int(($requests + 999) / 1000)) {
    my @requests = times_of(1000, \&request);

    views_of(@requests);

    for my $r (@requests) {
        my ($code, $text) = asked($r, '/bitrix/',
                                  "X-View: $r->{offset} $r->{length}");

        if ($code == 200) {
            my $portal = JSON::PP::decode_json($text);
            $count{passed}++;

            push @different, shown($r) . ": $portal->{same}; "
                . substr $r->{view}, 0, 200
                if ref $portal->{same} eq '';
            push @different, shown($r) . ": method $portal->{ran}[0]"
                if $portal->{ran}[0] ne $r->{name};

        } else {
            $count{refused}++;
            my ($why) = $text =~ /"error":"(\w+)"/;
            push @different, shown($r) . ": $code $text"
                if $code !~ /\A4/ || !$why;
            push @different, shown($r) . ": refused, but it is read: $text"
                if $r->{view} ne "-\n" && ($why // '') !~ /METHOD|BATCH/
                && !$r->{batch};
        }
    }
}

is join("\n", splice @different, 0, 5), '',
    "$requests requests: the portal reads what the gateway has read";
cmp_ok $count{passed} // 0, '>', $requests / 3, 'most of them pass';
diag join ', ', map { "$_ $count{$_}" } sort keys %count;


# hostile ones

my @forbidden = (split ' ', 'user.add USER.ADD User.Add crm.deal.delete crm.deal.add
    crm.deal.list:user.add http:user.add 1:user.add user.add%2e user.add#x
    crm.deal.list/../user.add /user.add //h/user.add batch BATCH Batch.json
    batch?cmd[a]=user.add user.add.json crm.deal.list.json.json upload download
    crm.deal.list?token=abc crm.deal.get?auth=x&id=1 crm.deal.get?access_token=x
    crm.deal.get?+auth=x crm.deal.get?access.token=x us%65r.add');
push @forbidden, "user.add\n", " user.add", "user.add\0", "us\x01er.add",
    "crm.deal.list\x0auser.add", "crm.deal.list\x7f", 'user.add ', "\tuser.add";


sub hostile {
    my $http = any('GET', 'POST', 'POST', 'POST');
    my $path = 'batch';
    my @mixed = (('crm.deal.list', 'crm.deal.get') x any(1, 20, 100),
                 @forbidden);

    if (rand() < 0.4) {
        $path = any(@forbidden, ('crm.deal.list') x 60, 'user.add/',
            '../1/abcdefgh12345678/user.add', 'crm.deal.list/..%2fuser.add',
            '%75ser.add', 'crm.deal.list%2f..%2fuser.add', 'user.add/..',
            'crm.deal.list%00user.add', 'crm.deal.list?method=user.add',
            'crm.deal.list;/user.add', '1/abcdefgh12345678/user.add', '.', '..', '/',
            'index.php', 'user.add/index.php', "crm.deal.list\\..\\user.add");
        $path =~ s/([\x00-\x20\x7f])/sprintf '%%%02X', ord $1/ge;
        $path =~ s/\#//g;
    }

    my $args = rand() < 0.3 ? commands('query', @mixed) : query();
    $args = any('method=user.add', 'auth=x', 'access_token=x', 'token=abc',
        'access.token=1', 'access%20token=1', '+auth=1', 'auth[a]=1',
        '%61uth=1') . "&$args" if rand() < 0.2;

    my ($body, $type) = $http eq 'GET' ? ('', '')
        : payload(sub { commands($_[0], @mixed) });

    return { http => $http, path => any('', '', '/') . any_case($path),
        args => $args, body => $body, type => $type, headers =>
        [rand() < 0.1 ? 'Authorization: Bearer abc' : (),
         rand() < 0.05 ? 'X-HTTP-Method-Override: PUT' : ()] };
}


my (@passed, %hostile);

for (1 .. $requests / 2) {
    my $r = hostile();
    my ($code, $text) = asked($r, '/strict/');

    if ($code != 200) {
        $hostile{refused}++;
        next;
    }

    my $portal = JSON::PP::decode_json($text);
    my @bad = grep { !/\A(?:crm\.deal\.(?:list|get)|batch)\z/ }
              @{ $portal->{ran} };

    push @bad, 'batch' if grep { $_ eq 'batch' } @{ $portal->{ran} }[
        1 .. $#{ $portal->{ran} }];

    $hostile{passed}++;
    push @passed, shown($r) . ": @bad" if @bad;
}

is join("\n", splice @passed, 0, 5), '',
    int($requests / 2) . ' hostile ones: no forbidden method runs';
diag join ', ', map { "$_ $hostile{$_}" } sort keys %hostile;


# files arrive

{
    my $body = join "\r\n", '--b', 'Content-Disposition: form-data; name="id"',
        '', '3', '--b', 'Content-Disposition: form-data; name="f";'
        . ' filename="a.bin"', 'Content-Type: application/octet-stream', '',
        "\0\xff" x 1000, '--b--', '';
    my ($code, $text) = asked({ http => 'POST', path => 'crm.deal.get',
        args => '', type => 'multipart/form-data; boundary=b', body => $body,
        headers => [] }, '/bitrix/');

    is $code, 200, 'a file';
    is_deeply eval { JSON::PP::decode_json($text)->{files} }, { f => 2000 },
        'arrives whole';
}

$gw->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# README.md against what there is: nginx takes every configuration in it, with
# no more than paths, ports and names changed; every directive, parameter of a
# queue, variable, metric and error code of the sources stands in it, with its
# contexts, and no other.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();
use Bitrix1C::Http ();

my $TOP = "$FindBin::Bin/..";
my $dir = tempdir(CLEANUP => 1);
my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx';
my $module = $ENV{TEST_NGINX_LOAD_MODULES}
             // abs_path("$FindBin::Bin/../build/ngx_http_bitrix1c_module.so");


sub slurp {
    open my $fh, '<', $_[0] or die "$_[0]: $!";
    local $/ = undef;
    return scalar <$fh>;
}


sub spew {
    my ($file, $text) = @_;
    open my $fh, '>', $file or die "$file: $!";
    print {$fh} $text;
    close $fh or die "$file: $!";
    return;
}


my $readme = slurp("$TOP/README.md");
my $paths = join '', map { "    ${_}_temp_path $dir/$_;\n" }
                     qw(client_body proxy fastcgi uwsgi scgi);


# what nginx says to a configuration of README.md

sub tested {
    my ($conf) = @_;

    $conf =~ s{modules/ngx_http_bitrix1c_module\.so}{$module};
    $conf =~ s{/etc/(?:nginx|ssl)/}{$dir/}g;
    $conf =~ s{/var/(?:lib|log)/nginx/}{$dir/}g;
    $conf =~ s{listen\s+443}{listen unix:$dir/sock};
    $conf =~ s{listen\s+127\.0\.0\.1:\d+}{listen unix:$dir/local};

    # nginx looks up names when it reads them, and a test machine may know none

    $conf =~ s{https://myshop\.bitrix24\.ru/}{https://127.0.0.1/};
    $conf =~ s/^http \{\n/http {\n    access_log off;\n$paths/m;

    spew("$dir/nginx.conf", "pid $dir/nginx.pid;\nerror_log stderr;\n$conf");

    my $said = `$nginx -t -p $dir/ -c $dir/nginx.conf 2>&1`;

    return "status $?: $said" if $?;
    return join '', grep { /\[(?:warn|emerg|alert)\]/ } split /^/, $said;
}


# the statements of a piece of configuration, blocks as one

sub statements {
    my ($text) = @_;
    my ($depth, $statement, @found) = (0, '');

    for my $word ($text =~ /("[^"]*"|'[^']*'|\#[^\n]*|[{};]|[^{};"'\#]+)/g) {
        next if $word =~ /\A\#/;

        $statement .= $word;
        $depth++ if $word eq '{';
        $depth-- if $word eq '}';

        if (!$depth && $word =~ /\A[;}]\z/) {
            push @found, $statement =~ s/\A\s+//r;
            $statement = '';
        }
    }

    return @found;
}


# a piece with what stands around it elsewhere in README.md

sub completed {
    my ($text) = @_;
    my (@http, @server, @location);

    for my $statement (statements($text)) {
        my ($word) = $statement =~ /\A(\w+)/;
        my $place = $word eq 'proxy_pass' ? \@location
            : $word =~ /\A(?:bitrix1c_queue|map|log_format|server)\z/ ? \@http
            : \@server;

        push @$place, $statement;
    }

    for my $queue (grep { $text !~ /bitrix1c_queue $_/ } qw(orders portal)) {
        push @http, "bitrix1c_queue $queue { redis unix:$dir/redis; }";
    }

    push @location, 'proxy_pass http://onec/CompanyName/hs/exchange/;'
        if !@location;

    local $" = "\n";

    return <<"EOT";
load_module modules/ngx_http_bitrix1c_module.so;
events { }
http {
@http
upstream onec { server 127.0.0.1:80; }
server {
    listen unix:$dir/other;
    @server
    location = /bitrix/orders {
        bitrix1c_webhook orders;
        bitrix1c_token a-secret-of-the-test;
        @location
    }
}
}
EOT
}


my ($tokens) = $readme =~ /bitrix1c\.tokens`.*?^```\n(.*?)^```$/ms;
ok $tokens, 'README.md has a token file';

spew("$dir/bitrix1c.tokens", $tokens);
chmod 0600, "$dir/bitrix1c.tokens";
spew("$dir/operators", '');

system "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=gate"
       . " -keyout $dir/gate.myshop.ru.key -out $dir/gate.myshop.ru.pem"
       . ' 2> /dev/null';

my @pieces = $readme =~ /^```nginx\n(.*?)^```$/msg;
ok @pieces > 5 && $pieces[0] =~ /\Aload_module/, 'opens with a configuration';

for my $piece (@pieces) {
    my ($name) = $piece =~ /\A([^\n]*)/;
    my $conf = $piece =~ /\Aload_module/ ? $piece
               : completed($piece =~ s/^…\n//mgr);

    is tested($conf), '', "nginx takes: $name" or diag $conf;
}

# directives

my $sources = join '', map { slurp($_) }
              glob "$TOP/ngx_http_bitrix1c_module/*.c";
my %contexts = (MAIN => 'http', SRV => 'server', LOC => 'location');
my (%code, %text);

while ($sources =~ /\{ ngx_string\("(bitrix1c_\w+)"\),\s+(NGX_HTTP_[\w|]+)/g) {
    my ($name, $flags) = ($1, $2);
    $code{$name} = join ', ', map { $contexts{$_} }
                   $flags =~ /NGX_HTTP_(MAIN|SRV|LOC)_CONF/g;
}

for my $section ($readme =~ /^\#\#\# (bitrix1c_.*?)(?=^\#\#)/msg) {
    my ($title, $syntax, $default, $context) = $section =~ /\A([^\n]+)\n\n
        \*\*syntax:\*\*\ ([^\n]+)\n\*\*default:\*\*\ ([^\n]+)\n
        \*\*context:\*\*\ ([^\n]+)\n/x
        or fail("not of the form of a directive: $section"), next;
    my @names = $syntax =~ /`(bitrix1c_\w+)/g;

    is join(', ', @names), $title, "$title: syntax and title";
    $text{$_} = $context =~ s/, with.*//r for @names;

    is $section =~ /^\*\*phase:\*\* \w+$/m || 0,
        $title =~ /_(?:webhook|rest|api)$/ || 0,
        "$title: a phase if it takes requests";
}

is_deeply \%text, \%code, 'all directives, with their contexts';

my %queue = map { $_ => 1 } slurp("$TOP/ngx_http_bitrix1c_module/"
    . 'queue/b1c_queue_conf.c') =~ /^ +\{ ngx_string\("(\w+)"\),/mg;
my ($table) = $readme =~ /^\#\#\# bitrix1c_queue\n(.*?)^\#\#/ms;
my %rows = map { $_ => 1 } map { /`([a-z_]+)[ `]/g }
           $table =~ /^\| (`[a-z].*?) \|/mg;

is_deeply \%rows, \%queue, 'all that stands in bitrix1c_queue';

my %parameter = map { $_ => 1 } slurp("$TOP/ngx_http_bitrix1c_module/"
    . 'redis/b1c_redis_conf.c') =~ /^ +\{ ngx_string\("(\w+=)"\),/mg;
delete @parameter{qw(password= sentinel_password=)};    # refused, with advice

is join(' ', grep { $table !~ /\[$_/ } sort keys %parameter), '',
    'all parameters of redis';

# variables

my %variable = map { $_ => 1 }
               $sources =~ /^ +\{ ngx_string\("(bitrix1c_\w+)"\), NULL,/mg;
my ($variables) = $readme =~ /^\#\# Variables\n(.*?)^\#\# /ms;
my %named = map { s/NAME$//r => 1 } map { /`\$(bitrix1c_\w+)`/g }
            $variables =~ /^\| (`\$.*?) \|/mg;

is_deeply \%named, \%variable, 'all variables';

# errors of the gateway

my ($errors) = $readme =~ /^\#\#\# Errors of the gateway\n(.*?)^\#\#/ms;
my %raised = map { $_ => 1 } $sources =~ /"(BITRIX1C_[A-Z_]+)"/g;
my %told = map { $_ => 1 } $errors =~ /`(BITRIX1C_[A-Z_]+)`/g;

is_deeply \%told, \%raised, 'all errors of calls';

# metrics

my $gw = Bitrix1C::Gateway->new(
    server => 'location /bitrix1c/ { bitrix1c_api; }')->start;
my $body = Bitrix1C::Http::http_request(port => $gw->{port},
    path => '/bitrix1c/metrics')->{body};
my %scraped = $body =~ /^\# TYPE (\w+) (\w+)$/mg;
my ($metrics) = $readme =~ /^\#\#\# Metrics\n(.*?)^\#\#\# /ms;
my (%metric, %meaning);

while ($metrics =~ /^\| (`.*?) \| (\w+) \| (.*) \|$/mg) {
    my ($names, $type, $meaning) = ($1, $2, $3);

    for my $name ($names =~ /`(bitrix1c_\w+)/g) {
        $metric{$name} = $type;
        $meaning{$name} = $meaning;
    }
}

is_deeply \%metric, \%scraped, 'all metrics';

my @untold;

while ($body =~ /^(\w+)\{.*\bresult="(\w+)"/mg) {
    my ($name, $result) = ($1, $2);
    push @untold, "$name $result" if $meaning{$name} !~ /`$result`/;
}

is join(', ', @untold), '', 'all values of "result"';

$gw->finish;
done_testing;

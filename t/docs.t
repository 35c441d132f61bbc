#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The documents are compared with the sources.  nginx accepts every
# configuration in them; only paths, ports and names are changed for the test.
# The documents name every directive, parameter of a queue, variable, metric and
# error code of the sources, with the right contexts, and no others.  Log
# messages that the documents quote are in the sources.  Links lead somewhere,
# and lines are short.

use strict;
use warnings;

use Cwd qw(abs_path);
use Encode qw(decode_utf8);
use File::Basename qw(dirname);
use File::Find qw(find);
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


my @documents = map { s{\A\Q$TOP\E/}{}r }
                glob "$TOP/*.md $TOP/docs/*.md";
my %document = map { $_ => slurp("$TOP/$_") } @documents;
my $readme = $document{'README.md'};
my $directives = $document{'docs/directives.md'};
my $paths = join '', map { "    ${_}_temp_path $dir/$_;\n" }
                     qw(client_body proxy fastcgi uwsgi scgi);


# the directives of the sources, with their contexts

my @sources;

find({
    preprocess => sub { grep { !/\A(?:\.[^.]|build\z|t\z|bench\z)/ } @_ },
    wanted     => sub { push @sources, $File::Find::name if /\.c\z/ },
}, $TOP);

my $sources = join '', map { slurp($_) } sort @sources;
my %contexts = (MAIN => 'http', SRV => 'server', LOC => 'location');
my (%code, %text);

while ($sources =~ /\{ ngx_string\("(bitrix1c_\w+)"\),\s+(NGX_HTTP_[\w|]+)/g) {
    my ($name, $flags) = ($1, $2);
    $code{$name} = join ', ', map { $contexts{$_} }
                   $flags =~ /NGX_HTTP_(MAIN|SRV|LOC)_CONF/g;
}


# what nginx says to a configuration of a document

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


# a piece of configuration, with the blocks around it that it needs

sub completed {
    my ($text) = @_;
    my (@http, @server, @location);

    for my $statement (statements($text)) {
        my ($word) = $statement =~ /\A(\w+)/;
        my $place = $word eq 'proxy_pass' || ($code{$word} // '') eq 'location'
            ? \@location
            : $word =~ /\A(?:bitrix1c_queue|map|log_format|server)\z/ ? \@http
            : \@server;

        push @$place, $statement;
    }

    for my $queue (grep { $text !~ /bitrix1c_queue $_/ } qw(orders portal)) {
        push @http, "bitrix1c_queue $queue { redis unix:$dir/redis; }";
    }

    push @location, 'proxy_pass http://onec/CompanyName/hs/exchange/;'
        if "@location" !~ /\bproxy_pass /;

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
spew("$dir/b1c.redis", "a-password\n");
chmod 0600, "$dir/b1c.redis";

system "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=gate"
       . " -keyout $dir/gate.myshop.ru.key -out $dir/gate.myshop.ru.pem"
       . ' 2> /dev/null';

sub configurations {
    return $_[0] =~ /^ *```nginx\n(.*?)^ *```$/msg;
}


my ($first) = configurations($readme);
like $first, qr/\Aload_module/, 'README.md opens with a whole configuration';

for my $document (@documents) {
    for my $piece (configurations($document{$document})) {
        my ($name) = $piece =~ /\A([^\n]*)/;
        my $conf = $piece =~ /\Aload_module/ ? $piece
                   : completed($piece =~ s/^…\n//mgr);

        is tested($conf), '', "nginx takes in $document: $name" or diag $conf;
        unlike $piece, qr/ONSALEORDERNEW|catalog\.storeproduct\.update/,
            "$document names only what portals have: $name";
    }
}

cmp_ok scalar(map { configurations($_) } values %document), '>', 10,
    'there are configurations to test';

# the form of a directive: its title, then a block that begins with "Syntax:"

my (%inside, %syntax);

while ($directives =~ /^\#\#\# (\w+)\n\n```\n(.*?)^```$/msg) {
    my ($title, $block) = ($1, $2);
    my ($syntax, $default, $context, $rest) = $block =~ /\A
        Syntax:\ \ \ (.*?)\n
        Default:\ \ ([^\n]+)\n
        Context:\ \ ([^\n]+)\n
        (Phase:\ \ \ \ \w+\n)?\z/xs
        or fail("not of the form of a directive: $title: $block"), next;

    my %names = map { $_ => 1 } $syntax =~ /(?:\A|;\n\s+)(\w+)/g;

    is join(', ', keys %names), $title, "$title: syntax and title";
    like $syntax, qr/(?:;|\{ \.\.\. \})\z/, "$title: the syntax is whole";
    like $default, qr/\A(?:—\z|$title .*;\z)/, "$title: the default";

    $syntax{$title} = $syntax;

    if ($context eq 'bitrix1c_queue') {
        ok !$rest, "$title: no phase";
        $inside{$title} = 1;
        next;
    }

    $text{$title} = $context;

    is defined $rest || 0, $title =~ /_(?:webhook|rest|api)$/ || 0,
        "$title: a phase if it takes requests";
}

is_deeply \%text, \%code, 'all directives, with their contexts';
is join(' ', sort $directives =~ /^\#\#\# (\w+)/mg),
    join(' ', sort keys %syntax), 'no directive without its form';

# the index of README.md has the contexts by their first letters

my %letters = (H => 'http', S => 'server', L => 'location');
my (%index, %queue_index);
my ($list) = $readme =~ /^\#\# Directives\n(.*?)^\#\# /ms;

while ($list =~ m{^\|\ \[`(\w+)`\]\(docs/directives\.md\#(\w+)\)\ \|
                  (?:\ ([HSL\ ]+)\ \|)?\ .+\ \|$}xmg) {
    my ($name, $anchor, $contexts) = ($1, $2, $3);

    is $anchor, $name, "$name: the index leads to it";

    if (defined $contexts) {
        $index{$name} = join ', ', map { $letters{$_} } split / /, $contexts;
    } else {
        $queue_index{$name} = 1;
    }
}

is_deeply \%index, \%code, 'the index of README.md, with contexts';

# tables of the sources, known by what is in them

my @tables = $sources =~ /\{\n((?: {4}.*\n|\n)+)\};/g;
my ($commands) = grep { /ngx_string\("dead_letters"\)/ } @tables;
my ($parameters) = grep { /ngx_string\("connect_timeout="\)/ } @tables;
ok $commands && $parameters, 'the sources have both tables';

my %queue = map { $_ => 1 } $commands =~ /^ +\{ ngx_string\("(\w+)"\),/mg;

is_deeply \%inside, \%queue, 'all that stands in bitrix1c_queue';
is_deeply \%queue_index, \%queue, 'the same in the index of README.md';

my %parameter = map { $_ => 1 }
                $parameters =~ /^ +\{ ngx_string\("(\w+=)"\),/mg;
delete @parameter{qw(password= sentinel_password=)};    # refused, with advice

is join(' ', grep { "$syntax{redis} $syntax{sentinel}" !~ /\[$_/ }
             sort keys %parameter), '', 'all parameters of redis';

# variables

my %variable = map { $_ => 1 }
               $sources =~ /^ +\{ ngx_string\("(bitrix1c_\w+)"\), NULL,/mg;
my ($variables) = $document{'docs/wire-format.md'}
                  =~ /^\#\# Variables\n(.*?)^\#\# /ms;
my %named = map { s/NAME$//r => 1 } map { /`\$(bitrix1c_\w+)`/g }
            $variables =~ /^\| (`\$.*?) \|/mg;

is_deeply \%named, \%variable, 'all variables';

# errors of the gateway

my ($errors) = $document{'docs/rest.md'}
               =~ /^\#\# Errors of the gateway\n(.*?)^\#\#/ms;
my %raised = map { $_ => 1 } $sources =~ /"(BITRIX1C_[A-Z_]+)"/g;
my %told = map { $_ => 1 } $errors =~ /`(BITRIX1C_[A-Z_]+)`/g;

is_deeply \%told, \%raised, 'all errors of calls';

# metrics

my $gw = Bitrix1C::Gateway->new(
    server => 'location /bitrix1c/ { bitrix1c_api; }')->start;
my $body = Bitrix1C::Http::http_request(port => $gw->{port},
    path => '/bitrix1c/metrics')->{body};
my %scraped = $body =~ /^\# TYPE (\w+) (\w+)$/mg;
my $operations = $document{'docs/operations.md'};
my ($metrics) = $operations =~ /^\#\# Metrics\n(.*?)^\#\# /ms;
my (%metric, %meaning);

while ($metrics =~ /^\| (`.*?) \| (counter|gauge|histogram) \| .* \|$/mg) {
    my ($names, $type) = ($1, $2);
    $metric{$_} = $type for $names =~ /`(bitrix1c_\w+)/g;
}

is_deeply \%metric, \%scraped, 'all metrics';

# the values of "result"; the values of one metric may fill several rows

my $counter;

for my $row ($metrics =~ /^(\|.*\|)$/mg) {
    my ($name, $values) = $row =~ /\A\| (?:`(\w+)` )?\| ([^|]+) \|\z/ or next;
    $counter = $name // $counter // next;
    $meaning{$counter} .= $values;
}

my @untold;

while ($body =~ /^(\w+)\{.*\bresult="(\w+)"/mg) {
    my ($name, $result) = ($1, $2);
    push @untold, "$name $result" if ($meaning{$name} // '') !~ /`$result`/;
}

is join(', ', @untold), '', 'all values of "result"';

$gw->finish;

# log messages: each part between "…" is in a string of the sources; what "%V"
# and the like stand for in it is in another one

my @strings = map { s/\\"/"/gr }
              map { s/(?<!\\)"\s+"//gr =~ /\A"(.*)"\z/s }
              $sources =~ /("(?:[^"\\\n]|\\.)*"(?:\s+"(?:[^"\\\n]|\\.)*")*)/g;
my ($messages) = $operations =~ /^\#\# Log messages[^\n]*\n(.*?)^\#\# /ms;
my @messages = $messages =~ /^\| `(.*?)` \|/mg;

cmp_ok scalar @messages, '>', 10, 'there are log messages to test';


sub is_string {
    my ($part) = @_;
    return scalar grep { index($_, $part) >= 0 } @strings;
}


sub is_logged {
    my ($part) = @_;

    return 1 if is_string($part);

    for my $format (grep { /%/ && /\w{2} / } @strings) {
        my $pattern = join '(.*?)', map { quotemeta }
                      split /%\*?u?[a-zA-Z]/, $format, -1;
        my @values = $part =~ /\A$pattern\z/ or next;

        return 1 if !grep { length && (length() < 4 || !is_string($_)) }
                    @values;
    }

    return;
}


for my $message (@messages) {
    my @lost = grep { !is_logged($_) } grep { /\w/ }
               map { s/\A\s+//r } split /…/, $message;

    is join(' … ', @lost), '', "in the sources: $message";
}

# links, and the anchors that GitHub makes of headings

sub anchors {
    my ($text) = @_;
    my %seen;

    return map { $seen{$_}++ ? "$_-" . ($seen{$_} - 1) : $_ }
           map { s/ /-/gr =~ s/[^\w-]//gr } map { s/\[([^]]*)\]\([^)]*\)/$1/gr }
           map { lc } $text =~ /^\#+ +(.*?) *$/mg;
}


# what is inside blocks of code is neither a heading nor a link

my %prose = map { $_ => $document{$_} =~ s/^ *```.*?^ *```$//msgr } @documents;
my %anchors = map {
    $_ => { map { $_ => 1 } anchors(decode_utf8($prose{$_})) }
} @documents;

my $links = 0;

for my $document (@documents) {
    my @broken;

    while ($prose{$document} =~ /\]\(([^)\s]+)\)/g) {
        my ($file, $anchor) = split /\#/, $1, 2;
        next if $file =~ /\A\w+:/;

        $links++;
        my $path = $file eq '' ? $document : resolved($document, $file);

        push @broken, $1 if !-e "$TOP/$path"
            || defined $anchor && !$anchors{$path}{$anchor};
    }

    is join(', ', @broken), '', "links of $document";
}

cmp_ok $links, '>', 50, 'there are links to test';


# a path below the top, of a link in a document

sub resolved {
    my ($document, $file) = @_;
    my $path = dirname($document) . "/$file";

    $path =~ s{\A(?:\./)+}{};
    1 while $path =~ s{(?:\A|(?<=/))[^/]+/\.\./}{};

    return $path;
}

# length: tables, and addresses that cannot be broken, may be longer

for my $document (@documents) {
    my $max = $document eq 'README.md' ? 100 : 119;
    my @long = grep { length $_ > $max && !/\A\|/ && !m{\A\S*https?://\S+\z} }
               split /\n/, decode_utf8($document{$document});

    is join("\n", @long), '', "$document: lines of at most $max columns";
}

my @readme = split /\n/, decode_utf8($readme);

cmp_ok scalar @readme, '<=', 350, 'README.md: at most 350 lines';
is join("\n", grep { length > 100 } @readme), '',
    'README.md: tables of at most 100 columns, too';

# every document is reachable from README.md

is join(', ', grep { $_ ne 'README.md' && $readme !~ /\(\Q$_\E[)\#]/ }
             @documents), '', 'README.md links to all documents';

done_testing;

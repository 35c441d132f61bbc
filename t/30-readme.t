#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The configuration with which README.md opens is one that nginx takes, with no
# more than the paths and the port changed.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use FindBin ();
use Test::More;

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


my $readme = slurp("$FindBin::Bin/../README.md");

my ($conf) = $readme =~ /^```nginx\n(load_module.*?)^```$/ms;
ok $conf, 'README.md opens with a configuration';

my ($tokens) = $readme =~ /bitrix1c\.tokens`.*?^```\n(.*?)^```$/ms;
ok $tokens, 'and has a token file';

spew("$dir/bitrix1c.tokens", $tokens);
chmod 0600, "$dir/bitrix1c.tokens";

system "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=gate"
       . " -keyout $dir/gate.myshop.ru.key -out $dir/gate.myshop.ru.pem"
       . ' 2> /dev/null';

ok $conf =~ s{modules/ngx_http_bitrix1c_module\.so}{$module}, 'loads the module';
$conf =~ s{/etc/(?:nginx|ssl)/}{$dir/}g;
$conf =~ s{/var/lib/nginx/}{$dir/}g;
$conf =~ s{listen\s+443}{listen unix:$dir/sock};

my $paths = join '', map { "    ${_}_temp_path $dir/$_;\n" }
                     qw(client_body proxy fastcgi uwsgi scgi);
$conf =~ s/^http \{\n/http {\n    access_log off;\n$paths/m;

spew("$dir/nginx.conf", "pid $dir/nginx.pid;\nerror_log stderr;\n$conf");

my $said = `$nginx -t -p $dir/ -c $dir/nginx.conf 2>&1`;

is $?, 0, 'nginx takes it' or diag $said;
unlike $said, qr/\[(?:warn|emerg|alert)\]/, 'and has nothing to say of it';

done_testing;

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# "make arch" accepts the sources, and finds each violation that is planted in
# a copy of them.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin ();
use Test::More;

my $TOP = "$FindBin::Bin/..";
my $dir = tempdir(CLEANUP => 1);
my $sources = "$dir/ngx_http_bitrix1c_module";


sub arch {
    my $said = `$^X $TOP/tools/arch.pl $sources 2>&1`;
    return ($? >> 8, $said);
}


sub fresh {
    system('rm', '-rf', $sources) == 0 or die;
    system('cp', '-r', "$TOP/ngx_http_bitrix1c_module", $sources) == 0
        or die 'cp failed';
    return;
}


sub append {
    my ($file, $text) = @_;
    open my $fh, '>>', "$sources/$file" or die "$file: $!";
    print {$fh} $text;
    close $fh or die "$file: $!";
    return;
}


fresh();

my ($status, $said) = arch();

is($status, 0, 'the sources have no violation') or diag($said);


my @planted = (
    ['an include of a layer above',
     'delivery/b1c_route.c', qq(#include "b1c_queue.h"\n),
     qr{^delivery/b1c_route\.c -> queue/b1c_queue\.h: }m],

    ['a call of a layer above',
     'base/b1c_timer.c',
     "void ngx_b1c_timer_x(void)\n{\n    ngx_b1c_depth_init();\n}\n",
     qr{^base/b1c_timer\.c -> queue/b1c_depth\.c: ngx_b1c_depth_init\(\)}m],

    ['a call of a folder beside',
     'spool/b1c_spool.c',
     "void\nngx_b1c_spool_x(void)\n{\n    ngx_b1c_redis_ready(NULL);\n}\n",
     qr{^spool/b1c_spool\.c -> redis/b1c_redis\.c: ngx_b1c_redis_ready}m],

    ['a circle of files in different folders',
     'core/b1c_text.c',
     "void\nb1c_text_x(void)\n{\n    b1c_event_free(NULL);\n}\n",
     qr{^circle: .*core/b1c_text\.c}m],

    ['a function whose prefix is not its file',
     'queue/b1c_park.c', "void\nngx_b1c_depth_x(void)\n{\n    ;\n}\n",
     qr{^queue/b1c_park\.c: ngx_b1c_depth_x\(\) must begin with "b1c_park"}m],

    ['a function of more than 100 lines',
     'queue/b1c_park.c',
     "void\nngx_b1c_park_x(void)\n{\n" . "    ;\n" x 101 . "}\n",
     qr{^queue/b1c_park\.c: ngx_b1c_park_x\(\) has 101 lines}m],

    ['a file of more than 700 lines',
     'queue/b1c_park.c', "\n" x 700,
     qr{^queue/b1c_park\.c: \d+ lines, at most 700}m],
);

for my $case (@planted) {
    my ($name, $file, $text, $expected) = @$case;

    fresh();
    append($file, $text);
    ($status, $said) = arch();

    is($status, 1, "$name makes it fail");
    like($said, $expected, "$name is named");
}


# names in comments and strings are no calls

fresh();
append('base/b1c_timer.c',
       qq(/* ngx_b1c_depth_init() */\nstatic char  x[] = "ngx_b1c_depth_init";\n));
($status, $said) = arch();

is($status, 0, 'a comment and a string are no call') or diag($said);


fresh();
append("webhook/b1c_x$_.c", "\n") for 1 .. 15;
($status, $said) = arch();

is($status, 1, 'a folder of more than 15 files makes it fail');
like($said, qr{^webhook/: \d+ files, at most 15}m, 'the folder is named');


fresh();
mkdir "$sources/misc" or die "misc: $!";
append('misc/b1c_misc.c', "\n");
($status, $said) = arch();

is($status, 1, 'a folder of no layer makes it fail');
like($said, qr{"misc" is in no layer}, 'that folder is named');

done_testing();

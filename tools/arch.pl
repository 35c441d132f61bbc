#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors
#
# usage: arch.pl [directory]
#
# Checks the house rules of the C sources, see docs/architecture.md: a file
# uses only its own folder and the folders below it; files of different
# folders do not use each other in a circle; a folder holds at most 15 ".c"
# files, a function at most 100 lines, a file at most 700; the name of a
# function begins with the name of its file.  Prints each violation with the
# pair of files that makes it, and then exits with 1.

use strict;
use warnings;

use FindBin ();

# from the top to the ground; folders of one line do not know each other

my @LAYERS = (
    [''],
    ['webhook', 'rest', 'api'],
    ['queue'],
    ['delivery'],
    ['http'],
    ['portal'],
    ['redis', 'spool'],
    ['base'],
    ['bitrix'],
    ['core'],
);

my $MAX_FILES = 15;
my $MAX_FUNCTION = 100;
my $MAX_FILE = 700;

my $top = shift // "$FindBin::Bin/../ngx_http_bitrix1c_module";

my (%level, @faults);

for my $i (0 .. $#LAYERS) {
    $level{$_} = $i for @{$LAYERS[$i]};
}


sub slurp {
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!\n";
    local $/ = undef;
    return scalar <$fh>;
}


# comments and strings go, line breaks stay, so that lines can be counted

sub code_of {
    my ($text) = @_;

    $text =~ s{("(?:\\.|[^"\\\n])*")|(/\*.*?\*/)}
              {
                  my $blank = defined $1 ? '""' : $2;
                  $blank =~ s/[^\n]//g if !defined $1;
                  $blank;
              }gexs;

    return $text;
}


sub folder_of {
    my ($file) = @_;
    return $file =~ m{^(.*)/} ? $1 : '';
}


sub fault {
    push @faults, join '', @_;
    return;
}


my (%code, %defined_in, %static, %files_in);

my @files = map { substr $_, length "$top/" }
            sort glob("$top/*.[ch]"), sort glob("$top/*/*.[ch]");

die "$top: no sources\n" if !@files;

for my $file (@files) {
    my $folder = folder_of($file);
    my $text = slurp("$top/$file");
    my $lines = () = $text =~ /\n/g;

    fault("$file: the folder \"$folder\" is in no layer of tools/arch.pl")
        if !exists $level{$folder};

    fault("$file: $lines lines, at most $MAX_FILE are allowed")
        if $lines > $MAX_FILE;

    $code{$file} = code_of($text);
    $files_in{$folder}++ if $file =~ /\.c$/;
}

for my $folder (sort keys %files_in) {
    fault("$folder/: $files_in{$folder} files, at most $MAX_FILES are allowed")
        if $files_in{$folder} > $MAX_FILES;
}


# functions: a name at the beginning of a line, a brace alone on a line

for my $file (grep { /\.c$/ } @files) {
    my $code = $code{$file};
    my ($stem) = $file =~ m{([^/]+)\.c$};

    while ($code =~ /^([^\n]*\n)?([a-z]\w+)\(([^;{}]*?)\)\n\{\n(.*?)^\}/gms) {
        my ($head, $name, $body) = ($1 // '', $2, $4);
        my $lines = () = $body =~ /\n/g;

        fault("$file: $name() has $lines lines, at most $MAX_FUNCTION are "
              . 'allowed') if $lines > $MAX_FUNCTION;

        fault("$file: $name() must begin with \"$stem\" or \"ngx_$stem\"")
            if $name !~ /^(?:ngx_)?\Q$stem\E(?:_|$)/;

        if ($head =~ /\bstatic\b/) {
            $static{$file}{$name} = 1;
        } else {
            $defined_in{$name} = $file;
        }
    }
}


# arrows: what a file includes, and what it calls or takes the address of

my %header = map { m{([^/]+\.h)$} ? ($1 => $_) : () } @files;
my %uses;

for my $file (@files) {
    my $code = $code{$file};

    my $text = slurp("$top/$file");

    while ($text =~ /^#include\s+"([^"]+)"/gm) {
        my $to = $header{$1} or next;
        $uses{$file}{$to} //= "#include \"$1\"" if $to ne $file;
    }

    next if $file !~ /\.c$/;

    while ($code =~ /\b((?:ngx_)?b1c_\w+)\b/g) {
        my $to = $defined_in{$1} or next;
        next if $to eq $file || $static{$file}{$1};
        $uses{$file}{$to} //= "$1()";
    }
}

for my $file (sort keys %uses) {
    my $from = folder_of($file);

    for my $to (sort keys %{$uses{$file}}) {
        my $folder = folder_of($to);

        next if $folder eq $from;
        next if $level{$folder} > $level{$from};

        fault("$file -> $to: $uses{$file}{$to}: \"$from\" must not use "
              . "\"$folder\"");
    }
}


# circles of files of different folders, whatever the layers say

sub circle {
    my ($start) = @_;
    my @todo = ([$start]);
    my %seen;

    while (my $path = shift @todo) {
        for my $to (sort keys %{$uses{$path->[-1]} // {}}) {
            return @$path, $to if $to eq $start;
            next if $seen{$to}++;
            push @todo, [@$path, $to];
        }
    }

    return;
}

my %told;

for my $file (sort keys %uses) {
    my @path = circle($file) or next;
    my %folders = map { folder_of($_) => 1 } @path;

    next if keys %folders < 2 || $told{join ' ', sort @path[1 .. $#path]}++;

    fault('circle: ' . join ' -> ', @path);
}


print "$_\n" for @faults;

printf "%d files, %d functions of other files in use, %d violations\n",
    scalar @files, scalar(map { keys %$_ } values %uses), scalar @faults;

exit(@faults ? 1 : 0);

#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# events/embed.sh refuses a line of the table that the module could not use, and
# says which line it is and why.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin ();
use Test::More;

my $embed = "$FindBin::Bin/../events/embed.sh";
my $dir = tempdir('bitrix1c-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);


# the header and the message

sub embed {
    my (@lines) = @_;

    open my $out, '>', "$dir/events.tsv" or die "events.tsv: $!\n";
    print {$out} map { "$_\n" } @lines;
    close $out or die "events.tsv: $!\n";

    my $header = `sh '$embed' '$dir/events.tsv' 2>'$dir/message'`;
    my $status = $?;

    open my $in, '<', "$dir/message" or die "message: $!\n";
    my $message = do { local $/; <$in> };
    close $in;

    return ($status == 0 ? $header : '', $message);
}

my $good = "ONAADD\tA\tFIELDS.ID\tstate\t-\t-";

my ($header, $message) = embed('# comment', '', $good,
                               "ONBADD\tB\tA.0.x+y|.\tonce\tTOKEN\tnote");
is $message, '', 'a table without mistakes';
like $header, qr/^\Q    { "ONAADD",
      "FIELDS.ID", B1C_STATE, NULL },
    { "ONBADD",
      "A.0.x+y|.", B1C_ONCE, "TOKEN" },\E$/m, 'becomes an array';

my @cases = (
    ['five columns', "ONBADD\tB\tID\tstate\t-", 'six columns'],
    ['an event twice', $good, 'not behind the one before'],
    ['not in order', "ONAAD\tA\tID\tstate\t-\t-", 'not behind the one before'],
    ['a name in lower case', "onbadd\tB\tID\tstate\t-\t-", 'is no name'],
    ['a path with a bracket', "ONBADD\tB\tA[0]\tstate\t-\t-",
     '"A[0]" is no path to an id'],
    ['an unknown kind', "ONBADD\tB\tID\ttwice\t-\t-",
     'the kind "twice" is not state, once or form'],
    ['a secret with a dot', "ONBADD\tB\tID\tonce\ta.b\t-",
     '"a.b" is no member of data'],
    ['no id and no reason', "ONBADD\tB\t-\tonce\t-\t-",
     'why has "ONBADD" no id?'],
);

for my $case (@cases) {
    my ($name, $line, $why) = @$case;

    ($header, $message) = embed($good, $line);
    is $header, '', "$name: refused";
    like $message, qr/events\.tsv:2: .*\Q$why\E/, "$name: the reason";
}

($header, $message) = embed('# nothing else');
is $header, '', 'no events: refused';
like $message, qr/it has no events/, 'no events: the reason';

done_testing;

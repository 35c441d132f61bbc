package Bitrix1C::Portal::Params;

# Copyright (C) the ngx_http_bitrix1c_module authors

# Parameters of a REST call as PHP has them.  Its arrays keep their order, which
# matters in a batch and in "order", so an array is a hash that has the list of
# its keys under ORDER; a list of JSON has the keys 0, 1, ...

use strict;
use warnings;

use Exporter qw(import);

use Bitrix1C::Standin::Http qw(unescape);

our @EXPORT_OK = qw(keys_of values_of from_json from_form from_request
                    each_value);

use constant ORDER => "\0";

# PHP's max_input_vars: what comes after them is dropped
use constant VARIABLES => 1000;

my %CLOSE = ('}' => qr/\G[ \t\r\n]*+\}/, ']' => qr/\G[ \t\r\n]*+\]/);

my %UNESCAPE = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t",
                '"' => '"', '\\' => '\\', '/' => '/');

# the same names come again and again
my %paths;


sub keys_of {
    my ($array) = @_;
    return ref $array ? @{ $array->{+ORDER} } : ();
}


# a value that is no array is a list of itself

sub values_of {
    my ($array) = @_;
    return ref $array ? @$array{ @{ $array->{+ORDER} } } : $array;
}


sub put {
    my ($array, $key, $value) = @_;

    return if $key eq ORDER;

    push @{ $array->{+ORDER} }, $key if !exists $array->{$key};
    $array->{$key} = $value;

    return;
}


# those of the address and of the body, which wins; PHP passes over a body that
# it cannot read

sub from_request {
    my ($r, $query) = @_;
    my $params = { ORDER, [] };
    my $type = $r->{headers}{'content-type'} // '';

    from_form($query, $params) if defined $query;

    if ($type =~ m{^application/json\b}i) {
        my $body = from_json($r->{body});
        put($params, $_, $body->{$_}) for keys_of($body);

    } elsif ($r->{body} ne '') {
        from_form($r->{body}, $params);
    }

    return $params;
}


# name[a][]=value&...

sub from_form {
    my ($text, $params) = @_;

    my $left = VARIABLES;

    $params //= { ORDER, [] };

    for my $pair (split /&/, $text) {
        last if $left-- == 0;

        my ($name, $value) = split /=/, $pair, 2;
        my $path = $paths{$name // ''} //= path_of($name // '');
        my $at = $params;

        next if !@$path;

        for my $i (0 .. $#$path - 1) {
            my $key = $path->[$i] eq '' ? next_index($at) : $path->[$i];
            put($at, $key, { ORDER, [] }) if !ref $at->{$key};
            $at = $at->{$key};
        }

        my $key = $path->[-1] eq '' ? next_index($at) : $path->[-1];
        push @{ $at->{+ORDER} }, $key if !exists $at->{$key};
        $at->{$key} = defined $value ? unescape($value) : '';
    }

    %paths = () if keys %paths > 10_000;

    return $params;
}


# [name, key, ...] of a name as it stands in a form, [] if it is none.  As in
# PHP a name ends at the first "=", so ">=" in it has to be escaped, a "[" that
# nothing closes is a "_", and spaces before it do not count.

sub path_of {
    my ($name) = @_;
    my ($top, $rest) = unescape($name) =~ /^ *([^\[]+)(.*)/s or return [];
    return [] if index("$top$rest", ORDER) >= 0;

    my @keys = $rest =~ /\G\[([^\]]*)\]/g;

    $top .= '_' . substr $rest, 1 if !@keys && $rest =~ /^\[/;
    $top =~ tr/. /_/;

    return [$top, @keys];
}


sub next_index {
    my ($array) = @_;
    my $next = 0;

    for my $key (@{ $array->{+ORDER} }) {
        $next = $key + 1 if $key =~ /^\d+$/ && $key >= $next;
    }

    return $next;
}


# The value as bytes of UTF-8, undef if the text is no JSON.  JSON::PP would
# forget the order, and take most of the time of a batch.

sub from_json {
    my ($text) = @_;
    my $value;

    for ($text) {
        pos = 0;
        return if !eval {
            $value = json_value(0);
            /\G[ \t\r\n]*+\z/gc or die;
        };
    }

    return $value;
}


# at the position of $_

sub json_value {
    my ($depth) = @_;

    die if $depth > 512;

    return json_text($1) if /\G[ \t\r\n]*+"((?:[^"\\\x00-\x1f]++|\\.)*+)"/gc;
    return $1 + 0 if /\G[ \t\r\n]*+(-?\d++(?:\.\d++)?(?:[eE][-+]?\d++)?)/gc;
    return json_array($depth, '}') if /\G[ \t\r\n]*+\{/gc;
    return json_array($depth, ']') if /\G[ \t\r\n]*+\[/gc;
    return 1 if /\G[ \t\r\n]*+true/gc;
    return 0 if /\G[ \t\r\n]*+false/gc;
    return if /\G[ \t\r\n]*+null/gc;

    die;
}


sub json_array {
    my ($depth, $end) = @_;
    my $array = { ORDER, [] };
    my $close = $CLOSE{$end};
    my $index = 0;

    return $array if /$close/gc;

    while (1) {
        my $key = $index++;

        if ($end eq '}') {
            /\G[ \t\r\n]*+"((?:[^"\\\x00-\x1f]++|\\.)*+)"[ \t\r\n]*+:/gc
                or die;
            $key = json_text($1);
        }

        put($array, $key, scalar json_value($depth + 1));

        return $array if /$close/gc;
        /\G[ \t\r\n]*+,/gc or die;
    }
}


sub json_text {
    my ($text) = @_;

    return $text if index($text, '\\') < 0;

    $text =~ s{\\u([dD][89abAB]..)\\u([dD][c-fC-F]..)}
              {utf8_of(0x10000 + ((hex($1) - 0xd800) << 10)
                       + hex($2) - 0xdc00)}ge;
    $text =~ s{\\(?:u([0-9a-fA-F]{4})|(.))}
              {defined $1 ? utf8_of(hex $1) : $UNESCAPE{$2} // die}ges;

    return $text;
}


sub utf8_of {
    my ($code) = @_;
    my $text = chr $code;

    utf8::encode($text);
    return $text;
}


# replaces each value that is no array by what the code makes of it

sub each_value {
    my ($array, $code) = @_;

    for my $key (keys_of($array)) {
        if (ref $array->{$key}) {
            each_value($array->{$key}, $code);

        } else {
            $array->{$key} = $code->($array->{$key});
        }
    }

    return;
}

1;

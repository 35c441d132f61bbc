package Bitrix1C::OneC::Request;

# Copyright (C) the ngx_http_bitrix1c_module authors

# What the stand-in 1C knows of a request: is it one that 1C could take, and
# how it looks to people.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use POSIX qw(strftime);

our @EXPORT_OK = qw(violations request_line);

# 1C puts strings into XML, which has no such characters however written
my $ESCAPED_CONTROL = qr/(?<!\\)(?:\\\\)*\\(?:[bf]|u00(?:0[0-8bcef]|1))/i;

my $SECRET_KEY = qr/"(?:auth|access_token|refresh_token|application_token
                    |event_token|client_secret|client_id)"\s*:/xi;

# RFC 8259; JSON::PP would take most of the time of a request
my $SPACE  = qr/[ \t\r\n]*+/;
my $STRING = qr/"(?:[^"\\\x00-\x1f]++
               |\\(?:["\\\/bfnrt]|u[0-9a-fA-F]{4}))*+"/x;
my $NUMBER = qr/-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?/;
my $NAME   = qr/$SPACE $STRING $SPACE :/x;
my $JSON   = qr{\A
    (?<value> $SPACE (?: $STRING
        | \{ (?: $NAME (?&value) (?: , $NAME (?&value) )*+ | $SPACE ) \}
        | \[ (?: (?&value) (?: , (?&value) )*+ | $SPACE ) \]
        | $NUMBER | true | false | null ) $SPACE )
\z}x;


# names of all that 1C could not take; @secrets are texts that may not be there

sub violations {
    my ($r, @secrets) = @_;
    my ($body, $h) = @$r{qw(body headers)};
    my @found;

    push @found, 'chunked request' if defined $h->{'transfer-encoding'};
    push @found, 'no Content-Length' if !defined $h->{'content-length'};
    push @found, 'Expect header' if defined $h->{expect};
    push @found, 'content type is not JSON'
        if ($h->{'content-type'} // '') !~ m{^application/json\b}i;
    push @found, 'BOM' if $body =~ /\A\xEF\xBB\xBF/;
    push @found, 'control character'
        if $body =~ /[\x00-\x08\x0b\x0c\x0e-\x1f]/
           || $body =~ $ESCAPED_CONTROL;
    push @found, 'invalid UTF-8' if !valid_utf8($body);

    if ($body !~ $JSON) {
        push @found, 'invalid JSON';

    } elsif ($body !~ /\A\{"id":"([^"]*)"/ || $1 ne $r->{id}) {
        push @found, 'Webhook-Id is not the id';
    }

    push @found, 'no Webhook-Id' if $r->{id} eq '';
    push @found, 'secret key' if $body =~ $SECRET_KEY;
    push @found, 'secret'
        if grep { index("$r->{head}$body", $_) >= 0 } @secrets;

    return @found;
}


sub valid_utf8 {
    my ($text) = @_;

    return 1 if $text !~ /[\x80-\xff]/;

    # Perl itself takes surrogates and more than Unicode has
    return if $text =~ tr/\xED\xF4-\xFF//
              && $text =~ /\xED[\xA0-\xBF]|\xF4[\x90-\xBF]|[\xF5-\xFF]/;

    return utf8::decode($text);
}


# one line for people

sub request_line {
    my ($r) = @_;
    my $event = eval { JSON::PP->new->utf8->decode($r->{body}) };
    $event = {} if ref $event ne 'HASH';
    my $entity = $event->{entity} // {};

    my $line = sprintf '%s  %s  %s %s  from %s  id %s  attempt %s  -> %s',
        strftime('%H:%M:%S', localtime $r->{time}), $event->{event} // '?',
        $entity->{type} // '?', $entity->{id} // '-',
        ($event->{source} // {})->{domain} // '?', $r->{id} || '?',
        $r->{headers}{'x-bitrix1c-attempt'} // '?',
        $r->{status} || 'no answer';

    utf8::encode($line);
    return $line;
}

1;

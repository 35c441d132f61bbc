package Test::Nginx::Compat::Client;

# Copyright (C) the ngx_http_bitrix1c_module authors

# A request as bytes, and the response taken apart.  See Test::Nginx::Socket
# beside this directory for what it is part of.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Socket::INET;
use Time::HiRes qw(sleep time);


# "METHOD [uri [version]]\nbody" and header lines become a request

sub build_request {
    my ($text, $headers, $default) = @_;

    my ($line, $body) = split /\n/, $text, 2;
    my ($method, $uri, $version) = split ' ', $line // '';

    defined $method or die "request line is empty\n";
    $uri //= '/';
    $version //= 'HTTP/1.1';
    $body //= '';

    my @lines = grep { !/^\s*(?:\#|\z)/ } split /\n+/, $headers;
    my $chunked = grep { /^Transfer-Encoding:\s*chunked\s*\z/i } @lines;

    if (!$chunked && $body ne '' && !grep { /^Content-Length:/ } @lines) {
        $body =~ s/^\s+|\s+$//g;
        push @lines, 'Content-Length: ' . length $body;
    }

    for my $name (qw(Connection Host)) {
        next if grep { /^$name:/i } @lines;
        unshift @lines, "$name: $default->{$name}";
    }

    return join("\r\n", "$method $uri $version", @lines, '', $body);
}


# Sends the packets and reads until the server closes.  Returns the bytes and
# the reason why it stopped: "", "timeout" or an error's text.

sub exchange {
    my ($addr, $port, $packets, %opt) = @_;

    my $sock = IO::Socket::INET->new(PeerAddr => $addr, PeerPort => $port,
                                     Proto => 'tcp', Timeout => $opt{timeout})
        or return '', "cannot connect to $addr:$port: $!";
    my @left = @{$packets};
    my ($in, $out, $failed) = ('', shift @left, '');

    local $SIG{PIPE} = 'IGNORE';
    $sock->blocking(0);

    while (1) {
        my $bits = '';
        vec($bits, fileno $sock, 1) = 1;

        my ($r, $w) = ($bits, $out ne '' ? $bits : undef);
        my $n = select $r, $w, undef, $opt{timeout};

        return $in, 'timeout' if $n == 0;
        next if $n < 0;

        if (defined $w && vec $w, fileno $sock, 1) {
            if (!send_some($sock, \$out)) {
                # the response may be there nevertheless
                $failed = "write failed: $!";
                ($out, @left) = ('');
            }

            if ($out eq '' && @left) {
                sleep $opt{delay} if $opt{delay};
                $out = shift @left;
            }
        }

        next if !vec $r, fileno $sock, 1;

        my $state = receive_some($sock, \$in);
        return $in, $in eq '' ? $failed : '' if $state eq 'eof';
        return $in, $state if $state ne '';
    }
}


sub send_some {
    my ($sock, $out) = @_;

    my $n = syswrite $sock, ${$out};
    return $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR} if !defined $n;

    substr ${$out}, 0, $n, '';
    return 1;
}


sub receive_some {
    my ($sock, $in) = @_;

    my $n = sysread $sock, ${$in}, 65536, length ${$in};

    return '' if !defined $n && ($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR});
    return "read failed: $!" if !defined $n;
    return $n == 0 ? 'eof' : '';
}


# Takes the first response off the bytes.  "error" tells what is wrong with
# it, "left" is what follows it.

sub parse_response {
    my ($raw, $head_only) = @_;

    my %res = (code => '', raw_headers => '', headers => {}, content => '',
               left => '', error => '');

    if ($raw !~ m{\A(HTTP/\S+ +(\d+)[^\r\n]*\r\n(?:[^\r\n]+\r\n)*)\r\n(.*)\z}s)
    {
        $res{error} = $raw eq '' ? 'the response is empty'
                                 : 'the response has no complete header';
        $res{content} = $raw;
        return \%res;
    }

    @res{qw(raw_headers code content)} = ($1, $2, $3);

    my (undef, @lines) = split /\r\n/, $res{raw_headers};
    for my $line (@lines) {
        my ($name, $value) = split /:\s*/, $line, 2;
        push @{ $res{headers}{ lc $name } }, $value // '';
    }

    return \%res if $head_only || $res{code} =~ /^(?:101|204|304)$/;

    if ((header(\%res, 'Transfer-Encoding') // '') eq 'chunked') {
        cut_chunked(\%res);

    } elsif (defined(my $length = header(\%res, 'Content-Length'))) {
        if (length $res{content} < $length) {
            $res{error} = 'the response body is truncated: '
                          . length($res{content}) . " of $length bytes";
        } else {
            $res{left} = substr $res{content}, $length;
            $res{content} = substr $res{content}, 0, $length;
        }
    }

    return \%res;
}


sub header {
    my ($res, $name) = @_;

    my $values = $res->{headers}{ lc $name } or return;

    return join ', ', @{$values};
}


sub cut_chunked {
    my ($res) = @_;

    my $raw = $res->{content};
    my $body = '';

    while ($raw =~ /\G([0-9A-Fa-f]+)[ \t]*\r\n/gc) {
        my $size = hex $1;
        my $start = pos $raw;

        last if length($raw) < $start + $size + 2
                || substr($raw, $start + $size, 2) ne "\r\n";

        if ($size == 0) {
            $res->{content} = $body;
            $res->{left} = substr $raw, $start + 2;
            return;
        }

        $body .= substr $raw, $start, $size;
        pos($raw) = $start + $size + 2;
    }

    $res->{content} = $body;
    $res->{error} = 'the chunked response body is broken or truncated';

    return;
}


1;

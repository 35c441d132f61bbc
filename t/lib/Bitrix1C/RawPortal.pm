package Bitrix1C::RawPortal;

# Copyright (C) the ngx_http_bitrix1c_module authors

# A portal that answers with any bytes, even if they are not HTTP, chosen by the
# method in the address.
#   method => [bytes, bytes, ...]   written one by one, 50 ms apart; then the
#                                   connection is closed
#   method => { stay => 1, ... }    the same with the bytes in "say"; it is not
# KEY is replaced by that of the webhook.  Others are answered {"result":true}.
# Each request is a line "METHOD address" in the file raw.log, its body one in
# raw.bodies.

use strict;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use POSIX ();
use Time::HiRes qw(sleep);

use constant KEY => 'x7k2mq9dn3s8f1aa';


sub new {
    my ($class, $dir, %answers) = @_;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64,
                                       ReuseAddr => 1)
        or die "listen: $!";
    my $self = bless { dir => $dir, port => $listen->sockport }, $class;

    defined($self->{pid} = fork) or die "fork: $!";
    return $self if $self->{pid};

    local $SIG{PIPE} = 'IGNORE';
    my $parent = getppid;
    serve($dir, \%answers, $listen, $parent);
    POSIX::_exit(0);
}


# for proxy_pass

sub url {
    my ($self) = @_;
    return "http://127.0.0.1:$self->{port}/rest/1/" . KEY . '/';
}


# "METHOD name" of all requests, in their order

sub received {
    my ($self) = @_;
    open my $fh, '<', "$self->{dir}/raw.log" or return;
    chomp(my @lines = readline $fh);
    return map { s{/rest/1/\w+/}{}r } @lines;
}


# the bodies of all requests, a line each

sub bodies {
    my ($self) = @_;
    open my $fh, '<', "$self->{dir}/raw.bodies" or return '';
    local $/ = undef;
    return scalar <$fh>;
}


sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return;
}


sub serve {
    my ($dir, $answers, $listen, $parent) = @_;
    my $select = IO::Select->new($listen);
    my %in;

    while (getppid == $parent) {
        for my $sock ($select->can_read(1)) {

            if ($sock == $listen) {
                my $new = $sock->accept or next;
                $select->add($new);
                $in{ fileno $new } = '';
                next;
            }

            my $in = \$in{ fileno $sock };

            if (sysread($sock, $$in, 65_536, length $$in)
                && take($dir, $answers, $sock, $in))
            {
                next;
            }

            $select->remove($sock);
            close $sock;
        }
    }

    return;
}


# whether the connection stays open

sub take {
    my ($dir, $answers, $sock, $in) = @_;

    my ($head) = $$in =~ /\A(.*?\r\n\r\n)/s or return 1;
    my ($len) = $head =~ /^content-length: (\d+)/im;
    my $size = length($head) + ($len // 0);

    return 1 if length $$in < $size;
    my $body = substr $$in, length $head, $len // 0;
    substr $$in, 0, $size, '';

    my ($method, $path) = $head =~ /\A(\S+) (\S+)/;
    my ($name) = $path =~ m{([^/?]+)(?:\?|\z)};

    append("$dir/raw.bodies", "$body\n");
    append("$dir/raw.log", "$method $path\n");

    my $how = $answers->{ $name // '' } // { stay => 1, say => [
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        . "Content-Length: 15\r\n\r\n{\"result\":true}"] };
    my @say = ref $how eq 'ARRAY' ? @$how : @{ $how->{say} };

    while (defined(my $bytes = shift @say)) {
        $bytes =~ s/KEY/KEY/ge;
        syswrite $sock, $bytes;
        sleep 0.05 if @say;
    }

    return ref $how eq 'HASH' && $how->{stay};
}


sub append {
    my ($file, $text) = @_;
    open my $fh, '>>', $file or die "$file: $!";
    print {$fh} $text;
    close $fh;
    return;
}

1;

package Bitrix1C::Page;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The dashboard with made-up answers of the API: nginx serves both from files,
# so that a test can show the page in states that would need an hour or an
# outage.

use strict;
use warnings;

use JSON::PP ();
use POSIX ();
use Time::HiRes qw(time);

use Bitrix1C::Binary qw(nginx_binary);
use Bitrix1C::Nginx ();
use Bitrix1C::Port qw(free_port);
use Bitrix1C::Process qw(wait_until);

use parent -norequire, 'Bitrix1C::Process';

use constant CSP => "default-src 'none'; script-src 'self'; style-src 'self'; "
    . "connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
    . "form-action 'none'; frame-ancestors 'none'";

my $JSON = JSON::PP->new->utf8->canonical;


sub new {
    my ($class, %opt) = @_;
    my $self = $class->SUPER::new(%opt);

    mkdir "$self->{dir}/api" or die "api: $!";

    return $self;
}


sub start {
    my ($self) = @_;
    my $dir = $self->{dir};
    my $root = $> == 0 ? 'user root;' : '';
    my $temp = join '', map { "${_}_temp_path $dir/$_; " }
               qw(client_body proxy fastcgi uwsgi scgi);

    $self->{port} //= free_port();
    open my $fh, '>', "$dir/nginx.conf" or die "nginx.conf: $!";
    print {$fh} <<"EOT";
daemon off;
$root
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/error.log;
events { }
http {
    log_format uri '\$uri';
    access_log $dir/access.log uri;
    $temp
    types {
        text/html        html;
        text/javascript  js;
        text/css         css;
    }
    default_type application/json;
    charset utf-8;
    charset_types text/javascript text/css application/json;
    server {
        listen 127.0.0.1:$self->{port};
        add_header Content-Security-Policy "@{[ CSP ]}";
        add_header X-Content-Type-Options nosniff;
        add_header Cache-Control no-store;
        location = / { root $Bitrix1C::Nginx::TOP/page; index index.html; }
        location ~ [.](?:html|js|css)\$ { root $Bitrix1C::Nginx::TOP/page; }
        location / { root $dir/api; }
        location /dead/ { alias $dir/api/dead-; }
    }
}
EOT
    close $fh or die "nginx.conf: $!";

    $self->{nginx_pid} = $self->spawn('nginx',
        nginx_binary(), '-e', "$dir/error.log", '-c', "$dir/nginx.conf");
    wait_until(20, sub { -s "$dir/nginx.pid" })
        or die "nginx does not start:\n" . $self->slurp('error.log');

    return $self;
}


sub stop {
    my ($self) = @_;

    kill 'TERM', $self->{nginx_pid};
    $self->reap($self->{nginx_pid}, 20);
    unlink "$self->{dir}/nginx.pid";

    return;
}


# answers from now on: status => { }, dead => { }, "dead-ID" => { }, …

sub answer {
    my ($self, %json) = @_;

    for my $name (keys %json) {
        my $file = "$self->{dir}/api/$name";

        open my $fh, '>', "$file.new" or die "$file: $!";
        print {$fh} $JSON->encode($json{$name});
        close $fh or die "$file: $!";
        rename "$file.new", $file or die "$file: $!";
    }

    return;
}


# A queue as "status" shows it, in good order except for the given differences;
# hashes are merged.

sub queue {
    my ($name, %changes) = @_;
    my $now = time;

    my %queue = (
        name => $name, kind => 'events', state => 'ok',
        waiting => 0, due => 0, followers => 0,
        in_flight => 1, dead => 0, oldest_seconds => 0, concurrency => 4,
        slots_used => 1,
        rate => { limit => 20, delivered => 0.82, accepted => 0.85 },
        breaker => { state => 'closed', seconds => 0, failures => 0 },
        hold => { state => 'off', from => '', to => '',
                  held => JSON::PP::false },
        redis => { state => 'up', seconds => 1_036_800, error => '',
                   address => 'unix:/run/redis-bitrix1c/redis-server.sock' },
        spool => { state => 'empty', bytes => 0, max => 268_435_456 },
        last => { time => $now - 2, id => '6b0464969154c77bc608dac800000d07',
                  event => 'ONSALEORDERSAVED', status => 200,
                  verdict => 'delivered', seconds => 0.034, reason => '' },
        last_failure => undef,
        counters => { map { $_ => 0 } qw(received accepted coalesced duplicate
            spooled ignored malformed forbidden refused unavailable delivered
            retried dead lost replayed dropped_dead spool_replayed
            spool_torn) },
    );

    for my $key (keys %changes) {
        my $value = $changes{$key};

        $queue{$key} = ref $value eq 'HASH' && ref $queue{$key} eq 'HASH'
                       ? { %{ $queue{$key} }, %$value } : $value;
    }

    return \%queue;
}


sub status {
    my (@queues) = @_;
    return { version => '0.2.0', nginx => '1.22.1', time => time, pid => $$,
             queues => \@queues };
}


# an hour: sub (minute) { accepted, delivered, failed, dead, waiting }, of the
# minutes 0 to 59; undef for those in which nginx did not run

sub hour {
    my ($code) = @_;
    my $first = POSIX::floor(time / 60) * 60 - 3600;
    my @keys = qw(accepted delivered failed dead waiting);
    my %hour = (time => [map { $first + $_ * 60 } 0 .. 59]);

    for my $i (0 .. 59) {
        my @values = $code->($i);
        push @{ $hour{$keys[$_]} }, $values[$_] for 0 .. $#keys;
    }

    return \%hour;
}

1;

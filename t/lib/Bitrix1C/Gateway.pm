package Bitrix1C::Gateway;

# Copyright (C) the ngx_http_bitrix1c_module authors

# A gateway of its own for a scenario test: a private Redis, a stand-in 1C and
# nginx with the module, all in a temporary directory, and the means to harm
# them; a stand-in Bitrix too if the test starts it (see Bitrix1C::Portal).
# finish() then checks that no worker crashed or logged an alert, that no secret
# was logged or stored and that 1C got only what it can read.
#
# TEST_NGINX_BINARY        nginx (default: nginx)
# TEST_NGINX_LOAD_MODULES  modules to load (default: the one in build/)
# BITRIX1C_TEST_SEED       seed of random choices (default: of the clock)
# BITRIX1C_TEST_KEEP       keep the directory (it is kept after a failure too)

use strict;
use warnings;

use Exporter qw(import);
use File::Path qw(remove_tree);
use JSON::PP ();
use Test::More ();
use Time::HiRes qw(time);

use Bitrix1C::Http qw(http_request);
use Bitrix1C::Nginx ();
use Bitrix1C::Portal ();
use Bitrix1C::Process qw(wait_until);
use Bitrix1C::Redis ();
use Bitrix1C::Standin ();

use parent -norequire, qw(Bitrix1C::Nginx Bitrix1C::Portal);

our @EXPORT_OK = qw(wait_until seed TOKEN);

use constant TOKEN => Bitrix1C::Nginx::TOKEN;

# of the user b1c in redis/users.acl
use constant PASSWORD => 'secret-of-b1c-0c7f25a1';

use constant MEMBER => 'a223c6b3710f85df22e9377d6c4f7553';


# All parts of the configuration are optional texts or numbers:
#   workers (1)        main, events, http, server   put into these blocks
#   queue              put into bitrix1c_queue orders
#   location           put into the webhook's location
#   upstream           replaces the body of upstream onec; ONEC is its address
#   store              replaces "redis unix:SOCKET"
#   redis              parameters after the socket in "redis", e.g. "db=1"
#   login              how nginx logs in (as b1c, unless "redis" or "store" has
#                      a password_file)
#   redis_args         [arguments of redis-server]
#   redis_run          [command that runs it, with its arguments before]
#   nginx_run          the same of nginx
#   redis_auth         [arguments of AUTH for the test's own connection]
#   onec_args          [arguments of onec.pl]
#   allow              regex of lines of [alert] that are part of the test

sub new {
    my ($class, %opt) = @_;
    my $self = $class->SUPER::new(%opt);

    $self->{socket} = "$self->{dir}/redis.sock";

    my $acl = slurp_file("$Bitrix1C::Nginx::TOP/redis/users.acl");
    $acl =~ s/^(user b1c on) /$1 >@{[ PASSWORD ]} /m
        or die "no user b1c in redis/users.acl\n";

    spew_file("$self->{dir}/users.acl", $acl);
    spew_file("$self->{dir}/b1c.password", PASSWORD . "\n");

    return $self;
}


sub slurp_file {
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!\n";
    local $/;
    return <$fh>;
}


sub spew_file {
    my ($file, $text) = @_;
    open my $fh, '>', $file or die "$file: $!\n";
    chmod 0600, $file;
    print {$fh} $text;
    close $fh or die "$file: $!\n";
    return;
}


# starts everything

sub start {
    my ($self) = @_;

    $self->start_redis;
    $self->start_onec;
    $self->start_nginx;

    return $self;
}


sub seed {
    my $seed = $ENV{BITRIX1C_TEST_SEED} || time * 1000 % 1_000_000_007;

    Test::More::note("BITRIX1C_TEST_SEED=$seed");
    srand $seed;

    return $seed;
}


# Redis with the configuration in redis/: every test checks that the permissions
# of the user b1c are enough, unless it has a password of its own

sub start_redis {
    my ($self) = @_;

    $self->{redis_pid} = $self->spawn_redis('redis', '--port', 0,
        '--unixsocket', $self->{socket}, '--unixsocketperm', 777,
        '--dir', $self->{dir}, @{ $self->{redis_args} // [] });

    delete $self->{redis_conn};
    wait_until(10, sub { $self->redis_answers })
        or die "redis-server does not start:\n" . $self->slurp('redis.out');

    return;
}


sub spawn_redis {
    my ($self, $name, @args) = @_;
    my $acl = grep({ $_ eq '--requirepass' } @args) ? '' : 'users.acl';
    my $conf = "$self->{dir}/$name.conf";

    # a copy, because Sentinel and CONFIG REWRITE write to it; without a crash
    # of Redis in the test, syncs to a busy disk are not needed

    spew_file($conf, slurp_file("$Bitrix1C::Nginx::TOP/redis/redis.conf"))
        if !-e $conf;

    return $self->spawn($name, @{ $self->{redis_run} // [] },
        'redis-server', $conf, '--logfile', '',
        '--pidfile', "$self->{dir}/$name.pid", '--appendfsync', 'everysec',
        '--aclfile', $acl && "$self->{dir}/$acl", @args);
}


# the parameters with which nginx logs in

sub redis_login {
    my ($self) = @_;

    return $self->{login} if defined $self->{login};
    return '' if join(' ', $self->{redis} // '', $self->{store} // '')
                 =~ /password_file=/;
    return "user=b1c password_file=$self->{dir}/b1c.password";
}


sub redis_answers {
    my ($self) = @_;
    return eval { $self->redis('PING') eq 'PONG' };
}


# KILL leaves the append-only file as a crash does; the socket file remains as
# well

sub stop_redis {
    my ($self, $signal) = @_;
    my $pid = delete $self->{redis_pid} or return;

    delete $self->{redis_conn};
    kill $signal // 'TERM', $pid;
    defined $self->reap($pid, 10) or die "redis-server does not stop\n";

    return;
}


sub redis {
    my ($self, @command) = @_;

    $self->{redis_conn} //= Bitrix1C::Redis->new(socket => $self->{socket},
        auth => $self->{redis_auth});

    my $reply = eval { $self->{redis_conn}->cmd(@command) };

    if ($@) {
        delete $self->{redis_conn};
        die $@;
    }

    return $reply;
}


sub commandstats {
    my ($self) = @_;
    $self->redis('PING');
    return $self->{redis_conn}->commandstats;
}


# the number of events in the queue, waiting or leased

sub depth {
    my ($self) = @_;
    return $self->redis('ZCARD', '{b1c:orders}:q');
}


sub dead_letters {
    my ($self) = @_;
    return $self->redis('ZRANGE', '{b1c:orders}:d', 0, -1);
}


sub reason {
    my ($self, $id) = @_;
    return $self->redis('HGET', '{b1c:orders}:h', "$id:r") // '';
}


sub drained {
    my ($self, $seconds) = @_;
    return wait_until($seconds, sub { $self->depth == 0 }, 0.05);
}


# the stand-in 1C

sub start_onec {
    my ($self) = @_;

    return $self->start_standin('onec', '--secret', TOKEN,
        '--secret', Bitrix1C::Portal::KEY, @{ $self->{onec_args} // [] });
}


sub onec_ask {
    my ($self, $what, $body) = @_;
    return $self->ask_standin('onec', $what, $body);
}


sub onec_mode {
    my ($self, @rules) = @_;
    return $self->standin_mode('onec', @rules);
}


sub onec_stats {
    my ($self) = @_;
    return $self->standin_stats('onec');
}


# see standin_received(), with the body's JSON

sub onec_received {
    my ($self, $n, $seconds, $answered) = @_;
    my @requests = $self->standin_received('onec', $n, $seconds, $answered);

    for my $r (@requests) {
        $r->{json} = eval { JSON::PP->new->utf8(0)->decode($r->{body}) };
    }

    return @requests;
}


# entity id => { id => requests }, without parsing JSON

sub onec_entities {
    my ($self) = @_;
    my %entities;

    for my $body (split /\n/, $self->onec_ask('received?show=bodies')) {
        $body =~ /^\{"id":"(\w+)".*?"entity":\{"type":"\w*","id":"(\w+)"/
            or die "unexpected body: $body\n";
        $entities{$2}{$1}++;
    }

    return \%entities;
}


# id => { requests, taken }

sub onec_ids {
    my ($self) = @_;
    my %ids;

    for my $line (split /\n/, $self->onec_ask('ids')) {
        my ($id, $requests, $taken) = split / /, $line;
        $ids{$id} = { requests => $requests, taken => $taken };
    }

    return \%ids;
}

# A body as Bitrix sends it: event, id, ts, member, domain; fields => { } are
# further data[FIELDS].

sub event_body {
    my ($self, %opt) = @_;
    my $domain = $opt{domain} // 'myshop.ru';
    my %fields = (ID => $opt{id} // 1, %{ $opt{fields} // {} });

    my $data = join '', map { "&data%5BFIELDS%5D%5B$_%5D=$fields{$_}" }
               sort keys %fields;

    return 'event=' . ($opt{event} // 'ONSALEORDERNEW') . $data
           . '&ts=' . ($opt{ts} // int time)
           . "&auth%5Bdomain%5D=$domain"
           . "&auth%5Bclient_endpoint%5D=https%3A%2F%2F$domain%2Frest%2F"
           . '&auth%5Bserver_endpoint%5D=https%3A%2F%2Foauth.bitrix.info'
           . '%2Frest%2F&auth%5Bmember_id%5D=' . ($opt{member} // MEMBER)
           . '&auth%5Bapplication_token%5D=' . TOKEN;
}


# posts one event: { status, result, id, body, seconds }

sub post {
    my ($self, %opt) = @_;
    my $answer = http_request(port => $self->{port}, path => '/bitrix/orders',
                              body => $self->event_body(%opt), timeout => 30);

    ($answer->{result}) = ($answer->{body} // '') =~ /"result":"(\w+)"/;
    ($answer->{id}) = ($answer->{body} // '') =~ /"id":"(\w+)"/;
    $answer->{result} //= $answer->{error} // '';

    return $answer;
}


# a generator of events with ids from $first on, for start_load()

sub events {
    my ($self, $first, $count, %opt) = @_;
    my $n = 0;

    return sub {
        return if defined $count && $n >= $count;
        my $id = $first + $n++;
        return ($id, $self->event_body(%opt, id => $id));
    };
}


# Lines of error.log that no test may cause.  A killed worker may have locked a
# zone; the master unlocks it and logs that.

sub complaints {
    my ($self) = @_;
    my $allow = $self->{allow} // qr/(?!)/;
    my @found;

    for my $line (split /\n/, $self->slurp('error.log')) {
        next if $line !~ /\[(?:alert|emerg)\]|Sanitizer|runtime\ error:
                         |exited\ on\ signal/x;
        next if $line =~ /worker\ process\ (\d+)\ exited\ on\ signal\ 9
                          |zone\ "\w+"\ was\ locked\ by\ (\d+)/x
                && $self->{killed}{ $1 // $2 };
        push @found, $line if $line !~ $allow;
    }

    push @found, grep { /Sanitizer|runtime error:/ }
                 split /\n/, $self->slurp('nginx.out');

    return @found;
}


# names of files that have the token, the password of Redis or a portal's key

sub leaks {
    my ($self) = @_;
    my @secrets = (TOKEN, PASSWORD,
                   $self->{bitrix} ? Bitrix1C::Portal::KEY : ());
    my @files = ('error.log', 'access.log', 'nginx.out',
                 map { substr $_, length("$self->{dir}/") }
                 glob "$self->{dir}/appendonlydir/* $self->{dir}/spool/*");

    return grep {
        my $text = $self->slurp($_);
        grep { index($text, $_) >= 0 } @secrets;
    } @files;
}


# the checks at the end of every scenario, and the end of all processes

sub finish {
    my ($self) = @_;
    my $builder = Test::More->builder;

    if ($self->{onec_pid}) {
        my $found = $self->onec_stats->{violations};
        Test::More::is(join(', ', map { "$_: $found->{$_}{example}" }
                                  sort keys %$found), '',
                       '1C got nothing that it could not read');
    }

    if ($self->{nginx_pid}) {
        my $status = $self->stop_nginx('QUIT', 30);
        Test::More::is($status // 'it does not exit', 0,
                       'nginx exits on SIGQUIT');
    }

    Test::More::is(join("\n", $self->complaints), '',
                   'no alert, no sanitizer report, no crash');
    Test::More::is(join(', ', $self->leaks), '', 'no secret is logged or stored');

    if (!$builder->is_passing) {
        my @lines = grep { !/\[notice\]|closed keepalive connection/ }
                    split /\n/, $self->slurp('error.log');
        splice @lines, 0, -30 if @lines > 30;
        Test::More::diag(join "\n", "$self->{dir}: last of error.log:", @lines);
    }

    $self->stop_all;
    return;
}


sub stop_all {
    my ($self) = @_;

    $self->stop_nginx('TERM', 5);

    my @pids = qw(nginx_pid onec_pid bitrix_pid redis_pid);

    for my $pid (grep { defined } @$self{@pids}) {
        kill 'KILL', $self->all_workers if $pid == ($self->{nginx_pid} // 0);
        kill 'CONT', $pid;
        kill 'KILL', $pid;
        $self->reap($pid, 5);
    }

    delete @$self{@pids, 'redis_conn'};

    remove_tree($self->{dir})
        if Test::More->builder->is_passing && !$ENV{BITRIX1C_TEST_KEEP};

    return;
}

1;

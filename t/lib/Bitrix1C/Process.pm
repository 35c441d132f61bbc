package Bitrix1C::Process;

# Copyright (C) the ngx_http_bitrix1c_module authors

# Processes of a test with a temporary directory: they write to NAME.out in it,
# and are stopped when the test ends in any way.

use strict;
use warnings;

use Exporter qw(import);
use File::Temp qw(tempdir);
use POSIX ();
use Time::HiRes qw(time sleep);

our @EXPORT_OK = qw(wait_until);

my $owner = $$;
my %running;


sub new {
    my ($class, %opt) = @_;
    my $dir = tempdir('bitrix1c-XXXXXX', TMPDIR => 1);

    # the workers may run as another user, and must reach the Redis socket
    chmod 0755, $dir;

    return bless { %opt, dir => $dir }, $class;
}


# true as soon as the code returns true; false after the seconds

sub wait_until {
    my ($seconds, $code, $step) = @_;
    my $deadline = time + $seconds;

    while (1) {
        my $value = $code->();
        return $value if $value;
        return 0 if time > $deadline;
        sleep($step // 0.02);
    }
}


sub spawn {
    my ($self, $name, @command) = @_;

    defined(my $pid = fork) or die "fork: $!";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null' or die;
        open STDOUT, '>>', "$self->{dir}/$name.out" or die;
        open STDERR, '>>', "$self->{dir}/$name.out" or die;
        exec @command or POSIX::_exit(127);
    }

    $running{$pid} = $name;
    return $pid;
}


# the exit status, undef if the process did not end within the seconds

sub reap {
    my ($self, $pid, $seconds) = @_;
    my $status;

    return if !wait_until($seconds, sub {
        return 0 if waitpid($pid, POSIX::WNOHANG()) != $pid;
        $status = $?;
        return 1;
    });

    delete $running{$pid};
    return $status;
}


sub slurp {
    my ($self, $name) = @_;
    open my $fh, '<', "$self->{dir}/$name" or return '';
    local $/;
    return <$fh> // '';
}


sub rss {
    my ($self, $pid) = @_;
    open my $fh, '<', "/proc/$pid/status" or return 0;
    local $/;
    return <$fh> =~ /^VmRSS:\s+(\d+) kB/m ? $1 : 0;
}


sub descriptors {
    my ($self, $pid) = @_;
    opendir my $dh, "/proc/$pid/fd" or return 0;
    return scalar grep { /^\d+$/ } readdir $dh;
}


# forked loads do not stop processes

END {
    if ($$ == $owner) {
        my $status = $?;

        for my $pid (keys %running) {
            kill 'CONT', $pid;
            kill 'TERM', $pid;
            wait_until(5, sub { waitpid($pid, POSIX::WNOHANG()) == $pid })
                or kill 'KILL', $pid;
        }

        $? = $status;
    }
}

# a closed connection or output must not end the test without its END

$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);
$SIG{PIPE} = 'IGNORE';

1;

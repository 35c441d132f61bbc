#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# Workers are killed while they write and drain the spool, then all of nginx is
# killed, and Redis is still down.  The folder holds half a record, garbage and
# foreign files.  Every event that was answered 200 reaches 1C once and in
# order, and files that an operator may want to inspect are kept.

use strict;
use warnings;

use FindBin ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until seed);
use Bitrix1C::Http qw(start_load finish_load);
use Bitrix1C::Lanes qw(lane_requests);

use constant LANES => 8;

seed();

my $gw = Bitrix1C::Gateway->new(
    workers   => 2,
    events    => 'accept_mutex off;',
    redis     => 'timeout=1s',
    redis_args => ['--appendfsync', 'always'],
    location  => 'bitrix1c_key $bitrix1c_data_fields_n;',
    onec_args => ['--keep', 100_000],
);
my $spool = "$gw->{dir}/spool";

# the queue is held: otherwise events that a killed worker delivered would be
# delivered again when their leases end

my $queue = "spool $spool; concurrency 16; retry 100ms 1s 1s;";
$gw->{queue} = "$queue hold on;";
$gw->start;


sub files {
    my @files = map { s{.*/}{}r } glob "$spool/*";
    return grep { $_ ne 'orders.lock' } @files;
}


sub put {
    my ($name, $bytes) = @_;
    open my $fh, '>>', "$spool/$name" or die "$name: $!";
    binmode $fh;
    print {$fh} $bytes;
    close $fh;
    chown((stat $spool)[4, 5], "$spool/$name");
    return;
}


sub complaint {
    my ($re, $what) = @_;
    my @lines = grep { /$re/ } split /\n/, $gw->slurp('error.log');
    is scalar(@lines), 1, $what;
    return;
}


# one sender per lane; an event without an answer is posted again

my %number;


sub load {
    my ($seconds) = @_;
    my @loads;

    for my $lane (1 .. LANES) {
        my $number = $number{$lane} // 0;
        push @loads, start_load(port => $gw->{port}, retry => 1,
            path => '/bitrix/orders', connections => 1, rate => 60,
            seconds => $seconds, next => sub {
                my $n = "$lane-" . ++$number;
                return ($n, $gw->event_body(id => $lane,
                                            fields => { N => $n }));
            });
    }

    return @loads;
}


sub finish {
    my ($what, @loads) = @_;
    my %results;

    for my $lane (1 .. LANES) {
        my $r = finish_load($loads[$lane - 1]);
        $number{$lane} = ($number{$lane} // 0) + keys %{ $r->{ok} };
        $results{$_} += $r->{results}{$_} for keys %{ $r->{results} };
    }

    note "$what: ", join ', ', map { "$_ $results{$_}" } sort keys %results;
    is $results{unavailable} // 0, 0, "$what: no event is refused";

    return;
}


ok wait_until(5, sub {
    $gw->post(id => 900_000)->{result} eq 'accepted';
}), 'works';

# workers are killed while they write

$gw->stop_redis('KILL');
my @loads = load(2);

for (1 .. 4) {
    sleep 0.4;
    $gw->kill_worker;
}

finish('workers killed while they spool', @loads);

# workers are killed while they drain the spool

@loads = load(2.2);
sleep 0.2;
$gw->start_redis;
my $kills = 0;
my $end = time + 2;

while (time < $end) {
    my ($drainer) = grep { holds_lock($_) } $gw->workers;
    $kills++, $gw->kill_worker($drainer) if $drainer && $kills < 6;
    sleep 0.01;
}


sub holds_lock {
    my ($pid) = @_;
    return grep { (readlink($_) // '') =~ /orders\.lock$/ }
           glob "/proc/$pid/fd/*";
}


cmp_ok $kills, '>', 0, "$kills workers are killed while they drain the spool";
finish('workers killed while they drain the spool', @loads);
ok wait_until(15, sub { !grep { /\.spool$/ } files() }), 'the spool is drained';

# all of nginx is killed

$gw->stop_redis('KILL');
@loads = load(1);
finish('Redis is away', @loads);
my ($file) = files();
kill 'KILL', $gw->{nginx_pid}, $gw->all_workers;
$gw->reap(delete $gw->{nginx_pid}, 5);

# damage, the files after it, and a torn end, in the order of events

my $record = do {
    open my $fh, '<', "$spool/$file" or die "$file: $!";
    binmode $fh;
    local $/;
    substr <$fh>, 32, 100;
};
put($file, $record);
put('orders.1.spool', "b1c spool 2\n" . "\0" x 100);
put('orders.2.spool', 'nobody knows what this is');
put('notes.txt', 'not of a spool');
mkdir "$spool/orders.3.spool";
unlink "$gw->{dir}/error.log.old";
rename "$gw->{dir}/error.log", "$gw->{dir}/error.log.old";

$gw->start_nginx;
@loads = load(1);
finish('nginx is back, Redis is not', @loads);
complaint(qr/1 files in the folder .* not of a spool, such as "notes.txt"/,
          'a foreign file is logged');

$gw->start_redis;
ok wait_until(15, sub {
    join(' ', sort(files())) eq
        'notes.txt orders.1.spool orders.2.spool orders.3.spool';
}), 'the spool is drained, and foreign files remain';
complaint(qr/$file" ends with an incomplete record .* 100 bytes are skipped/,
          'a torn end is cut and logged');
complaint(qr/orders\.1\.spool" was written by another version/, 'a later version');
complaint(qr/orders\.2\.spool" is not a file of a spool/, 'a foreign content');
complaint(qr/orders\.3\.spool" cannot be read|orders\.3\.spool" is not a file/,
          'a folder of that name');
my $id = 900_000;
ok wait_until(5, sub { $gw->post(id => ++$id)->{result} eq 'accepted' }),
    'none of them blocks the spool';

# damage inside a file

$gw->stop_redis('KILL');
finish('Redis is away once more', load(0.5));
($file) = grep { !/^orders\.[123]\./ } grep { /\.spool$/ } files();
put($file, 'garbage' x 10);
finish('more events behind the damage', load(0.5));
$gw->start_redis;
ok wait_until(15, sub { -e "$spool/$file.damaged" && !-e "$spool/$file" }),
    'damage is skipped, and the file is kept';
complaint(qr/$file" is damaged at offset \d+, 70 bytes are skipped/,
          'the damage is logged');

# a file that an operator puts back

rename "$spool/$file.damaged", "$spool/$file";
ok wait_until(20, sub { -e "$spool/$file.damaged" && !-e "$spool/$file" }),
    'a file that is put into the folder is drained' or diag join ' ', files();

# all events are delivered

$gw->{queue} = $queue;
ok $gw->reload, 'the queue is not held any more';
ok $gw->drained(40), 'the queue is empty';

my $lanes = lane_requests($gw);
my @faults;

for my $lane (1 .. LANES) {
    my ($last, %seen) = (0);

    for my $r (@{ $lanes->{$lane} }) {
        push @faults, "lane $lane: $r->{number} twice"
            if $seen{ $r->{number} }++;
        push @faults, "lane $lane: $r->{number} after $last"
            if $r->{number} < $last;
        $last = $r->{number};
    }

    my @absent = grep { !$seen{$_} } 1 .. $number{$lane};
    push @faults, "lane $lane: never came: @absent" if @absent;
}

is join("\n", @faults), '',
    'all events arrive once, in the order of their lanes';

$gw->finish;
done_testing;

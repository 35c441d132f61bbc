#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# 1C answers 200 with the text of an exception, in every form that the platform
# and the web servers in front of it give it: the event is a dead letter.  An
# ordinary answer, whatever it holds, is a success.  A header that is too large
# and a redirect are explained.

use strict;
use warnings;
use utf8;

use Encode qw(decode_utf8 encode);
use FindBin ();
use IO::Compress::Gzip qw(gzip);
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway ();

my $PLACE = '{ОбщийМодуль.Обмен.Модуль(40)}: Деление на ноль';

my $gw = Bitrix1C::Gateway->new(
    queue => 'concurrency 16; retry 300ms; breaker off;',
)->start;

my ($gzipped, $plain) = ('', encode('UTF-8', $PLACE));
gzip(\$plain, \$gzipped) or die 'gzip';

sub lines {
    my ($name) = @_;
    open my $fh, '<:encoding(UTF-8)', "$FindBin::Bin/fixtures/onec/$name"
        or die "$name: $!";
    return map { s/\n\z//r =~ s/⏎/\n/gr } <$fh>;
}

my @errors = lines('errors.txt');
my @ordinary = (lines('ordinary.txt'))[0 .. 39];

my (@rules, %expected);
my $n = 500;

sub answer {
    my ($name, $dead, %rule) = @_;
    my $id = ++$n;

    push @rules, { match => "\"entity\":\\{\"type\":\"SALEORDER\",\"id\":\"$id\"",
                   mode => 'ok', %rule };
    $expected{$id} = [$name, $dead];
    return;
}

answer("an exception: $_", 1, body => $_) for @errors;
answer("an ordinary answer: $_", 0, body => $_) for @ordinary;

$gw->onec_mode(@rules);

for my $id (sort keys %expected) {
    push @{ $expected{$id} }, $gw->post(id => $id)->{id};
}

ok $gw->drained(30), 'nothing is left in the queue';

my %dead = map { $_ => 1 } @{ $gw->dead_letters };

for my $id (sort keys %expected) {
    my ($name, $want, $hook) = @{ $expected{$id} };
    is $dead{$hook} // 0, $want, encode('UTF-8', $name =~ s/\s+/ /gr);
}

like $gw->reason($expected{501}[2]),
    qr/1C returned an exception's text, status 200: \S+/,
    'the reason quotes the exception';

# what the first attempt of an event was answered, by the reason in Redis

sub reason_of {
    my ($id, $rule) = @_;

    $gw->onec_mode({ match => "\"id\":\"$id\"", times => 1, %$rule });
    my $hook = $gw->post(id => $id)->{id};
    my $reason;

    for (1 .. 50) {
        $reason = $gw->reason($hook);
        last if defined $reason && $reason ne '';
        select undef, undef, undef, 0.02;
    }

    ok $gw->drained(10), 'the event is delivered after all';
    return $reason // '';
}

like reason_of(901, { mode => 'ok', headers => { 'X-Long' => 'x' x 9000 } }),
    qr/the header of 1C's answer is larger than proxy_buffer_size/,
    'a header that is too large names the directive';

like reason_of(902, { mode => 'ok', status => 301,
                      headers => { Location => 'https://onec/base/' } }),
    qr{1C redirects to another address, .* 301: https://onec/base/},
    'a redirect names where to';

$gw->finish;
done_testing;

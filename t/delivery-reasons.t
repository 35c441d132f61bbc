#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The error text of 1C is long, nested and full of escapes.  The stored reason
# is one line of valid UTF-8 of at most 500 bytes, and it holds the part that
# helps an administrator.

use strict;
use utf8;
use warnings;

use Encode ();
use FindBin ();
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);

use constant MAX => 500;

binmode Test::More->builder->$_, ':encoding(UTF-8)'
    for qw(output failure_output todo_output);

my $stack = 'Модуль.ОбщийМодуль(123): ВызватьИсключение' . 'Ы' x 200;
my $html = '<html><head><title>1C:Enterprise 8 application error</title>'
           . "</head>\r\n<body><h1>Error</h1>";
my $ns = 'xmlns="http://v8.1c.ru/8.1/data/core"';

# [answer of 1C, what the reason must have, what it must not have]
my %case = (
    'JSON' => [
        '{"#exception":"{http://v8.1c.ru/8.2/virtual-resource-system}Exception"'
        . ',"exception":{"reason":500,"descr":"HTTP: Internal server error\n",'
        . '"inner":{"descr":"Поле объекта не обнаружено\n(Контрагент)",'
        . "\"inner\":{\"creationStack\":\"$stack\"}}}}",
        qr/: Поле объекта не обнаружено \(Контрагент\)$/,
        qr/Internal|Модуль|creationStack/ ],
    'JSON with BOM' => [
        "\x{FEFF}" . '{"exception":{"descr":"Деление на 0"}}',
        qr/: Деление на 0$/, qr/\x{FEFF}|descr/ ],
    'JSON with quotes and backslashes' => [
        '{"descr":"Файл \"C:\\\\base\\\\1Cv8.1CD\"\tзанят\r\nдругим'
        . ' \/ другой"}',
        qr{: Файл "C:\\base\\1Cv8\.1CD" занят другим / другой$}, qr/descr/ ],
    'JSON that is cut' => [
        '{"exception":{"descr":"Недостаточно памят', qr/: Недостаточно памят$/,
        qr/descr/ ],
    'XML' => [
        "<?xml version=\"1.0\"?>\n<exception reason=\"406\"><descr $ns>Истекло"
        . " время\n ожидания сеанса</descr><creationStack>$stack"
        . '</creationStack></exception>',
        qr/: Истекло время ожидания сеанса$/, qr/Модуль|v8\.1c\.ru|[<>]/ ],
    'XML, nested' => [
        "<exception><descr $ns>Снаружи</descr><inner><descr $ns>Внутри</descr>"
        . '</inner></exception>', qr/: Внутри$/, qr/Снаружи/ ],
    'HTML' => [
        "$html<b>by reason: </b><br>\r\n  No space left on device</body>",
        qr/: No space left on device$/, qr/[<>]|Enterprise/ ],
    'HTML without a reason' => [
        "$html<p>Ошибка</p></body></html>",
        qr/: 1C:Enterprise 8 application error Error Ошибка$/, qr/[<>]/ ],
    'text' => [
        "Конфликт блокировок\r\n\tпри выполнении\x{7f} транзакции\n\n",
        qr/: Конфликт блокировок при выполнении транзакции$/, qr/  / ],
    'text, long' => [ 'Ы' x 3000, qr/: Ы{200,}$/, qr/\x{FFFD}|[?]/ ],
    'text, long and odd' => [ 'x' . 'Ы' x 3000, qr/: xЫ{200,}$/,
                              qr/\x{FFFD}|[?]/ ],
    'text, long, of 4 bytes' => [ 'xy' . "\x{1F600}" x 1500,
                                  qr/: xy\x{1F600}{90,}$/, qr/\x{FFFD}|[?]/ ],
    'JSON, long' => [
        '{"descr":"' . 'Слишком длинно. ' x 50 . '"}', qr/Слишком длинно\. Сл/,
        qr/descr/ ],
    'no text' => [ '', qr/^1C failed, status 500$/, qr/:/ ],
    'tags alone' => [ '<html><body></body></html>',
                      qr/^1C failed, status 500$/, qr/[<>]/ ],
    'a tag without an end' => [ 'Ошибка <b', qr/: Ошибка$/, qr/[<>]/ ],
    'what looks like a log line' => [
        "x\n2026/01/01 00:00:00 [crit] 1#1: forged\r\n", qr/: x 2026.*forged$/,
        qr/\n/ ],
);

my $gw = Bitrix1C::Gateway->new(
    workers => 1,
    queue   => 'concurrency 32; retry 60s;',
)->start;


# the bytes that are stored with an event that 1C has refused

sub kept {
    my ($id) = @_;
    my $hook = $gw->post(id => $id)->{id};
    wait_until(5, sub { $gw->reason($hook) ne '' });
    return $gw->reason($hook);
}


sub check {
    my ($name, $bytes, $has, $lacks) = @_;
    my $text = eval { Encode::decode('UTF-8', my $copy = $bytes,
                                     Encode::FB_CROAK) };

    ok defined $text, "$name: valid UTF-8" or return;
    cmp_ok length $bytes, '<=', MAX, "$name: the reason is at most 500 bytes";
    unlike $text, qr/[\x00-\x1f\x7f]/, "$name: the reason is one line";
    like $text, qr/^1C failed, status 500/,
        "$name: the reason names the failure and the status";
    like $text, $has, "$name: the reason has the part that helps";
    unlike $text =~ s/^1C failed, status 500//r, $lacks, "$name: no more"
        if $lacks && $has !~ /status 500/;

    return;
}

my $id = 0;

for my $name (sort keys %case) {
    my ($body, $has, $lacks) = @{ $case{$name} };

    $gw->onec_mode({ mode => '500', body => $body });
    check($name, kept(++$id), $has, $lacks);
}

# bytes that are not UTF-8: 1C of a windows-1251 site, or a truncated body

my %bytes = (
    'windows-1251' => "\xce\xf8\xe8\xe1\xea\xe0",
    'a lone continuation' => "ab\x80cd",
    'a character cut' => "abc\xd0",
    'overlong' => "ab\xc0\xafcd",
    'a surrogate' => "ab\xed\xa0\x80cd",
    'beyond Unicode' => "ab\xf4\x90\x80\x80cd",
    'invalid bytes, many' => "\xff" x 3000,
    'a zero' => "ab\x00cd",
);

for my $name (sort keys %bytes) {

    # the arguments of an address are bytes, JSON is characters

    my $body = join '', map { sprintf '%%%02x', ord } split //, $bytes{$name};
    $gw->onec_ask("mode?mode=500&body=$body");
    my $kept = kept(++$id);
    check($name, $kept, qr/status 500/);

    my ($r) = grep { $_->{json}{entity}{id} == $id } $gw->onec_received;
    is $r->{status}, 500, "$name: bitrix1c_wait shows the status";
}

$gw->redis('ZADD', '{b1c:orders}:q', 'XX', 1, $_)
    for @{ $gw->redis('ZRANGE', '{b1c:orders}:q', 0, -1) };
$gw->onec_mode();
ok $gw->drained(5), 'the queue is empty';
is $gw->redis('HLEN', '{b1c:orders}:h'), 0, 'no reason is left in Redis';

$gw->finish;
done_testing;

package Bitrix1C::OneC::Answers;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The answers of the stand-in 1C in its modes, described in onec.pl.
# The texts are those of real publications.

use strict;
use warnings;

use Exporter qw(import);
use MIME::Base64 qw(encode_base64);

our @EXPORT_OK = qw(mode_name usual_answer);

use constant BOM => "\xEF\xBB\xBF";

my @NUMBERED = ('', qw(ok bom exception empty bad unauthorized locked
    forbidden notfound nosession version fault conflict commit-close cold
    sessions nochunked basic ibsession chunked));

my @NAMED = qw(hang drip endless reset truncated cutchunk unframed big throttle
    refuse listen);

my %STATUS_MODE = (200 => 'ok', 400 => 'bad', 401 => 'unauthorized',
    403 => 'forbidden', 404 => 'notfound', 406 => 'nosession',
    409 => 'version', 500 => 'fault');

my $JSON = "Content-Type: application/json; charset=utf-8\r\n";
my $TEXT = "Content-Type: text/plain; charset=utf-8\r\n";
my $HTML = "Content-Type: text/html; charset=utf-8\r\n";
my $XML  = "Content-Type: application/xml; charset=utf-8\r\n";

my %ANSWER = (
    ok => [200, $JSON, '{"result":"ok"}'],
    bom => [200, $JSON, BOM . '{"result":"ok"}'],
    exception => [200, $TEXT, '{HTTPСервис.exchange.Модуль(12)}: Поле объекта'
        . ' не обнаружено (Контрагент)'],
    empty => [200, '', ''],
    bad => [400, $TEXT, 'Не удалось разобрать строку'],
    unauthorized => [401, $HTML . 'WWW-Authenticate: Basic'
        . " realm=\"1C:Enterprise 8.3\"\r\n", '<h1>401</h1>'],
    locked => [403, $JSON, BOM . '{"#exception":"{http://v8.1c.ru/8.2/virtual'
        . '-resource-system}Exception","exception":{"reason":403,"descr":'
        . '"HTTP: Forbidden\n","inner":{"descr":"Начало сеанса с'
        . ' информационной базой запрещено.\nВедутся технические работы",'
        . '"inner":{"creationStack":"","data":"AAECAw=="}}}}'],
    forbidden => [403, $HTML, '<h1>403 Forbidden</h1>'],
    notfound => [404, $HTML, '<h1>404 Not Found</h1>'],
    nosession => [406, $XML, '<exception xmlns="http://v8.1c.ru/8.2/virtual-'
        . 'resource-system" clsid="580392e6-ba49-4280-ac67-fcd6f2180121"'
        . ' reason="406"><descr xmlns="http://v8.1c.ru/8.1/data/core">'
        . 'Истекло время ожидания сеанса</descr></exception>'],
    version => [409, $TEXT, '1C:Enterprise 8 application error: Различаются'
        . ' версии клиента и сервера (8.3.27.1719 - 8.3.27.2130)'],
    fault => [500, $HTML, '<html><head><title>1C:Enterprise 8 application'
        . ' error</title></head><body><b>by reason: </b><br>No space left on'
        . ' device</body></html>'],
    conflict => [500, $TEXT, 'Конфликт блокировок при выполнении транзакции'],
    nochunked => [411, $HTML, '<h1>411 Length Required</h1>'],
    ibsession => [400, $TEXT, 'Не указан заголовок управления сеансами или'
        . ' куки с идентификатором сеанса'],
);

my (%sessions, $last_session);


# a mode by number, name or status; undef if there is none

sub mode_name {
    my ($mode) = @_;

    return if !defined $mode;
    return $NUMBERED[$mode] if $mode =~ /^(?:[1-9]|1\d|20)$/;
    return $STATUS_MODE{$mode} // $mode if $mode =~ /^[2-5]\d\d$/;
    return $mode if $mode ne '' && grep { $_ eq $mode } @NUMBERED, @NAMED;
    return;
}


# status, header lines and body; $busy is the number of requests in progress

sub usual_answer {
    my ($rule, $r, $busy) = @_;
    my $mode = $rule->{mode};

    if ($mode eq 'sessions') {
        $mode = $busy > ($rule->{sessions} // 1) ? 'nosession' : 'ok';

    } elsif ($mode eq 'nochunked') {
        $mode = 'ok' if !defined $r->{headers}{'transfer-encoding'};

    } elsif ($mode eq 'basic') {
        $mode = good_password($rule, $r) ? 'ok' : 'unauthorized';

    } elsif ($mode eq 'ibsession') {
        return session_answer($r);
    }

    if ($mode eq 'throttle') {
        return (429, defined $rule->{retry_after} ? '' : "Retry-After: 1\r\n",
                '');
    }

    if ($mode eq 'big') {
        my $size = $rule->{size} // 3 * 1024 * 1024;
        return (200, $JSON, '"' . 'x' x ($size - 2) . '"');
    }

    if ($mode =~ /^\d+$/) {
        return ($mode, '', $mode == 204 ? '' : "$mode\n");
    }

    return @{ $ANSWER{$mode} // $ANSWER{ok} };
}


# live publications take UTF-8 inside the base64, not windows-1251

sub good_password {
    my ($rule, $r) = @_;
    my $value = encode_base64(join(':', $rule->{user} // 'Обмен',
                                        $rule->{password} // 'секрет'), '');

    return ($r->{headers}{authorization} // '') eq "Basic $value";
}


sub session_answer {
    my ($r) = @_;
    my $order = lc($r->{headers}{ibsession} // '');
    my ($cookie) = ($r->{headers}{cookie} // '') =~ /\bibsession=(\w+)/;

    if ($order eq 'start') {
        my $id = sprintf 'b1c%08d', ++$last_session;
        $sessions{$id} = 1;
        my ($status, $headers, $body) = @{ $ANSWER{ok} };
        return ($status, "${headers}Set-Cookie: ibsession=$id\r\n", $body);
    }

    return @{ $ANSWER{ibsession} } if !defined $cookie || !$sessions{$cookie};

    delete $sessions{$cookie} if $order eq 'finish';
    return @{ $ANSWER{ok} };
}

1;

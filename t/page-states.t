#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The dashboard in a browser, with made-up answers of the API.  It shows every
# state in words, in both languages; it shows what customers typed as text; it
# fits a phone; it stops asking while nobody looks, and says so when nginx is
# gone.
#
# BITRIX1C_TEST_PICTURE  take README's picture into this file, and no more

use strict;
use utf8;
use warnings;

use FindBin ();
use File::Path qw(make_path);
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";

use Bitrix1C::Browser ();
use Bitrix1C::Page ();
use Bitrix1C::Process qw(wait_until);

# between two requests of the page, s
use constant EVERY => 3;

my $TRUE = JSON::PP::true;
my $EVIL = '<img src=x onerror="window.evil=1"><script>evil=1</script>';
my $OUT = "$FindBin::Bin/../build";

binmode Test::More->builder->$_, ':encoding(UTF-8)'
    for qw(output failure_output todo_output);

my $page = Bitrix1C::Page->new->start;
my $browser = Bitrix1C::Browser->new(process => $page);
my $url = "http://127.0.0.1:$page->{port}/";
my $now = time;


sub queue { return Bitrix1C::Page::queue(@_) }


sub look {
    my (%json) = @_;

    $page->answer(%json);
    $browser->look;
    return;
}


sub status { return look(status => Bitrix1C::Page::status(@_)) }


sub asked {
    return scalar grep { $_ eq '/status' }
                  split /\n/, $page->slurp('access.log');
}


sub letter {
    my ($n, $age, $event, $entity, $portal, $attempts, $reason) = @_;
    my ($type, $id) = split / /, $entity;

    return { id => sprintf('6b0464969154c77bc608dac8%08x', $n),
             event => $event, entity => { type => $type, id => $id },
             portal => $portal, attempts => $attempts, reason => $reason,
             created => $now - $age - 30, died => $now - $age, size => 345 };
}


my @letters = (
    letter(3121, 140, 'ONSALEORDERSAVED', 'SALEORDER 48213', 'myshop.ru', 1,
           '1C refused the event, status 422: Не найден контрагент с кодом'
           . ' 00-004512'),
    letter(2907, 2260, 'ONSALEORDERNEW', 'SALEORDER 48207', 'myshop.ru', 1,
           '1C returned an exception\'s text, status 200: Поле объекта не'
           . ' обнаружено (Контрагент)'),
    letter(1204, 9300, 'ONCRMDEALUPDATE', 'CRMDEAL 9921', 'myshop.bitrix24.ru',
           12, '1C failed, status 500: Конфликт блокировок при выполнении'
           . ' транзакции: превышено максимальное время ожидания'));

my $failure = { time => $now - 140, id => $letters[0]{id}, status => 422,
                event => $letters[0]{event}, verdict => 'dead',
                seconds => 0.051, reason => $letters[0]{reason} };


# an outage of seven minutes within an hour

sub trade {
    my ($i) = @_;
    my $out = $i >= 22 && $i < 29;
    my $came = int(44 + 12 * sin($i / 9) + 5 * sin($i * 2.7)
                   + 3 * sin($i * 7.1));
    my $waits = $i < 22 ? $i % 3 : $out ? ($i - 21) * 45 + $i * 31 % 9
                : $i < 34 ? 315 - ($i - 28) * 62 : $i % 3;

    return ($came, $out ? 0 : $i >= 29 && $i < 34 ? int($came * 1.9) : $came,
            $out ? 5 + $i % 2 : 0, $i == 20 || $i == 57 ? 1 : 0, $waits);
}


my $history = Bitrix1C::Page::hour(\&trade);

$page->answer(
    status => Bitrix1C::Page::status(queue('orders', waiting => 2, due => 2,
        oldest_seconds => 0.41, dead => 3, last_failure => $failure)),
    history => { step => 60, queues => { orders => $history,
                                         crm => $history } },
    dead => { queue => 'orders', total => 3, items => \@letters,
              cursor => undef });

if (my $file = $ENV{BITRIX1C_TEST_PICTURE}) {
    $browser->size(1080, 1040);
    $browser->open($url);
    $browser->shows('#dead tbody', qr/ONCRMDEAL/, 'the page is shown');
    $browser->click('#filters summary');
    $browser->screenshot($file);
    $browser->quit;
    done_testing;
    exit;
}

# what an operator sees first

$browser->open($url);
$browser->shows('#verdict h2', qr/^Events reach 1C$/,
                'in good order: the page says so');
my $asked = asked();
$browser->shows('#verdict p', qr/^2 events are ready .* 3 dead letters need a/,
                'the page says what to do');
$browser->gives('return document.title', 'Events reach 1C · Bitrix → 1C',
                'the title says so');
$browser->shows('#queues', qr/orders\s+OK\s+Waiting\s+2\s.*1\ of\ 4\s.*
                              410\ ms\s.*49\s.*Dead\ letters\s+3/sx,
                'the numbers are shown');
$browser->shows('#last', qr/Delivered · status 200 in 34 ms/,
                'the last answer is shown');
$browser->shows('#failure', qr/Dead\ letter\ .*\ 422\ .*
                               1C\ refused\ the\ event\s+Не\ найден/sx,
                'the last failure is shown');
$browser->counts('#events svg path.stroke', 2, 'lines of the hour');
$browser->counts('#events svg .failed rect', 7, 'bars of the outage');

$browser->run('document.querySelector("#events .plot").focus()');
$browser->keys("\x{e010}", "\x{e012}");
$browser->shows('#events .tip', qr/accepted\s+\d+\s+delivered\s+\d+/,
                'the keyboard moves through the chart');
$browser->gives('return /accepted: \d+, delivered: \d+/.test('
                . 'document.querySelector("#events .unseen").textContent)', 1,
                'the value is announced to screen readers');
$browser->click('#depth summary');
$browser->counts('#depth tbody tr', 60, 'the chart is available as a table');
ok wait_until(20, sub { asked() > $asked }), 'the page asks repeatedly';

# every state in words

my %state = (
    'busy' => [{ state => 'busy', waiting => 1312, slots_used => 4 },
        'faster than 1C accepts', 'быстрее, чем она принимает',
        'All delivery slots are busy, 1,312 events are waiting',
        'Все места заняты, в очереди 1\s312 событий' ],
    'held by hand' => [
        { state => 'held', hold => { state => 'operator', held => $TRUE } },
        'paused', 'приостановлена', 'by an operator', 'оператором' ],
    'held by the day' => [
        { state => 'held', hold => { state => 'daily', from => '03:00',
                                     to => '05:00', held => $TRUE } },
        'paused', 'приостановлена', 'from 03:00 to 05:00',
        'с 03:00 до 05:00' ],
    'open' => [
        { state => 'open', breaker => { state => 'open', seconds => 12.2,
                                        failures => 5 } },
        'do not reach 1C', 'не доходят до 1С',
        'error 5 times in a row. Will retry in 12 sec',
        '5 раз подряд. Пробная доставка через 12 с' ],
    'probing' => [
        { state => 'open', breaker => { state => 'probing', failures => 22 } },
        'do not reach 1C', 'не доходят до 1С', 'A trial delivery is in progress',
        '22 раза подряд. Идёт пробная доставка' ],
    'Redis away' => [
        { state => 'redis_down', (map { $_ => undef } qw(waiting due followers
            dead oldest_seconds)), spool => { state => 'off' },
          redis => { state => 'down', seconds => 133.4,
                     error => 'Connection refused' } },
        'new events are rejected', 'новые события не принимаются',
        'Redis has been down for 2 min', 'Redis недоступен 2 мин' ],
    'spooling' => [
        { state => 'spooling', waiting => undef,
          spool => { state => 'spooling', bytes => 12_582_912 },
          redis => { state => 'down', seconds => 4000 } },
        'stored on disk', 'сохраняются на диск', '12 MB of 256 MB on disk',
        'На диске 12 МБ из 256 МБ' ],
    'calls that fail' => [
        { kind => 'calls', state => 'open',
          breaker => { state => 'open', seconds => 3, failures => 2 } },
        'Calls do not reach Bitrix', 'Вызовы не доходят до Битрикса',
        'Bitrix returned an error 2 times', 'Битрикс ответил ошибкой 2 раза подряд' ],
    'calls that wait' => [
        { kind => 'calls', waiting => 3, due => 3 }, 'Calls reach Bitrix',
        'Вызовы доходят до Битрикса', '3 calls are ready to be sent',
        '3 вызова готовы к отправке' ],
    'draining' => [
        { state => 'spooling', spool => { state => 'draining',
                                          bytes => 5000 } },
        'from disk to Redis', 'с диска в Redis', '4.9 kB of 256 MB',
        '4,9 кБ из 256 МБ' ],
);

for my $lang (qw(en ru)) {
    $browser->click("[data-lang=$lang]");

    for my $name (sort keys %state) {
        my ($changes, @words) = @{ $state{$name} };
        my ($verdict, $why) = @words[$lang eq 'ru' ? (1, 3) : (0, 2)];

        status(queue('orders', %$changes));
        $browser->shows('#verdict', qr/$verdict.*$why/s, "$name, $lang");
    }
}

$browser->gives('return document.documentElement.lang', 'ru',
                'the page is in Russian');
$browser->open($url);
$browser->shows('#dead h3', qr/^Недоставленные события$/,
                'the page remembers the language');

# several queues

$browser->click('[data-lang=en]');
status(queue('orders'), queue('crm', state => 'held', waiting => 7,
                              hold => { state => 'on', held => $TRUE }));
$browser->shows('#verdict h2', qr/^crm: Deliveries to 1C are paused$/,
                'the worst of several queues is named');
$browser->click('#queues li:nth-child(2) .name');
$browser->shows('#queue h2', qr/^crm$/, 'a click shows another queue');

status(queue('orders'), queue('crm', kind => 'calls'));
$browser->shows('#last h3', qr/^Last answer of Bitrix$/,
                'a queue of calls names Bitrix');
$browser->shows('#verdict h2', qr/^Events reach 1C, and calls reach Bitrix$/,
                'if all is well, the page names both');
$browser->click('#queues li:first-child .name');
$browser->shows('#last h3', qr/^Last answer of 1C$/,
                'a queue of events names 1C');
$browser->click('#queues li:nth-child(2) .name');
$browser->counts('#steer button', 1, 'a queue of calls can be held');

# what customers typed

my $bad = { %{ letter(9, 1, $EVIL, "SALEORDER $EVIL", $EVIL, 1, $EVIL) },
            id => 'f' x 32 };

look(status => Bitrix1C::Page::status(queue('orders', dead => 1,
         redis => { address => $EVIL },
         last_failure => { %$failure, event => $EVIL, reason => $EVIL })),
     dead => { queue => 'orders', total => 1, items => [$bad],
               cursor => undef },
     'dead-' . 'f' x 32 => { %$bad, body => { $EVIL => [$EVIL, 1, undef] } });
$browser->shows('#dead tbody', qr/\Q$EVIL\E.*\Q$EVIL\E/s, 'tags are text');
$browser->click('#dead tbody .link');
$browser->shows('#letter pre', qr/<img src=x onerror=\\"window/,
                'tags in the body are text');
$browser->keys("\x{e00c}");
$browser->counts('dialog', 0, 'Esc closes it');
is $browser->run('return [document.images.length, document.querySelectorAll('
                 . '"body script").length, typeof window.evil].join()'),
    '0,0,undefined', 'no tag became an element';

# two clicks before the first one is answered

look('dead-' . 'e' x 32 => { %{ letter(8, 1, 'SECOND', 'X 1', 'x', 1, 'x') },
                             id => 'e' x 32, body => {} },
     dead => { queue => 'orders', total => 2, cursor => undef, items => [
         $bad, { %{ letter(8, 1, 'SECOND', 'X 1', 'x', 1, 'x') },
                 id => 'e' x 32 }] },
     status => Bitrix1C::Page::status(queue('orders', dead => 2)));
$browser->shows('#dead tbody', qr/SECOND/, 'two letters');
$browser->run('document.querySelectorAll("#dead tbody .link")'
              . '.forEach((link) => { link.click(); link.click(); })');
$browser->shows('#letter h2', qr/^SECOND$/, 'the last clicked letter is shown');
$browser->click('#letter [value=replay]');
ok wait_until(10, sub { $browser->text('#toasts') =~ /action failed/ }),
    'the page cannot replay it, because there is no API';
sleep 0.3;
is $browser->count('#toasts p'), 1, 'the message is about that letter only';

# an invalid address, and an answer that cannot be shown

$browser->open("$url#%");
$browser->shows('#verdict h2', qr/^Events reach 1C$/, 'a queue is shown');
status({ name => 'orders' });
$asked = asked();
ok wait_until(20, sub { asked() > $asked + 1 }), 'the page asks again';
status(queue('orders'));
$browser->complaints;

# the tab is hidden during the next tests

$browser->run('Object.defineProperty(document, "hidden",'
              . ' { value: true, configurable: true })');
$browser->look;
sleep 1;
$asked = asked();
my $rested = time + EVERY + 0.5;

# on a phone, and in the dark

$browser->colors('dark');
$browser->size(360, 740);
$browser->gives('return document.documentElement.scrollWidth <= 360', 1,
                'a phone does not scroll sideways');
$browser->gives('return [...document.querySelectorAll("button, a, input,'
                . ' summary")].filter((e) => e.checkVisibility()'
                . ' && e.getBoundingClientRect().right > 360).length', 0,
                'a phone shows every button');
$browser->gives('return getComputedStyle(document.body).backgroundColor',
                'rgb(15, 19, 24)', 'the page is dark if the user prefers that');

is_deeply [$browser->complaints], [],
    'the browser reports no error';
sleep 0.1 while time < $rested;

is asked(), $asked, 'the page asks nothing while the tab is hidden';
$browser->run('delete document.hidden');
look();
ok wait_until(20, sub { asked() > $asked }),
    'the page asks at once when the tab is shown';

# nginx is gone

$page->stop;
look();
$browser->shows('#alarm', qr/nginx has not responded since \d/,
                'the page says that nginx does not answer');
$browser->counts('.stale #verdict', 1, 'the data is marked as old');
$page->start;
look();
$browser->counts('#alarm', 0, 'the alarm disappears when nginx is back');

make_path($OUT);
$browser->screenshot("$OUT/page-phone.png", 1);
$browser->quit;
done_testing;

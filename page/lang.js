// Copyright (C) the ngx_http_bitrix1c_module authors

// The texts in both languages, and numbers and times as each writes them.

import { say } from './dom.js';


// [English, Russian]; an object has one text for each plural form

const TEXTS = {
    queues: ['Queues', 'Очереди'],
    waiting: ['Waiting', 'Ждут'],
    in_flight: ['Being delivered', 'Доставляется'],
    oldest: ['Oldest', 'Самое старое'],
    delivered_min: ['Delivered / min', 'Доставлено / мин'],
    dead: ['Dead letters', 'Недоставленные события'],
    of: ['{n} of {m}', '{n} из {m}'],

    // the states of a queue: a word, and a sentence for the headline
    s_ok: ['OK', 'Норма'],
    s_busy: ['Busy', 'Загружена'],
    s_held: ['Paused', 'Приостановлена'],
    s_open: ['Auto-paused', 'Автопауза'],
    s_redis_down: ['Redis is down', 'Redis недоступен'],
    s_spooling: ['Disk buffer', 'Буфер на диске'],
    v_ok: ['Events reach 1C', 'События доходят до 1С'],
    v_busy: ['Events reach 1C, but arrive faster than 1C accepts them',
             'События доходят до 1С, но приходят быстрее, чем она принимает'],
    v_held: ['Deliveries to 1C are paused', 'Доставка в 1С приостановлена'],
    v_open: ['Events do not reach 1C: 1C returns errors',
             'События не доходят до 1С: она возвращает ошибки'],
    v_redis_down: ['Redis does not respond, new events are rejected',
                   'Redis не отвечает, новые события не принимаются'],
    v_spooling: ['Redis does not respond, new events are stored on disk',
                 'Redis не отвечает, новые события сохраняются на диск'],
    v_draining: ['Events are being moved from disk to Redis',
                 'События переносятся с диска в Redis'],
    v_all: ['Events reach 1C, and calls reach Bitrix',
            'События доходят до 1С, вызовы — до Битрикса'],
    v_some: ['{queue}: {text}', '{queue}: {text}'],
    v_also: ['Also: {list}', 'Также: {list}'],

    // the reason for the state of one queue
    y_idle: ['The queue is empty.', 'Очередь пуста.'],
    y_due: [{ one: '{n} event is ready for delivery.',
              other: '{n} events are ready for delivery.' },
            { one: '{n} событие готово к доставке.',
              few: '{n} события готовы к доставке.',
              many: '{n} событий готовы к доставке.',
              other: '{n} события готово к доставке.' }],
    y_later: [{ one: '{n} event waits for its next attempt.',
                other: '{n} events wait for their next attempt.' },
              { one: '{n} событие ждёт следующей попытки.',
                few: '{n} события ждут следующей попытки.',
                many: '{n} событий ждут следующей попытки.',
                other: '{n} события ждёт следующей попытки.' }],
    y_busy: [{ one: 'All delivery slots are busy, {n} event is waiting.',
               other: 'All delivery slots are busy, {n} events are waiting.' },
             { one: 'Все места заняты, в очереди {n} событие.',
               few: 'Все места заняты, в очереди {n} события.',
               many: 'Все места заняты, в очереди {n} событий.',
               other: 'Все места заняты, в очереди {n} события.' }],
    y_operator: ['Paused by an operator. Events are accepted and wait.',
                 'Приостановлена оператором. События принимаются и ждут.'],
    y_on: ['Paused by the configuration. Events are accepted and wait.',
           'Приостановлена в конфигурации. События принимаются и ждут.'],
    y_daily: ['Paused every day from {from} to {to}. Events are accepted and'
              + ' wait.',
              'Приостановлена ежедневно с {from} до {to}. События принимаются'
              + ' и ждут.'],
    y_open: [{ one: '1C returned an error {n} time in a row.',
               other: '1C returned an error {n} times in a row.' },
             { one: '1С ответила ошибкой {n} раз подряд.',
               few: '1С ответила ошибкой {n} раза подряд.',
               many: '1С ответила ошибкой {n} раз подряд.',
               other: '1С ответила ошибкой {n} раза подряд.' }],
    y_probe: ['Will retry in {time}.', 'Пробная доставка через {time}.'],
    y_probing: ['A trial delivery is in progress.',
                'Идёт пробная доставка.'],
    y_down: ['Redis has been down for {time}.', 'Redis недоступен {time}.'],
    y_error: ['Redis: {error}.', 'Redis: {error}.'],
    y_spool: ['{bytes} of {max} on disk.', 'На диске {bytes} из {max}.'],
    y_dead: [{ one: '{n} dead letter needs attention.',
               other: '{n} dead letters need attention.' },
             { one: '{n} недоставленное событие требует внимания.',
               few: '{n} недоставленных события требуют внимания.',
               many: '{n} недоставленных событий требуют внимания.',
               other: '{n} недоставленного события требует внимания.' }],

    // charts
    c_events: ['Events per minute', 'События в минуту'],
    c_depth: ['Waiting', 'Ждут доставки'],
    c_accepted: ['accepted', 'принято'],
    c_delivered: ['delivered', 'доставлено'],
    c_failed: ['failed attempts', 'неудачные попытки'],
    c_dead: ['dead letters', 'не доставлено'],
    c_waiting: ['waiting', 'ждут'],
    c_time: ['Time', 'Время'],
    c_table: ['Show as a table', 'Показать таблицей'],
    c_none: ['There is no data for a full minute yet.',
             'Данных за полную минуту ещё нет.'],
    c_label: ['{title}, last hour. Use the arrow keys to read each minute.',
              '{title}, последний час. Стрелки переключают минуты.'],

    // 1C's answers
    last: ['Last answer of 1C', 'Последний ответ 1С'],
    last_failure: ['Last failure', 'Последняя ошибка'],
    l_none: ['No delivery since nginx started.',
             'С запуска nginx доставок не было.'],
    l_no_failure: ['No failure since nginx started.',
                   'С запуска nginx ошибок не было.'],
    l_status: ['status {n}', 'статус {n}'],
    l_no_status: ['no answer', 'нет ответа'],
    l_in: ['in {time}', 'за {time}'],
    w_delivered: ['Delivered', 'Доставлено'],
    w_retry: ['Will retry', 'Будет повторено'],
    w_dead: ['Dead letter', 'Не доставлено'],
    w_lost: ['Lease expired', 'Истекла блокировка'],

    // dead letters
    export: ['Export all', 'Выгрузить все'],
    filter: ['Filter', 'Фильтр'],
    f_event: ['Event', 'Событие'],
    f_portal: ['Portal', 'Портал'],
    f_reason: ['Reason', 'Причина'],
    f_from: ['From', 'С'],
    f_to: ['Until', 'По'],
    f_apply: ['Apply', 'Найти'],
    f_clear: ['Clear', 'Сбросить'],
    d_died: ['When', 'Когда'],
    d_event: ['Event', 'Событие'],
    d_reason: ['Reason', 'Причина'],
    d_attempts: ['Attempts', 'Попытки'],
    d_id: ['Id', 'Id'],
    d_portal: ['Portal', 'Портал'],
    d_entity: ['Entity', 'Объект'],
    d_created: ['Received', 'Получено'],
    d_size: ['Size', 'Размер'],
    d_none: ['None. Events that could not be delivered appear here.',
             'Нет. Здесь появляются события, которые не удалось доставить.'],
    d_no_match: ['No dead letter matches the filter.',
                 'Нет событий, подходящих под фильтр.'],
    d_further: ['Nothing on this page matches. Older pages may have matches.',
                'На этой странице совпадений нет. Проверьте более старые.'],
    d_loading: ['Loading…', 'Загрузка…'],
    pick: ['Select', 'Выбрать'],
    pick_this: ['Select {event} {entity}', 'Выбрать {event} {entity}'],
    pick_all: ['Select all of this page', 'Выбрать всё на странице'],
    picked: [{ one: '{n} selected', other: '{n} selected' },
             { one: 'Выбрано {n}', few: 'Выбрано {n}', many: 'Выбрано {n}',
               other: 'Выбрано {n}' }],
    pages: ['Pages', 'Страницы'],
    newer: ['← Newer', '← Новее'],
    older: ['Older →', 'Старше →'],
    shown: ['{from}–{to}', '{from}–{to}'],
    body: ['Body for 1C', 'Тело запроса к 1С'],
    close: ['Close', 'Закрыть'],
    cancel: ['Cancel', 'Отмена'],
    replay: ['Send again', 'Отправить снова'],
    replay_this: ['Send {event} {entity} again',
                  'Отправить снова {event} {entity}'],
    replay_picked: ['Send selected again', 'Отправить выбранные снова'],
    replay_match: ['Send all that match again…',
                   'Отправить все найденные снова…'],
    replay_all: ['Send all again…', 'Отправить все снова…'],
    delete: ['Delete', 'Удалить'],
    delete_picked: ['Delete selected…', 'Удалить выбранные…'],
    delete_match: ['Delete all that match…', 'Удалить все найденные…'],
    delete_all: ['Delete all…', 'Удалить все…'],

    // questions and results
    hold: ['Pause deliveries…', 'Приостановить…'],
    resume: ['Resume deliveries…', 'Возобновить…'],
    q_hold: ['Pause deliveries of “{queue}”?',
             'Приостановить доставку «{queue}»?'],
    q_hold_text: ['Events are still accepted and wait in Redis. No nginx of'
                  + ' this queue sends them to 1C until you resume deliveries,'
                  + ' even after a restart.',
                  'События по-прежнему принимаются и ждут в Redis. Ни один'
                  + ' nginx этой очереди не отправит их в 1С, пока доставка не'
                  + ' возобновлена, даже после перезапуска.'],
    q_hold_yes: ['Pause', 'Приостановить'],
    q_resume: ['Resume deliveries of “{queue}”?',
               'Возобновить доставку «{queue}»?'],
    q_resume_text: ['Waiting events are sent to 1C at the configured rate.',
                    'Ожидающие события будут отправлены в 1С с настроенной'
                    + ' скоростью.'],
    q_resume_yes: ['Resume', 'Возобновить'],
    q_replay: ['Send {what} again?', 'Отправить снова {what}?'],
    q_replay_text: ['They keep their ids, and their attempts are counted from'
                    + ' zero.', 'Id сохранятся, счёт попыток начнётся заново.'],
    q_delete: ['Delete {what}?', 'Удалить {what}?'],
    q_delete_text: ['Deleted events never reach 1C. This cannot be undone.',
                    'Удалённые события не попадут в 1С. Отменить удаление'
                    + ' нельзя.'],
    what: [{ one: '{n} dead letter', other: '{n} dead letters' },
           { one: '{n} недоставленное событие',
             few: '{n} недоставленных события',
             many: '{n} недоставленных событий',
             other: '{n} недоставленного события' }],
    what_match: ['all dead letters that match the filter',
                 'все недоставленные события, подходящие под фильтр'],
    what_all: ['all dead letters of “{queue}”',
               'все недоставленные события очереди «{queue}»'],
    r_replay: [{ one: '{n} event will be sent to 1C again.',
                 other: '{n} events will be sent to 1C again.' },
               { one: '{n} событие будет отправлено снова.',
                 few: '{n} события будут отправлены снова.',
                 many: '{n} событий будут отправлены снова.',
                 other: '{n} события будет отправлено снова.' }],
    r_delete: [{ one: '{n} dead letter was deleted.',
                 other: '{n} dead letters were deleted.' },
               { one: 'Удалено {n} событие.',
                 few: 'Удалено {n} события.',
                 many: 'Удалено {n} событий.',
                 other: 'Удалено {n} события.' }],
    r_export: [{ one: '{n} dead letter was saved to a file.',
                 other: '{n} dead letters were saved to a file.' },
               { one: 'В файл сохранено {n} событие.',
                 few: 'В файл сохранено {n} события.',
                 many: 'В файл сохранено {n} событий.',
                 other: 'В файл сохранено {n} события.' }],
    r_hold: ['Deliveries of “{queue}” are paused.',
             'Доставка «{queue}» приостановлена.'],
    r_resume: ['Deliveries of “{queue}” are resumed.',
               'Доставка «{queue}» возобновлена.'],
    r_failed: ['The action failed: {text}', 'Ошибка: {text}'],
    r_gone: ['The event is no longer a dead letter.',
             'Этого события уже нет среди недоставленных.'],

    // this page itself
    no_answer: ['nginx has not responded since {time}. The data below are from'
                + ' that time.',
                'nginx не отвечает с {time}. Данные ниже — на это время.'],
    never: ['nginx does not respond.', 'nginx не отвечает.'],
    refused: ['nginx rejected the request: {text}',
              'nginx отклонил запрос: {text}'],
    live: ['updated at {time}', 'обновлено в {time}'],
    stale: ['no response', 'нет ответа'],
    no_queues: ['No bitrix1c_queue is configured.',
                'В конфигурации нет ни одной bitrix1c_queue.'],

    // details
    more: ['Details', 'Подробности'],
    m_redis: ['Redis', 'Redis'],
    m_up: ['up for {time}, {address}', 'работает {time}, {address}'],
    m_down: ['down for {time}, {address}: {error}',
             'недоступен {time}, {address}: {error}'],
    m_spool: ['Spool', 'Буфер на диске'],
    m_off: ['off', 'выключен'],
    m_empty: ['empty, at most {max}', 'пуст, не больше {max}'],
    m_spooling: ['in use, {bytes} of {max}', 'используется, {bytes} из {max}'],
    m_draining: ['draining, {bytes} left',
                 'переносится в Redis, осталось {bytes}'],
    m_unavailable: ['unavailable', 'недоступен'],
    m_breaker: ['Circuit breaker', 'Автопауза'],
    m_closed: [{ one: 'closed, {n} failure in a row',
                 other: 'closed, {n} failures in a row' },
               { one: 'выключена, {n} ошибка подряд',
                 few: 'выключена, {n} ошибки подряд',
                 many: 'выключена, {n} ошибок подряд',
                 other: 'выключена, {n} ошибки подряд' }],
    m_open: ['open, will retry in {time}',
             'включена, пробная доставка через {time}'],
    m_probing: ['open, a trial delivery is in progress',
                'включена, идёт пробная доставка'],
    m_pace: ['Limits', 'Ограничения'],
    m_limit: ['{n} at a time, at most {limit} per second',
              '{n} одновременно, не больше {limit} в секунду'],
    m_no_limit: ['{n} at a time', '{n} одновременно'],
    m_lanes: ['Wait for an earlier event of the same entity',
              'Ждут предыдущее событие того же объекта'],
    m_due: ['Ready for delivery', 'Готовы к доставке'],
    k_received: ['Received', 'Получено'],
    k_accepted: ['Accepted', 'Принято'],
    k_coalesced: ['Coalesced', 'Объединено'],
    k_duplicate: ['Duplicates', 'Дубликаты'],
    k_spooled: ['Stored on disk', 'Записано на диск'],
    k_ignored: ['Ignored by bitrix1c_events', 'Пропущено (bitrix1c_events)'],
    k_malformed: ['Malformed (400)', 'Некорректный запрос (400)'],
    k_forbidden: ['Wrong token (403)', 'Неверный токен (403)'],
    k_refused: ['Refused', 'Отклонено'],
    k_unavailable: ['Lost (503)', 'Потеряно (503)'],
    k_delivered: ['Delivered', 'Доставлено'],
    k_retried: ['Failed attempts', 'Неудачные попытки'],
    k_dead: ['Became dead letters', 'Не доставлено'],
    k_lost: ['Leases expired, may be repeated',
             'Возможны дубли (истекла блокировка)'],
    k_replayed: ['Sent again', 'Отправлено снова'],
    k_deleted: ['Deleted', 'Удалено'],
    k_dropped_dead: ['Removed by the dead_letters limit',
                     'Удалено по лимиту dead_letters'],
    k_spool_replayed: ['Moved from disk to Redis',
                       'Перенесено с диска в Redis'],
    k_spool_torn: ['Damaged on disk', 'Повреждено на диске'],
};


// the same for queues of calls, which go from 1C to Bitrix

const CALLS = {
    dead: ['Dead letters', 'Невыполненные вызовы'],
    v_ok: ['Calls reach Bitrix', 'Вызовы доходят до Битрикса'],
    v_busy: ['Calls reach Bitrix, but arrive faster than Bitrix accepts them',
             'Вызовы доходят до Битрикса, но приходят быстрее, чем он'
             + ' принимает'],
    v_held: ['Calls to Bitrix are paused', 'Вызовы в Битрикс приостановлены'],
    v_open: ['Calls do not reach Bitrix: Bitrix returns errors',
             'Вызовы не доходят до Битрикса: он возвращает ошибки'],
    v_redis_down: ['Redis does not respond, new calls are rejected',
                   'Redis не отвечает, новые вызовы не принимаются'],
    v_spooling: ['Redis does not respond, new calls are stored on disk',
                 'Redis не отвечает, новые вызовы сохраняются на диск'],
    v_draining: ['Calls are being moved from disk to Redis',
                 'Вызовы переносятся с диска в Redis'],
    y_due: [{ one: '{n} call is ready to be sent.',
              other: '{n} calls are ready to be sent.' },
            { one: '{n} вызов готов к отправке.',
              few: '{n} вызова готовы к отправке.',
              many: '{n} вызовов готовы к отправке.',
              other: '{n} вызова готово к отправке.' }],
    y_later: [{ one: '{n} call waits for its next attempt.',
                other: '{n} calls wait for their next attempt.' },
              { one: '{n} вызов ждёт следующей попытки.',
                few: '{n} вызова ждут следующей попытки.',
                many: '{n} вызовов ждут следующей попытки.',
                other: '{n} вызова ждёт следующей попытки.' }],
    y_busy: [{ one: 'All delivery slots are busy, {n} call is waiting.',
               other: 'All delivery slots are busy, {n} calls are waiting.' },
             { one: 'Все места заняты, в очереди {n} вызов.',
               few: 'Все места заняты, в очереди {n} вызова.',
               many: 'Все места заняты, в очереди {n} вызовов.',
               other: 'Все места заняты, в очереди {n} вызова.' }],
    y_operator: ['Paused by an operator. Calls are accepted and wait.',
                 'Приостановлена оператором. Вызовы принимаются и ждут.'],
    y_on: ['Paused by the configuration. Calls are accepted and wait.',
           'Приостановлена в конфигурации. Вызовы принимаются и ждут.'],
    y_daily: ['Paused every day from {from} to {to}. Calls are accepted and'
              + ' wait.',
              'Приостановлена ежедневно с {from} до {to}. Вызовы принимаются'
              + ' и ждут.'],
    y_open: [{ one: 'Bitrix returned an error {n} time in a row.',
               other: 'Bitrix returned an error {n} times in a row.' },
             { one: 'Битрикс ответил ошибкой {n} раз подряд.',
               few: 'Битрикс ответил ошибкой {n} раза подряд.',
               many: 'Битрикс ответил ошибкой {n} раз подряд.',
               other: 'Битрикс ответил ошибкой {n} раза подряд.' }],
    y_probing: ['A trial call is in progress.', 'Идёт пробный вызов.'],
    c_events: ['Calls per minute', 'Вызовы в минуту'],
    c_depth: ['Waiting', 'Ждут отправки'],
    last: ['Last answer of Bitrix', 'Последний ответ Битрикса'],
    f_event: ['Method', 'Метод'],
    d_event: ['Method', 'Метод'],
    d_none: ['None. Calls that could not be carried out appear here.',
             'Нет. Здесь появляются вызовы, которые не удалось выполнить.'],
    body: ['Body of the call', 'Тело вызова'],
    q_hold: ['Pause the calls of “{queue}”?',
             'Приостановить вызовы «{queue}»?'],
    q_hold_text: ['Calls are still accepted and wait in Redis. No nginx of this'
                  + ' queue sends them to Bitrix until you resume, even after a'
                  + ' restart.',
                  'Вызовы по-прежнему принимаются и ждут в Redis. Ни один nginx'
                  + ' этой очереди не отправит их в Битрикс, пока отправка не'
                  + ' возобновлена, даже после перезапуска.'],
    q_resume: ['Resume the calls of “{queue}”?',
               'Возобновить вызовы «{queue}»?'],
    q_resume_text: ['Waiting calls are sent to Bitrix at the rate of the'
                    + ' portal.',
                    'Ожидающие вызовы будут отправлены в Битрикс с'
                    + ' допустимой скоростью.'],
    q_replay_text: ['They keep their ids. If Bitrix has already carried out a'
                    + ' call, it is carried out twice.',
                    'Id сохранятся. Если Битрикс уже выполнил вызов, он'
                    + ' будет выполнен дважды.'],
    q_delete_text: ['Deleted calls never reach Bitrix. This cannot be undone.',
                    'Удалённые вызовы не попадут в Битрикс. Отменить удаление'
                    + ' нельзя.'],
    r_replay: [{ one: '{n} call will be sent to Bitrix again.',
                 other: '{n} calls will be sent to Bitrix again.' },
               { one: '{n} вызов будет отправлен снова.',
                 few: '{n} вызова будут отправлены снова.',
                 many: '{n} вызовов будут отправлены снова.',
                 other: '{n} вызова будет отправлено снова.' }],
    r_hold: ['Calls of “{queue}” are paused.',
             'Вызовы «{queue}» приостановлены.'],
    r_resume: ['Calls of “{queue}” are resumed.',
               'Вызовы «{queue}» возобновлены.'],
};


// reasons that the module writes; answers of 1C and Bitrix are not translated

const REASONS = {
    '1C did not answer': '1С не ответила',
    '1C\'s answer was cut off': 'Ответ 1С оборвался',
    '1C returned an exception\'s text': '1С вернула текст исключения',
    '1C is closed for maintenance': '1С закрыта на обслуживание',
    '1C refused the event': '1С отвергла событие',
    '1C does not know the user, check proxy_set_header Authorization':
        '1С не знает пользователя, см. proxy_set_header Authorization',
    'the user has no right to use the HTTP service of 1C':
        'у пользователя нет права на HTTP-сервис 1С',
    '1C has no such HTTP service, check proxy_pass and the publication':
        'в 1С нет такого HTTP-сервиса, см. proxy_pass и публикацию',
    '1C failed': '1С ответила ошибкой',
    'nginx itself answered, proxy_pass was not reached':
        'ответил сам nginx, до proxy_pass не дошло',
    'nginx could not start the delivery': 'nginx не смог начать доставку',
    'the worker had to exit': 'рабочий процесс nginx завершался',
    'Bitrix does not know the webhook, check proxy_pass':
        'Битрикс не знает этого вебхука, см. proxy_pass',
    'Bitrix refused the call': 'Битрикс отверг вызов',
    'Bitrix refused the batch': 'Битрикс отверг пакет вызовов',
    'Bitrix failed': 'Битрикс ответил ошибкой',
    'Bitrix did not answer': 'Битрикс не ответил',
    'Bitrix\'s answer was cut off': 'Ответ Битрикса оборвался',
    'Bitrix limits the rate of requests': 'Битрикс просит меньше запросов',
    'Bitrix accepts no more requests for now':
        'Битрикс временно не принимает запросы',
    'Bitrix has blocked this address, ask its support':
        'Битрикс заблокировал этот адрес, обратитесь в его поддержку',
    'the method has used up its execution time': 'метод исчерпал своё время',
    'the answer is not one of Bitrix\'s REST': 'ответил не REST Битрикса',
    'nginx could not send the call': 'nginx не смог отправить вызов',
    'outcome unknown, check in Bitrix before you send it again':
        'исход неизвестен, проверьте в Битриксе, прежде чем отправлять снова',
    'outcome unknown, its worker died during the call':
        'исход неизвестен, рабочий процесс nginx погиб во время вызова',
    'outcome unknown, the worker had to exit during the call':
        'исход неизвестен, рабочий процесс nginx завершался во время вызова',
};


let lang = 'en', own = {}, plurals, locale;


export const language = () => lang;


// remembered where the browser allows it

export function choose(wanted) {
    lang = wanted;

    // English times of day and dates are the browser's, if it is English
    locale = navigator.languages.find((l) => l.startsWith(lang)) ?? lang;
    plurals = new Intl.PluralRules(lang);

    try {
        localStorage.setItem('bitrix1c.lang', lang);

    } catch {
        // the choice is then not remembered
    }

    document.documentElement.lang = lang;
    translate(document);

    for (const button of document.querySelectorAll('[data-lang]')) {
        button.setAttribute('aria-pressed', button.dataset.lang === lang);
    }
}


// selects the texts for a queue of events or a queue of calls

export function about(queue) {
    own = queue.kind === 'calls' ? CALLS : {};
}


export function preferred() {
    let stored = null;

    try {
        stored = localStorage.getItem('bitrix1c.lang');

    } catch {
        // not allowed
    }

    return stored === 'en' || stored === 'ru' ? stored
           : navigator.language.startsWith('ru') ? 'ru' : 'en';
}


export function translate(root) {
    for (const node of root.querySelectorAll('[data-t]')) {
        say(node, t(node.dataset.t));
    }

    for (const node of root.querySelectorAll('[data-t-label]')) {
        node.setAttribute('aria-label', t(node.dataset.tLabel));
    }
}


// a text with {names} filled in; the number n chooses the plural

export function t(key, values = {}) {
    let text = (own[key] ?? TEXTS[key])?.[lang === 'ru' ? 1 : 0] ?? key;

    if (typeof text === 'object') {
        text = text[plurals.select(values.n)] ?? text.other;
    }

    return text.replace(/\{(\w+)\}/g, (whole, name) => {
        const value = values[name];

        return typeof value === 'number' ? number(value) : value ?? whole;
    });
}


// "1C failed, status 500: what 1C said" → [in this language, status, said]

export function reason(text) {
    const [, what, status, said] =
        text.match(/^(.*?)(?:, status (\d+))?(?:: (.*))?$/s);

    return {
        what: lang === 'ru' ? REASONS[what] ?? what
              : what.charAt(0).toUpperCase() + what.slice(1),
        status: status ?? '',
        said: said ?? '',
    };
}


export const number = (n, digits = 0) =>
    new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(n);


const unit = (n, name, digits = 0) => new Intl.NumberFormat(locale, {
    style: 'unit', unit: name, unitDisplay: 'short',
    maximumFractionDigits: digits,
}).format(n);


export function bytes(n) {
    const names = ['byte', 'kilobyte', 'megabyte', 'gigabyte'];
    let i = 0;

    for (; n >= 1024 && i < names.length - 1; i++) {
        n /= 1024;
    }

    return unit(n, names[i], n < 10 && i ? 1 : 0);
}


// two units at most: "2 hr 5 min"

export function duration(seconds) {
    if (seconds < 1) {
        return unit(Math.round(seconds * 1000), 'millisecond');
    }

    if (seconds < 60) {
        return unit(seconds, 'second', seconds < 10 ? 1 : 0);
    }

    const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
    const days = Math.floor(hours / 24);
    const parts = days > 0 ? [[days, 'day'], [hours % 24, 'hour']]
                  : hours > 0 ? [[hours, 'hour'], [minutes % 60, 'minute']]
                  : [[minutes, 'minute']];

    return parts.filter(([n]) => n > 0).map(([n, name]) => unit(n, name))
                .join(' ');
}


export function ago(seconds) {
    const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
    const units = [[86400, 'day'], [3600, 'hour'], [60, 'minute']];
    const [size, name] = units.find(([n]) => seconds >= n) ?? [1, 'second'];

    return format.format(-Math.floor(Math.max(seconds, 0) / size), name);
}


const date = (unix, options) =>
    new Intl.DateTimeFormat(locale, options).format(unix * 1000);


export const clock = (unix) => date(unix, { timeStyle: 'medium' });
export const minute = (unix) => date(unix, { timeStyle: 'short' });
export const moment = (unix) =>
    date(unix, { dateStyle: 'medium', timeStyle: 'medium' });


// the time of today, the day of others

export function when(unix, now) {
    const day = (n) => new Date(n * 1000).toDateString();

    return day(unix) === day(now) ? clock(unix)
        : date(unix, { day: 'numeric', month: 'short', hour: '2-digit',
                       minute: '2-digit' });
}

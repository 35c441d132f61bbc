// Copyright (C) the ngx_http_bitrix1c_module authors

// The texts in both languages, and numbers and times as each writes them.

import { say } from './dom.js';


// [English, Russian]; where a number decides, one text for each plural form

const TEXTS = {
    queues: ['Queues', 'Очереди'],
    waiting: ['Waiting', 'Ждут'],
    in_flight: ['In flight', 'В пути'],
    oldest: ['Oldest', 'Старшее ждёт'],
    delivered_min: ['Delivered / min', 'Доставлено / мин'],
    dead: ['Dead letters', 'Недоставленные'],
    of: ['{n} of {m}', '{n} из {m}'],

    // the states of a queue: in a word, and as an answer to "do events arrive"
    s_ok: ['OK', 'Норма'],
    s_busy: ['Busy', 'Загружена'],
    s_held: ['On hold', 'Приостановлена'],
    s_open: ['1C fails', '1С не принимает'],
    s_redis_down: ['Redis down', 'Redis недоступен'],
    s_spooling: ['On disk', 'Пишет на диск'],
    v_ok: ['Events reach 1C', 'События доходят до 1С'],
    v_busy: ['Events reach 1C, more come than it takes at once',
             'События доходят до 1С, но приходят быстрее, чем она принимает'],
    v_held: ['Deliveries to 1C are on hold', 'Доставка в 1С приостановлена'],
    v_open: ['Events do not reach 1C: it fails',
             'События не доходят до 1С: она отвечает ошибками'],
    v_redis_down: ['Redis does not answer, new events are refused',
                   'Redis не отвечает, новые события не принимаются'],
    v_spooling: ['Redis does not answer, new events are kept on disk',
                 'Redis не отвечает, новые события сохраняются на диск'],
    v_draining: ['Events that were kept on disk go back to Redis',
                 'События с диска возвращаются в Redis'],
    v_all: ['Events reach 1C, and calls Bitrix',
            'События доходят до 1С, вызовы — до Битрикса'],
    v_some: ['{queue}: {text}', '{queue}: {text}'],
    v_also: ['Also: {list}', 'Также: {list}'],

    // why, of one queue
    y_idle: ['Nothing waits.', 'Ничего не ждёт.'],
    y_due: [{ one: '{n} event goes to 1C now.',
              other: '{n} events go to 1C now.' },
            { one: '{n} событие сейчас уходит в 1С.',
              few: '{n} события сейчас уходят в 1С.',
              many: '{n} событий сейчас уходят в 1С.',
              other: '{n} события сейчас уходит в 1С.' }],
    y_later: [{ one: '{n} event waits for its next attempt.',
                other: '{n} events wait for their next attempt.' },
              { one: '{n} событие ждёт следующей попытки.',
                few: '{n} события ждут следующей попытки.',
                many: '{n} событий ждут следующей попытки.',
                other: '{n} события ждёт следующей попытки.' }],
    y_busy: [{ one: 'All slots are taken, {n} event waits its turn.',
               other: 'All slots are taken, {n} events wait their turn.' },
             { one: 'Все потоки заняты, {n} событие ждёт очереди.',
               few: 'Все потоки заняты, {n} события ждут очереди.',
               many: 'Все потоки заняты, {n} событий ждут очереди.',
               other: 'Все потоки заняты, {n} события ждёт очереди.' }],
    y_operator: ['Held here, by hand. Events are taken and wait.',
                 'Приостановлена вручную. События принимаются и ждут.'],
    y_on: ['Held by the configuration. Events are taken and wait.',
           'Приостановлена в конфигурации. События принимаются и ждут.'],
    y_daily: ['Held every day from {from} to {to}. Events are taken and wait.',
              'Приостановлена ежедневно с {from} до {to}. События принимаются'
              + ' и ждут.'],
    y_open: [{ one: '1C failed {n} time in a row.',
               other: '1C failed {n} times in a row.' },
             { one: '1С ответила ошибкой {n} раз подряд.',
               few: '1С ответила ошибкой {n} раза подряд.',
               many: '1С ответила ошибкой {n} раз подряд.',
               other: '1С ответила ошибкой {n} раза подряд.' }],
    y_probe: ['Next try in {time}.', 'Следующая проба через {time}.'],
    y_probing: ['One event is trying now whether 1C is back.',
                'Одно событие сейчас проверяет, ожила ли 1С.'],
    y_down: ['No Redis for {time}.', 'Redis недоступен {time}.'],
    y_error: ['Redis: {error}.', 'Redis: {error}.'],
    y_spool: ['{bytes} of {max} on disk.', 'На диске {bytes} из {max}.'],
    y_dead: [{ one: '{n} dead letter needs a look.',
               other: '{n} dead letters need a look.' },
             { one: '{n} недоставленное требует внимания.',
               few: '{n} недоставленных требуют внимания.',
               many: '{n} недоставленных требуют внимания.',
               other: '{n} недоставленных требует внимания.' }],

    // charts
    c_events: ['Events per minute', 'События в минуту'],
    c_depth: ['Waiting', 'Ждут доставки'],
    c_accepted: ['accepted', 'принято'],
    c_delivered: ['delivered', 'доставлено'],
    c_failed: ['failed', 'неудачных попыток'],
    c_dead: ['dead letters', 'недоставленных'],
    c_waiting: ['waiting', 'ждут'],
    c_time: ['Time', 'Время'],
    c_table: ['As a table', 'Таблицей'],
    c_none: ['The first full minute is not over yet.',
             'Первая полная минута ещё не прошла.'],
    c_label: ['{title}, last hour. Arrow keys read it minute by minute.',
              '{title}, последний час. Стрелки читают его по минутам.'],

    // 1C's answers
    last: ['Last answer of 1C', 'Последний ответ 1С'],
    last_failure: ['Last failure', 'Последняя неудача'],
    l_none: ['No delivery since nginx started.',
             'С запуска nginx доставок не было.'],
    l_no_failure: ['No failure since nginx started.',
                   'С запуска nginx неудач не было.'],
    l_status: ['status {n}', 'статус {n}'],
    l_no_status: ['no answer', 'нет ответа'],
    l_in: ['in {time}', 'за {time}'],
    w_delivered: ['Delivered', 'Доставлено'],
    w_retry: ['Goes again later', 'Будет повторено'],
    w_dead: ['Dead letter', 'Не доставлено'],
    w_lost: ['Lease lost', 'Аренда потеряна'],

    // dead letters
    export: ['Export all', 'Выгрузить все'],
    filter: ['Filter', 'Фильтр'],
    f_event: ['Event', 'Событие'],
    f_portal: ['Portal', 'Портал'],
    f_reason: ['Reason', 'Причина'],
    f_from: ['From', 'С'],
    f_to: ['Until', 'По'],
    f_apply: ['Filter', 'Найти'],
    f_clear: ['Clear', 'Сбросить'],
    d_died: ['When', 'Когда'],
    d_event: ['Event', 'Событие'],
    d_reason: ['Reason', 'Причина'],
    d_attempts: ['Attempts', 'Попыток'],
    d_id: ['Id', 'Id'],
    d_portal: ['Portal', 'Портал'],
    d_entity: ['Entity', 'Объект'],
    d_created: ['Came', 'Пришло'],
    d_size: ['Size', 'Размер'],
    d_none: ['None. What 1C refuses for good comes here.',
             'Нет. Сюда попадает то, что 1С отвергла окончательно.'],
    d_no_match: ['None of them matches the filter.',
                 'Под фильтр ничего не подходит.'],
    d_further: ['None on this page, older ones may match.',
                'На этой странице нет, но могут подойти более старые.'],
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
    body: ['What 1C gets', 'Что получает 1С'],
    close: ['Close', 'Закрыть'],
    cancel: ['Cancel', 'Отмена'],
    replay: ['Replay', 'Повторить'],
    replay_this: ['Replay {event} {entity}', 'Повторить {event} {entity}'],
    replay_picked: ['Replay selected', 'Повторить выбранные'],
    replay_match: ['Replay all that match…', 'Повторить все найденные…'],
    replay_all: ['Replay all…', 'Повторить все…'],
    delete: ['Delete', 'Удалить'],
    delete_picked: ['Delete selected…', 'Удалить выбранные…'],
    delete_match: ['Delete all that match…', 'Удалить все найденные…'],
    delete_all: ['Delete all…', 'Удалить все…'],

    // questions and what came of them
    hold: ['Hold deliveries…', 'Приостановить…'],
    resume: ['Resume deliveries…', 'Возобновить…'],
    q_hold: ['Hold deliveries of “{queue}”?',
             'Приостановить доставку «{queue}»?'],
    q_hold_text: ['Events are taken as ever and wait in Redis. Nothing is sent'
                  + ' to 1C by any nginx of this queue until you resume, not'
                  + ' even after a restart.',
                  'События принимаются как прежде и ждут в Redis. Ни один nginx'
                  + ' этой очереди ничего не отправит в 1С, пока доставка не'
                  + ' возобновлена, даже после перезапуска.'],
    q_hold_yes: ['Hold', 'Приостановить'],
    q_resume: ['Resume deliveries of “{queue}”?',
               'Возобновить доставку «{queue}»?'],
    q_resume_text: ['What waits goes to 1C at once, at the pace that is'
                    + ' configured.',
                    'Всё, что ждёт, сразу пойдёт в 1С с настроенной'
                    + ' скоростью.'],
    q_resume_yes: ['Resume', 'Возобновить'],
    q_replay: ['Replay {what}?', 'Повторить {what}?'],
    q_replay_text: ['They go to 1C again, with all attempts, under the same'
                    + ' ids.', 'Они снова пойдут в 1С, со всеми попытками и с'
                    + ' теми же id.'],
    q_delete: ['Delete {what}?', 'Удалить {what}?'],
    q_delete_text: ['1C will never get what is deleted. This cannot be undone.',
                    '1С никогда не получит удалённого. Отменить это нельзя.'],
    what: [{ one: '{n} dead letter', other: '{n} dead letters' },
           { one: '{n} недоставленное', few: '{n} недоставленных',
             many: '{n} недоставленных', other: '{n} недоставленных' }],
    what_match: ['all dead letters that match the filter',
                 'все недоставленные, подходящие под фильтр'],
    what_all: ['all dead letters of “{queue}”',
               'всё недоставленное из очереди «{queue}»'],
    r_replay: [{ one: '{n} event goes to 1C again.',
                 other: '{n} events go to 1C again.' },
               { one: '{n} событие снова пойдёт в 1С.',
                 few: '{n} события снова пойдут в 1С.',
                 many: '{n} событий снова пойдут в 1С.',
                 other: '{n} события снова пойдёт в 1С.' }],
    r_delete: [{ one: '{n} dead letter is deleted.',
                 other: '{n} dead letters are deleted.' },
               { one: '{n} недоставленное удалено.',
                 few: '{n} недоставленных удалено.',
                 many: '{n} недоставленных удалено.',
                 other: '{n} недоставленных удалено.' }],
    r_export: [{ one: '{n} dead letter is saved.',
                 other: '{n} dead letters are saved.' },
               { one: '{n} недоставленное сохранено.',
                 few: '{n} недоставленных сохранено.',
                 many: '{n} недоставленных сохранено.',
                 other: '{n} недоставленных сохранено.' }],
    r_hold: ['Deliveries of “{queue}” are on hold.',
             'Доставка «{queue}» приостановлена.'],
    r_resume: ['Deliveries of “{queue}” go on.',
               'Доставка «{queue}» возобновлена.'],
    r_failed: ['It did not work: {text}', 'Не получилось: {text}'],
    r_gone: ['It is no dead letter any more.',
             'Его больше нет среди недоставленных.'],

    // this page itself
    no_answer: ['nginx does not answer since {time}. What is shown is from'
                + ' then.', 'nginx не отвечает с {time}. Показано то, что было'
                + ' тогда.'],
    never: ['nginx does not answer.', 'nginx не отвечает.'],
    refused: ['nginx refuses: {text}', 'nginx отказывает: {text}'],
    live: ['live, {time}', 'онлайн, {time}'],
    stale: ['no answer', 'нет ответа'],
    no_queues: ['No bitrix1c_queue is configured.',
                'Ни одна bitrix1c_queue не настроена.'],

    // details
    more: ['Details', 'Подробности'],
    m_redis: ['Redis', 'Redis'],
    m_up: ['up for {time}, {address}', 'работает {time}, {address}'],
    m_down: ['down for {time}, {address}: {error}',
             'недоступен {time}, {address}: {error}'],
    m_spool: ['Spool', 'Спул на диске'],
    m_off: ['off', 'выключен'],
    m_empty: ['empty, up to {max}', 'пуст, до {max}'],
    m_spooling: ['writing, {bytes} of {max}', 'пишется, {bytes} из {max}'],
    m_draining: ['draining, {bytes} left', 'освобождается, осталось {bytes}'],
    m_unavailable: ['unavailable', 'недоступен'],
    m_breaker: ['Breaker', 'Предохранитель'],
    m_closed: [{ one: 'closed, {n} failure in a row',
                 other: 'closed, {n} failures in a row' },
               { one: 'замкнут, {n} неудача подряд',
                 few: 'замкнут, {n} неудачи подряд',
                 many: 'замкнут, {n} неудач подряд',
                 other: 'замкнут, {n} неудачи подряд' }],
    m_open: ['open, next try in {time}', 'разомкнут, проба через {time}'],
    m_probing: ['trying', 'проба'],
    m_pace: ['Pace', 'Темп'],
    m_limit: ['{n} at once, at most {limit} a second',
              '{n} сразу, не больше {limit} в секунду'],
    m_no_limit: ['{n} at once', '{n} сразу'],
    m_lanes: ['Behind another of their lane', 'За другими своей линии'],
    m_due: ['Due now', 'Пора отправлять'],
    k_received: ['Received', 'Получено'],
    k_accepted: ['Accepted', 'Принято'],
    k_coalesced: ['Coalesced', 'Слито'],
    k_duplicate: ['Duplicates', 'Повторы'],
    k_spooled: ['Spooled', 'Записано на диск'],
    k_ignored: ['Ignored', 'Пропущено по маске'],
    k_malformed: ['Malformed', 'Испорчено'],
    k_forbidden: ['Forbidden', 'Запрещено'],
    k_refused: ['Refused', 'Отклонено'],
    k_unavailable: ['Answered 503', 'Отвечено 503'],
    k_delivered: ['Delivered', 'Доставлено'],
    k_retried: ['Retried', 'Повторено'],
    k_dead: ['Became dead letters', 'Стало недоставленными'],
    k_lost: ['Leases lost', 'Потеряно аренд'],
    k_replayed: ['Replayed', 'Возвращено в очередь'],
    k_deleted: ['Deleted', 'Удалено'],
    k_dropped_dead: ['Dead letters dropped', 'Вытеснено недоставленных'],
    k_spool_replayed: ['Back from disk', 'Вернулось с диска'],
    k_spool_torn: ['Torn on disk', 'Оборвано на диске'],
};


// the same for queues of calls, which go from 1C to Bitrix

const CALLS = {
    s_open: ['Bitrix fails', 'Битрикс не принимает'],
    v_ok: ['Calls reach Bitrix', 'Вызовы доходят до Битрикса'],
    v_busy: ['Calls reach Bitrix, more come than it takes at once',
             'Вызовы доходят до Битрикса, но приходят быстрее, чем он'
             + ' принимает'],
    v_held: ['Calls of Bitrix are on hold', 'Вызовы Битрикса приостановлены'],
    v_open: ['Calls do not reach Bitrix: it fails',
             'Вызовы не доходят до Битрикса: он отвечает ошибками'],
    v_redis_down: ['Redis does not answer, no calls can be kept',
                   'Redis не отвечает, вызовы не принимаются на хранение'],
    v_spooling: ['Redis does not answer, new calls are kept on disk',
                 'Redis не отвечает, новые вызовы сохраняются на диск'],
    v_draining: ['Calls that were kept on disk go back to Redis',
                 'Вызовы с диска возвращаются в Redis'],
    y_due: [{ one: '{n} call goes to Bitrix now.',
              other: '{n} calls go to Bitrix now.' },
            { one: '{n} вызов сейчас уходит в Битрикс.',
              few: '{n} вызова сейчас уходят в Битрикс.',
              many: '{n} вызовов сейчас уходят в Битрикс.',
              other: '{n} вызова сейчас уходит в Битрикс.' }],
    y_later: [{ one: '{n} call waits for its next attempt.',
                other: '{n} calls wait for their next attempt.' },
              { one: '{n} вызов ждёт следующей попытки.',
                few: '{n} вызова ждут следующей попытки.',
                many: '{n} вызовов ждут следующей попытки.',
                other: '{n} вызова ждёт следующей попытки.' }],
    y_busy: [{ one: 'All slots are taken, {n} call waits its turn.',
               other: 'All slots are taken, {n} calls wait their turn.' },
             { one: 'Все потоки заняты, {n} вызов ждёт очереди.',
               few: 'Все потоки заняты, {n} вызова ждут очереди.',
               many: 'Все потоки заняты, {n} вызовов ждут очереди.',
               other: 'Все потоки заняты, {n} вызова ждёт очереди.' }],
    y_operator: ['Held here, by hand. Calls are taken and wait.',
                 'Приостановлена вручную. Вызовы принимаются и ждут.'],
    y_on: ['Held by the configuration. Calls are taken and wait.',
           'Приостановлена в конфигурации. Вызовы принимаются и ждут.'],
    y_daily: ['Held every day from {from} to {to}. Calls are taken and wait.',
              'Приостановлена ежедневно с {from} до {to}. Вызовы принимаются'
              + ' и ждут.'],
    y_open: [{ one: 'Bitrix failed {n} time in a row.',
               other: 'Bitrix failed {n} times in a row.' },
             { one: 'Битрикс ответил ошибкой {n} раз подряд.',
               few: 'Битрикс ответил ошибкой {n} раза подряд.',
               many: 'Битрикс ответил ошибкой {n} раз подряд.',
               other: 'Битрикс ответил ошибкой {n} раза подряд.' }],
    y_probing: ['One call is trying now whether Bitrix is back.',
                'Один вызов сейчас проверяет, ожил ли Битрикс.'],
    c_events: ['Calls per minute', 'Вызовы в минуту'],
    c_depth: ['Waiting', 'Ждут отправки'],
    last: ['Last answer of Bitrix', 'Последний ответ Битрикса'],
    f_event: ['Method', 'Метод'],
    d_event: ['Method', 'Метод'],
    d_none: ['None. What Bitrix refuses for good comes here.',
             'Нет. Сюда попадает то, что Битрикс отверг окончательно.'],
    body: ['What is called', 'Что вызывается'],
    q_hold: ['Hold the calls of “{queue}”?',
             'Приостановить вызовы «{queue}»?'],
    q_hold_text: ['Calls are taken as ever and wait in Redis. Nothing that is'
                  + ' kept is sent to Bitrix by any nginx of this queue until'
                  + ' you resume, not even after a restart.',
                  'Вызовы принимаются как прежде и ждут в Redis. Ни один nginx'
                  + ' этой очереди не отправит в Битрикс ничего из отложенного,'
                  + ' пока отправка не возобновлена, даже после перезапуска.'],
    q_resume: ['Resume the calls of “{queue}”?',
               'Возобновить вызовы «{queue}»?'],
    q_resume_text: ['What waits goes to Bitrix at once, at the pace of the'
                    + ' portal.',
                    'Всё, что ждёт, сразу пойдёт в Битрикс с допустимой'
                    + ' скоростью.'],
    q_replay_text: ['They go to Bitrix again, under the same ids. What Bitrix'
                    + ' has carried out already is then done twice.',
                    'Они снова пойдут в Битрикс с теми же id. То, что Битрикс'
                    + ' уже выполнил, будет выполнено дважды.'],
    q_delete_text: ['Bitrix will never get what is deleted. This cannot be'
                    + ' undone.',
                    'Битрикс никогда не получит удалённого. Отменить это'
                    + ' нельзя.'],
    r_replay: [{ one: '{n} call goes to Bitrix again.',
                 other: '{n} calls go to Bitrix again.' },
               { one: '{n} вызов снова пойдёт в Битрикс.',
                 few: '{n} вызова снова пойдут в Битрикс.',
                 many: '{n} вызовов снова пойдут в Битрикс.',
                 other: '{n} вызова снова пойдёт в Битрикс.' }],
    r_hold: ['Calls of “{queue}” are on hold.',
             'Вызовы «{queue}» приостановлены.'],
    r_resume: ['Calls of “{queue}” go on.', 'Вызовы «{queue}» возобновлены.'],
};


// the module's own words in reasons; what 1C and Bitrix said stays as it is

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
        'Битрикс пока не выдержит новых запросов',
    'Bitrix has blocked this address, ask its support':
        'Битрикс заблокировал этот адрес, обратитесь в его поддержку',
    'the method has used up its execution time': 'метод исчерпал своё время',
    'the answer is not one of Bitrix\'s REST': 'ответил не REST Битрикса',
    'nginx could not send the call': 'nginx не смог отправить вызов',
    'outcome unknown, check in Bitrix before you send it again':
        'исход неизвестен, проверьте в Битриксе, прежде чем повторять',
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
        // then it is asked again next time
    }

    document.documentElement.lang = lang;
    translate(document);

    for (const button of document.querySelectorAll('[data-lang]')) {
        button.setAttribute('aria-pressed', button.dataset.lang === lang);
    }
}


// whose words are said from now on: those of a queue of events, or of calls

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

// Copyright (C) the ngx_http_bitrix1c_module authors

// The page: polls the status and shows it.

import { $, api, el, favicon, icon, say } from './dom.js';
import * as lang from './lang.js';
import { Chart } from './chart.js';
import { DeadLetters } from './dead.js';
import { ask, perform } from './dialog.js';


const { t } = lang;

const EVERY = 3000;

// from bad to good
const SEVERITY = ['redis_down', 'open', 'spooling', 'held', 'busy', 'ok'];

let status = null, history = null, historyOf = '', failed = null, timer = null;
let received = 0;


// the queue that the address names, or the first one

function selected() {
    const hash = location.hash.slice(1);

    return status.queues.find(({ name }) => encodeURIComponent(name) === hash)
           ?? status.queues[0];
}


// why a queue is in its state, in sentences

function why(queue) {
    const { state, breaker, hold, redis, spool, waiting, due, dead } = queue;
    const text = [];

    if (state === 'redis_down' || state === 'spooling') {
        if (redis.state === 'down') {
            text.push(t('y_down', { time: lang.duration(redis.seconds) }));
        }

        if (redis.error) {
            text.push(t('y_error', redis));
        }

        if (spool.state !== 'off' && spool.bytes > 0) {
            text.push(t('y_spool', { bytes: lang.bytes(spool.bytes),
                                     max: lang.bytes(spool.max) }));
        }

    } else if (state === 'held') {
        text.push(t(`y_${hold.state}`, hold));

    } else if (state === 'open') {
        text.push(t('y_open', { n: breaker.failures }));
        text.push(breaker.state === 'probing' ? t('y_probing')
            : t('y_probe', { time: lang.duration(breaker.seconds) }));

    } else if (state === 'busy') {
        text.push(t('y_busy', { n: waiting ?? 0 }));

    } else if (waiting) {
        text.push(due ? t('y_due', { n: due }) : t('y_later', { n: waiting }));

    } else if (waiting === 0) {
        text.push(t('y_idle'));
    }

    if (dead) {
        text.push(t('y_dead', { n: dead }));
    }

    return text.join(' ');
}


function headline(queue) {
    return queue.spool.state === 'draining' && queue.state === 'spooling'
           ? t('v_draining') : t(`v_${queue.state}`);
}


function pill(node, queue) {
    const label = t(`s_${queue.state}`);

    node.className = `pill ${queue.state}`;

    if (node.textContent !== label || node.dataset.state !== queue.state) {
        node.dataset.state = queue.state;
        node.replaceChildren(icon(queue.state), label);
    }
}


// the other queues that are not in the state "ok"

function others(sorted) {
    const list = sorted.slice(1).filter(({ state }) => state !== 'ok')
        .map((queue) => {
            lang.about(queue);
            return `${queue.name} (${t(`s_${queue.state}`)})`;
        });

    return list.length ? t('v_also', { list: list.join(', ') }) : '';
}


// the headline: whether events reach 1C

function showVerdict() {
    const sorted = [...status.queues].sort((a, b) =>
        SEVERITY.indexOf(a.state) - SEVERITY.indexOf(b.state));
    const worst = sorted[0];
    const node = $('#verdict');

    node.hidden = !worst;

    if (!worst) {
        return;
    }

    lang.about(worst);

    const mixed = sorted.some(({ kind }) => kind !== worst.kind);
    const text = worst.state === 'ok' && mixed ? t('v_all')
        : sorted.length === 1 || worst.state === 'ok' ? headline(worst)
        : t('v_some', { queue: worst.name, text: headline(worst) });

    if (node.dataset.state !== worst.state) {
        node.dataset.state = worst.state;
        node.className = worst.state;
        $('.icon', node).replaceChildren(icon(worst.state));
    }

    say($('h2', node), text);
    say($('p', node), sorted.length === 1 ? why(worst) : others(sorted));
    document.title = `${text} · Bitrix → 1C`;
    favicon(getComputedStyle($('.icon', node)).backgroundColor, worst.state);
}


const unknown = (value, format = lang.number) =>
    value === null || value === undefined ? '—' : format(value);


function figures(queue) {
    const perMinute = Math.round(queue.rate.delivered * 600) / 10;

    return {
        waiting: unknown(queue.waiting),
        in_flight: t('of', { n: queue.slots_used, m: queue.concurrency }),
        oldest: queue.oldest_seconds === 0 ? '—'
                : unknown(queue.oldest_seconds, lang.duration),
        rate: lang.number(perMinute, perMinute < 10 ? 1 : 0),
        dead: unknown(queue.dead),
    };
}


// rows are kept and updated, so that the focus and hovering are not lost

function showQueues() {
    const list = $('#queues ul');
    const names = status.queues.map((queue) => queue.name);

    if ([...list.children].map((li) => li.dataset.name).join('\n')
        !== names.join('\n'))
    {
        list.replaceChildren(...names.map((name) => {
            const row = $('#row').content.cloneNode(true);
            const link = $('.name', row);

            $('li', row).dataset.name = name;
            link.textContent = name;
            link.href = `#${encodeURIComponent(name)}`;
            return row;
        }));
        lang.translate(list);
    }

    status.queues.forEach((queue, i) => showRow(list.children[i], queue));
    $('#queues').hidden = names.length === 0;
    list.classList.toggle('only', names.length === 1);
}


function showRow(row, queue) {
    const values = figures(queue);

    lang.about(queue);
    pill($('.pill', row), queue);
    say($('.why', row), why(queue));

    for (const node of row.querySelectorAll('[data-f]')) {
        say(node, values[node.dataset.f]);
        node.parentNode.classList.toggle('zero', values[node.dataset.f] === '0'
                                         || values[node.dataset.f] === '—');
    }

    $('[data-f=dead]', row).classList.toggle('bad', queue.dead > 0);

    if (queue === selected()) {
        $('.name', row).setAttribute('aria-current', 'true');

    } else {
        $('.name', row).removeAttribute('aria-current');
    }
}


// a node that is moved loses the focus

function place(node, parent) {
    if (node.parentNode !== parent) {
        parent.append(node);
    }
}


// the last answer of 1C, or the reason why there is none

function showAnswer(node, last, none) {
    if (!last) {
        node.replaceChildren(el('p', { class: 'muted' }, t(none)));
        return;
    }

    const { what, said } = lang.reason(last.reason);
    const took = t('l_in', { time: lang.duration(last.seconds) });
    const lines = [el('p', { class: 'result' },
        el('b', { class: `verdict ${last.verdict}` }, t(`w_${last.verdict}`)),
        ` · ${last.status ? t('l_status', { n: String(last.status) })
              : t('l_no_status')} ${took}`)];

    if (what) {
        lines.push(el('p', {}, what));
    }

    if (said) {
        lines.push(el('p', { class: 'said' }, said));
    }

    const time = el('time', { datetime: new Date(last.time * 1000)
                                        .toISOString(),
                              title: lang.moment(last.time) },
                    lang.ago(status.time - last.time));

    lines.push(el('p', { class: 'muted' }, time, ` · ${last.event}`,
                  el('code', {}, last.id)));
    node.replaceChildren(...lines);
}


function facts(node, pairs) {
    const wanted = pairs.map(([name, value]) => `${name}\n${value}`).join('\n');

    if (node.dataset.shown !== wanted) {
        node.dataset.shown = wanted;
        node.replaceChildren(...pairs.map(([name, value]) =>
            el('div', {}, el('dt', {}, name), el('dd', {}, value))));
    }
}


function showDetails(queue) {
    const { breaker, redis, spool, rate } = queue;
    const size = { bytes: lang.bytes(spool.bytes), max: lang.bytes(spool.max) };

    facts($('#parts'), [
        [t('m_redis'), t(`m_${redis.state}`, { ...redis,
            time: lang.duration(redis.seconds) })],
        [t('m_spool'), t(`m_${spool.state}`, size)],
        [t('m_breaker'), t(`m_${breaker.state}`, { n: breaker.failures,
            time: lang.duration(breaker.seconds) })],
        [t('m_pace'), rate.limit
            ? t('m_limit', { n: queue.concurrency,
                             limit: lang.number(rate.limit, 2) })
            : t('m_no_limit', { n: queue.concurrency })],
        [t('m_due'), unknown(queue.due)],
        [t('m_lanes'), unknown(queue.followers)],
    ]);
    facts($('#counters'), Object.entries(queue.counters).map(([name, n]) =>
        [t(`k_${name}`), lang.number(n)]));
}


function showSelected() {
    const queue = selected();

    $('#queue').hidden = !queue;

    if (!queue) {
        return;
    }

    // also for the questions and messages that follow
    lang.about(queue);
    lang.translate($('#queue'));
    lang.translate($('#letter'));

    const redisUp = queue.redis.state === 'up';
    const byHand = queue.hold.state === 'operator';

    // a single queue is already described by the headline and its row
    $('#queue > .bar').hidden = status.queues.length === 1;
    place($('#steer'), $(status.queues.length === 1 ? '#verdict'
                                                    : '#queue > .bar'));
    say($('#queue h2'), queue.name);
    pill($('#queue .pill'), queue);
    $('#hold').hidden = byHand;
    $('#resume').hidden = !byHand;
    $('#hold').disabled = $('#resume').disabled = !redisUp;
    showAnswer($('#last div'), queue.last, 'l_none');
    showAnswer($('#failure div'), queue.last_failure, 'l_no_failure');
    showDetails(queue);
    dead.update(queue, status.time);

    const data = history?.queues[queue.name] ?? null;
    const version = JSON.stringify([queue.name, data?.time.at(-1),
                                    lang.language()]);

    if (version !== historyOf) {
        historyOf = version;
        charts.forEach((chart) => chart.update(data));
    }
}


// also called when the last request failed

function show() {
    const alarm = $('#alarm');
    const text = !failed ? ''
        : failed.status ? t('refused', { text: failed.message })
        : received ? t('no_answer', { time: lang.clock(received) })
        : t('never');

    alarm.hidden = !text && (!status || status.queues.length > 0);
    say(alarm, text || t('no_queues'));
    document.body.classList.toggle('stale', failed !== null);
    say($('#when'), failed ? t('stale')
        : received ? t('live', { time: lang.clock(received) }) : '');

    if (!status) {
        return;
    }

    say($('#server'), `nginx ${status.nginx} · ${location.host}`);
    say($('#version'), typeof status.version === 'string'
        ? `ngx_http_bitrix1c_module ${status.version}` : '');
    showVerdict();
    showQueues();
    showSelected();
}


// history changes once a minute, so it is not requested more often

function historyIsOld() {
    const times = Object.values(history?.queues ?? {}).map((q) =>
        q.time.at(-1));

    return times.length !== status.queues.length
           || status.time - Math.min(...times) > 121;
}


async function poll() {
    clearTimeout(timer);
    timer = null;

    try {
        status = await api('status');
        received = Date.now() / 1000;

        if (historyIsOld()) {
            history = await api('history');
        }

        failed = null;

    } catch (e) {
        failed = e;
    }

    // an nginx of another version may send what this page cannot show

    try {
        show();

    } finally {
        clearTimeout(timer);
        timer = document.hidden ? null : setTimeout(poll, EVERY);
    }
}


async function hold(action) {
    const queue = selected().name;
    const yes = await ask({ title: t(`q_${action}`, { queue }),
                            text: t(`q_${action}_text`),
                            yes: t(`q_${action}_yes`) });

    if (yes) {
        await perform(async () => {
            await api(`queue/${action}`, { queue }, 'POST');
            return t(`r_${action}`, { queue });
        });
        await poll();
    }
}


const charts = [
    new Chart($('#events'), 'c_events', [{ key: 'accepted', kind: 'area' },
                                         { key: 'delivered', kind: 'line' },
                                         { key: 'failed', kind: 'bar' },
                                         { key: 'dead', kind: 'bar' }]),
    new Chart($('#depth'), 'c_depth', [{ key: 'waiting', kind: 'area' }]),
];
const dead = new DeadLetters($('#dead'), poll);


$('#hold').addEventListener('click', () => hold('hold'));
$('#resume').addEventListener('click', () => hold('resume'));
window.addEventListener('hashchange', show);

document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
        clearTimeout(timer);

    } else {
        poll();
    }
});

for (const button of document.querySelectorAll('[data-lang]')) {
    button.addEventListener('click', () => {
        lang.choose(button.dataset.lang);
        dead.render();
        show();
    });
}

lang.choose(lang.preferred());
poll();

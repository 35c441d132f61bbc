// Copyright (C) the ngx_http_bitrix1c_module authors

// The dead letters of a queue: pages, filters, one letter with its body, and
// the actions on them.

import { $, ApiError, api, el, request, say } from './dom.js';
import * as lang from './lang.js';
import { ask, perform, toast } from './dialog.js';


const { t } = lang;

const LIMIT = 25;

// in one answer, as many as the server allows
const EXPORTED = 200;

// a server that finds nothing for long gives a page with nothing but a cursor
const LOOKS = 20;


// of an item, for people

const entity = (item) =>
    [item.entity?.type, item.entity?.id].filter(Boolean).join(' ');


const unix = (local) => local ? Math.floor(new Date(local) / 1000) : '';


// JSON with its keys and texts marked, token by token, all of it text nodes

function colored(value) {
    const text = JSON.stringify(value, null, 2);
    const nodes = [];
    let end = 0;

    for (const match of text.matchAll(/("(?:[^"\\]|\\.)*")(:?)/g)) {
        nodes.push(text.slice(end, match.index),
                   el('span', { class: match[2] ? 'k' : 's' }, match[1]));
        end = match.index + match[1].length;
    }

    return [...nodes, text.slice(end)];
}


export class DeadLetters {

    // changed() is called when something was done to them

    constructor(root, changed) {
        this.root = root;
        this.changed = changed;
        this.rows = $('tbody', root);
        this.form = $('#filter');
        $('#filters').open = window.innerWidth >= 720;
        this.reset('');

        this.form.addEventListener('submit', (e) => {
            e.preventDefault();
            this.apply();
        });
        this.form.addEventListener('reset', () => setTimeout(() =>
            this.apply()));
        $('#newer').addEventListener('click', () => this.turn(-1));
        $('#older').addEventListener('click', () => this.turn(1));
        $('#all').addEventListener('change', (e) => this.pickAll(e.target));
        $('#replay').addEventListener('click', () => this.act('replay'));
        $('#delete').addEventListener('click', () => this.act('delete'));
        $('#export').addEventListener('click', () => this.save());
        this.rows.addEventListener('click', (e) => this.click(e));
    }


    reset(queue) {
        this.queue = queue;
        this.filters = {};
        this.items = null;
        this.cursors = [null];
        this.page = 0;
        this.next = null;
        this.picked = new Set();
        this.total = null;
        this.seen = null;
        this.error = '';
    }


    // told of every new status; reads the list again when their number changed

    update(queue, now) {
        this.now = now;

        if (queue.name !== this.queue) {
            this.reset(queue.name);
            this.form.reset();
        }

        if (queue.dead === null) {
            this.seen = null;

        } else if (queue.dead !== this.seen) {
            this.seen = queue.dead;
            this.load();
        }
    }


    apply() {
        const data = Object.fromEntries(new FormData(this.form));

        this.filters = {};

        for (const [name, value] of Object.entries(data)) {
            const text = name === 'from' || name === 'to' ? unix(value)
                         : value.trim();

            if (text !== '') {
                this.filters[name] = text;
            }
        }

        $('[type=reset]', this.form).hidden = !this.filtered();
        this.cursors = [null];
        this.page = 0;
        this.picked.clear();
        this.load();
    }


    filtered() {
        return Object.keys(this.filters).length > 0;
    }


    turn(by) {
        if (by > 0) {
            this.cursors[this.page + 1] = this.next;
        }

        this.page += by;
        this.picked.clear();
        this.load();
    }


    // of several calls under way only the last one counts

    async load() {
        const mine = this.call = {};
        let items = [], cursor = this.cursors[this.page], answer;

        try {
            for (let i = 0; i < LOOKS; i++) {
                answer = await api('dead', { queue: this.queue, ...this.filters,
                                             limit: LIMIT, cursor });
                items = items.concat(answer.items);
                cursor = answer.cursor;

                if (this.call !== mine) {
                    return;
                }

                if (items.length || cursor === null) {
                    break;
                }
            }

            this.items = items;
            this.next = cursor;
            this.total = answer.total;
            this.error = '';

        } catch (e) {
            if (this.call !== mine) {
                return;
            }

            this.error = e.status ? e.message : t('never');
            this.seen = null;
        }

        // what was replayed or delivered meanwhile is not there any more
        const there = new Set(this.items?.map((item) => item.id));

        this.picked = new Set([...this.picked].filter((id) => there.has(id)));

        if (!this.items?.length && this.page > 0 && this.next === null) {
            this.page = 0;
            this.load();
            return;
        }

        this.render();
    }


    render() {
        const items = this.items ?? [];
        const old = new Map([...this.rows.children].map((row) =>
            [row.dataset.id, row]));

        // rows that stay are moved only if they have to, or focus is lost
        items.forEach((item, i) => {
            const row = old.get(item.id) ?? this.row(item);

            if (this.rows.children[i] !== row) {
                this.rows.insertBefore(row, this.rows.children[i] ?? null);
            }

            this.fill(row, item);
        });

        while (this.rows.children.length > items.length) {
            this.rows.lastElementChild.remove();
        }

        // nothing there is nothing to look through
        $('#filters').hidden = !this.total && !this.filtered();
        $('#export').hidden = !this.total;
        $('table', this.root).hidden = items.length === 0;
        say($('.empty', this.root), this.nothing());
        say($('.count', this.root), this.total ? lang.number(this.total) : '');
        this.showPages();
        this.showActions();
    }


    nothing() {
        return this.error ? t('r_failed', { text: this.error })
            : this.items === null ? t('d_loading')
            : this.items.length ? ''
            : this.next !== null ? t('d_further')
            : this.filtered() ? t('d_no_match') : t('d_none');
    }


    row(item) {
        const row = $('#item').content.cloneNode(true).firstElementChild;

        row.dataset.id = item.id;
        return row;
    }


    fill(row, item) {
        const names = { event: item.event, entity: entity(item) };
        const { what, status, said } = lang.reason(item.reason);
        const [box, open, again] = ['input', '.link', '.small'].map((name) =>
            $(name, row));

        box.checked = this.picked.has(item.id);
        box.setAttribute('aria-label', t('pick_this', names));
        say($('.died', row), lang.when(item.died, this.now));
        $('.died', row).title = lang.moment(item.died);
        say(open, item.event);
        say($('.event .muted', row),
            [names.entity, item.portal].filter(Boolean).join(' · '));
        say($('.why div', row), [status ? `${what}, ${status}` : what, said]
            .filter(Boolean).join(': '));
        say($('.attempts', row), lang.number(item.attempts));
        $('.attempts', row).dataset.label = t('d_attempts');
        say(again, t('replay'));
        again.setAttribute('aria-label', t('replay_this', names));
    }


    showPages() {
        const from = this.page * LIMIT + 1;
        const count = this.items?.length ?? 0;

        $('nav', this.root).hidden = this.page === 0 && this.next === null;
        $('#newer').disabled = this.page === 0;
        $('#older').disabled = this.next === null;
        say($('#shown'), count === 0 || this.filtered() ? ''
            : t('shown', { from, to: from + count - 1 }));
    }


    showActions() {
        const n = this.picked.size, count = this.items?.length ?? 0;
        const kind = n ? 'picked' : this.filtered() ? 'match' : 'all';

        $('.actions', this.root).hidden = count === 0;
        $('#all').checked = n > 0 && n === count;
        $('#all').indeterminate = n > 0 && n < count;
        $('#all').setAttribute('aria-label', t('pick_all'));
        say($('#picked'), n ? t('picked', { n }) : t('pick_all'));
        say($('#replay'), t(`replay_${kind}`));
        say($('#delete'), t(`delete_${kind}`));
    }


    pickAll(box) {
        this.picked = new Set(box.checked ? this.items.map((item) => item.id)
                                          : []);
        this.render();
    }


    click(event) {
        const row = event.target.closest('tr');
        const item = this.items?.find(({ id }) => id === row?.dataset.id);

        if (!item) {
            return;
        }

        if (event.target.type === 'checkbox') {
            this.picked[event.target.checked ? 'add' : 'delete'](item.id);
            this.showActions();

        } else if (event.target.closest('.small')) {
            this.run('replay', [item.id]);

        } else if (event.target.closest('.box') === null
                   && getSelection().isCollapsed)
        {
            this.open(item);
        }
    }


    // the page as it is would not do: whoever said yes saw these, or "all"

    async act(action) {
        const ids = [...this.picked];
        const what = ids.length ? t('what', { n: ids.length })
            : this.filtered() ? t('what_match')
            : t('what_all', { queue: this.queue });

        if (action === 'replay' && ids.length) {
            await this.run(action, ids);
            return;
        }

        const filters = this.filtered() ? { ...this.filters } : { all: 1 };

        if (await this.sure(action, what)) {
            await (ids.length ? this.run(action, ids)
                              : this.runAll(action, filters));
        }
    }


    sure(action, what) {
        return ask({ title: t(`q_${action}`, { what }),
                     text: t(`q_${action}_text`), yes: t(action),
                     danger: action === 'delete' });
    }


    // one after the other; what vanished meanwhile is none of our failures

    async run(action, ids) {
        const queue = this.queue;

        await perform(async () => {
            let n = 0, gone = 0;

            for (const id of ids) {
                try {
                    await api(`dead/${action}`, { queue, id }, 'POST');
                    n++;

                } catch (e) {
                    if (e.status !== 404 && e.status !== 409) {
                        throw e;
                    }

                    gone++;
                }
            }

            if (n === 0 && gone > 0) {
                throw new ApiError(404, t('r_gone'));
            }

            return t(`r_${action}`, { n });
        });
        this.done();
    }


    async runAll(action, filters) {
        const queue = this.queue;

        await perform(async () => {
            let n = 0, cursor = null;

            do {
                const answer = await api(`dead/${action}`,
                    { queue, ...filters, cursor }, 'POST');

                n += answer.replayed ?? answer.deleted;
                cursor = answer.cursor;
            } while (cursor !== null);

            return t(`r_${action}`, { n });
        });
        this.cursors = [null];
        this.page = 0;
        this.done();
    }


    done() {
        this.picked.clear();
        this.load();
        this.changed();
    }


    // all of them into a file, as lines of JSON

    async save() {
        const queue = this.queue;

        await perform(async () => {
            const texts = [];
            let n = 0, cursor = null;

            do {
                const page = await request('export',
                    { queue, what: 'dead', limit: EXPORTED, cursor });

                texts.push(page.text);
                n += page.text.split('\n').length - 1;
                cursor = page.headers.get('X-Cursor');
            } while (cursor);

            const url = URL.createObjectURL(new Blob(texts));

            el('a', { href: url, download: `${queue}-dead.ndjson` }).click();
            URL.revokeObjectURL(url);
            return t('r_export', { n });
        });
    }


    // of several that were clicked one is shown, and what is said is about it

    async open(item) {
        const dialog = $('#letter');
        const mine = this.opening = {};
        let whole;

        try {
            whole = await api(`dead/${encodeURIComponent(item.id)}`,
                              { queue: this.queue });

        } catch (e) {
            toast(e.status === 404 ? t('r_gone')
                  : t('r_failed', { text: e.status ? e.message : t('never') }),
                  true);
            this.load();
            return;
        }

        if (this.opening !== mine || dialog.open) {
            return;
        }

        this.showLetter(dialog, whole);
        dialog.returnValue = '';
        dialog.showModal();
        $('pre', dialog).scrollTop = 0;
        dialog.addEventListener('close', async () => {
            const action = dialog.returnValue;

            if (action === 'replay' || action === 'delete'
                && await this.sure(action, t('what', { n: 1 })))
            {
                await this.run(action, [item.id]);
            }
        }, { once: true });
    }


    showLetter(dialog, item) {
        const { what, status, said } = lang.reason(item.reason);
        const pairs = [
            [t('d_portal'), item.portal], [t('d_entity'), entity(item)],
            [t('d_created'), lang.moment(item.created)],
            [t('d_died'), lang.moment(item.died)],
            [t('d_attempts'), lang.number(item.attempts)],
            [t('d_size'), lang.bytes(item.size)], [t('d_id'), item.id],
        ];

        say($('h2', dialog), item.event);
        $('.reason', dialog).replaceChildren(
            el('p', {}, status ? `${what}, ${status}` : what),
            ...(said ? [el('p', { class: 'said' }, said)] : []));
        $('dl', dialog).replaceChildren(...pairs.filter(([, value]) => value)
            .map(([name, value]) => el('div', name === t('d_id')
                ? { class: 'whole' } : {}, el('dt', {}, name),
                el('dd', {}, value))));
        $('pre', dialog).replaceChildren(...colored(item.body));
    }
}

// Copyright (C) the ngx_http_bitrix1c_module authors

// A chart of the last hour: one value a minute, drawn as SVG in the size that
// there is, read by pointer or arrow keys, and as a table.

import { el, say, svg } from './dom.js';
import * as lang from './lang.js';


const { t } = lang;

const HEIGHT = 170;
const TOP = 10;
const BOTTOM = 24;
const RIGHT = 10;


// whole numbers, as events are counted: 0, 1, 2 … or 0, 200, 400 …

function ticks(max) {
    const rough = Math.max(max, 1) / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(1, [1, 2, 5, 10].map((n) => n * power)
                             .find((n) => n >= rough));
    const top = Math.max(Math.ceil(max / step), 1) * step;

    return Array.from({ length: top / step + 1 }, (_, i) => i * step);
}


// runs of minutes in which nginx ran: [[first, last], …]

function runs(values) {
    const found = [];

    values.forEach((value, i) => {
        if (value === null) {
            return;
        }

        if (found.length && found.at(-1)[1] === i - 1) {
            found.at(-1)[1] = i;

        } else {
            found.push([i, i]);
        }
    });

    return found;
}


export class Chart {

    // series: [{ key, kind: "area", "line" or "bar" }], the texts are c_KEY

    constructor(figure, title, series) {
        this.title = title;
        this.series = series;
        this.data = null;
        this.at = null;

        this.caption = el('figcaption');
        this.legend = el('ul', { class: 'legend' });
        this.plot = el('div', { class: 'plot', tabindex: '0', role: 'group' });
        this.drawing = el('div', { 'aria-hidden': 'true' });
        this.tip = el('div', { class: 'tip', hidden: '',
                               'aria-hidden': 'true' });
        this.spoken = el('p', { class: 'unseen', 'aria-live': 'polite' });
        this.none = el('p', { class: 'none muted', hidden: '' });
        this.plot.append(this.drawing, this.tip, this.none);

        this.summary = el('summary');
        this.table = el('table');
        this.details = el('details', {}, this.summary,
                          el('div', { class: 'scroll' }, this.table));

        figure.append(this.caption, this.legend, this.plot, this.spoken,
                      this.details);
        this.listen();
    }


    listen() {
        this.plot.addEventListener('pointermove', (e) => this.point(e));
        this.plot.addEventListener('pointerdown', (e) => this.point(e));
        this.plot.addEventListener('pointerleave', () => this.show(null));
        this.plot.addEventListener('blur', () => this.show(null));
        this.plot.addEventListener('keydown', (e) => this.key(e));
        this.details.addEventListener('toggle', () => this.tabulate());

        new ResizeObserver(() => this.draw()).observe(this.plot);
    }


    // data: { time: […], KEY: […] }, null while there is none

    update(data) {
        this.data = data;
        say(this.caption, t(this.title));
        say(this.summary, t('c_table'));
        say(this.none, t('c_none'));
        this.plot.setAttribute('aria-label',
                               t('c_label', { title: t(this.title) }));

        this.legend.replaceChildren(...this.series.map(({ key, kind }) =>
            el('li', {}, el('span', { class: `key ${kind} ${key}` }),
               t(`c_${key}`))));
        this.draw();
        this.tabulate();
    }


    draw() {
        const width = this.plot.clientWidth;

        if (!this.data || width === 0) {
            return;
        }

        const all = this.series.flatMap(({ key }) => this.data[key]);
        const known = all.filter((value) => value !== null);
        const scale = ticks(Math.max(0, ...known));
        const labels = scale.map((n) => lang.number(n));

        this.width = width;
        this.left = 14 + 7 * Math.max(...labels.map((label) => label.length));
        this.top = scale.at(-1);
        this.none.hidden = known.length > 0;

        const root = svg('svg', { width, height: HEIGHT,
                                  viewBox: `0 0 ${width} ${HEIGHT}` });

        scale.forEach((n, i) => this.gridLine(root, n, labels[i]));
        this.timeAxis(root);
        this.series.forEach((series) => this.curve(root, series));
        this.cross = svg('g', { class: 'cross' });
        root.append(this.cross);
        this.drawing.replaceChildren(root);
        this.show(this.at);
    }


    x(i) {
        return this.left + (this.width - this.left - RIGHT) * i
                           / (this.data.time.length - 1);
    }


    y(value) {
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / this.top);
    }


    gridLine(root, n, label) {
        const y = Math.round(this.y(n)) + 0.5;

        root.append(svg('line', { class: n ? 'grid' : 'base', x1: this.left,
                                  x2: this.width - RIGHT, y1: y, y2: y }),
                    svg('text', { x: this.left - 7, y: y + 4,
                                  'text-anchor': 'end' }, label));
    }


    // round minutes of the clock, as many as there is room for

    timeAxis(root) {
        const each = this.width < 420 ? 20 : 10;

        this.data.time.forEach((time, i) => {
            const x = this.x(i);

            if (new Date(time * 1000).getMinutes() % each !== 0
                || x < this.left + 12 || x > this.width - RIGHT - 14)
            {
                return;
            }

            root.append(svg('line', { class: 'base', x1: x, x2: x,
                                      y1: this.y(0), y2: this.y(0) + 4 }),
                        svg('text', { x, y: HEIGHT - 6,
                                      'text-anchor': 'middle' },
                            lang.minute(time)));
        });
    }


    curve(root, { key, kind }) {
        const values = this.data[key];
        const group = svg('g', { class: `${kind} ${key}` });

        if (kind === 'bar') {
            const wide = Math.max(1.5, (this.x(1) - this.x(0)) * 0.6);

            values.forEach((value, i) => {
                if (value) {
                    const y = Math.min(this.y(value), this.y(0) - 4);

                    group.append(svg('rect', { x: this.x(i) - wide / 2, y,
                                               width: wide,
                                               height: this.y(0) - y }));
                }
            });

        } else {
            for (const [first, last] of runs(values)) {
                this.line(group, values, first, last, kind === 'area');
            }
        }

        root.append(group);
    }


    line(group, values, first, last, filled) {
        const points = [];

        for (let i = first; i <= last; i++) {
            points.push(`${this.x(i).toFixed(1)} `
                        + this.y(values[i]).toFixed(1));
        }

        const d = `M${points.join('L')}`;

        // a minute alone has no length
        if (first === last) {
            group.append(svg('circle', { cx: this.x(first),
                                         cy: this.y(values[first]), r: 2 }));
            return;
        }

        if (filled) {
            group.append(svg('path', { class: 'fill', d: `${d}L${this.x(last)} `
                + `${this.y(0)}L${this.x(first)} ${this.y(0)}Z` }));
        }

        group.append(svg('path', { class: 'stroke', d }));
    }


    point(event) {
        const x = event.clientX - this.plot.getBoundingClientRect().left;
        const count = this.data?.time.length ?? 0;
        const share = (x - this.left) / (this.width - this.left - RIGHT);
        const i = Math.round(share * (count - 1));

        this.show(i >= 0 && i < count ? i : null);
    }


    key(event) {
        const last = (this.data?.time.length ?? 0) - 1;
        const at = this.at ?? last + 1;
        const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0,
                     End: last }[event.key];

        if (event.key === 'Escape') {
            this.show(null);

        } else if (to !== undefined && last > 0) {
            event.preventDefault();
            this.show(Math.min(Math.max(to, 0), last));
            say(this.spoken, [lang.minute(this.data.time[this.at]),
                ...this.series.map(({ key }) => `${t(`c_${key}`)}: `
                                                + this.text(key, this.at)),
            ].join(', '));
        }
    }


    text(key, i) {
        const value = this.data[key][i];

        return value === null ? '—' : lang.number(value);
    }


    // what the pointer or the keys are at; null is nothing

    show(i) {
        this.at = i;
        this.tip.hidden = i === null;
        this.cross?.replaceChildren();

        if (i === null || !this.cross) {
            return;
        }

        const x = this.x(i);

        this.cross.append(svg('line', { x1: x, x2: x, y1: TOP,
                                        y2: this.y(0) }));

        for (const { key } of this.series) {
            const value = this.data[key][i];

            if (value !== null) {
                this.cross.append(svg('circle', { class: key, cx: x, r: 3.5,
                                                  cy: this.y(value) }));
            }
        }

        this.tip.replaceChildren(
            el('strong', {}, lang.minute(this.data.time[i])),
            ...this.series.flatMap(({ key, kind }) => [
                el('span', { class: `key ${kind} ${key}` }),
                el('span', {}, t(`c_${key}`)),
                el('b', {}, this.text(key, i)),
            ]));

        const room = this.width - this.tip.offsetWidth;
        const beside = x + 14 > room ? x - 14 - this.tip.offsetWidth : x + 14;

        this.tip.style.left = `${Math.max(0, Math.min(beside, room))}px`;
    }


    tabulate() {
        if (!this.details.open || !this.data) {
            return;
        }

        const head = el('tr', {}, ...['time', ...this.series.map((s) => s.key)]
            .map((key) => el('th', { scope: 'col' }, t(`c_${key}`))));
        const rows = this.data.time.map((time, i) => el('tr', {},
            el('th', { scope: 'row' }, lang.minute(time)),
            ...this.series.map(({ key }) => el('td', {}, this.text(key, i)))));

        this.table.replaceChildren(el('thead', {}, head),
                                   el('tbody', {}, ...rows.reverse()));
    }
}

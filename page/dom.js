// Copyright (C) the ngx_http_bitrix1c_module authors

// Access to the document and to the server, for all parts of the page.  Data is
// put into text nodes only: dead letters hold what customers typed.


export const $ = (selector, root = document) => root.querySelector(selector);


// an element with attributes, "class" included, and children: nodes or texts

export function el(name, attributes = {}, ...children) {
    const node = document.createElement(name);

    for (const [key, value] of Object.entries(attributes)) {
        node.setAttribute(key, value);
    }

    node.append(...children);
    return node;
}


// the same for SVG

export function svg(name, attributes = {}, ...children) {
    const node = document.createElementNS('http://www.w3.org/2000/svg', name);

    for (const [key, value] of Object.entries(attributes)) {
        node.setAttribute(key, value);
    }

    node.append(...children);
    return node;
}


// what did not change is left alone: a selection stays, and screen readers do
// not read it again

export function say(node, text) {
    if (node.textContent !== text) {
        node.textContent = text;
    }
}


const ICONS = {
    ok: 'M3 8.5l3.2 3.2L13 4.8',
    busy: 'M2 8h3l2-4.5 2.5 9L11.5 8H14',
    held: 'M5.5 3.5v9M10.5 3.5v9',
    open: 'M4 4l8 8M12 4l-8 8',
    redis_down: 'M8 2.5v7M8 12.8v.4',
    spooling: 'M8 2.5v7M4.8 6.8L8 10l3.2-3.2M3 13.2h10',
};


export function icon(state) {
    return svg('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' },
        svg('path', { d: ICONS[state] ?? ICONS.redis_down }));
}


// also of the browser's tab

export function favicon(color, state) {
    const image = '<svg xmlns="http://www.w3.org/2000/svg"'
        + ` viewBox="0 0 16 16"><rect width="16" height="16" rx="4"`
        + ` fill="${color}"/><path d="${ICONS[state] ?? ICONS.redis_down}"`
        + ' fill="none" stroke="#fff" stroke-width="2"'
        + ' stroke-linecap="round" stroke-linejoin="round"/></svg>';
    const href = 'data:image/svg+xml,' + encodeURIComponent(image);

    if ($('#icon').getAttribute('href') !== href) {
        $('#icon').setAttribute('href', href);
    }
}


// status is 0 if there was no answer

export class ApiError extends Error {
    constructor(status, text) {
        super(text);
        this.status = status;
    }
}


const TIMEOUT = 10000;


// the good answer of PATH, with its text; "arguments" without a value are left
// out

export async function request(path, args = {}, method = 'GET') {
    const query = new URLSearchParams();

    for (const [name, value] of Object.entries(args)) {
        if (value !== '' && value !== null && value !== undefined) {
            query.set(name, value);
        }
    }

    const url = query.size ? `${path}?${query}` : path;
    let answer, text;

    try {
        answer = await fetch(url, {
            method,
            cache: 'no-store',
            headers: method === 'POST' ? { 'X-Bitrix1c': '1' } : {},
            signal: AbortSignal.timeout(TIMEOUT),
        });
        text = await answer.text();

    } catch (e) {
        throw new ApiError(0, e.message);
    }

    if (!answer.ok) {
        throw new ApiError(answer.status, parsed(text)?.error?.text
                           ?? `${answer.status} ${answer.statusText}`.trim());
    }

    return { text, headers: answer.headers };
}


// undefined for what is no JSON: a proxy's or nginx's own error page

function parsed(text) {
    try {
        return JSON.parse(text);

    } catch {
        return undefined;
    }
}


// the same for JSON

export async function api(path, args, method) {
    const json = parsed((await request(path, args, method)).text);

    if (json === undefined) {
        throw new ApiError(502, `${path}: no JSON`);
    }

    return json;
}

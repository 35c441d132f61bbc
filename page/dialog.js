// Copyright (C) the ngx_http_bitrix1c_module authors

// Confirmations of actions, and messages about their results.

import { $, el, say } from './dom.js';
import { t } from './lang.js';


const SHOWN = 6000;
const MOST = 3;


// true if the person says yes; the answer that does nothing has the focus

export function ask({ title, text, yes, danger = false }) {
    const dialog = $('#confirm');
    const agree = $('[value=yes]', dialog);

    say($('h2', dialog), title);
    say($('p', dialog), text);
    say(agree, yes);
    agree.classList.toggle('danger', danger);
    agree.classList.toggle('primary', !danger);
    dialog.returnValue = '';
    dialog.showModal();
    $('[value=no]', dialog).focus();

    return new Promise((done) => {
        dialog.addEventListener('close',
            () => done(dialog.returnValue === 'yes'), { once: true });
    });
}


export function toast(text, bad = false) {
    const node = el('p', bad ? { class: 'bad' } : {}, text);

    $('#toasts').append(node);
    $('#toasts').children[$('#toasts').children.length - MOST - 1]?.remove();
    setTimeout(() => node.remove(), SHOWN);
}


// runs an action that returns the message to show; true if it succeeded

export async function perform(action) {
    try {
        toast(await action());
        return true;

    } catch (e) {
        toast(t('r_failed', { text: e.status ? e.message : t('never') }), true);
        return false;
    }
}


for (const dialog of document.querySelectorAll('dialog')) {
    dialog.addEventListener('click', (e) => {
        const button = e.target.closest('button');

        // a click beside it is one on the dialog itself, outside of its box
        const box = dialog.getBoundingClientRect();
        const beside = e.target === dialog
            && (e.clientX < box.left || e.clientX > box.right
                || e.clientY < box.top || e.clientY > box.bottom);

        if (button || beside) {
            dialog.close(button?.value ?? '');
        }
    });
}
